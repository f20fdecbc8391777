"""DpuPort over the endpoint's register map (docs/dpu-port.md; offsets: virtiofs_model.layouts.dpu).

The same for the golden device and for AXI4-Lite pins: a target says only how registers are accessed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from virtiofs_model.layouts.dpu import (
    NOTIFY_BUSY,
    NOTIFY_RESULT_MASK,
    REQUEST_BUSY,
    REQUEST_BYTES_MAX,
    REQUEST_RESULT_MASK,
    RETRIEVED_BYTES,
    TAG_DWORDS,
    AxiResponse,
    DpuCounter,
    DpuRegister,
    NotifyResult,
    RequestResult,
)
from virtiofs_tb.host.log import DpuChannel, Kind, ObservationLog
from virtiofs_tb.host.loop import Loop, LoopEvent
from virtiofs_tb.host.port import DeviceError, DpuError, Straps

NOTIFY_TIMEOUT_PS = 1_000_000_000
"""A message that the notify mailbox neither takes nor refuses for so long is an error."""

REQUEST_TIMEOUT_PS = 10_000_000_000
"""A request of the DPU that is not answered for so long is an error; it may have to wait for a driver's buffers."""

NOTIFY_POLL_PS = 200_000


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


@dataclass(frozen=True)
class Answer:
    """What the endpoint answered to an access. value: what was read or written, 32 bits."""

    value: int
    response: AxiResponse


class RegisterDpu(ABC):
    """DpuPort by register accesses. log: sees each message that was handed over, as one record with its result.

    firmware: who serves a request of the DPU where firmware answers FUSE, which the mailbox then refuses.
    """

    def __init__(self, loop: Loop, log: ObservationLog) -> None:
        self._loop = loop
        self._log = log
        self._mailbox: LoopEvent | None = None  # set when the present user of the mailbox is done
        self.firmware: Callable[[bytes], bytes] | None = None
        self._client: LoopEvent | None = None  # the same of the FUSE mailbox

    @abstractmethod
    async def exchange(self, accesses: Sequence[Access]) -> list[Answer]:
        """Make the accesses back to back; an answer to each. Raises DpuError where one is not answered."""

    async def access(self, accesses: Sequence[Access]) -> list[int]:
        """Make all the accesses; the values read or written. Then raises DpuError for the first error among them."""
        answers = await self.exchange(accesses)
        for access, answer in zip(accesses, answers, strict=True):
            if answer.response is not AxiResponse.OKAY:
                raise DpuError(f"{access}: {answer.response.name}")
        return [answer.value for answer in answers]

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
            (DpuRegister.ENGINE, straps.firmware),
            (DpuRegister.VALID_SECONDS, straps.valid_seconds),
            (DpuRegister.CACHE_OPTIONS, straps.cache_options),
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
        """Messages of several tasks go one after the other. Raises DpuError when the mailbox never decides."""
        loop = self._loop
        while self._mailbox is not None:
            await self._mailbox.wait()
        done = self._mailbox = loop.event()
        try:
            result = await self._hand_over(message)
        finally:
            self._mailbox = None
            done.set()
        self._log.append(loop.now_ps, Kind.DPU_OPERATION, DpuChannel.NOTIFY, status=result.value, payload=message)
        return result

    async def _hand_over(self, message: bytes) -> NotifyResult:
        """Push the message, submit its length, and wait for the answer."""
        pushes = _dwords(DpuRegister.NOTIFY_DATA, 0, message)
        await self.access([*pushes, Access(DpuRegister.NOTIFY_LENGTH, len(message), True)])
        end_ps = self._loop.now_ps + NOTIFY_TIMEOUT_PS
        while (status := await self.read(DpuRegister.NOTIFY_STATUS)) & NOTIFY_BUSY:
            if self._loop.now_ps > end_ps:
                raise DpuError(f"the notify mailbox does not decide on {len(message)} bytes in {NOTIFY_TIMEOUT_PS} ps")
            await self._loop.sleep(NOTIFY_POLL_PS)
        try:
            return NotifyResult(status & NOTIFY_RESULT_MASK)
        except ValueError:
            raise DpuError(f"NOTIFY_STATUS reads 0x{status:x} after a message was handed over") from None

    async def fs_request(self, request: bytes) -> bytes:
        """Requests of several tasks go one after the other. Raises DpuError where one is refused or never answered."""
        loop = self._loop
        while self._client is not None:
            await self._client.wait()
        done = self._client = loop.event()
        try:
            return await self._ask(request)
        finally:
            self._client = None
            done.set()

    async def _ask(self, request: bytes) -> bytes:
        """Push the request, submit its length, wait for the reply and take it."""
        if self.firmware is not None and await self.read(DpuRegister.ENGINE):
            self._log.append(self._loop.now_ps, Kind.DPU_OPERATION, DpuChannel.FS_REQUEST, payload=request)
            reply = self.firmware(request)
            self._log.append(self._loop.now_ps, Kind.DPU_OPERATION, DpuChannel.FS_REPLY, payload=reply)
            return reply
        await self.access(_dwords(DpuRegister.REQUEST_DATA, 0, request))
        self._log.append(self._loop.now_ps, Kind.DPU_OPERATION, DpuChannel.FS_REQUEST, payload=request)
        await self.access([Access(DpuRegister.REQUEST_LENGTH, len(request), True)])
        end_ps = self._loop.now_ps + REQUEST_TIMEOUT_PS
        while (status := await self.read(DpuRegister.REQUEST_STATUS)) & REQUEST_BUSY:
            if self._loop.now_ps > end_ps:
                raise DpuError(f"the FUSE mailbox does not answer {len(request)} bytes in {REQUEST_TIMEOUT_PS} ps")
            await self._loop.sleep(NOTIFY_POLL_PS)
        if status & REQUEST_RESULT_MASK != RequestResult.ANSWERED:
            raise DpuError(f"the FUSE mailbox refuses {len(request)} bytes: REQUEST_STATUS reads 0x{status:x}")
        length = await self.read(DpuRegister.REPLY_LENGTH)
        if length > REQUEST_BYTES_MAX:
            raise DpuError(f"a reply of {length} bytes in the FUSE mailbox, at most {REQUEST_BYTES_MAX} fit")
        dwords = await self.access([Access(DpuRegister.REPLY_DATA)] * -(-length // 4))
        reply = b"".join(dword.to_bytes(4, "little") for dword in dwords)[:length]
        self._log.append(self._loop.now_ps, Kind.DPU_OPERATION, DpuChannel.FS_REPLY, payload=reply)
        return reply

    async def retrieved(self) -> bytes | None:
        """Raises DpuError where the endpoint says that it keeps more than it can."""
        length = await self.read(DpuRegister.RETRIEVED_LENGTH)
        if length > RETRIEVED_BYTES:
            raise DpuError(f"RETRIEVED_LENGTH reads {length} bytes, at most {RETRIEVED_BYTES} are kept")
        if length == 0:
            return None
        reads = [Access(DpuRegister.RETRIEVED_DATA)] * -(-length // 4)
        dwords = await self.access([*reads, Access(DpuRegister.RETRIEVED_TAKEN, 1, True)])
        data = b"".join(dword.to_bytes(4, "little") for dword in dwords[:-1])[:length]
        self._log.append(self._loop.now_ps, Kind.DPU_OPERATION, DpuChannel.RETRIEVED, payload=data)
        return data

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
