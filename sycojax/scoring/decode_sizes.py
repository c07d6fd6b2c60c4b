"""How many rows are decoded together, and how many slots their cache has."""

from __future__ import annotations

from collections.abc import Collection

from jax.sharding import AbstractMesh, Mesh

from sycojax.config import ScoreConfig
from sycojax.parallel.mesh import on_cpu, row_ways

# The slots of a row are a multiple of this.
SLOTS = 32
# Tokens that are made before the host looks: for stop strings, and whether to stop.
STRIDE = 16
# Prompts decoded together where ``score.decode_batch`` is 0: on a CPU, products of more rows are faster.
ROWS, CPU_ROWS = 32, 64
# On a CPU, the places of prompts that a new program must save; elsewhere it takes longer to compile than any saves.
CPU_WORTH_COMPILING = 4096


def padded_slots(tokens: int) -> int:
    """Slots of a row that holds a prompt and its new tokens."""
    return -(-tokens // SLOTS) * SLOTS


def padded_length(longest: int, waiting: int, compiled: Collection[int], worth: float) -> int:
    """What a group of prompts is padded to, of which the longest has ``longest`` tokens.

    A ``compiled`` length of up to twice what fits is taken, unless one that fits is an eighth less and saves ``worth`` places or more in
    the ``waiting`` prompts, which are no longer.
    """
    step = max(2 ** (longest.bit_length() - 4), 8)
    fitting = -(-longest // step) * step
    length = min((n for n in compiled if fitting <= n <= 2 * fitting), default=fitting)
    spared = length - fitting
    return fitting if 8 * spared >= length and spared * waiting >= worth else length


def decode_rows(config: ScoreConfig, mesh: Mesh | AbstractMesh) -> int:
    """Prompts decoded together, a multiple of the parts of ``mesh`` that rows are split over."""
    asked, ways = config.decode_batch or (CPU_ROWS if on_cpu(mesh) else ROWS), row_ways(mesh)
    return -(-asked // ways) * ways


def cache_sizes(slots: int, longest: int) -> tuple[int, ...]:
    """The sizes that a cache of ``slots`` per row grows through: halves of it, the smallest with room for a prompt of ``longest``.

    Every step looks at the whole cache. Most texts end long before what they are allowed.
    """
    sizes = [slots]
    while longest + STRIDE < (half := padded_slots(sizes[0] // 2)) < sizes[0]:
        sizes.insert(0, half)
    return tuple(sizes)
