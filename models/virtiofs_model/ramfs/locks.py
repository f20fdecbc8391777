"""Locks of the golden file system: POSIX byte ranges and flocks, and requests that wait for one.

Rules: docs/file-system.md, "Locks". Nothing here knows inodes or messages; a waiting request is a token of the caller.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from enum import IntEnum

LAST_BYTE = (1 << 63) - 1


class LockType(IntEnum):
    """`type` of struct fuse_file_lock: Linux's numbers."""

    READ = 0
    WRITE = 1
    UNLOCK = 2


@dataclass(frozen=True)
class Lock:
    """A lock, or a request for one. start, end: the first and the last byte. flock: the kind that has all bytes."""

    node: int
    owner: int
    start: int
    end: int
    kind: int
    pid: int = 0
    flock: bool = False

    def overlaps(self, other: Lock) -> bool:
        """Whether a byte is in both."""
        return self.start <= other.end and other.start <= self.end

    def touches(self, other: Lock) -> bool:
        """Whether both together are one range."""
        return self.start <= other.end + 1 and other.start <= self.end + 1

    def beside(self, other: Lock) -> bool:
        """Whether they are about the same inode and of one kind."""
        return self.node == other.node and self.flock == other.flock

    def conflicts(self, other: Lock) -> bool:
        """Whether they cannot be held at once."""
        exclusive = LockType.WRITE in (self.kind, other.kind)
        return self.beside(other) and self.owner != other.owner and self.overlaps(other) and exclusive


@dataclass(frozen=True)
class Wait:
    """A SETLKW whose wait is on. by_message: it was answered, and a LOCK message will say how the wait ended; its place
    is kept."""

    token: Hashable
    unique: int
    lock: Lock
    by_message: bool = False


@dataclass(frozen=True)
class Woken:
    """The end of a wait. error: a positive errno, 0 where the lock is held now."""

    token: Hashable
    unique: int
    error: int
    by_message: bool = False


@dataclass
class LockTable:
    """All locks. capacity: how many there can be. most_waits: how many requests can wait.

    `woken` are the waits that ended, in order; the caller takes them away. Attributes are assigned, never changed in
    place, so that a journal can save them.
    """

    capacity: int = 64
    most_waits: int = 8
    held: tuple[Lock, ...] = ()
    waits: tuple[Wait, ...] = ()
    woken: tuple[Woken, ...] = ()

    def test(self, lock: Lock) -> Lock | None:
        """GETLK: the lock that is in the way."""
        conflicts = [other for other in self.held if other.conflicts(lock)]
        return min(conflicts, key=lambda other: (other.start, other.owner), default=None)

    def set(self, lock: Lock) -> int:
        """SETLK: a positive errno, or 0."""
        error = self._try(lock)
        if error == 0:
            self._wake()
        return error

    def wait(self, lock: Lock, token: Hashable, unique: int, place: Callable[[], bool] | None = None) -> int | None:
        """SETLKW: the same; None: the request waits. place: how it ends is told by a message; whether there is a place
        for that."""
        error = self.set(lock)
        if error != errno.EAGAIN:
            return error
        if len(self.waits) == self.most_waits or (place is not None and not place()):
            return errno.ENOLCK
        self.waits = (*self.waits, Wait(token, unique, lock, place is not None))
        return None

    def unlock(self, node: int, owner: int, *, flock: bool) -> None:
        """FLUSH, or RELEASE with FUSE_RELEASE_FLOCK_UNLOCK."""
        self.set(Lock(node, owner, 0, LAST_BYTE, LockType.UNLOCK, flock=flock))

    def drop(self, node: int) -> None:
        """The inode's last open is gone."""
        self.held = tuple(lock for lock in self.held if lock.node != node)
        self._end(tuple(wait for wait in self.waits if wait.lock.node == node), errno.EBADF)

    def interrupt(self, unique: int) -> bool:
        """INTERRUPT: whether such a request waited."""
        waits = tuple(wait for wait in self.waits if wait.unique == unique)
        self._end(waits[:1], errno.EINTR)
        return bool(waits)

    def forget(self, gone: Callable[[Hashable], bool]) -> None:
        """Requests of a queue that was reset wait no more, and hear nothing. Those that were answered wait on."""
        self.waits = tuple(wait for wait in self.waits if wait.by_message or not gone(wait.token))
        self._wake()

    def end_session(self, *, answer: bool) -> None:
        """INIT and DESTROY, or (without an answer) a device reset. Who would be told by a message is not."""
        self.held = ()
        self.waits = tuple(wait for wait in self.waits if answer and not wait.by_message)
        self._end(self.waits, errno.EINTR)

    def _try(self, lock: Lock) -> int:
        if lock.kind != LockType.UNLOCK and any(other.conflicts(lock) for other in self.held):
            return errno.EAGAIN
        new = lock
        held = []
        for other in self.held:
            if not other.beside(lock) or other.owner != lock.owner:
                held.append(other)
            elif other.kind == lock.kind and other.touches(lock):
                new = replace(new, start=min(new.start, other.start), end=max(new.end, other.end))
            elif other.kind != lock.kind and other.overlaps(lock):
                if other.start < lock.start:
                    held.append(replace(other, end=lock.start - 1))
                if other.end > lock.end:
                    held.append(replace(other, start=lock.end + 1))
            else:
                held.append(other)
        if lock.kind != LockType.UNLOCK:
            held.append(new)
        if len(held) > self.capacity:
            return errno.ENOLCK
        self.held = tuple(held)
        return 0

    def _wake(self) -> None:
        """Grant what can be granted, the oldest first, until nothing can be."""
        while True:
            for wait in self.waits:
                error = self._try(wait.lock)
                if error != errno.EAGAIN:
                    self._end((wait,), error)
                    break
            else:
                return

    def _end(self, waits: tuple[Wait, ...], error: int) -> None:
        woken = (Woken(wait.token, wait.unique, error, wait.by_message) for wait in waits)
        self.woken = (*self.woken, *woken)
        self.waits = tuple(wait for wait in self.waits if not any(wait is ended for ended in waits))


def is_valid(lock: Lock, *, test: bool = False) -> bool:
    """Whether a request's type and range are such at all (else EINVAL). test: GETLK, which F_UNLCK is no type for."""
    types = (LockType.READ, LockType.WRITE) if test else tuple(LockType)
    return lock.kind in types and (lock.flock or lock.start <= lock.end <= LAST_BYTE)
