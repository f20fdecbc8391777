"""Step 4: the notification queue, fed from the DPU's mailbox."""

from __future__ import annotations

from virtiofs_model.layouts.fuse import FuseNotifyStoreOut
from virtiofs_model.layouts.fuse_constants import NotifyCode, Opcode
from virtiofs_model.layouts.fuse_operations import OUT_HEADER_SIZE
from virtiofs_tb.driver.bringup import Mount, discover, mount, start
from virtiofs_tb.driver.errors import DriverError, check
from virtiofs_tb.driver.notify_pool import NotifyPool, every_notification, notification
from virtiofs_tb.driver.virtqueue import ChainShape, Placement, Segment
from virtiofs_tb.host.port import DpuPort, HostPort, NotifyResult
from virtiofs_tb.scenario import Bench, scenario

QUIET_PS = 20_000_000
ORDERED = ["FS-NQ-DI1", "FS-NQ-DI2", "FS-CFG-D02"]


def parts(host: HostPort, ready: Mount) -> tuple[DpuPort, NotifyPool]:
    """The DPU's port and the pool, which the scenarios here need."""
    if host.dpu is None or ready.pool is None:
        raise DriverError("notification queue", "absent", "offered and negotiated", "FS-VQ-DI1")
    return host.dpu, ready.pool


def store_message(size: int, mark: int) -> bytes:
    """A STORE whose whole message is `size` bytes."""
    data = size - OUT_HEADER_SIZE - 24
    body = bytes((mark + at) & 0xFF for at in range(data))
    return notification(NotifyCode.STORE, bytes(FuseNotifyStoreOut(2, 4096 * mark, data, 0)) + body)


async def taken(dpu: DpuPort, message: bytes) -> NotifyResult:
    """Hand a message to the mailbox, which must not refuse it."""
    result = await dpu.notify(message)
    check("mailbox refuses a good message", result is NotifyResult.REFUSED, False, "FS-NQ-DI2")
    return result


@scenario(clauses=[*ORDERED, "FS-INIT-RI1"], needs=["dpu"])
async def every_notification_arrives(host: HostPort, tb: Bench) -> None:
    """Each type of message, smallest to the largest that notify_buf_size allows, arrives byte for byte."""
    ready = await mount(host, tb)
    dpu, pool = parts(host, ready)
    messages = every_notification(pool.notify_buf_size)
    check("longest message", len(messages[-1]), pool.notify_buf_size, "FS-CFG-D02")
    for message in messages:
        await taken(dpu, message)
        await pool.expect([message])


@scenario(clauses=ORDERED, needs=["dpu"])
async def notifications_wait_for_init(host: HostPort, tb: Bench) -> None:
    """A message that comes before the reply of FUSE_INIT is held, and arrives after it."""
    ready = await start(host, tb, await discover(host, tb))
    dpu, pool = parts(host, ready)
    message = store_message(100, 1)
    check("mailbox before FUSE_INIT", await dpu.notify(message), NotifyResult.HELD, "FS-NQ-DI2")
    await host.sleep(QUIET_PS)
    check("messages before FUSE_INIT", len(pool.received), 0, "FS-INIT-RI2")
    await ready.client.init()
    await taken(dpu, message)
    await pool.wait_for(1)


@scenario(clauses=ORDERED, needs=["dpu"])
async def held_messages_arrive_in_order(host: HostPort, tb: Bench) -> None:
    """While no buffer is posted messages are held; once there are buffers they arrive in order."""
    ready = await mount(host, tb, buffers=0)
    dpu, pool = parts(host, ready)
    messages = every_notification(pool.notify_buf_size)[:-6]
    for message in messages:
        check("mailbox with no buffer posted", await dpu.notify(message), NotifyResult.HELD, "FS-NQ-DI2")
    await host.sleep(QUIET_PS)
    check("messages without a buffer", len(pool.received), 0, "FS-NQ-DI2")
    check("requests go on meanwhile", (await ready.client.call(Opcode.STATFS, 1)).error, 0, "FS-HP-D01")
    await pool.fill(3)
    await pool.expect(messages)


@scenario(clauses=ORDERED, needs=["dpu"])
async def a_full_store_refuses(host: HostPort, tb: Bench) -> None:
    """A burst is held until the store is full, then refused; what was held arrives, nothing else, and room is back."""
    ready = await mount(host, tb, buffers=0)
    dpu, pool = parts(host, ready)
    rng = tb.rng("notifications/burst")
    held = []
    for mark in range(4096):
        message = store_message(rng.randint(40, pool.notify_buf_size), mark)
        result = await dpu.notify(message)
        if result is NotifyResult.REFUSED:
            break
        check("mailbox with no buffer posted", result, NotifyResult.HELD, "FS-NQ-DI2")
        held.append(message)
    else:
        raise DriverError("mailbox", "4096 messages held", "a bounded store that refuses", "FS-NQ-DI2")
    check("the store holds at least two of the largest messages", sum(map(len, held)) >= 8000, True, "FS-NQ-DI2")
    await pool.fill(8)
    await pool.expect(held)
    again = store_message(pool.notify_buf_size, 7)
    await taken(dpu, again)
    await pool.expect([again])


@scenario(clauses=[*ORDERED, "SPLIT-FRAME-D01", "SPLIT-IND-D02"], needs=["dpu"])
async def buffers_of_several_descriptors(host: HostPort, tb: Bench) -> None:
    """A buffer may be made of several descriptors, direct, indirect or both, and larger than needed."""
    ready = await mount(host, tb, buffers=0)
    dpu, pool = parts(host, ready)
    size = pool.notify_buf_size
    for shape in (ChainShape(), ChainShape(Placement.INDIRECT), ChainShape(Placement.MIXED, 2, True)):
        await pool.fill(2, (16, 1, 7, size - 24), shape)
        await pool.fill(2, (3, 13, size), shape)
        await pool.fill(1, (size // 2, size - size // 2), shape)
    for message in every_notification(size):
        await taken(dpu, message)
        await pool.expect([message])


@scenario(clauses=[*ORDERED, "FS-NQ-R01"], needs=["dpu"])
async def a_buffer_that_is_too_small(host: HostPort, tb: Bench) -> None:
    """A buffer below notify_buf_size, or with a readable part, comes back unused and logged; the message stays."""
    ready = await mount(host, tb, buffers=0)
    dpu, pool = parts(host, ready)
    size = pool.notify_buf_size
    await dpu.error_log()
    message = store_message(size, 3)
    check("mailbox with no buffer posted", await dpu.notify(message), NotifyResult.HELD, "FS-NQ-DI2")
    await pool.fill(1, (size - 1,))
    await pool.wait_returned(1)
    base = host.memory.allocate(2 * size + 64)
    await pool.post_segments([Segment(base, 16), Segment(base + 64, size, True)])
    await pool.wait_returned(2)
    check("messages in unusable buffers", len(pool.received), 0, "FS-NQ-R01")
    entries = [entry for entry in await dpu.error_log() if entry.queue == ready.device.roles.notification]
    check("error log entries for queue 1", len(entries), 2, "FS-NQ-R01")
    await pool.fill(1)
    await pool.expect([message])


@scenario(clauses=["FS-NQ-DI2", "FS-CFG-D02"], needs=["dpu"])
async def malformed_messages_are_refused(host: HostPort, tb: Bench) -> None:
    """The mailbox refuses a length that is wrong, shorter than a header, or beyond notify_buf_size."""
    ready = await mount(host, tb)
    dpu, pool = parts(host, ready)
    good = store_message(64, 1)
    for bad in (good[:-1], good + b"\0", good[:8], store_message(pool.notify_buf_size + 1, 2)):
        check(f"mailbox for {len(bad)} bytes", await dpu.notify(bad), NotifyResult.REFUSED, "FS-NQ-DI2")
    await taken(dpu, good)
    await pool.expect([good])


@scenario(clauses=["FS-NQ-DI1", "FS-NQ-R02", "FS-HP-D01"], needs=["dpu"])
async def notifications_among_requests(host: HostPort, tb: Bench) -> None:
    """Messages and requests run side by side; a kick of queue 1 alone brings nothing."""
    ready = await mount(host, tb)
    dpu, pool = parts(host, ready)
    rng = tb.rng("notifications/mixed")
    await pool.queue.ring_doorbell()

    async def requests() -> None:
        for _ in range(12):
            await ready.client.call(Opcode.STATFS, 1)

    workers = [host.spawn(requests()) for _ in range(3)]
    sent = []
    for mark in range(20):
        message = store_message(rng.randint(40, 600), mark)
        while await dpu.notify(message) is NotifyResult.REFUSED:
            await host.sleep(QUIET_PS // 10)
        sent.append(message)
    await pool.expect(sent)
    for worker in workers:
        await worker.join()


@scenario(clauses=[*ORDERED, "FS-INIT-RI2", "RESET-D01"], needs=["dpu"])
async def old_messages_are_forgotten(host: HostPort, tb: Bench) -> None:
    """A new FUSE_INIT and a reset empty the store and count what was in it; later messages arrive alone."""
    ready = await mount(host, tb, buffers=0)
    rng = tb.rng("notifications/forgotten")
    for by_reset in (False, True, False):
        dpu, pool = parts(host, ready)
        before = (await dpu.counters())["notify_emptied"]
        count = rng.randint(1, 5)
        for mark in range(count):
            await taken(dpu, store_message(rng.randint(40, 1000), mark))
        if by_reset:
            ready = await start(host, tb, ready.device, buffers=0)
            dpu, pool = parts(host, ready)
        await ready.client.init()
        later = store_message(rng.randint(40, 1000), 77)
        check("mailbox with no buffer posted", await dpu.notify(later), NotifyResult.HELD, "FS-NQ-DI2")
        pool.reposting = True
        await pool.fill(1)
        await pool.expect([later])
        check("messages forgotten", (await dpu.counters())["notify_emptied"] - before, count, "FS-NQ-DI2")
        pool.reposting = False
        last = store_message(40, 78)  # takes the only buffer
        await taken(dpu, last)
        await pool.expect([last])
