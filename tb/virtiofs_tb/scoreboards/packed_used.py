"""Used descriptors of packed rings as the endpoint writes them, and its own event suppression structure.

A used descriptor counts from the write of its flags on. It stands in the slot behind the descriptors of all chains that
were used before, whichever chain it gives back (PACK-NEXT-DI1); what an endpoint writes ahead counts when its turn
comes (PACK-VQ-D03).
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING

from virtiofs_model.layouts.virtio import DescFlags, RingEventFlags
from virtiofs_tb.scoreboards.events import ChainUsed, DmaWrite, KicksAsked, UsedIndex
from virtiofs_tb.scoreboards.listeners import Listeners
from virtiofs_tb.scoreboards.memory_map import ByteStore
from virtiofs_tb.scoreboards.ring_state import Chain, Queue

if TYPE_CHECKING:
    from virtiofs_tb.scoreboards.rings import RingTracker

WRITE, AVAIL, USED = int(DescFlags.WRITE), int(DescFlags.AVAIL), int(DescFlags.USED)

_BODY = Struct("<IHH")
_LENGTH_AT, _FLAGS_AT, _END = 8, 14, 16


class PackedUsed:
    """Finds out which chains the endpoint returns. exact: in order, each by one write of 8 bytes (exact_writes)."""

    def __init__(self, tracker: RingTracker, listeners: Listeners, exact: bool) -> None:
        self._tracker = tracker
        self._listeners = listeners
        self._exact = exact

    def _wrong(self, queue: Queue, write: DmaWrite, text: str, clause: str, expected: str, seen: str) -> None:
        self._tracker.violation(write.t_ps, write.seq, queue, text, clause, expected, seen)

    # ---- the descriptor ring ----

    def written(self, queue: Queue, offset: int, data: bytes, write: DmaWrite) -> None:
        """Bytes are written at `offset` of the descriptor ring."""
        at = 0
        while at < len(data):
            slot, inner = divmod(offset + at, _END)
            piece = data[at : at + _END - inner]
            self._slot_written(queue, slot, inner, piece, write)
            at += len(piece)

    def _slot_written(self, queue: Queue, slot: int, inner: int, piece: bytes, write: DmaWrite) -> None:
        if queue.avail_idx == queue.used_idx and queue.walking is not None:
            self._tracker.rebuild_early(write.t_ps, write.seq)
        ahead = (slot - queue.used_idx) % queue.size
        owed = queue.avail_idx - queue.used_idx
        text = f"used descriptor in slot {slot} of queue {queue.index}"
        if not owed and queue.walking is not None:
            self._unread(queue.walking, write)
            return
        if not owed:
            expected = f"none: all that is available, up to slot {(queue.avail_idx - 1) % queue.size}, is used"
            self._wrong(queue, write, text, "PACK-DESC-D04", expected, "a write")
            return
        if ahead >= owed or (ahead and self._exact) or queue.used_idx + ahead in queue.used_entries:
            expected = f"slot {queue.used_idx % queue.size}, behind all descriptors that are used"
            self._wrong(queue, write, text, "PACK-NEXT-DI1", expected, f"slot {slot}")
            return
        if self._exact and (inner, len(piece)) != (_LENGTH_AT, 8):
            seen = f"{len(piece)} bytes from byte {inner} on"
            self._wrong(queue, write, text, "PACK-DESC-D04", "length, id and flags in one write", seen)
        store = queue.used_bytes.setdefault(slot, ByteStore())
        store.put(inner, piece)
        if not store.covers(_FLAGS_AT, _END):
            return
        del queue.used_bytes[slot]
        if not store.covers(_LENGTH_AT, _END):
            self._wrong(queue, write, text, "PACK-DESC-D04", "length and id written, then the flags", "flags alone")
            return
        self._complete(queue, queue.used_idx + ahead, bytes(store.data), write)

    def _complete(self, queue: Queue, position: int, data: bytes, write: DmaWrite) -> None:
        """The flags are there: the descriptor is the driver's."""
        length, id_, flags = _BODY.unpack_from(data, _LENGTH_AT)
        wrap = queue.wrap(position)
        marks = AVAIL | USED if wrap else 0
        if flags & (AVAIL | USED) != marks:
            self._wrong(
                queue, write, f"flags of the used descriptor in slot {position % queue.size} of queue {queue.index}",
                "PACK-WRAP-DI1", f"AVAIL and USED {wrap}, as the wrap counter of this round",
                f"AVAIL {int(bool(flags & AVAIL))}, USED {int(bool(flags & USED))}",
            )  # fmt: skip
        if self._exact and flags & ~(AVAIL | USED | WRITE):
            self._wrong(
                queue, write, f"flags of the used descriptor in slot {position % queue.size} of queue {queue.index}",
                "PACK-NEXT-DI1", "only AVAIL, USED and WRITE: the others are reserved", f"{flags:#06x}",
            )  # fmt: skip
        queue.used_entries[position] = (id_, length, write.seq)
        chain = self._named(queue, id_, write)
        if chain is not None:
            chain.entry_seq = chain.entry_seq or write.seq
            self._write_flag(chain, length, flags, write)
        old = queue.used_idx
        while (entry := queue.used_entries.get(queue.used_idx)) is not None:
            if not self._use(queue, *entry, write):
                queue.used_entries.pop(queue.used_idx, None)
                break
        if queue.used_idx != old:
            event = UsedIndex(write.t_ps, write.seq, queue, old, queue.used_idx)
            for listener in self._listeners.on_used_index:
                listener(event)

    def _named(self, queue: Queue, id_: int, write: DmaWrite) -> Chain | None:
        """The exposed chain of that buffer ID."""
        same = queue.by_head.get(id_)
        if not same:
            self._tracker.rebuild_early(write.t_ps, write.seq)
            same = queue.by_head.get(id_)
        return same[0] if same else None

    def _write_flag(self, chain: Chain, length: int, flags: int, write: DmaWrite) -> None:
        """WRITE says whether anything was written, and that the length means something (PACK-USED-DI1)."""
        if chain.written and not flags & WRITE:
            self._wrong(
                chain.queue, write, f"used descriptor of {chain}", "PACK-USED-DI1",
                f"WRITE: {chain.written} bytes of it were written", "not set",
            )  # fmt: skip
        elif self._exact and not chain.written and flags & WRITE and not length:
            self._wrong(
                chain.queue, write, f"used descriptor of {chain}", "PACK-USED-DI1", "no WRITE: nothing was written",
                "set",
            )  # fmt: skip
        elif self._exact and length and not flags & WRITE:
            self._wrong(
                chain.queue, write, f"used descriptor of {chain}", "PACK-USED-DI1",
                "length 0: without WRITE it is reserved", f"{length}",
            )  # fmt: skip

    def _use(self, queue: Queue, id_: int, length: int, entry_seq: int, write: DmaWrite) -> bool:
        """The turn of a used descriptor has come; False: nothing is known of its chain, so the place is not left."""
        chain = self._named(queue, id_, write)
        slot = queue.used_idx % queue.size
        if chain is None:
            self._wrong(
                queue, write, f"used descriptor in slot {slot} of queue {queue.index} names buffer {id_}",
                "PACK-NEXT-DI1",
                "an exposed chain: " + (", ".join(map(str, sorted(queue.by_head))) or "there is none"), f"{id_}",
            )  # fmt: skip
            return False
        if chain is queue.walking:
            self._unread(chain, write)
            return False
        for skipped in self._batch(queue, chain):
            self._give_back(skipped, skipped.writable, entry_seq, write)
        self._give_back(chain, length, entry_seq, write)
        return True

    def _unread(self, chain: Chain, write: DmaWrite) -> None:
        self._wrong(
            chain.queue, write, f"{chain} is used, but its descriptors were never all read", "PACK-DESC-D03",
            "every descriptor covered by a read issued after its head was shown to be available",
            f"{chain.steps} descriptors read",
        )  # fmt: skip

    def _batch(self, queue: Queue, last: Chain) -> list[Chain]:
        """Chains before the one that is named, used with it in one go (PACK-INORD-DI1); `exact` has none."""
        if not queue.in_order or self._exact:
            return []
        return [chain for position, chain in sorted(queue.open.items()) if position < last.position]

    def _give_back(self, chain: Chain, length: int, entry_seq: int, write: DmaWrite) -> None:
        queue = chain.queue
        if chain.provisional:
            self._tracker.report_early(chain, write.t_ps, write.seq)
        queue.used_entries.pop(queue.used_idx, None)
        queue.used += 1
        queue.used_idx += chain.slots
        event = ChainUsed(write.t_ps, write.seq, chain, length, entry_seq)
        for listener in self._listeners.on_chain_used:
            listener(event)
        self._tracker.retire(chain)

    # ---- device event suppression ----

    def device_area(self, queue: Queue, offset: int, data: bytes, write: DmaWrite) -> None:
        """The endpoint says when it wants to be kicked; ours always does, and never writes this."""
        text = f"device event suppression of queue {queue.index}"
        if self._exact:
            self._wrong(queue, write, text, "PACK-SUP-DX2", "not written: every kick is wanted", "written")
        if offset <= 2 and offset + len(data) >= 4:
            flags = data[2 - offset] | data[3 - offset] << 8
            if flags > RingEventFlags.DESC or (flags == RingEventFlags.DESC and not queue.event_idx):
                expected = "ENABLE, DISABLE, or with VIRTIO_F_EVENT_IDX DESC"
                self._wrong(queue, write, f"flags of the {text}", "PACK-EVT-RI1", expected, f"{flags}")
        event = KicksAsked(write.t_ps, write.seq, queue, None)
        for listener in self._listeners.on_kicks_asked:
            listener(event)
