"""FUSE for the golden file system: one request's bytes in, one reply's bytes out.

Operations of the recorded Linux sessions are served; every other opcode is ENOSYS, which Linux remembers and does
without. errno values are what Linux's own file systems give; sources are named where a choice was free.
"""

from __future__ import annotations

import errno
import stat
from collections.abc import Callable, Iterator
from ctypes import LittleEndianStructure, sizeof
from dataclasses import dataclass
from typing import TypeVar

from virtiofs_model.layouts import fuse
from virtiofs_model.layouts.fuse_constants import FUSE_ROOT_ID, Fattr, InitFlag, Opcode
from virtiofs_model.layouts.fuse_operations import (
    IN_HEADER_SIZE,
    OPERATIONS,
    OUT_HEADER_SIZE,
    Operation,
    ReplyKind,
)
from virtiofs_model.ramfs.tree import PAGE, DirectoryEntry, FsError, Inode, Time, Tree

MAJOR = 7
OLDEST_MINOR = 31
NEWEST_MINOR = 45
S = TypeVar("S", bound=LittleEndianStructure)

# What is granted of what the client offers; the set of the server behind the recorded sessions.
GRANTED = (
    InitFlag.ASYNC_READ
    | InitFlag.ATOMIC_O_TRUNC
    | InitFlag.BIG_WRITES
    | InitFlag.DO_READDIRPLUS
    | InitFlag.READDIRPLUS_AUTO
    | InitFlag.MAX_PAGES
)
O_TRUNC = 0o1000  # Linux's open flags travel as they are
O_ACCMODE = 0o3
SYMLINK_MAX = PAGE - 1


@dataclass
class Config:
    """What INIT grants. valid_seconds: how long the client may cache names and attributes."""

    max_write: int = 131072
    max_pages: int = 32
    max_background: int = 12
    congestion_threshold: int = 9
    granted: InitFlag = GRANTED
    minor: int = NEWEST_MINOR
    valid_seconds: int = 1


@dataclass
class Handle:
    """An open file or directory."""

    inode: Inode
    flags: int
    directory: bool


class Request:
    """A request taken apart. Raises FsError(EINVAL) where the message is not what its opcode demands."""

    def __init__(self, message: bytes, operation: Operation) -> None:
        self.header = fuse.FuseInHeader.from_buffer_copy(message)
        self.message = message
        self.operation = operation
        at = operation.request_size
        if operation.opcode is Opcode.INIT:
            at = IN_HEADER_SIZE + 16  # before 7.36 the structure ended at flags
        if len(message) < at:
            raise FsError(errno.EINVAL)
        self.names: list[bytes] = []
        for _ in range(operation.names):
            end = message.find(b"\0", at)
            if end < 0:
                raise FsError(errno.EINVAL)
            self.names.append(message[at:end])
            at = end + 1
        self.data = memoryview(message)[at:]

    def body(self, struct: type[S]) -> S:
        """The structure behind fuse_in_header; what an older client leaves out is 0."""
        raw = self.message[IN_HEADER_SIZE : IN_HEADER_SIZE + sizeof(struct)]
        return struct.from_buffer_copy(raw.ljust(sizeof(struct), b"\0"))


class RamfsServer:
    """A FuseServer on a Tree. handle() never raises for anything a client can send."""

    def __init__(self, tree: Tree | None = None, config: Config | None = None) -> None:
        self.tree = tree or Tree()
        self.config = config or Config()
        self.minor: int | None = None  # of the session; None before INIT and after DESTROY
        self.handles: dict[int, Handle] = {}
        self._next_handle = 1
        self._serve: dict[int, Callable[[Request], bytes | None]] = {
            Opcode.LOOKUP: self._lookup,
            Opcode.FORGET: self._forget,
            Opcode.BATCH_FORGET: self._batch_forget,
            Opcode.GETATTR: self._getattr,
            Opcode.SETATTR: self._setattr,
            Opcode.READLINK: self._readlink,
            Opcode.SYMLINK: self._symlink,
            Opcode.MKNOD: self._mknod,
            Opcode.MKDIR: self._mkdir,
            Opcode.UNLINK: self._unlink,
            Opcode.RMDIR: self._rmdir,
            Opcode.RENAME: self._rename,
            Opcode.RENAME2: self._rename,
            Opcode.LINK: self._link,
            Opcode.OPEN: self._open,
            Opcode.OPENDIR: self._open,
            Opcode.READ: self._read,
            Opcode.WRITE: self._write,
            Opcode.STATFS: self._statfs,
            Opcode.RELEASE: self._release,
            Opcode.RELEASEDIR: self._release,
            Opcode.FSYNC: self._sync,
            Opcode.FSYNCDIR: self._sync,
            Opcode.FLUSH: self._sync,
            Opcode.INIT: self._init,
            Opcode.DESTROY: self._destroy,
            Opcode.READDIR: self._readdir,
            Opcode.READDIRPLUS: self._readdir,
            Opcode.ACCESS: self._access,
            Opcode.CREATE: self._create,
            Opcode.INTERRUPT: self._interrupt,
            Opcode.NOTIFY_REPLY: self._notify_reply,
        }

    def set_time(self, seconds: int, nanoseconds: int) -> None:
        """Move the clock; file times come from here."""
        self.tree.now = Time(seconds, nanoseconds)

    def handle(self, message: bytes, writable: int | None = None) -> bytes | None:
        """The reply's bytes, or None where none is due.

        writable: bytes the client has room for. A reply that cannot fit is decided before anything happens: None, and
        no side effect (a real device answers with used length 0).
        """
        if len(message) < IN_HEADER_SIZE:
            return None
        header = fuse.FuseInHeader.from_buffer_copy(message)
        operation = OPERATIONS.get(header.opcode)
        silent = operation is not None and operation.kind is ReplyKind.NONE
        if writable is not None and not silent and writable < OUT_HEADER_SIZE:
            return None
        try:
            if header.len != len(message):
                raise FsError(errno.EINVAL)
            if self.minor is None and header.opcode != Opcode.INIT:
                raise FsError(errno.EIO)
            serve = self._serve.get(header.opcode)
            if operation is None or serve is None:
                raise FsError(errno.ENOSYS)
            request = Request(message, operation)
            if writable is not None and not fits(request, writable):
                return None
            payload = serve(request)
        except FsError as error:
            return None if silent else reply_bytes(-error.errno, header.unique, b"")
        return None if payload is None else reply_bytes(0, header.unique, payload)

    # ---- session ----

    def _init(self, request: Request) -> bytes:
        init = request.body(fuse.FuseInitIn)
        if init.major < MAJOR:
            raise FsError(errno.EPROTO)
        out = fuse.FuseInitOut(major=MAJOR, minor=self.config.minor)
        if init.major > MAJOR:
            return bytes(out)  # the client comes again with a version that it shares with us
        if init.minor < OLDEST_MINOR:
            raise FsError(errno.EPROTO)
        self._end_session()
        self.minor = min(init.minor, self.config.minor)
        offered = init.flags | (init.flags2 << 32 if init.flags & InitFlag.INIT_EXT else 0)
        granted = offered & self.config.granted
        out.minor = self.minor
        out.max_readahead = init.max_readahead
        out.flags = granted & 0xFFFF_FFFF
        out.flags2 = granted >> 32
        out.max_background = self.config.max_background
        out.congestion_threshold = self.config.congestion_threshold
        out.max_write = self.config.max_write
        out.time_gran = 1
        out.max_pages = self.config.max_pages if granted & InitFlag.MAX_PAGES else 0
        return bytes(out)

    def _destroy(self, request: Request) -> bytes:
        self._end_session()
        return b""

    def reset(self) -> None:
        """Device reset: the session ends, contents stay."""
        self._end_session()

    def _end_session(self) -> None:
        self.minor = None
        self.handles.clear()
        self.tree.end_session()

    def _interrupt(self, request: Request) -> bytes:
        raise FsError(errno.EAGAIN)  # nothing here waits, so its request is already answered (fs/fuse/dev.c takes both)

    def _notify_reply(self, request: Request) -> None:
        return None

    # ---- nodes ----

    def _lookup(self, request: Request) -> bytes:
        directory = self.tree.directory(request.header.nodeid)
        return self._entry(self.tree.lookup(directory, request.names[0]))

    def _forget(self, request: Request) -> None:
        self._forget_one(request.header.nodeid, request.body(fuse.FuseForgetIn).nlookup)

    def _batch_forget(self, request: Request) -> None:
        size = sizeof(fuse.FuseForgetOne)
        count = min(request.body(fuse.FuseBatchForgetIn).count, len(request.data) // size)
        for index in range(count):
            one = fuse.FuseForgetOne.from_buffer_copy(request.data, index * size)
            self._forget_one(one.nodeid, one.nlookup)

    def _forget_one(self, nodeid: int, count: int) -> None:
        inode = self.tree.inodes.get(nodeid)
        if inode is None or nodeid == FUSE_ROOT_ID:
            return
        inode.lookups = max(0, inode.lookups - count)
        self.tree.release(inode)

    def _getattr(self, request: Request) -> bytes:
        return self._attr_out(self.tree.get(request.header.nodeid))

    def _setattr(self, request: Request) -> bytes:
        inode = self.tree.get(request.header.nodeid)
        want = request.body(fuse.FuseSetattrIn)
        valid = Fattr(want.valid)
        if valid & Fattr.FH:
            self._handle(want.fh)
        if valid & Fattr.SIZE:
            self.tree.truncate(inode, want.size)
        if valid & Fattr.MODE:
            inode.mode = stat.S_IFMT(inode.mode) | stat.S_IMODE(want.mode)
        if valid & Fattr.UID:
            inode.uid = want.uid
        if valid & Fattr.GID:
            inode.gid = want.gid
        now = self.tree.now
        if valid & (Fattr.ATIME | Fattr.ATIME_NOW):
            inode.atime = now if valid & Fattr.ATIME_NOW else Time(want.atime, want.atimensec)
        if valid & (Fattr.MTIME | Fattr.MTIME_NOW):
            inode.mtime = now if valid & Fattr.MTIME_NOW else Time(want.mtime, want.mtimensec)
        inode.ctime = Time(want.ctime, want.ctimensec) if valid & Fattr.CTIME else now
        return self._attr_out(inode)

    def _access(self, request: Request) -> bytes:
        # Linux checks permissions itself where default_permissions is set; the recorded server says yes too.
        self.tree.get(request.header.nodeid)
        return b""

    def _readlink(self, request: Request) -> bytes:
        inode = self.tree.get(request.header.nodeid)
        if not stat.S_ISLNK(inode.mode):
            raise FsError(errno.EINVAL)
        return inode.target

    # ---- names ----

    def _make(self, request: Request, mode: int, rdev: int = 0, target: bytes = b"") -> Inode:
        header = request.header
        directory = self.tree.directory(header.nodeid)
        return self.tree.create(directory, request.names[0], mode, header.uid, header.gid, rdev, target)

    def _mknod(self, request: Request) -> bytes:
        want = request.body(fuse.FuseMknodIn)
        if stat.S_ISDIR(want.mode) or stat.S_ISLNK(want.mode):
            raise FsError(errno.EINVAL)
        mode = want.mode if stat.S_IFMT(want.mode) else want.mode | stat.S_IFREG
        return self._entry(self._make(request, mode, want.rdev))

    def _mkdir(self, request: Request) -> bytes:
        return self._entry(self._make(request, stat.S_IFDIR | stat.S_IMODE(request.body(fuse.FuseMkdirIn).mode)))

    def _symlink(self, request: Request) -> bytes:
        target = request.names[1]
        if not target:
            raise FsError(errno.ENOENT)  # symlink(2)
        if len(target) > SYMLINK_MAX:
            raise FsError(errno.ENAMETOOLONG)
        return self._entry(self._make(request, stat.S_IFLNK | 0o777, target=target))

    def _create(self, request: Request) -> bytes:
        want = request.body(fuse.FuseCreateIn)
        inode = self._make(request, stat.S_IFREG | stat.S_IMODE(want.mode))
        return self._entry(inode) + self._open_out(inode, want.flags, directory=False)

    def _link(self, request: Request) -> bytes:
        inode = self.tree.get(request.body(fuse.FuseLinkIn).oldnodeid)
        self.tree.link(inode, self.tree.directory(request.header.nodeid), request.names[0])
        return self._entry(inode)

    def _unlink(self, request: Request) -> bytes:
        self.tree.unlink(self.tree.directory(request.header.nodeid), request.names[0])
        return b""

    def _rmdir(self, request: Request) -> bytes:
        self.tree.rmdir(self.tree.directory(request.header.nodeid), request.names[0])
        return b""

    def _rename(self, request: Request) -> bytes:
        if request.operation.opcode is Opcode.RENAME2:
            want = request.body(fuse.FuseRename2In)
            newdir, flags = want.newdir, want.flags
        else:
            newdir, flags = request.body(fuse.FuseRenameIn).newdir, 0
        old_dir, new_dir = self.tree.directory(request.header.nodeid), self.tree.directory(newdir)
        self.tree.rename(old_dir, request.names[0], new_dir, request.names[1], flags)
        return b""

    # ---- open files ----

    def _handle(self, fh: int) -> Handle:
        handle = self.handles.get(fh)
        if handle is None:
            raise FsError(errno.EBADF)
        return handle

    def _file(self, fh: int) -> Handle:
        handle = self._handle(fh)
        if handle.directory:
            raise FsError(errno.EISDIR)
        return handle

    def _open(self, request: Request) -> bytes:
        inode = self.tree.get(request.header.nodeid)
        flags = request.body(fuse.FuseOpenIn).flags
        directory = request.operation.opcode is Opcode.OPENDIR
        if directory and not inode.is_directory:
            raise FsError(errno.ENOTDIR)
        if not directory and inode.is_directory:
            raise FsError(errno.EISDIR)
        if not directory and flags & O_TRUNC and flags & O_ACCMODE and inode.is_regular:
            self.tree.truncate(inode, 0)
        return self._open_out(inode, flags, directory)

    def _open_out(self, inode: Inode, flags: int, directory: bool) -> bytes:
        fh = self._next_handle
        self._next_handle += 1
        self.handles[fh] = Handle(inode, flags, directory)
        inode.opens += 1
        return bytes(fuse.FuseOpenOut(fh=fh))

    def _release(self, request: Request) -> bytes:
        fh = request.body(fuse.FuseReleaseIn).fh
        handle = self._handle(fh)
        del self.handles[fh]
        handle.inode.opens -= 1
        self.tree.release(handle.inode)
        return b""

    def _sync(self, request: Request) -> bytes:
        self._handle(request.body(fuse.FuseFsyncIn).fh)
        return b""

    def _read(self, request: Request) -> bytes:
        want = request.body(fuse.FuseReadIn)
        return self.tree.read(self._file(want.fh).inode, want.offset, want.size)

    def _write(self, request: Request) -> bytes:
        want = request.body(fuse.FuseWriteIn)
        handle = self._file(want.fh)
        if len(request.data) != want.size:
            raise FsError(errno.EINVAL)
        if want.size > self.config.max_write:
            raise FsError(errno.EINVAL)
        self.tree.write(handle.inode, want.offset, bytes(request.data))
        return bytes(fuse.FuseWriteOut(size=want.size))

    # ---- directories ----

    def _readdir(self, request: Request) -> bytes:
        want = request.body(fuse.FuseReadIn)
        handle = self._handle(want.fh)
        if not handle.directory:
            raise FsError(errno.ENOTDIR)
        plus = request.operation.opcode is Opcode.READDIRPLUS
        out = bytearray()
        for name, inode, cookie in listing(handle.inode, want.offset):
            record = bytes(fuse.FuseDirent(inode.nodeid, cookie, len(name), inode.mode >> 12)) + name
            # "." and ".." give no entry and take no lookup: nodeid 0 tells the client so.
            known = plus and name not in (b".", b"..")
            if plus:
                record = (self._entry_struct(inode) if known else bytes(sizeof(fuse.FuseEntryOut))) + record
            record = record.ljust((len(record) + 7) & ~7, b"\0")
            if len(out) + len(record) > want.size:
                break
            out += record
            if known:
                inode.lookups += 1
        return bytes(out)

    def _statfs(self, request: Request) -> bytes:
        self.tree.get(request.header.nodeid)
        limits = self.tree.limits
        free = limits.pages - self.tree.used_pages
        numbers = fuse.FuseKstatfs(
            blocks=limits.pages,
            bfree=free,
            bavail=free,
            files=limits.inodes,
            ffree=limits.inodes - len(self.tree.inodes),
            bsize=PAGE,
            namelen=255,
            frsize=PAGE,
        )
        return bytes(fuse.FuseStatfsOut(st=numbers))

    # ---- replies ----

    def _attr(self, inode: Inode) -> fuse.FuseAttr:
        return fuse.FuseAttr(
            ino=inode.nodeid,
            size=inode.size,
            blocks=len(inode.pages) * (PAGE // 512),
            atime=inode.atime.seconds,
            mtime=inode.mtime.seconds,
            ctime=inode.ctime.seconds,
            atimensec=inode.atime.nanoseconds,
            mtimensec=inode.mtime.nanoseconds,
            ctimensec=inode.ctime.nanoseconds,
            mode=inode.mode,
            nlink=inode.nlink,
            uid=inode.uid,
            gid=inode.gid,
            rdev=inode.rdev,
            blksize=PAGE,
        )

    def _attr_out(self, inode: Inode) -> bytes:
        return bytes(fuse.FuseAttrOut(attr_valid=self.config.valid_seconds, attr=self._attr(inode)))

    def _entry_struct(self, inode: Inode) -> bytes:
        return bytes(
            fuse.FuseEntryOut(
                nodeid=inode.nodeid,
                generation=inode.generation,
                entry_valid=self.config.valid_seconds,
                attr_valid=self.config.valid_seconds,
                attr=self._attr(inode),
            )
        )

    def _entry(self, inode: Inode) -> bytes:
        """fuse_entry_out; the client holds one more lookup."""
        inode.lookups += 1
        return self._entry_struct(inode)


def fits(request: Request, writable: int) -> bool:
    """Whether the largest reply that this request can have fits into `writable` bytes."""
    if request.operation.kind in (ReplyKind.STRUCT, ReplyKind.SIZED):
        return writable >= request.operation.reply_limit(request.message)
    return True


def listing(directory: Inode, cookie: int) -> Iterator[tuple[bytes, Inode, int]]:
    """(name, inode, cookie behind it) of everything after `cookie`; a cookie whose name is gone still works."""
    assert directory.parent is not None
    if cookie < 1:
        yield b".", directory, 1
    if cookie < 2:
        yield b"..", directory.parent, 2
    entries: list[DirectoryEntry] = sorted(directory.entries.values(), key=lambda entry: entry.sequence)
    for entry in entries:
        if entry.sequence > cookie:
            yield entry.name, entry.inode, entry.sequence


def reply_bytes(error: int, unique: int, payload: bytes) -> bytes:
    """fuse_out_header and what follows it."""
    return bytes(fuse.FuseOutHeader(OUT_HEADER_SIZE + len(payload), error, unique)) + payload
