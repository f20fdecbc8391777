"""What the name unit must answer: dictionaries, written from docs/file-system.md."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from virtiofs_model.layouts.fuse import FuseAttr, FuseDirent, FuseEntryOut

NAME_BYTES = 255
CELL_BYTES = 32
DIRECTORY, XATTR = 0, 1
FIND, ADD, REMOVE, REPOINT, FIRST = range(5)


def pack_bits(fields: list[tuple[int, int]]) -> int:
    """A packed structure as a number. fields: (width, value), the first one is the most significant."""
    number = 0
    for width, value in fields:
        assert 0 <= value < 1 << width, (width, value)
        number = number << width | value
    return number


@dataclass
class Node:
    """An inode's record, as ramfs_pkg::node_t."""

    generation: int
    mode: int
    nlink: int
    uid: int
    gid: int
    rdev: int
    size: int
    pages: int
    times: list[tuple[int, int]]  # atime, mtime, ctime: seconds, nanoseconds
    lookups: int = 0
    opens: int = 0
    parent: int = 0

    def record(self) -> str:
        ids = [(32, self.nlink), (32, self.uid), (32, self.gid), (32, self.rdev)]
        times = [part for seconds, nanoseconds in self.times for part in ((64, seconds), (32, nanoseconds))]
        counts = [(32, self.lookups), (32, self.opens), (12, self.parent)]
        bits = [(1, 1), (32, self.generation), (16, self.mode), *ids, (41, self.size), (13, self.pages)]
        return f"{pack_bits([*bits, *times, *counts]):0152x}"

    def nodeid(self, slot: int) -> int:
        return self.generation << 32 | slot

    def entry_out(self, slot: int) -> bytes:
        (atime, atimensec), (mtime, mtimensec), (ctime, ctimensec) = self.times
        attr = FuseAttr(
            ino=self.nodeid(slot), size=self.size, blocks=8 * self.pages, atime=atime, mtime=mtime, ctime=ctime,
            atimensec=atimensec, mtimensec=mtimensec, ctimensec=ctimensec, mode=self.mode, nlink=self.nlink,
            uid=self.uid, gid=self.gid, rdev=self.rdev, blksize=4096,
        )  # fmt: skip
        return bytes(
            FuseEntryOut(
                nodeid=self.nodeid(slot), generation=self.generation, entry_valid=1, attr_valid=1, attr=attr
            )
        )  # fmt: skip


@dataclass
class Entry:
    kind: int
    parent: int
    name: bytes
    child: int
    sequence: int


@dataclass
class Names:
    """The table. entries, cells: its capacity, slot 0 included."""

    entries: int
    cells: int
    table: dict[int, Entry] = field(default_factory=dict)
    by_name: dict[tuple[int, int, bytes], int] = field(default_factory=dict)
    nodes: dict[int, Node] = field(default_factory=dict)
    sequence: int = 1

    def __post_init__(self) -> None:
        self.free = deque(range(1, self.entries))
        self.free_cells = self.cells - 1

    def fits(self, name: bytes) -> bool:
        return bool(self.free) and self.free_cells >= cells_of(name)

    def find(self, kind: int, parent: int, name: bytes) -> int:
        return self.by_name.get((kind, parent, name), 0)

    def add(self, kind: int, parent: int, name: bytes, child: int) -> int:
        slot = self.free.popleft()
        self.free_cells -= cells_of(name)
        self.table[slot] = Entry(kind, parent, name, child, self.sequence)
        self.by_name[kind, parent, name] = slot
        self.sequence += 1
        return slot

    def remove(self, slot: int) -> None:
        entry = self.table.pop(slot)
        del self.by_name[entry.kind, entry.parent, entry.name]
        self.free.append(slot)
        self.free_cells += cells_of(entry.name)

    def first(self, kind: int, parent: int) -> int:
        listed = self.listed(kind, parent)
        return listed[0] if listed else 0

    def listed(self, kind: int, parent: int) -> list[int]:
        """Slots in order of sequence: new names come last in the dictionary."""
        return [slot for slot, entry in self.table.items() if (entry.kind, entry.parent) == (kind, parent)]

    def records(self, plus: bool, directory: int, cookie: int, budget: int, ids: tuple[int, int]) -> bytes:
        """READDIR's or READDIRPLUS's records; the latter count lookups."""
        out = b""
        for number, name in enumerate((b".", b"..")):
            if cookie <= number:
                record = bytes(128 if plus else 0) + dirent(ids[number], number + 1, 4, name)
                if len(out) + len(record) > budget:
                    return out
                out += record
        for slot in self.listed(DIRECTORY, directory):
            entry = self.table[slot]
            if entry.sequence <= cookie >> 32:
                continue
            node = self.nodes[entry.child]
            own_cookie = entry.sequence << 32 | slot
            record = node.entry_out(entry.child) if plus else b""
            record += dirent(node.nodeid(entry.child), own_cookie, node.mode >> 12, entry.name)
            if len(out) + len(record) > budget:
                return out
            out += record
            if plus:
                node.lookups += 1
        return out


def cells_of(name: bytes) -> int:
    return -(-len(name) // CELL_BYTES)


def dirent(ino: int, off: int, kind: int, name: bytes) -> bytes:
    record = bytes(FuseDirent(ino=ino, off=off, namelen=len(name), type=kind)) + name
    return record + bytes(-len(record) % 8)


def parse(message: bytes, start: int, two: bool) -> tuple[int, int | None]:
    """name_info_t of both names as a number, and the position behind the last NUL where it ends."""
    infos = [0, 0]
    position: int | None = start
    for number in range(2 if two else 1):
        assert position is not None
        name, nul, _ = message[position:].partition(b"\0")
        infos[number] = pack_bits(
            [(1, len(nul)), (9, min(len(name), 256)), (1, b"/" in name), (1, name == b"."), (1, name == b"..")]
        )
        position = position + len(name) + 1 if nul else None
        if position is None:
            break
    return infos[1] << 13 | infos[0], position
