"""The judge of the file system behind the reset of a queue: what was cut off may have happened, nobody waits on."""

from __future__ import annotations

import pytest

from virtiofs_model.endpoint.ramfs_engine import RamfsEngine
from virtiofs_model.layouts.fuse import FuseInHeader, FuseInitIn, FuseSetattrIn, FuseWriteIn
from virtiofs_model.layouts.fuse_constants import FUSE_ROOT_ID, Fattr, Opcode
from virtiofs_model.ramfs import RamfsServer, Tree
from virtiofs_tb.model_run import ModelRequest, run_model
from virtiofs_tb.scoreboards.clock import Clock
from virtiofs_tb.scoreboards.happenings import ENDLESS, Golden, RequestHappening
from virtiofs_tb.scoreboards.queue_cuts import cut_off


def test_who_is_not_forgotten_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device whose waits outlive their queue gives the lock to somebody who is gone."""
    monkeypatch.setattr(RamfsEngine, "forget", lambda engine, queue: None)
    summary = run_model(ModelRequest("a_reset_queue_waits_for_no_lock", 1))
    assert not summary.passed
    assert "file_system" in {failure.source for failure in summary.failures} or "lock of another" in str(summary)


def request(opcode: Opcode, body: bytes, begin: int = 5) -> RequestHappening:
    message = bytes(FuseInHeader(40 + len(body), opcode, 2, FUSE_ROOT_ID)) + body
    return RequestHappening(begin, ENDLESS, 0, message=message, length=len(message), writable=256)


def golden() -> Golden:
    server = RamfsServer(Tree(None), undo=True)
    server.handle(request(Opcode.INIT, bytes(FuseInitIn(7, 45))).message, 80)
    return Golden(server, Clock(server.tree.journal))


@pytest.mark.parametrize("written", [0, 12])
def test_a_request_that_was_cut_off_happened_or_did_not(written: int) -> None:
    attributes = FuseSetattrIn(valid=Fattr.MODE, mode=0o40711)
    cut = cut_off(request(Opcode.SETATTR, bytes(attributes)), 20, 0, written)
    assert cut.variants == (1 if written else 3) and cut.end == 20
    modes = []
    for variant in range(cut.variants):
        world = golden()
        if cut.happen(world, variant):
            modes.append(world.server.tree.get(FUSE_ROOT_ID).mode & 0o777)
    assert modes == ([0o711] if written else [0o711, 0o755])


def test_only_a_long_write_is_done_by_halves() -> None:
    long = cut_off(request(Opcode.WRITE, bytes(FuseWriteIn(1, 0, 4096)) + bytes(4096)), 20, 0, 0)
    short = cut_off(request(Opcode.WRITE, bytes(FuseWriteIn(1, 0, 8)) + bytes(8)), 20, 0, 0)
    assert [cut.happen(golden(), 1) for cut in (long, short)] == [True, False]
