"""A client that caches as Linux does, beside the driver: what it holds is never stale.

It keeps what replies allow: attributes for their attr_valid, names for their entry_valid, and contents from one open
to the next. It gives up what a request of its own may change, and what a notification names. Whenever a reply then
shows something that is still held, both must agree: else an application would have been given old data.

It needs no model of the server: nothing but requests, its own and those of the DPU, changes the file system. Whether
it is told of the DPU's is judged elsewhere (announcements.py).
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from ctypes import sizeof
from dataclasses import dataclass, field

from virtiofs_model.layouts import fuse
from virtiofs_model.layouts.fuse_constants import NotifyCode, Opcode
from virtiofs_model.layouts.fuse_operations import IN_HEADER_SIZE, OPERATIONS, OUT_HEADER_SIZE, directory_entries
from virtiofs_tb.scoreboards.memory_map import ByteStore
from virtiofs_tb.scoreboards.touched import Name, Touched, names_of, touched

ATTRIBUTES = ("size", "mtime", "mtimensec", "ctime", "ctimensec", "mode", "nlink", "uid", "gid", "rdev")
"""Fields of fuse_attr that a client may hold; the others may change by reading, or by themselves."""

HELD_BYTES = 1 << 18
"""Contents that are held of one file, at most."""

_ENTRY, _ATTR = sizeof(fuse.FuseEntryOut), sizeof(fuse.FuseAttrOut)
_PS = 1_000_000_000_000

Attributes = tuple[int, ...]


@dataclass(frozen=True)
class Exchange:
    """A request (at least its first bytes, with all names and ids) and its reply.

    begin, end: positions in the run's order between which it took effect; t_ps: of its end.
    """

    message: bytes
    reply: bytes
    begin: int
    end: int
    t_ps: int

    @property
    def opcode(self) -> int:
        """fuse_in_header.opcode."""
        return int.from_bytes(self.message[4:8], "little")

    @property
    def nodeid(self) -> int:
        """fuse_in_header.nodeid."""
        return int.from_bytes(self.message[16:24], "little")

    @property
    def error(self) -> int:
        """Of the reply; 0 where there is none."""
        return int.from_bytes(self.reply[4:8], "little", signed=True)


@dataclass(frozen=True)
class Stale:
    """Something that is held and that a reply contradicts."""

    what: str
    held: str
    shown: str


@dataclass
class _Node:
    """What is held of an inode. until: attributes may be used so long (ps)."""

    attributes: Attributes | None = None
    until: int = 0
    contents: ByteStore = field(default_factory=ByteStore)
    changed: int = 0  # the end of the last request that may have changed it


@dataclass
class _Held:
    """Where a name leads."""

    nodeid: int
    until: int


class ClientCache:
    """The cache. compared: how often something was shown that is held."""

    def __init__(self) -> None:
        self.compared = 0
        self._nodes: dict[int, _Node] = {}
        self._names: dict[Name, _Held] = {}
        self._name_changed: dict[Name, int] = {}
        self._all_changed = self._session_begin = 0
        self._under_way: list[Touched] = []

    def clear(self) -> None:
        """The session is over."""
        self._nodes.clear()
        self._names.clear()
        self._name_changed.clear()

    def child(self, name: Name) -> int | None:
        """Where a name leads, as far as it is held."""
        held = self._names.get(name)
        return None if held is None else held.nodeid

    def done(self, exchange: Exchange, open_: list[bytes]) -> list[Stale]:
        """A request was answered while others, of which these are the bytes, are on their way. What it contradicts."""
        self._under_way = [touched(message, self.child) for message in open_]
        own = touched(exchange.message, self.child)
        if exchange.error and exchange.error != -errno.EIO:
            own = Touched()  # what ends in an errno changes nothing
        found = [stale for stale in self._shown(exchange, own) if stale is not None]
        nodes = {nodeid for nodeid, _ in attributes_of(exchange) if self._certain(exchange, nodeid)}
        names = {name for name, _ in entries_of(exchange) if self._certain_name(exchange, name)}
        if own.everything:
            self.clear()
            self._all_changed = self._session_begin = exchange.end
        self._changed(exchange.end, own)
        if not exchange.error:
            self._learn(exchange, nodes, names)
        return found

    def changed_by_other(self, message: bytes, end: int) -> None:
        """Somebody else's request has succeeded: what it may have changed is not held any more, since replies may show
        that before a notification comes."""
        self._changed(end, touched(message, self.child))

    def notified(self, message: bytes) -> None:
        """A notification of the server was used."""
        code = int.from_bytes(message[4:8], "little", signed=True)
        body = message[OUT_HEADER_SIZE:]
        if code == NotifyCode.INVAL_INODE and len(body) >= sizeof(fuse.FuseNotifyInvalInodeOut):
            node = self._nodes.get(fuse.FuseNotifyInvalInodeOut.from_buffer_copy(body).ino)
            if node is not None:
                node.attributes, node.contents = None, ByteStore()
        elif code == NotifyCode.INVAL_ENTRY and len(body) >= sizeof(fuse.FuseNotifyInvalEntryOut):
            entry = fuse.FuseNotifyInvalEntryOut.from_buffer_copy(body)
            self._drop_name(entry.parent, body[sizeof(fuse.FuseNotifyInvalEntryOut) :][: entry.namelen])
        elif code == NotifyCode.DELETE and len(body) >= sizeof(fuse.FuseNotifyDeleteOut):
            gone = fuse.FuseNotifyDeleteOut.from_buffer_copy(body)
            self._drop_name(gone.parent, body[sizeof(fuse.FuseNotifyDeleteOut) :][: gone.namelen])
            self._nodes.pop(gone.child, None)
        elif code == NotifyCode.INC_EPOCH:
            self._names.clear()

    def _drop_name(self, parent: int, name: bytes) -> None:
        self._names.pop((parent, name), None)
        node = self._nodes.get(parent)
        if node is not None:
            node.attributes = None

    # ---- what a reply shows, against what is held ----

    def _shown(self, exchange: Exchange, own: Touched) -> Iterator[Stale | None]:
        if exchange.opcode == Opcode.LOOKUP and exchange.error == -errno.ENOENT:
            yield self._compare_name(exchange, (exchange.nodeid, (names_of(exchange.message) or [b""])[0]), 0, own)
        if exchange.error:
            return
        for name, nodeid in entries_of(exchange):
            yield self._compare_name(exchange, name, nodeid, own)
        for nodeid, attributes in attributes_of(exchange):
            yield self._compare_attributes(exchange, nodeid, attributes, own)
        if exchange.opcode == Opcode.READ:
            yield self._compare_contents(exchange)

    def _certain(self, exchange: Exchange, nodeid: int) -> bool:
        """Whether nothing can have changed the inode while the request was on its way."""
        node = self._nodes.get(nodeid)
        changed = max(self._all_changed, node.changed if node is not None else 0)
        return exchange.begin > changed and not any(other.node(nodeid) for other in self._under_way)

    def _certain_name(self, exchange: Exchange, name: Name) -> bool:
        """The same for where a name leads."""
        changed = max(self._session_begin, self._name_changed.get(name, 0))
        child = self.child(name)
        return exchange.begin > changed and not any(
            other.name(name) or child in other.forgotten for other in self._under_way
        )

    def _compare_name(self, exchange: Exchange, name: Name, nodeid: int, own: Touched) -> Stale | None:
        held = self._names.get(name)
        if held is None or exchange.t_ps > held.until or own.name(name) or not self._certain_name(exchange, name):
            return None
        self.compared += 1
        if held.nodeid == nodeid:
            return None
        shown = f"{nodeid:#x}" if nodeid else "no such name"
        return Stale(f"name {name[1]!r} of node {name[0]:#x}", f"{held.nodeid:#x}", shown)

    def _compare_attributes(
        self, exchange: Exchange, nodeid: int, attributes: Attributes, own: Touched
    ) -> Stale | None:
        node = self._nodes.get(nodeid)
        if node is None or node.attributes is None or own.node(nodeid) or exchange.t_ps > node.until:
            return None
        if not self._certain(exchange, nodeid):
            return None
        self.compared += 1
        for field_, held, shown in zip(ATTRIBUTES, node.attributes, attributes, strict=True):
            if held != shown:
                return Stale(f"{field_} of node {nodeid:#x}", f"{held}", f"{shown}")
        return None

    def _compare_contents(self, exchange: Exchange) -> Stale | None:
        node = self._nodes.get(exchange.nodeid)
        if node is None or not self._certain(exchange, exchange.nodeid):
            return None
        at = fuse.FuseReadIn.from_buffer_copy(exchange.message, IN_HEADER_SIZE).offset
        data = exchange.reply[OUT_HEADER_SIZE:]
        end = min(at + len(data), len(node.contents.data))
        if at >= end or not node.contents.covers(at, end):
            return None
        self.compared += 1
        held, data = node.contents.data[at:end], data[: end - at]
        if held == data:
            return None
        wrong = next(i for i in range(len(data)) if held[i] != data[i])
        return Stale(f"byte {at + wrong} of node {exchange.nodeid:#x}", f"{held[wrong]:#04x}", f"{data[wrong]:#04x}")

    # ---- what is given up, and what is held from now on ----

    def _changed(self, end: int, own: Touched) -> None:
        for nodeid in list(self._nodes) if own.every_node else own.nodes:
            node = self._nodes.setdefault(nodeid, _Node())
            node.attributes, node.contents, node.changed = None, ByteStore(), end
        if own.every_node:
            self._all_changed = end
        forgotten = (
            [name for name, held in self._names.items() if held.nodeid in own.forgotten] if own.forgotten else []
        )
        for name in [*own.names, *forgotten]:
            self._names.pop(name, None)
            self._name_changed[name] = end
        for nodeid in own.forgotten:
            self._nodes.pop(nodeid, None)

    def _learn(self, exchange: Exchange, nodes: set[int], names: set[Name]) -> None:
        """Hold what a reply shows; nodes, names: of which it is certain that nothing changed them meanwhile."""
        entry_valid, attr_valid = validity(exchange)
        for name, nodeid in entries_of(exchange):
            if name in names:
                self._names[name] = _Held(nodeid, exchange.t_ps + entry_valid)
        for nodeid, attributes in attributes_of(exchange):
            if nodeid in nodes:
                node = self._nodes.setdefault(nodeid, _Node())
                node.attributes, node.until = attributes, exchange.t_ps + attr_valid
        if exchange.opcode == Opcode.READ and self._certain(exchange, exchange.nodeid):
            at = fuse.FuseReadIn.from_buffer_copy(exchange.message, IN_HEADER_SIZE).offset
            data = exchange.reply[OUT_HEADER_SIZE:]
            if at + len(data) <= HELD_BYTES:
                self._nodes.setdefault(exchange.nodeid, _Node()).contents.put(at, data)
        elif exchange.opcode in (Opcode.OPEN, Opcode.CREATE):
            # Without FOPEN_KEEP_CACHE Linux drops what it holds (fuse_finish_open).
            for nodeid in {exchange.nodeid, *(nodeid for nodeid, _ in attributes_of(exchange))}:
                if nodeid in self._nodes:
                    self._nodes[nodeid].contents = ByteStore()


def attributes_of(exchange: Exchange) -> Iterator[tuple[int, Attributes]]:
    """Inodes whose attributes a reply shows, and the attributes."""
    for at, nodeid in _attr_places(exchange):
        attr = fuse.FuseAttr.from_buffer_copy(exchange.reply, at)
        yield nodeid, tuple(getattr(attr, name) for name in ATTRIBUTES)


def _attr_places(exchange: Exchange) -> Iterator[tuple[int, int]]:
    operation = OPERATIONS.get(exchange.opcode)
    if operation is None:
        return
    reply = exchange.reply
    if fuse.FuseAttrOut in operation.reply and len(reply) >= OUT_HEADER_SIZE + _ATTR:
        yield OUT_HEADER_SIZE + fuse.FuseAttrOut.attr.offset, exchange.nodeid
    elif fuse.FuseEntryOut in operation.reply and len(reply) >= OUT_HEADER_SIZE + _ENTRY:
        yield OUT_HEADER_SIZE + fuse.FuseEntryOut.attr.offset, int.from_bytes(reply[16:24], "little")
    elif exchange.opcode == Opcode.READDIRPLUS:
        for at, nodeid, _ in _records(reply):
            yield at + fuse.FuseEntryOut.attr.offset, nodeid


def entries_of(exchange: Exchange) -> Iterator[tuple[Name, int]]:
    """Names that a reply tells where they lead."""
    operation = OPERATIONS.get(exchange.opcode)
    if operation is None:
        return
    if exchange.opcode == Opcode.READDIRPLUS:
        for _, nodeid, name in _records(exchange.reply):
            yield (exchange.nodeid, name), nodeid
    elif fuse.FuseEntryOut in operation.reply and exchange.opcode != Opcode.TMPFILE:
        names = names_of(exchange.message)
        if names and len(exchange.reply) >= OUT_HEADER_SIZE + _ENTRY and names[0] not in (b".", b".."):
            yield (exchange.nodeid, names[0]), int.from_bytes(exchange.reply[16:24], "little")


def _records(reply: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Place, nodeid and name of the records of READDIRPLUS that give an entry. Stops where the reply is malformed."""
    at = OUT_HEADER_SIZE
    try:
        for entry in directory_entries(reply[OUT_HEADER_SIZE:], plus=True):
            if entry.nodeid:
                yield at, entry.nodeid, entry.name
            at += _ENTRY + sizeof(fuse.FuseDirent) + len(entry.name) + 7 & ~7
    except ValueError:
        return


def validity(exchange: Exchange) -> tuple[int, int]:
    """For how long names and attributes of a reply may be held, in ps; the shortest of a listing's."""
    reply, operation = exchange.reply, OPERATIONS.get(exchange.opcode)
    if operation is None:
        return 0, 0
    if fuse.FuseAttrOut in operation.reply and len(reply) >= OUT_HEADER_SIZE + _ATTR:
        out = fuse.FuseAttrOut.from_buffer_copy(reply, OUT_HEADER_SIZE)
        return 0, out.attr_valid * _PS + out.attr_valid_nsec * 1000
    places = [at - fuse.FuseEntryOut.attr.offset for at, _ in _attr_places(exchange)]
    entries = [fuse.FuseEntryOut.from_buffer_copy(reply, at) for at in places]
    return (
        min((entry.entry_valid * _PS + entry.entry_valid_nsec * 1000 for entry in entries), default=0),
        min((entry.attr_valid * _PS + entry.attr_valid_nsec * 1000 for entry in entries), default=0),
    )
