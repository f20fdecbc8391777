"""Locks of an open file as a FUSE client takes and gives them back; requests that wait are tasks of their own."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from virtiofs_model.layouts import fuse
from virtiofs_model.layouts.fuse_constants import (
    FUSE_LK_FLOCK,
    FUSE_RELEASE_FLOCK_UNLOCK,
    NOTIFY_CODE_LOCK,
    Opcode,
)
from virtiofs_tb.host.port import Event, HostPort, Task

from .errors import DriverError
from .fuse_client import WAITS, FuseClient
from .notify_pool import Notification, NotifyPool
from .virtqueue import Virtqueue

F_RDLCK, F_WRLCK, F_UNLCK = 0, 1, 2
LAST_BYTE = (1 << 63) - 1
LOCK_SIZE = 32
_LOCK_OUT = struct.Struct("<QiI")  # unique, error, padding


@dataclass(frozen=True)
class Range:
    """The bytes of a lock, first and last."""

    start: int = 0
    end: int = LAST_BYTE


ALL_BYTES = Range()


@dataclass
class Waiter:
    """A SETLKW under way. task: gives its errno; told: it was answered that a LOCK message will tell."""

    unique: int
    task: Task[int]
    told: Event


class LockMessages:
    """Takes LOCK messages off the notification queue, in the order in which they come; others stay with the pool."""

    def __init__(self, host: HostPort, pool: NotifyPool) -> None:
        self.endings: list[tuple[int, int]] = []  # unique and errno
        self._unclaimed: list[tuple[int, int]] = []
        self._news = host.event()
        self._pool = pool
        pool.on_message = self._take

    def _take(self, notification: Notification) -> None:
        if notification.code != NOTIFY_CODE_LOCK:
            self._pool.received.append(notification)
            return
        if len(notification.message) != LOCK_SIZE:
            raise DriverError("length of a LOCK message", len(notification.message), LOCK_SIZE, "FS-NQ-DI1")
        unique, error, padding = _LOCK_OUT.unpack(notification.payload)
        if padding:
            raise DriverError("padding of a LOCK message", padding, 0, "FS-NQ-DI1")
        self.endings.append((unique, -error))
        self._unclaimed.append((unique, -error))
        self._news.set()

    async def ending(self, unique: int) -> int:
        """The errno with which the wait of a SETLKW ends, however late."""
        while True:
            for claimed in self._unclaimed:
                if claimed[0] == unique:
                    self._unclaimed.remove(claimed)
                    return claimed[1]
            self._news.clear()
            await self._news.wait()


class FileLocks:
    """Locks of one inode that is open. Errors come back as positive numbers of errno, 0 for success.

    messages: who knows the LOCK messages, where they are on.
    """

    def __init__(
        self, host: HostPort, client: FuseClient, nodeid: int, fh: int, messages: LockMessages | None = None
    ) -> None:
        self._messages = messages
        self.nodeid = nodeid
        self.fh = fh
        self._host = host
        self._client = client

    def build(self, opcode: Opcode, owner: int, kind: int, what: Range = ALL_BYTES, flock: bool = False) -> bytes:
        """GETLK, SETLK or SETLKW; the owner's low bits are its pid."""
        lock = fuse.FuseFileLock(what.start, what.end, kind, owner & 0xFFFF)
        body = fuse.FuseLkIn(self.fh, owner, lock, FUSE_LK_FLOCK if flock else 0)
        return self._client.build(opcode, self.nodeid, bytes(body))

    async def test(
        self,
        owner: int,
        kind: int = F_WRLCK,
        what: Range = ALL_BYTES,
        flock: bool = False,
        queue: Virtqueue | None = None,
    ) -> tuple[int, int, int, int]:
        """GETLK: type, first and last byte and pid of what is in the way."""
        reply = await self._client.request(self.build(Opcode.GETLK, owner, kind, what, flock), queue=queue)
        lock = reply.parse(fuse.FuseLkOut).lk
        return lock.type, lock.start, lock.end, lock.pid

    async def set(
        self, owner: int, kind: int, what: Range = ALL_BYTES, flock: bool = False, queue: Virtqueue | None = None
    ) -> int:
        """SETLK."""
        reply = await self._client.request(self.build(Opcode.SETLK, owner, kind, what, flock), queue=queue)
        return -reply.error

    async def unlock(self, owner: int, what: Range = ALL_BYTES, flock: bool = False) -> int:
        """SETLK of F_UNLCK."""
        return await self.set(owner, F_UNLCK, what, flock)

    def wait(
        self,
        owner: int,
        kind: int = F_WRLCK,
        what: Range = ALL_BYTES,
        flock: bool = False,
        queue: Virtqueue | None = None,
    ) -> Waiter:
        """SETLKW. It may wait for ever."""
        message = self.build(Opcode.SETLKW, owner, kind, what, flock)
        unique, told = int.from_bytes(message[8:16], "little"), self._host.event()

        async def answer() -> int:
            error = (await self._client.request(message, queue=queue, timeout_ps=None)).error
            if error != WAITS:
                return -error
            if self._messages is None:
                raise DriverError(f"error of SETLKW (unique {unique})", error, "0 or -errno", "FS-REQ-DI1")
            told.set()
            return await self._messages.ending(unique)

        return Waiter(unique, self._host.spawn(answer()), told)

    async def flush(self, owner: int) -> int:
        """FLUSH, as close(2) of any descriptor."""
        return -(
            await self._client.call(Opcode.FLUSH, self.nodeid, bytes(fuse.FuseFlushIn(self.fh, 0, 0, owner)))
        ).error

    async def release(self, owner: int = 0, flock: bool = False) -> int:
        """RELEASE. flock: the owner held one."""
        flags = FUSE_RELEASE_FLOCK_UNLOCK if flock else 0
        body = fuse.FuseReleaseIn(self.fh, 0, flags, owner)
        return -(await self._client.call(Opcode.RELEASE, self.nodeid, bytes(body))).error

    async def interrupt(self, waiter: Waiter) -> int:
        """INTERRUPT."""
        return -(await self._client.call(Opcode.INTERRUPT, 0, bytes(fuse.FuseInterruptIn(waiter.unique)))).error
