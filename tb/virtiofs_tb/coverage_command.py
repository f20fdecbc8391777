"""`make coverage`: sample runs, merge, hold the sum to the goal."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed

import click
from rich.console import Console
from rich.table import Table

from virtiofs_tb import catalogue, runner
from virtiofs_tb.arguments import check_sessions, parse_number
from virtiofs_tb.coverage.counts import Counts, merged
from virtiofs_tb.coverage.goal import Result, Waiver, WaiverError, judge, read_waivers
from virtiofs_tb.coverage_runs import (
    FOLDER,
    ModelRun,
    Sampled,
    hits_by_target,
    leave,
    planned,
    recorded,
    sample_log,
    sample_model,
)
from virtiofs_tb.paths import shown
from virtiofs_tb.report import ResultClass

TOTAL = FOLDER / "coverage.json"


def sample_all(
    workers: int, with_model: bool = True, progress: Callable[[str], None] = lambda text: None
) -> list[Sampled]:
    """Every run, in order of their names; the file of each is left."""
    entries = [entry for entry in catalogue.entries() if not entry.sequences]
    runs: list[ModelRun] = planned(entries) if with_model else []
    logs = recorded(entries)
    done: list[Sampled] = []
    with ProcessPoolExecutor(workers) as pool:
        try:
            waiting = [pool.submit(sample_model, run) for run in runs]
            waiting += [pool.submit(sample_log, directory) for directory in logs]
            for future in as_completed(waiting):
                done.append(future.result())
                progress(f"sampling, {len(done)} of {len(waiting)} runs")
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    for old in FOLDER.glob("*.json"):
        old.unlink()
    for sampled in done:
        if not sampled.failure:
            leave(sampled)
    return sorted(done, key=lambda sampled: sampled.name)


def table_of(result: Result) -> Table:
    """A line for each group."""
    table = Table(box=None, pad_edge=False)
    for column in ("group", "bins", "hit", "waived", "holes"):
        table.add_column(column, justify="left" if column == "group" else "right", no_wrap=True)
    for group in result.groups:
        table.add_row(group.name, str(group.bins), str(group.hit), str(group.waived), str(group.holes or ""))
    return table


def complaints(result: Result, waivers: Sequence[Waiver], failed: Sequence[Sampled]) -> list[str]:
    """What a person must know, a line each."""
    lines = [f"hole: {name}" for name in result.holes]
    lines += [f"hit, though the model of bins says that it cannot be: {name}" for name in result.wrong]
    for name in result.needless:
        waiver = next(one for one in waivers if one.covers(name))
        lines.append(f"waived, but hit: {name} ({waiver.bins}, owner {waiver.owner})")
    lines += [f"does not count, since it failed: {run.name}: {run.failure}; again: {run.rerun}" for run in failed]
    return lines


def write_total(total: Counts, result: Result) -> None:
    """The sum, and what became of it, as JSON."""
    data = {
        "runs": total.runs,
        "hits": dict(sorted(total.hits.items())),
        "holes": result.holes,
        "waived but hit": result.needless,
        "impossible but hit": result.wrong,
    }
    TOTAL.parent.mkdir(parents=True, exist_ok=True)
    TOTAL.write_text(json.dumps(data, indent=1) + "\n")


@click.command()
@click.option("--jobs", envvar="VIRTIOFS_JOBS", default="", help="runs side by side [cores]")
@click.option("--recorded", "only_recorded", is_flag=True, help="only logs of an endpoint that `make test` has left")
def coverage(jobs: str, only_recorded: bool) -> None:
    """Functional coverage of the golden device's runs and of the logs that `make test` has left; prints holes.

    Status 1 where a bin is neither hit nor waived, where a run fails, or where one is hit that cannot be.
    """
    workers = parse_number("JOBS", jobs, 1, 256) if jobs else runner.default_jobs()
    check_sessions()
    try:
        waivers = read_waivers()
    except WaiverError as error:
        raise runner.UsageError(str(error)) from None
    console = Console()
    started = time.monotonic()
    with console.status("sampling") as status:
        sampled = sample_all(workers, not only_recorded, status.update)
    failed = [run for run in sampled if run.failure]
    parts = [run.counts for run in sampled if not run.failure]
    total = merged(parts)
    result = judge(total.hits, waivers)
    write_total(total, result)
    console.print(table_of(result))
    for line in complaints(result, waivers, failed):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    met = result.met and not failed
    bins, hit = sum(group.bins for group in result.groups), sum(group.hit for group in result.groups)
    waived = sum(group.waived for group in result.groups)
    by_target = ", ".join(f"{target} {count}" for target, count in hits_by_target(parts).items())
    console.print(
        f"{'PASSED' if met else 'FAILED'} {hit} of {bins} bins hit, {waived} waived, {len(result.holes)} holes; "
        f"{len(parts)} runs (bins hit: {by_target}); {time.monotonic() - started:.0f} s",
        highlight=False,
        soft_wrap=True,
    )
    console.print(f"table: {shown(TOTAL)}", highlight=False)
    sys.exit(ResultClass.PASSED if met else ResultClass.FAILED)
