"""Rows of the opcodes that are about the session and the whole file system."""

from __future__ import annotations

import errno

from virtiofs_model.layouts import fuse
from virtiofs_model.layouts.fuse_constants import InitFlag
from virtiofs_model.ramfs.inode import NAME_MAX, PAGE, FsError
from virtiofs_model.ramfs.message import Request
from virtiofs_model.ramfs.state import MAJOR, OLDEST_MINOR, State


def init(state: State, request: Request) -> bytes:
    """INIT."""
    want = request.body(fuse.FuseInitIn)
    config = state.config
    if want.major < MAJOR:
        raise FsError(errno.EPROTO)
    out = fuse.FuseInitOut(major=MAJOR, minor=config.minor)
    if want.major > MAJOR:
        return bytes(out)  # the client comes again with a version that it shares with us
    if want.minor < OLDEST_MINOR:
        raise FsError(errno.EPROTO)
    out.minor = min(want.minor, config.minor)
    state.begin_session(out.minor, answer=True)
    offered = want.flags | (want.flags2 << 32 if want.flags & InitFlag.INIT_EXT else 0)
    granted = offered & config.granted
    out.max_readahead = want.max_readahead
    out.flags = granted & 0xFFFF_FFFF
    out.flags2 = granted >> 32
    out.max_background = config.max_background
    out.congestion_threshold = config.congestion_threshold
    out.max_write = config.max_write
    out.time_gran = 1
    out.max_pages = config.max_pages if granted & InitFlag.MAX_PAGES else 0
    return bytes(out)


def destroy(state: State, request: Request) -> bytes:
    """DESTROY."""
    state.begin_session(None, answer=True)
    return b""


def interrupt(state: State, request: Request) -> bytes:
    """INTERRUPT: EAGAIN where its request does not wait, since it is answered already or soon; fs/fuse/dev.c asks again
    then."""
    state.tree.journal.save(state.locks)
    if not state.locks.interrupt(request.body(fuse.FuseInterruptIn).unique):
        raise FsError(errno.EAGAIN)
    return b""


def notify_reply(state: State, request: Request) -> None:
    """NOTIFY_REPLY."""
    state.on_notify_reply(request.message)


def statfs(state: State, request: Request) -> bytes:
    """STATFS."""
    state.node(request)
    tree = state.tree
    free = tree.store.counters.free_pages
    numbers = fuse.FuseKstatfs(
        blocks=tree.limits.pages,
        bfree=free,
        bavail=free,
        files=tree.limits.inodes - 1,
        ffree=len(tree.store.free_slots),
        bsize=PAGE,
        namelen=NAME_MAX,
        frsize=PAGE,
    )
    return bytes(fuse.FuseStatfsOut(st=numbers))
