"""Which time each request had, as far as it is known.

The DPU's clock moves at a moment that is seen only roughly, and most requests do not show the time that they had: it
shows when somebody asks for the inode, a thousand requests later perhaps. So the scoreboard's golden file system is
given marks in place of times, one for each request that may set a time. What a mark stands for is narrowed down, by
when its request was under way, by its place in the order (from one request to the next the clock never goes back), and
by what replies show; what remains is exact: there is a time for each request that fits with all that was seen, or the
order is refused.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from ctypes import sizeof
from dataclasses import dataclass

from virtiofs_model.layouts import fuse
from virtiofs_model.layouts.fuse_constants import Opcode
from virtiofs_model.layouts.fuse_operations import OPERATIONS, OUT_HEADER_SIZE, directory_entries
from virtiofs_model.ramfs.inode import Inode, Time
from virtiofs_model.ramfs.journal import Journal

MARK = 0xB5C0_FBCF_EC4D_3B2F
"""Seconds of a mark: a number that no clock has and nobody sends by chance. Its nanoseconds count the requests."""

_MARK_BYTES = MARK.to_bytes(8, "little")
_TIMES = tuple(
    (getattr(fuse.FuseAttr, name).offset, getattr(fuse.FuseAttr, f"{name}nsec").offset)
    for name in ("atime", "mtime", "ctime")
)


@dataclass(eq=False)
class Move:
    """The clock moves to `time`, somewhere between `begin` and `end` in the run's order."""

    begin: int
    end: int
    time: Time


@dataclass(eq=False)
class _Span:
    """The moves of the clock that may have been the newest one for a request, the first and the last of them; shown:
    the time, since a reply showed it."""

    first: int
    last: int
    shown: Time | None = None


class Clock:
    """The moves of the clock, and the requests that had its time, in the order that was found.

    journal: takes the requests back, not the moves. A run has no end; so requests whose time nothing in the file system
    bears any more are dropped, and moves that nobody may have had.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._moves = [Move(-1, -1, Time())]  # from number _floor on
        self._older: dict[int, Move] = {}  # before those, by number, as far as a request may have had them
        self._floor = 0  # a request that comes now has this move or a later one
        self._spans: dict[int, _Span] = {}  # by number; those of an order rise from one to the next
        self._dropped = 0  # how many are not there any more, all of them before _whole
        self._whole = 0  # from this number on none is missing
        self._kept: list[int] = []  # the numbers before that, ascending

    def moves(self, move: Move) -> None:
        """The clock is seen to move; after all moves before."""
        self._moves.append(move)

    def span(self, begin: int, end: int) -> tuple[int, int]:
        """The first and the last move that may have been the newest one for a request, by when it was under way."""
        first = max(bisect_left(self._moves, begin, key=_end) - 1, 0)
        return self._floor + first, self._floor + bisect_right(self._moves, end, key=_begin) - 1

    def _time(self, move: int) -> Time:
        found = self._moves[move - self._floor] if move >= self._floor else self._older[move]
        return found.time

    # ---- requests ----

    @property
    def mark(self) -> Time:
        """What stands for the time of the next request."""
        return Time(MARK, self.number)

    @property
    def number(self) -> int:
        """That of the next request."""
        return len(self._spans) + self._dropped

    def pass_by(self, begin: int, end: int) -> bool:
        """A request with `mark` comes behind all others. False: it had an older time than one of them."""
        number = self.number
        first, last = self.span(begin, end)
        before = self._spans.get(self._before(number))
        if before is not None:
            first = max(first, before.first)
        if first > last:
            return False
        self._journal.put(self._spans, number, _Span(first, last))
        self._not_after(number, last)
        return True

    @property
    def held(self) -> int:
        """How much is kept: requests, and moves that are over."""
        return len(self._spans) + len(self._older)

    def _behind(self, number: int) -> int:
        """The number that comes next."""
        if number + 1 >= self._whole:
            return number + 1
        at = bisect_right(self._kept, number)
        return self._kept[at] if at < len(self._kept) else self._whole

    def _before(self, number: int) -> int:
        """The number that comes before; -1 where there is none."""
        if number > self._whole:
            return number - 1
        at = bisect_left(self._kept, number)
        return self._kept[at - 1] if at else -1

    def drop(self, number: int, borne: set[int]) -> None:
        """No state of the file system that is still possible bears a mark before `number`, but those in `borne`.

        The others show in no reply any more. What they have said of their neighbours stays said.
        """
        gone = [old for old in (*self._kept, *range(self._whole, number)) if old not in borne]
        if not gone:
            return
        floor = max(self._floor, self._spans[gone[-1]].first)
        for old in gone:
            del self._spans[old]
        self._dropped += len(gone)
        self._kept = sorted(old for old in borne if old < number and old in self._spans)
        self._whole = max(self._whole, number)
        wanted = {move for old in self._kept for move in range(self._spans[old].first, self._spans[old].last + 1)}
        older = {**self._older, **dict(enumerate(self._moves[: floor - self._floor], self._floor))}
        self._older = {move: older[move] for move in wanted if move < floor}
        del self._moves[: floor - self._floor]
        self._floor = floor

    def _not_before(self, number: int, move: int) -> None:
        """None behind a request had an older time than it."""
        while (span := self._spans.get(number := self._behind(number))) is not None and span.first < move:
            self._journal.save(span)
            span.first = move

    def _not_after(self, number: int, move: int) -> None:
        """None before a request had a newer time than it."""
        while (span := self._spans.get(number := self._before(number))) is not None and span.last > move:
            self._journal.save(span)
            span.last = move

    def _show(self, number: int, time: Time) -> bool:
        """A reply shows the time of a request. False: it cannot have been that."""
        span = self._spans[number]
        if span.shown is not None:
            return span.shown == time
        found = [move for move in range(span.first, span.last + 1) if self._time(move) == time]
        if not found:
            return False
        self._journal.save(span)
        span.first, span.last, span.shown = found[0], found[-1], time
        self._not_before(number, span.first)
        self._not_after(number, span.last)
        return True

    # ---- replies ----

    def read(self, opcode: int, expected: bytes, seen: bytes | None) -> bytes:
        """The reply expected, with times in place of marks: those that are seen where they can be."""
        if _MARK_BYTES not in expected:
            return expected
        filled = bytearray(expected)
        like = seen if seen is not None and len(seen) == len(expected) else None
        for at in _attributes(opcode, expected):
            for seconds, nanoseconds in _TIMES:
                if _u64(expected, at + seconds) != MARK:
                    continue
                number = _u32(expected, at + nanoseconds)
                time = Time(_u64(like, at + seconds), _u32(like, at + nanoseconds)) if like is not None else None
                if time is None or not self._show(number, time):
                    time = self._spans[number].shown or self._time(self._spans[number].first)
                filled[at + seconds : at + seconds + 8] = time.seconds.to_bytes(8, "little")
                filled[at + nanoseconds : at + nanoseconds + 4] = time.nanoseconds.to_bytes(4, "little")
        return bytes(filled)


def marks(inodes: Iterable[Inode]) -> set[int]:
    """The numbers of the requests whose times they bear."""
    times = (time for inode in inodes for time in (inode.atime, inode.mtime, inode.ctime))
    return {time.nanoseconds for time in times if time.seconds == MARK}


def _attributes(opcode: int, reply: bytes) -> Iterator[int]:
    """Where the structures fuse_attr stand in a reply without an error."""
    at = OUT_HEADER_SIZE
    if opcode == Opcode.READDIRPLUS:
        for entry in directory_entries(reply[OUT_HEADER_SIZE:], plus=True):
            yield at + fuse.FuseEntryOut.attr.offset
            at += (sizeof(fuse.FuseDirentplus) + len(entry.name) + 7) & ~7
        return
    for structure in OPERATIONS[opcode].reply:
        if structure in (fuse.FuseEntryOut, fuse.FuseAttrOut):
            yield at + structure.attr.offset
        at += sizeof(structure)


def _begin(move: Move) -> int:
    return move.begin


def _end(move: Move) -> int:
    return move.end


def _u64(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 8], "little")


def _u32(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 4], "little")
