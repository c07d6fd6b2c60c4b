"""What a compiled program sends between devices: every collective of its HLO text, with the loops around it.

    found = collectives(jax.jit(f).lower(...).compile().as_text())
    [c for c in found if c.kind == "all-gather" and not c.loops]     # gathers outside every loop

A loop body stands in the text once, however often it runs; so each collective carries the trip counts of the
loops around it. A trip count that depends on data is None, and the caller says what to take for it.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import re
from collections.abc import Iterator, Sequence

KINDS = (
    "all-gather", "all-reduce", "reduce-scatter", "all-to-all", "ragged-all-to-all",
    "collective-permute", "collective-broadcast",
)  # fmt: skip
# These return (what went in, what came out, ...) when they are asynchronous.
PAIRED = ("all-gather-start", "collective-permute-start")
# HLO element types are named by their bits (f32, bf16, s8, u4, f8e4m3fn); `pred` takes a byte.
ARRAY = re.compile(r"\b(pred|[subf]+(\d+)\w*|c(?:64|128))\[([\d,]*)\]")
COMPUTATION = re.compile(r"^(ENTRY )?%?([\w.-]+) \(.*\{\s*$")
INSTRUCTION = re.compile(r"^\s+(?:ROOT )?%?([\w.-]+) = (.*)$")
CALLED = re.compile(
    r"\b(calls|to_apply|body|condition|\w+_computations?)=(?:\{([^}]*)\}|%?([\w.-]+))"
)


@dataclasses.dataclass(frozen=True)
class Collective:
    """One collective instruction of a program, as one device sees it."""

    kind: str  # one of KINDS
    shape: str  # of its result, such as "bf16[4096,11008]"; several are joined by ", "
    bytes: int  # of its result
    devices: int  # that take part in each group; 2 for a permute
    loops: tuple[int | None, ...]  # trip counts of the loops around it, outermost first
    source: str  # the op_name of its metadata: where in the traced function it stands

    def executions(self, unknown: int = 1) -> int:
        """How often it runs in one call; ``unknown`` is taken for trip counts that depend on data."""
        return math.prod(unknown if count is None else count for count in self.loops)

    @property
    def received(self) -> float:
        """Bytes that one device receives per execution, on a ring (Thakur et al. 2005, section 4)."""
        n = self.devices
        share = {
            "all-gather": (n - 1) / n,
            "all-reduce": 2 * (n - 1) / n,
            "reduce-scatter": n - 1,
            "all-to-all": (n - 1) / n,
            "ragged-all-to-all": (n - 1) / n,
        }
        return self.bytes * share.get(self.kind, 1)


@dataclasses.dataclass(frozen=True)
class Total:
    """All collectives of one kind at the same depth, in one call of the program."""

    kind: str
    looped: bool  # inside a loop of known length: the layer loop
    instructions: int
    executions: int
    bytes: int  # of results, on one device
    received: float  # by one device


def collectives(text: str) -> list[Collective]:
    """Every collective of an optimised HLO module (``compiled.as_text()``), in the order of a walk from its entry.

    Asynchronous pairs count once. A collective that a loop runs is listed once, with the loop's trip count.
    """
    entry, bodies = _computations(text)
    header = text.split("\n", 1)[0]
    everyone = math.prod(
        int(n) for n in re.findall(r"\b(?:replica_count|num_partitions)=(\d+)", header)
    )
    return list(_walk(entry, bodies, (), everyone)) if entry else []


def totals(found: Sequence[Collective], unknown: int = 1) -> list[Total]:
    """Sums per kind, outside and inside loops; ``unknown`` as in ``Collective.executions``. Largest first."""
    groups: dict[tuple[str, bool], list[Collective]] = {}
    for one in found:
        looped = any(count is not None and count > 1 for count in one.loops)
        groups.setdefault((one.kind, looped), []).append(one)
    rows = [
        Total(
            kind,
            looped,
            len(members),
            sum(c.executions(unknown) for c in members),
            sum(c.executions(unknown) * c.bytes for c in members),
            sum(c.executions(unknown) * c.received for c in members),
        )
        for (kind, looped), members in groups.items()
    ]
    return sorted(rows, key=lambda row: -row.received)


def _computations(text: str) -> tuple[str, dict[str, list[str]]]:
    """The name of the entry computation, and the instructions of every computation."""
    entry, name = "", ""
    bodies: dict[str, list[str]] = {}
    for line in text.splitlines():
        if start := COMPUTATION.match(line):
            name = start[2]
            bodies[name] = []
            entry = name if start[1] else entry
        elif line.startswith("}"):
            name = ""
        elif name and (instruction := INSTRUCTION.match(line)):
            bodies[name].append(instruction[2])
    return entry, bodies


def _walk(
    name: str, bodies: dict[str, list[str]], loops: tuple[int | None, ...], everyone: int
) -> Iterator[Collective]:
    for instruction in bodies.get(name, ()):
        result, opcode, rest = _parts(instruction)
        if opcode.endswith(("-done", "-update")):
            continue  # its start names the same computation
        kind = opcode.removesuffix("-start")
        if kind in KINDS:
            yield _collective(kind, opcode, result, rest, loops, everyone)
            continue
        inside = (*loops, _trip_count(rest)) if opcode == "while" else loops
        for attribute, several, single in CALLED.findall(rest):
            # What a reduction applies to its elements is no program of its own.
            if attribute == "to_apply" and opcode != "call":
                continue
            for one in re.findall(r"[\w.-]+", several or single):
                yield from _walk(one, bodies, inside, everyone)


def _parts(instruction: str) -> tuple[str, str, str]:
    """Result type, opcode, and everything behind it."""
    end = instruction.find(" ")
    if instruction.startswith("("):
        depths = itertools.accumulate((c == "(") - (c == ")") for c in instruction)
        end = next(at for at, depth in enumerate(depths) if depth == 0) + 1
    result, rest = instruction[:end], instruction[end:]
    opcode, _, rest = rest.partition("(")
    return result, opcode.strip(), rest


def _collective(
    kind: str, opcode: str, result: str, rest: str, loops: tuple[int | None, ...], everyone: int
) -> Collective:
    parts = _elements(result)
    if opcode in PAIRED and len(parts) > 1:
        parts = _elements(parts[1])
    arrays = [match for part in parts for match in ARRAY.finditer(part)]
    source = re.search(r'op_name="([^"]*)"', rest)
    return Collective(
        kind,
        ", ".join(match[0] for match in arrays),
        sum(map(_bytes, arrays)),
        2 if kind == "collective-permute" else _group(rest, everyone),
        loops,
        source[1] if source else "",
    )


def _elements(result: str) -> list[str]:
    """The top-level elements of a tuple type; of any other type, the type itself."""
    if not result.startswith("("):
        return [result]
    parts, depth, start = [], 0, 1
    for at, character in enumerate(result):
        depth += (character in "([{") - (character in ")]}")
        if (character == "," and depth == 1) or (character == ")" and depth == 0):
            parts.append(result[start:at].strip())
            start = at + 1
    return parts


def _bytes(array: re.Match[str]) -> int:
    name, bits, sizes = array.groups()
    count = math.prod(int(size) for size in sizes.split(",") if size)
    width = 8 if name == "pred" else int(bits or name[1:])
    return -(-count * width // 8)


def _group(rest: str, everyone: int) -> int:
    """How many devices exchange with each other: {{0,1},{2,3}} and [2,2]<=[4] both say two."""
    if listed := re.search(r"replica_groups=\{\{([\d,]+)\}", rest):
        return listed[1].count(",") + 1
    if iota := re.search(r"replica_groups=\[([\d,]+)\]<=", rest):
        return int(iota[1].split(",")[-1])
    return everyone


def _trip_count(rest: str) -> int | None:
    known = re.search(r"known_trip_count\W+n\W+(\d+)", rest)
    return int(known[1]) if known else None
