"""The structure of configuration space: what the specification asks of every endpoint."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from virtiofs_model.layouts.pci import PciCapId
from virtiofs_model.layouts.virtio import (
    VIRTIO_ID_FS,
    VIRTIO_PCI_DEVICE_ID_BASE,
    VIRTIO_PCI_VENDOR_ID,
    CfgType,
    Feature,
)
from virtiofs_tb.scoreboards.events import ConfigAccess
from virtiofs_tb.scoreboards.pci_view import Capability

if TYPE_CHECKING:
    from virtiofs_tb.scoreboards.config_space import ConfigSpaceScoreboard

_CAP = struct.Struct("<BBBBBB2xII")

MIN_CAP_LENGTH = {CfgType.NOTIFY_CFG: 20, CfgType.PCI_CFG: 20, CfgType.SHARED_MEMORY_CFG: 24}
# cfg_type: alignment of offset and its clause, least length and its clause, clause of "at least one".
STRUCTURES = {
    CfgType.COMMON_CFG: (4, "PCI-COMMON-D01", 0x38, "PCI-COMMON-D02", "PCI-COMMON-D02"),
    CfgType.NOTIFY_CFG: (2, "PCI-NOTIFY-D02", 2, "PCI-NOTIFY-D04", "PCI-NOTIFY-D01"),
    CfgType.ISR_CFG: (1, "PCI-ISR-D01", 1, "PCI-ISR-D01", "PCI-ISR-D01"),
    CfgType.DEVICE_CFG: (4, "PCI-DEVCFG-D01", 40, "PCI-DEVCFG-DX1", "PCI-DEVCFG-DX1"),
    CfgType.PCI_CFG: (1, "PCI-PCICFG-D01", 0, "PCI-PCICFG-D01", "PCI-PCICFG-D01"),
}


def check_identity(board: ConfigSpaceScoreboard, event: ConfigAccess) -> None:
    """Ids of the header, where a whole dword of them was read."""
    offset, value, enables = event.request.offset, event.value, event.request.be
    fields: list[tuple[str, str, bool, str, int]] = []
    if offset == 0x00:
        device = VIRTIO_PCI_DEVICE_ID_BASE + VIRTIO_ID_FS
        if enables & 3 == 3:
            vendor = value & 0xFFFF
            fields.append(
                ("Vendor ID", "PCI-DISC-D01", vendor == VIRTIO_PCI_VENDOR_ID, f"{VIRTIO_PCI_VENDOR_ID:#x}", vendor)
            )
        if enables & 12 == 12:
            fields.append(("Device ID", "PCI-DISC-D02", value >> 16 == device, f"{device:#x}", value >> 16))
    elif offset == 0x08 and enables & 1:
        fields.append(("Revision ID", "PCI-DISC-D05", value & 0xFF >= 1, "at least 1", value & 0xFF))
    elif offset == 0x2C and enables & 12 == 12:
        fields.append(("Subsystem ID", "PCI-DISC-D06", value >> 16 >= 0x40, "at least 0x40", value >> 16))
    for name, clause, good, expected, seen in fields:
        board.count("identity")
        if not good:
            board.fail(event.t_ps, event.seq, name, clause, expected, f"{seen:#x}")


def check_capabilities(board: ConfigSpaceScoreboard, event: ConfigAccess) -> None:
    """A capability list that was read to its end."""
    pci = board.observer.pci
    found: set[int] = set()
    for capability in pci.capabilities:
        board.count("capability")
        if capability.cap_id == PciCapId.VENDOR:
            found.add(capability.data[3])
            _virtio(board, event, capability)
        elif capability.cap_id == PciCapId.MSIX and len(capability.data) == 12:
            _msix(board, event)
    for cfg_type, (_, _, _, _, clause) in STRUCTURES.items():
        if cfg_type not in found:
            board.fail(
                event.t_ps, event.seq, f"capability list without {cfg_type.name}", clause, "at least one", "none"
            )


def _virtio(board: ConfigSpaceScoreboard, event: ConfigAccess, capability: Capability) -> None:
    data = capability.data
    _, _, cap_length, raw_type, bar, _, offset, length = _CAP.unpack_from(data)
    if raw_type not in STRUCTURES:
        if raw_type == CfgType.VENDOR_CFG and cap_length % 4:
            board.fail(
                event.t_ps, event.seq, "cap_len of vendor data", "PCI-VNDR-D04", "a multiple of 4", f"{cap_length}"
            )
        return
    cfg_type = CfgType(raw_type)
    name = f"{cfg_type.name} capability at {capability.offset:#x}"
    least = MIN_CAP_LENGTH.get(cfg_type, 16)
    if cap_length < least:
        board.fail(event.t_ps, event.seq, f"cap_len of the {name}", "PCI-CAP-D01", f"at least {least}", f"{cap_length}")
    if cfg_type == CfgType.PCI_CFG:
        return
    align, align_clause, size, size_clause, _ = STRUCTURES[cfg_type]
    virtio = board.observer.virtio
    if cfg_type == CfgType.NOTIFY_CFG and virtio.offered >> Feature.NOTIFICATION_DATA & 1:
        align, align_clause, size, size_clause = 4, "PCI-NOTIFY-D08", 4, "PCI-NOTIFY-D09"
    if offset % align:
        board.fail(
            event.t_ps, event.seq, f"offset of the {name}", align_clause, f"{align}-byte aligned", f"{offset:#x}"
        )
    if length < size:
        board.fail(event.t_ps, event.seq, f"length of the {name}", size_clause, f"at least {size}", f"{length}")
    if bar > 5:
        board.fail(event.t_ps, event.seq, f"bar of the {name}", "PCI-CAP-D01", "0 to 5", f"{bar}")
    if cfg_type == CfgType.NOTIFY_CFG and len(data) >= 20:
        multiplier = int.from_bytes(data[16:20], "little")
        if multiplier and (multiplier & (multiplier - 1) or multiplier == 1):
            board.fail(
                event.t_ps, event.seq, "notify_off_multiplier", "PCI-NOTIFY-D03", "0 or an even power of two",
                f"{multiplier}",
            )  # fmt: skip


def _msix(board: ConfigSpaceScoreboard, event: ConfigAccess) -> None:
    vectors = len(board.observer.pci.vectors)
    if not 2 <= vectors <= 0x800:
        board.fail(event.t_ps, event.seq, "vectors of the MSI-X table", "PCI-MSIX-D01", "2 to 2048", f"{vectors}")
