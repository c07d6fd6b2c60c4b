"""The evaluations that a study may ask, as a value: those of the package, and those of files of a user."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import sys
import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from sycojax.data.arms import ANSWER
from sycojax.errors import SycojaxError
from sycojax.evals.in_readout import in_readouts
from sycojax.evals.protocol import Evaluation, Form
from sycojax.evals.readouts import READOUTS
from sycojax.files import reading


@dataclasses.dataclass(frozen=True)
class ProbeFile:
    """A file of a user that defines an evaluation."""

    path: Path
    source: bytes
    evaluation: Evaluation

    @property
    def sha256(self) -> str:
        """Of the file's contents, in hex."""
        return hashlib.sha256(self.source).hexdigest()


class Evaluations(Mapping[str, Evaluation]):
    """Evaluations by name: benchmarks, probes, then their other forms, in the order of a study's tables.

    Forms stand by kind (all plain ones, then all generated ones, ...), those of probes first.
    """

    def __init__(self, subjects: Iterable[Evaluation], files: Sequence[ProbeFile] = ()):
        self.files = tuple(files)
        every = [*subjects, *(file.evaluation for file in files)]
        by_role = {role: [e for e in every if e.role == role] for role in ("benchmark", "probe")}
        self.benchmarks = tuple(e.name for e in by_role["benchmark"])
        self.probes = tuple(e.name for e in by_role["probe"])
        forms = [
            form
            for e in (*by_role["probe"], *by_role["benchmark"])
            for form in (*e.forms(), *in_readouts(e))
        ]
        kinds = dict.fromkeys(form.variant for form in forms)
        self.forms: Mapping[str, Form] = {
            form.name: form for kind in kinds for form in forms if form.variant == kind
        }
        self._every: dict[str, Evaluation] = {
            e.name: e for e in (*by_role["benchmark"], *by_role["probe"], *self.forms.values())
        }
        if len(self._every) < len(every) + len(forms):
            names = [e.name for e in (*every, *forms)]
            twice = next(name for name in names if names.count(name) > 1)
            raise SycojaxError(f"two evaluations are called {twice!r}: give yours another name")

    def __hash__(self) -> int:
        """By identity: a mapping has none, and a default of a dataclass needs one."""
        return id(self)

    def __getitem__(self, name: str) -> Evaluation:
        return self._every[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._every)

    def __len__(self) -> int:
        return len(self._every)

    @property
    def subjects(self) -> tuple[str, ...]:
        """Benchmarks and probes: what other forms are forms of."""
        return (*self.benchmarks, *self.probes)

    @property
    def added(self) -> tuple[str, ...]:
        """The names of those that come from files of a user."""
        return tuple(file.evaluation.name for file in self.files)

    def subject(self, name: str) -> str:
        """The benchmark or probe that an evaluation is about: "answer" for "answer_plain" and for itself."""
        return self.forms[name].subject.name if name in self.forms else name

    def digest(self, name: str) -> str:
        """SHA-256 (hex) of the file of a user that defines an evaluation or its subject; "" where none does."""
        about = self.subject(name)
        return next((f.sha256 for f in self.files if f.evaluation.name == about), "")


def load_file(path: str | Path) -> ProbeFile:
    """Run a user's file, in a namespace of its own, and take its ``EVALUATION``.

    A file that has not changed is run once. Raises ``SycojaxError`` naming the file where it cannot be read, fails, or
    defines no benchmark or probe.
    """
    path = Path(path).resolve()
    with reading(path):
        source = path.read_bytes()
    return _loaded(path, source)


@functools.cache
def _loaded(path: Path, source: bytes) -> ProbeFile:
    digest = hashlib.sha256(str(path).encode() + source).hexdigest()
    module = types.ModuleType(f"sycojax_probe_{digest[:16]}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module  # where dataclasses look their annotations up
    try:
        exec(compile(source, str(path), "exec"), module.__dict__)
    except Exception as error:
        del sys.modules[module.__name__]
        said = " ".join(str(error).split())
        raise SycojaxError(f"{path} fails: {type(error).__name__}: {said}") from error
    return ProbeFile(path, source, _checked(path, getattr(module, "EVALUATION", None)))


def _checked(path: Path, found: object) -> Evaluation:
    if not isinstance(found, Evaluation) or found.role not in ("benchmark", "probe"):
        raise SycojaxError(
            f"{path} defines no EVALUATION: it must be a Benchmark or a Probe of sycojax.evals.protocol "
            "(docs/extending.md)"
        )
    if not isinstance(getattr(found, "name", None), str) or not found.name.isidentifier():
        raise SycojaxError(f"{path}: the evaluation's name must be letters, digits and underscores")
    if found.role == "probe" and not found.contrasts:
        raise SycojaxError(
            f"{path}: the probe {found.name} declares no contrast, so nothing is claimed of it"
        )
    if found.instrument:
        lacking = [arm for arm in ANSWER if arm not in found.instrument.arms]
        if lacking:
            raise SycojaxError(
                f"{path}: the instrument of {found.name} lacks the arms {', '.join(lacking)} (sycojax/data/arms.py)"
            )
        if not found.instrument.readouts or not set(found.instrument.readouts) <= set(READOUTS):
            raise SycojaxError(
                f"{path}: the readouts of {found.name} must be some of {', '.join(READOUTS)}"
            )
    return found
