"""A request that waits for a lock when a run ends: nobody's debt, but named; and who must not wait any more."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from virtiofs_model.defects import Defect
from virtiofs_model.layouts import fuse
from virtiofs_model.layouts.fuse_constants import FUSE_ROOT_ID, Opcode
from virtiofs_model.ramfs import Limits, RamfsServer
from virtiofs_tb.agents.firmware import FirmwareAgent
from virtiofs_tb.driver.bringup import mount
from virtiofs_tb.driver.locks import F_WRLCK, FileLocks
from virtiofs_tb.host.model_host import ModelHost
from virtiofs_tb.host.port import HostPort
from virtiofs_tb.profile import load
from virtiofs_tb.scenario import Bench
from virtiofs_tb.scoreboards import ALL, ScoreboardSet
from virtiofs_tb.seeds import stream

ROOT = Path(__file__).parents[2]
STRICT = load(ROOT / "profiles" / "ours-strict.toml")
LIMIT_PS = 20_000_000_000


async def hold_and_wait(host: HostPort, tb: Bench, unlock: bool = False) -> None:
    """One owner holds a lock, another one waits for it."""
    client = (await mount(host, tb, linux_layout=True)).client
    reply = await client.call(Opcode.CREATE, FUSE_ROOT_ID, bytes(fuse.FuseCreateIn(2, 0o100644)) + b"f\0")
    nodeid = reply.parse(fuse.FuseEntryOut).nodeid
    locks = FileLocks(host, client, nodeid, nodeid)
    assert await locks.set(1, F_WRLCK) == 0
    waiter = locks.wait(2)
    await host.sleep(60_000_000)
    assert not waiter.task.done()
    assert await locks.set(3, F_WRLCK) == errno.EAGAIN
    if unlock:
        assert await locks.unlock(1) == 0
        await host.sleep(60_000_000)


def judged(without: str = "", defect: Defect | None = None, unlock: bool = False) -> ScoreboardSet:
    host = ModelHost(3, defect=defect.value if defect else None, ramfs=Limits())
    boards = ScoreboardSet(STRICT, {board.name for board in ALL} - {without})
    boards.engage_ramfs()
    host.log.subscribe(boards.observe)
    host.run(hold_and_wait(host, Bench(3, ROOT, faults=host.faults), unlock), LIMIT_PS)
    return boards


@pytest.mark.parametrize("without", ["", "file_system"])
def test_who_waits_owes_nothing(without: str) -> None:
    boards = judged(without)
    assert boards.waiting_chains == (not without)
    assert boards.finish() == []


def test_a_run_that_is_given_up_says_who_waits() -> None:
    boards = judged()
    (line,) = boards.owed(10**9)
    assert line.startswith("file_system: SETLKW of node 2 in chain") and line.endswith("waits for a lock")


def test_who_has_what_he_waited_for_must_be_told() -> None:
    assert judged(unlock=True).finish() == []
    (failure,) = judged(defect=Defect.FS_LOCK_WAITER_LOST, unlock=True).finish()
    assert (failure.board, failure.expected, failure.seen) == ("file_system", "success in 16 bytes", "still open")


def test_firmware_keeps_who_waits() -> None:
    host = ModelHost(3)
    firmware = FirmwareAgent(host.engine, RamfsServer(), host.loop, stream(3, "firmware"))
    host.run(hold_and_wait(host, Bench(3, ROOT, faults=host.faults)), LIMIT_PS)
    assert (firmware.open_requests, firmware.waiting_requests) == (0, 1)
