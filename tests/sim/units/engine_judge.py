"""Judges the engine's replies by the golden file system. Requests of the main path take effect in the order in which
they were sent; those of the express path, and a reset, anywhere among those that were open at the same time. All
orders that explain the replies are kept, as file systems that differ."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterable, Iterator, Sequence

from tests.sim.units.engine_bench import Reply, Sent
from virtiofs_model.layouts.fuse_constants import Opcode
from virtiofs_model.ramfs import RamfsServer
from virtiofs_model.ramfs.message import NAMES_WITHIN

MOST = 64
"""More file systems than this at a time would mean that the traffic cannot be judged."""


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

    def judge(self, main: Sequence[tuple[Sent, Reply]], express: Sequence[tuple[Sent, Reply]] = ()) -> None:
        """Requests that were open together, all answered. Raises Mismatch."""
        reasons: list[str] = []
        found = [
            state
            for begin in self.states
            for order in orders(main, express)
            if (state := explained(begin, order, reasons)) is not None
        ]
        if not found:
            raise Mismatch("\n".join(dict.fromkeys(reasons)))
        self._keep(found)

    def cut_off(self, main: Sequence[tuple[Sent, Reply | None]]) -> None:
        """Requests of the main path, the later ones without a reply, then a reset. Raises Mismatch.

        The one that was on may have ended as if its data could not be read.
        """
        answered = [(sent, reply) for sent, reply in main if reply is not None]
        rest = [sent for sent, reply in main if reply is None]
        reasons: list[str] = []
        found: list[RamfsServer] = []
        for begin in self.states:
            state = explained(begin, answered, reasons)
            if state is None:
                continue
            for count in range(len(rest) + 1):
                for broken in (False, True)[: 1 + (count > 0)]:
                    after = copy.deepcopy(state)
                    for index, sent in enumerate(rest[:count]):
                        without_data(after, sent) if broken and index == count - 1 else serve(after, sent)
                    after.reset()
                    found.append(after)
        if not found:
            raise Mismatch("\n".join(dict.fromkeys(reasons)))
        self._keep(found)

    def _keep(self, found: Iterable[RamfsServer]) -> None:
        self.states = list({digest(state): state for state in found}.values())
        if len(self.states) > MOST:
            raise Mismatch(f"{len(self.states)} file systems explain the replies")


def orders(
    main: Sequence[tuple[Sent, Reply]], express: Sequence[tuple[Sent, Reply]]
) -> Iterator[list[tuple[Sent, Reply]]]:
    """All ways to merge the two."""
    if not main or not express:
        yield [*main, *express]
        return
    for rest in orders(main[1:], express):
        yield [main[0], *rest]
    for rest in orders(main, express[1:]):
        yield [express[0], *rest]


def explained(begin: RamfsServer, order: Sequence[tuple[Sent, Reply]], reasons: list[str]) -> RamfsServer | None:
    """The file system behind these requests, where it gives these replies; else None and a reason."""
    state = copy.deepcopy(begin)
    for sent, reply in order:
        expected = serve(state, sent)
        if expected != reply.data:
            reasons.append(difference(sent, expected, reply.data))
            return None
    return state


def serve(state: RamfsServer, sent: Sent) -> bytes | None:
    """The golden reply."""
    if sent.unreadable and len(sent.message) > NAMES_WITHIN:
        return state.handle(sent.message[:NAMES_WITHIN], sent.writable, len(sent.message))
    return state.handle(sent.message, sent.writable)


def without_data(state: RamfsServer, sent: Sent) -> None:
    """The same where a reset came before the data."""
    if int.from_bytes(sent.message[4:8], "little") in (Opcode.WRITE, Opcode.SYMLINK):
        state.handle(sent.message[:-1], sent.writable, len(sent.message))
    else:
        serve(state, sent)


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
    return pickle.dumps((inodes, sorted(plain.items(), key=str), vars(store.counters), state.minor))


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
