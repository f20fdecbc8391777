"""Random requests for the ramfs engine, weighted towards what goes wrong: few inodes, names and pages, ids of the
dead, sizes and lengths at every edge. A generator looks at a golden file system to name things that exist."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Sequence
from typing import TypeVar

from tests.sim.units.engine_bench import DPU_LANE, Sent
from virtiofs_model.layouts.dpu import REQUEST_BYTES_MAX, REQUEST_BYTES_MIN
from virtiofs_model.layouts.fuse_constants import Opcode
from virtiofs_model.ramfs import RamfsServer
from virtiofs_model.ramfs.inode import PAGE, Inode
from virtiofs_model.ramfs.locks import LAST_BYTE

NAMES = [b"a", b"b", b"c", b"d" * 31, b"e" * 32, b"f" * 33, b"g" * 255, b".", b"..", b"", b"h/i", b"j" * 256, b"k"]
GOOD = 7
"""So many of NAMES are without fault."""

EXPRESS = (Opcode.FORGET, Opcode.BATCH_FORGET, Opcode.INTERRUPT)
HUGE = (1 << 64) - 1
T = TypeVar("T")
LARGEST = 1 << 40
FAR = 1 << 33


class Traffic:
    """careful: a WRITE may be cut off, so none goes to bytes of a file, whose fate would be open then. alone: nothing
    else is under way. locks: little but requests about locks."""

    def __init__(self, seed: int, server: RamfsServer, locks: bool = False) -> None:
        self.random = random.Random(seed)
        self.server = server
        self.careful = False
        self.alone = True
        self._unique = 0
        self._dead: list[int] = [0, 2, 1 << 32 | 1, 5000, HUGE]
        self._cookies: list[int] = [0, 1, 2, 3, 1 << 32]
        self._rows: list[tuple[int, Callable[[], tuple[int, int, bytes]]]] = [
            (8, self._lookup), (4, self._getattr), (6, self._setattr), (2, self._readlink), (4, self._symlink),
            (3, self._mknod), (5, self._mkdir), (6, self._unlink), (4, self._rmdir), (10, self._rename),
            (4, self._link), (5, self._open), (9, self._read), (10, self._write), (2, self._statfs),
            (6, self._release), (2, self._sync), (3, self._opendir), (6, self._readdir), (1, self._access),
            (7, self._create), (3, self._tmpfile), (6, self._fallocate), (1, self._init), (1, self._destroy),
            (1, self._other), (3, self._lock),
        ]  # fmt: skip
        if locks:
            self._rows = [
                (60, self._lock), (8, self._open), (1, self._create), (3, self._release), (5, self._sync),
                (1, self._opendir), (1, self._init), (1, self._destroy), (2, self._write),
            ]  # fmt: skip

    # ---- whole requests ----

    def main(self) -> Sent:
        """A request of the main path."""
        weights, rows = zip(*self._rows, strict=True)
        row = self.random.choices(rows, weights)[0]
        if self.careful and row in (self._setattr, self._fallocate):
            row = self._getattr
        return self._finish(*row())

    def express(self) -> Sent:
        """FORGET, BATCH_FORGET or INTERRUPT."""
        kind = self.random.random()
        if kind < 0.6:
            opcode, nodeid, body = Opcode.FORGET, self._node(), struct.pack("<Q", self._count())
        elif kind < 0.8:
            pairs = [(self._node(), self._count()) for _ in range(self._pick([0, 1, 2, 5, 61, 62, 200]))]
            count = self._pick([len(pairs), len(pairs), 0, 1, 1 << 31, len(pairs) + 1])
            body = struct.pack("<II", count, 0) + b"".join(struct.pack("<QQ", *pair) for pair in pairs)
            opcode, nodeid = Opcode.BATCH_FORGET, 0
        else:
            waits = [wait.unique for wait in self.server.locks.waits]
            opcode, nodeid, body = Opcode.INTERRUPT, 0, struct.pack("<Q", self._pick([*waits, self._unique]))
        return self._finish(opcode, nodeid, body)

    def dpu(self) -> Sent:
        """A request of the DPU: any of the others that its mailbox takes."""
        while True:
            sent = self.main() if self.random.random() < 0.95 else self.express()
            if REQUEST_BYTES_MIN <= len(sent.message) <= REQUEST_BYTES_MAX:
                return Sent(sent.message, REQUEST_BYTES_MAX, DPU_LANE)

    def begin(self) -> Sent:
        """An INIT that begins a session."""
        return Sent(self._message(Opcode.INIT, 0, struct.pack("<4I48x", 7, 45, 1 << 17, 0xFFFFFFFF)), 80)

    def settle(self) -> list[Sent]:
        """What brings every attribute of every inode that has a name to light."""
        sent = [self._message(Opcode.STATFS, 1, b"")]
        for inode in self._inodes():
            sent.append(self._message(Opcode.GETATTR, inode.nodeid, bytes(16)))
        return [Sent(message, 1 << 12) for message in sent]

    def _finish(self, opcode: int, nodeid: int, body: bytes) -> Sent:
        message = self._message(opcode, nodeid, body)
        if self._rare():
            message = message[: self._pick([0, 39, 40, 41, 47, 48, 55, 56, len(message) - 1])]
        if self._rare() and len(message) >= 4:
            message = struct.pack("<I", self._pick([0, len(message) + 1, 1 << 31])) + message[4:]
        writable = self._pick([1 << 21, 1 << 21, PAGE + 16, 160, 144, 120])
        if self._rare():
            writable = self._pick([0, 15, 16, 17, 23, 24, 31, 79, 95, 119, 143, 159])
        lane = 0 if opcode in EXPRESS or (opcode != Opcode.SETLKW and self._rare()) else 2
        return Sent(message or bytes(1), writable, lane, self._unreadable(opcode, message))

    def _unreadable(self, opcode: int, message: bytes) -> int:
        """A part of the data that is missing must not lie within a file, where nobody could say what it changed."""
        if len(message) <= 1024 or not self._rare(4) or opcode not in (Opcode.WRITE, Opcode.SYMLINK):
            return 0
        return 2 if opcode == Opcode.SYMLINK or self._beyond(message) else 1

    def _beyond(self, message: bytes) -> bool:
        nodeid, offset = struct.unpack_from("<Q", message, 16)[0], struct.unpack_from("<Q", message, 48)[0]
        return self.alone and all(inode.size <= offset for inode in self._inodes() if inode.nodeid == nodeid)

    def _message(self, opcode: int, nodeid: int, body: bytes) -> bytes:
        self._unique += 1
        owner = (self._pick([0, 5, 0xFFFFFFFF]), self._pick([0, 6]))
        return struct.pack("<IIQQIIIHH", 40 + len(body), opcode, self._unique, nodeid, *owner, 9, 0, 0) + body

    # ---- rows ----

    def _lookup(self) -> tuple[int, int, bytes]:
        return Opcode.LOOKUP, self._directory(), self._name()

    def _getattr(self) -> tuple[int, int, bytes]:
        return Opcode.GETATTR, self._node(), bytes(16)

    def _setattr(self) -> tuple[int, int, bytes]:
        node = self._file()
        valid = self.random.getrandbits(11) & self.random.getrandbits(11)
        if valid & 0x40 and self._rare():
            node ^= 1 << 32
        stamps = [self.random.getrandbits(64) for _ in range(3)]
        small = [self.random.getrandbits(32) for _ in range(8)]
        body = struct.pack("<II6Q8I", valid, 0, self._fh(node), self._offset(), 0, *stamps, *small)
        return Opcode.SETATTR, node, body

    def _readlink(self) -> tuple[int, int, bytes]:
        return Opcode.READLINK, self._of(lambda inode: inode.is_link), b""

    def _symlink(self) -> tuple[int, int, bytes]:
        target = self.random.randbytes(self._pick([0, 1, 5, 200, 1500, 4094, 4095, 4096]))
        return Opcode.SYMLINK, self._directory(), self._name() + target + self._pick([b"\0", b"x", b""])

    def _mknod(self) -> tuple[int, int, bytes]:
        mode = self._pick([0, 0x1000, 0x2000, 0x4000, 0x6000, 0x8000, 0xA000, 0xC000, 0xF000]) | self._mode()
        return Opcode.MKNOD, self._directory(), struct.pack("<IIII", mode, 0x103, 0, 0) + self._name()

    def _mkdir(self) -> tuple[int, int, bytes]:
        return Opcode.MKDIR, self._directory(), struct.pack("<II", self._mode(), 0o22) + self._name()

    def _unlink(self) -> tuple[int, int, bytes]:
        return Opcode.UNLINK, *self._existing()

    def _rmdir(self) -> tuple[int, int, bytes]:
        return Opcode.RMDIR, *self._existing(directory=True)

    def _rename(self) -> tuple[int, int, bytes]:
        old, name = self._existing(directory=self.random.random() < 0.5)
        new, other = self._existing() if self.random.random() < 0.5 else (self._directory(), self._name())
        if self.random.random() < 0.4:
            return Opcode.RENAME, old, struct.pack("<Q", new) + name + other
        flags = self._pick([0, 1, 2, 2, 2, 3, 4])
        return Opcode.RENAME2, old, struct.pack("<QII", new, flags, 0) + name + other

    def _link(self) -> tuple[int, int, bytes]:
        return Opcode.LINK, self._directory(), struct.pack("<Q", self._node()) + self._name()

    def _open(self) -> tuple[int, int, bytes]:
        return Opcode.OPEN, self._file(), struct.pack("<II", self._flags(), 0)

    def _opendir(self) -> tuple[int, int, bytes]:
        return Opcode.OPENDIR, self._directory(), bytes(8)

    def _create(self) -> tuple[int, int, bytes]:
        directory, name = self._existing() if self.random.random() < 0.3 else (self._directory(), self._name())
        return Opcode.CREATE, directory, struct.pack("<IIII", self._flags(), self._mode(), 0, 0) + name

    def _tmpfile(self) -> tuple[int, int, bytes]:
        body = struct.pack("<IIII", self._flags(), self._mode(), 0, 0)
        return Opcode.TMPFILE, self._directory(), body + self._pick([b"", b"x\0", b"x"])

    def _read(self) -> tuple[int, int, bytes]:
        node = self._opened()
        size = self._pick([0, 1, 32, 4096, 4097, 20000, 1 << 20, (1 << 20) + 1, 0xFFFFFFFF])
        return Opcode.READ, node, struct.pack("<QQI20x", self._fh(node), self._offset(), size)

    def _write(self) -> tuple[int, int, bytes]:
        node = self._opened()
        offset = self._offset()
        if self.careful:
            offset = FAR + (self._unique << 16)
            if any(inode.size > offset for inode in self._inodes()):
                return self._getattr()
        data = self.random.randbytes(self._pick([0, 1, 31, 32, 33, 100, 943, 945, 4096, 4097, 20000, 70000, 140000]))
        size = len(data) + (self._pick([-1, 1, 1 << 20]) if self._rare() else 0)
        return Opcode.WRITE, node, struct.pack("<QQI20x", self._fh(node), offset, size & 0xFFFFFFFF) + data

    def _statfs(self) -> tuple[int, int, bytes]:
        return Opcode.STATFS, self._node(), b""

    def _access(self) -> tuple[int, int, bytes]:
        return Opcode.ACCESS, self._node(), bytes(8)

    def _release(self) -> tuple[int, int, bytes]:
        node = self._opened()
        body = struct.pack("<QIIQ", self._fh(node), 0, self._pick([0, 1, 2, 3]), self._owner())
        return self._pick([Opcode.RELEASE, Opcode.RELEASEDIR]), node, body

    def _sync(self) -> tuple[int, int, bytes]:
        node = self._opened()
        opcode = self._pick([Opcode.FLUSH, Opcode.FSYNC, Opcode.FSYNCDIR])
        return opcode, node, struct.pack("<QQQ", self._fh(node), 0, self._owner())

    def _lock(self) -> tuple[int, int, bytes]:
        node = self._opened()
        opcode = self._pick([Opcode.GETLK, Opcode.SETLK, Opcode.SETLK, Opcode.SETLKW, Opcode.SETLKW])
        start = self._pick([0, 0, 1, 5, 9, LAST_BYTE])
        end = self._pick([start, start + 5, LAST_BYTE, LAST_BYTE])
        if self._rare():
            start, end = self._pick([(9, 8), (0, LAST_BYTE + 1), (HUGE, HUGE), (1, 0)])
        kind = self._pick([3, 1 << 31] if self._rare() else [0, 1, 1, 1, 2, 2])
        flags = self._pick([0, 0, 0, 1])
        body = struct.pack("<4Q4I", self._fh(node), self._owner(), start, min(end, HUGE), kind, self._unique, flags, 0)
        return opcode, node, body

    def _readdir(self) -> tuple[int, int, bytes]:
        node = self._of(lambda inode: inode.is_directory and inode.opens > 0)
        for inode in self._inodes():
            self._cookies += [entry.cookie for entry in inode.entries.values()]
        self._cookies = self._cookies[:5] + self._cookies[5:][-40:]
        size = self._pick([0, 23, 24, 32, 64, 200, 1000, 4079, 4080, 4096, 8192])
        body = struct.pack("<QQI20x", self._fh(node), self._pick([0, 0, self._pick(self._cookies)]), size)
        return self._pick([Opcode.READDIR, Opcode.READDIRPLUS]), node, body

    def _fallocate(self) -> tuple[int, int, bytes]:
        node = self._opened()
        mode = self._pick([0, 1, 3, 3, 3, 0x10, 0x11, 2, 4, 0x20])
        length = self._pick([0, 1, 100, 4096, 5000, 12288, 40000, LARGEST, HUGE])
        return Opcode.FALLOCATE, node, struct.pack("<QQQII", self._fh(node), self._offset(), length, mode, 0)

    def _init(self) -> tuple[int, int, bytes]:
        if self.random.random() < 0.7:
            return self._getattr()
        major, minor = self._pick([(6, 45), (7, 30), (7, 31), (7, 45), (7, 99), (8, 0)])
        body = struct.pack("<4I48x", major, minor, self.random.getrandbits(32), self.random.getrandbits(30))
        return self._pick([Opcode.INIT, Opcode.INIT, 0x1A000000]), 0, body[: self._pick([16, 17, 64])]

    def _destroy(self) -> tuple[int, int, bytes]:
        return (Opcode.DESTROY, 0, b"") if self.random.random() < 0.3 else self._getattr()

    def _other(self) -> tuple[int, int, bytes]:
        opcode = self._pick([Opcode.NOTIFY_REPLY, Opcode.LSEEK, Opcode.GETXATTR, 7, 19, 54, 4096, 0xFFFFFFFF, 0])
        return opcode, self._node(), bytes(self._pick([0, 8, 40]))

    # ---- what requests name ----

    def _pick(self, choices: Sequence[T]) -> T:
        return self.random.choice(choices)

    def _rare(self, factor: int = 1) -> bool:
        return self.random.random() < 0.03 * factor

    def _inodes(self) -> list[Inode]:
        return list(self.server.tree.store.inodes.values())

    def _of(self, wanted: Callable[[Inode], bool]) -> int:
        """An id of such an inode, mostly."""
        fitting = [inode.nodeid for inode in self._inodes() if wanted(inode)]
        if not fitting or self._rare(5):
            return self._node()
        node = self._pick(fitting)
        self._dead = self._dead[:5] + [*self._dead[5:], node][-10:]
        return node

    def _node(self) -> int:
        if self._rare(7):
            return self._pick(self._dead)
        return self._pick(self._inodes()).nodeid

    def _directory(self) -> int:
        return self._of(lambda inode: inode.is_directory)

    def _file(self) -> int:
        return self._of(lambda inode: inode.is_regular)

    def _opened(self) -> int:
        return self._of(lambda inode: inode.opens > 0)

    def _existing(self, directory: bool = False) -> tuple[int, bytes]:
        """A directory and a name in it."""
        places = [
            (inode.nodeid, entry.name + b"\0")
            for inode in self._inodes()
            for entry in inode.entries.values()
            if entry.inode.is_directory or not directory
        ]
        if not places or self._rare(7):
            return self._directory(), self._name()
        return self._pick(places)

    def _name(self) -> bytes:
        if self._rare():
            return self._pick([b"x" * 300, b"x" * 1100, b"", b"x"])
        return self._pick(NAMES if self._rare(8) else NAMES[:GOOD]) + b"\0"

    def _fh(self, node: int) -> int:
        return node ^ (1 if self._rare() else 0)

    def _mode(self) -> int:
        return self.random.getrandbits(12)

    def _owner(self) -> int:
        return self._pick([1, 2, 3, HUGE])

    def _flags(self) -> int:
        return self._pick([0, 1, 2, 0o1000, 0o1001, 0o1002, 0o200, 0o1202])

    def _count(self) -> int:
        return self._pick([0, 1, 1, 1, 2, 3, 1 << 32, HUGE])

    def _offset(self) -> int:
        sizes = [inode.size for inode in self._inodes() if inode.is_regular] or [0]
        edges = [0, 0, 1, 4095, 4096, 4097, 8192, 30000, self._pick(sizes), self._pick(sizes)]
        if self._rare(4):
            edges = [LARGEST - 1, LARGEST, LARGEST + 1, LARGEST - 4096, 1 << 41, HUGE]
        return self._pick(edges)
