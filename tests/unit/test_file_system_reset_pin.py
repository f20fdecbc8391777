"""A reset by pin empties the file system, for the scoreboard too (docs/file-system.md, "How it is judged")."""

from __future__ import annotations

from dataclasses import replace

from tests.unit.test_file_system_board import LIMIT_PS, ROOT, SMALL, STRICT, look_again
from virtiofs_tb.host.log import Kind, Record
from virtiofs_tb.host.model_host import ModelHost
from virtiofs_tb.scenario import Bench
from virtiofs_tb.scoreboards import ScoreboardSet


def one_life() -> list[Record]:
    """From power-on, names that are made in an empty file system."""
    host = ModelHost(1, ramfs=SMALL)
    records: list[Record] = []
    host.log.subscribe(records.extend)
    host.run(look_again(host, Bench(1, ROOT / "tests" / "data" / "sessions", faults=host.faults)), LIMIT_PS)
    host.drain(LIMIT_PS)
    host.log.flush()
    return records


def after(records: list[Record], more: list[Record], pin: bool) -> list[Record]:
    """Both, with a reset by pin between them or without."""
    last = records[-1]
    between = [replace(last, kind=int(Kind.RESET), channel=0, seq=last.seq + 1, payload=b"")] if pin else []
    return [*records, *between, *(replace(one, t_ps=one.t_ps + last.t_ps, seq=one.seq + last.seq + 2) for one in more)]


def judged(records: list[Record]) -> ScoreboardSet:
    boards = ScoreboardSet(STRICT, ["file_system"])
    boards.engage_ramfs(SMALL)
    boards.observe(records)
    boards.finish()
    return boards


def test_two_lives() -> None:
    life = one_life()
    boards = judged(after(life, life, pin=True))
    assert [str(failure) for failure in boards.failures] == []
    assert boards.counts["file_system"] > 1.9 * judged(life).counts["file_system"]
    assert judged(after(life, life, pin=False)).failures, "without the pin everything is still there"


def test_after_a_failure_too() -> None:
    life = one_life()
    failed = after(life, life, pin=False)
    boards = judged(after(failed, life, pin=True))
    assert len(boards.failures) == 1
    unjudged = judged(failed).details["file_system"]["not judged any more"]
    assert boards.details["file_system"]["not judged any more"] == unjudged + 1, "the reset of the session, and no more"
