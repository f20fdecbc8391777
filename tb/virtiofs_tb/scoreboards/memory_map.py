"""Known host memory: which bytes belong to which ring or buffer, and which of them are known."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from virtiofs_tb.scoreboards.ring_state import Chain, Queue

DESC, AVAIL, USED, READABLE, WRITABLE, TABLE = range(6)
"""What memory is for: the descriptor, driver and device areas of a queue, and what belongs to a chain."""

KIND_NAMES = ("descriptor table", "available ring", "used ring", "readable part", "writable part", "indirect table")
PACKED_NAMES = ("descriptor ring", "driver event suppression", "device event suppression", *KIND_NAMES[3:])

_PAGE = 12


class Region:
    """Bytes [start, end) of one kind. offset: where it begins in the chain's readable or writable part."""

    __slots__ = ("chain", "end", "kind", "offset", "queue", "start")

    def __init__(self, start: int, end: int, kind: int, queue: Queue, chain: Chain | None = None, offset: int = 0):
        self.start = start
        self.end = end
        self.kind = kind
        self.queue = queue
        self.chain = chain
        self.offset = offset

    def __str__(self) -> str:
        owner = f" of chain {self.chain.head}" if self.chain is not None else ""
        names = PACKED_NAMES if self.queue.packed else KIND_NAMES
        return f"{names[self.kind]}{owner} of queue {self.queue.index} at {self.start:#x}..{self.end:#x}"


_NONE: tuple[list[int], list[Region]] = [], []


class AddressMap:
    """Regions by 4 KiB page; one DMA packet never crosses a page."""

    def __init__(self) -> None:
        self._pages: dict[int, tuple[list[int], list[Region]]] = {}  # starts, ascending, and regions
        self._overlap = False

    def clear(self) -> None:
        self._pages.clear()
        self._overlap = False

    def add(self, region: Region) -> None:
        start, end = region.start, region.end
        for page in range(start >> _PAGE, (end - 1 >> _PAGE) + 1):
            known = self._pages.get(page)
            if known is None:
                self._pages[page] = [start], [region]
                continue
            starts, regions = known
            at = bisect_right(starts, start)
            if (at and regions[at - 1].end > start) or (at < len(regions) and regions[at].start < end):
                self._overlap = True  # legal for readable parts: one buffer in two chains
            starts.insert(at, start)
            regions.insert(at, region)

    def remove(self, region: Region) -> None:
        for page in range(region.start >> _PAGE, (region.end - 1 >> _PAGE) + 1):
            starts, regions = self._pages.get(page, _NONE)
            if region in regions:
                at = regions.index(region)
                del starts[at], regions[at]
                if not regions:
                    del self._pages[page]

    def find(self, start: int, end: int, slack: int = 0) -> list[Region]:
        """The regions that [start, end) lies in, all of those that it touches; empty where a byte belongs to none.

        slack: a region reaches to the next multiple of this many bytes on both sides (0: not at all).
        """
        known = self._pages.get(start >> _PAGE)
        if known is None:
            return []
        starts, regions = known
        if not self._overlap:
            at = bisect_right(starts, start)
            if at:
                region = regions[at - 1]
                if end <= region.end:
                    return [region]
        touched = [region for region in regions if region.start < end and start < region.end]
        return touched if touched and _covers(touched, start, end, slack) else []

    def nearest(self, start: int) -> Region | None:
        """The region in the page of `start` that begins last before it, for a message."""
        before = [region for region in self._pages.get(start >> _PAGE, _NONE)[1] if region.start <= start]
        return before[-1] if before else None


def _covers(regions: list[Region], start: int, end: int, slack: int) -> bool:
    """Whether the union of the regions (ascending by start), widened by `slack`, holds every byte of [start, end)."""
    mask = slack - 1 if slack else 0
    for region in regions:
        if region.start & ~mask > start:
            return False
        start = max(start, (region.end + mask) & ~mask)
        if start >= end:
            return True
    return False


_ONES = b"\1" * 4096


class ByteStore:
    """Bytes of a part of a chain as far as they are known. Grows on demand; in-order growth costs one append."""

    __slots__ = ("_known", "data")

    def __init__(self) -> None:
        self.data = bytearray()
        self._known: bytearray | None = None  # None: all of `data` is known

    def put(self, offset: int, data: bytes) -> None:
        known = self._known
        have = len(self.data)
        if known is None:
            if offset == have:
                self.data += data
                return
            if offset + len(data) <= have:
                self.data[offset : offset + len(data)] = data
                return
            known = self._known = bytearray(b"\1" * have)
        end = offset + len(data)
        if end > have:
            self.data += bytes(end - have)
            known += bytes(end - have)
        self.data[offset:end] = data
        size = end - offset
        known[offset:end] = _ONES[:size] if size <= 4096 else b"\1" * size

    def covers(self, start: int, end: int) -> bool:
        """Whether every byte of [start, end) is known."""
        if start >= end:
            return True
        if end > len(self.data):
            return False
        return self._known is None or self._known.find(0, start, end) < 0

    def known_within(self, start: int, end: int) -> bool:
        """Whether a byte of [start, end) is known."""
        end = min(end, len(self.data))
        return start < end and (self._known is None or self._known.find(1, start, end) >= 0)

    def first_unknown(self, start: int, end: int) -> int:
        """Offset of the first byte of [start, end) that is not known; end when there is none."""
        if self._known is not None:
            at = self._known.find(0, start, min(end, len(self.data)))
            if at >= 0:
                return at
        return min(max(start, len(self.data)), end)

    def known_beyond(self, end: int) -> bool:
        """Whether a byte at `end` or after it is known."""
        if len(self.data) <= end:
            return False
        return self._known is None or self._known.find(1, end) >= 0
