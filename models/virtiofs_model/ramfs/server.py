"""FUSE for the golden file system: one request's bytes in, one reply's bytes out.

The rules are those of docs/file-system.md: first what holds for every request, in the order of that page, then the row
of the opcode. An opcode that is not served is ENOSYS, which Linux remembers and does without.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Callable, Hashable

from virtiofs_model.layouts import fuse
from virtiofs_model.layouts.fuse_constants import FUSE_INIT_BSWAP_RESERVED, Opcode
from virtiofs_model.layouts.fuse_operations import IN_HEADER_SIZE, OPERATIONS, OUT_HEADER_SIZE, ReplyKind
from virtiofs_model.ramfs import rows_directories, rows_extended, rows_files, rows_locks, rows_names, rows_session
from virtiofs_model.ramfs.inode import FsError
from virtiofs_model.ramfs.message import Request
from virtiofs_model.ramfs.notices import WAITS_BY_MESSAGE, Notice, lock_message
from virtiofs_model.ramfs.state import Config, NoRoom, Row, State, Waits
from virtiofs_model.ramfs.tree import Tree

ROWS: dict[Opcode, Row] = {
    Opcode.LOOKUP: rows_names.lookup,
    Opcode.FORGET: rows_names.forget,
    Opcode.BATCH_FORGET: rows_names.batch_forget,
    Opcode.GETATTR: rows_files.getattr_,
    Opcode.SETATTR: rows_files.setattr_,
    Opcode.READLINK: rows_names.readlink,
    Opcode.SYMLINK: rows_names.symlink,
    Opcode.MKNOD: rows_names.mknod,
    Opcode.MKDIR: rows_names.mkdir,
    Opcode.UNLINK: rows_names.unlink,
    Opcode.RMDIR: rows_names.rmdir,
    Opcode.RENAME: rows_names.rename,
    Opcode.RENAME2: rows_names.rename,
    Opcode.LINK: rows_names.link,
    Opcode.OPEN: rows_files.open_,
    Opcode.OPENDIR: rows_directories.opendir,
    Opcode.READ: rows_files.read,
    Opcode.WRITE: rows_files.write,
    Opcode.STATFS: rows_session.statfs,
    Opcode.RELEASE: rows_locks.release,
    Opcode.RELEASEDIR: rows_locks.release,
    Opcode.FSYNC: rows_files.sync,
    Opcode.FSYNCDIR: rows_files.sync,
    Opcode.FLUSH: rows_locks.flush,
    Opcode.INIT: rows_session.init,
    Opcode.DESTROY: rows_session.destroy,
    Opcode.READDIR: rows_directories.readdir,
    Opcode.READDIRPLUS: rows_directories.readdir,
    Opcode.ACCESS: rows_files.access,
    Opcode.CREATE: rows_names.create,
    Opcode.TMPFILE: rows_names.tmpfile,
    Opcode.FALLOCATE: rows_files.fallocate,
    Opcode.INTERRUPT: rows_session.interrupt,
    Opcode.NOTIFY_REPLY: rows_session.notify_reply,
    Opcode.SETXATTR: rows_extended.setxattr,
    Opcode.GETXATTR: rows_extended.getxattr,
    Opcode.LISTXATTR: rows_extended.listxattr,
    Opcode.REMOVEXATTR: rows_extended.removexattr,
    Opcode.LSEEK: rows_extended.lseek,
    Opcode.COPY_FILE_RANGE: rows_extended.copy_file_range,
    Opcode.COPY_FILE_RANGE_64: rows_extended.copy_file_range,
    Opcode.POLL: rows_files.poll,
    Opcode.GETLK: rows_locks.getlk,
    Opcode.SETLK: rows_locks.setlk,
    Opcode.SETLKW: rows_locks.setlkw,
}
"""Every row that there is; a Config says which of them are served."""

NOT_YET = b""
"""Stands for a reply that comes later."""

LateReply = tuple[Hashable, bytes]
"""What handle() was given to know the request by, and its reply."""


class RamfsServer(State):
    """A FuseServer on a Tree. handle() never raises for anything a client can send.

    A request that waits for a lock is answered by late_replies(), behind the handle() that ends its wait, or told by
    take_notices().
    undo: keep what is needed to take requests back (`tree.journal`); the caller then has to forget it in time.
    """

    def __init__(self, tree: Tree | None = None, config: Config | None = None, undo: bool = False) -> None:
        super().__init__(tree, config)
        self.undo = undo
        self.rows = {opcode: row for opcode, row in ROWS.items() if opcode in self.config.served}

    def handle(
        self, message: bytes, writable: int | None = None, length: int | None = None, token: Hashable = None
    ) -> bytes | None:
        """The reply's bytes, None where none is due, or NOT_YET.

        writable: bytes the client has room for. A reply that cannot fit is decided before anything happens: None, and
        no side effect (a real device answers with used length 0). length: of the whole message, where only its first
        1024 bytes or more are at hand, since the others could not be read. token: what late_replies() shall call the
        request by.
        """
        reply = self._handle(message, len(message) if length is None else length, writable, token)
        self._tell_woken()
        if not self.undo:
            self.tree.journal.forget()
        return reply

    def late_replies(self) -> list[LateReply]:
        """Replies to requests whose wait has ended since this was asked, in that order. They follow the reply to the
        request that ended them, unless that was INIT or DESTROY."""
        woken = [one for one in self.locks.woken if not one.by_message]
        if not woken:
            return []
        self.tree.journal.save(self.locks)
        self.locks.woken = tuple(one for one in self.locks.woken if one.by_message)
        if not self.undo:
            self.tree.journal.forget()
        return [(one.token, reply_bytes(-one.error, one.unique, b"")) for one in woken]

    def take_notices(self) -> list[Notice]:
        """LOCK and POLL messages to be stored now, in order. Their places were kept until this is asked."""
        said = self.notices.said
        if said:
            self.tree.journal.save(self.notices)
            self.notices.said = ()
            if not self.undo:
                self.tree.journal.forget()
        return list(said)

    def _tell_woken(self) -> None:
        """Waits that ended while a message is to say so: it takes the place that was kept."""
        told = [one for one in self.locks.woken if one.by_message]
        if told:
            self.tree.journal.save(self.locks)
            self.locks.woken = tuple(one for one in self.locks.woken if not one.by_message)
            self.say(*(Notice(lock_message(one), one.token) for one in told))

    def reset(self) -> None:
        """Device reset: the session ends, contents stay. What waits is never answered."""
        self.begin_session(None, answer=False)
        if not self.undo:
            self.tree.journal.forget()

    def forget(self, gone: Callable[[Hashable], bool]) -> None:
        """Queue reset: those that wait, and that `gone` says of by their token, are never answered."""
        self.tree.journal.save(self.locks)
        self.locks.forget(gone)
        self._tell_woken()
        if not self.undo:
            self.tree.journal.forget()

    def _handle(self, message: bytes, length: int, writable: int | None, token: Hashable) -> bytes | None:
        if len(message) < IN_HEADER_SIZE:
            return None
        header = fuse.FuseInHeader.from_buffer_copy(message)
        operation = OPERATIONS.get(header.opcode)
        silent = operation is not None and operation.kind is ReplyKind.NONE
        if writable is not None and not silent and writable < OUT_HEADER_SIZE:
            return None
        if header.opcode == FUSE_INIT_BSWAP_RESERVED:
            return struct.pack(">Ii", OUT_HEADER_SIZE, -errno.EPROTO) + message[8:16]
        mark = self.tree.journal.mark()
        try:
            if header.len != length:
                raise FsError(errno.EINVAL)
            if self.minor is None and header.opcode != Opcode.INIT:
                raise FsError(errno.EIO)
            row = self.rows.get(Opcode(header.opcode)) if operation is not None else None
            if operation is None or row is None:
                raise FsError(errno.ENOSYS)
            request = Request(message, length, operation, writable, token)
            if not request.has_room():
                raise NoRoom
            payload = row(self, request)
        except FsError as error:
            if not isinstance(error, rows_files.DataLost):
                self.tree.journal.rollback(mark)
            return None if silent else reply_bytes(-error.errno, header.unique, b"")
        except NoRoom:
            self.tree.journal.rollback(mark)
            return None
        except Waits as waits:
            return reply_bytes(WAITS_BY_MESSAGE, header.unique, b"") if waits.by_message else NOT_YET
        return None if payload is None else reply_bytes(0, header.unique, payload)


def reply_bytes(error: int, unique: int, payload: bytes) -> bytes:
    """fuse_out_header and what follows it."""
    return bytes(fuse.FuseOutHeader(OUT_HEADER_SIZE + len(payload), error, unique)) + payload
