"""Locks as data, for any server: what owners take of one file, what stands in their way, and what gives it back.

No step waits: that one must be able to is what tests/sim/scenarios/locks.py asks.
"""

from __future__ import annotations

from collections.abc import Iterator

from virtiofs_model.layouts import fuse
from virtiofs_model.layouts.fuse_constants import FUSE_LK_FLOCK, Opcode
from virtiofs_tb.driver.locks import F_RDLCK, F_UNLCK, F_WRLCK, LAST_BYTE
from virtiofs_tb.peers.fs_script import O_RDWR, Step, create, open_, release

FILE = "locked"
A, B, C = 0x0A, 0x0B, 0x0C


def _lock(
    label: str,
    owner: int,
    kind: int,
    start: int = 0,
    end: int = LAST_BYTE,
    opcode: int = Opcode.SETLK,
    fh: str = FILE,
    flock: bool = False,
) -> Step:
    """Linux names a process in all but GETLK and unlocks (fs/fuse/file.c, fuse_getlk, fuse_setlk)."""
    pid = 0 if opcode == Opcode.GETLK or kind == F_UNLCK else owner
    body = fuse.FuseLkIn(0, owner, fuse.FuseFileLock(start, end, kind, pid), FUSE_LK_FLOCK if flock else 0)
    return Step(label, opcode, FILE, body, b"", {"fh": fh})


def _flush(label: str, owner: int) -> Step:
    return Step(label, Opcode.FLUSH, FILE, fuse.FuseFlushIn(0, 0, 0, owner), b"", {"fh": FILE})


def lock_script() -> Iterator[Step]:
    """Ranges that are split, joined and change their type; two readers; locks of a whole file; FLUSH."""
    yield create("CREATE of a file to lock", b"locked", keep=FILE)
    yield open_("OPEN of a file to lock", FILE, O_RDWR, "locked again")
    yield _lock("SETLK", A, F_WRLCK, 100, 299)
    yield _lock("SETLK beside", B, F_WRLCK, 300, 399)
    yield _lock("SETLK over both", C, F_RDLCK, 0, 500)
    yield _lock("SETLK of the last byte of another", C, F_RDLCK, 399, LAST_BYTE)
    yield _lock("SETLK behind both", C, F_RDLCK, 400, LAST_BYTE)
    yield _lock("unlock in the middle", A, F_UNLCK, 150, 199)
    yield _lock("GETLK of what is locked", C, F_RDLCK, 140, 180, Opcode.GETLK)
    yield _lock("GETLK of what is free", C, F_WRLCK, 150, 199, Opcode.GETLK)
    yield _lock("GETLK of one's own", A, F_WRLCK, 100, 120, Opcode.GETLK)
    yield _lock("GETLK up to the end", A, F_WRLCK, 500, LAST_BYTE, Opcode.GETLK)
    yield _lock("SETLK of the gap", A, F_WRLCK, 150, 199)
    yield _lock("GETLK of what is one again", C, F_RDLCK, 250, 260, Opcode.GETLK)
    yield _lock("SETLK to read within", A, F_RDLCK, 120, 129)
    yield _lock("SETLK of a second reader", B, F_RDLCK, 120, 129)
    yield _lock("SETLK of a writer over a reader", B, F_WRLCK, 125, 125)
    yield _lock("GETLK of a reader in a writer's way", C, F_WRLCK, 125, 125, Opcode.GETLK)
    yield _lock("unlock of what is not locked", B, F_UNLCK, 0, 50)
    yield _lock("SETLK of a type that is none", A, 7, 0, 0)
    yield _lock("SETLKW of what is free", A, F_WRLCK, 60, 61, Opcode.SETLKW)
    yield _flush("FLUSH of an owner", A)
    yield _lock("GETLK of what FLUSH gave back", B, F_WRLCK, 0, 299, Opcode.GETLK)
    yield _lock("SETLK of it", C, F_WRLCK, 0, 119)
    yield _lock("GETLK of what FLUSH left", A, F_WRLCK, 310, 320, Opcode.GETLK)
    yield _flush("FLUSH of the second owner", B)
    yield _flush("FLUSH of the third owner", C)
    yield _lock("flock", A, F_WRLCK, flock=True)
    yield _lock("flock of another", B, F_RDLCK, fh="locked again", flock=True)
    yield _lock("SETLK beside an flock", B, F_WRLCK)
    yield _lock("flock that becomes shared", A, F_RDLCK, flock=True)
    yield _lock("flock of a second reader", B, F_RDLCK, fh="locked again", flock=True)
    yield _lock("flock of a writer over a reader", A, F_WRLCK, flock=True)
    yield _lock("unlock of an flock", B, F_UNLCK, fh="locked again", flock=True)
    yield _lock("flock of the only one", A, F_WRLCK, flock=True)
    yield release("RELEASE of a file that was locked", FILE, "locked again")
    yield release("the last RELEASE of a file that was locked", FILE, FILE)
