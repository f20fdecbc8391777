"""Host memory: shared mappings below and above 4 GiB, an allocator, and a memory of what it was a moment ago.

A device's read is no snapshot: between request and completion each aligned 16-byte block is sampled at a moment of
its own. The mappings hold the newest state; a journal of recent stores lets `sample` undo those that came later than
a block's moment. The journal is kept only while a read is in flight or a store lies in the future, so it costs
nothing otherwise.
"""

from __future__ import annotations

import mmap
import os
import random
import tempfile
import weakref
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable

from virtiofs_tb.host.io_map import IoMap

LOW_BASE = 0x1000_0000
HIGH_BASE = 0x12_4000_0000
DEFAULT_SIZE = 64 << 20

BLOCK = 16  # a read sees an aligned block of so many bytes as a whole
_PAGE_SHIFT = 12
_JOURNAL_LIMIT = 512
_UNUSED = random.Random(0)  # where a draw cannot matter


class MemoryAccessError(Exception):
    """An access outside of host memory; the message names the address range."""


class Region:
    """A shared mapping. fd: file descriptor that another process or C code can map at the same offsets.

    shared: a file of another process, whose bytes from `offset` (of a page) on are to be the region's; it is
    duplicated. Raises ValueError or OSError where they cannot be mapped.
    """

    def __init__(self, base: int, size: int, shared: int | None = None, offset: int = 0) -> None:
        self.base = base
        self.size = size
        self.end = base + size
        self.fd = _anonymous_file(f"host-memory-{base:x}") if shared is None else os.dup(shared)
        self._close_file = weakref.finalize(self, os.close, self.fd)
        if shared is None:
            os.ftruncate(self.fd, size)  # sparse: a page exists once it is written
        elif os.fstat(self.fd).st_size < offset + size:
            raise ValueError(f"the file ends before {offset} + {size} bytes")
        self.map = mmap.mmap(self.fd, size, offset=offset)

    def close(self) -> None:
        self.map.close()
        self._close_file()


class Allocator:
    """First fit over one region; freed ranges merge with their neighbours."""

    def __init__(self, start: int, end: int) -> None:
        self._free = [(start, end)]
        self._sizes: dict[int, int] = {}

    def allocate(self, size: int, align: int) -> int | None:
        for index, (start, end) in enumerate(self._free):
            address = -(-start // align) * align
            if address + size <= end:
                pieces = [(start, address), (address + size, end)]
                self._free[index : index + 1] = [piece for piece in pieces if piece[0] < piece[1]]
                self._sizes[address] = size
                return address
        return None

    def free(self, address: int) -> int:
        """Give a range back; returns its size. Raises KeyError where none begins at `address`."""
        size = self._sizes.pop(address)
        start, end = address, address + size
        index = bisect_left(self._free, (start, end))
        if index < len(self._free) and self._free[index][0] == end:
            end = self._free.pop(index)[1]
        if index and self._free[index - 1][1] == start:
            start = self._free.pop(index - 1)[0]
        insort(self._free, (start, end))
        return size

    def used(self) -> int:
        """Bytes that are allocated."""
        return sum(self._sizes.values())


class _Entry:
    """A store: when it became visible and what it replaced."""

    __slots__ = ("address", "end", "old", "t_ps")

    def __init__(self, t_ps: int, address: int, old: bytes) -> None:
        self.t_ps = t_ps
        self.address = address
        self.end = address + len(old)
        self.old = old


class Watch:
    """What `HostMemory.watch` returns; `cancel` ends it."""

    __slots__ = ("_memory", "address", "callback", "end")

    def __init__(self, memory: HostMemory, address: int, size: int, callback: Callable[[], None]) -> None:
        self._memory = memory
        self.address = address
        self.end = address + size
        self.callback = callback

    def cancel(self) -> None:
        self._memory._unwatch(self)


class HostMemory:
    """Memory as driver, root port and other processes see it (host/port.py: HostMemory is the driver's part).

    clock: the simulated time in ps, for stores that take effect now. translates: it can put a map between the device
    and itself; io_map: the one in force, None while the device's addresses are those of memory.
    """

    def __init__(
        self,
        clock: Callable[[], int],
        low_size: int = DEFAULT_SIZE,
        high_size: int = DEFAULT_SIZE,
        translates: bool = True,
    ) -> None:
        self._clock = clock
        self._translates = translates
        self.io_map: IoMap | None = None
        self.low = Region(LOW_BASE, low_size)
        self.high = Region(HIGH_BASE, high_size)
        self._low_arena = Allocator(self.low.base, self.low.end)
        self._high_arena = Allocator(self.high.base, self.high.end)
        self._journal: deque[_Entry] = deque()
        self._journal_pages: dict[int, list[_Entry]] = {}
        self._newest_ps = 0  # latest time in the journal
        self._holds: dict[int, int] = {}
        self._hold_count = 0
        self._watches: dict[int, list[Watch]] = {}

    @property
    def regions(self) -> tuple[Region, Region]:
        return self.low, self.high

    def close(self) -> None:
        for region in self.regions:
            region.close()

    def share(self, base: int, size: int, fd: int, offset: int) -> None:
        """Memory of another process takes the place of the low region, and nothing can be allocated there.

        The other process stores as it likes: its stores are not in the journal and wake no watch. Raises like Region,
        and ValueError where the range reaches into the high region.
        """
        if base + size > self.high.base:
            raise ValueError(f"0x{base:x}..0x{base + size:x} overlaps what lies from 0x{self.high.base:x} on")
        old, self.low = self.low, Region(base, size, fd, offset)
        old.close()
        self._low_arena = Allocator(base, base)

    def translate(self, on: bool) -> IoMap | None:
        """A new map for the device's addresses, or none; None too where a peer has them translated elsewhere."""
        self.io_map = IoMap() if on and self._translates else None
        return self.io_map

    # ---- loads and stores ----

    def mapped(self, address: int, size: int) -> bool:
        """Whether all of [address, address + size) is memory."""
        low, high = self.low, self.high
        return (low.base <= address and address + size <= low.end) or (
            high.base <= address and address + size <= high.end
        )

    def read(self, address: int, size: int) -> bytes:
        """The newest bytes."""
        region = self._region(address, size)
        offset = address - region.base
        return region.map[offset : offset + size]

    def write(self, address: int, data: bytes) -> None:
        """A store of the driver that takes effect now."""
        self.write_at(address, data, self._clock())

    def write_at(self, address: int, data: bytes, t_ps: int) -> None:
        """A store that device reads see from `t_ps` on, now or a little in the future; `read` sees it at once.

        Stores to the same bytes are given in the order of their times.
        """
        size = len(data)
        region = self._region(address, size)
        offset = address - region.base
        mapping = region.map
        if size and (self._holds or t_ps > self._clock()):
            self._remember(_Entry(t_ps, address, mapping[offset : offset + size]))
        mapping[offset : offset + size] = data
        if self._watches:
            self._notify(address, address + size)

    # ---- reads that take time ----

    def hold(self, begin_ps: int) -> int:
        """Keep what is needed to sample at `begin_ps` and later; pass the result to `release`."""
        self._hold_count += 1
        self._holds[self._hold_count] = begin_ps
        return self._hold_count

    def release(self, token: int) -> None:
        del self._holds[token]
        if self._journal:
            self._prune()

    def sample(self, address: int, size: int, begin_ps: int, end_ps: int, rng: random.Random) -> bytes:
        """The bytes as a read in flight from `begin_ps` to `end_ps` finds them, `end_ps` being now.

        Each aligned 16-byte block is taken at its own moment drawn from `rng`.
        """
        data = self.read(address, size)
        if not self._journal:
            return data
        end = address + size
        pages = self._journal_pages
        later: list[_Entry] = []
        for page in range(address >> _PAGE_SHIFT, (end - 1 >> _PAGE_SHIFT) + 1):
            for entry in pages.get(page, ()):
                if entry.t_ps > begin_ps and entry.address < end and address < entry.end:
                    later.append(entry)
        if not later:
            return data
        result = bytearray(data)
        later.reverse()
        span = end_ps - begin_ps
        for block in range(address & -BLOCK, end, BLOCK):
            moment = begin_ps + rng.random() * span
            low, high = max(block, address), min(block + BLOCK, end)
            for entry in later:
                if entry.t_ps > moment and entry.address < high and low < entry.end:
                    first, last = max(low, entry.address), min(high, entry.end)
                    result[first - address : last - address] = entry.old[first - entry.address : last - entry.address]
        return bytes(result)

    def at(self, address: int, size: int, t_ps: int) -> bytes:
        """The bytes as they are for the device at `t_ps`: now, or a time that is held."""
        return self.sample(address, size, t_ps, t_ps, _UNUSED)

    # ---- notification ----

    def watch(self, address: int, size: int, callback: Callable[[], None]) -> Watch:
        """Call `callback` after each store that touches [address, address + size)."""
        watch = Watch(self, address, size, callback)
        for page in _pages(address, address + size):
            self._watches.setdefault(page, []).append(watch)
        return watch

    # ---- allocation ----

    def allocate(self, size: int, align: int = 16, high: bool = False) -> int:
        """Reserve `size` bytes, zeroed, above 4 GiB if `high`. Raises MemoryError when the arena is full."""
        if size <= 0 or align <= 0:
            raise ValueError(f"allocate: size {size} and align {align} must be positive")
        arena = self._high_arena if high else self._low_arena
        address = arena.allocate(size, align)
        if address is None:
            place = "above" if high else "below"
            raise MemoryError(f"no room for {size} bytes {place} 4 GiB: {arena.used()} bytes are allocated")
        self.write(address, bytes(size))
        return address

    def free(self, address: int) -> None:
        """Give back what `allocate` returned. Raises MemoryAccessError for any other address."""
        arena = self._high_arena if address >= self.high.base else self._low_arena
        try:
            arena.free(address)
        except KeyError:
            raise MemoryAccessError(f"free of 0x{address:x}, where no allocation begins") from None

    # ---- inside ----

    def _region(self, address: int, size: int) -> Region:
        end = address + size
        for region in (self.low, self.high):
            if region.base <= address and end <= region.end:
                return region
        raise MemoryAccessError(f"0x{address:x}..0x{end:x} is not in host memory")

    def _remember(self, entry: _Entry) -> None:
        self._journal.append(entry)
        self._newest_ps = max(self._newest_ps, entry.t_ps)
        for page in _pages(entry.address, entry.end):
            self._journal_pages.setdefault(page, []).append(entry)
        if len(self._journal) > _JOURNAL_LIMIT:
            self._prune()

    def _prune(self) -> None:
        """Forget stores that no read in flight, and none to come, can have missed."""
        horizon = self._clock()
        if self._holds:
            if len(self._journal) <= _JOURNAL_LIMIT:
                return
            horizon = min(horizon, next(iter(self._holds.values())))  # reads begin in the order of their times
        elif self._newest_ps <= horizon:
            self._journal.clear()
            self._journal_pages.clear()
            return
        while self._journal and self._journal[0].t_ps <= horizon:
            entry = self._journal.popleft()
            for page in _pages(entry.address, entry.end):
                entries = self._journal_pages[page]
                entries.remove(entry)  # it is the first
                if not entries:
                    del self._journal_pages[page]

    def _notify(self, address: int, end: int) -> None:
        hit: dict[Watch, None] = {}
        for page in _pages(address, end):
            for watch in self._watches.get(page, ()):
                if watch.address < end and address < watch.end:
                    hit[watch] = None
        for watch in hit:
            watch.callback()

    def _unwatch(self, watch: Watch) -> None:
        for page in _pages(watch.address, watch.end):
            watches = self._watches.get(page, [])
            if watch in watches:
                watches.remove(watch)
                if not watches:
                    del self._watches[page]


def _pages(address: int, end: int) -> range:
    return range(address >> _PAGE_SHIFT, (end - 1 >> _PAGE_SHIFT) + 1)


def _anonymous_file(name: str) -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create(name)
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
