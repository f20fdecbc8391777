"""The used ring as the endpoint writes it: whole entries for chains that are open, then the index that covers them."""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING

from virtiofs_tb.scoreboards.events import ChainUsed, DmaWrite, KicksAsked, UsedIndex
from virtiofs_tb.scoreboards.listeners import Listeners
from virtiofs_tb.scoreboards.memory_map import ByteStore
from virtiofs_tb.scoreboards.ring_state import Chain, Queue

if TYPE_CHECKING:
    from virtiofs_tb.scoreboards.rings import RingTracker

_USED = Struct("<II")


class UsedRing:
    """Finds out which chains the endpoint returns. exact: every byte is written once (profile, exact_writes)."""

    def __init__(self, tracker: RingTracker, listeners: Listeners, exact: bool) -> None:
        self._tracker = tracker
        self._listeners = listeners
        self._exact = exact

    def written(self, queue: Queue, offset: int, data: bytes, write: DmaWrite) -> None:
        """Bytes are written at `offset` of the used ring."""
        end = offset + len(data)
        ring_end = 4 + 8 * queue.size
        if offset < 2:
            flags = int.from_bytes(data[: 2 - offset], "little") << 8 * offset
            if flags and queue.event_idx:
                self._tracker.violation(
                    write.t_ps, write.seq, queue, f"used flags of queue {queue.index}", "SPLIT-ANS-D03",
                    "0: VIRTIO_F_EVENT_IDX was negotiated", f"{flags}",
                )  # fmt: skip
            elif flags > 1:
                self._tracker.violation(
                    write.t_ps, write.seq, queue, f"used flags of queue {queue.index}", "SPLIT-ANS-D01", "0 or 1",
                    f"{flags}",
                )  # fmt: skip
        if end > 4 and offset < ring_end:
            if len(data) == 8 and not offset - 4 & 7:
                slot = offset - 4 >> 3
                self._entry_written(queue, slot, slot in queue.used_entries or slot in queue.used_bytes, write)
                self._entry_complete(queue, slot, data, write.seq)
            else:
                self._used_pieces(queue, max(offset, 4), data[max(4 - offset, 0) : ring_end - offset], write)
        if end > ring_end:
            self._event_written(queue, offset - ring_end, data, write)
        if offset <= 2 and end >= 4:
            self._used_index(queue, data[2 - offset] | data[3 - offset] << 8, write)
        elif offset < 4 and end > 2:
            self._tracker.violation(
                write.t_ps, write.seq, queue, f"used index of queue {queue.index} is written", "SPLIT-USED-D01",
                "both bytes in one packet", f"byte {max(offset, 2) - 2} alone",
            )  # fmt: skip

    def _event_written(self, queue: Queue, offset: int, data: bytes, write: DmaWrite) -> None:
        """avail_event: the entry that the endpoint wants to be told of; offset: of data in it."""
        text = f"avail_event of queue {queue.index}"
        if not queue.event_idx:
            if self._exact:
                self._tracker.violation(
                    write.t_ps, write.seq, queue, text, "SPLIT-USED-D01",
                    "not written: VIRTIO_F_EVENT_IDX was not negotiated", "written",
                )  # fmt: skip
            return
        if offset > 0 or offset + len(data) < 2:
            self._tracker.violation(
                write.t_ps, write.seq, queue, text, "SPLIT-ANS-D04", "both bytes in one packet", "one byte alone"
            )
            return
        value = data[-offset] | data[1 - offset] << 8
        ahead = (value - queue.avail_event) & 0xFFFF
        seen = (queue.avail_idx - queue.avail_event) & 0xFFFF
        if ahead > seen:
            back = ahead >= 0x8000
            self._tracker.violation(
                write.t_ps, write.seq, queue, text, "SPLIT-ANS-D04",
                f"not behind {queue.avail_event}, which it was" if back
                else f"at most {queue.avail_idx & 0xFFFF}: so far the available index was read",
                f"{value}" if back else f"{value}: the driver keeps quiet until then",
            )  # fmt: skip
        if value == queue.avail_event:
            return
        queue.avail_event = value
        event = KicksAsked(write.t_ps, write.seq, queue, value)
        for listener in self._listeners.on_kicks_asked:
            listener(event)

    def _used_pieces(self, queue: Queue, offset: int, data: bytes, write: DmaWrite) -> None:
        """Used entries that are written several at once, or in parts."""
        at = 0
        while at < len(data):
            slot, inner = divmod(offset + at - 4, 8)
            piece = data[at : at + 8 - inner]
            store = queue.used_bytes.setdefault(slot, ByteStore())
            twice = slot in queue.used_entries or store.known_within(inner, inner + len(piece))
            self._entry_written(queue, slot, twice, write)
            store.put(inner, piece)
            if store.covers(0, 8):
                self._entry_complete(queue, slot, bytes(store.data), write.seq)
            at += 8 - inner

    def _entry_written(self, queue: Queue, slot: int, twice: bool, write: DmaWrite) -> None:
        """A used entry is for a chain that is open; twice: some byte of it was written since it was used last."""
        owed = queue.avail_idx - queue.used_idx & 0xFFFF
        if not owed:
            whole = len(write.data) == _USED.size
            head = f"chain {_USED.unpack(write.data)[0]}" if whole else f"entry {slot}"
            self._tracker.violation(
                write.t_ps, write.seq, queue, f"used entry {slot} of queue {queue.index} is written", "SPLIT-USED-D01",
                f"none: all chains made available, up to entry {queue.avail_idx - 1 & 0xFFFF}, are used already",
                f"one that returns {head} again",
            )  # fmt: skip
        elif (slot - queue.used_idx) % queue.size >= owed:
            self._tracker.violation(
                write.t_ps, write.seq, queue, f"used entry {slot} of queue {queue.index} is written", "SPLIT-USED-D01",
                f"one of the {owed} from entry {queue.used_idx % queue.size} on: so many chains are exposed", f"{slot}",
            )  # fmt: skip
        elif twice and self._exact:
            self._tracker.violation(
                write.t_ps, write.seq, queue, f"used entry {slot} of queue {queue.index} is written", "SPLIT-USED-D01",
                "once before the used index covers it", "again",
            )  # fmt: skip

    @staticmethod
    def _entry_complete(queue: Queue, slot: int, data: bytes, seq: int) -> None:
        queue.used_bytes.pop(slot, None)
        head, length = _USED.unpack(data)
        queue.used_entries[slot] = (head, length, seq)
        for chain in queue.by_head.get(head, ()):
            if not chain.entry_seq:
                chain.entry_seq = seq
                return

    def _used_index(self, queue: Queue, value: int, write: DmaWrite) -> None:
        old = queue.used_idx
        moved = (value - old) & 0xFFFF
        t_ps, seq = write.t_ps, write.seq
        if moved == 0:
            if self._exact:
                self._tracker.violation(
                    t_ps, seq, queue, f"used index of queue {queue.index} is written", "SPLIT-USED-D01",
                    "a new value", f"{value} again",
                )  # fmt: skip
            return
        outstanding = (queue.avail_idx - old) & 0xFFFF
        if moved > outstanding:
            self._tracker.violation(
                t_ps,
                seq,
                queue,
                f"used index of queue {queue.index} moved from {old} to {value}",
                "SPLIT-USED-D01",
                f"at most {outstanding} further: so many chains were made available",
                f"{moved} further",
            )
            return
        done = 0
        while done < moved:
            done += self._use(queue, (old + done) % queue.size, write)
        queue.used_idx = value
        event = UsedIndex(t_ps, seq, queue, old, value)
        for listener in self._listeners.on_used_index:
            listener(event)

    def _use(self, queue: Queue, slot: int, write: DmaWrite) -> int:
        """A used entry counts; how many entries of the ring that takes."""
        t_ps, seq = write.t_ps, write.seq
        entry = queue.used_entries.pop(slot, None)
        if entry is None:
            self._tracker.violation(
                t_ps, seq, queue, f"used index of queue {queue.index} covers used entry {slot}", "SPLIT-USED-D01",
                "that entry written before", "not written since it was used last",
            )  # fmt: skip
            return 1
        head, length, entry_seq = entry
        if entry_seq >= seq:
            self._tracker.violation(
                t_ps, seq, queue, f"used entry {slot} of queue {queue.index} and the index that covers it",
                "SPLIT-USED-D01", "the entry in an earlier packet", "both in one packet",
            )  # fmt: skip
        same = queue.by_head.get(head)
        if not same:
            self._tracker.rebuild_early(t_ps, seq)
            same = queue.by_head.get(head)
        if not same:
            self._tracker.violation(
                t_ps, seq, queue, f"used entry {slot} of queue {queue.index} names chain {head}", "SPLIT-USED-D01",
                "an exposed chain: " + (", ".join(map(str, sorted(queue.by_head))) or "there is none"), f"{head}",
            )  # fmt: skip
            return 1
        chain = same[0]
        if chain.provisional:
            self._tracker.report_early(chain, t_ps, seq)
        batch = self._batch(queue, chain)
        for skipped in batch:
            self._give_back(skipped, skipped.writable, entry_seq, write)
        self._give_back(chain, length, entry_seq, write)
        return 1 + len(batch)

    def _batch(self, queue: Queue, last: Chain) -> list[Chain]:
        """Chains before the one that is named, used with it in one go (SPLIT-INORD-DI1); `exact` has none."""
        if not queue.in_order or self._exact:
            return []
        return [chain for position, chain in sorted(queue.open.items()) if position < last.position]

    def _give_back(self, chain: Chain, length: int, entry_seq: int, write: DmaWrite) -> None:
        chain.queue.used += 1
        event = ChainUsed(write.t_ps, write.seq, chain, length, entry_seq)
        for listener in self._listeners.on_chain_used:
            listener(event)
        self._tracker.retire(chain)
