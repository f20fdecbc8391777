"""Judges the engine's replies by the golden file system. Requests of the main path take effect in the order in which
they were sent; those of the express path, and a reset, anywhere among those that were open at the same time. All
orders that explain the replies are kept, as file systems that differ. Requests that wait for a lock are answered in a
later batch, if at all."""

from __future__ import annotations

import copy
import errno
import pickle
from collections.abc import Iterable, Iterator, Mapping, Sequence

from tests.sim.units.engine_bench import DPU_LANE, Reply, Sent
from virtiofs_model.layouts.fuse_constants import Opcode
from virtiofs_model.ramfs import RamfsServer
from virtiofs_model.ramfs.dpu import DpuClient
from virtiofs_model.ramfs.message import NAMES_WITHIN
from virtiofs_model.ramfs.server import NOT_YET

MOST = 64
"""More file systems than this at a time would mean that the traffic cannot be judged."""


INTERRUPTED = (-errno.EINTR).to_bytes(4, "little", signed=True)
Asked = tuple[Sent, int]
"""A request, and its context."""
Replies = Mapping[int, Reply]
"""All that came since the last batch, by context and in their order."""


class Mismatch(Exception):
    """No order explains the replies."""


class Judge:
    """states: what the engine's file system may be."""

    def __init__(self, server: RamfsServer) -> None:
        self.states = [server]

    def set_time(self, seconds: int, nanoseconds: int) -> None:
        """Move the clock."""
        for state in self.states:
            state.set_time(seconds, nanoseconds)

    def judge(self, main: Sequence[Asked], replies: Replies, express: Sequence[Asked] = ()) -> None:
        """Requests that were open together, all answered but those that wait for a lock. Raises Mismatch."""
        reasons: list[str] = []
        found = []
        for begin in self.states:
            for order in orders(main, express):
                run = Run(begin, replies)
                if run.serve(order, reasons) and run.late_ones_agree(reasons, all_of_them=True):
                    found.append(run.state)
        if not found:
            raise Mismatch("\n".join(dict.fromkeys(reasons)))
        self._keep(found)

    def cut_off(self, main: Sequence[Asked], replies: Replies) -> None:
        """Requests of the main path, the later ones without a reply, then a reset. Raises Mismatch.

        The one that was on may have ended as if its data could not be read.
        """
        answered = max((index + 1 for index, (_, ctx) in enumerate(main) if ctx in replies), default=0)
        reasons: list[str] = []
        found: list[RamfsServer] = []
        for begin in self.states:
            run = Run(begin, replies)
            if not run.serve(main[:answered], reasons):
                continue
            for count in range(answered, len(main) + 1):
                for broken in (False, True)[: 1 + (count > answered)]:
                    after = run.copy()
                    for index, (sent, ctx) in enumerate(main[answered:count], answered + 1):
                        after.do(sent, ctx, broken=broken and index == count)
                    if after.late_ones_agree(reasons, all_of_them=False):
                        after.state.reset()
                        found.append(after.state)
        if not found:
            raise Mismatch("\n".join(dict.fromkeys(reasons)))
        self._keep(found)

    def _keep(self, found: Iterable[RamfsServer]) -> None:
        self.states = list({digest(state): state for state in found}.values())
        if len(self.states) > MOST:
            raise Mismatch(f"{len(self.states)} file systems explain the replies")


def orders(main: Sequence[Asked], express: Sequence[Asked]) -> Iterator[list[Asked]]:
    """All ways to merge the two."""
    if not main or not express:
        yield [*main, *express]
        return
    for rest in orders(main[1:], express):
        yield [main[0], *rest]
    for rest in orders(main, express[1:]):
        yield [express[0], *rest]


class Run:
    """One order of requests on a copy of a file system. late: answers of those that waited, by context."""

    def __init__(self, begin: RamfsServer, replies: Replies) -> None:
        self.state = copy.deepcopy(begin)
        self.replies = replies
        self.late: dict[int, bytes] = {}

    def copy(self) -> Run:
        """To go on in another way."""
        other = Run(self.state, self.replies)
        other.late = dict(self.late)
        return other

    def serve(self, order: Sequence[Asked], reasons: list[str]) -> bool:
        """Whether the file system gives these replies; else a reason is added."""
        for sent, ctx in order:
            expected = self.do(sent, ctx)
            if expected == NOT_YET:
                continue
            seen = self.replies.get(ctx)
            if seen is None or expected != seen.data:
                reasons.append(difference(sent, expected, None if seen is None else seen.data))
                return False
        return True

    def do(self, sent: Sent, ctx: int, broken: bool = False) -> bytes | None:
        """The golden reply. broken: a reset comes before the data."""
        message = sent.message
        if sent.unreadable and len(message) > NAMES_WITHIN:
            message = message[:NAMES_WITHIN]
        if broken and int.from_bytes(message[4:8], "little") in (Opcode.WRITE, Opcode.SYMLINK):
            message = message[:-1]
        if sent.lane == DPU_LANE:
            return DpuClient(self.state).request(message).reply or None
        reply = self.state.handle(message, sent.writable, len(sent.message), token=ctx)
        for token, data in self.state.late_replies():
            assert isinstance(token, int)
            self.late[token] = data
        return reply

    def late_ones_agree(self, reasons: list[str], all_of_them: bool) -> bool:
        """Whether those that waited got these answers and no others, in this order. One that was interrupted may be
        answered at any time. Not all of them: a reset came."""
        waiting = {wait.token for wait in self.state.locks.waits}
        seen = {ctx: reply.data for ctx, reply in self.replies.items() if ctx in self.late or ctx in waiting}
        expected = self.late if all_of_them else {ctx: data for ctx, data in self.late.items() if ctx in seen}
        agree = seen == expected and in_order(seen) == in_order(expected)
        if not agree:
            reasons.append(f"requests that waited: expected {expected}, got {seen}")
        return agree


def in_order(late: Mapping[int, bytes | None]) -> list[int]:
    """The contexts of those whose order counts."""
    return [ctx for ctx, data in late.items() if data is None or data[4:8] != INTERRUPTED]


def digest(state: RamfsServer) -> bytes:
    """Equal for file systems that behave alike."""
    store = state.tree.store
    inodes = [
        (
            {name: value for name, value in vars(inode).items() if name not in ("parent", "entries", "pages")},
            inode.parent.slot if inode.parent is not None else 0,
            sorted((entry.name, entry.slot, entry.sequence, entry.inode.slot) for entry in inode.entries.values()),
            sorted(inode.pages.items()),
        )
        for _, inode in sorted(store.inodes.items())
    ]
    plain = {name: value for name, value in vars(store).items() if name not in ("inodes", "journal", "counters")}
    locks = (sorted(state.locks.held, key=str), state.locks.waits)
    return pickle.dumps((inodes, sorted(plain.items(), key=str), vars(store.counters), state.minor, locks))


def difference(sent: Sent, expected: bytes | None, seen: bytes | None) -> str:
    """What a person needs to see."""
    opcode = int.from_bytes(sent.message[4:8], "little")
    text = f"opcode {opcode}, {len(sent.message)} bytes {sent.message[:160].hex()}, writable {sent.writable}: "
    if expected is None or seen is None:
        return text + f"expected {_short(expected)}, got {_short(seen)}"
    at = next(
        (i for i, (e, s) in enumerate(zip(expected, seen, strict=False)) if e != s), min(len(expected), len(seen))
    )
    return text + f"byte {at} differs: expected {_short(expected[at:])}, got {_short(seen[at:])}"


def _short(data: bytes | None) -> str:
    return "no reply" if data is None else f"{len(data)} bytes {data[:24].hex()}"
