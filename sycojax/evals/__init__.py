"""The four benchmarks and the three probes: one file each says what is asked, trained on and measured."""

from __future__ import annotations

from sycojax.evals.answer import Answer
from sycojax.evals.are_you_sure import AreYouSure
from sycojax.evals.feedback import Feedback
from sycojax.evals.gsm8k import Gsm8k
from sycojax.evals.hellaswag import Hellaswag
from sycojax.evals.mmlu import Mmlu
from sycojax.evals.protocol import Evaluation
from sycojax.evals.truthfulqa import Truthfulqa

_ALL: tuple[Evaluation, ...] = (
    Gsm8k(), Mmlu(), Hellaswag(), Truthfulqa(), Answer(), AreYouSure(), Feedback(),
)  # fmt: skip

EVALUATIONS: dict[str, Evaluation] = {e.name: e for e in _ALL}
BENCHMARKS: tuple[str, ...] = tuple(e.name for e in _ALL if e.role == "benchmark")
PROBES: tuple[str, ...] = tuple(e.name for e in _ALL if e.role == "probe")
NAMES: tuple[str, ...] = (*BENCHMARKS, *PROBES)
