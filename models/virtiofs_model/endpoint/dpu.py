"""The DPU's register port of the model: straps, time, status, counters, error log and notify mailbox.

`read` and `write` are the AXI4-Lite map of the endpoint; the other methods do in one call what takes many accesses.
"""

from __future__ import annotations

from collections.abc import Callable

from virtiofs_model.endpoint.core import Core
from virtiofs_model.endpoint.fuse_mailbox import FuseMailbox, RefusingMailbox
from virtiofs_model.endpoint.notifier import Notifier
from virtiofs_model.endpoint.retrieved import Retrieved
from virtiofs_model.errors import ErrorCode, LoggedError
from virtiofs_model.layouts.dpu import (
    CACHE_OPTIONS,
    COUNTER_DWORDS,
    DPU_ID,
    DPU_VERSION,
    NOTIFY_BUF_SIZE_MAX,
    NOTIFY_BUF_SIZE_MIN,
    AxiResponse,
    DpuCounter,
    DpuRegister,
    NotifyFlag,
    NotifyResult,
)
from virtiofs_model.layouts.virtio import VIRTIO_FS_TAG_SIZE, Feature
from virtiofs_model.registers import BUILT_FEATURES, NotifyPolicy

_STRAPS = (
    *range(DpuRegister.NUM_REQUEST_QUEUES, DpuRegister.CACHE_OPTIONS + 4, 4),
    *range(DpuRegister.TAG, DpuRegister.TAG + VIRTIO_FS_TAG_SIZE, 4),
)


class DpuRegisters:
    """request_queues, queue_size: what the endpoint was built for. ramfs: it has a file system of its own.

    on_time: told the clock, seconds and nanoseconds, with every write of TIME_NSEC; on_strap: told that a strap is
    another. requests: takes the DPU's own FUSE requests, which are refused without it.
    """

    def __init__(
        self, core: Core, notifier: Notifier, request_queues: int, queue_size: int, ramfs: bool = False
    ) -> None:
        self._core = core
        self._notifier = notifier
        self._limits = (request_queues, queue_size)
        self._ramfs = ramfs
        core.registers.straps.firmware = not ramfs
        self._time: dict[int, int] = {DpuRegister.TIME_SEC_LO: 0, DpuRegister.TIME_SEC_HI: 0, DpuRegister.TIME_NSEC: 0}
        self._message = bytearray()
        self._answer = 0
        self.on_time: Callable[[int, int], None] = lambda seconds, nanoseconds: None
        self.on_strap: Callable[[], None] = lambda: None
        self.requests: FuseMailbox | RefusingMailbox = RefusingMailbox()
        self.retrieved = Retrieved(core)

    # ---- in one call ----

    def notify(self, message: bytes) -> NotifyResult:
        """Hand a whole message to the notify mailbox."""
        return self._notifier.offer(message)

    def counters(self) -> dict[str, int]:
        """All counters by name."""
        return {counter.name.lower(): self._core.counters[counter] for counter in DpuCounter}

    def error_log(self) -> list[LoggedError]:
        """Take all entries out of the log."""
        entries = list(self._core.errors)
        self._core.errors.clear()
        return entries

    # ---- by register ----

    def read(self, address: int) -> int:
        """The value of a 32-bit read, which is always answered with OKAY; 0 where there is no register."""
        straps = self._core.registers.straps
        errors = self._core.errors
        if address == DpuRegister.REPLY_DATA:
            return self.requests.take()
        if address == DpuRegister.RETRIEVED_DATA:
            return self.retrieved.take()
        oldest = errors[0] if errors else LoggedError(ErrorCode.NONE, False, 0, 0)
        if DpuRegister.TAG <= address < DpuRegister.TAG + VIRTIO_FS_TAG_SIZE:
            at = address - DpuRegister.TAG
            return int.from_bytes(straps.tag.ljust(VIRTIO_FS_TAG_SIZE, b"\0")[at : at + 4], "little")
        if DpuRegister.COUNTERS <= address < DpuRegister.COUNTERS + 4 * COUNTER_DWORDS:
            return self._core.counters[(address - DpuRegister.COUNTERS) // 4]
        values: dict[int, int] = {
            DpuRegister.ID: DPU_ID,
            DpuRegister.VERSION: DPU_VERSION,
            DpuRegister.NUM_REQUEST_QUEUES: straps.num_request_queues,
            DpuRegister.FEATURES_LO: straps.features & 0xFFFFFFFF,
            DpuRegister.FEATURES_HI: straps.features >> 32,
            DpuRegister.PERSONALITY: int(straps.literal),
            DpuRegister.MAX_QUEUE_SIZE: straps.max_queue_size,
            DpuRegister.NOTIFY_BUF_SIZE: straps.notify_buf_size,
            DpuRegister.NOTIFY_POLICY: straps.notify_policy.value,
            DpuRegister.ENGINE: int(straps.firmware),
            DpuRegister.VALID_SECONDS: straps.valid_seconds,
            DpuRegister.CACHE_OPTIONS: straps.cache_options,
            DpuRegister.STATUS: self._core.registers.status,
            DpuRegister.ERROR_COUNT: len(errors),
            DpuRegister.ERROR_HEAD: oldest.fatal << 16 | oldest.queue << 8 | oldest.code,
            DpuRegister.ERROR_ADDR_LO: oldest.address & 0xFFFFFFFF,
            DpuRegister.ERROR_ADDR_HI: oldest.address >> 32,
            DpuRegister.NOTIFY_STATUS: self._answer,
            DpuRegister.NOTIFY_FLAGS: int(self._notifier.lost or self.requests.overflow) * NotifyFlag.OVERFLOW
            | self.retrieved.lost * NotifyFlag.RETRIEVED_LOST,
            DpuRegister.REQUEST_STATUS: self.requests.status(),
            DpuRegister.REPLY_LENGTH: self.requests.reply_length,
            DpuRegister.RETRIEVED_LENGTH: self.retrieved.length,
            **self._time,
        }
        return values.get(address, 0)

    def write(self, address: int, value: int) -> AxiResponse:
        """The response to a 32-bit write; a write where there is nothing to write is ignored."""
        if address in self._time:
            self._time[address] = value
            if address == DpuRegister.TIME_NSEC:
                low, high = self._time[DpuRegister.TIME_SEC_LO], self._time[DpuRegister.TIME_SEC_HI]
                self.on_time(high << 32 | low, value)
        elif address == DpuRegister.ERROR_POP:
            if self._core.errors:
                self._core.errors.popleft()
        elif address == DpuRegister.NOTIFY_DATA:
            self._message += value.to_bytes(4, "little")
        elif address == DpuRegister.NOTIFY_LENGTH:
            message, self._message = bytes(self._message[:value]), bytearray()
            self._answer = int(self._notifier.offer(message))
        elif address in (DpuRegister.REQUEST_DATA, DpuRegister.REQUEST_LENGTH):
            if self.requests.busy:
                return AxiResponse.SLVERR
            if address == DpuRegister.REQUEST_DATA:
                self.requests.push(value)
            else:
                self.requests.submit(value)
        elif address == DpuRegister.RETRIEVED_TAKEN:
            self.retrieved.forget()
        elif address in _STRAPS:
            return self._strap(address, value)
        return AxiResponse.OKAY

    def _strap(self, address: int, value: int) -> AxiResponse:
        registers = self._core.registers
        straps = registers.straps
        if registers.status != 0 or registers.resetting:
            self._core.log(ErrorCode.STRAP_LOCKED, address=address)
            return AxiResponse.SLVERR
        if not self._in_range(address, value):
            return AxiResponse.SLVERR
        before = straps.device_config()
        if address == DpuRegister.NUM_REQUEST_QUEUES:
            straps.num_request_queues = value
        elif address == DpuRegister.FEATURES_LO:
            straps.features = straps.features & ~0xFFFFFFFF | value
        elif address == DpuRegister.FEATURES_HI:
            straps.features = straps.features & 0xFFFFFFFF | value << 32
        elif address == DpuRegister.PERSONALITY:
            straps.literal = bool(value)
        elif address == DpuRegister.MAX_QUEUE_SIZE:
            straps.max_queue_size = value
            for queue in registers.queues:
                queue.size = value
        elif address == DpuRegister.NOTIFY_BUF_SIZE:
            straps.notify_buf_size = value
        elif address == DpuRegister.NOTIFY_POLICY:
            straps.notify_policy = NotifyPolicy(value)
        elif address == DpuRegister.ENGINE:
            straps.firmware = bool(value)
        elif address == DpuRegister.VALID_SECONDS:
            straps.valid_seconds = value
        elif address == DpuRegister.CACHE_OPTIONS:
            straps.cache_options = value
        else:
            tag = bytearray(straps.tag.ljust(VIRTIO_FS_TAG_SIZE, b"\0"))
            tag[address - DpuRegister.TAG : address - DpuRegister.TAG + 4] = value.to_bytes(4, "little")
            straps.tag = bytes(tag)
        if straps.device_config() != before:
            registers.config_changed()
        self._core.config.set_device_config_length(straps.device_config_length())
        self.on_strap()
        return AxiResponse.OKAY

    def _in_range(self, address: int, value: int) -> bool:
        request_queues, queue_size = self._limits
        if address == DpuRegister.NUM_REQUEST_QUEUES:
            return 1 <= value <= request_queues
        if address == DpuRegister.FEATURES_LO:
            return not value & ~BUILT_FEATURES
        if address == DpuRegister.FEATURES_HI:
            # VERSION_1 is always offered (RSVD-D01).
            return not value & ~(BUILT_FEATURES >> 32) and bool(value & Feature.VERSION_1.mask >> 32)
        if address == DpuRegister.PERSONALITY:
            return value <= 1
        if address == DpuRegister.MAX_QUEUE_SIZE:
            return 0 < value <= queue_size and value & (value - 1) == 0
        if address == DpuRegister.NOTIFY_BUF_SIZE:
            return NOTIFY_BUF_SIZE_MIN <= value <= NOTIFY_BUF_SIZE_MAX
        if address == DpuRegister.ENGINE:
            return value == 1 or (value == 0 and self._ramfs)
        if address == DpuRegister.CACHE_OPTIONS:
            return not value & ~int(CACHE_OPTIONS)
        return address != DpuRegister.NOTIFY_POLICY or value <= NotifyPolicy.DROP.value
