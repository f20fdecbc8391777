"""Locks of the golden file system, from FUSE requests on (docs/file-system.md, "Locks")."""

from __future__ import annotations

import errno
import random
from collections import Counter
from ctypes import sizeof

import pytest

from tests.unit.ramfs_client import ROOT, Client, fails, snapshot
from virtiofs_model.layouts import fuse
from virtiofs_model.layouts.fuse_constants import FUSE_LK_FLOCK, FUSE_RELEASE_FLOCK_UNLOCK, InitFlag, Opcode
from virtiofs_model.ramfs import NOT_YET, RamfsServer
from virtiofs_model.ramfs.locks import LAST_BYTE

READ, WRITE, UNLOCK = 0, 1, 2


@pytest.fixture
def client() -> Client:
    """A session in which the inode 2 is open once."""
    client = Client(RamfsServer())
    client.init()
    assert client.create(b"f") == (2, 2)
    return client


def message(
    opcode: Opcode, owner: int, kind: int, start: int = 0, end: int = LAST_BYTE, unique: int = 6, flock: bool = False
) -> bytes:
    """GETLK, SETLK or SETLKW; the pid is the owner and 100."""
    lock = fuse.FuseFileLock(start, end, kind, 100 + owner)
    body = bytes(fuse.FuseLkIn(2, owner, lock, FUSE_LK_FLOCK if flock else 0))
    return bytes(fuse.FuseInHeader(40 + len(body), opcode, unique, 2)) + body


def error(reply: bytes | None) -> int:
    """A positive errno, or 0."""
    assert reply
    return -fuse.FuseOutHeader.from_buffer_copy(reply).error


def lock(client: Client, owner: int, kind: int, start: int = 0, end: int = LAST_BYTE, flock: bool = False) -> int:
    """SETLK: its errno."""
    return error(client.server.handle(message(Opcode.SETLK, owner, kind, start, end, flock=flock), 16))


def wait(client: Client, token: str, owner: int, kind: int = WRITE, start: int = 0, end: int = LAST_BYTE) -> None:
    """SETLKW, which must wait. Its unique is that of its token's first letter."""
    asked = message(Opcode.SETLKW, owner, kind, start, end, ord(token[0]))
    assert client.server.handle(asked, 16, token=token) == NOT_YET
    assert late(client) == []


def late(client: Client) -> list[tuple[object, int]]:
    """Who is answered now, and with which errno."""
    return [(token, error(reply)) for token, reply in client.server.late_replies()]


def holder(
    client: Client, kind: int = WRITE, start: int = 0, end: int = LAST_BYTE, flock: bool = False
) -> tuple[int, int, int, int] | None:
    """First and last byte, type and pid of what is in the way of owner 9."""
    reply = client.server.handle(message(Opcode.GETLK, 9, kind, start, end, flock=flock), 40)
    assert reply and error(reply) == 0 and len(reply) == 40
    lk = fuse.FuseLkOut.from_buffer_copy(reply, 16).lk
    if lk.type == UNLOCK:
        assert (lk.start, lk.end, lk.pid) == ((0, LAST_BYTE, 109) if flock else (start, end, 109)), "as asked"
        return None
    return lk.start, lk.end, lk.type, lk.pid


def test_locks_are_offered(client: Client) -> None:
    assert sizeof(fuse.FuseLkIn) == 48
    offered = client.init().flags
    assert offered & InitFlag.POSIX_LOCKS and offered & InitFlag.FLOCK_LOCKS


def test_readers_share_and_writers_do_not(client: Client) -> None:
    assert lock(client, 1, READ) == 0
    assert lock(client, 2, READ) == 0
    assert holder(client, READ) is None
    assert holder(client, WRITE) == (0, LAST_BYTE, READ, 101)
    assert lock(client, 3, WRITE) == errno.EAGAIN
    assert lock(client, 1, UNLOCK) == 0
    assert holder(client, WRITE) == (0, LAST_BYTE, READ, 102)
    assert lock(client, 2, WRITE) == 0
    assert holder(client, READ) == (0, LAST_BYTE, WRITE, 102)


def test_a_range_can_be_split(client: Client) -> None:
    assert lock(client, 1, WRITE, 0, 99) == 0
    assert lock(client, 1, UNLOCK, 40, 59) == 0
    assert holder(client, READ, 0, 59) == (0, 39, WRITE, 101)
    assert holder(client, READ, 40, 59) is None
    assert holder(client, READ, 50, 60) == (60, 99, WRITE, 101)
    assert lock(client, 1, READ, 0, 9) == 0
    assert holder(client, READ, 0, 9) is None
    assert holder(client, READ, 0, 10) == (10, 39, WRITE, 101)


@pytest.mark.parametrize(
    ("opcode", "kind", "start", "end", "expected"),
    [
        (Opcode.SETLK, WRITE, 5, 4, errno.EINVAL),
        (Opcode.SETLKW, 3, 0, 1, errno.EINVAL),
        (Opcode.SETLK, WRITE, 0, LAST_BYTE + 1, errno.EINVAL),
        (Opcode.SETLK, UNLOCK, 0, 1, 0),
        (Opcode.GETLK, UNLOCK, 0, 1, errno.EINVAL),
    ],
)
def test_what_is_no_lock(client: Client, opcode: Opcode, kind: int, start: int, end: int, expected: int) -> None:
    assert error(client.server.handle(message(opcode, 1, kind, start, end), 40)) == expected


@pytest.mark.parametrize("opcode", [Opcode.GETLK, Opcode.SETLK, Opcode.SETLKW])
def test_a_lock_needs_an_open_inode_and_room(client: Client, opcode: Opcode) -> None:
    asked = message(opcode, 1, WRITE, 5, 4)
    room = 40 if opcode is Opcode.GETLK else 16
    assert client.server.handle(asked, room - 1) is None
    client.release(2)
    assert error(client.server.handle(asked, room)) == errno.EBADF
    client.forget(2)
    client.call(Opcode.UNLINK, ROOT, b"f\0")
    assert error(client.server.handle(asked, room)) == errno.ESTALE


def test_a_directory_may_be_locked(client: Client) -> None:
    fh = client.opendir(ROOT)
    client.call(Opcode.SETLK, ROOT, bytes(fuse.FuseLkIn(fh, 1, fuse.FuseFileLock(0, 9, WRITE, 1))))
    with fails(errno.EAGAIN):
        client.call(Opcode.SETLK, ROOT, bytes(fuse.FuseLkIn(fh, 2, fuse.FuseFileLock(9, 9, READ, 1))))


def test_locks_of_both_kinds_do_not_meet(client: Client) -> None:
    assert lock(client, 1, WRITE, 5, 9) == 0
    assert lock(client, 2, WRITE, 7, 3, flock=True) == 0
    assert holder(client, READ) == (5, 9, WRITE, 101)
    assert holder(client, READ, flock=True) == (0, LAST_BYTE, WRITE, 102)
    client.call(Opcode.FLUSH, 2, bytes(fuse.FuseFlushIn(2, 0, 0, 1)))
    assert holder(client) is None
    assert holder(client, flock=True) is not None
    client.open(2)
    client.call(Opcode.RELEASE, 2, bytes(fuse.FuseReleaseIn(2, 0, FUSE_RELEASE_FLOCK_UNLOCK, 2)))
    assert holder(client, flock=True) is None
    assert lock(client, 3, WRITE) == 0
    client.release(2)
    client.open(2)
    assert holder(client) is None, "all go with the last open"


# ---- waiting ----


def test_a_wait_ends_when_the_lock_is_given_back(client: Client) -> None:
    assert lock(client, 1, WRITE) == 0
    wait(client, "a", 2)
    client.attr(2)
    assert late(client) == []
    assert lock(client, 1, UNLOCK) == 0
    assert late(client) == [("a", 0)]
    assert late(client) == []
    assert holder(client) == (0, LAST_BYTE, WRITE, 102)


def test_what_does_not_conflict_does_not_wait(client: Client) -> None:
    assert error(client.server.handle(message(Opcode.SETLKW, 1, WRITE), 16, token="a")) == 0
    assert client.server.handle(message(Opcode.SETLKW, 2, WRITE, 5, 4), 16, token="b") != NOT_YET
    assert client.server.handle(message(Opcode.SETLKW, 2, WRITE), 15, token="b") is None


def test_the_end_of_a_wait_by_close(client: Client) -> None:
    assert lock(client, 1, WRITE) == 0
    wait(client, "a", 2)
    client.open(2)
    client.call(Opcode.FLUSH, 2, bytes(fuse.FuseFlushIn(2, 0, 0, 1)))
    assert late(client) == [("a", 0)]
    wait(client, "b", 3)
    client.release(2)
    assert late(client) == [], "it is open once more"
    client.release(2)
    assert late(client) == [("b", errno.EBADF)]


def test_the_last_close_of_an_flock_grants_first_and_drops_then(client: Client) -> None:
    assert lock(client, 1, WRITE, flock=True) == 0
    asked = [message(Opcode.SETLKW, owner, WRITE, flock=True) for owner in (2, 3)]
    assert [client.server.handle(one, 16, token=token) for token, one in enumerate(asked)] == [NOT_YET] * 2
    client.call(Opcode.RELEASE, 2, bytes(fuse.FuseReleaseIn(2, 0, FUSE_RELEASE_FLOCK_UNLOCK, 1)))
    assert late(client) == [(0, 0), (1, errno.EBADF)]
    client.open(2)
    assert holder(client, flock=True) is None


def interrupt(client: Client, unique: int) -> None:
    client.call(Opcode.INTERRUPT, 0, bytes(fuse.FuseInterruptIn(unique)))


def test_an_interrupt_ends_the_oldest_wait_of_its_unique(client: Client) -> None:
    assert lock(client, 1, WRITE) == 0
    wait(client, "a first", 2)
    wait(client, "a second", 2)
    with fails(errno.EAGAIN):
        interrupt(client, ord("b"))
    interrupt(client, ord("a"))
    assert late(client) == [("a first", errno.EINTR)]
    interrupt(client, ord("a"))
    assert late(client) == [("a second", errno.EINTR)]
    with fails(errno.EAGAIN):
        interrupt(client, ord("a"))


def test_the_ninth_wait_is_refused(client: Client) -> None:
    assert lock(client, 1, WRITE) == 0
    for token in "abcdefgh":
        wait(client, token, ord(token))
    assert error(client.server.handle(message(Opcode.SETLKW, 50, WRITE), 16, token="i")) == errno.ENOLCK
    interrupt(client, ord("d"))
    assert late(client) == [("d", errno.EINTR)]
    wait(client, "i", 50)
    assert lock(client, 1, UNLOCK) == 0
    for token in "abcefghi":
        assert late(client) == [(token, 0)]
        assert lock(client, 50 if token == "i" else ord(token), UNLOCK) == 0


def test_the_end_of_the_session_ends_waits(client: Client) -> None:
    assert lock(client, 1, WRITE) == 0
    wait(client, "a", 2)
    assert error(client.server.handle(bytes(fuse.FuseInHeader(40, Opcode.INIT, 4, 0)), 80)) == errno.EINVAL
    assert late(client) == [], "an INIT that fails ends nothing"
    client.init()
    assert late(client) == [("a", errno.EINTR)]
    client.open(2)
    assert holder(client) is None
    assert lock(client, 1, WRITE) == 0
    wait(client, "b", 2)
    client.call(Opcode.DESTROY)
    assert late(client) == [("b", errno.EINTR)]
    client.init()
    client.open(2)
    assert lock(client, 1, WRITE) == 0
    wait(client, "c", 2)
    client.server.reset()
    assert late(client) == [], "a device reset answers nobody"
    client.init()
    assert late(client) == []


def drawn(rng: random.Random, server: RamfsServer, unique: int) -> bytes:
    """A request that has to do with locks of the inode 2."""
    opcode = rng.choice(
        [Opcode.SETLKW] * 4 + [Opcode.SETLK, Opcode.SETLK, Opcode.SETLK, Opcode.INTERRUPT, Opcode.FLUSH, Opcode.OPEN]
    )
    owner, start = rng.randint(1, 16), rng.randrange(20)
    if opcode is Opcode.OPEN and rng.randrange(3):
        opcode = Opcode.RELEASE
    bodies = {
        Opcode.INTERRUPT: fuse.FuseInterruptIn(rng.choice([0, 0, 0, *(wait.unique for wait in server.locks.waits)])),
        Opcode.FLUSH: fuse.FuseFlushIn(2, 0, 0, owner),
        Opcode.OPEN: fuse.FuseOpenIn(),
        Opcode.RELEASE: fuse.FuseReleaseIn(2, 0, rng.randrange(4), owner),
    }
    if opcode not in bodies:
        kind = UNLOCK if opcode is Opcode.SETLK else rng.choice([READ, WRITE])
        return message(opcode, owner, kind, start, start + rng.randrange(10), unique)
    body = bytes(bodies[opcode])
    return bytes(fuse.FuseInHeader(40 + len(body), opcode, unique, 2)) + body


@pytest.mark.parametrize("seed", range(3))
def test_locks_and_waits_are_taken_back(seed: int) -> None:
    """Each request is taken back and done again: with the same effect, and the same others answered by it."""
    rng = random.Random(seed)
    server = RamfsServer(undo=True)
    client = Client(server)
    client.init()
    client.create(b"f")
    outcomes: Counter[str] = Counter()
    for unique in range(2, 1600, 2):
        while server.tree.get(2).opens < rng.randint(1, 2):
            client.open(2)
        asked = drawn(rng, server, unique)
        before, mark = snapshot(server), server.tree.journal.mark()
        reply, others = server.handle(asked, 200, token=unique), server.late_replies()
        after = snapshot(server)
        server.tree.journal.rollback(mark)
        assert snapshot(server) == before
        assert server.handle(asked, 200, token=unique) == reply
        assert server.late_replies() == others
        assert snapshot(server) == after
        outcomes["waits" if reply == NOT_YET else f"{error(reply)}"] += 1
        outcomes.update(f"late {error(other)}" for _, other in others)
    late_ones = {f"late {number}" for number in (0, errno.EINTR, errno.EBADF)}
    assert {"waits", "0", f"{errno.EAGAIN}", f"{errno.ENOLCK}", *late_ones} <= set(outcomes), outcomes
