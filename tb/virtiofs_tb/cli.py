"""virtiofs-tb: the command line tool behind `make`.

Exit status: 0 everything passed, 1 a test failed, 2 usage, 3 the simulation could not be built.
Options also come from the environment (VIRTIOFS_TEST and so on), which is how make hands them over.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import FrameType

import click
from rich.console import Console
from rich.table import Table

from virtiofs_tb import bench, build, catalogue, lint, runner
from virtiofs_tb import profile as profiles
from virtiofs_tb.analysis.card import card_of
from virtiofs_tb.analysis.commands import rings, show
from virtiofs_tb.analysis.driver_command import driver
from virtiofs_tb.analysis.source import AnalysisError
from virtiofs_tb.arguments import (
    check_sessions,
    existing_file,
    parse_engine,
    parse_number,
    parse_scoreboards,
    parse_tests,
)
from virtiofs_tb.campaign import campaign
from virtiofs_tb.conformance.command import conformance
from virtiofs_tb.coverage_command import coverage
from virtiofs_tb.grade import grade
from virtiofs_tb.guest.command import linux
from virtiofs_tb.model_run import model
from virtiofs_tb.mount.command import dpu, mount, umount
from virtiofs_tb.paths import ENDPOINT_FILELIST, ROOT, RUNS
from virtiofs_tb.peers.command import peers
from virtiofs_tb.report import SUMMARY, ResultClass, Summary, print_outcomes, print_summary
from virtiofs_tb.shrink.command import shrink
from virtiofs_tb.synth import synth
from virtiofs_tb.waves import rerun
from virtiofs_tb.waves.groups import choose

console = Console()
FALSE_WORDS = ("", "0", "no", "off", "false")


@click.group(context_settings={"auto_envvar_prefix": None, "help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Verify a virtio-fs device over PCI."""


@cli.command()
@click.option("--test", "tests", envvar="VIRTIOFS_TEST", default="", help="names, separated by commas [main]")
@click.option("--seed", envvar="VIRTIOFS_SEED", default="", help="a number [random]")
@click.option("--waves", envvar="VIRTIOFS_WAVES", default="", help="1: dump waves (FST, or VCD without lz4)")
@click.option("--jobs", envvar="VIRTIOFS_JOBS", default="", help="simulations side by side [cores]")
@click.option("--dut", envvar="VIRTIOFS_DUT", default="", help="file list with another virtio_fs_dut")
@click.option("--profile", envvar="VIRTIOFS_PROFILE", default="", help="profile of that endpoint (TOML)")
@click.option(
    "--engine", envvar="VIRTIOFS_ENGINE", default="", help="who answers FUSE: ramfs or firmware [the test says]"
)
@click.option("--without", envvar="VIRTIOFS_WITHOUT", default="", help="scoreboards to switch off, by name")
def sim(tests: str, seed: str, waves: str, jobs: str, dut: str, profile: str, engine: str, without: str) -> None:
    """Build the simulation if needed, run it, print its summary."""
    names = parse_tests(tests)
    run_seed = parse_number("SEED", seed, 0, (1 << 64) - 1) if seed else runner.random_seed()
    workers = parse_number("JOBS", jobs, 1, 256) if jobs else runner.default_jobs()
    dut_path = existing_file("DUT", dut) if dut else ENDPOINT_FILELIST
    profile_path = existing_file("PROFILE", profile) if profile else runner.DEFAULT_PROFILE
    try:
        profiles.load(profile_path)
    except profiles.ProfileError as error:
        raise runner.UsageError(str(error)) from error
    wave_format = runner.wave_format(console.print) if waves.lower() not in FALSE_WORDS else None

    off, answers = parse_scoreboards(without), parse_engine(engine)
    requests = [runner.RunRequest(name, run_seed, wave_format, dut_path, profile_path, off, answers) for name in names]
    check_sessions()
    verilator = build.find_verilator()
    if verilator.notice:
        console.print(verilator.notice, highlight=False)
    simulation = build_simulation(dut_path, wave_format, requests)
    console.print(f"running {', '.join(names)} with seed {run_seed}", highlight=False)
    with console.status("simulating") as status, _ticking(lambda: status.update(describe(requests))):
        summaries = runner.run_all(requests, simulation, workers)
    for request, summary in zip(requests, summaries, strict=True):
        console.print()
        print_summary(console, summary, request.directory)
    print_outcomes(console, summaries)
    sys.exit(runner.worst(summaries))


@cli.command()
@click.option("--test", envvar="VIRTIOFS_TEST", default="", help="a name [main]")
@click.option("--seed", envvar="VIRTIOFS_SEED", required=True, help="a number")
@click.option("--from", "begin", envvar="VIRTIOFS_FROM", default="", help="waves only from this simulated time on")
@click.option("--to", "end", envvar="VIRTIOFS_TO", default="", help="waves only up to this simulated time")
@click.option("--groups", envvar="VIRTIOFS_GROUPS", default="", help="groups of signals to show, by name [all]")
@click.option("--dut", envvar="VIRTIOFS_DUT", default="", help="file list with another virtio_fs_dut")
@click.option("--profile", envvar="VIRTIOFS_PROFILE", default="", help="profile of that endpoint (TOML)")
@click.option(
    "--engine", envvar="VIRTIOFS_ENGINE", default="", help="who answers FUSE: ramfs or firmware [the test says]"
)
@click.option("--without", envvar="VIRTIOFS_WITHOUT", default="", help="scoreboards to switch off, by name")
def waves(
    test: str, seed: str, begin: str, end: str, groups: str, dut: str, profile: str, engine: str, without: str
) -> None:
    """Run a test again with waves, and write files for GTKWave and Surfer beside them."""
    names = parse_tests(test)
    if len(names) != 1:
        raise runner.UsageError(f"TEST={test}: waves are of one test")
    dut_path = existing_file("DUT", dut) if dut else ENDPOINT_FILELIST
    profile_path = existing_file("PROFILE", profile) if profile else runner.DEFAULT_PROFILE
    window = rerun.parse_window(begin, end)
    shown_groups = choose(groups, rerun.is_ours(dut_path))
    number = parse_number("SEED", seed, 0, (1 << 64) - 1)
    off, answers = parse_scoreboards(without), parse_engine(engine)
    request = runner.RunRequest(names[0], number, None, dut_path, profile_path, off, answers, window_ps=window)
    rerun.check_window(window, rerun.earlier_end(request) or rerun.FOREVER_PS)
    request = replace(request, waves=runner.wave_format(console.print))
    simulation = build_simulation(dut_path, request.waves, [request])
    with console.status("simulating"):
        summary = runner.run_one(request, simulation)
    print_summary(console, summary, request.directory)
    if summary.sim_time_ps:
        rerun.check_window(window, summary.sim_time_ps)
    views = rerun.write_beside(request.directory / f"waves.{request.waves}", shown_groups, summary, window)
    rerun.print_views(console, views, summary)
    sys.exit(summary.result_class)


cli.add_command(linux)
cli.add_command(model)
cli.add_command(shrink)
cli.add_command(campaign)
cli.add_command(mount)
cli.add_command(umount)
cli.add_command(dpu)
cli.add_command(peers)
cli.add_command(synth)
cli.add_command(grade)
cli.add_command(coverage)


@cli.command("list")
def list_tests() -> None:
    """The tests that TEST= takes."""
    table = Table(box=None, pad_edge=False)
    for column in ("test", "needs", "what it shows"):
        table.add_column(column)
    for entry in catalogue.entries():
        table.add_row(entry.name, " ".join(sorted(entry.needs)), entry.summary)
    console.print(table)


@cli.command()
@click.option("--jobs", envvar="VIRTIOFS_JOBS", default="", help="simulations side by side [cores]")
def test(jobs: str) -> None:
    """All tests: unit tests without a simulator, then simulations."""
    run_tests(jobs, "tests/unit", "tests/sim", "-m", "not widths")


@cli.command()
@click.option("--jobs", envvar="VIRTIOFS_JOBS", default="", help="benches side by side [cores]")
def widths(jobs: str) -> None:
    """The units of the endpoint at 128 and 512 bits, and at its largest capacity."""
    run_tests(jobs, "tests/sim/units", "-m", "widths")


def run_tests(jobs: str, *arguments: str) -> None:
    """Run pytest on all cores and exit with the class of what came of it."""
    workers = parse_number("JOBS", jobs, 1, 256) if jobs else runner.default_jobs()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("VIRTIOFS_")}
    environment["VIRTIOFS_JOBS"] = str(workers)
    # A file's tests stay together: they share what was built and recorded for them.
    command = [sys.executable, "-m", "pytest", *arguments, "-n", str(workers), "--dist", "loadfile"]
    done = subprocess.run(command, cwd=ROOT, env=environment)
    sys.exit(ResultClass.PASSED if done.returncode == 0 else ResultClass.FAILED)


@cli.command("bench")
@click.option("--seconds", default="", help=f"of wall clock [{bench.SECONDS}]")
@click.option("--seed", envvar="VIRTIOFS_SEED", default="", help=f"a number [{bench.SEED}]")
@click.option("--log-cost", default="", help="instead, what the log costs: so many pairs of runs with and without it")
def benchmark(seconds: str, seed: str, log_cost: str) -> None:
    """Speed and memory of the random part, all scoreboards on."""
    duration = parse_number("seconds", seconds, 1, 3600) if seconds else bench.SECONDS
    pairs = parse_number("log-cost", log_cost, 1, 100) if log_cost else 0
    request = bench.request(duration, parse_number("SEED", seed, 0, (1 << 64) - 1) if seed else bench.SEED)
    simulation = build_simulation(request.dut, None, [request])
    if pairs:
        with console.status("simulating") as status:
            costs = bench.measure_log(simulation, request.seed, pairs, status.update)
        bench.show_log(console, costs, request.seed)
        return
    with console.status(f"simulating for {duration} s"):
        summary = runner.run_one(request, simulation)
    if summary.passed:
        bench.show(console, summary)
    else:
        print_summary(console, summary, request.directory)
    sys.exit(summary.result_class)


@cli.command("lint")
def lint_all() -> None:
    """Verilator, slang and Yosys for hdl/; ruff and mypy for Python."""
    verilator = build.find_verilator()
    if verilator.notice:
        console.print(verilator.notice, highlight=False)
    failed = 0
    for step in lint.steps(verilator.executable, verilator.environment):
        if step.skip:
            console.print(f"skipped  {step.name}: {step.skip}", highlight=False)
            continue
        with console.status(step.name):
            outcome = lint.run(step)
        console.print(
            f"{'clean' if outcome.passed else 'FAILED':8} {step.name} ({outcome.seconds:.1f} s)", highlight=False
        )
        if not outcome.passed:
            failed += 1
            console.print(outcome.output, markup=False, highlight=False)
    sys.exit(ResultClass.FAILED if failed else ResultClass.PASSED)


cli.add_command(show)
cli.add_command(rings)
cli.add_command(driver)
cli.add_command(conformance)


@cli.command()
@click.argument("run")
def card(run: str) -> None:
    """Why a run failed: the card that it printed.

    RUN is a run's directory, or TEST-SEED of sim_build/runs.
    """
    console.print(card_of(run), markup=False, highlight=False, soft_wrap=True, end="")


def build_simulation(dut: Path, waves: str | None, requests: list[runner.RunRequest]) -> build.Build:
    """Build with a progress display; a failure ends the program with status 3 and a summary in each run's folder."""
    try:
        with console.status("building the simulation") as status:
            return build.build(dut, waves, echo=status.update)
    except build.BuildError as error:
        for request in requests:
            summary = Summary(request.test, request.seed, ResultClass.BUILD, str(error), request.rerun)
            summary.write(request.directory)
        console.print(f"build failed: {error}", markup=False, style="red", soft_wrap=True)
        sys.exit(ResultClass.BUILD)


def describe(requests: list[runner.RunRequest]) -> str:
    """The present step of every run that is under way."""
    steps = [(request, runner.present_step(request)) for request in requests]
    under_way = [f"{request.test}: {step}" for request, step in steps if step and not finished(request)]
    done = sum(finished(request) for request in requests)
    return f"simulating, {done} of {len(requests)} done; {', '.join(under_way)}"


def finished(request: runner.RunRequest) -> bool:
    return (request.directory / SUMMARY).exists()


@contextlib.contextmanager
def _ticking(action: Callable[[], None]) -> Iterator[None]:
    """Call `action` every half second from a thread of its own."""
    stop = threading.Event()

    def tick() -> None:
        while not stop.wait(0.5):
            action()

    thread = threading.Thread(target=tick, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _terminated(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main() -> None:
    """Entry point; turns every expected problem into one line and the right exit status."""
    signal.signal(signal.SIGTERM, _terminated)
    try:
        cli(standalone_mode=False)
    except click.ClickException as error:
        report(error.format_message())
    except (runner.UsageError, build.BuildError, AnalysisError) as error:
        report(str(error))
    except (KeyboardInterrupt, click.Abort):
        console.print("interrupted; nothing is left running")
        sys.exit(130)


def report(message: str) -> None:
    """One line on stderr, the same in sim_build/runs/usage/summary.json, and status 2."""
    Console(stderr=True).print(f"virtiofs-tb: {message}", markup=False, highlight=False, soft_wrap=True)
    Summary("usage", 0, ResultClass.USAGE, message).write(RUNS / "usage")
    sys.exit(ResultClass.USAGE)
