"""Logs of scenarios on the golden device, written as a run writes them."""

from __future__ import annotations

import shutil
from pathlib import Path

from virtiofs_model.ramfs import RamfsServer
from virtiofs_tb.agents.firmware import FirmwareAgent
from virtiofs_tb.host.log import ObservationLog
from virtiofs_tb.host.model_host import ModelHost
from virtiofs_tb.report import ResultClass, Summary
from virtiofs_tb.scenario import Bench, load_scenarios
from virtiofs_tb.seeds import stream

ROOT = Path(__file__).parents[2]
SCENARIOS = load_scenarios(ROOT / "tests" / "sim" / "scenarios")
LIMIT_PS = 20_000_000_000


def record_run(directory: Path, *names: str, seed: int = 1, defect: str | None = None) -> Path:
    """Run scenarios one after the other with their log in `directory`; what a defect makes of the driver is ignored."""
    log = ObservationLog(directory)
    host = ModelHost(seed, log, defect=defect)
    firmware = FirmwareAgent(host.engine, RamfsServer(), host.loop, stream(seed, "firmware"))
    tb = Bench(seed, ROOT / "tests" / "data" / "sessions", firmware=firmware, faults=host.faults)
    tb.options["random_operations"] = 40
    try:
        for name in names:
            host.note(f"step {name}")
            host.run(SCENARIOS[name].function(host, tb), LIMIT_PS)
        host.drain(LIMIT_PS)
    except Exception:
        if defect is None:
            raise
    log.close()
    Summary(names[0], seed, ResultClass.FAILED if defect else ResultClass.PASSED).write(directory)
    return directory


def copied(run: Path, to: Path) -> Path:
    """A copy of a run that a test may damage."""
    shutil.copytree(run, to)
    return to
