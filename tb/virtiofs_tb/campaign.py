"""virtiofs-tb campaign: one test with many seeds, and a table of what each run checked and found.

Of a run that passed only its row and its summary stay; one that failed keeps all its files and its card.
"""

from __future__ import annotations

import csv
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import click
from rich.console import Console

from virtiofs_tb import build, runner
from virtiofs_tb.arguments import check_sessions, parse_engine, parse_number, parse_tests
from virtiofs_tb.host.log import LOG_NAME, PAYLOAD_NAME
from virtiofs_tb.paths import ENDPOINT_FILELIST, SIM_BUILD, shown
from virtiofs_tb.report import ResultClass, Summary, print_summary
from virtiofs_tb.runner import RunRequest, UsageError

FOLDER = SIM_BUILD / "campaigns"
SEEDS = "1-50"
MOST_SEEDS = 10_000
WATCHDOG_S = 1800.0


@dataclass(frozen=True)
class Row:
    """One run. checks: of all scoreboards together; failure: its first one ("" none)."""

    seed: int
    result: str
    requests: int
    packets: int
    checks: int
    simulated_us: float
    wall_s: float
    trace: str
    failure: str

    @staticmethod
    def of(summary: Summary) -> Row:
        """The row of a run that has ended."""
        first = summary.failures[0].line if summary.failures else summary.message.split("\n")[0]
        return Row(
            seed=summary.seed,
            result="passed" if summary.passed else "failed",
            requests=summary.requests,
            packets=summary.tlps,
            checks=sum(sum(kinds.values()) for kinds in summary.scoreboards.values()),
            simulated_us=round(summary.sim_time_ps / 1e6, 3),
            wall_s=round(summary.wall_s, 1),
            trace=summary.trace_hash,
            failure="" if summary.passed else first,
        )

    @property
    def line(self) -> str:
        """For a person."""
        text = f"seed {self.seed}: {self.result}, {self.requests} requests, {self.checks:,} checks in {self.wall_s} s"
        return f"{text}: {self.failure}" if self.failure else text


def parse_seeds(text: str) -> list[int]:
    """SEEDS=1-50 or SEEDS=3,8,20-24. Raises UsageError."""
    found: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d+)(?:\s*-\s*(\d+))?\s*", part)
        if match is None:
            raise UsageError(f"SEEDS={text}: expected numbers and ranges, such as 1-50 or 3,8,20-24")
        first = parse_number("SEEDS", match[1], 0, (1 << 64) - 1)
        last = parse_number("SEEDS", match[2], 0, (1 << 64) - 1) if match[2] else first
        if last < first or last - first + len(found) >= MOST_SEEDS:
            raise UsageError(f"SEEDS={text}: expected 1 to {MOST_SEEDS} seeds, each range upwards")
        found += range(first, last + 1)
    return list(dict.fromkeys(found))


def write_table(path: Path, rows: Sequence[Row]) -> None:
    """All rows so far as CSV; an interrupted campaign leaves those of the runs that ended."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([field.name for field in fields(Row)])
        writer.writerows(astuple(row) for row in rows)


def totals(rows: Sequence[Row], minutes: float) -> str:
    """A campaign in one sentence."""
    failed = sum(row.result != "passed" for row in rows)
    return (
        f"{len(rows)} seeds, {failed} failed: {sum(row.requests for row in rows):,} requests, "
        f"{sum(row.packets for row in rows):,} packets, {sum(row.checks for row in rows):,} checks in {minutes:.1f} min"
    )


def run_campaign(
    console: Console, requests: Sequence[RunRequest], simulation: build.Build, jobs: int, table: Path
) -> list[Row]:
    """Run all, a line for each as it ends; the table grows with them."""
    rows: list[Row] = []
    directories = {request.seed: request.directory for request in requests}

    def finished(summary: Summary) -> None:
        row = Row.of(summary)
        rows.append(row)
        rows.sort(key=lambda one: one.seed)
        write_table(table, rows)
        console.print(row.line, markup=False, highlight=False, soft_wrap=True)
        directory = directories[summary.seed]
        if summary.passed:
            for name in (LOG_NAME, PAYLOAD_NAME):
                (directory / name).unlink(missing_ok=True)
        else:
            print_summary(console, summary, directory)

    runner.run_all(requests, simulation, jobs, finished)
    return rows


@click.command()
@click.option("--test", envvar="VIRTIOFS_TEST", default="trees", show_default=True, help="a name")
@click.option("--seeds", envvar="VIRTIOFS_SEEDS", default="", help=f"such as 1-50 or 3,8,20-24 [{SEEDS}]")
@click.option("--jobs", envvar="VIRTIOFS_JOBS", default="", help="simulations side by side [cores]")
@click.option("--engine", envvar="VIRTIOFS_ENGINE", default="", help="who answers FUSE: ramfs or firmware")
def campaign(test: str, seeds: str, jobs: str, engine: str) -> None:
    """Run one test with many seeds; write a table of what each run checked."""
    console = Console()
    names = parse_tests(test or "trees")
    if len(names) != 1:
        raise UsageError(f"TEST={test}: a campaign is of one test")
    requests = [
        RunRequest(names[0], seed, engine=parse_engine(engine), watchdog_s=WATCHDOG_S)
        for seed in parse_seeds(seeds or SEEDS)
    ]
    workers = parse_number("JOBS", jobs, 1, 256) if jobs else runner.default_jobs()
    check_sessions()
    verilator = build.find_verilator()
    if verilator.notice:
        console.print(verilator.notice, highlight=False)
    try:
        with console.status("building the simulation") as status:
            simulation = build.build(ENDPOINT_FILELIST, None, echo=status.update)
    except build.BuildError as error:
        console.print(f"build failed: {error}", markup=False, style="red", soft_wrap=True)
        sys.exit(ResultClass.BUILD)
    table = FOLDER / f"{Path(names[0]).stem}.csv"
    started = time.monotonic()
    rows = run_campaign(console, requests, simulation, workers, table)
    passed = all(row.result == "passed" for row in rows)
    text = f"{'PASSED' if passed else 'FAILED'} {names[0]}, {totals(rows, (time.monotonic() - started) / 60)}"
    console.print(text, highlight=False, soft_wrap=True)
    console.print(f"table: {shown(table)}", highlight=False, soft_wrap=True)
    sys.exit(ResultClass.PASSED if passed else ResultClass.FAILED)
