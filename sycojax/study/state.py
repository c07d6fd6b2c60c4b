"""What a workdir holds, needs and still lacks. Made once from config and workdir; it knows, and makes nothing.

Every output is named with what it is made from, part by part, each part as a fingerprint. Its stamp says what it was
made from, so the two tell whether it is current.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from sycojax.config import StudyConfig
from sycojax.errors import SycojaxError
from sycojax.files import read_json
from sycojax.records import BASE
from sycojax.requests import Request
from sycojax.settings import deciding
from sycojax.study.external import FoundAdapter
from sycojax.study.inputs import Inputs
from sycojax.study.stages import Stamps, fingerprint
from sycojax.training.bank import AdapterJob
from sycojax.training.fingerprint import digest

# Of study.json and sweep.json, and of the stamps beside them. A workdir of another format is not continued.
FORMAT = 2
Kind = Literal["study", "sweep"]


@dataclasses.dataclass(frozen=True)
class Output:
    """A file or directory of the workdir, and what it is made from: part -> fingerprint."""

    path: Path
    inputs: Mapping[str, str]


@dataclasses.dataclass(frozen=True)
class State:
    """The outputs that a study wants in its workdir. What is there of them is looked up when it is asked for."""

    workdir: Path
    # What all answers rest on: the base, its tokenizer, the settings and the questions, without the note on which of these are in
    # training data. Two studies with the same basis have the same answers of the base.
    basis: Mapping[str, str]
    adapters: Mapping[str, Output]  # by configuration, those that are trained here
    records: Mapping[tuple[str, str], Output]  # by configuration and evaluation
    jobs: Sequence[AdapterJob]
    requests: Mapping[str, Sequence[Request]]  # by evaluation
    external: Mapping[str, FoundAdapter]  # by configuration, those that were trained elsewhere

    @property
    def configurations(self) -> tuple[str, ...]:
        """The base, then every adapter."""
        return (BASE, *self.adapters, *self.external)

    @property
    def asked(self) -> dict[str, str]:
        """By evaluation what its questions are known by, in the stamps of its records."""
        return {name: output.inputs["questions"] for (_, name), output in self.records.items()}

    def adapter(self, configuration: str) -> Path | None:
        """The directory of a configuration's adapter; None for the base."""
        if configuration == BASE:
            return None
        elsewhere = self.external.get(configuration)
        return elsewhere.directory if elsewhere else self.adapters[configuration].path

    def asking(
        self, requests: Mapping[str, Sequence[Request]], paths: Mapping[tuple[str, str], Path]
    ) -> State:
        """The same base asked other ``requests``, without adapters; ``paths``: by configuration and evaluation, where the answers go."""
        asked = {part: value for part, value in self.basis.items() if part != "questions"}
        records = {
            key: Output(path, {**asked, "questions": _questions(requests[key[1]]), "adapter": ""})
            for key, path in paths.items()
        }
        return dataclasses.replace(
            self, adapters={}, external={}, jobs=(), records=records, requests=requests
        )

    def untrained(self) -> list[AdapterJob]:
        """The adapters that are missing or outdated."""
        return [job for job in self.jobs if not self.current(self.adapters[job.name])]

    def unscored(self) -> dict[str, list[str]]:
        """Configuration -> its evaluations whose records are missing or outdated, where there are any."""
        found: dict[str, list[str]] = {}
        for (configuration, evaluation), output in self.records.items():
            if not self.current(output):
                found.setdefault(configuration, []).append(evaluation)
        return found

    def lacking(self) -> list[Output]:
        """Everything that is missing or outdated. (Other workdirs may have made the same: ``Stamps.borrow``.)"""
        outputs = (*self.adapters.values(), *self.records.values())
        return [output for output in outputs if not self.current(output)]

    def finished(self) -> bool:
        """Whether nothing is lacking and ``study.json`` tells of what is there.

        What was copied from another workdir may not have been written down before a kill.
        """
        document = self.workdir / "study.json"
        if not document.is_file() or self.lacking():
            return False
        said = read_json(document)
        return bool(said.get("base_fingerprint")) and said.get("training") == self.training()

    def training(self) -> dict[str, Any]:
        """Training summaries by configuration, of all adapters, which must be there."""
        return {n: read_json(output.path / "training.json") for n, output in self.adapters.items()}

    def current(self, output: Output) -> bool:
        """Whether an output is there, whole, and made from what it should be made from."""
        return Stamps(self.workdir).current(output.path, output.inputs)


def adapter_directory(workdir: Path, configuration: str) -> Path:
    """Where a trained adapter lies."""
    return workdir / "adapters" / configuration


def records_path(workdir: Path, configuration: str, evaluation: str) -> Path:
    """Where the answers of a configuration lie."""
    return workdir / "records" / configuration / f"{evaluation}.jsonl"


def items_path(workdir: Path, evaluation: str) -> Path:
    """Where the questions lie that were asked."""
    return workdir / "items" / f"{evaluation}.jsonl"


def state_of(
    config: StudyConfig,
    workdir: Path,
    given: Inputs,
    jobs: Sequence[AdapterJob],
    requests: Mapping[str, Sequence[Request]],
) -> State:
    """What ``config`` wants in ``workdir``, from what it reads: the adapters of ``jobs``, and answers to ``requests``."""
    weights, recipe = given.weights, fingerprint(deciding(config, "adapter"))
    adapters = {
        job.name: Output(
            adapter_directory(workdir, job.name),
            {
                "base": weights, "settings": recipe, "seed": str(job.seed), "examples": digest(job.train),
                "validation": digest(job.validation),
            },
        )
        for job in jobs
    }  # fmt: skip
    asked = {
        "base": weights, "tokenizer": given.texts, "settings": fingerprint(deciding(config, "records")),
        "template": given.prompts.template.digest,
    }  # fmt: skip
    parts = {
        name: {**asked, "questions": _questions(several)} for name, several in requests.items()
    }
    trained = {name: fingerprint(output.inputs) for name, output in adapters.items()}
    elsewhere = {name: found.fingerprint for name, found in given.external.items()}
    records = {
        (configuration, evaluation): Output(
            records_path(workdir, configuration, evaluation),
            {**parts[evaluation], "adapter": adapter},
        )
        for configuration, adapter in {BASE: "", **trained, **elsewhere}.items()
        for evaluation in requests
    }
    basis = {**asked, "questions": _questions([_plain(r) for rs in requests.values() for r in rs])}
    return State(workdir, basis, adapters, records, jobs, requests, given.external)


def _questions(requests: Sequence[Request]) -> str:
    return fingerprint([r.to_json() for r in requests])


def _plain(request: Request) -> Request:
    """A question without the note on whether training data ask it, too."""
    return dataclasses.replace(
        request, meta={k: v for k, v in request.meta.items() if k != "stratum"}
    )


def made_with(workdir: Path, document: Mapping[str, Any], configuration: str, adapter: str) -> bool:
    """Whether all records of a configuration were made with the adapter known by ``adapter``, on the study's base.

    It is asked of a workdir and its study.json (``document``) alone, without a config. False, too, where records,
    questions or stamps were changed since or are gone.
    """
    basis, stamps = document.get("basis", {}), Stamps(workdir)
    files = sorted((workdir / "records" / configuration).glob("*.jsonl"))
    for file in files:
        made, items = stamps.inputs(file), items_path(workdir, file.stem)
        if not isinstance(made, Mapping) or not items.is_file():
            return False
        lines = items.read_text(encoding="utf-8").split("\n")
        expected = {
            **{part: basis.get(part) for part in ("base", "tokenizer", "settings")},
            "adapter": adapter, "questions": fingerprint([json.loads(line) for line in lines if line]),
        }  # fmt: skip
        if any(made.get(part) != value for part, value in expected.items()):
            return False
    return bool(files)


def adapter_known_by(workdir: Path, configuration: str) -> str:
    """What a trained adapter is known by in the stamps of its records; "" where it is missing or was changed since."""
    inputs = Stamps(workdir).inputs(adapter_directory(workdir, configuration))
    return fingerprint(inputs) if inputs else ""


@dataclasses.dataclass(frozen=True)
class Holding:
    """Whose a directory is: a study's or a sweep's of that name, nobody's though it holds files, or free."""

    kind: Kind | Literal["files", "nothing"]
    name: str = ""
    older: bool = False  # made by an earlier sycojax, whose stamps mean something else


def holding(workdir: Path) -> Holding:
    """Look at ``workdir``. Raises ``SycojaxError`` when it is a file."""
    if workdir.exists() and not workdir.is_dir():
        raise SycojaxError(f"--workdir={workdir} is a file, not a directory")
    for kind in ("study", "sweep"):
        if (workdir / f"{kind}.json").exists():
            document = read_json(workdir / f"{kind}.json")
            return Holding(kind, str(document.get("name")), document.get("format") != FORMAT)
    # These leave a directory free: a calibration and the base's answers that it made, and the half-written file of another process
    # that is just beginning.
    free = ("calibration", "readouts", "stamps", ".study.json.", ".sweep.json.")
    others = workdir.iterdir() if workdir.exists() else ()
    return Holding("files" if any(not p.name.startswith(free) for p in others) else "nothing")


def check_free(workdir: Path, kind: Kind, name: str) -> None:
    """Raise ``SycojaxError`` unless ``workdir`` is free or holds the study, or the sweep, ``name``."""
    found = holding(workdir)
    if found.kind == kind and found.name != name:
        raise SycojaxError(
            f"{workdir} holds the {kind} {found.name!r}, not {name!r}: choose another --workdir"
        )
    if found.kind not in (kind, "nothing"):
        raise SycojaxError(f"{workdir} is not empty and holds no {kind}: choose another --workdir")
    if found.older:
        raise SycojaxError(
            f"{workdir} was made by an earlier sycojax, which noted otherwise what its files are made from: choose "
            f"another --workdir (`sycojax report` still reads this one)"
        )
