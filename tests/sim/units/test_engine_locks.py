"""Locks in the ramfs engine by themselves: what docs/file-system.md says of each, on a file that is open."""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.sim.units.engine_bench import Engine, Reply, Sent
from tests.sim.units.engine_campaign import message
from tests.sim.units.lock_requests import (
    FLOCK,
    FLOCK_UNLOCK,
    LAST_BYTE,
    READ,
    UNLOCK,
    WRITE,
    Want,
    create,
    init,
    interrupt,
    reopen,
)
from tests.sim.units.test_ramfs_engine import EXPRESS_CYCLES, build
from virtiofs_model.layouts.fuse_constants import InitFlag, Opcode

WAITS = 8
LOCKS = 64
EMPTY = 16


class Client:
    """A client with one file, open once: node 2. Replies as (errno, unique)."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.begin()
        self.one(create())

    def begin(self) -> None:
        flags = struct.unpack_from("<I", self.reply(init()), 16 + 12)[0]
        assert InitFlag(flags) & InitFlag.POSIX_LOCKS and InitFlag(flags) & InitFlag.FLOCK_LOCKS

    def reply(self, request: bytes, writable: int = 4096) -> bytes:
        data = self.engine.settle_one(request, writable).data
        assert data is not None
        return data

    def one(self, request: bytes) -> int:
        """The errno of a request that is answered while others may wait."""
        return error_of(self.reply(request))

    def park(self, request: bytes) -> int:
        """The context of a request that is not answered."""
        ctx = self.engine.send(Sent(request, EMPTY))
        assert self.engine.settle() == {}
        return ctx

    def effect(self, request: bytes, lane: int = 2) -> tuple[int, dict[int, tuple[int, int]]]:
        """A request's errno, and errno and unique of all that it ended, by context, in the order of the answers."""
        ctx = self.engine.send(Sent(request, 4096, lane))
        replies = self.engine.settle()
        answer = replies.pop(ctx)
        assert answer.data is not None
        return error_of(answer.data), {other: ended(reply) for other, reply in replies.items()}


def ended(reply: Reply) -> tuple[int, int]:
    assert reply.data is not None and len(reply.data) == EMPTY
    length, _, unique = struct.unpack("<IiQ", reply.data)
    assert length == EMPTY
    return error_of(reply.data), unique


def error_of(data: bytes) -> int:
    return -int.from_bytes(data[4:8], "little", signed=True)


def found(data: bytes) -> tuple[int, int, int, int]:
    """start, end, type, pid of GETLK's reply."""
    assert len(data) == 40
    return struct.unpack("<QQII", data[16:])


@pytest.fixture
def client() -> Iterator[Client]:
    with Engine(build(), 1) as engine:
        yield Client(engine)


def test_a_conflict(client: Client) -> None:
    mine = Want(1, start=10, end=19, pid=11)
    assert client.one(mine.set()) == 0
    other = Want(2, READ, 5, 12, 22)
    assert client.one(other.set()) == errno.EAGAIN
    assert found(client.reply(other.test())) == (10, 19, WRITE, 11)
    assert client.one(replace(other, end=9).set()) == 0
    assert found(client.reply(mine.test())) == (10, 19, UNLOCK, 11)
    assert found(client.reply(replace(mine, start=0).test())) == (5, 9, READ, 22)
    assert found(client.reply(replace(other, flags=FLOCK).test())) == (0, LAST_BYTE, UNLOCK, 22)


def test_a_lock_is_split_and_becomes_one_again(client: Client) -> None:
    mine = Want(1, start=0, end=99, pid=11)
    probe = Want(2, start=0, end=LAST_BYTE)
    assert client.one(mine.set()) == 0
    assert client.one(replace(mine, start=40, end=49, kind=UNLOCK).set()) == 0
    assert found(client.reply(probe.test())) == (0, 39, WRITE, 11)
    assert found(client.reply(replace(probe, start=40).test())) == (50, 99, WRITE, 11)
    assert found(client.reply(replace(probe, start=40, end=49).test()))[2] == UNLOCK
    assert client.one(replace(mine, start=40, end=49, pid=33).set()) == 0
    assert found(client.reply(probe.test())) == (0, 99, WRITE, 33)


@pytest.mark.parametrize("flags", [0, FLOCK], ids=("posix", "flock"))
def test_a_request_waits_until_the_lock_is_free(client: Client, flags: int) -> None:
    mine = Want(1, flags=flags)
    assert client.one(mine.set()) == 0
    first = client.park(Want(2, flags=flags).wait(20))
    second = client.park(Want(3, flags=flags).wait(30))
    assert client.one(message(Opcode.GETATTR, 2, bytes(16))) == 0
    assert client.effect(mine.unlock()) == (0, {first: (0, 20)})
    assert client.effect(Want(2, flags=flags).unlock()) == (0, {second: (0, 30)})
    assert found(client.reply(mine.test()))[2] == WRITE


def test_a_downgrade_lets_readers_in_in_their_order(client: Client) -> None:
    assert client.one(Want(1).set()) == 0
    waits = [client.park(Want(owner, kind).wait(owner)) for owner, kind in ((2, READ), (3, WRITE), (4, READ))]
    error, woken = client.effect(Want(1, READ).set())
    assert error == 0
    assert list(woken.items()) == [(waits[0], (0, 2)), (waits[2], (0, 4))]


def test_flush_and_release_let_others_in(client: Client) -> None:
    """FLUSH takes POSIX locks, RELEASE flocks where it says so; the file stays open by others."""
    for _ in range(2):
        assert client.one(reopen()) == 0
    posix, flock = Want(1), Want(1, flags=FLOCK)
    assert client.one(posix.set()) == 0
    assert client.one(flock.set()) == 0
    one = client.park(Want(2).wait(2))
    two = client.park(Want(3, flags=FLOCK).wait(3))
    assert client.effect(Want(9).flush()) == (0, {})
    assert client.effect(posix.flush()) == (0, {one: (0, 2)})
    assert client.effect(flock.release()) == (0, {})
    assert client.effect(Want(9).release(FLOCK_UNLOCK)) == (0, {})
    assert client.one(reopen()) == 0
    assert client.effect(flock.release(FLOCK_UNLOCK)) == (0, {two: (0, 3)})


def test_the_last_close_ends_what_waits(client: Client) -> None:
    assert client.one(Want(1).set()) == 0
    waits = [client.park(Want(owner).wait(owner)) for owner in (2, 3)]
    assert client.effect(Want(1).release()) == (
        0,
        {ctx: (errno.EBADF, owner) for ctx, owner in zip(waits, (2, 3), strict=True)},
    )
    assert client.one(Want(4).set()) == errno.EBADF
    assert client.one(reopen()) == 0
    assert client.one(Want(4).set()) == 0


def test_the_last_close_grants_an_flock_first(client: Client) -> None:
    assert client.one(Want(1, flags=FLOCK).set()) == 0
    assert client.one(Want(1).set()) == 0
    flock, posix = client.park(Want(2, flags=FLOCK).wait(2)), client.park(Want(2).wait(4))
    assert client.effect(Want(1).release(FLOCK_UNLOCK)) == (0, {flock: (0, 2), posix: (errno.EBADF, 4)})


def test_an_interrupt_ends_the_oldest_of_its_unique(client: Client) -> None:
    assert client.one(Want(1).set()) == 0
    waits = [client.park(Want(owner).wait(unique)) for owner, unique in ((2, 20), (3, 30), (4, 30))]
    assert client.effect(interrupt(40), lane=0) == (errno.EAGAIN, {})
    assert client.effect(interrupt(30), lane=0) == (0, {waits[1]: (errno.EINTR, 30)})
    assert client.effect(interrupt(30), lane=2) == (0, {waits[2]: (errno.EINTR, 30)})
    assert client.effect(interrupt(30), lane=0) == (errno.EAGAIN, {})
    assert client.effect(Want(1).unlock()) == (0, {waits[0]: (0, 20)})


@pytest.mark.parametrize("opcode", [Opcode.INIT, Opcode.DESTROY])
def test_what_waits_ends_with_the_session(client: Client, opcode: Opcode) -> None:
    """And is answered before the request that ends the session."""
    assert client.one(Want(1).set()) == 0
    waits = [client.park(Want(owner).wait(owner)) for owner in range(2, 2 + WAITS)]
    ctx = client.engine.send(Sent(init() if opcode is Opcode.INIT else message(opcode, 0), 80))
    client.engine.stall(0, 80, 0)
    replies = client.engine.settle()
    assert list(replies) == [*waits, ctx]
    assert [ended(replies[ctx]) for ctx in waits] == [(errno.EINTR, owner) for owner in range(2, 2 + WAITS)]
    client.begin()
    assert client.one(message(Opcode.LOOKUP, 1, b"file\0")) == 0
    assert client.one(reopen()) == 0
    assert client.one(Want(5).set()) == 0


def test_another_major_ends_no_wait(client: Client) -> None:
    assert client.one(Want(1).set()) == 0
    ctx = client.park(Want(2).wait(2))
    assert client.effect(message(Opcode.INIT, 0, struct.pack("<4I48x", 8, 0, 0, 0))) == (0, {})
    assert client.effect(Want(1).unlock()) == (0, {ctx: (0, 2)})


def test_a_reset_answers_nobody(client: Client) -> None:
    """At any moment of an unlock that lets eight in."""
    for cycles in (0, 50, 70, 90, 130, 300, 600):
        assert client.one(Want(1, READ).set()) == 0
        for owner in range(2, 2 + WAITS):
            client.park(Want(owner, start=owner, end=owner).wait(owner))
        client.engine.stall(0, 60, 0)
        client.engine.send(Sent(Want(1).unlock(), EMPTY))
        replies = client.engine.step(cycles)
        client.engine.reset()
        assert client.engine.settle() == {}
        assert len(replies) <= 1 + WAITS
        client.engine.stall(0, 0, 0)
        client.begin()
        assert client.one(message(Opcode.LOOKUP, 1, b"file\0")) == 0
        assert client.one(reopen()) == 0
        assert found(client.reply(Want(1).test()))[2] == UNLOCK


def test_as_many_wait_as_can(client: Client) -> None:
    assert client.one(Want(1).set()) == 0
    waits = [client.park(Want(owner, READ).wait(owner)) for owner in range(2, 2 + WAITS)]
    assert client.one(Want(99, READ).wait(99)) == errno.ENOLCK
    error, woken = client.effect(Want(1).unlock())
    assert error == 0
    assert woken == {ctx: (0, owner) for ctx, owner in zip(waits, range(2, 2 + WAITS), strict=True)}
    assert client.one(Want(99, READ).wait(99)) == 0


def test_as_many_locks_as_fit(client: Client) -> None:
    for number in range(LOCKS):
        assert client.one(Want(1, start=2 * number, end=2 * number).set()) == 0
    assert client.one(Want(1, start=1000, end=1000).set()) == errno.ENOLCK
    ctx = client.park(Want(2, start=0, end=0).wait(2))
    assert client.one(Want(1, start=1, end=1).set()) == 0
    assert client.one(Want(1, start=1000, end=1000).set()) == 0
    # Byte 0 is free, but what is left of the lock takes a place and there is none for the other owner's.
    assert client.effect(Want(1, start=0, end=0).unlock()) == (0, {ctx: (errno.ENOLCK, 2)})


@pytest.mark.parametrize(
    ("want", "test", "error"),
    [
        (Want(1, 3), errno.EINVAL, errno.EINVAL),
        (Want(1, 1 << 31), errno.EINVAL, errno.EINVAL),
        (Want(1, UNLOCK), errno.EINVAL, 0),
        (Want(1, start=9, end=8), errno.EINVAL, errno.EINVAL),
        (Want(1, start=9, end=LAST_BYTE + 1), errno.EINVAL, errno.EINVAL),
        (Want(1, start=LAST_BYTE + 1, end=(1 << 64) - 1), errno.EINVAL, errno.EINVAL),
        (Want(1, start=LAST_BYTE), 0, 0),
        (Want(1, start=9, end=8, flags=FLOCK), 0, 0),
        (Want(1, 3, flags=FLOCK), errno.EINVAL, errno.EINVAL),
        (Want(1, flags=0xFFFFFFFE), 0, 0),
        (Want(1, fh=1), errno.EBADF, errno.EBADF),
        (Want(1, 3, fh=3), errno.EBADF, errno.EBADF),
        (Want(1, node=1), errno.EBADF, errno.EBADF),
        (Want(1, node=3), errno.ESTALE, errno.ESTALE),
        (Want(1, node=1 << 32 | 2), errno.ESTALE, errno.ESTALE),
    ],
)
def test_hostile_requests(client: Client, want: Want, test: int, error: int) -> None:
    """Errors of GETLK, and of SETLK and SETLKW."""
    assert [client.one(request) for request in (want.test(), want.set(), want.wait(2))] == [test, error, error]


def test_a_directory_may_be_locked(client: Client) -> None:
    want = Want(1, flags=FLOCK, node=1)
    assert client.one(message(Opcode.OPENDIR, 1, bytes(8))) == 0
    assert client.one(want.set()) == 0
    assert client.one(replace(want, owner=2).set()) == errno.EAGAIN
    release = message(Opcode.RELEASEDIR, 1, struct.pack("<QIIQ", 1, 0, FLOCK_UNLOCK, 1))
    assert client.one(release) == 0
    assert client.one(message(Opcode.OPENDIR, 1, bytes(8))) == 0
    assert client.one(replace(want, owner=2).set()) == 0


def test_sizes(client: Client) -> None:
    """47 bytes of a structure, 39 writable of GETLK's reply, 15 of the others'."""
    want = Want(1)
    for request in (want.test(), want.set(), want.wait(2)):
        short = struct.pack("<I", len(request) - 1) + request[4:-1]
        assert client.one(short) == errno.EINVAL
    assert client.engine.settle_one(want.test(), 39).data is None
    assert len(client.reply(want.test(), 40)) == 40
    assert client.engine.settle_one(want.set(), 15).data is None
    assert client.engine.settle_one(want.wait(2), 15).data is None
    assert client.one(replace(want, owner=2).set()) == 0


def test_an_interrupt_waits_for_no_lock(client: Client) -> None:
    """While eight are let in at a full table, at any moment: answered within 200 cycles."""
    latencies = []
    for number in range(LOCKS - 9):
        assert client.one(Want(50, start=2000 + 2 * number, end=2000 + 2 * number).set()) == 0
    for cycles in range(0, 700, 50):
        assert client.one(Want(1, end=1000).set()) == 0
        waits = [client.park(Want(owner, READ, end=1000).wait(owner)) for owner in range(10, 10 + WAITS)]
        client.engine.send(Sent(Want(1, end=1000).unlock(), EMPTY))
        early = client.engine.step(cycles)
        last = 9 + WAITS
        express = client.engine.send(Sent(interrupt(last), EMPTY, lane=0))
        replies = early | client.engine.settle()
        latencies.append(replies[express].latency)
        interrupted = ended(replies[express])[0] == 0
        errors = [ended(replies[ctx])[0] for ctx in waits]
        assert errors == [0] * (WAITS - 1) + [errno.EINTR if interrupted else 0]
        for owner in range(10, 10 + WAITS):
            assert client.one(Want(owner, end=1000).unlock()) == 0
    assert max(latencies) <= EXPRESS_CYCLES
