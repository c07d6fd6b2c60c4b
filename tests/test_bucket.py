"""A workdir kept in a bucket: fsspec's memory stands for the bucket, cache directories for machines."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import fsspec
import pytest
from fsspec.registry import _registry as known_protocols

from sycojax.cli.bucket import kept, local_directory
from sycojax.errors import SycojaxError

URL = "memory://studies/llama"


@pytest.fixture(autouse=True)
def store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """The bucket, empty, and a first machine."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "one"))
    files = fsspec.filesystem("memory")
    files.store.clear()
    files.pseudo_dirs[:] = [""]
    return files


def write(name: str, text: str) -> None:
    path = local_directory(URL) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(".new")
    temporary.write_text(text)
    temporary.replace(path)


def work(then: Callable[[], Any] = dict, **files: str) -> None:
    """One command that writes ``files``, and ends by ``then``; ``__`` in a name is a slash."""
    with kept(URL, progress=False):
        for name, text in files.items():
            write(name.replace("__", "/"), text)
        then()


def contents(directory: Path) -> dict[str, tuple[str, int]]:
    found = (path for path in directory.rglob("*") if path.is_file())
    return {str(p.relative_to(directory)): (p.read_text(), p.stat().st_mtime_ns) for p in found}


def texts(directory: Path) -> dict[str, str]:
    return {name: text for name, (text, _) in contents(directory).items()}


def test_another_machine_goes_on_from_what_one_left(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, store: Any
) -> None:
    work(study="1", training__checkpoints__5__state="weights")
    here = contents(local_directory(URL))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "two"))
    with kept(URL, progress=False):
        assert contents(local_directory(URL)) == here
        write("study", "2")
        (local_directory(URL) / "training/checkpoints/5/state").unlink()
    assert store.cat("/studies/llama/LATEST") == b"b"
    assert store.cat("/studies/llama/b/study") == b"2"
    assert not store.exists("/studies/llama/b/training/checkpoints/5/state")
    # The first machine's directory is the older one now.
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "one"))
    with kept(URL, progress=False):
        assert contents(local_directory(URL)).keys() == {"study"}
    # Where nothing changed, nothing is copied.
    assert store.cat("/studies/llama/LATEST") == b"b"


def test_only_what_changed_is_sent(monkeypatch: pytest.MonkeyPatch, store: Any) -> None:
    sent: list[str] = []
    put = type(store).put_file

    def noted(self: Any, source: str, target: str, *more: Any, **named: Any) -> Any:
        sent.append(target)
        return put(self, source, target, *more, **named)

    monkeypatch.setattr(type(store), "put_file", noted)
    work(one="1", two="2")
    work(two="two")  # the other copy is empty yet
    work(one="one")
    assert [Path(path).parts[-2:] for path in sent] == [
        ("a", "one"), ("a", "two"), ("b", "one"), ("b", "two"), ("a", "one"), ("a", "two"),
    ]  # fmt: skip
    work(three="3")
    assert [Path(path).parts[-2:] for path in sent[6:]] == [("b", "one"), ("b", "three")]


@pytest.mark.parametrize("copies", [1, 2, 3])
@pytest.mark.parametrize("half_written", ["LATEST", "list"])
def test_a_machine_that_dies_while_it_writes_a_name_or_list(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, store: Any, copies: int, half_written: str
) -> None:
    """A directory in place of a bucket shows files that are being written."""
    for number in range(copies):
        work(study=str(number))
    if half_written == "LATEST":
        store.pipe_file("/studies/llama/LATEST", b"")
    else:
        other = "a" if store.cat("/studies/llama/LATEST") == b"b" else "b"
        store.pipe_file(f"/studies/llama/{other}.json", b'{"copy": "')
    with kept(URL, progress=False):
        assert texts(local_directory(URL))["study"] in {str(copies - 1), str(copies - 2)}
        write("study", "more")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "two"))
    work()
    assert texts(local_directory(URL)) == {"study": "more"}


@pytest.mark.parametrize("reached", [0, 1, 2])
def test_a_machine_that_dies_while_it_copies_leaves_the_other_copy(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, store: Any, reached: int
) -> None:
    work(one="1", two="2")
    work(two="22")
    put = type(store).put_file
    left = [reached]

    def dies(self: Any, *more: Any, **named: Any) -> Any:
        left[0] -= 1
        if left[0] < 0:
            raise OSError("gone")
        return put(self, *more, **named)

    monkeypatch.setattr(type(store), "put_file", dies)
    with pytest.raises(
        SycojaxError, match=r"cannot write to memory://studies/llama \(OSError: gone\)"
    ):
        work(one="111", two="222", three="3")
    left[0] = 100
    # On another machine, which takes the whole copy and goes on from it.
    with monkeypatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path / "two"))
        with kept(URL, progress=False):
            assert texts(local_directory(URL)) == {"one": "1", "two": "22"}
            write("four", "4")
    # Nothing of the first one's is left in the copy that it had half written.
    found = {p.rpartition("/")[2]: store.cat(p) for p in store.find("/studies/llama/a")}
    assert found == {"one": b"1", "two": b"22", "four": b"4"}


def test_a_copy_that_failed_is_made_up_for(monkeypatch: pytest.MonkeyPatch, store: Any) -> None:
    work(one="1")
    with monkeypatch.context() as patch:
        patch.setattr(type(store), "put_file", Mock(side_effect=OSError("no network")))
        with pytest.raises(SycojaxError, match="cannot write"):
            work(one="11", two="2")
    work()
    assert store.cat("/studies/llama/b/one") == b"11"
    assert texts(local_directory(URL)) == {"one": "11", "two": "2"}


def test_two_machines_at_once_are_found_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, store: Any
) -> None:
    work(study="1")

    def elsewhere() -> None:
        with monkeypatch.context() as patch:
            patch.setenv("XDG_CACHE_HOME", str(tmp_path / "two"))
            work(study="theirs")

    with pytest.raises(SycojaxError, match="has been written by another machine meanwhile"):
        work(elsewhere, study="mine")
    half = store.cat("/studies/llama/LATEST").decode()
    assert store.cat(f"/studies/llama/{half}/study") == b"theirs"


def test_one_command_at_a_time_on_a_machine() -> None:
    with (
        kept(URL, progress=False),
        pytest.raises(
            SycojaxError, match=r"another command works with --workdir=memory://studies/llama"
        ),
        kept(URL, progress=False),
    ):
        pass


def test_a_bucket_that_was_emptied_is_no_new_study(store: Any) -> None:
    work(study="1")
    store.rm("/studies/llama", recursive=True)
    with pytest.raises(
        SycojaxError, match=r"holds no copy any more of what is in .*workdir: delete"
    ):
        work(study="2")
    assert (local_directory(URL) / "study").read_text() == "1"
    local_directory(URL).with_name("copy").unlink()
    work()
    assert store.cat("/studies/llama/a/study") == b"1"
    store.rm("/studies/llama", recursive=True)
    shutil.rmtree(local_directory(URL))
    work(new="1")
    assert texts(local_directory(URL)) == {"new": "1"}


def test_a_bucket_that_cannot_be_read_is_not_an_empty_one(
    monkeypatch: pytest.MonkeyPatch, store: Any
) -> None:
    work(study="1")
    shutil.rmtree(local_directory(URL).parent)
    refuse = Mock(side_effect=PermissionError("no storage.objects.get access\nand more"))
    monkeypatch.setattr(type(store), "cat_file", refuse)
    with pytest.raises(SycojaxError) as error:
        work(study="2")
    said = "cannot read memory://studies/llama (PermissionError: no storage.objects.get access)"
    assert str(error.value) == said
    assert not local_directory(URL).exists()


def test_a_bucket_that_cannot_be_written_is_said_before_the_work(
    monkeypatch: pytest.MonkeyPatch, store: Any
) -> None:
    refuse = Mock(side_effect=PermissionError("no storage.objects.create access"))
    monkeypatch.setattr(type(store), "pipe_file", refuse)
    with pytest.raises(SycojaxError, match="cannot write to"), kept(URL, progress=False):
        raise AssertionError("the command has begun")


def test_what_else_is_in_a_bucket_stays(store: Any) -> None:
    store.pipe("/studies/llama/notes.txt", b"mine")
    with pytest.raises(SycojaxError, match=r"holds notes\.txt, which is no copy of a workdir"):
        work(study="1")
    assert store.find("/studies/llama") == ["/studies/llama/notes.txt"]


def test_a_damaged_copy_is_not_taken(store: Any) -> None:
    work(study="123")
    shutil.rmtree(local_directory(URL).parent)
    store.pipe("/studies/llama/a/study", b"12")
    with pytest.raises(SycojaxError, match="llama/a/study is damaged: it is not 3 bytes"):
        work()
    assert not local_directory(URL).exists()


def test_what_was_done_is_copied_when_the_command_fails(
    monkeypatch: pytest.MonkeyPatch, store: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ZeroDivisionError):
        work(lambda: 1 // 0, study="1")
    assert store.cat("/studies/llama/a/study") == b"1"
    monkeypatch.setattr(type(store), "put_file", Mock(side_effect=OSError("no network")))
    # The command's own error is the news; the other is a warning.
    with pytest.raises(ZeroDivisionError):
        work(lambda: 1 // 0, study="2")
    assert "warning: cannot write to memory://studies/llama" in capsys.readouterr().err


def test_what_was_done_is_copied_when_the_machine_is_told_to_stop(store: Any) -> None:
    before = signal.getsignal(signal.SIGTERM)

    def told() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(10)

    with pytest.raises(KeyboardInterrupt):
        work(told, study="1")
    assert store.cat("/studies/llama/a/study") == b"1"
    assert signal.getsignal(signal.SIGTERM) is before


def test_it_is_copied_while_the_command_runs(store: Any) -> None:
    with kept(URL, progress=False, every=0.01):
        for number in ("1", "2"):
            write("study", number)
            path = f"/studies/llama/{'a' if number == '1' else 'b'}/study"
            until = time.monotonic() + 30
            while not store.exists(path) or not store.exists("/studies/llama/LATEST"):
                assert time.monotonic() < until
                time.sleep(0.01)
            assert store.cat(path) == number.encode()


def test_a_directory_that_was_deleted_here_comes_back() -> None:
    work(study="1")
    shutil.rmtree(local_directory(URL))
    work()
    assert texts(local_directory(URL)) == {"study": "1"}


STUDY = ("study", "--config=configs/toy.py")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((*STUDY, "--workdir=gs://studies/x"), "pip install 'sycojax[gcs]'"),
        ((*STUDY, "--workdir=gx://studies/x"), "Protocol not known: gx; gs://BUCKET/PATH"),
        ((*STUDY, "--workdir=memory://studies"), "must name a place in a bucket: memory://BUCKET/PATH"),
        ((*STUDY, f"--workdir={URL}", "--coordinator=a:1", "--processes=2", "--process=0"), "kept from one process"),
        (("sweep", "--config=configs/sweeps/toy.py", f"--workdir={URL}", "--emit=slurm"), "must be a directory that all nodes see"),
        (("report", f"--workdir={URL}"), "holds no study"),
        ((*STUDY, f"--workdir={URL}", "--config.train.seed=1"), "seed"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said(
    monkeypatch: pytest.MonkeyPatch,
    refused: Callable[..., str],
    store: Any,
    arguments: tuple[str, ...],
    said: str,
) -> None:
    # As where it is not installed, nor has been asked for yet.
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    monkeypatch.delitem(known_protocols, "gs", raising=False)
    assert said in refused(*arguments)
    assert not store.find("/studies")


def test_a_task_of_slurm_is_one_of_several(
    monkeypatch: pytest.MonkeyPatch, refused: Callable[..., str], store: Any
) -> None:
    monkeypatch.setenv("SLURM_STEP_NODELIST", "node[1-2]")
    monkeypatch.setenv("SLURM_NTASKS", "2")
    sweep = ("sweep", "--config=configs/sweeps/toy.py", f"--workdir={URL}", "--cell=none")
    assert "kept from one process" in refused(*sweep)
    assert not store.find("/studies")
    assert "no cell 'none'" in refused(*sweep, "--processes=1")
