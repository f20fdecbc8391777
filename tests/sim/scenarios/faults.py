"""Completions that fail: on rings the device needs a reset, on a payload the request gets EIO."""

from __future__ import annotations

import errno

from virtiofs_model.layouts.fuse import FUSE_ROOT_ID, FuseCreateIn, FuseEntryOut, FuseOpenOut, FuseWriteIn, Opcode
from virtiofs_model.layouts.virtio import DeviceStatus
from virtiofs_tb.driver.bringup import INIT_FLAGS, Mount, discover, mount, start
from virtiofs_tb.driver.errors import DriverError, DriverTimeout, check
from virtiofs_tb.driver.layout import PlacedChain, whole_plan
from virtiofs_tb.driver.virtqueue import SplitQueue
from virtiofs_tb.host.port import Fault, HostPort
from virtiofs_tb.scenario import Bench, scenario

CONFIG_INTERRUPT_PS = 2_000_000_000
SHORT_PS = 100_000_000


async def create_file(ready: Mount, name: bytes) -> tuple[int, int]:
    """Create a file in the root; returns its nodeid and fh."""
    body = bytes(FuseCreateIn(0o102, 0o100644, 0, 0)) + name + b"\0"
    reply = await ready.client.call(Opcode.CREATE, FUSE_ROOT_ID, body)
    check("CREATE error", reply.error, 0, "FS-REQ-DI1")
    entry = FuseEntryOut.from_buffer_copy(reply.payload)
    opened = FuseOpenOut.from_buffer_copy(reply.payload, 128)
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
            queue = device.request_queue(0)
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
