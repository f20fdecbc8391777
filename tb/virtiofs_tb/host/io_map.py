"""I/O virtual addresses: what stands between a device and host memory where ACCESS_PLATFORM was negotiated.

Pages of 4 KiB, as an IOMMU has them. Every mapping gets pages of its own, with one behind it that leads nowhere, below
and above 4 GiB in turn; addresses come again only when all others were used, so that one that is out of date is seen.
"""

from __future__ import annotations

from dataclasses import dataclass

from virtiofs_tb.host.port import Access

PAGE = 4096
LOW_WINDOW = range(0x4000_0000, 0xC000_0000)
HIGH_WINDOW = range(0x7F_0000_0000, 0x8F_0000_0000)
"""Where no memory, BAR or message address lies."""


@dataclass(frozen=True)
class _Mapping:
    """pages: how many from `first` on."""

    first: int
    pages: int


class _Window:
    """Hands out page numbers, round and round."""

    def __init__(self, addresses: range) -> None:
        self._first, self._end = addresses.start // PAGE, addresses.stop // PAGE
        self._next = self._first

    def take(self, pages: int, taken: dict[int, tuple[int, Access]]) -> int:
        """The first of so many neighbours that are free, the one behind them too."""
        begin = self._next
        for _ in range(2):
            while begin + pages < self._end:
                busy = next((page for page in range(begin + pages, begin - 1, -1) if page in taken), None)
                if busy is None:
                    self._next = begin + pages + 1
                    return begin
                begin = busy + 1
            begin = self._first
        raise MemoryError(f"no room for {pages} pages of I/O virtual addresses: {len(taken)} are in use")


class IoMap:
    """One device's map. refused: accesses of what was revoked."""

    def __init__(self) -> None:
        self.refused = 0
        self._windows = (_Window(LOW_WINDOW), _Window(HIGH_WINDOW))
        self._turn = 0
        self._pages: dict[int, tuple[int, Access]] = {}  # page number: memory's, what is allowed
        self._mappings: dict[int, _Mapping] = {}
        self._revoked: set[int] = set()

    def map(self, address: int, size: int, access: Access) -> int:
        """Make [address, address + size) of memory reachable; returns its I/O virtual address."""
        first, last = address // PAGE, (address + size - 1) // PAGE
        self._turn ^= 1
        start = self._windows[self._turn].take(last - first + 1, self._pages)
        for at in range(last - first + 1):
            self._pages[start + at] = first + at, access
            self._revoked.discard(start + at)
        io_address = start * PAGE + address % PAGE
        self._mappings[io_address] = _Mapping(start, last - first + 1)
        return io_address

    def unmap(self, io_address: int) -> None:
        """Take back what `map` gave. Raises ValueError for any other address; what was revoked is gone already."""
        mapping = self._mappings.pop(io_address, None)
        if mapping is None:
            raise ValueError(f"unmap of 0x{io_address:x}, where nothing is mapped")
        for page in range(mapping.first, mapping.first + mapping.pages):
            self._pages.pop(page, None)

    def revoke(self, io_address: int) -> None:
        """Let accesses be refused from now on, without a violation: a driver's mistake, made on purpose."""
        mapping = self._mappings[io_address]
        for page in range(mapping.first, mapping.first + mapping.pages):
            self._pages.pop(page, None)
            self._revoked.add(page)

    def expected(self, io_address: int) -> bool:
        """Whether an access there is refused on purpose; counts it."""
        revoked = io_address // PAGE in self._revoked
        self.refused += revoked
        return revoked

    def translate(self, io_address: int, size: int, access: Access) -> int | None:
        """The address in memory of an access within one page; None where the device may not do this."""
        found = self._pages.get(io_address // PAGE)
        if found is None or access not in found[1] or io_address % PAGE + size > PAGE:
            return None
        return found[0] * PAGE + io_address % PAGE
