"""Structures and constants of virtio 1.4 over PCI, split and packed rings, and the fs device (little-endian)."""

from __future__ import annotations

from ctypes import LittleEndianStructure, c_char, c_uint8, c_uint16, c_uint32, c_uint64
from enum import IntEnum, IntFlag

VIRTIO_PCI_VENDOR_ID = 0x1AF4
VIRTIO_PCI_DEVICE_ID_BASE = 0x1040
VIRTIO_ID_FS = 26
VIRTIO_MSI_NO_VECTOR = 0xFFFF
NOTIFY_OFF_MULTIPLIER = 4
"""The multiplier that satisfies every reading of the text (PCI-NOTIFY-D03, PCI-NOTIFY-D07)."""

VIRTQ_MAX_SIZE = 32768


class DeviceStatus(IntFlag):
    """device_status."""

    ACKNOWLEDGE = 1
    DRIVER = 2
    DRIVER_OK = 4
    FEATURES_OK = 8
    SUSPEND = 16
    DEVICE_NEEDS_RESET = 64
    FAILED = 128


class Feature(IntEnum):
    """Feature bits by number; `mask` is the bit in a 64-bit feature word."""

    FS_NOTIFICATION = 0
    NOTIFY_ON_EMPTY = 24
    ANY_LAYOUT = 27
    INDIRECT_DESC = 28
    EVENT_IDX = 29
    VERSION_1 = 32
    ACCESS_PLATFORM = 33
    RING_PACKED = 34
    IN_ORDER = 35
    ORDER_PLATFORM = 36
    SR_IOV = 37
    NOTIFICATION_DATA = 38
    NOTIF_CONFIG_DATA = 39
    RING_RESET = 40
    ADMIN_VQ = 41
    SUSPEND = 43

    @property
    def mask(self) -> int:
        """The feature as a 64-bit mask."""
        return 1 << self.value


class CfgType(IntEnum):
    """cfg_type of struct virtio_pci_cap."""

    COMMON_CFG = 1
    NOTIFY_CFG = 2
    ISR_CFG = 3
    DEVICE_CFG = 4
    PCI_CFG = 5
    SHARED_MEMORY_CFG = 8
    VENDOR_CFG = 9


class IsrStatus(IntFlag):
    """ISR status byte; reading it clears it (PCI-ISR-D05)."""

    QUEUE = 1
    CONFIG = 2


class DescFlags(IntFlag):
    """Flags of a split (virtq_desc) or packed (pvirtq_desc) descriptor; the last two are of packed rings."""

    NEXT = 1
    WRITE = 2
    INDIRECT = 4
    AVAIL = 1 << 7
    USED = 1 << 15


VIRTQ_AVAIL_F_NO_INTERRUPT = 1
VIRTQ_USED_F_NO_NOTIFY = 1


class RingEventFlags(IntEnum):
    """Flags of struct pvirtq_event_suppress."""

    ENABLE = 0
    DISABLE = 1
    DESC = 2


class VirtioPciCap(LittleEndianStructure):
    """struct virtio_pci_cap, 16 bytes."""

    _fields_ = [
        ("cap_vndr", c_uint8),
        ("cap_next", c_uint8),
        ("cap_len", c_uint8),
        ("cfg_type", c_uint8),
        ("bar", c_uint8),
        ("id", c_uint8),
        ("padding", c_uint8 * 2),
        ("offset", c_uint32),
        ("length", c_uint32),
    ]


class VirtioPciCap64(LittleEndianStructure):
    """struct virtio_pci_cap64, 24 bytes: shared memory regions."""

    _fields_ = [("cap", VirtioPciCap), ("offset_hi", c_uint32), ("length_hi", c_uint32)]


class VirtioPciNotifyCap(LittleEndianStructure):
    """struct virtio_pci_notify_cap, 20 bytes."""

    _fields_ = [("cap", VirtioPciCap), ("notify_off_multiplier", c_uint32)]


class VirtioPciCfgCap(LittleEndianStructure):
    """struct virtio_pci_cfg_cap, 20 bytes: a window to the BARs in configuration space."""

    _fields_ = [("cap", VirtioPciCap), ("pci_cfg_data", c_uint8 * 4)]


class VirtioPciVndrData(LittleEndianStructure):
    """struct virtio_pci_vndr_data, 6 bytes; vendor data follows."""

    _fields_ = [
        ("cap_vndr", c_uint8),
        ("cap_next", c_uint8),
        ("cap_len", c_uint8),
        ("cfg_type", c_uint8),
        ("vendor_id", c_uint16),
    ]


class VirtioPciCommonCfg(LittleEndianStructure):
    """struct virtio_pci_common_cfg, 64 bytes. 64-bit fields are also accessible as two halves (PCI-LAYOUT-D01)."""

    _fields_ = [
        ("device_feature_select", c_uint32),
        ("device_feature", c_uint32),
        ("driver_feature_select", c_uint32),
        ("driver_feature", c_uint32),
        ("config_msix_vector", c_uint16),
        ("num_queues", c_uint16),
        ("device_status", c_uint8),
        ("config_generation", c_uint8),
        ("queue_select", c_uint16),
        ("queue_size", c_uint16),
        ("queue_msix_vector", c_uint16),
        ("queue_enable", c_uint16),
        ("queue_notify_off", c_uint16),
        ("queue_desc", c_uint64),
        ("queue_driver", c_uint64),
        ("queue_device", c_uint64),
        ("queue_notif_config_data", c_uint16),
        ("queue_reset", c_uint16),
        ("admin_queue_index", c_uint16),
        ("admin_queue_num", c_uint16),
    ]


class VirtqDesc(LittleEndianStructure):
    """struct virtq_desc, 16 bytes."""

    _fields_ = [("addr", c_uint64), ("len", c_uint32), ("flags", c_uint16), ("next", c_uint16)]


class VirtqAvail(LittleEndianStructure):
    """The fixed part of struct virtq_avail, 4 bytes; ring[Q] of u16 and used_event follow."""

    _fields_ = [("flags", c_uint16), ("idx", c_uint16)]


class VirtqUsedElem(LittleEndianStructure):
    """struct virtq_used_elem, 8 bytes."""

    _fields_ = [("id", c_uint32), ("len", c_uint32)]


class VirtqUsed(LittleEndianStructure):
    """The fixed part of struct virtq_used, 4 bytes; ring[Q] of virtq_used_elem and avail_event follow."""

    _fields_ = [("flags", c_uint16), ("idx", c_uint16)]


class PvirtqDesc(LittleEndianStructure):
    """struct pvirtq_desc, 16 bytes."""

    _fields_ = [("addr", c_uint64), ("len", c_uint32), ("id", c_uint16), ("flags", c_uint16)]


class PvirtqEventSuppress(LittleEndianStructure):
    """struct pvirtq_event_suppress, 4 bytes. desc: offset in bits 14:0, wrap counter in 15; flags in bits 1:0."""

    _fields_ = [("desc", c_uint16), ("flags", c_uint16)]


class VirtioFsConfig(LittleEndianStructure):
    """struct virtio_fs_config, 44 bytes. notify_buf_size exists where VIRTIO_FS_F_NOTIFICATION is offered."""

    _fields_ = [
        ("tag", c_char * 36),
        ("num_request_queues", c_uint32),
        ("notify_buf_size", c_uint32),
    ]


VIRTQ_DESC_SIZE = 16
VIRTQ_AVAIL_RING_OFFSET = 4
VIRTQ_USED_RING_OFFSET = 4
VIRTQ_USED_ELEM_SIZE = 8
VIRTIO_FS_TAG_SIZE = 36


def avail_size(queue_size: int) -> int:
    """Bytes of the available ring, used_event included."""
    return 6 + 2 * queue_size


def used_size(queue_size: int) -> int:
    """Bytes of the used ring, avail_event included."""
    return 6 + 8 * queue_size


def offset_of(structure: type[LittleEndianStructure], field: str) -> int:
    """Byte offset of a field of a ctypes structure."""
    offset = getattr(structure, field).offset
    assert isinstance(offset, int)
    return offset
