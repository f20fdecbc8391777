"""Rows of the locks of fcntl(2) and flock(2), for firmware that serves them.

Nothing here can wait: a SETLKW that would have to gets ENOLCK, as it does where completions must stay in order.
"""

from __future__ import annotations

import errno

from virtiofs_model.layouts import fuse
from virtiofs_model.layouts.fuse_constants import FUSE_LK_FLOCK, FUSE_RELEASE_FLOCK_UNLOCK, Opcode
from virtiofs_model.ramfs import rows_files
from virtiofs_model.ramfs.inode import FsError, Inode, Lock
from virtiofs_model.ramfs.message import Request
from virtiofs_model.ramfs.state import State

F_RDLCK, F_WRLCK, F_UNLCK = 0, 1, 2


def _wanted(request: Request) -> Lock:
    want = request.body(fuse.FuseLkIn)
    lock = Lock(want.owner, want.lk.start, want.lk.end, want.lk.type, want.lk.pid, bool(want.lk_flags & FUSE_LK_FLOCK))
    if lock.kind not in (F_RDLCK, F_WRLCK, F_UNLCK) or lock.end < lock.start:
        raise FsError(errno.EINVAL)
    return lock


def _in_the_way(inode: Inode, lock: Lock) -> Lock | None:
    """The first lock of somebody else that `lock` cannot be held beside."""
    for held in inode.locks:
        if held.owner == lock.owner or held.flock != lock.flock or lock.kind == F_UNLCK:
            continue
        if held.overlaps(lock) and F_WRLCK in (held.kind, lock.kind):
            return held
    return None


def getlk(state: State, request: Request) -> bytes:
    """GETLK: a lock that is in the way, or the one asked for as F_UNLCK."""
    lock = _wanted(request)
    inode = state.opened(request, request.body(fuse.FuseLkIn).fh)
    held = _in_the_way(inode, lock)
    if held is None:
        return bytes(fuse.FuseLkOut(fuse.FuseFileLock(lock.start, lock.end, F_UNLCK, 0)))
    return bytes(fuse.FuseLkOut(fuse.FuseFileLock(held.start, held.end, held.kind, held.pid)))


def setlk(state: State, request: Request) -> bytes:
    """SETLK and SETLKW. EAGAIN, or ENOLCK where it would have to wait."""
    lock = _wanted(request)
    inode = state.opened(request, request.body(fuse.FuseLkIn).fh)
    if _in_the_way(inode, lock) is not None:
        raise FsError(errno.ENOLCK if request.opcode is Opcode.SETLKW else errno.EAGAIN)
    kept: list[Lock] = []
    for held in inode.locks:
        same = held.owner == lock.owner and held.flock == lock.flock
        kept += held.without(lock) if same and held.overlaps(lock) else [held]
    _set(state, inode, [*kept, *([] if lock.kind == F_UNLCK else [lock])])
    return b""


def flush(state: State, request: Request) -> bytes:
    """FLUSH: locks of fcntl(2) go with the first descriptor that is closed."""
    want = request.body(fuse.FuseFlushIn)
    inode = state.opened(request, want.fh)
    _drop(state, inode, want.lock_owner, flock=False)
    return b""


def release(state: State, request: Request) -> bytes:
    """RELEASE: a lock of flock(2) goes with its open file."""
    want = request.body(fuse.FuseReleaseIn)
    inode = state.opened(request, want.fh)
    if want.release_flags & FUSE_RELEASE_FLOCK_UNLOCK:
        _drop(state, inode, want.lock_owner, flock=True)
    return rows_files.release(state, request)


def _drop(state: State, inode: Inode, owner: int, flock: bool) -> None:
    kept = [lock for lock in inode.locks if lock.owner != owner or lock.flock != flock]
    if len(kept) != len(inode.locks):
        _set(state, inode, kept)


def _set(state: State, inode: Inode, locks: list[Lock]) -> None:
    state.tree.journal.save(inode)
    inode.locks = tuple(locks)
