"""`virtiofs-tb driver`: what the driver of a recorded run did wrong, whoever it was."""

from __future__ import annotations

import sys

import click
from rich.console import Console

from virtiofs_tb.analysis.source import open_run
from virtiofs_tb.scoreboards.driver_rules.checker import LEVELS, reports_of

console = Console()


@click.command()
@click.argument("log")
def driver(log: str) -> None:
    """Hold the driver of a run to the specification's clauses for drivers: ours, Linux, anybody's.

    LOG is a run's directory, or TEST-SEED of sim_build/runs. Status 1 if something is reported.
    """
    run = open_run(log)
    if run.notice:
        console.print(run.notice, highlight=False)
    reports = reports_of(run.records)
    for report in reports:
        console.print(str(report), highlight=False, markup=False, soft_wrap=True)
    console.print(f"{len(reports)} of {len(LEVELS)} clauses for drivers were broken", highlight=False)
    sys.exit(1 if reports else 0)
