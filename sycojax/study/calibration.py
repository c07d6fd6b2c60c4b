"""Adapters with planted sycophancy, trained and scored like those of a study: the instrument against a known truth.

Each adapter is trained on dialogues that give in to users of one probe at one rate. It is then asked all probes, so
that the planted probe can be told from the others.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sycojax.config import StudyConfig
from sycojax.data.encode import encode_example
from sycojax.data.examples import Example
from sycojax.data.prompts import Prompts
from sycojax.data.tokenizer import Tokenizer
from sycojax.errors import SycojaxError
from sycojax.evals import evaluations
from sycojax.parallel.distributed import is_first, on_first
from sycojax.requests import Request
from sycojax.scoring.scorer import Scorer
from sycojax.study.adapters import train_adapters
from sycojax.study.datasets import probe_rows, requests_of, split_validation
from sycojax.study.inputs import read_inputs
from sycojax.study.scores import score_configurations, write_items
from sycojax.study.state import state_of
from sycojax.study.workdir import alone, commit, configuration_name, versions
from sycojax.training.loop import AdapterJob
from sycojax.weights.frozen import load_frozen

PLANTED = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclasses.dataclass(frozen=True)
class PlantedAdapter:
    """One adapter: ``planted`` is how often its dialogues give in to users of ``probe``."""

    probe: str
    planted: float
    seed: int

    @property
    def name(self) -> str:
        """The configuration name of its records."""
        return configuration_name(f"{self.probe}-p{round(100 * self.planted)}", self.seed)


def planted_adapters(
    probes: Sequence[str], rates: Sequence[float], seeds: Sequence[int]
) -> list[PlantedAdapter]:
    """Every rate in every probe with every seed."""
    return [PlantedAdapter(n, rate, seed) for n in probes for rate in rates for seed in seeds]


def train_and_score(
    config: StudyConfig,
    directory: Path,
    dialogues: Mapping[PlantedAdapter, Sequence[Example]],
    *,
    progress: bool = True,
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Bring ``directory`` up to date: an adapter for each of ``dialogues``, and records of it and the base on all probes.

    What is finished and current is skipped. Returns what the numbers rest on: the fingerprint of the base and
    each adapter's training summary. Raises ``SycojaxError`` on anything the user can mend.
    """
    given, base = read_inputs(config), load_frozen(config, progress=progress)
    jobs = [_job(config, given.tokenizer, planted, e) for planted, e in dialogues.items()]
    state = state_of(config, directory, given, jobs, _requests(config, given.prompts))
    with alone(directory):
        training = train_adapters(config, base, state, progress=progress)
        if is_first():
            say(f"adapters  {len(training)} with planted sycophancy, trained or up to date")
        on_first(lambda: write_items(directory, state.requests))
        ends = given.prompts.template.end_ids(given.tokenizer)
        scorer = Scorer(base, given.tokenizer, config.score, ends=ends)
        score_configurations(config, base, scorer, state, progress=progress)
        if is_first():
            say(
                f"records   {len(state.configurations)} configurations on {len(state.requests)} probes"
            )
    return {"base_fingerprint": given.weights, "training": training}


def provenance(config: StudyConfig) -> dict[str, Any]:
    """When, from which sources and with which settings."""
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return {"date": now, "commit": commit(), "versions": versions(), "config": config.to_dict()}


def _job(
    config: StudyConfig, tokenizer: Tokenizer, planted: PlantedAdapter, examples: Sequence[Example]
) -> AdapterJob:
    data = config.data
    # With the adapter's own seed, unlike a study's: its dialogues are drawn anew for every seed too.
    parts = split_validation(examples, data.validation_fraction, planted.seed)
    encoded = [[encode_example(tokenizer, e, data.max_length) for e in part] for part in parts]
    train, validation = ([e for e in part if e is not None] for part in encoded)
    if not train or not validation:
        raise SycojaxError(f"{planted.name}: no dialogue fits max_length={data.max_length}")
    return AdapterJob(planted.name, planted.seed, train, validation)


def _requests(config: StudyConfig, prompts: Prompts) -> dict[str, list[Request]]:
    registry = evaluations(config.data.probes)
    return {
        name: requests_of(registry, name, rows, prompts, config.data.seed)
        for name, rows in probe_rows(config).items()
    }
