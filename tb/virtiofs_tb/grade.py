"""`make grade`: is every named defect of the golden device caught, by whom, and after how many operations?

No simulator: each defect runs in the test that models/virtiofs_model/showings.py names for it, on all cores. The sound
device runs in the same tests with the same seeds and must be clean, or a catch would mean nothing.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from virtiofs_model.defects import DEFECTS
from virtiofs_model.showings import Showing, showing
from virtiofs_tb import catalogue, runner
from virtiofs_tb.arguments import check_sessions, parse_number
from virtiofs_tb.model_run import ModelRequest, run_model
from virtiofs_tb.paths import SIM_BUILD, shown
from virtiofs_tb.report import ResultClass, Summary

FILE = SIM_BUILD / "grade.json"
NOBODY, SCENARIO = "", "scenario"
CRASH = "crash"


@dataclass(frozen=True)
class Grade:
    """What came of one defect; of all seeds that were tried, up to the one that shows it.

    caught_by: the scoreboard, or SCENARIO; NOBODY if nothing was found, or if the testbench itself crashed, which
    says nothing of the device. board: who must catch it by the registry. requests: FUSE requests that were used, and
    packets: TLPs either way, until it was caught. clause: of the report, else the first that the defect breaks.
    """

    defect: str
    description: str
    board: str
    caught_by: str
    requests: int
    packets: int
    clause: str
    clauses: tuple[str, ...]
    test: str
    seed: int
    found: str
    rerun: str
    wall_s: float

    @property
    def caught(self) -> bool:
        """Whether somebody found it."""
        return self.caught_by != NOBODY


@dataclass(frozen=True)
class Sound:
    """A run of the sound device. failure: what was found all the same ("" nothing)."""

    test: str
    seed: int
    failure: str
    rerun: str
    wall_s: float


def caught_by(summary: Summary) -> str:
    """Who found the first failure of a run: a scoreboard by name, or the scenario; NOBODY for none and for a crash."""
    if not summary.failures or summary.failures[0].kind == CRASH:
        return NOBODY
    source = summary.failures[0].source
    return SCENARIO if source.startswith("step ") or source == "start" else source


def request_of(how: Showing, seed: int, defect: str = "") -> ModelRequest:
    """One run, as `virtiofs-tb model` has it; it leaves no files."""
    return ModelRequest(how.test, seed, defect, without=how.without, engine=how.engine)


def grade_one(defect: str) -> Grade:
    """Run a defect until it is caught, or its seeds are over."""
    info = DEFECTS[defect]
    how = showing(info)
    requests = packets = 0
    started = time.monotonic()
    for seed in range(1, how.seeds + 1):
        request = request_of(how, seed, defect)
        summary = run_model(request)
        requests += summary.requests
        packets += summary.tlps
        if summary.failures:
            break
    first = summary.failures[0] if summary.failures else None
    return Grade(
        defect,
        info.description,
        info.scoreboard,
        caught_by(summary),
        requests,
        packets,
        (first.clause if first else "") or info.clauses[0],
        info.clauses,
        how.test,
        seed,
        first.line if first else "",
        request.rerun,
        time.monotonic() - started,
    )


def sound_one(run: tuple[Showing, int]) -> Sound:
    """Run the sound device as a defect was run."""
    request = request_of(*run)
    summary = run_model(request)
    failure = summary.failures[0].line if summary.failures else ""
    return Sound(request.test, request.seed, failure, request.rerun, summary.wall_s)


def runs_of_sound(grades: Iterable[Grade]) -> list[tuple[Showing, int]]:
    """Each stimulus that a defect had, once: with every seed that was tried."""
    seeds: dict[Showing, int] = {}
    for grade in grades:
        how = showing(DEFECTS[grade.defect])
        seeds[how] = max(grade.seed, seeds.get(how, 0))
    return [(how, seed) for how, last in seeds.items() for seed in range(1, last + 1)]


def run_grade(
    defects: Sequence[str], workers: int, progress: Callable[[str], None] = lambda text: None
) -> tuple[list[Grade], list[Sound]]:
    """All defects, then the sound device in the same runs. progress: is told what has ended."""
    with ProcessPoolExecutor(workers) as pool:
        try:
            ended: list[Grade] = []
            for done in as_completed([pool.submit(grade_one, defect) for defect in defects]):
                ended.append(done.result())
                progress(f"{len(ended)} of {len(defects)} defects")
            order = {defect: index for index, defect in enumerate(defects)}
            grades = sorted(ended, key=lambda grade: order[grade.defect])
            runs = runs_of_sound(grades)
            progress(f"the sound device in {len(runs)} runs")
            return grades, list(pool.map(sound_one, runs))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def write(path: Path, grades: Sequence[Grade], sound: Sequence[Sound], wall_s: float) -> None:
    """The same as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = {
        "wall_s": round(wall_s, 1),
        "caught": sum(grade.caught for grade in grades),
        "defects": [{**asdict(grade), "caught": grade.caught} for grade in grades],
        "sound": [asdict(run) for run in sound],
    }
    path.write_text(json.dumps(data, indent=2) + "\n")


def table_of(grades: Sequence[Grade]) -> Table:
    """For a person: one line a defect."""
    table = Table(box=None, pad_edge=False)
    for column in ("defect", "caught by", "requests", "packets", "clause", "test"):
        table.add_column(column, justify="right" if column in ("requests", "packets") else "left", no_wrap=True)
    for grade in grades:
        who = grade.caught_by or "[red]NOT CAUGHT[/red]"
        test = f"{catalogue.stem(grade.test)}, seed {grade.seed}"
        table.add_row(grade.defect, who, f"{grade.requests:,}", f"{grade.packets:,}", grade.clause, test)
    return table


def complaints(grades: Iterable[Grade], sound: Iterable[Sound]) -> list[str]:
    """Why the grade is not good enough, a line each."""
    lines = []
    for grade in grades:
        if not grade.caught:
            seen = f"the testbench crashed ({grade.found})" if grade.found else "nothing was found"
            lines.append(f"{grade.defect} is not caught: {seen}; {grade.description}; again: {grade.rerun}")
    lines += [f"the sound device fails: {run.failure}; again: {run.rerun}" for run in sound if run.failure]
    return lines


def verdict(grades: Sequence[Grade], sound: Sequence[Sound], bad: bool, wall_s: float) -> str:
    """All of it in one sentence."""
    caught = [grade for grade in grades if grade.caught]
    scenario = sum(grade.caught_by == SCENARIO for grade in caught)
    clean = sum(not run.failure for run in sound)
    return (
        f"{'FAILED' if bad else 'PASSED'} {len(caught)} of {len(grades)} defects caught, {len(caught) - scenario} by a "
        f"scoreboard first and {scenario} by the scenario first; the sound device is clean in {clean} of {len(sound)} "
        f"runs; {wall_s:.0f} s"
    )


@click.command()
@click.option("--jobs", envvar="VIRTIOFS_JOBS", default="", help="runs side by side [cores]")
def grade(jobs: str) -> None:
    """Run every defect of the golden device; a table of who catches it, and after how many operations.

    Status 1 where one is not caught, or where the sound device fails in the same runs.
    """
    workers = parse_number("JOBS", jobs, 1, 256) if jobs else runner.default_jobs()
    check_sessions()
    console = Console()
    started = time.monotonic()
    with console.status("running defects") as status:
        grades, sound = run_grade(list(DEFECTS), workers, status.update)
    wall_s = time.monotonic() - started
    write(FILE, grades, sound, wall_s)
    (console if console.is_terminal else Console(width=200)).print(table_of(grades))
    bad = complaints(grades, sound)
    for line in bad:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    console.print(verdict(grades, sound, bool(bad), wall_s), highlight=False, soft_wrap=True)
    console.print(f"table: {shown(FILE)}", highlight=False)
    sys.exit(ResultClass.FAILED if bad else ResultClass.PASSED)
