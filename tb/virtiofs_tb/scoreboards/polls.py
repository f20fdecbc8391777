"""Who polls a file, and what he is told of changes by the DPU (docs/notifications.md, "Files that are polled").

Judged from what was seen alone, without a table: a POLL that was answered before a change began is owed a message, one
that was under way meanwhile may bring one, and each brings one at most.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from virtiofs_model.layouts import fuse
from virtiofs_model.layouts.fuse_constants import FUSE_POLL_SCHEDULE_NOTIFY, Opcode
from virtiofs_model.layouts.fuse_operations import IN_HEADER_SIZE, OUT_HEADER_SIZE
from virtiofs_tb.scoreboards.happenings import ENDLESS, RequestHappening
from virtiofs_tb.scoreboards.places import Place

_OPENS = frozenset((Opcode.OPEN, Opcode.OPENDIR))
_CREATES = frozenset((Opcode.CREATE, Opcode.TMPFILE))
_RELEASES = frozenset((Opcode.RELEASE, Opcode.RELEASEDIR))
_FH_AT = OUT_HEADER_SIZE + 128


def kh_of(message: bytes) -> int:
    """Of a POLL message."""
    return int.from_bytes(message[OUT_HEADER_SIZE : OUT_HEADER_SIZE + 8], "little")


@dataclass(frozen=True)
class Change:
    """A request of the DPU that changed data or size of an inode. behind: at least so many announcements come before
    what it tells those who poll."""

    node: int
    begin: int
    end: int
    behind: int = 0


@dataclass(eq=False)
class Put:
    """A `kh` that was put down between begin and end. gone_from, gone_by: between these it went without a message;
    told: when its message was delivered."""

    kh: int
    node: int
    begin: int
    end: int
    t_ps: int
    place: Place
    gone_from: int = ENDLESS
    gone_by: int = ENDLESS
    told: int = ENDLESS

    def may_be_told(self, changes: Sequence[Change], before: int) -> Change | None:
        """The first change that it may tell, in a message that is delivered then."""
        for change in changes:
            if change.node == self.node and change.begin < min(before, self.gone_by) and change.end > self.begin:
                return change
        return None

    def must_be_told(self, changes: Sequence[Change]) -> Change | None:
        """The first change that it must tell."""
        for change in changes:
            if change.node == self.node and change.begin > self.end and change.end < self.gone_from:
                return change
        return None


@dataclass(frozen=True)
class Woken:
    """A POLL message that was delivered. announced: announcements that were delivered before it."""

    kh: int
    t_ps: int
    seq: int
    announced: int


class PollLedger:
    """POLLs of one session, and the messages that they brought."""

    def __init__(self) -> None:
        self.puts: list[Put] = []
        self.woken: list[Woken] = []
        self._opens: dict[int, int] = {}
        self._closings: list[tuple[int, int, list[Put]]] = []  # inode, end of its last RELEASE, who went

    # ---- what the driver asks ----

    def used(self, request: RequestHappening) -> None:
        """A request of the driver was answered with success."""
        reply = request.reply or b""
        node = request.nodeid
        if request.opcode == Opcode.POLL and request.notifies:
            self._put(request)
        elif request.opcode in _OPENS:
            self._opened(node, request.begin)
        elif request.opcode in _CREATES:
            self._opened(int.from_bytes(reply[_FH_AT : _FH_AT + 8], "little"), request.begin)
        elif request.opcode in _RELEASES:
            self._opens[node] = self._opens.get(node, 0) - 1
            self._released(node, request, last=self._opens[node] <= 0)

    def _put(self, request: RequestHappening) -> None:
        want = fuse.FusePollIn.from_buffer_copy(request.message.ljust(64, b"\0"), IN_HEADER_SIZE)
        if not want.flags & FUSE_POLL_SCHEDULE_NOTIFY:
            return
        for put in self.puts:
            if put.kh == want.kh and put.gone_by == ENDLESS:
                put.gone_from, put.gone_by = min(put.gone_from, request.begin), request.end  # it moves
                put.place.maybe_gone = True
        place = Place(24, request.begin, request.end)
        self.puts.append(Put(want.kh, request.nodeid, request.begin, request.end, request.t_ps, place))

    def _opened(self, node: int, begin: int) -> None:
        self._opens[node] = self._opens.get(node, 0) + 1
        for closed, end, puts in self._closings:
            if closed == node and begin < end:  # it may have been the last one but one
                for put in puts:
                    put.gone_by = ENDLESS

    def _released(self, node: int, request: RequestHappening, last: bool) -> None:
        gone = [put for put in self.puts if put.node == node and put.gone_by == ENDLESS and put.place.until == ENDLESS]
        for put in gone:
            put.gone_from = min(put.gone_from, request.begin)
            put.place.maybe_gone = True
            if last:
                put.gone_by = request.end
        if last:
            self._closings.append((node, request.end, gone))

    # ---- how many there are ----

    def knows(self, kh: int) -> bool:
        """Whether it may be put down."""
        return any(put.kh == kh and put.gone_by == ENDLESS for put in self.puts)

    def count(self, request: RequestHappening, changed: Sequence[tuple[int, int]]) -> tuple[int, int]:
        """How many were put down at least and at most while a request was under way. changed: inodes that the DPU may
        have changed, and by when."""
        least = most = 0
        for kh in {put.kh for put in self.puts}:
            puts = [put for put in self.puts if put.kh == kh]
            last = puts[-1]
            alive = last.gone_from == ENDLESS and last.place.until == ENDLESS and not last.place.maybe_gone
            alive &= not any(node == last.node and end > last.begin for node, end in changed)
            least += alive and last.end < request.begin
            most += any(put.place.until > request.begin and put.gone_by > request.begin for put in puts)
        return least, most

    # ---- what the driver is told ----

    def told(self, woken: Woken) -> None:
        """A POLL message was delivered."""
        self.woken.append(woken)

    def judge(self, changes: Sequence[Change], starved: bool) -> Iterator[tuple[Woken | Put, str, str]]:
        """What is wrong: about what, expected, seen."""
        for woken in self.woken:
            puts = [put for put in self.puts if put.kh == woken.kh and put.told == ENDLESS]
            can = [put for put in puts if put.may_be_told(changes, woken.seq)]
            must = [put for put in can if (change := put.must_be_told(changes)) and change.begin < woken.seq]
            if not can:
                yield woken, "a POLL that asked for it, and a change by the DPU since", "it was delivered"
                return
            put = (must or can)[0]
            put.told = woken.seq
            first = put.may_be_told(changes, woken.seq)
            if first is not None and woken.announced < first.behind:
                yield (
                    woken,
                    f"{first.behind} announcements before it, those of what it tells among them",
                    (f"{woken.announced}"),
                )
                return
        for put in self.puts:
            if put.told == ENDLESS and put.must_be_told(changes) is not None and not starved:
                yield put, f"a POLL message with kh {put.kh:#x}, since the DPU changed inode {put.node:#x}", "none"
                return
