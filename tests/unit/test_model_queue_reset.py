"""ModelEndpoint with IN_ORDER and RING_RESET, against the host of a few lines."""

from __future__ import annotations

import struct

import pytest

from tests.unit.tiny_host import TinyHost, message
from tests.unit.tiny_packed import PackedHost
from virtiofs_model.endpoint import Channel, ModelEndpoint
from virtiofs_model.engine import EngineReply, MoverJob, ReplyKind
from virtiofs_model.errors import ErrorCode
from virtiofs_model.layouts.dpu import NotifyResult
from virtiofs_model.layouts.fuse import FuseInitIn, FuseInitOut
from virtiofs_model.layouts.fuse_constants import InitFlag
from virtiofs_model.layouts.tlp import TlpKind
from virtiofs_model.layouts.virtio import Feature
from virtiofs_model.ramfs import Limits
from virtiofs_model.tlp import Tlp, completion, encode

GETATTR = 3
SPLIT = Feature.VERSION_1.mask | Feature.INDIRECT_DESC.mask | Feature.FS_NOTIFICATION.mask
PACKED = SPLIT | Feature.RING_PACKED.mask
ORDER, RESET = Feature.IN_ORDER.mask, Feature.RING_RESET.mask


def begun(features: int, seed: int) -> TinyHost:
    """A host whose driver has negotiated these and has a session."""
    if features & Feature.RING_PACKED.mask:
        packed = PackedHost(seed)
        packed.begin(features)
        return packed
    host = TinyHost(seed)
    host.strap(0x18, features >> 32)
    host.start(features)
    host.init_session()
    return host


def answer_one(host: TinyHost) -> None:
    """Answer a request that the engine has, whichever."""
    request, head = host.requests.pop(host.rng.randrange(len(host.requests)))
    host.reply(request, bytes(104), unique=struct.unpack_from("<Q", head, 8)[0])


def uniques(host: TinyHost, buffers: list[list[int]]) -> list[int]:
    """Of the replies in these chains."""
    return [struct.unpack("<Q", host.peek(buffer[-1] + 8, 8))[0] for buffer in buffers]


# ---- IN_ORDER ----


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("features", [SPLIT | ORDER, PACKED | ORDER])
def test_chains_return_in_order(features: int, seed: int) -> None:
    """RSVD-D05: whatever order the engine answers in."""
    host = begun(features, seed)
    queues = [0, 2, 3]
    made: dict[int, list[int]] = {index: [] for index in queues}
    returned: dict[int, list[int]] = {index: [] for index in queues}
    for round_ in range(60):
        index = host.rng.choice(queues)
        body = bytes(host.rng.choice([8, 20]) - 8)
        before = host.queues[index].next_desc
        host.add(index, [host.fuse(GETATTR, body, unique=round_)], [120])
        made[index].append(host.packed[index].next_id if isinstance(host, PackedHost) else before)
        for _ in range(host.rng.randrange(30)):
            host.endpoint.step(host.rng)
            if host.reads and host.rng.random() < 0.5:
                host.answer_read()
        while host.requests and host.rng.random() < 0.6:
            answer_one(host)
        for queue in queues:
            returned[queue] += [head for head, _ in host.used(queue)]
    host.run()
    while host.requests:
        answer_one(host)
        host.run()
    for queue in queues:
        returned[queue] += [head for head, _ in host.used(queue)]
    assert returned == made


def test_a_chain_waits_for_those_before_it_and_a_message_for_it() -> None:
    host = begun(SPLIT | ORDER, 5)
    host.add(1, [], [4136])
    for unique in (1, 2):
        host.add(2, [host.fuse(GETATTR, unique=unique)], [120])
        host.run()
    host.add(3, [host.fuse(GETATTR, unique=3)], [120])
    host.run()
    first, second, other = sorted(host.requests, key=lambda entry: entry[1][8])
    host.reply(second[0], bytes(104), unique=2)
    host.run()
    assert host.used(2) == []
    assert host.endpoint.dpu.notify(message(64)) is NotifyResult.ACCEPTED
    host.reply(other[0], bytes(104), unique=3)
    host.run()
    assert len(host.used(3)) == 1
    assert host.used(1) == [], "a reply that was given before the message is not used yet"
    host.reply(first[0], bytes(104), unique=1)
    host.run()
    assert [head for head, _ in host.used(2)] == [0 + 2, 2 + 2]
    assert len(host.used(1)) == 1


# ---- RING_RESET ----


def reset_register(host: TinyHost, index: int) -> int:
    host.set(0x16, index, 2)
    return host.get(0x3A, 2)


def reset_queue(host: TinyHost, index: int) -> None:
    """As a driver does it: until both registers read 0."""
    host.set(0x16, index, 2)
    host.set(0x3A, 1, 2)
    while host.get(0x3A, 2):
        pass
    assert host.get(0x1C, 2) == 0


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("features", [SPLIT | RESET, PACKED | RESET, PACKED | RESET | ORDER])
def test_a_reset_among_traffic(features: int, seed: int) -> None:
    """VQRST-D01, D02, D03, VQREEN-D01: nothing is touched afterwards, other queues go on, it can be used again."""
    host = begun(features, seed)
    for round_ in range(6):
        for _ in range(8):
            index = host.rng.choice([0, 2, 3])
            host.add(index, [host.fuse(GETATTR, bytes(host.rng.choice([8, 1500])))], [4000])
            for _ in range(host.rng.randrange(30)):
                host.endpoint.step(host.rng)
                if host.reads and host.rng.random() < 0.6:
                    host.answer_read()
            if host.requests and host.rng.random() < 0.5:
                request, _ = host.requests.pop()
                host.reply(request, bytes(host.rng.choice([104, 3900])))
        victim = host.rng.choice([0, 2, 3])
        others = [index for index in (0, 2, 3) if index != victim]
        reset_queue(host, victim)
        before = bytes(host.memory)
        host.interrupts.clear()
        host.trace.clear()
        for _ in range(3):
            host.kick(victim)
        host.run()
        assert victim + 1 not in host.interrupts
        assert all(request.queue != victim for request, _ in host.requests)
        while host.requests:
            request, _ = host.requests.pop()
            host.reply(request, bytes(104))
            host.run()
        old = host.queues[victim]
        ring = slice(old.desc - 0x100000, old.used + 8 * old.size - 0x100000)
        assert host.memory[ring] == before[ring]
        host.add_queue(victim, 16 if round_ % 2 else 32)
        host.brk += -host.brk % 4096
        host.add(victim, [host.fuse(GETATTR)], [120])
        host.run()
        request, _ = host.requests.pop()
        host.reply(request, bytes(104))
        host.run()
        assert [length for _, length in host.used(victim)] == [120]
        for index in others:
            host.used(index)
        if host.brk > 0x100000 + 0xC0000:
            host.brk = 0x100000 + 0x60000
    assert host.endpoint.dpu.error_log() == []
    pools = host.endpoint._queues._free
    assert [len(free) for free in pools.values()] == [4, 8, 20], "no context is lost"


def test_the_register_reads_1_while_a_read_is_out() -> None:
    """PCI-COMMON-D13, D14; the late completion changes nothing."""
    host = begun(SPLIT | RESET, 3)
    host.add(3, [host.fuse(GETATTR)], [120])
    while not host.reads:
        host.endpoint.step(host.rng)
    late = list(host.reads)
    host.reads.clear()
    host.set(0x16, 3, 2)
    host.set(0x3A, 1, 2)
    assert (host.get(0x3A, 2), host.get(0x1C, 2)) == (1, 1)
    host.set(0x1C, 1, 2)
    host.set(0x18, 8, 2)
    assert host.get(0x3A, 2) == 1
    host.reads.extend(late)
    host.run()
    assert (host.get(0x3A, 2), host.get(0x1C, 2), host.get(0x18, 2), host.get(0x1A, 2)) == (0, 0, 1024, 0xFFFF)
    assert not host.requests and not host.interrupts


def test_queue_reset_exists_where_it_was_negotiated() -> None:
    host = begun(SPLIT, 4)
    host.set(0x16, 3, 2)
    host.set(0x3A, 1, 2)
    host.run()
    assert (host.get(0x3A, 2), host.get(0x1C, 2)) == (0, 1)


def test_a_device_reset_during_a_queue_reset() -> None:
    host = begun(SPLIT | RESET, 5)
    host.add(3, [host.fuse(GETATTR)], [120])
    while not host.reads:
        host.endpoint.step(host.rng)
    host.set(0x16, 3, 2)
    host.set(0x3A, 1, 2)
    host.set(0x14, 0, 1)
    host.run()
    host.start(SPLIT | RESET)
    host.init_session()
    host.add(3, [host.fuse(GETATTR)], [120])
    host.run()
    assert len(host.requests) == 1 and reset_register(host, 3) == 0


def test_the_engine_is_told_and_awaited() -> None:
    """What it says of the queue before it has acknowledged is dropped without a word; afterwards it is an error."""
    host = begun(SPLIT | RESET, 6)
    held: list[int] = []
    host.add(3, [host.fuse(GETATTR)], [5000])
    host.run()
    request, _ = host.requests[0]
    engine = host.endpoint.engine
    engine.on_control(lambda control: held.append(control.queue))
    host.acknowledge = lambda control: None  # type: ignore[method-assign]
    endpoint_controls = host.endpoint._mover._controls
    endpoint_controls[:] = endpoint_controls[1:]
    host.set(0x16, 3, 2)
    host.set(0x3A, 1, 2)
    host.run()
    assert held == [3] and host.get(0x3A, 2) == 1
    engine.job(MoverJob(request.ctx, 1, request.epoch, 0, 100, 0))
    engine.reply(EngineReply(request.ctx, ReplyKind.REPLY, request.epoch, 100), bytes(100))
    host.run()
    assert host.get(0x3A, 2) == 1 and host.endpoint.dpu.error_log() == []
    engine.control_ack(request.epoch, 3)
    host.run()
    assert host.get(0x3A, 2) == 0
    engine.reply(EngineReply(request.ctx, ReplyKind.REPLY, request.epoch, 100), bytes(100))
    assert [e.code for e in host.endpoint.dpu.error_log()] == [ErrorCode.ENGINE_CONTEXT]
    assert host.used(3) == []


def test_buffers_of_queue_1_are_forgotten_and_messages_stay() -> None:
    host = begun(SPLIT | RESET, 7)
    old = host.add(1, [], [4136])
    host.run()
    reset_queue(host, 1)
    host.put(old[0], b"\x77" * 4136)
    assert host.endpoint.dpu.notify(message(64)) is NotifyResult.HELD
    host.run()
    host.add_queue(1, 8)
    new = host.add(1, [], [4136])
    host.run()
    assert host.peek(old[0], 4136) == b"\x77" * 4136
    assert host.peek(new[0], 64) == message(64)
    assert host.used(1) == [(0, 64)]


def test_a_message_that_was_begun_is_finished() -> None:
    host = begun(SPLIT | RESET, 8)
    buffers = host.add(1, [], [4136])
    host.run()
    host.trace.clear()
    host.endpoint.dpu.notify(message(2000))
    while not any(tlp.kind is TlpKind.MWR for tlp in host.trace):
        host.endpoint.step(host.rng)
    reset_queue(host, 1)
    assert host.peek(buffers[0], 2000) == message(2000)
    assert host.used(1) == [(0, 2000)]


def test_a_pending_interrupt_goes_with_its_queue() -> None:
    host = begun(SPLIT | RESET, 9)
    host.set(0x4000 + 16 * 4 + 12, 1)
    host.add(3, [host.fuse(GETATTR)], [120])
    host.run()
    answer_one(host)
    host.run()
    assert host.get(0x5000) == 1 << 4
    reset_queue(host, 3)
    assert host.get(0x5000) == 0
    host.set(0x4000 + 16 * 4 + 12, 0)
    host.run()
    assert host.interrupts == []


def test_a_completion_of_nothing_is_still_unexpected() -> None:
    host = begun(SPLIT | RESET, 10)
    reset_queue(host, 3)
    request = Tlp(TlpKind.MRD, 0, 0x100000, 0, 5, 0xF, 0xF, 1)
    host.endpoint.receive(Channel.RC, *encode(completion(request, 0, bytes(4))))
    assert [e.code for e in host.endpoint.dpu.error_log()] == [ErrorCode.UNEXPECTED_CPL]


# ---- the file system in hardware ----


@pytest.mark.parametrize("features", [SPLIT, SPLIT | ORDER])
def test_no_locks_where_chains_return_in_order(features: int) -> None:
    """docs/file-system.md, "Locks": INIT grants none."""
    host = TinyHost(11)
    host.endpoint = ModelEndpoint(host.output, ramfs=Limits())
    host.strap(0x18, (SPLIT | ORDER) >> 32)
    host.start(features)
    asked = InitFlag.POSIX_LOCKS | InitFlag.FLOCK_LOCKS | InitFlag.BIG_WRITES
    (_, reply) = host.add(2, [host.fuse(26, bytes(FuseInitIn(7, 45, 0, asked)))], [80])
    host.run()
    granted = FuseInitOut.from_buffer_copy(host.peek(reply + 16, 64)).flags
    assert granted == (InitFlag.BIG_WRITES if features & ORDER else asked)
