"""The scoreboard of the file system on the golden device: it is content with a sound one, and catches every defect.

Scoreboard and device hold the same golden file system here, so only the runs with a defect prove something.
"""

from __future__ import annotations

import errno
from ctypes import sizeof
from pathlib import Path

import pytest

from virtiofs_model.defects import Defect, DefectInfo, by_scoreboard
from virtiofs_model.layouts import fuse
from virtiofs_model.layouts.fuse_constants import FUSE_ROOT_ID, Opcode
from virtiofs_model.ramfs import Limits
from virtiofs_tb.driver.bringup import mount
from virtiofs_tb.host.model_host import ModelHost
from virtiofs_tb.host.port import HostPort, Straps
from virtiofs_tb.model_run import ModelRequest, parse_engine, run_model
from virtiofs_tb.profile import load
from virtiofs_tb.runner import UsageError
from virtiofs_tb.scenario import Bench, load_file, load_scenarios
from virtiofs_tb.scoreboards import ALL, ScoreboardSet
from virtiofs_tb.scoreboards.reply_text import difference

ROOT = Path(__file__).parents[2]
STRICT = load(ROOT / "profiles" / "ours-strict.toml")
SCENARIOS = load_scenarios(ROOT / "tests" / "sim" / "scenarios")
look_again = load_file(ROOT / "tests" / "grade" / "asks_twice.py")[0].function
LIMIT_PS = 20_000_000_000
SMALL = Limits(inodes=64, pages=48)
SEEDS = range(1, 7)
LOCK_SCENARIOS = {
    defect: "sessions_end_waits" if defect is Defect.FS_LOCK_SURVIVES_SESSION else "waits_for_locks"
    for defect in Defect
    if defect.name.startswith("FS_LOCK_")
} | {Defect.FS_LOCK_SPLIT_WRONG: "locks_of_ranges"}
DEFECTS = [
    info
    for info in (*by_scoreboard("file_system"), *by_scoreboard("client_cache"))
    if info.defect.name.startswith("FS_")  # the others: test_notice_boards.py
]


async def long_link(host: HostPort, tb: Bench) -> None:
    """A target that is longer than the head of a request: its last byte is no part of it, and need not be read."""
    client = (await mount(host, tb)).client
    reply = await client.call(Opcode.SYMLINK, FUSE_ROOT_ID, b"link\0" + b"t" * 3000 + b"\0")
    nodeid = reply.parse(fuse.FuseEntryOut).nodeid
    assert (await client.call(Opcode.READLINK, nodeid)).payload == b"t" * 3000


def judged(
    name: str, seed: int, defect: Defect | None = None, limits: Limits | None = None, alone: bool = False
) -> tuple[ScoreboardSet, Exception | None]:
    """Run a scenario on the golden device, which answers by itself; also what the scenario raised.

    alone: without the judge who knows what each answer must be.
    """
    host = ModelHost(seed, defect=defect.value if defect else None, ramfs=limits or Limits())
    tb = Bench(seed, ROOT / "tests" / "data" / "sessions", faults=host.faults)
    tb.options.update(random_operations=40, workers=8)
    boards = ScoreboardSet(STRICT, {board.name for board in ALL} - ({"file_system"} if alone else set()))
    boards.engage_ramfs(limits)
    host.log.subscribe(boards.observe)
    error: Exception | None = None
    try:
        own = {"look_again": look_again, "long_link": long_link}
        host.run((own.get(name) or SCENARIOS[name].function)(host, tb), LIMIT_PS)
        host.drain(LIMIT_PS)
    except Exception as raised:  # a device with a defect may do anything to its driver
        error = raised
        host.log.flush()
    boards.finish()
    return boards, error


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_sound_device_answers_every_scenario_by_itself(name: str) -> None:
    boards, error = judged(name, 2)
    assert error is None
    assert [str(failure) for failure in boards.failures] == []
    assert not boards.counts["fuse"], "no firmware is asked"


@pytest.mark.parametrize("seed", range(4))
def test_a_tree_in_a_small_file_system(seed: int) -> None:
    """Full tables, full disk, reused slots."""
    boards, error = judged("tree_operations", seed, limits=SMALL)
    assert error is None
    assert [str(failure) for failure in boards.failures] == []
    assert boards.counts["file_system"] > 400


@pytest.mark.parametrize("info", DEFECTS, ids=lambda info: info.defect.value)
def test_a_defect_is_caught(info: DefectInfo) -> None:
    alone = info.scoreboard == "client_cache"
    scenario = LOCK_SCENARIOS.get(info.defect, "tree_operations")
    for seed in SEEDS:  # what shows a defect must come up first: a directory listed in parts, a file that grows again
        boards, _ = judged("look_again" if alone else scenario, seed, info.defect, SMALL, alone)
        if boards.failures:
            break
    assert boards.failures, "nothing was found"
    first = boards.failures[0]
    assert first.board == info.scoreboard, str(first)
    assert first.clause == "FS-REQ-DI1"
    assert first.expected and first.seen, str(first)
    assert len([failure for failure in boards.failures if failure.board == "file_system"]) <= 1, "the first one counts"


def test_a_byte_that_nobody_looks_at_need_not_be_read() -> None:
    boards, error = judged("long_link", 1)
    assert error is None
    assert [str(failure) for failure in boards.failures] == []


def test_a_client_that_asks_twice_gets_the_same_twice() -> None:
    boards, error = judged("look_again", 1)
    assert error is None
    assert [str(failure) for failure in boards.failures] == []
    assert boards.counts["client_cache"] > 10


def test_the_strap_decides_who_is_judged() -> None:
    host = ModelHost(1, ramfs=Limits())
    boards = ScoreboardSet(STRICT)
    host.log.subscribe(boards.observe)
    tb = Bench(1, ROOT / "tests" / "data" / "sessions", faults=host.faults)

    async def main() -> None:
        assert host.dpu is not None
        await host.dpu.strap(Straps(firmware=False))
        await SCENARIOS["session_browse"].function(host, tb)

    host.run(main())
    assert boards.finish() == []
    assert boards.counts["file_system"] > 50


def test_who_can_be_asked_for() -> None:
    assert [parse_engine(text, "") for text in ("", "ramfs", "firmware")] == ["", "ramfs", "firmware"]
    with pytest.raises(UsageError, match="--engine hardware: it is one of ramfs, firmware"):
        parse_engine("hardware", "")
    with pytest.raises(UsageError, match="--defect fs_link_twice is one of the endpoint's own file system"):
        parse_engine("firmware", "fs_link_twice")


def test_a_defect_of_the_file_system_runs_where_it_can_show() -> None:
    summary = run_model(ModelRequest("session_browse", 1, "fs_wrong_errno"))
    assert not summary.passed
    assert summary.failures[0].source == "file_system"
    assert run_model(ModelRequest("session_browse", 1, engine="ramfs")).scoreboards["file_system"]


def header(error: int = 0, payload: bytes = b"", unique: int = 4) -> bytes:
    return bytes(fuse.FuseOutHeader(16 + len(payload), -error, unique)) + payload


def request(opcode: Opcode) -> bytes:
    return bytes(fuse.FuseInHeader(40, opcode, 4, 1))


def listing(*names: bytes) -> bytes:
    records = b""
    for index, name in enumerate(names):
        record = bytes(fuse.FuseDirent(9, index, len(name), 8)) + name
        records += record.ljust((len(record) + 7) & ~7, b"\0")
    return records


ATTR = bytearray(bytes(fuse.FuseAttrOut(attr_valid=1)))
SIZE_AT = sizeof(fuse.FuseAttrOut) - sizeof(fuse.FuseAttr) + fuse.FuseAttr.size.offset
OTHER = bytes(ATTR[:SIZE_AT]) + b"\7" + bytes(ATTR[SIZE_AT + 1 :])


@pytest.mark.parametrize(
    ("opcode", "expected", "seen", "text"),
    [
        (Opcode.MKDIR, None, header(), ("reply", "used length 0", "success in 16 bytes")),
        (Opcode.MKDIR, header(errno.EEXIST), b"short", ("reply", "EEXIST in 16 bytes", "5 bytes")),
        (Opcode.MKDIR, header(errno.EEXIST), header(), ("error", "EEXIST", "success")),
        (Opcode.MKDIR, header(unique=4), header(unique=6), ("unique", "4", "6")),
        (Opcode.READ, header(payload=b"ab"), header(payload=b"a"), ("length of the reply", "18", "17")),
        (Opcode.READ, header(payload=b"ab"), header(payload=b"aB"), ("byte 17 of the reply", "0x62", "0x42")),
        (Opcode.GETATTR, header(payload=bytes(ATTR)), header(payload=OTHER), ("FuseAttrOut.attr.size", "0", "7")),
        (
            Opcode.READDIR, header(payload=listing(b"a", b"b")), header(payload=listing(b"a")),
            ("records of the listing (from b'b' on)", "2", "1"),
        ),
        (
            Opcode.READDIR, header(payload=listing(b"a")), header(payload=listing(b"c")),
            (
                "record 0 of the listing", "b'a' type 8 ino 0x9 cookie 0x0 nodeid 0x0",
                "b'c' type 8 ino 0x9 cookie 0x0 nodeid 0x0",
            ),
        ),
        (
            Opcode.READDIR, header(payload=listing(b"a")), header(payload=b"123"),
            ("records of the listing", "whole ones", "directory record at byte 0 has 3 bytes of at least 24"),
        ),
    ],
)  # fmt: skip
def test_differences_in_words(opcode: Opcode, expected: bytes | None, seen: bytes, text: tuple[str, str, str]) -> None:
    assert difference(request(opcode), expected, seen) == text
