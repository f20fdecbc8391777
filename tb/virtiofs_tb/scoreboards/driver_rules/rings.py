"""Chains as the driver lays them out, in either ring format, and what it leaves alone while they are exposed.

The tracker of the rings follows every chain and says why one cannot be followed; here the reason gets its clause.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from struct import Struct
from typing import ClassVar

from virtiofs_model.layouts.virtio import DescFlags, Feature
from virtiofs_tb.scoreboards.driver_rules.base import L1, L2, Report, Theme
from virtiofs_tb.scoreboards.events import ChainReady, DmaData, QueueEnabled, QueueFault, SuppressionRead
from virtiofs_tb.scoreboards.memory_map import DESC
from virtiofs_tb.scoreboards.observer import Observer
from virtiofs_tb.scoreboards.packed_rings import available
from virtiofs_tb.scoreboards.ring_state import Chain, Queue

NEXT, WRITE, INDIRECT = int(DescFlags.NEXT), int(DescFlags.WRITE), int(DescFlags.INDIRECT)
ROUND = int(DescFlags.AVAIL | DescFlags.USED)
_DESC = Struct("<QIHH")

FAULTS = (
    ("INDIRECT inside an indirect table", "SPLIT-IND-R02", "PACK-IND-R02"),
    ("VIRTIO_F_INDIRECT_DESC was not negotiated", "SPLIT-IND-R01", "PACK-IND-R01"),
    ("INDIRECT together with NEXT", "SPLIT-IND-R04", "PACK-IND-R04"),
    ("INDIRECT in a list of linked descriptors", "", "PACK-IND-R04"),
    ("a readable descriptor after a writable one", "SPLIT-FRAME-R01", "PACK-SG-R03"),
    ("2^32 bytes or more", "SPLIT-DESC-R01", ""),
    ("available index ", "SPLIT-AVAIL-R01", ""),
    ("is available again before", "", "PACK-DESC-R01"),
    ("that are not in use", "", "PACK-SG-R05"),
)
"""Words of a fault (rings.py, split_rings.py, packed_rings.py), and the clause in each format ('' none)."""
TOO_LONG = ("descriptors, or a loop", "SPLIT-IND-R03", "PACK-SG-R02", "PACK-IND-R03")

_SPLIT = ("SPLIT-DESC-R02", "SPLIT-IND-R03", "SPLIT-IND-R05", "SPLIT-UNS-R01", "SPLIT-UNS-R03", "CLEAN-R01")
_PACKED = ("PACK-WRAP-RI1", "PACK-IND-R03", "PACK-SG-R02", "PACK-DESC-R02")


class RingRules(Theme):
    """Where rings stand, and what chains look like."""

    rules: ClassVar[dict[str, str]] = {
        **dict.fromkeys(("SPLIT-VQ-R01", "PACK-VQ-R01"), L1),
        **dict.fromkeys((*_SPLIT, *_PACKED, *(clause for fault in FAULTS for clause in fault[1:] if clause)), L2),
    }

    def __init__(self, observer: Observer, report: Callable[[Report], None]) -> None:
        super().__init__(observer, report)
        self._known: dict[tuple[int, int], tuple[Chain, bytes]] = {}  # by queue and slot, of chains that are walked

    def on_queue_enabled(self, event: QueueEnabled) -> None:
        queue = event.queue
        self._known = {key: value for key, value in self._known.items() if key[0] != queue.index}
        aligned = (("queue_desc", queue.desc, 16), ("queue_driver", queue.driver, 4 if queue.packed else 2),
                   ("queue_device", queue.device, 4))  # fmt: skip
        for name, address, unit in aligned:
            if address % unit:
                clause = queue.rule("SPLIT-VQ-R01", "PACK-VQ-R01")
                text = f"{name} of queue {queue.index}"
                self.wrong(event.t_ps, event.seq, clause, text, f"a multiple of {unit}", f"{address:#x}")

    def on_queue_fault(self, event: QueueFault) -> None:
        packed = event.queue.packed
        if TOO_LONG[0] in event.text:
            clause = TOO_LONG[1] if not packed else TOO_LONG[3] if self._in_table(event.queue) else TOO_LONG[2]
            self.wrong(event.t_ps, event.seq, clause, event.text, f"at most {event.queue.size}", "more")
            return
        if "that are not in use" in event.text and f"more than the {event.queue.size} " in event.text:
            self.wrong(event.t_ps, event.seq, "PACK-SG-R02", event.text, f"at most {event.queue.size}", "more")
            return
        if self.observer.virtio.negotiated(Feature.NOTIFICATION_DATA) and "available index " in event.text:
            return  # it may be behind what a doorbell has told: KICK-RI1
        for words, *clauses in FAULTS:
            if words in event.text and clauses[packed]:
                text = f"queue {event.queue.index}: {event.text}"
                self.wrong(event.t_ps, event.seq, clauses[packed], text, "a chain that can be followed", "this")
                return

    @staticmethod
    def _in_table(queue: Queue) -> bool:
        return any(chain.broken and chain.table is not None for chain in queue.open.values())

    def on_suppression_read(self, event: SuppressionRead) -> None:
        queue, flags = event.queue, event.flags
        if queue.packed or flags is None:
            return
        text = f"flags of the available ring of queue {queue.index}"
        if queue.event_idx and flags:
            self.wrong(event.t_ps, event.seq, "SPLIT-UNS-R03", text, "0", f"{flags:#x}")
        elif flags > 1:
            self.wrong(event.t_ps, event.seq, "SPLIT-UNS-R01", text, "0 or 1", f"{flags:#x}")

    # ---- whole chains ----

    def on_chain_ready(self, event: ChainReady) -> None:
        chain, queue = event.chain, event.chain.queue
        if chain.provisional:
            return
        table = chain.table
        if table is not None and queue.packed:
            self._packed_table(event, chain, bytes(table.store.data[: table.length]))
        elif table is not None and queue.in_order:
            elements = list(_DESC.iter_unpack(bytes(table.store.data[: table.length])))
            for at, (_, _, flags, following) in enumerate(elements[: chain.steps]):
                if flags & NEXT and following != at + 1:
                    text = f"element {at} of the indirect table of {chain}"
                    self.wrong(event.t_ps, event.seq, "SPLIT-IND-R05", text, f"next {at + 1}", f"{following}")
                    break
        for slot, content in self._slots(chain):
            self._known[queue.index, slot] = chain, _DESC.pack(*content)
        if table is None:
            self._linked(event, chain)

    def _slots(self, chain: Chain) -> Iterator[tuple[int, tuple[int, int, int, int]]]:
        """The descriptors of the ring that a chain takes, with their contents."""
        queue, at = chain.queue, chain.head
        for number in range(chain.slots if queue.packed else queue.size):
            slot = (chain.position + number) % queue.size if queue.packed else at
            desc = queue.descs[slot]
            if desc is None:
                return
            yield slot, desc[1:]
            if not queue.packed:
                if not desc[3] & NEXT or desc[3] & INDIRECT or desc[4] >= queue.size:
                    return
                at = desc[4]

    def _packed_table(self, event: ChainReady, chain: Chain, data: bytes) -> None:
        for at, (_, _, _, flags) in enumerate(_DESC.iter_unpack(data)):
            if flags & ~WRITE:
                text = f"element {at} of the indirect table of {chain}"
                self.wrong(event.t_ps, event.seq, "PACK-IND-R02", text, "no flag but WRITE", f"{flags:#x}")
                return

    def _linked(self, event: ChainReady, chain: Chain) -> None:
        queue = chain.queue
        for number, (slot, (_, _, flags, following)) in enumerate(self._slots(chain)):
            text = f"descriptor {slot} of {chain}"
            if queue.packed:
                wrap = queue.wrap(chain.position + number)
                if not available(flags, wrap):
                    expected = f"AVAIL {wrap} and USED {1 - wrap}"
                    self.wrong(event.t_ps, event.seq, "PACK-WRAP-RI1", text, expected, f"flags {flags:#x}")
                    return
            elif queue.in_order and flags & NEXT and following != (slot + 1) % queue.size:
                expected = f"next {(slot + 1) % queue.size}"
                self.wrong(event.t_ps, event.seq, "SPLIT-DESC-R02", text, expected, f"{following}")
                return

    # ---- what is exposed stays as it is ----

    def on_dma_data(self, event: DmaData) -> None:
        for region in event.read.regions:
            if region.kind != DESC or not event.ok or (event.start - region.start) & 15:
                continue
            queue, first = region.queue, (event.start - region.start) >> 4
            for number in range(len(event.data) >> 4):
                self._again(event, queue, first + number, event.data[16 * number : 16 * number + 16])

    def _again(self, event: DmaData, queue: Queue, slot: int, data: bytes) -> None:
        """A descriptor of an exposed chain is read once more, by a read that was issued before the chain was used."""
        known = self._known.get((queue.index, slot))
        if known is None:
            return
        chain, before = known
        if chain.dead or chain.entry_seq or chain.queue is not queue:
            del self._known[queue.index, slot]
            return
        if queue.packed:  # as the tracker keeps it: flags, then the buffer ID
            address, length, id_, flags = _DESC.unpack(data)
            if (flags ^ _DESC.unpack(before)[2]) & ROUND:
                return  # another list stands there: PACK-DESC-R01, PACK-SG-R05
            data = _DESC.pack(address, length, flags, id_)
        if data != before and event.read.seq > chain.pub_seq:
            clause = queue.rule("CLEAN-R01", "PACK-DESC-R02")
            text = f"descriptor {slot} of {chain}, which is exposed"
            self.wrong(event.t_ps, event.seq, clause, text, f"{before.hex()} as it was", data.hex())
            del self._known[queue.index, slot]
