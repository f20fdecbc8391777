"""What the golden file system checks before the row of an opcode, in which order (docs/file-system.md)."""

from __future__ import annotations

import errno
import struct

import pytest

from tests.unit.ramfs_client import ROOT, Client
from virtiofs_model.layouts import fuse
from virtiofs_model.layouts.fuse_constants import Opcode
from virtiofs_model.layouts.fuse_operations import OPERATIONS, ReplyKind
from virtiofs_model.ramfs import Limits, RamfsServer, Tree
from virtiofs_model.ramfs.state import SERVED

SILENT = (Opcode.FORGET, Opcode.BATCH_FORGET, Opcode.NOTIFY_REPLY)
ENOUGH = 1 << 16


def message(opcode: int, body: bytes = b"", nodeid: int = ROOT, length: int | None = None) -> bytes:
    size = 40 + len(body) if length is None else length
    return bytes(fuse.FuseInHeader(len=size, opcode=opcode, unique=77, nodeid=nodeid)) + body


def error(reply: bytes | None) -> int | None:
    """The errno of a reply, 0 without one; None where there is no reply."""
    if reply is None:
        return None
    out = fuse.FuseOutHeader.from_buffer_copy(reply)
    assert (out.len, out.unique) == (len(reply), 77)
    return -out.error


@pytest.fixture
def server() -> RamfsServer:
    server = RamfsServer(Tree(Limits(inodes=16, pages=8)))
    Client(server).init()
    return server


@pytest.mark.parametrize("length", [0, 1, 39])
def test_below_a_header_nothing_is_answered(server: RamfsServer, length: int) -> None:
    assert server.handle(message(Opcode.STATFS)[:length], ENOUGH) is None


def test_a_byte_swapped_init_is_refused_in_its_own_order(server: RamfsServer) -> None:
    swapped = struct.pack(">IIQQIIII", 104, Opcode.INIT, 0x1122334455667788, 0, 0, 0, 0, 0) + bytes(64)
    assert server.handle(swapped, ENOUGH) == struct.pack(">IiQ", 16, -errno.EPROTO, 0x1122334455667788)
    assert server.handle(swapped, 15) is None
    assert RamfsServer().handle(swapped[:40], 16) is not None, "before a session, whatever its length says"


@pytest.mark.parametrize("opcode", sorted(OPERATIONS))
def test_below_a_reply_header_nothing_happens(server: RamfsServer, opcode: int) -> None:
    assert server.handle(message(opcode, bytes(200)), 15) is None


@pytest.mark.parametrize("opcode", [*sorted(OPERATIONS), 7, 19, 4096, 0xFFFF_FFFF])
@pytest.mark.parametrize("delta", [-1, 1, 1 << 20])
def test_a_length_that_is_wrong_comes_before_everything(opcode: int, delta: int) -> None:
    expected = None if opcode in SILENT else errno.EINVAL
    assert error(RamfsServer().handle(message(opcode, bytes(200), length=240 + delta), ENOUGH)) == expected


@pytest.mark.parametrize("opcode", [*sorted(OPERATIONS), 7])
def test_without_a_session_everything_but_init_is_eio(opcode: int) -> None:
    reply = error(RamfsServer().handle(message(opcode, bytes(200)), ENOUGH))
    assert reply == (None if opcode in SILENT else errno.EPROTO if opcode == Opcode.INIT else errno.EIO)


@pytest.mark.parametrize("opcode", [*sorted(set(OPERATIONS) - SERVED), 0, 7, 19, 54, 4096])
def test_what_is_not_served_is_enosys(server: RamfsServer, opcode: int) -> None:
    assert error(server.handle(message(opcode), ENOUGH)) == errno.ENOSYS


def test_every_opcode_is_served_or_not_on_purpose() -> None:
    assert {Opcode(opcode).name for opcode in set(OPERATIONS) - SERVED} == {
        "SETXATTR", "GETXATTR", "LISTXATTR", "REMOVEXATTR", "BMAP", "IOCTL",
        "LSEEK", "COPY_FILE_RANGE", "COPY_FILE_RANGE_64", "SETUPMAPPING", "REMOVEMAPPING", "SYNCFS", "STATX",
    }  # fmt: skip
    assert set(RamfsServer().rows) == SERVED


@pytest.mark.parametrize("opcode", sorted(SERVED))
def test_a_structure_that_is_cut_off_is_einval(server: RamfsServer, opcode: Opcode) -> None:
    size = 56 if opcode is Opcode.INIT else OPERATIONS[opcode].request_size
    for length in {40, size - 1} - {39}:
        if length < size:
            reply = error(server.handle(message(opcode, bytes(length - 40)), ENOUGH))
            assert reply == (None if opcode in SILENT else errno.EINVAL)


def test_an_old_init_is_as_long_as_it_was(server: RamfsServer) -> None:
    body = bytes(fuse.FuseInitIn(major=7, minor=31, max_readahead=5))[:16]
    reply = server.handle(message(Opcode.INIT, body), 80)
    assert reply is not None
    assert fuse.FuseInitOut.from_buffer_copy(reply, 16).max_readahead == 5


NAMED = [opcode for opcode in sorted(SERVED) if OPERATIONS[opcode].names and opcode is not Opcode.TMPFILE]


@pytest.mark.parametrize("opcode", NAMED)
@pytest.mark.parametrize(
    ("length", "number"),
    [(100, errno.EINVAL), (1023, errno.EINVAL), (1024, errno.EINVAL), (1025, errno.ENAMETOOLONG)],
)
def test_a_name_without_end(server: RamfsServer, opcode: Opcode, length: int, number: int) -> None:
    """Also where the client left hardly any room: an errno fits."""
    size = OPERATIONS[opcode].request_size
    body = bytes(size - 40) + b"n" * (length - size)
    assert error(server.handle(message(opcode, body), 16)) == number
    assert error(server.handle(message(opcode, body + b"\0"), ENOUGH)) is not None


@pytest.mark.parametrize("opcode", [Opcode.RENAME, Opcode.RENAME2])
def test_the_second_name_needs_an_end_too(server: RamfsServer, opcode: Opcode) -> None:
    size = OPERATIONS[opcode].request_size - 40
    assert error(server.handle(message(opcode, bytes(size) + b"a\0b"), ENOUGH)) == errno.EINVAL
    assert error(server.handle(message(opcode, bytes(size) + b"a\0" + b"b" * 1024), ENOUGH)) == errno.ENAMETOOLONG


def test_a_name_that_ends_in_the_first_kilobyte_is_looked_at(server: RamfsServer) -> None:
    assert error(server.handle(message(Opcode.LOOKUP, b"n" * 983 + b"\0" + bytes(9)), ENOUGH)) == errno.ENAMETOOLONG
    assert error(server.handle(message(Opcode.LOOKUP, b"n" * 255 + b"\0"), ENOUGH)) == errno.ENOENT


FIXED = [
    opcode for opcode in sorted(SERVED) if OPERATIONS[opcode].kind is ReplyKind.STRUCT and opcode is not Opcode.INIT
]


@pytest.mark.parametrize("opcode", FIXED)
def test_a_fixed_reply_that_does_not_fit_is_none_before_any_errno(server: RamfsServer, opcode: Opcode) -> None:
    operation = OPERATIONS[opcode]
    body = bytes(operation.request_size - 40) + b"n\0" * operation.names
    need = operation.reply_limit(message(opcode, body))
    assert server.handle(message(opcode, body, nodeid=999), need - 1) is None
    assert error(server.handle(message(opcode, body, nodeid=999), need)) is not None


@pytest.mark.parametrize("opcode", [Opcode.READ, Opcode.READDIR, Opcode.READDIRPLUS])
def test_a_sized_reply_needs_all_its_room(server: RamfsServer, opcode: Opcode) -> None:
    body = bytes(fuse.FuseReadIn(fh=1, size=100))
    assert server.handle(message(opcode, body, nodeid=999), 115) is None
    assert error(server.handle(message(opcode, body, nodeid=999), 116)) == errno.ESTALE
    large = bytes(fuse.FuseReadIn(fh=1, size=0xFFFF_FFFF))
    assert server.handle(message(opcode, large), 1 << 21) is None


def test_a_target_needs_room_once_it_is_known() -> None:
    client = Client(RamfsServer())
    client.init()
    reply = client.call(Opcode.SYMLINK, ROOT, b"l\0target\0")
    nodeid = fuse.FuseEntryOut.from_buffer_copy(reply or b"").nodeid
    assert client.server.handle(message(Opcode.READLINK, nodeid=nodeid), 21) is None
    assert client.server.handle(message(Opcode.READLINK, nodeid=nodeid), 22) is not None
    assert error(client.server.handle(message(Opcode.READLINK, nodeid=ROOT), 16)) == errno.EINVAL
    assert error(client.server.handle(message(Opcode.READLINK, nodeid=9), 16)) == errno.ESTALE


def test_what_cannot_be_answered_has_no_effect() -> None:
    client = Client(RamfsServer(Tree(Limits(inodes=8, pages=2))))
    client.init()
    before = client.state()
    mkdir = bytes(fuse.FuseMkdirIn(mode=0o755)) + b"d\0"
    assert client.call(Opcode.MKDIR, body=mkdir, writable=143) is None
    assert client.call(Opcode.INIT, 0, bytes(fuse.FuseInitIn(major=7, minor=40)), writable=79) is None
    assert client.state() == before


@pytest.mark.parametrize("opcode", SILENT)
@pytest.mark.parametrize("length", [40, 47, 48, 100])
@pytest.mark.parametrize("writable", [0, 15, 200])
def test_what_is_never_answered(server: RamfsServer, opcode: Opcode, length: int, writable: int) -> None:
    assert server.handle(message(opcode, bytes(length - 40)), writable) is None
    assert server.handle(message(opcode, bytes(length - 40), length=9), writable) is None
