"""Rows of the opcodes that take, test and give back locks of fcntl(2) and flock(2); the table itself is locks.py."""

from __future__ import annotations

import errno

from virtiofs_model.layouts import fuse
from virtiofs_model.layouts.fuse_constants import FUSE_LK_FLOCK, FUSE_RELEASE_FLOCK_UNLOCK, Opcode
from virtiofs_model.ramfs import rows_files
from virtiofs_model.ramfs.inode import FsError
from virtiofs_model.ramfs.locks import LAST_BYTE, Lock, LockType, is_valid
from virtiofs_model.ramfs.message import Request
from virtiofs_model.ramfs.notices import LOCK_BYTES
from virtiofs_model.ramfs.state import State, Waits


def _wanted(state: State, request: Request) -> Lock:
    want = request.body(fuse.FuseLkIn)
    node = state.opened(request, want.fh).nodeid
    lk, flock = want.lk, bool(want.lk_flags & FUSE_LK_FLOCK)
    start, end = (0, LAST_BYTE) if flock else (lk.start, lk.end)
    lock = Lock(node, want.owner, start, end, lk.type, lk.pid, flock)
    if not is_valid(lock, test=request.opcode is Opcode.GETLK):
        raise FsError(errno.EINVAL)
    return lock


def getlk(state: State, request: Request) -> bytes:
    """GETLK: a lock that is in the way, or the one asked for as F_UNLCK."""
    lock = _wanted(state, request)
    held = state.locks.test(lock)
    if held is None:
        return bytes(fuse.FuseLkOut(fuse.FuseFileLock(lock.start, lock.end, LockType.UNLOCK, lock.pid)))
    return bytes(fuse.FuseLkOut(fuse.FuseFileLock(held.start, held.end, held.kind, held.pid)))


def setlk(state: State, request: Request) -> bytes:
    """SETLK: EAGAIN, ENOLCK."""
    lock = _wanted(state, request)
    state.tree.journal.save(state.locks)
    error = state.locks.set(lock)
    if error:
        raise FsError(error)
    return b""


def setlkw(state: State, request: Request) -> bytes:
    """SETLKW: ENOLCK; it may have to wait."""
    lock = _wanted(state, request)
    by_message = state.config.lock_messages and state.notices.enabled
    state.tree.journal.save(state.locks)
    place = (lambda: state.notices.room(LOCK_BYTES)) if by_message else None
    error = state.locks.wait(lock, request.token, request.header.unique, place)
    if error is None:
        raise Waits(by_message)
    if error:
        raise FsError(error)
    return b""


def flush(state: State, request: Request) -> bytes:
    """FLUSH: locks of fcntl(2) go with the first descriptor that is closed."""
    want = request.body(fuse.FuseFlushIn)
    node = state.opened(request, want.fh).nodeid
    state.tree.journal.save(state.locks)
    state.locks.unlock(node, want.lock_owner, flock=False)
    return b""


def release(state: State, request: Request) -> bytes:
    """RELEASE and RELEASEDIR: a lock of flock(2) goes with its open file, all locks of an inode with its last one."""
    want = request.body(fuse.FuseReleaseIn)
    inode = state.opened(request, want.fh)
    state.tree.journal.save(state.locks)
    if want.release_flags & FUSE_RELEASE_FLOCK_UNLOCK:
        state.locks.unlock(inode.nodeid, want.lock_owner, flock=True)
    if inode.opens == 1:
        state.locks.drop(inode.nodeid)
        state.tree.journal.save(state.polls)
        state.polls.take(inode.nodeid)
    return rows_files.release(state, request)
