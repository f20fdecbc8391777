"""Rings and descriptors: was every chain read when it was published, followed as it stands, and returned once?

The chains themselves are rebuilt by rings.py from the bytes that the endpoint was given; this scoreboard says what is
wrong with what the endpoint made of them.
"""

from __future__ import annotations

from virtiofs_model.layouts.virtio import DeviceStatus
from virtiofs_tb.profile import Profile
from virtiofs_tb.scoreboards.base import Scoreboard
from virtiofs_tb.scoreboards.events import (
    ChainReady,
    ChainTaken,
    ChainUsed,
    Doorbell,
    IndexRead,
    Interrupt,
    KicksAsked,
    QueueEnabled,
    QueueFault,
    QueueResetBegin,
    QueueResetDone,
    RegisterRead,
    ResetBegin,
    ResetDone,
    RingViolation,
    Tick,
    UsedIndex,
)
from virtiofs_tb.scoreboards.kicks import Debt, Kicks
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
        self._kicks = Kicks()
        self._faults: dict[int, QueueFault] = {}
        self._next_used: dict[int, int] = {}  # by queue: the position whose turn it is (IN_ORDER)
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
                event.t_ps, event.seq, f"{chain} is used, but its descriptors were never all read",
                chain.queue.rule("SPLIT-SUP-DX1", "PACK-DESC-D03"),
                "every descriptor covered by a read issued after it was published",
                f"{chain.steps} descriptors read",
            )  # fmt: skip
        elif length > chain.writable:
            self.fail(
                event.t_ps, event.seq, f"used length of {chain}",
                chain.queue.rule("SPLIT-USED-D02", "PACK-USED-DI1"),
                f"at most {chain.writable}: its writable part", f"{length}",
            )  # fmt: skip
        if chain.queue.in_order:
            self.count("in order")
            turn = self._next_used.get(chain.queue.index, 0)
            if chain.position != turn:
                self.fail(
                    event.t_ps, event.seq, f"{chain} is used out of order", "RSVD-D05",
                    f"{_place(chain.queue, turn)} first, which was made available before", "this one before it",
                )  # fmt: skip
        self._next_used[chain.queue.index] = chain.position + chain.slots

    def on_used_index(self, event: UsedIndex) -> None:
        self.count("used index")

    def on_queue_enabled(self, event: QueueEnabled) -> None:
        self._forget(event.queue.index)

    def _forget(self, index: int) -> None:
        self._next_used.pop(index, None)
        self._kicks.forget(index)
        self._faults.pop(index, None)

    def on_queue_reset_begin(self, event: QueueResetBegin) -> None:
        """A queue that stops owes nothing; what is on its way out keeps its order."""
        self._kicks.forget(event.queue.index)
        self._faults.pop(event.queue.index, None)

    def on_queue_reset_done(self, event: QueueResetDone) -> None:
        self.count("queue reset")
        self._forget(event.queue.index)

    def on_reset_begin(self, event: ResetBegin) -> None:
        self._untold(event.t_ps, event.seq, self.profile.timing.used_us * 1_000_000)
        self._resetting = True
        self._kicks.clear()
        self._faults.clear()

    def on_reset_done(self, event: ResetDone) -> None:
        self._resetting = False
        self._kicks.clear()
        self._faults.clear()
        self._next_used.clear()

    # ---- debts ----

    def on_doorbell(self, event: Doorbell) -> None:
        self.count("doorbell")
        queue = self.observer.rings.queues.get(event.queue)
        if queue is None or self._resetting or not self.observer.virtio.driver_ok or queue.broken:
            return
        if queue.reset_seq or not self._looks(queue):
            return
        self._kicks.rung(event.queue, event.t_ps, event.seq)

    def _looks(self, queue: Queue) -> bool:
        """Whether the endpoint looks at a queue when it is kicked."""
        return not queue.notification or self.profile.choices.prefetch_notification_buffers

    def on_index_read(self, event: IndexRead) -> None:
        self._kicks.looked(event.queue.index, event.t_ps, event.seq)

    def on_kicks_asked(self, event: KicksAsked) -> None:
        self.count("kicks asked for")
        self._kicks.said(event.queue.index, event.t_ps, event.seq)

    def on_queue_fault(self, event: QueueFault) -> None:
        self.count("broken ring")
        self._faults[event.queue.index] = event
        self._told = False
        self._kicks.forgive()

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
        for queue in self.observer.rings.queues.values():
            if queue.open or queue.broken or queue.reset_seq or not self._looks(queue):
                continue
            for debt in self._kicks.debts(queue):
                if event.t_ps - debt.since > limit:
                    self._owe(event.t_ps, event.seq, debt)
                    self._kicks.settle(queue)
                    break

    def _owe(self, t_ps: int, seq: int, debt: Debt) -> None:
        self.fail(t_ps, seq, debt.text, debt.clause, debt.expected, debt.seen)

    def finish(self, t_ps: int, seq: int) -> None:
        """Every doorbell was answered with a look at the ring, every chain was returned, every fault told."""
        if self._resetting:
            return
        self._untold(t_ps, seq, DRAINED_PS)
        if self._faults or self.observer.virtio.needs_reset:
            return
        for queue in self.observer.rings.queues.values():
            if queue.reset_seq or queue.notification:
                continue
            for debt in self._kicks.debts(queue):
                self._owe(t_ps, seq, debt)
            self._finish_queue(queue, t_ps, seq)

    def _finish_queue(self, queue: Queue, t_ps: int, seq: int) -> None:
        for position in sorted(queue.used_entries if queue.packed else ()):
            self.fail(
                t_ps, seq, f"used descriptor in slot {position % queue.size} of queue {queue.index}", "PACK-NEXT-DI1",
                f"slot {queue.used_idx % queue.size} first, where the driver looks next", "never written",
            )  # fmt: skip
        for entry in queue.slots.values():
            if entry.position not in queue.open:
                self.fail(
                    t_ps, seq, f"entry {entry.position & 0xFFFF} of queue {queue.index}", "SPLIT-SUP-DX1",
                    "read, since its index was", "never read after that",
                )  # fmt: skip
        for chain in queue.open.values():
            if not self._with_engine(chain):
                clause = queue.rule("SPLIT-USED-D01", "PACK-NEXT-DI1")
                self.fail(t_ps, seq, f"{chain}", clause, "used by the end of the run", "still open")

    @staticmethod
    def _with_engine(chain: Chain) -> bool:
        """Whether the chain may be open: it waits for software, a request that was handed over and not answered, or for
        a lock, as far as is known here."""
        read = chain.walked and chain.read_store.covers(0, chain.readable)
        waits = read and may_wait(bytes(chain.read_store.data[:8]))
        return (chain.request is not None and not chain.answered) or (waits and not chain.entry_seq)


def _place(queue: Queue, position: int) -> str:
    """Where a chain stands in available order."""
    return f"slot {position % queue.size}" if queue.packed else f"entry {position & 0xFFFF}"
