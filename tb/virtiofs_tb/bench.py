"""The benchmark: the random part for so many seconds of wall clock, in the default build, all scoreboards on.

And what the observation log costs: the same work with and without it, in pairs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import median

from rich.console import Console
from rich.table import Table

from virtiofs_tb import runner
from virtiofs_tb.build import Build
from virtiofs_tb.report import Summary
from virtiofs_tb.runner import UsageError

TEST = "random_window"
SEED = 1
SECONDS = 10
WANTED_REQUESTS = 300  # a second, on two processors that have nothing else to do
WANTED_MIB = 1024
LOG_ITEMS = 2000  # random operations of each run of a pair
MOST_LOG_PERCENT = 15
CPU_RATE = "requests a CPU second"


def request(seconds: int, seed: int) -> runner.RunRequest:
    """The run: TEST=random_window for so long."""
    watchdog_s = seconds + runner.WATCHDOG_S
    return runner.RunRequest(TEST, seed, options={"window_s": seconds}, watchdog_s=watchdog_s)


def show(console: Console, summary: Summary) -> None:
    """What was measured, and what is wanted."""
    wanted = {
        "requests/s": f"at least {WANTED_REQUESTS}",
        "MiB at its end": "as at its start",
    }
    table = Table(title=f"random part, seed {summary.seed}", title_justify="left", box=None, pad_edge=False)
    table.add_column("what")
    table.add_column("measured", justify="right")
    table.add_column("wanted")
    for name, value in summary.window.items():
        table.add_row(name, f"{value:,.1f}" if value < 100 else f"{value:,.0f}", wanted.get(name, ""))
    table.add_row("MiB at most", f"{summary.peak_rss_mib:,.0f}", f"below {WANTED_MIB}")
    console.print(table)
    console.print(f"{summary.requests} requests, {summary.tlps} packets, all checked", highlight=False)


@dataclass(frozen=True)
class LogPair:
    """Speeds of the same work, in requests a second of processor time, with the log and without it."""

    logged: float
    silent: float

    @property
    def percent(self) -> float:
        """Of the speed without a log, how much the log takes away."""
        return 100 * (1 - self.logged / self.silent)


def log_requests(seed: int) -> tuple[runner.RunRequest, runner.RunRequest]:
    """The runs of a pair: with the log and without."""
    logged = runner.RunRequest(TEST, seed, options={"window_s": 0, "random_operations": LOG_ITEMS})
    return logged, replace(logged, log=False)


def measure_log(
    simulation: Build,
    seed: int,
    pairs: int,
    echo: Callable[[str], None] = lambda text: None,
    run_one: Callable[[runner.RunRequest, Build], Summary] = runner.run_one,
) -> list[LogPair]:
    """Run so many pairs, each second one in the other order. Processor time, so that others on the machine matter less.

    Raises UsageError where a run failed, or where the two did not do the same.
    """
    logged, silent = log_requests(seed)
    found = []
    for number in range(pairs):
        echo(f"pair {number + 1} of {pairs}")
        order = (logged, silent) if number % 2 == 0 else (silent, logged)
        done = {request.log: run_one(request, simulation) for request in order}
        for summary in done.values():
            if not summary.passed or CPU_RATE not in summary.window:
                raise UsageError(f"no speed to be told: {summary.message or 'the run was too short'}")
        if done[True].trace_hash != done[False].trace_hash:
            raise UsageError("the runs with and without a log did not do the same")
        found.append(LogPair(done[True].window[CPU_RATE], done[False].window[CPU_RATE]))
    return found


def show_log(console: Console, pairs: list[LogPair], seed: int) -> None:
    """What writing the log costs."""
    console.print(f"random part, seed {seed}, {LOG_ITEMS} operations, {CPU_RATE}", highlight=False)
    table = Table(box=None, pad_edge=False)
    for column in ("with the log", "without", "cost in %"):
        table.add_column(column, justify="right")
    for pair in pairs:
        table.add_row(f"{pair.logged:,.0f}", f"{pair.silent:,.0f}", f"{pair.percent:.1f}")
    console.print(table)
    middle = median(pair.percent for pair in pairs)
    console.print(f"median {middle:.1f} %, wanted at most {MOST_LOG_PERCENT} %", highlight=False)
