"""Rows made ahead of their step: in order, bounded, and no thread left behind."""

from __future__ import annotations

import threading

import pytest

from sycojax.training.prefetch import prefetched


def _threads() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith("prefetch")]


def test_results_come_in_order_from_another_thread():
    makers = set()

    def make(step: int) -> int:
        makers.add(threading.current_thread().name)
        return step * step

    with prefetched(make, range(3, 9)) as results:
        assert list(results) == [9, 16, 25, 36, 49, 64]
    assert len(makers) == 1
    assert threading.current_thread().name not in makers
    assert not _threads()


def test_no_more_than_asked_are_made_ahead():
    made: list[int] = []
    with prefetched(lambda step: made.append(step) or step, range(100), ahead=2) as results:
        for step in results:
            assert len(made) <= step + 3
            if step == 5:
                break
    assert made == list(range(len(made)))
    assert len(made) <= 8
    assert not _threads()


def test_an_error_comes_at_its_step_and_ends_the_thread():
    def make(step: int) -> int:
        if step == 2:
            raise ValueError("row 2")
        return step

    seen = []
    with pytest.raises(ValueError, match="row 2"), prefetched(make, range(9)) as results:
        seen += results
    # The steps before it were given out one by one.
    with prefetched(make, range(9)) as results:
        assert [next(results), next(results)] == [0, 1]
    assert not _threads()


def test_an_error_of_the_caller_ends_the_thread():
    def stopped() -> None:
        with prefetched(lambda step: step, range(9)) as results:
            next(results)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert not _threads()
