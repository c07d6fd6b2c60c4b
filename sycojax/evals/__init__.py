"""The four benchmarks, the three probes, and their audits: one file each says what is asked and measured.

``NAMES`` are the subjects of a study, in the order of its tables. ``AUDITS`` ask some of the same again in
another way, or another reading of it, and are recorded like the others.
"""

from __future__ import annotations

from sycojax.evals.answer import Answer
from sycojax.evals.are_you_sure import AreYouSure
from sycojax.evals.feedback import Feedback
from sycojax.evals.generated import generated_answer, generated_are_you_sure, generated_feedback
from sycojax.evals.gsm8k import Gsm8k
from sycojax.evals.hellaswag import Hellaswag
from sycojax.evals.mmlu import Mmlu
from sycojax.evals.protocol import Evaluation
from sycojax.evals.published_tasks import PUBLISHED
from sycojax.evals.templates import InTemplate
from sycojax.evals.truthfulqa import Truthfulqa

_answer, _are_you_sure, _feedback = Answer(), AreYouSure(), Feedback()
_ALL: tuple[Evaluation, ...] = (
    Gsm8k(), Mmlu(), Hellaswag(), Truthfulqa(), _answer, _are_you_sure, _feedback,
    InTemplate(_answer, "plain"), InTemplate(_are_you_sure, "plain"), InTemplate(_feedback, "plain"),
    generated_answer(_answer), generated_are_you_sure(_are_you_sure), generated_feedback(_feedback),
    *PUBLISHED,
)  # fmt: skip

EVALUATIONS: dict[str, Evaluation] = {e.name: e for e in _ALL}
BENCHMARKS: tuple[str, ...] = tuple(e.name for e in _ALL if e.role == "benchmark")
PROBES: tuple[str, ...] = tuple(e.name for e in _ALL if e.role == "probe")
AUDITS: tuple[str, ...] = tuple(e.name for e in _ALL if e.role == "audit")
NAMES: tuple[str, ...] = (*BENCHMARKS, *PROBES)


def subject(audit: str) -> str:
    """The benchmark or probe that an audit asks again: "answer" for "answer_plain"."""
    return audit.rpartition("_")[0]
