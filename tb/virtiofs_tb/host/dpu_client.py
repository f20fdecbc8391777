"""Files as the DPU sees them: paths over DpuPort.fs_request (docs/notifications.md, "The DPU as a client").

The DPU takes no lookups and opens nothing: inodes are found by LOOKUP, read and written by nodeid.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Awaitable, Callable
from ctypes import LittleEndianStructure

from virtiofs_model.layouts import fuse
from virtiofs_model.layouts.fuse import FuseInHeader, FuseOutHeader
from virtiofs_model.layouts.fuse_constants import FUSE_ROOT_ID, Fattr, Opcode
from virtiofs_model.layouts.fuse_operations import IN_HEADER_SIZE, OUT_HEADER_SIZE, DirectoryEntry, directory_entries
from virtiofs_tb.host.port import DpuError

PIECE = 4096
"""Bytes of one READ or WRITE: request and reply fit into the mailbox, and a notification is about one page at most."""


class DpuFiles:
    """The DPU's file operations. request: hands a FUSE request over and gives the reply's bytes.

    Paths are of the file system's root, with or without a leading slash. All raise OSError with the errno of the
    reply, and DpuError where there is no valid reply.
    """

    def __init__(self, request: Callable[[bytes], Awaitable[bytes]]) -> None:
        self._request = request
        self._unique = 0

    async def listing(self, path: str) -> list[DirectoryEntry]:
        """The names in a directory, "." and ".." too."""
        nodeid = (await self.find(path)).nodeid
        entries: list[DirectoryEntry] = []
        while True:
            body = fuse.FuseReadIn(offset=entries[-1].cookie if entries else 0, size=PIECE)
            found = list(directory_entries(await self._call(Opcode.READDIR, nodeid, body, path=path), plus=False))
            if not found:
                return entries
            entries += found

    async def read(self, path: str) -> bytes:
        """A file's contents."""
        nodeid = (await self.find(path)).nodeid
        data = b""
        while True:
            piece = await self._call(Opcode.READ, nodeid, fuse.FuseReadIn(offset=len(data), size=PIECE), path=path)
            data += piece
            if len(piece) < PIECE:
                return data

    async def write(self, path: str, data: bytes) -> None:
        """Make `data` a file's contents; the file is made where there is none. It is cut only where it was longer, so
        that a file of the same size is written and nothing else.
        """
        parent, name = await self._parent(path)
        try:
            entry = await self._lookup(parent, name, path)
        except FileNotFoundError:
            head = fuse.FuseMknodIn(mode=stat.S_IFREG | 0o644)
            entry = await self._entry(Opcode.MKNOD, parent, head, name + b"\0", path)
        for at in range(0, len(data), PIECE):
            piece = data[at : at + PIECE]
            await self._call(Opcode.WRITE, entry.nodeid, fuse.FuseWriteIn(offset=at, size=len(piece)), piece, path)
        if entry.attr.size > len(data):
            await self._set(entry.nodeid, path, Fattr.SIZE, size=len(data))

    async def remove(self, path: str) -> None:
        """Take a name away: of a directory too, if it is empty."""
        parent, name = await self._parent(path)
        try:
            await self._call(Opcode.UNLINK, parent, None, name + b"\0", path)
        except IsADirectoryError:
            await self._call(Opcode.RMDIR, parent, None, name + b"\0", path)

    async def rename(self, old: str, new: str) -> None:
        """As rename(2): what had the new name is replaced."""
        parent, name = await self._parent(old)
        new_parent, new_name = await self._parent(new)
        body = fuse.FuseRenameIn(newdir=new_parent)
        await self._call(Opcode.RENAME, parent, body, name + b"\0" + new_name + b"\0", old)

    async def link(self, old: str, new: str) -> None:
        """Give a file another name."""
        nodeid = (await self.find(old)).nodeid
        parent, name = await self._parent(new)
        await self._call(Opcode.LINK, parent, fuse.FuseLinkIn(oldnodeid=nodeid), name + b"\0", new)

    async def mkdir(self, path: str) -> None:
        """Make a directory."""
        parent, name = await self._parent(path)
        await self._call(Opcode.MKDIR, parent, fuse.FuseMkdirIn(mode=0o755), name + b"\0", path)

    async def chmod(self, path: str, mode: int) -> None:
        """Set the permissions."""
        await self._set((await self.find(path)).nodeid, path, Fattr.MODE, mode=mode)

    async def truncate(self, path: str, size: int) -> None:
        """Set a file's size."""
        await self._set((await self.find(path)).nodeid, path, Fattr.SIZE, size=size)

    async def find(self, path: str) -> fuse.FuseEntryOut:
        """What a path leads to; links are not followed. Of the root only the nodeid is told."""
        entry = fuse.FuseEntryOut(nodeid=FUSE_ROOT_ID)
        for name in _names(path):
            entry = await self._lookup(entry.nodeid, name, path)
        return entry

    # ---- requests ----

    async def _parent(self, path: str) -> tuple[int, bytes]:
        """The directory of a name, and the name."""
        *directories, name = _names(path) or [b""]
        if not name:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), path)
        return (await self.find("/".join(os.fsdecode(part) for part in directories))).nodeid, name

    async def _lookup(self, parent: int, name: bytes, path: str) -> fuse.FuseEntryOut:
        return await self._entry(Opcode.LOOKUP, parent, None, name + b"\0", path)

    async def _set(self, nodeid: int, path: str, valid: Fattr, **fields: int) -> None:
        await self._call(Opcode.SETATTR, nodeid, fuse.FuseSetattrIn(valid=valid, **fields), path=path)

    async def _entry(
        self, opcode: Opcode, nodeid: int, body: LittleEndianStructure | None, data: bytes, path: str
    ) -> fuse.FuseEntryOut:
        try:
            return fuse.FuseEntryOut.from_buffer_copy(await self._call(opcode, nodeid, body, data, path))
        except ValueError as error:
            raise DpuError(f"{opcode.name} of {path} by the DPU: the reply holds no fuse_entry_out") from error

    async def _call(
        self, opcode: Opcode, nodeid: int, body: LittleEndianStructure | None, data: bytes = b"", path: str = ""
    ) -> bytes:
        self._unique += 2
        content = (bytes(body) if body is not None else b"") + data
        header = FuseInHeader(len=IN_HEADER_SIZE + len(content), opcode=opcode, unique=self._unique, nodeid=nodeid)
        reply = await self._request(bytes(header) + content)
        out = FuseOutHeader.from_buffer_copy(reply.ljust(OUT_HEADER_SIZE, b"\0"))
        if (out.len, out.unique) != (len(reply), self._unique):
            what = f"a reply of {len(reply)} bytes with len {out.len} and unique {out.unique}"
            raise DpuError(f"{opcode.name} of {path} by the DPU: {what}, expected unique {self._unique}")
        if out.error:
            raise OSError(-out.error, os.strerror(-out.error), path)
        return reply[OUT_HEADER_SIZE:]


def _names(path: str) -> list[bytes]:
    return [os.fsencode(part) for part in path.split("/") if part not in ("", ".")]
