"""A client that hands FUSE requests straight to the golden file system."""

from __future__ import annotations

import stat
from typing import Any

import pytest

from virtiofs_model.layouts import fuse
from virtiofs_model.layouts.fuse_constants import FUSE_ROOT_ID, Opcode
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
        body = bytes(fuse.FuseCreateIn(flags=2, mode=stat.S_IFREG | 0o644)) + name + b"\0"
        reply = self.call(Opcode.CREATE, parent, body)
        assert reply is not None
        return fuse.FuseEntryOut.from_buffer_copy(reply).nodeid, fuse.FuseOpenOut.from_buffer_copy(reply, 128).fh

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
