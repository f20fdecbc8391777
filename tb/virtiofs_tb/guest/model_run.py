"""A guest on the golden device, in this process: what `make linux TARGET=model` and the tests run."""

from __future__ import annotations

import shutil
import time
from collections.abc import Collection
from pathlib import Path

from virtiofs_model.ramfs import Limits
from virtiofs_tb.analysis.card import write_card
from virtiofs_tb.guest.process import GuestImage
from virtiofs_tb.guest.run import GuestRun
from virtiofs_tb.guest.session import Limits as SessionLimits
from virtiofs_tb.guest.variants import Variant
from virtiofs_tb.host.log import ObservationLog
from virtiofs_tb.host.model_host import ModelHost
from virtiofs_tb.profile import load
from virtiofs_tb.report import MODEL, Summary
from virtiofs_tb.runner import DEFAULT_PROFILE
from virtiofs_tb.testbench import Testbench


def run(
    name: str,
    variant: Variant,
    image: GuestImage,
    seed: int,
    run_dir: Path,
    rerun: str,
    limits: SessionLimits | None = None,
    terminal: str | None = None,
    defect: str | None = None,
    without: Collection[str] = (),
) -> Summary:
    """Run one guest to its end; never raises for what happens in it. defect: one that the device shall have.

    without: names of scoreboards that are switched off.
    """
    shutil.rmtree(run_dir, ignore_errors=True)
    run_dir.mkdir(parents=True)
    summary = Summary(name, seed, rerun=rerun, dut=MODEL, profile=DEFAULT_PROFILE.name)
    host = ModelHost(seed, ObservationLog(run_dir), defect=defect, ramfs=Limits())
    guest = GuestRun(variant, image, run_dir, limits, terminal)
    entry = guest.entry(name, terminal is not None)
    testbench = Testbench(host, host.engine, entry, seed, load(DEFAULT_PROFILE), guest.server, without=without)
    started = time.monotonic()
    try:
        host.run(testbench.run())
        testbench.finish()
    except Exception as error:  # as in a simulation: the summary says what it was
        testbench.crashed(error)
        testbench.finish()
    finally:
        guest.close()
        summary.wall_s = time.monotonic() - started
        testbench.fill(summary)
        host.log.close()
        host.memory.close()
        summary.write(run_dir)
    if not summary.passed:
        write_card(run_dir, summary)
    return summary
