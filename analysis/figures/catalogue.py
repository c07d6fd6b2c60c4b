"""All figures of the report: what each is called, how it is read, what it needs, and how it is drawn."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable

from matplotlib.figure import Figure

from analysis.figures import (
    flips,
    forest,
    letters,
    levels,
    makeup,
    mention,
    relations,
    shifts,
    strata,
)
from analysis.figures.picture import picture
from analysis.page.document import Block, Paragraph
from analysis.page.text import listing
from analysis.results import Results
from analysis.verdicts.doubt import Doubt
from sycojax.evals import Evaluations
from sycojax.evals.declared import Plane, Turns


@dataclasses.dataclass(frozen=True)
class Drawing:
    """One figure; ``needs`` are keys of ``NEEDS``, ``about`` says whose doubted numbers it shows: a role, an evaluation,
    or what the figure itself picks ("letters", "strata"). ``measures`` are what it needs of the evaluation ``about[0]``,
    which are called ``called``."""

    name: str
    title: str
    reading: str
    needs: tuple[str, ...]
    draw: Callable[[Results, Doubt], Figure | list[Figure]]
    about: tuple[str, ...] = ("probe",)
    measures: tuple[str, ...] = ()
    called: str = ""


# What a figure cannot do without: words, and whether a study has it.
NEEDS: dict[str, tuple[str, Callable[[Results], bool]]] = {
    "benchmark": ("a benchmark", lambda r: bool(r.leads("benchmark"))),
    "probe": ("a probe", lambda r: bool(r.leads("probe"))),
    "tested": ("a probe", lambda r: bool(r.tested)),
    "arms": ("a probe that was asked in arms", lambda r: any(t.base for t in r.tested)),
    "shifts": ("the base and an adapter", lambda r: r.with_shifts),
    "letters": ("letter masses of a lettered evaluation", lambda r: bool(letters.lettered(r))),
    "strata": ("probe questions in more than one stratum", lambda r: bool(strata.split(r))),
}  # fmt: skip

FIGURES: tuple[Drawing, ...] = (
    Drawing(
        "benchmarks",
        "Benchmarks by configuration",
        "Bars are the mean over seeds, white dots the single seeds, lines 95 % intervals.",
        ("benchmark",), levels.benchmarks, ("benchmark",),
    ),
    Drawing(
        "sycophancy",
        "Sycophancy by configuration",
        "The probes stand side by side and are never added up. Filled circles are the soft headline (how "
        "much probability moves towards the user), open diamonds the hard one (how often the decision moves, minus "
        "what noise alone does). 0 is a model that ignores the user's opinion; lines are 95 % intervals.",
        ("probe",), levels.sycophancy,
    ),
    Drawing(
        "shifts",
        "Shift of each probe against the base",
        "Adapter minus base on the same items, mean over seeds, with the paired 95 % interval; right is more "
        "sycophantic. Filled circles are the soft headline, which is what is tested, with its value and verdict on "
        "the right; open diamonds the hard one; grey ticks the noise floor, the same difference between two "
        "conditions in which nobody holds an opinion. In the shaded band lie the shifts that the study would miss "
        "more often than one time in five.",
        ("tested", "shifts"), forest.draw,
    ),
    Drawing(
        "makeup",
        "What goes over to the user is made of",
        "How far the answer moves towards what the user says, in three parts that add up to the dot: what moves where nobody "
        "believes it (copying, wording), what somebody else's belief adds, and what the user's own adds. Uptake that is claimed "
        "is the last two together; parts below 0 are stacked to the left.",
        ("arms",), makeup.draw,
    ),
    Drawing(
        "letters",
        "Letter prior",
        "Mean probability of each of the first four letters in %, over rotations that put every text behind every "
        "letter. 25 everywhere means that the letter itself carries no weight.",
        ("letters",), letters.draw, ("letters",),
    ),
    Drawing(
        "strata",
        "Shifts by where the question was seen",
        "The soft shift of each adapter over the probe's questions that stand in a training split (squares), a test "
        "split (triangles) or neither (open circles); on the right the contrast of seen minus unseen, bold where "
        "its interval excludes 0.",
        ("strata", "shifts"), strata.draw, ("strata",),
    ),
    Drawing(
        "trade_off",
        "Capability against sycophancy",
        "Across: the mean of the benchmark shifts. Up: the soft shift of the probe. The cross is the base, large "
        "markers are adapters with 95 % intervals in both directions, small open ones their seeds. Right and down is "
        "better on both.",
        ("benchmark", "probe", "shifts"), shifts.trade_off,
    ),
    Drawing(
        "progression",
        "Sycophancy with rising performance",
        "Configurations in the order of their mean benchmark shift (in parentheses), the best on top. A line that "
        "leans to the right towards the top would mean more sycophancy with more capability. Bars are 95 % intervals.",
        ("benchmark", "probe", "shifts"), levels.progression,
    ),
    Drawing(
        "correlations",
        "Benchmark level against probe level",
        "Pearson's r over the configurations, the exact permutation p-value (not adjusted for the number of cells), "
        "and the range of r when one configuration is left out. Exploratory: so few points decide nothing.",
        ("benchmark", "probe"), relations.correlations,
    ),
    Drawing(
        "rankings",
        "Ranks under weightings of capability and sycophancy",
        "Rank 1 is best. The score is (1 - w) x mean benchmark shift - w x soft shift of the probe, each over its "
        "standard deviation across the configurations; w is the weight on low sycophancy. A row whose rank "
        "changes from left to right owes its place to the weighting. Uncertainty is not shown here.",
        ("benchmark", "probe", "shifts"), relations.rankings,
    ),
    Drawing(
        "profiles",
        "Profile of each adapter",
        "Shift against the base on every benchmark (circles) and every probe's soft headline (diamonds), in points, "
        "with 95 % intervals. Right of the line is better for benchmarks and more sycophantic for probes.",
        ("shifts",), shifts.profile, ("benchmark", "probe"),
    ),
)  # fmt: skip


def draw_all(results: Results, doubt: Doubt) -> dict[str, Block]:
    """The pictures of the page by name, or why one is missing."""
    blocks: dict[str, Block] = {}
    for one in drawings(results.study.registry):
        absent = [words for words, has in (NEEDS[n] for n in one.needs) if not has(results)]
        if not all(results.study.measure_of(one.about[0], m) for m in one.measures):
            absent.append(one.called)
        if absent:
            text = f"{one.title}: not available. It needs {listing(absent)}."
            blocks[one.name] = Paragraph(text, "missing")
            continue
        footnote = doubt.caption(results.groups, _evaluations(results, one.about))
        blocks[one.name] = picture(
            one.name, one.title, one.reading, one.draw, results, doubt, footnote=footnote
        )
    return blocks


def drawings(registry: Evaluations) -> tuple[Drawing, ...]:
    """All figures of a study: what an evaluation declares is drawn once for each that does."""
    found = list(FIGURES)
    for name, evaluation, turns in turns_of(registry):
        found.append(
            Drawing(
                name,
                f"What becomes of the model's own answer{_of(name, evaluation)}",
                turns.reading,
                (), functools.partial(flips.draw, name=evaluation, turns=turns), (evaluation,),
                tuple(f"regressive_{turn}" for turn in turns.said), f"the second turns of {evaluation}",
            )
        )  # fmt: skip
    for name, evaluation, plane in planes_of(registry):
        found.append(
            Drawing(
                name,
                f"Deference or copying, in the probe {evaluation}",
                f"{plane.reading} In the shaded wedges copying outweighs deference. Small open markers are seeds.",
                (), functools.partial(mention.draw, name=evaluation, plane=plane), (evaluation,),
                (plane.up, plane.across), f"{plane.up} and {plane.across} of the probe {evaluation}",
            )
        )  # fmt: skip
    return tuple(found)


def _of(name: str, evaluation: str) -> str:
    return f", in the probe {evaluation}" if name.endswith(evaluation) else ""


def turns_of(registry: Evaluations) -> list[tuple[str, str, Turns]]:
    """(figure, evaluation, its turns) of all that declare ``Turns``; the first figure has the plain name."""
    declared = [(name, e.turns) for name, e in registry.items() if e.turns]
    return [(_figure("flips", i, name), name, turns) for i, (name, turns) in enumerate(declared)]


def planes_of(registry: Evaluations) -> list[tuple[str, str, Plane]]:
    """The same for ``Plane``."""
    declared = [(name, e.plane) for name, e in registry.items() if e.plane]
    return [(_figure("mention", i, name), name, plane) for i, (name, plane) in enumerate(declared)]


def _figure(stem: str, place: int, evaluation: str) -> str:
    return f"{stem}_{evaluation}" if place else stem


def _evaluations(results: Results, about: tuple[str, ...]) -> list[str]:
    """The evaluations behind the words of ``Drawing.about``."""
    picks = {"letters": letters.lettered, "strata": strata.split}
    found: list[str] = []
    for name in about:
        if name in picks:
            found += picks[name](results)
        else:
            found += results.study.with_role(name) or [name]
    return found
