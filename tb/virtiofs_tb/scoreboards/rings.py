"""The split rings, rebuilt from nothing but the bytes that completions carried to the endpoint.

What the endpoint was shown is all that counts: not the current memory, not what the driver meant. A chain is exposed
from the delivery of the available index that covers it until the used index that covers it is on the wire.

Trust rule (SPLIT-SUP-DX1 read with PCIe ordering): an available index publishes ring entry, descriptors and data. Each
of these counts only where it was carried by a read that was issued after the completion which delivered the index.
Where the endpoint acts on bytes of an earlier read, that is reported, and the chain is rebuilt from those bytes, so
that one mistake gives one message.
"""

from __future__ import annotations

from collections import deque
from struct import Struct

from virtiofs_model.layouts.virtio import DescFlags
from virtiofs_tb.profile import DmaRules
from virtiofs_tb.scoreboards.events import (
    ChainReady,
    ChainTaken,
    DmaData,
    DmaRead,
    DmaWrite,
    IndexRead,
    QueueFault,
    RingViolation,
    SuppressionRead,
)
from virtiofs_tb.scoreboards.listeners import Listeners
from virtiofs_tb.scoreboards.memory_map import (
    AVAIL,
    DESC,
    READABLE,
    TABLE,
    USED,
    WRITABLE,
    AddressMap,
    ByteStore,
    Region,
)
from virtiofs_tb.scoreboards.ring_state import Chain, IndirectTable, Published, Queue
from virtiofs_tb.scoreboards.used_ring import UsedRing

NEXT, WRITE, INDIRECT = int(DescFlags.NEXT), int(DescFlags.WRITE), int(DescFlags.INDIRECT)

_DESC = Struct("<QIHH")
_U16 = Struct("<H")

SMALLEST_CUT = 128
"""Reads are cut at multiples of Max_Read_Request_Size, 128 bytes or more."""

MAX_PART = 1 << 32
"""A chain of this many bytes is an error of the driver (used length has 32 bits)."""


class RingTracker:
    """All queues of the function, and the two maps of memory that the endpoint may read and write."""

    def __init__(self, listeners: Listeners, rules: DmaRules) -> None:
        self._listeners = listeners
        self._slack = rules.read_slack
        self._exact = rules.exact_writes
        self._used_ring = UsedRing(self, listeners, rules.exact_writes)
        self.queues: dict[int, Queue] = {}
        self.readable = AddressMap()
        self.writable = AddressMap()
        self._cuts: deque[int] = deque(maxlen=32)  # where reads of descriptors ended of late, if they may go on there

    # ---- life of a queue ----

    def enable(self, queue: Queue) -> None:
        """queue_enable was written 1: its areas are exposed."""
        self.disable(queue.index)
        self.queues[queue.index] = queue
        for region in queue.regions:
            self.readable.add(region)
        self.writable.add(queue.regions[2])

    def disable(self, index: int) -> None:
        """A queue is forgotten with all its chains."""
        queue = self.queues.pop(index, None)
        if queue is None:
            return
        for chain in list(queue.open.values()):
            self.retire(chain)
        for region in queue.regions:
            self.readable.remove(region)
        self.writable.remove(queue.regions[2])

    def clear(self) -> None:
        """Device reset."""
        self.queues.clear()
        self.readable.clear()
        self.writable.clear()

    # ---- where an access goes ----

    def locate_read(self, start: int, end: int, t_ps: int, seq: int) -> list[Region]:
        """Known memory that a read asks for."""
        regions = self.readable.find(start, end, self._slack) or self._second_look(self.readable, start, end, t_ps, seq)
        for region in regions:
            if region.chain is not None and region.chain.provisional:
                self.report_early(region.chain, t_ps, seq)
        return regions

    def locate_write(self, start: int, end: int, t_ps: int, seq: int) -> list[Region]:
        """Known memory that a write goes to."""
        regions = self.writable.find(start, end) or self._second_look(self.writable, start, end, t_ps, seq)
        for region in regions:
            if region.chain is not None and region.chain.provisional:
                self.report_early(region.chain, t_ps, seq)
        return regions

    def _second_look(self, where: AddressMap, start: int, end: int, t_ps: int, seq: int) -> list[Region]:
        """An access that nothing explains: perhaps the endpoint acts on what it read too early."""
        self.rebuild_early(t_ps, seq)
        return where.find(start, end, self._slack if where is self.readable else 0)

    def rebuild_early(self, t_ps: int, seq: int) -> None:
        """Follow what was read too early as well: perhaps the endpoint acts on it."""
        for queue in self.queues.values():
            for slot, entry in list(queue.slots.items()):
                head = queue.early.get(slot)
                if head is not None and head < queue.size and entry.position not in queue.open:
                    chain = self._open(queue, entry, head)
                    chain.provisional = "ring entry"
                    self._walk(chain, t_ps, seq)
            for waiting in list(queue.waiting.values()):
                for chain in list(waiting):
                    if not chain.dead and not chain.walked:
                        self._walk(chain, t_ps, seq, early=True)

    def report_early(self, chain: Chain, t_ps: int, seq: int) -> None:
        """The endpoint does act on a chain that it read too early."""
        what, chain.provisional = chain.provisional, ""
        self.violation(
            t_ps,
            seq,
            chain.queue,
            f"{chain} is acted on, but no read of its {what} was issued after its available index was delivered",
            "SPLIT-SUP-DX1",
            f"a read of the {what} issued after seq {chain.pub_seq}, which delivered the index",
            "only reads that were issued before it, when that memory may have held something else",
        )

    def violation(self, t_ps: int, seq: int, queue: Queue, text: str, clause: str, expected: str, seen: str) -> None:
        """Tell the scoreboards of a broken rule of the ring."""
        event = RingViolation(t_ps, seq, queue.index, text, clause, expected, seen)
        for listener in self._listeners.on_ring_violation:
            listener(event)

    def _fault(self, queue: Queue, t_ps: int, seq: int, text: str, chain: Chain | None = None) -> None:
        if chain is not None:
            chain.broken = text
        if not queue.broken:
            queue.broken = text
            queue.broken_t = t_ps
            event = QueueFault(t_ps, seq, queue, text)
            for listener in self._listeners.on_queue_fault:
                listener(event)

    # ---- reads ----

    def read_issued(self, read: DmaRead) -> None:
        """Note which queue's available index or which chain's head a read asks for."""
        for region in read.regions:
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

    def data(self, event: DmaData) -> None:
        """Bytes (or an error) reached the endpoint."""
        read = event.read
        start = event.start
        data = event.data
        for region in read.regions:
            low = region.start
            if not event.ok:
                self._failed(region, start, start + len(data), event)
                continue
            offset = start - low
            piece = data
            if offset < 0:
                piece = piece[-offset:]
                offset = 0
            if offset + len(piece) > region.end - low:
                if offset >= region.end - low:
                    continue
                piece = piece[: region.end - low - offset]
            if not piece:
                continue
            kind = region.kind
            if kind == READABLE:
                chain = region.chain
                if chain is not None and read.seq > chain.pub_seq:
                    chain.read_store.put(region.offset + offset, piece)
            elif kind == AVAIL:
                self._avail(region.queue, offset, piece, read.seq, event.t_ps, event.seq)
            elif kind == DESC:
                self._descriptors(region.queue, offset, piece, read.seq, event.t_ps, event.seq)
            elif kind == TABLE:
                chain = region.chain
                if chain is not None and chain.table is not None and not chain.dead and read.seq > chain.pub_seq:
                    chain.table.store.put(offset, piece)
                    if not chain.walked and not chain.broken:
                        self._walk(chain, event.t_ps, event.seq)

    def _failed(self, region: Region, start: int, end: int, event: DmaData) -> None:
        """A completion with an error: fatal on ring memory, EIO on a payload (STATUS-D03)."""
        low, high = max(start, region.start), min(end, region.end)
        if low >= high:
            return
        if region.kind == READABLE and region.chain is not None:
            base = region.offset - region.start
            region.chain.failed.append((low + base, high + base))
        elif region.kind in (DESC, AVAIL, TABLE):
            self._fault(region.queue, event.t_ps, event.seq, f"a read of the {region} failed")

    def _avail(self, queue: Queue, offset: int, data: bytes, issue: int, t_ps: int, seq: int) -> None:
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
                self._fault(queue, t_ps, seq, f"available index {value} is {ahead} ahead of {queue.avail_idx & 0xFFFF}")
            return
        size = queue.size
        for position in range(queue.avail_idx, queue.avail_idx + ahead):
            slot = position % size
            queue.slots[slot] = Published(position, seq, t_ps)
        queue.avail_idx += ahead
        queue.index_seq = seq

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
            self.retire(provisional)
        if head >= queue.size:
            self._fault(
                queue, t_ps, seq, f"ring entry {slot} holds head {head}, the queue has {queue.size} descriptors"
            )
            return
        self._walk(self._open(queue, entry, head), t_ps, seq)

    def _open(self, queue: Queue, entry: Published, head: int) -> Chain:
        chain = Chain(queue, entry, head)
        queue.open[entry.position] = chain
        queue.by_head.setdefault(head, []).append(chain)
        return chain

    def _descriptors(self, queue: Queue, offset: int, data: bytes, issue: int, t_ps: int, seq: int) -> None:
        index = offset >> 4
        if offset & 15 or len(data) & 15:
            self._odd_descriptors(queue, offset, data, issue, t_ps, seq)
            return
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

    def _odd_descriptors(self, queue: Queue, offset: int, data: bytes, issue: int, t_ps: int, seq: int) -> None:
        """Completions that split a descriptor: gather its bytes; each piece belongs to the same request or a later."""
        at = 0
        while at < len(data):
            index, inner = divmod(offset + at, 16)
            piece = data[at : at + 16 - inner]
            if len(piece) == 16:
                self._descriptors(queue, index * 16, piece, issue, t_ps, seq)
            else:
                store = queue.partial.setdefault(index, ByteStore())
                store.put(inner, piece)
                if store.covers(0, 16):
                    del queue.partial[index]
                    self._descriptors(queue, index * 16, bytes(store.data), issue, t_ps, seq)
            at += 16 - inner

    # ---- the walk ----

    def _walk(self, chain: Chain, t_ps: int, seq: int, early: bool = False) -> None:
        """Follow the chain as far as its descriptors are known; early: accept those of reads issued too early."""
        queue = chain.queue
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
            problem = self._problem(chain, length, flags)
            if problem:
                self._fault(queue, t_ps, seq, f"{chain}: {problem}", chain)
                return
            if flags & INDIRECT and table is None:
                chain.table = IndirectTable(address, length)
                chain.indirect = True
                chain.next = 0
                chain.steps -= 1  # the descriptor that points to the table is none of the chain's elements
                region = Region(address, address + length, TABLE, queue, chain)
                chain.regions.append(region)
                self.readable.add(region)
                continue
            if length:
                self._part(chain, address, length, flags)
            if not flags & NEXT:
                chain.walked = True
                chain.ready_t = t_ps
                event = ChainReady(t_ps, seq, chain)
                for listener in self._listeners.on_chain_ready:
                    listener(event)
                return
            limit = table.length >> 4 if table is not None else queue.size
            if following >= limit:
                self._fault(queue, t_ps, seq, f"{chain}: next is {following}, of {limit} descriptors", chain)
                return
            chain.next = following

    def _problem(self, chain: Chain, length: int, flags: int) -> str:
        """What is wrong with a descriptor of the driver ('' nothing)."""
        if chain.steps > chain.queue.size:
            return f"more than {chain.queue.size} descriptors, or a loop"
        if flags & INDIRECT:
            if chain.table is not None:
                return "INDIRECT inside an indirect table"
            if not chain.queue.indirect_allowed:
                return "INDIRECT, but VIRTIO_F_INDIRECT_DESC was not negotiated"
            if flags & NEXT:
                return "INDIRECT together with NEXT"
            if length == 0 or length % 16:
                return f"an indirect table of {length} bytes"
            return ""
        if not flags & WRITE and chain.writable:
            return "a readable descriptor after a writable one"
        if chain.readable + chain.writable + length >= MAX_PART:
            return "2^32 bytes or more"
        return ""

    def _part(self, chain: Chain, address: int, length: int, flags: int) -> None:
        if flags & WRITE:
            region = Region(address, address + length, WRITABLE, chain.queue, chain, chain.writable)
            chain.writable += length
            self.writable.add(region)
        else:
            region = Region(address, address + length, READABLE, chain.queue, chain, chain.readable)
            chain.readable += length
            self.readable.add(region)
        chain.regions.append(region)

    def retire(self, chain: Chain) -> None:
        """A chain is exposed no more."""
        chain.dead = True
        queue = chain.queue
        queue.open.pop(chain.position, None)
        same = queue.by_head.get(chain.head)
        if same is not None:
            if chain in same:
                same.remove(chain)
            if not same:
                del queue.by_head[chain.head]
        for region in chain.regions:
            (self.writable if region.kind == WRITABLE else self.readable).remove(region)

    # ---- writes ----

    def written(self, write: DmaWrite) -> None:
        """A write of the endpoint is on the wire."""
        data = write.data
        for region in write.regions:
            offset = write.start - region.start
            piece = data
            if len(write.regions) > 1:
                if offset < 0:
                    piece = piece[-offset:]
                    offset = 0
                piece = piece[: region.end - region.start - offset]
            if region.kind == WRITABLE:
                chain = region.chain
                if chain is not None:
                    chain.write_store.put(region.offset + offset, piece)
                    chain.written += len(piece)
                    if chain.entry_seq and self._exact:
                        self.violation(
                            write.t_ps, write.seq, region.queue, f"data written for {chain}", "SPLIT-USED-D02",
                            "all of it before the used entry", f"after the one at seq {chain.entry_seq}",
                        )  # fmt: skip
            elif region.kind == USED:
                self._used_ring.written(region.queue, offset, piece, write)
