"""The DPU's register port of the model: straps, time, status, counters, error log and notify mailbox.

`read` and `write` are the AXI4-Lite map of the endpoint; the other methods do the same in one call.
"""

from __future__ import annotations

from virtiofs_model.endpoint.core import Core
from virtiofs_model.endpoint.notifier import Notifier
from virtiofs_model.errors import COUNTERS, Counter, ErrorCode, LoggedError
from virtiofs_model.layouts.virtio import VIRTIO_FS_TAG_SIZE, Feature
from virtiofs_model.notification import NotifyAnswer
from virtiofs_model.registers import (
    DEFAULT_FEATURES,
    NOTIFY_BUF_SIZE_MAX,
    NOTIFY_BUF_SIZE_MIN,
    NotifyPolicy,
)

OKAY = 0
SLVERR = 2

ID = 0x000
VERSION = 0x004
NUM_REQUEST_QUEUES = 0x010
FEATURES_LO = 0x014
FEATURES_HI = 0x018
PERSONALITY = 0x01C
MAX_QUEUE_SIZE = 0x020
NOTIFY_BUF_SIZE = 0x024
NOTIFY_POLICY = 0x028
TAG = 0x040
TIME_SEC_LO = 0x080
TIME_SEC_HI = 0x084
TIME_NSEC = 0x088
STATUS = 0x0A0
COUNTER = 0x100
ERROR_COUNT = 0x200
ERROR_HEAD = 0x204
ERROR_ADDR_LO = 0x208
ERROR_ADDR_HI = 0x20C
ERROR_POP = 0x210
NOTIFY_DATA = 0x300
NOTIFY_LENGTH = 0x304
NOTIFY_STATUS = 0x308

ID_VALUE = 0x43534656


class StrapError(Exception):
    """A strap was refused: device_status is not 0, or the value is out of range (the message names which)."""


class DpuRegisters:
    """request_queues, queue_size: what the endpoint was built for."""

    def __init__(self, core: Core, notifier: Notifier, request_queues: int, queue_size: int) -> None:
        self._core = core
        self._notifier = notifier
        self._limits = (request_queues, queue_size)
        self._time = {TIME_SEC_LO: 0, TIME_SEC_HI: 0, TIME_NSEC: 0}
        self._message = bytearray()
        self._answer = 0

    # ---- in one call ----

    def strap(
        self,
        *,
        num_request_queues: int | None = None,
        features: int | None = None,
        literal: bool | None = None,
        max_queue_size: int | None = None,
        notify_buf_size: int | None = None,
        notify_policy: int | None = None,
        tag: bytes | None = None,
    ) -> None:
        """Set straps; None leaves one as it is. Raises StrapError."""
        writes: list[tuple[int, int]] = []
        if features is not None:
            writes += [(FEATURES_LO, features & 0xFFFFFFFF), (FEATURES_HI, features >> 32)]
        for register, value in (
            (NUM_REQUEST_QUEUES, num_request_queues),
            (PERSONALITY, literal),
            (MAX_QUEUE_SIZE, max_queue_size),
            (NOTIFY_BUF_SIZE, notify_buf_size),
            (NOTIFY_POLICY, notify_policy),
        ):
            if value is not None:
                writes.append((register, int(value)))
        if tag is not None:
            padded = tag.ljust(VIRTIO_FS_TAG_SIZE, b"\0")
            writes += [(TAG + at, int.from_bytes(padded[at : at + 4], "little")) for at in range(0, len(padded), 4)]
        for register, value in writes:
            if self.write(register, value) != OKAY:
                raise StrapError(f"strap {register:#05x} refused the value {value:#x}")

    def notify(self, message: bytes) -> NotifyAnswer:
        """Hand a whole message to the notify mailbox."""
        return self._notifier.offer(message)

    def counters(self) -> dict[str, int]:
        """All counters by name."""
        return {counter.name.lower(): self._core.counters[counter] for counter in Counter}

    def error_log(self) -> list[LoggedError]:
        """Take all entries out of the log."""
        entries = list(self._core.errors)
        self._core.errors.clear()
        return entries

    # ---- by register ----

    def read(self, address: int) -> tuple[int, int]:
        """Value and response of a 32-bit read."""
        straps = self._core.registers.straps
        errors = self._core.errors
        if address in self._time:
            return self._time[address], OKAY
        if TAG <= address < TAG + VIRTIO_FS_TAG_SIZE:
            tag = straps.tag.ljust(VIRTIO_FS_TAG_SIZE, b"\0")
            return int.from_bytes(tag[address - TAG : address - TAG + 4], "little"), OKAY
        if COUNTER <= address < COUNTER + 4 * COUNTERS:
            return self._core.counters[(address - COUNTER) // 4], OKAY
        if address in (ERROR_HEAD, ERROR_ADDR_LO, ERROR_ADDR_HI) and errors:
            first = errors[0]
            if address == ERROR_HEAD:
                return first.fatal << 16 | first.queue << 8 | first.code, OKAY
            return first.address >> (32 if address == ERROR_ADDR_HI else 0) & 0xFFFFFFFF, OKAY
        values = {
            ID: ID_VALUE,
            VERSION: 1,
            NUM_REQUEST_QUEUES: straps.num_request_queues,
            FEATURES_LO: straps.features & 0xFFFFFFFF,
            FEATURES_HI: straps.features >> 32,
            PERSONALITY: int(straps.literal),
            MAX_QUEUE_SIZE: straps.max_queue_size,
            NOTIFY_BUF_SIZE: straps.notify_buf_size,
            NOTIFY_POLICY: straps.notify_policy.value,
            STATUS: self._core.registers.status,
            ERROR_COUNT: len(errors),
            NOTIFY_STATUS: self._answer,
        }
        return values.get(address, 0), OKAY

    def write(self, address: int, value: int) -> int:
        """The response of a 32-bit write."""
        if address in self._time:
            self._time[address] = value
        elif address == ERROR_POP:
            if self._core.errors:
                self._core.errors.popleft()
        elif address == NOTIFY_DATA:
            self._message += value.to_bytes(4, "little")
        elif address == NOTIFY_LENGTH:
            message, self._message = bytes(self._message[:value]), bytearray()
            self._answer = int(self._notifier.offer(message))
        elif NUM_REQUEST_QUEUES <= address <= NOTIFY_POLICY or TAG <= address < TAG + VIRTIO_FS_TAG_SIZE:
            return self._strap(address, value)
        return OKAY

    def _strap(self, address: int, value: int) -> int:
        registers = self._core.registers
        straps = registers.straps
        if registers.status != 0 or registers.resetting:
            self._core.log(ErrorCode.STRAP_LOCKED, address=address)
            return SLVERR
        if not self._in_range(address, value):
            return SLVERR
        before = straps.device_config()
        if address == NUM_REQUEST_QUEUES:
            straps.num_request_queues = value
        elif address == FEATURES_LO:
            straps.features = straps.features & ~0xFFFFFFFF | value
        elif address == FEATURES_HI:
            straps.features = straps.features & 0xFFFFFFFF | value << 32
        elif address == PERSONALITY:
            straps.literal = bool(value)
        elif address == MAX_QUEUE_SIZE:
            straps.max_queue_size = value
            for queue in registers.queues:
                queue.size = value
        elif address == NOTIFY_BUF_SIZE:
            straps.notify_buf_size = value
        elif address == NOTIFY_POLICY:
            straps.notify_policy = NotifyPolicy(value)
        else:
            tag = bytearray(straps.tag.ljust(VIRTIO_FS_TAG_SIZE, b"\0"))
            tag[address - TAG : address - TAG + 4] = value.to_bytes(4, "little")
            straps.tag = bytes(tag)
        if straps.device_config() != before:
            registers.config_changed()
        self._core.config.set_device_config_length(straps.device_config_length())
        return OKAY

    def _in_range(self, address: int, value: int) -> bool:
        request_queues, queue_size = self._limits
        if address == NUM_REQUEST_QUEUES:
            return 1 <= value <= request_queues
        if address == FEATURES_LO:
            return not value & ~DEFAULT_FEATURES
        if address == FEATURES_HI:
            # VERSION_1 is always offered (RSVD-D01), and nothing else of this half was built.
            return value == Feature.VERSION_1.mask >> 32
        if address == PERSONALITY:
            return value <= 1
        if address == MAX_QUEUE_SIZE:
            return 0 < value <= queue_size and value & (value - 1) == 0
        if address == NOTIFY_BUF_SIZE:
            return NOTIFY_BUF_SIZE_MIN <= value <= NOTIFY_BUF_SIZE_MAX
        return address != NOTIFY_POLICY or value <= NotifyPolicy.DROP.value
