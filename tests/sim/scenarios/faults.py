"""Completions that fail: on rings the device needs a reset, on a payload the request gets EIO."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from ctypes import sizeof
from dataclasses import dataclass

from virtiofs_model.errors import ErrorCode
from virtiofs_model.layouts.fuse import FuseCreateIn, FuseEntryOut, FuseOpenOut, FuseWriteIn
from virtiofs_model.layouts.fuse_constants import FUSE_ROOT_ID, Opcode
from virtiofs_model.layouts.virtio import (
    VIRTQ_AVAIL_RING_OFFSET,
    VIRTQ_DESC_SIZE,
    DescFlags,
    DeviceStatus,
    Feature,
    VirtqDesc,
)
from virtiofs_tb.driver.bringup import INIT_FLAGS, Mount, discover, mount, start
from virtiofs_tb.driver.errors import DriverError, DriverTimeout, check
from virtiofs_tb.driver.layout import PlacedChain, whole_plan
from virtiofs_tb.driver.split_queue import SplitQueue, as_split
from virtiofs_tb.driver.virtio import USUAL_FEATURES, Settings
from virtiofs_tb.host.port import Fault, HostPort, Store
from virtiofs_tb.scenario import Bench, scenario

CONFIG_INTERRUPT_PS = 2_000_000_000
SHORT_PS = 100_000_000
BROKEN_SIZE = 16
NEXT, WRITE, INDIRECT = DescFlags.NEXT, DescFlags.WRITE, DescFlags.INDIRECT


async def create_file(ready: Mount, name: bytes) -> tuple[int, int]:
    """Create a file in the root; returns its nodeid and fh."""
    body = bytes(FuseCreateIn(0o102, 0o100644, 0, 0)) + name + b"\0"
    reply = await ready.client.call(Opcode.CREATE, FUSE_ROOT_ID, body)
    check("CREATE error", reply.error, 0, "FS-REQ-DI1")
    entry = FuseEntryOut.from_buffer_copy(reply.payload)
    opened = FuseOpenOut.from_buffer_copy(reply.payload, sizeof(FuseEntryOut))
    return entry.nodeid, opened.fh


async def expect_needs_reset(host: HostPort, ready: Mount, what: str) -> None:
    """DEVICE_NEEDS_RESET is set and announced; a status write does not clear it; registers stay readable."""
    device = ready.device
    if not await device.config_changed.wait(CONFIG_INTERRUPT_PS):
        raise DriverTimeout(f"configuration interrupt after {what}", "none", "one", "STATUS-D04")
    status = await device.status()
    wanted = DeviceStatus.DEVICE_NEEDS_RESET | DeviceStatus.DRIVER_OK
    check(f"device_status after {what}", status & wanted, wanted, "STATUS-D03")
    await device.common.write("device_status", status & ~DeviceStatus.DEVICE_NEEDS_RESET)
    check("NEEDS_RESET stays", bool(await device.status() & DeviceStatus.DEVICE_NEEDS_RESET), True, "STATUS-D03")


def ring_areas(queue: SplitQueue) -> dict[str, tuple[int, int]]:
    """The areas of a queue's rings that the device reads."""
    return {
        "available index": (queue.avail, 4),
        "available ring": (queue.avail + 4, 2 * queue.size),
        "descriptor table": (queue.desc, 16 * queue.size),
    }


@scenario(clauses=["STATUS-D03", "STATUS-D04", "PCI-ISR-D02", "RESET-D01"], needs=["faults", "tlp"])
async def ring_faults_need_a_reset(host: HostPort, tb: Bench) -> None:
    """UR, CA or poison on ring memory: DEVICE_NEEDS_RESET with its interrupt, and a reset brings the device back."""
    device = await discover(host, tb)
    for kind in ("ur", "ca", "poison"):
        for area in ("available index", "available ring", "descriptor table"):
            ready = await start(host, tb, device)
            await ready.client.init(flags=int(INIT_FLAGS))
            queue = as_split(device.request_queue(0))
            address, size = ring_areas(queue)[area]
            tb.fail_reads(Fault(address, size, kind))
            broken = ready.client.request(ready.client.build(Opcode.STATFS, 1), queue=queue, timeout_ps=SHORT_PS)
            task = host.spawn(broken)
            await expect_needs_reset(host, ready, f"{kind} on the {area}")
            try:
                await task.join()
            except DriverError:
                continue
            raise DriverError(f"request behind {kind} on the {area}", "a reply", "none", "STATUS-R04")
    await (await start(host, tb, device)).client.init(flags=int(INIT_FLAGS))


@scenario(clauses=["FS-REQ-DI1", "STATUS-D03"], needs=["faults", "tlp"])
async def payload_faults_give_eio(host: HostPort, tb: Bench) -> None:
    """UR, CA or poison on the data of a WRITE: that request gets EIO, the others go on, the device needs no reset."""
    ready = await mount(host, tb)
    nodeid, fh = await create_file(ready, b"faulty")
    for index, kind in enumerate(("ur", "ca", "poison")):
        size = 8192
        message = ready.client.build(Opcode.WRITE, nodeid, bytes(FuseWriteIn(fh, 0, size, 0, 0, 0, 0)) + bytes(size))

        def arm(placed: PlacedChain, kind: str = kind, index: int = index) -> None:
            tb.fail_reads(Fault(placed.segments[0].address + 2048 + 1024 * index, 16, kind))

        reply = await ready.client.request(message, plan=whole_plan(len(message), 24), before=arm)
        check(f"WRITE error after {kind} on its data", reply.error, -errno.EIO, "FS-REQ-DI1")
        check("STATFS error afterwards", (await ready.client.call(Opcode.STATFS, 1)).error, 0, "FS-REQ-DI1")
        status = await ready.device.status()
        check("NEEDS_RESET", bool(status & DeviceStatus.DEVICE_NEEDS_RESET), False, "STATUS-D03")
        reply = await ready.client.request(message)
        check("WRITE error without a fault", reply.error, 0, "FS-REQ-DI1")
    reply = await ready.client.call(Opcode.UNLINK, FUSE_ROOT_ID, b"faulty\0")
    check("UNLINK error", reply.error, 0, "FS-REQ-DI1")


@dataclass(frozen=True)
class Broken:
    """What a driver must not put into a ring of BROKEN_SIZE. Descriptors are (buffer, length, flags, next) from index 0
    on; buffers are "data" or "table", and `table` are the descriptors in the latter."""

    what: str
    code: ErrorCode
    descriptors: tuple[tuple[str, int, int, int], ...] = ()
    table: tuple[tuple[str, int, int, int], ...] = ()
    head: int = 0
    step: int = 1  # of the available index
    features: int = USUAL_FEATURES


def broken_rings() -> Iterator[Broken]:
    """Every mistake that the endpoint can find in a split ring."""
    last = BROKEN_SIZE - 1
    yield Broken("an available index too far ahead", ErrorCode.AVAIL_INDEX, step=BROKEN_SIZE + 1)
    yield Broken("a head beyond the table", ErrorCode.HEAD_INDEX, head=BROKEN_SIZE)
    yield Broken("a next beyond the table", ErrorCode.NEXT_INDEX, (("data", 40, NEXT, BROKEN_SIZE),))
    yield Broken("a descriptor that follows itself", ErrorCode.CHAIN_LENGTH, (("data", 40, NEXT, 0),))
    yield Broken("a loop", ErrorCode.CHAIN_LENGTH, tuple(("data", 8, NEXT, (i + 1) % 3) for i in range(3)))
    whole = tuple(("data", 8, NEXT, (i + 1) % BROKEN_SIZE) for i in range(BROKEN_SIZE))
    yield Broken("a loop over the whole table", ErrorCode.CHAIN_LENGTH, whole, head=last)
    turned = (("data", 16, NEXT | WRITE, 1), ("data", 40, 0, 0))
    yield Broken("readable behind writable", ErrorCode.DIRECTION, turned)
    huge = tuple(("data", 1 << 31, NEXT if i == 0 else WRITE, 1) for i in range(2))
    yield Broken("2^32 bytes", ErrorCode.CHAIN_BYTES, huge)
    good = (("data", 40, NEXT, 1), ("data", 96, WRITE, 0))
    yield Broken("INDIRECT with NEXT", ErrorCode.INDIRECT_NEXT, (("table", 32, INDIRECT | NEXT, 1),) * 2, good)
    for length in (0, 24, 31):
        what = f"an indirect table of {length} bytes"
        yield Broken(what, ErrorCode.INDIRECT_LENGTH, (("table", length, INDIRECT, 0),), good)
    indirect = (("table", 32, INDIRECT, 0),)
    nested = (("data", 40, NEXT, 1), ("table", 32, INDIRECT, 0))
    yield Broken("a table in a table", ErrorCode.INDIRECT_NESTED, indirect, nested)
    beyond = (("data", 40, NEXT, 2), good[1])
    yield Broken("a next beyond the indirect table", ErrorCode.NEXT_INDEX, indirect, beyond)
    circle = (("data", 40, NEXT, 1), ("data", 40, NEXT, 0))
    yield Broken("a loop in a table", ErrorCode.CHAIN_LENGTH, indirect, circle)
    yield Broken("readable behind writable in a table", ErrorCode.DIRECTION, indirect, turned)
    after = (("data", 16, NEXT | WRITE, 1), ("table", 32, INDIRECT, 0))
    yield Broken("readable in a table behind writable", ErrorCode.DIRECTION, after, good)
    long_table = (*(("data", 8, NEXT, i + 1) for i in range(BROKEN_SIZE)), ("data", 96, WRITE, 0))
    table = (("table", VIRTQ_DESC_SIZE * len(long_table), INDIRECT, 0),)
    yield Broken("more descriptors than the queue's size", ErrorCode.CHAIN_LENGTH, table, long_table)
    without = USUAL_FEATURES & ~Feature.INDIRECT_DESC.mask
    yield Broken("INDIRECT, not negotiated", ErrorCode.INDIRECT_OFF, indirect, good, features=without)


def packed(descriptors: tuple[tuple[str, int, int, int], ...], buffers: dict[str, int]) -> bytes:
    """Descriptors as they stand in memory."""
    return b"".join(
        bytes(VirtqDesc(buffers[name], length, int(flags), following)) for name, length, flags, following in descriptors
    )


@scenario(clauses=["STATUS-D03", "STATUS-D04", "RESET-D01"], needs=["tlp"])
async def broken_rings_need_a_reset(host: HostPort, tb: Bench) -> None:
    """Whatever a driver must not put into a ring: DEVICE_NEEDS_RESET, the reason in the log, and a reset mends it."""
    device = await discover(host, tb)
    rng = tb.rng("faults/broken rings")
    for broken in broken_rings():
        ready = await start(host, tb, device, Settings(features=broken.features, queue_size=BROKEN_SIZE))
        await ready.client.init(flags=int(INIT_FLAGS))
        if host.dpu is not None:
            await host.dpu.error_log()
        queue = as_split(device.request_queue(rng.randint(1, len(device.roles.requests) - 1)))
        data = host.memory.allocate(4096, 16, bool(rng.getrandbits(1)))
        buffers = {"data": data, "table": data + 2048}
        await host.store(
            [
                Store(buffers["table"], packed(broken.table, buffers)),
                Store(queue.desc, packed(broken.descriptors, buffers)),
                Store(queue.avail + VIRTQ_AVAIL_RING_OFFSET, broken.head.to_bytes(2, "little")),
                Store(queue.avail + 2, broken.step.to_bytes(2, "little")),
            ]
        )
        await queue.ring_doorbell()
        await expect_needs_reset(host, ready, broken.what)
        if host.dpu is not None:
            seen = [(ErrorCode(entry.code), entry.queue) for entry in await host.dpu.error_log() if entry.fatal]
            check(f"error log after {broken.what}", seen, [(broken.code, queue.index)], "STATUS-D03")
        await device.reset()
        host.memory.free(data)
    await (await start(host, tb, device)).client.init(flags=int(INIT_FLAGS))


@scenario(clauses=["STATUS-D03", "RESET-D01", "PCI-COMMON-D08", "FS-REQ-DI1"], needs=["faults", "tlp"])
async def completions_that_never_come(host: HostPort, tb: Bench) -> None:
    """Reads time out more often than there are tags: what they cost is one request or a reset, and nothing for good."""
    ready = await mount(host, tb)
    device = ready.device
    nodeid, fh = await create_file(ready, b"patient")
    size = 8192
    message = ready.client.build(Opcode.WRITE, nodeid, bytes(FuseWriteIn(fh, 0, size, 0, 0, 0, 0)) + bytes(size))
    for moment in range(3):

        def hide_payload(placed: PlacedChain, moment: int = moment) -> None:
            tb.fail_reads(Fault(placed.segments[0].address + 2048 + 512 * moment, 16, "timeout"))

        reply = await ready.client.request(message, plan=whole_plan(len(message), 24), before=hide_payload)
        check("WRITE error after its data timed out", reply.error, -errno.EIO, "FS-REQ-DI1")

    def hide_header(placed: PlacedChain) -> None:
        tb.fail_reads(Fault(placed.segments[0].address, 16, "timeout"))

    for _ in range(tb.option("lost_headers", 6)):
        lost = ready.client.build(Opcode.STATFS, FUSE_ROOT_ID)
        try:
            await ready.client.request(lost, plan=whole_plan(len(lost), 96), before=hide_header)
        except DriverTimeout:
            raise
        except DriverError:
            continue
        raise DriverError("request whose header timed out", "a reply", "used length 0", "FS-REQ-DI1")
    check("STATFS error afterwards", (await ready.client.call(Opcode.STATFS, FUSE_ROOT_ID)).error, 0, "FS-REQ-DI1")
    check("WRITE error afterwards", (await ready.client.request(message)).error, 0, "FS-REQ-DI1")
    check("NEEDS_RESET", bool(await device.status() & DeviceStatus.DEVICE_NEEDS_RESET), False, "STATUS-D03")
    for _ in range(tb.option("lost_ring_reads", 7)):
        ready = await start(host, tb, device)
        await ready.client.init(flags=int(INIT_FLAGS))
        queue = as_split(device.request_queue(2))
        tb.fail_reads(Fault(queue.avail + 2, 2, "timeout"))
        await queue.ring_doorbell()
        await expect_needs_reset(host, ready, "a time-out on the available index")
    ready = await start(host, tb, device)
    await ready.client.init(flags=int(INIT_FLAGS))
    for number in range(len(device.roles.requests)):
        queue = device.request_queue(number)
        reply = await ready.client.call(Opcode.STATFS, FUSE_ROOT_ID, queue=queue)
        check(f"STATFS error on {queue.name}", reply.error, 0, "FS-REQ-DI1")
