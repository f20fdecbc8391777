"""The `ramfs` engine of the golden device: the golden file system answers by itself, without firmware."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace

from virtiofs_model.defects import Defect
from virtiofs_model.endpoint.announcer import Announcer
from virtiofs_model.endpoint.core import Core, queue_group
from virtiofs_model.endpoint.dma import Dma, ReadError
from virtiofs_model.endpoint.mover import JOB_BLOCK, Context, Mover
from virtiofs_model.endpoint.tasks import Steps
from virtiofs_model.engine import EngineReply, ReplyKind
from virtiofs_model.errors import ErrorCode
from virtiofs_model.layouts.dpu import CacheOption
from virtiofs_model.layouts.fuse_constants import InitFlag, Opcode
from virtiofs_model.layouts.virtio import Feature
from virtiofs_model.ramfs import NOT_YET, RamfsServer
from virtiofs_model.ramfs.message import unread
from virtiofs_model.ramfs.notices import WAITS_BY_MESSAGE
from virtiofs_model.ramfs.state import GRANTED
from virtiofs_model.virtqueue import slices

LONGEST = (1 << 20) + 4096
"""Bytes of a message that are fetched at most: no request that is served has more."""

_INIT = Opcode.INIT.to_bytes(4, "little")
_WAITS = WAITS_BY_MESSAGE.to_bytes(4, "little")
_LATE_STEPS = 4000
_LOCKS = InitFlag.POSIX_LOCKS | InitFlag.FLOCK_LOCKS
_ENDS_SESSION = tuple(opcode.to_bytes(4, "little") for opcode in (Opcode.INIT, Opcode.DESTROY))


class RamfsEngine:
    """Fetches what follows the head of a request, lets the file system act on it in one step, and replies.

    Requests are fetched side by side; they take effect in the order in which their last byte came, more or less.
    """

    def __init__(self, core: Core, dma: Dma, mover: Mover, server: RamfsServer, announcer: Announcer) -> None:
        self._core = core
        self._dma = dma
        self._mover = mover
        self._announcer = announcer
        self._in_order = False
        self._most_waits = server.locks.most_waits
        self.server = server

    def configure(self) -> None:
        """Straps say what a client may cache. Where chains return in order, nobody can wait for a lock: that would hold
        up the request that frees it."""
        straps = self._core.registers.straps
        self.server.locks.most_waits = 0 if self._in_order else self._most_waits
        self.server.config = replace(
            self.server.config,
            granted=GRANTED & ~_LOCKS if self._in_order else GRANTED,
            valid_seconds=straps.valid_seconds,
            keep_cache=bool(straps.cache_options & CacheOption.KEEP_CACHE),
            negative_entries=bool(straps.cache_options & CacheOption.NEGATIVE_ENTRIES),
            lock_messages=bool(straps.cache_options & CacheOption.LOCK_MESSAGES)
            or self._core.defect is Defect.LOCK_WAITS_UNASKED,
        )

    def request(self, context: Context, head: bytes) -> None:
        """A request whose head was gathered."""
        if self._in_order != self._core.registers.negotiated(Feature.IN_ORDER):
            self._in_order = not self._in_order
            self.configure()
        self._core.scheduler.spawn(self._serve(context, head), queue_group(context.queue))

    def forget(self, queue: int) -> None:
        """Queue reset: what was not fetched in full has no effect, and who waits for a lock waits no more."""
        self.server.forget(lambda token: isinstance(token, Context) and token.queue == queue)
        self._announcer.tell(self.server)
        for token, answer in self.server.late_replies():  # those behind them in line go on
            assert isinstance(token, Context)
            self._reply(token, answer)

    def _serve(self, context: Context, head: bytes) -> Steps[None]:
        chain = context.chain
        message = bytearray(head)
        length = chain.readable_bytes
        try:
            if length <= LONGEST:
                wanted = length - unread(int.from_bytes(head[4:8], "little"))
                for piece in slices(chain.readable, len(head), max(0, wanted - len(head))):
                    for offset in range(0, piece.length, JOB_BLOCK):
                        size = min(JOB_BLOCK, piece.length - offset)
                        message += yield from self._dma.read(piece.address + offset, size)
        except ReadError as error:
            self._core.log(ErrorCode.PAYLOAD_READ, context.queue, error.address)
            del message[len(head) :]
        self._act(context, bytes(message), length)

    def _act(self, context: Context, message: bytes, length: int) -> None:
        """The request takes effect; it, and those whose wait for a lock it ends, are answered in the page's order."""
        server = self.server
        session, kept = server.session.number, server.kept_bytes
        server.notices.enabled = self._core.registers.negotiated(Feature.FS_NOTIFICATION)
        reply = server.handle(message, context.chain.writable_bytes, length, context)
        if server.session.number != session:
            self._announcer.end_session()
            if message[4:8] == _INIT:
                self._announcer.begin_session(context)
        self._announcer.tell(server)
        if server.kept_bytes < kept:
            self._announcer.changed.fire()  # places were given back
        answers: list[tuple[Hashable, bytes | None]] = [*self.server.late_replies()]
        if reply != NOT_YET:
            last = message[4:8] in _ENDS_SESSION or self._core.defect is Defect.FS_LOCK_ANSWER_EARLY
            answers.insert(len(answers) if last else 0, (context, reply))
        for token, answer in answers:
            assert isinstance(token, Context)
            late = answer is not None and answer[4:8] == _WAITS
            if late and self._core.defect is Defect.LOCK_MESSAGE_BEFORE_REPLY:
                self._core.scheduler.spawn(self._reply_late(token, answer), queue_group(token.queue))
            else:
                self._reply(token, answer)

    def _reply_late(self, context: Context, reply: bytes | None) -> Steps[None]:
        for _ in range(_LATE_STEPS):
            yield None
        self._reply(context, reply)

    def _reply(self, context: Context, reply: bytes | None) -> None:
        kind = ReplyKind.REPLY
        if reply is None:
            kind, reply = (ReplyKind.CANNOT_REPLY if context.chain.writable_bytes else ReplyKind.NONE), b""
        self._mover.reply(EngineReply(context.number, kind, self._mover.epoch, len(reply)), reply)
