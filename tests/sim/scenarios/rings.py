"""Both ring formats in every shape: sizes, chains at the ring's end, event indices that go round, suppression."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from virtiofs_model.errors import ErrorCode
from virtiofs_model.layouts.fuse_constants import FUSE_ROOT_ID, Opcode
from virtiofs_model.layouts.virtio import DescFlags, DeviceStatus, Feature, PvirtqDesc
from virtiofs_tb.driver.bringup import INIT_FLAGS, POOL_BUFFERS, discover, mount, mount_offered, offer, start
from virtiofs_tb.driver.errors import DriverTimeout, check
from virtiofs_tb.driver.features import mask_of
from virtiofs_tb.driver.packed_queue import PackedQueue
from virtiofs_tb.driver.virtio import USUAL_FEATURES, Settings
from virtiofs_tb.driver.virtqueue import ChainShape, Publish, Segment
from virtiofs_tb.host.port import HostPort, Store
from virtiofs_tb.scenario import Bench, scenario
from virtiofs_tb.sequences.ring_traffic import call_in, operate

PACKED = USUAL_FEATURES | Feature.RING_PACKED.mask
LONG_PS = 2_000_000_000
QUIET_PS = 20_000_000
FORGET_BYTES = 48
NEXT, WRITE, INDIRECT = DescFlags.NEXT, DescFlags.WRITE, DescFlags.INDIRECT


@scenario(
    clauses=["PACK-VQ-DI1", "PACK-WRAP-DI1", "PACK-NEXT-DI1", "PACK-VQ-D01", "PACK-SG-D01", "PACK-SUP-DX1"],
    needs=["dpu", "packed"],
)
async def packed_rings_of_every_size(host: HostPort, tb: Bench) -> None:
    """Packed rings of any size, hiprio's and the notification queue's of one slot, however the stores reach memory."""
    device = await discover(host, tb)
    for number, size in enumerate((2, 3, 5, 1000, 1024)):
        publish = list(Publish)[number % len(Publish)]
        settings = Settings(PACKED, queue_size=size, queue_sizes={0: 1, 1: 1}, publish=publish)
        ready = await mount_offered(host, tb, device, settings, buffers=1)
        check("size of hiprio", device.hiprio.size, 1, "PACK-VQ-DI1")
        await operate(host, tb, ready, tb.option("ring_items", 60), 1000 * number)
    await offer(host, device, USUAL_FEATURES)


@scenario(clauses=["PACK-WRAP-DI1", "PACK-NEXT-DI1", "PACK-SG-D01"], needs=["dpu", "packed"])
async def chains_at_the_end_of_a_packed_ring(host: HostPort, tb: Bench) -> None:
    """Chains that end exactly with the ring, cross its end, or take all of it, one after another and side by side."""
    device = await discover(host, tb)
    rng = tb.rng("rings/end")
    for size in (3, 5, 8):
        ready = await mount_offered(host, tb, device, Settings(PACKED, queue_size=size, request_queues=1), buffers=2)
        queue = device.request_queue(0)
        for round_ in range(tb.option("ring_rounds", 6)):
            left = size - (queue.position & 0x7FFF)
            if left >= 2:
                await call_in(ready, queue, left)
                check("the chain ended with the ring", queue.position & 0x7FFF, 0, "PACK-WRAP-DI1")
            await call_in(ready, queue, size if round_ % 2 else rng.randint(2, size))
            for descriptors in (2, size, 2):
                await call_in(ready, queue, descriptors)
            tasks = [host.spawn(call_in(ready, queue, rng.randint(2, size), rng.random() < 0.3)) for _ in range(6)]
            for task in tasks:
                await task.join()
    await offer(host, device, USUAL_FEATURES)


@scenario(
    clauses=["SPLIT-UNS-D05", "SPLIT-ANS-D04", "PACK-EVT-DI1", "SPLIT-AVAIL-R01"], needs=["dpu", "packed", "event_idx"]
)
async def event_indices_go_round(host: HostPort, tb: Bench) -> None:
    """Batches of small chains until the indices of both formats have gone round: no kick and no interrupt is lost."""
    device = await discover(host, tb)
    for features, size in ((0, 64), (Feature.RING_PACKED.mask, 61)):
        settings = Settings(USUAL_FEATURES | Feature.EVENT_IDX.mask | features, queue_size=size)
        ready = await mount_offered(host, tb, device, settings)
        queue, rng = device.hiprio, tb.rng("rings/batches", features)
        buffer = host.memory.allocate(size * FORGET_BYTES, 16)
        left = tb.option("event_chains", 600)
        if features:
            left = min(left, 20 * size)  # a packed ring goes round with its slots
        while left > 0:
            count = min(left, rng.randint(1, size))
            for at in range(count):
                message = ready.client.build(Opcode.FORGET, FUSE_ROOT_ID, bytes(8))
                host.memory.write(buffer + at * FORGET_BYTES, message)
            chains = [([Segment(buffer + at * FORGET_BYTES, FORGET_BYTES)], ChainShape()) for at in range(count)]
            for token in await queue.add_batch(chains):
                check("used length of FORGET", await queue.wait(token), 0, "FS-HP-DI1")
            left -= count
        host.memory.free(buffer)
    await offer(host, device, USUAL_FEATURES)


@scenario(
    clauses=["SPLIT-UNS-D01", "SPLIT-UNS-D02", "SPLIT-UNS-D04", "SPLIT-UNS-D06", "PACK-EVT-DI1", "PACK-SUP-RX2"],
    needs=["dpu", "packed", "event_idx"],
)
async def suppressed_interrupts(host: HostPort, tb: Bench) -> None:
    """No interrupt where none is wanted, and with event indices one for several used chains, in both formats."""
    device = await discover(host, tb)
    events, packed = Feature.EVENT_IDX.mask, Feature.RING_PACKED.mask
    for features in (0, events, packed, events | packed):
        ready = await mount_offered(host, tb, device, Settings(USUAL_FEATURES | features))
        queue = device.request_queue(0)
        await queue.set_interrupts(False)
        seen = device.interrupts
        for _ in range(3):
            await call_in(ready, queue, 2)
        await host.sleep(QUIET_PS)  # what decides on the last of them is read after it was used
        check("interrupts while none is wanted", device.interrupts - seen, 0, "SPLIT-UNS-D02")
        await queue.set_interrupts(True)
        await call_in(ready, queue, 2)
        check("interrupts once they are wanted", device.interrupts - seen, 1, "SPLIT-UNS-D03")
        if features & Feature.EVENT_IDX.mask:
            for ahead in (2, 5):
                seen = device.interrupts
                await queue.defer_interrupts(ahead)
                tasks = [host.spawn(call_in(ready, queue, 2, indirect=True)) for _ in range(ahead)]
                for task in tasks:
                    await task.join()
                check(f"interrupts for {ahead} chains", device.interrupts - seen, 1, "SPLIT-UNS-D06")
    await offer(host, device, USUAL_FEATURES)


@scenario(clauses=["SPLIT-ANS-D05", "PACK-DESC-R04", "PACK-DESC-D03"], needs=["dpu", "packed", "doorbell_data"])
async def doorbells_without_news(host: HostPort, tb: Bench) -> None:
    """Doorbells with nothing behind them, on every queue and between requests, with and without data."""
    device = await discover(host, tb)
    data = mask_of(Feature.NOTIFICATION_DATA, Feature.NOTIF_CONFIG_DATA)
    for features in (Feature.RING_PACKED.mask, Feature.RING_PACKED.mask | data, data):
        ready = await mount_offered(host, tb, device, Settings(USUAL_FEATURES | features, queue_size=8), buffers=8)
        for _ in range(4):
            for queue in device.queues.values():
                await queue.ring_doorbell()
            await call_in(ready, device.request_queue(0), 3)
        check("NEEDS_RESET", bool(await device.status() & DeviceStatus.DEVICE_NEEDS_RESET), False, "SPLIT-ANS-D05")
    await offer(host, device, USUAL_FEATURES)


@dataclass(frozen=True)
class Broken:
    """What a driver must not put into a packed ring of BROKEN_SIZE slots: descriptors (buffer, length, flags) from slot
    0 on, and those of the table. without: a feature that is not negotiated."""

    what: str
    code: ErrorCode
    descriptors: tuple[tuple[str, int, int], ...]
    table: tuple[tuple[str, int, int], ...] = ()
    without: int = 0


BROKEN_SIZE = 6


def broken_packed_rings() -> Iterator[Broken]:
    """Every mistake that the endpoint can find in a packed ring."""
    good = (("data", 40, 0), ("data", 96, WRITE))
    yield Broken("a list without an end", ErrorCode.CHAIN_LENGTH, (("data", 40, NEXT),) * BROKEN_SIZE)
    yield Broken("readable behind writable", ErrorCode.DIRECTION, (("data", 96, NEXT | WRITE), ("data", 40, 0)))
    yield Broken("INDIRECT with NEXT", ErrorCode.INDIRECT_NEXT, (("table", 32, INDIRECT | NEXT), good[1]), good)
    listed = (("data", 40, NEXT), ("table", 16, INDIRECT))
    yield Broken("INDIRECT at the end of a list", ErrorCode.INDIRECT_NEXT, listed, good[1:])
    for length in (0, 24, 31):
        what = f"an indirect table of {length} bytes"
        yield Broken(what, ErrorCode.INDIRECT_LENGTH, (("table", length, INDIRECT),), good)
    yield Broken("readable behind writable in a table", ErrorCode.DIRECTION, (("table", 32, INDIRECT),), good[::-1])
    huge = (("data", 1 << 31, NEXT), ("data", 1 << 31, WRITE))
    yield Broken("2^32 bytes", ErrorCode.CHAIN_BYTES, huge)
    indirect = (("table", 32, INDIRECT),)
    off = Feature.INDIRECT_DESC.mask
    yield Broken("INDIRECT, not negotiated", ErrorCode.INDIRECT_OFF, indirect, good, without=off)


@scenario(clauses=["STATUS-D03", "STATUS-D04", "RESET-D01"], needs=["dpu", "packed", "tlp"])
async def broken_packed_rings_need_a_reset(host: HostPort, tb: Bench) -> None:
    """Whatever must not stand in a packed ring: DEVICE_NEEDS_RESET, the reason in the log, and a reset mends it."""
    device = await discover(host, tb)
    rng = tb.rng("rings/broken")
    assert host.dpu is not None
    await offer(host, device, PACKED)
    for broken in broken_packed_rings():
        settings = Settings(PACKED & ~broken.without, queue_size=BROKEN_SIZE)
        ready = await start(host, tb, device, settings, buffers=min(POOL_BUFFERS, BROKEN_SIZE))
        await ready.client.init(flags=int(INIT_FLAGS))
        await host.dpu.error_log()
        queue = device.request_queue(rng.randint(1, len(device.roles.requests) - 1))
        assert isinstance(queue, PackedQueue)
        data = host.memory.allocate(4096, 16, bool(rng.getrandbits(1)))
        buffers = {"data": data, "table": data + 2048}
        table = b"".join(bytes(PvirtqDesc(buffers[name], size, 0, int(flags))) for name, size, flags in broken.table)
        stores = [Store(buffers["table"], table)] if table else []
        ring = [
            bytes(PvirtqDesc(buffers[name], size, 7, int(flags | DescFlags.AVAIL)))
            for name, size, flags in broken.descriptors
        ]
        stores += [Store(queue.desc + 16 * at, raw) for at, raw in enumerate(ring)][:0:-1]
        await host.store([*stores, Store(queue.desc, ring[0])])
        await queue.ring_doorbell()
        if not await device.config_changed.wait(LONG_PS):
            raise DriverTimeout(f"configuration interrupt after {broken.what}", "none", "one", "STATUS-D04")
        wanted = DeviceStatus.DEVICE_NEEDS_RESET | DeviceStatus.DRIVER_OK
        check(f"device_status after {broken.what}", await device.status() & wanted, wanted, "STATUS-D03")
        seen = [(ErrorCode(entry.code), entry.queue) for entry in await host.dpu.error_log() if entry.fatal]
        check(f"error log after {broken.what}", seen, [(broken.code, queue.index)], "STATUS-D03")
        await device.reset()
        host.memory.free(data)
    await offer(host, device, USUAL_FEATURES)
    await mount(host, tb)
