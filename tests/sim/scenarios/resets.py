"""Step 6: reset in the middle of traffic, and the queue numberings."""

from __future__ import annotations

from virtiofs_model.layouts.fuse_constants import Opcode
from virtiofs_model.layouts.virtio import DeviceStatus, Feature
from virtiofs_tb.driver.bringup import INIT_FLAGS, Mount, discover, mount, start
from virtiofs_tb.driver.errors import QueueStopped, check
from virtiofs_tb.driver.fuse_client import FuseClient
from virtiofs_tb.driver.notify_pool import every_notification
from virtiofs_tb.driver.split_queue import as_split
from virtiofs_tb.driver.virtio import USUAL_FEATURES, Settings
from virtiofs_tb.host.port import HostPort, NotifyResult, Straps
from virtiofs_tb.scenario import Bench, scenario
from virtiofs_tb.seeds import log_uniform
from virtiofs_tb.sequences.random_ops import RandomItem, RandomRunner, generate

WITHOUT = USUAL_FEATURES & ~Feature.FS_NOTIFICATION.mask
QUIET_PS = 20_000_000


async def use(host: HostPort, tb: Bench, ready: Mount) -> None:
    """Start a session and see that every queue works."""
    await ready.client.init(flags=int(INIT_FLAGS))
    for number in range(len(ready.device.roles.requests)):
        queue = ready.device.request_queue(number)
        reply = await ready.client.call(Opcode.STATFS, 1, queue=queue)
        check(f"STATFS error on {queue.name}", reply.error, 0, "FS-VQ-DI1")
    await ready.client.call(Opcode.FORGET, 1, bytes(8))
    if host.dpu is not None:
        message = every_notification(600)[3]
        result = await host.dpu.notify(message)
        if ready.pool is None:
            check("mailbox without the feature", result, NotifyResult.REFUSED, "FS-VQ-DI1")
        else:
            await ready.pool.expect([message])


async def requests_until_reset(client: FuseClient) -> int:
    """Send requests one after another until the device is reset; returns how many were answered."""
    answered = 0
    try:
        while True:
            await client.call(Opcode.STATFS, 1)
            answered += 1
    except QueueStopped:
        return answered


@scenario(clauses=["RESET-D01", "RESET-D02", "RESET-D03", "PCI-COMMON-D07", "PCI-COMMON-D08", "CLEAN-R02"])
async def reset_in_the_middle_of_traffic(host: HostPort, tb: Bench) -> None:
    """After device_status reads 0 nothing is touched any more, and the device initialises again."""
    device = await discover(host, tb)
    answered = 0
    for attempt in range(tb.option("resets", 3)):
        rng = tb.rng("resets/moment", attempt)
        ready = await start(host, tb, device)
        await ready.client.init(flags=int(INIT_FLAGS))
        before = tb.counts["request STATFS"]
        workers = [host.spawn(requests_until_reset(ready.client)) for _ in range(8)]
        while attempt == 0 and tb.counts["request STATFS"] == before:  # however slow the host is
            await host.sleep(1_000_000)
        await host.sleep(rng.randint(1_000_000, 30_000_000))
        if host.dpu is not None:
            for message in every_notification(300):
                await host.dpu.notify(message)
        queue = as_split(device.request_queue(0))
        await device.reset()
        used = host.memory.read(queue.used, 4)
        moment = host.now_ps()
        for worker in workers:
            answered += await worker.join()
        await host.sleep(QUIET_PS)
        check("used ring after reset", host.memory.read(queue.used, 4), used, "RESET-D03")
        check("an interrupt after reset", device.last_interrupt_ps > moment, False, "RESET-D02")
        check("device_status", await device.status(), DeviceStatus(0), "PCI-COMMON-D08")
    check("requests answered between resets", answered > 0, True, "RESET-D01")
    await use(host, tb, await start(host, tb, device))


async def items_until_reset(runner: RandomRunner, items: list[RandomItem]) -> None:
    """Perform one worker's items until the device is reset."""
    try:
        await runner.run(items)
    except QueueStopped:
        return


@scenario(clauses=["RESET-D01", "RESET-D02", "RESET-D03", "PCI-COMMON-D07", "PCI-COMMON-D08", "CLEAN-R02"])
async def resets_in_the_middle_of_random_operations(host: HostPort, tb: Bench) -> None:
    """The same with bulk data both ways, long chains and notifications under way."""
    device = await discover(host, tb)
    performed = 0
    for attempt in range(tb.option("resets", 8)):
        rng = tb.rng("resets/random moment", attempt)
        ready = await start(host, tb, device)
        granted = await ready.client.init(flags=int(INIT_FLAGS))
        runner = RandomRunner(device, ready.client, granted.max_write, b"cut-%d-%d" % (host.now_ps(), attempt))
        count = tb.option("workers", 12)
        items = generate(tb.seed, 20 * count, count, 1000 * attempt)
        workers = [
            host.spawn(items_until_reset(runner, [item for item in items if item.worker == number]))
            for number in range(count)
        ]
        while runner.performed < attempt % 4:  # however slow the host is
            await host.sleep(1_000_000)
        await host.sleep(int(log_uniform(rng, 2_000_000, 100_000_000)))
        if host.dpu is not None:
            for message in every_notification(300):
                await host.dpu.notify(message)
        await device.reset()
        moment = host.now_ps()
        for worker in workers:
            await worker.join()
        await host.sleep(QUIET_PS // 4)
        check("an interrupt after reset", device.last_interrupt_ps > moment, False, "RESET-D02")
        performed += runner.performed
    check("items performed between resets", performed > 0, True, "RESET-D01")
    await use(host, tb, await start(host, tb, device))


@scenario(clauses=["FS-VQ-DI1", "FEAT-D02", "FEAT-D05", "FEAT-R06"])
async def without_the_notification_feature(host: HostPort, tb: Bench) -> None:
    """Deployed numbering: without the feature requests start at index 1, with it at 2, and back again."""
    device = await discover(host, tb)
    for features in (USUAL_FEATURES, WITHOUT, USUAL_FEATURES, WITHOUT & ~Feature.INDIRECT_DESC.mask):
        ready = await start(host, tb, device, Settings(features=features))
        first = 2 if device.negotiated(Feature.FS_NOTIFICATION) else 1
        check("first request queue", device.roles.requests[0], first, "FS-VQ-DI1")
        surplus = device.roles.requests[-1] + 1
        check(f"queue_size of surplus queue {surplus}", await device.queue_size(surplus), 0, "PCI-COMMON-D15")
        await use(host, tb, ready)


@scenario(clauses=["FS-VQ-DI1", "PCI-COMMON-D15", "CFG-D02"], needs=["dpu"])
async def both_numberings(host: HostPort, tb: Bench) -> None:
    """Literal numbering: without the feature index 1 is absent and requests start at 2; then deployed again."""
    device = await discover(host, tb)
    assert host.dpu is not None
    for literal in (True, False):
        for features in (WITHOUT, USUAL_FEATURES):
            await device.reset()
            await host.dpu.personality(literal)
            ready = await start(host, tb, device, Settings(features=features, literal=literal))
            if literal and device.roles.notification is None:
                check("queue_size of queue 1", await device.queue_size(1), 0, "PCI-COMMON-D15")
            await use(host, tb, ready)


@scenario(clauses=["FS-VQ-DI1", "FS-CFG-DI2", "FS-CFG-D01", "FEAT-R06"], needs=["dpu"])
async def straps_are_what_the_driver_sees(host: HostPort, tb: Bench) -> None:
    """Tag, number of request queues, queue size, notify_buf_size and features are what the DPU set."""
    device = await discover(host, tb)
    assert host.dpu is not None
    await device.reset()
    offer = Feature.VERSION_1.mask | Feature.FS_NOTIFICATION.mask
    tag = b"t" * 36
    straps = Straps(num_request_queues=2, features=offer, max_queue_size=64, notify_buf_size=1000, tag=tag)
    await host.dpu.strap(straps)
    ready = await mount(host, tb)  # the capabilities are walked again
    check("tag", ready.device.config.tag, tag, "FS-CFG-DI1")
    check("num_request_queues", ready.device.config.num_request_queues, 2, "FS-CFG-D01")
    check("notify_buf_size", ready.device.config.notify_buf_size, 1000, "FS-CFG-DI2")
    check("offered features", ready.device.offered, offer, "PCI-COMMON-D03")
    check("queue size", ready.device.request_queue(0).size, 64, "PCI-COMMON-D16")
    await ready.device.reset()
    await host.dpu.strap(Straps(4, USUAL_FEATURES, False, 1024, 4136, 0, b"virtiofs"))


@scenario(clauses=["RESET-D01", "STATUS-R03", "INIT-R06", "PCI-COMMON-D07"])
async def failed_then_reset(host: HostPort, tb: Bench) -> None:
    """A driver that gave up with FAILED resets and starts again."""
    ready = await mount(host, tb)
    status = await ready.device.status()
    await ready.device.common.write("device_status", status | DeviceStatus.FAILED)
    check("FAILED reads back", bool(await ready.device.status() & DeviceStatus.FAILED), True, "INIT-R06")
    await use(host, tb, await start(host, tb, ready.device))
