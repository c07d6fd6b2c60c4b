"""The four benchmarks, the three probes, and their other forms: one file each says what is asked and measured.

``BUILTIN`` holds those of the package, in the order of a study's tables; ``evaluations`` adds those of a user's files.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from sycojax.evals.answer import Answer
from sycojax.evals.are_you_sure import AreYouSure
from sycojax.evals.feedback import Feedback
from sycojax.evals.gsm8k import Gsm8k
from sycojax.evals.hellaswag import Hellaswag
from sycojax.evals.mmlu import Mmlu
from sycojax.evals.registry import Evaluations, load_file
from sycojax.evals.truthfulqa import Truthfulqa

_SUBJECTS = (Gsm8k(), Mmlu(), Hellaswag(), Truthfulqa(), Answer(), AreYouSure(), Feedback())

BUILTIN = Evaluations(_SUBJECTS)


def evaluations(files: Iterable[str | Path] = ()) -> Evaluations:
    """Those of the package and of a user's ``files``.

    Raises ``SycojaxError`` naming a file that cannot be used, or a name that is taken.
    """
    found = [load_file(path) for path in files]
    return Evaluations(_SUBJECTS, found) if found else BUILTIN
