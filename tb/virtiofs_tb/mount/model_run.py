"""A mount of the golden device, in this process: what `make mount TARGET=model` and the tests run."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from virtiofs_model.ramfs import Limits
from virtiofs_tb.analysis.card import write_card
from virtiofs_tb.host.log import ObservationLog
from virtiofs_tb.host.model_host import ModelHost
from virtiofs_tb.mount.run import TEST, MountRun
from virtiofs_tb.profile import load
from virtiofs_tb.report import Summary
from virtiofs_tb.runner import DEFAULT_PROFILE
from virtiofs_tb.testbench import Testbench


def run(mount: MountRun, seed: int, run_dir: Path, rerun: str, defect: str | None = None) -> Summary:
    """Mount, serve until it is unmounted; never raises for what happens meanwhile. defect: one of the device."""
    shutil.rmtree(run_dir, ignore_errors=True)
    run_dir.mkdir(parents=True)
    summary = Summary(TEST, seed, rerun=rerun, dut="golden device", profile=DEFAULT_PROFILE.name)
    host = ModelHost(seed, ObservationLog(run_dir), defect=defect, ramfs=Limits())
    testbench = Testbench(host, host.engine, mount.entry(), seed, load(DEFAULT_PROFILE))
    mount.bound_log(testbench)
    started = time.monotonic()
    try:
        host.run(testbench.run())
        testbench.finish()
    except Exception as error:  # as in a simulation: the summary says what it was
        testbench.crashed(error)
        testbench.finish()
    finally:
        mount.close()
        summary.wall_s = time.monotonic() - started
        testbench.fill(summary)
        host.log.close()
        summary.write(run_dir)
    if not summary.passed:
        write_card(run_dir, summary)
    return summary
