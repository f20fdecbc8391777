"""Engine port, data mover and completion: requests go to the engine, its jobs and replies come back.

Each write lane is a queue that is worked off in order: data, then what returns the chain.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

from virtiofs_model.defects import Defect
from virtiofs_model.endpoint.core import SERVICE, Core
from virtiofs_model.endpoint.dma import Dma, ReadError
from virtiofs_model.endpoint.interrupts import Interrupts
from virtiofs_model.endpoint.storage import Storage
from virtiofs_model.endpoint.tasks import Steps
from virtiofs_model.endpoint.used_rings import UsedRings
from virtiofs_model.engine import (
    EPOCHS,
    ControlKind,
    EngineControl,
    EngineNotify,
    EngineReply,
    EngineRequest,
    Lane,
    MoverDirection,
    MoverDone,
    MoverJob,
    MoverResult,
    ReplyKind,
)
from virtiofs_model.errors import ErrorCode
from virtiofs_model.layouts.dpu import DpuCounter
from virtiofs_model.layouts.virtio import Feature
from virtiofs_model.registers import MAX_QUEUES
from virtiofs_model.virtqueue import Chain, Segment, slices

JOB_BLOCK = 4096
OVERTAKEN_STEPS = 60
"""How long a reply lingers so that a message can overtake it (a defect)."""


@dataclass(eq=False)
class Context:
    """A chain in flight. with_engine: the engine owes a reply. on_used: called when its used index has left. answer:
    the used length and the reply, once they are known."""

    number: int
    queue: int
    lane: Lane
    chain: Chain
    with_engine: bool = False
    on_used: Callable[[bytes], None] | None = None
    answer: tuple[int, bytes] | None = None


@dataclass
class _Discard:
    """A chain that goes back with used length 0 without having seen the engine."""

    context: Context


class Mover:
    """Implements EnginePort, executes jobs and replies, and returns chains to the driver.

    release(context) is called when a context may be used again. on_notify: a notification from the engine.
    on_own_request, on_own_reset, on_own_queue_reset: the same as an EnginePort tells, where a strap says that the
    endpoint answers itself. replies_given: how many chains of the request lane have an answer.
    """

    def __init__(self, core: Core, dma: Dma, interrupts: Interrupts) -> None:
        self._core = core
        self._dma = dma
        self._storage = Storage()
        self.rings = UsedRings(core, dma, interrupts)
        self._requests: list[Callable[[EngineRequest, bytes], None]] = []
        self._dones: list[Callable[[MoverDone], None]] = []
        self._controls: list[Callable[[EngineControl], None]] = []
        self._unacknowledged: set[int] = set()
        self.acknowledged = core.signal()
        self.epoch = 0
        self.release: Callable[[Context], None] = lambda context: None
        self.on_notify: Callable[[EngineNotify, bytes], None] = lambda notify, message: None
        self.on_own_request: Callable[[Context, bytes], None] = lambda context, head: None
        self.on_own_reset: Callable[[], None] = lambda: None
        self.on_own_queue_reset: Callable[[int], None] = lambda queue: None
        self._work_arrived = core.signal()
        self._lane_left = core.signal()
        self.replies_changed = core.signal()
        self.start()

    # ---- life ----

    def start(self) -> None:
        """Forget everything and start the lanes (device reset)."""
        self.rings.start()
        self._contexts: dict[int, Context] = {}
        self._work: dict[Lane, deque[tuple[MoverJob | EngineReply | _Discard, bytes]]] = {
            Lane.HI: deque(),
            Lane.REQ: deque(),
        }
        self._served: dict[Lane, Context] = {}
        self._order: list[deque[Context]] = [deque() for _ in range(MAX_QUEUES)]
        self._stopped: set[int] = set()
        self._unacknowledged_queues: set[int] = set()
        self.replies_given = 0
        self._tickets: dict[Context, int] = {}
        for lane in (Lane.HI, Lane.REQ):
            self._core.scheduler.spawn(self._serve(lane), SERVICE)

    def epoch_free(self) -> bool:
        """Whether the next epoch is not in use any more by messages that the engine has not forgotten."""
        return (self.epoch + 1) % EPOCHS not in self._unacknowledged

    def next_epoch(self) -> None:
        """Tell the engine that a device reset took place."""
        self.epoch = (self.epoch + 1) % EPOCHS
        if not self._core.registers.straps.firmware:
            self.on_own_reset()
            return
        self._unacknowledged.add(self.epoch)
        for callback in self._controls:
            callback(EngineControl(ControlKind.DEVICE_RESET, 0, self.epoch))

    # ---- EnginePort ----

    def on_request(self, callback: Callable[[EngineRequest, bytes], None]) -> None:
        """`callback` gets every request with the head of its readable part."""
        self._requests.append(callback)

    def on_done(self, callback: Callable[[MoverDone], None]) -> None:
        """`callback` gets the end of every mover job."""
        self._dones.append(callback)

    def on_control(self, callback: Callable[[EngineControl], None]) -> None:
        """`callback` gets resets."""
        self._controls.append(callback)

    def job(self, job: MoverJob) -> None:
        """Start a mover job."""
        if self._current(job.epoch):
            self._enqueue(job.ctx, job, b"")

    def reply(self, reply: EngineReply, immediate: bytes = b"") -> None:
        """Answer a request."""
        if self._current(reply.epoch):
            self._enqueue(reply.ctx, reply, immediate)

    def notify(self, notify: EngineNotify, message: bytes) -> None:
        """Put a notification into the message store."""
        if self._current(notify.epoch):
            self.on_notify(notify, message)

    def control_ack(self, epoch: int, queue: int | None = None) -> None:
        """The engine has forgotten all that is older than `epoch`, or the requests of `queue`."""
        if queue is None:
            self._unacknowledged.discard(epoch)
        elif epoch == self.epoch:
            self._unacknowledged_queues.discard(queue)
        self.acknowledged.fire()

    def storage_read(self, address: int, size: int) -> bytes:
        """The DPU's own view of the storage."""
        return self._storage.read(address, size)

    def storage_write(self, address: int, data: bytes) -> None:
        """The DPU's own view of the storage."""
        self._storage.write(address, data)

    def _current(self, epoch: int) -> bool:
        if epoch == self.epoch and not self._core.registers.resetting:
            return True
        self._core.count(DpuCounter.STALE_EPOCH)
        return False

    def _enqueue(self, ctx: int, item: MoverJob | EngineReply, immediate: bytes) -> None:
        context = self._contexts.get(ctx)
        if context is not None and context.queue in self._stopped:
            return  # it crossed the message that tells of the queue's reset
        if context is None or not context.with_engine:
            self._core.log(ErrorCode.ENGINE_CONTEXT, address=ctx)
            return
        if isinstance(item, EngineReply):
            if self._core.defect is Defect.REPLY_TO_OTHER_CONTEXT:
                context = self._other_context(context, item)
                item = replace(item, ctx=context.number)
            context.with_engine = False
            self._give(context)
        self._work[context.lane].append((item, immediate))
        self._work_arrived.fire()

    def _give(self, context: Context) -> None:
        if context.lane is Lane.REQ:
            self.replies_given += 1
            self._tickets[context] = self.replies_given

    @property
    def replies_used(self) -> int:
        """How many replies of the request lane have been used, of those without a gap from the first one on."""
        return min(self._tickets.values()) - 1 if self._tickets else self.replies_given

    def _other_context(self, context: Context, reply: EngineReply) -> Context:
        """Defect: an open request of the same lane changes its answer with this one."""
        total = reply.immediate + reply.storage_length
        for other in self._contexts.values():
            fits = other.chain.writable_bytes >= total
            if other is not context and other.with_engine and other.lane is context.lane and fits:
                other.with_engine, context.with_engine = False, True
                return other
        return context

    # ---- from the queues ----

    def submit(self, context: Context, head: bytes) -> None:
        """Hand a request to the engine."""
        chain = context.chain
        context.with_engine = True
        self._contexts[context.number] = context
        if len(head) > 40 and self._core.strikes(Defect.REQUEST_CORRUPTED, 5):
            head = head[:-1] + bytes([head[-1] ^ 0x10])
        request = EngineRequest(
            context.number, context.queue, context.lane, self.epoch,
            chain.readable_bytes, chain.writable_bytes, 0, len(head),
        )  # fmt: skip
        self._core.count(DpuCounter.REQUESTS)
        if not self._core.registers.straps.firmware:
            self.on_own_request(context, head)
            return
        for _ in range(2 if self._core.strikes(Defect.REQUEST_TWICE, 5) else 1):
            for callback in self._requests:
                callback(request, head)

    def discard(self, context: Context) -> None:
        """Return a chain with used length 0, behind what its lane has to do already."""
        self._contexts[context.number] = context
        self._give(context)
        self._work[context.lane].append((_Discard(context), b""))
        self._work_arrived.fire()

    # ---- lanes ----

    def _serve(self, lane: Lane) -> Steps[None]:
        work = self._work[lane]
        while True:
            while not work:
                yield self._work_arrived
            item, immediate = work.popleft()
            context = self._served[lane] = self._context_of(item)
            steps = self._execute(context, item, immediate)
            for wait in steps:
                yield wait
                if context.queue in self._stopped:
                    steps.close()
            del self._served[lane]
            self._lane_left.fire()

    def _context_of(self, item: MoverJob | EngineReply | _Discard) -> Context:
        return item.context if isinstance(item, _Discard) else self._contexts[item.ctx]

    def _execute(self, context: Context, item: MoverJob | EngineReply | _Discard, immediate: bytes) -> Steps[None]:
        if isinstance(item, MoverJob):
            yield from self._execute_job(context, item)
        elif isinstance(item, EngineReply):
            yield from self._execute_reply(context, item, immediate)
        else:
            yield from self._return(context, 0, b"")

    def _execute_job(self, context: Context, job: MoverJob) -> Steps[None]:
        inward = job.direction == MoverDirection.IN
        part = context.chain.readable if inward else context.chain.writable
        result = MoverResult.OK
        if job.offset + job.length > sum(segment.length for segment in part):
            self._core.log(ErrorCode.ENGINE_LENGTH, context.queue, job.offset)
            result = MoverResult.CANCELLED
        elif inward:
            result = yield from self._gather(context, slices(part, job.offset, job.length), job.address)
        else:
            data = self._storage.read(job.address, job.length)
            yield from self.scatter(slices(part, job.offset, job.length), data)
        for callback in self._dones:
            callback(MoverDone(job.ctx, result, self.epoch))
        yield None

    def _gather(self, context: Context, pieces: list[Segment], storage: int) -> Steps[MoverResult]:
        for piece in pieces:
            for offset in range(0, piece.length, JOB_BLOCK):
                size = min(JOB_BLOCK, piece.length - offset)
                try:
                    data = yield from self._dma.read(piece.address + offset, size)
                except ReadError as error:
                    self._core.log(ErrorCode.PAYLOAD_READ, context.queue, error.address)
                    return MoverResult.BUS_ERROR
                self._storage.write(storage, data)
                storage += size
        return MoverResult.OK

    def _execute_reply(self, context: Context, reply: EngineReply, immediate: bytes) -> Steps[None]:
        data = b""
        if reply.kind == ReplyKind.REPLY:
            data = immediate + self._storage.read(reply.address, reply.storage_length)
            if len(data) > context.chain.writable_bytes:
                self._core.log(ErrorCode.ENGINE_LENGTH, context.queue, len(data))
                data = b""
        self._core.count(DpuCounter.REPLIES if data else DpuCounter.NO_REPLIES)
        if self._core.defect is Defect.NOTIFY_OVERTAKES_REPLY:
            for _ in range(OVERTAKEN_STEPS):
                yield None
        length = len(data)
        if self._core.defect is Defect.USED_LENGTH_OF_BUFFER:
            length = context.chain.writable_bytes
        if len(data) > 16 and self._core.strikes(Defect.REPLY_CORRUPTED, 3):
            data = data[:-1] + bytes([data[-1] ^ 0x01])
        if self._core.defect is Defect.USED_INDEX_BEFORE_DATA:
            yield from self.rings.used(context.queue, context.chain, length)
            yield from self.scatter(self._reply_pieces(context.chain, len(data)), data)
            self._finished(context, data)
            return
        yield from self.scatter(self._reply_pieces(context.chain, len(data)), data)
        yield from self._return(context, length, data)

    def _reply_pieces(self, chain: Chain, length: int) -> list[Segment]:
        if self._core.defect is Defect.WRITE_INTO_READABLE and length > 16:
            return slices(chain.readable, 0, length)
        pieces = slices(chain.writable, 0, length)
        last = pieces[-1] if pieces else Segment(0, 0)
        ends = {segment.address + segment.length for segment in chain.writable}
        if self._core.defect is Defect.BYTE_PAST_DESCRIPTOR and last.address + last.length in ends:
            pieces[-1] = Segment(last.address, last.length + 1)
        return pieces

    def scatter(self, pieces: list[Segment], data: bytes) -> Steps[None]:
        """Write `data` over the pieces of a chain's writable part, in order."""
        offset = 0
        for piece in pieces:
            part = data[offset : offset + piece.length]
            yield from self._dma.write(piece.address, part.ljust(piece.length, b"\xa5"))
            offset += piece.length

    # ---- completion ----

    def began(self, context: Context) -> None:
        """A request was taken from its queue: they come in the order in which the driver made them available."""
        if self._core.registers.negotiated(Feature.IN_ORDER) and self._core.defect is not Defect.ORDER_AS_ANSWERED:
            self._order[context.queue].append(context)

    def _return(self, context: Context, length: int, data: bytes) -> Steps[None]:
        """The chain goes back, with IN_ORDER not before those that came before it (RSVD-D05)."""
        context.answer = (length, data)
        order = self._order[context.queue]
        if context not in order:
            order = deque((context,))
        while order and order[0].answer is not None:
            first = order.popleft()
            assert first.answer is not None
            length, data = first.answer
            yield from self.rings.used(first.queue, first.chain, length)
            self._finished(first, data)

    def _finished(self, context: Context, data: bytes) -> None:
        self._tickets.pop(context, None)
        if context.on_used is not None:
            context.on_used(data)
        del self._contexts[context.number]
        self.release(context)
        self.replies_changed.fire()

    def used(self, queue: int, chain: Chain, length: int) -> Steps[None]:
        """Return a chain that is no request."""
        yield from self.rings.used(queue, chain, length)

    # ---- reset of a queue ----

    def stop(self, queue: int) -> None:
        """Nothing is written for `queue` any more, and the engine is to forget its requests."""
        if self._core.defect is Defect.QUEUE_RESET_KEEPS_REQUESTS:
            return
        self._stopped.add(queue)
        for lane, work in self._work.items():
            kept = [entry for entry in work if self._context_of(entry[0]).queue != queue]
            work.clear()
            work.extend(kept)
            if (context := self._served.get(lane)) is not None and context.queue == queue:
                self._core.bus_master_changed.fire()
        if not self._core.registers.straps.firmware:
            self.on_own_queue_reset(queue)
            return
        self._unacknowledged_queues.add(queue)
        for callback in self._controls:
            callback(EngineControl(ControlKind.QUEUE_RESET, queue, self.epoch))

    def quiet(self, queue: int) -> Steps[None]:
        """Wait until lanes and engine have left a queue that was stopped."""
        while any(context.queue == queue for context in self._served.values()):
            yield self._lane_left
        while queue in self._unacknowledged_queues:
            yield self.acknowledged

    def forget(self, queue: int) -> None:
        """The queue is as it was before it was enabled; its contexts are the caller's to give back."""
        kept = self._core.defect is Defect.QUEUE_RESET_KEEPS_REQUESTS
        for context in [context for context in self._contexts.values() if context.queue == queue and not kept]:
            del self._contexts[context.number]
            self._tickets.pop(context, None)
        self._order[queue].clear()
        self.rings.forget(queue)
        self._stopped.discard(queue)
        self.replies_changed.fire()
