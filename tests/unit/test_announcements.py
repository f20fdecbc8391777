"""What the DPU's requests to the golden file system do, and what they are announced as (docs/notifications.md)."""

from __future__ import annotations

import errno
import struct

import pytest

from tests.unit.ramfs_client import ROOT, Client
from virtiofs_model.layouts import fuse
from virtiofs_model.layouts.fuse_constants import Fattr, Opcode
from virtiofs_model.ramfs import Config, Limits, RamfsServer, Tree
from virtiofs_model.ramfs.dpu import DpuClient, DpuReply

A, B, FILE, SUB = 2, 3, 4, 5
"""Directories "a" and "b" of the root, the file "a/f", the directory "b/d"."""

LONG = b"n" * 255


def inode(nodeid: int, offset: int = -1, length: int = 0) -> bytes:
    return struct.pack("<IiQQqq", 40, 2, 0, nodeid, offset, length)


def entry(parent: int, name: bytes) -> bytes:
    return struct.pack("<IiQQII", 33 + len(name), 3, 0, parent, len(name), 0) + name + b"\0"


def gone(parent: int, child: int, name: bytes) -> bytes:
    return struct.pack("<IiQQQII", 41 + len(name), 6, 0, parent, child, len(name), 0) + name + b"\0"


class Dpu:
    """The DPU beside a driver that holds one lookup of each inode."""

    def __init__(self, config: Config | None = None) -> None:
        self.server = RamfsServer(Tree(Limits(inodes=32, pages=32)), config)
        self.driver = Client(self.server)
        self.driver.init()
        assert (self.driver.mkdir(b"a"), self.driver.mkdir(b"b")) == (A, B)
        assert (self.driver.mknod(b"f", parent=A), self.driver.mkdir(b"d", parent=B)) == (FILE, SUB)
        self._client = DpuClient(self.server)

    def ask(self, opcode: Opcode, nodeid: int = ROOT, body: bytes = b"") -> DpuReply:
        header = fuse.FuseInHeader(len=40 + len(body), opcode=opcode, unique=9, nodeid=nodeid, uid=1, gid=2)
        return self._client.request(bytes(header) + body)

    def error(self, opcode: Opcode, nodeid: int = ROOT, body: bytes = b"") -> int:
        answer = self.ask(opcode, nodeid, body)
        assert not answer.announced
        return -fuse.FuseOutHeader.from_buffer_copy(answer.reply).error


def setattr_in(valid: Fattr, size: int = 0) -> bytes:
    return bytes(fuse.FuseSetattrIn(valid=valid, size=size, mode=0o600))


def rename2(newdir: int, names: bytes, flags: int = 0) -> bytes:
    return bytes(fuse.FuseRename2In(newdir=newdir, flags=flags)) + names


CASES: dict[str, tuple[Opcode, int, bytes, list[bytes]]] = {
    "write": (Opcode.WRITE, FILE, bytes(fuse.FuseWriteIn(offset=5, size=3)) + b"new", [inode(FILE, 5, 3)]),
    "write nothing": (Opcode.WRITE, FILE, bytes(fuse.FuseWriteIn(offset=5)), [inode(FILE)]),
    "truncate": (Opcode.SETATTR, FILE, setattr_in(Fattr.SIZE | Fattr.MODE, 100), [inode(FILE, 100, 0)]),
    "chmod": (Opcode.SETATTR, FILE, setattr_in(Fattr.MODE), [inode(FILE)]),
    "open": (Opcode.OPEN, FILE, bytes(fuse.FuseOpenIn(flags=2)), []),
    "open and cut": (Opcode.OPEN, FILE, bytes(fuse.FuseOpenIn(flags=0o1001)), [inode(FILE, 0, 0)]),
    "open to read and cut": (Opcode.OPEN, FILE, bytes(fuse.FuseOpenIn(flags=0o1000)), []),
    "create over": (Opcode.CREATE, A, bytes(fuse.FuseCreateIn(flags=0o1001)) + b"f\0", [inode(FILE, 0, 0)]),
    "create there": (Opcode.CREATE, A, bytes(fuse.FuseCreateIn(flags=1)) + b"f\0", []),
    "punch": (Opcode.FALLOCATE, FILE, bytes(fuse.FuseFallocateIn(offset=7, length=9, mode=3)), [inode(FILE, 7, 9)]),
    "zero": (Opcode.FALLOCATE, FILE, bytes(fuse.FuseFallocateIn(offset=7, length=9, mode=16)), [inode(FILE, 7, 9)]),
    "allocate": (Opcode.FALLOCATE, FILE, bytes(fuse.FuseFallocateIn(length=9)), [inode(FILE)]),
    "mknod": (Opcode.MKNOD, A, bytes(fuse.FuseMknodIn()) + b"n\0", [entry(A, b"n"), inode(A)]),
    "mkdir": (Opcode.MKDIR, ROOT, bytes(fuse.FuseMkdirIn()) + b"n\0", [entry(ROOT, b"n"), inode(ROOT)]),
    "symlink": (Opcode.SYMLINK, A, b"n\0target\0", [entry(A, b"n"), inode(A)]),
    "create": (Opcode.CREATE, A, bytes(fuse.FuseCreateIn(flags=2)) + LONG + b"\0", [entry(A, LONG), inode(A)]),
    "link": (Opcode.LINK, B, bytes(fuse.FuseLinkIn(FILE)) + b"n\0", [entry(B, b"n"), inode(FILE), inode(B)]),
    "unlink": (Opcode.UNLINK, A, b"f\0", [gone(A, FILE, b"f"), inode(FILE), inode(A)]),
    "rmdir": (Opcode.RMDIR, B, b"d\0", [gone(B, SUB, b"d"), inode(SUB), inode(B)]),
    "rename": (
        Opcode.RENAME, A, bytes(fuse.FuseRenameIn(A)) + b"f\0g\0",
        [entry(A, b"f"), entry(A, b"g"), inode(FILE), inode(A)],
    ),
    "move": (
        Opcode.RENAME2, A, rename2(ROOT, b"f\0g\0"),
        [entry(A, b"f"), entry(ROOT, b"g"), inode(FILE), inode(A), inode(ROOT)],
    ),
    "exchange": (
        Opcode.RENAME2, A, rename2(B, b"f\0d\0", 2),
        [entry(A, b"f"), entry(B, b"d"), inode(FILE), inode(SUB), inode(A), inode(B)],
    ),
    "rename over a directory": (
        Opcode.RENAME2, ROOT, rename2(B, b"a\0d\0"),
        [entry(ROOT, b"a"), entry(B, b"d"), inode(A), inode(SUB), inode(ROOT), inode(B)],
    ),
    "read": (Opcode.READ, FILE, bytes(fuse.FuseReadIn(size=10)), []),
    "look up": (Opcode.LOOKUP, A, b"f\0", []),
    "get attributes": (Opcode.GETATTR, FILE, bytes(fuse.FuseGetattrIn()), []),
    "list": (Opcode.READDIRPLUS, A, bytes(fuse.FuseReadIn(size=1000)), []),
    "close": (Opcode.RELEASE, FILE, bytes(fuse.FuseReleaseIn()), []),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_each_change_is_announced_as_the_table_says(case: str) -> None:
    opcode, nodeid, body, messages = CASES[case]
    answer = Dpu().ask(opcode, nodeid, body)
    assert fuse.FuseOutHeader.from_buffer_copy(answer.reply).error == 0
    assert answer.messages == messages
    assert all(len(message) <= 296 for message in messages) and sum(map(len, messages)) <= 1024


@pytest.mark.parametrize("case", CASES)
def test_nothing_is_announced_of_what_is_not_cached(case: str) -> None:
    """Without the lookups only the root is left; without a session nothing."""
    opcode, nodeid, body, messages = CASES[case]
    dpu = Dpu()
    for held in (A, B, FILE, SUB):
        dpu.driver.call(Opcode.FORGET, held, bytes(fuse.FuseForgetIn(1)))
    of_root = [message for message in messages if message[16:24] == struct.pack("<Q", ROOT)]
    assert dpu.ask(opcode, nodeid, body).messages == of_root
    dpu = Dpu()
    dpu.driver.call(Opcode.DESTROY, 0)
    assert dpu.ask(opcode, nodeid, body).messages == []


def test_a_failure_and_a_rename_onto_itself_change_nothing() -> None:
    dpu = Dpu()
    assert dpu.error(Opcode.UNLINK, A, b"no\0") == errno.ENOENT
    assert dpu.error(Opcode.MKDIR, A, bytes(fuse.FuseMkdirIn()) + b"f\0") == errno.EEXIST
    dpu.driver.call(Opcode.LINK, B, bytes(fuse.FuseLinkIn(FILE)) + b"f2\0")
    assert dpu.ask(Opcode.RENAME2, A, rename2(B, b"f\0f2\0")).messages == []


@pytest.mark.parametrize("opcode", sorted(set(Opcode) - set(Opcode(case[0]) for case in CASES.values())))
def test_what_the_dpu_may_not_ask(opcode: Opcode) -> None:
    served = {Opcode.READLINK, Opcode.STATFS, Opcode.FLUSH, Opcode.FSYNC, Opcode.OPENDIR, Opcode.RELEASEDIR}
    served |= {Opcode.READDIR, Opcode.FSYNCDIR, Opcode.ACCESS}
    error = Dpu().error(opcode, A, bytes(200))
    assert (error == errno.ENOSYS) == (opcode not in served)


def test_the_dpu_holds_nothing() -> None:
    """It reads and writes without an open file; its lookups keep no inode alive."""
    dpu = Dpu()
    assert dpu.ask(Opcode.CREATE, A, bytes(fuse.FuseCreateIn(flags=2)) + b"n\0").reply[16:24] == struct.pack("<Q", 6)
    assert dpu.ask(Opcode.WRITE, 6, bytes(fuse.FuseWriteIn(size=4)) + b"text").reply
    assert dpu.ask(Opcode.READ, 6, bytes(fuse.FuseReadIn(size=100))).reply[16:] == b"text"
    dpu.ask(Opcode.LOOKUP, A, b"n\0")
    dpu.ask(Opcode.UNLINK, A, b"n\0")
    assert dpu.error(Opcode.GETATTR, 6, bytes(fuse.FuseGetattrIn())) == errno.ESTALE
    assert dpu.ask(Opcode.READ, FILE, bytes(fuse.FuseReadIn(size=8177))).reply == b""  # would not fit


def test_what_the_driver_may_cache_is_a_matter_of_straps() -> None:
    dpu = Dpu(Config(valid_seconds=3600, keep_cache=True, negative_entries=True))
    missing = fuse.FuseEntryOut.from_buffer_copy(dpu.driver.call(Opcode.LOOKUP, A, b"no\0") or b"")
    assert bytes(missing) == bytes(fuse.FuseEntryOut(entry_valid=3600))
    opened = fuse.FuseOpenOut.from_buffer_copy(dpu.driver.call(Opcode.OPEN, FILE, bytes(fuse.FuseOpenIn())) or b"")
    assert opened.open_flags == 2
    assert fuse.FuseEntryOut.from_buffer_copy(dpu.driver.call(Opcode.LOOKUP, A, b"f\0") or b"").attr_valid == 3600
    assert dpu.error(Opcode.LOOKUP, A, b"no\0") == errno.ENOENT
