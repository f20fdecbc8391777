"""Addresses that the driver gives to the device: physical ones, or those of a map of its own (ACCESS_PLATFORM)."""

from __future__ import annotations

from virtiofs_tb.host.port import Access, HostMemory, IoSpace


class DmaMapper:
    """Turns ranges of host memory into addresses for one device, and takes them back.

    space: the I/O virtual addresses that are in force, None where the device sees physical addresses (RSVD-R05).
    """

    def __init__(self, space: IoSpace | None = None) -> None:
        self.space = space

    def map(self, address: int, size: int, access: Access) -> int:
        """The device's address of [address, address + size) in host memory; `access` is what it may do there."""
        return address if self.space is None else self.space.map(address, max(size, 1), access)

    def unmap(self, bus_address: int) -> None:
        """Take back what `map` gave."""
        if self.space is not None:
            self.space.unmap(bus_address)


class DmaArea:
    """Memory that driver and device share for long: allocated, zeroed and mapped. address: of the driver; bus: of the
    device."""

    def __init__(
        self, memory: HostMemory, dma: DmaMapper, size: int, align: int, high: bool, access: Access = Access.READ
    ) -> None:
        self._memory = memory
        self._dma = dma
        self.size = size
        self.address = memory.allocate(size, align, high)
        self.bus = dma.map(self.address, size, access)

    def free(self) -> None:
        """Give both back."""
        self._dma.unmap(self.bus)
        self._memory.free(self.address)
