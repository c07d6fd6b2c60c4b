"""What a compiled program sends between devices: every collective of its HLO text, with the loops around it.

    found = collectives(jax.jit(f).lower(...).compile().as_text())
    [c for c in found if c.kind == "all-gather" and not c.loops]     # gathers outside every loop

A loop body stands in the text once, however often it runs; so each collective carries the trip counts of the
loops around it. A trip count that depends on data is None, and the caller says what to take for the outermost.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

KINDS = (
    "all-gather", "all-reduce", "reduce-scatter", "all-to-all", "ragged-all-to-all",
    "collective-permute", "collective-broadcast",
)  # fmt: skip
# These return (what went in, what came out, ...) when they are asynchronous.
PAIRED = ("all-gather-start", "collective-permute-start")
# HLO element types are named by their bits (f32, bf16, s8, u4, f8e4m3fn); `pred` takes a byte.
ARRAY = re.compile(r"\b(pred|[subf]+(\d+)\w*|c(?:64|128))\[([\d,]*)\]")
COMPUTATION = re.compile(r"^(ENTRY )?%?([\w.-]+) \(.*\{\s*$")
INSTRUCTION = re.compile(r"^\s+(ROOT )?%?([\w.-]+) = (.*)$")
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
        """How often it runs in one call, at least; ``unknown`` is taken where the outermost trip count depends on data.

        Inner loops of unknown length are the compiler's own (on a TPU, a gather cut into steps) and counted once.
        """
        first, *inner = self.loops or (1,)
        return (unknown if first is None else first) * math.prod(n or 1 for n in inner)

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
    """All collectives of one kind in the same loops, in one call of the program."""

    kind: str
    loops: tuple[int | None, ...]  # as in ``Collective``
    instructions: int
    executions: int
    bytes: int  # of results, on one device
    received: float  # by one device


def collectives(text: str) -> list[Collective]:
    """Every collective of an optimised HLO module (``compiled.as_text()``), in the order of a walk from its entry.

    Asynchronous pairs count once. A collective that a loop runs is listed once, with the loop's trip count.
    """
    bodies = _computations(text)
    header = text.split("\n", 1)[0]
    everyone = math.prod(
        int(n) for n in re.findall(r"\b(?:replica_count|num_partitions)=(\d+)", header)
    )
    found, chains = [], set()
    for chain, one in _walk("ENTRY", bodies, (), everyone):
        if chain is None or (chain, one.loops) not in chains:
            found.append(one)
        chains.add((chain, one.loops))
    return found


def totals(found: Sequence[Collective], unknown: int = 1) -> list[Total]:
    """Sums per kind and loops; ``unknown`` as in ``Collective.executions``. Largest first."""
    groups: dict[tuple[str, tuple[int | None, ...]], list[Collective]] = {}
    for one in found:
        groups.setdefault((one.kind, one.loops), []).append(one)
    rows = [
        Total(
            kind,
            loops,
            len(members),
            sum(c.executions(unknown) for c in members),
            sum(c.executions(unknown) * c.bytes for c in members),
            sum(c.executions(unknown) * c.received for c in members),
        )
        for (kind, loops), members in groups.items()
    ]
    return sorted(rows, key=lambda row: -row.received)


class _Instruction(NamedTuple):
    root: bool
    name: str
    text: str  # what is right of "="


Bodies = dict[str, list[_Instruction]]


def _computations(text: str) -> Bodies:
    """The instructions of every computation; the first one run is called ENTRY."""
    bodies: Bodies = {"ENTRY": []}
    at: list[_Instruction] | None = None
    for line in text.splitlines():
        if start := COMPUTATION.match(line):
            at = bodies["ENTRY" if start[1] else start[2]] = []
        elif line.startswith("}"):
            at = None
        elif at is not None and (found := INSTRUCTION.match(line)):
            at.append(_Instruction(bool(found[1]), found[2], found[3]))
    return bodies


def _walk(
    name: str, bodies: Bodies, loops: tuple[int | None, ...], everyone: int
) -> Iterator[tuple[str | None, Collective]]:
    """Collectives, each with its chain: TPUs cut one collective into several steps, which then share a chain."""
    for instruction in bodies.get(name, ()):
        result, opcode, rest = _parts(instruction.text)
        if opcode.endswith(("-done", "-update")):
            continue  # its start names the same computation
        kind = opcode.removesuffix("-start")
        if kind in KINDS:
            chain = re.search(r"channel_id=\d+|$", rest)[0] if 'chain_id="' in rest else None  # pyright: ignore[reportOptionalSubscript]
            yield chain, _collective(kind, opcode, result, rest, loops, everyone)
            continue
        inside = (*loops, _trip_count(rest, bodies)) if opcode == "while" else loops
        for attribute, several, single in CALLED.findall(rest):
            # What a reduction applies to its elements is no program of its own.
            if attribute == "to_apply" and opcode != "call":
                continue
            for called in re.findall(r"[\w.-]+", several or single):
                yield from _walk(called, bodies, inside, everyone)


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
    """How many devices exchange: {{0,1},{2,3}}, [2,2]<=[4] and mesh['a'=2,'b'=2] {'b'} all say two."""
    if listed := re.search(r"replica_groups=\{\{([\d,]+)\}", rest):
        return listed[1].count(",") + 1
    if iota := re.search(r"replica_groups=\[([\d,]+)\]<=", rest):
        return int(iota[1].split(",")[-1])
    if named := re.search(r"replica_groups=@?mesh\[([^]]*)\][^{]*\{([^}]*)\}", rest):
        sizes = dict(re.findall(r"'(\w+)'=(\d+)", named[1]))
        # An axis may be used in part: 'a':(2)4 is its four-fold part behind a two-fold one.
        axes = re.findall(r"'(\w+)'(?::\(\d+\)(\d+))?", named[2])
        return math.prod(int(part or sizes[axis]) for axis, part in axes)
    return everyone


def _trip_count(rest: str, bodies: Bodies) -> int | None:
    """What the compiler says of a loop, or the constant up to which its condition counts (from zero, as scans do)."""
    if known := re.search(r"known_trip_count\W+n\W+(\d+)", rest):
        return int(known[1])
    condition = re.search(r"condition=%?([\w.-]+)", rest)
    body = bodies.get(condition[1], []) if condition else []
    root = next((one.text for one in body if one.root), "")
    compared = re.search(r" compare\(%?([\w.-]+), %?([\w.-]+)\), direction=LT", root)
    for one in body:
        constant = re.search(r"^s(?:32|64)\[\]\S* constant\((\d+)\)", one.text)
        if compared and constant and one.name == compared[2]:
            return int(constant[1])
    return None
