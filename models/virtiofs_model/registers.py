"""Golden virtio registers: common configuration, ISR, device configuration, straps, features and queue roles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from virtiofs_model.defects import Defect
from virtiofs_model.layouts.dpu import NOTIFY_BUF_SIZE_DEFAULT
from virtiofs_model.layouts.dpu import NOTIFY_BUF_SIZE_MIN as NOTIFY_BUF_SIZE_MIN
from virtiofs_model.layouts.virtio import (
    VIRTIO_MSI_NO_VECTOR,
    DeviceStatus,
    Feature,
    IsrStatus,
    VirtioFsConfig,
)

MAX_REQUEST_QUEUES = 8
MAX_QUEUES = 2 + MAX_REQUEST_QUEUES
CONFIG_EVENT = -1
"""A configuration change among the events that have a vector; the others are queue indices."""

DEFAULT_FEATURES = Feature.VERSION_1.mask | Feature.INDIRECT_DESC.mask | Feature.FS_NOTIFICATION.mask
BUILT_FEATURES = DEFAULT_FEATURES | sum(
    feature.mask
    for feature in (
        Feature.EVENT_IDX,
        Feature.ACCESS_PLATFORM,
        Feature.RING_PACKED,
        Feature.IN_ORDER,
        Feature.ORDER_PLATFORM,
        Feature.NOTIFICATION_DATA,
        Feature.NOTIF_CONFIG_DATA,
        Feature.RING_RESET,
    )
)
"""What a strap may offer. ACCESS_PLATFORM and ORDER_PLATFORM change nothing here: every access is one of PCI Express,
at the address that the driver gave."""
NOTIF_CONFIG_DATA = 0x100
"""queue_notif_config_data less the queue's index: no index that a doorbell could be told instead."""
_DRIVER_STATUS = (
    DeviceStatus.ACKNOWLEDGE
    | DeviceStatus.DRIVER
    | DeviceStatus.DRIVER_OK
    | DeviceStatus.FEATURES_OK
    | DeviceStatus.FAILED
)


class Role(Enum):
    """What a queue index means once FEATURES_OK is accepted."""

    NONE = 0
    HIPRIO = 1
    NOTIFICATION = 2
    REQUEST = 3


class NotifyPolicy(Enum):
    """What happens to an invalidation that finds the message store full."""

    HOLD = 0
    COALESCE = 1
    DROP = 2


@dataclass
class DeviceStraps:
    """What the DPU chooses while device_status reads 0. literal: numbering personality (literal or deployed)."""

    num_request_queues: int = 4
    features: int = DEFAULT_FEATURES
    literal: bool = False
    max_queue_size: int = 1024
    notify_buf_size: int = NOTIFY_BUF_SIZE_DEFAULT
    notify_policy: NotifyPolicy = NotifyPolicy.HOLD
    valid_seconds: int = 1  # of names and attributes in the client's caches
    cache_options: int = 0  # CacheOption
    firmware: bool = True  # answers FUSE, not the file system in hardware
    tag: bytes = b"virtiofs"

    def num_queues(self) -> int:
        """num_queues: constant whatever is negotiated, literal numbering always counts index 1."""
        has_notification = self.literal or bool(self.features & Feature.FS_NOTIFICATION.mask)
        return 1 + has_notification + self.num_request_queues

    def roles(self, negotiated: int) -> list[Role]:
        """The role of each queue index for a set of negotiated features."""
        roles = [Role.NONE] * MAX_QUEUES
        roles[0] = Role.HIPRIO
        first_request = 2 if self.literal else 1
        if negotiated & Feature.FS_NOTIFICATION.mask:
            roles[1] = Role.NOTIFICATION
            first_request = 2
        for index in range(first_request, first_request + self.num_request_queues):
            roles[index] = Role.REQUEST
        return roles

    def device_config_length(self) -> int:
        """Bytes of the device configuration: notify_buf_size exists where its feature is offered (FS-CFG-DI2)."""
        return 44 if self.features & Feature.FS_NOTIFICATION.mask else 40

    def device_config(self) -> bytes:
        """struct virtio_fs_config."""
        config = VirtioFsConfig(self.tag, self.num_request_queues, self.notify_buf_size)
        return bytes(config)[: self.device_config_length()]


def features_acceptable(driver: int, offered: int) -> bool:
    """Whether FEATURES_OK is kept: a subset of what was offered, with VERSION_1 and with ACCESS_PLATFORM if offered."""
    if driver & ~offered or not driver & Feature.VERSION_1.mask:
        return False
    return not offered & Feature.ACCESS_PLATFORM.mask & ~driver


@dataclass
class QueueRegisters:
    """The registers behind queue_select. desc, driver, device: guest-physical addresses of the three areas. resetting:
    queue_reset was written, and DMA may still follow."""

    size: int
    vector: int = VIRTIO_MSI_NO_VECTOR
    enable: bool = False
    resetting: bool = False
    desc: int = 0
    driver: int = 0
    device: int = 0


def _merge(old: int, value: int, enables: int) -> int:
    mask = sum(0xFF << 8 * lane for lane in range(4) if enables >> lane & 1)
    return old & ~mask | value & mask


@dataclass
class _Selects:
    device_feature: int = 0
    driver_feature: int = 0
    queue: int = 0


@dataclass
class VirtioRegisters:
    """The common configuration structure, the ISR byte and the device configuration.

    msix_vectors: size of the MSI-X table. on_reset: called when a reset begins; the owner calls finish_reset()
    when no DMA can follow, until then device_status reads its old value. on_status: after any other status write and
    after a queue was enabled. on_queue_reset(queue): the same as on_reset for a queue, with finish_queue_reset().
    on_vector_unmapped(event): a queue index or CONFIG_EVENT got NO_VECTOR. on_isr: a bit of the ISR changed.
    """

    msix_vectors: int = 11
    defect: Defect | None = None
    on_reset: Callable[[], None] = lambda: None
    on_status: Callable[[], None] = lambda: None
    on_queue_reset: Callable[[int], None] = lambda queue: None
    on_vector_unmapped: Callable[[int], None] = lambda event: None
    on_isr: Callable[[], None] = lambda: None
    straps: DeviceStraps = field(default_factory=DeviceStraps)
    generation: int = 0

    def __post_init__(self) -> None:
        self._config_seen = False
        self.finish_reset()

    def finish_reset(self) -> None:
        """All that a device reset clears; device_status then reads 0 (PCI-COMMON-D08)."""
        self.status = 0
        self.resetting = False
        self.isr = 0
        self.driver_features = 0
        self.config_vector = VIRTIO_MSI_NO_VECTOR
        self.queues = [QueueRegisters(self.straps.max_queue_size) for _ in range(MAX_QUEUES)]
        self.roles = [Role.NONE] * MAX_QUEUES
        self._select = _Selects()
        self.on_isr()

    def finish_queue_reset(self, queue: int) -> None:
        """A queue as it was after the device's reset (VQRST-D03); queue_reset and queue_enable read 0
        (PCI-COMMON-D14)."""
        old = self.queues[queue]
        self.on_vector_unmapped(queue)
        self.queues[queue] = QueueRegisters(self.straps.max_queue_size)
        if self.defect is not None:
            self._leave(old, self.queues[queue])

    def _leave(self, old: QueueRegisters, new: QueueRegisters) -> None:
        """Defects: what a queue's reset leaves behind."""
        if self.defect is Defect.QUEUE_RESET_KEEPS_REGISTERS:
            new.size, new.vector = old.size, old.vector
        if self.defect in (Defect.QUEUE_RESET_EARLY, Defect.QUEUE_RESET_KEEPS_REQUESTS):
            new.desc, new.driver, new.device = old.desc, old.driver, old.device
        new.enable = old.enable and self.defect is Defect.QUEUE_RESET_KEEPS_ENABLE
        new.resetting = self.defect is Defect.QUEUE_RESET_NEVER_ENDS

    @property
    def selected_resetting(self) -> bool:
        """Whether a reset of the queue behind queue_select is under way."""
        index = self._select.queue
        return self.present(index) and self.queues[index].resetting

    # ---- what the rest of the endpoint asks ----

    @property
    def features_ok(self) -> bool:
        """Whether the driver's features were accepted."""
        return bool(self.status & DeviceStatus.FEATURES_OK)

    @property
    def driver_ok(self) -> bool:
        """Queues may be served: DRIVER_OK with accepted features, no NEEDS_RESET, no reset under way."""
        needed = DeviceStatus.DRIVER_OK | DeviceStatus.FEATURES_OK
        return (
            self.status & needed == needed and not self.status & DeviceStatus.DEVICE_NEEDS_RESET and not self.resetting
        )

    def negotiated(self, feature: Feature) -> bool:
        """Whether `feature` is in force."""
        return self.features_ok and bool(self.driver_features & feature.mask)

    def present(self, queue: int) -> bool:
        """Whether a queue index exists: before FEATURES_OK every one below num_queues, then those with a role."""
        if queue >= self.straps.num_queues():
            return False
        return not self.features_ok or self.roles[queue] is not Role.NONE

    def needs_reset(self) -> bool:
        """Set DEVICE_NEEDS_RESET; true when this is news that a configuration interrupt must tell (STATUS-D04)."""
        news = not self.status & DeviceStatus.DEVICE_NEEDS_RESET and bool(self.status & DeviceStatus.DRIVER_OK)
        self.status |= DeviceStatus.DEVICE_NEEDS_RESET
        return news

    def config_changed(self) -> None:
        """A device configuration field changed: a new generation if the old one was seen (PCI-COMMON-D06)."""
        if self._config_seen:
            self.generation = (self.generation + (self.defect is not Defect.GENERATION_STAYS)) & 0xFF
            self._config_seen = False

    # ---- access by dword ----

    def read_common(self, offset: int) -> int:
        """The dword at `offset` of the common configuration structure; no side effects."""
        index = self._select.queue
        present = self.present(index)
        queue = self.queues[index] if present else QueueRegisters(0)
        if not present and self.defect is Defect.ABSENT_QUEUE_SIZE:
            queue.size = self.straps.max_queue_size
        if offset == 0x00:
            return self._select.device_feature
        if offset == 0x04:
            return self._word(self.straps.features, self._select.device_feature)
        if offset == 0x08:
            return self._select.driver_feature
        if offset == 0x0C:
            return self._word(self.driver_features, self._select.driver_feature)
        if offset == 0x10:
            return self.config_vector | self.straps.num_queues() << 16
        if offset == 0x14:
            return self.status | self.generation << 8 | index << 16
        if offset == 0x18:
            return queue.size | queue.vector << 16
        if offset == 0x1C:
            return queue.enable | (index << 16 if present else 0)
        if 0x20 <= offset < 0x38:
            address = (queue.desc, queue.driver, queue.device)[(offset - 0x20) // 8]
            return self._word(address, offset >> 2 & 1)
        if offset == 0x38:
            distance = 0 if self.defect is Defect.CONFIG_DATA_IS_INDEX else NOTIF_CONFIG_DATA
            told = index + distance if present and self.negotiated(Feature.NOTIF_CONFIG_DATA) else 0
            return told | queue.resetting << 16
        return 0

    def write_common(self, offset: int, value: int, enables: int) -> None:
        """Write the enabled bytes of a dword; each field merges its own bytes."""
        low, high = bool(enables & 0x3), bool(enables & 0xC)
        if offset == 0x00:
            self._select.device_feature = _merge(self._select.device_feature, value, enables)
        elif offset == 0x08:
            self._select.driver_feature = _merge(self._select.driver_feature, value, enables)
        elif offset == 0x0C:
            self._write_driver_feature(value, enables)
        elif offset == 0x10 and low:
            merged = _merge(self.config_vector, value, enables) & 0xFFFF
            self.config_vector = self._mapped(merged, CONFIG_EVENT)
        elif offset == 0x14:
            if high:
                self._select.queue = _merge(self._select.queue << 16, value, enables) >> 16
            if enables & 1:
                self._write_status(value & 0xFF)
        elif 0x18 <= offset < 0x3C and self.present(self._select.queue):
            self._write_queue(offset, value, enables)

    def read_isr(self) -> int:
        """The ISR byte, which reading clears (PCI-ISR-D05)."""
        isr = self.isr
        if self.defect is not Defect.ISR_NOT_CLEARED:
            self.isr = 0
            self.on_isr()
        return isr

    def raise_isr(self, bits: IsrStatus) -> None:
        """Set bits of the ISR."""
        self.isr |= bits
        self.on_isr()

    def read_device(self, offset: int) -> int:
        """The dword at `offset` of the device configuration (zero behind its end)."""
        self._config_seen = True
        return int.from_bytes(self.straps.device_config()[offset : offset + 4], "little")

    # ---- single fields ----

    @staticmethod
    def _word(value: int, select: int) -> int:
        return value >> 32 * select & 0xFFFFFFFF if select < 2 else 0

    def _mapped(self, vector: int, event: int) -> int:
        """A vector as it reads back: NO_VECTOR where the mapping failed (PCI-MSIX-D09)."""
        if vector < self.msix_vectors or self.defect is Defect.VECTOR_READBACK:
            return vector
        self.on_vector_unmapped(event)
        return VIRTIO_MSI_NO_VECTOR

    def _write_driver_feature(self, value: int, enables: int) -> None:
        select = self._select.driver_feature
        if self.features_ok or select > 1:
            return
        word = _merge(self._word(self.driver_features, select), value, enables)
        self.driver_features = self.driver_features & ~(0xFFFFFFFF << 32 * select) | word << 32 * select

    def _write_status(self, value: int) -> None:
        if self.resetting:
            return
        if value == 0 and self.status == 0:
            # The driver cannot see this reset end, so it ends at once: nothing was served since the last one.
            self.finish_reset()
            return
        if value == 0:
            self.resetting = True
            self.on_reset()
            return
        accepted = value & _DRIVER_STATUS
        if accepted & DeviceStatus.FEATURES_OK and not self.features_ok:
            offered = self.straps.features
            if self.defect is Defect.FEATURES_UPPER_HALF:
                offered |= ~0xFFFFFFFF
            if self.defect is Defect.FEATURES_PLATFORM_OPTIONAL:
                offered &= ~Feature.ACCESS_PLATFORM.mask | self.driver_features
            acceptable = features_acceptable(self.driver_features, offered)
            if acceptable or self.defect is Defect.FEATURES_OK_WITHOUT_VERSION_1:
                self.roles = self.straps.roles(self.driver_features)
            else:
                accepted &= ~DeviceStatus.FEATURES_OK
        # NEEDS_RESET is the device's bit: a write neither sets nor clears it.
        self.status = int(accepted) | self.status & DeviceStatus.DEVICE_NEEDS_RESET
        self.on_status()

    def _size_fits(self, size: int) -> bool:
        """A split ring has a power of 2 entries, a packed one any number (PACK-VQ-DI1)."""
        packed = self.negotiated(Feature.RING_PACKED) and self.defect is not Defect.PACKED_SIZE_REFUSED
        return size & (size - 1) == 0 or packed

    def _write_queue(self, offset: int, value: int, enables: int) -> None:
        index = self._select.queue
        queue = self.queues[index]
        if queue.resetting:
            return
        if offset == 0x38:
            if _merge(0, value, enables) >> 16 == 1 and self.negotiated(Feature.RING_RESET):
                queue.resetting = True
                self.on_queue_reset(index)
        elif offset == 0x18:
            if enables & 0x3 and not queue.enable:
                size = _merge(queue.size, value, enables) & 0xFFFF
                if 0 < size <= self.straps.max_queue_size and self._size_fits(size):
                    queue.size = size
            if enables & 0xC:
                queue.vector = self._mapped(_merge(queue.vector << 16, value, enables) >> 16, index)
        elif offset == 0x1C:
            if enables & 1 and value & 1 and not queue.enable:
                queue.enable = True
                self.on_status()
        elif not queue.enable:
            name = ("desc", "driver", "device")[(offset - 0x20) // 8]
            address: int = getattr(queue, name)
            half = offset >> 2 & 1
            word = _merge(self._word(address, half), value, enables)
            setattr(queue, name, address & ~(0xFFFFFFFF << 32 * half) | word << 32 * half)
