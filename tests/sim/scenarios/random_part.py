"""Step 5: constrained-random operations with many requests in flight."""

from __future__ import annotations

import time

from virtiofs_tb.driver.bringup import mount
from virtiofs_tb.driver.errors import check
from virtiofs_tb.driver.notify_pool import every_notification
from virtiofs_tb.host.port import HostPort
from virtiofs_tb.scenario import Bench, scenario
from virtiofs_tb.sequences.random_ops import RandomRunner, endless, generate

ITEMS = 400
WORKERS = 12
NOTIFICATION_GAP_PS = 40_000_000


@scenario(
    clauses=[
        "FS-REQ-DI1",
        "FS-HP-D01",
        "FS-HP-R03",
        "SPLIT-FRAME-D01",
        "SPLIT-IND-D01",
        "SPLIT-IND-D02",
        "SPLIT-USED-D01",
        "SPLIT-USED-D02",
        "SPLIT-ANS-D05",
        "SPLIT-DESC-D01",
    ]
)
async def random_operations(host: HostPort, tb: Bench) -> None:
    """Random operations in random buffers on all queues; what is read is what was written; notifications between."""
    ready = await mount(host, tb)
    assert ready.granted is not None
    runner = RandomRunner(ready.device, ready.client, ready.granted.max_write)
    count = tb.option("random_operations", ITEMS)
    end_ps = tb.option("window_ps", 0)
    begin = host.now_ps()
    running = True

    async def notify() -> None:
        if host.dpu is None or ready.pool is None:
            return
        messages = every_notification(ready.pool.notify_buf_size)
        sent = 0
        while running:
            message = messages[sent % len(messages)]
            sent += 1
            await host.dpu.notify(message)
            await ready.pool.expect([message])
            await host.sleep(NOTIFICATION_GAP_PS)

    notifier = host.spawn(notify())
    workers = tb.option("workers", WORKERS)
    if window_s := tb.option("window_s", 0):  # of wall clock: how far it gets is what is measured
        end = time.monotonic() + window_s
        streams = {worker: endless(tb.seed, worker, workers) for worker in range(workers)}
        await runner.run_workers(streams, lambda: time.monotonic() >= end)
    else:
        await runner.run(generate(tb.seed, count, workers), lambda: bool(end_ps) and host.now_ps() - begin > end_ps)
    await runner.finish()
    running = False
    await notifier.join()
    check("items performed", runner.performed > 0, True)
    tb.counts["random items"] += runner.performed
    tb.counts["random bytes"] += runner.bytes_moved
