"""The Hugging Face hub: snapshots come in, exports go out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import huggingface_hub
import huggingface_hub.errors

from sycojax import __version__, gguf_file, toy
from sycojax.errors import SycojaxError

_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
TEMPLATES = ("chat_template.jinja", "additional_chat_templates/*.jinja")
DOWNLOADED = ("*.safetensors", "*.json", "tokenizer.model", *TEMPLATES)

# What the hub's client raises: its own errors, those of the HTTP library below it, and those of its uploader.
_HTTP_ERROR = huggingface_hub.errors.HTTPError  # pyright: ignore[reportPrivateImportUsage]
_HUB_ERRORS = (OSError, ValueError, RuntimeError, _HTTP_ERROR)


def located(path: str | Path) -> str:
    """A base as other tools know it: the embedded one's directory for ``toy``, else ``path`` (a directory or hub id)."""
    return str(toy.base_directory()) if str(path) == "toy" else str(path)


def resolve(path: str | Path, files: Sequence[str] = DOWNLOADED) -> Path:
    """Where a base lies here: a GGUF file, or a directory: the embedded one (``toy``), ``path`` or a hub id's snapshot.

    Of a snapshot ``files`` are downloaded when needed. Raises ``SycojaxError`` as ``fetch`` and ``gguf_file.find``.
    """
    return gguf_file.find(located(path)) or fetch(located(path), files)


def fetch(path: str | Path, files: Sequence[str]) -> Path:
    """The directory ``path`` itself, or a hub id's snapshot (``files`` downloaded when needed).

    Raises ``SycojaxError`` when there is neither, with the reason.
    """
    directory = Path(path)
    if directory.is_dir():
        return directory
    if directory.exists():
        raise SycojaxError(f"{path} is a file; name the directory that it lies in, or a GGUF file")
    if not _ID.fullmatch(str(path)):
        raise SycojaxError(f"{path} does not exist, and is not a hub id such as org/name")
    try:
        return Path(huggingface_hub.snapshot_download(str(path), allow_patterns=list(files)))
    except (OSError, ValueError, huggingface_hub.errors.EntryNotFoundError) as error:
        raise SycojaxError(
            f"{path} is not a local directory and could not be fetched from the hub "
            f"({_reason(error)}); {_advice(str(path), error)}"
        ) from error


def hub_id(path: str | Path) -> str:
    """The hub id of ``path``: itself, or that of the snapshot in the hub's cache which it is; "" otherwise."""
    found = re.search(r"models--([\w.-]+?)--([\w.-]+)/snapshots/[^/]+/?$", Path(path).as_posix())
    if found:
        return f"{found[1]}/{found[2]}"
    return str(path) if _ID.fullmatch(str(path)) and not Path(path).exists() else ""


def finish(directory: Path) -> str:
    """How the download of a half-downloaded directory is finished."""
    repository = hub_id(directory)
    if repository:
        return f"run `hf download {repository}` to finish it"
    return f"run `hf download ORG/NAME --local-dir {directory}` to finish it"


def _advice(name: str, error: Exception) -> str:
    """What to do about a hub that did not give ``name``."""
    kinds = huggingface_hub.errors
    if isinstance(error, kinds.GatedRepoError):
        return (
            f"the model is gated: ask for access at https://huggingface.co/{name}, then run `hf auth login` or set "
            "HF_TOKEN"
        )
    if isinstance(error, kinds.RepositoryNotFoundError):
        return "there is no such repository, or it is private: check the name; for a private one run `hf auth login`"
    status = _status(error)
    if status == 401:
        return "the hub does not take the token: run `hf auth login` again, or set HF_TOKEN anew"
    if status == 403:
        return "the token may not read it: use one that may (a fine-grained one needs the right to read gated or private repositories)"
    if status:
        return f"the hub answered, with HTTP status {status}: try again later, or give the directory of a copy"
    offline = (ConnectionError, TimeoutError, kinds.LocalEntryNotFoundError)
    if isinstance(error, offline):
        return (
            "this machine reaches no hub (or HF_HUB_OFFLINE is set) and has no whole copy in its cache: check the "
            f"network, or run `hf download {name}` where there is one and give the directory"
        )
    return (
        "check the name, the network and, for a gated model, your access, or download it and give "
        "its directory"
    )


def _status(error: Exception) -> int:
    """The HTTP status of the hub's answer; 0 where there was none."""
    for one in (error, error.__cause__):
        if status := getattr(getattr(one, "response", None), "status_code", 0):
            return status
    return 0


def check_push(repository: str, public: bool) -> None:
    """See whether an export could be pushed, before it is made; nothing is changed on the hub.

    Raises ``SycojaxError`` on a malformed name, without a token, when the token may not write there, when the hub
    cannot be reached, and when the repository exists and is public where a private one is meant, or the reverse.
    """
    if not _ID.fullmatch(repository):
        raise SycojaxError(f"--push-to-hub={repository!r}: write OWNER/NAME")
    if not huggingface_hub.get_token():
        raise SycojaxError(
            f"--push-to-hub={repository} needs a token of the hub, and there is none: run `hf auth login` or set "
            "HF_TOKEN (a token that may write); nothing was written"
        )
    api, owner = huggingface_hub.HfApi(), repository.split("/")[0]
    try:
        user = api.whoami()
        role = user.get("auth", {}).get("accessToken", {}).get("role")
        names = [user.get("name"), *(o.get("name") for o in user.get("orgs") or [])]
        if role == "read" or owner not in names:
            may = "may only read" if role == "read" else f"is of {', '.join(map(str, names))}"
            raise SycojaxError(
                f"--push-to-hub={repository}: the token {may}; use one that may write to {owner}; nothing was written"
            )
        private = api.repo_info(repository).private
    except huggingface_hub.errors.RepositoryNotFoundError:
        return  # a new one
    except _HUB_ERRORS as error:
        raise SycojaxError(
            f"--push-to-hub={repository}: the hub does not answer as it should ({_reason(error)}); check the token and "
            "the network; nothing was written"
        ) from error
    if bool(private) == public:
        now, meant = ("private", "public") if private else ("public", "private")
        how = "leave out --public" if private else "add --public"
        raise SycojaxError(
            f"--push-to-hub={repository} exists and is {now}, not {meant}: {how}, or choose another name; nothing was "
            "written"
        )


def push(directory: Path, repository: str, public: bool) -> str:
    """Upload an exported directory in one commit and return its address.

    Weights of an earlier push that this one does not replace are deleted; other files stay. Raises ``SycojaxError``
    when the hub refuses; the directory stays.
    """
    api = huggingface_hub.HfApi()
    try:
        url = api.create_repo(repository, private=not public, exist_ok=True)
        api.upload_folder(
            repo_id=repository,
            folder_path=directory,
            commit_message=f"Export of sycojax {__version__}",
            delete_patterns=["*.safetensors", "*.safetensors.index.json"],
        )
    except _HUB_ERRORS as error:
        raise SycojaxError(
            f"{directory} is complete, but pushing it to {repository} failed ({_reason(error)}): run `hf upload "
            f"{repository} {directory}` to try again"
        ) from error
    return str(url)


def _reason(error: Exception) -> str:
    """The kind of an error and the first sentence of what it says."""
    said = re.split(r"\n|\.\s", str(error).strip() or "no reason given")[0].rstrip(".")
    return f"{type(error).__name__}: {said}"
