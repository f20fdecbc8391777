"""Between the golden device's file system and its message store: what the DPU's changes are announced as when there is
room, and what becomes of them when there is none (docs/notifications.md, "When the store is full", "Recovery")."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass

from virtiofs_model.defects import Defect
from virtiofs_model.endpoint.core import SERVICE, Core
from virtiofs_model.endpoint.faulty_announcements import spoilt_notices
from virtiofs_model.endpoint.mover import Context
from virtiofs_model.endpoint.notifier import Notifier
from virtiofs_model.endpoint.tasks import Steps
from virtiofs_model.layouts.dpu import DpuCounter
from virtiofs_model.layouts.fuse import FuseNotifyInvalInodeOut
from virtiofs_model.layouts.fuse_constants import NotifyCode, Opcode
from virtiofs_model.layouts.fuse_operations import OUT_HEADER_SIZE
from virtiofs_model.layouts.virtio import Feature
from virtiofs_model.ramfs.announce import inc_epoch, inval_inode, may_be_cached
from virtiofs_model.ramfs.server import RamfsServer
from virtiofs_model.ramfs.state import State
from virtiofs_model.registers import NotifyPolicy

WORST_CASE = 1024
"""Room in the store, in bytes, with which any request of the DPU may begin."""

TABLE_PLACES = 8
"""Inodes whose invalidations wait outside the store (policy coalesce)."""

EPOCHS_SINCE = 44
"""Minor version of the protocol from which on a lost name can be repaired."""

NAMES = frozenset(
    (
        Opcode.MKNOD, Opcode.MKDIR, Opcode.SYMLINK, Opcode.CREATE, Opcode.LINK, Opcode.UNLINK, Opcode.RMDIR,
        Opcode.RENAME, Opcode.RENAME2,
    )
)  # fmt: skip
"""The opcodes that may announce a name."""


@dataclass
class Range:
    """What of an inode is stale: bytes [low, high), high None for the end of the file; low < 0: attributes only."""

    low: int
    high: int | None

    @staticmethod
    def of(offset: int, length: int) -> Range:
        """From the fields of an INVAL_INODE."""
        return Range(offset, offset + length if length > 0 else None)

    def take_in(self, other: Range) -> None:
        """Cover the other one too. Attributes are stale in any case."""
        if other.low < 0:
            return
        if self.low < 0:
            self.low, self.high = other.low, other.high
            return
        self.low = min(self.low, other.low)
        self.high = None if self.high is None or other.high is None else max(self.high, other.high)

    def message(self, nodeid: int) -> bytes:
        """The INVAL_INODE that says it."""
        return inval_inode(nodeid, self.low, 0 if self.high is None or self.low < 0 else self.high - self.low)


class Announcer:
    """Announces to the session that `state` has. overflow: the flag of NOTIFY_FLAGS."""

    def __init__(self, core: Core, notifier: Notifier, state: State) -> None:
        self._core = core
        self._notifier = notifier
        self._state = state
        self.changed = core.signal()  # there may be room, or something to store
        notifier.on_room = self.changed.fire
        notifier.session = lambda: state.session.number
        notifier.kept = lambda: state.kept_bytes
        state.notices.room = lambda size: notifier.room() >= size
        self.start()

    def start(self) -> None:
        """No session has anything that is owed to it (device reset)."""
        self.end_session()
        self._core.scheduler.spawn(self._repair(), SERVICE)

    def end_session(self) -> None:
        """What was owed to the session is forgotten with it."""
        self.overflow = False
        self._table: dict[int, Range] = {}
        self._walked = 0  # the walk: the last slot that is done; 0: INC_EPOCH is not sent
        self.changed.fire()

    def begin_session(self, init: Context) -> None:
        """A FUSE_INIT has begun a new one."""
        self._notifier.begin_session(init)

    def tell(self, server: RamfsServer) -> None:
        """Store what has to be said of locks and polls, for which places were kept; to a driver that asked for it."""
        for message in spoilt_notices(self._core.defect, server.take_notices()):
            self._notifier.notice(message)

    def may_begin(self, opcode: int) -> bool:
        """Whether a request of the DPU may take effect now."""
        policy = self._core.registers.straps.notify_policy
        minor = self._state.minor
        if not self._listens() or minor is None:
            return True
        older = minor < EPOCHS_SINCE and self._core.defect is not Defect.ANNOUNCE_OLD_SESSION
        held = policy is NotifyPolicy.HOLD or (opcode in NAMES and older)
        return not held or self._notifier.room() >= WORST_CASE

    def _listens(self) -> bool:
        registers = self._core.registers
        return registers.driver_ok and registers.negotiated(Feature.FS_NOTIFICATION)

    def announce(self, messages: Iterable[bytes]) -> None:
        """The messages of one operation, in order; to a driver that did not ask for them nothing is said."""
        if not self._listens():
            return
        for message in messages:
            self._drain()
            if self._table or not self._store(message):
                self._without_room(message)
        self.changed.fire()

    def _store(self, message: bytes) -> bool:
        if self._notifier.room() < len(message):
            return False
        self._notifier.store(message)
        return True

    def _without_room(self, message: bytes) -> None:
        (code,) = struct.unpack_from("<i", message, 4)
        if self._core.registers.straps.notify_policy is NotifyPolicy.COALESCE and code == NotifyCode.INVAL_INODE:
            body = FuseNotifyInvalInodeOut.from_buffer_copy(message, OUT_HEADER_SIZE)
            stale = Range.of(body.off, body.len)
            if body.ino in self._table:
                if self._core.defect is Defect.ANNOUNCE_COALESCED_LAST:
                    self._table[body.ino] = stale
                self._table[body.ino].take_in(stale)
                self._core.count(DpuCounter.NOTIFY_COALESCED)
                return
            if len(self._table) < TABLE_PLACES:
                self._table[body.ino] = stale
                return
        self._core.count(DpuCounter.NOTIFY_DROPPED)
        self.overflow = self._core.defect is not Defect.ANNOUNCE_OVERFLOW_SILENT
        self._walked = 0

    # ---- later ----

    def _drain(self) -> None:
        """Store what waits in the table, as far as there is room."""
        for nodeid in list(self._table):
            if not self._store(self._table[nodeid].message(nodeid)):
                return
            del self._table[nodeid]

    def _repair(self) -> Steps[None]:
        """The table, then the walk: a message a step, each as soon as there is room for it."""
        while True:
            self._drain()
            if self._table or not self.overflow or not self._step():
                yield self.changed
            else:
                yield None

    def _step(self) -> bool:
        """One message of the walk; False where there is no room for it."""
        minor = self._state.minor
        assert minor is not None
        if self._walked == 0:
            epochs = minor >= EPOCHS_SINCE and self._core.defect is not Defect.ANNOUNCE_NO_EPOCH
            if epochs and not self._store(inc_epoch()):
                return False
            self._walked = -1
            return True
        inodes = self._state.tree.store.inodes
        for slot in sorted(inodes):
            if self._core.defect is Defect.ANNOUNCE_EPOCH_ALONE:
                break
            if slot > self._walked and may_be_cached(inodes[slot]):
                if not self._store(inval_inode(inodes[slot].nodeid, 0, 0)):
                    return False
                self._walked = slot
                return True
        self.overflow = False
        self._walked = 0
        return True
