"""LOCK and POLL messages of the ramfs engine at random, against the golden file system."""

from __future__ import annotations

import struct
from collections import Counter
from dataclasses import replace

import pytest

from tests.sim.units.engine_bench import DPU_LANE, Engine, Room
from tests.sim.units.engine_traffic import Traffic
from tests.sim.units.test_engine_notices import HOLD
from tests.sim.units.test_ramfs_engine import SMALL, build, limits
from virtiofs_model.layouts.dpu import CacheOption, NotifyFlag
from virtiofs_model.layouts.fuse_constants import Opcode
from virtiofs_model.ramfs import Config, RamfsServer, Tree
from virtiofs_model.ramfs.dpu import DpuClient

REQUESTS = 1500
WORDS = 2048 // 32
POLL, LOCK = 1, 7
"""Codes of messages."""


class Told(Traffic):
    """Little but locks, and files that are polled."""

    def __init__(self, seed: int, server: RamfsServer) -> None:
        super().__init__(seed, server, locks=True)
        self._rows += [(20, self._poll), (3, self._retrieved)]

    def _poll(self) -> tuple[int, int, bytes]:
        node, random = self._opened(), self.random
        body = struct.pack("<QQII", self._fh(node), random.randrange(12), random.getrandbits(2), random.getrandbits(12))
        return Opcode.POLL, node, body

    def _retrieved(self) -> tuple[int, int, bytes]:
        size = self.random.choice([39, 40, 41, 983, 984, 2000])
        return Opcode.NOTIFY_REPLY, self._opened(), self.random.randbytes(size)

    def change(self) -> bytes:
        """A WRITE of the DPU."""
        node = self._opened()
        return self._message(Opcode.WRITE, node, struct.pack("<QQI20x", 0, self.random.randrange(99), 3) + b"abc")


@pytest.mark.parametrize("seed", range(4))
def test_messages_are_those_of_the_golden_file_system(seed: int) -> None:
    server = RamfsServer(Tree(limits(SMALL)), Config(lock_messages=True))
    server.notices.enabled = True
    answers: list[bytes] = []
    server.on_notify_reply = answers.append
    traffic = Told(seed, server)
    dice = traffic.random
    seen: Counter[int] = Counter()
    kept = 0
    with Engine(build(), seed) as engine:
        engine.options(1, CacheOption.LOCK_MESSAGES)
        engine.notify(True, HOLD)
        for _ in range(REQUESTS):
            kind = dice.random()
            if server.minor is None:
                sent = traffic.begin()
            elif kind < 0.25:
                sent = replace(traffic.dpu(), message=traffic.change())
            else:
                sent = traffic.express() if kind < 0.35 else traffic.main()
            sent = replace(sent, unreadable=0)
            ctx = engine.send(sent)
            reply = engine.run()[ctx].data
            expected: list[bytes] = []
            if sent.lane == DPU_LANE:
                golden = DpuClient(server).request(sent.message)
                assert (golden.reply or None) == reply
                expected = golden.messages
            else:
                assert server.handle(sent.message, sent.writable) == reply
            expected += [notice.message for notice in server.take_notices()]
            assert engine.drain(cycles=400) == expected
            seen.update(struct.unpack_from("<i", data, 4)[0] for data in expected)
            places = len(server.locks.waits) + len(server.polls.polls)
            assert engine.room() == Room(WORDS - places, places)
            if dice.random() < 0.2:
                retrieved = engine.retrieved()
                assert retrieved.data == (answers[0][:1024] if answers else b"")
                assert (NotifyFlag.RETRIEVED_LOST in retrieved.flags) == (len(answers) > 1)
                kept += bool(answers)
                answers.clear()
    assert seen[POLL] > 5 and seen[LOCK] > 5 and kept > 3, (seen, kept)
