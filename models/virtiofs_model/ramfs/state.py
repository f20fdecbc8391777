"""What the rows of opcodes work on: the tree, the session, and the structures that replies are made of."""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import dataclass

from virtiofs_model.layouts import fuse
from virtiofs_model.layouts.fuse_constants import Fopen, InitFlag, Opcode
from virtiofs_model.ramfs.inode import PAGE, FsError, Inode, Time
from virtiofs_model.ramfs.locks import LockTable
from virtiofs_model.ramfs.message import Request
from virtiofs_model.ramfs.notices import LOCK_BYTES, POLL_BYTES, Notice, Notices
from virtiofs_model.ramfs.polls import PollTable
from virtiofs_model.ramfs.tree import Tree

MAJOR = 7
OLDEST_MINOR = 31
NEWEST_MINOR = 45

GRANTED = (
    InitFlag.ASYNC_READ
    | InitFlag.ATOMIC_O_TRUNC
    | InitFlag.BIG_WRITES
    | InitFlag.DO_READDIRPLUS
    | InitFlag.READDIRPLUS_AUTO
    | InitFlag.PARALLEL_DIROPS
    | InitFlag.MAX_PAGES
    | InitFlag.POSIX_LOCKS
    | InitFlag.FLOCK_LOCKS
)

SERVED = frozenset(
    (
        Opcode.LOOKUP, Opcode.FORGET, Opcode.GETATTR, Opcode.SETATTR, Opcode.READLINK, Opcode.SYMLINK, Opcode.MKNOD,
        Opcode.MKDIR, Opcode.UNLINK, Opcode.RMDIR, Opcode.RENAME, Opcode.LINK, Opcode.OPEN, Opcode.READ, Opcode.WRITE,
        Opcode.STATFS, Opcode.RELEASE, Opcode.FSYNC, Opcode.FLUSH, Opcode.INIT, Opcode.OPENDIR, Opcode.READDIR,
        Opcode.RELEASEDIR, Opcode.FSYNCDIR, Opcode.ACCESS, Opcode.CREATE, Opcode.INTERRUPT, Opcode.DESTROY,
        Opcode.NOTIFY_REPLY, Opcode.BATCH_FORGET, Opcode.FALLOCATE, Opcode.READDIRPLUS, Opcode.RENAME2, Opcode.TMPFILE,
        Opcode.GETLK, Opcode.SETLK, Opcode.SETLKW, Opcode.POLL,
    )
)  # fmt: skip
"""The opcodes of the table in docs/file-system.md."""

EXTENDED = SERVED | {
    Opcode.SETXATTR, Opcode.GETXATTR, Opcode.LISTXATTR, Opcode.REMOVEXATTR, Opcode.LSEEK, Opcode.COPY_FILE_RANGE,
    Opcode.COPY_FILE_RANGE_64,
}  # fmt: skip
"""What the golden file system can serve beyond that, behind firmware."""


class NoRoom(Exception):
    """The reply does not fit into what the client has room for: the request is not answered and has no effect."""


class Waits(Exception):
    """The request waits for a lock: its answer comes when the wait ends. by_message: it comes at once, and says so."""

    def __init__(self, by_message: bool) -> None:
        super().__init__(by_message)
        self.by_message = by_message


@dataclass(frozen=True)
class Config:
    """What INIT grants and which opcodes are served. max_write: bytes of one READ or WRITE; valid_seconds: how long
    the client may cache names and attributes; listing_bytes: of the records of one listing reply, at most; keep_cache:
    contents stay cached when a file is opened; negative_entries: that a name is missing may be cached, too;
    lock_messages: where the driver negotiated the feature, the end of a wait for a lock is told by a message."""

    max_write: int = 1 << 20
    max_pages: int = 256
    max_background: int = 64
    congestion_threshold: int = 48
    granted: InitFlag = GRANTED
    minor: int = NEWEST_MINOR
    valid_seconds: int = 1
    listing_bytes: int = PAGE - 16
    keep_cache: bool = False
    negative_entries: bool = False
    lock_messages: bool = False
    served: frozenset[Opcode] = SERVED

    @staticmethod
    def extended() -> Config:
        """Everything that there is a row for."""
        return Config(served=EXTENDED)


@dataclass
class Session:
    """minor: the protocol's version of the session; None before INIT and after DESTROY. number: of those that ended."""

    minor: int | None = None
    number: int = 0


class State:
    """A file system, its session, its locks, and who polls it. on_notify_reply: told of a NOTIFY_REPLY, of which at
    least the first bytes are at hand."""

    def __init__(self, tree: Tree | None = None, config: Config | None = None) -> None:
        self.tree = tree or Tree()
        self.config = config or Config()
        self.session = Session()
        self.locks = LockTable()
        self.polls = PollTable()
        self.notices = Notices()
        self.on_notify_reply: Callable[[bytes], None] = lambda message: None

    @property
    def minor(self) -> int | None:
        """Of the session; None where there is none."""
        return self.session.minor

    def set_time(self, seconds: int, nanoseconds: int) -> None:
        """Move the clock; file times come from here."""
        self.tree.set_time(Time(seconds, nanoseconds))

    def begin_session(self, minor: int | None, *, answer: bool) -> None:
        """End the session; None: and begin none. answer: what waits for a lock is answered."""
        self.tree.end_session()
        self.tree.journal.save(self.session)
        self.tree.journal.save(self.locks)
        self.tree.journal.save(self.polls)
        self.locks.end_session(answer=answer)
        self.polls.clear()
        self.session.minor = minor
        self.session.number += 1

    @property
    def kept_bytes(self) -> int:
        """Bytes of the message store that are kept for what is not said yet, or said and not stored."""
        waits = sum(wait.by_message for wait in self.locks.waits)
        said = sum(len(notice.message) for notice in self.notices.said)
        return LOCK_BYTES * waits + POLL_BYTES * len(self.polls.polls) + said

    def say(self, *notices: Notice) -> None:
        """These are to be stored now; their places were kept."""
        if notices:
            self.tree.journal.save(self.notices)
            self.notices.said = (*self.notices.said, *notices)

    # ---- what a request names ----

    def node(self, request: Request) -> Inode:
        """The inode of its nodeid: ESTALE."""
        return self.tree.get(request.header.nodeid)

    def parent(self, request: Request) -> Inode:
        """The directory of its nodeid: ESTALE, ENOTDIR."""
        return self.tree.directory(request.header.nodeid)

    def opened(self, request: Request, fh: int) -> Inode:
        """The open inode that nodeid and fh both name: ESTALE, EBADF."""
        inode = self.node(request)
        if fh != inode.nodeid or not inode.opens:
            raise FsError(errno.EBADF)
        return inode

    # ---- what a reply is made of ----

    def attributes(self, inode: Inode) -> fuse.FuseAttr:
        """As they are now."""
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

    def attr_out(self, inode: Inode) -> bytes:
        """fuse_attr_out."""
        return bytes(fuse.FuseAttrOut(attr_valid=self.config.valid_seconds, attr=self.attributes(inode)))

    def entry_out(self, inode: Inode) -> bytes:
        """fuse_entry_out; the client holds one more lookup."""
        self.tree.looked_up(inode)
        return self.entry_bytes(inode)

    def entry_bytes(self, inode: Inode) -> bytes:
        """fuse_entry_out."""
        return bytes(
            fuse.FuseEntryOut(
                nodeid=inode.nodeid,
                generation=inode.generation,
                entry_valid=self.config.valid_seconds,
                attr_valid=self.config.valid_seconds,
                attr=self.attributes(inode),
            )
        )

    def no_entry(self) -> bytes:
        """fuse_entry_out of a name that is missing: nodeid 0, so the client may remember that."""
        return bytes(fuse.FuseEntryOut(entry_valid=self.config.valid_seconds))

    def open_out(self, inode: Inode) -> bytes:
        """fuse_open_out; the client holds one more open."""
        self.tree.opened(inode)
        return self.open_bytes(inode)

    def open_bytes(self, inode: Inode) -> bytes:
        """fuse_open_out."""
        keep = self.config.keep_cache and inode.is_regular
        return bytes(fuse.FuseOpenOut(fh=inode.nodeid, open_flags=Fopen.KEEP_CACHE if keep else 0))


Row = Callable[[State, Request], bytes | None]
"""Serves an opcode: the reply's payload, or None where no reply is due. Raises FsError, NoRoom, Waits."""
