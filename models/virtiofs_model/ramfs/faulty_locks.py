"""The lock table with a defect (virtiofs_model/defects.py), to prove that a judge can see it."""

from __future__ import annotations

import errno
from collections.abc import Callable, Hashable
from dataclasses import replace

from virtiofs_model.defects import Defect
from virtiofs_model.ramfs.locks import Lock, LockTable, LockType, Wait


class _Shared(LockTable):
    """Nobody is in the way of anybody."""

    def _try(self, lock: Lock) -> int:
        self.held = (*self.held, lock)
        return 0


class _WaiterLost(LockTable):
    """Who gets a lock that he has waited for is not told."""

    def _end(self, waits: tuple[Wait, ...], error: int) -> None:
        woken = self.woken
        super()._end(waits, error)
        if error == 0:
            self.woken = woken


class _WaitersForgotten(LockTable):
    """Nobody looks for those that wait when locks change."""

    def _wake(self) -> None:
        pass


class _YoungestFirst(LockTable):
    """The youngest that waits is let on first."""

    def _wake(self) -> None:
        self.waits = self.waits[::-1]
        super()._wake()
        self.waits = self.waits[::-1]


class _NeverWaits(LockTable):
    """SETLKW is answered like SETLK."""

    def wait(self, lock: Lock, token: Hashable, unique: int, place: Callable[[], bool] | None = None) -> int | None:
        return self.set(lock)


class _WaitersOverflow(LockTable):
    """There is a place for a ninth that waits."""

    def __init__(self) -> None:
        super().__init__(most_waits=9)


class _SurvivesClose(LockTable):
    """The last close leaves the locks of the file."""

    def drop(self, node: int) -> None:
        held = self.held
        super().drop(node)
        self.held = held


class _SurvivesFlush(LockTable):
    """Closing a descriptor leaves the owner's locks."""

    def unlock(self, node: int, owner: int, *, flock: bool) -> None:
        if flock:
            super().unlock(node, owner, flock=flock)


class _SurvivesSession(LockTable):
    """A new session finds the locks of the one before."""

    def end_session(self, *, answer: bool) -> None:
        held = self.held
        super().end_session(answer=answer)
        self.held = held


class _InterruptLost(LockTable):
    """INTERRUPT finds nobody."""

    def interrupt(self, unique: int) -> bool:
        return False


class _SplitWrong(LockTable):
    """An unlock in the middle of a range takes what lies behind it, too."""

    def set(self, lock: Lock) -> int:
        if lock.kind == LockType.UNLOCK:
            mine = [one for one in self.held if one.beside(lock) and one.owner == lock.owner and one.overlaps(lock)]
            lock = replace(lock, end=max((one.end for one in mine), default=lock.end))
        return super().set(lock)


class _WrongErrno(LockTable):
    """A wait that the session's end ends is told EAGAIN."""

    def _end(self, waits: tuple[Wait, ...], error: int) -> None:
        super()._end(waits, errno.EAGAIN if error == errno.EINTR else error)


LOCK_TABLES: dict[Defect, type[LockTable]] = {
    Defect.FS_LOCK_SHARED: _Shared,
    Defect.FS_LOCK_WAITER_LOST: _WaiterLost,
    Defect.FS_LOCK_WAITERS_FORGOTTEN: _WaitersForgotten,
    Defect.FS_LOCK_YOUNGEST_FIRST: _YoungestFirst,
    Defect.FS_LOCK_NEVER_WAITS: _NeverWaits,
    Defect.FS_LOCK_WAITERS_OVERFLOW: _WaitersOverflow,
    Defect.FS_LOCK_SURVIVES_CLOSE: _SurvivesClose,
    Defect.FS_LOCK_SURVIVES_FLUSH: _SurvivesFlush,
    Defect.FS_LOCK_SURVIVES_SESSION: _SurvivesSession,
    Defect.FS_LOCK_INTERRUPT_LOST: _InterruptLost,
    Defect.FS_LOCK_SPLIT_WRONG: _SplitWrong,
    Defect.FS_LOCK_WRONG_ERRNO: _WrongErrno,
}
