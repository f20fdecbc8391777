"""Words about interrupts that reach the endpoint in another order than they were asked for."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from virtiofs_tb.scoreboards.events import SuppressionRead, UsedIndex
from virtiofs_tb.scoreboards.suppression import Decisions


def test_a_read_that_was_issued_earlier_and_comes_later_decides_on_its_own_use() -> None:
    """Uses 6266 and 6267, each with its read; the second one answers first. Both are to be told."""
    queue: Any = SimpleNamespace(packed=False, event_idx=True, size=64)
    decisions = Decisions()
    decisions.undecided.append(UsedIndex(0, 10, queue, 6266, 6267))  # then the read with issue_seq 11
    decisions.undecided.append(UsedIndex(0, 20, queue, 6267, 6268))  # then the one with 21
    second = decisions.decide(SuppressionRead(0, 30, 21, queue, None, 6267))
    first = decisions.decide(SuppressionRead(0, 31, 11, queue, None, 6266))
    assert second is not None and (second.fresh, second.wanted, second.own) == (2, 1, 0)
    assert first is not None and (first.fresh, first.wanted, first.own) == (0, 0, 1)
    assert not decisions.covered


def test_a_use_that_two_reads_ask_for() -> None:
    """The first read covers both uses and asks for the second one, whose own read comes later and asks again."""
    queue: Any = SimpleNamespace(packed=False, event_idx=True, size=64)
    decisions = Decisions()
    decisions.undecided.append(UsedIndex(0, 10, queue, 40, 41))
    decisions.undecided.append(UsedIndex(0, 20, queue, 41, 42))
    first = decisions.decide(SuppressionRead(0, 30, 21, queue, None, 41))
    second = decisions.decide(SuppressionRead(0, 31, 22, queue, None, 41))
    assert first is not None and (first.fresh, first.wanted, first.again) == (2, 1, False)
    assert second is not None and (second.fresh, second.own, second.again) == (0, 0, True)
