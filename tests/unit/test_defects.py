"""The registry of defects, and that each one changes what can be seen from outside."""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path

import pytest

from tests.unit.tiny_host import TinyHost, message
from virtiofs_model.defects import DEFECTS, Defect, by_scoreboard
from virtiofs_model.engine import EngineReply, ReplyKind
from virtiofs_model.layouts.virtio import Feature
from virtiofs_model.tlp import encode

SCOREBOARDS = {
    "config_space", "descriptors", "dma", "fuse", "client_cache", "file_system", "notifications", "announcements",
    "interrupts",
}  # fmt: skip
ANSWERING = ("file_system", "client_cache", "announcements")
FILE_SYSTEM = {info.defect.value for board in ANSWERING for info in by_scoreboard(board)}
FILE_SYSTEM |= {"lock_place_not_kept", "init_refused_empties_store"}
"""Those of the file system show where it answers: tests/unit/test_file_system_board.py, test_announcement_board.py,
test_notice_boards.py."""
NEGOTIATED = {name for name, info in DEFECTS.items() if info.features}
"""Those of features that are not usual show where these are in force: tests/unit/test_ring_defects.py."""
INTA = {defect.value for defect in Defect if defect.name.startswith("INTX_")}
"""The tiny host has MSI-X on: tests/unit/test_scoreboard_defects.py."""
CLAUSES = Path(__file__).parents[2] / "spec" / "clauses.csv"


def test_registry() -> None:
    assert set(DEFECTS) == {defect.value for defect in Defect}
    assert {info.scoreboard for info in DEFECTS.values()} == SCOREBOARDS
    for scoreboard in SCOREBOARDS:
        assert len(by_scoreboard(scoreboard)) >= 3


def test_clauses_exist() -> None:
    with CLAUSES.open(newline="") as file:
        known = {row["id"] for row in csv.DictReader(file)}
    named = {clause for info in DEFECTS.values() for clause in info.clauses}
    assert named <= known


def session(defect: str | None, seed: int) -> str:
    """A digest of all packets and messages of a session that touches every hook."""
    host = TinyHost(seed, defect)
    host.enable_pci()
    host.set_config(0x10, 0xFFFFFFFF)
    host.set_config(0x14, 0xFFFFFFFF)
    seen: list[object] = [host.config(0x10), host.config(0xA4), host.config(0xA6, 1)]
    host.set_config(0x10, 0)
    host.set_config(0x14, 2)
    seen.append(host.negotiate(Feature.INDIRECT_DESC.mask))
    host.start()
    host.set(0x16, 9, 2)
    seen.append(host.get(0x18, 2))
    host.set(0x16, 5, 2)
    host.set(0x1A, 77, 2)
    seen.append(host.get(0x1A, 2))
    for length in (4136, 100, 4136):
        host.add(1, [], [length])
    host.endpoint.dpu.notify(message(40))
    host.run()
    host.init_session()
    seen.append(host.used(1))

    def serve() -> None:
        host.run()
        while host.requests:
            host.rng.shuffle(host.requests)
            request, _ = host.requests.pop()
            host.reply(request, host.rng.randbytes(200))
            host.run()

    for queue in (2, 3, 2, 5, 4):
        for count in range(8):
            host.add(queue, [host.fuse(3, host.rng.randbytes(600))], [120, 700], kick=count == 7)
        serve()
    host.endpoint.dpu.notify(message(60))
    host.endpoint.dpu.notify(message(70))
    host.endpoint.dpu.notify(message(80))
    host.run()
    for _ in range(3):
        host.add(1, [], [4136])
    host.add(3, [host.fuse(3)], [2016])
    host.run()
    request, _ = host.requests.pop()
    host.endpoint.engine.storage_write(99, bytes(2000))
    host.endpoint.engine.reply(EngineReply(request.ctx, ReplyKind.REPLY, request.epoch, 16, 2000, 99), bytes(16))
    host.endpoint.dpu.notify(message(90))
    host.run()
    host.add(3, [host.fuse(3)], [216])
    host.run()
    host.add(0, [host.fuse(2)], [])
    serve()
    host.put(host.queues[2].avail, b"\1\0")
    host.add(2, [host.fuse(3)], [216])
    serve()
    host.set_config(0x8A, 0xC000, 2)
    host.add(3, [host.fuse(3)], [216])
    serve()
    host.set_config(0x8A, 0x8000, 2)
    host.run()
    host.put(host.queues[3].avail + 2, b"\xff\xff")
    host.kick(3)
    host.run()
    seen += [host.get(0x1000, 1), host.get(0x1000, 1), host.interrupts, host.endpoint.dpu.counters()]
    host.start()
    host.add(2, [host.fuse(3)], [216])
    serve()
    seen += [host.used(2), host.heads, [encode(tlp) for tlp in host.trace]]
    return hashlib.sha256(repr(seen).encode()).hexdigest()


def test_the_sound_device_is_deterministic() -> None:
    assert session(None, 1) == session(None, 1)


@pytest.mark.parametrize("defect", sorted(set(DEFECTS) - FILE_SYSTEM - NEGOTIATED - INTA))
def test_defect_shows(defect: str) -> None:
    try:
        shown = session(defect, 1)
    except (AssertionError, IndexError):
        return  # the tiny host or its driver tripped over it
    assert shown != session(None, 1)
