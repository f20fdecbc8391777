"""Numbers that the golden file system gives out: slots, generations, cookies, what is left (docs/file-system.md)."""

from __future__ import annotations

import errno

import pytest

from tests.unit.ramfs_client import ROOT, Client, fails
from virtiofs_model.layouts import fuse
from virtiofs_model.layouts.fuse_constants import Opcode
from virtiofs_model.layouts.fuse_operations import directory_entries
from virtiofs_model.ramfs import Limits, RamfsServer, Tree


def client_of(**limits: int) -> Client:
    client = Client(RamfsServer(Tree(Limits(**limits))))
    client.init()
    return client


def remove(client: Client, name: bytes, nodeid: int) -> None:
    client.call(Opcode.UNLINK, body=name + b"\0")
    client.forget(nodeid)


def test_statfs() -> None:
    client = Client(RamfsServer())
    client.init()
    st = client.statfs()
    assert (st.bsize, st.frsize, st.blocks, st.bfree, st.bavail) == (4096, 4096, 1024, 1024, 1024)
    assert (st.files, st.ffree, st.namelen) == (1023, 1022, 255)
    nodeid, fh = client.create(b"f")
    client.write(nodeid, fh, 0, b"x")
    st = client.statfs()
    assert (st.bfree, st.ffree) == (1023, 1021)


def test_inodes_that_are_freed_come_again_in_that_order() -> None:
    client = client_of(inodes=8)
    for slot in range(2, 8):
        assert client.mknod(b"%d" % slot) == slot
    for slot in (5, 3):
        remove(client, b"%d" % slot, slot)
    assert client.mknod(b"a") == 1 << 32 | 5
    entry = client.lookup(b"a")
    assert (entry.nodeid, entry.generation, entry.attr.ino) == (1 << 32 | 5, 1, 1 << 32 | 5)
    assert client.mknod(b"b") == 1 << 32 | 3
    with fails(errno.ENOSPC):
        client.mknod(b"c")
    for nodeid in (3, 5, 2 << 32 | 5, 1 << 32 | 4, 8, 1 << 32):
        with fails(errno.ESTALE):
            client.attr(nodeid)


def test_a_session_ends_in_the_order_of_slots() -> None:
    client = client_of(inodes=8)
    nodes = [client.mknod(b"%d" % index) for index in range(6)]
    for index in (4, 1, 3):
        client.call(Opcode.UNLINK, body=b"%d\0" % index)
    client.open(nodes[1])
    client.call(Opcode.DESTROY)
    client.init()
    assert [client.mknod(b"n%d" % index) & 0xFF for index in range(3)] == [nodes[1], nodes[3], nodes[4]]
    assert client.attr(nodes[0]).nlink == 1


def test_a_device_reset_ends_the_session() -> None:
    client = client_of(inodes=8)
    nodeid, fh = client.create(b"f")
    client.call(Opcode.UNLINK, body=b"f\0")
    client.server.reset()
    with fails(errno.EIO):
        client.statfs()
    client.init()
    with fails(errno.ESTALE):
        client.read(nodeid, fh, 0, 1)
    assert client.statfs().ffree == 6


def test_cookies_are_sequence_and_entry_slot() -> None:
    client = client_of(inodes=16)
    directory = client.mkdir(b"d")
    client.mknod(b"a")
    client.mknod(b"x", parent=directory)
    fh = client.opendir()
    assert client.listed(fh) == [(b".", 1), (b"..", 2), (b"d", 1 << 32 | 1), (b"a", 2 << 32 | 2)]
    client.call(Opcode.UNLINK, body=b"a\0")
    client.mknod(b"b")
    assert client.listed(fh)[-1] == (b"b", 4 << 32 | 4), "the freed entry is the last of the queue"


@pytest.mark.parametrize(
    ("cookie", "first"),
    [
        (0, b"."), (1, b".."), (2, b"0"), (3, b"0"), (0xFFFF_FFFF, b"0"), (1 << 32 | 1, b"1"), (1 << 32, b"1"),
        (3 << 32 | 3, b"3"), (3 << 32 | 77, b"3"), (5 << 32 | 5, None), (1 << 63, None),
    ],
)  # fmt: skip
@pytest.mark.parametrize("plus", [False, True])
def test_a_listing_goes_on_behind_a_cookie(cookie: int, first: bytes | None, plus: bool) -> None:
    client = client_of(inodes=16)
    for index in range(5):
        client.mknod(b"%d" % index)
    client.call(Opcode.UNLINK, body=b"2\0")
    names = [name for name, _ in client.listed(client.opendir(), cookie, plus=plus)]
    assert (names[0] if names else None) == first


def test_a_listing_is_of_whole_records_in_at_most_4080_bytes() -> None:
    client = client_of(inodes=300)
    for index in range(200):
        client.mknod(b"name%03d" % index)
    fh = client.opendir()
    for plus, size in ((False, 32), (True, 160)):
        opcode = Opcode.READDIRPLUS if plus else Opcode.READDIR
        whole = client.call(opcode, ROOT, bytes(fuse.FuseReadIn(fh=fh, offset=2, size=1 << 20))) or b""
        assert len(whole) == 4080 // size * size
        part = client.call(opcode, ROOT, bytes(fuse.FuseReadIn(fh=fh, offset=2, size=3 * size - 1))) or b""
        assert part == whole[: 2 * size]
        assert client.listed(fh, 2, size - 1, plus) == []


def test_readdirplus_takes_a_lookup_for_each_name() -> None:
    client = client_of(inodes=16)
    nodeid = client.mknod(b"f")
    fh = client.opendir()
    reply = client.call(Opcode.READDIRPLUS, ROOT, bytes(fuse.FuseReadIn(fh=fh, size=4096))) or b""
    dot, dotdot, record = directory_entries(reply, plus=True)
    assert (dot.nodeid, dotdot.nodeid, record.nodeid) == (0, 0, nodeid)
    assert reply[:128] == bytes(128)
    assert (dot.ino, dotdot.ino, record.type) == (1, 1, 8)
    at = 2 * 160
    assert reply[at : at + 128] == bytes(client.lookup(b"f"))
    client.call(Opcode.UNLINK, body=b"f\0")
    client.forget(nodeid, 2)
    client.attr(nodeid)
    client.forget(nodeid, 1)
    with fails(errno.ESTALE):
        client.attr(nodeid)


def test_a_removed_directory_lists_nothing() -> None:
    client = client_of(inodes=16)
    nodeid = client.mkdir(b"d")
    client.opendir(nodeid)
    client.call(Opcode.RMDIR, body=b"d\0")
    assert client.listed(nodeid) == client.listed(nodeid, plus=True) == []
    assert client.attr(nodeid).nlink == 0


def test_names_are_as_many_as_there_are_entries() -> None:
    client = client_of(inodes=16, entries=5)
    nodeid = client.mknod(b"0")
    for index in range(1, 4):
        client.link(nodeid, b"%d" % index)
    before = client.state()
    for call in (
        lambda: client.link(nodeid, b"x"),
        lambda: client.mknod(b"x"),
        lambda: client.mkdir(b"x"),
        lambda: client.symlink(b"x", b"t"),
        lambda: client.create(b"x"),
        lambda: client.rename(ROOT, b"0", ROOT, b"x"),
    ):
        with fails(errno.ENOSPC):
            call()
    assert client.state() == before
    client.rename(ROOT, b"0", ROOT, b"1", 2)
    client.tmpfile(ROOT)
    client.call(Opcode.UNLINK, body=b"2\0")
    client.link(nodeid, b"x")


def test_names_take_cells_of_32_bytes() -> None:
    client = client_of(inodes=64, cells=12)
    client.mknod(b"n" * 255)
    client.mknod(b"o" * 33)
    with fails(errno.ENOSPC):
        client.mknod(b"p" * 33)
    client.mknod(b"q" * 32)
    with fails(errno.ENOSPC):
        client.mknod(b"r")
    client.call(Opcode.UNLINK, body=b"o" * 33 + b"\0")
    client.mknod(b"p" * 64)


def test_a_symbolic_link_needs_a_page() -> None:
    client = client_of(inodes=16, pages=1)
    client.symlink(b"a", b"t")
    before = client.state()
    with fails(errno.ENOSPC):
        client.symlink(b"b", b"t")
    assert client.state() == before


def test_space_comes_back_exactly() -> None:
    client = client_of(inodes=64, pages=64)
    counters = vars(client.server.tree.store.counters).copy()
    nodes = [client.create(b"%0200d" % index)[0] for index in range(20)]
    for index, nodeid in enumerate(nodes):
        client.write(nodeid, nodeid, index * 1000, b"x" * 9000)
    for index, nodeid in enumerate(nodes):
        client.call(Opcode.UNLINK, body=b"%0200d\0" % index)
        client.release(nodeid)
        client.forget(nodeid)
    after = vars(client.server.tree.store.counters)
    assert (after["free_pages"], after["free_cells"]) == (counters["free_pages"], counters["free_cells"])
    assert sorted(client.server.tree.store.free_slots) == list(range(2, 64))
    assert sorted(client.server.tree.store.free_entries) == list(range(1, 128))
