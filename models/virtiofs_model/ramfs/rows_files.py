"""Rows of the opcodes that are about one inode: its attributes, its opens, its contents."""

from __future__ import annotations

import errno

from virtiofs_model.layouts import fuse
from virtiofs_model.layouts.fuse_constants import FUSE_POLL_SCHEDULE_NOTIFY, Fattr
from virtiofs_model.ramfs import files
from virtiofs_model.ramfs.inode import PERMISSIONS, FsError, Inode, Time
from virtiofs_model.ramfs.message import Request
from virtiofs_model.ramfs.notices import POLL_BYTES
from virtiofs_model.ramfs.state import State

POLL_ALWAYS = 0x0145
"""POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM: a file is always ready."""

O_ACCMODE = 0o3  # Linux's open flags travel as they are
O_TRUNC = 0o1000


class DataLost(FsError):
    """EIO: the data of a WRITE could not be read. What was done before, the reservation of pages, stays."""

    def __init__(self) -> None:
        super().__init__(errno.EIO)


def getattr_(state: State, request: Request) -> bytes:
    """GETATTR."""
    return state.attr_out(state.node(request))


def setattr_(state: State, request: Request) -> bytes:
    """SETATTR."""
    inode = state.node(request)
    want = request.body(fuse.FuseSetattrIn)
    valid = Fattr(want.valid)
    if valid & Fattr.FH:
        state.opened(request, want.fh)
    if valid & Fattr.SIZE:
        state.tree.truncate(inode, want.size)
    now = state.tree.now
    state.tree.journal.save(inode)
    if valid & Fattr.MODE:
        inode.mode = inode.mode & ~PERMISSIONS | want.mode & PERMISSIONS
    if valid & Fattr.UID:
        inode.uid = want.uid
    if valid & Fattr.GID:
        inode.gid = want.gid
    if valid & (Fattr.ATIME | Fattr.ATIME_NOW):
        inode.atime = now if valid & Fattr.ATIME_NOW else Time(want.atime, want.atimensec)
    if valid & (Fattr.MTIME | Fattr.MTIME_NOW):
        inode.mtime = now if valid & Fattr.MTIME_NOW else Time(want.mtime, want.mtimensec)
    inode.ctime = Time(want.ctime, want.ctimensec) if valid & Fattr.CTIME else now
    return state.attr_out(inode)


def access(state: State, request: Request) -> bytes:
    """ACCESS: yes. Linux checks permissions itself, since virtiofs is mounted with default_permissions."""
    state.node(request)
    return b""


def open_file(state: State, inode: Inode, flags: int) -> None:
    """What opening does to a file: EISDIR, ELOOP, truncation."""
    if inode.is_directory:
        raise FsError(errno.EISDIR)
    if inode.is_link:
        raise FsError(errno.ELOOP)
    if flags & O_TRUNC and flags & O_ACCMODE and inode.is_regular:
        state.tree.truncate(inode, 0)


def open_(state: State, request: Request) -> bytes:
    """OPEN."""
    inode = state.node(request)
    open_file(state, inode, request.body(fuse.FuseOpenIn).flags)
    return state.open_out(inode)


def release(state: State, request: Request) -> bytes:
    """RELEASE and RELEASEDIR."""
    state.tree.closed(state.opened(request, request.body(fuse.FuseReleaseIn).fh))
    return b""


def sync(state: State, request: Request) -> bytes:
    """FLUSH, FSYNC and FSYNCDIR, whose structures all begin with fh."""
    state.opened(request, request.body(fuse.FuseFsyncIn).fh)
    return b""


def poll(state: State, request: Request) -> bytes:
    """POLL: ENOMEM where the driver asks to be told of changes and there is no place for that."""
    want = request.body(fuse.FusePollIn)
    inode = state.opened(request, want.fh)
    if want.flags & FUSE_POLL_SCHEDULE_NOTIFY and state.notices.enabled:
        polls = state.polls
        if not polls.knows(want.kh) and (polls.full or not state.notices.room(POLL_BYTES)):
            raise FsError(errno.ENOMEM)
        state.tree.journal.save(polls)
        polls.put(want.kh, inode.nodeid)
    return bytes(fuse.FusePollOut(revents=want.events & POLL_ALWAYS))


def read(state: State, request: Request) -> bytes:
    """READ."""
    want = request.body(fuse.FuseReadIn)
    inode = state.opened(request, want.fh)
    files.need_file(inode)
    return files.read(inode, want.offset, min(want.size, state.config.max_write))


def write(state: State, request: Request) -> bytes:
    """WRITE."""
    want = request.body(fuse.FuseWriteIn)
    inode = state.opened(request, want.fh)
    files.need_file(inode)
    if want.size != request.data_size or want.size > state.config.max_write:
        raise FsError(errno.EINVAL)
    files.write(state.tree.store, inode, want.offset, request.data, want.size)
    if request.data is None:
        raise DataLost
    return bytes(fuse.FuseWriteOut(size=want.size))


def fallocate(state: State, request: Request) -> bytes:
    """FALLOCATE."""
    want = request.body(fuse.FuseFallocateIn)
    inode = state.opened(request, want.fh)
    files.need_file(inode)
    files.allocate(state.tree.store, inode, want.offset, want.length, want.mode)
    return b""
