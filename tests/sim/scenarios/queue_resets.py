"""Reset of single queues: nothing of them goes on, the others do not notice, and they begin anew."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from ctypes import sizeof
from dataclasses import replace

from virtiofs_model.layouts.fuse import FuseCreateIn, FuseEntryOut, FuseOpenOut, FuseReadIn, FuseWriteIn
from virtiofs_model.layouts.fuse_constants import FUSE_ROOT_ID, InitFlag, Opcode
from virtiofs_model.layouts.virtio import VIRTIO_MSI_NO_VECTOR, Feature
from virtiofs_tb.driver.bringup import INIT_FLAGS, Mount, discover, mount_offered, offer, start
from virtiofs_tb.driver.errors import QueueStopped, check
from virtiofs_tb.driver.features import mask_of, offerable
from virtiofs_tb.driver.locks import F_WRLCK, FileLocks
from virtiofs_tb.driver.notify_pool import NotifyPool, every_notification
from virtiofs_tb.driver.virtio import USUAL_FEATURES, Settings
from virtiofs_tb.driver.virtqueue import Virtqueue
from virtiofs_tb.host.port import HostPort, Interrupt, NotifyResult, Task
from virtiofs_tb.scenario import Bench, scenario
from virtiofs_tb.seeds import log_uniform
from virtiofs_tb.sequences.random_ops import Action, RandomItem, RandomRunner, generate
from virtiofs_tb.sequences.ring_traffic import call_in, tell

RESET = USUAL_FEATURES | Feature.RING_RESET.mask
QUIET_PS = 10_000_000
WORKERS = 6
BULK = 16384


def formats(host: HostPort) -> Iterator[int]:
    """Feature sets with RING_RESET: split rings; then all that the target can offer."""
    yield RESET
    everything = RESET | mask_of(*offerable(host.caps))
    if everything != RESET:
        yield everything


async def new_pool(host: HostPort, tb: Bench, ready: Mount, queue: Virtqueue, buffers: int) -> NotifyPool:
    """Buffers on a notification queue that was enabled again."""
    ready.pool = NotifyPool(host, queue, ready.device.config.notify_buf_size or 0, tb.counts)
    await ready.pool.fill(buffers)
    return ready.pool


@scenario(
    clauses=["VQRST-D03", "VQREEN-D01", "PCI-COMMON-D10", "PCI-COMMON-D11", "PCI-COMMON-D12", "PCI-COMMON-D14"],
    needs=["dpu", "ring_reset"],
)
async def queues_begin_anew(host: HostPort, tb: Bench) -> None:
    """Each queue is reset while nothing goes on, reads as after a device reset, and works with another size."""
    device = await discover(host, tb)
    for features in formats(host):
        ready = await mount_offered(host, tb, device, Settings(features, queue_size=64), buffers=8)
        assert ready.pool is not None
        for index in list(device.queues):
            for size in (8, 32):
                await device.reset_queue(index)
                check(f"queue_size of reset queue {index}", await device.queue_size(index), 1024, "VQRST-D03")
                vector = await device.common.read("queue_msix_vector")
                check(f"vector of reset queue {index}", vector, VIRTIO_MSI_NO_VECTOR, "VQRST-D03")
                queue = await device.enable_queue(index, size)
                if index == 1:
                    await new_pool(host, tb, ready, queue, 4)
                elif index:
                    for _ in range(size + 1):
                        await call_in(ready, queue, 2)
                else:
                    for _ in range(size + 1):
                        await ready.client.call(Opcode.FORGET, 1, bytes(8))
            await tell(host, ready)
    await offer(host, device, USUAL_FEATURES)


class Victim:
    """A queue that is to be reset, and tasks that keep it busy: bulk data both ways in long and short chains."""

    def __init__(self, host: HostPort, tb: Bench, ready: Mount, index: int) -> None:
        self.host = host
        self.tb = tb
        self.ready = ready
        self.index = index
        self.done = 0
        self.last_interrupt_ps = 0
        self.nodeid = self.fh = 0
        host.on_interrupt(self._interrupted)

    def _interrupted(self, interrupt: Interrupt) -> None:
        if interrupt.vector == 1 + self.index:
            self.last_interrupt_ps = interrupt.t_ps

    async def prepare(self, name: bytes) -> None:
        """A file for the bulk data, made on another queue."""
        other = self.ready.device.request_queue(0 if self.index != self.ready.device.roles.requests[0] else 1)
        body = bytes(FuseCreateIn(0o102, 0o100644, 0, 0)) + name + b"\0"
        await self.ready.client.call(Opcode.UNLINK, FUSE_ROOT_ID, name + b"\0", other)
        made = await self.ready.client.call(Opcode.CREATE, FUSE_ROOT_ID, body, other)
        self.nodeid = made.parse(FuseEntryOut).nodeid
        self.fh = FuseOpenOut.from_buffer_copy(made.payload, sizeof(FuseEntryOut)).fh

    def start(self) -> list[Task[None]]:
        """Some tasks that go on until the queue is reset."""
        queue = self.ready.device.queues[self.index]
        work = self._forget if self.index == 0 else self._move
        return [self.host.spawn(self._until_reset(work, queue)) for _ in range(WORKERS)]

    async def _until_reset(self, work: Callable[[Virtqueue], Awaitable[None]], queue: Virtqueue) -> None:
        try:
            while True:
                await work(queue)
                self.done += 1
        except QueueStopped:
            return

    async def _forget(self, queue: Virtqueue) -> None:
        await self.ready.client.call(Opcode.FORGET, FUSE_ROOT_ID, bytes(8), queue)

    async def _move(self, queue: Virtqueue) -> None:
        client = self.ready.client
        write = bytes(FuseWriteIn(self.fh, 0, BULK, 0, 0, 0, 0)) + bytes(BULK)
        check("WRITE error", (await client.call(Opcode.WRITE, self.nodeid, write, queue)).error, 0, "FS-REQ-DI1")
        read = bytes(FuseReadIn(self.fh, 0, BULK, 0, 0, 0, 0))
        check("READ error", (await client.call(Opcode.READ, self.nodeid, read, queue)).error, 0, "FS-REQ-DI1")


def spared(items: list[RandomItem], requests: list[int], victim: int) -> list[RandomItem]:
    """The same items on other queues than the victim."""
    others = [number for number, index in enumerate(requests) if index != victim]
    moved = [replace(item, queue=others[item.queue % len(others)]) for item in items]
    if victim:
        return moved
    hiprio = (Action.LOOKUP_FORGET, Action.BATCH_FORGET, Action.CREATE_UNLINK, Action.DOORBELL)
    return [replace(item, action=Action.STATFS) if item.action in hiprio else item for item in moved]


@scenario(
    clauses=["VQRST-D01", "VQRST-D02", "VQRST-D03", "VQREEN-D01", "PCI-COMMON-D12", "PCI-COMMON-D13", "PCI-COMMON-D14"],
    needs=["dpu", "ring_reset"],
)
async def queue_resets_in_the_middle_of_traffic(host: HostPort, tb: Bench) -> None:
    """A busy queue is reset at random moments: it falls silent and begins anew; operations on the others go on."""
    device = await discover(host, tb)
    done = 0
    for attempt, features in enumerate(list(formats(host)) * tb.option("queue_resets", 2)):
        rng = tb.rng("queue resets/moment", attempt)
        ready = await mount_offered(host, tb, device, Settings(features))
        assert ready.granted is not None
        victim = Victim(host, tb, ready, rng.choice([0, *device.roles.requests]))
        await victim.prepare(b"victim-%d" % attempt)
        runner = RandomRunner(device, ready.client, ready.granted.max_write, b"others-%d" % attempt)
        await runner.prepare(range(WORKERS))
        items = generate(tb.seed, tb.option("reset_items", 60), WORKERS, 1000 * attempt)
        items = spared(items, device.roles.requests, victim.index)
        others = host.spawn(runner.run(items))
        for size in (None, rng.choice([4, 16, 64, 256]), None):
            before, busy = victim.done, victim.start()
            while size is None and victim.done == before:  # however slow the host is
                await host.sleep(1_000_000)
            await host.sleep(int(log_uniform(rng, 1_000_000, 60_000_000)))
            await device.reset_queue(victim.index)
            moment = host.now_ps()
            for task in busy:
                await task.join()
            await host.sleep(QUIET_PS)
            check(f"an interrupt of reset queue {victim.index}", victim.last_interrupt_ps > moment, False, "VQRST-D02")
            await device.enable_queue(victim.index, size)
        await others.join()
        check("items performed on other queues", runner.performed, len(items), "VQRST-D01")
        await runner.finish()
        await call_in(ready, device.request_queue(0), 2)
        done += victim.done
    check("requests answered on queues that were reset", done > 0, True, "VQREEN-D01")
    await offer(host, device, USUAL_FEATURES)


@scenario(clauses=["VQRST-D01", "VQRST-D03", "FS-NQ-DI1", "FS-NQ-DI2"], needs=["dpu", "ring_reset"])
async def messages_outlive_a_reset_of_their_queue(host: HostPort, tb: Bench) -> None:
    """Queue 1 is reset with messages held, and while they are delivered: none is lost, none comes twice."""
    device = await discover(host, tb)
    assert host.dpu is not None
    messages = every_notification(300)[:10]
    for attempt, features in enumerate(list(formats(host)) * 2):
        rng = tb.rng("queue resets/messages", attempt)
        ready = await mount_offered(host, tb, device, Settings(features), buffers=3)
        pool = ready.pool
        assert pool is not None
        pool.reposting = bool(attempt % 2)
        for message in messages:
            check("mailbox", await host.dpu.notify(message) is NotifyResult.REFUSED, False, "FS-NQ-DI2")
        await host.sleep(int(log_uniform(rng, 100_000, 20_000_000)))
        await device.reset_queue(1)
        await host.sleep(QUIET_PS)
        before = [notification.message for notification in pool.received]
        check("messages before the reset", before, messages[: len(before)], "FS-NQ-DI1")
        await call_in(ready, device.request_queue(0), 2)
        pool = await new_pool(host, tb, ready, await device.enable_queue(1, 16), 4)
        await pool.expect(messages[len(before) :])
    await offer(host, device, USUAL_FEATURES)


@scenario(clauses=["VQRST-D01", "VQRST-D03", "FS-REQ-DI1"], needs=["dpu", "ring_reset", "locks"])
async def a_reset_queue_waits_for_no_lock(host: HostPort, tb: Bench) -> None:
    """A SETLKW that waits is forgotten with its queue: when the lock is given back, another owner gets it."""
    device = await discover(host, tb)
    for features in formats(host):
        if features & Feature.IN_ORDER.mask:
            features &= ~Feature.IN_ORDER.mask  # no locks there
        ready = await mount_offered(host, tb, device, Settings(features))
        await ready.client.init(flags=int(INIT_FLAGS | InitFlag.POSIX_LOCKS))
        create = bytes(FuseCreateIn(0o102, 0o100644, 0, 0)) + b"lock\0"
        made = await ready.client.call(Opcode.CREATE, FUSE_ROOT_ID, create)
        fh = FuseOpenOut.from_buffer_copy(made.payload, sizeof(FuseEntryOut)).fh
        locks = FileLocks(host, ready.client, made.parse(FuseEntryOut).nodeid, fh)
        check("errno of the first lock", await locks.set(1, F_WRLCK, queue=device.request_queue(0)), 0, "FS-REQ-DI1")
        waiter = locks.wait(2, queue=device.request_queue(1))
        await host.sleep(QUIET_PS)
        await device.reset_queue(device.roles.requests[1])
        try:
            check("answer to who waited", await waiter.task.join(), "none", "VQRST-D01")
        except QueueStopped:
            tb.counts["waits that ended with their queue"] += 1
        await device.enable_queue(device.roles.requests[1], 32)
        check("errno of the unlock", await locks.unlock(1), 0, "FS-REQ-DI1")
        other = await locks.set(3, F_WRLCK, queue=device.request_queue(1))
        check("errno of the lock of another owner", other, 0, "VQRST-D01")
        await ready.client.call(Opcode.UNLINK, FUSE_ROOT_ID, b"lock\0")
    await offer(host, device, USUAL_FEATURES)


@scenario(clauses=["RESET-D01", "RESET-D03", "PCI-COMMON-D10", "PCI-COMMON-D08"], needs=["dpu", "ring_reset"])
async def device_reset_during_a_queue_reset(host: HostPort, tb: Bench) -> None:
    """The device is reset while one of its busy queues is: afterwards both are reset, and everything works."""
    device = await discover(host, tb)
    for attempt, features in enumerate(list(formats(host)) * 2):
        rng = tb.rng("queue resets/device", attempt)
        ready = await mount_offered(host, tb, device, Settings(features))
        victim = Victim(host, tb, ready, rng.choice(device.roles.requests))
        await victim.prepare(b"both-%d" % attempt)
        busy = victim.start()
        await host.sleep(int(log_uniform(rng, 1_000_000, 30_000_000)))
        await device.common.write("queue_select", victim.index)
        await device.common.write("queue_reset", 1)
        await device.reset()
        for task in busy:
            await task.join()
        await device.common.write("queue_select", victim.index)
        check("queue_reset after a device reset", await device.common.read("queue_reset"), 0, "PCI-COMMON-D10")
        again = await start(host, tb, device, Settings(features))
        await again.client.init(flags=int(INIT_FLAGS))
        for number in range(len(device.roles.requests)):
            await call_in(again, device.request_queue(number), 3)
    await offer(host, device, USUAL_FEATURES)
