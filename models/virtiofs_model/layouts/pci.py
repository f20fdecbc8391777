"""PCI configuration space of an endpoint: header, capabilities, MSI-X table (little-endian, sizes in bytes).

Sources: PCI Local Bus Specification 3.0 chapter 6, PCI Express Base Specification 7.5. Names follow
linux/pci_regs.h where it has one.
"""

from __future__ import annotations

from ctypes import LittleEndianStructure, c_uint8, c_uint16, c_uint32, c_uint64
from enum import IntEnum, IntFlag


class PciHeader(LittleEndianStructure):
    """Type 0 configuration space header, 64 bytes."""

    _fields_ = [
        ("vendor_id", c_uint16),
        ("device_id", c_uint16),
        ("command", c_uint16),
        ("status", c_uint16),
        ("revision_id", c_uint8),
        ("prog_if", c_uint8),
        ("sub_class", c_uint8),
        ("base_class", c_uint8),
        ("cache_line_size", c_uint8),
        ("latency_timer", c_uint8),
        ("header_type", c_uint8),
        ("bist", c_uint8),
        ("bar", c_uint32 * 6),
        ("cardbus_cis", c_uint32),
        ("subsystem_vendor_id", c_uint16),
        ("subsystem_id", c_uint16),
        ("rom_address", c_uint32),
        ("capability_list", c_uint8),
        ("reserved", c_uint8 * 7),
        ("interrupt_line", c_uint8),
        ("interrupt_pin", c_uint8),
        ("min_gnt", c_uint8),
        ("max_lat", c_uint8),
    ]


class PciCapHeader(LittleEndianStructure):
    """The two bytes that every capability begins with."""

    _fields_ = [("cap_id", c_uint8), ("cap_next", c_uint8)]


class PciExpressCap(LittleEndianStructure):
    """PCI Express capability, version 2, 60 bytes (PCIe 7.5.3)."""

    _fields_ = [
        ("cap_id", c_uint8),
        ("cap_next", c_uint8),
        ("flags", c_uint16),
        ("devcap", c_uint32),
        ("devctl", c_uint16),
        ("devsta", c_uint16),
        ("lnkcap", c_uint32),
        ("lnkctl", c_uint16),
        ("lnksta", c_uint16),
        ("sltcap", c_uint32),
        ("sltctl", c_uint16),
        ("sltsta", c_uint16),
        ("rtctl", c_uint16),
        ("rtcap", c_uint16),
        ("rtsta", c_uint32),
        ("devcap2", c_uint32),
        ("devctl2", c_uint16),
        ("devsta2", c_uint16),
        ("lnkcap2", c_uint32),
        ("lnkctl2", c_uint16),
        ("lnksta2", c_uint16),
        ("sltcap2", c_uint32),
        ("sltctl2", c_uint16),
        ("sltsta2", c_uint16),
    ]


class MsixCap(LittleEndianStructure):
    """MSI-X capability, 12 bytes. table and pba: BAR index in bits 2:0, offset in the rest."""

    _fields_ = [
        ("cap_id", c_uint8),
        ("cap_next", c_uint8),
        ("message_control", c_uint16),
        ("table", c_uint32),
        ("pba", c_uint32),
    ]


class MsixTableEntry(LittleEndianStructure):
    """One vector of the MSI-X table, 16 bytes; bit 0 of vector_control masks it."""

    _fields_ = [
        ("message_address", c_uint64),
        ("message_data", c_uint32),
        ("vector_control", c_uint32),
    ]


class PciCapId(IntEnum):
    """Capability IDs that occur here."""

    VENDOR = 0x09
    EXPRESS = 0x10
    MSIX = 0x11


class PciCommand(IntFlag):
    """Command register."""

    IO = 1 << 0
    MEMORY = 1 << 1
    BUS_MASTER = 1 << 2
    PARITY = 1 << 6
    SERR = 1 << 8
    INTX_DISABLE = 1 << 10


class PciStatus(IntFlag):
    """Status register."""

    INTERRUPT = 1 << 3
    CAP_LIST = 1 << 4
    MASTER_DATA_PARITY = 1 << 8
    SIGNALED_TARGET_ABORT = 1 << 11
    RECEIVED_TARGET_ABORT = 1 << 12
    RECEIVED_MASTER_ABORT = 1 << 13
    SIGNALED_SYSTEM_ERROR = 1 << 14
    DETECTED_PARITY_ERROR = 1 << 15


class DevSta(IntFlag):
    """Device Status register of the PCI Express capability."""

    CORRECTABLE = 1 << 0
    NON_FATAL = 1 << 1
    FATAL = 1 << 2
    UNSUPPORTED_REQUEST = 1 << 3
    AUX_POWER = 1 << 4
    TRANSACTIONS_PENDING = 1 << 5


class DevCtl(IntFlag):
    """Single-bit fields of Device Control; Max_Payload_Size is bits 7:5, Max_Read_Request_Size bits 14:12."""

    CORRECTABLE_ENABLE = 1 << 0
    NON_FATAL_ENABLE = 1 << 1
    FATAL_ENABLE = 1 << 2
    UNSUPPORTED_REQUEST_ENABLE = 1 << 3
    RELAXED_ORDERING = 1 << 4
    EXTENDED_TAG = 1 << 8
    NO_SNOOP = 1 << 11


DEVCTL_MPS_SHIFT = 5
DEVCTL_MRRS_SHIFT = 12
LNKCTL_RCB = 1 << 3
"""Link Control bit 3: read completion boundary, 1 = 128 bytes."""

BAR_64BIT = 0x4
"""Type bits of a memory BAR: 64-bit, non-prefetchable."""

MSIX_CONTROL_MASK = 1 << 14
MSIX_CONTROL_ENABLE = 1 << 15
MSIX_VECTOR_MASK = 1
