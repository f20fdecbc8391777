"""Step 5: constrained-random operations with many requests in flight."""

from __future__ import annotations

import time

from virtiofs_tb.driver.errors import check
from virtiofs_tb.host.port import HostPort
from virtiofs_tb.scenario import Bench, scenario
from virtiofs_tb.sequences.random_ops import RandomRunner, endless, generate
from virtiofs_tb.sequences.recorded import Conditions, perform

ITEMS = 400
WORKERS = 12


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
    count = tb.option("random_operations", ITEMS)
    workers = tb.option("workers", WORKERS)
    window_s, end_ps = tb.option("window_s", 0), tb.option("window_ps", 0)

    async def work(runner: RandomRunner) -> None:
        if window_s:  # of wall clock: how far it gets is what is measured
            end = time.monotonic() + window_s
            streams = {worker: endless(tb.seed, worker, workers) for worker in range(workers)}
            await runner.run_workers(streams, lambda: time.monotonic() >= end)
        else:
            begin = host.now_ps()
            await runner.run(generate(tb.seed, count, workers), lambda: bool(end_ps) and host.now_ps() - begin > end_ps)

    conditions = Conditions(workers, mps=tb.option("mps", 256), mrrs=tb.option("mrrs", 512))
    runner = await perform(host, tb, conditions, work)
    check("items performed", runner.performed > 0, True)
    tb.counts["random items"] += runner.performed
    tb.counts["random bytes"] += runner.bytes_moved
