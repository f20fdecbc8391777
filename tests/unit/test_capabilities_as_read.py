"""Capabilities of which a driver reads only what it needs, as Linux does: what was read is used, and judged once."""

from __future__ import annotations

import struct

import pytest

from tests.unit.trace import Trace
from virtiofs_model.layouts.pci import PciCapId
from virtiofs_model.layouts.virtio import CfgType


def linux_reads(trace: Trace, wrong: dict[int, int] | None = None) -> dict[int, int]:
    """The reads of vp_modern_probe and pci_msix_init of Linux 6.1; returns where each virtio capability stands.

    wrong: dwords that the device answers instead of the right ones, by offset.
    """
    lies = wrong or {}

    def read(offset: int, size: int) -> int:
        dword = trace.config_read(offset, lies.get(offset & ~3), size)
        return dword >> 8 * (offset & 3) & ((1 << 8 * size) - 1)

    places: dict[int, int] = {}
    at = read(0x34, 1)
    while at:
        head = read(at, 2)
        if head & 0xFF == PciCapId.VENDOR:
            places.setdefault(read(at + 3, 1), at)
        elif head & 0xFF == PciCapId.MSIX:
            read(at + 2, 2)
            read(at + 4, 4)
        at = head >> 8
    for cfg_type in (CfgType.COMMON_CFG, CfgType.ISR_CFG, CfgType.NOTIFY_CFG, CfgType.DEVICE_CFG):
        for offset, size in ((4, 1), (8, 4), (12, 4)):
            read(places[cfg_type] + offset, size)
    read(places[CfgType.NOTIFY_CFG] + 16, 4)
    return places


def test_structures_are_known_from_their_own_fields() -> None:
    trace = Trace()
    linux_reads(trace)
    pci = trace.boards.observer.pci
    assert {structure.name for structure in pci.structures} == {"common", "isr", "notify", "device", "msix_table"}
    assert pci.walk_end and not pci.complete, "nobody read where the pending bits are"
    assert trace.boards.failures == []


@pytest.mark.parametrize(
    ("cfg_type", "field", "value", "clause"),
    [
        (CfgType.NOTIFY_CFG, 16, 6, "PCI-NOTIFY-D03"),
        (CfgType.COMMON_CFG, 8, 2, "PCI-COMMON-D01"),
        (CfgType.DEVICE_CFG, 12, 4, "PCI-DEVCFG-DX1"),
    ],
)
def test_a_wrong_field_is_found_once(cfg_type: CfgType, field: int, value: int, clause: str) -> None:
    places = linux_reads(Trace())
    trace = Trace()
    linux_reads(trace, {places[cfg_type] + field: value})
    assert [failure.clause for failure in trace.boards.failures].count(clause) == 1


def test_a_length_that_nobody_read_is_not_judged() -> None:
    places = linux_reads(Trace())
    at = places[CfgType.NOTIFY_CFG]
    head = struct.unpack("<I", Trace().config.read(at, 15).to_bytes(4, "little"))[0]
    short = head & ~0xFF0000 | 4 << 16
    trace = Trace()
    linux_reads(trace, {at: short})
    assert "PCI-CAP-D01" not in {failure.clause for failure in trace.boards.failures}
    trace.config_read(at, short)
    assert "PCI-CAP-D01" in {failure.clause for failure in trace.boards.failures}
