"""A random campaign against the ramfs engine: batches of requests from many contexts at once, express requests in
between, stalls, resets at any moment, all of it judged by the golden file system."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

from tests.sim.units.engine_bench import Engine, Reply, Sent
from tests.sim.units.engine_judge import Judge
from tests.sim.units.engine_traffic import Traffic
from virtiofs_model.layouts.dpu import CacheOption
from virtiofs_model.layouts.fuse_constants import Opcode
from virtiofs_model.ramfs import Config, Limits, RamfsServer, Tree

VALID_SECONDS = 0x1_0000 + 77
"""Where the DPU sets straps."""

Seen = Counter[tuple[int, int | None]]
"""How often an opcode ended with an errno (0: success, None: used length 0)."""


class Campaign:
    """limits: the engine's parameters. locks: of the traffic. options: straps, CacheOption; None: the DPU does nothing.
    `seen` counts what happened."""

    def __init__(
        self, engine: Engine, seed: int, limits: Limits, locks: bool = False, options: CacheOption | None = None
    ) -> None:
        self.engine = engine
        self.random = random.Random(seed)
        self.locks = locks
        self.dpu = options is not None
        server = RamfsServer(Tree(limits), config(options))
        if options is not None:
            engine.options(VALID_SECONDS, options)
        self.judge = Judge(server)
        self.traffic = Traffic(seed, server, locks)
        self.seen: Seen = Counter()
        self.resets = 0
        self.granted = 0  # waits that ended with a lock
        self.waiting: dict[int, Sent] = {}  # by context

    def run(self, batches: int) -> None:
        """Raises Mismatch, EngineError."""
        self._single(self.traffic.begin())
        for _ in range(batches):
            self.traffic.server = self.judge.states[0]
            self._conditions()
            if self.traffic.server.minor is None and self.random.random() < 0.7:
                self._single(self.traffic.begin())
            elif self.random.random() < (0.06 if not self.locks else 0.02):
                self._cut_off()
            else:
                self._batch()

    def _conditions(self) -> None:
        if self.random.random() < 0.1:
            now = self.random.getrandbits(40), self.random.getrandbits(29)
            self.engine.clock(*now)
            self.judge.set_time(*now)
        if self.random.random() < 0.1:
            self.engine.stall(*(self.random.choice([0, 0, 30, 80]) for _ in range(3)))

    def _single(self, sent: Sent) -> None:
        ctx = self.engine.send(sent)
        replies = self.engine.run()
        self._count(sent, replies[ctx])
        self.judge.judge([(sent, ctx)], replies)

    def _batch(self) -> None:
        count = self.random.choice([1, 1, 2, 6])
        self.traffic.alone = count == 1
        main = [self.traffic.main() for _ in range(count)]
        if self.dpu and self.random.random() < 0.6:
            express = [self.traffic.dpu()]
        else:
            express = [self.traffic.express() for _ in range(self.random.choice([0, 0, 1, 2]))]
        line = self._mixed(main, express)
        asked = [(sent, self.engine.send(sent)) for sent in line]
        earlier = set(self.waiting)
        may_wait = self.waiting or any(opcode_of(sent) == Opcode.SETLKW for sent in main)
        replies = self.engine.settle() if may_wait else self.engine.run()
        self.waiting |= {ctx: sent for sent, ctx in asked}
        for ctx, reply in replies.items():
            self._count(self.waiting.pop(ctx), reply)
            self.granted += ctx in earlier and reply.data is not None and reply.data[4:8] == bytes(4)
        fast = [pair for pair in asked if any(pair[0] is sent for sent in express)]
        self.judge.judge([pair for pair in asked if pair not in fast], replies, fast)

    def _mixed(self, main: list[Sent], express: list[Sent]) -> list[Sent]:
        places = sorted(self.random.sample(range(len(main) + len(express)), len(express)))
        line = list(main)
        for place, sent in zip(places, express, strict=True):
            line.insert(place, sent)
        return line

    def _cut_off(self) -> None:
        self.resets += 1
        self.traffic.careful = True
        main = [self.traffic.main() for _ in range(self.random.randint(0, 4))]
        self.traffic.careful = False
        asked = [(sent, self.engine.send(sent)) for sent in main]
        replies = self.engine.step(self.random.choice([0, 5, 50, 100, 200, 400, 1000]))
        self.engine.reset()
        self.engine.run()
        self.waiting.clear()
        self.judge.cut_off(asked, replies)

    def _count(self, sent: Sent, reply: Reply) -> None:
        error = None if reply.data is None else -int.from_bytes(reply.data[4:8], "little", signed=True)
        self.seen[opcode_of(sent), error] += 1


def opcode_of(sent: Sent) -> int:
    """Of a message that may be too short for one."""
    return int.from_bytes(sent.message[4:8], "little")


def config(options: CacheOption | None) -> Config | None:
    """Of the golden file system, for these straps."""
    if options is None:
        return None
    return Config(
        valid_seconds=VALID_SECONDS,
        keep_cache=CacheOption.KEEP_CACHE in options,
        negative_entries=CacheOption.NEGATIVE_ENTRIES in options,
    )


def campaign(
    executable: Path,
    seed: int,
    batches: int,
    limits: Limits,
    locks: bool = False,
    options: CacheOption | None = None,
) -> Campaign:
    """One, from the engine's reset on; with options, the DPU asks too. Raises Mismatch, EngineError."""
    with Engine(executable, seed) as engine:
        done = Campaign(engine, seed, limits, locks, options)
        done.run(batches)
    assert engine.acknowledged, "no reset was acknowledged"
    assert len(engine.acknowledged) == done.resets
    return done


def message(opcode: Opcode, nodeid: int, body: bytes = b"", unique: int = 7) -> bytes:
    """A request of user 0."""
    header = b"".join(
        value.to_bytes(size, "little")
        for value, size in (
            (40 + len(body), 4), (opcode, 4), (unique, 8), (nodeid, 8), (0, 4), (0, 4), (0, 4), (0, 4)
        )
    )  # fmt: skip
    return header + body
