"""Finds and reads the log of a run, and turns what a person types into times; every problem is one line."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from virtiofs_tb.host.log import LOG_NAME, PAYLOAD_NAME, Kind, LogError, Record, SnapshotChannel, read_log
from virtiofs_tb.host.log_files import Size, size_of
from virtiofs_tb.paths import RUNS, shown
from virtiofs_tb.report import SUMMARY, microseconds

_UNITS = {"ps": 1, "ns": 10**3, "us": 10**6, "ms": 10**9, "s": 10**12}
_TIME = re.compile(r"([\d,]*\.?\d+)\s*([a-z]*)")


class AnalysisError(Exception):
    """What was asked for cannot be told; the message is the one line that a person reads."""


@dataclass(slots=True)
class RunLog:
    """The records of a run up to the last whole one. notice: what is missing behind it ('' nothing).

    modified: when the log was last written to, in seconds since 1970.
    """

    directory: Path
    records: list[Record]
    notice: str
    modified: int

    @property
    def end_ps(self) -> int:
        return max(record.t_ps for record in self.records)

    def time(self, what: str, text: str) -> int:
        """Simulated time such as 12.5us (ps, ns, us, ms, s; us where there is no unit), in ps.

        Raises AnalysisError for anything else and for a time outside the run.
        """
        t_ps = parse_time(what, text)
        if t_ps > self.end_ps:
            raise AnalysisError(f"{what} {text}: outside the run, which ends at {microseconds(self.end_ps)}")
        return t_ps


def parse_time(what: str, text: str) -> int:
    """Simulated time as RunLog.time takes it, of any run. Raises AnalysisError."""
    match = _TIME.fullmatch(text.strip())
    unit = _UNITS.get((match[2] or "us") if match else "")
    if match is None or unit is None:
        raise AnalysisError(f"{what} {text}: expected simulated time, such as 12.5us")
    return round(float(match[1].replace(",", "")) * unit)


def open_run(text: str) -> RunLog:
    """The log in a directory, or in sim_build/runs/TEXT. Raises AnalysisError where there is none that can be read."""
    directory = next((place for place in (Path(text), RUNS / text) if (place / LOG_NAME).is_file()), None)
    if directory is None:
        known = Path(text).is_dir() or (RUNS / text).is_dir()
        raise AnalysisError(
            f"{text}: no {LOG_NAME} in this directory" if known
            else f"{text}: neither a run's directory nor TEST-SEED below {shown(RUNS)}"
        )  # fmt: skip
    try:
        records = list(read_log(directory))
        size = size_of(directory)
    except FileNotFoundError:
        raise AnalysisError(f"{shown(directory)}: {PAYLOAD_NAME} is missing") from None
    except (LogError, OSError) as error:
        raise AnalysisError(str(error)) from None
    if not records:
        raise AnalysisError(f"{shown(directory / LOG_NAME)}: there is no whole record in it")
    return RunLog(directory, records, "; ".join(_notices(directory, records, size)), size.modified)


def _notices(directory: Path, records: list[Record], size: Size) -> list[str]:
    notices = []
    for before, record in pairwise(records):
        if record.kind == Kind.SNAPSHOT and record.channel == SnapshotChannel.OBSERVER:
            notices.append(
                f"the log was bounded: nothing is kept of {microseconds(before.t_ps)} to {microseconds(record.t_ps)}"
            )
    if size.rest or size.records != len(records):
        notices.append(f"the log is cut off: it is told up to its last whole record, number {len(records)}")
    elif not (directory / SUMMARY).exists():
        notices.append("the run left no summary: it is under way, or it was killed")
    return notices
