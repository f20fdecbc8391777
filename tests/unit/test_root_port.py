"""The root port against a scripted endpoint: splitting, order, faults, interrupts, and packets that must not be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from virtiofs_model import tlp
from virtiofs_model.layouts.tlp import CompletionStatus, MessageCode, TlpKind
from virtiofs_model.tlp import Tlp
from virtiofs_tb.host.log import Channel, Header, Kind, ObservationLog, Record
from virtiofs_tb.host.loop import Loop
from virtiofs_tb.host.memory import HostMemory
from virtiofs_tb.host.port import Fault, Interrupt
from virtiofs_tb.host.root_port import HostError, HostTimeout, RootPort
from virtiofs_tb.host.timing import LogUniform, Timing
from virtiofs_tb.seeds import stream

DEVICE = 0x0100


class Endpoint:
    """The other end of the link. `answer` makes completions of the host's requests; reads are sent by `read`."""

    def __init__(self, timing: Timing | None = None, seed: int = 1) -> None:
        self.loop = Loop()
        self.memory = HostMemory(lambda: self.loop.now_ps, 1 << 20, 1 << 20)
        self.log = ObservationLog()
        self.records: list[Record] = []
        self.log.subscribe(self.records.extend)
        self.root = RootPort(self.loop, self, self.memory, self.log, stream(seed, "root"), timing)
        self.from_host: list[Tlp] = []
        self.completions: list[Tlp] = []
        self.times: list[int] = []
        self.answer: Callable[[Tlp], list[Tlp]] = lambda request: []

    def send(self, channel: int, hdr: Header, payload: bytes, due_ps: int = 0) -> None:
        packet = tlp.decode(hdr, payload)
        if channel == Channel.RC:
            self.completions.append(packet)
            self.times.append(self.loop.now_ps)
            return
        self.from_host.append(packet)
        for completion in self.answer(packet):
            self.give(Channel.CC, completion)

    def give(self, channel: Channel, packet: Tlp) -> None:
        self.give_raw(channel, *tlp.encode(packet))

    def give_raw(self, channel: Channel, hdr: Header, payload: bytes = b"") -> None:
        self.root.receive(self.log.append_tlp(self.loop.now_ps, channel, hdr, payload))

    def read(self, address: int, size: int, tag: int = 0) -> None:
        self.give(Channel.RQ, tlp.memory_read(address, size, DEVICE, tag))

    def write(self, address: int, data: bytes) -> None:
        self.give(Channel.RQ, tlp.memory_write(address, data, DEVICE))

    def settle(self) -> None:
        while (due := self.loop.next_due()) is not None:
            self.loop.advance(due)

    def texts(self) -> str:
        return "\n".join(violation.text for violation in self.root.violations)


# ---- reads of the endpoint ----


@pytest.mark.parametrize("rcb", [64, 128])
@pytest.mark.parametrize("mps", [0, 1, 2])
def test_reads_are_split_as_the_specification_allows(rcb: int, mps: int) -> None:
    end = Endpoint(Timing(rcb=rcb, split_percent=60))
    end.root.config.max_payload = 128 << mps
    rng = stream(7, "test", rcb + mps)
    base = end.memory.allocate(8192, 4096, high=True)
    content = rng.randbytes(8192)
    end.memory.write(base, content)
    pieces = set()
    for tag in range(200):
        size = rng.randint(0, 512)
        offset = rng.randint(0, 4096 - size)
        request = tlp.memory_read(base + offset, size, DEVICE, tag)
        end.completions.clear()
        end.give(Channel.RQ, request)
        end.settle()
        cuts: list[int] = []
        got = b""
        for packet in end.completions:
            assert (packet.kind, packet.status, packet.tag) == (TlpKind.CPLD, CompletionStatus.SC, tag)
            assert len(packet.payload) == 4 * packet.length_dw <= 128 << mps
            got += tlp.completion_bytes(packet)
            cuts.append(request.address + sum(len(p.payload) for p in end.completions[: len(cuts) + 1]))
        assert got[:size] == content[offset : offset + size]
        assert all(cut % rcb == 0 for cut in cuts[:-1])
        data = end.memory.read(request.address, 4 * request.length_dw)
        expected = tlp.split_completions(request, 0, data, cuts[:-1])
        for packet in end.completions:
            packet.fmt_type = 0
        assert end.completions == expected, "the codec of the models makes the same packets"
        pieces.add(len(cuts))
    assert {1, 2} <= pieces
    assert end.root.violations == [] and end.root.owed() == []


def test_reads_overtake_each_other_but_not_themselves() -> None:
    end = Endpoint(Timing(gap_percent=50, split_percent=80))
    base = end.memory.allocate(4096, 4096)
    for tag in range(16):
        end.read(base, 512, tag)
    end.settle()
    order = [packet.tag for packet in end.completions]
    assert order != sorted(order)
    for tag in range(16):
        counts = [packet.byte_count for packet in end.completions if packet.tag == tag]
        assert counts[0] == 512 and counts == sorted(counts, reverse=True)
    spans = [[i for i, packet in enumerate(end.completions) if packet.tag == tag] for tag in range(16)]
    assert any(span[-1] - span[0] >= len(span) for span in spans), "completions of two reads interleave"


def test_order_can_be_kept() -> None:
    end = Endpoint(Timing(reorder=False, gap_percent=0))
    base = end.memory.allocate(4096, 4096)
    for tag in range(16):
        end.read(base, 64, tag)
    end.settle()
    assert [packet.tag for packet in end.completions] == list(range(16))


def test_latency_has_the_mean_that_was_asked_for() -> None:
    draw = LogUniform(1000, 8)
    values = [draw.at(i / 10000) for i in range(10000)]
    assert abs(sum(values) / 10000 - 1000) < 5 and 7.9 < max(values) / min(values) < 8.1


def test_a_read_after_a_write_sees_it() -> None:
    end = Endpoint()
    base = end.memory.allocate(64)
    end.write(base + 5, b"posted")
    end.read(base + 5, 6)
    end.settle()
    assert tlp.completion_bytes(end.completions[0]) == b"posted"


def test_a_read_is_sampled_while_the_driver_stores() -> None:
    mixed = 0
    for seed in range(20):
        end = Endpoint(Timing(read_latency_ps=1000, gap_percent=0, split_percent=0), seed)
        end.root.config.max_payload = 512
        base = end.memory.allocate(512, 64)
        end.read(base, 512)
        end.loop.advance(300)
        end.memory.write(base, b"\x01" * 512)
        end.settle()
        data = end.completions[0].payload
        mixed += int(0 < data.count(1) < 512)
        assert all(data[at : at + 16] in (bytes(16), b"\x01" * 16) for at in range(0, 512, 16))
    assert mixed > 10


@pytest.mark.parametrize("kind, status", [("ur", CompletionStatus.UR), ("ca", CompletionStatus.CA)])
def test_faults_strike_as_often_as_asked(kind: str, status: CompletionStatus) -> None:
    end = Endpoint(Timing(reorder=False))
    base = end.memory.allocate(4096, 4096)
    end.root.faults.rules.append(Fault(base + 0x100, 4, kind, count=2, skip=1))
    for tag in range(5):
        end.read(base + 0xF8, 16, tag)
        end.read(base + 0x104, 16, 16 + tag)
    end.settle()
    by_tag = {packet.tag: packet for packet in end.completions}
    assert [by_tag[tag].status for tag in range(5)] == [0, status, status, 0, 0]
    assert by_tag[1].kind is TlpKind.CPL and by_tag[1].byte_count == 16
    assert all(by_tag[16 + tag].status == 0 for tag in range(5)), "a neighbour is not struck"
    assert end.root.violations == []


def test_poison_and_timeout() -> None:
    end = Endpoint()
    base = end.memory.allocate(4096, 4096)
    end.root.faults.rules += [Fault(base, 4, "poison"), Fault(base + 64, 4, "timeout")]
    end.read(base, 4, 1)
    end.read(base + 64, 4, 2)
    end.settle()
    assert [(packet.tag, packet.ep, packet.length_dw) for packet in end.completions] == [(1, True, 1)]
    end.read(base + 64, 4, 2)
    end.settle()
    assert [packet.tag for packet in end.completions] == [1, 2], "after its own time-out the endpoint may ask again"


# ---- writes and interrupts of the endpoint ----


def test_writes_obey_byte_enables() -> None:
    end = Endpoint()
    rng = stream(3, "writes")
    base = end.memory.allocate(4096, 4096)
    expected = bytearray(4096)
    for _ in range(300):
        size = rng.randint(0, 300)
        at = rng.randint(0, 4096 - size)
        data = rng.randbytes(size)
        expected[at : at + size] = data
        end.write(base + at, data)
    end.give(Channel.RQ, Tlp(TlpKind.MWR, base, DEVICE, 0, 0b0101, 0, 1, b"ABCD"))
    expected[0], expected[2] = ord("A"), ord("C")
    assert end.memory.read(base, 4096) == bytes(expected)
    assert end.root.violations == []


def test_msix_is_recorded_and_delivered_in_order() -> None:
    end = Endpoint()
    seen: list[Interrupt] = []
    end.root.on_interrupt(seen.append)
    for vector in range(10):
        end.write(0xFEE0_1000 + 4 * vector, vector.to_bytes(4, "little"))
    end.settle()
    end.log.flush()
    assert [interrupt.vector for interrupt in seen] == list(range(10))
    records = [record for record in end.records if record.kind == Kind.INTERRUPT]
    assert [(record.address, record.hdr[0]) for record in records] == [(0xFEE0_1000 + 4 * i, i) for i in range(10)]
    end.write(0xFEE0_1002, b"ab")
    assert "message signalled interrupt" in end.texts() and end.root.completer.interrupts == 10


def test_messages_are_accepted() -> None:
    end = Endpoint()
    seen: list[Interrupt] = []
    end.root.on_interrupt(seen.append)
    end.give(Channel.RQ, Tlp(TlpKind.MSG, 0, DEVICE, message_code=0x30))
    end.give(Channel.RQ, Tlp(TlpKind.MSG, 0, DEVICE, message_code=MessageCode.ASSERT_INTA))
    end.settle()
    assert end.root.completer.messages == 2 and [interrupt.vector for interrupt in seen] == [None]
    assert end.root.violations == []


# ---- what must not be ----


def test_reads_outside_memory_get_ur_and_are_recorded() -> None:
    end = Endpoint()
    end.read(0x1000, 8, 3)
    end.settle()
    assert end.completions[0].status == CompletionStatus.UR
    assert "0x1000..0x1008, which is not memory" in end.texts()


def test_a_fault_rule_announces_an_address_outside_memory() -> None:
    end = Endpoint()
    end.root.faults.rules.append(Fault(0, 1 << 28, "ur", count=1000))
    end.read(0x1000, 8, 3)
    end.settle()
    assert end.completions[0].status == CompletionStatus.UR and end.root.violations == []


def test_broken_packets_are_recorded() -> None:
    end = Endpoint()
    base = end.memory.allocate(8192, 4096)
    end.read(base, 8, 1)
    end.read(base, 8, 1)
    assert "tag 1 is used again" in end.texts()
    end.write(0x1000, b"hole")
    assert "write to 0x1000" in end.texts()
    end.give(Channel.RQ, Tlp(TlpKind.MWR, base + 4092, DEVICE, 0, 0xF, 0xF, 2, bytes(8)))
    assert "cross 4 KiB" in end.texts()
    end.give(Channel.RQ, Tlp(TlpKind.MWR, base, DEVICE, 0, 0xF, 0, 2, bytes(8)))
    assert "byte enables first 0xf, last 0x0 with Length 2" in end.texts()
    poisoned = tlp.memory_write(base, b"\xee" * 4, DEVICE)
    poisoned.ep = True
    end.give(Channel.RQ, poisoned)
    assert "poisoned" in end.texts() and end.memory.read(base, 4) == bytes(4)
    end.give_raw(Channel.RQ, (0x6000_0001, 0x0100_000F, 0, base), bytes(4))
    assert "four-dword header" in end.texts()
    end.give_raw(Channel.RQ, (0x4000_0003, 0x0100_00FF, base, 0), bytes(4))
    assert "do not go with Length 3" in end.texts()
    end.give(Channel.RQ, Tlp(TlpKind.IORD, 0x60, DEVICE, 9, 0xF, 0, 1))
    assert "IORD" in end.texts()
    end.give(Channel.CC, Tlp(TlpKind.CPL, tag=4, byte_count=4))
    assert "no request is under way" in end.texts()


def test_noise_never_raises() -> None:
    end = Endpoint()
    rng = stream(11, "noise")
    for _ in range(3000):
        hdr = (rng.getrandbits(32), rng.getrandbits(32), rng.getrandbits(32), rng.getrandbits(32))
        if rng.random() < 0.5:
            hdr = (rng.choice([0x00, 0x20, 0x40, 0x60, 0x4A, 0x0A, 0x30]) << 24 | rng.randint(0, 16), *hdr[1:])
        length = 4 * ((hdr[0] & 0x3FF) or 1024) if hdr[0] >> 30 & 1 and rng.random() < 0.8 else 0
        end.give_raw(rng.choice([Channel.RQ, Channel.CC]), hdr, bytes(length))
    end.settle()
    assert end.root.violations and end.root.owed() == []


# ---- requests of the host ----


def config_space(end: Endpoint, space: bytearray) -> Callable[[Tlp], list[Tlp]]:
    """Function 0 with `space`; every other function is unsupported."""

    def answer(request: Tlp) -> list[Tlp]:
        if request.kind in (TlpKind.MWR,):
            return []
        if request.completer_id != DEVICE or request.kind not in (TlpKind.CFGRD0, TlpKind.CFGWR0):
            return [tlp.completion(request, DEVICE, None, CompletionStatus.UR)]
        if request.kind is TlpKind.CFGWR0:
            for lane in range(4):
                if request.first_be >> lane & 1:
                    space[request.address + lane] = request.payload[lane]
            return [tlp.completion(request, DEVICE, None)]
        return [tlp.completion(request, DEVICE, bytes(space[request.address : request.address + 4]))]

    return answer


def test_config_accesses_of_all_sizes() -> None:
    end = Endpoint()
    space = bytearray(range(256))
    end.answer = config_space(end, space)

    async def main() -> None:
        assert await end.root.config_read(0, 0x40, 4) == 0x43424140
        assert await end.root.config_read(0, 0x42, 2) == 0x4342
        assert await end.root.config_read(0, 0x43, 1) == 0x43
        await end.root.config_write(0, 0x41, 1, 0xAA)
        await end.root.config_write(0, 0x42, 2, 0xBEEF)
        assert await end.root.config_read(0, 0x40, 4) == 0xBEEFAA40
        assert await end.root.config_read(3, 0, 4) == 0xFFFF_FFFF
        with pytest.raises(HostError, match="within one dword"):
            await end.root.config_read(0, 0x42, 4)

    end.loop.run(main())
    assert end.root.violations == []


def test_bar_address_is_learned_and_learned_again() -> None:
    end = Endpoint()
    space = bytearray(256)
    space[0x10] = 0x04
    end.answer = config_space(end, space)

    async def main() -> None:
        with pytest.raises(HostError, match="BAR 0 of function 0"):
            await end.root.bar_write(0, 0, 0, 4, 0)
        for base in (0x0000_00A0_1234_8004, 0x0000_00B0_1234_8004):
            await end.root.config_write(0, 0x10, 4, base & 0xFFFF_FFFF)
            await end.root.config_write(0, 0x14, 4, base >> 32)
            await end.root.bar_write(0, 0, 0x16, 2, 0xCAFE)
            await end.root.bar_write(0, 0, 0x20, 4, 1)
            writes = [packet for packet in end.from_host if packet.kind is TlpKind.MWR][-2:]
            assert [packet.address for packet in writes] == [base - 4 + 0x14, base - 4 + 0x20]
            assert (writes[0].first_be, writes[0].payload) == (0xC, b"\0\0\xfe\xca")

    end.loop.run(main())


def test_payload_size_and_boundary_follow_the_capability() -> None:
    end = Endpoint()
    space = bytearray(256)
    space[0x34], space[0x50], space[0x51], space[0x60] = 0x50, 0x11, 0x60, 0x10
    end.answer = config_space(end, space)

    async def main() -> None:
        root = end.root
        assert root.config.max_payload == 128
        for offset in (0x34, 0x50, 0x51, 0x60):
            await root.config_read(0, offset, 1)
        await root.config_write(0, 0x68, 2, 0x2000 | 1 << 5)
        await root.config_write(0, 0x70, 2, 8)
        assert (root.config.max_payload, root.config.rcb_128) == (256, True)

    end.loop.run(main())


def test_memory_reads_in_pieces_and_unsupported() -> None:
    end = Endpoint()
    content = stream(1, "bar").randbytes(4096)

    def answer(request: Tlp) -> list[Tlp]:
        if request.address >= 0x1_0000_1000:
            return [tlp.completion(request, DEVICE, None, CompletionStatus.UR)]
        at = request.address & 0xFFF
        return tlp.split_completions(
            request, DEVICE, content[at : at + 4 * request.length_dw], list(range(0x1_0000_0000, 0x1_0000_1000, 128))
        )

    end.answer = answer

    async def main() -> None:
        for at, size in ((0, 4), (0x7E, 8), (3, 1), (0x123, 700), (0x80, 256)):
            assert await end.root.memory_read(0x1_0000_0000 + at, size) == content[at : at + size]
        assert await end.root.memory_read(0x1_0000_1000, 2) == b"\xff\xff"

    end.loop.run(main())
    assert end.texts() == ""


def test_wrong_completions_are_recorded() -> None:
    end = Endpoint(Timing(request_timeout_ps=1000))
    broken: list[Callable[[Tlp], Tlp]] = [
        lambda request: replace(tlp.completion(request, DEVICE, bytes(4)), byte_count=8),
        lambda request: replace(tlp.completion(request, DEVICE, bytes(4)), lower_address=0x11),
        lambda request: tlp.completion(request, DEVICE, bytes(8)),
        lambda request: tlp.completion(request, DEVICE, None),
        lambda request: replace(tlp.completion(request, DEVICE, bytes(4)), ep=True),
        lambda request: tlp.completion(request, DEVICE, None, CompletionStatus.CRS),
    ]

    async def main() -> None:
        for wrong in broken:
            before = len(end.root.violations)
            end.answer = lambda request, wrong=wrong: [wrong(request)]  # type: ignore[misc]
            await end.root.memory_read(0x1_0000_0000, 4)
            assert len(end.root.violations) > before

    end.loop.run(main())


def test_no_completion_is_a_clear_error_and_the_late_one_is_recorded() -> None:
    end = Endpoint(Timing(request_timeout_ps=5000))

    async def main() -> None:
        with pytest.raises(HostTimeout, match="CFGRD0 of function 0x0100 offset 0x34: no completion within 5000 ps"):
            await end.root.config_read(0, 0x34, 1)

    end.loop.run(main())
    end.give(Channel.CC, tlp.completion(end.from_host[0], DEVICE, bytes(4)))
    assert "no request is under way" in end.texts()


def test_retry_status_is_retried() -> None:
    end = Endpoint(Timing(retry_ps=100, retry_limit_ps=1000))
    left = [3]

    def answer(request: Tlp) -> list[Tlp]:
        left[0] -= 1
        if left[0] > 0:
            return [tlp.completion(request, DEVICE, None, CompletionStatus.CRS)]
        return [tlp.completion(request, DEVICE, b"\xf4\x1a\x5a\x10")]

    end.answer = answer

    async def main() -> None:
        assert await end.root.config_read(0, 0, 4) == 0x105A_1AF4
        assert end.loop.now_ps == 200
        left[0] = 10**6
        with pytest.raises(HostTimeout, match="Request Retry Status"):
            await end.root.config_read(0, 0, 4)

    end.loop.run(main())


def test_many_requests_share_the_tags() -> None:
    end = Endpoint()
    waiting: list[Tlp] = []

    def answer(request: Tlp) -> list[Tlp]:
        waiting.append(request)
        return []

    end.answer = answer

    async def one(index: int) -> int:
        return await end.root.config_read(0, 4 * index, 4)

    async def main() -> None:
        tasks = [end.loop.spawn(one(i)) for i in range(100)]
        while waiting:
            assert len({request.tag for request in waiting}) == len(waiting) <= 32
            for request in reversed(waiting[:]):
                waiting.remove(request)
                end.give(Channel.CC, tlp.completion(request, DEVICE, request.address.to_bytes(4, "little")))
            await end.loop.sleep(1)
        assert [await task.join() for task in tasks] == [4 * i for i in range(100)]

    end.loop.run(main())
    assert end.root.violations == []


def test_same_seed_same_run() -> None:
    def run(seed: int) -> list[tuple[int, int, int]]:
        end = Endpoint(seed=seed)
        base = end.memory.allocate(4096, 4096)
        for tag in range(30):
            end.read(base + 4 * tag, 500, tag)
            end.loop.advance(end.loop.now_ps + 10_000)
        end.settle()
        return [(t, p.tag, p.byte_count) for t, p in zip(end.times, end.completions, strict=True)]

    assert run(4) == run(4) != run(5)
