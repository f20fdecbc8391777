"""Whether a session was told what the DPU changed, and nothing else (docs/notifications.md).

Pure comparison: what requests of the DPU announce by the golden file system, and the messages that were delivered.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from virtiofs_model.layouts.fuse import FuseNotifyInvalInodeOut
from virtiofs_model.layouts.fuse_constants import NotifyCode
from virtiofs_model.layouts.fuse_operations import OUT_HEADER_SIZE
from virtiofs_model.ramfs.announce import changes_contents
from virtiofs_model.registers import NotifyPolicy
from virtiofs_tb.scoreboards.dpu_happenings import DpuHappening
from virtiofs_tb.scoreboards.happenings import ENDLESS
from virtiofs_tb.scoreboards.polls import Change, PollLedger, Woken, kh_of
from virtiofs_tb.scoreboards.reply_text import subject

CODES = frozenset((NotifyCode.INVAL_INODE, NotifyCode.INVAL_ENTRY, NotifyCode.DELETE, NotifyCode.INC_EPOCH))
"""What the endpoint itself sends."""


@dataclass(frozen=True)
class Delivery:
    """A message that a driver got."""

    data: bytes
    t_ps: int
    seq: int

    @property
    def code(self) -> int:
        """fuse_out_header.error."""
        return int.from_bytes(self.data[4:8], "little")


@dataclass(frozen=True)
class Complaint:
    """Something that is wrong."""

    t_ps: int
    seq: int
    text: str
    expected: str
    seen: str


@dataclass(eq=False)
class Asked:
    """A request of the DPU. moved: inodes whose lookups may have changed while it was under way; None: all, since a
    session began or ended then."""

    happening: DpuHappening
    moved: set[int] | None = field(default_factory=set)


@dataclass(frozen=True)
class _Expected:
    message: bytes
    required: bool  # it must come
    allowed: bool  # it may
    asked: Asked


@dataclass
class Session:
    """What was asked and delivered between two FUSE_INITs. forgotten: inodes that the client let go, and when."""

    policy: NotifyPolicy = NotifyPolicy.HOLD
    asked: list[Asked] = field(default_factory=list)
    delivered: list[Delivery] = field(default_factory=list)
    forgotten: list[tuple[int, set[int]]] = field(default_factory=list)
    polls: PollLedger = field(default_factory=PollLedger)

    def woken(self, delivery: Delivery) -> None:
        """A POLL message was delivered."""
        woken = Woken(kh_of(delivery.data), delivery.t_ps, delivery.seq, len(self.delivered))
        self.polls.told(woken)
        waiting = [put.place for put in self.polls.puts if put.kh == woken.kh and put.place.until == ENDLESS]
        for number, place in enumerate(waiting):
            if number:
                place.maybe_gone = True  # the `kh` may have been the same one in the table
            else:
                place.until = delivery.seq

    def undelivered(self, overhead: int) -> int:
        """Bytes of announcements that may be in the store, with so many more for each."""
        caused = sum(len(one.message) + overhead for asked in self.asked for one in _expected(asked) if one.allowed)
        return max(0, caused - sum(len(one.data) + overhead for one in self.delivered))

    def judge(self, starved: bool) -> Iterator[Complaint]:
        """The first thing that is wrong, which others may follow from. starved: there may be messages that no buffer
        took."""
        expected = [one for asked in self.asked for one in _expected(asked)]
        if self.policy is NotifyPolicy.HOLD:
            yield from _in_order(expected, self.delivered, starved)
        else:
            yield from _covered(self, expected, starved)
        yield from self._of_polls(starved)

    def _of_polls(self, starved: bool) -> Iterator[Complaint]:
        """Under hold, what polls tell stands behind the announcements of the change."""
        changes: list[Change] = []
        behind = 0
        for asked in self.asked:
            expected = list(_expected(asked))
            behind += sum(one.required for one in expected)
            happening = asked.happening
            changes += [
                Change(
                    announcement.holder,
                    happening.begin,
                    happening.end,
                    behind if self.policy is NotifyPolicy.HOLD else 0,
                )
                for announcement in happening.announced
                if changes_contents(announcement.message)
            ]
        for about, wanted, seen in self.polls.judge(changes, starved):
            if isinstance(about, Woken):
                yield Complaint(about.t_ps, about.seq, f"the POLL message with kh {about.kh:#x}", wanted, seen)
            else:
                yield Complaint(about.t_ps, about.end, f"POLL of inode {about.node:#x}", wanted, seen)


def _expected(asked: Asked) -> Iterator[_Expected]:
    for announcement in asked.happening.announced:
        certain = asked.moved is not None and announcement.holder not in asked.moved
        yield _Expected(
            announcement.message, announcement.cached and certain, announcement.cached or not certain, asked
        )


def _in_order(expected: list[_Expected], delivered: list[Delivery], starved: bool) -> Iterator[Complaint]:
    """One for one."""
    position = 0
    for delivery in delivered:
        start = position
        while position < len(expected) and not (
            expected[position].allowed and expected[position].message == delivery.data
        ):
            if expected[position].required:
                yield _mismatch(expected[position], delivery)
                return
            position += 1
        if position == len(expected):
            known = next((one for one in expected[start:] if one.message == delivery.data), None)
            yield Complaint(
                delivery.t_ps, delivery.seq, f"the announcement {describe(delivery.data)}",
                "none: what is not cached is not announced" if known is not None else "a change that causes it",
                "it was delivered",
            )  # fmt: skip
            return
        position += 1
    missing = next((one for one in expected[position:] if one.required), None)
    if missing is not None and not starved:
        yield _owed(missing)


def _mismatch(expected: _Expected, delivery: Delivery) -> Complaint:
    text = f"the announcement behind {_cause(expected.asked)}"
    return Complaint(delivery.t_ps, delivery.seq, text, describe(expected.message), describe(delivery.data))


def _owed(expected: _Expected) -> Complaint:
    happening = expected.asked.happening
    text = f"the announcement of {_cause(expected.asked)}"
    return Complaint(happening.t_ps, happening.end, text, describe(expected.message), "not delivered")


def _cause(asked: Asked) -> str:
    return f"{subject(asked.happening.message)} of the DPU"


def _covered(session: Session, expected: list[_Expected], starved: bool) -> Iterator[Complaint]:
    """Whatever was announced, or dropped, is covered by something that came later; and all that came has a cause."""
    debts: list[_Expected] = []
    free: list[_Expected] = []
    waiting = deque(expected)
    forgotten = deque(session.forgotten)
    caused: set[bytes] = set()
    walking = False
    for delivery in session.delivered:
        while waiting and waiting[0].asked.happening.begin < delivery.seq:
            one = waiting.popleft()
            (debts if one.required else free).append(one)
            if one.allowed:
                caused.add(one.message)
        while forgotten and forgotten[0][0] < delivery.seq:
            nodes = forgotten.popleft()[1]
            debts = [one for one in debts if _of_inode(one.message) not in nodes]
        paid = [one for one in debts if covers(delivery.data, one.message)]
        lost = bool(debts or free or walking)
        if delivery.code == NotifyCode.INC_EPOCH or _is_walk(delivery.data):
            walking = known = lost
        else:
            known = (
                bool(paid)
                or delivery.data in caused
                or any(one.allowed and covers(delivery.data, one.message) for one in free)
            )
        if not known:
            yield Complaint(
                delivery.t_ps, delivery.seq, f"the announcement {describe(delivery.data)}", "a change that causes it",
                "it was delivered",
            )  # fmt: skip
            return
        debts = [one for one in debts if one not in paid]
    if (debts or waiting) and not starved:
        last = [one for one in (*debts, *waiting) if one.required]
        nodes = {node for _, some in forgotten for node in some}
        yield from (_owed(one) for one in last[:1] if _of_inode(one.message) not in nodes)


def _of_inode(message: bytes) -> int | None:
    """The inode of an INVAL_INODE."""
    found = covered_range(message)
    return None if found is None else found[0]


def _is_walk(message: bytes) -> bool:
    """Whether it may be one of the recovery walk: of an inode as a whole."""
    found = covered_range(message)
    return found is not None and found[1:] == (0, None)


def covers(delivered: bytes, announced: bytes) -> bool:
    """Whether a client that obeys the one message needs the other no more."""
    if delivered == announced:
        return True
    if int.from_bytes(delivered[4:8], "little") == NotifyCode.INC_EPOCH:
        return int.from_bytes(announced[4:8], "little") in (NotifyCode.INVAL_ENTRY, NotifyCode.DELETE)
    outer, inner = covered_range(delivered), covered_range(announced)
    if outer is None or inner is None or outer[0] != inner[0]:
        return False
    if inner[1] < 0:
        return True  # any INVAL_INODE makes attributes stale
    if outer[1] < 0 or outer[1] > inner[1]:
        return False
    return outer[2] is None or (inner[2] is not None and outer[2] >= inner[2])


def covered_range(message: bytes) -> tuple[int, int, int | None] | None:
    """(inode, first byte or -1, the byte behind the last or None for the end) of an INVAL_INODE."""
    if int.from_bytes(message[4:8], "little") != NotifyCode.INVAL_INODE:
        return None
    body = FuseNotifyInvalInodeOut.from_buffer_copy(message, OUT_HEADER_SIZE)
    return body.ino, body.off, body.off + body.len if body.len > 0 else None


def _nodeid(message: bytes) -> int:
    return int.from_bytes(message[OUT_HEADER_SIZE : OUT_HEADER_SIZE + 8], "little")


def describe(message: bytes) -> str:
    """A message in words."""
    code = int.from_bytes(message[4:8], "little")
    name = NotifyCode(code).name if code in {int(known) for known in NotifyCode} else f"code {code}"
    if code == NotifyCode.INVAL_INODE:
        body = FuseNotifyInvalInodeOut.from_buffer_copy(message, OUT_HEADER_SIZE)
        return f"{name} (inode {body.ino:#x}, {body.off}, {body.len})"
    if code in (NotifyCode.INVAL_ENTRY, NotifyCode.DELETE):
        at = OUT_HEADER_SIZE + (16 if code == NotifyCode.INVAL_ENTRY else 24)
        return f"{name} (directory {_nodeid(message):#x}, {message[at:].rstrip(bytes(1))!r})"
    return name
