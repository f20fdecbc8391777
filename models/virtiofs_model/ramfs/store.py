"""The tables that all files share: inode slots, places for names, pages, and who holds them.

Free slots are queues (docs/file-system.md, "Identity"), so which number comes next follows from what happened before.
"""

from __future__ import annotations

import errno
from collections import deque
from dataclasses import dataclass, field

from virtiofs_model.ramfs.inode import ROOT_SLOT, ZERO_PAGE, Entry, FsError, Inode, Limits, Time, cells_of
from virtiofs_model.ramfs.journal import Journal


@dataclass
class Counters:
    """free_pages, free_cells: what is left; sequence: of the newest name; now: the DPU's clock."""

    free_pages: int
    free_cells: int
    sequence: int = 0
    now: Time = field(default_factory=Time)


class Store:
    """Gives out slots, names and pages and takes them back. ENOSPC where none is left."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.journal = Journal()
        self.counters = Counters(limits.pages, limits.name_cells - 1)
        self.inodes: dict[int, Inode] = {}  # by slot
        self.free_slots = deque(range(ROOT_SLOT + 1, limits.inodes))
        self.free_entries = deque(range(1, limits.entry_slots))
        self._generations: dict[int, int] = {}

    @property
    def now(self) -> Time:
        """What a file time that moves now becomes."""
        return self.counters.now

    # ---- inodes ----

    def get(self, nodeid: int) -> Inode:
        """The inode of `nodeid`. ESTALE for an id of another generation or of a free slot."""
        inode = self.inodes.get(nodeid & 0xFFFF_FFFF)
        if inode is None or inode.nodeid != nodeid:
            raise FsError(errno.ESTALE)
        return inode

    def new_inode(self, mode: int, uid: int, gid: int, rdev: int = 0) -> Inode:
        """An inode without a name, in the slot that was free longest."""
        if not self.free_slots:
            raise FsError(errno.ENOSPC)
        slot = self.journal.take(self.free_slots)
        generation = self._generations.get(slot, -1) + 1
        self.journal.put(self._generations, slot, generation)
        now = self.now
        inode = Inode(slot, generation & 0xFFFF_FFFF, mode, uid, gid, rdev, atime=now, mtime=now, ctime=now)
        self.journal.put(self.inodes, slot, inode)
        return inode

    def release(self, inode: Inode) -> None:
        """Bury the inode if nothing holds it: no name, no lookup, no open file."""
        if inode.slot == ROOT_SLOT or inode.nlink or inode.lookups or inode.opens:
            return
        if self.inodes.get(inode.slot) is not inode:
            return
        self.journal.remove(self.inodes, inode.slot)
        self.drop_pages(inode, list(inode.pages))
        self.journal.give(self.free_slots, inode.slot)

    # ---- names ----

    def room_for_name(self, name: bytes) -> None:
        """ENOSPC where a name as long as this one has no place."""
        if not self.free_entries or cells_of(name) > self.counters.free_cells:
            raise FsError(errno.ENOSPC)

    def new_entry(self, directory: Inode, name: bytes, inode: Inode) -> None:
        """A name at the end of the directory's listing."""
        self.room_for_name(name)
        counters = self.counters
        self.journal.save(counters)
        counters.sequence += 1
        counters.free_cells -= cells_of(name)
        entry = Entry(name, self.journal.take(self.free_entries), counters.sequence, inode)
        self.journal.put(directory.entries, name, entry)

    def drop_entry(self, directory: Inode, name: bytes) -> None:
        """The name goes; its place is the last of the queue."""
        entry = self.journal.remove(directory.entries, name)
        self.journal.give(self.free_entries, entry.slot)
        self.journal.save(self.counters)
        self.counters.free_cells += entry.cells

    # ---- pages ----

    def reserve(self, inode: Inode, first: int, beyond: int) -> None:
        """The inode owns all pages in [first, beyond); new ones are zero. All or nothing: ENOSPC."""
        wanted = beyond - first
        if wanted > len(inode.pages) + self.counters.free_pages:
            raise FsError(errno.ENOSPC)  # without counting up to 2^28 pages
        missing = [index for index in range(first, beyond) if index not in inode.pages]
        if len(missing) > self.counters.free_pages:
            raise FsError(errno.ENOSPC)
        if not missing:
            return
        self.journal.save(self.counters)
        self.counters.free_pages -= len(missing)
        for index in missing:
            self.journal.put(inode.pages, index, ZERO_PAGE)

    def drop_pages(self, inode: Inode, indexes: list[int]) -> None:
        """These pages of the inode go."""
        if not indexes:
            return
        for index in indexes:
            self.journal.remove(inode.pages, index)
        self.journal.save(self.counters)
        self.counters.free_pages += len(indexes)
