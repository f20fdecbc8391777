"""Traffic for scenarios about rings: file operations that check contents, notifications, chains of a given length."""

from __future__ import annotations

from virtiofs_model.layouts.fuse_constants import Opcode
from virtiofs_tb.driver.bringup import Mount
from virtiofs_tb.driver.errors import check
from virtiofs_tb.driver.layout import ChainPlan
from virtiofs_tb.driver.notify_pool import every_notification
from virtiofs_tb.driver.virtqueue import ChainShape, Placement, Virtqueue
from virtiofs_tb.host.port import HostPort, NotifyResult
from virtiofs_tb.scenario import Bench
from virtiofs_tb.sequences.random_ops import RandomRunner, generate

WORKERS = 8


async def operate(host: HostPort, tb: Bench, ready: Mount, items: int, first: int = 0) -> None:
    """Random operations from index `first` on, with notifications between them, and the files removed at the end."""
    assert ready.granted is not None
    runner = RandomRunner(ready.device, ready.client, ready.granted.max_write, b"ring-%d" % first)
    telling = host.spawn(tell(host, ready))
    await runner.run(generate(tb.seed, items, WORKERS, first))
    await runner.finish()
    await telling.join()
    check("items performed", runner.performed, items)
    tb.counts["random items"] += runner.performed


async def tell(host: HostPort, ready: Mount) -> None:
    """Every notification, where there is a queue and somebody who sends them; they come as they were sent."""
    if ready.pool is None or host.dpu is None:
        return
    messages = every_notification(min(600, ready.device.config.notify_buf_size or 0))
    for message in messages:
        result = await host.dpu.notify(message)
        check("mailbox", result is NotifyResult.REFUSED, False, "FS-NQ-DI2")
    await ready.pool.expect(messages)


def cut_plan(readable: int, writable: int, descriptors: int, indirect: bool = False) -> ChainPlan:
    """A chain of exactly so many descriptors (one at least for each side that has bytes): the first are the longest."""
    sides = (1 if readable else 0) + (1 if writable else 0)
    for_reading = max(1, descriptors - (1 if writable else 0)) if readable else 0
    for_writing = descriptors - for_reading if writable else 0
    if descriptors < sides or for_reading > readable or for_writing > writable:
        raise ValueError(f"{readable} + {writable} bytes do not make {descriptors} descriptors")
    reads = (readable - (for_reading - 1), *(1,) * (for_reading - 1)) if readable else ()
    writes = (writable - (for_writing - 1), *(1,) * (for_writing - 1)) if writable else ()
    shape = ChainShape(Placement.INDIRECT if indirect else Placement.DIRECT)
    return ChainPlan(reads, writes, (0,) * descriptors, tuple(range(descriptors)), shape)


async def call_in(ready: Mount, queue: Virtqueue, descriptors: int, indirect: bool = False) -> None:
    """STATFS of the root in so many descriptors; the reply must be good."""
    message = ready.client.build(Opcode.STATFS, 1)
    plan = cut_plan(len(message), 96, descriptors, indirect)
    reply = await ready.client.request(message, 96, queue, plan)
    check(f"STATFS error in {descriptors} descriptors on {queue.name}", reply.error, 0, "FS-REQ-DI1")
