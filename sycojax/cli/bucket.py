"""``--workdir=gs://BUCKET/PATH``: a workdir on this machine that is kept in a bucket, through fsspec.

A study renames files, appends to logs and keeps checkpoints as directories, which no bucket can. So it works in
``~/.cache/sycojax/workdirs/gs/BUCKET/PATH/workdir``: brought from the bucket before the command, copied there every ten
minutes and at its end.

Two copies take turns, ``PATH/a`` and ``PATH/b``, each with a list of its files (``PATH/a.json``), and ``PATH/LATEST``
names the one that is whole: whenever a machine dies, the copy that will be read is not the one being written. Every
copy has an id, and beside the local directory stands the id of the copy that it has come from or become: where the
bucket has moved on since, on another machine, the bucket is right.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import shutil
import signal
import sys
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sycojax.cli.snapshot import Files, freeze
from sycojax.errors import SycojaxError
from sycojax.files import atomic_write
from sycojax.progress import Progress

EVERY = 600.0  # seconds from the end of one copy to the start of the next
OURS = {"a", "b", "a.json", "b.json", "LATEST", "STARTED"}
# What clients of buckets raise besides OSError, by the module that must be loaded for it to be raised.
RAISED = {
    "gcsfs.retry": "HttpError",
    "google.auth.exceptions": "GoogleAuthError",
    "aiohttp": "ClientError",
    "botocore.exceptions": "BotoCoreError",
}

GOOGLE = ("gs", "gcs")
ADVICE = ": is there such a bucket, and may this account use it? `gcloud auth application-default login` signs in"


def local_directory(url: str) -> Path:
    """Where the workdir of ``url`` is on this machine, made or not."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    protocol, _, path = url.partition("://")
    return Path(root) / "sycojax" / "workdirs" / protocol / path.strip("/") / "workdir"


@contextlib.contextmanager
def kept(url: str, *, progress: bool, every: float = EVERY) -> Iterator[None]:
    """Bring ``local_directory(url)`` from the bucket, and keep it there while the block lasts and when it ends.

    SIGTERM ends the block as Ctrl-C does, so that what was done until then is copied. Raises ``SycojaxError`` when
    the bucket cannot be reached, read or written, or holds something else.
    """
    bucket = Bucket(url, progress)
    with bucket.alone():
        bucket.check()
        bucket.bring()
        done = threading.Event()
        copier = threading.Thread(target=_copy_now_and_then, args=(bucket, done, every))
        copier.start()
        try:
            with _terminable():
                yield
        except BaseException:  # raised again below; a copy that fails as well is only warned of
            done.set()
            copier.join()
            with _warned(f"; everything is in {bucket.local}"):
                bucket.copy()
            raise
        done.set()
        copier.join()
        bucket.copy()


def _copy_now_and_then(bucket: Bucket, done: threading.Event, every: float) -> None:
    while not done.wait(every):
        with _warned(f"; next try in {every:.0f} s"):
            bucket.copy(quiet=True)


@contextlib.contextmanager
def _warned(more: str) -> Iterator[None]:
    try:
        yield
    except SycojaxError as error:
        print(f"sycojax: warning: {error}{more}", file=sys.stderr)


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class Bucket:
    """The copies of one workdir."""

    def __init__(self, url: str, progress: bool):
        self.url, self.local, self.progress = url.rstrip("/"), local_directory(url), progress
        self.protocol = url.partition("://")[0]
        with self._trouble("reach"):
            self.files, self.root = _open(self.url, self.protocol)
        self.state = self.local.with_name("copy")

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other commands on this machine away. Raises ``SycojaxError`` where one works in it."""
        lock = self.local.with_name("lock")
        lock.parent.mkdir(parents=True, exist_ok=True)
        with lock.open("w") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise SycojaxError(
                    f"another command works with --workdir={self.url} on this machine, in {self.local}"
                ) from error
            yield

    def check(self) -> None:
        """Raise ``SycojaxError`` when the place holds something else, or cannot be written."""
        with self._trouble("read"):
            self.files.invalidate_cache()
            try:
                paths = [path.rstrip("/") for path in self.files.ls(self.root, detail=False)]
            except FileNotFoundError:
                paths = []
        # A place made by hand holds an object of its own name.
        names = {path.rpartition("/")[2] for path in paths if path != self.root}
        if foreign := sorted(names - OURS):
            raise SycojaxError(
                f"{self.url} holds {foreign[0]}, which is no copy of a workdir: choose another --workdir"
            )
        with self._trouble("write to"):
            self.files.pipe_file(f"{self.root}/STARTED", b"")
            self.files.rm_file(f"{self.root}/STARTED")

    def bring(self) -> None:
        """Make the local directory the whole copy of the bucket, unless it is that copy already, or has gone on from it."""
        half, listed = self._whole()
        known = self.state.read_text() if self.state.exists() else ""
        if not half:
            if known and self.local.exists():
                raise SycojaxError(
                    f"{self.url} holds no copy any more of what is in {self.local}: delete that directory to begin anew, "
                    f"or {self.state} to copy it there again"
                )
            return
        if known == listed["copy"] and self.local.exists():
            return
        coming, files = self.local.with_name("coming"), listed["files"]
        shutil.rmtree(coming, ignore_errors=True)
        for name in files:
            (coming / name).parent.mkdir(parents=True, exist_ok=True)
        with self._trouble("read"), self._bar(f"from {self.url}", len(files)) as bar:
            self.files.get(
                [f"{self.root}/{half}/{name}" for name in files], [str(coming / name) for name in files], callback=bar,
            )  # fmt: skip
            for name, (size, changed) in files.items():
                if (coming / name).stat().st_size != size:
                    raise SycojaxError(
                        f"{self.url}/{half}/{name} is damaged: it is not {size} bytes"
                    )
                os.utime(coming / name, ns=(changed, changed))
        if self.local.exists():
            shutil.rmtree(self.local)
        coming.rename(self.local)
        atomic_write(self.state, listed["copy"])
        print(f"sycojax: brought {len(files)} files from {self.url}/{half}", file=sys.stderr)

    def copy(self, quiet: bool = False) -> None:
        """Make the older copy in the bucket what the local directory is now, and then the whole one.

        Raises ``SycojaxError`` when that fails, and when another machine has copied since.
        """
        if not self.local.exists():  # the command has written nothing
            return
        half, listed = self._whole()
        known = self.state.read_text() if self.state.exists() else ""
        if half and listed["copy"] != known:
            raise SycojaxError(f"{self.url} has been written by another machine meanwhile")
        still = self.local.with_name("still")
        files = freeze(self.local, still)
        if half and files == listed["files"]:
            return
        to, copy = ("b" if half == "a" else "a"), uuid.uuid4().hex
        there = self._list(to)
        changed = [name for name in files if there.get(name) != files[name]]
        with self._trouble("write to"), self._bar(f"to {self.url}", len(changed), quiet) as bar:
            if there:  # from here on this copy is neither the old one nor the new one
                self.files.rm_file(f"{self.root}/{to}.json")
            root = f"{self.root}/{to}/"
            self.files.invalidate_cache()
            if gone := [p for p in self.files.find(root) if p.removeprefix(root) not in files]:
                self.files.rm(gone)
            if changed:
                self.files.put(
                    [str(still / name) for name in changed], [root + name for name in changed], callback=bar
                )  # fmt: skip
            listing = json.dumps({"copy": copy, "files": files})
            self.files.pipe_file(f"{self.root}/{to}.json", listing.encode())
            self.files.pipe_file(f"{self.root}/LATEST", to.encode())
        atomic_write(self.state, copy)
        shutil.rmtree(still)
        if not quiet:
            print(f"copied    {self.url}/{to}")

    def _whole(self) -> tuple[str, dict[str, Any]]:
        """The copy that is whole, and its list; "" where there is none yet. Not to be able to look is an error."""
        with self._trouble("read"):
            try:
                # Where the store is a directory (``file://``), who died while writing the name left it empty. Both
                # copies are whole then, or there is only the first.
                half = self.files.cat_file(f"{self.root}/LATEST").decode() or "a"
            except FileNotFoundError:
                return "", {}
            return half, json.loads(self.files.cat_file(f"{self.root}/{half}.json"))

    def _list(self, half: str) -> Files:
        with self._trouble("read"):
            try:
                return json.loads(self.files.cat_file(f"{self.root}/{half}.json"))["files"]
            except (FileNotFoundError, ValueError):  # a list that was never written to its end
                return {}

    @contextlib.contextmanager
    def _trouble(self, verb: str) -> Iterator[None]:
        try:
            yield
        except _raised() as error:
            reason = str(error).strip().split("\n")[0] or type(error).__name__
            advice = ADVICE if self.protocol in GOOGLE else ""
            raise SycojaxError(
                f"cannot {verb} {self.url} ({type(error).__name__}: {reason}){advice}"
            ) from error

    @contextlib.contextmanager
    def _bar(self, what: str, files: int, quiet: bool = False) -> Iterator[Any]:
        from fsspec.callbacks import Callback

        with Progress(what, files, "file", shown=self.progress and not quiet) as bar:
            yield Callback(hooks={"bar": lambda _, done: bar.update(done - bar.done)})


def _open(url: str, protocol: str) -> tuple[Any, str]:
    """fsspec's file system for ``url``, and the path there. Raises ``SycojaxError`` if there can be none."""
    from fsspec.core import url_to_fs

    # What goes wrong is raised, and said in one line.
    logging.getLogger("gcsfs").setLevel(logging.CRITICAL)
    try:
        files, root = url_to_fs(url, **_sign_in(protocol))
    except ImportError as error:
        advice = "pip install 'sycojax[gcs]'" if protocol in GOOGLE else str(error)
        raise SycojaxError(
            f"--workdir={url} needs a package that is not installed: {advice}"
        ) from error
    except ValueError as error:
        raise SycojaxError(
            f"--workdir={url}: {error}; gs://BUCKET/PATH is a place in a bucket"
        ) from error
    if "/" not in root.strip("/"):
        raise SycojaxError(
            f"--workdir={url} must name a place in a bucket: {protocol}://BUCKET/PATH"
        )
    return files, root


def _sign_in(protocol: str) -> dict[str, str]:
    """Google's application default credentials, unless fsspec is configured otherwise or an emulator is meant.

    Left to itself, gcsfs goes on without any when it finds none, and says so after most of a minute.
    """
    from fsspec.config import conf

    own = any("token" in conf.get(name, {}) for name in GOOGLE)
    if protocol not in GOOGLE or own or "STORAGE_EMULATOR_HOST" in os.environ:
        return {}
    return {"token": "google_default"}


def _raised() -> tuple[type[BaseException], ...]:
    loaded = [getattr(sys.modules[m], name) for m, name in RAISED.items() if m in sys.modules]
    return (OSError, NotImplementedError, *loaded)
