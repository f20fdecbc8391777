"""Random requests over a whole tree, weighted to what is easy to get wrong: names that clash, directories that move
into each other, files removed while they are open, full disks, listings of directories that change meanwhile.

A source learns ids from replies alone, so it drives any target, and any number of its requests may be in flight.
"""

from __future__ import annotations

import random
import stat
from collections.abc import Callable
from ctypes import sizeof
from dataclasses import dataclass, field

from virtiofs_model.layouts import fuse
from virtiofs_model.layouts.fuse_constants import FUSE_ROOT_ID, Fattr, Opcode
from virtiofs_model.layouts.fuse_operations import OPERATIONS, OUT_HEADER_SIZE, directory_entries
from virtiofs_tb.seeds import log_uniform

O_RDWR, O_CREAT, O_EXCL, O_TRUNC = 2, 0o100, 0o200, 0o1000
FALLOC_MODES = (0, 1, 3, 0x10, 0x11, 2)
_ENTRY = sizeof(fuse.FuseEntryOut)
_PAGE = 4096


@dataclass
class TreeLimits:
    """names: how many different ones there are; data: bytes of the largest transfer; end: of the usual file; sparse:
    percent of offsets far beyond it; long_names: percent of names near the limit; strange: percent of requests with an
    id that is none."""

    names: int = 12
    data: int = 3 * _PAGE
    end: int = 8 * _PAGE
    sparse: int = 4
    long_names: int = 5
    strange: int = 3


@dataclass
class _Node:
    """What replies told of an inode. lookups, opens: that the client holds and has not begun to give back."""

    nodeid: int
    kind: int
    lookups: int = 0
    opens: int = 0
    cookies: list[int] = field(default_factory=lambda: [0])


WEIGHTS = {
    Opcode.LOOKUP: 8, Opcode.FORGET: 6, Opcode.BATCH_FORGET: 2, Opcode.GETATTR: 6, Opcode.SETATTR: 9,
    Opcode.READLINK: 2, Opcode.SYMLINK: 3, Opcode.MKNOD: 4, Opcode.MKDIR: 5, Opcode.UNLINK: 8, Opcode.RMDIR: 5,
    Opcode.RENAME: 3, Opcode.RENAME2: 8, Opcode.LINK: 5, Opcode.OPEN: 4, Opcode.READ: 8, Opcode.WRITE: 10,
    Opcode.STATFS: 3, Opcode.RELEASE: 5, Opcode.FSYNC: 1, Opcode.FLUSH: 1, Opcode.OPENDIR: 2, Opcode.READDIR: 3,
    Opcode.RELEASEDIR: 1, Opcode.FSYNCDIR: 1, Opcode.ACCESS: 1, Opcode.CREATE: 8, Opcode.FALLOCATE: 4,
    Opcode.READDIRPLUS: 3, Opcode.TMPFILE: 2, Opcode.LSEEK: 1, Opcode.STATX: 1,
}  # fmt: skip


class TreeRequests:
    """A stream of requests. rng: the caller's, which decides everything together with the replies that are learnt."""

    def __init__(self, rng: random.Random, limits: TreeLimits | None = None) -> None:
        self.rng = rng
        self.limits = limits or TreeLimits()
        self._nodes: dict[int, _Node] = {FUSE_ROOT_ID: _Node(FUSE_ROOT_ID, stat.S_IFDIR)}
        self._bodies: dict[Opcode, Callable[[_Node], bytes]] = {
            Opcode.LOOKUP: lambda node: self._name(),
            Opcode.FORGET: self._forget,
            Opcode.BATCH_FORGET: self._batch_forget,
            Opcode.GETATTR: lambda node: bytes(fuse.FuseGetattrIn()),
            Opcode.SETATTR: self._setattr,
            Opcode.READLINK: lambda node: b"",
            Opcode.SYMLINK: lambda node: self._name() + rng.randbytes(rng.randint(0, 40)).replace(b"\0", b".") + b"\0",
            Opcode.MKNOD: self._mknod,
            Opcode.MKDIR: lambda node: bytes(fuse.FuseMkdirIn(rng.choice([0o755, 0o2775]))) + self._name(),
            Opcode.UNLINK: lambda node: self._name(),
            Opcode.RMDIR: lambda node: self._name(),
            Opcode.RENAME: lambda node: bytes(fuse.FuseRenameIn(self._directory())) + self._name() + self._name(),
            Opcode.RENAME2: self._rename2,
            Opcode.LINK: lambda node: bytes(fuse.FuseLinkIn(self._any())) + self._name(),
            Opcode.OPEN: lambda node: bytes(fuse.FuseOpenIn(rng.choice([0, O_RDWR, O_RDWR | O_TRUNC]))),
            Opcode.OPENDIR: lambda node: bytes(fuse.FuseOpenIn()),
            Opcode.READ: self._read,
            Opcode.WRITE: self._write,
            Opcode.STATFS: lambda node: b"",
            Opcode.RELEASE: self._release,
            Opcode.RELEASEDIR: self._release,
            Opcode.FSYNC: lambda node: bytes(fuse.FuseFsyncIn(self._fh(node))),
            Opcode.FSYNCDIR: lambda node: bytes(fuse.FuseFsyncIn(self._fh(node))),
            Opcode.FLUSH: lambda node: bytes(fuse.FuseFlushIn(self._fh(node))),
            Opcode.READDIR: self._list,
            Opcode.READDIRPLUS: self._list,
            Opcode.ACCESS: lambda node: bytes(fuse.FuseAccessIn(4)),
            Opcode.CREATE: self._create,
            Opcode.TMPFILE: lambda node: bytes(fuse.FuseCreateIn(O_RDWR, 0o600)) + b"/\0",
            Opcode.FALLOCATE: self._fallocate,
            Opcode.LSEEK: lambda node: bytes(fuse.FuseLseekIn(self._fh(node), 0, 3)),
            Opcode.STATX: lambda node: bytes(fuse.FuseStatxIn()),
        }

    def next(self, unique: int) -> bytes:
        """A request. What it gives back (lookups, opens) counts as given back from now on."""
        opcode = self.rng.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        node = self._subject(opcode)
        body = self._bodies[opcode](node)
        uid = self.rng.choice([0, 1000])
        header = fuse.FuseInHeader(40 + len(body), opcode, unique, node.nodeid, uid, uid + 1, 1)
        return bytes(header) + body

    def writable(self, message: bytes) -> int:
        """Bytes for the reply as Linux posts them, now and then fewer than are needed."""
        opcode = int.from_bytes(message[4:8], "little")
        size = OPERATIONS[opcode].reply_limit(message)
        return self.rng.randint(16, size) if size > 16 and self.rng.random() < 0.01 else size

    # ---- what replies tell ----

    def learn(self, message: bytes, reply: bytes) -> None:
        """The reply to one of the requests; '' where there was none."""
        if len(reply) < OUT_HEADER_SIZE or int.from_bytes(reply[4:8], "little"):
            return
        opcode = Opcode(int.from_bytes(message[4:8], "little"))
        nodeid = int.from_bytes(message[16:24], "little")
        payload = reply[OUT_HEADER_SIZE:]
        operation = OPERATIONS[opcode]
        if fuse.FuseEntryOut in operation.reply:
            nodeid = self._entry(payload)
        if fuse.FuseOpenOut in operation.reply and nodeid in self._nodes:
            self._nodes[nodeid].opens += 1
        if opcode in (Opcode.READDIR, Opcode.READDIRPLUS):
            self._listed(nodeid, payload, opcode is Opcode.READDIRPLUS)

    def _entry(self, payload: bytes) -> int:
        entry = fuse.FuseEntryOut.from_buffer_copy(payload)
        node = self._nodes.setdefault(entry.nodeid, _Node(entry.nodeid, stat.S_IFMT(entry.attr.mode)))
        node.lookups += 1
        return node.nodeid

    def _listed(self, nodeid: int, payload: bytes, plus: bool) -> None:
        cookies = [entry.cookie for entry in directory_entries(payload, plus)]
        if nodeid in self._nodes:
            self._nodes[nodeid].cookies += cookies[-2:]
            del self._nodes[nodeid].cookies[1:-8]
        at = 0
        for entry in directory_entries(payload, plus):
            if plus and entry.nodeid:
                self._entry(payload[at : at + _ENTRY])
            at += (_ENTRY if plus else 0) + sizeof(fuse.FuseDirent) + len(entry.name) + 7 & ~7

    # ---- what requests are made of ----

    def _subject(self, opcode: Opcode) -> _Node:
        rng = self.rng
        if rng.randrange(100) < self.limits.strange:
            return _Node(rng.choice([0, 1 << 32 | 1, 2, 1 << 32 | 2, rng.getrandbits(64), 3, 5]), stat.S_IFREG)
        nodes = list(self._nodes.values())
        if opcode in _ON_DIRECTORIES:
            nodes = [node for node in nodes if node.kind == stat.S_IFDIR]
        elif opcode in _ON_OPEN:
            nodes = [node for node in nodes if node.opens] or nodes
            if opcode in _ON_CONTENTS:  # most of it happens to a few files, so that they see much of it
                files = [node for node in nodes if node.kind == stat.S_IFREG] or nodes
                nodes = files[:2] if rng.randrange(4) else nodes
        elif opcode in (Opcode.FORGET, Opcode.BATCH_FORGET):
            nodes = [node for node in nodes if node.lookups] or nodes
        return rng.choice(nodes)

    def _directory(self) -> int:
        return self.rng.choice([node.nodeid for node in self._nodes.values() if node.kind == stat.S_IFDIR])

    def _any(self) -> int:
        return self.rng.choice(list(self._nodes))

    def _name(self) -> bytes:
        rng, limits = self.rng, self.limits
        name = b"n%d" % rng.randrange(limits.names)
        chance = rng.randrange(100)
        if chance < limits.long_names:
            name = name.ljust(rng.choice([31, 32, 33, 64, 255, 256]), b"x")
        elif chance < limits.long_names + 2:
            name = rng.choice([b".", b"..", b"", b"a/b"])
        return name + b"\0"

    def _fh(self, node: _Node) -> int:
        return node.nodeid if self.rng.randrange(50) else self._any()

    def _offset(self) -> int:
        rng, limits = self.rng, self.limits
        if rng.randrange(100) < limits.sparse:
            edge = 1 << rng.choice([31, 32, 40, 63])
            return max(0, edge + rng.randint(-limits.data, limits.data)) & (1 << 64) - 1
        return rng.choice([rng.randrange(limits.end), rng.randrange(limits.end // _PAGE) * _PAGE])

    def _size(self) -> int:
        return int(log_uniform(self.rng, 1, self.limits.data + 1)) - (self.rng.randrange(20) == 0)

    def _forget(self, node: _Node) -> bytes:
        return bytes(fuse.FuseForgetIn(self._give_back(node)))

    def _batch_forget(self, node: _Node) -> bytes:
        chosen = self.rng.sample(list(self._nodes.values()), min(3, len(self._nodes)))
        ones = b"".join(bytes(fuse.FuseForgetOne(one.nodeid, self._give_back(one))) for one in chosen)
        return bytes(fuse.FuseBatchForgetIn(len(chosen), 0)) + ones

    def _give_back(self, node: _Node) -> int:
        count = node.lookups if self.rng.randrange(3) else self.rng.randint(0, node.lookups)
        node.lookups -= count
        if not node.lookups and node.nodeid in self._nodes and node.nodeid != FUSE_ROOT_ID and not node.opens:
            del self._nodes[node.nodeid]
        return count

    def _release(self, node: _Node) -> bytes:
        node.opens = max(0, node.opens - 1)
        return bytes(fuse.FuseReleaseIn(self._fh(node)))

    def _setattr(self, node: _Node) -> bytes:
        rng = self.rng
        valid = 0
        for bit in (Fattr.MODE, Fattr.UID, Fattr.GID, Fattr.ATIME, Fattr.MTIME, Fattr.CTIME, Fattr.MTIME_NOW):
            valid |= bit if rng.randrange(4) == 0 else 0
        if node.kind != stat.S_IFDIR and rng.randrange(2):
            valid |= Fattr.SIZE
        if rng.randrange(4) == 0:
            valid |= Fattr.FH
        size = rng.choice([self._offset(), rng.randrange(self.limits.data + 1), rng.randrange(_PAGE)])
        want = fuse.FuseSetattrIn(valid=valid, fh=self._fh(node), size=size, uid=rng.randrange(9))
        want.mode, want.gid, want.atime, want.mtime, want.ctime = rng.getrandbits(16), rng.randrange(9), 5, 6, 7
        return bytes(want)

    def _mknod(self, node: _Node) -> bytes:
        mode = self.rng.choice([0, stat.S_IFREG, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFSOCK, stat.S_IFDIR]) | 0o644
        return bytes(fuse.FuseMknodIn(mode, 0x103)) + self._name()

    def _rename2(self, node: _Node) -> bytes:
        flags = self.rng.choice([0, 0, 0, 1, 2, 2, 3])
        return bytes(fuse.FuseRename2In(self._directory(), flags)) + self._name() + self._name()

    def _read(self, node: _Node) -> bytes:
        if self.rng.randrange(2):
            return bytes(fuse.FuseReadIn(self._fh(node), 0, self.limits.end))
        return bytes(fuse.FuseReadIn(self._fh(node), self._offset(), self._size()))

    def _write(self, node: _Node) -> bytes:
        offset, size = self._offset(), self._size()
        if self.rng.randrange(2):  # where much is written, read and cut
            offset, size = self.rng.randrange(_PAGE), self.rng.randint(1, self.limits.data)
        return bytes(fuse.FuseWriteIn(self._fh(node), offset, size)) + self.rng.randbytes(size)

    def _list(self, node: _Node) -> bytes:
        size = self.rng.choice([64, 200, 512, _PAGE, 2 * _PAGE])
        return bytes(fuse.FuseReadIn(self._fh(node), self.rng.choice(node.cookies), size))

    def _create(self, node: _Node) -> bytes:
        flags = O_RDWR | O_CREAT | self.rng.choice([0, 0, O_EXCL, O_TRUNC])
        return bytes(fuse.FuseCreateIn(flags, 0o100644)) + self._name()

    def _fallocate(self, node: _Node) -> bytes:
        mode = self.rng.choice(FALLOC_MODES)
        return bytes(fuse.FuseFallocateIn(self._fh(node), self._offset(), self._size(), mode))


_ON_DIRECTORIES = frozenset(
    (
        Opcode.LOOKUP, Opcode.SYMLINK, Opcode.MKNOD, Opcode.MKDIR, Opcode.UNLINK, Opcode.RMDIR, Opcode.RENAME,
        Opcode.RENAME2, Opcode.LINK, Opcode.OPENDIR, Opcode.READDIR, Opcode.READDIRPLUS, Opcode.CREATE, Opcode.TMPFILE,
    )
)  # fmt: skip
_ON_OPEN = frozenset(
    (
        Opcode.READ, Opcode.WRITE, Opcode.SETATTR, Opcode.FALLOCATE, Opcode.RELEASE, Opcode.RELEASEDIR, Opcode.FSYNC,
        Opcode.FLUSH,
    )
)  # fmt: skip
_ON_CONTENTS = frozenset((Opcode.READ, Opcode.WRITE, Opcode.SETATTR, Opcode.FALLOCATE))
