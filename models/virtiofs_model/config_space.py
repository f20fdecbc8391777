"""Golden PCI configuration space of the endpoint: values, write masks and side effects.

A type 0 header, and a capability list PCI Express -> MSI-X -> the five virtio structures. There are no extended
capabilities: offsets from 0x100 read 0.
"""

from __future__ import annotations

from collections.abc import Callable
from ctypes import LittleEndianStructure, sizeof
from dataclasses import dataclass

from virtiofs_model.defects import Defect
from virtiofs_model.layouts.pci import (
    BAR_64BIT,
    DEVCTL_MPS_SHIFT,
    DEVCTL_MRRS_SHIFT,
    LNKCTL_RCB,
    MSIX_CONTROL_ENABLE,
    MSIX_CONTROL_MASK,
    DevSta,
    MsixCap,
    PciCapId,
    PciCommand,
    PciExpressCap,
    PciHeader,
    PciStatus,
)
from virtiofs_model.layouts.virtio import (
    NOTIFY_OFF_MULTIPLIER,
    VIRTIO_ID_FS,
    VIRTIO_PCI_DEVICE_ID_BASE,
    VIRTIO_PCI_VENDOR_ID,
    CfgType,
    VirtioPciCap,
    VirtioPciCfgCap,
    VirtioPciNotifyCap,
    offset_of,
)

CONFIG_SIZE = 256
BAR0_SIZE = 0x8000

PCIE_CAP = 0x40
MSIX_CAP = 0x88
COMMON_CAP = 0x94
NOTIFY_CAP = 0xA4
ISR_CAP = 0xB8
DEVICE_CAP = 0xC8
PCI_CFG_CAP = 0xD8

PCI_CFG_BAR = PCI_CFG_CAP + offset_of(VirtioPciCap, "bar")
PCI_CFG_OFFSET = PCI_CFG_CAP + offset_of(VirtioPciCap, "offset")
PCI_CFG_LENGTH = PCI_CFG_CAP + offset_of(VirtioPciCap, "length")
PCI_CFG_DATA = PCI_CFG_CAP + offset_of(VirtioPciCfgCap, "pci_cfg_data")

COMMAND = offset_of(PciHeader, "command")
INTERRUPT_PIN = offset_of(PciHeader, "interrupt_pin")
STATUS = offset_of(PciHeader, "status")
BAR0 = offset_of(PciHeader, "bar")
DEVCTL = PCIE_CAP + offset_of(PciExpressCap, "devctl")
DEVSTA = PCIE_CAP + offset_of(PciExpressCap, "devsta")
LNKCTL = PCIE_CAP + offset_of(PciExpressCap, "lnkctl")
LNKCTL2 = PCIE_CAP + offset_of(PciExpressCap, "lnkctl2")
MSIX_CONTROL = MSIX_CAP + offset_of(MsixCap, "message_control")
DEVICE_CAP_LENGTH = DEVICE_CAP + offset_of(VirtioPciCap, "length")

COMMAND_RW = PciCommand.MEMORY | PciCommand.BUS_MASTER | PciCommand.PARITY | PciCommand.SERR | PciCommand.INTX_DISABLE
STATUS_RW1C = (
    PciStatus.MASTER_DATA_PARITY
    | PciStatus.RECEIVED_TARGET_ABORT
    | PciStatus.RECEIVED_MASTER_ABORT
    | PciStatus.DETECTED_PARITY_ERROR
)
DEVCTL_RW = 0x000F | 0x7 << DEVCTL_MPS_SHIFT | 0x7 << DEVCTL_MRRS_SHIFT
DEVSTA_RW1C = DevSta.CORRECTABLE | DevSta.NON_FATAL | DevSta.FATAL | DevSta.UNSUPPORTED_REQUEST
LNKCTL_FREE = 0x00C3
"""ASPM control, common clock, extended synch: PCIe lets an endpoint keep them or hardwire 0."""

MPS_SUPPORTED = 2
"""Max_Payload_Size supported: 512 bytes."""

LINK_STATUS = 0x043
"""8 GT/s (3), four lanes."""


@dataclass(frozen=True)
class BarRegion:
    """A structure in BAR0."""

    offset: int
    length: int


COMMON_REGION = BarRegion(0x0000, 0x40)
ISR_REGION = BarRegion(0x1000, 1)
DEVICE_REGION = BarRegion(0x2000, 44)
NOTIFY_REGION = BarRegion(0x3000, 0x40)
MSIX_TABLE_OFFSET = 0x4000
MSIX_PBA_OFFSET = 0x5000


def _virtio_cap(cfg_type: CfgType, next_: int, region: BarRegion | None, length: int) -> VirtioPciCap:
    cap = VirtioPciCap(cap_vndr=PciCapId.VENDOR, cap_next=next_, cap_len=length, cfg_type=cfg_type)
    if region is not None:
        cap.offset, cap.length = region.offset, region.length
    return cap


def reset_values(msix_vectors: int, device_config_length: int, intx: bool = False) -> bytearray:
    """The 256 bytes after reset. device_config_length: 40, or 44 where VIRTIO_FS_F_NOTIFICATION is offered. intx: the
    function has INTA."""
    data = bytearray(CONFIG_SIZE)

    def put(offset: int, structure: LittleEndianStructure) -> None:
        data[offset : offset + sizeof(structure)] = bytes(structure)

    header = PciHeader(
        vendor_id=VIRTIO_PCI_VENDOR_ID,
        device_id=VIRTIO_PCI_DEVICE_ID_BASE + VIRTIO_ID_FS,
        status=PciStatus.CAP_LIST,
        revision_id=1,
        base_class=0x01,
        sub_class=0x80,
        subsystem_vendor_id=VIRTIO_PCI_VENDOR_ID,
        subsystem_id=0x1100,
        capability_list=PCIE_CAP,
        interrupt_pin=intx,
    )
    header.bar[0] = BAR_64BIT
    put(0, header)
    put(
        PCIE_CAP,
        PciExpressCap(
            cap_id=PciCapId.EXPRESS,
            cap_next=MSIX_CAP,
            flags=2,  # capability version 2, PCI Express endpoint
            devcap=1 << 15 | MPS_SUPPORTED,  # role-based error reporting
            devctl=2 << DEVCTL_MRRS_SHIFT,
            lnkcap=LINK_STATUS,
            lnksta=LINK_STATUS,
            lnkcap2=0xE,  # 2.5, 5 and 8 GT/s
            lnkctl2=3,
        ),
    )
    put(
        MSIX_CAP,
        MsixCap(
            cap_id=PciCapId.MSIX,
            cap_next=COMMON_CAP,
            message_control=msix_vectors - 1,
            table=MSIX_TABLE_OFFSET,
            pba=MSIX_PBA_OFFSET,
        ),
    )
    put(COMMON_CAP, _virtio_cap(CfgType.COMMON_CFG, NOTIFY_CAP, COMMON_REGION, sizeof(VirtioPciCap)))
    notify = _virtio_cap(CfgType.NOTIFY_CFG, ISR_CAP, NOTIFY_REGION, sizeof(VirtioPciNotifyCap))
    put(NOTIFY_CAP, VirtioPciNotifyCap(notify, NOTIFY_OFF_MULTIPLIER))
    put(ISR_CAP, _virtio_cap(CfgType.ISR_CFG, DEVICE_CAP, ISR_REGION, sizeof(VirtioPciCap)))
    device = BarRegion(DEVICE_REGION.offset, device_config_length)
    put(DEVICE_CAP, _virtio_cap(CfgType.DEVICE_CFG, PCI_CFG_CAP, device, sizeof(VirtioPciCap)))
    put(PCI_CFG_CAP, VirtioPciCfgCap(_virtio_cap(CfgType.PCI_CFG, 0, None, sizeof(VirtioPciCfgCap))))
    return data


def write_masks() -> tuple[bytearray, bytearray, bytearray]:
    """Read-write bits, write-1-to-clear bits, and bits that a device may keep or hardwire (free to differ)."""
    rw, rw1c, free = bytearray(CONFIG_SIZE), bytearray(CONFIG_SIZE), bytearray(CONFIG_SIZE)

    def put(mask: bytearray, offset: int, size: int, value: int) -> None:
        mask[offset : offset + size] = value.to_bytes(size, "little")

    put(rw, COMMAND, 2, int(COMMAND_RW))
    put(rw1c, STATUS, 2, int(STATUS_RW1C))
    put(rw, offset_of(PciHeader, "cache_line_size"), 1, 0xFF)
    put(rw, BAR0, 8, 2**64 - BAR0_SIZE)
    put(rw, offset_of(PciHeader, "interrupt_line"), 1, 0xFF)
    put(rw, DEVCTL, 2, DEVCTL_RW)
    put(rw1c, DEVSTA, 2, int(DEVSTA_RW1C))
    put(rw, LNKCTL, 2, LNKCTL_RCB | LNKCTL_FREE)
    put(free, LNKCTL, 2, LNKCTL_FREE)
    put(rw, LNKCTL2, 2, 0x000F)
    put(free, LNKCTL2, 2, 0xFFFF)
    put(rw, MSIX_CONTROL, 2, MSIX_CONTROL_ENABLE | MSIX_CONTROL_MASK)
    put(rw, PCI_CFG_BAR, 1, 0xFF)
    put(rw, PCI_CFG_OFFSET, 4, 0xFFFFFFFF)
    put(rw, PCI_CFG_LENGTH, 4, 0xFFFFFFFF)
    return rw, rw1c, free


def _no_window_read(offset: int, enables: int) -> int:
    return 0


def _no_window_write(offset: int, value: int, enables: int) -> None:
    return None


class ConfigSpace:
    """Configuration space of function 0.

    window_read(offset, enables) and window_write(offset, value, enables) reach BAR0 for pci_cfg_data: a dword offset,
    enabled bytes in place. on_change is called after every write that changed something. interrupt() tells whether the
    function wants INTA, for the Status register. intx: it has INTA.
    """

    def __init__(
        self, msix_vectors: int, device_config_length: int, defect: Defect | None = None, intx: bool = False
    ) -> None:
        self.data = reset_values(msix_vectors, device_config_length, intx)
        self.intx = intx
        self.interrupt: Callable[[], bool] = lambda: False
        self.rw, self.rw1c, _ = write_masks()
        self.requester_id = 0
        self.window_read: Callable[[int, int], int] = _no_window_read
        self.window_write: Callable[[int, int, int], None] = _no_window_write
        self.on_change: Callable[[], None] = lambda: None
        if defect is Defect.CAPABILITY_LENGTH:
            self.data[NOTIFY_CAP + offset_of(VirtioPciCap, "cap_len")] = sizeof(VirtioPciCap)
        if defect is Defect.BAR_SIZE:
            self.rw[BAR0 + 1] |= BAR0_SIZE >> 9
        self._refresh()

    def read(self, offset: int, enables: int = 0xF) -> int:
        """The dword at `offset` (multiple of 4). Reading pci_cfg_data is an access to the BAR."""
        if offset == PCI_CFG_DATA:
            return self._window(None, enables)
        value = int.from_bytes(self.data[offset : offset + 4], "little") if offset < CONFIG_SIZE else 0
        if offset == COMMAND and self.interrupt():
            value |= PciStatus.INTERRUPT << 16
        return value

    def write(self, offset: int, value: int, enables: int) -> None:
        """Write the enabled bytes of the dword at `offset`."""
        if offset == PCI_CFG_DATA:
            self._window(value, enables)
            return
        if offset >= CONFIG_SIZE:
            return
        for lane in range(4):
            if enables >> lane & 1:
                at, byte = offset + lane, value >> 8 * lane & 0xFF
                kept = self.data[at] & ~self.rw[at] & ~(byte & self.rw1c[at])
                self.data[at] = kept | byte & self.rw[at]
        self._refresh()
        self.on_change()

    def _window(self, value: int | None, enables: int) -> int:
        """PCI-PCICFG-D02, D03: 1, 2 or 4 bytes at cap.offset of BAR0; anything else reads 0 and is ignored."""
        length = self._u32(PCI_CFG_LENGTH)
        target = self._u32(PCI_CFG_OFFSET)
        lane = target & 3
        if self.data[PCI_CFG_BAR] != 0 or length not in (1, 2, 4) or lane + length > 4 or target >= BAR0_SIZE:
            return 0
        window = enables & ((1 << length) - 1)
        if not window:
            return 0
        if value is None:
            mask = (1 << 8 * length) - 1
            return self.window_read(target & ~3, window << lane) >> 8 * lane & mask
        self.window_write(target & ~3, (value << 8 * lane) & 0xFFFFFFFF, window << lane)
        return 0

    def _u16(self, offset: int) -> int:
        return int.from_bytes(self.data[offset : offset + 2], "little")

    def _u32(self, offset: int) -> int:
        return int.from_bytes(self.data[offset : offset + 4], "little")

    def _refresh(self) -> None:
        """The narrow port: what the rest of the endpoint needs of configuration space."""
        command, devctl, msix = self._u16(COMMAND), self._u16(DEVCTL), self._u16(MSIX_CONTROL)
        self.memory_enable = bool(command & PciCommand.MEMORY)
        self.bus_master = bool(command & PciCommand.BUS_MASTER)
        self.intx_disable = bool(command & PciCommand.INTX_DISABLE)
        self.mps = 128 << min(devctl >> DEVCTL_MPS_SHIFT & 7, MPS_SUPPORTED)
        self.mrrs = 128 << min(devctl >> DEVCTL_MRRS_SHIFT & 7, 5)
        self.msix_enable = bool(msix & MSIX_CONTROL_ENABLE)
        self.msix_function_mask = bool(msix & MSIX_CONTROL_MASK)
        self.bar0 = int.from_bytes(self.data[BAR0 : BAR0 + 8], "little") & ~(BAR0_SIZE - 1)

    def set_device_config_length(self, length: int) -> None:
        """40, or 44 where VIRTIO_FS_F_NOTIFICATION is offered: follows the strap."""
        self.data[DEVICE_CAP_LENGTH : DEVICE_CAP_LENGTH + 4] = length.to_bytes(4, "little")

    def received(self, *, unsupported: bool = False, aborted: bool = False, poisoned: bool = False) -> None:
        """Status bits for completions that this function got as a requester (PCIe 7.5.1.1.4)."""
        bits = PciStatus(0)
        if unsupported:
            bits |= PciStatus.RECEIVED_MASTER_ABORT
        if aborted:
            bits |= PciStatus.RECEIVED_TARGET_ABORT
        if poisoned:
            bits |= PciStatus.DETECTED_PARITY_ERROR
            if self._u16(COMMAND) & PciCommand.PARITY:
                bits |= PciStatus.MASTER_DATA_PARITY
        self._set(STATUS, int(bits))
        if poisoned:
            self._set(DEVSTA, int(DevSta.CORRECTABLE))

    def refused_request(self, posted: bool) -> None:
        """Device Status for a request answered UR: correctable where the requester is told (PCIe 6.2.3.2)."""
        self._set(DEVSTA, int(DevSta.UNSUPPORTED_REQUEST | (DevSta.NON_FATAL if posted else DevSta.CORRECTABLE)))

    def _set(self, offset: int, bits: int) -> None:
        self.data[offset : offset + 2] = (self._u16(offset) | bits).to_bytes(2, "little")
