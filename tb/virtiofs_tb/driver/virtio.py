"""Initialisation of a virtio-fs device over PCI: status machine, features, queues, vectors, resets.

The driver accepts only features that it implements (FEAT-R04, FEAT-R05), writes status bits in the prescribed order
(INIT-R01), never clears one but by reset (STATUS-R02), and gives up with FAILED (INIT-R06).
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum

from virtiofs_model.layouts.virtio import (
    VIRTIO_FS_TAG_SIZE,
    VIRTIO_MSI_NO_VECTOR,
    VIRTQ_MAX_SIZE,
    CfgType,
    DeviceStatus,
    Feature,
    IsrStatus,
    VirtioFsConfig,
    VirtioPciCommonCfg,
)
from virtiofs_tb.host.port import HostPort, Interrupt, IoSpace, Task

from .chains import Publish, RingOptions
from .dma import DmaMapper
from .errors import DriverError, DriverTimeout, QueueStopped, check
from .packed_queue import PackedQueue
from .pci import PciFunction, RegisterBlock
from .split_queue import SplitQueue
from .virtqueue import Virtqueue

USUAL_FEATURES = Feature.VERSION_1.mask | Feature.INDIRECT_DESC.mask | Feature.FS_NOTIFICATION.mask
"""What this driver asks for unless it is told otherwise, and what our endpoint offers after reset."""

RING_FEATURES = (
    Feature.EVENT_IDX,
    Feature.ACCESS_PLATFORM,
    Feature.RING_PACKED,
    Feature.IN_ORDER,
    Feature.ORDER_PLATFORM,
    Feature.NOTIFICATION_DATA,
    Feature.NOTIF_CONFIG_DATA,
    Feature.RING_RESET,
)
KNOWN_FEATURES = USUAL_FEATURES | sum(feature.mask for feature in RING_FEATURES)
"""What this driver implements. Anything else that is offered is ignored (FEAT-R04)."""

RESET_TIMEOUT_PS = 5_000_000_000
FIRST_POLL_PS = 100_000
LAST_POLL_PS = 6_400_000
LINE_PS = 400_000
"""Time between two reads of the ISR while INTA stays asserted."""
LINE_READS = 10_000
"""So many of them in a row that show nothing are a line that nobody can quieten."""
"""Time between two reads of device_status while a reset is awaited: doubles from the first to the last."""


class Vectors(Enum):
    """How events are mapped to MSI-X vectors."""

    EACH = "one each"  # vector 0 configuration, 1 + n for queue n
    SHARED = "shared"  # 0 configuration, 1 for all queues: Linux's fallback
    NONE = "none"  # every event unmapped: the driver polls
    LINE = "INTA"  # no MSI-X: the ISR tells


@dataclass
class Settings:
    """What the driver asks for. request_queues: how many it uses (FS-CFG-R02), None for all.

    queue_size: largest size it takes, of a split ring a power of two (None: the device's maximum); queue_sizes: the
    same for single queues, by index. literal: where the notification feature is not negotiated, take the literal
    reading, in which index 1 is absent and requests start at 2. batches: under IN_ORDER the device may use several
    buffers with one entry.
    """

    features: int = USUAL_FEATURES
    queue_size: int | None = None
    queue_sizes: dict[int, int] = field(default_factory=dict)
    request_queues: int | None = None
    vectors: Vectors = Vectors.EACH
    publish: Publish = Publish.SPREAD
    literal: bool = False
    batches: bool = False


@dataclass
class FsConfig:
    """Device configuration. notify_buf_size: None where the notification feature is not offered."""

    tag: bytes = b""
    num_request_queues: int = 0
    notify_buf_size: int | None = None


@dataclass
class QueueRoles:
    """Which index does what, settled by the negotiated features."""

    hiprio: int = 0
    notification: int | None = None
    requests: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class _Doorbell:
    """offset: bytes, in the BAR; value: what names the queue in it."""

    offset: int
    value: int


class VirtioFsDevice:
    """The driver's handle of one device; `initialise` may be called again after `reset`."""

    def __init__(self, host: HostPort, rng: random.Random, function: PciFunction | None = None) -> None:
        self.host = host
        self.rng = rng
        self.pci = function or PciFunction(host)
        self.features = 0
        self.offered = 0
        self.config = FsConfig()
        self.roles = QueueRoles()
        self.queues: dict[int, Virtqueue] = {}
        self.settings = Settings()
        self.config_changed = host.event()
        self.interrupts = 0
        self.last_interrupt_ps = 0  # when it arrived, not when it was handled
        self._by_vector: dict[int, list[Virtqueue]] = {}
        self.line = False  # INTA, as the host saw it
        self._by_line = False  # interrupts are taken by INTA
        self._handler: Task[None] | None = None  # of INTA
        self._doorbells: dict[int, _Doorbell] = {}
        self._dma = DmaMapper()
        self._common: RegisterBlock | None = None
        self._device: RegisterBlock | None = None
        host.on_interrupt(self._interrupted)

    @property
    def common(self) -> RegisterBlock:
        """virtio_pci_common_cfg."""
        if self._common is None:
            self._common = self.pci.block(CfgType.COMMON_CFG, VirtioPciCommonCfg)
        return self._common

    @property
    def device(self) -> RegisterBlock:
        """virtio_fs_config."""
        if self._device is None:
            self._device = self.pci.block(CfgType.DEVICE_CFG, VirtioFsConfig)
        return self._device

    @property
    def io_space(self) -> IoSpace | None:
        """The map of addresses that is in force, where ACCESS_PLATFORM was negotiated and the host translates."""
        return self._dma.space

    def negotiated(self, feature: Feature) -> bool:
        """Whether the feature was accepted by both."""
        return bool(self.features & feature.mask)

    async def status(self) -> DeviceStatus:
        """device_status as it reads now."""
        return DeviceStatus(await self.common.read("device_status"))

    async def reset(self) -> None:
        """Write 0 and wait until it reads 0 (PCI-COMMON-R05); gives back the rings of all queues."""
        await self.common.write("device_status", 0)
        end = self.host.now_ps() + RESET_TIMEOUT_PS
        pause = FIRST_POLL_PS
        while (seen := await self.common.read("device_status")) != 0:
            if self.host.now_ps() >= end:
                raise DriverTimeout("device_status after reset", seen, 0, "PCI-COMMON-D08")
            await self.host.sleep(pause)
            pause = min(2 * pause, LAST_POLL_PS)
        for queue in self.queues.values():
            await queue.release()
        self.queues.clear()
        self._by_vector.clear()
        self._by_line = False
        self.config_changed.clear()
        self.features = 0
        self._dma = DmaMapper(self.host.memory.translate(False))

    async def initialise(self, settings: Settings | None = None) -> None:
        """Reset up to FEATURES_OK, queues and vectors; `start` sets DRIVER_OK. Sets FAILED when it cannot go on."""
        self.settings = settings or Settings()
        await self.reset()
        try:
            await self._set_status(DeviceStatus.ACKNOWLEDGE)
            await self._set_status(DeviceStatus.DRIVER)
            self.offered = await self.read_offered()
            await self._negotiate()
            self.config = await self.read_config()
            await self._find_queues()
        except DriverError:
            status = await self.common.read("device_status")
            await self.common.write("device_status", status | DeviceStatus.FAILED)  # INIT-R06
            raise

    async def start(self) -> None:
        """DRIVER_OK: from here on the device may use the queues."""
        await self._set_status(DeviceStatus.DRIVER_OK)

    async def read_offered(self) -> int:
        """The 64 feature bits that the device offers."""
        return await self._read_features("device_feature")

    async def read_accepted(self) -> int:
        """driver_feature as it reads back (PCI-COMMON-D04)."""
        return await self._read_features("driver_feature")

    async def write_accepted(self, features: int) -> None:
        """driver_feature, both words."""
        for select in (0, 1):
            await self.common.write("driver_feature_select", select)
            await self.common.write("driver_feature", features >> 32 * select & 0xFFFF_FFFF)

    async def read_config(self) -> FsConfig:
        """Device configuration, read again until the generation stood still (CFG-R03)."""
        for _ in range(16):
            before = await self.common.read("config_generation")
            tag = (await self.device.read_bytes("tag"))[:VIRTIO_FS_TAG_SIZE].split(b"\0")[0]
            queues = await self.device.read("num_request_queues")
            size = None
            if self.offered & Feature.FS_NOTIFICATION.mask:  # CFG-R04
                size = await self.device.read("notify_buf_size")
            if before == await self.common.read("config_generation"):
                break
        else:
            raise DriverError("config_generation", "changes at every read", "a quiet device", "PCI-COMMON-D06")
        if queues < 1:
            raise DriverError("num_request_queues", queues, "at least 1", "FS-CFG-D01")
        return FsConfig(tag, queues, size)

    async def queue_size(self, index: int) -> int:
        """queue_size of a queue as it reads now; 0: the queue is absent."""
        await self.common.write("queue_select", index)
        return await self.common.read("queue_size")

    async def ring_doorbell(self, index: int) -> None:
        """The doorbell of a queue: its index or what the device wants in place of it, 16 bits; with NOTIFICATION_DATA
        32 bits, of which the upper half says how far the ring is filled (PCI-KICK-R01 to R06, KICK-RI1)."""
        doorbell = self._doorbells[index]
        place = self.pci.structure(CfgType.NOTIFY_CFG)
        size, value = 2, doorbell.value
        if self.negotiated(Feature.NOTIFICATION_DATA):
            size, value = 4, value | self._running(index).position << 16
        await self.host.bar_write(self.pci.fn, place.bar, doorbell.offset, size, value)

    async def reset_queue(self, index: int) -> None:
        """Reset one queue, take what was used before, and give its rings back (RING_RESET). One call at a time: it uses
        queue_select."""
        await self.common.write("queue_select", index)
        await self.common.write("queue_reset", 1)
        end = self.host.now_ps() + RESET_TIMEOUT_PS
        pause = FIRST_POLL_PS
        while (seen := await self.common.read("queue_reset")) != 0:  # PCI-COMMON-R07, VQRST-R01
            if self.host.now_ps() >= end:
                raise DriverTimeout(f"queue_reset of queue {index}", seen, 0, "PCI-COMMON-D14")
            await self.host.sleep(pause)
            pause = min(2 * pause, LAST_POLL_PS)
        enabled = await self.common.read("queue_enable")
        check(f"queue_enable of queue {index} after its reset", enabled, 0, "PCI-COMMON-D14")
        queue = self.queues.pop(index)
        for others in self._by_vector.values():
            if queue in others:
                others.remove(queue)
        queue.harvest()
        await queue.release()

    async def enable_queue(self, index: int, size: int | None = None) -> Virtqueue:
        """Set a queue up again after its reset, in new memory and with another size if wanted (VQREEN-R01)."""
        await self._set_up_queue(index, size)
        if self.negotiated(Feature.RING_RESET):
            check(f"queue_reset of enabled queue {index}", await self.common.read("queue_reset"), 0, "PCI-COMMON-D11")
        return self.queues[index]

    def request_queue(self, number: int) -> Virtqueue:
        """The request queue of this number, modulo how many there are. Raises QueueStopped after a reset."""
        return self._running(self.roles.requests[number % len(self.roles.requests)])

    @property
    def hiprio(self) -> Virtqueue:
        """Queue 0: FORGET, BATCH_FORGET, INTERRUPT only (FS-HP-R01). Raises QueueStopped after a reset."""
        return self._running(self.roles.hiprio)

    @property
    def notification(self) -> Virtqueue | None:
        """Queue 1 where the feature was negotiated. Raises QueueStopped after a reset."""
        index = self.roles.notification
        return None if index is None else self._running(index)

    def _running(self, index: int) -> Virtqueue:
        queue = self.queues.get(index)
        if queue is None:  # the device was reset since the caller got its last reply
            raise QueueStopped(f"queue {index}", "reset", "running")
        return queue

    async def _read_features(self, name: str) -> int:
        value = 0
        for select in (0, 1):
            await self.common.write(f"{name}_select", select)
            value |= await self.common.read(name) << 32 * select
        return value

    async def _set_status(self, bit: DeviceStatus) -> None:
        """Add a bit to what reads now (STATUS-R02) and see that it stuck."""
        before = await self.common.read("device_status")
        if before & DeviceStatus.DEVICE_NEEDS_RESET:
            raise DriverError("device_status", before, "no DEVICE_NEEDS_RESET", "STATUS-D03")
        await self.common.write("device_status", before | bit)
        after = await self.common.read("device_status")
        if not after & bit:
            clause = "FEAT-D02" if bit == DeviceStatus.FEATURES_OK else ""
            raise DriverError("device_status", after, before | bit, clause)

    async def _negotiate(self) -> None:
        if not self.offered & Feature.VERSION_1.mask:
            raise DriverError("device_feature", self.offered, "VERSION_1 (bit 32) offered", "RSVD-D01")
        self.features = self.offered & self.settings.features & KNOWN_FEATURES
        await self.write_accepted(self.features)
        await self._set_status(DeviceStatus.FEATURES_OK)  # re-reads: INIT-R05
        if self.negotiated(Feature.ACCESS_PLATFORM):  # RSVD-R04
            self._dma = DmaMapper(self.host.memory.translate(True))

    async def _find_queues(self) -> None:
        self.roles = self._assign_roles(await self.common.read("num_queues"))
        needed = [self.roles.hiprio, *self.roles.requests]
        if self.roles.notification is not None:
            needed.append(self.roles.notification)
        await self._set_vector("config_msix_vector", await self._prepare_vectors(needed))
        for index in sorted(needed):
            await self._set_up_queue(index)

    def _assign_roles(self, num_queues: int) -> QueueRoles:
        number = self.config.num_request_queues
        if self.settings.request_queues is not None:
            number = min(number, self.settings.request_queues)
        notification = 1 if self.negotiated(Feature.FS_NOTIFICATION) else None
        first = 2 if notification is not None or self.settings.literal else 1
        if first + number > num_queues:
            raise DriverError("num_queues", num_queues, f"at least {first + number}", "FS-VQ-DI1")
        return QueueRoles(0, notification, list(range(first, first + number)))

    async def _prepare_vectors(self, needed: Iterable[int]) -> int:
        """Enable MSI-X with as many vectors as the mapping uses; returns the configuration vector."""
        if self.settings.vectors is Vectors.LINE:
            self._by_line = True
            await self.pci.enable_line()
            return VIRTIO_MSI_NO_VECTOR
        if self.settings.vectors is Vectors.NONE:
            await self.pci.enable_msix(1)
            return VIRTIO_MSI_NO_VECTOR
        wanted = 2 if self.settings.vectors is Vectors.SHARED else 2 + max(needed)
        available = await self.pci.enable_msix(wanted)
        if available < 2:
            raise DriverError("MSI-X Table Size", available, "at least 2", "PCI-MSIX-D01")
        if available < wanted:
            self.settings.vectors = Vectors.SHARED  # PCI-MSIX-R06
        return 0

    def _queue_vector(self, index: int) -> int:
        if self.settings.vectors in (Vectors.NONE, Vectors.LINE):
            return VIRTIO_MSI_NO_VECTOR
        return 1 if self.settings.vectors is Vectors.SHARED else 1 + index

    async def _set_vector(self, name: str, vector: int) -> None:
        await self.common.write(name, vector)
        seen = await self.common.read(name)  # PCI-MSIX-R05
        if seen != vector:
            raise DriverError(name, seen, vector, "PCI-MSIX-D06")

    async def _set_up_queue(self, index: int, wanted: int | None = None) -> None:
        packed = self.negotiated(Feature.RING_PACKED)
        size = await self.queue_size(index)
        if not 1 <= size <= VIRTQ_MAX_SIZE or (not packed and size & (size - 1)):
            kind = f"1 to {VIRTQ_MAX_SIZE}" if packed else "a power of two"
            raise DriverError(f"queue_size of queue {index}", size, kind, "PCI-COMMON-D16")
        if await self.common.read("queue_enable"):
            raise DriverError(f"queue_enable of queue {index} after reset", 1, 0, "PCI-COMMON-D09")
        wanted = wanted or self.settings.queue_sizes.get(index, self.settings.queue_size)
        if wanted is not None and wanted < size:
            size = wanted
            await self.common.write("queue_size", size)
            if await self.common.read("queue_size") != size:
                raise DriverError(f"queue_size of queue {index}", await self.queue_size(index), size, "PACK-VQ-DI1")
        await self._find_doorbell(index)
        options = RingOptions(
            indirect=self.negotiated(Feature.INDIRECT_DESC),
            event_idx=self.negotiated(Feature.EVENT_IDX),
            in_order=self.negotiated(Feature.IN_ORDER),
            batches=self.settings.batches,
            publish=self.settings.publish,
            dma=self._dma,
        )
        kind_of_queue = PackedQueue if packed else SplitQueue
        queue: Virtqueue = kind_of_queue(self.host, index, size, self.rng, self.ring_doorbell, options)
        vector = self._queue_vector(index)
        await self._set_vector("queue_msix_vector", vector)
        for name, address in zip(("queue_desc", "queue_driver", "queue_device"), queue.registers, strict=True):
            await self.common.write(name, address)
        self.queues[index] = queue
        await self.common.write("queue_enable", 1)  # last: PCI-COMMON-R04
        queue.polling = self.settings.vectors is Vectors.NONE
        if not queue.polling:
            self._by_vector.setdefault(vector, []).append(queue)

    async def _find_doorbell(self, index: int) -> None:
        """Where the selected queue's doorbell is, and what it is told; it must lie inside the structure."""
        place = self.pci.structure(CfgType.NOTIFY_CFG)
        offset = await self.common.read("queue_notify_off") * place.notify_off_multiplier
        size, clause = (4, "PCI-NOTIFY-D11") if self.negotiated(Feature.NOTIFICATION_DATA) else (2, "PCI-NOTIFY-D06")
        if offset + size > place.length:
            raise DriverError(f"end of queue {index}'s doorbell", offset + size, f"at most {place.length}", clause)
        value = index
        if self.negotiated(Feature.NOTIF_CONFIG_DATA):
            value = await self.common.read("queue_notif_config_data")
        self._doorbells[index] = _Doorbell(place.offset + offset, value)

    def _interrupted(self, interrupt: Interrupt) -> None:
        if interrupt.vector is None:
            self.line = interrupt.asserted
            if not interrupt.asserted or not self._by_line:
                return
        self.interrupts += 1
        self.last_interrupt_ps = interrupt.t_ps
        if interrupt.vector is None:
            if self._handler is None or self._handler.done():
                self._handler = self.host.spawn(self._serve_line())
            return
        if interrupt.vector == 0 and self.settings.vectors not in (Vectors.NONE, Vectors.LINE):
            self.config_changed.set()
        for queue in self._by_vector.get(interrupt.vector, ()):
            queue.harvest()

    async def _serve_line(self) -> None:
        """INTA is a level: the ISR is read as long as it is asserted. Deassert_INTA may come behind the ISR."""
        place = self.pci.structure(CfgType.ISR_CFG)
        left = LINE_READS
        while self.line and self._by_line:
            isr = await self.host.bar_read(self.pci.fn, place.bar, place.offset, 1)
            if isr & IsrStatus.CONFIG:
                self.config_changed.set()
            if isr & IsrStatus.QUEUE:
                for queue in self._by_vector.get(VIRTIO_MSI_NO_VECTOR, ()):
                    queue.harvest()
            left = LINE_READS if isr else left - 1
            if not left:
                raise DriverError("INTA while the ISR reads 0", "asserted", "deasserted", "PCI-ISR-D05")
            await self.host.sleep(LINE_PS)
