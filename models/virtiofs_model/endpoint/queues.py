"""Scheduler, chain fetch and header gather: from a doorbell to a request at the engine, one task a queue.

Trust rule: memory is believed only if it was read by a request issued after the completion that published it, so a
queue's task reads index, then entries, then descriptors, then data, each after the answer to the one before; in a
packed ring first descriptor, then the others of its list, then data.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from virtiofs_model.defects import Defect
from virtiofs_model.endpoint.core import Core, queue_group
from virtiofs_model.endpoint.dma import Dma, ReadError
from virtiofs_model.endpoint.faulty_rings import faulty_walk, steps_on
from virtiofs_model.endpoint.mover import Context, Mover
from virtiofs_model.endpoint.notifier import Notifier
from virtiofs_model.endpoint.tasks import Steps
from virtiofs_model.engine import HEAD_BYTES_MAX, Lane
from virtiofs_model.errors import ErrorCode
from virtiofs_model.layouts.fuse_operations import IN_HEADER_SIZE
from virtiofs_model.layouts.virtio import VIRTQ_DESC_SIZE
from virtiofs_model.packed_virtqueue import AnyRing, PackedRing, walk_packed
from virtiofs_model.registers import MAX_QUEUES, Role
from virtiofs_model.virtqueue import Chain, ChainError, Reads, Ring, available, slices, walk_chain

CONTEXT_POOLS = {Lane.HI: range(0, 4), Lane.NTF: range(4, 12), Lane.REQ: range(12, 32)}
"""Context numbers by lane: a lane that is full never holds up another."""

T = TypeVar("T")
_LANES = {Role.HIPRIO: Lane.HI, Role.NOTIFICATION: Lane.NTF, Role.REQUEST: Lane.REQ}


class Queues:
    """Serves doorbells. A doorbell is sticky: it is kept until its queue may be served."""

    def __init__(self, core: Core, dma: Dma, mover: Mover, notifier: Notifier) -> None:
        self._core = core
        self._dma = dma
        self._mover = mover
        self._notifier = notifier
        self._kicked = [core.signal() for _ in range(MAX_QUEUES)]
        self._context_free = core.signal()
        self._positions = [0] * MAX_QUEUES
        mover.release = self.release
        core.registers.on_status = self._look_again
        self.start()

    def start(self) -> None:
        """Forget everything and start the queues' tasks (device reset)."""
        self._doorbells = [False] * MAX_QUEUES
        if self._core.defect is not Defect.STALE_QUEUE_STATE:
            self._positions = [0] * MAX_QUEUES
        self._free = {lane: deque(numbers) for lane, numbers in CONTEXT_POOLS.items()}
        self._claimed: dict[int, tuple[int, Lane]] = {}
        for queue in range(MAX_QUEUES):
            self._core.scheduler.spawn(self._serve(queue), queue_group(queue))

    def forget(self, queue: int) -> None:
        """Queue reset, when its tasks have ended: all its contexts are free, and it begins anew."""
        self._doorbells[queue] = False
        if self._core.defect is not Defect.QUEUE_RESET_KEEPS_PLACE:
            self._positions[queue] = 0
        kept = self._core.defect in (Defect.QUEUE_RESET_KEEPS_REQUESTS, Defect.QUEUE_RESET_KEEPS_BUFFERS)
        for number in [number for number, (owner, _) in self._claimed.items() if owner == queue and not kept]:
            self._give_back(number)
        self._core.scheduler.spawn(self._serve(queue), queue_group(queue))

    def doorbell(self, queue: int) -> None:
        """A write to the doorbell of `queue`."""
        registers = self._core.registers
        if registers.status and not registers.resetting and not registers.queues[queue].resetting:
            self._doorbells[queue] = True
            self._kicked[queue].fire()

    def release(self, context: Context) -> None:
        """A context may be used again."""
        self._give_back(context.number)

    def _give_back(self, number: int) -> None:
        _, lane = self._claimed.pop(number)
        self._free[lane].append(number)
        self._context_free.fire()
        if self._core.defect is Defect.HIPRIO_BEHIND_REQUESTS:
            self._look_again()

    def _look_again(self) -> None:
        for signal in self._kicked:
            signal.fire()

    def _servable(self, queue: int) -> bool:
        registers = self._core.registers
        place = registers.queues[queue]
        waits = self._core.defect is Defect.HIPRIO_BEHIND_REQUESTS and registers.roles[queue] is Role.HIPRIO
        if waits and any(lane is Lane.REQ for _, lane in self._claimed.values()):
            return False
        return registers.driver_ok and place.enable and not place.resetting and registers.roles[queue] is not Role.NONE

    def _serve(self, queue: int) -> Steps[None]:
        while True:
            while not (self._doorbells[queue] and self._servable(queue)):
                yield self._kicked[queue]
            self._doorbells[queue] = False
            ring = self._mover.rings.ring(queue)
            try:
                yield from self._serve_kick(queue, ring)
            except ChainError as error:
                self._core.log_chain_error(error, queue)
            except ReadError as error:
                self._core.log(ErrorCode.RING_READ, queue, error.address, fatal=True)

    def _serve_kick(self, queue: int, ring: AnyRing) -> Steps[None]:
        if isinstance(ring, PackedRing):
            yield from self._serve_packed(queue, ring)
            return
        while (yield from self._take_announced(queue, ring)) and ring.event_idx:
            # A driver that does not kick, since it has read the event before, has moved the index on before that.
            yield from self._dma.write(*ring.avail_event(self._positions[queue]))
            if self._core.defect is Defect.EVENT_NO_SECOND_LOOK:
                return

    def _take_announced(self, queue: int, ring: Ring) -> Steps[int]:
        """Take every chain that the index announces now; how many they were, 0 where the queue was stopped."""
        table: bytes | None = None
        if self._core.defect is Defect.DESCRIPTOR_PREFETCHED:
            table = yield from self._dma.read(ring.desc, VIRTQ_DESC_SIZE * min(ring.size, 64))
        entries: bytes | None = None
        address, size = ring.avail_idx()
        if self._core.defect is Defect.INDEX_AND_ENTRY_TOGETHER:
            together = yield from self._dma.read(address, size + 2 * ring.size)
            raw, entries = together[:size], together[size:]
        else:
            raw = yield from self._dma.read(address, size)
        (idx,) = struct.unpack("<H", raw)
        left = count = available(ring, idx, self._positions[queue])
        while left:
            position = self._positions[queue]
            heads = yield from self._heads(ring, position, left, entries)
            if len(heads) > 1 and self._core.defect is Defect.ENTRY_REORDERED:
                heads[0], heads[1] = heads[1], heads[0]
            for head in heads:
                number = yield from self._context(queue)
                if not self._servable(queue):
                    return 0
                chain = yield from self._walk(walk_chain(ring, head), ring, table)
                left -= 1
                yield from self._begin(queue, ring, number, chain)
        return count

    def _serve_packed(self, queue: int, ring: PackedRing) -> Steps[None]:
        """Take every chain until a descriptor is not available."""
        while True:
            number = yield from self._context(queue)
            if not self._servable(queue):
                return
            position = self._positions[queue]
            chain = yield from self._walk_packed(ring, position, partial(self._in_use, queue, position))
            if chain is None:
                self._give_back(number)
                if self._core.defect is Defect.PACKED_DOORBELL_LOST:
                    self._doorbells[queue] = False
                return
            yield from self._begin(queue, ring, number, chain)

    def _walk_packed(self, ring: PackedRing, position: int, in_use: Callable[[], int]) -> Steps[Chain | None]:
        walk = walk_packed(ring, position, in_use)
        table: bytes | None = None
        if self._core.defect is not None:
            walk = faulty_walk(walk, self._core.defect)
        if self._core.defect is Defect.PACKED_LIST_WITH_HEAD:
            table = yield from self._dma.read(ring.desc, VIRTQ_DESC_SIZE * ring.size)
        return (yield from self._walk(walk, ring, table))

    def _in_use(self, queue: int, position: int) -> int:
        """Slots before `position` that were not given back yet."""
        return position - self._mover.rings.positions[queue]

    def _begin(self, queue: int, ring: AnyRing, number: int, chain: Chain) -> Steps[None]:
        self._positions[queue] += steps_on(ring, self._positions[queue], chain, self._core.defect, used=False)
        context = Context(number, queue, _LANES[self._core.registers.roles[queue]], chain)
        if context.lane is Lane.NTF:
            self._notifier.buffer(context)
            return
        self._mover.began(context)
        yield from self._dispatch(context)

    def _heads(self, ring: Ring, position: int, count: int, entries: bytes | None) -> Steps[list[int]]:
        address, size = ring.avail_entries(position, count)
        if entries is None:
            raw = yield from self._dma.read(address, size)
        else:
            at = 2 * (position % ring.size)
            raw = entries[at : at + size]
        return list(struct.unpack(f"<{size // 2}H", raw))

    def _context(self, queue: int) -> Steps[int]:
        lane = _LANES[self._core.registers.roles[queue]]
        free = self._free[lane]
        while not free:
            yield self._context_free
        number = free.popleft()
        self._claimed[number] = queue, lane
        return number

    def _walk(self, walk: Reads[T], ring: AnyRing, table: bytes | None = None) -> Steps[T]:
        """A computation with DMA behind it. table: a copy of the descriptor table of `ring` (a defect)."""
        try:
            address, size = next(walk)
            while True:
                offset = address - ring.desc
                if table is not None and 0 <= offset <= len(table) - size:
                    data = table[offset : offset + size]
                else:
                    data = yield from self._dma.read(address, size)
                address, size = walk.send(data)
        except StopIteration as end:
            result: T = end.value
            return result

    def _dispatch(self, context: Context) -> Steps[None]:
        chain = context.chain
        size = min(chain.readable_bytes, HEAD_BYTES_MAX)
        if size < IN_HEADER_SIZE:
            self._core.log(ErrorCode.HEADER_SHORT, context.queue, chain.head)
            self._mover.discard(context)
            return
        head = b""
        try:
            for piece in slices(chain.readable, 0, size):
                head += yield from self._dma.read(piece.address, piece.length)
        except ReadError as error:
            self._core.log(ErrorCode.HEADER_READ, context.queue, error.address)
            self._mover.discard(context)
            return
        self._notifier.request(context, head)
        self._mover.submit(context, head)
