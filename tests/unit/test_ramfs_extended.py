"""Rows that only firmware serves: extended attributes, holes, copies (man pages of Linux)."""

from __future__ import annotations

import errno

import pytest

from tests.unit.ramfs_client import ROOT, Client, fails
from virtiofs_model.layouts import fuse
from virtiofs_model.layouts.fuse_constants import Opcode
from virtiofs_model.ramfs import Config, Limits, RamfsServer, Tree
from virtiofs_model.ramfs.inode import PAGE

DATA, HOLE = 3, 4
READ, WRITE, UNLOCK = 0, 1, 2
LAST = (1 << 63) - 1


@pytest.fixture
def client() -> Client:
    """Nodes: 2 and 3 open files."""
    client = Client(RamfsServer(Tree(Limits(inodes=16, pages=32)), Config.extended()))
    client.init()
    for name, slot in ((b"a", 2), (b"b", 3)):
        assert client.create(name) == (slot, slot)
    return client


# ---- extended attributes ----


def setxattr(client: Client, name: bytes, value: bytes, flags: int = 0, size: int | None = None) -> None:
    head = bytes(fuse.FuseSetxattrIn(size=len(value) if size is None else size, flags=flags))[:8]
    client.call(Opcode.SETXATTR, 2, head + name + b"\0" + value)


def getxattr(client: Client, name: bytes, size: int = 0) -> bytes:
    return client.call(Opcode.GETXATTR, 2, bytes(fuse.FuseGetxattrIn(size)) + name + b"\0") or b""


def test_extended_attributes(client: Client) -> None:
    client.server.set_time(5, 0)
    setxattr(client, b"user.b", b"value\0more")
    setxattr(client, b"user.a", b"")
    assert client.attr(2).ctime == 5
    assert getxattr(client, b"user.b") == bytes(fuse.FuseGetxattrOut(10))
    assert getxattr(client, b"user.b", 100) == b"value\0more"
    assert client.call(Opcode.LISTXATTR, 2, bytes(fuse.FuseGetxattrIn(14))) == b"user.a\0user.b\0"
    assert client.call(Opcode.LISTXATTR, 2, bytes(fuse.FuseGetxattrIn(0))) == bytes(fuse.FuseGetxattrOut(14))
    setxattr(client, b"user.b", b"new", flags=2)
    assert getxattr(client, b"user.b", 3) == b"new"
    client.call(Opcode.REMOVEXATTR, 2, b"user.b\0")
    assert client.call(Opcode.LISTXATTR, 2, bytes(fuse.FuseGetxattrIn(100))) == b"user.a\0"


def test_extended_attributes_errno(client: Client) -> None:
    setxattr(client, b"user.a", b"1234")
    before = client.state()
    for number, call in (
        (errno.EEXIST, lambda: setxattr(client, b"user.a", b"", 1)),
        (errno.ENODATA, lambda: setxattr(client, b"user.x", b"", 2)),
        (errno.EINVAL, lambda: setxattr(client, b"user.x", b"", 3)),
        (errno.EINVAL, lambda: setxattr(client, b"user.x", b"", size=1)),
        (errno.E2BIG, lambda: setxattr(client, b"user.x", bytes(65537))),
        (errno.ENOSPC, lambda: setxattr(client, b"user.x", bytes(65536))),
        (errno.ERANGE, lambda: setxattr(client, b"", b"")),
        (errno.ERANGE, lambda: setxattr(client, b"n" * 256, b"")),
        (errno.ENODATA, lambda: getxattr(client, b"user.x", 9)),
        (errno.ERANGE, lambda: getxattr(client, b"user.a", 3)),
        (errno.ERANGE, lambda: client.call(Opcode.LISTXATTR, 2, bytes(fuse.FuseGetxattrIn(3)))),
        (errno.ENODATA, lambda: client.call(Opcode.REMOVEXATTR, 2, b"user.x\0")),
    ):
        with fails(number):
            call()
    assert client.state() == before
    assert client.call(Opcode.GETXATTR, 2, bytes(fuse.FuseGetxattrIn(4)) + b"user.a\0", writable=19) is None


# ---- contents ----


def seek(client: Client, offset: int, whence: int) -> int:
    reply = client.call(Opcode.LSEEK, 2, bytes(fuse.FuseLseekIn(2, offset, whence))) or b""
    return int(fuse.FuseLseekOut.from_buffer_copy(reply).offset)


def test_holes_and_data(client: Client) -> None:
    client.write(2, 2, PAGE, b"x" * PAGE)
    client.write(2, 2, 4 * PAGE, b"x" * 10)
    assert [seek(client, offset, DATA) for offset in (0, PAGE + 5, 2 * PAGE)] == [PAGE, PAGE + 5, 4 * PAGE]
    assert [seek(client, offset, HOLE) for offset in (0, PAGE + 5, 4 * PAGE)] == [0, 2 * PAGE, 4 * PAGE + 10]
    client.truncate(2, 9 * PAGE)
    for offset, whence, number in ((5 * PAGE, DATA, errno.ENXIO), (9 * PAGE, HOLE, errno.ENXIO), (0, 0, errno.EINVAL)):
        with fails(number):
            seek(client, offset, whence)


def copy(client: Client, off_in: int, target: int, off_out: int, size: int, flags: int = 0) -> int:
    body = fuse.FuseCopyFileRangeIn(2, off_in, target, target, off_out, size, flags)
    reply = client.call(Opcode.COPY_FILE_RANGE, 2, bytes(body)) or b""
    large = client.call(Opcode.COPY_FILE_RANGE_64, 2, bytes(body)) or b""
    copied = fuse.FuseWriteOut.from_buffer_copy(reply).size
    assert fuse.FuseCopyFileRangeOut.from_buffer_copy(large).bytes_copied == copied
    return int(copied)


def test_copies(client: Client) -> None:
    client.write(2, 2, 0, b"0123456789")
    assert copy(client, 2, 3, 5, 100) == 8
    assert client.read(3, 3, 0, 100) == bytes(5) + b"23456789"
    assert copy(client, 0, 2, 10, 10) == 10
    assert copy(client, 50, 3, 0, 10) == 0
    for args, number in (((0, 2, 5, 10), errno.EINVAL), ((0, 3, 0, 1, 1), errno.EINVAL), ((0, 9, 0, 1), errno.ESTALE)):
        with fails(number):
            copy(client, *args)
    client.release(3)
    with fails(errno.EBADF):
        copy(client, 0, 3, 0, 1)


def test_nothing_of_it_is_served_in_hardware() -> None:
    client = Client(RamfsServer())
    client.init()
    for opcode in (Opcode.SETXATTR, Opcode.LSEEK, Opcode.COPY_FILE_RANGE):
        with fails(errno.ENOSYS):
            client.call(opcode, ROOT, bytes(100), writable=4096)
