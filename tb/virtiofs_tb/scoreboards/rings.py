"""The rings, rebuilt from nothing but the bytes that completions carried to the endpoint.

What the endpoint was shown is all that counts: not the current memory, not what the driver meant. A chain is exposed
from the delivery of what makes it available (split_rings.py, packed_rings.py) until the write that gives it back is on
the wire (used_ring.py, packed_used.py). Here is what the two formats share.

Where the endpoint acts on bytes of a read that was issued too early, that is reported, and the chain is rebuilt from
those bytes, so that one mistake gives one message.
"""

from __future__ import annotations

from virtiofs_model.layouts.virtio import DescFlags
from virtiofs_tb.profile import DmaRules
from virtiofs_tb.scoreboards.events import ChainReady, DmaData, DmaRead, DmaWrite, QueueFault, RingViolation
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
from virtiofs_tb.scoreboards.packed_rings import PackedRings
from virtiofs_tb.scoreboards.packed_used import PackedUsed
from virtiofs_tb.scoreboards.ring_state import Chain, IndirectTable, Published, Queue
from virtiofs_tb.scoreboards.split_rings import SplitRings
from virtiofs_tb.scoreboards.used_ring import UsedRing

NEXT, WRITE, INDIRECT = int(DescFlags.NEXT), int(DescFlags.WRITE), int(DescFlags.INDIRECT)

MAX_PART = 1 << 32
"""A chain of this many bytes is an error of the driver (used length has 32 bits)."""


class RingTracker:
    """All queues of the function, and the two maps of memory that the endpoint may read and write."""

    def __init__(self, listeners: Listeners, rules: DmaRules) -> None:
        self._listeners = listeners
        self._slack = rules.read_slack
        self._exact = rules.exact_writes
        self._split = SplitRings(self, listeners)
        self._packed = PackedRings(self, listeners)
        self._used_ring = UsedRing(self, listeners, rules.exact_writes)
        self._packed_used = PackedUsed(self, listeners, rules.exact_writes)
        self.queues: dict[int, Queue] = {}
        self.readable = AddressMap()
        self.writable = AddressMap()
        self.buried: dict[int, list[Region]] = {}  # what belonged to queues that were reset, for a message

    # ---- life of a queue ----

    def enable(self, queue: Queue) -> None:
        """queue_enable was written 1: its areas are exposed."""
        self.disable(queue.index)
        self.queues[queue.index] = queue
        for region in queue.readable_regions:
            self.readable.add(region)
        for region in queue.writable_regions:
            self.writable.add(region)

    def disable(self, index: int) -> None:
        """A queue is forgotten with all its chains."""
        queue = self.queues.pop(index, None)
        if queue is None:
            return
        exposed = [region for chain in queue.open.values() for region in chain.regions]
        self.buried[index] = queue.regions + exposed
        for chain in list(queue.open.values()):
            self.retire(chain)
        for region in queue.readable_regions:
            self.readable.remove(region)
        for region in queue.writable_regions:
            self.writable.remove(region)

    def clear(self) -> None:
        """Device reset."""
        self.queues.clear()
        self.buried.clear()
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
            (self._packed if queue.packed else self._split).rebuild_early(queue, t_ps, seq)

    def report_early(self, chain: Chain, t_ps: int, seq: int) -> None:
        """The endpoint does act on a chain that it read too early."""
        what, chain.provisional = chain.provisional, ""
        shown = "its head was shown to be available" if chain.queue.packed else "its available index was delivered"
        by = "the head" if chain.queue.packed else "the index"
        self.violation(
            t_ps, seq, chain.queue, f"{chain} is acted on, but no read of its {what} was issued after {shown}",
            chain.queue.rule("SPLIT-SUP-DX1", "PACK-DESC-D03"),
            f"a read of the {what} issued after seq {chain.pub_seq}, which delivered {by}",
            "only reads that were issued before it, when that memory may have held something else",
        )  # fmt: skip

    def violation(self, t_ps: int, seq: int, queue: Queue, text: str, clause: str, expected: str, seen: str) -> None:
        """Tell the scoreboards of a broken rule of the ring."""
        event = RingViolation(t_ps, seq, queue.index, text, clause, expected, seen)
        for listener in self._listeners.on_ring_violation:
            listener(event)

    def fault(self, queue: Queue, t_ps: int, seq: int, text: str, chain: Chain | None = None) -> None:
        """The driver's ring cannot be followed."""
        if chain is not None:
            chain.broken = text
        if not queue.broken:
            queue.broken = text
            queue.broken_t = t_ps
            event = QueueFault(t_ps, seq, queue, text)
            for listener in self._listeners.on_queue_fault:
                listener(event)

    # ---- doorbells and reads ----

    def told(self, index: int, word: int, t_ps: int, seq: int) -> None:
        """A doorbell with NOTIFICATION_DATA. word: its upper half, next_off and next_wrap, or the available index."""
        queue = self.queues.get(index)
        if queue is None or queue.broken:
            return
        if queue.packed:
            self._packed.told(queue, word & 0x7FFF, word >> 15, t_ps, seq)
        else:
            self._split.told(queue, word, t_ps, seq)

    def read_issued(self, read: DmaRead) -> None:
        """Note what of the rings a read asks for."""
        for region in read.regions:
            if region.chain is None:
                (self._packed if region.queue.packed else self._split).asked(region, read)

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
                ring = self._packed if region.queue.packed else self._split
                ring.driver_area(region.queue, offset, piece, read.seq, event.t_ps, event.seq)
            elif kind == DESC:
                self._descriptors(region.queue, offset, piece, read.seq, event.t_ps, event.seq)
            elif kind == TABLE:
                chain = region.chain
                if chain is not None and chain.table is not None and not chain.dead and read.seq > chain.pub_seq:
                    chain.table.store.put(offset, piece)
                    if not chain.walked and not chain.broken:
                        ring = self._packed if region.queue.packed else self._split
                        ring.table_grew(chain, event.t_ps, event.seq)

    def _failed(self, region: Region, start: int, end: int, event: DmaData) -> None:
        """A completion with an error: fatal on ring memory, EIO on a payload (STATUS-D03)."""
        low, high = max(start, region.start), min(end, region.end)
        if low >= high:
            return
        if region.kind == READABLE and region.chain is not None:
            base = region.offset - region.start
            region.chain.failed.append((low + base, high + base))
        elif region.kind in (DESC, AVAIL, TABLE):
            self.fault(region.queue, event.t_ps, event.seq, f"a read of the {region} failed")

    def open(self, queue: Queue, entry: Published, head: int) -> Chain:
        """A chain is exposed."""
        chain = Chain(queue, entry, head)
        queue.open[entry.position] = chain
        queue.by_head.setdefault(head, []).append(chain)
        return chain

    def _descriptors(self, queue: Queue, offset: int, data: bytes, issue: int, t_ps: int, seq: int) -> None:
        if offset & 15 or len(data) & 15:
            self._odd_descriptors(queue, offset, data, issue, t_ps, seq)
        else:
            ring = self._packed if queue.packed else self._split
            ring.descriptors(queue, offset >> 4, data, issue, t_ps, seq)

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

    def element(self, chain: Chain, address: int, length: int, flags: int, t_ps: int, seq: int) -> bool:
        """The next descriptor of a chain is known; False: it is wrong, and the queue broken."""
        problem = self._problem(chain, length, flags)
        if problem:
            self.fault(chain.queue, t_ps, seq, f"{chain}: {problem}", chain)
            return False
        if flags & INDIRECT and chain.table is None:
            chain.table = IndirectTable(address, length)
            chain.indirect = True
            chain.next = 0
            region = Region(address, address + length, TABLE, chain.queue, chain)
            chain.regions.append(region)
            self.readable.add(region)
        elif length:
            self._part(chain, address, length, flags)
        return True

    def walked(self, chain: Chain, t_ps: int, seq: int) -> None:
        """The last descriptor of a chain is known."""
        chain.walked = True
        chain.ready_t = t_ps
        event = ChainReady(t_ps, seq, chain)
        for listener in self._listeners.on_chain_ready:
            listener(event)

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

    def renamed(self, chain: Chain, head: int) -> None:
        """The buffer ID of a packed list stands in its last descriptor (PACK-NEXT-DI1)."""
        if head != chain.head:
            self._unlist(chain)
            chain.head = head
            chain.queue.by_head.setdefault(head, []).append(chain)

    @staticmethod
    def _unlist(chain: Chain) -> None:
        same = chain.queue.by_head.get(chain.head)
        if same is not None:
            if chain in same:
                same.remove(chain)
            if not same:
                del chain.queue.by_head[chain.head]

    def retire(self, chain: Chain) -> None:
        """A chain is exposed no more."""
        chain.dead = True
        chain.queue.open.pop(chain.position, None)
        self._unlist(chain)
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
                            write.t_ps, write.seq, region.queue, f"data written for {chain}",
                            region.queue.rule("SPLIT-USED-D02", "PACK-DESC-D04"),
                            "all of it before the used entry", f"after the one at seq {chain.entry_seq}",
                        )  # fmt: skip
            elif not region.queue.packed:
                self._used_ring.written(region.queue, offset, piece, write)
            elif region.kind == DESC:
                self._packed_used.written(region.queue, offset, piece, write)
            elif region.kind == USED:
                self._packed_used.device_area(region.queue, offset, piece, write)
