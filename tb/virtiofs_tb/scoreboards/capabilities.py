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
    """A capability list that was followed to its end: what was read of it by now, each thing once."""
    judge = _Judge(board, event)
    types: set[int] = set()
    all_types = True
    for capability in board.observer.pci.capabilities:
        if capability.cap_id == PciCapId.VENDOR:
            types.add(capability.data[3])
            all_types &= capability.knows(3)
            _virtio(judge, capability)
        elif capability.cap_id == PciCapId.MSIX:
            judge.capability = capability
            vectors = len(board.observer.pci.vectors)
            judge(2, 2, "vectors of the MSI-X table", "PCI-MSIX-D01", 2 <= vectors <= 0x800, "2 to 2048", f"{vectors}")
    for cfg_type, (_, _, _, _, clause) in STRUCTURES.items():
        if all_types and cfg_type not in types:
            judge.once(f"capability list without {cfg_type.name}", clause, False, "at least one", "none")


class _Judge:
    """Judges fields of `capability` that the driver has read. A verdict is given once, and again for another value."""

    def __init__(self, board: ConfigSpaceScoreboard, event: ConfigAccess) -> None:
        self._board = board
        self._event = event
        self.capability = Capability(0, 0, b"", b"")

    def __call__(self, first: int, size: int, what: str, clause: str, good: bool, expected: str, seen: str) -> None:
        if self.capability.knows(first, size):
            self.once(what, clause, good, expected, seen)

    def offers(self, feature: Feature) -> bool:
        """Whether the endpoint was seen to offer a feature."""
        return bool(self._board.observer.virtio.offered >> feature & 1)

    def once(self, what: str, clause: str, good: bool, expected: str, seen: str) -> None:
        key = (self.capability.offset, what, seen)
        if key in self._board.judged:
            return
        self._board.judged.add(key)
        self._board.count("capability")
        if not good:
            self._board.fail(self._event.t_ps, self._event.seq, what, clause, expected, seen)


def _virtio(judge: _Judge, capability: Capability) -> None:
    judge.capability = capability
    if not capability.knows(3):
        return
    _, _, cap_length, raw_type, bar, _, offset, length = _CAP.unpack_from(capability.data)
    if raw_type not in STRUCTURES:
        if raw_type == CfgType.VENDOR_CFG:
            good = cap_length % 4 == 0
            judge(2, 1, "cap_len of vendor data", "PCI-VNDR-D04", good, "a multiple of 4", f"{cap_length}")
        return
    cfg_type = CfgType(raw_type)
    name = f"{cfg_type.name} capability at {capability.offset:#x}"
    least = MIN_CAP_LENGTH.get(cfg_type, 16)
    judge(
        2, 1, f"cap_len of the {name}", "PCI-CAP-D01", cap_length >= least, f"at least {least}", f"{cap_length}"
    )  # fmt: skip
    if cfg_type == CfgType.PCI_CFG:
        return
    align, align_clause, size, size_clause, _ = STRUCTURES[cfg_type]
    if cfg_type == CfgType.NOTIFY_CFG and judge.offers(Feature.NOTIFICATION_DATA):
        align, align_clause, size, size_clause = 4, "PCI-NOTIFY-D08", 4, "PCI-NOTIFY-D09"
    aligned = offset % align == 0
    judge(8, 4, f"offset of the {name}", align_clause, aligned, f"{align}-byte aligned", f"{offset:#x}")
    judge(12, 4, f"length of the {name}", size_clause, length >= size, f"at least {size}", f"{length}")
    judge(4, 1, f"bar of the {name}", "PCI-CAP-D01", bar <= 5, "0 to 5", f"{bar}")
    if cfg_type == CfgType.NOTIFY_CFG:
        multiplier = int.from_bytes(capability.data[16:20], "little")
        good = not multiplier or (multiplier & (multiplier - 1) == 0 and multiplier != 1)
        judge(
            16, 4, "notify_off_multiplier", "PCI-NOTIFY-D03", good, "0 or an even power of two", f"{multiplier}"
        )  # fmt: skip
