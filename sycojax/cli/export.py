"""``sycojax export``: one adapter of a study, or base and adapter in one, with a model card; to a directory and the hub."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sycojax.errors import SycojaxError
from sycojax.files import atomic_directory, atomic_write, read_json


def export(
    workdir: Path, adapter: str, to: str, *, merged: bool, push_to_hub: str, public: bool, probe: Sequence[str] = (),
) -> None:  # fmt: skip
    """Write it and say where; its card has the numbers of a user's evaluations whose files ``probe`` names.

    Raises ``SycojaxError``, with nothing left behind, on what the user can mend.
    """
    if public and not push_to_hub:
        raise SycojaxError("--public says how to push: it needs --push-to-hub=OWNER/NAME")
    name, target = adapter, Path(to)
    document = _study(workdir)
    entry = _entry(document, name)
    if not entry and not (workdir / "adapters" / name / "adapter_model.safetensors").is_file():
        there = ", ".join(_known(workdir, document)) or "none"
        raise SycojaxError(f"{workdir} has no adapter {name!r} (there: {there})")
    if target.exists():
        raise SycojaxError(f"--to={target} exists already: choose a new directory")
    if push_to_hub:
        from sycojax.weights.hub import check_push

        check_push(push_to_hub, public)
    source = _source(workdir, name, entry)
    with atomic_directory(target) as temporary:
        if merged:
            _write_merged(temporary, workdir, document, source)
        else:
            _copy(temporary, document, source, external="source" in entry)
        card = _card(workdir, document, source, name, merged, push_to_hub or to, probe)
        atomic_write(temporary / "README.md", card)
    print(f"{'merged ' if merged else 'adapter'}   {target.resolve()}")
    if push_to_hub:
        from sycojax.weights.hub import push

        url = push(target, push_to_hub, public)
        print(f"pushed    {url} ({'public' if public else 'private'})")


def _study(workdir: Path) -> Mapping[str, Any]:
    """study.json, or nothing where there is none."""
    file = workdir / "study.json"
    document = read_json(file) if file.is_file() else {}
    if not isinstance(document, Mapping):
        raise SycojaxError(f"{file} must hold a JSON object")
    return document


def _entry(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The configuration of that name where it is an adapter that was trained elsewhere, or {}."""
    for entry in document.get("configurations") or []:
        if isinstance(entry, Mapping) and entry.get("name") == name and "source" in entry:
            return entry
    return {}


def _known(workdir: Path, document: Mapping[str, Any]) -> list[str]:
    own, adapters = [], workdir / "adapters"
    if adapters.is_dir():
        own = sorted(p.name for p in adapters.iterdir() if p.is_dir())
    others = [
        e["name"] for e in document.get("configurations") or [] if _entry(document, e["name"])
    ]
    return [*own, *others]


def _source(workdir: Path, name: str, entry: Mapping[str, Any]) -> Path:
    """The directory of the adapter's files."""
    from sycojax.weights.peft import WEIGHTS, resolve_adapter
    from sycojax.weights.peft_settings import CONFIG

    source = workdir / "adapters" / name
    if entry:
        source = resolve_adapter(str(entry["source"]))
    for file in (CONFIG, WEIGHTS):
        if not (source / file).is_file():
            raise SycojaxError(f"{source} has no {file}: it is not, or not any more, an adapter")
    return source


def _copy(directory: Path, document: Mapping[str, Any], source: Path, *, external: bool) -> None:
    """The adapter's files as they are, and which weights it was trained on where that is known."""
    from sycojax.weights.origin import ORIGIN, write_origin
    from sycojax.weights.peft import WEIGHTS
    from sycojax.weights.peft_settings import CONFIG, base_of

    for file in (CONFIG, WEIGHTS, ORIGIN):
        if (source / file).is_file():
            shutil.copyfile(source / file, directory / file)
    weights = document.get("base_weights")
    if weights and not external:
        write_origin(directory, base_of(source), str(weights))


def _write_merged(
    directory: Path, workdir: Path, document: Mapping[str, Any], adapter: Path
) -> None:
    from sycojax.weights.fingerprint import base_fingerprint
    from sycojax.weights.huggingface import resolve_base
    from sycojax.weights.merged import write_merged

    base = (document.get("config") or {}).get("base") or {}
    if not base.get("path"):
        raise SycojaxError(
            f"{workdir / 'study.json'} is missing or names no base.path: --merged needs the study's base"
        )
    path = resolve_base(base["path"])
    if base_fingerprint(path) != document.get("base_fingerprint"):
        raise SycojaxError(
            f"{path} is not the base as it was when the study ran (other config, tokenizer or weights): give the "
            "study its base back, or run it again"
        )
    quantization = base.get("quantization", "none")
    if quantization != "none":
        print(
            f"base      projections as the {quantization} codes of the study, written out in float32"
        )
    tokenizer = Path(base["tokenizer"]) if base.get("tokenizer") else None
    write_merged(path, adapter, directory, tokenizer=tokenizer, quantization=quantization)


def _card(
    workdir: Path, document: Mapping[str, Any], source: Path, name: str, merged: bool, where: str, probes: Sequence[str],
) -> str:  # fmt: skip
    """The text of README.md; ``where`` is the repository or directory that the export goes to."""
    from analysis.report import card
    from sycojax.study.external import files_fingerprint
    from sycojax.study.state import adapter_known_by, made_with
    from sycojax.weights.hub import hub_id
    from sycojax.weights.peft_settings import CONFIG, base_of

    called = str((document.get("config") or {}).get("base", {}).get("path") or base_of(source))
    subject = card.Subject(
        name, document, read_json(source / CONFIG), called or "an unnamed base",
        hub_id(called) if called else "", merged, where,
    )  # fmt: skip
    if not (workdir / "records" / name).is_dir():
        return card.render(subject, None, "the study has not scored this adapter yet.")
    external = _entry(document, name)
    known_by = files_fingerprint(source) if external else adapter_known_by(workdir, name)
    if not known_by or not made_with(workdir, document, name, known_by):
        return card.render(
            subject, None, "the records of the study were not made with this adapter as it is now."
        )
    return card.render(subject, card.measured(workdir, probes))
