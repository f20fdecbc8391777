"""Failing runs of the golden device, left in a directory as a simulation leaves them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from virtiofs_tb import catalogue
from virtiofs_tb.host.log import ObservationLog
from virtiofs_tb.host.model_host import ModelHost
from virtiofs_tb.paths import PROFILES
from virtiofs_tb.profile import load
from virtiofs_tb.report import Summary
from virtiofs_tb.scenario import ScenarioFunction
from virtiofs_tb.testbench import Testbench

PROFILE = "ours-strict.toml"
LIMIT_PS = 20_000_000_000


def failing_run(
    directory: Path,
    test: str,
    defect: str | None = None,
    seed: int = 1,
    instead: ScenarioFunction | None = None,
) -> Summary:
    """Run a scenario (or `instead`, under its name) and write log and summary.json."""
    log = ObservationLog(directory)
    host = ModelHost(seed, log, defect=defect)
    step = catalogue.find(test).steps[0]
    entry = catalogue.Entry(test, "", (replace(step, function=instead) if instead is not None else step,))
    testbench = Testbench(host, host.engine, entry, seed, load(PROFILES / PROFILE))
    try:
        host.run(testbench.run(), LIMIT_PS)
    except Exception as error:
        testbench.crashed(error)
    testbench.finish()
    summary = Summary(test, seed, rerun=f"make sim TEST={test} SEED={seed}", profile=PROFILE)
    testbench.fill(summary)
    log.close()
    summary.write(directory)
    return summary
