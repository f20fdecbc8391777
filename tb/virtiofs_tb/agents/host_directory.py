"""A directory of the host as a FuseServer: what a guest writes through the endpoint can be looked at outside.

Nodes are O_PATH file descriptors, as in virtiofsd's passthrough: a name is only ever used relative to its directory's
descriptor and without following links, so nothing outside of the directory can be reached.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Callable, Hashable
from ctypes import LittleEndianStructure, sizeof
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from virtiofs_model.layouts import fuse
from virtiofs_model.layouts.fuse_constants import FUSE_ROOT_ID, Fattr, InitFlag, Opcode
from virtiofs_model.layouts.fuse_operations import IN_HEADER_SIZE, OPERATIONS, OUT_HEADER_SIZE, Operation, ReplyKind
from virtiofs_model.ramfs.server import LateReply

S = TypeVar("S", bound=LittleEndianStructure)

MAJOR, NEWEST_MINOR = 7, 38  # 7.38 is what Linux 6.1 speaks
GRANTED = InitFlag.ASYNC_READ | InitFlag.BIG_WRITES | InitFlag.DO_READDIRPLUS | InitFlag.MAX_PAGES
MAX_WRITE, MAX_PAGES = 131072, 32
VALID_SECONDS = 1
# Of a client's open flags, those that mean something to the file that is opened here.
_OPEN_FLAGS = os.O_ACCMODE | os.O_TRUNC | os.O_SYNC | os.O_DSYNC


@dataclass
class _Node:
    """A file that the client knows. descriptor: O_PATH; key: device and inode number; lookups: as the client counts."""

    nodeid: int
    descriptor: int
    key: tuple[int, int]
    lookups: int = 0

    @property
    def path(self) -> str:
        """A name that the calls take which know no O_PATH descriptor."""
        return f"/proc/self/fd/{self.descriptor}"


@dataclass
class _Handle:
    """An open file (descriptor) or directory (its names, as they were when it was opened)."""

    descriptor: int
    node: _Node
    names: list[str] | None = None


class _Request:
    """A request taken apart; raises OSError(EINVAL) where it is not what its opcode demands."""

    def __init__(self, message: bytes, operation: Operation) -> None:
        self.header = fuse.FuseInHeader.from_buffer_copy(message)
        self._message = message
        # Before 7.36 the structure of INIT ended at its flags.
        at = IN_HEADER_SIZE + 16 if operation.opcode is Opcode.INIT else operation.request_size
        if self.header.len != len(message) or len(message) < at:
            raise OSError(errno.EINVAL, operation.opcode.name)
        *raw, self.data = [message[at:]] if not operation.names else message[at:].split(b"\0", operation.names)
        if len(raw) != operation.names:
            raise OSError(errno.EINVAL, operation.opcode.name)
        self._names = raw

    def body(self, struct: type[S]) -> S:
        raw = self._message[IN_HEADER_SIZE : IN_HEADER_SIZE + sizeof(struct)]
        return struct.from_buffer_copy(raw.ljust(sizeof(struct), b"\0"))

    def target(self, index: int) -> bytes:
        """A string that is no name."""
        return self._names[index]

    def name(self, index: int = 0) -> str:
        """A name of a directory's entry; `.` and `..` are none that a client asks for."""
        name = self._names[index]
        if not name or b"/" in name or name in (b".", b".."):
            raise OSError(errno.EINVAL, "name")
        return os.fsdecode(name)


class HostDirectoryServer:
    """Serves `root`. `close` gives all file descriptors back."""

    def __init__(self, root: Path) -> None:
        descriptor = os.open(root, os.O_PATH | os.O_DIRECTORY)
        self._root = _Node(FUSE_ROOT_ID, descriptor, _key(os.stat(descriptor)), 1)
        self._nodes = {FUSE_ROOT_ID: self._root}
        self._by_key = {self._root.key: self._root}
        self._handles: dict[int, _Handle] = {}
        self._next_nodeid, self._next_fh = FUSE_ROOT_ID + 1, 1
        self._serve: dict[int, Callable[[_Request], bytes | None]] = {
            Opcode.INIT: self._init,
            Opcode.DESTROY: self._destroy,
            Opcode.LOOKUP: lambda request: self._entry(self._node(request), request.name()),
            Opcode.FORGET: self._forget,
            Opcode.BATCH_FORGET: self._batch_forget,
            Opcode.GETATTR: lambda request: self._attr_out(self._node(request)),
            Opcode.SETATTR: self._setattr,
            Opcode.READLINK: lambda request: os.fsencode(os.readlink("", dir_fd=self._node(request).descriptor)),
            Opcode.SYMLINK: self._symlink,
            Opcode.MKNOD: self._mknod,
            Opcode.MKDIR: self._mkdir,
            Opcode.UNLINK: lambda request: self._remove(request, directory=False),
            Opcode.RMDIR: lambda request: self._remove(request, directory=True),
            Opcode.RENAME: lambda request: self._rename(request, request.body(fuse.FuseRenameIn).newdir, 0),
            Opcode.RENAME2: self._rename2,
            Opcode.LINK: self._link,
            Opcode.OPEN: self._open,
            Opcode.CREATE: self._create,
            Opcode.READ: self._read,
            Opcode.WRITE: self._write,
            Opcode.STATFS: self._statfs,
            Opcode.RELEASE: self._release,
            Opcode.RELEASEDIR: self._release,
            Opcode.FLUSH: lambda request: b"",
            Opcode.FSYNC: self._fsync,
            Opcode.FSYNCDIR: lambda request: b"",
            Opcode.OPENDIR: self._opendir,
            Opcode.READDIR: lambda request: self._readdir(request, plus=False),
            Opcode.READDIRPLUS: lambda request: self._readdir(request, plus=True),
        }

    # ---- FuseServer ----

    def handle(
        self, message: bytes, writable: int | None = None, length: int | None = None, token: Hashable = None
    ) -> bytes | None:
        if len(message) < IN_HEADER_SIZE:
            return None
        header = fuse.FuseInHeader.from_buffer_copy(message)
        operation = OPERATIONS.get(header.opcode)
        silent = operation is not None and operation.kind is ReplyKind.NONE
        error, payload = 0, None
        try:
            serve = self._serve.get(header.opcode)
            if operation is None or serve is None:
                raise OSError(errno.ENOSYS, "opcode")
            request = _Request(message, operation)
            if writable is not None and not silent and writable < _largest(operation, message):
                return None
            payload = serve(request)
        except OSError as problem:
            error, payload = -(problem.errno or errno.EIO), b""
        if silent or payload is None:
            return None
        return bytes(fuse.FuseOutHeader(OUT_HEADER_SIZE + len(payload), error, header.unique)) + payload

    def late_replies(self) -> list[LateReply]:
        return []  # nothing waits: locks are not served

    def forget(self, gone: Callable[[Hashable], bool]) -> None:
        """Nobody waits, so nobody is forgotten."""

    def reset(self) -> None:
        """Nothing of a session stays but the directory's contents."""
        for handle in self._handles.values():
            os.close(handle.descriptor)
        self._handles.clear()
        for node in [node for node in self._nodes.values() if node is not self._root]:
            self._drop(node)

    def close(self) -> None:
        self.reset()
        os.close(self._root.descriptor)

    # ---- session ----

    def _init(self, request: _Request) -> bytes:
        want = request.body(fuse.FuseInitIn)
        if want.major < MAJOR:
            raise OSError(errno.EPROTO, "major")
        out = fuse.FuseInitOut(major=MAJOR, minor=min(want.minor, NEWEST_MINOR) if want.major == MAJOR else 0)
        if want.major > MAJOR:
            return bytes(out)  # the client comes again with a version that it shares with us
        self.reset()
        out.max_readahead = want.max_readahead
        out.flags = want.flags & GRANTED
        out.max_background, out.congestion_threshold = 12, 9
        out.max_write, out.time_gran = MAX_WRITE, 1
        out.max_pages = MAX_PAGES if out.flags & InitFlag.MAX_PAGES else 0
        return bytes(out)

    def _destroy(self, request: _Request) -> bytes:
        self.reset()
        return b""

    # ---- nodes ----

    def _node(self, request: _Request) -> _Node:
        return self._by_id(request.header.nodeid)

    def _by_id(self, nodeid: int) -> _Node:
        node = self._nodes.get(nodeid)
        if node is None:
            raise OSError(errno.ENOENT, "node")
        return node

    def _entry(self, directory: _Node, name: str) -> bytes:
        """fuse_entry_out of a name; the client holds one more lookup."""
        descriptor = os.open(name, os.O_PATH | os.O_NOFOLLOW, dir_fd=directory.descriptor)
        key = _key(os.stat(descriptor))
        node = self._by_key.get(key)
        if node is not None:
            os.close(descriptor)
        else:
            node = _Node(self._next_nodeid, descriptor, key)
            self._next_nodeid += 1
            self._nodes[node.nodeid] = self._by_key[key] = node
        node.lookups += 1
        return bytes(
            fuse.FuseEntryOut(
                nodeid=node.nodeid, entry_valid=VALID_SECONDS, attr_valid=VALID_SECONDS, attr=_attr(node.descriptor)
            )
        )

    def _forget(self, request: _Request) -> None:
        self._forget_one(request.header.nodeid, request.body(fuse.FuseForgetIn).nlookup)

    def _batch_forget(self, request: _Request) -> None:
        size = sizeof(fuse.FuseForgetOne)
        for index in range(min(request.body(fuse.FuseBatchForgetIn).count, len(request.data) // size)):
            one = fuse.FuseForgetOne.from_buffer_copy(request.data, index * size)
            self._forget_one(one.nodeid, one.nlookup)

    def _forget_one(self, nodeid: int, count: int) -> None:
        node = self._nodes.get(nodeid)
        if node is None or node is self._root:
            return
        node.lookups -= count
        if node.lookups <= 0:
            self._drop(node)

    def _drop(self, node: _Node) -> None:
        del self._nodes[node.nodeid], self._by_key[node.key]
        os.close(node.descriptor)

    def _attr_out(self, node: _Node) -> bytes:
        return bytes(fuse.FuseAttrOut(attr_valid=VALID_SECONDS, attr=_attr(node.descriptor)))

    def _setattr(self, request: _Request) -> bytes:
        node = self._node(request)
        want = request.body(fuse.FuseSetattrIn)
        valid = Fattr(want.valid)
        link = stat.S_ISLNK(os.stat(node.descriptor).st_mode)
        if link and valid & (Fattr.MODE | Fattr.SIZE):
            raise OSError(errno.EOPNOTSUPP, "symbolic link")
        if valid & Fattr.MODE:
            os.chmod(node.path, stat.S_IMODE(want.mode))
        if valid & (Fattr.UID | Fattr.GID):
            uid, gid = want.uid if valid & Fattr.UID else -1, want.gid if valid & Fattr.GID else -1
            os.chown(node.path, uid, gid)
        if valid & Fattr.SIZE:
            os.truncate(node.path, want.size)
        if not link:
            _set_times(node, want, valid)
        return self._attr_out(node)

    # ---- names ----

    def _symlink(self, request: _Request) -> bytes:
        directory, name = self._node(request), request.name()
        os.symlink(request.target(1), os.fsencode(name), dir_fd=directory.descriptor)
        return self._entry(directory, name)

    def _mknod(self, request: _Request) -> bytes:
        directory, name, mode = self._node(request), request.name(), request.body(fuse.FuseMknodIn).mode
        if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
            raise OSError(errno.EPERM, "device nodes are not for a guest to make")
        os.mknod(name, mode, dir_fd=directory.descriptor)
        os.chmod(name, stat.S_IMODE(mode), dir_fd=directory.descriptor)
        return self._entry(directory, name)

    def _mkdir(self, request: _Request) -> bytes:
        directory, name = self._node(request), request.name()
        os.mkdir(name, dir_fd=directory.descriptor)
        os.chmod(name, stat.S_IMODE(request.body(fuse.FuseMkdirIn).mode), dir_fd=directory.descriptor)
        return self._entry(directory, name)

    def _remove(self, request: _Request, directory: bool) -> bytes:
        remove = os.rmdir if directory else os.unlink
        remove(request.name(), dir_fd=self._node(request).descriptor)
        return b""

    def _rename2(self, request: _Request) -> bytes:
        want = request.body(fuse.FuseRename2In)
        return self._rename(request, want.newdir, want.flags)

    def _rename(self, request: _Request, newdir: int, flags: int) -> bytes:
        if flags:
            raise OSError(errno.EINVAL, "flags of renameat2")
        old, new = self._node(request).descriptor, self._by_id(newdir).descriptor
        os.rename(request.name(0), request.name(1), src_dir_fd=old, dst_dir_fd=new)
        return b""

    def _link(self, request: _Request) -> bytes:
        node, directory = self._by_id(request.body(fuse.FuseLinkIn).oldnodeid), self._node(request)
        os.link(node.path, request.name(), dst_dir_fd=directory.descriptor, follow_symlinks=True)
        return self._entry(directory, request.name())

    # ---- open files ----

    def _opened(self, descriptor: int, node: _Node, names: list[str] | None = None) -> bytes:
        fh = self._next_fh
        self._next_fh += 1
        self._handles[fh] = _Handle(descriptor, node, names)
        return bytes(fuse.FuseOpenOut(fh=fh))

    def _handle(self, fh: int) -> _Handle:
        handle = self._handles.get(fh)
        if handle is None:
            raise OSError(errno.EBADF, "fh")
        return handle

    def _open(self, request: _Request) -> bytes:
        node = self._node(request)
        if not stat.S_ISREG(os.stat(node.descriptor).st_mode):
            raise OSError(errno.EISDIR, "not a regular file")
        flags = request.body(fuse.FuseOpenIn).flags
        return self._opened(os.open(node.path, flags & _OPEN_FLAGS | os.O_CLOEXEC), node)

    def _create(self, request: _Request) -> bytes:
        directory, name, want = self._node(request), request.name(), request.body(fuse.FuseCreateIn)
        flags = want.flags & (_OPEN_FLAGS | os.O_EXCL) | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(name, flags, stat.S_IMODE(want.mode), dir_fd=directory.descriptor)
        os.fchmod(descriptor, stat.S_IMODE(want.mode))
        entry = self._entry(directory, name)
        return entry + self._opened(descriptor, self._by_key[_key(os.stat(descriptor))])

    def _read(self, request: _Request) -> bytes:
        want = request.body(fuse.FuseReadIn)
        return os.pread(self._handle(want.fh).descriptor, want.size, want.offset)

    def _write(self, request: _Request) -> bytes:
        want = request.body(fuse.FuseWriteIn)
        if len(request.data) != want.size or want.size > MAX_WRITE:
            raise OSError(errno.EINVAL, "size")
        return bytes(fuse.FuseWriteOut(size=os.pwrite(self._handle(want.fh).descriptor, request.data, want.offset)))

    def _fsync(self, request: _Request) -> bytes:
        os.fsync(self._handle(request.body(fuse.FuseFsyncIn).fh).descriptor)
        return b""

    def _release(self, request: _Request) -> bytes:
        fh = request.body(fuse.FuseReleaseIn).fh
        os.close(self._handle(fh).descriptor)
        del self._handles[fh]
        return b""

    # ---- directories, the whole ----

    def _opendir(self, request: _Request) -> bytes:
        node = self._node(request)
        descriptor = os.open(node.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        return self._opened(descriptor, node, [".", "..", *sorted(os.listdir(descriptor))])

    def _readdir(self, request: _Request, plus: bool) -> bytes:
        want = request.body(fuse.FuseReadIn)
        handle = self._handle(want.fh)
        if handle.names is None:
            raise OSError(errno.ENOTDIR, "fh")
        out = bytearray()
        for cookie, name in enumerate(handle.names[want.offset :], want.offset + 1):
            raw = os.fsencode(name)
            size = (sizeof(fuse.FuseEntryOut) if plus else 0) + sizeof(fuse.FuseDirent) + len(raw)
            if len(out) + (size + 7 & ~7) > want.size:
                break
            try:
                numbers = os.stat(name, dir_fd=handle.descriptor, follow_symlinks=False)
                # "." and ".." give no entry and take no lookup: nodeid 0 tells the client so.
                no_entry = bytes(sizeof(fuse.FuseEntryOut))
                entry = (self._entry(handle.node, name) if name not in (".", "..") else no_entry) if plus else b""
            except FileNotFoundError:
                continue  # removed since the directory was opened
            record = entry + bytes(fuse.FuseDirent(numbers.st_ino, cookie, len(raw), numbers.st_mode >> 12)) + raw
            out += record.ljust(size + 7 & ~7, b"\0")
        return bytes(out)

    def _statfs(self, request: _Request) -> bytes:
        numbers = os.statvfs(self._root.path)
        return bytes(
            fuse.FuseStatfsOut(
                st=fuse.FuseKstatfs(
                    blocks=numbers.f_blocks,
                    bfree=numbers.f_bfree,
                    bavail=numbers.f_bavail,
                    files=numbers.f_files,
                    ffree=numbers.f_ffree,
                    bsize=numbers.f_bsize,
                    namelen=numbers.f_namemax,
                    frsize=numbers.f_frsize,
                )
            )
        )


def _largest(operation: Operation, message: bytes) -> int:
    """Bytes that the longest reply to this request may have."""
    if operation.kind in (ReplyKind.STRUCT, ReplyKind.SIZED):
        return operation.reply_limit(message)
    return OUT_HEADER_SIZE


def _set_times(node: _Node, want: fuse.FuseSetattrIn, valid: Fattr) -> None:
    """The access and modification times that a SETATTR names; with a `_NOW` bit, which comes beside the other."""
    if not valid & (Fattr.ATIME | Fattr.MTIME | Fattr.ATIME_NOW | Fattr.MTIME_NOW):
        return
    numbers, now = os.stat(node.descriptor), time.time_ns()
    atime, mtime = numbers.st_atime_ns, numbers.st_mtime_ns
    if valid & (Fattr.ATIME | Fattr.ATIME_NOW):
        atime = now if valid & Fattr.ATIME_NOW else want.atime * 10**9 + want.atimensec
    if valid & (Fattr.MTIME | Fattr.MTIME_NOW):
        mtime = now if valid & Fattr.MTIME_NOW else want.mtime * 10**9 + want.mtimensec
    os.utime(node.path, ns=(atime, mtime))


def _key(numbers: os.stat_result) -> tuple[int, int]:
    return numbers.st_dev, numbers.st_ino


def _attr(descriptor: int) -> fuse.FuseAttr:
    numbers = os.stat(descriptor)
    return fuse.FuseAttr(
        ino=numbers.st_ino,
        size=numbers.st_size,
        blocks=numbers.st_blocks,
        atime=numbers.st_atime_ns // 10**9,
        mtime=numbers.st_mtime_ns // 10**9,
        ctime=numbers.st_ctime_ns // 10**9,
        atimensec=numbers.st_atime_ns % 10**9,
        mtimensec=numbers.st_mtime_ns % 10**9,
        ctimensec=numbers.st_ctime_ns % 10**9,
        mode=numbers.st_mode,
        nlink=numbers.st_nlink,
        uid=numbers.st_uid,
        gid=numbers.st_gid,
        rdev=0,
        blksize=numbers.st_blksize,
    )
