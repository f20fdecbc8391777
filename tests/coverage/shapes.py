"""Chains and rings that random traffic seldom or never makes: stimulus of `make coverage`."""

from __future__ import annotations

from virtiofs_model.layouts.virtio import Feature
from virtiofs_tb.driver.bringup import discover, mount_offered, offer
from virtiofs_tb.driver.notify_pool import every_notification
from virtiofs_tb.driver.virtio import USUAL_FEATURES, Settings, Vectors, VirtioFsDevice
from virtiofs_tb.driver.virtqueue import ChainShape, Placement
from virtiofs_tb.host.port import HostPort
from virtiofs_tb.scenario import Bench, scenario
from virtiofs_tb.sequences.ring_traffic import operate

PACKED = USUAL_FEATURES | Feature.RING_PACKED.mask
COUNTS = (1, 2, 4, 6, 12)
VECTORS = (Vectors.EACH, Vectors.SHARED, Vectors.NONE)
SMALL_ITEMS = 12


@scenario(clauses=["FS-NQ-DI1"], needs=["dpu", "packed"])
async def buffers_in_every_shape(host: HostPort, tb: Bench) -> None:
    """Buffers of the notification queue of 1 to 12 descriptors, direct and indirect, in both formats."""
    device = await discover(host, tb)
    for features in (USUAL_FEATURES, PACKED):
        ready = await mount_offered(host, tb, device, Settings(features), buffers=0)
        pool = ready.pool
        assert host.dpu is not None and pool is not None
        size = pool.notify_buf_size
        for shape in (ChainShape(), ChainShape(Placement.INDIRECT)):
            for count in COUNTS:
                each = size // count
                await pool.fill(1, (*[each] * (count - 1), size - each * (count - 1)), shape)
        for message in every_notification(size):
            await host.dpu.notify(message)
            await pool.expect([message])
    await offer(host, device, USUAL_FEATURES)


async def one_place(host: HostPort, tb: Bench, device: VirtioFsDevice, features: int) -> None:
    """Hiprio and notification queues of one place take direct and indirect chains of one descriptor."""
    small = {0: 1, 1: 1}
    ready = await mount_offered(host, tb, device, Settings(features, queue_sizes=small), buffers=0)
    pool = ready.pool
    assert host.dpu is not None and pool is not None
    size = pool.notify_buf_size
    pool.reposting = False
    for at, message in enumerate(every_notification(size)[:2]):
        await pool.fill(1, None, ChainShape(Placement.INDIRECT if at else Placement.DIRECT))
        await host.dpu.notify(message)
        await pool.expect([message])


@scenario(clauses=["PACK-VQ-D01", "FS-REQ-DI1"], needs=["dpu", "packed"])
async def rings_of_every_class(host: HostPort, tb: Bench) -> None:
    """Rings from one place to the largest size, in both formats, with MSI-X vectors of every kind."""
    device = await discover(host, tb)
    rounds = ((USUAL_FEATURES, (4, 64, 512, 1024)), (PACKED, (4, 7, 64, 63, 256, 300, 1024, 1000)))
    number = 0
    for features, sizes in rounds:
        for size in sizes:
            vectors = VECTORS[number % len(VECTORS)]
            settings = Settings(features, queue_size=size, vectors=vectors)
            ready = await mount_offered(host, tb, device, settings, buffers=min(size, 4))
            await operate(host, tb, ready, SMALL_ITEMS, 1000 * number)
            number += 1
        await one_place(host, tb, device, features)
    await offer(host, device, USUAL_FEATURES)
