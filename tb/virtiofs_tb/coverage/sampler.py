"""What of an observation log falls into which bin. Only events of the observer are known here, never stimulus."""

from __future__ import annotations

from collections.abc import Sequence

from virtiofs_model.errors import ErrorCode
from virtiofs_model.layouts.dpu import DpuRegister, NotifyResult
from virtiofs_model.layouts.fuse_constants import NotifyCode
from virtiofs_model.layouts.virtio import VIRTIO_MSI_NO_VECTOR, DeviceStatus
from virtiofs_tb.coverage.counts import Counts
from virtiofs_tb.coverage.model import CODES, FREE_FEATURES
from virtiofs_tb.host.log import Record
from virtiofs_tb.profile import Profile
from virtiofs_tb.scoreboards.events import (
    ChainReady,
    ChainUsed,
    DmaData,
    DmaRead,
    DpuAccess,
    MailboxNotify,
    PinReset,
    QueueResetBegin,
    RegisterRead,
    RegisterWrite,
    ResetBegin,
    SuppressionRead,
    UsedIndex,
)
from virtiofs_tb.scoreboards.memory_map import AVAIL, DESC, READABLE, TABLE, WRITABLE
from virtiofs_tb.scoreboards.observer import Observer
from virtiofs_tb.scoreboards.ring_state import Queue

STATUS_AT = 0x14
PAGE = 4096
MEMORY = {DESC: "descriptors", AVAIL: "driver area", TABLE: "indirect table", READABLE: "readable part"}
STEPS = (
    (DeviceStatus.ACKNOWLEDGE, "acknowledge"),
    (DeviceStatus.DRIVER, "driver"),
    (DeviceStatus.FEATURES_OK, "features_ok"),
    (DeviceStatus.DRIVER_OK, "driver_ok"),
)
PACKED_SAID = {0: "packed enable", 1: "packed disable", 2: "packed descriptor"}


def size_class(size: int) -> str:
    """Of a queue."""
    return "1" if size == 1 else next(text for most, text in SIZE_CLASSES if size <= most)


SIZE_CLASSES = ((8, "2..8"), (64, "9..64"), (512, "65..512"), (1 << 16, "513..1024"))
COUNT_CLASSES = ((1, "1"), (2, "2"), (4, "3..4"), (8, "5..8"), (1 << 32, "9.."))


def count_class(count: int) -> str:
    """Of the descriptors of a chain."""
    return next(text for most, text in COUNT_CLASSES if count <= most)


def alignment_class(address: int) -> str:
    """The greatest power of 2 that divides an address, 16 at most."""
    return next((str(power) for power in (1, 2, 4, 8) if address & power), "16..")


def state_of(status: int) -> str:
    """The furthest step of device_status."""
    return next((name for bit, name in reversed(STEPS) if status & bit), "reset")


def format_of(queue: Queue) -> str:
    return "packed" if queue.packed else "split"


class Sampler:
    """Counts bins of one run. observe() takes batches of the log in order."""

    def __init__(self, run: str, profile: Profile | None = None) -> None:
        self.counts = Counts([run])
        self.observer = Observer(profile if profile is not None else Profile())
        self.observer.bind([self])
        self._hit = self.counts.hit
        self._status = 0
        self._needs_reset = False
        self._pieces: dict[int, int] = {}  # of reads that are not answered to the end, by seq
        self._open_reads: dict[int, DmaRead] = {}

    def observe(self, batch: Sequence[Record]) -> None:
        """Count a batch."""
        self.observer.observe(batch)

    # ---- rings ----

    def on_chain_ready(self, event: ChainReady) -> None:
        chain = event.chain
        queue = chain.queue
        form, size = format_of(queue), size_class(queue.size)
        shape = "indirect" if chain.indirect else "direct"
        self._hit("ring", form, size, "other" if queue.size & (queue.size - 1) else "power of 2")
        if chain.readable or chain.writable:
            parts = "both" if chain.readable and chain.writable else "readable" if chain.readable else "writable"
            self._hit("chain", form, shape, count_class(chain.steps), parts)
        self._hit("chain_in_ring", form, size, shape, "1" if chain.steps == 1 else "2..")
        for region in chain.regions:
            if region.kind in (READABLE, WRITABLE):
                part = "readable" if region.kind == READABLE else "writable"
                crosses = region.start // PAGE != (region.end - 1) // PAGE
                self._hit("buffer", form, part, alignment_class(region.start), "crosses" if crosses else "inside")

    def on_chain_used(self, event: ChainUsed) -> None:
        chain = event.chain
        queue = chain.queue
        form = format_of(queue)
        length = "nothing" if not event.length else "all" if event.length >= chain.writable else "part"
        self._hit("used_length", form, "notification" if queue.notification else "request", length)
        if queue.notification and event.length >= 16 and chain.write_store.covers(4, 8):
            code = int.from_bytes(chain.write_store.data[4:8], "little")
            name = "LOCK" if code == NotifyCode.RESEND else next((one.name for one in NotifyCode if one == code), "")
            if name in CODES:
                self._hit("notification", form, name)

    def on_used_index(self, event: UsedIndex) -> None:
        pci, registers = self.observer.pci, self.observer.virtio.queue(event.queue.index)
        if not pci.may_msix:
            state = "MSI-X off"
        elif registers.vector == VIRTIO_MSI_NO_VECTOR:
            state = "no vector"
        elif not pci.may_master:
            state = "bus master off"
        elif pci.msix_masked:
            state = "function masked"
        elif registers.vector < len(pci.vectors) and pci.vectors[registers.vector].masked:
            state = "vector masked"
        else:
            state = "open"
        self._hit("interrupt", format_of(event.queue), state)

    def on_suppression_read(self, event: SuppressionRead) -> None:
        queue = event.queue
        if queue.packed:
            if event.flags in PACKED_SAID:
                self._hit("suppression", PACKED_SAID[event.flags])
        elif queue.event_idx:
            if event.used_event is not None:
                self._hit("suppression", "used_event")
        elif event.flags is not None:
            self._hit("suppression", "flags off" if event.flags & 1 else "flags on")

    # ---- status and resets ----

    def on_register_write(self, event: RegisterWrite) -> None:
        if event.region != "common" or not event.at <= STATUS_AT < event.at + len(event.data):
            return
        new, old = event.data[STATUS_AT - event.at], self._status
        if not new:
            needs = self._needs_reset and state_of(old) != "reset"
            self._hit("status", f"{'needs_reset' if needs else state_of(old)}>reset")
            self._needs_reset = False
        elif new & DeviceStatus.FAILED:
            self._hit("status", "failed")
        elif state_of(new) != state_of(old) and self._follows(state_of(old), state_of(new)):
            self._hit("status", f"{state_of(old)}>{state_of(new)}")
            if state_of(new) == "driver_ok":
                self._driver_ok()
        self._status = new

    @staticmethod
    def _follows(old: str, new: str) -> bool:
        """Whether the step is the next one; a driver that takes two at once is in no bin."""
        names = ["reset", *(name for _, name in STEPS)]
        return names.index(new) == names.index(old) + 1

    def on_register_read(self, event: RegisterRead) -> None:
        if event.region != "common" or not event.at <= STATUS_AT < event.at + len(event.data):
            return
        seen = event.data[STATUS_AT - event.at]
        self._needs_reset |= bool(seen & DeviceStatus.DEVICE_NEEDS_RESET)
        if self._status & DeviceStatus.FEATURES_OK and seen and not seen & DeviceStatus.FEATURES_OK:
            self._hit("status", "features refused")
            self._status = seen

    def _driver_ok(self) -> None:
        virtio = self.observer.virtio
        taken = [virtio.negotiated(feature) for feature in FREE_FEATURES]
        for at, one in enumerate(FREE_FEATURES):
            for behind, other in enumerate(FREE_FEATURES[at + 1 :], at + 1):
                company = ("neither", "first", "second", "both")[taken[at] + 2 * taken[behind]]
                self._hit("features", f"{one.name}+{other.name}", company)
        queues = [registers.vector for registers in virtio.queues.values() if registers.enabled]
        everybody = [*queues, virtio.config_vector]
        for role, vector in [("configuration", virtio.config_vector), *(("queue", vector) for vector in queues)]:
            shared = "shared" if everybody.count(vector) > 1 else "own"
            self._hit("vectors", role, "none" if vector == VIRTIO_MSI_NO_VECTOR else shared)

    def on_reset_begin(self, event: ResetBegin) -> None:
        queues = self.observer.rings.queues.values()
        if queues:
            self._reset("device", list(queues))

    def on_queue_reset_begin(self, event: QueueResetBegin) -> None:
        self._reset("queue", [event.queue])

    def _reset(self, kind: str, queues: list[Queue]) -> None:
        reads = any(region.queue in queues for read in self._open_reads.values() for region in read.regions)
        open_ = any(queue.open for queue in queues)
        moment = "reads outstanding" if reads else "chains open" if open_ else "idle"
        self._hit("reset", kind, format_of(queues[0]), moment)

    def on_pin_reset(self, event: PinReset) -> None:
        self._status, self._needs_reset = 0, False
        self._open_reads.clear()
        self._pieces.clear()
        self._hit("other_reset", "pin")

    # ---- the link ----

    def on_dma_read(self, event: DmaRead) -> None:
        if event.replaced is not None:
            self._open_reads.pop(event.replaced.seq, None)
        if event.regions:
            self._open_reads[event.seq] = event

    def on_dma_data(self, event: DmaData) -> None:
        read = event.read
        if read.seq not in self._open_reads:
            return
        region = read.regions[0]
        memory = "readable part" if region.kind == READABLE else "ring"
        pieces = self._pieces.get(read.seq, 0) + 1
        if pieces == 1:
            overtakes = next(iter(self._open_reads)) != read.seq
            self._hit("order", memory, "overtakes" if overtakes else "in order")
        if not event.ok and region.kind in MEMORY:
            self._hit("failed_read", format_of(region.queue), MEMORY[region.kind])
        if event.ok and read.received < read.end - read.start:
            self._pieces[read.seq] = pieces
            return
        self._pieces.pop(read.seq, None)
        del self._open_reads[read.seq]
        if event.ok:
            self._hit("completion", memory, "3.." if pieces > 2 else str(pieces))

    # ---- the DPU ----

    def on_dpu_access(self, event: DpuAccess) -> None:
        if event.write or event.status or event.address != DpuRegister.ERROR_HEAD:
            return
        code = event.value & 0xFF
        if code in {int(one) for one in ErrorCode if one}:
            self._hit("error", ErrorCode(code).name)

    def on_mailbox_notify(self, event: MailboxNotify) -> None:
        self._hit("mailbox", NotifyResult(event.result).name.lower())
