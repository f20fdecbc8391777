"""cocotb tests of the bridge against the stand-in device of bounce_dut.sv (run by tests/sim/bridge/test_bridge.py)."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from enum import IntEnum

import cocotb
from cocotb.handle import HierarchyObject, LogicObject
from cocotb.triggers import ValueChange

from virtiofs_tb.host.bridge import Bridge, Port
from virtiofs_tb.host.log import Channel, Kind, ObservationLog, Record, tlp_record

NS = 1000


class Bench:
    """Drains the bridge into a list at every wake-up."""

    def __init__(self, dut: HierarchyObject) -> None:
        wake = dut.wake
        assert isinstance(wake, LogicObject)
        self._wake = ValueChange(wake)
        self.bridge = Bridge()
        self.log = ObservationLog(None, self.bridge.next_seq)
        self.records: list[Record] = []
        self.wakes = 0

    async def wake(self) -> list[Record]:
        await self._wake
        self.wakes += 1
        _, raw, payload = self.bridge.drain(self.log.payload_end)
        records = self.log.append_raw(raw, payload)
        self.records += records
        return records

    async def until(self, count: int, kind: Kind, channel: int) -> list[Record]:
        """Wake until `count` records of that kind and channel were seen since the start."""
        while True:
            seen = [r for r in self.records if (r.kind, r.channel) == (kind, channel)]
            if len(seen) >= count:
                return seen
            failure = self.bridge.failure()
            assert failure is None, failure
            await self.wake()

    async def pass_time(self, duration_ps: int) -> None:
        end = self.bridge.now_ps() + duration_ps
        while self.bridge.now_ps() < end:
            self.bridge.wake_at(end)
            await self.wake()

    def write(self, address: int, value: int, due_ps: int = 0) -> None:
        """A memory write of one dword."""
        self.bridge.send(Port.CQ, (0x40000001, 0x0000000F, address, 0), value.to_bytes(4, "little"), due_ps)

    def read(self, address: int, tag: int, due_ps: int = 0) -> None:
        self.bridge.send(Port.CQ, (0x00000001, tag << 8 | 0xF, address, 0), b"", due_ps)


@cocotb.test
async def packets_arrive_whole_and_in_order(dut: HierarchyObject) -> None:
    bench = Bench(dut)
    for i in range(32):
        bench.write(0x40 + 4 * i, i * 0x01010101)
    for i in range(32):
        bench.read(0x40 + 4 * i, tag=i)
    answers = await bench.until(32, Kind.TLP, Channel.CC)
    assert [r.tag for r in answers] == list(range(32))
    assert [r.payload for r in answers] == [(i * 0x01010101).to_bytes(4, "little") for i in range(32)]
    assert [r.seq for r in bench.records] == list(range(len(bench.records)))
    times = [r.t_ps for r in bench.records]
    assert times == sorted(times)


@cocotb.test
async def the_record_repeats_the_header(dut: HierarchyObject) -> None:
    bench = Bench(dut)
    bench.write(0x10, 300 | 50 << 16)
    await bench.until(300, Kind.TLP, Channel.RQ)
    bench.bridge.send(Port.CQ, (0x44000001, 0x0000070F, 0x01000010, 0), bytes(4))
    bench.bridge.send(Port.CQ, (0x60000002, 0x00FF093C, 0x12, 0x34567890), bytes(8))
    bench.bridge.send(Port.RC, (0x4A004001, 0x00002004, 0x01000540, 0), bytes(4))
    await bench.pass_time(100 * NS)  # what enters the device wakes nobody
    assert {r.channel for r in bench.records if r.kind == Kind.TLP} == {Channel.CQ, Channel.RQ, Channel.RC}
    for r in bench.records:
        if r.kind == Kind.TLP:
            assert r == tlp_record(r.t_ps, r.seq, r.channel, r.hdr, r.payload)


@cocotb.test
async def a_packet_waits_for_its_due_time(dut: HierarchyObject) -> None:
    bench = Bench(dut)
    await bench.pass_time(100 * NS)
    due = bench.bridge.now_ps() + 1000 * NS
    bench.read(0x40, tag=1, due_ps=due)
    await bench.until(1, Kind.TLP, Channel.CC)
    seen = [r for r in bench.records if (r.kind, r.channel) == (Kind.TLP, Channel.CQ)]
    assert due <= seen[0].t_ps <= due + 12 * NS


@cocotb.test
async def throttles_slow_down_and_lose_nothing(dut: HierarchyObject) -> None:
    bench = Bench(dut)
    for port in Port:
        bench.bridge.throttle(port, 20, seed=7)
    bench.write(0x10, 100 | 128 << 16)
    written = await bench.until(100, Kind.TLP, Channel.RQ)
    assert [int.from_bytes(r.payload[:2], "little") for r in written] == list(range(100))
    assert all(len(r.payload) == 512 for r in written)
    duration = written[-1].t_ps - written[0].t_ps
    assert duration > 100 * 8 * 4 * NS * 3, "800 beats or more at 20 percent take 4000 cycles or more"


@cocotb.test
async def non_posted_requests_wait_for_credit(dut: HierarchyObject) -> None:
    bench = Bench(dut)
    bench.bridge.set_rq_np_ok(False)
    await bench.pass_time(40 * NS)
    bench.write(0x10, 5)
    await bench.pass_time(400 * NS)
    assert not [r for r in bench.records if r.channel == Channel.RQ and r.kind == Kind.TLP]
    bench.bridge.set_rq_np_ok(True)
    assert len(await bench.until(5, Kind.TLP, Channel.RQ)) == 5


@cocotb.test
async def streams_storage_and_registers(dut: HierarchyObject) -> None:
    bench = Bench(dut)
    for size in (0, 1, 31, 32, 33, 4096):
        bench.bridge.send(Port.ENGINE_REPLY, (size, 2, 3, 4), bytes(i * 7 & 0xFF for i in range(size)))
    back = await bench.until(6, Kind.ENGINE_REQUEST, 0)
    assert [r.hdr for r in back] == [(size, 2, 3, 4) for size in (0, 1, 31, 32, 33, 4096)]
    assert all(r.payload == bytes(i * 7 & 0xFF for i in range(r.hdr[0])) for r in back)
    bench.bridge.storage_write(0x1000, b"a word of data".ljust(64, b"."))
    bench.bridge.send(Port.ENGINE_JOB, (0, 0, 0, 0x1000), b"")
    await bench.until(1, Kind.ENGINE_REQUEST, 1)
    assert bench.bridge.storage_read(0x1040, 14) == b"a word of data"
    bench.bridge.dpu_command(True, 0x20, 0xCAFE, 1)
    bench.bridge.dpu_command(False, 0x20, 0, 2)
    bench.bridge.dpu_command(True, 0x200, 0, 3)
    reads = await bench.until(1, Kind.DPU_OPERATION, 1)
    assert (reads[0].address, reads[0].hdr[0], reads[0].status, reads[0].tag) == (0x20, 0xCAFE, 0, 2)
    writes = await bench.until(2, Kind.DPU_OPERATION, 0)
    assert [r.status for r in writes] == [0, 2]


@cocotb.test
async def a_reset_forgets_what_waits(dut: HierarchyObject) -> None:
    bench = Bench(dut)
    bench.write(0x10, 1000 | 128 << 16)
    await bench.until(3, Kind.TLP, Channel.RQ)
    bench.read(0x40, tag=9, due_ps=bench.bridge.now_ps() + 500 * NS)
    bench.bridge.reset(4)
    await bench.pass_time(40 * NS)
    assert bench.records[-1].kind == Kind.RESET
    mark = len(bench.records)
    await bench.pass_time(2000 * NS)
    assert [r.kind for r in bench.records[mark:]] == []


@cocotb.test
async def posted_requests_pass_non_posted_ones(dut: HierarchyObject) -> None:
    bench = Bench(dut)
    bench.write(0x24, 0)
    await bench.pass_time(40 * NS)
    bench.read(0x40, tag=1)
    bench.write(0x40, 7)
    await bench.pass_time(400 * NS)
    assert [r.hdr[0] >> 24 for r in bench.records if r.kind == Kind.TLP] == [0x40, 0x40], "the read waits"
    assert bench.bridge.waiting(Port.CQ) == 1
    bench.write(0x24, 1)
    answers = await bench.until(1, Kind.TLP, Channel.CC)
    assert (answers[0].tag, answers[0].payload) == (1, (7).to_bytes(4, "little"))


class Fault(IntEnum):
    """What the stand-in does wrong: fault_pkg of misbehaviour.sv."""

    NONE = 0
    VALID_FALLS = 1
    HEADER_CHANGES = 2
    DATA_CHANGES = 3
    LAST_CHANGES = 4
    LAST_EARLY = 5
    LAST_NEVER = 6
    FOURTH_DWORD = 7
    DIGEST = 8
    PREFIX = 9
    LONG_TAG = 10
    BYTES_SHORT = 11
    BYTES_LONG = 12
    BYTES_NONE = 13
    IGNORES_CREDIT = 14
    RC_WAITS_FOR_RQ = 15
    PASSES_POSTED = 16


WRITES, READS = 4 | 128 << 16, 4
"""What makes the stand-in send four requests, when written to 0x10."""


def stimulate(bench: Bench, port: Port) -> None:
    """Have the device send something on `port`."""
    if port == Port.RQ:
        bench.write(0x10, WRITES)
    elif port == Port.CC:
        bench.read(0x40, tag=1)
    elif port == Port.ENGINE_REQUEST:
        bench.bridge.send(Port.ENGINE_REPLY, (1, 2, 3, 4), bytes(200))
    elif port == Port.ENGINE_CONTROL:
        bench.bridge.send(Port.ENGINE_CONTROL_ACK, (1, 2, 3, 4), bytes(200))
    else:
        bench.bridge.send(Port.ENGINE_JOB, (0, 0, 0, 0x1000), b"")


async def broken(bench: Bench, fault: Fault, stimulus: Callable[[Bench], None]) -> str:
    """The message of the first rule that the device breaks, having `fault`; empty where it breaks none."""
    bridge = bench.bridge
    for port in Port:
        bridge.throttle(port, 100, seed=1)
    bridge.set_rq_np_ok(True)
    bridge.reset(4)
    await bench.pass_time(40 * NS)
    bench.write(0x20, fault)
    stimulus(bench)
    end = bridge.now_ps() + 5000 * 4 * NS
    while bridge.now_ps() < end:
        bridge.wake_at(end)
        await bench.wake()
        failure = bridge.failure()
        if failure is not None:
            assert failure.startswith("at ")
            return failure.partition(" ps: ")[2]
    return ""


@cocotb.test
async def every_rule_fires(dut: HierarchyObject) -> None:
    """Each rule of tb/hdl/*assertions.sv on each port of the device, broken by the stand-in; and not, by a good one."""
    bench = Bench(dut)
    wrong: list[str] = []

    async def expect(fault: Fault, stimulus: Callable[[Bench], None], message: str) -> None:
        for given, wanted in ((Fault.NONE, ""), (fault, message)):
            seen = await broken(bench, given, stimulus)
            if seen.startswith(wanted) if wanted else not seen:
                continue
            wrong.append(f"{given.name}, for {message!r}: {seen!r}")

    for port in (Port.CC, Port.RQ, Port.ENGINE_REQUEST, Port.ENGINE_DONE, Port.ENGINE_CONTROL):
        name = port.name.lower()

        def flow(bench: Bench, port: Port = port) -> None:
            stimulate(bench, port)

        def wait(bench: Bench, port: Port = port) -> None:
            bench.bridge.throttle(port, 0, seed=1)
            stimulate(bench, port)

        await expect(Fault.VALID_FALLS, wait, f"{name}: valid fell before ready")
        await expect(Fault.HEADER_CHANGES, wait, f"{name}: changed before ready")
        await expect(Fault.LAST_CHANGES, wait, f"{name}: changed before ready")
        if port != Port.ENGINE_DONE:  # its messages have no payload
            await expect(Fault.DATA_CHANGES, wait, f"{name}: changed before ready")
        if port in (Port.CC, Port.RQ):
            await expect(Fault.LAST_NEVER, flow, f"{name}: header says ")
            for fault in (Fault.FOURTH_DWORD, Fault.DIGEST, Fault.PREFIX, Fault.LONG_TAG):
                await expect(fault, flow, f"{name}: header ")
        else:
            await expect(Fault.BYTES_LONG, flow, f"{name}: beat of 33 bytes, ")
    await expect(Fault.LAST_EARLY, lambda b: stimulate(b, Port.RQ), "rq: header says 128 dwords from this beat on, ")
    for port in (Port.ENGINE_REQUEST, Port.ENGINE_CONTROL):
        name = port.name.lower()

        def send(bench: Bench, port: Port = port) -> None:
            stimulate(bench, port)

        await expect(Fault.BYTES_SHORT, send, f"{name}: beat of 31 bytes, last is 0")
        await expect(Fault.BYTES_NONE, send, f"{name}: beat of 0 bytes, last is 1")

    def without_credit(bench: Bench) -> None:
        bench.bridge.set_rq_np_ok(False)
        bench.write(0x10, READS, due_ps=bench.bridge.now_ps() + 40 * NS)

    def completion_behind_request(bench: Bench) -> None:
        bench.bridge.throttle(Port.RQ, 0, seed=1)
        stimulate(bench, Port.RQ)
        due = bench.bridge.now_ps() + 100 * NS
        bench.bridge.send(Port.RC, (0x4A000001, 0x00000004, 0x01000000, 0), bytes(4), due)

    def read_behind_write(bench: Bench) -> None:
        bench.bridge.throttle(Port.RQ, 0, seed=1)
        stimulate(bench, Port.RQ)
        bench.read(0x40, tag=5, due_ps=bench.bridge.now_ps() + 100 * NS)

    await expect(Fault.IGNORES_CREDIT, without_credit, "rq: non-posted request begun while np_ok is low")
    await expect(Fault.RC_WAITS_FOR_RQ, completion_behind_request, "rc: ready low for 4096 cycles")
    await expect(Fault.PASSES_POSTED, read_behind_write, "cc: the completion with tag 5 passes 1 posted requests on rq")

    def no_room_for_completions(bench: Bench) -> None:
        # The stand-in has room for one, and takes nothing more from cq.
        bench.bridge.throttle(Port.CC, 0, seed=1)
        bench.read(0x40, tag=1)
        bench.read(0x40, tag=2)

    def copy_from(address: int) -> Callable[[Bench], None]:
        return lambda bench: bench.bridge.send(Port.ENGINE_JOB, (0, 0, 0, address), b"")

    size = bench.bridge.storage_size
    for stimulus, message in (
        (no_room_for_completions, "cq: ready low for 4096 cycles"),
        (copy_from(size), f"storage: read at {size} is beyond"),
        (copy_from(size - 64), f"storage: write at {size} is beyond"),
    ):
        seen = await broken(bench, Fault.NONE, stimulus)
        if not seen.startswith(message):
            wrong.append(f"for {message!r}: {seen!r}")
    assert not wrong, "\n".join(wrong)


@cocotb.test
async def a_broken_rule_fails_the_run(dut: HierarchyObject) -> None:
    bench = Bench(dut)
    bench.write(0x20, Fault.LAST_EARLY)
    bench.write(0x10, WRITES)
    await bench.until(1000, Kind.TLP, Channel.RQ)


@cocotb.test
async def a_broken_rule_that_nobody_asks_for_ends_the_simulation(dut: HierarchyObject) -> None:
    bench = Bench(dut)
    bench.write(0x20, Fault.LAST_EARLY)
    bench.write(0x10, WRITES)
    await bench.pass_time(10_000 * NS)


@cocotb.test
async def costs(dut: HierarchyObject) -> None:
    """Prints what an idle cycle and a packet cost; judges nothing, since machines differ."""
    bench = Bench(dut)
    await bench.pass_time(NS)
    cycles = 400_000
    began, first = time.perf_counter(), bench.bridge.cycles()
    await bench.pass_time(cycles * 4 * NS)
    idle = time.perf_counter() - began
    dut._log.info("idle: %.0f cycles/s", (bench.bridge.cycles() - first) / idle)
    for name, request, coalesce in (
        ("512-byte writes", 60000 | 128 << 16, 8),
        ("512-byte writes, coalesced", 60000 | 128 << 16, 64),
        ("reads", 60000, 8),
        ("reads, coalesced", 60000, 64),
    ):
        bench.bridge.coalesce(coalesce)
        began, wakes = time.perf_counter(), bench.wakes
        bench.write(0x10, request)
        count = 0
        while count < 60000:
            count += sum(r.channel == Channel.RQ for r in await bench.wake())
            bench.records.clear()
        taken = time.perf_counter() - began
        dut._log.info("%s: %.0f packets/s, %.1f packets a wake-up", name, count / taken, count / (bench.wakes - wakes))
    bench.bridge.coalesce(0)
    began, wakes = time.perf_counter(), bench.wakes
    for i in range(3000):
        bench.read(0x40, tag=i & 0xFF)
        while not any(r.kind == Kind.TLP and r.channel == Channel.CC for r in bench.records):
            await bench.wake()
        bench.records.clear()
    taken = time.perf_counter() - began
    dut._log.info("read, wait, read: %.1f us a round, %.1f wake-ups", taken / 3000 * 1e6, (bench.wakes - wakes) / 3000)


@cocotb.test
async def trace(dut: HierarchyObject) -> None:
    """Writes the trace hash of a busy run to a file, to be compared between builds and runs."""
    bench = Bench(dut)
    for port in Port:
        bench.bridge.throttle(port, 60, seed=int(os.environ.get("COCOTB_RANDOM_SEED", "1")))
    bench.write(0x10, 200 | 33 << 16)
    for i in range(200):
        bench.read(0x40 + 4 * (i % 16), tag=i)
        bench.bridge.send(Port.ENGINE_REPLY, (i, 0, 0, 0), bytes([i]) * i)
        bench.bridge.dpu_command(bool(i & 1), 4 * (i % 32), i, i)
    await bench.until(200, Kind.ENGINE_REQUEST, 0)
    await bench.until(200, Kind.TLP, Channel.CC)
    await bench.until(200, Kind.TLP, Channel.RQ)
    await bench.until(100, Kind.DPU_OPERATION, 1)
    with open("trace.txt", "w") as out:
        out.write(f"{bench.log.trace_hash()} {hashlib.sha256(str(bench.wakes).encode()).hexdigest()}\n")
