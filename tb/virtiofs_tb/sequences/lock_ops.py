"""Random requests for locks: short ranges that clash, waits that others end, and traffic on the same files.

Nobody waits for an answer to a SETLKW before it goes on, so no circle of waiting owners stops the sequence.
"""

from __future__ import annotations

import errno
import random
from collections import Counter
from collections.abc import Sequence

from virtiofs_model.layouts import fuse
from virtiofs_model.layouts.fuse_constants import Opcode
from virtiofs_tb.driver.errors import DriverTimeout, check
from virtiofs_tb.driver.fuse_client import FuseClient
from virtiofs_tb.driver.locks import ALL_BYTES, F_RDLCK, F_UNLCK, F_WRLCK, FileLocks, Range, Waiter
from virtiofs_tb.driver.virtqueue import Virtqueue
from virtiofs_tb.host.port import HostPort

OWNERS, BYTES, LONGEST = 4, 24, 10
PAUSE_PS = 20_000_000
"""Now and then a worker pauses so long that what it asked for is sure to wait."""

ROUNDS = 40
"""Each unlock of everything lets at least one go on; as many as that are never waiting."""

_WEIGHTS = {"wait": 5, "set": 4, "unlock": 8, "test": 3, "flush": 1, "reopen": 1, "interrupt": 2, "write": 2, "look": 2}
_EXPECTED = {0, errno.EAGAIN, errno.ENOLCK, errno.EINTR, errno.EBADF}


class LockOperations:
    """What the workers of one run share. counts: how each kind of request ended."""

    def __init__(self, host: HostPort, client: FuseClient, files: Sequence[FileLocks], counts: Counter[str]) -> None:
        self._host = host
        self._client = client
        self._files = files
        self._counts = counts
        self._waiting: list[Waiter] = []

    async def work(self, rng: random.Random, queue: Virtqueue, count: int) -> None:
        """One worker's requests, one after the other but for those that may wait."""
        for _ in range(count):
            kind = rng.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]
            error = await self._one(kind, rng, queue)
            if error is not None:
                check(f"errno of a {kind}", error if error not in _EXPECTED else 0, 0, "FS-REQ-DI1")
                self._counts[f"lock {kind} {errno.errorcode.get(error, 'ok')}"] += 1
            if rng.randrange(8) == 0:
                await self._host.sleep(rng.randrange(PAUSE_PS))

    async def _one(self, kind: str, rng: random.Random, queue: Virtqueue) -> int | None:
        file, owner, flock = rng.choice(self._files), rng.randint(1, OWNERS), rng.randrange(6) == 0
        start = rng.randrange(BYTES)
        what = Range(start, start + rng.randrange(LONGEST)) if rng.randrange(8) else ALL_BYTES
        lock = rng.choice([F_RDLCK, F_WRLCK])
        if kind == "wait":
            self._waiting.append(file.wait(owner, lock, what, flock, queue))
            return None
        if kind in ("set", "unlock"):
            return await file.set(owner, lock if kind == "set" else F_UNLCK, what, flock, queue)
        if kind == "test":
            await file.test(owner, lock, what, flock, queue)
            return None
        if kind == "flush":
            return await file.flush(owner)
        if kind == "reopen":
            return await self._reopen(file, owner, flock)
        if kind == "interrupt":
            return await file.interrupt(rng.choice(self._waiting[-12:])) if self._waiting else None
        if kind == "write":
            data = bytes([owner]) * rng.randint(1, 100)
            body = bytes(fuse.FuseWriteIn(file.fh, start, len(data))) + data
            return -(await self._client.request(self._client.build(Opcode.WRITE, file.nodeid, body), queue=queue)).error
        reply = await self._client.call(Opcode.GETATTR, file.nodeid, bytes(fuse.FuseGetattrIn()), queue)
        return -reply.error

    async def _reopen(self, file: FileLocks, owner: int, flock: bool) -> int:
        """RELEASE and OPEN: if it was the last open, all locks and waits of the file are gone."""
        error = await file.release(owner, flock)
        await self._client.call(Opcode.OPEN, file.nodeid, bytes(fuse.FuseOpenIn(2)))
        return error

    async def end(self) -> None:
        """Give everything back, again and again, since who waits has it then; in the end nobody waits."""
        for _ in range(ROUNDS):
            for file in self._files:
                for owner in range(1, OWNERS + 1):
                    for flock in (False, True):
                        await file.unlock(owner, flock=flock)
            if all(waiter.task.done() for waiter in self._waiting):
                break
        for waiter in self._waiting:
            if not waiter.task.done():
                raise DriverTimeout(f"SETLKW with unique {waiter.unique} after all unlocks", "no answer", "one")
            error = await waiter.task.join()
            check("errno of a SETLKW", error if error not in _EXPECTED - {errno.EAGAIN} else 0, 0, "FS-REQ-DI1")
            self._counts[f"lock wait {errno.errorcode.get(error, 'ok')}"] += 1
