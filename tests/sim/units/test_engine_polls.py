"""Files that are polled, and what the driver answers to RETRIEVE (docs/notifications.md): the ramfs engine with a
message store of 2 KiB."""

from __future__ import annotations

import errno
import random
import struct

import pytest

from tests.sim.units.engine_bench import Engine, Retrieved, Room
from tests.sim.units.engine_campaign import message
from tests.sim.units.test_engine_notices import (
    COALESCE,
    DIR,
    DROP,
    FILE,
    FITTING,
    HOLD,
    KEEP,
    MODE,
    O_TRUNC,
    O_WRONLY,
    OTHER,
    PUNCH,
    ROOT,
    SIZE,
    ZERO,
    create,
    fallocate,
    fill,
    init,
    inode,
    named,
    open_of,
    setattr_of,
    world,
    write,
)
from tests.sim.units.test_ramfs_engine import build
from tests.sim.units.unit_build import WIDTHS
from virtiofs_model.layouts.dpu import RETRIEVED_BYTES, NotifyFlag, NotifyResult
from virtiofs_model.layouts.fuse_constants import Opcode
from virtiofs_model.registers import NotifyPolicy

POLLS = 8
WORDS = 2048 // 32
SCHEDULE = 1
NONE = Retrieved(NotifyFlag(0), 0, b"")


def poll(node: int, kh: int, flags: int = SCHEDULE, events: int = 0xFFFFFFFF, fh: int | None = None) -> bytes:
    return message(Opcode.POLL, node, struct.pack("<QQII", node if fh is None else fh, kh, flags, events))


def release(node: int) -> bytes:
    return message(Opcode.RELEASE, node, struct.pack("<QIIQ", node, 0, 0, 1))


def woken(kh: int) -> bytes:
    """A POLL message."""
    return struct.pack("<IiQQ", 24, 1, 0, kh)


def error_of(engine: Engine, request: bytes, writable: int = 4096) -> int:
    data = engine.one(request, writable).data
    assert data is not None
    return -int.from_bytes(data[4:8], "little", signed=True)


# ---- POLL ----


@pytest.mark.parametrize("events", [0, 1, 4, 0x145, 0x3A, 0xFFFFFFFF])
def test_a_file_is_always_ready(events: int) -> None:
    with world() as engine:
        engine.one(message(Opcode.OPENDIR, DIR, bytes(8)))
        for node in (FILE, DIR):
            data = engine.one(poll(node, 5, 0, events), 24).data
            assert data == struct.pack("<IiQII", 24, 0, 7, events & 0x145, 0)
        assert engine.room().places == 0


def test_how_poll_fails() -> None:
    with world() as engine:
        assert error_of(engine, poll(OTHER, 5)) == errno.EBADF
        assert error_of(engine, poll(FILE, 5, fh=OTHER)) == errno.EBADF
        assert error_of(engine, poll(99, 5)) == errno.ESTALE
        assert error_of(engine, message(Opcode.POLL, FILE, bytes(23))) == errno.EINVAL
        assert engine.one(poll(FILE, 5), 23).data is None
        assert engine.room().places == 0
        reply = engine.dpu(poll(FILE, 5)).data
        assert reply is not None and reply[4:8] == struct.pack("<i", -errno.ENOSYS)


@pytest.mark.parametrize("width", WIDTHS)
def test_a_change_by_the_dpu_wakes_whoever_polls_the_inode(width: int) -> None:
    with world(width=width) as engine:
        whole = engine.room().words
        engine.one(open_of(OTHER, 2))
        for kh, node in ((50, FILE), (30, OTHER), (1 << 63 | 7, FILE), (40, FILE)):
            assert error_of(engine, poll(node, kh)) == 0
        assert error_of(engine, poll(OTHER, 40)) == 0
        assert engine.room().places == 4
        engine.dpu(write(FILE, 3, b"abc"))
        assert engine.drain() == [inode(FILE, 3, 3), woken(50), woken(1 << 63 | 7)]
        engine.dpu(write(FILE, 3, b"abc"))
        assert engine.drain() == [inode(FILE, 3, 3)]
        assert error_of(engine, poll(OTHER, 20)) == 0
        assert error_of(engine, poll(OTHER, 30)) == 0
        engine.dpu(write(OTHER, 0, b"a"))
        assert engine.drain() == [inode(OTHER, 0, 1), woken(30), woken(40), woken(20)]
        assert engine.room() == Room(whole, 0)


CHANGES = {
    "write": (write(FILE, 5, b"abc"), inode(FILE, 5, 3), True),
    "write of 0 bytes": (write(FILE, 5, b""), inode(FILE), False),
    "size": (setattr_of(FILE, SIZE | MODE, 9), inode(FILE, 9), True),
    "mode": (setattr_of(FILE, MODE), inode(FILE), False),
    "open that cuts": (open_of(FILE, O_WRONLY | O_TRUNC), inode(FILE, 0), True),
    "open": (open_of(FILE, O_WRONLY), None, False),
    "create that cuts": (create(ROOT, b"f", O_WRONLY | O_TRUNC), inode(FILE, 0), True),
    "punch": (fallocate(FILE, PUNCH | KEEP, 10, 100), inode(FILE, 10, 100), True),
    "zero": (fallocate(FILE, ZERO, 10, 100), inode(FILE, 10, 100), True),
    "allocate": (fallocate(FILE, 0, 10, 100), inode(FILE), False),
    "look": (named(Opcode.LOOKUP, ROOT, b"f"), None, False),
}


@pytest.mark.parametrize("what", CHANGES)
def test_what_wakes(what: str) -> None:
    request, announced, wakes = CHANGES[what]
    with world() as engine:
        assert error_of(engine, poll(FILE, 5)) == 0
        engine.dpu(request)
        assert engine.drain() == [*([announced] if announced else []), *([woken(5)] if wakes else [])]
        assert engine.room().places == (0 if wakes else 1)


def test_what_the_driver_does_itself_wakes_nobody() -> None:
    with world() as engine:
        assert error_of(engine, poll(FILE, 5)) == 0
        engine.one(write(FILE, 0, b"a"))
        engine.one(setattr_of(FILE, SIZE, 9))
        assert engine.drain() == []
        assert engine.room().places == 1


def test_an_inode_that_cannot_be_cached_wakes_all_the_same() -> None:
    with world() as engine:
        assert error_of(engine, poll(FILE, 5)) == 0
        engine.one(message(Opcode.FORGET, FILE, struct.pack("<Q", 1)))
        engine.dpu(write(FILE, 0, b"a"))
        assert engine.drain() == [woken(5)]


def test_as_many_as_the_table_holds() -> None:
    with world() as engine:
        for kh in range(POLLS):
            assert error_of(engine, poll(FILE, kh)) == 0
        assert error_of(engine, poll(FILE, 99)) == errno.ENOMEM
        assert error_of(engine, poll(FILE, 99, 0)) == 0
        assert error_of(engine, poll(FILE, 3)) == 0
        engine.dpu(write(FILE, 0, b"a"))
        assert engine.drain() == [inode(FILE, 0, 1), *(woken(kh) for kh in range(POLLS))]


@pytest.mark.parametrize("policy", [HOLD, DROP, COALESCE])
def test_a_place_is_kept(policy: NotifyPolicy) -> None:
    raw = struct.pack("<IiQ", 16, 99, 0)
    with world(policy) as engine:
        if policy is HOLD:
            while engine.room().words > 2:
                assert engine.mail(raw) == NotifyResult.HELD
        else:
            fill(engine, FITTING - 1)
        assert engine.room() == Room(2, 0)
        assert error_of(engine, poll(FILE, 5)) == 0
        assert error_of(engine, poll(FILE, 6)) == 0
        assert error_of(engine, poll(FILE, 7)) == errno.ENOMEM
        assert error_of(engine, poll(FILE, 5)) == 0
        assert engine.mail(raw) == NotifyResult.REFUSED
        if policy is HOLD:
            engine.drain(40)
        engine.dpu(write(FILE, 0, b"a"))
        messages = engine.drain()
        assert [data for data in messages if data in (woken(5), woken(6))] == [woken(5), woken(6)]
        assert engine.room() == Room(WORDS, 0)


@pytest.mark.parametrize("how", ["release", "init", "destroy", "reset", "refused"])
def test_who_is_not_told(how: str) -> None:
    with world() as engine:
        engine.one(open_of(OTHER, 2))
        engine.one(open_of(OTHER, 2))
        for kh, node in ((5, FILE), (6, OTHER), (7, FILE)):
            assert error_of(engine, poll(node, kh)) == 0
        if how == "release":
            assert error_of(engine, release(FILE)) == error_of(engine, release(OTHER)) == 0
            assert engine.room().places == 1
            engine.dpu(write(FILE, 0, b"a"))
            engine.dpu(write(OTHER, 0, b"a"))
            assert engine.drain() == [inode(FILE, 0, 1), inode(OTHER, 0, 1), woken(6)]
            return
        if how == "reset":
            engine.reset()
            engine.settle()
        elif how == "destroy":
            assert error_of(engine, message(Opcode.DESTROY, 0)) == 0
        else:
            engine.one(init(45 if how == "init" else 30), 80)
        assert engine.room().places == (3 if how == "refused" else 0)
        engine.dpu(write(FILE, 0, b"a"))
        assert engine.drain() == ([inode(FILE, 0, 1), woken(5), woken(7)] if how == "refused" else [])


def test_without_the_feature_the_flag_does_not_count() -> None:
    with world() as engine:
        engine.notify(False, HOLD)
        for kh in range(POLLS + 1):
            assert error_of(engine, poll(FILE, kh)) == 0
        assert engine.room().places == 0


def test_no_place_leaks() -> None:
    """Thousands of requests at random, against a list."""
    dice = random.Random(9)
    table: list[tuple[int, int]] = []
    with world() as engine:
        for node in (DIR, OTHER):
            engine.one(open_of(node, 2))
        for _ in range(1000):
            node = dice.choice((FILE, OTHER))
            kind = dice.random()
            if kind < 0.6:
                kh = dice.randrange(12)
                known = [index for index, (other, _) in enumerate(table) if other == kh]
                error = error_of(engine, poll(node, kh))
                assert error == (0 if known or len(table) < POLLS else errno.ENOMEM)
                if known:
                    table[known[0]] = (kh, node)
                elif not error:
                    table.append((kh, node))
            elif kind < 0.9:
                engine.dpu(write(node, 0, b"a"))
                expected = [woken(kh) for kh, other in table if other == node]
                table = [(kh, other) for kh, other in table if other != node]
                assert engine.drain(cycles=400) == [inode(node, 0, 1), *expected]
            elif kind < 0.97:
                assert error_of(engine, release(node)) == 0
                assert error_of(engine, open_of(node, 2)) == 0
                table = [(kh, other) for kh, other in table if other != node]
            else:
                if kind > 0.985:
                    engine.reset()
                    engine.settle()
                engine.one(init(), 80)
                for name, other in ((b"f", FILE), (b"g", OTHER)):
                    engine.one(named(Opcode.LOOKUP, ROOT, name))
                    engine.one(open_of(other, 2))
                table = []
            assert engine.room() == Room(WORDS - len(table), len(table))


# ---- NOTIFY_REPLY ----


def answer(size: int, seed: int = 0) -> bytes:
    """A NOTIFY_REPLY with so many bytes of data."""
    data = bytes((index * 7 + seed) & 0xFF for index in range(size))
    return message(Opcode.NOTIFY_REPLY, FILE, struct.pack("<QQIIQQ", 0, 0, size, 0, 0, 0) + data, seed)


@pytest.mark.parametrize("width", WIDTHS)
def test_the_first_kilobyte_is_kept(width: int) -> None:
    with world(width=width) as engine:
        for size in (0, 1, 2, 15, 16, 17, 48, 943, 944, 945, 4096):
            request = answer(size, size & 0xFF)
            assert engine.retrieved() == NONE
            assert engine.one(request).data is None
            kept = request[:RETRIEVED_BYTES]
            assert engine.retrieved(take=False) == Retrieved(NotifyFlag(0), len(kept), kept)
            assert engine.retrieved(take=False).flags == NotifyFlag(0)
            assert engine.one(message(Opcode.GETATTR, FILE, bytes(16))).data is not None
            engine.one(answer(1000, 99))
            # Read to its end already.
            assert engine.retrieved() == Retrieved(NotifyFlag.RETRIEVED_LOST, len(kept), bytes(len(kept)))


def test_what_is_kept_survives_resets_and_what_is_refused_is_not_kept() -> None:
    with world() as engine:
        short = message(Opcode.NOTIFY_REPLY, FILE, bytes(39))
        wrong = struct.pack("<I", 90) + answer(0)[4:]
        for request in (short, wrong, answer(0)[:39]):
            assert engine.one(request).data is None
            assert engine.retrieved() == NONE
        engine.one(answer(5))
        engine.one(wrong)
        engine.reset()
        engine.settle()
        assert engine.one(answer(8)).data is None
        assert engine.retrieved() == Retrieved(NotifyFlag(0), 85, answer(5))
        assert engine.one(answer(8)).data is None
        assert engine.retrieved() == NONE
        reply = engine.dpu(answer(5)).data
        assert reply is not None and reply[4:8] == struct.pack("<i", -errno.ENOSYS)
        assert engine.retrieved() == NONE


def test_nothing_is_kept_at_first() -> None:
    with Engine(build(), 3) as engine:
        assert engine.retrieved() == NONE
