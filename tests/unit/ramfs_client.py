"""A client that hands FUSE requests straight to the golden file system."""

from __future__ import annotations

import stat
from typing import Any

import pytest

from virtiofs_model.layouts import fuse
from virtiofs_model.layouts.fuse_constants import FUSE_ROOT_ID, Fattr, Opcode
from virtiofs_model.layouts.fuse_operations import OPERATIONS, OUT_HEADER_SIZE, directory_entries
from virtiofs_model.ramfs import RamfsServer
from virtiofs_tb.driver.fuse_client import Reply

ROOT = FUSE_ROOT_ID


def fails(number: int) -> Any:
    """A context in which a request must end with this errno."""
    return pytest.raises(OSError, match=rf"\[Errno {number}\]")


class Client:
    """Hands requests straight to the server; what FuseClient does over queues."""

    def __init__(self, server: RamfsServer) -> None:
        self.server = server
        self.unique = 1000

    async def request(self, message: bytes, writable: int) -> Reply:
        reply = self.server.handle(message, writable)
        if reply is None:
            return Reply(0, 0, 0, b"")
        assert len(reply) <= writable
        header = fuse.FuseOutHeader.from_buffer_copy(reply)
        assert header.len == len(reply)
        return Reply(header.len, header.error, header.unique, reply[OUT_HEADER_SIZE:])

    def call(self, opcode: Opcode, nodeid: int = ROOT, body: bytes = b"", writable: int | None = None) -> bytes | None:
        """One request; returns the reply's payload. Raises OSError with its errno."""
        self.unique += 2
        header = fuse.FuseInHeader(len=40 + len(body), opcode=opcode, unique=self.unique, nodeid=nodeid, uid=7, gid=8)
        message = bytes(header) + body
        if writable is None:
            writable = OPERATIONS[opcode].reply_limit(message)
        reply = self.server.handle(message, writable)
        if reply is None:
            return None
        out = fuse.FuseOutHeader.from_buffer_copy(reply)
        assert out.unique == self.unique
        assert out.len == len(reply)
        if out.error:
            assert len(reply) == OUT_HEADER_SIZE
            raise OSError(-out.error, "FUSE error")
        return reply[OUT_HEADER_SIZE:]

    def init(self, minor: int = 45) -> fuse.FuseInitOut:
        body = bytes(fuse.FuseInitIn(major=7, minor=minor, max_readahead=131072, flags=0xFFFFFFFF))
        return fuse.FuseInitOut.from_buffer_copy(self.call(Opcode.INIT, 0, body) or b"")

    def create(self, name: bytes, parent: int = ROOT) -> tuple[int, int]:
        """CREATE; returns nodeid and file handle."""
        return self.create_at(parent, name)

    def write(self, nodeid: int, fh: int, offset: int, data: bytes) -> None:
        reply = self.call(Opcode.WRITE, nodeid, bytes(fuse.FuseWriteIn(fh=fh, offset=offset, size=len(data))) + data)
        assert fuse.FuseWriteOut.from_buffer_copy(reply or b"").size == len(data)

    def read(self, nodeid: int, fh: int, offset: int, size: int) -> bytes:
        reply = self.call(Opcode.READ, nodeid, bytes(fuse.FuseReadIn(fh=fh, offset=offset, size=size)))
        assert reply is not None
        return reply

    def attr(self, nodeid: int) -> fuse.FuseAttr:
        reply = self.call(Opcode.GETATTR, nodeid, bytes(fuse.FuseGetattrIn()))
        return fuse.FuseAttrOut.from_buffer_copy(reply or b"").attr

    def mkdir(self, name: bytes, parent: int = ROOT) -> int:
        reply = self.call(Opcode.MKDIR, parent, bytes(fuse.FuseMkdirIn(mode=0o755)) + name + b"\0")
        return fuse.FuseEntryOut.from_buffer_copy(reply or b"").nodeid

    def names(self, nodeid: int = ROOT, size: int = 4096, plus: bool = False) -> list[bytes]:
        """The directory's listing, read in replies of `size` bytes."""
        opened = self.call(Opcode.OPENDIR, nodeid, bytes(fuse.FuseOpenIn()))
        fh = fuse.FuseOpenOut.from_buffer_copy(opened or b"").fh
        cookie, found = 0, []
        opcode = Opcode.READDIRPLUS if plus else Opcode.READDIR
        while part := self.call(opcode, nodeid, bytes(fuse.FuseReadIn(fh=fh, offset=cookie, size=size))):
            for entry in directory_entries(part, plus):
                found.append(entry.name)
                cookie = entry.cookie
        self.call(Opcode.RELEASEDIR, nodeid, bytes(fuse.FuseReleaseIn(fh=fh)))
        return found

    def state(self) -> Any:
        """All that the file system holds, as something to compare."""
        return snapshot(self.server)

    def entry(self, opcode: Opcode, parent: int, body: bytes) -> fuse.FuseEntryOut:
        """A request that is answered with a fuse_entry_out."""
        return fuse.FuseEntryOut.from_buffer_copy(self.call(opcode, parent, body) or b"")

    def lookup(self, name: bytes, parent: int = ROOT) -> fuse.FuseEntryOut:
        """LOOKUP."""
        return self.entry(Opcode.LOOKUP, parent, name + b"\0")

    def mknod(self, name: bytes, mode: int = stat.S_IFREG | 0o644, parent: int = ROOT, rdev: int = 0) -> int:
        """MKNOD; returns the nodeid."""
        return self.entry(Opcode.MKNOD, parent, bytes(fuse.FuseMknodIn(mode=mode, rdev=rdev)) + name + b"\0").nodeid

    def symlink(self, name: bytes, target: bytes, parent: int = ROOT) -> int:
        """SYMLINK; returns the nodeid."""
        return self.entry(Opcode.SYMLINK, parent, name + b"\0" + target + b"\0").nodeid

    def link(self, nodeid: int, name: bytes, parent: int = ROOT) -> fuse.FuseEntryOut:
        """LINK."""
        return self.entry(Opcode.LINK, parent, bytes(fuse.FuseLinkIn(oldnodeid=nodeid)) + name + b"\0")

    def rename(self, old_dir: int, old: bytes, new_dir: int, new: bytes, flags: int = 0) -> None:
        """RENAME2."""
        body = bytes(fuse.FuseRename2In(newdir=new_dir, flags=flags)) + old + b"\0" + new + b"\0"
        self.call(Opcode.RENAME2, old_dir, body)

    def create_at(self, parent: int, name: bytes, flags: int = 2) -> tuple[int, int]:
        """CREATE with flags; returns nodeid and fh."""
        body = bytes(fuse.FuseCreateIn(flags=flags, mode=stat.S_IFREG | 0o644)) + name + b"\0"
        return opened(self.call(Opcode.CREATE, parent, body))

    def tmpfile(self, parent: int, mode: int = 0o600) -> tuple[int, int]:
        """TMPFILE; returns nodeid and fh."""
        return opened(self.call(Opcode.TMPFILE, parent, bytes(fuse.FuseCreateIn(flags=2, mode=mode)) + b"/\0"))

    def open(self, nodeid: int, flags: int = 2) -> int:
        """OPEN; returns fh."""
        reply = self.call(Opcode.OPEN, nodeid, bytes(fuse.FuseOpenIn(flags=flags)))
        return fuse.FuseOpenOut.from_buffer_copy(reply or b"").fh

    def opendir(self, nodeid: int = ROOT) -> int:
        """OPENDIR; returns fh."""
        reply = self.call(Opcode.OPENDIR, nodeid, bytes(fuse.FuseOpenIn()))
        return fuse.FuseOpenOut.from_buffer_copy(reply or b"").fh

    def release(self, nodeid: int, fh: int | None = None) -> None:
        """RELEASE."""
        self.call(Opcode.RELEASE, nodeid, bytes(fuse.FuseReleaseIn(fh=nodeid if fh is None else fh)))

    def forget(self, nodeid: int, count: int = 1) -> None:
        """FORGET."""
        self.call(Opcode.FORGET, nodeid, bytes(fuse.FuseForgetIn(nlookup=count)))

    def setattr(self, nodeid: int, **fields: int) -> fuse.FuseAttr:
        """SETATTR with these fields of fuse_setattr_in."""
        reply = self.call(Opcode.SETATTR, nodeid, bytes(fuse.FuseSetattrIn(**fields)))
        return fuse.FuseAttrOut.from_buffer_copy(reply or b"").attr

    def truncate(self, nodeid: int, size: int) -> fuse.FuseAttr:
        """SETATTR of the size."""
        return self.setattr(nodeid, valid=Fattr.SIZE, size=size)

    def fallocate(self, nodeid: int, offset: int, length: int, mode: int = 0, fh: int | None = None) -> None:
        """FALLOCATE."""
        body = fuse.FuseFallocateIn(fh=nodeid if fh is None else fh, offset=offset, length=length, mode=mode)
        self.call(Opcode.FALLOCATE, nodeid, bytes(body))

    def statfs(self) -> fuse.FuseKstatfs:
        """STATFS."""
        return fuse.FuseStatfsOut.from_buffer_copy(self.call(Opcode.STATFS) or b"").st

    def listed(self, nodeid: int, cookie: int = 0, size: int = 4096, plus: bool = False) -> list[tuple[bytes, int]]:
        """One reply of READDIR: names and the cookies behind them. The directory must be open."""
        opcode = Opcode.READDIRPLUS if plus else Opcode.READDIR
        part = self.call(opcode, nodeid, bytes(fuse.FuseReadIn(fh=nodeid, offset=cookie, size=size))) or b""
        return [(entry.name, entry.cookie) for entry in directory_entries(part, plus)]


def opened(reply: bytes | None) -> tuple[int, int]:
    """Nodeid and fh of an answer to CREATE or TMPFILE."""
    assert reply is not None
    return fuse.FuseEntryOut.from_buffer_copy(reply).nodeid, fuse.FuseOpenOut.from_buffer_copy(reply, 128).fh


def snapshot(server: RamfsServer) -> Any:
    """All that a file system holds, as something to compare."""
    store = server.tree.store
    inodes = {}
    for slot, inode in sorted(store.inodes.items()):
        scalars = {name: value for name, value in vars(inode).items() if not isinstance(value, dict)}
        scalars["parent"] = inode.parent.nodeid if inode.parent is not None else 0
        names = [(entry.name, entry.slot, entry.sequence, entry.inode.nodeid) for entry in inode.in_order]
        inodes[slot] = (scalars, names, dict(inode.pages), dict(inode.xattrs))
    free = (list(store.free_slots), list(store.free_entries))
    return inodes, free, vars(store.counters).copy(), server.minor, vars(server.locks).copy()
