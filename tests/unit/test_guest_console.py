"""What is read off a guest's console, and how it comes to the card of a failing run."""

from __future__ import annotations

from pathlib import Path

from virtiofs_tb.analysis.card import as_page, as_text, make_card
from virtiofs_tb.guest.console import Console
from virtiofs_tb.report import CONSOLE_FILE, FailureReport, ResultClass, Summary


def test_result_steps_and_what_was_left() -> None:
    console = Console()
    for data in (
        b"[    0.1] boot\nvirtiofs-guest: begin mount\nvirtiofs-gu",
        b"est: ok mount\r\nvirtiofs-guest: begin a\nvirtiofs-guest: because of a: b\nvirtiofs-guest: failed a\n",
        b"virtiofs-guest: left 0123456789abcdef0123456789abcdef  -\nvirtiofs-guest: status 1\n",
    ):
        assert console.status is None
        console.feed(data)
    assert (console.status, console.passed, console.failed, console.step) == (1, ["mount"], ["a"], "a")
    assert console.because == "of a: b"
    assert console.left == "0123456789abcdef0123456789abcdef"


def test_a_status_that_is_not_the_scripts_own() -> None:
    console = Console()
    console.feed(b"+ echo virtiofs-guest: status $status\nvirtiofs-guest: status 0 or so\n")
    assert console.status is None


def test_panic_and_last_lines_without_terminal_control() -> None:
    console = Console()
    console.feed(b"\x1b[1mbold\x1b[0m\r\n\n" + b"line\n" * 40)
    console.feed(b"[    0.2] Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000000\nunfin\xffished")
    assert console.panic == "Attempted to kill init! exitcode=0x00000000"
    lines = console.last_lines()
    assert lines[-1] == "unfin\ufffdished" and lines[0] == "line" and len(lines) == 13


def test_the_console_is_kept_and_stands_on_the_card(tmp_path: Path) -> None:
    console = Console(tmp_path / CONSOLE_FILE)
    console.feed(b"first\n" + b"x\n" * 20 + b"<the> last words\n")
    console.close()
    assert (tmp_path / CONSOLE_FILE).read_bytes().startswith(b"first\n")
    failure = FailureReport("step linux_guest", 0, "the guest's script ended with status 1")
    summary = Summary("linux-direct", 7, ResultClass.FAILED, rerun="make linux VARIANT=direct SEED=7")
    summary.failures.append(failure)
    card = make_card(tmp_path, summary)
    text, page = as_text(card), as_page(card)
    assert "-- last lines of the guest's console\n" in text and "\n  <the> last words\n" in text
    assert "first" not in text
    assert "&lt;the&gt; last words" in page
    assert "make linux VARIANT=direct SEED=7 WAVES=1" in text
