"""What the golden file system did can be taken back, whatever it was; nothing is left behind by what failed."""

from __future__ import annotations

import random
from collections import Counter, deque

import pytest

from tests.unit.ramfs_client import Client, snapshot
from virtiofs_model.layouts.fuse import FuseOutHeader
from virtiofs_model.layouts.fuse_constants import Opcode
from virtiofs_model.ramfs import Limits, RamfsServer, Tree
from virtiofs_model.ramfs.journal import Journal
from virtiofs_tb.sequences.tree_ops import WEIGHTS, TreeRequests


class Owner:
    def __init__(self) -> None:
        self.a = 1


def test_every_kind_of_change_is_undone() -> None:
    journal, owner, table, queue = Journal(), Owner(), {1: "one", 2: "two"}, deque([1, 2])
    journal.put(table, 1, "uno")
    mark = journal.mark()
    journal.save(owner)
    owner.a = 5
    journal.put(table, 1, "eins")
    journal.put(table, 3, "drei")
    assert journal.remove(table, 2) == "two"
    assert journal.take(queue) == 1
    journal.give(queue, 9)
    assert (owner.a, table, queue) == (5, {1: "eins", 3: "drei"}, deque([2, 9]))
    journal.rollback(mark)
    assert (owner.a, table, queue) == (1, {1: "uno", 2: "two"}, deque([1, 2]))
    journal.forget(mark)
    journal.rollback(mark)
    with pytest.raises(ValueError, match="mark 0 is forgotten"):
        journal.rollback(0)
    assert table[1] == "uno"


@pytest.mark.parametrize("seed", range(4))
def test_random_requests_leave_no_trace_when_taken_back(seed: int) -> None:
    """Also those that fail: nothing may be different after an errno, and space is never lost."""
    rng = random.Random(seed)
    server = RamfsServer(Tree(Limits(inodes=24, pages=24, entries=32, cells=50)), undo=True)
    Client(server).init()
    source = TreeRequests(rng)
    errors: Counter[int] = Counter()
    served: set[int] = set()
    for unique in range(1, 1500):
        before = snapshot(server)
        mark = server.tree.journal.mark()
        message = source.next(unique)
        writable = source.writable(message)
        reply = server.handle(message, writable)
        after = snapshot(server)
        error = FuseOutHeader.from_buffer_copy(reply).error if reply else 0
        if error:
            assert after == before
        server.tree.journal.rollback(mark)
        assert snapshot(server) == before
        assert server.handle(message, writable) == reply
        assert snapshot(server) == after
        if rng.random() < 0.1:
            server.set_time(unique, 0)
            server.tree.journal.forget()
        source.learn(message, reply or b"")
        errors[-error] += 1
        served.add(int.from_bytes(message[4:8], "little"))
        inodes = server.tree.store.inodes.values()
        assert sum(len(inode.pages) for inode in inodes) + server.tree.store.counters.free_pages == 24
        assert len(inodes) + len(server.tree.store.free_slots) == 23
    assert served == set(WEIGHTS)
    assert len(errors) > 8 and errors[0] > 400, errors
    assert all(count >= 0 for inode in inodes for count in (inode.nlink, inode.lookups, inode.opens))


def test_a_session_that_is_taken_back() -> None:
    server = RamfsServer(undo=True)
    client = Client(server)
    client.init()
    client.create(b"f")
    mark, before = server.tree.journal.mark(), snapshot(server)
    client.call(Opcode.DESTROY)
    client.init(31)
    server.reset()
    server.tree.journal.rollback(mark)
    assert snapshot(server) == before
