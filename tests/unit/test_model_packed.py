"""ModelEndpoint with packed rings and with event indices, against hosts of a few lines."""

from __future__ import annotations

import struct
from itertools import pairwise

import pytest

from tests.unit.tiny_host import TinyHost, message
from tests.unit.tiny_packed import AVAIL, FEATURES, N, PackedHost
from virtiofs_model.errors import ErrorCode
from virtiofs_model.layouts.dpu import NotifyResult
from virtiofs_model.layouts.tlp import TlpKind
from virtiofs_model.layouts.virtio import DeviceStatus, Feature, RingEventFlags
from virtiofs_model.tlp import write_runs

GETATTR = 3
EVENT_IDX = Feature.EVENT_IDX.mask
SPLIT_EVENTS = FEATURES & ~Feature.RING_PACKED.mask | EVENT_IDX


def answer_all(host: TinyHost) -> int:
    """Answer all requests, those that the engine has in any order; how many they were."""
    count = 0
    host.run()
    while host.requests:
        count += len(host.requests)
        host.rng.shuffle(host.requests)
        while host.requests:
            request, head = host.requests.pop()
            host.reply(request, bytes(104), unique=struct.unpack_from("<Q", head, 8)[0])
        host.run()
    return count


@pytest.mark.parametrize("size", [3, 5, 64, 100, 1000, 1024])
def test_lists_of_all_lengths_around_the_ring(size: int) -> None:
    """PACK-VQ-DI1, PACK-NEXT-DI1, PACK-WRAP-DI1: more than two laps, whatever the size."""
    host = PackedHost(size)
    host.begin(sizes={3: size})
    slots, done = 0, 0
    while slots < 2 * size + 7 and done < 400:
        readable = [host.fuse(GETATTR)]
        room = min(size, 40) if size < 1000 else 400
        if host.rng.random() < 0.7:
            count = host.rng.randint(2, room) if size > 2 else 2
            cuts = [40 * i // (count - 1) for i in range(count)]
            readable = [readable[0][a:b] for a, b in pairwise(cuts)]
            host.add(3, readable, [120])
            slots += count
        else:
            host.add(3, [*readable, b""], [60, 60], indirect_from=0)
            slots += 1
        assert answer_all(host) == 1
        assert host.used(3) == [(host.packed[3].next_id, 120)]
        done += 1
    assert len(host.interrupts) == done
    assert host.endpoint.dpu.error_log() == []


def test_a_list_that_ends_at_the_ring_s_end() -> None:
    host = PackedHost(2)
    host.begin(sizes={3: 6})
    for _ in range(7):
        ids = []
        for _ in range(3):
            host.add(3, [host.fuse(GETATTR)], [120], kick=False)
            ids.append(host.packed[3].next_id)
        host.kick(3)
        assert answer_all(host) == 3
        assert sorted(host.used(3)) == sorted((id_, 120) for id_ in ids)


def test_one_slot() -> None:
    host = PackedHost(3)
    host.begin(sizes={3: 1})
    for _ in range(5):
        host.add(3, [host.fuse(GETATTR)], [120], indirect_from=0)
        assert answer_all(host) == 1
        assert host.used(3) == [(host.packed[3].next_id, 120)]


def test_many_in_flight_on_all_packed_queues() -> None:
    host = PackedHost(4)
    host.begin()
    expected: dict[int, int] = {}
    for unique in range(60):
        index = host.rng.choice([0, 2, 3, 4, 5])
        host.add(index, [host.fuse(GETATTR, unique=unique)], [120], indirect_from=host.rng.choice([0, 99]))
        expected[index] = expected.get(index, 0) + 1
    assert answer_all(host) == 60
    for index, count in expected.items():
        assert [length for _, length in host.used(index)] == [120] * count


def test_a_used_descriptor_is_one_write_of_8_bytes() -> None:
    """PACK-DESC-D04: id and length not later than the flags; the address stays."""
    host = PackedHost(5)
    host.begin()
    host.add(4, [host.fuse(GETATTR)], [120])
    host.trace.clear()
    assert answer_all(host) == 1
    queue = host.packed[4]
    ring = range(queue.desc, queue.desc + 16 * queue.size)
    writes = [run for tlp in host.trace if tlp.kind is TlpKind.MWR for run in write_runs(tlp) if run[0] in ring]
    assert writes == [(queue.desc + 8, struct.pack("<IHH", 120, queue.next_id, 0x8082))]


def test_messages_on_a_packed_queue() -> None:
    host = PackedHost(6)
    host.begin(sizes={1: 3})
    for round_ in range(8):
        host.add(1, [], [2000, 2500])
        host.run()
        assert host.endpoint.dpu.notify(message(100 + round_)) is NotifyResult.ACCEPTED
        host.run()
        assert host.used(1) == [(host.packed[1].next_id, 100 + round_)]


@pytest.mark.parametrize(
    ("flags", "desc", "told"),
    [
        (RingEventFlags.ENABLE, 0, [1, 1, 1]),
        (RingEventFlags.DISABLE, 0, [0, 0, 0]),
        (RingEventFlags.DESC, 0x8002, [0, 1, 0]),
        (RingEventFlags.DESC, 0x8003, [0, 1, 0]),
        (RingEventFlags.DESC, 0x0000, [0, 0, 0]),
        (RingEventFlags.DESC, 0x8006, [0, 0, 0]),
        (3, 0, [1, 1, 1]),
    ],
)
@pytest.mark.parametrize("event_idx", [True, False])
def test_driver_event_suppression(flags: int, desc: int, told: list[int], event_idx: bool) -> None:
    """PACK-EVT-DI1: three lists of two descriptors. DESC means nothing where EVENT_IDX was not negotiated."""
    host = PackedHost(7)
    host.begin(FEATURES | (EVENT_IDX if event_idx else 0))
    host.events(3, desc, flags)
    seen = []
    for _ in told:
        host.interrupts.clear()
        host.add(3, [host.fuse(GETATTR)], [120])
        answer_all(host)
        seen.append(len(host.interrupts))
    assert seen == (told if event_idx or flags != RingEventFlags.DESC else [1, 1, 1])


def test_the_event_in_the_next_lap() -> None:
    host = PackedHost(8)
    host.begin(FEATURES | EVENT_IDX, sizes={3: 5})
    host.events(3, 0x0000, RingEventFlags.DESC)
    seen = []
    for _ in range(4):
        host.interrupts.clear()
        host.add(3, [host.fuse(GETATTR)], [120])
        answer_all(host)
        seen.append(len(host.interrupts))
    assert seen == [0, 0, 1, 0]


@pytest.mark.parametrize(
    ("parts", "code"),
    [
        ([(0x100000, 40, 4 | N), (0, 0, 0)], ErrorCode.INDIRECT_NEXT),
        ([(0x100000, 40, 0), (0x100000, 16, 4)], ErrorCode.INDIRECT_NEXT),
        ([(0x100000, 24, 4)], ErrorCode.INDIRECT_LENGTH),
        ([(0x100000, 0, 4)], ErrorCode.INDIRECT_LENGTH),
        ([(0x180000, 16 * 1025, 4)], ErrorCode.CHAIN_LENGTH),
        ([(0x100000, 40, 2), (0x100000, 40, 0)], ErrorCode.DIRECTION),
        ([(0x100000, 1, N)] * 4, ErrorCode.CHAIN_LENGTH),
        ([(0x100000, 0x80000000, 0)] * 2, ErrorCode.CHAIN_BYTES),
    ],
)
def test_broken_lists(parts: list[tuple[int, int, int]], code: ErrorCode) -> None:
    host = PackedHost(9)
    host.begin(sizes={3: 4})
    host.post(3, parts)
    host.kick(3)
    host.run()
    assert [(e.code, e.fatal, e.queue) for e in host.endpoint.dpu.error_log()] == [(code, True, 3)]
    assert host.get(0x14, 1) & DeviceStatus.DEVICE_NEEDS_RESET


def test_a_list_over_slots_that_are_taken() -> None:
    host = PackedHost(10)
    host.begin(sizes={3: 4})
    host.add(3, [host.fuse(GETATTR)], [60, 60])
    host.run()
    host.post(3, [(0x100000, 1, 0)] * 2)
    host.kick(3)
    host.run()
    assert [e.code for e in host.endpoint.dpu.error_log()] == [ErrorCode.CHAIN_LENGTH]


def test_size_of_a_split_ring_stays_a_power_of_2() -> None:
    for features, size in ((FEATURES, 100), (FEATURES & ~Feature.RING_PACKED.mask, 64)):
        host = TinyHost(1)
        host.strap(0x18, FEATURES >> 32)
        host.enable_pci()
        assert host.negotiate(features) & DeviceStatus.FEATURES_OK
        host.set(0x16, 2, 2)
        host.set(0x18, 64, 2)
        host.set(0x18, 100, 2)
        assert host.get(0x18, 2) == size


def test_the_wrap_counter_is_in_the_available_bit() -> None:
    """A descriptor of the lap before, or one that the device used, is nothing new."""
    host = PackedHost(11)
    host.begin(sizes={3: 2})
    queue = host.packed[3]
    for flags in (0, AVAIL | 0x8000, 0x8000):
        host.put(queue.desc, struct.pack("<QIHH", 0x100000, 40, 0, flags))
        host.kick(3)
        host.run()
    assert not host.requests
    assert host.endpoint.dpu.error_log() == []


@pytest.mark.parametrize(("value", "size"), [(3, 2), (0x0103, 2), (0x8002_0003, 4), (0x0001_0103, 4), (3, 1)])
def test_what_a_doorbell_says_besides_its_place(value: int, size: int) -> None:
    """NOTIFICATION_DATA and NOTIF_CONFIG_DATA: memory is read all the same."""
    host = PackedHost(12)
    host.begin(FEATURES | Feature.NOTIFICATION_DATA.mask | Feature.NOTIF_CONFIG_DATA.mask)
    host.add(3, [host.fuse(GETATTR)], [120], kick=False)
    host.set(0x3000 + 4 * 3, value, size)
    assert answer_all(host) == 1


# ---- event indices of split rings ----


def events_host(seed: int) -> TinyHost:
    host = TinyHost(seed)
    host.strap(0x14, SPLIT_EVENTS & 0xFFFFFFFF)
    host.start(SPLIT_EVENTS)
    host.init_session()
    return host


def test_used_event() -> None:
    """SPLIT-UNS-D04, D05, D06: told at the index that the driver names, whatever flags say."""
    host = events_host(1)
    queue = host.queues[3]
    host.put(queue.avail, b"\1\0")
    host.put(queue.avail + 4 + 2 * queue.size, struct.pack("<H", 2))
    told = []
    for _ in range(5):
        host.interrupts.clear()
        host.add(3, [host.fuse(GETATTR)], [120])
        answer_all(host)
        told.append(len(host.interrupts))
    assert told == [0, 0, 1, 0, 0]


def test_avail_event_follows_and_used_flags_stay() -> None:
    host = events_host(2)
    queue = host.queues[3]
    event = queue.used + 4 + 8 * queue.size
    for count in range(1, 100):
        host.add(3, [host.fuse(GETATTR)], [120])
        assert answer_all(host) == 1
        assert struct.unpack("<H", host.peek(event, 2)) == (count,)
    assert host.peek(queue.used, 2) == b"\0\0"


@pytest.mark.parametrize("seed", range(20))
def test_no_kick_is_lost(seed: int) -> None:
    """A driver that kicks only where avail_event tells it to, at random moments."""
    host = events_host(seed)
    queue = host.queues[3]
    event = queue.used + 4 + 8 * queue.size
    asked, answered, kicks = 0, 0, 0
    while asked < 40:
        for _ in range(host.rng.randint(1, 3)):
            host.add(3, [host.fuse(GETATTR)], [120], kick=False)
            asked += 1
            (wanted,) = struct.unpack("<H", host.peek(event, 2))
            if wanted == queue.avail_idx - 1:
                host.kick(3)
                kicks += 1
        for _ in range(host.rng.randint(0, 12)):
            if host.reads and host.rng.random() < 0.5:
                host.answer_read()
            else:
                host.endpoint.step(host.rng)
        if len(host.requests) > 5:
            answered += answer_all(host)
            host.used(3)
    answered += answer_all(host)
    assert answered == asked
    assert kicks < asked
