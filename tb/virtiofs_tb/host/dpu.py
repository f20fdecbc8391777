"""DpuPort over the endpoint's register map (docs/dpu-port.md; offsets: virtiofs_model.layouts.dpu).

The same for the golden device and for AXI4-Lite pins: a target says only how registers are accessed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from virtiofs_model.layouts.dpu import NOTIFY_BUSY, NOTIFY_RESULT_MASK, TAG_DWORDS, DpuCounter, DpuRegister
from virtiofs_tb.host.port import DeviceError, DpuError, NotifyResult, Straps

NOTIFY_POLLS = 10_000  # reads of NOTIFY_STATUS before the mailbox counts as stuck


@dataclass(frozen=True)
class Access:
    """A 32-bit register access; value is that of a write."""

    register: int
    value: int = 0
    write: bool = False

    def __str__(self) -> str:
        try:
            name = DpuRegister(self.register).name
        except ValueError:
            name = f"0x{self.register:03x}"
        return f"DPU port, write of 0x{self.value:x} to {name}" if self.write else f"DPU port, read of {name}"


class RegisterDpu(ABC):
    """DpuPort by register accesses."""

    @abstractmethod
    async def access(self, accesses: Sequence[Access]) -> list[int]:
        """Make the accesses back to back; the values read (0 for a write). Raises DpuError for SLVERR."""

    async def read(self, register: int) -> int:
        """The register's value."""
        return (await self.access([Access(register)]))[0]

    # ---- DpuPort ----

    async def strap(self, straps: Straps) -> None:
        """Set what is not None. Raises DpuError when device_status is not 0 or a value is out of range."""
        writes: list[Access] = []
        if straps.features is not None:
            writes.append(Access(DpuRegister.FEATURES_LO, straps.features & 0xFFFF_FFFF, True))
            writes.append(Access(DpuRegister.FEATURES_HI, straps.features >> 32, True))
        for register, value in (
            (DpuRegister.NUM_REQUEST_QUEUES, straps.num_request_queues),
            (DpuRegister.PERSONALITY, straps.literal_numbering),
            (DpuRegister.MAX_QUEUE_SIZE, straps.max_queue_size),
            (DpuRegister.NOTIFY_BUF_SIZE, straps.notify_buf_size),
            (DpuRegister.NOTIFY_POLICY, straps.notify_policy),
        ):
            if value is not None:
                writes.append(Access(register, int(value), True))
        if straps.tag is not None:
            writes += _dwords(DpuRegister.TAG, 4, _padded(straps.tag))
        await self.access(writes)

    async def offer(self, features: int) -> None:
        await self.strap(Straps(features=features))

    async def personality(self, literal: bool) -> None:
        await self.strap(Straps(literal_numbering=literal))

    async def notify(self, message: bytes) -> NotifyResult:
        """Push the message, submit its length, and wait for the answer. One message at a time."""
        pushes = _dwords(DpuRegister.NOTIFY_DATA, 0, message)
        await self.access([*pushes, Access(DpuRegister.NOTIFY_LENGTH, len(message), True)])
        for _ in range(NOTIFY_POLLS):
            status = await self.read(DpuRegister.NOTIFY_STATUS)
            if not status & NOTIFY_BUSY:
                return NotifyResult(status & NOTIFY_RESULT_MASK)
        raise DpuError(f"NOTIFY_STATUS stays busy after a message of {len(message)} bytes")

    async def set_time(self, seconds: int, nanoseconds: int) -> None:
        await self.access(
            [
                Access(DpuRegister.TIME_SEC_LO, seconds & 0xFFFF_FFFF, True),
                Access(DpuRegister.TIME_SEC_HI, seconds >> 32, True),
                Access(DpuRegister.TIME_NSEC, nanoseconds, True),
            ]
        )

    async def counters(self) -> dict[str, int]:
        """By the names of DpuCounter in lower case."""
        values = await self.access([Access(DpuRegister.COUNTERS + 4 * counter) for counter in DpuCounter])
        return {counter.name.lower(): value for counter, value in zip(DpuCounter, values, strict=True)}

    async def error_log(self) -> list[DeviceError]:
        errors: list[DeviceError] = []
        for _ in range(await self.read(DpuRegister.ERROR_COUNT)):
            head, low, high, _ = await self.access(
                [
                    Access(DpuRegister.ERROR_HEAD),
                    Access(DpuRegister.ERROR_ADDR_LO),
                    Access(DpuRegister.ERROR_ADDR_HI),
                    Access(DpuRegister.ERROR_POP, 1, True),
                ]
            )
            errors.append(DeviceError(head & 0xFF, bool(head >> 16 & 1), head >> 8 & 0xF, high << 32 | low))
        return errors


def _dwords(register: int, step: int, data: bytes) -> list[Access]:
    """Writes of `data`, dword by dword, to registers `step` bytes apart."""
    return [
        Access(register + step * index, int.from_bytes(data[4 * index : 4 * index + 4], "little"), True)
        for index in range(-(-len(data) // 4))
    ]


def _padded(tag: bytes) -> bytes:
    if len(tag) > 4 * TAG_DWORDS:
        raise DpuError(f"a tag of {len(tag)} bytes, at most {4 * TAG_DWORDS} fit")
    return tag.ljust(4 * TAG_DWORDS, b"\0")
