"""A test on the golden device, without a simulator: it leaves the same directory as a simulation.

A pass says that the scenario and the testbench are sound, nothing of any RTL: device and judges share their models.
With a defect (virtiofs_model/defects.py) it is a run that must fail.
"""

from __future__ import annotations

import difflib
import shutil
import sys
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path

import click
from rich.console import Console

from virtiofs_model.defects import DEFECTS
from virtiofs_model.ramfs import Limits
from virtiofs_tb import catalogue, runner
from virtiofs_tb import profile as profiles
from virtiofs_tb.arguments import check_sessions, existing_file, parse_number, parse_scoreboards, parse_tests
from virtiofs_tb.catalogue import Entry
from virtiofs_tb.host.log import ObservationLog, Record
from virtiofs_tb.host.model_host import ModelHost
from virtiofs_tb.paths import RUNS, shown
from virtiofs_tb.report import MODEL, Summary, print_summary
from virtiofs_tb.testbench import Testbench

LIMIT_PS = 100_000_000_000  # of virtual time: 100 ms, minutes of wall clock for a device that never rests


@dataclass(frozen=True)
class ModelRequest:
    """One run. defect: name of one, '' for none. directory: of the run; None leaves nothing behind. engine: who answers
    FUSE ("": what the test says, and the endpoint itself where the defect is its file system's)."""

    test: str
    seed: int
    defect: str = ""
    profile: Path = runner.DEFAULT_PROFILE
    without: Collection[str] = ()
    directory: Path | None = None
    engine: str = ""

    @property
    def rerun(self) -> str:
        """The line that runs this again."""
        parts = [".venv/bin/virtiofs-tb model", f"--test {self.test}", f"--seed {self.seed}"]
        parts += [f"--defect {self.defect}"] if self.defect else []
        parts += [f"--engine {self.engine}"] if self.engine else []
        parts += [f"--profile {shown(self.profile)}"] if self.profile != runner.DEFAULT_PROFILE else []
        parts += [f"--without {','.join(self.without)}"] if self.without else []
        return " ".join(parts)


def run_model(
    request: ModelRequest, entry: Entry | None = None, watch: Callable[[list[Record]], None] | None = None
) -> Summary:
    """Run to the end, and leave log, summary and, of a failing run, its card.

    entry: what to run in place of the catalogue's. watch: is given the log as it grows. Never raises for what
    happens inside the run.
    """
    directory = request.directory
    if directory is not None and directory.exists():
        shutil.rmtree(directory)
    log = ObservationLog(directory)
    if watch is not None:
        log.subscribe(watch)
    host = ModelHost(request.seed, log, defect=request.defect or None, ramfs=Limits())
    test = entry if entry is not None else catalogue.find(request.test)
    # Defects of the transport show behind firmware, whose answers are known.
    usual = catalogue.FIRMWARE if request.defect else test.engine
    engine = catalogue.RAMFS if of_file_system(request.defect) else request.engine or usual
    test = replace(test, engine=engine)
    profile = profiles.load(request.profile)
    testbench = Testbench(host, host.engine, test, request.seed, profile, without=request.without)
    started = time.monotonic()
    try:
        host.run(testbench.run(), LIMIT_PS)
    except Exception as error:  # of the device, of a scenario or of the testbench: the report tells them apart
        testbench.crashed(error)
    testbench.finish()
    summary = Summary(request.test, request.seed, rerun=request.rerun, profile=request.profile.name)
    summary.dut, summary.defect, summary.wall_s = MODEL, request.defect, time.monotonic() - started
    testbench.fill(summary)
    log.close()
    if directory is not None:
        (directory / "rerun.txt").write_text(request.rerun + "\n")
        if not summary.passed:
            runner.leave_card(directory, summary)
        summary.write(directory)
    return summary


def parse_defect(name: str) -> str:
    """UsageError with the nearest names for a defect that does not exist."""
    if name and name not in DEFECTS:
        near = difflib.get_close_matches(name, DEFECTS, n=3, cutoff=0.4) or sorted(DEFECTS)
        raise runner.UsageError(f"--defect {name}: no such defect; there are {', '.join(near)}")
    return name


def parse_engine(text: str, defect: str) -> str:
    """UsageError for an engine that does not exist, or that a defect does not have."""
    if text and text not in catalogue.ENGINES:
        raise runner.UsageError(f"--engine {text}: it is one of {', '.join(catalogue.ENGINES)}")
    if text == catalogue.FIRMWARE and of_file_system(defect):
        raise runner.UsageError(
            f"--defect {defect} is one of the endpoint's own file system: --engine {catalogue.RAMFS}"
        )
    return text


def of_file_system(defect: str) -> bool:
    """Whether a defect shows only where the endpoint's own file system answers."""
    return bool(defect) and DEFECTS[defect].scoreboard in ("file_system", "client_cache")


def parse_profile(text: str) -> Path:
    """A profile that can be read. Raises UsageError."""
    path = existing_file("PROFILE", text) if text else runner.DEFAULT_PROFILE
    try:
        profiles.load(path)
    except profiles.ProfileError as error:
        raise runner.UsageError(str(error)) from error
    return path


@click.command()
@click.option("--test", envvar="VIRTIOFS_TEST", default="", help="a name, or a file of scenarios [main]")
@click.option("--seed", envvar="VIRTIOFS_SEED", default="", help="a number [random]")
@click.option("--defect", default="", help="what the device shall do wrong, by name (virtiofs_model/defects.py)")
@click.option("--engine", envvar="VIRTIOFS_ENGINE", default="", help="ramfs or firmware [what the test says]")
@click.option("--profile", envvar="VIRTIOFS_PROFILE", default="", help="profile to judge by (TOML)")
@click.option("--without", envvar="VIRTIOFS_WITHOUT", default="", help="scoreboards to switch off, by name")
def model(test: str, seed: str, defect: str, engine: str, profile: str, without: str) -> None:
    """Run a test on the golden device, without a simulator."""
    names = parse_tests(test)
    if len(names) != 1:
        raise runner.UsageError(f"TEST={test}: one test at a time")
    if catalogue.find(names[0]).sequences:
        raise runner.UsageError(f"TEST={test}: UVM sequences need a simulator")
    check_sessions()
    number = parse_number("SEED", seed, 0, (1 << 64) - 1) if seed else runner.random_seed()
    directory = RUNS / f"model-{catalogue.stem(names[0])}-{number}"
    off = parse_scoreboards(without)
    bad = parse_defect(defect)
    request = ModelRequest(names[0], number, bad, parse_profile(profile), off, directory, parse_engine(engine, bad))
    console = Console()
    with console.status(f"running {names[0]} on the golden device"):
        summary = run_model(request)
    print_summary(console, summary, directory)
    sys.exit(summary.result_class)
