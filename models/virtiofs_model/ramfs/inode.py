"""What the golden file system is made of: inodes, names, times, and the errno that an operation ends with."""

from __future__ import annotations

import errno
import stat
from dataclasses import dataclass, field

PAGE = 4096
NAME_MAX = 255
CELL = 32
"""Bytes of a name that one piece of the name store holds."""

ROOT_SLOT = 1
FILE_MAX = 1 << 40
PERMISSIONS = 0o7777
ZERO_PAGE = bytes(PAGE)


class FsError(Exception):
    """errno: positive, as <errno.h> has it."""

    def __init__(self, number: int) -> None:
        super().__init__(errno.errorcode.get(number, str(number)))
        self.errno = number


@dataclass(frozen=True)
class Limits:
    """Capacity. inodes: slots, slot 0 included, which is never used; pages: of PAGE bytes for all files and symbolic
    links together; entries, cells: places for names, place 0 included (None: 2 and 4 times the inodes); file_size:
    bytes of the largest file."""

    inodes: int = 1024
    pages: int = 1024
    entries: int | None = None
    cells: int | None = None
    file_size: int = FILE_MAX

    @property
    def entry_slots(self) -> int:
        """Names, and one more."""
        return 2 * self.inodes if self.entries is None else self.entries

    @property
    def name_cells(self) -> int:
        """Cells of CELL bytes, and one more."""
        return 4 * self.inodes if self.cells is None else self.cells


@dataclass(order=True, frozen=True)
class Time:
    """Seconds and nanoseconds since the epoch, of the DPU's clock."""

    seconds: int = 0
    nanoseconds: int = 0


@dataclass
class Entry:
    """One name. slot: its place among all names; sequence: grows with every name made in the file system."""

    name: bytes
    slot: int
    sequence: int
    inode: Inode

    @property
    def cookie(self) -> int:
        """Of the place behind this name in a listing."""
        return self.sequence << 32 | self.slot

    @property
    def cells(self) -> int:
        """What its name takes of the name store."""
        return cells_of(self.name)


@dataclass
class Inode:
    """A file of any type. It dies when links, lookups and opens are all zero.

    nodeid: generation in the upper 32 bits, slot in the lower; the root is slot 1 of generation 0, hence nodeid 1.
    pages: by index, those that were written or allocated; bytes beyond `size` are always zero. size: bytes, 0 for a
    directory. xattrs: only where they are served.
    """

    slot: int
    generation: int
    mode: int
    uid: int = 0
    gid: int = 0
    rdev: int = 0
    nlink: int = 0
    size: int = 0
    atime: Time = Time()
    mtime: Time = Time()
    ctime: Time = Time()
    lookups: int = 0
    opens: int = 0
    parent: Inode | None = None
    pages: dict[int, bytes] = field(default_factory=dict)
    entries: dict[bytes, Entry] = field(default_factory=dict)
    xattrs: dict[bytes, bytes] = field(default_factory=dict)

    @property
    def nodeid(self) -> int:
        """64 bits: slot, and above it the generation, so that a reused slot has another id."""
        return self.generation << 32 | self.slot

    @property
    def is_directory(self) -> bool:
        """S_IFDIR."""
        return stat.S_ISDIR(self.mode)

    @property
    def is_regular(self) -> bool:
        """S_IFREG."""
        return stat.S_ISREG(self.mode)

    @property
    def is_link(self) -> bool:
        """S_IFLNK."""
        return stat.S_ISLNK(self.mode)

    @property
    def removed(self) -> bool:
        """Without a name; the root has none and is never removed."""
        return self.nlink == 0

    @property
    def in_order(self) -> list[Entry]:
        """The names of a directory as a listing has them."""
        return sorted(self.entries.values(), key=_sequence)


def _sequence(entry: Entry) -> int:
    return entry.sequence


def cells_of(name: bytes) -> int:
    """Cells that a name takes."""
    return (len(name) + CELL - 1) // CELL


def check_name(name: bytes) -> None:
    """ENAMETOOLONG beyond 255 bytes; EINVAL for a name that is empty or holds '/'."""
    if len(name) > NAME_MAX:
        raise FsError(errno.ENAMETOOLONG)
    if not name or b"/" in name:
        raise FsError(errno.EINVAL)
