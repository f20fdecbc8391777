"""Reruns a test with waves, and writes the viewers' files beside them."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from virtiofs_model.layouts.fuse_constants import Opcode
from virtiofs_tb.analysis.export_ftr import write_ftr
from virtiofs_tb.analysis.show import Selection
from virtiofs_tb.analysis.source import AnalysisError, open_run, parse_time
from virtiofs_tb.analysis.stories import tell
from virtiofs_tb.host.log import Kind, LogError, read_log
from virtiofs_tb.paths import ENDPOINT_FILELIST, shown
from virtiofs_tb.report import Summary, microseconds
from virtiofs_tb.runner import RunRequest, UsageError
from virtiofs_tb.waves.groups import Group, located
from virtiofs_tb.waves.hierarchy import DumpError, signals
from virtiofs_tb.waves.views import Marker, write_views

FOREVER_PS = (1 << 63) - 1
STORIES = "stories.ftr"


@dataclass(frozen=True)
class Views:
    """The files beside the dump. stories: transactions, None where the run left no log.

    missing: signals of the groups that the dump does not have.
    """

    gtkwave: Path
    surfer: Path
    stories: Path | None
    markers: list[Marker]
    missing: list[str]


def parse_window(begin: str, end: str) -> tuple[int, int] | None:
    """FROM= and TO=, in ps; None where neither is given. Raises UsageError."""
    if not begin and not end:
        return None
    try:
        window = parse_time("FROM", begin) if begin else 0, parse_time("TO", end) if end else FOREVER_PS
    except AnalysisError as error:
        raise UsageError(str(error).replace("FROM ", "FROM=").replace("TO ", "TO=")) from error
    if window[0] > window[1]:
        raise UsageError(f"FROM={begin} is after TO={end}")
    return window


def check_window(window: tuple[int, int] | None, end_ps: int) -> None:
    """Raises UsageError where a time of the window is beyond the run, which ended at `end_ps`."""
    for what, t_ps in zip(("FROM", "TO"), window or (), strict=False):
        if end_ps < t_ps < FOREVER_PS:
            text = f"{what}={microseconds(t_ps).replace(' ', '')}"
            raise UsageError(f"{text}: outside the run, which ends at {microseconds(end_ps)}")


def earlier_end(request: RunRequest) -> int | None:
    """When the run of the same name and seed ended that is still there; None where nothing says it."""
    try:
        summary = Summary.read(request.directory)
    except (ValueError, KeyError, TypeError):
        return None
    if summary is None or (summary.dut, summary.profile) != (shown(request.dut), request.profile.name):
        return None
    return summary.sim_time_ps or None


def markers(directory: Path, summary: Summary) -> list[Marker]:
    """The last reset and the last INIT before the failure, or of a run that passed, and the failure."""
    failure = summary.failures[0].t_ps if summary.failures else None
    found: dict[str, int] = {}
    # A run that crashed early has no log that could be read, but perhaps waves.
    with contextlib.suppress(LogError, OSError):
        records = [record for record in read_log(directory) if failure is None or record.t_ps <= failure]
        found |= [("reset", record.t_ps) for record in records if record.kind == Kind.RESET][-1:]
        found |= [("INIT", story.begin_ps) for story in tell(records) if story.op == Opcode.INIT.name][-1:]
    if failure is not None:
        found["failure"] = failure
    return [Marker(name, t_ps) for name, t_ps in found.items()]


def write_beside(dump: Path, groups: Sequence[Group], summary: Summary, window: tuple[int, int] | None = None) -> Views:
    """The viewers' files for `dump`, which is of `window`. Raises UsageError where it cannot be read."""
    try:
        found, missing = located(groups, signals(dump))
    except DumpError as error:
        raise UsageError(str(error)) from error
    marks = markers(dump.parent, summary)
    gtkwave, surfer = write_views(dump.resolve(), found, marks)
    return Views(gtkwave, surfer, write_stories(dump.parent, window), marks, missing)


def write_stories(directory: Path, window: tuple[int, int] | None) -> Path | None:
    """Every story with a part in the window, as transactions; None where the run has no log that could be read."""
    path = directory / STORIES
    try:
        run = open_run(str(directory))
        stories = Selection(begin_ps=window[0] if window else None, end_ps=window[1] if window else None)
        write_ftr(stories.of(tell(run.records)), run.records, path, run.modified)
    except AnalysisError:
        return None
    return path


def print_views(console: Console, views: Views, summary: Summary) -> None:
    """Where the files are, and how they are opened."""
    folder = views.gtkwave.parent
    for path in views.missing:
        console.print(f"not in the waves: {path}", markup=False, highlight=False)
    marks = ", ".join(f"{marker.name} at {microseconds(marker.t_ps)}" for marker in views.markers)
    console.print(f"waves: {summary.waves}; markers: {marks or 'none'}", highlight=False, soft_wrap=True)
    console.print(f"  gtkwave {shown(views.gtkwave)}", highlight=False, soft_wrap=True)
    console.print(
        f"  cd {shown(folder)} && surfer {Path(summary.waves).name} --command-file {views.surfer.name}",
        highlight=False,
        soft_wrap=True,
    )
    if views.stories is not None:
        console.print(f"  surfer {shown(views.stories)}", highlight=False, soft_wrap=True)


def is_ours(dut: Path) -> bool:
    return dut.resolve() == ENDPOINT_FILELIST.resolve()
