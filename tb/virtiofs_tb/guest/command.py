"""`virtiofs-tb linux`: the guest against the endpoint, one variant after the other or side by side."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from virtiofs_tb import build, runner
from virtiofs_tb.guest import kernel, model_run
from virtiofs_tb.guest.errors import GuestBuildError, GuestMissing
from virtiofs_tb.guest.process import GuestImage
from virtiofs_tb.guest.request import TEST_PREFIX, Assignment, GuestRequest, again
from virtiofs_tb.guest.session import FOLDER
from virtiofs_tb.guest.variants import VARIANTS, Variant
from virtiofs_tb.paths import ENDPOINT_FILELIST, RUNS, shown
from virtiofs_tb.report import Summary, print_outcomes, print_summary
from virtiofs_tb.waves import rerun

TARGETS = ("rtl", "model")
WATCHDOG_MORE_S = 20.0  # than the session's own limit, which says more
SHELL_WATCHDOG_S = 24 * 3600.0
SHELL_VARIANT = "indirect"
_FALSE = ("", "0", "no", "off", "false")
_TRUE = ("1", "yes", "on", "true")

console = Console()


@click.command("linux")
@click.option("--variant", "names", envvar="VIRTIOFS_VARIANT", default="", help="names, separated by commas [all]")
@click.option("--target", envvar="VIRTIOFS_TARGET", default="", help="rtl or model (no simulator) [rtl]")
@click.option("--seed", envvar="VIRTIOFS_SEED", default="", help="a number [random]")
@click.option("--waves", envvar="VIRTIOFS_WAVES", default="", help="1: dump waves (FST, or VCD without lz4)")
@click.option("--from", "begin", envvar="VIRTIOFS_FROM", default="", help="waves only from this simulated time on")
@click.option("--to", "end", envvar="VIRTIOFS_TO", default="", help="waves only up to this simulated time")
@click.option("--jobs", envvar="VIRTIOFS_JOBS", default="", help="guests side by side [cores]")
@click.option("--shell", envvar="VIRTIOFS_SHELL", default="", help="1: an interactive shell in the guest")
def linux(names: str, target: str, seed: str, waves: str, begin: str, end: str, jobs: str, shell: str) -> None:
    """Boot Linux, in its own process, as the endpoint's driver, and have it use the file system."""
    interactive = _switch("SHELL", shell)
    variants = parse_variants(names or (SHELL_VARIANT if interactive else ""))
    if interactive and len(variants) != 1:
        raise runner.UsageError(f"VARIANT={names}: a shell is of one variant")
    if (target or "rtl") not in TARGETS:
        raise runner.UsageError(f"TARGET={target}: expected {' or '.join(TARGETS)}")
    terminal = terminal_of_stdin() if interactive else None
    number = _number("SEED", seed, 0, (1 << 64) - 1) if seed else runner.random_seed()
    workers = _number("JOBS", jobs, 1, 256) if jobs else runner.default_jobs()
    window = rerun.parse_window(begin, end)
    if window and not _switch("WAVES", waves):
        raise runner.UsageError("FROM= and TO= are of waves: add WAVES=1, or leave them away")
    format_ = runner.wave_format(console.print) if _switch("WAVES", waves) else None
    if format_ and target == "model":
        raise runner.UsageError("WAVES=1: the golden device has no waves; leave TARGET=model away")

    assignments = [Assignment(variant, image_for(variant, number, interactive), terminal) for variant in variants]
    simulation = None
    if target != "model":
        simulation = build_simulation(format_)
    with restored_terminal(terminal):
        started = time.monotonic()
        summaries = run_all(assignments, number, simulation, format_, workers, window)
    for request_dir, summary in summaries:
        if len(summaries) == 1 or not summary.passed:
            console.print()
            print_summary(console, summary, request_dir)
    show(summaries, time.monotonic() - started)
    print_outcomes(console, [summary for _, summary in summaries])
    sys.exit(runner.worst(summary for _, summary in summaries))


def run_all(
    assignments: list[Assignment],
    seed: int,
    simulation: build.Build | None,
    waves: str | None,
    workers: int,
    window_ps: tuple[int, int] | None = None,
) -> list[tuple[Path, Summary]]:
    """Each assignment's directory and summary; without a simulation on the golden device."""
    if simulation is None:
        return [_on_model(assignment, seed) for assignment in assignments]
    requests = [
        GuestRequest(
            TEST_PREFIX + assignment.variant.name,
            seed,
            waves,
            window_ps=window_ps,
            watchdog_s=SHELL_WATCHDOG_S if assignment.terminal else assignment.variant.limit_s + WATCHDOG_MORE_S,
            assignment=assignment,
        )
        for assignment in assignments
    ]
    requests.sort(key=lambda request: not request.assignment.variant.more)  # the longest first
    quiet = any(assignment.terminal for assignment in assignments)
    try:
        summaries = runner.run_all(requests, simulation, workers, finished=None if quiet else say)
    finally:
        for request in requests:  # a simulator that is killed leaves its socket
            shutil.rmtree(request.directory / FOLDER, ignore_errors=True)
    return [(request.directory, summary) for request, summary in zip(requests, summaries, strict=True)]


def _on_model(assignment: Assignment, seed: int) -> tuple[Path, Summary]:
    variant = assignment.variant
    name = TEST_PREFIX + variant.name
    directory = RUNS / f"{name}-{seed}"
    line = again(variant, seed, "model")
    summary = model_run.run(name, variant, assignment.image, seed, directory, line, terminal=assignment.terminal)
    if not assignment.terminal:
        say(summary)
    return directory, summary


def say(summary: Summary) -> None:
    """One line as soon as a guest has come to its end."""
    verdict = "passed" if summary.passed else "FAILED"
    console.print(f"{verdict} {summary.test} in {summary.wall_s:.1f} s", highlight=False)


def show(summaries: list[tuple[Path, Summary]], seconds: float) -> None:
    """All of them at a glance."""
    table = Table(box=None, pad_edge=False)
    for column in ("guest", "result", "FUSE requests", "TLPs", "simulated us", "checked", "console"):
        table.add_column(column, justify="left" if column in ("guest", "result", "console") else "right")
    for directory, summary in summaries:
        checked = sum(sum(checks.values()) for checks in summary.scoreboards.values())
        table.add_row(
            summary.test,
            "passed" if summary.passed else "FAILED",
            f"{summary.requests:,}",
            f"{summary.tlps:,}",
            f"{summary.sim_time_ps / 1e6:,.0f}",
            f"{checked:,}",
            shown(directory / "console.log"),
        )
    console.print()
    console.print(table)
    console.print(f"{len(summaries)} guests in {seconds:.1f} s", highlight=False)


def image_for(variant: Variant, seed: int, interactive: bool) -> GuestImage:
    """Kernel and initial file system; what cannot be had ends the program with one line. seed: of what the guest does
    at random.
    """
    arguments = {**variant.arguments, "seed": str(seed), **({"shell": "1"} if interactive else {})}
    try:
        with console.status("looking for the guest's kernel") as status:
            return kernel.image(arguments, status.update)
    except GuestMissing as error:
        raise runner.UsageError(str(error)) from error
    except GuestBuildError as error:
        raise build.BuildError(str(error)) from error


def build_simulation(waves: str | None) -> build.Build:
    """The same build as that of `make sim`."""
    verilator = build.find_verilator()
    if verilator.notice:
        console.print(verilator.notice, highlight=False)
    with console.status("building the simulation") as status:
        return build.build(ENDPOINT_FILELIST, waves, echo=status.update)


def parse_variants(text: str) -> list[Variant]:
    """VARIANT=a,b. UsageError for a name that no variant has."""
    names = [name.strip() for name in text.split(",") if name.strip()] or list(VARIANTS)
    for name in names:
        if name not in VARIANTS:
            raise runner.UsageError(f"VARIANT={name}: no such variant; there are {', '.join(VARIANTS)}")
    return [VARIANTS[name] for name in names]


def terminal_of_stdin() -> str:
    """Path of the terminal that a person sits at. UsageError where stdin is none."""
    if not os.isatty(0):
        raise runner.UsageError("SHELL=1: the guest's shell needs a terminal, and stdin is none")
    return os.ttyname(0)


@contextlib.contextmanager
def restored_terminal(terminal: str | None) -> Iterator[None]:
    """The guest's console changes the terminal's settings; a guest that dies does not put them back."""
    if terminal is None:
        yield
        return
    saved = termios.tcgetattr(0)
    try:
        yield
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, saved)


def _switch(what: str, text: str) -> bool:
    if text.lower() in _FALSE:
        return False
    if text.lower() in _TRUE:
        return True
    raise runner.UsageError(f"{what}={text}: expected 1 or 0")


def _number(what: str, text: str, least: int, most: int) -> int:
    try:
        value = int(text, 0)
    except ValueError:
        raise runner.UsageError(f"{what}={text}: expected a whole number") from None
    if not least <= value <= most:
        raise runner.UsageError(f"{what}={text}: expected {least} to {most}")
    return value
