"""Kicks: every one is heard, and none is lost because the endpoint said that it wants none.

A doorbell asks for a look at the ring: a read of the available index (of a packed ring: of the next head) that is
issued after it. An endpoint that says up to where it has seen the ring (avail_event) must look once more after that,
since the driver may have gone on before it was said; and one that has seen more than it says gets no kick any more.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from virtiofs_tb.scoreboards.ring_state import Queue


@dataclass(slots=True)
class Debt:
    """What an endpoint owes: what it is about, the clause, what was expected and seen; since when (ps)."""

    text: str
    clause: str
    expected: str
    seen: str
    since: int


@dataclass(slots=True)
class _Looks:
    """What is known of one queue. rung: the first doorbell that no look has followed (time, seq); looked: the newest
    look; said: when the endpoint said last when it wants to be kicked."""

    rung: tuple[int, int] | None = None
    looked: tuple[int, int] = (0, 0)
    said: tuple[int, int] = (0, 0)


class Kicks:
    """Those of all queues."""

    def __init__(self) -> None:
        self._queues: dict[int, _Looks] = {}

    def _of(self, index: int) -> _Looks:
        return self._queues.setdefault(index, _Looks())

    def rung(self, index: int, t_ps: int, seq: int) -> None:
        """A doorbell that must be heard."""
        looks = self._of(index)
        looks.rung = looks.rung or (t_ps, seq)

    def looked(self, index: int, t_ps: int, seq: int) -> None:
        """A read that shows what is new was issued."""
        looks = self._of(index)
        looks.looked = max(looks.looked, (t_ps, seq))
        if looks.rung is not None and seq > looks.rung[1]:
            looks.rung = None

    def said(self, index: int, t_ps: int, seq: int) -> None:
        """The endpoint said when it wants to be kicked."""
        self._of(index).said = (t_ps, seq)

    def forget(self, index: int) -> None:
        """The queue begins anew."""
        self._queues.pop(index, None)

    def clear(self) -> None:
        self._queues.clear()

    def forgive(self) -> None:
        """No doorbell need be heard any more."""
        for looks in self._queues.values():
            looks.rung = None

    def debts(self, queue: Queue) -> Iterator[Debt]:
        """What is owed for a queue."""
        looks = self._queues.get(queue.index)
        if looks is None:
            return
        look = "a read of the next head" if queue.packed else "a read of the available index"
        if looks.rung is not None and not queue.full:
            yield Debt(
                f"the doorbell of queue {queue.index} at seq {looks.rung[1]}",
                queue.rule("SPLIT-SUP-DX1", "PACK-SUP-DX1"), f"{look} issued after it", "none", looks.rung[0],
            )  # fmt: skip
        if looks.said[1] > looks.looked[1]:
            what = "device event suppression" if queue.packed else "avail_event"
            yield Debt(
                f"{what} of queue {queue.index}, written at seq {looks.said[1]}",
                queue.rule("SPLIT-ANS-D04", "PACK-SUP-DX2"),
                f"{look} issued after that: what was published before it brings no kick", "none", looks.said[0],
            )  # fmt: skip
        elif queue.event_idx and not queue.packed and queue.avail_event != queue.avail_idx & 0xFFFF:
            yield Debt(
                f"avail_event of queue {queue.index}", "SPLIT-ANS-D04",
                f"{queue.avail_idx & 0xFFFF}, the available index that was read: the driver kicks where it passes that",
                f"{queue.avail_event}, which it has passed", max(looks.looked[0], looks.said[0]),
            )  # fmt: skip

    def settle(self, queue: Queue) -> None:
        """The debts of a queue were told; once is enough."""
        looks = self._of(queue.index)
        looks.rung = None
        looks.looked = max(looks.looked, looks.said)
