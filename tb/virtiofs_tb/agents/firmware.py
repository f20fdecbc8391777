"""The firmware engine's software: takes FUSE requests from the endpoint, has a server answer them, sends replies.

It is what runs on the processors of a shipping DPU, here in Python: any FuseServer (the golden file system, a
directory of the host) behind any EnginePort (RTL, golden device). It drives the engine's streams as hard as their
contract allows: replies leave at seeded moments and in any order, cut anywhere between immediate bytes and storage.
"""

from __future__ import annotations

import errno
import random
from collections import Counter, deque
from collections.abc import Callable, Hashable
from ctypes import sizeof
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from virtiofs_model.engine import (
    ControlKind,
    EngineControl,
    EngineNotify,
    EnginePort,
    EngineReply,
    EngineRequest,
    MoverDirection,
    MoverDone,
    MoverJob,
    MoverResult,
    NotifyClass,
    ReplyKind,
    is_older,
)
from virtiofs_model.layouts.fuse import FuseInHeader, FuseOutHeader
from virtiofs_model.ramfs import NOT_YET, RamfsServer
from virtiofs_model.ramfs.dpu import DpuClient
from virtiofs_model.ramfs.server import LateReply
from virtiofs_tb.host.loop import Loop, Timer
from virtiofs_tb.host.port import DpuError
from virtiofs_tb.seeds import log_uniform

# Storage: each context has a slot for what the driver wrote and one for what it will read. Of either the first bytes
# travel with the message, so the largest transfer has room.
SLOT_BYTES = 1 << 20
CONTEXTS = 32
OUT_BASE = CONTEXTS * SLOT_BYTES
UNALIGNED = 64  # replies start anywhere in the first bytes of their slot


class FuseServer(Protocol):
    """Answers FUSE requests; never raises for anything a client can send."""

    def handle(
        self, message: bytes, writable: int | None = None, length: int | None = None, token: Hashable = None
    ) -> bytes | None:
        """The reply, None where none is due or it would not fit into `writable` bytes, or NOT_YET (ramfs/server.py).

        length: of the whole message, where not all is at hand; token: what late_replies() calls the request by.
        """
        ...

    def late_replies(self) -> list[LateReply]:
        """Replies to requests that had none yet, since this was asked."""
        ...

    def reset(self) -> None:
        """The device was reset: the session ends."""
        ...

    def forget(self, gone: Callable[[Hashable], bool]) -> None:
        """A queue was reset: requests that wait, and that `gone` says of by their token, are never answered."""
        ...


@dataclass
class FirmwareTiming:
    """Delays of the firmware in ps: log-uniform between the bounds. immediate_max: bytes sent with a reply;
    ahead_percent: chance that a job moves a piece of a long reply before the reply is sent."""

    shortest_ps: int = 20_000
    longest_ps: int = 400_000
    immediate_max: int = 512
    ahead_percent: int = 10


@dataclass(eq=False)
class _Open:
    """A request that is with the firmware. error: the errno that its payload's loss asks for; answer: the reply and
    its immediate bytes, which wait for a job to end; waits: it is answered when another request lets it go on;
    decided: it took effect."""

    request: EngineRequest
    head: bytes
    error: int = 0
    answer: tuple[EngineReply, bytes] | None = None
    waits: bool = False
    decided: bool = False


@dataclass
class _Announcement:
    """Messages that leave when the replies that were decided before them have left."""

    messages: list[bytes]
    behind: list[_Open]


class FirmwareAgent:
    """Serves one endpoint. rng: seeded stream of this agent alone."""

    def __init__(
        self,
        port: EnginePort,
        server: FuseServer,
        loop: Loop,
        rng: random.Random,
        timing: FirmwareTiming | None = None,
    ) -> None:
        self.port = port
        self.server = server
        self.timing = timing or FirmwareTiming()
        self.requests_by_opcode: Counter[int] = Counter()
        self._loop = loop
        self._rng = rng
        self._epoch = 0
        self._open: dict[int, _Open] = {}
        self._timers: set[Timer] = set()
        self._announcements: deque[_Announcement] = deque()
        port.on_request(self._on_request)
        port.on_done(self._on_done)
        port.on_control(self._on_control)

    @property
    def open_requests(self) -> int:
        """Requests that have come and are not yet answered, but for those that wait for another request."""
        return len(self._open) - self.waiting_requests

    @property
    def waiting_requests(self) -> int:
        """Requests that wait for another one: a SETLKW whose lock is held by somebody else."""
        return sum(entry.waits for entry in self._open.values())

    # ---- the DPU as a client ----

    def fs_request(self, message: bytes) -> bytes:
        """The DPU itself asks the file system, and the driver is told what that made stale (docs/notifications.md).

        Raises DpuError where the server has no way for the DPU to ask.
        """
        if not isinstance(self.server, RamfsServer):
            raise DpuError(f"{type(self.server).__name__} serves no requests of the DPU, the golden file system does")
        answer = DpuClient(self.server).request(message)
        if answer.messages:
            behind = [entry for entry in self._open.values() if entry.decided]
            self._announcements.append(_Announcement(answer.messages, behind))
            self._announce()
        return answer.reply

    def _announce(self) -> None:
        """A message must not overtake a reply that was decided before the change: the driver would cache it."""
        while self._announcements:
            first = self._announcements[0]
            first.behind = [entry for entry in first.behind if self._open.get(entry.request.ctx) is entry]
            if first.behind:
                return
            self._announcements.popleft()
            for message in first.messages:
                self.port.notify(EngineNotify(NotifyClass.INVALIDATION, self._epoch, len(message)), message)

    # ---- messages of the endpoint ----

    def _on_request(self, request: EngineRequest, head: bytes) -> None:
        if is_older(request.epoch, self._epoch):
            return  # a reset came while the endpoint was sending it: its bytes mean nothing
        if request.epoch != self._epoch:
            self._enter(request.epoch)
        self.requests_by_opcode[int.from_bytes(head[4:8], "little")] += 1
        self._open[request.ctx] = _Open(request, head)
        missing = request.readable - len(head)
        if missing > SLOT_BYTES:
            self._open[request.ctx].error = errno.E2BIG
        elif missing > 0:
            job = MoverJob(
                ctx=request.ctx,
                direction=MoverDirection.IN,
                epoch=request.epoch,
                offset=len(head),
                length=missing,
                address=request.ctx * SLOT_BYTES,
            )
            self.port.job(job)
            return
        self._later(request.ctx, self._execute)

    def _on_done(self, done: MoverDone) -> None:
        entry = self._open.get(done.ctx)
        if entry is None or entry.request.epoch != done.epoch:
            return  # of a session that a reset has ended
        if entry.answer is not None:
            del self._open[done.ctx]
            self.port.reply(*entry.answer)
            self._announce()
            return
        if done.result != MoverResult.OK:
            entry.error = errno.EIO
        self._later(done.ctx, self._execute)

    def _on_control(self, control: EngineControl) -> None:
        if control.kind != ControlKind.DEVICE_RESET:
            gone = {ctx: entry for ctx, entry in self._open.items() if entry.request.queue == control.queue}
            for ctx in gone:
                del self._open[ctx]
            self.server.forget(lambda token: token in gone.values())
            self._wake()
            self._announce()
        elif control.epoch != self._epoch:
            self._enter(control.epoch)
        # Not among the timers: a further reset must not swallow the acknowledgement that is owed for this one.
        queue = control.queue if control.kind == ControlKind.QUEUE_RESET else None
        self._loop.call_at(self._loop.now_ps + self._delay_ps(), lambda: self.port.control_ack(control.epoch, queue))

    def _enter(self, epoch: int) -> None:
        """The device was reset. A request of the new epoch may tell it before the control message does."""
        self._epoch = epoch
        self.server.reset()
        self._open.clear()
        self._announcements.clear()
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()

    # ---- answering ----

    def _execute(self, entry: _Open) -> None:
        """The request takes effect now; its reply leaves later."""
        request = entry.request
        if entry.error:
            unique = FuseInHeader.from_buffer_copy(entry.head).unique
            reply: bytes | None = bytes(FuseOutHeader(sizeof(FuseOutHeader), -entry.error, unique))
        else:
            message = entry.head
            if request.readable > len(message):
                rest = request.readable - len(message)
                message += self.port.storage_read(request.ctx * SLOT_BYTES, rest)
            reply = self.server.handle(message, request.writable, token=entry)
        if reply == NOT_YET:
            entry.waits = True
        else:
            entry.decided = True
            self._later(request.ctx, lambda entry: self._reply(entry, reply))
        self._wake()

    def _wake(self) -> None:
        """Requests that another one has let go on are answered."""
        for token, late in self.server.late_replies():
            if isinstance(token, _Open) and self._open.get(token.request.ctx) is token:
                token.waits, token.decided = False, True
                self._later(token.request.ctx, partial(self._reply, reply=late))

    def _reply(self, entry: _Open, reply: bytes | None) -> None:
        request = entry.request
        if reply is None:
            kind = ReplyKind.NONE if request.writable == 0 else ReplyKind.CANNOT_REPLY
            self._send(EngineReply(ctx=request.ctx, kind=kind, epoch=request.epoch))
            return
        if len(reply) > request.writable:
            self._send(EngineReply(ctx=request.ctx, kind=ReplyKind.CANNOT_REPLY, epoch=request.epoch))
            return
        longest = min(len(reply), self.timing.immediate_max)
        cut = len(reply) if len(reply) <= longest else self._rng.randint(16, longest)
        rest = reply[cut:]
        address = OUT_BASE + request.ctx * SLOT_BYTES
        if rest:
            address += min(self._rng.randrange(UNALIGNED), SLOT_BYTES - len(rest))
            self.port.storage_write(address, rest)
        message = EngineReply(
            ctx=request.ctx,
            kind=ReplyKind.REPLY,
            epoch=request.epoch,
            immediate=cut,
            storage_length=len(rest),
            address=address if rest else 0,
        )
        if rest and self._rng.random() < self.timing.ahead_percent / 100:
            entry.answer = (message, reply[:cut])
            first = self._rng.randrange(len(rest))
            job = MoverJob(
                ctx=request.ctx,
                direction=MoverDirection.OUT,
                epoch=request.epoch,
                offset=cut + first,
                length=self._rng.randint(1, len(rest) - first),
                address=address + first,
            )
            self.port.job(job)
            return
        self._send(message, reply[:cut])

    def _send(self, message: EngineReply, immediate: bytes = b"") -> None:
        del self._open[message.ctx]
        self.port.reply(message, immediate)
        self._announce()

    # ---- time ----

    def _later(self, ctx: int, action: Callable[[_Open], None]) -> None:
        entry = self._open[ctx]

        def act() -> None:
            # A reset may have ended the request, and another one may have taken its context since.
            if self._open.get(ctx) is entry:
                action(entry)

        self._after(act)

    def _after(self, action: Callable[[], None]) -> None:
        def act() -> None:
            self._timers.discard(timer)
            action()

        timer = self._loop.call_at(self._loop.now_ps + self._delay_ps(), act)
        self._timers.add(timer)

    def _delay_ps(self) -> int:
        return int(log_uniform(self._rng, self.timing.shortest_ps, self.timing.longest_ps))
