"""What a person types: names, numbers and files, checked; every problem is one UsageError."""

from __future__ import annotations

import difflib
from pathlib import Path

from virtiofs_tb import catalogue, runner
from virtiofs_tb.driver.session import SessionError, load_session
from virtiofs_tb.paths import ROOT, SESSIONS
from virtiofs_tb.scoreboards import ALL


def check_sessions() -> None:
    """A recorded session that cannot be read is found before anything is built."""
    for path in sorted(SESSIONS.glob("*.jsonl")):
        try:
            load_session(path)
        except SessionError as error:
            raise runner.UsageError(str(error)) from error


def parse_tests(text: str) -> list[str]:
    """TEST=a,b, each a name or a file of scenarios. UsageError with the nearest names for one that does not exist."""
    known = [entry.name for entry in catalogue.entries()]
    names = [name.strip() for name in text.split(",") if name.strip()] or [runner.DEFAULT_TEST]
    names = [catalogue.file_name(name) if name.endswith(catalogue.SCENARIO_FILE) else name for name in names]
    for name in names:
        if name.endswith(catalogue.SCENARIO_FILE):
            check_file(name)
        elif name not in known:
            near = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
            hint = f"did you mean {' or '.join(near)}?" if near else "`make list` shows all"
            raise runner.UsageError(f"TEST={name}: no such test; {hint}")
    return names


def check_file(name: str) -> None:
    """UsageError for a file of scenarios that cannot be loaded."""
    try:
        catalogue.find(name)
    except catalogue.PlanError as error:
        raise runner.UsageError(f"TEST={error}") from error


def parse_scoreboards(text: str) -> tuple[str, ...]:
    """WITHOUT=a,b. UsageError for a name that no scoreboard has."""
    known = [board.name for board in ALL]
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    for name in names:
        if name not in known:
            raise runner.UsageError(f"WITHOUT={name}: no such scoreboard; there are {', '.join(known)}")
    return names


def parse_engine(text: str) -> str:
    """ENGINE=ramfs or firmware; "" leaves it to the test. UsageError for anything else."""
    if text and text not in catalogue.ENGINES:
        raise runner.UsageError(f"ENGINE={text}: no such engine; it is {' or '.join(catalogue.ENGINES)}")
    return text


def parse_number(what: str, text: str, least: int, most: int) -> int:
    try:
        value = int(text, 0)
    except ValueError:
        raise runner.UsageError(f"{what}={text}: expected a whole number") from None
    if not least <= value <= most:
        raise runner.UsageError(f"{what}={text}: expected {least} to {most}")
    return value


def existing_file(what: str, text: str) -> Path:
    path = Path(text)
    path = path if path.is_absolute() else ROOT / path
    if not path.is_file():
        raise runner.UsageError(f"{what}={text}: no such file")
    return path
