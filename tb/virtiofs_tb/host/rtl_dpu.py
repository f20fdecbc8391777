"""The DPU's side of the RTL: register accesses over the AXI4-Lite port of the endpoint."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from virtiofs_model.layouts.dpu import AxiResponse
from virtiofs_tb.host.dpu import Access, Answer, RegisterDpu
from virtiofs_tb.host.log import ObservationLog, Record
from virtiofs_tb.host.loop import Loop, Waiter
from virtiofs_tb.host.port import DpuError

ACCESS_TIMEOUT_PS = 100_000_000
"""An access that the endpoint does not answer for so long is an error."""

Command = Callable[[bool, int, int, int], None]
"""Hands over (write, address, data, tag); the answer comes back as a record of kind DPU_OPERATION with that tag."""


class RtlDpu(RegisterDpu):
    """Accesses are answered in the order in which they were made."""

    def __init__(self, loop: Loop, log: ObservationLog, command: Command) -> None:
        super().__init__(loop, log)
        self._command = command
        self._tag = 0
        self._waiters: dict[int, Waiter] = {}

    def receive(self, record: Record) -> None:
        """Take the answer to an access (records of kind DPU_OPERATION, channels WRITE and READ)."""
        waiter = self._waiters.pop(record.tag, None)
        if waiter is not None:
            waiter.wake(Answer(record.hdr[0], AxiResponse(record.status & 3)))

    async def exchange(self, accesses: Sequence[Access]) -> list[Answer]:
        loop = self._loop
        waiters: list[Waiter] = []
        for access in accesses:
            self._tag = self._tag + 1 & 0xFFFF
            waiter = loop.waiter()
            self._waiters[self._tag] = waiter
            waiters.append(waiter)
            self._command(access.write, access.register, access.value & 0xFFFF_FFFF, self._tag)
        answers: list[Answer] = []
        for access, waiter in zip(accesses, waiters, strict=True):
            timer = loop.call_at(loop.now_ps + ACCESS_TIMEOUT_PS, waiter.wake)
            answer: Answer | None = await waiter
            timer.cancel()
            if answer is None:
                raise DpuError(f"{access}: no answer within {ACCESS_TIMEOUT_PS} ps")
            answers.append(answer)
        return answers
