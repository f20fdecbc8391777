"""What the function says about itself over PCI, as far as the driver was seen to ask.

Nothing here comes from a model: capabilities, BAR sizes, queue sizes and features are those that were read; addresses,
vectors and enables are those that were written. A bit that was written may take effect from the request on and must
from the completion on, so each permission is kept in its lenient reading (`may_`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from struct import Struct

from virtiofs_model.layouts.pci import (
    DEVCTL_MPS_SHIFT,
    DEVCTL_MRRS_SHIFT,
    MSIX_CONTROL_ENABLE,
    MSIX_CONTROL_MASK,
    PciCapId,
    PciCommand,
)
from virtiofs_model.layouts.virtio import VIRTIO_MSI_NO_VECTOR, CfgType, DeviceStatus, Feature

_CAP = Struct("<BBBBBB2xII")
_U32 = Struct("<I")

NOTIFY_CAP_LENGTH = 20
LENGTHS = {int(PciCapId.VENDOR): 16, int(PciCapId.MSIX): 12}
"""Bytes of a capability that say something of the BARs."""

DRIVER_OK = int(DeviceStatus.DRIVER_OK)

COMMAND = 0x04
BAR0 = 0x10
INTERRUPT_PIN = 0x3D
CAP_POINTER = 0x34

REGION_NAMES = {
    CfgType.COMMON_CFG: "common",
    CfgType.NOTIFY_CFG: "notify",
    CfgType.ISR_CFG: "isr",
    CfgType.DEVICE_CFG: "device",
}


@dataclass(slots=True)
class Capability:
    """One capability of the list: id, where it stands, its bytes. known: 1 for each byte that was read, else 0."""

    cap_id: int
    offset: int
    data: bytes
    known: bytes

    def knows(self, first: int, size: int = 1) -> bool:
        """Whether the driver has read all these bytes of it: no driver need read the whole capability."""
        return self.known[first : first + size] == b"\1" * size


@dataclass(slots=True)
class Structure:
    """A piece of a BAR with a meaning. multiplier: notify_off_multiplier of a notify structure."""

    name: str
    bar: int
    offset: int
    length: int
    multiplier: int = 0


@dataclass(slots=True)
class Vector:
    """An MSI-X table entry as written. masked is 1 after reset."""

    address: int = 0
    data: int = 0
    masked: bool = True
    raw: bytearray = field(default_factory=lambda: bytearray(b"\0" * 12 + b"\1\0\0\0"))


class PciView:
    """Configuration space of function 0 and the structures behind its BARs."""

    def __init__(self) -> None:
        self.config = bytearray(4096)
        self._known = bytearray(4096)
        self.capabilities: list[Capability] = []
        self.walk_end = False  # the list was followed to its end
        self.structures: list[Structure] = []
        self.device_id = 0  # requester id, captured from configuration writes
        self.may_master = False
        self.may_memory = False
        self.may_msix = False
        self.msix_masked = False
        self.pci_cfg = 0
        self.max_payload = 128
        self.max_read = 512
        self.express = 0
        self.msix = 0
        self.vectors: list[Vector] = []
        self.by_message: dict[tuple[int, int], tuple[int, ...]] = {}
        self.message_addresses: set[int] = set()
        self._bar_masks = [0] * 6
        self._bar_values = [0] * 6
        self._bar_64 = [False] * 6
        self._windows: list[tuple[int, int, int]] = []

    @property
    def interrupt_pin(self) -> int | None:
        """Interrupt Pin (1: INTA, 0: none), where the driver has read it."""
        return self.config[INTERRUPT_PIN] if self._known[INTERRUPT_PIN] else None

    # ---- configuration requests ----

    def config_requested(self, offset: int, be: int, value: int) -> None:
        """A configuration write is at the endpoint: what it permits may be used."""
        old = _U32.unpack_from(self.config, offset)[0]
        new = _merge(old, value, be)
        if offset == COMMAND:
            self.may_master |= bool(new & PciCommand.BUS_MASTER)
            self.may_memory |= bool(new & PciCommand.MEMORY)
        elif self.msix and offset == self.msix:
            self.may_msix |= bool(new >> 16 & MSIX_CONTROL_ENABLE)
            self.msix_masked &= bool(new >> 16 & MSIX_CONTROL_MASK)
        elif self.express and offset == self.express + 8:
            self.max_payload = max(self.max_payload, 128 << (new >> DEVCTL_MPS_SHIFT & 7))
            self.max_read = max(self.max_read, 128 << (new >> DEVCTL_MRRS_SHIFT & 7))

    def config_written(self, offset: int, be: int, value: int) -> None:
        """That write was completed: it holds."""
        old = _U32.unpack_from(self.config, offset)[0]
        new = _merge(old, value, be)
        if offset == COMMAND:
            new = old & 0xFFFF0000 | new & 0xFFFF
            self.may_master = bool(new & PciCommand.BUS_MASTER)
            self.may_memory = bool(new & PciCommand.MEMORY)
        elif BAR0 <= offset < BAR0 + 24:
            self._bar_values[offset - BAR0 >> 2] = new
            self._place_bars()
        elif self.msix and offset == self.msix:
            control = new >> 16
            self.may_msix = bool(control & MSIX_CONTROL_ENABLE)
            self.msix_masked = bool(control & MSIX_CONTROL_MASK)
            new = old & 0x3FFFFFFF | new & 0xC0000000
        elif self.express and offset == self.express + 8:
            self.max_payload = 128 << (new >> DEVCTL_MPS_SHIFT & 7)
            self.max_read = 128 << (new >> DEVCTL_MRRS_SHIFT & 7)
            new = old & 0xFFFF0000 | new & 0xFFFF
        elif not (self.pci_cfg and self.pci_cfg + 4 <= offset < self.pci_cfg + 16):
            return
        _U32.pack_into(self.config, offset, new)

    def config_was_read(self, offset: int, be: int, value: int) -> None:
        """Bytes that the driver was told."""
        old = _U32.unpack_from(self.config, offset)[0]
        new = _merge(old, value, be)
        _U32.pack_into(self.config, offset, new)
        fresh = False
        for byte in range(4):
            if be >> byte & 1 and not self._known[offset + byte]:
                self._known[offset + byte] = fresh = True
        if BAR0 <= offset < BAR0 + 24 and be == 15:
            self._bar_read(offset - BAR0 >> 2, value)
        elif offset == COMMAND:
            self.may_master = bool(new & PciCommand.BUS_MASTER)
            self.may_memory = bool(new & PciCommand.MEMORY)
        elif self.express and offset == self.express + 8:
            self.max_payload = 128 << (new >> DEVCTL_MPS_SHIFT & 7)
            self.max_read = 128 << (new >> DEVCTL_MRRS_SHIFT & 7)
        if fresh and offset >= CAP_POINTER:
            self._walk()

    def _bar_read(self, index: int, value: int) -> None:
        written = self._bar_values[index]
        upper = index > 0 and self._bar_64[index - 1]
        if not upper:
            self._bar_64[index] = value & 7 == 4
        if written == 0xFFFFFFFF:
            self._bar_masks[index] = value if upper else value & ~0xF
        else:
            self._bar_values[index] = value
        self._place_bars()

    def _place_bars(self) -> None:
        """Address windows of the BARs whose size was probed."""
        self._windows = []
        for index in range(6):
            mask = self._bar_masks[index]
            if not mask or (index and self._bar_64[index - 1]):
                continue
            base = self._bar_values[index] & mask
            size = (~mask & 0xFFFFFFFF) + 1
            if self._bar_64[index] and index < 5:
                base |= self._bar_values[index + 1] << 32
            self._windows.append((base, size, index))

    def bar_of(self, address: int) -> tuple[int, int]:
        """BAR and offset of a memory request; (-1, 0) outside all of them."""
        for base, size, index in self._windows:
            if base <= address < base + size:
                return index, address - base
        return -1, 0

    # ---- capabilities ----

    def _walk(self) -> None:
        """Follow the capability list through the bytes that were read."""
        self.capabilities = []
        self.structures = []
        self.walk_end = False
        if not self._known[CAP_POINTER]:
            return
        at = self.config[CAP_POINTER] & 0xFC
        seen: set[int] = set()
        while at and at not in seen and self._known[at] and self._known[at + 1]:
            seen.add(at)
            cap_id = self.config[at]
            capability = self._capability(at, cap_id)
            self.capabilities.append(capability)
            if cap_id == PciCapId.VENDOR:
                self._virtio(capability)
            elif cap_id == PciCapId.EXPRESS:
                self.express = at
            elif cap_id == PciCapId.MSIX:
                self._msix(capability)
            at = self.config[at + 1] & 0xFC
        self.walk_end = at == 0

    @property
    def complete(self) -> bool:
        """Whether the driver knows all that the capabilities say of the BARs."""
        return self.walk_end and all(
            capability.knows(0, LENGTHS.get(capability.cap_id, 2)) for capability in self.capabilities
        )

    def _capability(self, at: int, cap_id: int) -> Capability:
        length = 60 if cap_id == PciCapId.EXPRESS else LENGTHS.get(cap_id, 4)
        if cap_id == PciCapId.VENDOR:
            length = max(self.config[at + 2], NOTIFY_CAP_LENGTH)
        end = at + length
        return Capability(cap_id, at, bytes(self.config[at:end]), bytes(self._known[at:end]))

    def _virtio(self, capability: Capability) -> None:
        _, _, _, cfg_type, bar, _, offset, size = _CAP.unpack_from(capability.data)
        if not capability.knows(3):
            return
        if cfg_type == CfgType.PCI_CFG:
            self.pci_cfg = capability.offset
            return
        name = REGION_NAMES.get(cfg_type)
        if name is None or bar > 5 or not (capability.knows(4) and capability.knows(8, 8)):
            return
        multiplier = 0
        if cfg_type == CfgType.NOTIFY_CFG:
            if not capability.knows(16, 4):
                return
            multiplier = _U32.unpack_from(capability.data, 16)[0]
        self.structures.append(Structure(name, bar, offset, size, multiplier))

    def _msix(self, capability: Capability) -> None:
        self.msix = capability.offset
        if not capability.knows(2, 2):
            return
        head, table, pba = Struct("<III").unpack_from(capability.data)
        control = head >> 16
        vectors = (control & 0x7FF) + 1
        self.may_msix = bool(control & MSIX_CONTROL_ENABLE)
        self.msix_masked = bool(control & MSIX_CONTROL_MASK)
        if len(self.vectors) != vectors:
            self.vectors = [Vector() for _ in range(vectors)]
        if capability.knows(4, 4):
            self.structures.append(Structure("msix_table", table & 7, table & ~7, 16 * vectors))
        if capability.knows(8, 4):
            self.structures.append(Structure("msix_pba", pba & 7, pba & ~7, 8 * (vectors + 63 >> 6)))

    def structure_at(self, bar: int, offset: int) -> tuple[str, int, int]:
        """Name of the structure that holds a byte of a BAR, the offset in it, notify_off_multiplier."""
        for structure in self.structures:
            if structure.bar == bar and 0 <= offset - structure.offset < structure.length:
                return structure.name, offset - structure.offset, structure.multiplier
        return "", 0, 0

    # ---- MSI-X ----

    def table_written(self, at: int, data: bytes) -> None:
        """The driver wrote the MSI-X table."""
        while data:
            index, inner = divmod(at, 16)
            piece = data[: 16 - inner]
            if index < len(self.vectors):
                vector = self.vectors[index]
                vector.raw[inner : inner + len(piece)] = piece
                vector.address = int.from_bytes(vector.raw[:8], "little") & ~3
                vector.data = int.from_bytes(vector.raw[8:12], "little")
                vector.masked = bool(vector.raw[12] & 1)
            at += len(piece)
            data = data[len(piece) :]
        messages: dict[tuple[int, int], list[int]] = {}
        for index, vector in enumerate(self.vectors):
            if vector.address:
                messages.setdefault((vector.address, vector.data), []).append(index)
        self.by_message = {key: tuple(vectors) for key, vectors in messages.items()}
        self.message_addresses = {address for address, _ in messages}


@dataclass(slots=True)
class QueueRegisters:
    """The registers of one queue, as written (or read back)."""

    size: int = 0
    vector: int = VIRTIO_MSI_NO_VECTOR
    enabled: bool = False
    notify_off: int = -1
    addresses: bytearray = field(default_factory=lambda: bytearray(24))

    def address(self, which: int) -> int:
        """queue_desc (0), queue_driver (1), queue_device (2)."""
        return int.from_bytes(self.addresses[8 * which : 8 * which + 8], "little")


class VirtioView:
    """The common configuration structure as the driver used it."""

    def __init__(self) -> None:
        self.offered = 0
        self.offered_known = 0  # a bit for each feature word that was read
        self.num_queues = 0
        self.reset()

    def reset(self) -> None:
        """The state after device reset; what is offered may change with a reset as well."""
        self.status = 0
        self.resetting = False
        self.reset_seq = 0
        self.driver_ok_seq = 0
        self.needs_reset = False
        self.device_select = 0
        self.driver_select = 0
        self.driver_features = 0
        self.features_settled = False
        self.config_vector = VIRTIO_MSI_NO_VECTOR
        self.queue_select = 0
        self.queues: dict[int, QueueRegisters] = {}
        self._raw = bytearray(64)

    def queue(self, index: int) -> QueueRegisters:
        """Registers of a queue; made at first use."""
        queue = self.queues.get(index)
        if queue is None:
            queue = self.queues[index] = QueueRegisters()
        return queue

    def queue_was_reset(self, index: int) -> None:
        """A queue is as it was after the device's reset (VQRST-D03); its doorbell stays where it is."""
        self.queues[index] = QueueRegisters(notify_off=self.queue(index).notify_off)

    def negotiated(self, feature: Feature) -> bool:
        """Whether the driver took a feature (that counts from FEATURES_OK on)."""
        return bool(self.driver_features >> feature & 1)

    @property
    def driver_ok(self) -> bool:
        """Whether the driver has set DRIVER_OK since the last reset."""
        return bool(self.status & DRIVER_OK)

    def written(self, at: int, data: bytes) -> list[int]:
        """Bytes written to the structure; returns the queues that were enabled by them. Status is not handled here."""
        end = at + len(data)
        raw = self._raw
        raw[at:end] = data
        enabled: list[int] = []
        if at < 4:
            self.device_select = _U32.unpack_from(raw, 0)[0]
        if at < 0x0C and end > 0x08:
            self.driver_select = _U32.unpack_from(raw, 8)[0]
        if at < 0x10 and end > 0x0C and self.driver_select < 2 and not self.features_settled:
            word = _U32.unpack_from(raw, 0x0C)[0]
            shift = 32 * self.driver_select
            self.driver_features = self.driver_features & ~(0xFFFFFFFF << shift) | word << shift
        if at < 0x12 and end > 0x10:
            self.config_vector = raw[0x10] | raw[0x11] << 8
        if at < 0x18 and end > 0x16:
            self.queue_select = raw[0x16] | raw[0x17] << 8
        if end > 0x18:
            queue = self.queue(self.queue_select)
            if at < 0x1A and not queue.enabled:
                queue.size = raw[0x18] | raw[0x19] << 8
            if at < 0x1C and end > 0x1A:
                queue.vector = raw[0x1A] | raw[0x1B] << 8
            if at < 0x38 and end > 0x20 and not queue.enabled:
                low, high = max(at, 0x20), min(end, 0x38)
                queue.addresses[low - 0x20 : high - 0x20] = raw[low:high]
            if at < 0x1E and end > 0x1C and raw[0x1C] == 1 and not queue.enabled:
                queue.enabled = True
                enabled.append(self.queue_select)
        return enabled

    def was_read(self, at: int, data: bytes) -> None:
        """What the driver was told."""
        end = at + len(data)
        if at <= 4 and end >= 8 and self.device_select < 2:
            word = _U32.unpack_from(data, 4 - at)[0]
            shift = 32 * self.device_select
            self.offered = self.offered & ~(0xFFFFFFFF << shift) | word << shift
            self.offered_known |= 1 << self.device_select
        if at <= 0x10 and end >= 0x12:
            self.config_vector = _u16(data, 0x10 - at)
        if at <= 0x12 and end >= 0x14:
            self.num_queues = _u16(data, 0x12 - at)
        if at <= 0x18 and end >= 0x1A:
            self.queue(self.queue_select).size = _u16(data, 0x18 - at)
        if at <= 0x1A and end >= 0x1C:
            self.queue(self.queue_select).vector = _u16(data, 0x1A - at)
        if at <= 0x1E and end >= 0x20:
            self.queue(self.queue_select).notify_off = _u16(data, 0x1E - at)


def _u16(data: bytes, at: int) -> int:
    return data[at] | data[at + 1] << 8


def _merge(old: int, new: int, be: int) -> int:
    """`old` with the bytes of `new` that are enabled."""
    if be == 15:
        return new
    mask = sum(0xFF << 8 * byte for byte in range(4) if be >> byte & 1)
    return old & ~mask | new & mask
