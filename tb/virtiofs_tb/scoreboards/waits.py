"""Requests that wait for a lock, as a judge of the link sees them.

A SETLKW takes effect when the lock table looks at it, which shows nowhere if it has to wait, and is answered then or
when its wait ends. A judge must know that it waits while it is still open: who came later must not be let in before.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from virtiofs_model.engine import HEAD_BYTES_MAX
from virtiofs_model.layouts.fuse_constants import Opcode
from virtiofs_model.ramfs import NOT_YET
from virtiofs_tb.scoreboards.happenings import ENDLESS, Golden, Happening, RequestHappening
from virtiofs_tb.scoreboards.ring_state import Chain

SETTLED_PS = 10_000_000
"""So long after all requests before it were answered, a SETLKW has been looked at."""

NEAR_PS = 2_000_000
"""A request whose first byte is read so much later may still come before a SETLKW."""

_SETLKW = Opcode.SETLKW.to_bytes(4, "little")


def may_wait(message: bytes) -> bool:
    """Whether a request is a SETLKW."""
    return message[4:8] == _SETLKW


@dataclass
class Fate:
    """What the golden file system answered (NOT_YET: nothing so far), and between which positions that must have been
    written. Like the file system itself it is taken back."""

    reply: bytes | None = NOT_YET
    after: int = 0
    before: int = ENDLESS


@dataclass(eq=False)
class WaitHappening(RequestHappening):
    """A SETLKW: takes effect between `begin` and `end`. until: when it was used; ENDLESS: it is open, and `reply` means
    nothing. written: when the first byte of its reply was."""

    until: int = ENDLESS
    written: int = 0
    fate: Fate = field(default_factory=Fate)
    told: WaitHappening | None = None

    @property
    def ending(self) -> WaitHappening:
        """How the wait ends where a LOCK message tells: the same request, with the message in the place of its reply.
        It takes no place in the order itself."""
        if self.told is None:
            self.told = WaitHappening(
                self.begin, ENDLESS, self.rank, self.t_ps, message=self.message, length=self.length, where=self.where,
                until=ENDLESS,
            )  # fmt: skip
        return self.told

    @property
    def answered(self) -> bool:
        """Whether the endpoint has."""
        return self.until != ENDLESS

    @property
    def fits(self) -> bool:
        """Whether the endpoint's answer is that of the golden file system, where both are known."""
        fate = self.fate
        if not self.answered or fate.reply == NOT_YET:
            return True
        return self.reply == fate.reply and fate.after < self.written < fate.before

    def happen(self, golden: Golden, variant: int) -> bool:
        _, reply = self.handle(golden)
        if not self.expected:
            self.expected.append(reply)
        return reply == NOT_YET or self.given(golden, Fate(reply))

    def given(self, golden: Golden, fate: Fate) -> bool:
        """The golden file system answers; whether the endpoint did, if it has."""
        golden.server.tree.journal.save(self.fate)
        vars(self.fate).update(vars(fate))
        return self.fits


def owed(golden: Golden) -> list[WaitHappening]:
    """Those that the endpoint has answered, while they wait in the golden file system."""
    found: list[WaitHappening] = []
    for wait in golden.server.locks.waits:
        if isinstance(wait.token, WaitHappening):
            token = wait.token.ending if wait.by_message else wait.token
            if token.answered:
                found.append(token)
    return found


def wakes(golden: Golden, ender: Happening) -> bool:
    """Whether the endpoint answers as the golden file system does now, behind `ender`, to those whose wait it ended.

    Their answers are written in the order in which the waits ended and behind the ender's, but before that of the one
    that ends the session; INTERRUPT, and whatever comes on the queue for requests that overtake, is in no order. LOCK
    messages come in the order in which the waits ended.
    """
    after, before, ordered = 0, ENDLESS, False
    if isinstance(ender, RequestHappening) and ender.opcode != Opcode.INTERRUPT and not ender.express:
        ordered = True
        if ender.opcode in (Opcode.INIT, Opcode.DESTROY):
            before = ender.rank
        elif not isinstance(ender, WaitHappening):
            after = ender.rank
        elif ender.answered:
            after = ender.written
    fit = True
    for token, reply in golden.server.late_replies():
        if not isinstance(token, WaitHappening):
            continue
        if not ordered or token.express:
            fate = Fate(reply)
        else:
            fate = Fate(reply, after, before)
            after = token.written if token.answered else after
        fit &= _fits(golden, ender, token, fate)
    after = 0
    for notice in golden.server.take_notices():
        if isinstance(notice.token, WaitHappening):
            ending = notice.token.ending
            fit &= _fits(golden, ender, ending, Fate(notice.message, after))
            after = ending.written if ending.answered else after
    return fit


def _fits(golden: Golden, ender: Happening, token: WaitHappening, fate: Fate) -> bool:
    """Whether the endpoint has answered so, if it has."""
    fit = token.given(golden, fate)
    if not fit and isinstance(ender, RequestHappening) and ender.denied is None:
        ender.denied = (token, fate.reply)
    return fit


@dataclass
class _Open:
    """A SETLKW without an answer. since: when it was read, or the last one before it was answered (ps); ahead: those
    that may have come before and are open."""

    since: int
    ahead: set[Chain]
    settled: bool = False


class WaitWatch:
    """Finds those requests that must have been looked at by now, and wait."""

    def __init__(self) -> None:
        self._read: dict[Chain, int] = {}  # chains of which bytes came, and when
        self._open: dict[Chain, _Open] = {}

    def data(self, chain: Chain, t_ps: int) -> None:
        """Bytes of a request are being read."""
        self._read[chain] = t_ps
        for wait in self._open.values():
            if t_ps < wait.since + NEAR_PS and chain not in self._open:
                wait.ahead.add(chain)

    def used(self, chain: Chain, t_ps: int) -> None:
        """A request was answered."""
        self._read.pop(chain, None)
        self._open.pop(chain, None)
        for wait in self._open.values():
            if chain in wait.ahead:
                wait.ahead.discard(chain)
                wait.since = t_ps

    def settled(self, t_ps: int, open_: Collection[Chain]) -> list[Chain]:
        """Those that wait since now; open_: all that are under way."""
        for chain, since in list(self._read.items()):
            if chain.walked and chain.read_store.covers(0, chain.readable):
                del self._read[chain]
                if chain.readable <= HEAD_BYTES_MAX and may_wait(bytes(chain.read_store.data[:8])):
                    self._open[chain] = _Open(since, {other for other in open_ if other not in self._open})
                    self._open[chain].ahead.discard(chain)
        if not self._open:
            return []
        found: list[Chain] = []
        for chain, wait in self._open.items():
            wait.ahead.difference_update(self._open)
            if not wait.settled and not wait.ahead and t_ps >= wait.since + SETTLED_PS:
                wait.settled = True
                found.append(chain)
        return found

    def clear(self) -> None:
        """Nothing is open."""
        self._read.clear()
        self._open.clear()
