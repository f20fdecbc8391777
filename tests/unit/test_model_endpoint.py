"""ModelEndpoint against a host of a few lines: what each rule of the endpoint looks like from outside."""

from __future__ import annotations

import struct

import pytest

from tests.unit.tiny_host import BAR, DEVICE, TinyHost, message
from virtiofs_model.config_space import BAR0
from virtiofs_model.endpoint import Channel
from virtiofs_model.engine import EngineNotify, EngineReply, MoverDone, MoverJob, NotifyClass, ReplyKind
from virtiofs_model.errors import ErrorCode
from virtiofs_model.layouts.dpu import AxiResponse, DpuRegister, NotifyResult
from virtiofs_model.layouts.tlp import CompletionStatus, TlpKind
from virtiofs_model.layouts.virtio import DeviceStatus, Feature
from virtiofs_model.tlp import completion, config_read, enabled_range, memory_read

V1 = Feature.VERSION_1.mask
GETATTR = 3


def started(seed: int = 1, defect: str | None = None) -> TinyHost:
    host = TinyHost(seed, defect)
    host.start()
    host.init_session()
    return host


def test_enumeration() -> None:
    host = TinyHost()
    assert host.config(0) == 0x105A1AF4
    assert host.config(0x08) == 0x01800001
    assert host.config(0x2C) == 0x11001AF4
    host.set_config(BAR0, 0xFFFFFFFF)
    host.set_config(BAR0 + 4, 0xFFFFFFFF)
    assert (host.config(BAR0), host.config(BAR0 + 4)) == (0xFFFF8004, 0xFFFFFFFF)
    chain, at = [], host.config(0x34, 1)
    while at:
        chain.append((host.config(at, 1), host.config(at + 3, 1) if host.config(at, 1) == 9 else 0))
        at = host.config(at + 1, 1)
    assert chain == [(0x10, 0), (0x11, 0), (9, 1), (9, 2), (9, 3), (9, 4), (9, 5)]
    assert host.config(0x100) == 0


def test_other_functions_and_addresses_are_unsupported() -> None:
    host = TinyHost()
    assert host.ask(config_read(DEVICE | 1, 0, 4, 0, 1)).status == CompletionStatus.UR
    assert host.ask(memory_read(BAR, 4, 0, 1)).status == CompletionStatus.UR
    host.enable_pci()
    assert host.ask(memory_read(BAR, 4, 0, 1)).status == CompletionStatus.SC
    assert host.ask(memory_read(BAR + 0x8000, 4, 0, 1)).status == CompletionStatus.UR


def test_zero_length_read_is_answered_without_side_effect() -> None:
    host = started()
    host.endpoint._core.registers.isr = 2
    assert host.ask(memory_read(BAR + 0x1000, 0, 0, 1)).kind is TlpKind.CPLD
    assert host.get(0x1000, 1) == 2
    assert host.get(0x1000, 1) == 0


@pytest.mark.parametrize("length", [1, 2, 4])
def test_pci_cfg_window(length: int) -> None:
    host = TinyHost()
    host.enable_pci()
    host.set_config(0xDC, 0, 1)
    host.set_config(0xE4, length)
    host.set_config(0xE0, 0x16 if length == 2 else 0x14)
    host.set_config(0xE8, 1, length)
    assert host.config(0xE8, length) == 1
    host.set_config(0xE4, 3)
    assert host.config(0xE8) == 0


@pytest.mark.parametrize("seed", range(8))
def test_request_and_reply(seed: int) -> None:
    host = started(seed)
    body = bytes(range(200)) * 3
    bufs = host.add(3, [host.fuse(GETATTR)[:7], host.fuse(GETATTR, body)[7:], b""], [9, 500, 3000], indirect_from=seed)
    host.run()
    request, head = host.requests.pop()
    assert head == host.fuse(GETATTR)[:7] + host.fuse(GETATTR, body)[7:]
    assert (request.queue, request.readable, request.writable) == (3, 640, 3509)
    reply = host.reply(request, bytes(i % 251 for i in range(2000)))
    host.run()
    assert host.used(3) == [(0, 2016)]
    assert b"".join(host.peek(b, n) for b, n in zip(bufs[3:], (9, 500, 1507), strict=True)) == reply
    assert host.interrupts == [4]


def test_many_in_flight_on_all_queues() -> None:
    host = started(3)
    expected: dict[int, int] = {}
    for unique in range(60):
        index = host.rng.choice([0, 2, 3, 4, 5])
        host.add(index, [host.fuse(GETATTR, unique=unique)], [120], kick=host.rng.random() < 0.7)
        expected[index] = expected.get(index, 0) + 1
    for index in expected:
        host.kick(index)
    done = 0
    while done < 60:
        host.run()
        assert host.requests
        host.rng.shuffle(host.requests)
        request, head = host.requests.pop()
        (unique,) = struct.unpack_from("<Q", head, 8)
        host.reply(request, bytes(104), unique=unique)
        done += 1
    host.run()
    for index, count in expected.items():
        assert [length for _, length in host.used(index)] == [120] * count


def test_reads_and_writes_obey_sizes() -> None:
    host = started()
    done: list[MoverDone] = []
    host.endpoint.engine.on_done(done.append)
    data = bytes(i % 253 for i in range(9000))
    host.add(2, [host.fuse(16, bytes(40)), data], [9016])
    host.run()
    request, _ = host.requests.pop()
    host.endpoint.engine.job(MoverJob(request.ctx, 0, request.epoch, 80, 9000, 0x1234_5677))
    host.run()
    assert [d.result for d in done] == [0]
    assert host.endpoint.engine.storage_read(0x1234_5677, 9000) == data
    host.endpoint.engine.reply(
        EngineReply(request.ctx, ReplyKind.REPLY, request.epoch, 16, 9000, 0x1234_5677), bytes(16)
    )
    host.run()
    assert host.used(2)[0][1] == 9016
    for tlp in host.trace:
        if tlp.kind in (TlpKind.MRD, TlpKind.MWR):
            start, size = enabled_range(tlp)
            assert start // 4096 == (start + size - 1) // 4096
            assert 4 * tlp.length_dw <= (512 if tlp.kind is TlpKind.MRD else 128)


@pytest.mark.parametrize("status", [CompletionStatus.UR, CompletionStatus.CA])
def test_bus_errors(status: CompletionStatus) -> None:
    host = started()
    done: list[MoverDone] = []
    host.endpoint.engine.on_done(done.append)
    bufs = host.add(2, [host.fuse(16, bytes(1000)), bytes(500)], [24])
    host.run()
    host.fail[bufs[1] + 100] = status
    request, _ = host.requests.pop()
    host.endpoint.engine.job(MoverJob(request.ctx, 0, request.epoch, 1040, 500, 0))
    host.run()
    assert [d.result for d in done] == [1]
    host.reply(request, b"", error=-5)
    bufs = host.add(2, [host.fuse(GETATTR)], [24], kick=False)
    host.fail[bufs[0]] = status
    host.kick(2)
    host.run()
    assert [length for _, length in host.used(2)] == [16, 0]
    host.fail[host.queues[2].avail + 2] = status
    host.interrupts.clear()
    host.kick(2)
    host.run()
    codes = [e.code for e in host.endpoint.dpu.error_log()]
    assert codes == [ErrorCode.PAYLOAD_READ, ErrorCode.HEADER_READ, ErrorCode.RING_READ]
    assert host.get(0x14, 1) & DeviceStatus.DEVICE_NEEDS_RESET
    assert host.interrupts == [0]
    assert host.get(0x1000, 1) == 2
    bit = 13 if status == CompletionStatus.UR else 12
    assert host.config(0x06, 2) & 1 << bit
    host.set_config(0x06, 1 << bit, 2)
    assert not host.config(0x06, 2) & 1 << bit


def test_reply_that_does_not_fit() -> None:
    host = started()
    host.add(2, [host.fuse(GETATTR)], [32])
    host.run()
    request, _ = host.requests.pop()
    host.reply(request, bytes(17))
    host.run()
    assert host.used(2)[0][1] == 0
    assert [e.code for e in host.endpoint.dpu.error_log()] == [ErrorCode.ENGINE_LENGTH]


def test_forget_has_no_reply() -> None:
    host = started()
    host.add(0, [host.fuse(2, bytes(8))], [])
    host.run()
    request, _ = host.requests.pop()
    host.endpoint.engine.reply(EngineReply(request.ctx, ReplyKind.NONE, request.epoch))
    host.run()
    assert host.used(0) == [(0, 0)]


def test_interrupt_suppression_and_masks() -> None:
    host = started()

    def once() -> None:
        host.add(2, [host.fuse(GETATTR)], [16])
        host.run()
        host.reply(host.requests.pop()[0], b"")
        host.run()

    host.put(host.queues[2].avail, b"\1\0")
    once()
    assert host.interrupts == []
    host.put(host.queues[2].avail, b"\0\0")
    host.set(0x4000 + 16 * 3 + 12, 1)
    once()
    assert host.interrupts == [] and host.get(0x5000) == 1 << 3
    host.set(0x4000 + 16 * 3 + 12, 0)
    host.run()
    assert host.interrupts == [3] and host.get(0x5000) == 0
    host.set_config(0x8A, 0xC000, 2)
    once()
    assert host.interrupts == [3]
    host.set(0x16, 2, 2)
    host.set(0x1A, 0xFFFF, 2)
    host.set_config(0x8A, 0x8000, 2)
    host.run()
    assert host.interrupts == [3], "a remap to NO_VECTOR clears the pending bit"
    once()
    assert host.interrupts == [3]


def test_queue_numbering() -> None:
    for literal, features, sizes in (
        (False, V1, [1024] * 5 + [0] * 3),
        (False, V1 | 1, [1024] * 6 + [0] * 2),
        (True, V1, [1024, 0] + [1024] * 4 + [0] * 2),
        (True, V1 | 1, [1024] * 6 + [0] * 2),
    ):
        host = TinyHost()
        host.strap(DpuRegister.PERSONALITY, literal)
        host.enable_pci()
        assert host.get(0x12, 2) == 6
        host.negotiate(features)
        found = []
        for index in range(8):
            host.set(0x16, index, 2)
            found.append(host.get(0x18, 2))
        assert found == sizes


def test_features_and_straps() -> None:
    host = TinyHost()
    host.strap(DpuRegister.TAG, 0x78787878)
    host.strap(DpuRegister.NOTIFY_BUF_SIZE, 300)
    host.strap(DpuRegister.NUM_REQUEST_QUEUES, 2)
    host.enable_pci()
    assert not host.negotiate(Feature.INDIRECT_DESC.mask) & DeviceStatus.FEATURES_OK
    assert not host.negotiate(V1 | Feature.EVENT_IDX.mask) & DeviceStatus.FEATURES_OK
    assert host.negotiate(V1) & DeviceStatus.FEATURES_OK
    assert host.endpoint.dpu.write(DpuRegister.NUM_REQUEST_QUEUES, 1) == AxiResponse.SLVERR
    assert (host.get(0x2024), host.get(0x2028), host.get(0x2000)) == (2, 300, 0x78787878)
    host.set(0x16, 1, 2)
    host.set(0x18, 48, 2)
    assert host.get(0x18, 2) == 1024
    host.set(0x1A, 11, 2)
    assert host.get(0x1A, 2) == 0xFFFF


def test_notifications_flow() -> None:
    host = started()
    notify = host.endpoint.dpu.notify
    assert notify(message(100)) is NotifyResult.HELD
    assert notify(message(100)[:-1]) is NotifyResult.REFUSED
    assert notify(message(4137)) is NotifyResult.REFUSED
    small = host.add(1, [], [4000])
    readable = host.add(1, [b"x"], [4136])
    good = host.add(1, [], [50, 5000])
    host.run()
    assert host.used(1) == [(0, 0), (1, 0), (3, 100)]
    assert host.peek(good[0], 50) + host.peek(good[1], 50) == message(100)
    assert host.peek(small[0], 16) == bytes(16) == host.peek(readable[1], 16)
    codes = [e.code for e in host.endpoint.dpu.error_log()]
    assert codes == [ErrorCode.NOTIFY_SMALL, ErrorCode.NOTIFY_READABLE]
    buffers = [host.add(1, [], [4136])[0] for _ in range(3)]
    host.run()
    assert notify(message(4136)) is NotifyResult.ACCEPTED
    host.run()
    assert host.used(1)[0][1] == 4136
    answers = [notify(message(4000, code)) for code in range(1, 7)]
    assert answers == [NotifyResult.ACCEPTED] * 2 + [NotifyResult.HELD] * 2 + [NotifyResult.REFUSED] * 2
    host.run()
    assert [host.peek(b, 8) for b in buffers[1:]] == [message(4000, c)[:8] for c in (1, 2)]


def test_notification_waits_for_init_and_for_earlier_replies() -> None:
    host = TinyHost()
    host.start()
    host.add(1, [], [4136])
    host.add(1, [], [4136])
    host.run()
    assert host.endpoint.dpu.notify(message(50)) is NotifyResult.HELD
    host.run()
    assert host.used(1) == []
    host.init_session()
    host.run()
    assert host.used(1) == [(0, 50)], "the message was held for the reply of the first INIT"
    host.add(2, [host.fuse(GETATTR)], [16 + 1000])
    host.run()
    host.reply(host.requests.pop()[0], bytes(1000))
    host.endpoint.dpu.notify(message(50))
    order: list[int] = []
    while len(order) < 2:
        assert host.endpoint.step(host.rng) or host.reads
        while host.reads:
            host.answer_read()
        order += [q for q in (2, 1) for _ in host.used(q)]
    assert order == [2, 1]


def test_reset_in_the_middle_of_traffic() -> None:
    for seed in range(20):
        host = started(seed)
        for _ in range(10):
            host.add(2, [host.fuse(GETATTR, bytes(500))], [4000])
        for _ in range(host.rng.randrange(200)):
            host.endpoint.step(host.rng)
            if host.reads and host.rng.random() < 0.5:
                host.answer_read()
        for request, _ in host.requests:
            host.reply(request, bytes(3000))
        for _ in range(host.rng.randrange(100)):
            host.endpoint.step(host.rng)
        epochs = len(host.epochs)
        host.reset()
        assert len(host.epochs) == epochs + 1 and host.epochs[-1] != host.epochs[-2]
        before = len(host.trace)
        host.run()
        assert host.trace[before:] == []
        host.requests.clear()
        host.start()
        host.init_session()
        host.add(2, [host.fuse(GETATTR)], [16])
        host.run()
        host.reply(host.requests.pop()[0], b"")
        host.run()
        assert host.used(2) == [(2, 16)]


def test_stale_and_unknown_engine_messages_are_dropped() -> None:
    host = started()
    host.endpoint.engine.reply(EngineReply(12, ReplyKind.NONE, 9))
    assert host.endpoint.dpu.counters()["stale_epoch"] == 1
    host.endpoint.engine.reply(EngineReply(12, ReplyKind.NONE, host.epochs[-1]))
    host.endpoint.receive(Channel.RC, (0x4A000001, 4, 0x01000500, 0), bytes(4))
    host.run()
    codes = [e.code for e in host.endpoint.dpu.error_log()]
    assert codes == [ErrorCode.ENGINE_CONTEXT, ErrorCode.UNEXPECTED_CPL]


def test_lost_completion_times_out() -> None:
    host = started()
    host.kick(2)
    while not host.reads:
        host.endpoint.step(host.rng)
    late = completion(host.reads.popleft(), 0, bytes(4))
    host.run()
    assert host.endpoint.outstanding_reads == 1
    host.endpoint.time_out_reads()
    host.send(late, Channel.RC)
    host.run()
    codes = [e.code for e in host.endpoint.dpu.error_log()]
    assert codes == [ErrorCode.CPL_TIMEOUT, ErrorCode.UNEXPECTED_CPL, ErrorCode.RING_READ]


def test_new_init_empties_the_store() -> None:
    host = started()
    assert host.endpoint.dpu.notify(message(50)) is NotifyResult.HELD
    host.init_session()
    host.add(1, [], [4136])
    host.run()
    assert host.used(1) == []
    assert host.endpoint.dpu.counters()["notify_emptied"] == 1


def test_notifications_of_the_engine_follow_the_policy() -> None:
    big = [message(4000, code) for code in range(1, 6)]
    for policy, lost in ((0, 0), (1, 2), (2, 2)):
        host = TinyHost()
        host.strap(DpuRegister.NOTIFY_POLICY, policy)
        host.start()
        host.init_session()
        for data in (*big, big[0]):
            host.endpoint.engine.notify(EngineNotify(NotifyClass.INVALIDATION, host.epochs[-1], len(data)), data)
        buffers = [host.add(1, [], [4136])[0] for _ in range(6)]
        host.run()
        expected = {0: [*big, big[0]], 1: big[:4], 2: big[:4]}[policy]
        assert [host.peek(b, 16) for b in buffers[: len(host.used(1))]] == [data[:16] for data in expected]
        assert host.endpoint.dpu.counters()["notify_dropped"] == lost
        assert host.endpoint.dpu.counters()["notify_refused"] == 0
