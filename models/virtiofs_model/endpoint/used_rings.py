"""How chains go back to the driver: used entry and index, or used descriptor, then the decision on an interrupt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from virtiofs_model.defects import Defect
from virtiofs_model.endpoint.core import Core, queue_group
from virtiofs_model.endpoint.dma import Dma, ReadError
from virtiofs_model.endpoint.faulty_rings import faulty, steps_on
from virtiofs_model.endpoint.interrupts import Interrupts
from virtiofs_model.endpoint.tasks import Steps
from virtiofs_model.errors import ErrorCode
from virtiofs_model.layouts.dpu import DpuCounter
from virtiofs_model.layouts.virtio import Feature
from virtiofs_model.packed_virtqueue import AnyRing, PackedRing
from virtiofs_model.registers import MAX_QUEUES
from virtiofs_model.virtqueue import Chain, Ring


class UsedRings:
    """The device's places in all queues. positions: how far the used entries of each have been begun.

    What the driver says of interrupts is read after a used entry has left, and the interrupt is decided from that
    answer; nothing waits for it.
    """

    def __init__(self, core: Core, dma: Dma, interrupts: Interrupts) -> None:
        self._core = core
        self._dma = dma
        self._believed: dict[int, bytes] = {}  # suppression words of old (a defect)
        self._interrupts = interrupts
        self._forget_all()

    def start(self) -> None:
        """Device reset."""
        if self._core.defect is not Defect.STALE_QUEUE_STATE:
            self._forget_all()

    def forget(self, queue: int) -> None:
        """Queue reset."""
        if self._core.defect is not Defect.QUEUE_RESET_KEEPS_PLACE:
            self.positions[queue] = self._told[queue] = self._judged[queue] = 0

    def _forget_all(self) -> None:
        self.positions = [0] * MAX_QUEUES
        # Of what left last, and of what the last suppression read that left was about.
        self._told = [0] * MAX_QUEUES
        self._judged = [0] * MAX_QUEUES

    def ring(self, queue: int) -> AnyRing:
        """Where a queue lies, as its registers say, in the format that was negotiated."""
        registers = self._core.registers
        where = registers.queues[queue]
        indirect, event_idx = map(registers.negotiated, (Feature.INDIRECT_DESC, Feature.EVENT_IDX))
        place = (where.size, where.desc, where.driver, where.device, indirect, event_idx)
        packed = registers.negotiated(Feature.RING_PACKED)
        ring = PackedRing(*place, registers.straps.max_queue_size) if packed else Ring(*place)
        return faulty(ring, self._core.defect) if self._core.defect else ring

    def used(self, queue: int, chain: Chain, length: int) -> Steps[None]:
        """Return a chain. One at a time for a queue."""
        ring = self.ring(queue)
        raw: bytes | None = None
        if self._core.defect is Defect.INTERRUPT_DECIDED_EARLY:
            raw = yield from self._suppression(queue, ring)
        if self._core.strikes(Defect.USED_ID, 3):
            chain = replace(chain, head=(chain.head + 1) % ring.size)
        for _ in range(2 if self._core.strikes(Defect.USED_ENTRY_TWICE, 3) else 1):
            position = self.positions[queue]
            after = self.positions[queue] = position + steps_on(ring, position, chain, self._core.defect, used=True)
            *first, last = ring.used_writes(position, chain, length)
            for address, data in first:
                yield from self._dma.write(address, data)
            yield from self._dma.write(*last, partial(self._now_told, queue, after))
        self._core.scheduler.spawn(self._interrupt(queue, ring, raw), queue_group(queue))

    def _now_told(self, queue: int, position: int) -> None:
        self._told[queue] = position

    def _suppression(self, queue: int, ring: AnyRing, on_sent: Callable[[], None] | None = None) -> Steps[bytes | None]:
        try:
            raw = yield from self._dma.read(*ring.suppression(), on_sent)
            if self._core.defect is Defect.EVENT_READ_ONCE and ring.event_idx:
                raw = self._believed.setdefault(queue, raw)
            return raw
        except ReadError as error:
            self._core.log(ErrorCode.RING_READ, queue, error.address, fatal=True)
            return None

    def _interrupt(self, queue: int, ring: AnyRing, raw: bytes | None) -> Steps[None]:
        """Decide for all that was used since the decision before: each entry is judged once, by a value that was read
        after it had left."""
        old = new = 0

        def judge() -> None:
            nonlocal old, new
            old, new = self._judged[queue], self._told[queue]
            self._judged[queue] = new

        if raw is None:
            raw = yield from self._suppression(queue, ring, judge)
        else:
            judge()
        if raw is None:
            return
        if not ring.wants_interrupt(raw, old, new) and self._core.defect is not Defect.INTERRUPT_SUPPRESSED_SENT:
            self._core.count(DpuCounter.INTERRUPTS_SUPPRESSED)
            return
        self._interrupts.used_buffer(queue)
