"""Failing runs of the golden device, left in a directory as a simulation leaves them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from virtiofs_tb import catalogue
from virtiofs_tb.model_run import ModelRequest, run_model
from virtiofs_tb.report import Summary
from virtiofs_tb.scenario import ScenarioFunction


def failing_run(
    directory: Path,
    test: str,
    defect: str | None = None,
    seed: int = 1,
    instead: ScenarioFunction | None = None,
    engine: str = "",
    without: Collection[str] = (),
) -> Summary:
    """Run a scenario (or `instead`, under its name) and write log and summary.json."""
    step = catalogue.find(test).steps[0]
    entry = catalogue.Entry(test, "", (replace(step, function=instead) if instead is not None else step,))
    request = ModelRequest(test, seed, defect or "", without=without, directory=directory, engine=engine)
    summary = run_model(request, entry)
    summary.dut, summary.message, summary.rerun = "", "", f"make sim TEST={test} SEED={seed}"
    summary.write(directory)
    return summary
