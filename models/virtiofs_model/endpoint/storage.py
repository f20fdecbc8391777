"""The DPU's memory behind the mover."""

from __future__ import annotations


class Storage:
    """Sparse memory; any byte address."""

    PAGE = 65536

    def __init__(self) -> None:
        self._pages: dict[int, bytearray] = {}

    def read(self, address: int, size: int) -> bytes:
        """Bytes at `address`; what was never written reads 0."""
        result = bytearray()
        while size > 0:
            page, at = divmod(address, self.PAGE)
            count = min(size, self.PAGE - at)
            result += self._pages[page][at : at + count] if page in self._pages else bytes(count)
            address += count
            size -= count
        return bytes(result)

    def write(self, address: int, data: bytes) -> None:
        """Store bytes at `address`."""
        offset = 0
        while offset < len(data):
            page, at = divmod(address + offset, self.PAGE)
            count = min(len(data) - offset, self.PAGE - at)
            self._pages.setdefault(page, bytearray(self.PAGE))[at : at + count] = data[offset : offset + count]
            offset += count
