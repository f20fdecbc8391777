"""The benchmark: the random part for so many seconds of wall clock, in the default build, all scoreboards on."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from virtiofs_tb import runner
from virtiofs_tb.report import Summary

TEST = "random_window"
SEED = 1
SECONDS = 10
WANTED_REQUESTS = 300  # a second, on two processors that have nothing else to do
WANTED_MIB = 1024


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
