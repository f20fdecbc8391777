"""Rings and descriptors: was every chain read when it was published, followed as it stands, and returned once?

The chains themselves are rebuilt by rings.py from the bytes that the endpoint was given; this scoreboard says what is
wrong with what the endpoint made of them.
"""

from __future__ import annotations

from virtiofs_model.layouts.virtio import DeviceStatus, Feature
from virtiofs_tb.profile import Profile
from virtiofs_tb.scoreboards.base import Scoreboard
from virtiofs_tb.scoreboards.events import (
    ChainReady,
    ChainTaken,
    ChainUsed,
    Doorbell,
    IndexRead,
    Interrupt,
    QueueEnabled,
    QueueFault,
    RegisterRead,
    ResetBegin,
    ResetDone,
    RingViolation,
    Tick,
    UsedIndex,
)
from virtiofs_tb.scoreboards.observer import Observer
from virtiofs_tb.scoreboards.ring_state import Chain, Queue
from virtiofs_tb.scoreboards.waits import may_wait

STATUS_AT = 0x14
NEEDS_RESET = int(DeviceStatus.DEVICE_NEEDS_RESET)
DRAINED_PS = 10_000_000
"""What the endpoint found out before this it has told when a run has ended: its drain takes longer."""


class DescriptorScoreboard(Scoreboard):
    """Judge of the available ring, the descriptor table and the used ring."""

    name = "descriptors"

    def __init__(self, profile: Profile, observer: Observer) -> None:
        super().__init__(profile, observer)
        self._kicks: dict[int, tuple[int, int]] = {}  # doorbells that no index read has followed: time, seq
        self._faults: dict[int, QueueFault] = {}
        self._last_used: dict[int, int] = {}
        self._resetting = False
        self._told = False  # a configuration interrupt came after a fault

    # ---- what the endpoint did ----

    def on_ring_violation(self, event: RingViolation) -> None:
        self.fail(event.t_ps, event.seq, event.text, event.clause, event.expected, event.seen)

    def on_chain_ready(self, event: ChainReady) -> None:
        self.count("chain")

    def on_chain_taken(self, event: ChainTaken) -> None:
        """Chains are taken up in the order of the available ring, where the profile says so."""
        chain = event.chain
        if self.profile.choices.ordered_fetch:
            self.count("order")
            if event.passed:
                self.fail(
                    event.t_ps, event.seq, f"{chain} is taken up before its turn", "SPLIT-SUP-DX1",
                    f"entry {chain.position - 1 & 0xFFFF} of the available ring first",
                    "a read of this chain's head, and none yet of that entry's",
                )  # fmt: skip

    def on_chain_used(self, event: ChainUsed) -> None:
        self.count("used entry")
        chain, length = event.chain, event.length
        if chain.broken and length:
            self.fail(
                event.t_ps, event.seq, f"{chain} is used with length {length}, though {chain.broken}", "STATUS-D03",
                "DEVICE_NEEDS_RESET: the chain is broken", "an answer",
            )  # fmt: skip
        if chain.broken or chain.queue.broken:
            return
        if not chain.walked:
            self.fail(
                event.t_ps, event.seq, f"{chain} is used, but its descriptors were never all read", "SPLIT-SUP-DX1",
                "every descriptor covered by a read issued after its index was delivered",
                f"{chain.steps} descriptors read",
            )  # fmt: skip
        elif length > chain.writable:
            self.fail(
                event.t_ps, event.seq, f"used length of {chain}", "SPLIT-USED-D02",
                f"at most {chain.writable}: its writable part", f"{length}",
            )  # fmt: skip
        if self.observer.virtio.negotiated(Feature.IN_ORDER):
            last = self._last_used.get(chain.queue.index, -1)
            if chain.position != last + 1:
                self.fail(
                    event.t_ps, event.seq, f"{chain} is used out of order", "RSVD-D05", f"entry {last + 1 & 0xFFFF}",
                    f"entry {chain.position & 0xFFFF}",
                )  # fmt: skip
        self._last_used[chain.queue.index] = chain.position

    def on_used_index(self, event: UsedIndex) -> None:
        self.count("used index")

    def on_queue_enabled(self, event: QueueEnabled) -> None:
        self._last_used.pop(event.queue.index, None)
        self._kicks.pop(event.queue.index, None)

    def on_reset_begin(self, event: ResetBegin) -> None:
        self._untold(event.t_ps, event.seq, self.profile.timing.used_us * 1_000_000)
        self._resetting = True
        self._kicks.clear()
        self._faults.clear()

    def on_reset_done(self, event: ResetDone) -> None:
        self._resetting = False
        self._kicks.clear()
        self._faults.clear()
        self._last_used.clear()

    # ---- debts ----

    def on_doorbell(self, event: Doorbell) -> None:
        self.count("doorbell")
        queue = self.observer.rings.queues.get(event.queue)
        if queue is None or self._resetting or not self.observer.virtio.driver_ok or queue.broken:
            return
        if queue.notification and not self.profile.choices.prefetch_notification_buffers:
            return
        self._kicks.setdefault(event.queue, (event.t_ps, event.seq))

    def on_index_read(self, event: IndexRead) -> None:
        self._kicks.pop(event.queue.index, None)

    def on_queue_fault(self, event: QueueFault) -> None:
        self.count("broken ring")
        self._faults[event.queue.index] = event
        self._told = False
        self._kicks.clear()

    def on_register_read(self, event: RegisterRead) -> None:
        """A device that cannot go on says so (STATUS-D03)."""
        if event.region != "common" or event.status or not event.at <= STATUS_AT < event.at + len(event.data):
            return
        limit = self.profile.timing.used_us * 1_000_000
        for index, fault in list(self._faults.items()):
            if limit and event.t_ps - fault.t_ps > limit and not event.data[STATUS_AT - event.at] & NEEDS_RESET:
                del self._faults[index]
                self.fail(
                    event.t_ps, event.seq, f"device_status after queue {index} was found broken: {fault.text}",
                    "STATUS-D03", "DEVICE_NEEDS_RESET", f"{event.data[STATUS_AT - event.at]:#04x}",
                )  # fmt: skip

    def on_interrupt(self, event: Interrupt) -> None:
        if self._faults and self.observer.virtio.config_vector in event.vectors:
            self._told = True

    def _untold(self, t_ps: int, seq: int, limit: int) -> None:
        """Rings that were found broken `limit` ago without a word to the driver (STATUS-D03, STATUS-D04)."""
        if not limit or self._told or self.observer.virtio.needs_reset:
            return
        for index, fault in self._faults.items():
            if t_ps - fault.t_ps > limit:
                self.fail(
                    t_ps, seq, f"queue {index} was found broken at seq {fault.seq}: {fault.text}", "STATUS-D03",
                    "DEVICE_NEEDS_RESET in device_status, or the configuration interrupt that tells of it", "neither",
                )  # fmt: skip

    def on_tick(self, event: Tick) -> None:
        limit = self.profile.timing.used_us * 1_000_000
        if not limit or self._resetting or self._faults:
            return
        for index, (t_ps, seq) in list(self._kicks.items()):
            queue = self.observer.rings.queues.get(index)
            if event.t_ps - t_ps > limit and (queue is None or not queue.open):
                del self._kicks[index]
                self._owe_index(event.t_ps, event.seq, index, seq)

    def _owe_index(self, t_ps: int, seq: int, index: int, doorbell_seq: int) -> None:
        self.fail(
            t_ps, seq, f"the doorbell of queue {index} at seq {doorbell_seq}", "SPLIT-SUP-DX1",
            "a read of the available index issued after it", "none",
        )  # fmt: skip

    def finish(self, t_ps: int, seq: int) -> None:
        """Every doorbell was answered with a look at the ring, every chain was returned, every fault told."""
        if self._resetting:
            return
        self._untold(t_ps, seq, DRAINED_PS)
        if self._faults or self.observer.virtio.needs_reset:
            return
        for index, (_, doorbell_seq) in self._kicks.items():
            queue = self.observer.rings.queues.get(index)
            if queue is not None and not queue.notification:
                self._owe_index(t_ps, seq, index, doorbell_seq)
        for queue in self.observer.rings.queues.values():
            if not queue.notification:
                self._finish_queue(queue, t_ps, seq)

    def _finish_queue(self, queue: Queue, t_ps: int, seq: int) -> None:
        for entry in queue.slots.values():
            if entry.position not in queue.open:
                self.fail(
                    t_ps, seq, f"entry {entry.position & 0xFFFF} of queue {queue.index}", "SPLIT-SUP-DX1",
                    "read, since its index was", "never read after that",
                )  # fmt: skip
        for chain in queue.open.values():
            if not self._with_engine(chain):
                self.fail(t_ps, seq, f"{chain}", "SPLIT-USED-D01", "used by the end of the run", "still open")

    @staticmethod
    def _with_engine(chain: Chain) -> bool:
        """Whether the chain may be open: it waits for software, a request that was handed over and not answered, or for
        a lock, as far as is known here."""
        read = chain.walked and chain.read_store.covers(0, chain.readable)
        waits = read and may_wait(bytes(chain.read_store.data[:8]))
        return (chain.request is not None and not chain.answered) or (waits and not chain.entry_seq)
