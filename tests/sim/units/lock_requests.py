"""Requests about locks, for tests of the ramfs engine that take no other file system's word."""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace

from tests.sim.units.engine_campaign import message
from virtiofs_model.layouts.fuse_constants import InitFlag, Opcode

READ, WRITE, UNLOCK = range(3)
LAST_BYTE = (1 << 63) - 1
FLOCK = 1
FLOCK_UNLOCK = 2


@dataclass(frozen=True)
class Want:
    """fuse_lk_in of an open file: nodeid and fh are alike."""

    owner: int
    kind: int = WRITE
    start: int = 0
    end: int = LAST_BYTE
    pid: int = 100
    flags: int = 0
    node: int = 2
    fh: int | None = None

    def body(self) -> bytes:
        fh = self.node if self.fh is None else self.fh
        return struct.pack("<QQQQIIII", fh, self.owner, self.start, self.end, self.kind, self.pid, self.flags, 0)

    def test(self) -> bytes:
        """GETLK."""
        return message(Opcode.GETLK, self.node, self.body())

    def set(self) -> bytes:
        """SETLK."""
        return message(Opcode.SETLK, self.node, self.body())

    def wait(self, unique: int) -> bytes:
        """SETLKW."""
        return message(Opcode.SETLKW, self.node, self.body(), unique)

    def unlock(self) -> bytes:
        """SETLK of the same range with F_UNLCK."""
        return replace(self, kind=UNLOCK).set()

    def flush(self) -> bytes:
        """FLUSH by the owner."""
        return message(Opcode.FLUSH, self.node, struct.pack("<QIIQ", self.node, 0, 0, self.owner))

    def release(self, flags: int = 0) -> bytes:
        """RELEASE by the owner."""
        return message(Opcode.RELEASE, self.node, struct.pack("<QIIQ", self.node, 0, flags, self.owner))


def init() -> bytes:
    """INIT that offers everything."""
    return message(Opcode.INIT, 0, struct.pack("<4I48x", 7, 45, 0, InitFlag(0xFFFFFFFF)))


def create(name: bytes = b"file") -> bytes:
    """CREATE in the root: open once."""
    return message(Opcode.CREATE, 1, struct.pack("<IIII", 2, 0o644, 0, 0) + name + b"\0")


def reopen(node: int = 2) -> bytes:
    """OPEN: open once more."""
    return message(Opcode.OPEN, node, struct.pack("<II", 2, 0))


def interrupt(unique: int) -> bytes:
    """INTERRUPT of the request with that unique."""
    return message(Opcode.INTERRUPT, 0, struct.pack("<Q", unique), unique | 1)
