"""virtiofs-tb shrink."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from virtiofs_tb import build
from virtiofs_tb.analysis.source import AnalysisError
from virtiofs_tb.model_run import ModelRequest, parse_defect
from virtiofs_tb.paths import SIM_BUILD, shown
from virtiofs_tb.report import FailureReport, ResultClass
from virtiofs_tb.runner import RunRequest, UsageError
from virtiofs_tb.shrink.candidate import Candidate, Way
from virtiofs_tb.shrink.scenario_file import name_of, write_scenario
from virtiofs_tb.shrink.search import OtherFailure, Search
from virtiofs_tb.shrink.source import Recorded, read_run
from virtiofs_tb.shrink.targets import OnModel, OnRtl, Target

FOLDER = SIM_BUILD / "shrunk"
REPLAYS = 300
MODEL, RTL = "model", "rtl"
WATCHDOG_S = 30.0  # and twice what the run took


@click.command()
@click.argument("run")
@click.option("--on", type=click.Choice([MODEL, RTL]), help="replay on the golden device or on RTL [as RUN did]")
@click.option("--defect", default="", help="of the golden device, by name [as RUN had it]")
@click.option("--replays", type=click.IntRange(min=1), default=REPLAYS, show_default=True, help="at most so many")
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="the file to write")
def shrink(run: str, on: str | None, defect: str, replays: int, output: Path | None) -> None:
    """The smallest part of a failing random run that fails the same way, as a test.

    RUN is a run's directory, or TEST-SEED of sim_build/runs. The same way: the same scoreboard, clause and check.
    """
    console = Console()
    recorded = read_run(run)
    on = on or (MODEL if recorded.on_model else RTL)
    if defect and on == RTL:
        raise UsageError(f"--defect {defect}: only the golden device has defects; --on {MODEL}")
    name = name_of(recorded.summary.test, recorded.summary.seed)
    file = output if output is not None else FOLDER / f"{name}.py"
    if file.suffix != ".py" or not file.stem.isidentifier():
        raise UsageError(f"--output {file}: expected a name such as shrunk_reads.py")
    with _target(recorded, on, parse_defect(defect), console) as target:
        _shrink(recorded, target, replays, file, console)


def _shrink(recorded: Recorded, target: Target, replays: int, file: Path, console: Console) -> None:
    test, seed, way = recorded.summary.test, recorded.summary.seed, Way.of(recorded.failure)
    console.print(f"{test}, seed {seed}: {recorded.whole.size}", markup=False, highlight=False, soft_wrap=True)
    console.print(f"  {way}", markup=False, highlight=False, soft_wrap=True)
    search, smallest = _searched(recorded.whole, target, way, replays, console)

    def write(failure: FailureReport) -> None:
        file.write_text(write_scenario(file.stem, test, seed, smallest, failure, target.again(file)))

    file.parent.mkdir(parents=True, exist_ok=True)
    write(recorded.failure)
    failure, directory = target.run_file(file)
    if failure is None or Way.of(failure) != way:
        seen = "passes" if failure is None else f"fails with {Way.of(failure)}"
        raise AnalysisError(f"{shown(file)}: the stimulus fails the same way, but this test of it {seen}")
    write(failure)  # with the numbers of its own failure
    ended = "" if search.complete else "; the search ended before nothing more could be left out"
    told = f"{smallest.size}: {search.replays} replays on {target.name}{ended}"
    for line in (told, f"written: {shown(file)}; its run: {shown(directory)}", f"again: {target.again(file)}"):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _searched(whole: Candidate, target: Target, way: Way, most: int, console: Console) -> tuple[Search, Candidate]:
    columns = (
        TextColumn("replays"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(whole.size, total=most)

        def told(search: Search) -> None:
            best = search.best or whole
            progress.update(task, completed=search.replays, description=best.size)

        search = Search(target.replay, way, most, told)
        try:
            return search, search.run(whole)
        except OtherFailure as error:
            seen = f"fails otherwise: {error.seen}" if error.seen else "passes"
            raise AnalysisError(f"the recorded stimulus on {target.name} {seen}; expected {way}") from None


@contextlib.contextmanager
def _target(recorded: Recorded, on: str, defect: str, console: Console) -> Iterator[Target]:
    """Where to replay; what a simulation needs is built before and removed afterwards."""
    summary, seed = recorded.summary, recorded.summary.seed
    if on == MODEL:
        yield OnModel(ModelRequest("", seed, defect or summary.defect, recorded.profile, recorded.without))
        return
    try:
        with console.status("building the simulation") as status:
            simulation = build.build(recorded.dut, None, echo=status.update)
    except build.BuildError as error:
        console.print(f"build failed: {error}", markup=False, style="red", soft_wrap=True)
        sys.exit(ResultClass.BUILD)
    watchdog_s = WATCHDOG_S + 2 * summary.wall_s
    request = RunRequest("", seed, None, recorded.dut, recorded.profile, recorded.without, watchdog_s=watchdog_s)
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=FOLDER, prefix="replays-") as folder:
        yield OnRtl(request, simulation, Path(folder))
