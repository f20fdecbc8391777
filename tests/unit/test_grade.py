"""`make grade`: what counts as caught, who is asked, and that a defect that slips through, or a sound device that does
not, fails it. That all defects are caught is what the command itself and the other tests of defects say."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from virtiofs_model.defects import DEFECTS
from virtiofs_model.showings import SHOWINGS, Showing, showing
from virtiofs_tb import catalogue, grade
from virtiofs_tb.grade import Grade, Sound, caught_by, complaints, grade_one, run_grade, runs_of_sound
from virtiofs_tb.report import FailureReport, ResultClass, Summary
from virtiofs_tb.scoreboards import ALL

CLAUSES = Path(__file__).parents[2] / "spec" / "clauses.csv"
QUICK = ["bar_size", "used_id", "packed_write_flag", "queue_reset_interrupts", "fs_read_destroys"]


def test_each_line_is_of_a_defect() -> None:
    assert set(SHOWINGS) <= set(DEFECTS)


@pytest.mark.parametrize("how", list(dict.fromkeys(map(showing, DEFECTS.values()))), ids=lambda how: how.test)
def test_what_shows_a_defect_can_run(how: Showing) -> None:
    assert catalogue.find(how.test).steps
    assert how.engine in catalogue.ENGINES and how.seeds >= 1
    assert set(how.without) <= {board.name for board in ALL}


def test_there_are_eighty() -> None:
    with CLAUSES.open(newline="") as file:
        known = {row["id"] for row in csv.DictReader(file)}
    assert len(DEFECTS) >= 80
    assert all(info.clauses and set(info.clauses) <= known for info in DEFECTS.values())


def test_some_defects_and_the_sound_device() -> None:
    grades, sound = run_grade(QUICK, 2)
    assert [one.defect for one in grades] == QUICK
    assert [one.caught_by for one in grades] == [DEFECTS[name].scoreboard for name in QUICK]
    assert all(one.packets and one.clause and f"--defect {one.defect}" in one.rerun for one in grades)
    assert len(sound) == len({showing(DEFECTS[name]) for name in QUICK}) and not any(run.failure for run in sound)
    assert complaints(grades, sound) == []


def test_a_defect_that_slips_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SHOWINGS, "packed_write_flag", Showing("identity", seeds=2))
    missed = grade_one("packed_write_flag")
    assert not missed.caught and missed.seed == 2
    assert "packed_write_flag is not caught: nothing was found" in complaints([missed], [])[0]


@pytest.mark.parametrize(
    ("failures", "who"),
    [
        ([], ""),
        ([FailureReport("dma", 0, "a write")], "dma"),
        ([FailureReport("step session_browse", 0, "hangs", kind="hang")], "scenario"),
        ([FailureReport("step session_browse", 0, "KeyError", kind="crash")], ""),
    ],
)
def test_what_counts_as_caught(failures: list[FailureReport], who: str) -> None:
    assert caught_by(Summary("session_browse", 1, failures=failures)) == who


BAD = Grade("used_id", "", "descriptors", "", 1, 2, "", (), "identity", 3, "", "", 0.0)


def test_the_sound_device_runs_with_every_seed_that_was_tried() -> None:
    how = showing(DEFECTS["used_id"])
    assert runs_of_sound([BAD, replace(BAD, seed=2)]) == [(how, 1), (how, 2), (how, 3)]


@pytest.mark.parametrize(
    ("one", "run", "status"),
    [
        (replace(BAD, caught_by="descriptors"), Sound("identity", 1, "", "", 0.0), ResultClass.PASSED),
        (replace(BAD, caught_by="descriptors"), Sound("identity", 1, "wrong", "", 0.0), ResultClass.FAILED),
        (BAD, Sound("identity", 1, "", "", 0.0), ResultClass.FAILED),
        (replace(BAD, found="KeyError: 3"), Sound("identity", 1, "", "", 0.0), ResultClass.FAILED),
    ],
)
def test_the_command(
    one: Grade, run: Sound, status: ResultClass, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grade, "FILE", tmp_path / "grade.json")
    monkeypatch.setattr(grade, "run_grade", lambda defects, workers, progress: ([one], [run]))
    done = CliRunner().invoke(grade.grade, [])
    assert done.exit_code == status
    assert one.defect in done.output and ("NOT CAUGHT" in done.output) == (not one.caught)
    written = json.loads((tmp_path / "grade.json").read_text())
    assert written["caught"] == one.caught and written["defects"][0]["defect"] == "used_id"


def test_the_usual_tests_are_by_kind() -> None:
    assert showing(DEFECTS["fs_link_twice"]).test == "tree_operations"
    assert showing(DEFECTS["queue_reset_keeps_place"]).test == "queues_begin_anew"
    assert showing(DEFECTS["bar_size"]) == showing(DEFECTS["capability_length"])
    assert showing(DEFECTS["order_as_answered"]).test == "rings_in_order"
    assert showing(DEFECTS["event_ahead"]).test == "suppressed_interrupts"
