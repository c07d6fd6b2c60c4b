"""Read a study directory: what was planned (study.json) and what was measured (item records)."""

from __future__ import annotations

import dataclasses
import functools
import gc
import multiprocessing
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from analysis.records.held_out import held_out_fall
from analysis.records.strata import of_items, split
from sycojax.errors import SycojaxError
from sycojax.evals import BUILTIN, Evaluations, evaluations
from sycojax.evals.measured import measured, spread_of
from sycojax.evals.protocol import Measure
from sycojax.evals.readouts import in_arms
from sycojax.files import digest_output, read_json, stamp_of
from sycojax.records import BASE, PLACEBO, read_records

_LARGE = 64 * 2**20  # bytes of records from which a second process is worth its start


@dataclasses.dataclass(frozen=True)
class Configuration:
    """The frozen base (``adapter`` is "base", no seed) or the base with one adapter."""

    name: str
    adapter: str
    seed: int | None
    placebo: bool = False  # trained to learn nothing: what is found of it is a control, no finding


@dataclasses.dataclass(frozen=True)
class Study:
    """Everything the report is made from. Keys of the mappings are (configuration, evaluation)."""

    directory: Path
    document: Mapping[str, Any]  # study.json; every key may be missing
    configurations: tuple[Configuration, ...]  # those that have records, base first
    evaluations: tuple[str, ...]  # those that have records, benchmarks first
    measures: Mapping[tuple[str, str], tuple[Measure, ...]]
    diagnostics: Mapping[tuple[str, str], Mapping[str, float]]
    records: Mapping[tuple[str, str], int]  # records read
    truncated: Mapping[tuple[str, str], int]  # records whose prompt lost tokens on the left
    missing: tuple[str, ...]  # sentences on what should be here and is not
    # (configuration, evaluation, "train" | "test" | "neither") -> its headline measures
    strata: Mapping[tuple[str, str, str], tuple[Measure, ...]] = dataclasses.field(
        default_factory=dict
    )
    registry: Evaluations = BUILTIN  # what the evaluations are
    # By configuration, of those that were trained here and whose losses by example were kept.
    held_out: Mapping[str, Measure] = dataclasses.field(default_factory=dict)

    @property
    def adapters(self) -> tuple[str, ...]:
        """Adapter names in study order, without the base."""
        names = (c.adapter for c in self.configurations if c.adapter != BASE)
        return tuple(dict.fromkeys(names))

    def of_adapter(self, adapter: str) -> tuple[Configuration, ...]:
        """The configurations (one per seed) of an adapter, or the base alone."""
        return tuple(c for c in self.configurations if c.adapter == adapter)

    def is_placebo(self, adapter: str) -> bool:
        """Whether an adapter is the control that others are held against."""
        return any(c.placebo for c in self.of_adapter(adapter))

    def with_role(self, role: str) -> tuple[str, ...]:
        """Names of what was scored in a role of ``sycojax.evals.protocol.Role``."""
        return tuple(name for name in self.evaluations if self.registry[name].role == role)

    def measure(self, configuration: str, evaluation: str, name: str) -> Measure | None:
        """One measure of one configuration, or None where it was not scored."""
        for measure in self.measures.get((configuration, evaluation), ()):
            if measure.name == name:
                return measure
        return None

    def described(self, evaluation: str) -> tuple[Measure, ...]:
        """The measures an evaluation has, from the first configuration that was scored on it."""
        for configuration in self.configurations:
            if (configuration.name, evaluation) in self.measures:
                return self.measures[configuration.name, evaluation]
        return ()

    def measure_of(self, evaluation: str, name: str) -> Measure | None:
        """One of the measures an evaluation has, or None."""
        return next((m for m in self.described(evaluation) if m.name == name), None)


def section(document: Mapping[str, Any], *keys: str) -> Mapping[str, Any]:
    """An object inside study.json; empty where it, or one around it, is missing or is no object."""
    found: Any = document
    for key in keys:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def load(directory: Path, probes: Sequence[str | Path] = ()) -> Study:
    """Read ``directory/study.json`` and ``directory/records/*/*.jsonl`` and compute all measures.

    ``probes`` are the files of a user's evaluations, which are run only when they are named here. Raises
    ``SycojaxError`` when study.json or all records are missing, a record is damaged or was changed since it was written, or such a file is not the one that
    the study asked. A configuration or an evaluation that has no records is not an error: it is named in ``missing``.
    """
    directory = Path(directory)
    document = read_json(directory / "study.json")
    if not isinstance(document, dict):
        raise SycojaxError(f"{directory / 'study.json'} must hold a JSON object")
    registry, missing = _registry(directory, document, probes)
    planned = _configurations(directory, document)
    paths = {
        (c.name, path.stem): path
        for c in planned
        for path in sorted((directory / "records" / c.name).glob("*.jsonl"))
        if _is_asked(directory, document, path)
    }
    if not paths:
        raise SycojaxError(
            f"no records under {directory / 'records'}: score the study first "
            "(sycojax study, or sycojax evaluate)"
        )
    _check_unchanged(directory, paths.values())
    left_out = tuple(name for name in _added(document) if name not in registry)
    unknown = sorted(
        name
        for name in {name for _, name in paths} - set(registry)
        if not any(name == one or name.startswith(f"{one}_") for one in left_out)
    )
    found = tuple(n for n in registry if any(name == n for _, name in paths))
    missing += [f"Records of an unknown evaluation were not read: {name}." for name in unknown]
    measures, diagnostics, counts, truncated, strata = {}, {}, {}, {}, {}
    read = _read_all(paths, {c.name for c in planned if c.adapter == BASE}, registry)
    for key in [(c.name, name) for c in planned for name in found]:
        one = read.get(key)
        if one is None:
            missing.append(f"{key[0]} has no records of {key[1]}.")
            continue
        measures[key], diagnostics[key] = one.measures, one.diagnostics
        counts[key], truncated[key] = one.records, one.truncated
        for measure in one.measures:
            if measure.headline and one.strata:
                for stratum, part in split(measure, one.strata).items():
                    strata[*key, stratum] = (*strata.get((*key, stratum), ()), part)
    missing += [
        f"No configuration has records of {n}."
        for n in _planned(document, registry, found)
        if n not in left_out
    ]
    scored = tuple(c for c in planned if any(name == c.name for name, _ in measures))
    if not any(c.adapter == BASE for c in scored):
        missing.append("The base was not scored, so no shift against it can be computed.")
    return Study(
        directory, document, scored, found, measures, diagnostics, counts, truncated,
        tuple(missing), strata, registry, _held_out(directory, scored),
    )  # fmt: skip


def _is_asked(directory: Path, document: Mapping[str, Any], path: Path) -> bool:
    """Whether records answer what study.json says is asked, and are not left of other settings; without a stamp they are believed."""
    asked, stamp = section(document, "asked"), stamp_of(directory, path)
    if not asked or path.stem not in asked:
        return not asked
    made = section(read_json(stamp), "inputs") if stamp.is_file() else {}
    return made.get("questions", asked[path.stem]) == asked[path.stem]


def _held_out(directory: Path, configurations: Sequence[Configuration]) -> dict[str, Measure]:
    falls = {c.name: held_out_fall(directory / "adapters" / c.name) for c in configurations}
    return {name: fall for name, fall in falls.items() if fall is not None}


def _check_unchanged(directory: Path, paths: Iterable[Path]) -> None:
    """Raise ``SycojaxError`` where a file is not what its stamp says was written; records without stamps are believed."""
    for path in paths:
        stamp = stamp_of(directory, path)
        if stamp.is_file() and read_json(stamp).get("output") != digest_output(path):
            raise SycojaxError(
                f"{path} is not as it was written (its digest is not that of {stamp}): a disk that fails, or an edit. Run "
                "the study's command again to ask anew, or delete the stamp to believe the file"
            )


@dataclasses.dataclass(frozen=True)
class _File:
    """What the report needs of one file of records."""

    measures: tuple[Measure, ...]
    diagnostics: dict[str, float]
    records: int
    truncated: int
    strata: dict[str, str]  # item -> stratum
    spread: float  # ``spread_of`` the records


_Key = tuple[str, str]  # configuration, evaluation


def _read_all(
    paths: Mapping[_Key, Path], base: Collection[str], registry: Evaluations
) -> dict[_Key, _File | None]:
    """Every file of a known evaluation reduced to its measures; None for an empty one. Large studies are read by two processes.

    Spawned, not forked: a study that has just trained holds threads that do not survive a fork. Those of the configurations
    ``base`` come first, as the spread of the others is matched to theirs.
    """
    known = {key: path for key, path in paths.items() if key[1] in registry}
    if sum(path.stat().st_size for path in known.values()) < _LARGE:
        return _in_turn(map, functools.partial(_read, registry), known, base)
    context = multiprocessing.get_context("spawn")
    # Records hold no cycles, and looking for some takes a third of the time.
    with ProcessPoolExecutor(2, context, initializer=gc.disable) as pool:
        files = [file.path for file in registry.files]
        return _in_turn(pool.map, functools.partial(_read_with, files), known, base)


def _in_turn(
    every: Callable[..., Iterable[_File | None]], read: Callable[[Path, float | None], _File | None],
    paths: Mapping[_Key, Path], base: Collection[str],
) -> dict[_Key, _File | None]:  # fmt: skip
    """``every`` is ``map``, or does what it does."""
    first, rest = [k for k in paths if k[0] in base], [k for k in paths if k[0] not in base]
    found = dict(
        zip(first, every(read, [paths[k] for k in first], [None] * len(first)), strict=True)
    )
    spreads = {name: one.spread for (_, name), one in found.items() if one}
    wanted = [spreads.get(name) for _, name in rest]
    return found | dict(zip(rest, every(read, [paths[k] for k in rest], wanted), strict=True))


def _read_with(files: Sequence[Path], path: Path, spread: float | None) -> _File | None:
    """``_read`` in a process of its own, which has to run a user's files itself."""
    return _read(evaluations(files), path, spread)


def _read(registry: Evaluations, path: Path, spread: float | None) -> _File | None:
    records = list(read_records(path))
    if not records:
        return None
    evaluation = registry[path.stem]
    own = [r for r in records if not in_arms(r)]
    return _File(
        tuple(measured(evaluation, records, spread)),
        {k: float(v) for k, v in evaluation.diagnostics(own).items()},
        len(records),
        sum(r.dropped_tokens > 0 for r in records),
        of_items(records),
        spread_of(evaluation, records),
    )


def _added(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """What study.json says of the files of a user's evaluations: by name, ``file`` and ``sha256``."""
    return section(document, "probes")


def _registry(
    directory: Path, document: Mapping[str, Any], files: Sequence[str | Path]
) -> tuple[Evaluations, list[str]]:
    """The study's evaluations, and a sentence on each whose file was not named."""
    registry, added = evaluations(files), _added(document)
    for file in registry.files:
        name = file.evaluation.name
        if name not in added:
            raise SycojaxError(f"{directory} did not ask the evaluation {name}: leave its file out")
        if file.sha256 != added[name].get("sha256"):
            raise SycojaxError(
                f"{file.path.name} defines {name} otherwise than when the study asked it (sha256 "
                f"{file.sha256[:12]}, not {str(added[name].get('sha256'))[:12]}): its copy from then is "
                f"{directory / 'probes' / f'{name}.py'}"
            )
    return registry, [
        f"{name} was asked and is left out here: name the file that defines it, --probe={entry.get('file')}."
        for name, entry in added.items()
        if name not in registry
    ]


def _planned(
    document: Mapping[str, Any], registry: Evaluations, found: tuple[str, ...]
) -> list[str]:
    score = section(document, "config", "score")
    by_rules = score.get("protocol") == "published"
    names = dict.fromkeys((*(score.get("evaluations") or BUILTIN.subjects), *registry.added))
    asked = [f"{n}_published" if by_rules and n in registry.probes else n for n in names]
    return [name for name in asked if name not in found]


def _configurations(directory: Path, document: Mapping[str, Any]) -> list[Configuration]:
    """Those of study.json; without the key, those with a directory of records."""
    entries = document.get("configurations")
    if not entries:
        records = directory / "records"
        names = sorted(p.name for p in records.iterdir() if p.is_dir()) if records.is_dir() else []
        entries = [{"name": name, **_parsed(name)} for name in names]
    configurations = []
    for entry in entries:
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
            raise SycojaxError(
                f"{directory / 'study.json'}: an entry of configurations has no name: {entry!r}"
            )
        adapter = entry.get("adapter") or (BASE if entry["name"] == BASE else entry["name"])
        configurations.append(
            Configuration(entry["name"], str(adapter), entry.get("seed"), adapter == PLACEBO)
        )
    return sorted(
        configurations, key=lambda c: c.adapter != BASE
    )  # stable: adapters stay in study order


def _parsed(name: str) -> dict[str, Any]:
    match = re.fullmatch(r"(.+)-s(\d+)", name)
    return {"adapter": match[1], "seed": int(match[2])} if match else {}
