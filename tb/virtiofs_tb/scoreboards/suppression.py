"""What the driver asked for: whether buffers that were used are to be told, by the words that were read after that.

A decision belongs to the used index (of a packed ring: the used descriptor). The words count only where they were read
by a request issued after that was on the wire.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from virtiofs_model.layouts.virtio import VIRTQ_AVAIL_F_NO_INTERRUPT, RingEventFlags
from virtiofs_tb.scoreboards.events import SuppressionRead, UsedIndex
from virtiofs_tb.scoreboards.memory_map import Region

MAX_COVERED = 16


def asks(word: SuppressionRead, used: UsedIndex) -> bool | None:
    """Whether the driver asks for an interrupt after this use. None: these words do not say.

    With VIRTIO_F_EVENT_IDX that is where the event was passed on the way from the old index to the new one: for split
    rings modulo 2^16 (SPLIT-UNS-D05), for packed ones modulo two rounds (PACK-EVT-DI1).
    """
    queue = used.queue
    if queue.packed:
        if word.flags in (RingEventFlags.ENABLE, RingEventFlags.DISABLE):
            return word.flags == RingEventFlags.ENABLE
        if word.flags != RingEventFlags.DESC or not queue.event_idx or word.used_event is None:
            return None
        slot, wrap = word.used_event & 0x7FFF, word.used_event >> 15
        event = slot + (0 if wrap else queue.size)
        return (event - used.old) % (2 * queue.size) < used.new - used.old
    if queue.event_idx:
        if word.used_event is None:
            return None
        return (used.new - word.used_event - 1) & 0xFFFF < (used.new - used.old) & 0xFFFF
    return None if word.flags is None else not word.flags & VIRTQ_AVAIL_F_NO_INTERRUPT


def telling(word: SuppressionRead) -> bool:
    """Whether a decision can be made by what was read: enough of it, even where its value has no meaning."""
    if word.queue.packed:
        return word.flags is not None and (word.flags != RingEventFlags.DESC or word.used_event is not None)
    return (word.used_event if word.queue.event_idx else word.flags) is not None


def suppresses(region: Region, start: int, end: int) -> bool:
    """Whether a read of [start, end) in a driver area asks for the words that suppress."""
    queue = region.queue
    if queue.packed:
        return True
    if queue.event_idx:
        return end > region.start + 4 + 2 * queue.size
    return start < region.start + 2


def said(word: SuppressionRead) -> str:
    """The words, for a person."""
    if not word.queue.packed:
        return f"used_event {word.used_event}" if word.queue.event_idx else f"flags {word.flags}"
    if word.flags is None or word.flags not in RingEventFlags.__members__.values():
        return f"flags {word.flags}"
    text = RingEventFlags(word.flags).name
    if word.flags != RingEventFlags.DESC or word.used_event is None:
        return text
    return f"{text}, slot {word.used_event & 0x7FFF} with wrap counter {word.used_event >> 15}"


@dataclass(slots=True)
class Outcome:
    """What a read of the words decided. fresh: uses that no earlier read covers; wanted: how many of them ask for an
    interrupt, free: of how many nobody can say (a reserved value); own: -1 or 1 where the use that this read belongs to
    was covered by an earlier one, which said otherwise (1: now it asks); again: the earlier one asked, and this too."""

    fresh: int = 0
    wanted: int = 0
    free: int = 0
    own: int = 0
    again: bool = False


@dataclass(slots=True)
class Decisions:
    """Those of one queue. undecided: uses that no read covers; owed: since when and by which read an interrupt is owed.

    Reads belong to uses in the order in which they are issued. They may come back in another one, and a read decides
    about all uses before it: its own use may have been decided by one that came earlier.
    """

    undecided: deque[UsedIndex] = field(default_factory=deque)
    owed: tuple[int, int] | None = None
    _unread: deque[UsedIndex] = field(default_factory=lambda: deque(maxlen=MAX_COVERED))  # no read was issued for them
    _own: dict[int, UsedIndex] = field(default_factory=dict)  # by the read that is out for it
    _early: dict[int, bool] = field(default_factory=dict)  # uses that another's read decided, by seq, and how
    _flags: int | None = None  # of a packed ring, where they were read apart

    def used(self, event: UsedIndex) -> None:
        """A use is on the wire."""
        self.undecided.append(event)
        self._unread.append(event)

    def asked(self, seq: int) -> None:
        """A read of the words is issued."""
        if self._unread:
            self._own[seq] = self._unread.popleft()

    def forget(self) -> None:
        """Nothing is owed any more."""
        self.owed = None
        self.undecided.clear()
        self._unread.clear()

    def decide(self, word: SuppressionRead) -> Outcome | None:
        """The words reached the endpoint; None where they decide nothing."""
        if word.queue.packed:
            word = self._joined(word)
        if not telling(word):
            return None
        outcome = Outcome()
        own = self._own.pop(word.issue_seq, None)
        before = self._early.pop(own.seq, None) if own is not None else None
        if own is not None and before is not None:
            now = asks(word, own) is True
            outcome.own, outcome.again = int(now) - int(before), now and before
        while self.undecided and self.undecided[0].seq < word.issue_seq:
            used = self.undecided.popleft()
            answer = asks(word, used)
            outcome.fresh += 1
            outcome.free += answer is None
            outcome.wanted += answer is True
            if used is not own:
                self._early[used.seq] = answer is True
        while len(self._early) > MAX_COVERED:
            del self._early[next(iter(self._early))]
        return outcome

    def _joined(self, word: SuppressionRead) -> SuppressionRead:
        """Offset and flags of a packed ring's structure, where they come in two reads."""
        if word.flags is None:
            return SuppressionRead(word.t_ps, word.seq, word.issue_seq, word.queue, self._flags, word.used_event)
        self._flags = word.flags
        return word
