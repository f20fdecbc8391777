"""Event indices and order in the driver's split queue, and what it gives a device that sees mapped addresses alone."""

from __future__ import annotations

import random

import pytest

from tests.unit.test_driver_queue import FakeDevice, NoLink, segments
from virtiofs_model.layouts.virtio import DescFlags, VirtqDesc
from virtiofs_tb.driver.chains import RingOptions
from virtiofs_tb.driver.dma import DmaMapper
from virtiofs_tb.driver.errors import DriverError
from virtiofs_tb.driver.packed_queue import PackedQueue, RingPosition
from virtiofs_tb.driver.split_queue import SplitQueue
from virtiofs_tb.driver.virtqueue import ChainShape, Placement, Segment
from virtiofs_tb.host.base import HostBase
from virtiofs_tb.host.io_map import HIGH_WINDOW, LOW_WINDOW, PAGE, IoMap
from virtiofs_tb.host.log import ObservationLog
from virtiofs_tb.host.loop import Loop
from virtiofs_tb.host.port import Access


def set_word(device: FakeDevice, address: int, value: int) -> None:
    device.host.memory.write(address, (value & 0xFFFF).to_bytes(2, "little"))


def test_kicks_where_avail_event_says() -> None:
    """SPLIT-ANS-R05 to R07; the index goes round."""
    device = FakeDevice(event_idx=True)

    async def add(count: int = 1) -> bool:
        before = device.doorbells
        await device.queue.add_batch([(segments(1, 0), ChainShape())] * count)
        for head in device.new_heads():
            device.use(head, 0)
        device.queue.harvest()
        return device.doorbells > before

    async def main() -> None:
        set_word(device, device.queue.used, 1)  # NO_NOTIFY, which has no meaning here
        for start in range(0, 0x10000 + 64, 8):
            set_word(device, device.queue.avail_event, start + 3)
            assert not await add(3), "entries before the one that was asked for"
            assert await add(1), "the one that was asked for"
            assert not await add(1), "an entry behind it"
            set_word(device, device.queue.avail_event, start + 6)
            assert await add(3), "one of several"

    device.host.loop.run(main())


def test_kicks_that_were_put_off_count() -> None:
    """Chains published without a kick are those of the next one."""
    device = FakeDevice(event_idx=True)

    async def main() -> None:
        await device.queue.add(segments(1, 0), kick=False)
        await device.queue.add(segments(1, 0), kick=False)
        assert device.doorbells == 0
        await device.queue.kick()
        assert device.doorbells == 1
        await device.queue.kick()
        assert device.doorbells == 1

    device.host.loop.run(main())


def interrupt_due(device: FakeDevice, before: int) -> bool:
    """Whether used_event is one of the entries from `before` on."""
    event = device.word(device.queue.used_event, 2)
    return (device._used - event - 1) & 0xFFFF < (device._used - before) & 0xFFFF


def test_interrupts_where_used_event_says() -> None:
    device = FakeDevice(event_idx=True)

    async def use(count: int) -> bool:
        before = device._used
        for _ in range(count):
            await device.queue.add(segments(1, 0))
            device.use(device.new_heads()[0], 0)
        return interrupt_due(device, before)

    async def main() -> None:
        for _ in range(20):
            assert await use(2) and len(device.queue.harvest()) == 2
        await device.queue.set_interrupts(False)
        assert device.word(device.queue.avail, 2) == 0, "avail.flags stays 0 (SPLIT-UNS-R03)"
        for _ in range(20):
            assert not await use(2) and len(device.queue.harvest()) == 2
        await device.queue.set_interrupts(True)
        await device.queue.defer_interrupts(4)
        assert [await use(1) for _ in range(5)] == [False, False, False, True, False]
        assert len(device.queue.harvest()) == 5 and await use(1)

    device.host.loop.run(main())


def test_what_comes_while_interrupts_are_switched_on_is_not_lost() -> None:
    """An entry behind the one that is asked for would bring no interrupt: the driver looks again."""
    device = FakeDevice(event_idx=True)
    written = device.host.memory.write
    late = []

    def write(address: int, data: bytes) -> None:
        written(address, data)
        if address == device.queue.used_event and late:
            device.use(late.pop(), 0)

    async def main() -> None:
        tokens = [await device.queue.add(segments(1, 0)) for _ in range(2)]
        first, second = device.new_heads()
        device.use(first, 0)
        late.append(second)
        device.host.memory.write = write  # type: ignore[method-assign]
        assert device.queue.harvest() == tokens

    device.host.loop.run(main())


@pytest.mark.parametrize("batches", [False, True])
def test_in_order(batches: bool) -> None:
    """Descriptors follow each other round the table (SPLIT-DESC-R02), and chains come back as they went (RSVD-D05)."""
    device = FakeDevice(in_order=True, batches=batches)

    async def main() -> None:
        for _ in range(5):
            token = await device.queue.add(segments(3, 0), ChainShape(shuffled=True))
            slots = [(token.slots[0] + at) % 8 for at in range(3)]
            assert list(token.slots) == slots
            raw = device.host.memory.read(device.queue.desc, 8 * 16)
            found = [VirtqDesc.from_buffer_copy(raw, 16 * slot) for slot in slots]
            assert [desc.next for desc in found if desc.flags & DescFlags.NEXT] == slots[1:]
            device.use(device.new_heads()[0], 0)
            assert device.queue.harvest() == [token]
        table = await device.queue.add(segments(4, 0), ChainShape(Placement.INDIRECT, shuffled=True))
        assert [part.address for part in device.chain(table.id)] == [part.address for part in segments(4, 0)]
        after = await device.queue.add(segments(2, 0))
        device.new_heads()
        device.use(after.id, 1)
        set_word(device, device.queue.used + 2, device._used + batches)
        taken = device.queue.harvest()
        if batches:
            assert taken == [table, after] and [token.exact for token in taken] == [False, True]
            return
        with pytest.raises(DriverError, match="RSVD-D05"):
            await device.queue.wait(table)

    device.host.loop.run(main())


def test_a_batch_moves_the_used_index_by_all_of_its_chains() -> None:
    device = FakeDevice(in_order=True, batches=True)

    async def main() -> None:
        tokens = [await device.queue.add(segments(1, 0)) for _ in range(2)]
        device.use(tokens[1].id, 0)
        device.queue.harvest()
        with pytest.raises(DriverError, match="SPLIT-INORD-DI1"):
            await device.queue.wait(tokens[0])

    device.host.loop.run(main())


def test_positions_go_round_with_their_wrap_counter() -> None:
    place = RingPosition(3)
    words = []
    for _ in range(7):
        words.append(place.word)
        place = place.step(1)
    assert words == [0x8000, 0x8001, 0x8002, 0, 1, 2, 0x8000]
    assert RingPosition.of(3, 0x8001).since(RingPosition.of(3, 2)) == 2
    assert RingPosition(1).step(1).word == 0


@pytest.mark.parametrize("kind", [SplitQueue, PackedQueue])
def test_the_device_gets_mapped_addresses_and_no_others(kind: type[SplitQueue] | type[PackedQueue]) -> None:
    host = HostBase(Loop(), NoLink(), ObservationLog(), 1)
    space = host.memory.translate(True)
    assert space is not None

    async def doorbell(index: int) -> None:
        return

    options = RingOptions(indirect=True, dma=DmaMapper(space))
    queue = kind(host, 0, 4, random.Random(1), doorbell, options)
    buffer = host.memory.allocate(3 * PAGE, 16)

    async def main() -> None:
        parts = [Segment(buffer + 5, 40), Segment(buffer + 2 * PAGE - 3, 6, True), Segment(buffer, 0, True)]
        token = await queue.add(parts, ChainShape(Placement.INDIRECT))
        assert space.translate(token.bus[0], 40, Access.READ) == buffer + 5
        assert space.translate(token.bus[0], 40, Access.WRITE) is None
        assert space.translate(token.bus[1], 3, Access.WRITE) == buffer + 2 * PAGE - 3
        assert space.translate(token.bus[1] + 3, 3, Access.WRITE) == buffer + 2 * PAGE
        assert space.translate(token.bus[1], 3, Access.READ) is None
        assert token.table is not None and space.translate(token.table.bus, 48, Access.READ) == token.table.address
        assert space.translate(queue.registers[0], 64, Access.READ) == queue.desc
        assert space.translate(queue.desc, 16, Access.READ) is None
        await queue.release()

    host.loop.run(main())
    assert not space._pages and not space._mappings


def test_a_map_gives_every_range_pages_of_its_own() -> None:
    space = IoMap()
    low = space.map(0x1000_0FFF, 2, Access.READ)
    high = space.map(0x1000_0FFF, 2, Access.WRITE)
    assert {low in LOW_WINDOW or low in HIGH_WINDOW, high in LOW_WINDOW or high in HIGH_WINDOW} == {True}
    assert (low in LOW_WINDOW) != (high in LOW_WINDOW) and low % PAGE == high % PAGE == 0xFFF
    assert space.translate(low, 2, Access.READ) is None, "an access of two pages"
    assert space.translate(low + 1, 1, Access.READ) == 0x1000_1000
    assert space.translate(low + 1 + PAGE, 1, Access.READ) is None, "the page behind a mapping leads nowhere"
    space.revoke(low)
    assert space.translate(low, 1, Access.READ) is None and space.expected(low) and space.refused == 1
    assert not space.expected(high)
    for address in (low, high):
        space.unmap(address)
    with pytest.raises(ValueError, match="nothing is mapped"):
        space.unmap(high)


def test_addresses_come_again_only_when_all_were_used() -> None:
    space = IoMap()
    space._windows[0]._end = space._windows[0]._first + 8
    space._windows[1]._end = space._windows[1]._first + 8
    seen = []
    for _ in range(12):
        seen.append(space.map(0x1000_0000, 1, Access.READ))
        space.unmap(seen[-1])
    assert len(set(seen)) == 8, "of eight pages a window every second one"
    for _ in range(6):
        space.map(0x1000_0000, 1, Access.READ)
    with pytest.raises(MemoryError, match="no room"):
        for _ in range(3):
            space.map(0x1000_0000, 1, Access.READ)
