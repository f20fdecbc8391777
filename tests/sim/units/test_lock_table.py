"""The lock table (hdl/ramfs/lock_table.sv) against the golden one."""

from __future__ import annotations

import errno
import random
from collections.abc import Callable
from dataclasses import replace
from enum import IntEnum
from typing import Any

import pytest

from tests.sim.units.unit_build import build_unit, play
from virtiofs_model.ramfs.locks import LAST_BYTE, Lock, LockTable, LockType, is_valid

SMALL = {"LOCKS": 6, "WAITS": 3}
FULL = {"LOCKS": 64, "WAITS": 8}


class Op(IntEnum):
    """ramfs_pkg::lock_op_e."""

    TEST = 0
    SET = 1
    WAIT = 2
    DROP = 3
    END = 4
    RESET = 5
    FORGET = 6  # of the token's queue
    INTERRUPT = 7  # of ports of its own


PARKED = 4
QUEUES = 4
"""A request's queue is that of its token, modulo this."""
RESULTS = {
    0: 0,
    errno.EAGAIN: 1,
    errno.ENOLCK: 2,
    errno.EINVAL: 3,
    None: PARKED,
    errno.EINTR: 5,
    errno.EBADF: 6,
}


class Script:
    """Commands, and what the golden table answers."""

    def __init__(self, parameters: dict[str, int]) -> None:
        self.table = LockTable(parameters["LOCKS"], parameters["WAITS"])
        self.lines: list[str] = []
        self.expected: list[list[str]] = []
        self.token = 0

    def command(self, op: Op, lock: Lock, unique: int = 0) -> None:
        """One command. A wait's context counts up."""
        if op == Op.INTERRUPT:
            self.lines.append(f"interrupt {unique}")
            self.expected.append(["interrupt", str(int(self.table.interrupt(unique)))])
            return
        self.token = (self.token + 1) % 64
        words = (
            op,
            self.token,
            unique,
            lock.node,
            int(lock.flock),
            lock.owner,
            lock.start,
            lock.end,
            lock.kind,
            lock.pid,
        )
        self.lines.append("lock " + " ".join(str(int(word)) for word in words))
        result, found = self._answer(op, lock, unique)
        lock_words = [] if found is None else [found.start, found.end, int(found.kind), found.pid]
        self.expected.append(["rsp", str(RESULTS[result]), *(str(word) for word in lock_words)])

    def _answer(self, op: Op, lock: Lock, unique: int) -> tuple[int | None, Lock | None]:
        table = self.table
        if op in (Op.TEST, Op.SET, Op.WAIT) and not is_valid(lock, test=op == Op.TEST):
            return errno.EINVAL, None
        if lock.flock:
            lock = replace(lock, start=0, end=LAST_BYTE)
        if op == Op.TEST:
            return 0, table.test(lock) or replace(lock, kind=LockType.UNLOCK)
        if op == Op.SET:
            return table.set(lock), None
        if op == Op.WAIT:
            return table.wait(lock, (self.token, unique), unique), None
        if op == Op.DROP:
            table.drop(lock.node)
        elif op == Op.FORGET:
            table.forget(lambda token: isinstance(token, tuple) and token[0] % QUEUES == self.token % QUEUES)
        else:
            table.end_session(answer=op == Op.END)
        return 0, None

    def settle(self) -> None:
        """All wakes so far."""
        words = []
        for woken in self.table.woken:
            assert isinstance(woken.token, tuple)
            context, unique = woken.token
            words.append(f"{context}:{unique}:{RESULTS[woken.error]}")
        self.table.woken = ()
        self.lines.append("settle")
        self.expected.append(["wakes", *words])

    def judge(self, answers: list[str]) -> tuple[int, int]:
        """Compare; the most cycles of a command, and of an interrupt."""
        assert len(answers) == len(self.expected)
        asked = [line for line in self.lines if not line.startswith(("stall", "order"))]
        cycles = {"rsp": 0, "wakes": 0, "interrupt": 0}
        for line, answer, expected in zip(asked, answers, self.expected, strict=True):
            *words, count = answer.split()
            whole = len(expected) > 2 or expected[0] == "wakes"
            assert (words if whole else words[:2]) == expected, f"{line}: {answer}, expected {expected}"
            cycles[words[0]] = max(cycles[words[0]], int(count))
        return cycles["rsp"], cycles["interrupt"]


def draw(rng: random.Random, spread: int) -> Lock:
    start = rng.choice((0, 1, LAST_BYTE - 3, *[rng.randrange(spread)] * 6))
    end = rng.choice((start, start + 1, start + rng.randrange(8), start + rng.randrange(8), LAST_BYTE))
    kind = rng.choice((LockType.READ, LockType.READ, LockType.WRITE, LockType.UNLOCK))
    owner = rng.choice((1, 2, 3, (1 << 64) - 1))
    lock = Lock(
        rng.choice((1, 1, 2, 15)), owner, start, min(end, LAST_BYTE), kind, rng.getrandbits(32), rng.random() < 0.2
    )
    if rng.random() < 0.03:
        bad: tuple[dict[str, Any], ...] = (
            {"kind": 3},
            {"kind": 1 << 31},
            {"start": 9, "end": 8},
            {"end": LAST_BYTE + 1},
            {"end": (1 << 64) - 1},
        )
        lock = replace(lock, **rng.choice(bad))
    return lock


def random_script(parameters: dict[str, int], seed: int, steps: int) -> Script:
    script = Script(parameters)
    rng = random.Random(seed)
    for step in range(steps):
        if step % 100 == 0:
            script.lines.append(f"stall {rng.choice((0, 0, 40, 80))}")
        spread = 300 if step % 1000 < 600 else 20
        op = rng.choices(list(Op), weights=(20, 50, 20, 2, 0.3, 0.1, 0.5, 3))[0]
        unique = rng.randrange(2, 60, 2)
        if op == Op.INTERRUPT and script.table.waits and rng.random() < 0.6:
            unique = rng.choice(script.table.waits).unique
        if op == Op.RESET:  # what was woken before would or would not be forgotten with it
            script.settle()
        script.command(op, draw(rng, spread), unique)
        if rng.random() < 0.2 or len(script.table.woken) > 4:
            script.settle()
    script.settle()
    return script


@pytest.mark.parametrize("parameters", [SMALL, FULL], ids=("6-locks", "64-locks"))
def test_random_commands(parameters: dict[str, int], capsys: pytest.CaptureFixture[str]) -> None:
    executable = build_unit("lock_bench", parameters)
    answered, interrupted = 0, 0
    for seed in range(1, 5):
        script = random_script(parameters, seed, 5000)
        cycles = script.judge(play(executable, script.lines, seed))
        answered, interrupted = max(answered, cycles[0]), max(interrupted, cycles[1])
    with capsys.disabled():
        print(f"\n{parameters['LOCKS']} locks: an answer after {answered} cycles at most", end="")
        print(f", of an interrupt after {interrupted}", end="")
    assert interrupted <= 100


def test_a_reset_forgets_wakes_too() -> None:
    script = Script(FULL)
    script.lines.append("stall 100")
    script.command(Op.SET, Lock(1, 1, 0, 9, LockType.WRITE))
    for owner in (2, 3):
        script.command(Op.WAIT, Lock(1, owner, 0, 9, LockType.READ), 2 * owner)
    script.command(Op.SET, Lock(1, 1, 0, 9, LockType.UNLOCK))
    script.command(Op.WAIT, Lock(1, 1, 0, 9, LockType.WRITE), 10)
    script.command(Op.RESET, Lock(0, 0, 0, 0, 0))
    script.table.woken = ()
    script.lines.append("stall 0")
    script.settle()
    script.command(Op.TEST, Lock(1, 1, 0, LAST_BYTE, LockType.WRITE))
    script.judge(play(build_unit("lock_bench", FULL), script.lines, 1))


def test_the_reset_of_a_queue_forgets_what_waits_of_it() -> None:
    """Those of other queues wait on, in their order, and what was woken before is answered (VQRST-D01)."""
    script = Script(FULL)
    script.command(Op.SET, Lock(1, 1, 0, 9, LockType.WRITE))
    for owner in range(2, 9):
        script.command(Op.WAIT, Lock(1, owner, owner, owner, LockType.WRITE), 2 * owner)
    script.lines.append("stall 100")
    script.command(Op.SET, Lock(1, 1, 6, 6, LockType.UNLOCK))
    script.command(Op.FORGET, Lock(0, 0, 0, 0, 0))
    script.lines.append("stall 0")
    assert len(script.table.waits) == 5
    script.command(Op.SET, Lock(1, 1, 0, 9, LockType.UNLOCK))
    assert len(script.table.woken) == 6
    script.settle()
    script.judge(play(build_unit("lock_bench", FULL), script.lines, 1))


def test_nobody_waits_where_replies_keep_an_order() -> None:
    """What would wait finds no room (docs/file-system.md, "Locks")."""
    script = Script(FULL)
    script.table.most_waits = 0
    script.lines.append("order")
    script.command(Op.SET, Lock(1, 1, 0, 9, LockType.WRITE))
    for kind in (LockType.READ, LockType.WRITE):
        script.command(Op.WAIT, Lock(1, 2, 4, 4, kind), 4)
    script.command(Op.WAIT, Lock(1, 2, 10, 11, LockType.WRITE), 6)
    script.settle()
    script.judge(play(build_unit("lock_bench", FULL), script.lines, 1))


def test_a_granted_wait_lets_an_older_one_in() -> None:
    """Owner 2 shares byte 1 when it is granted byte 2: the one that waits for byte 1 came before."""
    script = Script(FULL)
    script.command(Op.SET, Lock(1, 2, 1, 1, LockType.WRITE))
    script.command(Op.WAIT, Lock(1, 3, 1, 1, LockType.READ), 6)
    script.command(Op.SET, Lock(1, 4, 2, 2, LockType.WRITE))
    script.command(Op.WAIT, Lock(1, 2, 1, 2, LockType.READ), 4)
    script.command(Op.SET, Lock(1, 4, 2, 2, LockType.UNLOCK))
    assert len(script.table.woken) == 2
    script.settle()
    script.judge(play(build_unit("lock_bench", FULL), script.lines, 1))


def crowded() -> Script:
    """A full table, and as many waits as can be: all for the same lock."""
    script = Script(FULL)
    script.command(Op.SET, Lock(1, 1, 1000, 1999, LockType.WRITE))
    for number in range(FULL["LOCKS"] - 9):
        script.command(Op.SET, Lock(1, 2, 2 * number, 2 * number, LockType.READ))
    for owner in range(10, 18):
        script.command(Op.WAIT, Lock(1, owner, 1000, 1010, LockType.READ), owner)
    script.settle()
    return script


def test_every_lock_waits_for_one() -> None:
    """The longest turn: all waits are granted, each after a look at a full table."""
    script = crowded()
    script.command(Op.SET, Lock(1, 1, 1000, 1999, LockType.UNLOCK))
    script.settle()
    answered, _ = script.judge(play(build_unit("lock_bench", FULL), script.lines, 1))
    assert answered < 1000


def test_an_interrupt_comes_in_between() -> None:
    """While the waits of a full table are granted one by one, at any moment: done within 100 cycles, as if it had come
    before the unlock or behind it."""
    executable = build_unit("lock_bench", FULL)
    found = []
    for after in range(0, 800, 23):
        script = crowded()
        script.lines += [f"later {after} 15", f"lock {Op.SET:d} 0 0 1 0 1 1000 1999 2 0", "settle"]
        first, second, wakes = play(executable, script.lines, 1)[-3:]
        interrupt, answer = (first, second) if first.startswith("interrupt") else (second, first)
        assert answer.startswith("rsp 0 ")
        _, hit, cycles = interrupt.split()
        assert int(cycles) <= 100
        results = {int(unique): int(result) for _, unique, result in (word.split(":") for word in wakes.split()[1:-1])}
        assert results == dict.fromkeys(range(10, 18), 0) | ({15: RESULTS[errno.EINTR]} if hit == "1" else {})
        found.append(int(hit))
    assert found == sorted(found, reverse=True)
    assert found[0] == 1
    assert found[-1] == 0


@pytest.mark.parametrize(
    "spoil",
    [
        lambda table: setattr(table, "held", ()),
        lambda table: setattr(table, "held", tuple(replace(lock, pid=lock.pid + 1) for lock in table.held)),
        lambda table: setattr(table, "waits", ()),
    ],
    ids=("no lock", "pid", "no wait"),
)
def test_a_wrong_answer_is_noticed(spoil: Callable[[LockTable], None]) -> None:
    script = Script(FULL)
    script.command(Op.SET, Lock(1, 1, 0, 9, LockType.WRITE, 7))
    script.command(Op.WAIT, Lock(1, 2, 0, 9, LockType.READ), 2)
    spoil(script.table)
    script.command(Op.TEST, Lock(1, 3, 0, LAST_BYTE, LockType.WRITE))
    script.command(Op.SET, Lock(1, 1, 0, 9, LockType.UNLOCK))
    script.settle()
    with pytest.raises(AssertionError, match="expected"):
        script.judge(play(build_unit("lock_bench", FULL), script.lines, 1))
