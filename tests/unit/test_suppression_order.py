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
    decisions.used(UsedIndex(0, 10, queue, 6266, 6267))
    decisions.asked(11)
    decisions.used(UsedIndex(0, 20, queue, 6267, 6268))
    decisions.asked(21)
    second = decisions.decide(SuppressionRead(0, 30, 21, queue, None, 6267))
    first = decisions.decide(SuppressionRead(0, 31, 11, queue, None, 6266))
    assert second is not None and (second.fresh, second.wanted, second.own) == (2, 1, 0)
    assert first is not None and (first.fresh, first.wanted, first.own) == (0, 0, 1)


def test_a_later_use_takes_nothing_from_a_read_that_is_out() -> None:
    """491 and 492 are both on the wire before either read is issued; that of 493 answers before that of 492."""
    queue: Any = SimpleNamespace(packed=False, event_idx=True, size=64)
    decisions = Decisions()
    decisions.used(UsedIndex(0, 46, queue, 490, 491))
    decisions.used(UsedIndex(0, 49, queue, 491, 492))
    decisions.asked(53)
    decisions.asked(56)
    first = decisions.decide(SuppressionRead(0, 60, 53, queue, None, 490))
    decisions.used(UsedIndex(0, 71, queue, 492, 493))
    decisions.asked(72)
    third = decisions.decide(SuppressionRead(0, 75, 72, queue, None, 492))
    second = decisions.decide(SuppressionRead(0, 81, 56, queue, None, 492))
    assert first is not None and (first.fresh, first.wanted, first.own) == (2, 1, 0)
    assert third is not None and (third.fresh, third.wanted, third.own) == (1, 1, 0)
    assert second is not None and (second.fresh, second.wanted, second.own) == (0, 0, 0)


def test_a_use_that_two_reads_ask_for() -> None:
    """The first read covers both uses and asks for the second one, whose own read comes later and asks again."""
    queue: Any = SimpleNamespace(packed=False, event_idx=True, size=64)
    decisions = Decisions()
    for seq, old in ((10, 40), (20, 41)):
        decisions.used(UsedIndex(0, seq, queue, old, old + 1))
    for seq in (21, 22):
        decisions.asked(seq)
    first = decisions.decide(SuppressionRead(0, 30, 21, queue, None, 41))
    second = decisions.decide(SuppressionRead(0, 31, 22, queue, None, 41))
    assert first is not None and (first.fresh, first.wanted, first.again) == (2, 1, False)
    assert second is not None and (second.fresh, second.own, second.again) == (0, 0, True)
