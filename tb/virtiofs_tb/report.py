"""What a run says of itself: summary.json, and the same for a person to read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from virtiofs_tb.paths import shown

SUMMARY = "summary.json"
CARD_TEXT, CARD_PAGE = "card.txt", "card.html"
CONSOLE_FILE = "console.log"  # what a guest printed
MODEL = "golden device"  # the `dut` of a run without a simulator
SHOWN_FAILURES = 10


class ResultClass(IntEnum):
    """Exit status of virtiofs-tb (make turns every failure into 2, so summary.json holds the class)."""

    PASSED = 0
    FAILED = 1  # a check failed, a test crashed, the watchdog struck
    USAGE = 2  # what was asked for does not exist, or the machine lacks something
    BUILD = 3  # the simulation could not be built


@dataclass
class StepReport:
    """One scenario of a run. result: 'passed', 'failed' or 'not applicable' (reason says why)."""

    name: str
    result: str
    start_ps: int = 0
    end_ps: int = 0
    reason: str = ""


@dataclass
class FailureReport:
    """Why a run failed. source: the scoreboard or part that says so; seq: of its record in the log (-1: none).

    kind: 'check' (the endpoint did something else than expected), 'hang' (what was expected did not come) or 'crash'
    (the testbench failed; place says where). owed: what was under way when the run was given up.
    """

    source: str
    t_ps: int
    text: str
    clause: str = ""
    seq: int = -1
    expected: str = ""
    seen: str = ""
    kind: str = "check"
    place: str = ""
    owed: list[str] = field(default_factory=list)

    @property
    def line(self) -> str:
        """What was wrong, in one sentence."""
        text = self.text
        if self.expected or self.seen:
            text += f": expected {self.expected}, seen {self.seen}"
        return text + (f" ({self.place})" if self.place else "")


@dataclass
class Summary:
    """Everything in summary.json. Speeds are per second of wall clock of the simulation alone, without its build.

    dut: file list of the endpoint, or MODEL; defect: what that one does wrong.
    """

    test: str
    seed: int
    result_class: int = ResultClass.FAILED
    message: str = ""
    rerun: str = ""
    dut: str = ""
    defect: str = ""
    profile: str = ""
    waves: str = ""
    trace_hash: str = ""
    sim_time_ps: int = 0
    cycles: int = 0
    wall_s: float = 0.0
    tlps: int = 0
    requests: int = 0
    peak_rss_mib: float = 0.0
    requests_by_opcode: dict[str, int] = field(default_factory=dict)
    notifications: dict[str, int] = field(default_factory=dict)
    scoreboards: dict[str, dict[str, int]] = field(default_factory=dict)
    window: dict[str, float] = field(default_factory=dict)
    steps: list[StepReport] = field(default_factory=list)
    failures: list[FailureReport] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        return self.result_class == ResultClass.PASSED

    def write(self, run_dir: Path) -> None:
        run_dir.mkdir(parents=True, exist_ok=True)
        data = asdict(self)
        data["class"] = data.pop("result_class")
        data["result"] = "passed" if self.passed else "failed"
        temporary = run_dir / (SUMMARY + ".part")
        temporary.write_text(json.dumps(data, indent=2) + "\n")
        temporary.replace(run_dir / SUMMARY)

    @classmethod
    def read(cls, run_dir: Path) -> Summary | None:
        """The summary of a finished run; None where the run wrote none (it was killed)."""
        path = run_dir / SUMMARY
        if not path.exists():
            return None
        data: dict[str, Any] = json.loads(path.read_text())
        data["result_class"] = data.pop("class")
        data.pop("result")
        data["steps"] = [StepReport(**step) for step in data["steps"]]
        data["failures"] = [FailureReport(**failure) for failure in data["failures"]]
        return cls(**data)


def microseconds(t_ps: int) -> str:
    """Simulated time as people say it."""
    return f"{t_ps / 1e6:,.3f} us"


def print_failures(console: Console, summary: Summary, run_dir: Path) -> None:
    """A line for each failure. Behind the card, so that the last lines of a log say what failed."""
    if not summary.passed and summary.failures:
        console.print()
    for failure in summary.failures[:SHOWN_FAILURES]:
        clause = f" [{failure.clause}]" if failure.clause else ""
        line = f"FAILED {failure.source} at {microseconds(failure.t_ps)}{clause}: {failure.line}"
        console.print(line.replace("\n", " "), markup=False, highlight=False, style="red", soft_wrap=True)
    if len(summary.failures) > SHOWN_FAILURES:
        console.print(f"... and {len(summary.failures) - SHOWN_FAILURES} more failures in {shown(run_dir / SUMMARY)}")
    if summary.message:
        console.print(summary.message, markup=False, style="red" if not summary.passed else "")


def print_outcomes(console: Console, summaries: Sequence[Summary]) -> None:
    """Of several runs those that failed, a line each, and why."""
    failed = [summary for summary in summaries if not summary.passed]
    if failed and len(summaries) > 1:
        console.print()
        for summary in failed:
            why = f"{summary.failures[0].source}: {summary.failures[0].line}" if summary.failures else summary.message
            line = f"failed: {summary.test}, seed {summary.seed}: {' '.join(why.split())}"
            console.print(line, markup=False, highlight=False, style="red", soft_wrap=True)


def print_summary(console: Console, summary: Summary, run_dir: Path) -> None:
    """The end of `make sim`."""
    if summary.steps:
        steps = Table(title="what ran", title_justify="left", box=None, pad_edge=False)
        for column in ("step", "result", "simulated time"):
            steps.add_column(column, justify="right" if column == "simulated time" else "left")
        for step in summary.steps:
            result = step.result + (f": {step.reason}" if step.reason else "")
            steps.add_row(step.name, result, microseconds(step.end_ps - step.start_ps))
        console.print(steps)
    if summary.requests_by_opcode:
        counts = ", ".join(f"{name} {count}" for name, count in sorted(summary.requests_by_opcode.items()))
        console.print(f"\nFUSE requests by opcode: {counts}", highlight=False)
    if summary.notifications:
        counts = ", ".join(f"{name} {count}" for name, count in summary.notifications.items())
        console.print(f"notifications: {counts}", highlight=False)
    if summary.scoreboards:
        console.print()
        boards = Table(title="scoreboards", title_justify="left", box=None, pad_edge=False)
        boards.add_column("scoreboard")
        boards.add_column("checked", justify="right")
        boards.add_column("of which")
        for name, checks in summary.scoreboards.items():
            detail = ", ".join(f"{check} {count}" for check, count in checks.items() if count)
            boards.add_row(name, str(sum(checks.values())), detail)
        console.print(boards)
    if summary.wall_s > 0 and summary.cycles:
        console.print(
            f"\nspeed: {summary.cycles / summary.wall_s:,.0f} cycles/s, {summary.tlps / summary.wall_s:,.0f} TLPs/s, "
            f"{summary.requests / summary.wall_s:,.0f} FUSE requests/s; peak memory {summary.peak_rss_mib:,.0f} MiB",
            highlight=False,
        )
    if summary.window:
        window = ", ".join(f"{name} {value:,.0f}" for name, value in summary.window.items())
        console.print(f"random part: {window}", highlight=False)
    card = run_dir / CARD_TEXT
    if not summary.passed and card.exists():
        console.print()
        console.print(card.read_text().rstrip(), markup=False, highlight=False, soft_wrap=True)
    print_failures(console, summary, run_dir)
    verdict = "PASSED" if summary.passed else "FAILED"
    console.print(
        f"\n{verdict} {summary.test}, seed {summary.seed}, simulated {microseconds(summary.sim_time_ps)} in "
        f"{summary.wall_s:.1f} s, trace {summary.trace_hash[:16] or 'none'}",
        style="bold green" if summary.passed else "bold red",
        highlight=False,
        soft_wrap=True,
    )
    console.print(f"files: {shown(run_dir)}; again: {summary.rerun}", markup=False, highlight=False, soft_wrap=True)
