"""The driver's split queue and buffer layouts, against devices that behave and devices that do not."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import pytest

from virtiofs_model.layouts.virtio import DescFlags, VirtqDesc
from virtiofs_tb.driver.chains import RingOptions
from virtiofs_tb.driver.errors import DriverError, DriverTimeout, QueueStopped
from virtiofs_tb.driver.layout import ChainPlan, LayoutLimits, linux_plan, place, random_plan
from virtiofs_tb.driver.split_queue import SplitQueue
from virtiofs_tb.driver.virtqueue import ChainShape, Placement, Publish, Segment
from virtiofs_tb.host.base import HostBase
from virtiofs_tb.host.log import Header, ObservationLog
from virtiofs_tb.host.loop import Loop

SHAPES = [
    ChainShape(placement, direct, shuffled, write_flag)
    for placement in Placement
    for direct in (1, 3)
    for shuffled in (False, True)
    for write_flag in (False, True)
]


class NoLink:
    def send(self, channel: int, hdr: Header, payload: bytes, due_ps: int = 0) -> None:
        raise AssertionError("nothing is sent here")


class FakeDevice:
    """Reads the rings as the specification says and uses chains when told to; counts doorbells."""

    def __init__(self, size: int = 8, seed: int = 1, publish: Publish = Publish.SPREAD, **options: bool) -> None:
        self.host = HostBase(Loop(), NoLink(), ObservationLog(), seed)
        self.doorbells = 0
        self.automatic: Callable[[int], int] | None = None  # head -> used length
        chosen = RingOptions(**{"indirect": True, **options}, publish=publish)
        self.queue = SplitQueue(self.host, 3, size, random.Random(seed), self._doorbell, chosen)
        self._seen = 0
        self._used = 0

    async def _doorbell(self, index: int) -> None:
        assert index == 3
        self.doorbells += 1
        self.host.loop.call_at(self.host.loop.now_ps + 1000, self._serve)

    def _serve(self) -> None:
        if self.automatic is None:
            return
        for head in self.new_heads():
            self.use(head, self.automatic(head))
        self.queue.harvest()

    def word(self, address: int, size: int) -> int:
        return int.from_bytes(self.host.memory.read(address, size), "little")

    def new_heads(self) -> list[int]:
        heads = []
        while self._seen != self.word(self.queue.avail + 2, 2):
            heads.append(self.word(self.queue.avail + 4 + 2 * (self._seen % self.queue.size), 2))
            self._seen = (self._seen + 1) & 0xFFFF
        return heads

    def use(self, head: int, length: int) -> None:
        at = self.queue.used + 4 + 8 * (self._used % self.queue.size)
        self.host.memory.write(at, head.to_bytes(4, "little") + length.to_bytes(4, "little"))
        self._used = (self._used + 1) & 0xFFFF
        self.host.memory.write(self.queue.used + 2, self._used.to_bytes(2, "little"))

    def chain(self, head: int) -> list[Segment]:
        """The chain's buffers; asserts what the driver must not do."""
        found: list[Segment] = []
        table, at, end = self.queue.desc, head, self.queue.size
        for _ in range(2 * self.queue.size):
            assert at < end
            desc = VirtqDesc.from_buffer_copy(self.host.memory.read(table + 16 * at, 16))
            if desc.flags & DescFlags.INDIRECT:
                assert table == self.queue.desc, "INDIRECT inside a table (SPLIT-IND-R02)"
                assert not desc.flags & DescFlags.NEXT, "INDIRECT with NEXT (SPLIT-IND-R04)"
                assert desc.len % 16 == 0
                table, at, end = desc.addr, 0, desc.len // 16
                continue
            found.append(Segment(desc.addr, desc.len, bool(desc.flags & DescFlags.WRITE)))
            if not desc.flags & DescFlags.NEXT:
                return found
            at = desc.next
        raise AssertionError("the chain has a loop (SPLIT-DESC-R01)")


def segments(count: int, first_writable: int) -> list[Segment]:
    return [Segment(0x1000 + 64 * at, 8 + at, at >= first_writable) for at in range(count)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("publish", Publish)
def test_what_the_device_walks_is_what_was_added(shape: ChainShape, publish: Publish) -> None:
    device = FakeDevice(publish=publish)

    async def main() -> None:
        for count in (1, 2, 5, 8):
            wanted = segments(count, count // 2)
            token = await device.queue.add(wanted, shape)
            [head] = device.new_heads()
            assert head == token.id and device.chain(head) == wanted
            device.use(head, 0)
            device.queue.harvest()

    device.host.loop.run(main())
    assert device.queue.in_flight == 0


def test_many_tasks_share_a_small_ring() -> None:
    device = FakeDevice(size=4)
    device.automatic = lambda head: len(device.chain(head))
    used: list[int] = []

    async def worker(number: int) -> None:
        for count in (1, 3, 4, 2):
            token = await device.queue.add(segments(count, 0), ChainShape(shuffled=bool(number % 2)))
            used.append(await device.queue.wait(token))

    async def main() -> None:
        for task in [device.host.spawn(worker(number)) for number in range(5)]:
            await task.join()

    device.host.loop.run(main())
    assert sorted(used) == sorted([1, 3, 4, 2] * 5)


def test_no_doorbell_while_the_device_asks_for_silence() -> None:
    device = FakeDevice()

    async def main() -> None:
        device.host.memory.write(device.queue.used, b"\x01\x00")
        await device.queue.add(segments(1, 0))
        assert device.doorbells == 0
        device.host.memory.write(device.queue.used, b"\x00\x00")
        await device.queue.add(segments(1, 0))
        assert device.doorbells == 1

    device.host.loop.run(main())


@pytest.mark.parametrize(
    ("misbehave", "message"),
    [
        (lambda device, head: device.use((head + 1) % 8, 0), r"used\.ring\[0\]\.id.*id of a chain in flight"),
        (lambda device, head: device.use(0xFFFF_FFFF, 0), r"used\.ring\[0\]\.id: 0xFFFFFFFF"),
        (lambda device, head: device.use(head, 1000), r"used length of chain.*0x3E8, expected at most 8"),
        (lambda device, head: (device.use(head, 0), device.use(head, 0)), r"used\.idx.*at most 1 more"),
        (lambda device, head: device.host.memory.write(device.queue.used + 2, b"\xff\xff"), r"used\.idx.*0xFFFF"),
    ],
)
def test_an_impossible_used_entry_is_reported(misbehave: Callable[[FakeDevice, int], None], message: str) -> None:
    device = FakeDevice()

    async def main() -> None:
        token = await device.queue.add(segments(1, 0))
        misbehave(device, token.id)
        device.queue.harvest()
        with pytest.raises(DriverError, match=message):
            await device.queue.wait(token)

    device.host.loop.run(main())


def test_a_lost_interrupt_is_told_from_a_lost_reply() -> None:
    device = FakeDevice()

    async def main() -> None:
        token = await device.queue.add(segments(1, 0))
        with pytest.raises(DriverTimeout, match="not used"):
            await device.queue.wait(token, 1_000_000)
        device.use(token.id, 0)
        other = await device.queue.add(segments(1, 0))
        device.use(other.id, 0)
        with pytest.raises(DriverTimeout, match="interrupt for chain"):
            await device.queue.wait(other, 1_000_000)

    device.host.loop.run(main())


def test_who_waits_hears_of_the_reset() -> None:
    device = FakeDevice()

    async def waiting() -> None:
        token = await device.queue.add(segments(1, 0))
        with pytest.raises(QueueStopped):
            await device.queue.wait(token)

    async def full() -> None:
        with pytest.raises(QueueStopped):
            while True:
                await device.queue.add(segments(8, 0))

    async def main() -> None:
        tasks = [device.host.spawn(waiting()), device.host.spawn(full())]
        await device.host.sleep(1_000_000)
        await device.queue.release()
        for task in tasks:
            await task.join()

    device.host.loop.run(main())


def test_polling_needs_no_interrupt() -> None:
    device = FakeDevice()
    device.queue.polling = True

    async def main() -> None:
        token = await device.queue.add(segments(1, 0))
        device.host.loop.call_at(device.host.now_ps() + 5_000_000, lambda: device.use(token.id, 4))
        assert await device.queue.wait(token) == 4

    device.host.loop.run(main())


def readable_bytes(device: FakeDevice, chain: Sequence[Segment]) -> bytes:
    return b"".join(device.host.memory.read(part.address, part.length) for part in chain if not part.write)


@pytest.mark.parametrize("seed", range(40))
def test_a_random_layout_holds_the_message(seed: int) -> None:
    device = FakeDevice()
    rng = random.Random(seed)
    message = rng.randbytes(rng.choice([40, 41, 60, 104, 4096, 70_000]))
    writable = rng.choice([0, 16, 17, 120, 66_000])
    plan = random_plan(rng, len(message), writable)
    assert 1 <= plan.descriptors <= 40 and sum(plan.writable) == writable and 0 not in plan.readable + plan.writable
    placed = place(plan, device.host.memory, message)
    assert readable_bytes(device, placed.segments) == message
    areas = sorted((part.address, part.address + part.length) for part in placed.segments)
    assert all(areas[at][1] <= areas[at + 1][0] for at in range(len(areas) - 1)), "buffers overlap"
    reply = rng.randbytes(writable)
    at = 0
    for part in placed.segments:
        if part.write:
            device.host.memory.write(part.address, reply[at : at + part.length])
            at += part.length
    assert placed.gather(device.host.memory, writable) == reply


@pytest.mark.parametrize("seed", range(40))
def test_a_random_layout_spares_what_an_endpoint_does_not_bear(seed: int) -> None:
    spared = random_plan(random.Random(seed), 80, 100, limits=LayoutLimits(mixed=False, first_writable=4))
    assert spared.writable[0] >= 4 and sum(spared.writable) == 100 and sum(spared.readable) == 80
    assert spared.shape.placement is not Placement.MIXED
    assert sorted(spared.order) == list(range(spared.descriptors)) and len(spared.gaps) == spared.descriptors
    alone = random_plan(random.Random(seed), 80, 3, limits=LayoutLimits(first_writable=4))
    assert alone.writable == (3,)


def test_linux_lays_bulk_out_in_pages() -> None:
    plan: ChainPlan = linux_plan(80, 10_000, 24, 0, indirect=True)
    assert plan.readable == (40, 40, 4096, 4096, 1808) and plan.writable == (16, 8)
    assert plan.shape.placement is Placement.INDIRECT
