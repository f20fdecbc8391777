"""The DPU as a client of the golden file system, beside the driver (docs/notifications.md, "The DPU as a client")."""

from __future__ import annotations

import errno
from dataclasses import dataclass, field, replace

from virtiofs_model.layouts import fuse
from virtiofs_model.layouts.dpu import REQUEST_BYTES_MAX
from virtiofs_model.layouts.fuse_constants import Opcode
from virtiofs_model.layouts.fuse_operations import OPERATIONS
from virtiofs_model.ramfs import rows_files
from virtiofs_model.ramfs.announce import Announcement, announcements, changes_contents, look
from virtiofs_model.ramfs.inode import FsError, Inode
from virtiofs_model.ramfs.message import Request
from virtiofs_model.ramfs.notices import Notice, poll_message
from virtiofs_model.ramfs.server import ROWS as ROWS_OF_THE_DRIVER
from virtiofs_model.ramfs.server import RamfsServer, reply_bytes
from virtiofs_model.ramfs.state import NoRoom, Row, State

_AS_THE_DRIVER = (
    Opcode.LOOKUP, Opcode.GETATTR, Opcode.SETATTR, Opcode.READLINK, Opcode.SYMLINK, Opcode.MKNOD, Opcode.MKDIR,
    Opcode.UNLINK, Opcode.RMDIR, Opcode.RENAME, Opcode.RENAME2, Opcode.LINK, Opcode.OPEN, Opcode.CREATE, Opcode.READ,
    Opcode.WRITE, Opcode.STATFS, Opcode.FSYNC, Opcode.OPENDIR, Opcode.READDIR, Opcode.READDIRPLUS, Opcode.FSYNCDIR,
    Opcode.ACCESS, Opcode.FALLOCATE,
)  # fmt: skip
_NOTHING_TO_DO = (Opcode.RELEASE, Opcode.RELEASEDIR, Opcode.FLUSH)

ROWS: dict[Opcode, Row] = {
    **{opcode: ROWS_OF_THE_DRIVER[opcode] for opcode in _AS_THE_DRIVER},
    **dict.fromkeys(_NOTHING_TO_DO, rows_files.sync),
}
"""What is served: releasing does what syncing does, nothing, since the DPU holds neither opens nor locks."""


class DpuView(State):
    """The driver's file system as the DPU sees it: nothing it looks up or opens is counted, nothing must be open."""

    def __init__(self, state: State) -> None:
        vars(self).update(vars(state))  # the same tree, session and locks
        self.config = replace(state.config, negative_entries=False)

    def opened(self, request: Request, fh: int) -> Inode:
        return self.node(request)

    def entry_out(self, inode: Inode) -> bytes:
        return self.entry_bytes(inode)

    def open_out(self, inode: Inode) -> bytes:
        return self.open_bytes(inode)


@dataclass(frozen=True)
class DpuReply:
    """reply: its bytes, none where the driver would get used length 0. announced: all that the change could have made
    stale, in order."""

    reply: bytes
    announced: list[Announcement] = field(default_factory=list)

    @property
    def messages(self) -> list[bytes]:
        """What is sent: that which the session may have cached."""
        return [announcement.message for announcement in self.announced if announcement.cached]


class DpuClient:
    """Requests of the DPU to a server. Takes no time; announces only to a session that lives."""

    def __init__(self, server: RamfsServer) -> None:
        self.server = server

    def request(self, message: bytes) -> DpuReply:
        """Serve a request of 40 to REQUEST_BYTES_MAX bytes."""
        server = self.server
        header = fuse.FuseInHeader.from_buffer_copy(message)
        operation = OPERATIONS.get(header.opcode)
        row = ROWS.get(Opcode(header.opcode)) if operation is not None else None
        journal = server.tree.journal
        mark = journal.mark()
        try:
            if header.len != len(message):
                raise FsError(errno.EINVAL)
            if operation is None or row is None:
                raise FsError(errno.ENOSYS)
            request = Request(message, len(message), operation, REQUEST_BYTES_MAX)
            if not request.has_room():
                raise NoRoom
            before = look(server.tree, request)
            payload = row(DpuView(server), request)
        except FsError as error:
            journal.rollback(mark)
            return DpuReply(reply_bytes(-error.errno, header.unique, b""))
        except NoRoom:
            journal.rollback(mark)
            return DpuReply(b"")
        announced = announcements(request, before) if server.minor is not None else []
        self._wake(announced)
        if not server.undo:
            journal.forget()
        return DpuReply(reply_bytes(0, header.unique, payload or b""), announced)

    def _wake(self, announced: list[Announcement]) -> None:
        """Tell who polls an inode whose data or size changed, whether it may be cached or not."""
        polls = self.server.polls
        for one in announced:
            if polls.polls and changes_contents(one.message):
                self.server.tree.journal.save(polls)
                self.server.say(*(Notice(poll_message(kh)) for kh in polls.take(one.holder)))
