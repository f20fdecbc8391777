"""Packed rings as the endpoint was shown them: heads that became available, the descriptors behind them, suppression.

Positions count descriptors since queue_enable; slot and wrap counter follow (Queue.wrap). The head of a list is
available where its flags say so for its own position (PACK-DESC-D03), and an aligned descriptor is read as a whole, so
a single descriptor may be believed from the read that showed it. Trust rule: flags of the others prove nothing, since
drivers write them before address and length; those descriptors, tables and data count only where they were carried by a
read that was issued after the completion (or the doorbell with NOTIFICATION_DATA) which published the head.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING

from virtiofs_model.layouts.virtio import DescFlags
from virtiofs_tb.scoreboards.events import DmaRead, IndexRead, SuppressionRead
from virtiofs_tb.scoreboards.listeners import Listeners
from virtiofs_tb.scoreboards.memory_map import DESC, Region
from virtiofs_tb.scoreboards.ring_state import Chain, Published, Queue

if TYPE_CHECKING:
    from virtiofs_tb.scoreboards.rings import RingTracker

NEXT, WRITE, INDIRECT = int(DescFlags.NEXT), int(DescFlags.WRITE), int(DescFlags.INDIRECT)
AVAIL, USED = int(DescFlags.AVAIL), int(DescFlags.USED)

_DESC = Struct("<QIHH")


def available(flags: int, wrap: int) -> bool:
    """Whether a descriptor with these flags is available in a round with this wrap counter (PACK-WRAP-RI1)."""
    return bool(flags & AVAIL) == bool(wrap) and bool(flags & USED) != bool(wrap)


class PackedRings:
    """What packed rings have of their own; the tracker has the rest."""

    def __init__(self, tracker: RingTracker, listeners: Listeners) -> None:
        self._tracker = tracker
        self._listeners = listeners

    # ---- reads that are issued ----

    def asked(self, region: Region, read: DmaRead) -> None:
        """Note which slots a read asks for; that of the next head is where a device looks for news."""
        if region.kind != DESC:
            return
        queue = region.queue
        first = max(read.start - region.start + 15, 0) >> 4
        last = min(read.end, region.end) - region.start >> 4
        for slot in range(first, last):
            queue.asked[slot] = (read.t_ps, read.seq)
        if queue.walking is None and first <= queue.avail_idx % queue.size < last:
            self._looked(queue, read.t_ps, read.seq)

    def _looked(self, queue: Queue, t_ps: int, seq: int) -> None:
        event = IndexRead(t_ps, seq, queue)
        for listener in self._listeners.on_index_read:
            listener(event)

    # ---- bytes that arrive ----

    def driver_area(self, queue: Queue, offset: int, data: bytes, issue: int, t_ps: int, seq: int) -> None:
        """Bytes of the driver event suppression structure: {offset and wrap counter, flags}."""
        end = offset + len(data)
        event = int.from_bytes(data[:2], "little") if offset == 0 and end >= 2 else None
        flags = int.from_bytes(data[2 - offset : 4 - offset], "little") & 3 if offset <= 2 and end >= 4 else None
        if event is not None or flags is not None:
            read = SuppressionRead(t_ps, seq, issue, queue, flags, event)
            for listener in self._listeners.on_suppression_read:
                listener(read)

    def descriptors(self, queue: Queue, slot: int, data: bytes, issue: int, t_ps: int, seq: int) -> None:
        """Whole descriptors from `slot` on."""
        descs, size, shown = queue.descs, queue.size, queue.shown
        for address, length, id_, flags in _DESC.iter_unpack(data):
            old = descs[slot]
            if old is None or old[0] <= issue:
                descs[slot] = (issue, address, length, flags, id_)
            position = queue.avail_idx + (slot - queue.avail_idx) % size
            if position not in shown and available(flags, queue.wrap(position)):
                shown[position] = (t_ps, seq)
            slot += 1
        self._advance(queue, t_ps, seq)

    def told(self, queue: Queue, next_off: int, next_wrap: int, t_ps: int, seq: int) -> None:
        """A doorbell with NOTIFICATION_DATA: all before this place is available (PACK-DESC-R03)."""
        known = max(queue.told_idx, queue.avail_idx)
        ahead = (next_off + (0 if next_wrap else queue.size) - known) % (2 * queue.size)
        if next_off < queue.size and 0 < ahead <= queue.used_idx + queue.size - known:
            queue.told_idx, queue.told_seq = known + ahead, seq

    def table_grew(self, chain: Chain, t_ps: int, seq: int) -> None:
        """Bytes of an indirect table arrived."""
        table = chain.table
        while table is not None and table.store.covers(16 * chain.next, 16 * chain.next + 16):
            address, length, _, flags = _DESC.unpack_from(table.store.data, 16 * chain.next)
            chain.steps += 1
            # Of an element only WRITE means something, and its place says which comes next (PACK-IND-DI1).
            if not self._tracker.element(chain, address, length, flags & WRITE, t_ps, seq):
                return
            chain.next += 1
            if 16 * chain.next == table.length:
                self._tracker.walked(chain, t_ps, seq)
                return

    # ---- the walk ----

    def rebuild_early(self, queue: Queue, t_ps: int, seq: int) -> None:
        """Follow what was read too early as well."""
        if queue.walking is not None:
            self._advance(queue, t_ps, seq, early=True)

    def _advance(self, queue: Queue, t_ps: int, seq: int, early: bool = False) -> None:
        """Follow the ring as far as it is known; early: accept descriptors of reads that were issued too early."""
        while not queue.broken:
            chain = queue.walking or self._open(queue, t_ps, seq)
            if chain is None:
                return
            if not self._walk(chain, t_ps, seq, early):
                return
            queue.walking = None
            queue.avail_idx += chain.slots
            queue.index_seq = seq
            for position in [position for position in queue.shown if position < queue.avail_idx]:
                del queue.shown[position]  # flags of its other descriptors
            early = False
            asked = queue.asked.get(queue.avail_idx % queue.size)
            if queue.full:
                self._looked(queue, t_ps, seq)  # nothing can be there that a look would show
            elif asked is not None:
                self._looked(queue, *asked)

    def _open(self, queue: Queue, t_ps: int, seq: int) -> Chain | None:
        """The next chain, if its head was shown to be available."""
        position = queue.avail_idx
        shown = queue.shown.pop(position, None)
        desc = queue.descs[position % queue.size]
        if shown is None or desc is None:
            return None
        if queue.full:
            slot = position % queue.size
            text = f"slot {slot} is available again before the descriptor that stands there was used"
            self._tracker.fault(queue, t_ps, seq, text)
            return None
        pub_t, pub_seq = shown
        if queue.told_idx > position and queue.told_seq < pub_seq:
            pub_seq = queue.told_seq
        chain = self._tracker.open(queue, Published(position, pub_seq, pub_t), desc[4])
        chain.next = position
        queue.walking = chain
        return chain

    def _walk(self, chain: Chain, t_ps: int, seq: int, early: bool) -> bool:
        """Follow a list; whether its length is known now (that of a table is followed apart)."""
        queue, tracker = chain.queue, self._tracker
        room = queue.used_idx + queue.size - chain.position
        while True:
            desc = queue.descs[chain.next % queue.size]
            head = chain.next == chain.position
            if desc is None or (not head and desc[0] <= chain.pub_seq and not early):
                return False
            if not head and desc[0] <= chain.pub_seq:
                chain.provisional = chain.provisional or "descriptors"
            _, address, length, flags, id_ = desc
            chain.steps += 1
            chain.slots = chain.steps
            if chain.steps + bool(flags & NEXT) > room:
                text = f"{chain}: a list of more than the {room} descriptors that are not in use"
                tracker.fault(queue, t_ps, seq, text, chain)
                return False
            if not head and flags & INDIRECT:
                tracker.fault(queue, t_ps, seq, f"{chain}: INDIRECT in a list of linked descriptors", chain)
                return False
            if not tracker.element(chain, address, length, flags, t_ps, seq):
                return False
            if flags & INDIRECT:
                chain.steps = 0  # what counts is in the table
                return True
            if not flags & NEXT:
                tracker.renamed(chain, id_)
                tracker.walked(chain, t_ps, seq)
                return True
            chain.next += 1
