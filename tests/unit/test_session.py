"""The replay of recorded sessions translates every id, shown with a server that numbers everything differently."""

from __future__ import annotations

import json
from collections.abc import Coroutine
from ctypes import sizeof
from pathlib import Path
from typing import Any

import pytest

from virtiofs_model.layouts import fuse
from virtiofs_model.layouts.fuse_constants import Opcode
from virtiofs_model.layouts.fuse_operations import (
    OPERATIONS,
    OUT_HEADER_SIZE,
    IdKind,
    request_ids,
)
from virtiofs_tb.driver.errors import DriverError
from virtiofs_tb.driver.fuse_client import Reply
from virtiofs_tb.driver.session import Replay, SessionError, SessionRecord, load_session

SESSIONS = Path(__file__).parents[1] / "data" / "sessions"
SHIFT = {IdKind.NODEID: 0x1_0000_0000, IdKind.FH: 0x7700, IdKind.COOKIE: 0x55_0000}


def renumber(kind: IdKind, value: int) -> int:
    """The other server's number: the root and 'none' stay."""
    return value if value == 0 or (kind is IdKind.NODEID and value == 1) else value + SHIFT[kind]


class Renumbering:
    """Stands for FuseClient: answers as recorded, with other ids, and holds each request against what it should be."""

    def __init__(self, records: list[SessionRecord]) -> None:
        self.expected = list(records)
        self.fail: set[int] = set()

    async def request(self, message: bytes, writable: int) -> Reply:
        record = self.expected.pop(0)
        wanted = bytearray(record.request)
        for place in request_ids(record.request):
            place.write(wanted, renumber(place.kind, place.read(record.request) or 0))
        assert message == bytes(wanted), f"record {record.number} {record.opcode.name}"
        if record.reply is None:
            assert writable == 0
            return Reply(0, 0, 0, b"")
        assert OUT_HEADER_SIZE <= len(record.reply) <= writable
        if record.number in self.fail:
            return Reply(OUT_HEADER_SIZE, -38, 0, b"")
        reply = bytearray(record.reply)
        if not record.error:
            self._renumber_reply(record, reply)
        return Reply(len(reply), record.error, 0, bytes(reply[OUT_HEADER_SIZE:]))

    @staticmethod
    def _renumber_reply(record: SessionRecord, reply: bytearray) -> None:
        for place in OPERATIONS[record.opcode].reply_ids:
            place.write(reply, renumber(place.kind, place.read(bytes(reply)) or 0))
        if record.opcode not in (Opcode.READDIR, Opcode.READDIRPLUS):
            return
        plus = record.opcode is Opcode.READDIRPLUS
        at = OUT_HEADER_SIZE
        while at < len(reply):
            head = sizeof(fuse.FuseEntryOut) if plus else 0
            if plus:
                node = int.from_bytes(reply[at : at + 8], "little")
                reply[at : at + 8] = renumber(IdKind.NODEID, node).to_bytes(8, "little")
            off = at + head + fuse.FuseDirent.off.offset
            cookie = renumber(IdKind.COOKIE, int.from_bytes(reply[off : off + 8], "little"))
            reply[off : off + 8] = cookie.to_bytes(8, "little")
            dirent = fuse.FuseDirent.from_buffer_copy(reply, at + head)
            at += (head + sizeof(fuse.FuseDirent) + dirent.namelen + 7) & ~7


def finish(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine that never waits."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("the coroutine waits")


@pytest.mark.parametrize("name", ["browse", "file-io"])
def test_every_id_is_translated(name: str) -> None:
    records = load_session(SESSIONS / f"{name}.jsonl")
    client: Any = Renumbering(records)
    outcome = finish(Replay(client, records).run())
    assert outcome.requests == len(records) and not outcome.differences and not client.expected


def test_a_request_whose_id_never_came_names_it() -> None:
    records = load_session(SESSIONS / "browse.jsonl")
    client: Any = Renumbering(records)
    client.fail = {record.number for record in records if record.opcode is Opcode.CREATE}
    with pytest.raises(DriverError, match=r"of the recording: never given by the device"):
        finish(Replay(client, records).run())


def good_line() -> dict[str, Any]:
    line: dict[str, Any] = json.loads((SESSIONS / "browse.jsonl").read_text().splitlines()[0])
    return line


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"in": "zz"}, "non-hexadecimal"),
        ({"in": "0000"}, "'in' has 2 bytes"),
        ({"op": 3}, "'op' is 3"),
        ({"out": "00"}, "'out' has 1 bytes"),
        ({"in": None}, "must be str"),
    ],
)
def test_a_malformed_record_is_reported_with_its_line(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    path = tmp_path / "s.jsonl"
    path.write_text(json.dumps(good_line()) + "\n\n" + json.dumps(good_line() | change) + "\n")
    with pytest.raises(SessionError, match=rf"s\.jsonl:3: .*{message}"):
        load_session(path)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"op": 26}'])
def test_a_file_that_is_no_session_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "s.jsonl"
    path.write_text(text)
    with pytest.raises(SessionError, match=r"s\.jsonl"):
        load_session(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SessionError, match="No such file"):
        load_session(tmp_path / "nothing.jsonl")
