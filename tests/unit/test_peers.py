"""The comparisons of `make peers` by themselves: what they find, what they must not miss, and what the page says."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Hashable
from pathlib import Path

import pytest

from virtiofs_model.layouts.fuse_constants import Opcode
from virtiofs_model.ramfs import RamfsServer
from virtiofs_tb.facts import facts_of, saw
from virtiofs_tb.host.log import Kind, ObservationLog, Record
from virtiofs_tb.host.model_host import ModelHost
from virtiofs_tb.paths import ROOT
from virtiofs_tb.peers.decided import (
    FACTS_FILE,
    FILES_FILE,
    DecidedError,
    Decision,
    Difference,
    load,
    sort,
)
from virtiofs_tb.peers.differential import compared, complaints, differences
from virtiofs_tb.peers.files import steps
from virtiofs_tb.peers.fs_compare import FsComparison, ModelTarget, compare
from virtiofs_tb.peers.targets import TargetRun, of_model, peers_entry

PAGE = ROOT / "docs" / "peers.md"


class Altered(RamfsServer):
    """A golden file system whose reply of one opcode is altered."""

    def __init__(self, opcode: Opcode, alter: str) -> None:
        super().__init__()
        self._opcode = opcode
        self._alter = alter

    def handle(
        self, message: bytes, writable: int | None = None, length: int | None = None, token: Hashable = None
    ) -> bytes | None:
        reply = super().handle(message, writable, length, token)
        if reply is None or int.from_bytes(message[4:8], "little") != self._opcode or len(reply) < 40:
            return reply
        if self._alter == "errno":
            return (16).to_bytes(4, "little") + (-errno.EIO).to_bytes(4, "little", signed=True) + reply[8:16]
        if self._alter == "length":
            return reply + bytes(8)
        return reply[:-1] + bytes([reply[-1] ^ 1])


def both(ours: RamfsServer, theirs: RamfsServer) -> FsComparison:
    return asyncio.run(compare(ModelTarget(ours), ModelTarget(theirs), steps()))


# ---- file systems ----


def test_a_file_system_does_not_differ_from_itself() -> None:
    outcome = both(RamfsServer(), RamfsServer())
    assert outcome.differences == [] and outcome.steps == len(steps()) > 150 and outcome.compared > 500


def test_labels_are_unique() -> None:
    labels = [step.label for step in steps()]
    assert sorted(set(labels)) == sorted(labels)


@pytest.mark.parametrize(
    ("opcode", "alter", "step", "what"),
    [
        (Opcode.MKDIR, "errno", "MKDIR", "error"),
        (Opcode.READ, "byte", "READ", "data"),
        (Opcode.GETATTR, "length", "GETATTR of the root", "used"),
        (Opcode.READLINK, "byte", "READLINK of 4095 bytes", "data"),
        (Opcode.GETLK, "byte", "GETLK of what is locked", "pid"),
    ],
)
def test_what_is_altered_is_found(opcode: Opcode, alter: str, step: str, what: str) -> None:
    found = both(RamfsServer(), Altered(opcode, alter)).differences
    assert (step, what) in [(item.step, item.what) for item in found]


def test_an_id_that_leads_elsewhere_is_found() -> None:
    class Elsewhere(RamfsServer):
        def handle(
            self, message: bytes, writable: int | None = None, length: int | None = None, token: Hashable = None
        ) -> bytes | None:
            reply = super().handle(message, writable, length, token)
            lookup = int.from_bytes(message[4:8], "little") == Opcode.LOOKUP and message[40:] == b"file\0"
            return (
                reply[:16] + (1).to_bytes(8, "little") + reply[24:] if reply and lookup and len(reply) > 40 else reply
            )

    found = both(RamfsServer(), Elsewhere()).differences
    assert any(item.what == "leads to" and item.theirs == "root" for item in found)


# ---- decisions ----


def test_what_is_not_decided_stays_open_and_what_is_not_seen_is_stale() -> None:
    seen = [Difference("a", "x", "1", "2"), Difference("b", "x", "1", "3")]
    rules = [
        Decision("a", "*", "why", "source", theirs="2"),
        Decision("b", "x", "why", "source", theirs="2"),
        Decision("c", "x", "why", "source", sometimes=True),
    ]
    found = sort(seen, rules)
    assert [item for item, _ in found.decided] == seen[:1]
    assert found.open == seen[1:] and found.stale == [rules[1]] and not found.clean
    assert sort(seen[:1], [rules[0], rules[2]]).clean
    assert complaints("A and B", found) == [
        "A and B: NOT DECIDED: b, x: ours 1, theirs 3",
        "A and B: NOT SEEN: b, x: decided as 'why', but nothing differs there",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[difference]]\nstep = 'a'\nwhat = 'b'\nwhy = 'c'\n", "entry 1: no source"),
        ("[[difference]]\nstep='a'\nwhat='b'\nwhy='c'\nsource='d'\nourselves='e'\n", "entry 1: unknown key ourselves"),
        ("[[difference", "differences.toml: "),
    ],
)
def test_a_list_that_cannot_be_read(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "differences.toml"
    path.write_text(text)
    with pytest.raises(DecidedError, match=message):
        load(path)


def test_the_page_lists_every_decision() -> None:
    rows = [
        f"| {item.step}, {item.what} | {item.ours} | {item.theirs} | {item.why} | {item.source} |"
        for path in (FACTS_FILE, FILES_FILE)
        for item in load(path)
    ]
    lines = PAGE.read_text().splitlines()
    assert [row for row in rows if row not in lines] == []
    tables = [line for line in lines if line.startswith("| ") and line.count(" | ") == 4]
    assert len(tables) == len(rows) + 2  # the heads


# ---- targets side by side ----


def run(verdicts: dict[str, str], facts: dict[str, dict[str, str]]) -> TargetRun:
    return TargetRun("target", verdicts, facts)


def test_verdicts_and_facts_are_compared() -> None:
    ours = run({"a": "passed", "b": "passed", "c": "passed"}, {"a": {"x": "1", "y": "2"}, "b": {"x": "1"}})
    theirs = run({"a": "passed", "b": "too small", "c": "not applicable: needs dpu"}, {"a": {"x": "1", "z": "3"}})
    assert list(differences(ours, theirs)) == [
        Difference("a", "y", "2", None),
        Difference("a", "z", None, "3"),
        Difference("b", "verdict", "passed", "too small"),
    ]
    assert compared(ours, theirs) == 3


def test_facts_are_read_back_by_step() -> None:
    records: list[Record] = []
    log = ObservationLog()
    log.subscribe(records.extend)
    host = ModelHost(1, log)
    host.note("step first")
    saw(host, "size", 3)
    saw(host, "name", "a: b")
    host.note("something else")
    host.note("step second")
    saw(host, "size", 4)
    log.flush()
    assert all(record.kind == Kind.NOTE for record in records)
    assert facts_of(records) == {"first": {"size": "3", "name": "a: b"}, "second": {"size": "4"}}


def test_the_golden_device_passes_and_notes_facts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("virtiofs_tb.peers.targets.RUNS", tmp_path)
    entry = peers_entry()
    assert not entry.needs
    found = of_model(entry, 1)
    assert set(found.verdicts.values()) == {"passed"}
    assert found.facts["what_the_driver_sees"]["device_id"] == "0x105a"
    assert len(found.facts["session_file_io"]) > 100
