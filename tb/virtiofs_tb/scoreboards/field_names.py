"""Names of what the driver reads and writes: fields of configuration space and of the virtio structures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ctypes import Array, LittleEndianStructure, sizeof
from dataclasses import dataclass
from typing import Any

from virtiofs_model import config_space
from virtiofs_model.layouts.pci import MsixCap, MsixTableEntry, PciCapId, PciExpressCap, PciHeader
from virtiofs_model.layouts.virtio import (
    CfgType,
    DeviceStatus,
    VirtioFsConfig,
    VirtioPciCap,
    VirtioPciCfgCap,
    VirtioPciCommonCfg,
    VirtioPciNotifyCap,
)
from virtiofs_tb.scoreboards.pci_view import Capability

Field = tuple[int, int, str]
"""Offset, size, name."""

_HEADER_END = 0x40
_CFG_TYPE = 3


def fields_of(structure: type[Any], prefix: str = "") -> Iterator[Field]:
    """Every scalar of a structure, nested ones with a dot; an array is one field."""
    for name, kind, *_ in structure._fields_:
        offset = getattr(structure, name).offset
        if issubclass(kind, LittleEndianStructure) and not issubclass(kind, Array):
            for inner, size, inner_name in fields_of(kind, f"{prefix}{name}."):
                yield offset + inner, size, inner_name
        else:
            yield offset, sizeof(kind), prefix + name


def _named(structure: type[Any], start: int, name: str) -> list[Field]:
    return [(start + at, size, f"{field.removeprefix('cap.')}{name}") for at, size, field in fields_of(structure)]


def _virtio(cfg_type: int, start: int) -> list[Field]:
    structure = {CfgType.NOTIFY_CFG: VirtioPciNotifyCap, CfgType.PCI_CFG: VirtioPciCfgCap}.get(
        CfgType(cfg_type), VirtioPciCap
    )
    return _named(structure, start, f" of the {CfgType(cfg_type).name} capability")


HEADER: list[Field] = [
    *((at, size, name) for at, size, name in fields_of(PciHeader) if name != "bar"),
    *((0x10 + 4 * index, 4, f"BAR{index}") for index in range(6)),
]

GOLDEN: list[Field] = [
    *HEADER,
    *_named(PciExpressCap, config_space.PCIE_CAP, " of the PCI Express capability"),
    *_named(MsixCap, config_space.MSIX_CAP, " of the MSI-X capability"),
    *_virtio(CfgType.COMMON_CFG, config_space.COMMON_CAP),
    *_virtio(CfgType.NOTIFY_CFG, config_space.NOTIFY_CAP),
    *_virtio(CfgType.ISR_CFG, config_space.ISR_CAP),
    *_virtio(CfgType.DEVICE_CFG, config_space.DEVICE_CAP),
    *_virtio(CfgType.PCI_CFG, config_space.PCI_CFG_CAP),
]
"""Configuration space of the golden model."""

REGISTERS: dict[str, list[Field]] = {
    "common": list(fields_of(VirtioPciCommonCfg)),
    "device": list(fields_of(VirtioFsConfig)),
    "isr": [(0, 1, "ISR status")],
}
"""Fields of the structures behind the BARs, by region."""


def config_fields(capabilities: Sequence[Capability]) -> list[Field]:
    """Configuration space of any endpoint, as far as its capability list is known."""
    found = list(HEADER)
    for capability in capabilities:
        if capability.cap_id == PciCapId.EXPRESS:
            found += _named(PciExpressCap, capability.offset, " of the PCI Express capability")
        elif capability.cap_id == PciCapId.MSIX:
            found += _named(MsixCap, capability.offset, " of the MSI-X capability")
        elif capability.cap_id == PciCapId.VENDOR and capability.knows(_CFG_TYPE):
            kind = capability.data[_CFG_TYPE]
            found += _virtio(kind, capability.offset) if kind in CfgType.__members__.values() else []
    return found


def names_in(fields: Sequence[Field], start: int, size: int) -> str:
    """The fields that [start, start + size) touches, by name; '' for none. Of many, the first and the last."""
    touched = [name for at, length, name in sorted(fields) if at < start + size and start < at + length]
    return ", ".join(touched) if len(touched) <= 2 else f"{touched[0]} .. {touched[-1]}"


def register_name(region: str, at: int, size: int) -> str:
    """What an access to a structure behind a BAR touches; '' where that is not known."""
    if region == "msix_table":
        entry, inner = divmod(at, sizeof(MsixTableEntry))
        return f"MSI-X entry {entry}: {names_in(list(fields_of(MsixTableEntry)), inner, size)}"
    if region == "msix_pba":
        return "MSI-X pending bits"
    return names_in(REGISTERS.get(region, []), at, size)


@dataclass(frozen=True)
class FieldDifference:
    """The first field in which two pieces of a structure differ; expected, seen: its values."""

    name: str
    expected: str
    seen: str


def first_difference(fields: Sequence[Field], start: int, expected: bytes, seen: bytes) -> FieldDifference | None:
    """Compare bytes that stand at `start`; None where they are the same, or where no known field differs."""
    first = next((at for at, pair in enumerate(zip(expected, seen, strict=False)) if pair[0] != pair[1]), None)
    if first is None:
        return None
    for at, size, name in fields:
        if at <= start + first < at + size:
            low, high = max(at - start, 0), min(at + size - start, len(expected))
            values = (int.from_bytes(data[low:high], "little") for data in (expected, seen))
            return FieldDifference(name, *(_value(name, value, high - low) for value in values))
    return None


def _value(name: str, value: int, size: int) -> str:
    text = f"{value:#0{2 * size + 2}x}"
    if name == "device_status":
        bits = [bit.name or "" for bit in DeviceStatus if value & bit]
        return f"{text}: {', '.join(bits) or 'reset'}"
    if name.startswith("BAR") and value >> 20 == 0xFFF:  # the answer to sizing
        return f"{text}: {(1 << 32) - (value & ~0xF):,} bytes"
    return text if size > 2 else f"{text} = {value}"
