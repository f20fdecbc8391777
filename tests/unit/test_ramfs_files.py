"""Rows of the golden file system about one inode: opens, contents, attributes, space (docs/file-system.md)."""

from __future__ import annotations

import errno
import stat
from collections.abc import Callable

import pytest

from tests.unit.ramfs_client import ROOT, Client, fails
from virtiofs_model.layouts import fuse
from virtiofs_model.layouts.fuse_constants import Fattr, Opcode
from virtiofs_model.ramfs import Limits, RamfsServer, Tree
from virtiofs_model.ramfs.inode import PAGE

STALE, FILE, CLOSED, DIRECTORY, LINK, FIFO = 999, 2, 3, 4, 5, 6
LARGEST = 1 << 40
KEEP_SIZE, PUNCH_HOLE, ZERO_RANGE = 1, 2, 16
PAGES = 32


@pytest.fixture
def client() -> Client:
    """Nodes: 2 an open file, 3 one that is not open, 4 an open directory, 5 a symbolic link, 6 an open pipe."""
    client = Client(RamfsServer(Tree(Limits(inodes=32, pages=PAGES))))
    client.init()
    assert client.create(b"f") == (FILE, FILE)
    assert client.mknod(b"closed") == CLOSED
    assert client.mkdir(b"d") == DIRECTORY
    assert client.symlink(b"l", b"t") == LINK
    assert client.mknod(b"p", stat.S_IFIFO | 0o644) == FIFO
    assert client.opendir(DIRECTORY) == DIRECTORY
    assert client.open(FIFO) == FIFO
    return client


def write(client: Client, nodeid: int, offset: int, size: int, held: int, fh: int | None = None) -> None:
    """WRITE of `size` with `held` bytes behind it."""
    body = fuse.FuseWriteIn(fh=nodeid if fh is None else fh, offset=offset, size=size)
    client.call(Opcode.WRITE, nodeid, bytes(body) + b"w" * held)


WITH_FH = {
    Opcode.READ: fuse.FuseReadIn,
    Opcode.WRITE: fuse.FuseWriteIn,
    Opcode.FLUSH: fuse.FuseFlushIn,
    Opcode.FSYNC: fuse.FuseFsyncIn,
    Opcode.FSYNCDIR: fuse.FuseFsyncIn,
    Opcode.RELEASE: fuse.FuseReleaseIn,
    Opcode.RELEASEDIR: fuse.FuseReleaseIn,
    Opcode.READDIR: fuse.FuseReadIn,
    Opcode.READDIRPLUS: fuse.FuseReadIn,
    Opcode.FALLOCATE: fuse.FuseFallocateIn,
}


@pytest.mark.parametrize("opcode", WITH_FH)
@pytest.mark.parametrize(
    ("nodeid", "fh", "number"),
    [
        (STALE, FILE, errno.ESTALE),
        (0, 0, errno.ESTALE),
        (1 << 32 | FILE, 1 << 32 | FILE, errno.ESTALE),
        (FILE, CLOSED, errno.EBADF),
        (FILE, DIRECTORY, errno.EBADF),
        (FILE, 0, errno.EBADF),
        (CLOSED, CLOSED, errno.EBADF),
        (LINK, LINK, errno.EBADF),
        (ROOT, ROOT, errno.EBADF),
    ],
)
def test_an_open_inode_is_named_twice(client: Client, opcode: Opcode, nodeid: int, fh: int, number: int) -> None:
    before = client.state()
    with fails(number):
        client.call(opcode, nodeid, bytes(WITH_FH[opcode](fh=fh)))
    assert client.state() == before


@pytest.mark.parametrize(
    ("call", "number"),
    [
        (lambda c: c.attr(STALE), errno.ESTALE),
        (lambda c: c.call(Opcode.STATFS, STALE), errno.ESTALE),
        (lambda c: c.call(Opcode.ACCESS, STALE, bytes(fuse.FuseAccessIn(mask=4))), errno.ESTALE),
        (lambda c: c.open(STALE), errno.ESTALE),
        (lambda c: c.open(DIRECTORY), errno.EISDIR),
        (lambda c: c.open(LINK), errno.ELOOP),
        (lambda c: c.opendir(STALE), errno.ESTALE),
        (lambda c: c.opendir(FILE), errno.ENOTDIR),
        (lambda c: c.listed(FILE), errno.ENOTDIR),
        (lambda c: c.listed(FIFO, plus=True), errno.ENOTDIR),
        (lambda c: c.read(DIRECTORY, DIRECTORY, 0, 1), errno.EISDIR),
        (lambda c: c.read(FIFO, FIFO, 0, 1), errno.EINVAL),
        (lambda c: write(c, DIRECTORY, LARGEST, 9, 1), errno.EISDIR),
        (lambda c: write(c, FIFO, LARGEST, 9, 1), errno.EINVAL),
        (lambda c: write(c, FILE, LARGEST, 9, 8), errno.EINVAL),
        (lambda c: write(c, FILE, LARGEST, 8, 9), errno.EINVAL),
        (lambda c: write(c, FILE, 0, (1 << 20) + 1, (1 << 20) + 1), errno.EINVAL),
        (lambda c: write(c, FILE, LARGEST - 1, 2, 2), errno.EFBIG),
        (lambda c: write(c, FILE, LARGEST + 1, 0, 0), errno.EFBIG),
        (lambda c: write(c, FILE, (1 << 64) - 1, 2, 2), errno.EFBIG),
        (lambda c: write(c, FILE, 1 << 63, 2, 2), errno.EFBIG),
        (lambda c: write(c, FILE, 0, PAGES * PAGE, PAGES * PAGE), errno.ENOSPC),
        (lambda c: c.truncate(STALE, 0), errno.ESTALE),
        (lambda c: c.setattr(CLOSED, valid=Fattr.FH | Fattr.SIZE, fh=CLOSED, size=1 << 63), errno.EBADF),
        (lambda c: c.setattr(FILE, valid=Fattr.FH, fh=DIRECTORY), errno.EBADF),
        (lambda c: c.truncate(DIRECTORY, 1 << 63), errno.EISDIR),
        (lambda c: c.truncate(LINK, 1 << 63), errno.EINVAL),
        (lambda c: c.truncate(FIFO, 0), errno.EINVAL),
        (lambda c: c.truncate(FILE, LARGEST + 1), errno.EFBIG),
        (lambda c: c.fallocate(DIRECTORY, 0, 0, 99), errno.EISDIR),
        (lambda c: c.fallocate(FIFO, 0, 0, 99), errno.EINVAL),
        (lambda c: c.fallocate(FILE, 0, 0, PUNCH_HOLE), errno.EOPNOTSUPP),
        (lambda c: c.fallocate(FILE, 0, 1, 8), errno.EOPNOTSUPP),
        (lambda c: c.fallocate(FILE, 0, 1, KEEP_SIZE | PUNCH_HOLE | ZERO_RANGE), errno.EOPNOTSUPP),
        (lambda c: c.fallocate(FILE, LARGEST + 1, 0), errno.EINVAL),
        (lambda c: c.fallocate(FILE, LARGEST, 1, PUNCH_HOLE | KEEP_SIZE), errno.EFBIG),
        (lambda c: c.fallocate(FILE, 2, (1 << 64) - 1), errno.EFBIG),
        (lambda c: c.fallocate(FILE, 0, PAGES * PAGE), errno.ENOSPC),
        (lambda c: c.fallocate(FILE, 0, LARGEST), errno.ENOSPC),
    ],
)
def test_errno(client: Client, call: Callable[[Client], object], number: int) -> None:
    before = client.state()
    with fails(number):
        call(client)
    assert client.state() == before


def test_opens_of_files_and_directories_count_together(client: Client) -> None:
    client.opendir(DIRECTORY)
    client.release(DIRECTORY)
    assert client.listed(DIRECTORY)
    client.release(DIRECTORY)
    with fails(errno.EBADF):
        client.listed(DIRECTORY)


def test_setattr_sets_what_is_valid_and_moves_ctime(client: Client) -> None:
    client.server.set_time(100, 5)
    attr = client.setattr(FILE, valid=Fattr.MODE | Fattr.UID | Fattr.GID, mode=0o177777, uid=3, gid=4, size=9)
    assert (attr.mode, attr.uid, attr.gid, attr.size) == (stat.S_IFREG | 0o7777, 3, 4, 0)
    assert (attr.atime, attr.mtime, attr.ctime, attr.ctimensec) == (0, 0, 100, 5)
    times = Fattr.ATIME | Fattr.MTIME | Fattr.CTIME
    attr = client.setattr(FILE, valid=times, atime=1, atimensec=2, mtime=1 << 63, mtimensec=4, ctime=5, ctimensec=6)
    assert (attr.atime, attr.atimensec, attr.mtime, attr.mtimensec) == (1, 2, 1 << 63, 4)
    assert (attr.ctime, attr.ctimensec) == (5, 6)
    now = Fattr.ATIME_NOW | Fattr.MTIME_NOW
    attr = client.setattr(FILE, valid=times & ~Fattr.CTIME | now, atime=1, mtime=1)
    assert (attr.atime, attr.mtime, attr.ctime) == (100, 100, 100)
    assert client.setattr(DIRECTORY, valid=Fattr.MODE, mode=0o700).mode == stat.S_IFDIR | 0o700


def test_a_change_of_size_moves_mtime_but_a_given_one_wins(client: Client) -> None:
    client.server.set_time(7, 0)
    assert client.truncate(FILE, 10).mtime == 7
    attr = client.setattr(FILE, valid=Fattr.SIZE | Fattr.MTIME | Fattr.FH, fh=FILE, size=5, mtime=3)
    assert (attr.size, attr.mtime, attr.ctime) == (5, 3, 7)


def test_open_truncates_only_where_it_may_write(client: Client) -> None:
    client.write(FILE, FILE, 0, b"data")
    client.open(FILE, 0o1000)
    assert client.attr(FILE).size == 4
    client.server.set_time(4, 0)
    client.open(FILE, 0o1001)
    attr = client.attr(FILE)
    assert (attr.size, attr.blocks, attr.mtime, attr.ctime) == (0, 0, 4, 4)
    client.open(FIFO, 0o1002)


def test_a_write_of_nothing_moves_the_times_alone(client: Client) -> None:
    client.server.set_time(6, 0)
    write(client, FILE, LARGEST, 0, 0)
    attr = client.attr(FILE)
    assert (attr.size, attr.blocks, attr.mtime, attr.ctime) == (0, 0, 6, 6)


def test_the_largest_file_is_sparse(client: Client) -> None:
    write(client, FILE, LARGEST - 3, 3, 3)
    attr = client.attr(FILE)
    assert (attr.size, attr.blocks) == (LARGEST, 8)
    assert client.read(FILE, FILE, LARGEST - 5, 100) == b"\0\0www"
    assert client.read(FILE, FILE, LARGEST, 100) == b""
    assert client.read(FILE, FILE, (1 << 64) - 1, 100) == b""
    assert client.truncate(FILE, 0).blocks == 0


def test_a_transfer_of_one_mebibyte() -> None:
    client = Client(RamfsServer())
    out = client.init()
    assert (out.max_write, out.max_pages, out.max_background, out.congestion_threshold) == (1 << 20, 256, 64, 48)
    nodeid, fh = client.create(b"f")
    data = bytes(range(256)) * 4096
    client.write(nodeid, fh, 3, data)
    assert client.read(nodeid, fh, 3, 1 << 20) == data
    assert len(client.read(nodeid, fh, 0, (1 << 20) + 4096)) == 1 << 20, "no READ gets more"


def test_growing_and_cutting_give_pages_back(client: Client) -> None:
    client.fallocate(FILE, 0, 8 * PAGE, KEEP_SIZE)
    assert (client.attr(FILE).size, client.attr(FILE).blocks, client.statfs().bfree) == (0, 64, PAGES - 9)
    attr = client.truncate(FILE, 5 * PAGE - 1)
    assert attr.blocks == 40, "growing, too, leaves no page behind the end"
    assert client.truncate(FILE, 1).blocks == 8
    assert client.truncate(FILE, 0).blocks == 0


def test_punching_gives_whole_pages_back_and_zeroes_the_rest(client: Client) -> None:
    client.write(FILE, FILE, 0, b"x" * 4 * PAGE)
    client.fallocate(FILE, 100, 3 * PAGE, PUNCH_HOLE | KEEP_SIZE)
    attr = client.attr(FILE)
    assert (attr.size, attr.blocks) == (4 * PAGE, 16)
    expected = b"x" * 100 + bytes(3 * PAGE) + b"x" * (PAGE - 100)
    assert client.read(FILE, FILE, 0, 4 * PAGE) == expected
    client.fallocate(FILE, 0, LARGEST, PUNCH_HOLE | KEEP_SIZE)
    assert client.attr(FILE).blocks == 0


@pytest.mark.parametrize("keep", [0, KEEP_SIZE])
def test_zeroing_allocates(client: Client, keep: int) -> None:
    client.server.set_time(8, 8)
    client.write(FILE, FILE, 0, b"x" * 10)
    client.fallocate(FILE, 4, PAGE, ZERO_RANGE | keep)
    attr = client.attr(FILE)
    assert (attr.size, attr.blocks, attr.mtime) == (10 if keep else PAGE + 4, 16, 8)
    assert client.read(FILE, FILE, 0, PAGE) == b"xxxx" + bytes(6 if keep else PAGE - 4)


@pytest.mark.parametrize("keep", [0, KEEP_SIZE])
def test_allocating_keeps_what_is_there(client: Client, keep: int) -> None:
    client.write(FILE, FILE, PAGE, b"data")
    client.fallocate(FILE, PAGE - 1, 2, keep)
    client.fallocate(FILE, 3 * PAGE, 1, keep)
    attr = client.attr(FILE)
    assert (attr.size, attr.blocks) == (PAGE + 4 if keep else 3 * PAGE + 1, 24)
    assert client.read(FILE, FILE, PAGE, 4) == b"data"


def test_data_that_cannot_be_read_leaves_the_pages(client: Client) -> None:
    body = bytes(fuse.FuseWriteIn(fh=FILE, offset=0, size=2 * PAGE)) + bytes(2 * PAGE)
    message = bytes(fuse.FuseInHeader(len=40 + len(body), opcode=Opcode.WRITE, unique=9, nodeid=FILE)) + body
    client.server.set_time(99, 0)
    reply = client.server.handle(message[:1024], 24, len(message))
    assert fuse.FuseOutHeader.from_buffer_copy(reply or b"").error == -errno.EIO
    attr = client.attr(FILE)
    assert (attr.size, attr.blocks, attr.mtime) == (0, 16, 0)


def test_a_target_that_cannot_be_read_makes_nothing(client: Client) -> None:
    body = b"x\0" + b"t" * 2000 + b"\0"
    message = bytes(fuse.FuseInHeader(len=40 + len(body), opcode=Opcode.SYMLINK, unique=9, nodeid=ROOT)) + body
    before = client.state()
    reply = client.server.handle(message[:1024], 200, len(message))
    assert fuse.FuseOutHeader.from_buffer_copy(reply or b"").error == -errno.EIO
    assert client.state() == before
    assert len(client.server.handle(message, 200) or b"") == 144
