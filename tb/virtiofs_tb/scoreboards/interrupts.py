"""Interrupts: sent where the driver asked for one, when it asked, and nowhere else.

The decision belongs to the used index: the suppression word counts only where it was read by a request issued after
that index was on the wire. A decision by an earlier value is the classic lost interrupt.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from virtiofs_model.layouts.virtio import VIRTIO_MSI_NO_VECTOR, DeviceStatus, IsrStatus
from virtiofs_tb.profile import Profile
from virtiofs_tb.scoreboards.base import Scoreboard
from virtiofs_tb.scoreboards.events import (
    ConfigAccess,
    ConfigRequest,
    DmaRead,
    Interrupt,
    PinReset,
    QueueEnabled,
    QueueResetBegin,
    QueueResetDone,
    RegisterRead,
    RegisterWrite,
    ResetBegin,
    ResetDone,
    SuppressionRead,
    Tick,
    UsedIndex,
)
from virtiofs_tb.scoreboards.interrupt_line import InterruptLineJudge
from virtiofs_tb.scoreboards.memory_map import AVAIL
from virtiofs_tb.scoreboards.observer import Observer
from virtiofs_tb.scoreboards.suppression import Decisions, suppresses

STATUS_AT, CONFIG_VECTOR_AT, QUEUE_VECTOR_AT = 0x14, 0x10, 0x1A
MAX_GRANTS = 64
RETRACTED_PS = 1_000_000
"""So long after the decision for it was taken back a message may still come."""
MERGED_PS = 50_000_000
"""A message that was asked for so long before another one of its vector has been merged with it."""

NEEDS_RESET = int(DeviceStatus.DEVICE_NEEDS_RESET)


@dataclass(slots=True)
class VectorState:
    """One vector. grants: queues that asked for an interrupt not sent yet, and since when (where one message may stand
    for several, some stay; MAX_GRANTS bounds them); masked_seq: when it was masked (-1: it is not); settled: that
    mask is known to hold."""

    grants: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=MAX_GRANTS))
    masked_seq: int = -1
    settled: bool = False


class InterruptScoreboard(Scoreboard):
    """Judge of MSI-X messages, pending bits and the suppression of interrupts; of INTA: interrupt_line.py."""

    name = "interrupts"

    def __init__(self, profile: Profile, observer: Observer) -> None:
        super().__init__(profile, observer)
        self._queues: dict[int, Decisions] = {}
        self._vectors: dict[int, VectorState] = {}
        self.resetting = True  # nothing may interrupt before the first DRIVER_OK
        self._limit = profile.timing.interrupt_us * 1_000_000
        self._next_tick = 0
        self._config_owed = 0
        self._config_sent = 0
        self._config_cause_seq = 0  # a configuration interrupt whose cause was not seen yet
        self._isr_due = False
        self._used_last: UsedIndex | None = None
        self._function_masked_seq = -1
        self._function_settled = False
        self._retracted: dict[int, int] = {}  # by vector, when
        self._line = InterruptLineJudge(self)
        observer.listeners.add(self._line)
        self._stopped: dict[int, int] = {}  # the vectors of queues that were reset and not enabled since

    # ---- helpers ----

    def _queue(self, index: int) -> Decisions:
        state = self._queues.get(index)
        if state is None:
            state = self._queues[index] = Decisions()
        return state

    def _vector(self, vector: int) -> VectorState:
        state = self._vectors.get(vector)
        if state is None:
            state = self._vectors[vector] = VectorState()
            entries = self.observer.pci.vectors
            if vector < len(entries) and entries[vector].masked:
                state.masked_seq = 0
                state.settled = True
        return state

    def _vector_of(self, queue: int) -> int:
        return self.observer.virtio.queue(queue).vector

    def _masked(self, vector: int) -> bool:
        """Whether a message of the vector must wait in its pending bit."""
        pci = self.observer.pci
        if pci.msix_masked or not pci.may_master:
            return True
        return vector < len(pci.vectors) and pci.vectors[vector].masked

    # ---- the decision ----

    def on_queue_enabled(self, event: QueueEnabled) -> None:
        self._queues[event.queue.index] = Decisions()
        self._stopped.pop(event.queue.index, None)

    def on_used_index(self, event: UsedIndex) -> None:
        self.count("used index")
        self._queue(event.queue.index).used(event)
        self._used_last = event

    def on_dma_read(self, event: DmaRead) -> None:
        for region in event.regions:
            if region.kind == AVAIL and suppresses(region, event.start, event.end):
                self._queue(region.queue.index).asked(event.seq)

    def on_suppression_read(self, event: SuppressionRead) -> None:
        state = self._queues.get(event.queue.index)
        outcome = state.decide(event) if state is not None else None
        if state is None or outcome is None:
            return
        self.count("decision", outcome.fresh)
        index = event.queue.index
        vector = self._vector_of(index)
        if not self.observer.pci.may_msix:
            self._line.decided(index, event, outcome)
            return
        if vector == VIRTIO_MSI_NO_VECTOR:
            self.count("no vector", outcome.wanted)
            return
        if outcome.own:
            self._own_decision(state, index, vector, event.t_ps, outcome.own > 0)
        if outcome.again and not any(grant[0] == index for grant in self._vector(vector).grants):
            # A message that another queue asked for has stood for this use too, before the endpoint decided on it.
            self._vector(vector).grants.append((index, event.t_ps))
        if outcome.fresh and not outcome.wanted:
            self.count("suppressed")
        allowed = outcome.wanted + outcome.free
        if allowed:
            self._vector(vector).grants.extend([(index, event.t_ps)] * allowed)
        if outcome.wanted and state.owed is None:
            state.owed = (event.t_ps, event.seq)

    def _own_decision(self, state: Decisions, index: int, vector: int, t_ps: int, wanted: bool) -> None:
        """A use that an earlier read had decided otherwise: the endpoint may send a message by this read, or none."""
        grants = self._vector(vector).grants
        if wanted:
            grants.append((index, t_ps))
            return
        own = next((grant for grant in grants if grant[0] == index), None)
        if own is not None:
            grants.remove(own)
            self._retracted[vector] = t_ps
        if not any(grant[0] == index for grant in grants):
            state.owed = None

    # ---- messages ----

    def on_interrupt(self, event: Interrupt) -> None:
        self.count("message")
        if self.resetting:
            self.fail(
                event.t_ps, event.seq, f"MSI-X message with data {event.data:#x}", "RESET-D02",
                "none between reset and DRIVER_OK", "sent",
            )  # fmt: skip
            return
        if not event.vectors:
            self.fail(
                event.t_ps, event.seq, f"MSI-X message to {event.address:#x}", "PCI-BUS-D01",
                "address and data of one table entry", f"data {event.data:#x}",
            )  # fmt: skip
            return
        if not self.observer.pci.may_msix:
            self.fail(event.t_ps, event.seq, "MSI-X message", "PCI-BUS-D01", "none while MSI-X is off", "sent")
        vector = self._meant(event.vectors)
        if vector < 0:
            vector = event.vectors[0]
            if self._config_interrupt(event, vector) or self._late(event):
                return
            self._spurious(event, vector)
            return
        state = self._vector(vector)
        self._check_masks(event, vector, state)
        grants = state.grants
        grants.popleft()
        while grants and event.t_ps - grants[0][1] > MERGED_PS:
            grants.popleft()
        for index, queue in self._queues.items():
            if queue.owed is not None and self._vector_of(index) == vector:
                queue.owed = None

    def _meant(self, vectors: tuple[int, ...]) -> int:
        """The first of them that an interrupt was asked for on; -1 where there is none."""
        for vector in vectors:
            state = self._vectors.get(vector)
            if state is not None and state.grants:
                return vector
        return -1

    def _late(self, event: Interrupt) -> bool:
        """A message that was asked for by a word that another one took back: it may have been on its way."""
        taken_back = [self._retracted.pop(vector, -RETRACTED_PS) for vector in event.vectors]
        return event.t_ps - max(taken_back, default=-RETRACTED_PS) < RETRACTED_PS

    def _check_masks(self, event: Interrupt, vector: int, state: VectorState) -> None:
        if (state.masked_seq >= 0 and state.settled) or (self._function_masked_seq >= 0 and self._function_settled):
            self.fail(
                event.t_ps, event.seq, f"MSI-X message of vector {vector}", "PCI-BUS-D01",
                "its pending bit set: the vector is masked", "sent",
            )  # fmt: skip

    def _spurious(self, event: Interrupt, vector: int) -> None:
        mapped = self.observer.virtio.queues.items()
        queues = [index for index, q in mapped if q.enabled and q.vector == vector]
        stopped = [index for index, had in self._stopped.items() if had == vector]
        undecided = [index for index in queues if self._queue(index).undecided]
        seen = "sent"
        if not queues and stopped:
            clause, expected = "VQRST-D02", f"none: queue {stopped[0]} was reset, and no other has this vector"
        elif not queues:
            clause, expected = "PCI-USEDINT-D01", "no message: no queue has this vector"
            used = self._used_last
            if used is not None and self._vector_of(used.queue.index) == VIRTIO_MSI_NO_VECTOR:
                seen += f" after queue {used.queue.index}, whose vector is NO_VECTOR, used a buffer at seq {used.seq}"
        elif undecided:
            clause = self.missing(undecided[0])
            expected = "a read of the suppression word, issued after the used index, first"
        else:
            clause, expected = self._unwanted(queues[0]), "none: no used buffer asks for it"
        self.fail(event.t_ps, event.seq, f"MSI-X message of vector {vector}", clause, expected, seen)

    def missing(self, index: int) -> str:
        """The clause by which an interrupt is owed."""
        queue = self.observer.rings.queues.get(index)
        if queue is None:
            return "SPLIT-UNS-D03"
        return queue.rule("SPLIT-UNS-D05" if queue.event_idx else "SPLIT-UNS-D03", "PACK-EVT-DI1")

    def _unwanted(self, index: int) -> str:
        """The clause by which there is to be none."""
        queue = self.observer.rings.queues.get(index)
        if queue is None:
            return "SPLIT-UNS-D02"
        return queue.rule("SPLIT-UNS-D06" if queue.event_idx else "SPLIT-UNS-D02", "PACK-EVT-DI1")

    # ---- configuration interrupts ----

    def _config_interrupt(self, event: Interrupt, vector: int) -> bool:
        """A message on the configuration vector: DEVICE_NEEDS_RESET or a change of the device configuration."""
        config_vector = self.observer.virtio.config_vector
        if config_vector not in event.vectors:
            return False
        if self._config_sent and not self.profile.choices.config_changes:
            return False
        self.count("configuration interrupt")
        self._check_masks(event, config_vector, self._vector(config_vector))
        self._config_sent = event.seq
        self._config_owed = 0
        self._config_cause_seq = event.seq
        self._isr_due = True
        return True

    def on_register_read(self, event: RegisterRead) -> None:
        """Status and ISR tell the cause of a configuration interrupt; any read settles masks written before it."""
        self._settle_masks(event.request_seq)
        if event.status or not event.data:
            return
        if event.region == "common" and event.at <= STATUS_AT < event.at + len(event.data):
            self._status(event, event.data[STATUS_AT - event.at])
        elif event.region == "isr":
            if self._isr_due and event.request_seq > self._config_sent:
                self._isr_due = False
                self.count("ISR")
                if not event.data[0] & IsrStatus.CONFIG:
                    self.fail(
                        event.t_ps, event.seq, "the ISR after a configuration interrupt", "PCI-ISR-D02",
                        "bit 1 set before it", f"{event.data[0]:#04x}",
                    )  # fmt: skip
            elif event.data[0] & IsrStatus.CONFIG:
                self._isr_due = False
        elif event.region == "msix_pba":
            self._pending_bits(event)

    def _status(self, event: RegisterRead, status: int) -> None:
        virtio = self.observer.virtio
        if virtio.resetting or not virtio.driver_ok:
            return
        if status & NEEDS_RESET:
            self._config_cause_seq = 0
            if not self._config_sent and not self._config_owed and virtio.config_vector != VIRTIO_MSI_NO_VECTOR:
                self._config_owed = event.t_ps
        elif self._config_cause_seq and event.request_seq > self._config_cause_seq:
            if not self.profile.choices.config_changes:
                self.fail(
                    event.t_ps, event.seq, "device_status after a configuration interrupt", "STATUS-D04",
                    "DEVICE_NEEDS_RESET: nothing else can be its cause", f"{status:#04x}",
                )  # fmt: skip
            self._config_cause_seq = 0

    def _pending_bits(self, event: RegisterRead) -> None:
        bits = int.from_bytes(event.data, "little")
        first = 8 * event.at
        vectors = len(self.observer.pci.vectors)
        if self.profile.golden_registers and bits >> max(vectors - first, 0):
            self.fail(
                event.t_ps, event.seq, f"pending bits behind those of the {vectors} vectors", "PCI-BUS-D01", "0",
                f"{bits:#x} from vector {first} on",
            )  # fmt: skip
        for vector in range(first, min(first + 8 * len(event.data), len(self.observer.pci.vectors))):
            pending = bits >> (vector - first) & 1
            self.count("pending bit")
            state = self._vectors.get(vector)
            wanted = (state is not None and bool(state.grants)) or vector == self.observer.virtio.config_vector
            if pending and not wanted and not self.resetting:
                self.fail(
                    event.t_ps,
                    event.seq,
                    f"pending bit of vector {vector}",
                    "PCI-BUS-D01",
                    "0: nothing is pending",
                    "1",
                )
            elif not pending and state is not None and state.grants and self._masked(vector):
                owed = [q.owed for i, q in self._queues.items() if q.owed and self._vector_of(i) == vector]
                old = [t_ps for t_ps, seq in owed if seq < event.request_seq and event.t_ps - t_ps > 1_000_000]
                if old and self._masked_long(state, event.t_ps):
                    self.fail(
                        event.t_ps, event.seq, f"pending bit of vector {vector}, which is masked", "PCI-BUS-D01",
                        f"1: queue {state.grants[0][0]} asked for an interrupt, and the mask stands", "0: it is lost",
                    )  # fmt: skip

    @staticmethod
    def _masked_long(state: VectorState, t_ps: int) -> bool:
        return state.masked_seq >= 0 and state.settled

    # ---- masks ----

    def _settle_masks(self, request_seq: int) -> None:
        for state in self._vectors.values():
            if 0 <= state.masked_seq < request_seq:
                state.settled = True
        if 0 <= self._function_masked_seq < request_seq:
            self._function_settled = True

    def on_register_write(self, event: RegisterWrite) -> None:
        if event.region == "msix_table":
            for vector in range(event.at >> 4, (event.at + len(event.data) - 1 >> 4) + 1):
                if vector < len(self.observer.pci.vectors):
                    self._mask_changed(vector, event)
        elif event.region == "common":
            end = event.at + len(event.data)
            if event.at < QUEUE_VECTOR_AT + 2 and end > QUEUE_VECTOR_AT:
                self._remapped(self.observer.virtio.queue_select)
            if event.at <= STATUS_AT < end and self.observer.virtio.driver_ok:
                self.resetting = False

    def _mask_changed(self, vector: int, event: RegisterWrite) -> None:
        state = self._vector(vector)
        if self.observer.pci.vectors[vector].masked:
            if state.masked_seq < 0:
                state.masked_seq, state.settled = event.seq, False
            return
        if state.masked_seq >= 0:
            self._unblocked(state, event.t_ps)
        state.masked_seq = -1

    def _unblocked(self, state: VectorState, t_ps: int) -> None:
        """A pending bit stands for all interrupts that met the mask; what is owed counts from now."""
        while len(state.grants) > 1 and state.settled:
            state.grants.pop()
        state.grants = deque(((index, t_ps) for index, _ in state.grants), MAX_GRANTS)
        for index, _ in state.grants:
            queue = self._queue(index)
            if queue.owed is not None:
                queue.owed = (t_ps, queue.owed[1])

    def on_config_request(self, event: ConfigRequest) -> None:
        """A write that lifts a mask (function mask, MSI-X enable, bus master enable) may act before its completion."""
        if event.write and self._function_masked_seq >= 0 and not self._blocked():
            self._function_masked_seq = -1
            for state in self._vectors.values():
                self._unblocked(state, event.t_ps)

    def on_config_access(self, event: ConfigAccess) -> None:
        """A write that masks holds from its completion on."""
        if event.request.write and self._function_masked_seq < 0 and self._blocked():
            self._function_masked_seq, self._function_settled = event.seq, True

    def _blocked(self) -> bool:
        pci = self.observer.pci
        return pci.msix_masked or not pci.may_master or not pci.may_msix

    def _remapped(self, index: int) -> None:
        """A queue got another vector: what was owed on the old one may be sent there or is forgotten."""
        self._queue(index).owed = None

    # ---- resets and debts ----

    def on_reset_begin(self, event: ResetBegin) -> None:
        self._without_cause(event.t_ps, event.seq)
        for state in self._queues.values():
            state.forget()
        self._config_owed = 0

    def on_queue_reset_begin(self, event: QueueResetBegin) -> None:
        """What a queue asked for may be sent until it has stopped, and need not be."""
        self._queue(event.queue.index).forget()

    def on_queue_reset_done(self, event: QueueResetDone) -> None:
        """No message and no pending bit of a queue that was reset (VQRST-D02)."""
        index = event.queue.index
        self._queues.pop(index, None)
        self._stopped[index] = self._vector_of(index)
        for state in self._vectors.values():
            state.grants = deque((grant for grant in state.grants if grant[0] != index), MAX_GRANTS)

    def on_reset_done(self, event: ResetDone) -> None:
        self._queues.clear()
        self._stopped.clear()
        for state in self._vectors.values():
            state.grants.clear()
        self.resetting = True
        self._config_owed = self._config_sent = self._config_cause_seq = 0
        self._isr_due = False

    def on_pin_reset(self, event: PinReset) -> None:
        self._vectors.clear()
        self._function_masked_seq = -1
        self._function_settled = False

    def on_tick(self, event: Tick) -> None:
        if self._limit and event.t_ps >= self._next_tick:
            self._next_tick = event.t_ps + self._limit // 8
            self._owed(event.t_ps, event.seq, self._limit)

    def _owed(self, t_ps: int, seq: int, limit: int) -> None:
        virtio = self.observer.virtio
        if self.resetting or virtio.resetting or virtio.needs_reset:
            return
        if not self.profile.choices.coalesce_interrupts:
            self._each_for_its_own(t_ps, seq, limit)
        for index, state in self._queues.items():
            if state.undecided and t_ps - state.undecided[0].t_ps >= limit:
                used = state.undecided.popleft()
                what = "used descriptor" if used.queue.packed else "used index"
                self.fail(
                    t_ps, seq, f"{what} of queue {index} at seq {used.seq}", self.missing(index),
                    "a read of the suppression word issued after it", "none",
                )  # fmt: skip
            vector = self._vector_of(index)
            if state.owed is None or self._masked(vector) or not self.observer.pci.may_msix:
                continue
            since, decided = state.owed
            if t_ps - since >= limit:
                state.owed = None
                self.fail(
                    t_ps, seq, f"interrupt of queue {index} on vector {vector}", self.missing(index),
                    f"sent: the suppression word read at seq {decided} asks for it", "none",
                )  # fmt: skip

    def _each_for_its_own(self, t_ps: int, seq: int, limit: int) -> None:
        """Every decision has a message of its own, but for those that met a mask."""
        for vector, state in self._vectors.items():
            if state.grants and t_ps - state.grants[0][1] >= limit and not self._masked(vector):
                index, since = state.grants.popleft()
                queue = self._queues.get(index)
                if queue is not None and queue.owed is not None:
                    continue  # the message below says so
                self.fail(
                    t_ps, seq, f"messages of vector {vector}", self.missing(index),
                    f"one for each used buffer that asks for it, queue {index} at {since} ps too", "one less",
                )  # fmt: skip

    def _without_cause(self, t_ps: int, seq: int) -> None:
        """A configuration interrupt that no look at device_status followed: there must be something it can mean."""
        observer = self.observer
        if not self._config_cause_seq or self.profile.choices.config_changes:
            return
        broken = any(queue.broken for queue in observer.rings.queues.values())
        if not (broken or observer.failed_reads or observer.reads):
            self.fail(
                t_ps, seq, f"the configuration interrupt at seq {self._config_cause_seq}", "STATUS-D04",
                "a cause: a broken ring or a failed read", "none",
            )  # fmt: skip

    def finish(self, t_ps: int, seq: int) -> None:
        """No interrupt is owed."""
        self._without_cause(t_ps, seq)
        self._owed(t_ps, seq, 0)
        self._line.owed(t_ps, seq, 0)
        if self._config_owed and not self._masked(self.observer.virtio.config_vector):
            self.fail(t_ps, seq, "DEVICE_NEEDS_RESET", "STATUS-D04", "a configuration interrupt", "none was sent")
