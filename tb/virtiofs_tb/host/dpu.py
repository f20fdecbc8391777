"""DpuPort over the endpoint's register map (docs/dpu-port.md): the same for the model and for AXI4-Lite pins."""

from __future__ import annotations

from abc import ABC, abstractmethod

from virtiofs_model.endpoint import dpu as registers
from virtiofs_model.errors import Counter
from virtiofs_model.layouts.virtio import VIRTIO_FS_TAG_SIZE
from virtiofs_tb.host.port import DeviceError, DpuError, NotifyResult, Straps

_BUSY = 1 << 31


class RegisterDpu(ABC):
    """DpuPort by 32-bit register accesses; the target says how one is made."""

    @abstractmethod
    async def read_register(self, address: int) -> int:
        """The value of a register. Raises DpuError on SLVERR."""

    @abstractmethod
    async def write_register(self, address: int, value: int) -> None:
        """Write a register. Raises DpuError on SLVERR."""

    async def strap(self, straps: Straps) -> None:
        """Features first: what other straps mean may depend on them."""
        if straps.features is not None:
            await self.offer(straps.features)
        for address, value in (
            (registers.NUM_REQUEST_QUEUES, straps.num_request_queues),
            (registers.PERSONALITY, straps.literal_numbering),
            (registers.MAX_QUEUE_SIZE, straps.max_queue_size),
            (registers.NOTIFY_BUF_SIZE, straps.notify_buf_size),
            (registers.NOTIFY_POLICY, straps.notify_policy),
        ):
            if value is not None:
                await self.write_register(address, int(value))
        if straps.tag is not None:
            if len(straps.tag) > VIRTIO_FS_TAG_SIZE:
                raise DpuError(f"tag of {len(straps.tag)} bytes, at most {VIRTIO_FS_TAG_SIZE} fit")
            tag = straps.tag.ljust(VIRTIO_FS_TAG_SIZE, b"\0")
            for at in range(0, len(tag), 4):
                await self.write_register(registers.TAG + at, int.from_bytes(tag[at : at + 4], "little"))

    async def offer(self, features: int) -> None:
        await self.write_register(registers.FEATURES_LO, features & 0xFFFF_FFFF)
        await self.write_register(registers.FEATURES_HI, features >> 32)

    async def personality(self, literal: bool) -> None:
        await self.write_register(registers.PERSONALITY, int(literal))

    async def notify(self, message: bytes) -> NotifyResult:
        """Push the message dword by dword, submit its length, and wait for the answer."""
        for at in range(0, len(message), 4):
            await self.write_register(registers.NOTIFY_DATA, int.from_bytes(message[at : at + 4], "little"))
        await self.write_register(registers.NOTIFY_LENGTH, len(message))
        while (status := await self.read_register(registers.NOTIFY_STATUS)) & _BUSY:
            pass  # every read takes simulated time
        return NotifyResult(status & 3)

    async def set_time(self, seconds: int, nanoseconds: int) -> None:
        await self.write_register(registers.TIME_SEC_LO, seconds & 0xFFFF_FFFF)
        await self.write_register(registers.TIME_SEC_HI, seconds >> 32)
        await self.write_register(registers.TIME_NSEC, nanoseconds)

    async def counters(self) -> dict[str, int]:
        return {counter.name.lower(): await self.read_register(registers.COUNTER + 4 * counter) for counter in Counter}

    async def error_log(self) -> list[DeviceError]:
        entries = []
        while await self.read_register(registers.ERROR_COUNT):
            head = await self.read_register(registers.ERROR_HEAD)
            low = await self.read_register(registers.ERROR_ADDR_LO)
            high = await self.read_register(registers.ERROR_ADDR_HI)
            await self.write_register(registers.ERROR_POP, 1)
            entries.append(DeviceError(head & 0xFF, bool(head >> 16 & 1), head >> 8 & 0xF, high << 32 | low))
        return entries
