"""Rows of the golden file system about names: what they do, and every errno in its order (docs/file-system.md)."""

from __future__ import annotations

import errno
import stat
from collections.abc import Callable

import pytest

from tests.unit.ramfs_client import ROOT, Client, fails
from virtiofs_model.layouts import fuse
from virtiofs_model.layouts.fuse_constants import Opcode
from virtiofs_model.ramfs import Limits, RamfsServer, Tree

STALE, FILE, DIRECTORY, LINK, REMOVED = 999, 2, 3, 4, 5
LONG = b"n" * 256
NOREPLACE, EXCHANGE = 1, 2
O_CREAT_EXCL = 0o302
MAKERS = (Opcode.MKNOD, Opcode.MKDIR, Opcode.SYMLINK, Opcode.LINK, Opcode.CREATE)


@pytest.fixture
def client() -> Client:
    """Nodes: 2 a file "f", 3 a directory "d" with a file in it, 4 a symbolic link "l", 5 a removed directory."""
    client = Client(RamfsServer(Tree(Limits(inodes=32, pages=32))))
    client.init()
    assert client.mknod(b"f") == FILE
    assert client.mkdir(b"d") == DIRECTORY
    assert client.symlink(b"l", b"target") == LINK
    assert client.mkdir(b"gone") == REMOVED
    client.call(Opcode.RMDIR, body=b"gone\0")
    client.mknod(b"inside", parent=DIRECTORY)
    return client


def make(client: Client, opcode: Opcode, parent: int, name: bytes) -> bytes | None:
    """One of MAKERS."""
    head = {
        Opcode.MKNOD: bytes(fuse.FuseMknodIn(mode=0o644)),
        Opcode.MKDIR: bytes(fuse.FuseMkdirIn(mode=0o755)),
        Opcode.SYMLINK: b"",
        Opcode.LINK: bytes(fuse.FuseLinkIn(oldnodeid=FILE)),
        Opcode.CREATE: bytes(fuse.FuseCreateIn(flags=O_CREAT_EXCL, mode=0o644)),
    }[opcode]
    return client.call(opcode, parent, head + name + b"\0" + (b"target\0" if opcode is Opcode.SYMLINK else b""))


@pytest.mark.parametrize("opcode", MAKERS)
@pytest.mark.parametrize(
    ("parent", "name", "number"),
    [
        (STALE, b"f", errno.ESTALE),
        (0, b"f", errno.ESTALE),
        (FILE, b".", errno.ENOTDIR),
        (LINK, b"f", errno.ENOTDIR),
        (ROOT, b".", errno.EEXIST),
        (REMOVED, b"..", errno.EEXIST),
        (REMOVED, LONG, errno.ENAMETOOLONG),
        (REMOVED, b"", errno.EINVAL),
        (ROOT, b"a/b", errno.EINVAL),
        (ROOT, b"/" * 256, errno.ENAMETOOLONG),
        (REMOVED, b"f", errno.ENOENT),
        (ROOT, b"f", errno.EEXIST),
        (ROOT, b"d", errno.EEXIST),
    ],
)
def test_a_new_name(client: Client, opcode: Opcode, parent: int, name: bytes, number: int) -> None:
    before = client.state()
    with fails(number):
        make(client, opcode, parent, name)
    assert client.state() == before


@pytest.mark.parametrize("opcode", MAKERS)
def test_what_is_made_is_found(client: Client, opcode: Opcode) -> None:
    client.server.set_time(50, 7)
    reply = make(client, opcode, DIRECTORY, b"n" * 255)
    made = fuse.FuseEntryOut.from_buffer_copy(reply or b"")
    found = client.lookup(b"n" * 255, DIRECTORY)
    assert bytes(found) == bytes(made)
    parent = client.attr(DIRECTORY)
    assert (parent.mtime, parent.mtimensec, parent.ctime, parent.atime) == (50, 7, 50, 0)
    assert (made.attr.ctime, made.attr.ctimensec) == (50, 7)
    assert (made.attr.uid, made.attr.gid) == (7, 8)
    assert made.attr.ino == made.nodeid
    assert made.attr.nlink == {Opcode.MKDIR: 2, Opcode.LINK: 2}.get(opcode, 1)
    assert parent.nlink == (3 if opcode is Opcode.MKDIR else 2)


@pytest.mark.parametrize(
    ("call", "number"),
    [
        (lambda c: c.lookup(b"f", STALE), errno.ESTALE),
        (lambda c: c.lookup(b".", FILE), errno.ENOTDIR),
        (lambda c: c.lookup(b".", REMOVED), errno.ENOENT),
        (lambda c: c.lookup(b"..", REMOVED), errno.ENOENT),
        (lambda c: c.lookup(b"f", REMOVED), errno.ENOENT),
        (lambda c: c.lookup(LONG), errno.ENAMETOOLONG),
        (lambda c: c.lookup(b""), errno.EINVAL),
        (lambda c: c.lookup(b"d/inside"), errno.EINVAL),
        (lambda c: c.lookup(b"missing"), errno.ENOENT),
        (lambda c: c.call(Opcode.UNLINK, FILE, b"x\0"), errno.ENOTDIR),
        (lambda c: c.call(Opcode.UNLINK, ROOT, b".\0"), errno.EBUSY),
        (lambda c: c.call(Opcode.UNLINK, ROOT, b"..\0"), errno.EBUSY),
        (lambda c: c.call(Opcode.UNLINK, ROOT, LONG + b"\0"), errno.ENAMETOOLONG),
        (lambda c: c.call(Opcode.UNLINK, ROOT, b"\0"), errno.EINVAL),
        (lambda c: c.call(Opcode.UNLINK, ROOT, b"missing\0"), errno.ENOENT),
        (lambda c: c.call(Opcode.UNLINK, ROOT, b"d\0"), errno.EISDIR),
        (lambda c: c.call(Opcode.RMDIR, STALE, b"d\0"), errno.ESTALE),
        (lambda c: c.call(Opcode.RMDIR, ROOT, b".\0"), errno.EINVAL),
        (lambda c: c.call(Opcode.RMDIR, ROOT, b"..\0"), errno.ENOTEMPTY),
        (lambda c: c.call(Opcode.RMDIR, ROOT, b"missing\0"), errno.ENOENT),
        (lambda c: c.call(Opcode.RMDIR, ROOT, b"f\0"), errno.ENOTDIR),
        (lambda c: c.call(Opcode.RMDIR, ROOT, b"d\0"), errno.ENOTEMPTY),
        (lambda c: c.mknod(b"x", stat.S_IFDIR | 0o755), errno.EINVAL),
        (lambda c: c.mknod(b"x", stat.S_IFLNK | 0o755, STALE), errno.EINVAL),
        (lambda c: c.mknod(b"x", 0o170000), errno.EINVAL),
        (lambda c: c.call(Opcode.SYMLINK, STALE, b"x\0\0"), errno.ENOENT),
        (lambda c: c.call(Opcode.SYMLINK, STALE, b"x\0"), errno.ENOENT),
        (lambda c: c.symlink(b"x", b"t" * 4096, STALE), errno.ENAMETOOLONG),
        (lambda c: c.symlink(b"x", b"t" * 4095, FILE), errno.ENOTDIR),
        (lambda c: c.link(STALE, b"x", STALE), errno.ESTALE),
        (lambda c: c.link(DIRECTORY, b"x", FILE), errno.ENOTDIR),
        (lambda c: c.link(DIRECTORY, b".", ROOT), errno.EPERM),
        (lambda c: c.call(Opcode.READLINK, DIRECTORY), errno.EINVAL),
        (lambda c: c.call(Opcode.READLINK, STALE), errno.ESTALE),
        (lambda c: c.create_at(STALE, b"f"), errno.ESTALE),
        (lambda c: c.create_at(FILE, b"f"), errno.ENOTDIR),
        (lambda c: c.create_at(ROOT, b"."), errno.EEXIST),
        (lambda c: c.create_at(REMOVED, LONG), errno.ENAMETOOLONG),
        (lambda c: c.create_at(REMOVED, b"f"), errno.ENOENT),
        (lambda c: c.create_at(ROOT, b"d", O_CREAT_EXCL), errno.EEXIST),
        (lambda c: c.create_at(ROOT, b"d"), errno.EISDIR),
        (lambda c: c.create_at(ROOT, b"l"), errno.ELOOP),
        (lambda c: c.tmpfile(STALE), errno.ESTALE),
        (lambda c: c.tmpfile(FILE), errno.ENOTDIR),
        (lambda c: c.tmpfile(REMOVED), errno.ENOENT),
        (lambda c: c.call(Opcode.INTERRUPT, 0, bytes(fuse.FuseInterruptIn(unique=2))), errno.EAGAIN),
    ],
)
def test_errno(client: Client, call: Callable[[Client], object], number: int) -> None:
    before = client.state()
    with fails(number):
        call(client)
    assert client.state() == before


@pytest.mark.parametrize(
    ("args", "number"),
    [
        ((STALE, b".", FILE, b".", 8), errno.ESTALE),
        ((ROOT, b".", STALE, b".", 8), errno.ESTALE),
        ((FILE, b".", ROOT, b".", 8), errno.ENOTDIR),
        ((ROOT, b".", FILE, b".", 8), errno.ENOTDIR),
        ((ROOT, b".", ROOT, b".", 3), errno.EINVAL),
        ((ROOT, b".", ROOT, b".", 4), errno.EINVAL),
        ((ROOT, b"..", ROOT, LONG, 0), errno.EBUSY),
        ((ROOT, LONG, ROOT, b".", 0), errno.ENAMETOOLONG),
        ((ROOT, b"", ROOT, b".", 0), errno.EINVAL),
        ((ROOT, b"missing", ROOT, b".", 0), errno.ENOENT),
        ((ROOT, b"f", ROOT, b".", 0), errno.EBUSY),
        ((ROOT, b"f", REMOVED, LONG, 0), errno.ENAMETOOLONG),
        ((ROOT, b"f", REMOVED, b"a/b", 0), errno.EINVAL),
        ((ROOT, b"f", REMOVED, b"x", 0), errno.ENOENT),
        ((ROOT, b"f", ROOT, b"f", NOREPLACE), errno.EEXIST),
        ((ROOT, b"d", ROOT, b"f", NOREPLACE), errno.EEXIST),
        ((ROOT, b"f", ROOT, b"x", EXCHANGE), errno.ENOENT),
        ((ROOT, b"d", DIRECTORY, b"x", 0), errno.EINVAL),
        ((ROOT, b"d", DIRECTORY, b"inside", EXCHANGE), errno.EINVAL),
        ((DIRECTORY, b"inside", ROOT, b"d", EXCHANGE), errno.EINVAL),
        ((DIRECTORY, b"inside", ROOT, b"d", 0), errno.EISDIR),
        ((ROOT, b"d", ROOT, b"f", 0), errno.ENOTDIR),
    ],
)
def test_rename_errno(client: Client, args: tuple[int, bytes, int, bytes, int], number: int) -> None:
    before = client.state()
    with fails(number):
        client.rename(*args)
    assert client.state() == before


def test_a_directory_takes_the_place_of_an_empty_one_only(client: Client) -> None:
    empty = client.mkdir(b"empty")
    with fails(errno.ENOTEMPTY):
        client.rename(ROOT, b"empty", ROOT, b"d")
    client.rename(ROOT, b"d", ROOT, b"empty")
    assert client.attr(empty).nlink == 0
    assert client.lookup(b"empty").nodeid == DIRECTORY
    assert client.attr(ROOT).nlink == 3
    with fails(errno.ENOENT):
        client.lookup(b"d")


def test_rename_over_a_name_keeps_its_place_in_the_listing(client: Client) -> None:
    fh = client.opendir()
    cookies = dict(client.listed(fh))
    client.server.set_time(9, 1)
    client.rename(ROOT, b"l", ROOT, b"f")
    after = dict(client.listed(fh))
    assert after == {name: cookie for name, cookie in cookies.items() if name != b"l"}
    assert client.lookup(b"f").nodeid == LINK
    assert client.attr(FILE).nlink == 0
    assert (client.attr(FILE).ctime, client.attr(LINK).ctime, client.attr(ROOT).mtime) == (9, 9, 9)
    assert client.attr(LINK).mtime == 0


def test_rename_to_a_new_name_goes_to_the_end_of_the_listing(client: Client) -> None:
    fh = client.opendir()
    last = client.listed(fh)[-1][1]
    client.rename(ROOT, b"f", ROOT, b"g")
    assert client.listed(fh, last) == [(b"g", client.listed(fh)[-1][1])]
    assert client.listed(fh)[-1][1] >> 32 > last >> 32


def test_rename_between_names_of_one_inode_does_nothing(client: Client) -> None:
    client.link(FILE, b"f2")
    before = client.state()
    for flags in (0, EXCHANGE):
        client.rename(ROOT, b"f", ROOT, b"f2", flags)
        client.rename(ROOT, b"f", ROOT, b"f", flags)
    assert client.state() == before


def test_exchange_of_a_directory_and_a_file_in_different_places(client: Client) -> None:
    other = client.mkdir(b"other")
    sub = client.mkdir(b"sub", other)
    client.server.set_time(3, 0)
    client.rename(DIRECTORY, b"inside", other, b"sub", EXCHANGE)
    assert client.lookup(b"inside", DIRECTORY).nodeid == sub
    assert stat.S_ISREG(client.lookup(b"sub", other).attr.mode)
    assert client.lookup(b"..", sub).nodeid == DIRECTORY
    assert (client.attr(DIRECTORY).nlink, client.attr(other).nlink) == (3, 2)
    assert (client.attr(DIRECTORY).mtime, client.attr(other).ctime, client.attr(sub).ctime) == (3, 3, 3)


def test_a_moved_directory_has_another_parent(client: Client) -> None:
    sub = client.mkdir(b"sub", DIRECTORY)
    client.rename(DIRECTORY, b"sub", ROOT, b"sub")
    assert client.lookup(b"..", sub).nodeid == ROOT
    client.rename(ROOT, b"d", sub, b"d")
    with fails(errno.EINVAL):
        client.rename(ROOT, b"sub", DIRECTORY, b"x")


def test_rename_has_no_flags(client: Client) -> None:
    body = bytes(fuse.FuseRenameIn(newdir=DIRECTORY)) + b"f\0g\0"
    client.call(Opcode.RENAME, ROOT, body)
    assert client.lookup(b"g", DIRECTORY).nodeid == FILE


@pytest.mark.parametrize("kind", [0, stat.S_IFREG, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFSOCK])
def test_mknod_makes_every_kind(client: Client, kind: int) -> None:
    nodeid = client.mknod(b"x", kind | 0o6751, rdev=0x1234567)
    attr = client.attr(nodeid)
    assert attr.mode == (kind or stat.S_IFREG) | 0o6751
    assert (attr.rdev, attr.nlink, attr.size, attr.blocks, attr.blksize) == (0x1234567, 1, 0, 0, 4096)


def test_a_directory_with_setgid_hands_its_group_on(client: Client) -> None:
    client.setattr(DIRECTORY, valid=1 | 4, mode=0o2775, gid=77)
    sub = client.mkdir(b"sub", DIRECTORY)
    node = client.mknod(b"node", parent=DIRECTORY)
    tmp, _ = client.tmpfile(DIRECTORY)
    assert client.attr(sub).mode == stat.S_IFDIR | 0o2755
    assert client.attr(node).mode == stat.S_IFREG | 0o644
    assert {client.attr(nodeid).gid for nodeid in (sub, node, tmp)} == {77}


def test_a_symbolic_link_is_read_as_it_was_made(client: Client) -> None:
    target = b"t\0u" * 1365
    nodeid = client.symlink(b"s", target)
    assert client.call(Opcode.READLINK, nodeid) == target
    attr = client.attr(nodeid)
    assert (attr.size, attr.blocks, attr.mode) == (4095, 8, stat.S_IFLNK | 0o777)
    assert client.statfs().bfree == 30
    client.call(Opcode.UNLINK, body=b"s\0")
    client.forget(nodeid)
    assert client.statfs().bfree == 31


def test_the_last_byte_of_a_symlink_is_not_looked_at(client: Client) -> None:
    made = client.entry(Opcode.SYMLINK, ROOT, b"s\0targetX")
    assert client.call(Opcode.READLINK, made.nodeid) == b"target"


def test_create_opens_what_is_there(client: Client) -> None:
    client.server.set_time(1, 0)
    fh = client.open(FILE)
    client.write(FILE, fh, 0, b"data")
    client.server.set_time(2, 0)
    assert client.create_at(ROOT, b"f") == (FILE, FILE)
    assert client.attr(FILE).size == 4
    reply = client.call(Opcode.CREATE, ROOT, bytes(fuse.FuseCreateIn(flags=0o1001)) + b"f\0") or b""
    made = fuse.FuseEntryOut.from_buffer_copy(reply)
    assert (made.nodeid, made.attr.size, made.attr.mtime) == (FILE, 0, 2), "as it is after the truncation"
    client.call(Opcode.UNLINK, body=b"f\0")
    client.forget(FILE, 3)
    for _ in range(3):
        client.attr(FILE)
        client.release(FILE)
    with fails(errno.ESTALE):
        client.attr(FILE)


def test_a_file_without_a_name_can_get_one(client: Client) -> None:
    names = client.names()
    nodeid, fh = client.tmpfile(ROOT, 0o4600)
    assert client.attr(nodeid).mode == stat.S_IFREG | 0o4600
    assert (client.attr(nodeid).nlink, client.names()) == (0, names)
    client.write(nodeid, fh, 0, b"x")
    assert client.link(nodeid, b"named").attr.nlink == 1
    client.release(nodeid)
    client.forget(nodeid, 2)
    assert client.lookup(b"named").nodeid == nodeid
    other, _ = client.tmpfile(ROOT)
    client.release(other)
    client.forget(other)
    with fails(errno.ESTALE):
        client.attr(other)


def test_forget_counts_down_to_zero_and_never_takes_the_root(client: Client) -> None:
    client.forget(ROOT, 100)
    client.forget(STALE, 1)
    client.call(Opcode.UNLINK, body=b"f\0")
    client.forget(FILE, 1 << 63)
    with fails(errno.ESTALE):
        client.attr(FILE)
    assert client.attr(ROOT).nlink == 3


def test_batch_forget_takes_what_the_message_holds(client: Client) -> None:
    client.call(Opcode.UNLINK, body=b"f\0")
    client.call(Opcode.UNLINK, body=b"l\0")
    ones = bytes(fuse.FuseForgetOne(FILE, 1)) + bytes(fuse.FuseForgetOne(STALE, 1)) + bytes(fuse.FuseForgetOne(LINK, 1))
    client.call(Opcode.BATCH_FORGET, 0, bytes(fuse.FuseBatchForgetIn(count=99)) + ones[:-1])
    with fails(errno.ESTALE):
        client.attr(FILE)
    client.attr(LINK)
    client.call(Opcode.BATCH_FORGET, 0, bytes(fuse.FuseBatchForgetIn(count=2)) + ones)
    client.attr(LINK)
    client.call(Opcode.BATCH_FORGET, 0, bytes(fuse.FuseBatchForgetIn(count=3)) + ones)
    with fails(errno.ESTALE):
        client.attr(LINK)
