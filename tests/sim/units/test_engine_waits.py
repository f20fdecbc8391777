"""Locks that wait, with messages (LOCK_MESSAGES in docs/notifications.md): the ramfs engine with a store of 2 KiB."""

from __future__ import annotations

import errno
import random
import struct
from collections.abc import Iterator

import pytest

from tests.sim.units.engine_bench import Engine, Room, Sent
from tests.sim.units.engine_campaign import message
from tests.sim.units.lock_requests import FLOCK, FLOCK_UNLOCK, READ, Want, create, init, interrupt, reopen
from tests.sim.units.test_ramfs_engine import build
from tests.sim.units.unit_build import WIDTHS
from virtiofs_model.layouts.dpu import CacheOption, NotifyResult
from virtiofs_model.layouts.fuse_constants import Opcode
from virtiofs_model.registers import NotifyPolicy

WAITS = 8
WORDS = 2048 // 32
WAIT = struct.pack("<Ii", 16, 1)
"""What a request that waits is told: error 1."""


def lock(unique: int, error: int = 0) -> bytes:
    """A LOCK message."""
    return struct.pack("<IiQQii", 32, 7, 0, unique, -error, 0)


class Client:
    """A client with one file, open once: node 2."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        engine.options(1, CacheOption.LOCK_MESSAGES)
        engine.notify(True, NotifyPolicy.HOLD)
        self.begin()
        assert self.ask(create()) == 0

    def begin(self) -> None:
        assert self.ask(init()) == 0

    def ask(self, request: bytes, lane: int = 2) -> int:
        """The error of a request, negative as it stands there: 1 where it waits."""
        data = self.engine.one(request, 4096, lane).data
        assert data is not None
        return int.from_bytes(data[4:8], "little", signed=True)

    def park(self, request: bytes) -> None:
        data = self.engine.one(request, 16).data
        assert data is not None and data[:8] == WAIT and data[8:16] == request[8:16]

    def told(self) -> list[bytes]:
        return self.engine.drain(cycles=400)

    def fill(self, words: int) -> None:
        """Raw messages until so many words are free."""
        while self.engine.room().words > words:
            size = min(296, 32 * (self.engine.room().words - words))
            assert self.engine.mail(struct.pack("<IiQ", size, 99, 0) + bytes(size - 16)) == NotifyResult.HELD
        assert self.engine.room().words == words


@pytest.fixture
def client() -> Iterator[Client]:
    with Engine(build(), 1) as engine:
        yield Client(engine)


@pytest.mark.parametrize("flags", [0, FLOCK], ids=("posix", "flock"))
@pytest.mark.parametrize("width", WIDTHS)
def test_a_request_that_waits_is_told_so_and_hears_of_the_lock(flags: int, width: int) -> None:
    with Engine(build() if width == 256 else build(DATA_W=width, PAGES=64), 1) as engine:
        client = Client(engine)
        mine = Want(1, flags=flags)
        assert client.ask(mine.set()) == 0
        client.park(Want(2, flags=flags).wait(20))
        client.park(Want(3, flags=flags).wait(30))
        assert client.told() == []
        assert client.ask(mine.unlock()) == 0
        assert client.told() == [lock(20)]
        assert client.ask(Want(2, flags=flags).unlock()) == 0
        assert client.told() == [lock(30)]
        assert engine.room() == Room(2048 // (width // 8), 0)


@pytest.mark.parametrize("off", ["strap", "feature"])
def test_without_the_strap_or_the_feature_answers_are_late(off: str) -> None:
    with Engine(build(), 1) as engine:
        engine.options(1, CacheOption.LOCK_MESSAGES if off == "feature" else CacheOption(0))
        engine.notify(off == "strap", NotifyPolicy.HOLD)
        engine.one(init(), 80)
        engine.one(create())
        engine.one(Want(1).set())
        ctx = engine.send(Sent(Want(2).wait(20), 16))
        assert engine.settle() == {}
        assert engine.room().places == 0
        engine.send(Sent(Want(1).unlock(), 16))
        assert ctx in engine.settle()
        assert engine.drain() == []


def test_a_message_is_stored_behind_the_replies_that_go_before_it(client: Client) -> None:
    """Behind that of the request that ends the wait, and never before the request was told that it waits."""
    engine = client.engine
    for stall in range(40):
        assert client.ask(Want(1).set()) == 0
        engine.stall(0, (0, 50, 90)[stall % 3], 0)
        before = engine.replies
        wait = engine.send(Sent(Want(2).wait(20), 16))
        engine.send(Sent(interrupt(20), 16, lane=0))
        engine.send(Sent(Want(1).unlock(), 16))
        early = engine.step(stall)
        replies = early | engine.run()
        engine.stall(0, 0, 0)
        assert replies[wait].data is not None
        error = int.from_bytes(replies[wait].data[4:8], "little", signed=True)
        engine.drain()
        assert error == 1
        (notice,) = engine.drained
        assert notice.data in (lock(20), lock(20, errno.EINTR))
        assert notice.ticket > before
        if notice.data == lock(20):
            assert notice.ticket == before + 3
            assert client.ask(Want(2).unlock()) == 0
        assert engine.room() == Room(WORDS, 0)


def test_how_else_a_wait_ends(client: Client) -> None:
    assert client.ask(Want(1).set()) == 0
    for owner in (2, 3):
        client.park(Want(owner).wait(10 * owner))
    assert client.ask(interrupt(20), lane=0) == 0
    assert client.told() == [lock(20, errno.EINTR)]
    assert client.ask(interrupt(20), lane=0) == -errno.EAGAIN
    assert client.ask(Want(1).release()) == 0
    assert client.told() == [lock(30, errno.EBADF)]
    assert client.ask(reopen()) == 0
    for number in range(64):
        assert client.ask(Want(1, start=2 * number, end=2 * number).set()) == 0
    client.park(Want(2, start=0, end=0).wait(40))
    assert client.ask(Want(1, start=1, end=1).set()) == 0
    assert client.ask(Want(1, start=1000, end=1000).set()) == 0
    assert client.ask(Want(1, start=0, end=0).unlock()) == 0
    assert client.told() == [lock(40, errno.ENOLCK)]
    assert client.engine.room() == Room(WORDS, 0)


def test_the_last_close_grants_an_flock_first(client: Client) -> None:
    assert client.ask(Want(1, flags=FLOCK).set()) == 0
    assert client.ask(Want(1).set()) == 0
    client.park(Want(2, flags=FLOCK).wait(2))
    client.park(Want(2).wait(4))
    assert client.ask(Want(1).release(FLOCK_UNLOCK)) == 0
    assert client.told() == [lock(2), lock(4, errno.EBADF)]


def test_as_many_wait_as_can(client: Client) -> None:
    assert client.ask(Want(1).set()) == 0
    for owner in range(2, 2 + WAITS):
        client.park(Want(owner, READ).wait(owner))
    assert client.engine.room() == Room(WORDS - WAITS, WAITS)
    assert client.ask(Want(99, READ).wait(99)) == -errno.ENOLCK
    assert client.ask(Want(1).unlock()) == 0
    assert client.told() == [lock(owner) for owner in range(2, 2 + WAITS)]
    assert client.engine.room() == Room(WORDS, 0)


def test_a_place_is_kept_from_when_the_request_waits(client: Client) -> None:
    """The mailbox cannot have it, nor can another wait."""
    engine = client.engine
    raw = struct.pack("<IiQ", 16, 99, 0)
    assert client.ask(Want(1).set()) == 0
    client.fill(2)
    client.park(Want(2, READ).wait(20))
    client.park(Want(3, READ).wait(30))
    assert engine.room() == Room(0, 2)
    assert engine.mail(raw) == NotifyResult.REFUSED
    assert client.ask(Want(4, READ).wait(40)) == -errno.ENOLCK
    assert client.ask(Want(4, READ).set()) == -errno.EAGAIN
    assert client.ask(interrupt(20), lane=0) == 0
    engine.step(20)
    assert engine.room() == Room(0, 1)
    assert client.ask(Want(1).unlock()) == 0
    engine.step(20)
    assert engine.room() == Room(0, 0)
    assert client.ask(Want(5).wait(50)) == -errno.ENOLCK
    assert engine.mail(raw) == NotifyResult.REFUSED
    assert client.told()[-2:] == [lock(20, errno.EINTR), lock(30)]
    client.park(Want(5).wait(50))
    assert engine.room() == Room(WORDS - 1, 1)


def test_the_last_place_is_for_one(client: Client) -> None:
    """A request that waits, or a message of the mailbox that comes at any moment beside it."""
    engine = client.engine
    assert client.ask(Want(1).set()) == 0
    seen = set()
    for delay in range(30, 90):
        client.fill(1)
        ctx = engine.send(Sent(Want(2).wait(20), 16))
        early = engine.step(delay)
        mailed = engine.mail(struct.pack("<IiQ", 16, 99, 0))
        data = (early | engine.run())[ctx].data
        assert data is not None
        waits = data[:8] == WAIT
        assert waits != (mailed == NotifyResult.HELD)
        assert engine.room() == Room(0, int(waits))
        seen.add(waits)
        if waits:
            assert client.ask(interrupt(20), lane=0) == 0
        assert client.told()[-1] == (lock(20, errno.EINTR) if waits else struct.pack("<IiQ", 16, 99, 0))
    assert seen == {False, True}


@pytest.mark.parametrize("how", ["init", "destroy", "reset", "refused", "major"])
def test_the_end_of_a_session_gives_places_back_and_tells_nobody(client: Client, how: str) -> None:
    engine = client.engine
    assert client.ask(Want(1).set()) == 0
    for owner in range(2, 5):
        client.park(Want(owner).wait(owner))
    if how == "reset":
        engine.reset()
        engine.settle()
    elif how == "destroy":
        assert client.ask(message(Opcode.DESTROY, 0)) == 0
    else:
        major, minor = {"init": (7, 45), "refused": (7, 30), "major": (8, 0)}[how]
        client.ask(message(Opcode.INIT, 0, struct.pack("<4I48x", major, minor, 0, 0)))
    if how in ("refused", "major"):
        assert engine.room() == Room(WORDS - 3, 3)
        assert client.ask(Want(1).unlock()) == 0
        assert client.told() == [lock(2)]
        return
    assert engine.room() == Room(WORDS, 0)
    assert client.told() == []
    client.begin()
    assert client.ask(message(Opcode.LOOKUP, 1, b"file\0")) == 0
    assert client.ask(reopen()) == 0
    assert client.ask(Want(4).set()) == 0


def test_nothing_leaks(client: Client) -> None:
    """Many requests, sessions and resets at random: each wait is told once of its end, no place is left over."""
    engine, dice = client.engine, random.Random(5)
    unique, told = 1000, 0
    waiting: set[int] = set()

    def hear() -> None:
        nonlocal told
        for data in client.told():
            other = struct.unpack_from("<Q", data, 16)[0]
            assert data[:16] == struct.pack("<IiQ", 32, 7, 0) and other in waiting
            waiting.remove(other)
            told += 1

    for _ in range(2000):
        unique += 1
        want = Want(dice.randrange(12), dice.choice([READ, 1]), dice.randrange(4), 4 + dice.randrange(4))
        kind = dice.random()
        if kind < 0.6:
            error = client.ask(want.wait(unique))
            assert error in (0, 1, -errno.ENOLCK)
            if error == 1:
                waiting.add(unique)
        elif kind < 0.9:
            assert client.ask(want.unlock() if kind < 0.85 else want.flush()) == 0
        elif kind < 0.96 and waiting:
            assert client.ask(interrupt(dice.choice(sorted(waiting))), lane=0) in (0, -errno.EAGAIN)
        elif kind > 0.97:
            hear()
            if kind > 0.985:
                engine.reset()
                engine.settle()
            waiting.clear()
            client.begin()
            assert client.ask(message(Opcode.LOOKUP, 1, b"file\0")) == 0
            assert client.ask(reopen()) == 0
        hear()
        assert engine.room() == Room(WORDS - len(waiting), len(waiting))
    assert told > 120
