"""PCI enumeration as a host's firmware and the virtio driver do it: identity, BARs, capabilities, MSI-X."""

from __future__ import annotations

from ctypes import LittleEndianStructure, sizeof
from dataclasses import dataclass

from virtiofs_model.layouts.pci import (
    DEVCTL_MPS_SHIFT,
    DEVCTL_MRRS_SHIFT,
    MSIX_CONTROL_ENABLE,
    MSIX_CONTROL_MASK,
    MSIX_VECTOR_MASK,
    MsixCap,
    MsixTableEntry,
    PciCapId,
    PciCommand,
    PciExpressCap,
    PciHeader,
    PciStatus,
)
from virtiofs_model.layouts.virtio import (
    VIRTIO_ID_FS,
    VIRTIO_PCI_DEVICE_ID_BASE,
    VIRTIO_PCI_VENDOR_ID,
    CfgType,
    VirtioPciCap,
    VirtioPciNotifyCap,
    offset_of,
)
from virtiofs_tb.host.port import HostPort

from .errors import DriverError

MSIX_STEP = 16
"""Bytes between the addresses of two vectors, as between those of two processors: where messages are plain memory
writes, one does not overwrite another's."""

KNOWN_TYPES = frozenset(int(kind) for kind in CfgType)

MAX_CAPABILITIES = 48
"""(256 - 64) / 4: a longer list has a loop."""


@dataclass(frozen=True)
class BarWindow:
    """Where BARs are put: below 4 GiB from `low`, 64-bit BARs from `high` when it is not None."""

    low: int = 0xE000_0000
    high: int | None = None


@dataclass(frozen=True)
class Bar:
    """A memory BAR: size and assigned address in bytes."""

    index: int
    address: int
    size: int
    is_64bit: bool
    prefetchable: bool


@dataclass(frozen=True)
class Capability:
    """One entry of the capability list; `data` are its bytes as far as its kind's structure reaches."""

    offset: int
    id: int
    data: bytes


@dataclass(frozen=True)
class VirtioStructure:
    """Where a virtio structure is: the first usable capability of its cfg_type (PCI-CAP-R02)."""

    cfg_type: int
    bar: int
    offset: int
    length: int
    capability: int
    notify_off_multiplier: int = 0


@dataclass(frozen=True)
class Identity:
    """What the header says of the function."""

    vendor_id: int
    device_id: int
    revision_id: int
    class_code: int
    subsystem_vendor_id: int
    subsystem_id: int


class RegisterBlock:
    """A virtio structure in a BAR, by the field names of its ctypes layout, in accesses of the field's width.

    64-bit fields are accessed as two 32-bit halves (PCI-LAYOUT-R01).
    """

    def __init__(self, function: PciFunction, place: VirtioStructure, layout: type[LittleEndianStructure]) -> None:
        self.place = place
        self._function = function
        self._layout = layout

    def _find(self, name: str) -> tuple[int, int]:
        field = getattr(self._layout, name)
        if field.offset + field.size > self.place.length:
            what = f"{self._layout.__name__}.{name} in a structure of {self.place.length} bytes"
            raise DriverError(what, self.place.length, field.offset + field.size, "CFG-R06")
        return self.place.offset + field.offset, field.size

    async def read(self, name: str) -> int:
        """The field's value."""
        offset, size = self._find(name)
        host, fn, bar = self._function.host, self._function.fn, self.place.bar
        if size <= 4:
            return await host.bar_read(fn, bar, offset, size)
        low = await host.bar_read(fn, bar, offset, 4)
        return low | await host.bar_read(fn, bar, offset + 4, 4) << 32

    async def write(self, name: str, value: int) -> None:
        """Hand the field's new value over; a read flushes."""
        offset, size = self._find(name)
        host, fn, bar = self._function.host, self._function.fn, self.place.bar
        if size <= 4:
            await host.bar_write(fn, bar, offset, size, value)
            return
        await host.bar_write(fn, bar, offset, 4, value & 0xFFFF_FFFF)
        await host.bar_write(fn, bar, offset + 4, 4, value >> 32)

    async def read_bytes(self, name: str) -> bytes:
        """A field that is an array of bytes, read byte by byte as Linux reads the tag."""
        offset, size = self._find(name)
        host, fn, bar = self._function.host, self._function.fn, self.place.bar
        return bytes([await host.bar_read(fn, bar, offset + at, 1) for at in range(size)])


class PciFunction:
    """An enumerated function: identity, BARs, capabilities in list order, virtio structures, MSI-X."""

    def __init__(self, host: HostPort, fn: int = 0) -> None:
        self.host = host
        self.fn = fn
        self.identity = Identity(0, 0, 0, 0, 0, 0)
        self.bars: dict[int, Bar] = {}
        self.capabilities: list[Capability] = []
        self.structures: dict[int, VirtioStructure] = {}

    async def enumerate(self, window: BarWindow | None = None) -> None:
        """Identity, BARs with addresses from `window`, capabilities; memory and bus master are enabled at the end."""
        await self._read_identity()
        await self._assign_bars(window or BarWindow())
        await self._walk_capabilities()
        self._find_virtio_structures()
        await self.enable(memory=True, bus_master=True)

    def block(self, cfg_type: CfgType, layout: type[LittleEndianStructure]) -> RegisterBlock:
        """The registers of a virtio structure. DriverError where the function has none of this type."""
        return RegisterBlock(self, self.structure(cfg_type), layout)

    def structure(self, cfg_type: CfgType) -> VirtioStructure:
        """Where a virtio structure is. DriverError where the function has none of this type."""
        place = self.structures.get(cfg_type)
        if place is None:
            raise DriverError(f"virtio capability {cfg_type.name}", "absent", "present", "PCI-DETECT-RX2")
        return place

    async def enable(self, memory: bool, bus_master: bool) -> None:
        """Set or clear Memory Space Enable and Bus Master Enable."""
        offset = offset_of(PciHeader, "command")
        command = await self.host.config_read(self.fn, offset, 2)
        command &= ~(PciCommand.MEMORY | PciCommand.BUS_MASTER)
        command |= (PciCommand.MEMORY if memory else 0) | (PciCommand.BUS_MASTER if bus_master else 0)
        await self.host.config_write(self.fn, offset, 2, command)

    async def set_payload(self, max_payload: int, max_read_request: int) -> None:
        """Max_Payload_Size and Max_Read_Request_Size, bytes (powers of two from 128 to 4096).

        max_payload is cut to what the function supports; without a PCI Express capability nothing is set.
        """
        express = self.capability(PciCapId.EXPRESS)
        if express is None:
            return
        supported = 128 << (PciExpressCap.from_buffer_copy(express.data).devcap & 7)
        size = min(max_payload, supported)
        value = (size.bit_length() - 8) << DEVCTL_MPS_SHIFT | (max_read_request.bit_length() - 8) << DEVCTL_MRRS_SHIFT
        offset = express.offset + offset_of(PciExpressCap, "devctl")
        old = await self.host.config_read(self.fn, offset, 2)
        mask = 7 << DEVCTL_MPS_SHIFT | 7 << DEVCTL_MRRS_SHIFT
        await self.host.config_write(self.fn, offset, 2, (old & ~mask) | value)

    def capability(self, kind: PciCapId) -> Capability | None:
        """The first capability of this kind."""
        return next((item for item in self.capabilities if item.id == kind), None)

    async def enable_msix(self, vectors: int) -> int:
        """Program and unmask the first `vectors` table entries, enable MSI-X; returns how many vectors there are.

        Vector v's message is data v to the host's msi_base + v x MSIX_STEP. Fewer than asked for is no error
        (PCI-MSIX-R01, PCI-MSIX-R03).
        """
        found = self.capability(PciCapId.MSIX)
        if found is None:
            return 0
        cap = MsixCap.from_buffer_copy(found.data)
        size = (cap.message_control & 0x7FF) + 1
        count: int = min(vectors, size)
        control = found.offset + offset_of(MsixCap, "message_control")
        await self.host.config_write(self.fn, control, 2, MSIX_CONTROL_ENABLE | MSIX_CONTROL_MASK)
        bar, base = cap.table & 7, cap.table & ~7
        self._check_inside(bar, base, size * sizeof(MsixTableEntry), "MSI-X table")
        for vector in range(count):
            entry = base + vector * sizeof(MsixTableEntry)
            address = self.host.msi_base + MSIX_STEP * vector
            words = (address & 0xFFFF_FFFF, address >> 32, vector, 0)
            for index, word in enumerate(words):
                await self.host.bar_write(self.fn, bar, entry + 4 * index, 4, word)
        await self.host.config_write(self.fn, control, 2, MSIX_CONTROL_ENABLE)
        return count

    async def enable_line(self, enabled: bool = True) -> None:
        """Take interrupts by INTA: MSI-X goes off, Interrupt Disable too. Not `enabled`: Interrupt Disable is set, and
        nothing else changes. DriverError where the function has no INTA."""
        pin = await self.host.config_read(self.fn, offset_of(PciHeader, "interrupt_pin"), 1)
        if pin != 1:
            raise DriverError("Interrupt Pin", pin, 1, "PCI-BUS-D01")
        if enabled and (found := self.capability(PciCapId.MSIX)) is not None:
            await self.host.config_write(self.fn, found.offset + offset_of(MsixCap, "message_control"), 2, 0)
        offset = offset_of(PciHeader, "command")
        command = await self.host.config_read(self.fn, offset, 2)
        command = command & ~PciCommand.INTX_DISABLE if enabled else command | PciCommand.INTX_DISABLE
        await self.host.config_write(self.fn, offset, 2, command)

    async def mask_vector(self, vector: int, masked: bool) -> None:
        """Set or clear the vector's mask bit, and flush."""
        found = self.capability(PciCapId.MSIX)
        if found is None:
            raise DriverError("MSI-X capability", "absent", "present")
        table = MsixCap.from_buffer_copy(found.data).table
        entry = (table & ~7) + vector * sizeof(MsixTableEntry) + offset_of(MsixTableEntry, "vector_control")
        await self.host.bar_write(self.fn, table & 7, entry, 4, MSIX_VECTOR_MASK if masked else 0)
        await self.host.bar_read(self.fn, table & 7, entry, 4)

    async def _read_identity(self) -> None:
        async def field(name: str) -> int:
            at = getattr(PciHeader, name)
            return await self.host.config_read(self.fn, at.offset, at.size)

        class_code = await field("base_class") << 16 | await field("sub_class") << 8 | await field("prog_if")
        self.identity = Identity(
            await field("vendor_id"),
            await field("device_id"),
            await field("revision_id"),
            class_code,
            await field("subsystem_vendor_id"),
            await field("subsystem_id"),
        )
        if self.identity.vendor_id != VIRTIO_PCI_VENDOR_ID:
            raise DriverError("PCI Vendor ID", self.identity.vendor_id, VIRTIO_PCI_VENDOR_ID, "PCI-DISC-D01")
        device = VIRTIO_PCI_DEVICE_ID_BASE + VIRTIO_ID_FS
        if self.identity.device_id != device:
            raise DriverError("PCI Device ID", self.identity.device_id, device, "PCI-DISC-D02")
        header_type = await field("header_type")
        if header_type & 0x7F:
            raise DriverError("PCI Header Type", header_type, 0, "PCI-BUS-D01")

    async def _assign_bars(self, window: BarWindow) -> None:
        await self.enable(memory=False, bus_master=False)
        low, high = window.low, window.high
        index = 0
        while index < 6:
            bar, index = await self._size_bar(index)
            if bar is None:
                continue
            if bar.is_64bit and high is not None:
                address = (high + bar.size - 1) & ~(bar.size - 1)
                high = address + bar.size
            else:
                address = (low + bar.size - 1) & ~(bar.size - 1)
                low = address + bar.size
            bar = Bar(bar.index, address, bar.size, bar.is_64bit, bar.prefetchable)
            await self._write_bar(bar.index, address & 0xFFFF_FFFF)
            if bar.is_64bit:
                await self._write_bar(bar.index + 1, address >> 32)
            self.bars[bar.index] = bar

    async def _size_bar(self, index: int) -> tuple[Bar | None, int]:
        """The BAR at `index`, without address (None: not there, or I/O), and the index of the next one."""
        await self._write_bar(index, 0xFFFF_FFFF)
        seen = await self._read_bar(index)
        if seen == 0 or seen & 1:
            await self._write_bar(index, 0)
            return None, index + 1
        is_64bit = seen & 6 == 4
        mask = seen & ~0xF | 0xFFFF_FFFF_0000_0000
        if is_64bit:
            if index == 5:
                raise DriverError("BAR5 type", seen & 0xF, "no 64-bit BAR in the last register", "PCI-BUS-D01")
            await self._write_bar(index + 1, 0xFFFF_FFFF)
            mask = seen & ~0xF | await self._read_bar(index + 1) << 32
        size = (~mask & 0xFFFF_FFFF_FFFF_FFFF) + 1
        if size & (size - 1):
            raise DriverError(f"BAR{index} size mask", mask, "ones above a power of two", "PCI-BUS-D01")
        return Bar(index, 0, size, is_64bit, bool(seen & 8)), index + (2 if is_64bit else 1)

    async def _read_bar(self, index: int) -> int:
        return await self.host.config_read(self.fn, offset_of(PciHeader, "bar") + 4 * index, 4)

    async def _write_bar(self, index: int, value: int) -> None:
        await self.host.config_write(self.fn, offset_of(PciHeader, "bar") + 4 * index, 4, value)

    async def _walk_capabilities(self) -> None:
        status = await self.host.config_read(self.fn, offset_of(PciHeader, "status"), 2)
        if not status & PciStatus.CAP_LIST:
            raise DriverError("PCI Status Capabilities List", 0, 1, "PCI-DETECT-RX2")
        seen: set[int] = set()
        offset = await self.host.config_read(self.fn, offset_of(PciHeader, "capability_list"), 1) & ~3
        while offset:
            if offset in seen or offset < sizeof(PciHeader) or len(seen) >= MAX_CAPABILITIES:
                raise DriverError("capability list pointer", offset, "a new capability above 0x3F", "PCI-BUS-D01")
            seen.add(offset)
            head = await self.host.config_read(self.fn, offset, 4)
            size = self._capability_size(head)
            words = [head]
            for at in range(offset + 4, offset + size, 4):
                words.append(await self.host.config_read(self.fn, at, 4))
            data = b"".join(word.to_bytes(4, "little") for word in words)[:size]
            self.capabilities.append(Capability(offset, head & 0xFF, data))
            offset = (head >> 8) & 0xFC

    @staticmethod
    def _capability_size(head: int) -> int:
        """Bytes to read. The PCI_CFG window's data is left alone: reading it would access a BAR."""
        kind = head & 0xFF
        if kind == PciCapId.VENDOR:
            return sizeof(VirtioPciNotifyCap) if head >> 24 == CfgType.NOTIFY_CFG else sizeof(VirtioPciCap)
        return {int(PciCapId.MSIX): sizeof(MsixCap), int(PciCapId.EXPRESS): sizeof(PciExpressCap)}.get(kind, 4)

    def _find_virtio_structures(self) -> None:
        for item in self.capabilities:
            if item.id != PciCapId.VENDOR:
                continue
            cap = VirtioPciCap.from_buffer_copy(item.data)
            if cap.cfg_type not in KNOWN_TYPES or cap.cfg_type in self.structures or cap.bar > 5:
                continue  # PCI-CAP-R01, PCI-CAP-R02, PCI-CAP-R04
            if cap.cap_len < sizeof(VirtioPciCap):
                raise DriverError("virtio_pci_cap.cap_len", cap.cap_len, sizeof(VirtioPciCap), "PCI-CAP-D01")
            multiplier = 0
            if cap.cfg_type == CfgType.NOTIFY_CFG:
                multiplier = VirtioPciNotifyCap.from_buffer_copy(item.data).notify_off_multiplier
            if cap.cfg_type in (CfgType.COMMON_CFG, CfgType.NOTIFY_CFG, CfgType.ISR_CFG, CfgType.DEVICE_CFG):
                self._check_inside(cap.bar, cap.offset, cap.length, CfgType(cap.cfg_type).name)
            place = VirtioStructure(cap.cfg_type, cap.bar, cap.offset, cap.length, item.offset, multiplier)
            self.structures[cap.cfg_type] = place

    def _check_inside(self, bar: int, offset: int, length: int, what: str) -> None:
        size = self.bars[bar].size if bar in self.bars else 0
        if offset + length > size:
            raise DriverError(f"{what} in BAR{bar}", offset + length, f"at most {size} bytes", "PCI-BUS-D01")
