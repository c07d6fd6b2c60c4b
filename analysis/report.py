"""Write DIR/report: the page, its Markdown, the figures, the tables and the study's three CSVs."""

from __future__ import annotations

import dataclasses
import io
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from analysis import contents, csvs, prose
from analysis.figures import levels, relations, shifts
from analysis.figures.style import SETTINGS
from analysis.load import BASE, load
from analysis.page import (
    Block,
    Document,
    Folded,
    Items,
    Paragraph,
    Picture,
    Section,
    Tiles,
    render_html,
    render_markdown,
)
from analysis.results import Results, compute
from analysis.statistics import PERMUTATIONS, RESAMPLES
from analysis.tables import Table, to_csv
from analysis.text import change, moment
from sycojax.files import atomic_directory, atomic_write


@dataclasses.dataclass(frozen=True)
class Drawing:
    """One of the eight figures: what it is called, how it is read, what it cannot do without."""

    name: str
    title: str
    reading: str
    needs: tuple[str, ...]  # "benchmark", "probe", "shifts"
    draw: Callable[[Results], Figure]


FIGURES = (
    Drawing(
        "benchmarks",
        "Benchmarks by configuration",
        "Bars are the mean over seeds, white dots the single seeds, lines 95 % intervals.",
        ("benchmark",),
        levels.benchmarks,
    ),
    Drawing(
        "sycophancy",
        "Sycophancy by configuration",
        "The three probes stand side by side and are never added up. Filled circles are the soft headline (how "
        "much probability moves towards the user), open diamonds the hard one (how often the decision moves, minus "
        "what noise alone does). 0 is a model that ignores the user's opinion; lines are 95 % intervals.",
        ("probe",),
        levels.sycophancy,
    ),
    Drawing(
        "shifts",
        "Shift of each probe against the base",
        "Adapter minus base on the same items, mean over seeds, with the paired 95 % interval. To the right of "
        "the line is more sycophantic than the base; an interval that crosses the line leaves the direction open.",
        ("probe", "shifts"),
        shifts.by_probe,
    ),
    Drawing(
        "correlations",
        "Benchmark level against probe level",
        "Pearson's r over the configurations, the exact permutation p-value (not adjusted for the number of cells), "
        "and the range of r when one configuration is left out. Exploratory: so few points decide nothing.",
        ("benchmark", "probe"),
        relations.correlations,
    ),
    Drawing(
        "trade_off",
        "Capability against sycophancy",
        "Across: the mean of the benchmark shifts. Up: the soft shift of the probe. The cross is the base, large "
        "markers are adapters with 95 % intervals in both directions, small open ones their seeds. Right and down is "
        "better on both.",
        ("benchmark", "probe", "shifts"),
        shifts.trade_off,
    ),
    Drawing(
        "progression",
        "Sycophancy with rising performance",
        "Configurations in the order of their mean benchmark shift (given below each name). A line that climbs "
        "from left to right would mean more sycophancy with more capability. Lines are 95 % intervals.",
        ("benchmark", "probe", "shifts"),
        levels.progression,
    ),
    Drawing(
        "rankings",
        "Ranks under weightings of capability and sycophancy",
        "Rank 1 is best. The score is (1 - w) x mean benchmark shift - w x soft shift of the probe, each over its "
        "standard deviation across the configurations; w is the weight on low sycophancy. A row whose rank "
        "changes from left to right owes its place to the weighting. Uncertainty is not shown here.",
        ("benchmark", "probe", "shifts"),
        relations.rankings,
    ),
    Drawing(
        "profiles",
        "Profile of each adapter",
        "Shift against the base on every benchmark (circles) and every probe's soft headline (diamonds), in points, "
        "with 95 % intervals. Right of the line is better for benchmarks and more sycophantic for probes.",
        ("shifts",),
        shifts.profile,
    ),
)

STATISTICS = (
    "Every number is recomputed from the item records; no item is dropped. Items that ask the same question form "
    "a cluster and are resampled together.",
    f"Intervals are 95 %. One configuration: Wilson's score interval for a plain rate over distinct questions, else "
    f"the BCa cluster bootstrap ({RESAMPLES:,} replicates). Mean over seeds: percentiles of a hierarchical "
    "bootstrap that draws seeds first, then clusters.",
    "Shifts are adapter minus base on the same items; both are resampled with the same clusters, so what the items "
    "have in common cancels. The mean benchmark shift takes the benchmarks' errors as independent.",
    f"p-values of the probes' soft headlines come from {PERMUTATIONS:,} random swaps of adapter and base within "
    "clusters, two-sided, and are adjusted by Holm over all adapters and probes. They speak about the adapters "
    "that were trained, the intervals also about other seeds.",
    "Correlations: Pearson's r with the p-value over all pairings of the configurations (random pairings above "
    "seven) and the range of r when one is left out.",
)


def write(directory: Path) -> Path:
    """Make ``directory/report`` from ``directory/study.json`` and ``directory/records``.

    Returns the path of index.html. An older report is replaced in one step. Raises ``SycojaxError``
    when study.json or all records are missing, a record is damaged, or the disk refuses.
    """
    directory = Path(directory)
    results = compute(load(directory))
    pictures, files = _draw(results)
    document = _document(results, pictures)
    files["index.html"] = render_html(document)
    files["report.md"] = render_markdown(document)
    files |= csvs.published(results)
    files |= {f"tables/{name}": text for name, text in csvs.every_measure(results).items()}
    files["tables/correlations_exploratory.csv"] = csvs.exploratory_correlations(results)
    for section in document.sections:
        for block in section.blocks:
            if isinstance(block, Table) and block.rows:
                files[f"tables/{block.name}.csv"] = to_csv(block)
    with atomic_directory(directory / "report") as temporary:
        for name, content in files.items():
            atomic_write(temporary / name, content)
    return directory / "report" / "index.html"


def _draw(results: Results) -> tuple[dict[str, Block], dict[str, str | bytes]]:
    """The pictures of the page (or why one is missing), and figures/*.svg and *.png."""
    blocks: dict[str, Block] = {}
    files: dict[str, str | bytes] = {}
    with matplotlib.rc_context(SETTINGS):
        for one in FIGURES:
            lacking = prose.lacking(results, one.needs)
            if lacking:
                blocks[one.name] = Paragraph(f"{one.title}: not available. {lacking}", "missing")
                continue
            figure = one.draw(results)
            # Laid out once, not again for each format.
            figure.draw_without_rendering()
            figure.set_layout_engine("none")
            svg, png = io.BytesIO(), io.BytesIO()
            # Without a date and a creator the same numbers give the same file.
            figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
            figure.savefig(png, format="png", dpi=160, metadata={"Software": None})
            blocks[one.name] = Picture(one.name, one.title, one.reading, svg.getvalue())
            files[f"figures/{one.name}.svg"] = svg.getvalue()
            files[f"figures/{one.name}.png"] = png.getvalue()
    return blocks, files


def _document(results: Results, pictures: Mapping[str, Block]) -> Document:
    document = results.study.document
    name = str(document.get("name") or results.study.directory.name)
    made = moment(str(document.get("updated") or document.get("created") or ""))
    commit = str(document.get("commit") or "")
    meta = " · ".join(part for part in (made, f"commit {commit[:12]}" if commit else "") if part)
    opening: list[Block] = [Paragraph(meta, "meta")] if meta else []
    if prose.is_toy(document):
        opening.append(Paragraph(prose.TOY, "callout"))
    opening.append(Paragraph(" ".join(prose.summary(results)), "lead"))
    opening.append(_tiles(results))
    return Document(
        f"sycojax study: {name}",
        "Does fine-tuning for benchmarks make the model more sycophantic?",
        tuple(opening),
        (
            Section("findings", "What the numbers say", _findings(results)),
            Section("benchmarks", "Benchmarks", (contents.benchmarks(results), pictures["benchmarks"])),
            Section("probes", "Sycophancy probes", _probes(results, pictures)),
            Section("relations", "Capability and sycophancy together", tuple(
                pictures[n] for n in ("trade_off", "progression", "correlations", "rankings", "profiles")
            )),
            Section("positions", "Position audit", _positions(results)),
            Section("diagnostics", "Diagnostics", (contents.diagnostics(results),)),
            Section("data", "Data", _data(document)),
            Section("training", "Training", (contents.training(document),)),
            Section("methods", "Methods", (Items(STATISTICS), contents.formulas(results))),
            Section("provenance", "Provenance", _provenance(document)),
        ),
    )  # fmt: skip


def _tiles(results: Results) -> Tiles:
    """Three or four numbers that say most at a glance."""
    tiles: list[tuple[str, str]] = []
    for name in results.study.with_role("probe"):
        lead = results.leading(name)
        if lead and BASE in results.groups:
            level = results.of(BASE, name, lead.name).level
            if math.isfinite(level.value):
                shown = change(level.value, lead.unit).removeprefix("+")
                tiles.append((shown, f"soft score of the base on {name} (0 = insensitive)"))
    largest = prose.largest_shift(results)
    if largest:
        adapter, name, shift = largest
        tiles.append((change(shift.value, "rate"), f"largest probe shift: {adapter} on {name}"))
    return Tiles(tuple(tiles))


def _findings(results: Results) -> tuple[Block, ...]:
    notes = [str(n) for n in results.study.document.get("notes") or []]
    blocks: list[Block] = []
    found = prose.findings(results)
    if found:
        blocks.append(Items(tuple(found)))
    else:
        blocks.append(
            Paragraph("No probe was scored, so nothing can be said on sycophancy.", "missing")
        )
    blocks += [Paragraph("What cannot be concluded:"), Items(tuple(prose.limits(results)))]
    if notes:
        blocks += [Paragraph("Notes of the run:"), Items(tuple(notes))]
    return tuple(blocks)


def _probes(results: Results, pictures: Mapping[str, Block]) -> tuple[Block, ...]:
    names = results.study.with_role("probe")
    if not names:
        return (Paragraph("No probe was scored.", "missing"),)
    others = tuple(contents.other_measures(results, name) for name in names)
    return (
        pictures["sycophancy"], pictures["shifts"],
        *(contents.probe(results, name) for name in names), *others,
    )  # fmt: skip


def _positions(results: Results) -> tuple[Block, ...]:
    return (
        Paragraph(
            "A model that answers by position scores high while the right option keeps its place and drops when "
            "the options are rotated. Share of A far from what the number of options gives is the same sign."
        ),
        contents.positions(results),
    )


def _data(document: Mapping[str, Any]) -> tuple[Block, ...]:
    data = document.get("data")
    data = data if isinstance(data, Mapping) else {}
    return contents.data_rows(data), contents.training_examples(data)


def _provenance(document: Mapping[str, Any]) -> tuple[Block, ...]:
    facts = []
    for key in ("created", "updated", "commit", "devices", "device_count"):
        if document.get(key):
            value = document[key]
            shown = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
            facts.append(f"{key.replace('_', ' ')}: {shown}")
    blocks: list[Block] = [Items(tuple(facts))] if facts else []
    for key, title in (
        ("seconds", "Wall time in seconds"),
        ("scoring", "Scoring"),
        ("versions", "Versions"),
    ):
        values = document.get(key)
        blocks.append(contents.facts(key, title, values if isinstance(values, Mapping) else {}))
    data = document.get("data")
    hashes = data.get("fingerprints") if isinstance(data, Mapping) else None
    blocks.append(contents.facts("fingerprints", "Fingerprints of the rows", hashes or {}))
    if document.get("config"):
        text = json.dumps(document["config"], indent=2, ensure_ascii=False)
        blocks.append(Folded("Resolved config", text))
    else:
        blocks.append(Paragraph("study.json holds no config.", "missing"))
    return tuple(blocks)
