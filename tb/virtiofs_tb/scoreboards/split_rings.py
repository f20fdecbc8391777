"""Split rings as the endpoint was shown them: available index, ring entries, descriptors, and the words that suppress.

Trust rule (SPLIT-SUP-DX1 read with PCIe ordering): an available index publishes ring entry, descriptors and data. Each
of these counts only where it was carried by a read that was issued after the completion which delivered the index.
"""

from __future__ import annotations

from collections import deque
from struct import Struct
from typing import TYPE_CHECKING

from virtiofs_model.layouts.virtio import DescFlags
from virtiofs_tb.scoreboards.events import ChainTaken, DmaRead, IndexRead, SuppressionRead
from virtiofs_tb.scoreboards.listeners import Listeners
from virtiofs_tb.scoreboards.memory_map import AVAIL, DESC, Region
from virtiofs_tb.scoreboards.ring_state import Chain, Published, Queue

if TYPE_CHECKING:
    from virtiofs_tb.scoreboards.rings import RingTracker

NEXT, INDIRECT = int(DescFlags.NEXT), int(DescFlags.INDIRECT)

_DESC = Struct("<QIHH")
_U16 = Struct("<H")

SMALLEST_CUT = 128
"""Reads are cut at multiples of Max_Read_Request_Size, 128 bytes or more."""


class SplitRings:
    """What split rings have of their own; the tracker has the rest."""

    def __init__(self, tracker: RingTracker, listeners: Listeners) -> None:
        self._tracker = tracker
        self._listeners = listeners
        self._cuts: deque[int] = deque(maxlen=32)  # where reads of descriptors ended of late, if they may go on there

    # ---- reads that are issued ----

    def asked(self, region: Region, read: DmaRead) -> None:
        """Note which queue's available index or which chain's head a read asks for."""
        if region.kind == DESC:
            for chain in region.queue.by_head.get(read.start - region.start >> 4, ()):
                if not chain.head_issue and not (read.start - region.start) & 15:
                    self._head_read(chain, read)
            if not read.end % SMALLEST_CUT:
                self._cuts.append(read.end)
        elif region.kind == AVAIL and read.start < region.start + 4 and region.start + 2 < read.end:
            event = IndexRead(read.t_ps, read.seq, region.queue)
            for listener in self._listeners.on_index_read:
                listener(event)

    def _head_read(self, chain: Chain, read: DmaRead) -> None:
        """The first read that begins at the head of a chain: the endpoint takes this chain up now.

        Unless it is the second part of a longer read, which had to be cut there.
        """
        queue = chain.queue
        before = queue.open.get(chain.position - 1)
        passed = before is not None and not before.head_issue
        waiting = queue.slots.get((chain.position - 1) % queue.size)
        passed |= waiting is not None and waiting.position == chain.position - 1
        if passed and read.start in self._cuts:
            return
        chain.head_issue = read.seq
        event = ChainTaken(read.t_ps, read.seq, chain, passed)
        for listener in self._listeners.on_chain_taken:
            listener(event)

    # ---- bytes that arrive ----

    def driver_area(self, queue: Queue, offset: int, data: bytes, issue: int, t_ps: int, seq: int) -> None:
        """Bytes of the available ring."""
        end = offset + len(data)
        flags: int | None = None
        used_event: int | None = None
        if offset == 0 and end >= 2:
            flags = data[0] | data[1] << 8
        if offset <= 2 and end >= 4:
            self._index(queue, data[2 - offset] | data[3 - offset] << 8, issue, t_ps, seq)
        ring_end = 4 + 2 * queue.size
        if end > 5 and offset < ring_end:
            first = max(offset - 3 >> 1, 0)
            last = min(end - 4 >> 1, queue.size)
            for slot in range(first, last):
                at = 4 + 2 * slot - offset
                self._entry(queue, slot, data[at] | data[at + 1] << 8, issue, t_ps, seq)
        if offset <= ring_end and end >= ring_end + 2:
            used_event = _U16.unpack_from(data, ring_end - offset)[0]
        if flags is not None or used_event is not None:
            event = SuppressionRead(t_ps, seq, issue, queue, flags, used_event)
            for listener in self._listeners.on_suppression_read:
                listener(event)

    def _index(self, queue: Queue, value: int, issue: int, t_ps: int, seq: int) -> None:
        ahead = (value - queue.avail_idx) & 0xFFFF
        if ahead == 0:
            return
        if ahead > queue.size:
            # Two index reads may complete out of order: an older value lies behind, never further than is open. A
            # read that was issued when the newer value was known must not bring an older one.
            if issue > queue.index_seq or (queue.avail_idx - value) & 0xFFFF > queue.size:
                text = f"available index {value} is {ahead} ahead of {queue.avail_idx & 0xFFFF}"
                self._tracker.fault(queue, t_ps, seq, text)
            return
        self._publish(queue, ahead, t_ps, seq)

    def _publish(self, queue: Queue, ahead: int, t_ps: int, seq: int) -> None:
        for position in range(queue.avail_idx, queue.avail_idx + ahead):
            queue.slots[position % queue.size] = Published(position, seq, t_ps)
        queue.avail_idx += ahead
        queue.index_seq = seq

    def told(self, queue: Queue, value: int, t_ps: int, seq: int) -> None:
        """A doorbell with NOTIFICATION_DATA names the available index: it publishes like a read of it.

        A doorbell that was rung before the index was read tells nothing new.
        """
        ahead = (value - queue.avail_idx) & 0xFFFF
        if 0 < ahead <= queue.size:
            self._publish(queue, ahead, t_ps, seq)

    def _entry(self, queue: Queue, slot: int, head: int, issue: int, t_ps: int, seq: int) -> None:
        entry = queue.slots.get(slot)
        if entry is None or issue <= entry.pub_seq:
            queue.early[slot] = head
            return
        del queue.slots[slot]
        queue.early.pop(slot, None)
        if queue.broken:
            return
        provisional = queue.open.get(entry.position)
        if provisional is not None:
            if provisional.head == head:
                return
            self._tracker.retire(provisional)
        if head >= queue.size:
            text = f"ring entry {slot} holds head {head}, the queue has {queue.size} descriptors"
            self._tracker.fault(queue, t_ps, seq, text)
            return
        self._walk(self._tracker.open(queue, entry, head), t_ps, seq)

    def descriptors(self, queue: Queue, index: int, data: bytes, issue: int, t_ps: int, seq: int) -> None:
        """Whole descriptors from `index` on."""
        descs = queue.descs
        waiting = queue.waiting
        woken: list[Chain] = []
        for address, length, flags, following in _DESC.iter_unpack(data):
            old = descs[index]
            if old is None or old[0] <= issue:
                descs[index] = (issue, address, length, flags, following)
                if index in waiting:
                    woken += waiting.pop(index)
            index += 1
        for chain in woken:
            if not chain.dead:
                self._walk(chain, t_ps, seq)

    def table_grew(self, chain: Chain, t_ps: int, seq: int) -> None:
        """Bytes of an indirect table arrived."""
        self._walk(chain, t_ps, seq)

    # ---- the walk ----

    def rebuild_early(self, queue: Queue, t_ps: int, seq: int) -> None:
        """Follow what was read too early as well."""
        for slot, entry in list(queue.slots.items()):
            head = queue.early.get(slot)
            if head is not None and head < queue.size and entry.position not in queue.open:
                chain = self._tracker.open(queue, entry, head)
                chain.provisional = "ring entry"
                self._walk(chain, t_ps, seq)
        for waiting in list(queue.waiting.values()):
            for chain in list(waiting):
                if not chain.dead and not chain.walked:
                    self._walk(chain, t_ps, seq, early=True)

    def _walk(self, chain: Chain, t_ps: int, seq: int, early: bool = False) -> None:
        """Follow the chain as far as its descriptors are known; early: accept those of reads issued too early."""
        queue, tracker = chain.queue, self._tracker
        while True:
            table = chain.table
            at = chain.next
            if table is not None:
                if not table.store.covers(16 * at, 16 * at + 16):
                    return
                address, length, flags, following = _DESC.unpack_from(table.store.data, 16 * at)
            else:
                desc = queue.descs[at]
                if desc is None or (desc[0] <= chain.pub_seq and not early):
                    waiting = queue.waiting.setdefault(at, [])
                    if chain not in waiting:
                        waiting.append(chain)
                    return
                if desc[0] <= chain.pub_seq:
                    chain.provisional = chain.provisional or "descriptors"
                _, address, length, flags, following = desc
            chain.steps += 1
            if not tracker.element(chain, address, length, flags, t_ps, seq):
                return
            if flags & INDIRECT and table is None:
                chain.steps -= 1  # the descriptor that points to the table is none of the chain's elements
                continue
            if not flags & NEXT:
                tracker.walked(chain, t_ps, seq)
                return
            limit = table.length >> 4 if table is not None else queue.size
            if following >= limit:
                tracker.fault(queue, t_ps, seq, f"{chain}: next is {following}, of {limit} descriptors", chain)
                return
            chain.next = following
