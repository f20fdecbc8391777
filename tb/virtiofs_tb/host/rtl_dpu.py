"""DpuPort over the AXI4-Lite port of the endpoint (docs/dpu-port.md; offsets: virtiofs_model.layouts.dpu)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from virtiofs_model.layouts.dpu import (
    NOTIFY_BUSY,
    NOTIFY_RESULT_MASK,
    TAG_DWORDS,
    DpuCounter,
    DpuRegister,
)
from virtiofs_tb.host.log import DpuChannel, Kind, ObservationLog, Record
from virtiofs_tb.host.loop import Loop, LoopEvent, Waiter
from virtiofs_tb.host.port import DeviceError, DpuError, NotifyResult, Straps

OKAY = 0
RESPONSES = ("OKAY", "EXOKAY", "SLVERR", "DECERR")
ACCESS_TIMEOUT_PS = 100_000_000
"""An access that the endpoint does not answer for so long is an error."""

NOTIFY_TIMEOUT_PS = 1_000_000_000
"""A message that the notify mailbox neither takes nor refuses for so long is an error."""

NOTIFY_POLL_PS = 200_000

Command = Callable[[bool, int, int, int], None]
"""Hands over (write, address, data, tag); the answer comes back as a record of kind DPU_OPERATION with that tag."""


class RtlDpu:
    """The DPU's side, as software on the DPU sees it. Accesses are answered in the order in which they were made."""

    def __init__(self, loop: Loop, log: ObservationLog, command: Command) -> None:
        self._loop = loop
        self._log = log
        self._command = command
        self._tag = 0
        self._waiters: dict[int, Waiter] = {}
        self._mailbox: LoopEvent | None = None  # set when the present user of the mailbox is done

    def receive(self, record: Record) -> None:
        """Take the answer to an access (records of kind DPU_OPERATION, channels WRITE and READ)."""
        waiter = self._waiters.pop(record.tag, None)
        if waiter is not None:
            waiter.wake(record)

    # ---- registers ----

    async def read(self, register: int) -> int:
        """The register's value. Raises DpuError where the endpoint answers with an error or not at all."""
        return (await self._access([(False, register, 0)]))[0].hdr[0]

    async def write(self, register: int, value: int) -> None:
        """Raises DpuError like `read`."""
        await self._access([(True, register, value)])

    async def _access(self, accesses: Sequence[tuple[bool, int, int]]) -> list[Record]:
        """Make several accesses back to back; the first error is raised after all were answered."""
        loop = self._loop
        waiters: list[Waiter] = []
        for write, register, value in accesses:
            self._tag = self._tag + 1 & 0xFFFF
            waiter = loop.waiter()
            self._waiters[self._tag] = waiter
            waiters.append(waiter)
            self._command(write, register, value & 0xFFFF_FFFF, self._tag)
        answers: list[Record] = []
        for (write, register, _), waiter in zip(accesses, waiters, strict=True):
            timer = loop.call_at(loop.now_ps + ACCESS_TIMEOUT_PS, waiter.wake)
            answer: Record | None = await waiter
            timer.cancel()
            if answer is None:
                raise DpuError(f"{_name(write, register)}: no answer within {ACCESS_TIMEOUT_PS} ps")
            answers.append(answer)
        for answer in answers:
            if answer.status != OKAY:
                write = answer.channel == DpuChannel.WRITE
                raise DpuError(f"{_name(write, answer.address)}: {RESPONSES[answer.status & 3]}")
        return answers

    # ---- DpuPort ----

    async def strap(self, straps: Straps) -> None:
        """Set what is not None. Raises DpuError when device_status is not 0 or a value is out of range."""
        values: list[tuple[int, int]] = []
        if straps.num_request_queues is not None:
            values.append((DpuRegister.NUM_REQUEST_QUEUES, straps.num_request_queues))
        if straps.features is not None:
            values.append((DpuRegister.FEATURES_LO, straps.features & 0xFFFF_FFFF))
            values.append((DpuRegister.FEATURES_HI, straps.features >> 32))
        if straps.literal_numbering is not None:
            values.append((DpuRegister.PERSONALITY, int(straps.literal_numbering)))
        if straps.max_queue_size is not None:
            values.append((DpuRegister.MAX_QUEUE_SIZE, straps.max_queue_size))
        if straps.notify_buf_size is not None:
            values.append((DpuRegister.NOTIFY_BUF_SIZE, straps.notify_buf_size))
        if straps.notify_policy is not None:
            values.append((DpuRegister.NOTIFY_POLICY, straps.notify_policy))
        if straps.tag is not None:
            tag = straps.tag.ljust(4 * TAG_DWORDS, b"\0")
            if len(tag) > 4 * TAG_DWORDS:
                raise ValueError(f"a tag has at most {4 * TAG_DWORDS} bytes, this one has {len(straps.tag)}")
            for index in range(TAG_DWORDS):
                dword = int.from_bytes(tag[4 * index : 4 * index + 4], "little")
                values.append((DpuRegister.TAG + 4 * index, dword))
        await self._access([(True, register, value) for register, value in values])

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
        self._log.append(
            loop.now_ps, Kind.DPU_OPERATION, DpuChannel.NOTIFY, status=result.value, payload=bytes(message)
        )
        return result

    async def _hand_over(self, message: bytes) -> NotifyResult:
        padded = message.ljust(-(-len(message) // 4) * 4, b"\0")
        accesses = [
            (True, int(DpuRegister.NOTIFY_DATA), int.from_bytes(padded[at : at + 4], "little"))
            for at in range(0, len(padded), 4)
        ]
        await self._access([*accesses, (True, DpuRegister.NOTIFY_LENGTH, len(message))])
        end_ps = self._loop.now_ps + NOTIFY_TIMEOUT_PS
        while (status := await self.read(DpuRegister.NOTIFY_STATUS)) & NOTIFY_BUSY:
            if self._loop.now_ps > end_ps:
                raise DpuError(f"the notify mailbox does not decide on {len(message)} bytes in {NOTIFY_TIMEOUT_PS} ps")
            await self._loop.sleep(NOTIFY_POLL_PS)
        try:
            return NotifyResult(status & NOTIFY_RESULT_MASK)
        except ValueError:
            raise DpuError(f"NOTIFY_STATUS reads 0x{status:x} after a message was handed over") from None

    async def set_time(self, seconds: int, nanoseconds: int) -> None:
        await self._access(
            [
                (True, DpuRegister.TIME_SEC_LO, seconds & 0xFFFF_FFFF),
                (True, DpuRegister.TIME_SEC_HI, seconds >> 32 & 0xFFFF_FFFF),
                (True, DpuRegister.TIME_NSEC, nanoseconds),
            ]
        )

    async def counters(self) -> dict[str, int]:
        """By the names of DpuCounter in lower case."""
        answers = await self._access([(False, DpuRegister.COUNTERS + 4 * index, 0) for index in DpuCounter])
        return {counter.name.lower(): answer.hdr[0] for counter, answer in zip(DpuCounter, answers, strict=True)}

    async def error_log(self) -> list[DeviceError]:
        errors: list[DeviceError] = []
        for _ in range(await self.read(DpuRegister.ERROR_COUNT)):
            head, low, high, _ = (
                answer.hdr[0]
                for answer in await self._access(
                    [
                        (False, DpuRegister.ERROR_HEAD, 0),
                        (False, DpuRegister.ERROR_ADDR_LO, 0),
                        (False, DpuRegister.ERROR_ADDR_HI, 0),
                        (True, DpuRegister.ERROR_POP, 1),
                    ]
                )
            )
            errors.append(DeviceError(head & 0xFF, bool(head >> 16 & 1), head >> 8 & 0xF, high << 32 | low))
        return errors


def _name(write: bool, register: int) -> str:
    try:
        name = DpuRegister(register).name
    except ValueError:
        name = f"0x{register:03x}"
    return f"DPU port, {'write to' if write else 'read of'} {name}"
