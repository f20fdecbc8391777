"""The driver's packed queue against devices that behave and devices that do not."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from tests.unit.packed_device import Found, PackedDevice
from virtiofs_tb.driver.errors import DriverError, QueueStopped
from virtiofs_tb.driver.virtqueue import ChainShape, Placement, Publish, Segment

SHAPES = [ChainShape(placement, 1, shuffled) for placement in Placement for shuffled in (False, True)]


def segments(count: int, first_writable: int) -> list[Segment]:
    return [Segment(0x1000 + 64 * at, 8 + at, at >= first_writable) for at in range(count)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("publish", Publish)
@pytest.mark.parametrize("size", [1, 3, 5, 8])
def test_what_the_device_walks_is_what_was_added(shape: ChainShape, publish: Publish, size: int) -> None:
    """Many rounds: chains end before, at and behind the ring's end, and take all of it."""
    device = PackedDevice(size, publish=publish)
    rng = random.Random(size)

    async def main() -> None:
        for _ in range(12 * size):
            wanted = segments(rng.randint(1, size), 0)
            token = await device.queue.add(wanted, shape)
            [chain] = device.chains()
            assert chain.id == token.id and chain.segments == wanted
            assert chain.slots == len(token.slots) == (len(wanted) if shape.placement is Placement.DIRECT else 1)
            length = rng.randrange(token.writable + 1)
            device.use(chain, length)
            assert device.queue.unharvested() == 1
            assert device.queue.harvest() == [token] and token.used == length

    device.host.loop.run(main())
    assert device.queue.in_flight == 0 and device.queue._room() == size


@pytest.mark.parametrize("publish", [Publish.SPREAD, Publish.FIELDS])
def test_the_first_flags_come_last(publish: Publish) -> None:
    """Whenever a chain, or a batch, is seen at all it is there as a whole (PACK-SG-R06)."""
    device = PackedDevice(publish=publish)
    seen: list[list[Found]] = []

    def look() -> None:
        if device.available():
            seen.append(device.chains())
        elif not seen:
            device.host.loop.call_at(device.host.loop.now_ps + 100, look)

    async def main() -> None:
        device.host.loop.call_soon(look)
        chains = [(segments(3, 1), ChainShape()), (segments(2, 1), ChainShape(Placement.INDIRECT))]
        await device.queue.add_batch(chains)
        await device.host.sleep(1_000)

    device.host.loop.run(main())
    assert [chain.segments for chain in seen[0]] == [segments(3, 1), segments(2, 1)]


@pytest.mark.parametrize("event_idx", [False, True])
def test_many_tasks_share_a_small_ring(event_idx: bool) -> None:
    device = PackedDevice(size=5, event_idx=event_idx)
    device.automatic = lambda chain: len(chain.segments)
    used: list[int] = []

    async def worker(number: int) -> None:
        for count in (1, 3, 5, 2) * 5:
            token = await device.queue.add(segments(count, 0), ChainShape(shuffled=bool(number % 2)))
            used.append(await device.queue.wait(token))

    async def main() -> None:
        for task in [device.host.spawn(worker(number)) for number in range(5)]:
            await task.join()

    device.host.loop.run(main())
    assert sorted(used) == sorted([1, 3, 5, 2] * 25)


def test_used_in_another_order() -> None:
    device = PackedDevice(7)

    async def main() -> None:
        tokens = [await device.queue.add(segments(count, 0)) for count in (3, 1, 2)]
        for chain in (chains := device.chains())[::-1]:
            device.use(chain, chain.slots)
        assert device.queue.harvest() == tokens[::-1]
        assert [token.used for token in tokens] == [chain.slots for chain in chains] == [3, 1, 2]
        whole = await device.queue.add(segments(7, 7))
        assert device.chains()[0].id == whole.id

    device.host.loop.run(main())


@pytest.mark.parametrize(
    ("lie", "message"),
    [
        (lambda device, chain: device.use(chain, 0, number=(chain.id + 1) & 0xFFFF), r"id of the used descriptor"),
        (lambda device, chain: device.use(chain, 1000), r"used length of chain.*0x3E8, expected at most 8"),
        (lambda device, chain: (device.use(chain, 0), device.use(chain, 0)), r"id of the used.*in flight \(none\)"),
    ],
)
def test_an_impossible_used_descriptor_is_reported(
    lie: Callable[[PackedDevice, Found], None], message: str
) -> None:  # fmt: skip
    device = PackedDevice()

    async def main() -> None:
        token = await device.queue.add(segments(1, 0))
        lie(device, device.chains()[0])
        device.queue.harvest()
        with pytest.raises(DriverError, match=message):
            await device.queue.wait(token)
            await device.queue.add(segments(1, 0))

    device.host.loop.run(main())


@pytest.mark.parametrize("seed", range(30))
def test_a_device_that_scribbles_breaks_the_queue_and_nothing_else(seed: int) -> None:
    """Random bytes in the ring and in the suppression area: no exception but DriverError ever comes out."""
    device = PackedDevice(size=4, seed=seed, event_idx=bool(seed % 2), in_order=bool(seed % 3))
    rng = random.Random(seed)

    async def main() -> None:
        try:
            for _ in range(50):
                await device.queue.add(segments(rng.randint(1, 4), 0), ChainShape(rng.choice(list(Placement))))
                device.host.memory.write(device.queue.desc + rng.randrange(49), rng.randbytes(16))
                device.host.memory.write(device.queue.device_event, rng.randbytes(4))
                device.queue.unharvested()
                device.queue.harvest()
        except DriverError:
            return

    device.host.loop.run(main())


def test_without_the_write_flag_the_length_is_reserved() -> None:
    """PACK-USED-DI1."""
    device = PackedDevice()

    async def main() -> None:
        token = await device.queue.add(segments(1, 0))
        device.use(device.chains()[0], 0)
        device.host.memory.write(device.queue.desc + 8, (0xFFFF_FFFF).to_bytes(4, "little"))
        device.queue.harvest()
        assert await device.queue.wait(token) == 0

    device.host.loop.run(main())


def test_kicks_as_the_device_asks() -> None:
    device = PackedDevice(size=4, event_idx=True)

    async def add(count: int = 1) -> bool:
        before = len(device.doorbells)
        await device.queue.add(segments(count, 0))
        chain = device.chains()[0]
        device.use(chain, 0)
        device.queue.harvest()
        return len(device.doorbells) > before

    async def main() -> None:
        assert await add()  # slot 0: enabled
        device.suppress(1)
        assert not await add()  # slot 1: disabled
        device.suppress(2, 2, 1)
        assert await add()  # slot 2: asked for
        assert not await add()  # slot 3
        device.suppress(2, 3, 1)
        assert not await add()  # slot 0 of the next round: 3 of the last one has gone by
        device.suppress(2, 3, 0)
        assert await add(3)  # slots 1 to 3: asked for in this round
        device.suppress(2, 3, 0)
        assert not await add(4)  # a whole round with wrap counter 1 again

    device.host.loop.run(main())


def test_without_event_idx_desc_means_nothing() -> None:
    device = PackedDevice()

    async def main() -> None:
        device.suppress(2, 7, 0)
        await device.queue.add(segments(1, 0))
        assert len(device.doorbells) == 1

    device.host.loop.run(main())


@pytest.mark.parametrize("event_idx", [False, True])
def test_interrupts_are_asked_for_where_they_are_wanted(event_idx: bool) -> None:
    device = PackedDevice(size=5, event_idx=event_idx)

    async def use(count: int) -> bool:
        await device.queue.add(segments(count, 0))
        for chain in device.chains():
            device.use(chain, 0)
        return device.interrupt_due()

    async def main() -> None:
        for _ in range(10):
            assert await use(2)
            device.queue.harvest()
        await device.queue.set_interrupts(False)
        for _ in range(10):
            assert not await use(3)
            device.queue.harvest()
        await device.queue.set_interrupts(True)
        if event_idx:
            await device.queue.defer_interrupts(3)
            assert [await use(1) for _ in range(4)] == [False, False, True, False]
            assert device.queue.unharvested() == 4 and len(device.queue.harvest()) == 4
            assert await use(1)
        else:
            with pytest.raises(ValueError, match="EVENT_IDX"):
                await device.queue.defer_interrupts(3)

    device.host.loop.run(main())


def test_a_doorbell_can_say_how_far_the_ring_is_filled() -> None:
    """PACK-DESC-R03: the next slot that is not available yet, with its wrap counter."""
    device = PackedDevice(size=3)
    device.automatic = lambda chain: 0

    async def main() -> None:
        for count in (1, 2, 3, 1):
            await device.queue.wait(await device.queue.add(segments(count, count)))
        assert device.doorbells == [1 | 1 << 15, 0, 1 << 15, 1 | 1 << 15]

    device.host.loop.run(main())


@pytest.mark.parametrize("batches", [False, True])
def test_in_order(batches: bool) -> None:
    device = PackedDevice(size=7, in_order=True, batches=batches)

    async def main() -> None:
        tokens = [await device.queue.add(segments(count, 0)) for count in (2, 1, 3)]
        chains = device.chains()
        device.use(chains[1], 5, slots=3)
        taken = device.queue.harvest()
        if not batches:
            with pytest.raises(DriverError, match="RSVD-D05"):
                await device.queue.wait(tokens[0])
            return
        assert taken == tokens[:2] and [token.used for token in taken] == [tokens[0].writable, 5]
        assert [token.exact for token in taken] == [False, True]
        device.use(chains[2], 1)
        assert device.queue.harvest() == [tokens[2]]

    device.host.loop.run(main())


def test_who_waits_hears_of_the_reset() -> None:
    device = PackedDevice()

    async def waiting() -> None:
        token = await device.queue.add(segments(1, 0), ChainShape(Placement.INDIRECT))
        with pytest.raises(QueueStopped):
            await device.queue.wait(token)

    async def main() -> None:
        task = device.host.spawn(waiting())
        await device.host.sleep(1_000_000)
        await device.queue.release()
        await task.join()

    device.host.loop.run(main())
    assert device.host.memory._low_arena.used() == device.host.memory._high_arena.used() == 0


def test_polling_needs_no_interrupt() -> None:
    device = PackedDevice(size=3)
    device.queue.polling = True

    async def main() -> None:
        for _ in range(7):
            token = await device.queue.add(segments(2, 0))
            device.host.loop.call_at(device.host.now_ps() + 5_000_000, lambda: device.use(device.chains()[0], 4))
            assert await device.queue.wait(token) == 4

    device.host.loop.run(main())
