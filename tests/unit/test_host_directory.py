"""A directory of the host over FUSE: what the client does happens there, and nothing outside of it is reached."""

from __future__ import annotations

import errno
import os
import stat
import struct
from collections.abc import Iterator
from ctypes import sizeof
from pathlib import Path

import pytest

from virtiofs_model.layouts import fuse
from virtiofs_model.layouts.fuse_constants import FUSE_ROOT_ID, Fattr, InitFlag, Opcode
from virtiofs_tb.agents.host_directory import HostDirectoryServer


class Client:
    """Requests with the bytes that Linux sends."""

    def __init__(self, root: Path) -> None:
        self.server = HostDirectoryServer(root)
        self._unique = 0

    def raw(self, opcode: int, nodeid: int, body: bytes, writable: int | None = None) -> bytes | None:
        self._unique += 2
        header = fuse.FuseInHeader(len=40 + len(body), opcode=opcode, unique=self._unique, nodeid=nodeid)
        return self.server.handle(bytes(header) + body, writable)

    def ask(self, opcode: int, nodeid: int = FUSE_ROOT_ID, body: bytes = b"") -> bytes:
        reply = self.raw(opcode, nodeid, body)
        assert reply is not None
        header = fuse.FuseOutHeader.from_buffer_copy(reply)
        assert (header.len, header.unique) == (len(reply), self._unique)
        if header.error:
            raise OSError(-header.error, os.strerror(-header.error))
        return reply[16:]

    def entry(self, opcode: int, nodeid: int, body: bytes) -> fuse.FuseEntryOut:
        return fuse.FuseEntryOut.from_buffer_copy(self.ask(opcode, nodeid, body))

    def lookup(self, name: bytes, nodeid: int = FUSE_ROOT_ID) -> fuse.FuseEntryOut:
        return self.entry(Opcode.LOOKUP, nodeid, name + b"\0")

    def mkdir(self, name: bytes, nodeid: int = FUSE_ROOT_ID, mode: int = 0o755) -> int:
        nodeid = self.entry(Opcode.MKDIR, nodeid, bytes(fuse.FuseMkdirIn(mode=mode)) + name + b"\0").nodeid
        return int(nodeid)

    def create(self, name: bytes, nodeid: int = FUSE_ROOT_ID, flags: int = os.O_RDWR) -> tuple[int, int]:
        """Node and handle."""
        want = bytes(fuse.FuseCreateIn(flags=flags, mode=stat.S_IFREG | 0o640))
        reply = self.ask(Opcode.CREATE, nodeid, want + name + b"\0")
        opened = fuse.FuseOpenOut.from_buffer_copy(reply, sizeof(fuse.FuseEntryOut))
        return fuse.FuseEntryOut.from_buffer_copy(reply).nodeid, opened.fh

    def write(self, node: int, fh: int, offset: int, data: bytes) -> int:
        reply = self.ask(Opcode.WRITE, node, bytes(fuse.FuseWriteIn(fh=fh, offset=offset, size=len(data))) + data)
        return int(fuse.FuseWriteOut.from_buffer_copy(reply).size)

    def read(self, node: int, fh: int, offset: int, size: int) -> bytes:
        return self.ask(Opcode.READ, node, bytes(fuse.FuseReadIn(fh=fh, offset=offset, size=size)))

    def fails(self, opcode: int, nodeid: int = FUSE_ROOT_ID, body: bytes = b"") -> int:
        with pytest.raises(OSError) as caught:
            self.ask(opcode, nodeid, body)
        assert caught.value.errno is not None
        return caught.value.errno


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "secret").write_text("outside")
    client = Client(root)
    init = fuse.FuseInitIn(major=7, minor=38, max_readahead=65536, flags=0xFFFF_FFFF)
    out = fuse.FuseInitOut.from_buffer_copy(client.ask(Opcode.INIT, 0, bytes(init)))
    assert (out.major, out.minor, out.max_write) == (7, 38, 131072)
    assert not out.flags & InitFlag.WRITEBACK_CACHE
    yield client
    client.server.close()


def test_write_and_read(client: Client, tmp_path: Path) -> None:
    folder = client.mkdir(b"folder")
    node, fh = client.create(b"file", folder)
    assert client.write(node, fh, 3, b"abc") == 3
    assert client.read(node, fh, 0, 100) == b"\0\0\0abc"
    path = tmp_path / "root" / "folder" / "file"
    assert path.read_bytes() == b"\0\0\0abc" and stat.S_IMODE(path.stat().st_mode) == 0o640
    want = fuse.FuseSetattrIn(valid=Fattr.SIZE | Fattr.MODE | Fattr.MTIME, size=4, mode=0o600, mtime=77, mtimensec=5)
    attr = fuse.FuseAttrOut.from_buffer_copy(client.ask(Opcode.SETATTR, node, bytes(want))).attr
    assert (attr.size, stat.S_IMODE(attr.mode), attr.mtime, attr.mtimensec) == (4, 0o600, 77, 5)
    assert path.stat().st_mtime_ns == 77 * 10**9 + 5
    now = fuse.FuseSetattrIn(valid=Fattr.MTIME | Fattr.MTIME_NOW)
    assert fuse.FuseAttrOut.from_buffer_copy(client.ask(Opcode.SETATTR, node, bytes(now))).attr.mtime > 10**9
    client.ask(Opcode.FSYNC, node, bytes(fuse.FuseFsyncIn(fh=fh)))
    client.ask(Opcode.RELEASE, node, bytes(fuse.FuseReleaseIn(fh=fh)))
    assert client.fails(Opcode.READ, node, bytes(fuse.FuseReadIn(fh=fh, size=1))) == errno.EBADF


def test_names(client: Client, tmp_path: Path) -> None:
    root = tmp_path / "root"
    node, _ = client.create(b"one")
    assert client.lookup(b"one").nodeid == node, "the same file is the same node"
    linked = client.entry(Opcode.LINK, FUSE_ROOT_ID, bytes(fuse.FuseLinkIn(oldnodeid=node)) + b"two\0")
    assert linked.nodeid == node and linked.attr.nlink == 2
    client.ask(Opcode.RENAME2, FUSE_ROOT_ID, bytes(fuse.FuseRename2In(newdir=FUSE_ROOT_ID)) + b"two\0three\0")
    assert sorted(os.listdir(root)) == ["one", "three"]
    client.ask(Opcode.UNLINK, FUSE_ROOT_ID, b"three\0")
    link = client.entry(Opcode.SYMLINK, FUSE_ROOT_ID, b"link\0../secret\0")
    assert client.ask(Opcode.READLINK, link.nodeid) == b"../secret"
    client.mkdir(b"folder")
    assert client.fails(Opcode.UNLINK, FUSE_ROOT_ID, b"folder\0") in (errno.EISDIR, errno.EPERM)
    client.ask(Opcode.RMDIR, FUSE_ROOT_ID, b"folder\0")
    assert client.fails(Opcode.LOOKUP, FUSE_ROOT_ID, b"folder\0") == errno.ENOENT
    assert sorted(os.listdir(root)) == ["link", "one"]


def test_a_directory_in_pieces(client: Client) -> None:
    for number in range(30):
        client.create(f"file-{number:02}".encode())
    fh = fuse.FuseOpenOut.from_buffer_copy(client.ask(Opcode.OPENDIR, FUSE_ROOT_ID, bytes(8))).fh
    names, offset = [], 0
    while data := client.ask(Opcode.READDIRPLUS, FUSE_ROOT_ID, bytes(fuse.FuseReadIn(fh=fh, offset=offset, size=700))):
        assert len(data) <= 700
        at = 0
        while at < len(data):
            entry = fuse.FuseEntryOut.from_buffer_copy(data, at)
            dirent = fuse.FuseDirent.from_buffer_copy(data, at + sizeof(entry))
            begin = at + sizeof(entry) + sizeof(dirent)
            names.append(data[begin : begin + dirent.namelen])
            assert bool(entry.nodeid) == (names[-1] not in (b".", b".."))
            offset = dirent.off
            at = begin + dirent.namelen + 7 & ~7
    assert names == [b".", b"..", *(f"file-{number:02}".encode() for number in range(30))]
    assert client.fails(Opcode.READDIR, FUSE_ROOT_ID, bytes(fuse.FuseReadIn(fh=99, size=700))) == errno.EBADF


@pytest.mark.parametrize("name", [b"..", b".", b"", b"../secret", b"/etc/passwd", b"folder/../../secret"])
def test_no_name_leads_outside(client: Client, name: bytes) -> None:
    client.mkdir(b"folder")
    assert client.fails(Opcode.LOOKUP, FUSE_ROOT_ID, name + b"\0") == errno.EINVAL
    create = bytes(fuse.FuseCreateIn(flags=os.O_RDWR, mode=0o644))
    assert client.fails(Opcode.CREATE, FUSE_ROOT_ID, create + name + b"\0") == errno.EINVAL


def test_no_link_leads_outside(client: Client, tmp_path: Path) -> None:
    link = client.entry(Opcode.SYMLINK, FUSE_ROOT_ID, b"out\0" + os.fsencode(tmp_path) + b"\0")
    assert client.fails(Opcode.LOOKUP, link.nodeid, b"secret\0") == errno.ENOTDIR
    client.entry(Opcode.SYMLINK, FUSE_ROOT_ID, b"file\0../secret\0")
    create = bytes(fuse.FuseCreateIn(flags=os.O_RDWR | os.O_TRUNC, mode=0o644))
    assert client.fails(Opcode.CREATE, FUSE_ROOT_ID, create + b"file\0") == errno.ELOOP
    node = client.lookup(b"file").nodeid
    assert client.fails(Opcode.OPEN, node, bytes(fuse.FuseOpenIn(flags=os.O_RDWR))) == errno.EISDIR
    size = bytes(fuse.FuseSetattrIn(valid=Fattr.SIZE, size=0))
    assert client.fails(Opcode.SETATTR, node, size) == errno.EOPNOTSUPP
    assert (tmp_path / "secret").read_text() == "outside"


def test_what_is_not_served_and_what_does_not_fit(client: Client) -> None:
    assert client.fails(Opcode.GETXATTR, FUSE_ROOT_ID, bytes(8) + b"user.x\0") == errno.ENOSYS
    assert client.fails(4095) == errno.ENOSYS
    assert client.fails(Opcode.GETATTR, 12345, bytes(16)) == errno.ENOENT
    assert client.fails(Opcode.LOOKUP, FUSE_ROOT_ID, b"no end") == errno.EINVAL
    assert (
        client.fails(Opcode.MKNOD, FUSE_ROOT_ID, struct.pack("<IIII", stat.S_IFCHR, 1, 0, 0) + b"dev\0") == errno.EPERM
    )
    assert client.raw(Opcode.FORGET, FUSE_ROOT_ID, bytes(8)) is None
    assert client.raw(Opcode.MKDIR, FUSE_ROOT_ID, bytes(8) + b"x\0", writable=16) is None
    assert client.fails(Opcode.LOOKUP, FUSE_ROOT_ID, b"x\0") == errno.ENOENT, "decided before anything happens"
    assert client.server.handle(b"short") is None


def test_forgotten_nodes_and_sessions_keep_no_descriptor(client: Client) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for name in (b"a", b"b", b"c"):
        client.create(name)
    node = client.lookup(b"a").nodeid
    assert len(os.listdir("/proc/self/fd")) == before + 6, "three nodes and three handles"
    client.raw(Opcode.FORGET, node, bytes(fuse.FuseForgetIn(nlookup=2)))
    assert client.fails(Opcode.GETATTR, node, bytes(16)) == errno.ENOENT
    client.server.reset()
    assert len(os.listdir("/proc/self/fd")) == before
