"""Requests that no sound client sends: what the mutations make, that they are data, and what the golden file system
says to twenty thousand of them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.unit.ramfs_client import Client, snapshot
from virtiofs_model.layouts.fuse_constants import Opcode
from virtiofs_model.ramfs import Limits, RamfsServer, Tree
from virtiofs_tb.driver.errors import DriverError
from virtiofs_tb.driver.session import load_session
from virtiofs_tb.sequences.fuzz import EDGES, NAMES, FuzzItem, Mutated, _check, generate, mutated

SESSIONS = Path(__file__).parents[1] / "data" / "sessions"
RECORDS = {
    record.number: record.request
    for record in load_session(SESSIONS / "browse.jsonl")
    if record.opcode not in (Opcode.INIT, Opcode.DESTROY)
}
CREATE = next(message for message in RECORDS.values() if message[4] == Opcode.CREATE)
READ = next(message for message in RECORDS.values() if message[4] == Opcode.READDIRPLUS)


def made(mutation: str, message: bytes, seed: int = 1) -> Mutated:
    return mutated(FuzzItem(0, 0, mutation, 0, seed), message)


def test_an_item_depends_on_seed_and_index_only() -> None:
    items = generate(7, 50, [1, 2, 3], 4)
    assert generate(7, 20, [1, 2, 3], 4, first=30) == items[30:]
    assert generate(8, 50, [1, 2, 3], 4) != items
    assert [FuzzItem.from_json(item.to_json()) for item in items] == items
    assert mutated(items[3], CREATE) == mutated(items[3], CREATE)


@pytest.mark.parametrize("line", ["", "{}", "[]", '{"index": 0, "record": 0, "mutation": "x", "queue": 0, "seed": 0}'])
def test_a_line_that_is_no_item(line: str) -> None:
    with pytest.raises(ValueError):
        FuzzItem.from_json(line)


def test_every_mutation_of_every_recorded_request() -> None:
    changed: Counter[str] = Counter()
    for message in RECORDS.values():
        for mutation in NAMES:
            for seed in range(3):
                request = made(mutation, message, seed)
                assert request.message and 0 <= request.writable <= 1 << 17
                changed[mutation] += request.message != message
    assert {name for name in NAMES if not changed[name]} == {"short reply buffer", "no reply buffer", "twice"}


def length_of(message: bytes) -> int:
    return int.from_bytes(message[:4], "little")


@pytest.mark.parametrize("seed", range(10))
def test_mutations_do_what_they_are_called(seed: int) -> None:
    assert length_of(made("length too small", CREATE, seed).message) < len(CREATE)
    assert length_of(made("length too large", CREATE, seed).message) > len(CREATE)
    assert len(made("cut", CREATE, seed).message) < len(CREATE)
    assert length_of(made("longer", CREATE, seed).message) == len(made("longer", CREATE, seed).message) > len(CREATE)
    assert not made("name without NUL", CREATE, seed).message.endswith(b"\0")
    assert b"/" in made("name with a slash", CREATE, seed).message[56:]
    assert made("empty name", CREATE, seed).message[56:] == b"\0"
    assert made("name of a dot", CREATE, seed).message[56:] == b".\0"
    assert made("name of two dots", CREATE, seed).message[56:] == b"..\0"
    assert len(made("name of 255 or 256 bytes", CREATE, seed).message) in (56 + 256, 56 + 257)
    assert made("strange nodeid", CREATE, seed).message[24:] == CREATE[24:]
    assert made("strange fh", READ, seed).message[40:48] != READ[40:48]
    assert made("strange cookie", READ, seed).message[:48] == READ[:48]
    edge = made("64-bit edge", READ, seed).message
    assert any(int.from_bytes(edge[at : at + 8], "little") in EDGES for at in range(40, len(edge) - 7, 8))
    assert made("no reply buffer", READ, seed).writable == 0
    assert made("byte-swapped INIT", READ, seed).message[4:8] == b"\0\0\0\x1a"
    assert made("other opcode", READ, seed).message[4:8] != b"\x1a\0\0\0"


@pytest.mark.parametrize(
    ("used", "reply", "what"),
    [
        (15, bytes(15), "used length"),
        (17, bytes(17), "used length"),
        (16, b"\x10\0\0\0" + bytes(12), "unique"),
        (16, bytes(8) + CREATE[8:16], "len"),
    ],
)
def test_what_is_no_reply_is_found(used: int, reply: bytes, what: str) -> None:
    with pytest.raises(DriverError, match=what):
        _check(FuzzItem(1, 2, "twice", 0, 0), Mutated(CREATE, 16), used, reply)


def test_what_is_a_reply_is_taken() -> None:
    item = FuzzItem(1, 2, "twice", 0, 0)
    _check(item, Mutated(CREATE, 16), 0, b"")
    _check(item, Mutated(CREATE, 16), 16, b"\x10\0\0\0" + bytes(4) + CREATE[8:16])
    swapped = made("byte-swapped INIT", CREATE).message
    _check(item, Mutated(swapped, 16), 16, b"\0\0\0\x10" + bytes(4) + CREATE[8:16])


def test_the_golden_file_system_has_an_answer_to_everything() -> None:
    """Twenty thousand requests: no exception, each reply is one, and an errno has no side effect."""
    server = RamfsServer(Tree(Limits(inodes=64, pages=64)))
    Client(server).init()
    numbers = list(RECORDS)
    errors: Counter[int] = Counter()
    for item in generate(1, 20_000, numbers, 1):
        request = mutated(item, RECORDS[item.record])
        before = snapshot(server) if item.index % 50 == 0 else None
        reply = server.handle(request.message, request.writable)
        error = 0
        if reply is not None:
            _check(item, request, len(reply), reply)
            error = int.from_bytes(reply[4:8], "little", signed=True)
        if before is not None and (reply is None or error) and request.message[4:8] not in SILENT:
            assert snapshot(server) == before
        errors[error if reply is not None else 1] += 1
    assert len(errors) > 8, errors


SILENT = {bytes([opcode, 0, 0, 0]) for opcode in (Opcode.FORGET, Opcode.BATCH_FORGET)}
