"""Adapters with planted deference, trained and scored like those of a study: the instrument against a known truth.

Each adapter is trained on dialogues that follow the users of one probe at one rate (``study/planted.py``), and is then asked that
probe as every configuration of the study is: under the readout that the base took, in the arms that something is claimed of.
"""

from __future__ import annotations

import dataclasses
import datetime
import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from analysis.calibration import NAME
from analysis.calibration.planted import describe
from sycojax.config import StudyConfig
from sycojax.data.examples import Example
from sycojax.data.template_audit import audit_template
from sycojax.errors import SycojaxError
from sycojax.evals import evaluations, readouts
from sycojax.evals.readouts import CLAIMED
from sycojax.files import write_json
from sycojax.parallel.distributed import by_first, on_first
from sycojax.records import BASE
from sycojax.requests import Request
from sycojax.scoring.journal import NAME as JOURNAL
from sycojax.study.adapters import train_adapters
from sycojax.study.datasets import instruments, probe_rows, requests_of, training_sets
from sycojax.study.fitting import fitting
from sycojax.study.inputs import Inputs, read_inputs
from sycojax.study.planted import RATES, PlantedAdapter, planted_examples
from sycojax.study.readouts import READOUTS_JOURNAL, Choice, screening, take
from sycojax.study.scores import score_configurations, scorer_of, write_items
from sycojax.study.state import State, check_free, holding, state_of
from sycojax.study.workdir import alone, commit, probe_files, versions
from sycojax.training.loop import AdapterJob
from sycojax.weights.frozen import load_frozen
from sycojax.weights.precision import exact_products, settled


def calibrate(
    config: StudyConfig,
    workdir: Path,
    *,
    rates: Sequence[float] = RATES,
    progress: bool = True,
    say: Callable[[str], None] = print,
) -> Path:
    """Bring ``workdir/calibration`` up to date: adapters with ``rates`` planted in the base of ``config``, and what is read off them.

    The base's readouts are those of a study with ``config`` in ``workdir``, and are asked there where they were not. Returns
    the path of ``calibration.json``. What is finished and current is skipped. Raises ``SycojaxError`` on anything the user can mend.
    """
    config, directory = trained_as(settled(config, workdir)), workdir / NAME
    # In the workdir of another study, its readouts would be replaced.
    kind = on_first(lambda: holding(workdir).kind)
    on_first(lambda: check_free(workdir, "sweep" if kind == "sweep" else "study", config.name))
    given, base = read_inputs(config), load_frozen(config, progress=progress)
    programs, note = scorer_of(config, given, base), by_first(say)

    def score(state: State, journal: str = JOURNAL) -> None:
        own = programs.again()
        score_configurations(config, base, own, state, progress=progress, journal_name=journal)

    with alone(workdir), exact_products(config.base.dtype):
        asked = screening(config, given, state_of(config, workdir, given, (), {}))
        score(asked, READOUTS_JOURNAL)
        choice = take(config, asked, note)
        examples = planted_examples(config, choice, given.prompts, rates)
        if not examples:
            raise SycojaxError(
                "no probe can be planted in: the package's need score.readout_items and a protocol of sycojax's, one of yours "
                "its own dialogues (docs/extending.md)"
            )
        jobs = [_job(config, given, adapter, found) for adapter, found in examples.items()]
        probes = tuple(dict.fromkeys(a.probe for a in examples))
        state = state_of(config, directory, given, jobs, _requests(config, given, choice, probes))
        own = {(a.name, a.probe) for a in examples} | {(BASE, name) for name in probes}
        records = {key: output for key, output in state.records.items() if key in own}
        state = dataclasses.replace(state, records=records)
        training = train_adapters(config, base, state, progress=progress)
        note(f"adapters  {len(training)} with planted deference, trained or up to date")
        on_first(lambda: write_items(directory, state.requests))
        score(state)
        note(f"records   {len(records)} of base and adapters on {len(probes)} probes")
        path = directory / f"{NAME}.json"

        def write_document() -> None:
            cells = [dataclasses.asdict(a) | {"name": a.name} for a in examples]
            document = {
                "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
                "command": "sycojax calibrate", "commit": commit(), "versions": versions(),
                "config": config.to_dict(), "base_fingerprint": given.weights, "basis": state.basis,
                "probes": probe_files(config),
                "readouts": {name: one["readout"] for name, one in choice.items()},
                "dialogues": {a.probe: len(found) for a, found in examples.items()},
                "training": training,
                **describe(directory, evaluations(config.data.probes), cells),
            }  # fmt: skip
            write_json(path, document)

        on_first(write_document)
    return path


def trained_as(config: StudyConfig) -> StudyConfig:
    """``config`` with what a calibration trains otherwise.

    Every dialogue is seen once; small steps at twice the learning rate make one pass teach enough. The last step is kept: an earlier one
    may look better by chance, when the planted rate is not learned yet.
    """
    return config.changed(
        {
            "train.epochs": 1.0, "train.examples_per_step": 8, "train.eval_every": 10**9,
            "train.learning_rate": 2 * config.train.learning_rate,
            "train.warmup_steps": min(config.train.warmup_steps, 20),
            "train.adapters": (), "score.adapters": (), "data.validation_fraction": 0.05,
        }
    )  # fmt: skip


def _job(
    config: StudyConfig, given: Inputs, planted: PlantedAdapter, examples: Sequence[Example]
) -> AdapterJob:
    # With the adapter's own seed, unlike a study's: its dialogues are drawn anew for every seed too.
    data = dataclasses.replace(config.data, seed=planted.seed)
    sets, _ = training_sets(data, {planted.name: examples}, given.tokenizer)
    found = sets[planted.name]
    return AdapterJob(planted.name, planted.seed, found.train, found.validation)


def _requests(
    config: StudyConfig, given: Inputs, choice: Choice, probes: Sequence[str]
) -> Mapping[str, list[Request]]:
    registry, arms, rows = evaluations(config.data.probes), instruments(config), probe_rows(config)
    asked = {}
    for name in probes:
        if name in arms:
            units, readout = arms[name].units(rows[name], config.data.seed), choice[name]["readout"]
            asked[name] = readouts.requests(
                name, arms[name], units, given.prompts, (readout,), CLAIMED
            )
        else:
            asked[name] = requests_of(registry, name, rows[name], given.prompts, config.data.seed)
    found, _ = fitting(asked, registry, given.prompts, given.tokenizer, given.context)
    audit_template(given.prompts, given.tokenizer, itertools.chain.from_iterable(found.values()))
    return found
