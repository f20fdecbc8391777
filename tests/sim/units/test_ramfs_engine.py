"""The ramfs engine by itself (hdl/ramfs/ramfs_engine.sv), against the golden file system, byte for byte."""

from __future__ import annotations

import errno
import functools
import struct
from pathlib import Path

import pytest

from tests.sim.units.engine_bench import Engine, Reply, Sent
from tests.sim.units.engine_campaign import campaign, message
from tests.sim.units.engine_judge import Judge, Mismatch
from tests.sim.units.lock_requests import READ, Want, create, init
from tests.sim.units.unit_build import build_unit
from virtiofs_model.layouts.fuse_constants import Opcode
from virtiofs_model.ramfs import Limits, RamfsServer, Tree

SMALL = {"DATA_W": 256, "INODES": 16, "PAGES": 32, "CELLS": 40}
EXPRESS_CYCLES = 200
BATCHES = 250

# What a campaign of these seeds has met, and every other one like it will.
MET = {
    Opcode.LOOKUP: (0, errno.ENOENT, errno.ENOTDIR, errno.ESTALE, errno.ENAMETOOLONG, errno.EINVAL),
    Opcode.SETATTR: (0, errno.EBADF, errno.EFBIG, errno.ESTALE),
    Opcode.SYMLINK: (0, errno.EEXIST, errno.ENOENT, errno.ENAMETOOLONG, errno.ENOSPC),
    Opcode.UNLINK: (0, errno.EISDIR, errno.EBUSY),
    Opcode.RMDIR: (0, errno.ENOTDIR, errno.ENOTEMPTY),
    Opcode.RENAME2: (0, errno.EINVAL, errno.EEXIST, errno.ENOENT, errno.EISDIR, errno.ENOTDIR),
    Opcode.LINK: (0, errno.EPERM, errno.EEXIST),
    Opcode.CREATE: (0, errno.EISDIR, errno.EEXIST, errno.ENOSPC),
    Opcode.TMPFILE: (0, errno.ENOSPC),
    Opcode.READ: (0, errno.EBADF, errno.EISDIR, None),
    Opcode.WRITE: (0, errno.EBADF, errno.EINVAL, errno.EFBIG, errno.ENOSPC, errno.EIO),
    Opcode.READDIRPLUS: (0, errno.EBADF),
    Opcode.FALLOCATE: (0, errno.EOPNOTSUPP, errno.EFBIG, errno.EINVAL),
    Opcode.INTERRUPT: (errno.EAGAIN,),
    Opcode.SETLKW: (0, errno.EBADF),
}

# The same of campaigns about locks.
MET_BY_LOCKS = {
    Opcode.GETLK: (0, errno.EINVAL, errno.EBADF),
    Opcode.SETLK: (0, errno.EAGAIN, errno.EINVAL, errno.EBADF),
    Opcode.SETLKW: (0, errno.EINTR, errno.EINVAL, errno.EBADF),
    Opcode.INTERRUPT: (0, errno.EAGAIN),
}


def build(**parameters: int) -> Path:
    return build_unit("engine_bench", SMALL | parameters)


def limits(parameters: dict[str, int]) -> Limits:
    inodes = parameters["INODES"]
    return Limits(inodes, parameters["PAGES"], 2 * inodes, parameters["CELLS"])


@functools.cache
def seen() -> frozenset[tuple[int, int | None]]:
    """What ten campaigns met; they themselves are the test that follows."""
    met: set[tuple[int, int | None]] = set()
    for seed in range(1, 11):
        met |= set(campaign(build(), seed, BATCHES, limits(SMALL)).seen)
    return frozenset(met)


def test_random_requests_are_answered_as_the_golden_file_system_does() -> None:
    assert seen()


@pytest.mark.parametrize("opcode", MET)
def test_the_campaign_meets_the_errors_that_matter(opcode: Opcode) -> None:
    missed = [error for error in MET[opcode] if (opcode, error) not in seen()]
    assert not missed


def test_random_locks_are_answered_as_the_golden_file_system_does() -> None:
    """Requests that wait are granted, interrupted, cut off by closes, sessions and resets."""
    met: set[tuple[int, int | None]] = set()
    granted = 0
    for seed in range(21, 25):
        done = campaign(build(), seed, BATCHES, limits(SMALL), locks=True)
        met |= set(done.seen)
        granted += done.granted
    assert not [
        (opcode, error) for opcode, errors in MET_BY_LOCKS.items() for error in errors if (opcode, error) not in met
    ]
    assert granted > 10


NARROW = {"DATA_W": 128, "INODES": 16, "PAGES": 64, "CELLS": 64}
LARGEST = {"DATA_W": 512, "INODES": 4096, "PAGES": 4096, "ENTRIES": 8192, "CELLS": 16384}


@pytest.mark.widths
@pytest.mark.parametrize("parameters", [NARROW, LARGEST], ids=["narrow", "largest"])
def test_at_other_widths_and_sizes(parameters: dict[str, int]) -> None:
    for seed in (1, 2):
        # Where requests may wait, silence must tell that no answer comes; the end of a large session is silent longer.
        locks = seed == 2 and parameters is NARROW
        campaign(build(**parameters), seed, BATCHES, limits(parameters), locks=locks)


@pytest.mark.widths
def test_the_largest_capacity_can_be_used_up() -> None:
    """4094 files beside the root, all found again; 16 MiB written and read back; then ENOSPC, and all space returns."""
    mib = 1 << 20
    with Engine(build(**LARGEST), 1) as engine:

        def ask(opcode: Opcode, nodeid: int, body: bytes) -> bytes:
            return engine.one(message(opcode, nodeid, body)).data

        def free() -> tuple[int, ...]:
            return struct.unpack_from("<QQQQQ", ask(Opcode.STATFS, 1, b""), 16)[1::3]

        ask(Opcode.INIT, 0, struct.pack("<4I48x", 7, 45, 0, 0))
        before = free()
        names = [b"%0*d" % (1 + index % 60, index) for index in range(4094)]
        nodes = []
        for name in names:
            reply = ask(Opcode.MKNOD, 1, struct.pack("<IIII", 0, 0, 0, 0) + name + b"\0")
            assert not any(reply[4:8]), (name, reply[4:8])
            nodes.append(reply[16:24])
        full = ask(Opcode.MKNOD, 1, struct.pack("<IIII", 0, 0, 0, 0) + b"more\0")
        assert struct.unpack_from("<i", full, 4)[0] == -errno.ENOSPC
        for name, node in zip(names[::37], nodes[::37], strict=True):
            assert ask(Opcode.LOOKUP, 1, name + b"\0")[16:24] == node

        file = int.from_bytes(nodes[-1], "little")
        ask(Opcode.OPEN, file, bytes(8))
        for index in range(16):
            data = bytes([index + 1]) * mib
            written = ask(Opcode.WRITE, file, struct.pack("<QQI20x", file, index * mib, mib) + data)
            assert written[4:8] + written[16:20] == bytes(4) + struct.pack("<I", mib)
        full = ask(Opcode.WRITE, file, struct.pack("<QQI20x", file, 16 * mib, 1) + b"x")
        assert struct.unpack_from("<i", full, 4)[0] == -errno.ENOSPC
        for index in (0, 7, 15):
            read = ask(Opcode.READ, file, struct.pack("<QQI20x", file, index * mib, mib))
            assert read[16:] == bytes([index + 1]) * mib
        ask(Opcode.RELEASE, file, struct.pack("<QIIQ", file, 0, 0, 0))
        for name in names:
            assert not any(ask(Opcode.UNLINK, 1, name + b"\0")[4:8])
        ask(Opcode.DESTROY, 0, b"")
        ask(Opcode.INIT, 0, struct.pack("<4I48x", 7, 45, 0, 0))
        assert free() == before


def test_express_requests_wait_for_no_operation() -> None:
    """FORGET and INTERRUPT behind the slowest operations, at any moment of them: answered within 200 cycles."""
    parameters = {"INODES": 64, "PAGES": 512, "CELLS": 256}
    latencies: list[int] = []
    with Engine(build(**parameters), 1) as engine:
        slow = _slow_requests(engine)
        for request in slow:
            for wait in (0, 40, 90, 150, 400, 900):
                contexts = [engine.send(Sent(request, 1 << 21)) for _ in range(3)]
                early = engine.step(wait)
                express = [
                    engine.send(Sent(message(Opcode.FORGET, 2, struct.pack("<Q", 0)), 0, lane=0)),
                    engine.send(Sent(message(Opcode.INTERRUPT, 0, struct.pack("<Q", 7)), 16, lane=0)),
                ]
                replies = early | engine.run()
                assert all(context in replies for context in contexts)
                latencies += [replies[context].latency for context in express]
    assert max(latencies) <= EXPRESS_CYCLES


def _slow_requests(engine: Engine) -> list[bytes]:
    """1 MiB written, read, allocated; a directory of many names listed; the end of a session."""
    init = message(Opcode.INIT, 0, struct.pack("<4I48x", 7, 45, 0, 0))
    engine.one(init)
    engine.one(message(Opcode.CREATE, 1, struct.pack("<IIII", 2, 0o644, 0, 0) + b"file\0"))
    for index in range(40):
        engine.one(message(Opcode.MKNOD, 1, struct.pack("<IIII", 0, 0, 0, 0) + b"name%d\0" % index))
    engine.one(message(Opcode.OPENDIR, 1, bytes(8)))
    transfer = struct.pack("<QQI20x", 2, 0, 1 << 20)
    listing = struct.pack("<QQI20x", 1, 0, 4096)
    return [
        message(Opcode.WRITE, 2, transfer + bytes(1 << 20)),
        message(Opcode.READ, 2, transfer),
        message(Opcode.FALLOCATE, 2, struct.pack("<QQQII", 2, 0, 1 << 20, 0x10, 0)),
        message(Opcode.READDIRPLUS, 1, listing),
        message(Opcode.FALLOCATE, 2, struct.pack("<QQQII", 2, 0, 1 << 20, 3, 0)),
        init,
    ]


def test_the_judge_sees_a_wrong_byte() -> None:
    judge = Judge(RamfsServer(Tree(limits(SMALL))))
    init = Sent(message(Opcode.INIT, 0, struct.pack("<4I48x", 7, 45, 0, 0)), 80)
    with Engine(build(), 1) as engine:
        judge.judge([(init, 0)], {0: engine.one(init.message, 80)})
        look = Sent(message(Opcode.GETATTR, 1, bytes(16)), 120)
        reply = engine.one(look.message, 120)
    judge.judge([(look, 0)], {0: reply})
    assert reply.data is not None
    for at in (0, 4, 8, 16, 100):
        wrong = bytearray(reply.data)
        wrong[at] ^= 1
        with pytest.raises(Mismatch, match=f"byte {at} differs"):
            judge.judge([(look, 0)], {0: Reply(bytes(wrong), reply.latency)})
    with pytest.raises(Mismatch, match="got no reply"):
        judge.judge([(look, 0)], {0: Reply(None, reply.latency)})


def test_the_judge_sees_another_order() -> None:
    """Requests of the main path take effect in the order in which they came."""
    judge = Judge(RamfsServer(Tree(limits(SMALL))))
    init = Sent(message(Opcode.INIT, 0, struct.pack("<4I48x", 7, 45, 0, 0)), 80)
    make = Sent(message(Opcode.MKDIR, 1, struct.pack("<II", 0, 0) + b"a\0"), 144)
    look = Sent(message(Opcode.LOOKUP, 1, b"a\0"), 144)
    with Engine(build(), 1) as engine:
        replies = {ctx: engine.one(sent.message, sent.writable) for ctx, sent in enumerate((init, make, look))}
    with pytest.raises(Mismatch):
        judge.judge([(init, 0), (look, 2), (make, 1)], replies)
    judge.judge([(init, 0), (make, 1), (look, 2)], replies)


def test_the_judge_sees_a_wrong_end_of_a_wait() -> None:
    """No answer, an answer too early, another errno, another order of two that were granted."""
    begin = [init(), create(), Want(1).set(), Want(2, READ).wait(2), Want(3, READ).wait(3)]
    line = [Sent(message, 160) for message in (*begin, Want(1).unlock())]
    with Engine(build(), 1) as engine:
        asked = [(sent, engine.send(sent)) for sent in line]
        replies = engine.settle()
    first, second, last = (ctx for _, ctx in asked[-3:])
    assert list(replies)[-3:] == [last, first, second]
    Judge(RamfsServer(Tree(limits(SMALL)))).judge(asked, replies)
    other = Reply(bytes(4) + bytes([0xF5]) + bytes(11), 0)
    swapped = {ctx: replies[ctx] for ctx in (*(ctx for _, ctx in asked[:3]), last, second, first)}
    for wrong in ({**replies, first: other}, swapped, {ctx: reply for ctx, reply in replies.items() if ctx != first}):
        with pytest.raises(Mismatch, match="requests that waited"):
            Judge(RamfsServer(Tree(limits(SMALL)))).judge(asked, wrong)
    with pytest.raises(Mismatch, match="requests that waited"):
        Judge(RamfsServer(Tree(limits(SMALL)))).judge(asked[:-1], replies)
