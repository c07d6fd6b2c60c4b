"""The largest micro-batch that fits, found with few compilations."""

from __future__ import annotations

from collections.abc import Callable

# A prediction that fails is followed by a smaller one, so often.
ATTEMPTS = 4


def largest(
    step: int,
    most: int,
    known: dict[int, int | None],
    limit: int,
    peak: Callable[[int], tuple[bool, int | None]],
) -> int:
    """The largest multiple of ``step`` up to ``most`` whose peak memory stays within ``limit`` bytes; 0 if none does.

    ``peak(rows)`` compiles, and says whether it fits and how many bytes it takes (None where the compiler does not
    say); ``known`` has what was compiled before. Memory is a line in the rows: two points predict the answer, which
    is then compiled, so a search takes two to five compilations.
    """
    points = dict(known)
    fitting = [rows for rows, size in points.items() if size is not None and size <= limit]
    low = max(fitting, default=0)  # fits
    high = min([rows for rows in points if rows not in fitting], default=most + step)  # does not
    guess = most
    for _ in range(ATTEMPTS + 1):
        if high - low <= step:
            break
        fits, points[guess] = peak(guess)
        low, high = (guess, high) if fits else (low, guess)
        guess = _predict(points, step, limit, low, high)
    return low


def _predict(points: dict[int, int | None], step: int, limit: int, low: int, high: int) -> int:
    """Between ``low`` and ``high``: where the line through the outermost points reaches ``limit``, else the middle."""
    first, last = low + step, high - step
    sizes = sorted((rows, size) for rows, size in points.items() if size is not None)
    guess = (low + high) // 2
    if len(sizes) > 1 and sizes[-1][1] > sizes[0][1]:
        (a, x), (b, y) = sizes[0], sizes[-1]
        guess = int(a + (limit - x) * (b - a) / (y - x))
    return min(max(guess // step * step, first), max(first, last))
