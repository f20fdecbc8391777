"""The lock table of the golden file system against a table with an entry for every byte."""

from __future__ import annotations

import errno
import random

from virtiofs_model.ramfs.locks import LAST_BYTE, Lock, LockTable, LockType, is_valid

BYTES = 24


class ByteLocks:
    """Who holds what, byte by byte: no ranges are cut or joined here."""

    def __init__(self) -> None:
        self.held: dict[tuple[int, bool, int, int], LockType] = {}  # node, flock, byte, owner

    def set(self, lock: Lock) -> bool:
        positions = range(lock.start, lock.end + 1)
        for (node, flock, byte, owner), kind in self.held.items():
            alien = (node, flock) == (lock.node, lock.flock) and owner != lock.owner and byte in positions
            if alien and lock.kind != LockType.UNLOCK and LockType.WRITE in (kind, lock.kind):
                return False
        for byte in positions:
            self.held.pop((lock.node, lock.flock, byte, lock.owner), None)
            if lock.kind != LockType.UNLOCK:
                self.held[lock.node, lock.flock, byte, lock.owner] = LockType(lock.kind)
        return True

    def runs(self) -> int:
        """How many ranges that makes."""
        return sum(
            self.held.get((node, flock, byte - 1, owner)) != kind
            for (node, flock, byte, owner), kind in self.held.items()
        )


def draw(rng: random.Random) -> Lock:
    start = rng.randrange(BYTES)
    end = rng.randrange(start, min(BYTES, start + 8))
    kind = rng.choice((LockType.READ, LockType.WRITE, LockType.UNLOCK))
    return Lock(rng.randint(1, 2), rng.randint(1, 3), start, end, kind, flock=rng.random() < 0.3)


def test_ranges_hold_what_the_bytes_hold() -> None:
    rng = random.Random(1)
    table, bytewise = LockTable(capacity=10_000), ByteLocks()
    for _ in range(3000):
        lock = draw(rng)
        assert (table.set(lock) == 0) == bytewise.set(lock), lock
        as_bytes = {
            (held.node, held.flock, byte, held.owner): held.kind
            for held in table.held
            for byte in range(held.start, held.end + 1)
        }
        assert as_bytes == bytewise.held
        assert len(table.held) == bytewise.runs(), "what touches is one lock"


def test_getlk_names_the_first_in_the_way() -> None:
    table = LockTable()
    for owner, start, end in ((7, 10, 19), (3, 10, 30), (9, 5, 6)):
        assert table.set(Lock(1, owner, start, end, LockType.READ, pid=owner)) == 0
    assert table.test(Lock(1, 1, 0, 100, LockType.READ)) is None
    for start, owner in ((0, 9), (7, 3)):
        found = table.test(Lock(1, 1, start, 100, LockType.WRITE))
        assert found is not None
        assert found.pid == owner
    assert table.test(Lock(1, 1, 0, 100, LockType.WRITE, flock=True)) is None
    assert table.test(Lock(2, 1, 0, 100, LockType.WRITE)) is None


def test_a_full_table_takes_what_fits() -> None:
    table = LockTable(capacity=3)
    for start in (0, 10, 20):
        assert table.set(Lock(1, 1, start, start + 5, LockType.WRITE)) == 0
    before = table.held
    assert table.set(Lock(1, 1, 30, 31, LockType.WRITE)) == errno.ENOLCK
    assert table.set(Lock(1, 1, 2, 3, LockType.UNLOCK)) == errno.ENOLCK, "the rest would be two locks"
    assert table.held == before
    assert table.set(Lock(1, 1, 6, 9, LockType.WRITE)) == 0
    assert sorted((lock.start, lock.end) for lock in table.held) == [(0, 15), (20, 25)]


def test_waits_end_in_the_order_in_which_they_began() -> None:
    table = LockTable(most_waits=3)
    assert table.set(Lock(1, 1, 0, 9, LockType.WRITE)) == 0
    assert table.wait(Lock(1, 2, 0, 4, LockType.READ), "a", 12) is None
    assert table.wait(Lock(1, 3, 2, 6, LockType.WRITE), "b", 14) is None
    assert table.wait(Lock(1, 4, 3, 3, LockType.READ), "c", 16) is None
    assert table.wait(Lock(1, 5, 0, 0, LockType.READ), "d", 18) == errno.ENOLCK
    assert table.set(Lock(1, 4, 3, 3, LockType.READ)) == errno.EAGAIN
    table.unlock(1, 1, flock=False)
    assert [(woken.token, woken.error) for woken in table.woken] == [("a", 0), ("c", 0)]
    assert table.set(Lock(1, 4, 3, 3, LockType.UNLOCK)) == 0
    assert table.interrupt(14)
    assert not table.interrupt(14)
    assert (table.woken[-1].token, table.woken[-1].error) == ("b", errno.EINTR)


def test_a_wait_that_shares_what_its_owner_held_lets_others_in() -> None:
    """A granted wait can free bytes itself: the next one is looked for from the oldest on."""
    table = LockTable()
    assert table.set(Lock(1, 1, 0, 0, LockType.READ)) == 0
    assert table.set(Lock(1, 2, 1, 1, LockType.WRITE)) == 0
    assert table.wait(Lock(1, 3, 1, 1, LockType.READ), "shares", 2) is None
    assert table.set(Lock(1, 4, 2, 2, LockType.WRITE)) == 0
    assert table.wait(Lock(1, 2, 1, 2, LockType.READ), "gives", 4) is None
    table.unlock(1, 4, flock=False)
    assert [woken.token for woken in table.woken] == ["gives", "shares"]


def test_the_end_of_an_open_and_of_a_session() -> None:
    table = LockTable()
    for node in (1, 2):
        assert table.set(Lock(node, 1, 0, 9, LockType.WRITE)) == 0
        assert table.wait(Lock(node, 2, 0, 9, LockType.WRITE), node, node) is None
    table.drop(1)
    assert [(woken.token, woken.error) for woken in table.woken] == [(1, errno.EBADF)]
    assert [lock.node for lock in table.held] == [2]
    table.end_session(answer=True)
    assert table.woken[-1].error == errno.EINTR
    assert table.set(Lock(2, 1, 0, 9, LockType.WRITE)) == 0
    assert table.wait(Lock(2, 2, 0, 9, LockType.WRITE), 3, 3) is None
    table.end_session(answer=False)
    assert (table.held, table.waits, len(table.woken)) == ((), (), 2)


def test_what_is_no_lock() -> None:
    assert is_valid(Lock(1, 1, 0, LAST_BYTE, LockType.UNLOCK))
    assert not is_valid(Lock(1, 1, 0, LAST_BYTE, LockType.UNLOCK), test=True)
    assert not is_valid(Lock(1, 1, 0, LAST_BYTE + 1, LockType.READ))
    assert not is_valid(Lock(1, 1, 2, 1, LockType.READ))
    assert not is_valid(Lock(1, 1, 0, 1, 3))
    assert is_valid(Lock(1, 1, 2, 1, LockType.READ, flock=True)), "an flock's range does not count"
