"""Host memory: mappings, allocator, watches, and reads that overlap stores."""

from __future__ import annotations

import mmap
import os
import random

import pytest

from virtiofs_tb.host.memory import HIGH_BASE, LOW_BASE, Allocator, HostMemory, MemoryAccessError


class Clock:
    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def memory(clock: Clock) -> HostMemory:
    return HostMemory(clock, 1 << 20, 1 << 20)


def test_both_regions_and_their_edges(memory: HostMemory) -> None:
    for region in memory.regions:
        memory.write(region.end - 4, b"edge")
        assert memory.read(region.end - 4, 4) == b"edge"
        assert memory.mapped(region.base, region.size)
        assert not memory.mapped(region.end - 1, 2) and not memory.mapped(region.base - 1, 2)
    with pytest.raises(MemoryAccessError, match="0x0"):
        memory.read(0, 4)
    with pytest.raises(MemoryAccessError):
        memory.write(LOW_BASE - 1, b"ab")


def test_mapping_is_shared(memory: HostMemory) -> None:
    other = mmap.mmap(memory.high.fd, memory.high.size)
    memory.write(HIGH_BASE + 0x100, b"seen")
    assert other[0x100:0x104] == b"seen"
    other.close()


def test_allocate_is_aligned_disjoint_zeroed(memory: HostMemory) -> None:
    rng = random.Random(1)
    live: dict[int, int] = {}
    for _ in range(500):
        if live and rng.random() < 0.45:
            address = rng.choice(list(live))
            del live[address]
            memory.free(address)
            continue
        size, align, high = rng.randint(1, 5000), 1 << rng.randint(0, 12), rng.random() < 0.5
        address = memory.allocate(size, align, high)
        assert address % align == 0 and (address >= HIGH_BASE) == high
        assert memory.read(address, size) == bytes(size)
        assert all(address + size <= other or other + used <= address for other, used in live.items())
        memory.write(address, b"\xff" * size)
        live[address] = size
    for address in live:
        memory.free(address)
    assert memory.allocate(1 << 20) == LOW_BASE, "freed ranges merge again"


def test_full_arena_and_wrong_free(memory: HostMemory) -> None:
    with pytest.raises(MemoryError, match="below 4 GiB"):
        memory.allocate((1 << 20) + 1)
    with pytest.raises(MemoryAccessError, match="no allocation"):
        memory.free(LOW_BASE + 16)


def test_allocator_counts() -> None:
    arena = Allocator(0, 100)
    first, second = arena.allocate(10, 1), arena.allocate(20, 16)
    assert (first, second, arena.used()) == (0, 16, 30)
    assert arena.allocate(80, 1) is None
    assert arena.free(0) == 10


def test_sample_is_between_old_and_new_per_block(memory: HostMemory, clock: Clock) -> None:
    address = memory.allocate(256)
    seen = set()
    rng = random.Random(3)
    for _ in range(50):
        memory.write(address, bytes(256))
        token = memory.hold(clock.now)
        begin = clock.now
        clock.now += 500
        memory.write(address, b"\x01" * 256)
        clock.now += 500
        data = memory.sample(address + 3, 250, begin, clock.now, rng)
        memory.release(token)
        blocks = {data[max(0, at - 3) : at + 13] for at in range(0, 256, 16)}
        assert all(len(set(block)) == 1 for block in blocks), "a block is seen as a whole"
        seen.add(len({block[0] for block in blocks}))
    assert seen == {2}, "some blocks before and some after the store, in every read of this seed"


def test_no_store_during_the_read_no_draw(memory: HostMemory, clock: Clock) -> None:
    address = memory.allocate(64)
    memory.write(address, b"a" * 64)
    rng = random.Random(5)
    state = rng.getstate()
    token = memory.hold(clock.now)
    clock.now = 100
    assert memory.sample(address, 64, 0, 100, rng) == b"a" * 64
    memory.release(token)
    assert rng.getstate() == state


def test_stores_in_order_are_seen_in_order(memory: HostMemory, clock: Clock) -> None:
    """In one block no state may be seen that never was, and with equal moments the order of stores holds."""
    address = memory.allocate(16)
    rng = random.Random(9)
    states = set()
    for _ in range(200):
        memory.write(address, bytes(16))
        begin = clock.now
        token = memory.hold(begin)
        for i in range(8):
            clock.now += 10
            memory.write(address + 2 * i, b"\x01\x01")
        clock.now += 10
        data = memory.sample(address, 16, begin, clock.now, rng)
        memory.release(token)
        count = data.count(1)
        assert data == b"\x01" * count + bytes(16 - count)
        states.add(count)
    assert len(states) == 9


def test_store_in_the_future(memory: HostMemory, clock: Clock) -> None:
    address = memory.allocate(8)
    memory.write_at(address, b"later!!!", 100)
    assert memory.read(address, 8) == b"later!!!", "the driver sees its own store"
    rng = random.Random(1)
    token = memory.hold(0)
    clock.now = 99
    assert memory.sample(address, 8, 0, 99, rng) == bytes(8)
    clock.now = 200
    assert memory.sample(address, 8, 100, 200, rng) == b"later!!!"
    memory.release(token)


def test_journal_stays_small(memory: HostMemory, clock: Clock) -> None:
    address = memory.allocate(4096)
    tokens = [memory.hold(0)]
    for i in range(20000):
        clock.now += 1
        memory.write(address + i % 4000, b"xy")
        if i % 10 == 0:
            tokens.append(memory.hold(clock.now))
            memory.release(tokens.pop(0))
    assert len(memory._journal) < 1100
    memory.release(tokens.pop())
    assert not memory._journal and not memory._journal_pages


def test_watch(memory: HostMemory) -> None:
    address = memory.allocate(8192, 4096)
    calls: list[str] = []
    watch = memory.watch(address + 4094, 4, lambda: calls.append("hit"))
    memory.write(address, bytes(4094))
    memory.write(address + 4098, bytes(10))
    assert calls == []
    memory.write(address + 4090, bytes(20))
    assert calls == ["hit"], "once, although it spans two pages"
    watch.cancel()
    memory.write(address + 4094, b"z")
    assert calls == ["hit"] and not memory._watches


def test_memory_of_another_process(memory: HostMemory) -> None:
    fd = os.memfd_create("other")
    os.ftruncate(fd, 0x6000)
    memory.share(0x4000, 0x3000, fd, 0x2000)
    os.close(fd)
    other = mmap.mmap(memory.low.fd, 0x6000)
    other[0x2010:0x2014] = b"seen"
    assert memory.read(0x4010, 4) == b"seen"
    memory.write(0x6FFC, b"edge")
    assert other[0x4FFC:0x5000] == b"edge"
    other.close()
    assert not memory.mapped(LOW_BASE, 4) and not memory.mapped(0x7000, 1)
    with pytest.raises(MemoryError):
        memory.allocate(16)
    assert memory.allocate(16, high=True) >= HIGH_BASE


def test_memory_that_cannot_be_shared(memory: HostMemory) -> None:
    fd = os.memfd_create("short")
    os.ftruncate(fd, 0x1000)
    with pytest.raises(ValueError, match="ends before"):
        memory.share(0, 0x2000, fd, 0)
    with pytest.raises(ValueError, match="overlaps"):
        memory.share(HIGH_BASE, 0x1000, fd, 0)
    os.close(fd)
    assert memory.mapped(LOW_BASE, 4), "what was there stays"
