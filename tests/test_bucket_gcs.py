"""A workdir in ``gs://``: gcsfs itself, against an emulator of Cloud Storage on this machine."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import fsspec
import gcsfs
import pytest
from fsspec.config import conf
from gcp_storage_emulator.server import create_server

from sycojax.cli.bucket import kept, local_directory
from sycojax.errors import SycojaxError

URL = "gs://studies/llama"


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[gcsfs.GCSFileSystem]:
    """The bucket ``studies``, empty, and a first machine."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "one"))
    gcsfs.GCSFileSystem.clear_instance_cache()
    server = create_server("127.0.0.1", port, in_memory=True, default_bucket="studies")
    server.start()
    try:
        yield fsspec.filesystem("gs")
    finally:
        server.stop()
        gcsfs.GCSFileSystem.clear_instance_cache()


# gcsfs hands a part of a file to aiohttp as it is; from 5 MB on it sends a file in parts.
@pytest.mark.filterwarnings("ignore:Sending a large body directly:ResourceWarning")
def test_another_machine_goes_on_from_what_one_left(
    store: gcsfs.GCSFileSystem, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    written = {
        "study.json": b"1", "empty": b"", "a name #1?.txt": b"odd", "training/checkpoints/5/state": bytes(6_000_000),
    }  # fmt: skip
    with kept(URL, progress=False):
        for name, data in written.items():
            (local_directory(URL) / name).parent.mkdir(parents=True, exist_ok=True)
            (local_directory(URL) / name).write_bytes(data)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "two"))
    for number in ("2", "3"):
        with kept(URL, progress=False):
            here = local_directory(URL)
            found = {str(p.relative_to(here)): p.read_bytes() for p in here.rglob("*") if p.is_file()}  # fmt: skip
            assert found == written
            (here / "study.json").write_text(number)
            (here / "empty").unlink(missing_ok=True)
        written["study.json"] = number.encode()
        written.pop("empty", None)
    store.invalidate_cache()
    assert store.cat_file("studies/llama/LATEST") == b"a"
    held = {path.removeprefix("studies/llama/a/") for path in store.find("studies/llama/a/")}
    assert held == written.keys()


def test_a_bucket_that_there_is_none_of(store: gcsfs.GCSFileSystem) -> None:
    with (
        pytest.raises(SycojaxError, match=r"cannot write to gs://nobody/llama .*is there such a bucket"),
        kept("gs://nobody/llama", progress=False),
    ):  # fmt: skip
        raise AssertionError("the command has begun")


@pytest.mark.parametrize("configured", [False, True])
def test_no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, configured: bool) -> None:
    """One message at once, unless somebody told fsspec which ones to use."""
    for name in ("STORAGE_EMULATOR_HOST", "GOOGLE_APPLICATION_CREDENTIALS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path / "gcloud"))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "one"))
    if configured:
        monkeypatch.setitem(conf, "gs", {"token": str(tmp_path / "key.json")})
    gcsfs.GCSFileSystem.clear_instance_cache()
    said = "key.json" if configured else "credentials were not found.*application-default login"
    with (
        pytest.raises(SycojaxError, match=rf"cannot reach gs://studies/llama .*{said}"),
        kept(URL, progress=False),
    ):
        raise AssertionError("the command has begun")
    assert not local_directory(URL).exists()
