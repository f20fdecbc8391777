"""Notification engine: brings messages from the store to the buffers that the driver posted on queue 1."""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable

from virtiofs_model.defects import Defect
from virtiofs_model.endpoint.core import SERVICE, Core
from virtiofs_model.endpoint.mover import Context, Mover
from virtiofs_model.endpoint.tasks import Steps
from virtiofs_model.engine import EngineNotify, NotifyClass
from virtiofs_model.errors import ErrorCode
from virtiofs_model.layouts.dpu import DpuCounter, NotifyResult
from virtiofs_model.layouts.fuse_constants import FUSE_KERNEL_VERSION, Opcode
from virtiofs_model.layouts.fuse_operations import IN_HEADER_SIZE, OUT_HEADER_SIZE
from virtiofs_model.layouts.virtio import Feature
from virtiofs_model.notification import Message, MessageStore, well_formed
from virtiofs_model.registers import NotifyPolicy
from virtiofs_model.virtqueue import slices


class Notifier:
    """Messages leave in order, once a session is initialised, behind every reply that was given before them.

    lost: a message of firmware was dropped in this session. on_room: called when the store has more room than before.
    session: the number of the file system's session; kept: bytes of the store that it keeps for what is to come.
    """

    def __init__(self, core: Core, mover: Mover) -> None:
        self._core = core
        self._mover = mover
        self._store = MessageStore()
        self._waiting: deque[bytes] = deque()
        self.lost = False
        self.release: Callable[[Context], None] = lambda context: None
        self.on_room: Callable[[], None] = lambda: None
        self.session: Callable[[], int] = lambda: 0
        self.kept: Callable[[], int] = lambda: 0
        mover.on_notify = self._from_engine
        self.start()

    def start(self) -> None:
        """Empty the store, forget the buffers and start delivering (device reset)."""
        self._empty()
        self._buffers: deque[Context] = deque()
        self._init: Context | None = None
        self._delivering = False
        self._core.scheduler.spawn(self._deliver(), SERVICE)

    # ---- messages in ----

    def offer(self, message: bytes) -> NotifyResult:
        """The notify mailbox: a whole message, fuse_out_header included."""
        registers = self._core.registers
        answer = NotifyResult.REFUSED
        negotiated = registers.driver_ok and registers.negotiated(Feature.FS_NOTIFICATION)
        fits = len(message) <= self.room()
        if negotiated and well_formed(message, registers.straps.notify_buf_size) and fits:
            answer = self._put(message)
        if answer is NotifyResult.REFUSED:
            self._core.count(DpuCounter.NOTIFY_REFUSED)
        return answer

    def _put(self, message: bytes, session: int | None = None) -> NotifyResult:
        usable = sum(self._fault(buffer) is None for buffer in self._buffers)
        if self._core.defect is Defect.NOTIFY_LOST and usable == 0:
            return NotifyResult.HELD
        answer = self._store.offer(message, self._mover.replies_given, usable, session)
        if answer is NotifyResult.HELD:
            self._core.count(DpuCounter.NOTIFY_HELD)
        self._mover.replies_changed.fire()
        return answer

    def _from_engine(self, notify: EngineNotify, message: bytes) -> None:
        """From the stream of firmware: only an invalidation may be lost, and only by policy."""
        registers = self._core.registers
        if not (registers.driver_ok and registers.negotiated(Feature.FS_NOTIFICATION)):
            self._core.count(DpuCounter.NOTIFY_REFUSED)
            return
        if not self._waiting and self._put(message) is not NotifyResult.REFUSED:
            return
        hold = registers.straps.notify_policy is NotifyPolicy.HOLD
        if hold or notify.notify_class != NotifyClass.INVALIDATION:
            self._waiting.append(message)
        else:
            self._core.count(DpuCounter.NOTIFY_DROPPED)
            self.lost = True

    # ---- the file system in hardware ----

    def room(self) -> int:
        """Bytes that the store has left, beside what is kept."""
        kept = 0 if self._core.defect is Defect.LOCK_PLACE_NOT_KEPT else self.kept()
        return self._store.capacity - self._store.used_bytes - kept

    def store(self, message: bytes) -> None:
        """A message of the file system, for which there is room: it means nothing to another session."""
        self._put(message, self.session())

    def notice(self, message: bytes) -> None:
        """The same of one whose place was kept."""
        if self._core.defect is Defect.LOCK_MESSAGE_LOST and not self._buffers:
            return
        self.store(message)
        if self._core.defect is Defect.LOCK_MESSAGE_TWICE and len(message) <= self.room():
            self.store(message)

    # ---- what the queues see ----

    def buffer(self, context: Context) -> None:
        """A chain of the notification queue was fetched."""
        self._buffers.append(context)
        self._mover.replies_changed.fire()

    def drop_buffers(self) -> Steps[None]:
        """Queue reset: fetched chains are forgotten, messages stay, but for one that was begun: it is finished."""
        if self._core.defect is not Defect.QUEUE_RESET_KEEPS_BUFFERS:
            self._buffers.clear()
        while self._delivering:
            yield self._mover.replies_changed

    def request(self, context: Context, head: bytes) -> None:
        """A request is on its way to the engine: a FUSE_INIT may begin a session."""
        (opcode,) = struct.unpack_from("<I", head, 4)
        if opcode == Opcode.INIT:
            context.on_used = lambda reply: self._init_used(context, head, reply)

    def begin_session(self, context: Context) -> None:
        """A FUSE_INIT to the file system in hardware begins a session, and ends the one before it, with its messages.

        Without a session before it, messages are held for its reply, and stay.
        """
        if self._store.initialised:
            self._empty()
        self._init = context

    def _init_used(self, context: Context, head: bytes, reply: bytes) -> None:
        major = int.from_bytes(head[IN_HEADER_SIZE : IN_HEADER_SIZE + 4], "little")
        begins = len(reply) >= OUT_HEADER_SIZE and not any(reply[4:8]) and major <= FUSE_KERNEL_VERSION
        if not begins:
            if self._core.defect is Defect.INIT_REFUSED_EMPTIES_STORE:
                self._empty()
                self._store.initialised = True
            return
        if self._core.registers.straps.firmware:
            if self._store.initialised:
                self._empty(self._mover.replies_used)
            self._store.initialised = True
        elif context is self._init:
            self._store.initialised = True

    def _empty(self, before: int | None = None) -> None:
        """Forget what was stored before so many replies were given (None: all)."""
        later = [] if before is None else [message for message in self._store.messages if message.ticket >= before]
        for _ in range(self._store.empty() + len(self._waiting) - len(later)):
            self._core.count(DpuCounter.NOTIFY_EMPTIED)
        self._waiting.clear()
        for message in later:
            self._store.put_back(message)
        self.lost = False
        self.on_room()

    # ---- messages out ----

    def _fault(self, buffer: Context) -> ErrorCode | None:
        """Why a chain cannot take a message."""
        if buffer.chain.readable_bytes:
            return ErrorCode.NOTIFY_READABLE
        too_small = buffer.chain.writable_bytes < self._core.registers.straps.notify_buf_size
        if too_small and self._core.defect is not Defect.NOTIFY_SMALL_CHAIN:
            return ErrorCode.NOTIFY_SMALL
        return None

    def _may_leave(self) -> bool:
        if self._core.defect is Defect.NOTIFY_BEFORE_INIT:
            return bool(self._store.messages)
        replies_used = self._mover.replies_used
        if self._core.defect is Defect.NOTIFY_OVERTAKES_REPLY:
            replies_used = self._mover.replies_given
        return self._store.may_leave(replies_used)

    def _forget_old(self) -> None:
        """What was announced to a session that is over."""
        messages = self._store.messages
        while messages and messages[0].session not in (None, self.session()):
            self._take()
            self._core.count(DpuCounter.NOTIFY_EMPTIED)

    def _take(self) -> Message:
        if self._core.defect is Defect.NOTIFY_REORDERED:
            self._store.messages.rotate(1)
        message = self._store.take()
        while self._waiting and self._put(self._waiting[0]) is not NotifyResult.REFUSED:
            self._waiting.popleft()
        self.on_room()
        return message

    def _deliver(self) -> Steps[None]:
        """Chains that cannot be used go back once a session runs; nothing is written to queue 1 before."""
        while True:
            self._forget_old()
            if self._core.defect is Defect.ORDER_OF_BUFFERS:
                self._buffers.rotate(1)
            buffer = self._buffers[0] if self._buffers else None
            fault = self._fault(buffer) if buffer else None
            self._delivering = True
            if buffer and fault is not None and self._store.initialised:
                self._buffers.popleft()
                self._core.log(fault, buffer.queue, buffer.chain.head)
                self._core.count(DpuCounter.NOTIFY_CHAINS_RETURNED)
                yield from self._mover.used(buffer.queue, buffer.chain, 0)
                self.release(buffer)
            elif buffer and fault is None and self._may_leave():
                self._buffers.popleft()
                data = self._take().data
                pieces = slices(buffer.chain.writable, 0, len(data))
                yield from self._mover.scatter(pieces, data)
                written = sum(piece.length for piece in pieces)
                yield from self._mover.used(buffer.queue, buffer.chain, written)
                self._core.count(DpuCounter.NOTIFY_DELIVERED)
                self.release(buffer)
                self._mover.replies_changed.fire()
            else:
                self._delivering = False
                yield self._mover.replies_changed
