"""ModelHost: the golden device runs in virtual time, repeatably, and says what it waits for when it is stuck."""

from __future__ import annotations

from pathlib import Path

import pytest

from virtiofs_model.layouts.virtio import Feature
from virtiofs_model.ramfs import RamfsServer
from virtiofs_tb.agents.firmware import FirmwareAgent
from virtiofs_tb.driver.bringup import mount
from virtiofs_tb.host.log import Channel, DpuChannel, Kind, ObservationLog, Record
from virtiofs_tb.host.model_host import Deadlock, ModelHost
from virtiofs_tb.host.port import DpuError, DpuPort, Fault, HostPort, NotifyResult, Straps
from virtiofs_tb.scenario import Bench
from virtiofs_tb.seeds import stream


class Setup:
    """A ModelHost with firmware, and all of its records."""

    def __init__(self, seed: int = 1) -> None:
        self.records: list[Record] = []
        log = ObservationLog()
        log.subscribe(self.records.extend)
        self.host = ModelHost(seed, log)
        self.firmware = FirmwareAgent(self.host.engine, RamfsServer(), self.host.loop, stream(seed, "firmware"))
        self.bench = Bench(seed, Path(), firmware=self.firmware, faults=self.host.faults)

    @property
    def dpu(self) -> DpuPort:
        assert self.host.dpu is not None
        return self.host.dpu


def test_it_is_a_host_port() -> None:
    host: HostPort = ModelHost(1)
    assert host.caps.tlp and host.caps.dpu and host.caps.faults


def test_a_session_starts_and_everything_is_seen() -> None:
    setup = Setup()

    async def main() -> None:
        ready = await mount(setup.host, setup.bench)
        assert ready.granted is not None and ready.granted.major == 7

    setup.host.run(main())
    assert setup.host.drain(10**9)
    assert setup.host.violations == []
    assert {record.kind for record in setup.records} >= {
        Kind.TLP,
        Kind.INTERRUPT,
        Kind.ENGINE_REQUEST,
        Kind.ENGINE_REPLY,
    }
    assert {record.channel for record in setup.records if record.kind == Kind.TLP} == set(Channel)
    assert [record.seq for record in setup.records] == list(range(1, len(setup.records) + 1))
    times = [record.t_ps for record in setup.records]
    assert times == sorted(times)


def test_the_seed_decides_everything() -> None:
    def run(seed: int) -> str:
        setup = Setup(seed)

        async def main() -> None:
            await mount(setup.host, setup.bench)

        setup.host.run(main())
        return setup.host.log.trace_hash()

    assert run(3) == run(3) != run(4)


def test_deadlock_names_what_is_owed() -> None:
    host = ModelHost(1)

    async def wait_for_a_reply_that_never_comes() -> None:
        await host.event().wait()

    with pytest.raises(Deadlock, match=r"(?s)nothing is due.*task .*wait_for_a_reply_that_never_comes at loop\.py"):
        host.run(wait_for_a_reply_that_never_comes())


def test_limit_of_time() -> None:
    host = ModelHost(1)

    async def for_ever() -> None:
        while True:
            await host.sleep(1000)

    with pytest.raises(Deadlock, match="the limit of 5000 ps is reached"):
        host.run(for_ever(), limit_ps=5000)


def test_an_exception_of_the_scenario_comes_out_and_the_host_lives_on() -> None:
    host = ModelHost(1)

    async def fail() -> None:
        await host.sleep(10)
        raise ValueError("expected")

    async def identity() -> int:
        return await host.config_read(0, 0, 4)

    with pytest.raises(ValueError, match="expected"):
        host.run(fail())
    assert host.run(identity()) == 0x105A_1AF4


def test_a_failure_from_outside_ends_the_run() -> None:
    host = ModelHost(1)

    async def for_ever() -> None:
        while True:
            await host.sleep(1000)

    host.loop.call_at(7000, lambda: host.fail(AssertionError("a scoreboard says no")))
    with pytest.raises(AssertionError, match="a scoreboard says no"):
        host.run(for_ever())
    assert 7000 <= host.now_ps() <= 8000


def test_a_read_without_completion_times_out_in_the_device() -> None:
    setup = Setup()

    async def main() -> None:
        ready = await mount(setup.host, setup.bench)
        queue = ready.device.request_queue(0)
        setup.bench.fail_reads(Fault(queue.avail, 4, "timeout"))
        await queue.kick()
        await setup.host.sleep(400_000_000)
        errors = await setup.dpu.error_log()
        assert [(error.code, error.fatal) for error in errors][:1] == [(17, False)]
        assert any(error.fatal for error in errors)

    setup.host.run(main())
    assert setup.host.endpoint.outstanding_reads == 0


def test_dpu_port() -> None:
    setup = Setup()
    dpu = setup.dpu

    async def main() -> None:
        await dpu.strap(Straps(num_request_queues=2, notify_buf_size=300, tag=b"share"))
        await dpu.personality(False)
        await dpu.set_time(1 << 33, 5)
        assert await dpu.notify(b"\x10\0\0\0" + bytes(12)) is NotifyResult.REFUSED, "there is no session"
        with pytest.raises(DpuError, match="write of 0x4d to NUM_REQUEST_QUEUES: SLVERR"):
            await dpu.strap(Straps(num_request_queues=77))
        ready = await mount(setup.host, setup.bench)
        assert (ready.device.config.num_request_queues, ready.device.config.notify_buf_size) == (2, 300)
        with pytest.raises(DpuError, match="SLVERR"):
            await dpu.offer(Feature.VERSION_1.mask)
        assert [error.code for error in await dpu.error_log()] == [18, 18], "one for each half of the features"
        assert await dpu.error_log() == []
        counters = await dpu.counters()
        assert counters["requests"] == 1 and counters["replies"] == 1 and counters["notify_refused"] == 1

    setup.host.run(main())
    mailbox = [r for r in setup.records if r.kind == Kind.DPU_OPERATION and r.channel == DpuChannel.NOTIFY]
    assert [(record.status, record.length) for record in mailbox] == [(NotifyResult.REFUSED.value, 16)]
