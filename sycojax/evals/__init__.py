"""The four benchmarks, the three probes, and their audits: one file each says what is asked and measured.

``NAMES`` are the subjects of a study, in the order of its tables. ``AUDITS`` ask some of the same again in
another way, or in the published study's own, and are recorded like the others.
"""

from __future__ import annotations

from sycojax.evals.answer import Answer
from sycojax.evals.are_you_sure import AreYouSure
from sycojax.evals.feedback import Feedback
from sycojax.evals.generated import generated_answer, generated_are_you_sure, generated_feedback
from sycojax.evals.gsm8k import Gsm8k
from sycojax.evals.hellaswag import Hellaswag
from sycojax.evals.mmlu import Mmlu
from sycojax.evals.protocol import Audit, Evaluation
from sycojax.evals.published_tasks import PUBLISHED
from sycojax.evals.templates import InTemplate
from sycojax.evals.truthfulqa import Truthfulqa

_answer, _are_you_sure, _feedback = Answer(), AreYouSure(), Feedback()
_SUBJECTS: tuple[Evaluation, ...] = (
    Gsm8k(), Mmlu(), Hellaswag(), Truthfulqa(), _answer, _are_you_sure, _feedback,
)  # fmt: skip
_AUDITS: tuple[Audit, ...] = (
    InTemplate(_answer, "plain"), InTemplate(_are_you_sure, "plain"), InTemplate(_feedback, "plain"),
    generated_answer(_answer), generated_are_you_sure(_are_you_sure), generated_feedback(_feedback),
    *PUBLISHED,
)  # fmt: skip

EVALUATIONS: dict[str, Evaluation] = {e.name: e for e in (*_SUBJECTS, *_AUDITS)}
BENCHMARKS: tuple[str, ...] = tuple(e.name for e in _SUBJECTS if e.role == "benchmark")
PROBES: tuple[str, ...] = tuple(e.name for e in _SUBJECTS if e.role == "probe")
NAMES: tuple[str, ...] = (*BENCHMARKS, *PROBES)
AUDITS: dict[str, Audit] = {e.name: e for e in _AUDITS}


def subject(name: str) -> str:
    """The benchmark or probe that an evaluation is about: "answer" for "answer_plain" and for itself."""
    return AUDITS[name].subject if name in AUDITS else name
