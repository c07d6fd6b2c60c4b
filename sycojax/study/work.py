"""How much there is to compute in a study, known before anything is: from samples of its own texts, in a second or two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeVar

import numpy as np

from sycojax.config import StudyConfig, TrainConfig
from sycojax.data.pack import assign_rows
from sycojax.data.prompts import Prompts
from sycojax.evals import evaluations
from sycojax.requests import Request
from sycojax.scoring.prepare import Encoder
from sycojax.scoring.tree import unique_tokens
from sycojax.study.budget import Dropped
from sycojax.study.datasets import StudyData, instruments
from sycojax.study.inputs import Inputs
from sycojax.study.readouts import asked_with
from sycojax.study.turns import foreseen
from sycojax.training.bank import AdapterJob
from sycojax.training.batches import computed_places, step_indices, total_steps

# Items of each evaluation, and steps of each adapter, that stand for all.
ITEMS, STEPS = 6, 8
# Computed tokens for each distinct one: rows and batches are never quite full, and trees do not share all that is alike. In studies
# of the embedded base and of SmolLM2 it was between 1.1 and 1.3.
PADDING = 1.2
# The share of its allowed length that a greedy text is taken to reach before it ends by itself.
WRITTEN = 0.5

T = TypeVar("T")


class Training(NamedTuple):
    """The training of one adapter."""

    steps: float
    passes: float  # over ``micro_batch_rows`` whole rows, forward and backward
    forward: float  # whole passes without the backward one: validation losses, and the losses of held-out examples
    tokens: float  # real ones, of all epochs


class Asking(NamedTuple):
    """What one configuration is asked."""

    tokens: float  # that are computed for log-likelihoods, padding included
    prompts: float  # that are continued greedily
    prompt_tokens: float  # in all of them
    written: float  # new tokens in all of them


def trained(job: AdapterJob, config: TrainConfig, cut: Sequence[int] = ()) -> Training:
    """The work of training ``job``; ``config.micro_batch_rows`` must be a number, as ``weights.layout`` makes it.

    ``cut`` are the ``pass_lengths`` of the devices; none: all passes are whole.
    """
    own, count = job.config or config, len(job.train)
    steps = total_steps(count, own)
    lengths = [len(example.token_ids) for example in job.train]

    def passes(chosen: Sequence[int], cut: Sequence[int] = cut) -> float:
        size, length = config.micro_batch_rows, config.row_length
        rows = [sum(chosen[i] for i in row) for row in assign_rows(chosen, length)]
        fullest = np.array([max(rows[i : i + size]) for i in range(0, len(rows), size)])
        return computed_places(fullest, cut or (length,)) / length

    drawn = spread(range(steps), STEPS)
    seen = [passes([lengths[i] for i in step_indices(count, s, job.seed, own)]) for s in drawn]
    due = 1 if job.last else -(-steps // config.eval_every)
    held_out = [len(example.token_ids) for example in job.validation]
    # The losses of single examples, the base's and the adapter's, come from whole passes.
    forward = due * passes(held_out) + 2 * passes(held_out, ())
    return Training(steps, steps * sum(seen) / len(seen), forward, own.epochs * sum(lengths))


def asked(
    requests: Mapping[str, Sequence[Request]], config: StudyConfig, given: Inputs, encoder: Encoder
) -> Asking:  # fmt: skip
    """The work of asking one configuration ``requests`` and the second turns that follow from its answers."""
    registry, total = evaluations(config.data.probes), Asking(0, 0, 0, 0)
    for name, several in requests.items():
        items = len({r.item for r in several})
        drawn = sample(several)
        drawn += foreseen(registry[name], drawn, given.prompts, WRITTEN)
        written = [r for r in drawn if r.max_new_tokens]
        completions = encoder.encode([r for r in drawn if r.candidates])
        texts = [r.prompt for r in written]
        ids = given.tokenizer.encode_batch(texts, add_special_tokens=False)
        factor = items / max(min(items, ITEMS), 1)
        tokens = unique_tokens([c for cs, _ in completions for c in cs])
        found = (PADDING * tokens, len(written), sum(map(len, ids)), WRITTEN * sum(r.max_new_tokens for r in written))  # fmt: skip
        total = Asking(*(a + factor * b for a, b in zip(total, found, strict=True)))
    return total


def expected(
    config: StudyConfig, given: Inputs, data: StudyData, dropped: Dropped = ()
) -> dict[str, list[Request]]:
    """What a configuration will be asked, guessed before the readouts are chosen: the first half of them are taken to see.

    Without what is ``dropped`` (``study.budget``).
    """
    choice = {}
    for name, instrument in instruments(config).items():
        ways = instrument.readouts
        seeing = ways[: -(-len(ways) // 2)]
        read = [{"readout": way, "fails": "", "steered_by": "order"} for way in seeing]
        choice[name] = {"readout": ways[0], "read": read}
    return asked_with(config, given, data, choice, dropped)


def sample(requests: Sequence[Request], count: int = ITEMS) -> list[Request]:
    """All requests about some of the items of one evaluation."""
    items: dict[str, list[Request]] = {}
    for request in requests:
        items.setdefault(request.item, []).append(request)
    return [r for item in spread([*items.values()], count) for r in item]


def followed(
    requests: Mapping[str, Sequence[Request]], config: StudyConfig, prompts: Prompts
) -> dict[str, list[Request]]:
    """``requests`` and the second turns that follow from the answers to them."""
    registry = evaluations(config.data.probes)
    return {n: [*own, *foreseen(registry[n], own, prompts, WRITTEN)] for n, own in requests.items()}


def spread(values: Sequence[T], count: int) -> list[T]:
    """At most ``count`` of them, evenly spread."""
    size = min(len(values), count)
    return [values[i * len(values) // size] for i in range(size)]
