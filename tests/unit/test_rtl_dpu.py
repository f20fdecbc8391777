"""RtlDpu without a simulator: answers are records that come in time or never; messages of several tasks queue up."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from virtiofs_model.layouts.dpu import NOTIFY_BUSY, RETRIEVED_BYTES, AxiResponse, DpuRegister, NotifyResult
from virtiofs_tb.host.dpu import NOTIFY_TIMEOUT_PS
from virtiofs_tb.host.log import DpuChannel, Kind, ObservationLog
from virtiofs_tb.host.loop import Loop
from virtiofs_tb.host.port import DpuError, Straps
from virtiofs_tb.host.rtl_dpu import ACCESS_TIMEOUT_PS, RtlDpu

ANSWER_PS = 20_000


class Pins:
    """An endpoint of a few lines behind RtlDpu. status: what NOTIFY_STATUS reads; deaf: nothing is answered."""

    def __init__(self) -> None:
        self.loop = Loop()
        self.log = ObservationLog()
        self.dpu = RtlDpu(self.loop, self.log, self.command)
        self.responses: dict[int, AxiResponse] = {}
        self.status: Callable[[], int] = lambda: int(NotifyResult.ACCEPTED)
        self.deaf = False
        self.written: list[tuple[int, int]] = []

    def command(self, write: bool, address: int, data: int, tag: int) -> None:
        if self.deaf:
            return
        if write:
            self.written.append((address, data))
        value = self.status() if address == DpuRegister.NOTIFY_STATUS else data
        record = self.log.append(
            self.loop.now_ps,
            Kind.DPU_OPERATION,
            DpuChannel.WRITE if write else DpuChannel.READ,
            address=address,
            status=self.responses.get(address, AxiResponse.OKAY),
            tag=tag,
            hdr=(value, 0, 0, 0),
        )
        self.loop.call_at(self.loop.now_ps + ANSWER_PS, lambda: self.dpu.receive(record))

    def run(self, *coroutines: Coroutine[Any, Any, Any]) -> list[Any]:
        tasks = [self.loop.spawn(coroutine, owned=True) for coroutine in coroutines]
        while (due := self.loop.next_due()) is not None and not all(task.done() for task in tasks):
            self.loop.advance(due)
        return [self.loop.result_of(task) for task in tasks]


def test_an_error_is_raised_after_all_accesses_were_answered() -> None:
    pins = Pins()
    pins.responses[DpuRegister.PERSONALITY] = AxiResponse.SLVERR
    with pytest.raises(DpuError, match="write of 0x1 to PERSONALITY: SLVERR"):
        pins.run(pins.dpu.strap(Straps(literal_numbering=True, max_queue_size=256)))
    assert pins.written == [(DpuRegister.PERSONALITY, 1), (DpuRegister.MAX_QUEUE_SIZE, 256)]


def test_an_access_without_an_answer_is_an_error_in_time() -> None:
    pins = Pins()
    pins.deaf = True
    with pytest.raises(DpuError, match="read of ID: no answer"):
        pins.run(pins.dpu.read(DpuRegister.ID))
    assert pins.loop.now_ps == ACCESS_TIMEOUT_PS


def test_an_answer_that_nobody_waits_for_is_dropped() -> None:
    pins = Pins()
    pins.dpu.receive(pins.log.append(0, Kind.DPU_OPERATION, DpuChannel.READ, tag=77))
    assert pins.run(pins.dpu.counters())[0]["requests"] == 0


def test_messages_of_several_tasks_do_not_mix() -> None:
    pins = Pins()
    busy = iter([NOTIFY_BUSY, NOTIFY_BUSY, NotifyResult.HELD, NOTIFY_BUSY, NotifyResult.REFUSED])
    pins.status = lambda: int(next(busy))
    results = pins.run(pins.dpu.notify(b"first"), pins.dpu.notify(b"2nd!"))
    assert results == [NotifyResult.HELD, NotifyResult.REFUSED]
    data, length = DpuRegister.NOTIFY_DATA, DpuRegister.NOTIFY_LENGTH
    first, second = b"firs", b"2nd!"
    assert pins.written == [
        (data, int.from_bytes(first, "little")),
        (data, ord("t")),
        (length, 5),
        (data, int.from_bytes(second, "little")),
        (length, 4),
    ]


@pytest.mark.parametrize(
    ("status", "text"), [(NOTIFY_BUSY, "does not decide on 4 bytes"), (0, "NOTIFY_STATUS reads 0x0")]
)
def test_a_mailbox_that_never_decides_is_an_error(status: int, text: str) -> None:
    pins = Pins()
    pins.status = lambda: status
    with pytest.raises(DpuError, match=text):
        pins.run(pins.dpu.notify(b"1234"))
    assert pins.loop.now_ps < NOTIFY_TIMEOUT_PS + ACCESS_TIMEOUT_PS
    pins.status = lambda: int(NotifyResult.ACCEPTED)
    assert pins.run(pins.dpu.notify(b"1234")) == [NotifyResult.ACCEPTED], "the mailbox is free again"


class Retrieved(Pins):
    """An endpoint that keeps `data` of a NOTIFY_REPLY, and says that it has `length` bytes."""

    def __init__(self, data: bytes, length: int | None = None) -> None:
        super().__init__()
        self.left = data.ljust(-(-len(data) // 4) * 4, b"\0")
        self.length = len(data) if length is None else length

    def command(self, write: bool, address: int, data: int, tag: int) -> None:
        if address == DpuRegister.RETRIEVED_LENGTH:
            data = self.length
        elif address == DpuRegister.RETRIEVED_DATA:
            data, self.left = int.from_bytes(self.left[:4], "little"), self.left[4:]
        super().command(write, address, data, tag)


@pytest.mark.parametrize("size", [1, 4, 81, RETRIEVED_BYTES])
def test_what_is_retrieved_is_read_once_and_taken(size: int) -> None:
    data = bytes(index % 251 for index in range(size))
    pins = Retrieved(data)
    assert pins.run(pins.dpu.retrieved()) == [data]
    assert pins.left == b"" and pins.written == [(DpuRegister.RETRIEVED_TAKEN, 1)]


def test_nothing_that_is_kept_is_not_taken() -> None:
    pins = Retrieved(b"")
    assert pins.run(pins.dpu.retrieved()) == [None]
    assert pins.written == []


def test_more_than_can_be_kept_is_an_error() -> None:
    pins = Retrieved(b"", RETRIEVED_BYTES + 1)
    with pytest.raises(DpuError, match="1025 bytes, at most 1024"):
        pins.run(pins.dpu.retrieved())
