"""ModelEndpoint: the golden device, put together."""

from __future__ import annotations

import random

from virtiofs_model.defects import Defect
from virtiofs_model.endpoint.announcer import Announcer
from virtiofs_model.endpoint.core import FRONT, SERVICE, Channel, Core, Output, queue_group
from virtiofs_model.endpoint.dma import Dma
from virtiofs_model.endpoint.dpu import DpuRegisters
from virtiofs_model.endpoint.front import Front
from virtiofs_model.endpoint.fuse_mailbox import FuseMailbox
from virtiofs_model.endpoint.interrupts import Interrupts
from virtiofs_model.endpoint.mover import Mover
from virtiofs_model.endpoint.notifier import Notifier
from virtiofs_model.endpoint.queues import Queues
from virtiofs_model.endpoint.ramfs_engine import RamfsEngine
from virtiofs_model.endpoint.tasks import Steps
from virtiofs_model.engine import EnginePort
from virtiofs_model.ramfs import Limits, RamfsServer, Tree
from virtiofs_model.ramfs.dpu import DpuClient
from virtiofs_model.ramfs.faulty import faulty_server
from virtiofs_model.registers import MAX_QUEUES, DeviceStraps, Role
from virtiofs_model.tlp import Header, decode


class ModelEndpoint:
    """A virtio-fs endpoint that exchanges whole TLPs and works in micro-steps.

    output(channel, header, payload) is called for each packet that leaves, from within step(). receive() takes a
    packet of the host; step(rng) lets one task take one step. defect: the name of an injected defect (defects.py).
    request_queues, max_queue_size, msix_vectors, intx: what the endpoint was built for; ramfs: the capacity of its own
    file system (None: it has none, and firmware answers).
    """

    def __init__(
        self,
        output: Output,
        defect: str | None = None,
        request_queues: int = 4,
        max_queue_size: int = 1024,
        msix_vectors: int = 11,
        ramfs: Limits | None = None,
        intx: bool = False,
    ) -> None:
        straps = DeviceStraps(num_request_queues=min(4, request_queues), max_queue_size=max_queue_size)
        self._core = Core(msix_vectors, straps, Defect(defect) if defect else None, output, intx)
        self._dma = Dma(self._core)
        self._interrupts = Interrupts(self._core)
        self._mover = Mover(self._core, self._dma, self._interrupts)
        self._notifier = Notifier(self._core, self._mover)
        self._queues = Queues(self._core, self._dma, self._mover, self._notifier)
        self._notifier.release = self._queues.release
        self._front = Front(self._core, self._interrupts, self._queues.doorbell)
        self._core.registers.on_reset = self._reset
        self._core.registers.on_queue_reset = self._reset_queue
        self.engine: EnginePort = self._mover
        self.dpu = DpuRegisters(self._core, self._notifier, request_queues, max_queue_size, ramfs is not None)
        self._announcer: Announcer | None = None
        if ramfs is not None:
            self._attach(faulty_server(self._core.defect, Tree(ramfs)))

    def _attach(self, server: RamfsServer) -> None:
        """Answer FUSE by ourselves, where a strap says so."""
        announcer = self._announcer = Announcer(self._core, self._notifier, server)
        engine = RamfsEngine(self._core, self._dma, self._mover, server, announcer)
        self._mover.on_own_request = engine.request
        self._mover.on_own_reset = server.reset
        self._mover.on_own_queue_reset = engine.forget
        self.dpu.on_time = server.set_time
        server.on_notify_reply = self.dpu.retrieved.keep
        self.dpu.on_strap = engine.configure
        self.dpu.requests = FuseMailbox(self._core, DpuClient(server), announcer)

    def receive(self, channel: int, header: Header, payload: bytes) -> None:
        """A packet of the host: a request on CQ or a completion on RC."""
        tlp = decode(header, payload)
        if channel == Channel.CQ:
            self._front.request(tlp)
        else:
            self._dma.completion(tlp)

    def step(self, rng: random.Random) -> bool:
        """One micro-step, picked with `rng`. False: there is nothing to do until a packet or an engine message."""
        return self._core.scheduler.step(rng)

    @property
    def idle(self) -> bool:
        """Whether step() has nothing to do."""
        return self._core.scheduler.idle()

    @property
    def outstanding_reads(self) -> int:
        """Reads of host memory that are not complete."""
        return self._dma.outstanding

    def time_out_reads(self) -> None:
        """The completion time-out of all outstanding reads passes (the model has no clock of its own)."""
        self._dma.time_out()

    # ---- device reset ----

    def _reset(self) -> None:
        """QUIESCE: no packet begins any more, whatever was being done ends between two packets."""
        self._core.scheduler.kill(SERVICE)
        for queue in range(MAX_QUEUES):
            self._core.scheduler.kill(queue_group(queue))
        self._core.scheduler.spawn(self._finish_reset(), FRONT)

    def _finish_reset(self) -> Steps[None]:
        """DRAIN until no tag is out, then CLEAR; only now device_status reads 0 (RESET-D03)."""
        while self._dma.outstanding:
            yield self._dma.drained
        while not self._mover.epoch_free():
            yield self._mover.acknowledged
        self._interrupts.reset()
        self._core.registers.finish_reset()
        self._mover.start()
        self._notifier.start()
        self._queues.start()
        if self._announcer is not None:
            self._announcer.start()
        self._mover.next_epoch()

    # ---- queue reset ----

    def _reset_queue(self, queue: int) -> None:
        """Nothing begins any more for the queue, and all that is pending for it is dropped (VQRST-D01, D02)."""
        if self._core.defect is Defect.QUEUE_RESET_EARLY:
            self._core.registers.finish_queue_reset(queue)
            return  # what was begun knows where the rings were
        self._core.scheduler.kill(queue_group(queue))
        self._mover.stop(queue)
        self._core.scheduler.spawn(self._finish_queue_reset(queue), SERVICE)

    def _finish_queue_reset(self, queue: int) -> Steps[None]:
        """Only when no DMA can follow queue_reset reads 0. A notification that was begun is finished first."""
        if self._core.registers.roles[queue] is Role.NOTIFICATION:
            yield from self._notifier.drop_buffers()
            self._core.scheduler.kill(queue_group(queue))  # its interrupt
        yield from self._mover.quiet(queue)
        yield from self._dma.drain()
        self._mover.forget(queue)
        self._queues.forget(queue)
        self._core.registers.finish_queue_reset(queue)
