"""The next steps' rows, packed by a thread while the device computes."""

from __future__ import annotations

import collections
import contextlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


@contextlib.contextmanager
def prefetched(
    make: Callable[[int], T], steps: Iterable[int], ahead: int = 2
) -> Iterator[Iterator[T]]:
    """An iterator over ``make(step)`` in the order of ``steps``, at most ``ahead`` of them made before their turn.

    ``make`` runs in one other thread; what it raises is raised where its result would have come. On leaving the
    block what has not begun is dropped and the thread has ended.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="prefetch") as pool:

        def results() -> Iterator[T]:
            waiting: collections.deque[Future[T]] = collections.deque()
            for step in steps:
                waiting.append(pool.submit(make, step))
                if len(waiting) > ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()

        try:
            yield results()
        finally:
            pool.shutdown(cancel_futures=True)
