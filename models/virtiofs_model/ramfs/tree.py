"""Inodes, names and pages of the golden file system; no FUSE message is known here.

An operation either succeeds or raises FsError with a positive errno and leaves everything as it was.
"""

from __future__ import annotations

import errno
import stat
from dataclasses import dataclass, field

PAGE = 4096
NAME_MAX = 255
ROOT_SLOT = 1
RENAME_NOREPLACE = 1
RENAME_EXCHANGE = 2


class FsError(Exception):
    """errno: positive, as <errno.h> has it."""

    def __init__(self, number: int) -> None:
        super().__init__(errno.errorcode.get(number, str(number)))
        self.errno = number


@dataclass(frozen=True)
class Limits:
    """Capacity. pages: of PAGE bytes for all files together; file_size: bytes of the largest file."""

    inodes: int = 1024
    pages: int = 16384
    file_size: int = 1 << 40


@dataclass(order=True, frozen=True)
class Time:
    """Seconds and nanoseconds since the epoch, of the DPU's clock."""

    seconds: int = 0
    nanoseconds: int = 0


@dataclass
class DirectoryEntry:
    """One name. sequence: grows with every name made in the directory; a directory cookie is a sequence."""

    name: bytes
    inode: Inode
    sequence: int


@dataclass
class Inode:
    """A file of any type. It dies when links, lookups and opens are all zero.

    nodeid: generation in the upper 32 bits, slot in the lower; the root is slot 1 of generation 0, hence nodeid 1.
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
    pages: dict[int, bytearray] = field(default_factory=dict)
    target: bytes = b""
    entries: dict[bytes, DirectoryEntry] = field(default_factory=dict)
    parent: Inode | None = None
    next_sequence: int = 3  # 1 and 2 are the cookies behind "." and ".."

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


class Tree:
    """The whole file system. now: the DPU's clock, moved only by set_time."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.now = Time()
        self.inodes: dict[int, Inode] = {}
        self.used_pages = 0
        self._free_slots = list(range(self.limits.inodes, ROOT_SLOT, -1))
        self._generations: dict[int, int] = {}
        self.root = Inode(ROOT_SLOT, 0, stat.S_IFDIR | 0o755, nlink=2)
        self.root.parent = self.root
        self.inodes[self.root.nodeid] = self.root

    # ---- finding ----

    def get(self, nodeid: int) -> Inode:
        """The inode of `nodeid`. ESTALE for an id of an earlier generation or one never given out."""
        inode = self.inodes.get(nodeid)
        if inode is None:
            raise FsError(errno.ESTALE)
        return inode

    def directory(self, nodeid: int) -> Inode:
        """The same for an id that must be a directory's: else ENOTDIR."""
        inode = self.get(nodeid)
        if not inode.is_directory:
            raise FsError(errno.ENOTDIR)
        return inode

    def lookup(self, directory: Inode, name: bytes) -> Inode:
        """The child `name`; "." and ".." lead where they always do. ENOENT, ENAMETOOLONG, EINVAL."""
        if name == b".":
            return directory
        if name == b"..":
            assert directory.parent is not None
            return directory.parent
        check_name(name)
        entry = directory.entries.get(name)
        if entry is None:
            raise FsError(errno.ENOENT)
        return entry.inode

    # ---- making and removing names ----

    def create(
        self, directory: Inode, name: bytes, mode: int, uid: int, gid: int, rdev: int = 0, target: bytes = b""
    ) -> Inode:
        """A new inode under a new name. EEXIST, ENOSPC (no inode left), ENOENT (directory removed)."""
        self._check_new(directory, name)
        inode = self._allocate(mode, uid, gid, rdev)
        inode.target = target
        inode.size = len(target)
        if inode.is_directory:
            inode.parent = directory
            inode.nlink = 1  # its own "."; the name brings the second
            directory.nlink += 1
        self._add_name(directory, name, inode)
        return inode

    def link(self, inode: Inode, directory: Inode, name: bytes) -> None:
        """A further name for a file. EPERM for directories, ENOENT for a file already removed."""
        if inode.is_directory:
            raise FsError(errno.EPERM)
        if inode.nlink == 0:
            raise FsError(errno.ENOENT)
        self._check_new(directory, name)
        self._add_name(directory, name, inode)
        inode.ctime = self.now

    def unlink(self, directory: Inode, name: bytes) -> None:
        """Remove a name that is no directory's. ENOENT, EISDIR."""
        inode = self._existing(directory, name)
        if inode.is_directory:
            raise FsError(errno.EISDIR)
        self._remove_name(directory, name)

    def rmdir(self, directory: Inode, name: bytes) -> None:
        """Remove an empty directory. ENOENT, ENOTDIR, ENOTEMPTY; EINVAL for "."."""
        if name == b".":
            raise FsError(errno.EINVAL)
        if name == b"..":
            raise FsError(errno.ENOTEMPTY)
        inode = self._existing(directory, name)
        if not inode.is_directory:
            raise FsError(errno.ENOTDIR)
        if inode.entries:
            raise FsError(errno.ENOTEMPTY)
        self._remove_name(directory, name)

    def rename(self, old_dir: Inode, old: bytes, new_dir: Inode, new: bytes, flags: int = 0) -> None:
        """rename(2) with the flags NOREPLACE and EXCHANGE of renameat2(2); others are EINVAL."""
        if flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE) or flags == RENAME_NOREPLACE | RENAME_EXCHANGE:
            raise FsError(errno.EINVAL)
        moving = self._existing(old_dir, old)
        if new in (b".", b".."):
            raise FsError(errno.EBUSY)
        check_name(new)
        if new_dir.nlink == 0:
            raise FsError(errno.ENOENT)
        entry = new_dir.entries.get(new)
        if flags & RENAME_NOREPLACE and entry is not None:
            raise FsError(errno.EEXIST)
        if flags & RENAME_EXCHANGE and entry is None:
            raise FsError(errno.ENOENT)
        if moving.is_directory and is_within(new_dir, moving):
            raise FsError(errno.EINVAL)
        if entry is None:
            self._move(old_dir, old, new_dir, new, moving)
            return
        replaced = entry.inode
        if flags & RENAME_EXCHANGE:
            if replaced.is_directory and is_within(old_dir, replaced):
                raise FsError(errno.EINVAL)
            self._exchange(old_dir, old, new_dir, new)
            return
        if replaced is moving:
            return
        if moving.is_directory and not replaced.is_directory:
            raise FsError(errno.ENOTDIR)
        if replaced.is_directory:
            if not moving.is_directory:
                raise FsError(errno.EISDIR)
            if replaced.entries:
                raise FsError(errno.ENOTEMPTY)
        self._remove_name(new_dir, new)
        self._move(old_dir, old, new_dir, new, moving)

    # ---- data ----

    def read(self, inode: Inode, offset: int, size: int) -> bytes:
        """Up to `size` bytes; a hole reads as zeros, nothing beyond the end."""
        size = max(0, min(size, inode.size - offset))
        data = bytearray(size)
        done = 0
        while done < size:
            index, start = divmod(offset + done, PAGE)
            count = min(PAGE - start, size - done)
            page = inode.pages.get(index)
            if page is not None:
                data[done : done + count] = page[start : start + count]
            done += count
        return bytes(data)

    def write(self, inode: Inode, offset: int, data: bytes) -> None:
        """All of `data` or nothing. EFBIG beyond the largest file, ENOSPC when the pages do not suffice."""
        end = offset + len(data)
        if end > self.limits.file_size:
            raise FsError(errno.EFBIG)
        if data:
            wanted = range(offset // PAGE, (end - 1) // PAGE + 1)
            missing = [index for index in wanted if index not in inode.pages]
            if self.used_pages + len(missing) > self.limits.pages:
                raise FsError(errno.ENOSPC)
            for index in missing:
                inode.pages[index] = bytearray(PAGE)
            self.used_pages += len(missing)
            done = 0
            while done < len(data):
                index, start = divmod(offset + done, PAGE)
                count = min(PAGE - start, len(data) - done)
                inode.pages[index][start : start + count] = data[done : done + count]
                done += count
            inode.size = max(inode.size, end)
        inode.mtime = inode.ctime = self.now

    def truncate(self, inode: Inode, size: int) -> None:
        """Set the size; what is cut off never comes back. EFBIG, EISDIR, EINVAL (not a regular file)."""
        if inode.is_directory:
            raise FsError(errno.EISDIR)
        if not inode.is_regular:
            raise FsError(errno.EINVAL)
        if size > self.limits.file_size:
            raise FsError(errno.EFBIG)
        if size < inode.size:
            keep, rest = divmod(size, PAGE)
            if rest and keep in inode.pages:
                inode.pages[keep][rest:] = bytes(PAGE - rest)
            gone = [index for index in inode.pages if index >= keep + (rest > 0)]
            for index in gone:
                del inode.pages[index]
            self.used_pages -= len(gone)
        inode.size = size
        inode.mtime = inode.ctime = self.now

    # ---- lives ----

    def release(self, inode: Inode) -> None:
        """Bury the inode if nothing holds it: no name, no lookup, no open file."""
        if inode is self.root or inode.nlink or inode.lookups or inode.opens:
            return
        if self.inodes.pop(inode.nodeid, None) is not None:
            self.used_pages -= len(inode.pages)
            inode.pages.clear()
            self._free_slots.append(inode.slot)

    def end_session(self) -> None:
        """The client is gone: lookups and open files end, contents stay."""
        for inode in list(self.inodes.values()):
            inode.lookups = inode.opens = 0
            self.release(inode)

    # ---- inside ----

    def _allocate(self, mode: int, uid: int, gid: int, rdev: int) -> Inode:
        if not self._free_slots:
            raise FsError(errno.ENOSPC)
        slot = self._free_slots.pop()
        generation = self._generations.get(slot, -1) + 1
        self._generations[slot] = generation
        inode = Inode(slot, generation, mode, uid, gid, rdev)
        inode.atime = inode.mtime = inode.ctime = self.now
        self.inodes[inode.nodeid] = inode
        return inode

    def _check_new(self, directory: Inode, name: bytes) -> None:
        if name in (b".", b".."):
            raise FsError(errno.EEXIST)
        check_name(name)
        if directory.nlink == 0:
            raise FsError(errno.ENOENT)
        if name in directory.entries:
            raise FsError(errno.EEXIST)

    def _existing(self, directory: Inode, name: bytes) -> Inode:
        if name in (b".", b".."):
            raise FsError(errno.EBUSY)
        return self.lookup(directory, name)

    def _touch(self, directory: Inode) -> None:
        directory.mtime = directory.ctime = self.now

    def _add_name(self, directory: Inode, name: bytes, inode: Inode) -> None:
        directory.entries[name] = DirectoryEntry(name, inode, directory.next_sequence)
        directory.next_sequence += 1
        inode.nlink += 1
        self._touch(directory)

    def _remove_name(self, directory: Inode, name: bytes) -> None:
        inode = directory.entries.pop(name).inode
        inode.nlink -= 1
        if inode.is_directory:
            inode.nlink -= 1
            directory.nlink -= 1
        inode.ctime = self.now
        self._touch(directory)
        self.release(inode)

    def _move(self, old_dir: Inode, old: bytes, new_dir: Inode, new: bytes, inode: Inode) -> None:
        del old_dir.entries[old]
        new_dir.entries[new] = DirectoryEntry(new, inode, new_dir.next_sequence)
        new_dir.next_sequence += 1
        if inode.is_directory:
            old_dir.nlink -= 1
            new_dir.nlink += 1
            inode.parent = new_dir
        inode.ctime = self.now
        self._touch(old_dir)
        self._touch(new_dir)

    def _exchange(self, old_dir: Inode, old: bytes, new_dir: Inode, new: bytes) -> None:
        first, second = old_dir.entries[old], new_dir.entries[new]
        first.inode, second.inode = second.inode, first.inode
        for directory, entry, other in ((old_dir, first, new_dir), (new_dir, second, old_dir)):
            if entry.inode.is_directory:
                other.nlink -= 1
                directory.nlink += 1
                entry.inode.parent = directory
            entry.inode.ctime = self.now
            self._touch(directory)


def check_name(name: bytes) -> None:
    """EINVAL for a name that is empty or holds '/' or NUL; ENAMETOOLONG beyond 255 bytes."""
    if len(name) > NAME_MAX:
        raise FsError(errno.ENAMETOOLONG)
    if not name or b"/" in name or b"\0" in name:
        raise FsError(errno.EINVAL)


def is_within(directory: Inode, ancestor: Inode) -> bool:
    """Whether `directory` is `ancestor` or lies below it."""
    while directory is not ancestor:
        if directory.parent is None or directory.parent is directory:
            return False
        directory = directory.parent
    return True
