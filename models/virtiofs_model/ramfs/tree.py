"""Names of the golden file system: finding, making, removing, moving them. No FUSE message is known here.

An operation raises FsError with a positive errno; what it did before that is undone by its caller (journal.py).
"""

from __future__ import annotations

import errno
import stat

from virtiofs_model.ramfs import files
from virtiofs_model.ramfs.inode import PAGE, ROOT_SLOT, Entry, FsError, Inode, Limits, Time, check_name
from virtiofs_model.ramfs.store import Store

RENAME_NOREPLACE = 1
RENAME_EXCHANGE = 2
DOTS = (b".", b"..")


class Tree:
    """The whole file system: a store and the names in it."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.store = Store(self.limits)
        self.journal = self.store.journal
        self.root = Inode(ROOT_SLOT, 0, stat.S_IFDIR | 0o755, nlink=2)
        self.root.parent = self.root
        self.store.inodes[ROOT_SLOT] = self.root

    @property
    def now(self) -> Time:
        """The DPU's clock."""
        return self.store.now

    def set_time(self, time: Time) -> None:
        """Move the clock."""
        self.journal.save(self.store.counters)
        self.store.counters.now = time

    # ---- finding ----

    def get(self, nodeid: int) -> Inode:
        """The inode of `nodeid`: ESTALE."""
        return self.store.get(nodeid)

    def directory(self, nodeid: int) -> Inode:
        """The same for an id that must be a directory's: else ENOTDIR."""
        inode = self.store.get(nodeid)
        if not inode.is_directory:
            raise FsError(errno.ENOTDIR)
        return inode

    def lookup(self, directory: Inode, name: bytes) -> Inode:
        """The child `name`; "." and ".." lead where they always do. ENOENT, ENAMETOOLONG, EINVAL."""
        if name not in DOTS:
            return self._found(directory, name).inode
        if directory.removed:
            raise FsError(errno.ENOENT)
        return directory if name == b"." else parent_of(directory)

    def _found(self, directory: Inode, name: bytes) -> Entry:
        check_name(name)
        entry = directory.entries.get(name)
        if entry is None:
            raise FsError(errno.ENOENT)
        return entry

    # ---- making ----

    def create(self, directory: Inode, name: bytes, mode: int, uid: int, gid: int, rdev: int = 0) -> Inode:
        """A new inode under a new name. EEXIST, ENAMETOOLONG, EINVAL, ENOENT (directory removed), ENOSPC."""
        self._check_new(directory, name)
        self.store.room_for_name(name)
        inode = self._new_inode(directory, mode, uid, gid, rdev)
        if inode.is_directory:
            inode.parent = directory
            inode.nlink = 1  # its own "."; the name brings the second
            self.journal.save(directory)
            directory.nlink += 1
        self._add_name(directory, name, inode)
        return inode

    def symlink(self, directory: Inode, name: bytes, target: bytes, uid: int, gid: int) -> Inode:
        """A symbolic link; its target takes a page."""
        inode = self.create(directory, name, stat.S_IFLNK | 0o777, uid, gid)
        self.store.reserve(inode, 0, 1)
        inode.pages[0] = target.ljust(PAGE, b"\0")
        inode.size = len(target)
        return inode

    def unnamed(self, directory: Inode, mode: int, uid: int, gid: int) -> Inode:
        """A new inode without a name. ENOENT where the directory was removed, ENOSPC."""
        if directory.removed:
            raise FsError(errno.ENOENT)
        return self._new_inode(directory, mode, uid, gid)

    def link(self, inode: Inode, directory: Inode, name: bytes) -> None:
        """A further name for a file. EPERM for a directory; then as create."""
        if inode.is_directory:
            raise FsError(errno.EPERM)
        self._check_new(directory, name)
        self._add_name(directory, name, inode)
        inode.ctime = self.now

    def _new_inode(self, directory: Inode, mode: int, uid: int, gid: int, rdev: int = 0) -> Inode:
        if directory.mode & stat.S_ISGID:
            gid = directory.gid
            if stat.S_ISDIR(mode):
                mode |= stat.S_ISGID
        return self.store.new_inode(mode, uid, gid, rdev)

    def check_target(self, directory: Inode, name: bytes) -> Entry | None:
        """What stands where a name shall be made: ENAMETOOLONG, EINVAL, ENOENT (directory removed)."""
        check_name(name)
        if directory.removed:
            raise FsError(errno.ENOENT)
        return directory.entries.get(name)

    def _check_new(self, directory: Inode, name: bytes) -> None:
        if name in DOTS or self.check_target(directory, name) is not None:
            raise FsError(errno.EEXIST)

    # ---- removing ----

    def unlink(self, directory: Inode, name: bytes) -> None:
        """Remove a name that is no directory's. EBUSY for "." and "..", ENOENT, EISDIR."""
        if name in DOTS:
            raise FsError(errno.EBUSY)
        if self._found(directory, name).inode.is_directory:
            raise FsError(errno.EISDIR)
        self._remove_name(directory, name)

    def rmdir(self, directory: Inode, name: bytes) -> None:
        """Remove an empty directory. ENOENT, ENOTDIR, ENOTEMPTY; EINVAL for "."."""
        if name in DOTS:
            raise FsError(errno.EINVAL if name == b"." else errno.ENOTEMPTY)
        inode = self._found(directory, name).inode
        if not inode.is_directory:
            raise FsError(errno.ENOTDIR)
        if inode.entries:
            raise FsError(errno.ENOTEMPTY)
        self._remove_name(directory, name)

    # ---- moving ----

    def rename(self, old_dir: Inode, old: bytes, new_dir: Inode, new: bytes, flags: int = 0) -> None:
        """rename(2) with the flags NOREPLACE and EXCHANGE of renameat2(2), one at most; others are EINVAL."""
        if flags not in (0, RENAME_NOREPLACE, RENAME_EXCHANGE):
            raise FsError(errno.EINVAL)
        if old in DOTS:
            raise FsError(errno.EBUSY)
        moving = self._found(old_dir, old).inode
        if new in DOTS:
            raise FsError(errno.EBUSY)
        entry = self.check_target(new_dir, new)
        if flags == RENAME_NOREPLACE and entry is not None:
            raise FsError(errno.EEXIST)
        if flags == RENAME_EXCHANGE and entry is None:
            raise FsError(errno.ENOENT)
        if moving.is_directory and is_within(new_dir, moving):
            raise FsError(errno.EINVAL)
        if entry is None:
            self.store.new_entry(new_dir, new, moving)
            self._moved(old_dir, old, new_dir, moving)
            return
        replaced = entry.inode
        if flags == RENAME_EXCHANGE and replaced.is_directory and is_within(old_dir, replaced):
            raise FsError(errno.EINVAL)
        if replaced is moving:
            return
        if flags == RENAME_EXCHANGE:
            self._exchange(old_dir, old, new_dir, new)
            return
        _check_replaced(moving, replaced)
        self.journal.save(entry)
        entry.inode = moving
        self._moved(old_dir, old, new_dir, moving)
        self._unlinked(new_dir, replaced)

    def _moved(self, old_dir: Inode, old: bytes, new_dir: Inode, inode: Inode) -> None:
        """An inode has its new name: the old one goes."""
        self.store.drop_entry(old_dir, old)
        if inode.is_directory:
            self._adopt(inode, old_dir, new_dir)
        self._touch(inode)
        self._changed(old_dir)
        self._changed(new_dir)

    def _exchange(self, old_dir: Inode, old: bytes, new_dir: Inode, new: bytes) -> None:
        first, second = old_dir.entries[old], new_dir.entries[new]
        self.journal.save(first)
        self.journal.save(second)
        first.inode, second.inode = second.inode, first.inode
        for directory, entry, other in ((old_dir, first, new_dir), (new_dir, second, old_dir)):
            if entry.inode.is_directory:
                self._adopt(entry.inode, other, directory)
            self._touch(entry.inode)
            self._changed(directory)

    def _adopt(self, inode: Inode, old_dir: Inode, new_dir: Inode) -> None:
        """A directory changes its parent."""
        self.journal.save(old_dir)
        old_dir.nlink -= 1
        self.journal.save(new_dir)
        new_dir.nlink += 1
        self.journal.save(inode)
        inode.parent = new_dir

    # ---- inside ----

    def _touch(self, inode: Inode) -> None:
        self.journal.save(inode)
        inode.ctime = self.now

    def _changed(self, directory: Inode) -> None:
        """A name of the directory was made, removed, renamed or exchanged."""
        self.journal.save(directory)
        directory.mtime = directory.ctime = self.now

    def _add_name(self, directory: Inode, name: bytes, inode: Inode) -> None:
        self.store.new_entry(directory, name, inode)
        self.journal.save(inode)
        inode.nlink += 1
        self._changed(directory)

    def _remove_name(self, directory: Inode, name: bytes) -> None:
        inode = directory.entries[name].inode
        self.store.drop_entry(directory, name)
        self._changed(directory)
        self._unlinked(directory, inode)

    def _unlinked(self, directory: Inode, inode: Inode) -> None:
        """A name of `inode` in `directory` is gone; a directory's only one takes its "." and ".." along."""
        self.journal.save(inode)
        inode.nlink -= 1
        inode.ctime = self.now
        if inode.is_directory:
            inode.nlink -= 1
            self.journal.save(directory)
            directory.nlink -= 1
        self.store.release(inode)

    # ---- lives ----

    def forget(self, nodeid: int, count: int) -> None:
        """Lookups shrink; an unknown id and the root are passed over."""
        try:
            inode = self.store.get(nodeid)
        except FsError:
            return
        if inode is self.root:
            return
        self.journal.save(inode)
        inode.lookups = max(0, inode.lookups - count)
        self.store.release(inode)

    def looked_up(self, inode: Inode) -> None:
        """The client holds the inode once more."""
        self.journal.save(inode)
        inode.lookups += 1

    def opened(self, inode: Inode) -> None:
        """One open more."""
        self.journal.save(inode)
        inode.opens += 1

    def closed(self, inode: Inode) -> None:
        """One open less."""
        self.journal.save(inode)
        inode.opens -= 1
        self.store.release(inode)

    def end_session(self) -> None:
        """The client is gone: lookups and opens end, in ascending order of slots; contents stay."""
        for slot in sorted(self.store.inodes):
            inode = self.store.inodes[slot]
            if inode.lookups or inode.opens or inode.removed:
                self.journal.save(inode)
                inode.lookups = inode.opens = 0
                self.store.release(inode)

    def truncate(self, inode: Inode, size: int) -> None:
        """Set a file's size (files.truncate)."""
        files.truncate(self.store, inode, size)


def _check_replaced(moving: Inode, replaced: Inode) -> None:
    """Whether an inode may take another one's name: ENOTDIR, EISDIR, ENOTEMPTY."""
    if moving.is_directory and not replaced.is_directory:
        raise FsError(errno.ENOTDIR)
    if replaced.is_directory:
        if not moving.is_directory:
            raise FsError(errno.EISDIR)
        if replaced.entries:
            raise FsError(errno.ENOTEMPTY)


def parent_of(directory: Inode) -> Inode:
    """Where ".." leads."""
    assert directory.parent is not None
    return directory.parent


def is_within(directory: Inode, ancestor: Inode) -> bool:
    """Whether `directory` is `ancestor` or lies below it."""
    while directory is not ancestor:
        parent = parent_of(directory)
        if parent is directory:
            return False
        directory = parent
    return True
