"""What can happen to a file system: requests, a device reset; and which of them commute.

A happening takes effect once, somewhere between `begin` and `end` (JUDGING: FUSE). It can be tried on a golden file
system, which says whether what was seen follows. The DPU's clock is no happening of its own: each request has one of
the times that it may have had (clock.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from virtiofs_model.engine import HEAD_BYTES_MAX
from virtiofs_model.layouts.fuse_constants import Opcode
from virtiofs_model.ramfs import RamfsServer
from virtiofs_tb.scoreboards.clock import Clock

ENDLESS = 1 << 62
SCARCE_PAGES = 600
"""With fewer free pages, requests that take pages do not commute: one of them may find none."""

OVERTAKING = frozenset((Opcode.FORGET, Opcode.BATCH_FORGET, Opcode.INTERRUPT))
"""Those that are done in the middle of whatever is on (docs/file-system.md, "Order, resets, and the hardware")."""

_FAR = frozenset((Opcode.INIT, Opcode.DESTROY))
_NEAR = frozenset((Opcode.GETATTR, Opcode.READ, Opcode.READLINK, Opcode.ACCESS))
_SYNC = frozenset((Opcode.FLUSH, Opcode.FSYNC, Opcode.FSYNCDIR, Opcode.POLL))
_CHANGE = frozenset((Opcode.WRITE, Opcode.SETATTR, Opcode.FALLOCATE))
_LOCKS = frozenset((Opcode.GETLK, Opcode.SETLK, Opcode.SETLKW, Opcode.INTERRUPT))
_NO_LOCKS = _NEAR | _CHANGE | (_SYNC - {Opcode.FLUSH}) | {Opcode.STATFS, Opcode.LOOKUP, Opcode.READDIR}
KEEPS_PLACE = frozenset((Opcode.SETLKW, Opcode.POLL))
"""Those that may need a place in the message store."""

TIMED = _CHANGE | {
    Opcode.SYMLINK, Opcode.MKNOD, Opcode.MKDIR, Opcode.UNLINK, Opcode.RMDIR, Opcode.RENAME, Opcode.RENAME2, Opcode.LINK,
    Opcode.OPEN, Opcode.CREATE, Opcode.TMPFILE,
}  # fmt: skip
"""Those that may set a time of an inode."""


@dataclass
class Golden:
    """What happenings are tried on: a golden file system made with undo, and the times that its marks stand for."""

    server: RamfsServer
    clock: Clock


@dataclass(eq=False)
class Happening:
    """begin, end: positions in the run's order between which it takes effect; rank: where it stands in the first
    guess; t_ps: of its end."""

    begin: int
    end: int
    rank: int
    t_ps: int = 0

    @property
    def variants(self) -> int:
        """In how many ways it may have happened."""
        return 1

    def happen(self, golden: Golden, variant: int) -> bool:
        """Let it happen; whether what was seen is explained. What a False left behind, the caller undoes."""
        raise NotImplementedError

    def commutes(self, other: Happening, golden: Golden) -> bool:
        """Whether the order of the two makes no difference, for what is seen of them and for all that follows."""
        return False


@dataclass(eq=False)
class RequestHappening(Happening):
    """A request. message: its bytes as they were read; length: how many it has; reply: what was seen (None: used
    length 0); since: when the first of its bytes was read, from when on its time may be (0: `begin`); express: it came
    on the queue for requests that overtake; notifies: notifications were negotiated; lacks_room: it found no place in
    the message store. expected: what the golden file system said when it was tried first; denied:
    a request that it let go on then, and how, while the endpoint did otherwise."""

    message: bytes = b""
    length: int = 0
    writable: int = 0
    reply: bytes | None = None
    where: str = ""
    since: int = 0
    express: bool = False
    notifies: bool = False
    lacks_room: bool = False
    expected: list[bytes | None] = field(default_factory=list)
    denied: tuple[RequestHappening, bytes | None] | None = None

    @property
    def opcode(self) -> int:
        """fuse_in_header.opcode."""
        return int.from_bytes(self.message[4:8], "little")

    @property
    def nodeid(self) -> int:
        """fuse_in_header.nodeid."""
        return int.from_bytes(self.message[16:24], "little")

    def happen(self, golden: Golden, variant: int) -> bool:
        in_time, reply = self.handle(golden)
        if reply is not None:
            reply = golden.clock.read(self.opcode, reply, self.reply)
        if not self.expected:
            self.expected.append(reply)
        return in_time and reply == self.reply

    def handle(self, golden: Golden) -> tuple[bool, bytes | None]:
        """Let the golden file system answer, with marks for times; whether the clock allows the request here."""
        timed = self.opcode in TIMED
        if timed:
            golden.server.tree.set_time(golden.clock.mark)
        elif self.opcode in KEEPS_PLACE:
            golden.server.notices.enabled = self.notifies
            golden.server.notices.room = lambda size: not self.lacks_room
        reply = golden.server.handle(self.message, self.writable, self.length, self)
        if not timed or reply is None or any(reply[4:8]):
            return True, reply
        return golden.clock.pass_by(self.since or self.begin, self.end), reply

    def _at_one_time(self, other: RequestHappening, clock: Clock) -> bool:
        """Whether there is only one time that either of them can have had."""
        first, last = clock.span(self.since or self.begin, self.end)
        return first == last and (first, last) == clock.span(other.since or other.begin, other.end)

    def commutes(self, other: Happening, golden: Golden) -> bool:
        if not isinstance(other, RequestHappening):
            return False
        mine, theirs = self.opcode, other.opcode
        if mine in _FAR or theirs in _FAR:
            return False
        if (mine in _LOCKS and theirs in _NO_LOCKS) or (theirs in _LOCKS and mine in _NO_LOCKS):
            return True
        if mine == theirs == Opcode.FLUSH:
            return not golden.server.locks.held
        if (mine in _SYNC and theirs in _SYNC | _CHANGE | _NEAR) or (theirs in _SYNC and mine in _CHANGE | _NEAR):
            return True
        quiet = _NEAR | {Opcode.STATFS, Opcode.LOOKUP, Opcode.READDIR, Opcode.OPENDIR}
        if mine in quiet and theirs in quiet:
            return True  # lookups and opens only count up
        if mine in _NEAR | _CHANGE and theirs in _NEAR | _CHANGE:
            if self.nodeid == other.nodeid:
                return mine in _NEAR and theirs in _NEAR
            if not {mine, theirs} <= _CHANGE:
                return True
            enough = golden.server.tree.store.counters.free_pages > SCARCE_PAGES
            return enough and self._at_one_time(other, golden.clock)
        return False


@dataclass(eq=False)
class ResetHappening(Happening):
    """A device reset. cut: requests that were under way, in the order in which they would have been answered; the
    first `surely` of them were (a byte of their replies was seen). Of the others any number at the front took effect,
    and the one after them may have got as far as reserving pages. or_else: the same requests in another order in which
    they may have stood in line; empty where there is none.
    """

    cut: tuple[RequestHappening, ...] = ()
    surely: int = 0
    or_else: tuple[RequestHappening, ...] = ()

    @property
    def variants(self) -> int:
        return (2 if self.or_else else 1) * self._of_a_line

    @property
    def _of_a_line(self) -> int:
        return 2 * (len(self.cut) - self.surely) + 1

    def happen(self, golden: Golden, variant: int) -> bool:
        other, variant = divmod(variant, self._of_a_line)
        line = self.or_else if other else self.cut
        whole, half = divmod(variant, 2)
        whole += self.surely
        for request in line[:whole]:
            if not request.handle(golden)[0]:
                return False
        if half:
            request = line[whole]
            if request.opcode != Opcode.WRITE or request.length <= HEAD_BYTES_MAX:
                return False  # nothing that is done by halves
            golden.server.handle(request.message[:HEAD_BYTES_MAX], request.writable, request.length)
        golden.server.reset()
        return True
