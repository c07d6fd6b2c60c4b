"""A plan as a table."""

from __future__ import annotations

from sycojax.parallel.mesh import in_words
from sycojax.planning.collectives import Total
from sycojax.planning.plan import Plan, Program

GIB, MIB = 1 << 30, 1 << 20


def table(plan: Plan) -> str:
    """All of a plan in text, at most 120 columns for three programs."""
    return "\n".join([*_head(plan), "", *_programs(plan), "", *_collectives(plan), *_tail(plan)])


def _head(plan: Plan) -> list[str]:
    chip, topology = plan.topology.chip, plan.topology
    memory = f" of {chip.limit / GIB:.2f} GiB" if chip else ""
    kind = chip.name if chip else "CPU"
    return [
        f"plan      {plan.name} for {topology.name}: {topology.count} x {kind}{memory}; mesh {in_words(plan.mesh)}",
        f"base      {plan.source}: {plan.architecture.base_parameter_count:,} parameters, {plan.precision}, "
        f"{plan.attention} attention",
        *(f"{p.name:10}{p.call}" for p in plan.programs),
    ]


def _programs(plan: Plan) -> list[str]:
    chips = plan.topology.count
    rows: list[tuple[str, list[str]]] = [
        ("HBM per chip, GiB: arguments", [_gib(p.compiled.arguments) for p in plan.programs]),
        ("  temporaries", [_gib(p.compiled.temporaries) for p in plan.programs]),
        ("  peak", [_gib(p.compiled.peak) for p in plan.programs]),
        ("  fits", [_yes(p.fits) for p in plan.programs]),
        ("tokens per chip and call", [f"{p.tokens_per_chip(chips):,.0f}" for p in plan.programs]),
        ("TFLOPs per call, all chips", [f"{p.work.flops / 1e12:,.1f}" for p in plan.programs]),
        ("  recomputed on top", [f"{p.work.recomputed / 1e12:,.1f}" for p in plan.programs]),
    ]
    if plan.topology.chip:
        rows += [
            ("ms at peak: compute", [_ms(p, "compute") for p in plan.programs]),
            ("  HBM", [_ms(p, "memory") for p in plan.programs]),
            ("  interconnect", [_ms(p, "interconnect") for p in plan.programs]),
            ("roofline, ms per call", [_ms(p, "seconds") for p in plan.programs]),
            ("  bound by", [p.roofline.bound if p.roofline else "-" for p in plan.programs]),
            ("  tokens/s, all chips", [_rate(p) for p in plan.programs]),
        ]
    rows.append(("MiB gathered per token", [_gathered(p) for p in plan.programs]))
    width = max(len(label) for label, _ in rows) + 2
    lines = [" " * width + "".join(f"{p.name:>14}" for p in plan.programs)]
    return lines + [
        f"{label:{width}}" + "".join(f"{v:>14}" for v in values) for label, values in rows
    ]


def _collectives(plan: Plan) -> list[str]:
    lines = [f"{'collectives':32}{'in text':>10}{'runs':>10}{'GiB a chip':>12}{'received':>12}"]
    for program in plan.programs:
        if program.compiled.refused:
            continue
        if not program.collectives:
            lines.append(f"{program.name:8}none")
        for row in program.collectives:
            lines.append(
                f"{program.name:8}{row.kind:<20}{row.instructions:>14,}{row.executions:>10,}"
                f"{row.bytes / GIB:>12,.3f}{row.received / GIB:>12,.3f}  {_loops(row, program)}"
            )
    return lines


def _loops(row: Total, program: Program) -> str:
    """Such as "2 micro-batches x 32": the layer loop is the one of known length."""
    count, over = program.loop
    inner = [str(n or "?") for n in row.loops[1:]]
    outer = [str(n) if n else f"{count} {over}" for n in row.loops[:1]]
    return " x ".join(outer + inner) or "once"


def _tail(plan: Plan) -> list[str]:
    lines = [
        f"{p.name} is refused: {p.compiled.refused}" for p in plan.programs if p.compiled.refused
    ]
    if over := [p.name for p in plan.programs if p.fits is False]:
        lines.append(
            f"does not fit: {', '.join(over)}. More chips, --config.base.quantization=nf4 and --config.base.remat=full take "
            "less; for decode, a smaller --config.score.decode_batch or decode_bank_width"
        )
    return ["", *lines] if lines else []


def _gib(size: int | None) -> str:
    return "-" if size is None else f"{size / GIB:.2f}"


def _yes(fits: bool | None) -> str:
    return {None: "-", True: "yes", False: "NO"}[fits]


def _ms(program: Program, name: str) -> str:
    return f"{1e3 * getattr(program.roofline, name):,.1f}" if program.roofline else "-"


def _rate(program: Program) -> str:
    if not program.roofline:
        return "-"
    return f"{program.work.tokens / program.roofline.seconds:,.0f}"


def _gathered(program: Program) -> str:
    return "-" if program.compiled.refused else f"{program.gathered_per_token / MIB:,.3f}"
