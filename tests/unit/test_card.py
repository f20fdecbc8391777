"""The failure card names what is needed to read the cause off it, for checks, hangs, crashes and killed runs."""

from __future__ import annotations

import io
import re
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from rich.console import Console

from tests.unit.carded_runs import failing_run
from tests.unit.recorded_runs import record_run
from virtiofs_model.defects import DEFECTS
from virtiofs_model.layouts.fuse_constants import Opcode
from virtiofs_tb import cli, runner
from virtiofs_tb.analysis.card import as_text, clauses, make_card, write_card
from virtiofs_tb.analysis.difference import NOTIFICATION, REPLY, REQUEST, difference
from virtiofs_tb.analysis.source import AnalysisError
from virtiofs_tb.build import Build
from virtiofs_tb.driver.bringup import mount
from virtiofs_tb.host.log import LOG_NAME
from virtiofs_tb.host.port import HostPort
from virtiofs_tb.report import CARD_PAGE, CARD_TEXT, SUMMARY, ResultClass, Summary, print_outcomes, print_summary
from virtiofs_tb.scenario import Bench

USUAL = "without_the_notification_feature"

# defect: the scenario that shows it, and what must stand on its card: stages and lines that point at the cause.
CARDS = {
    "used_length_of_buffer": (
        "session_browse",
        ["expected  336 as the engine replied", "seen      32784", "READDIRPLUS on queue 2, unique 10", "used index"],
    ),
    "byte_past_descriptor": (
        USUAL,
        [
            "write of 81 bytes",
            "80 writable",
            "head 648: open after engine reply",
            "*1: 0x1001d3c0 80 bytes write",
        ],
    ),
    "interrupt_decided_early": (
        USUAL,
        ["a read of the suppression word, issued after the used index", "used index ", "suppression word  flags 0"],
    ),
    "used_index_before_data": (USUAL, ["byte 0 of the writable part not written", "INIT on queue 2", "used index"]),
    "reply_corrupted": (USUAL, ["0x00 as the engine replied", "reply: expected 96 bytes", "st.spare+16", "STATFS"]),
    "request_corrupted": (USUAL, ["as read from memory", "request: expected 104 bytes", "unused+32", "INIT"]),
    "notify_reordered": ("held_messages_arrive_in_order", ["which is next", "at 4    error", "RETRIEVE on queue 1"]),
    "interrupt_suppressed_sent": (
        "every_way_to_take_interrupts",
        ["none: no used buffer asks for it", "flags 1, no interrupt wanted", "suppression read"],
    ),
}


@pytest.mark.parametrize("defect", CARDS)
def test_a_failed_check_ends_in_a_card(defect: str, tmp_path: Path) -> None:
    test, pointers = CARDS[defect]
    summary = failing_run(tmp_path, test, defect)
    write_card(tmp_path, summary)
    text = (tmp_path / CARD_TEXT).read_text()
    failure = summary.failures[0]
    assert failure.kind == "check" and failure.source == DEFECTS[defect].scoreboard
    for part in (failure.text, failure.expected, failure.seen, f"seq {failure.seq}", "seed 1", f"in step {test}"):
        assert part in text
    assert f"clause {failure.clause}: {clauses()[failure.clause].text}" in " ".join(text.split())
    begin = re.search(rf"again, with waves: +make waves TEST={test} SEED=1 FROM=([\d.]+)us$", text, re.MULTILINE)
    assert begin is not None and float(begin[1]) * 1e6 < failure.t_ps
    assert re.search(rf"^> +[\d,.]+ +{failure.seq} ", text, re.MULTILINE), "the failing packet is marked"
    for pointer in pointers:
        assert pointer in text
    assert len(text.splitlines()) <= 60 and max(map(len, text.splitlines())) <= 200


class Page(HTMLParser):
    """Text of a page, and what it would load."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.text = ""
        self.links: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_says_the_same_and_needs_no_other_file(tmp_path: Path) -> None:
    summary = failing_run(tmp_path, USUAL, "reply_corrupted")
    write_card(tmp_path, summary)
    page = Page((tmp_path / CARD_PAGE).read_text())
    assert page.links == []
    card = make_card(tmp_path, summary)
    told = [card.failure.text, card.failure.expected, card.failure.seen, card.when, card.story_title, *card.ring]
    told += [row[3] for row in card.packets] + [command for _, command in card.commands]
    assert card.difference is not None
    told += [row.expected for row in card.difference.rows]
    assert [part for part in told if part not in page.text] == []


@pytest.mark.parametrize("defect", ["interrupt_missing", "notify_lost"])
def test_a_hang_says_what_is_owed_and_where_it_stands(defect: str, tmp_path: Path) -> None:
    test = "held_messages_arrive_in_order" if defect == "notify_lost" else USUAL
    summary = failing_run(tmp_path, test, defect)
    text = as_text(make_card(tmp_path, summary))
    assert summary.failures[0].kind == "hang"
    assert "a hang: what was expected did not come" in text
    debt = {
        "notify_lost": "notifications [FS-NQ-DI1]: the message of",
        "interrupt_missing": "interrupts [SPLIT-UNS-D03]",
    }
    assert f"-- owed\n  {debt[defect]}" in text
    assert "\n  task " in text or "... and 14 more" in text
    window = re.search(rf"make waves TEST={test} SEED=1 FROM=([\d.]+)us TO=([\d.]+)us\n", text)
    assert window is not None and float(window[1]) < float(window[2]) < 50, (
        "what comes after the last packet is left out"
    )
    if defect == "notify_lost":
        assert "queue 1 RESEND: stands after message, since" in text
        assert "... and 13 more" in text
    else:
        assert "SPLIT-UNS-D03" in text and "interrupt for chain 0" in text
        assert "suppression read" in text.split("-- STATFS")[1], "the story goes up to the decision"


def test_an_open_request_is_told_by_its_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The firmware gets a request and keeps it: the driver waits in vain."""

    async def keeps(host: HostPort, tb: Bench) -> None:
        mounted = await mount(host, tb)
        monkeypatch.setattr(tb.firmware, "_execute", lambda entry: None)
        await mounted.client.call(Opcode.STATFS)

    summary = failing_run(tmp_path, USUAL, instead=keeps, engine="firmware")
    text = as_text(make_card(tmp_path, summary))
    assert "STATFS on queue" in text and ": open after engine request" in text and "request to the engine" in text


def test_a_crash_of_the_testbench_says_so(tmp_path: Path) -> None:
    async def breaks(host: HostPort, tb: Bench) -> None:
        raise ZeroDivisionError("a slip of the pen")

    summary = failing_run(tmp_path, USUAL, instead=breaks)
    failure = summary.failures[0]
    assert failure.kind == "crash"
    text = as_text(make_card(tmp_path, summary))
    assert "a crash in the testbench" in text
    assert "ZeroDivisionError: a slip of the pen" in text
    assert "tests/unit/test_card.py:" in failure.place and "in breaks" in failure.place and failure.place in text


def test_a_crash_stays_in_sight_behind_a_failed_check(tmp_path: Path) -> None:
    summary = failing_run(tmp_path, USUAL, "reply_corrupted")
    summary.failures.append(type(summary.failures[0])("start", 0, "KeyError: 3", kind="crash", place="tb/x.py:1 in f"))
    assert "the testbench crashed as well: KeyError: 3 (tb/x.py:1 in f)" in as_text(make_card(tmp_path, summary))


def test_a_run_without_a_verdict_or_a_log(tmp_path: Path) -> None:
    run = record_run(tmp_path / "run", "session_browse")
    killed = Summary("session_browse", 1, message="it was ended after 260 s of wall clock")
    text = as_text(make_card(run, killed))
    assert "ended without a verdict" in text and "after 260 s" in text and "-- last packets" in text
    assert "in step session_browse" in text
    cut = run / LOG_NAME
    cut.write_bytes(cut.read_bytes()[:-20])
    assert "cut off" in as_text(make_card(run, killed))
    cut.unlink()
    assert f"nothing can be told of the log: {run}: no {LOG_NAME}" in as_text(make_card(run, killed))


def test_the_same_again_with_waves(tmp_path: Path) -> None:
    summary = Summary("t", 3, message="killed", rerun="make sim TEST=t SEED=3 WITHOUT=dma")
    assert "again, with waves:      make waves TEST=t SEED=3 WITHOUT=dma\n" in as_text(make_card(tmp_path, summary))
    summary.rerun = "make sim TEST=t SEED=3 DUT=other.f WAVES=1"
    assert "make waves TEST=t SEED=3 DUT=other.f\n" in as_text(make_card(tmp_path, summary))


def test_before_any_queue_there_is_none_to_look_at(tmp_path: Path) -> None:
    text = as_text(make_card(tmp_path, failing_run(tmp_path, USUAL, "bar_size")))
    assert "config_space: " in text and "-- last packets" in text and "virtiofs-tb rings" not in text


# ---- where it is written and printed ----


def ended(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Summary:
    """run_one on a simulation that leaves a failing run of the golden device."""

    def simulate(request: runner.RunRequest, simulation: Build) -> str:
        failing_run(request.directory, request.test, "reply_corrupted")
        return ""

    monkeypatch.setattr(runner, "_simulate", simulate)
    build: Build = SimpleNamespace()  # type: ignore[assignment]  # nothing looks at it
    return runner.run_one(runner.RunRequest(USUAL, 1, run_dir=directory), build)


def test_a_failing_run_leaves_and_prints_its_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = tmp_path / "run"
    summary = ended(run, monkeypatch)
    out = io.StringIO()
    print_summary(Console(file=out, width=100), summary, run)
    card = (run / CARD_TEXT).read_text()
    assert card.rstrip() in out.getvalue() and (run / CARD_PAGE).exists()
    failed, _, verdict, files = out.getvalue().splitlines()[-4:]
    assert failed.startswith("FAILED fuse at ") and failed.endswith(summary.failures[0].line), "behind the card"
    assert verdict.startswith(f"FAILED {USUAL}, seed 1") and files.startswith("files: ")
    done = CliRunner().invoke(cli.cli, ["card", str(run)], standalone_mode=False)
    assert done.exception is None and done.output.rstrip() == card.rstrip()


def test_the_last_lines_of_several_runs_say_what_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = ended(tmp_path / "run", monkeypatch)
    killed = Summary("killed", 2, ResultClass.FAILED, message="no answer\nfor a minute")
    out = io.StringIO()
    print_outcomes(Console(file=out, width=100), [failed, Summary("fine", 3, ResultClass.PASSED), killed])
    lines = out.getvalue().split("\n")
    assert lines[1:] == [
        f"failed: {USUAL}, seed 1: fuse: {failed.failures[0].line}",
        "failed: killed, seed 2: no answer for a minute",
        "",
    ]
    nothing = io.StringIO()
    print_outcomes(Console(file=nothing), [Summary("fine", 3, ResultClass.PASSED)] * 2)
    assert nothing.getvalue() == ""


def test_a_card_that_cannot_be_made_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(directory: Path, summary: Summary) -> None:
        raise KeyError("seven\nlines")

    monkeypatch.setattr(runner, "write_card", broken)
    summary = ended(tmp_path / "run", monkeypatch)
    assert summary.result_class == ResultClass.FAILED and summary.failures[0].source == "fuse"
    assert summary.message.splitlines() == ["no failure card: KeyError: 'seven\\nlines'"]


def test_card_of_what_has_none(tmp_path: Path) -> None:
    passed = record_run(tmp_path / "passed", "session_browse")
    torn = tmp_path / "torn"
    torn.mkdir()
    (torn / SUMMARY).write_text("{")
    cases = {passed: "the run passed", tmp_path: "left no summary", Path("nothing-1"): "below", torn: "not a summary"}
    for argument, text in cases.items():
        done = CliRunner().invoke(cli.cli, ["card", str(argument)], standalone_mode=False)
        assert isinstance(done.exception, AnalysisError) and text in str(done.exception)
        assert "\n" not in str(done.exception)


# ---- bytes ----


def test_differences_are_named() -> None:
    header = bytes.fromhex("50000000 00000000 0700000000000000")
    found = difference(REPLY, Opcode.INIT, header + bytes(64), header + bytes(4) + b"\x2d" + bytes(59))
    assert found is not None and [(row.offset, row.name) for row in found.rows] == [(20, "minor")]
    assert found.rows[0].seen == "2d 00 00 00 = 45"
    assert difference(REQUEST, Opcode.LOOKUP, b"same", b"same") is None


def test_bytes_that_are_missing_or_too_many() -> None:
    message = bytes.fromhex("28000000 02000000 0000000000000000") + bytes(24)
    found = difference(NOTIFICATION, 0, message, message[:20])
    assert found is not None and [row.name for row in found.rows] == ["ino", "off", "len"]
    assert found.rows[-1].seen == "nothing"
    long = difference(REPLY, 999, bytes(16), bytes(range(256)))
    assert long is not None and long.more and len(long.rows) == 6
