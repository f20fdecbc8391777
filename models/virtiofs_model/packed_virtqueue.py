"""Device side of a packed virtqueue, as pure functions; what needs memory is a generator as in virtqueue.py.

A place in the ring is one number: the descriptors that the driver made available (or the device used) since the queue
was enabled. Slot and wrap counter follow from it: counters start at 1 and flip behind the last slot (PACK-WRAP-DI1).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

from virtiofs_model.errors import ErrorCode
from virtiofs_model.layouts.virtio import VIRTQ_DESC_SIZE, DescFlags, RingEventFlags
from virtiofs_model.virtqueue import TABLE_BLOCK, Chain, ChainError, Reads, Ring, Segment, check_indirect

_DESC = struct.Struct("<QIHH")
_NEXT, _WRITE, _INDIRECT = int(DescFlags.NEXT), int(DescFlags.WRITE), int(DescFlags.INDIRECT)
_AVAIL, _USED = int(DescFlags.AVAIL), int(DescFlags.USED)
_LENGTH_OFFSET = 8
LIST_BLOCK = 8
"""Descriptors of a list that are read at once."""


@dataclass(frozen=True)
class PackedRing:
    """Where a packed virtqueue lies: descriptor ring, driver and device event suppression.

    size: any from 1 on. indirect, event_idx: VIRTIO_F_INDIRECT_DESC, VIRTIO_F_EVENT_IDX were negotiated. longest: how
    many descriptors a table may have, which is up to the device (PACK-IND-R03): a request does not fit into a ring of
    one slot otherwise.
    """

    size: int
    desc: int
    driver: int
    device: int
    indirect: bool
    event_idx: bool = False
    longest: int = 1024

    def slot(self, position: int) -> int:
        """Index of a position's descriptor in the ring."""
        return position % self.size

    def wrap(self, position: int) -> int:
        """The wrap counter, 0 or 1, at a position."""
        return 1 - position // self.size % 2

    def descriptor(self, position: int) -> int:
        """Address of a position's descriptor."""
        return self.desc + VIRTQ_DESC_SIZE * self.slot(position)

    def is_available(self, flags: int, position: int) -> bool:
        """Whether the driver made a descriptor with these flags available: AVAIL is the wrap counter, USED is not
        (PACK-WRAP-RI1)."""
        wrap = self.wrap(position)
        return bool(flags & _AVAIL) == bool(wrap) and bool(flags & _USED) != bool(wrap)

    def used_writes(self, position: int, chain: Chain, length: int) -> list[tuple[int, bytes]]:
        """What returns a chain: length, id and flags of the used descriptor in one aligned write.

        WRITE says that `length` holds how much was written (PACK-USED-DI1).
        """
        flags = _AVAIL | _USED if self.wrap(position) else 0
        flags |= _WRITE if length else 0
        return [(self.descriptor(position) + _LENGTH_OFFSET, struct.pack("<IHH", length, chain.head, flags))]

    def suppression(self) -> tuple[int, int]:
        """Address and size of the driver event suppression structure."""
        return self.driver, 4

    def wants_interrupt(self, raw: bytes, old: int, new: int) -> bool:
        """Whether the descriptors used from position `old` up to `new` are to be told (PACK-EVT-DI1).

        raw: the event suppression structure. DESC means something with VIRTIO_F_EVENT_IDX only; what has no meaning
        counts as ENABLE, since one interrupt too many harms nobody.
        """
        desc, flags = struct.unpack("<HH", raw)
        if flags & 3 == RingEventFlags.DISABLE:
            return False
        if flags & 3 != RingEventFlags.DESC or not self.event_idx:
            return True
        return self._reached(desc, old, new)

    def _reached(self, event: int, old: int, new: int) -> bool:
        """Whether the slot and wrap counter in `event` were passed on the way from `old` to `new`."""
        slot, wrap = event & 0x7FFF, event >> 15
        lap = self.slot(new) - slot
        behind = lap if wrap == self.wrap(new) else lap + self.size
        return 0 < behind <= new - old


AnyRing = Ring | PackedRing
"""A virtqueue of either format."""


def walk_packed(ring: PackedRing, position: int, in_use: Callable[[], int]) -> Reads[Chain | None]:
    """The list whose first descriptor is at `position`, or None while the driver has not made it available.

    in_use: slots that are taken already, asked for when it matters: the driver fills anew what is given back while the
    walk reads. A single descriptor is believed from the read that shows it available, which is of 16 aligned bytes; the
    others of a list, whose flags the driver may write first, are read after that. The id is that of the last one
    (PACK-NEXT-DI1). A list has at most as many descriptors as slots are left.
    """
    address = ring.descriptor(position)
    raw = yield address, VIRTQ_DESC_SIZE
    addr, length, id_, flags = _DESC.unpack(raw)
    if not ring.is_available(flags, position):
        return None
    if in_use() == ring.size:
        raise ChainError(ErrorCode.AVAIL_INDEX, address)
    chain = Chain(id_)
    if flags & _INDIRECT:
        check_indirect(ring.indirect, flags, length, address)
        yield from _walk_table(ring, chain, addr, length)
        return chain
    chain.add(Segment(addr, length), bool(flags & _WRITE), ring.size, address)
    block = b""
    while flags & _NEXT:
        at = position + chain.slots
        if chain.slots == ring.size - in_use():
            raise ChainError(ErrorCode.CHAIN_LENGTH, address)
        address = ring.descriptor(at)
        if not block:
            count = min(LIST_BLOCK, ring.size - in_use() - chain.slots, ring.size - ring.slot(at))
            block = yield address, VIRTQ_DESC_SIZE * count
        addr, length, chain.head, flags = _DESC.unpack_from(block)
        block = block[VIRTQ_DESC_SIZE:]
        if flags & _INDIRECT:
            # PACK-IND-R04: never among linked descriptors, not even as the last of them.
            raise ChainError(ErrorCode.INDIRECT_NEXT, address)
        chain.add(Segment(addr, length), bool(flags & _WRITE), ring.size, address)
        chain.slots += 1
    return chain


def _walk_table(ring: PackedRing, chain: Chain, table: int, length: int) -> Reads[None]:
    """A table in order, all of it: of its flags only WRITE counts, its ids mean nothing (PACK-IND-DI1)."""
    for offset in range(0, length, TABLE_BLOCK):
        if offset // VIRTQ_DESC_SIZE >= ring.longest:
            raise ChainError(ErrorCode.CHAIN_LENGTH, table + offset)
        raw = yield table + offset, min(TABLE_BLOCK, length - offset)
        for at in range(0, len(raw), VIRTQ_DESC_SIZE):
            addr, size, _, flags = _DESC.unpack_from(raw, at)
            chain.add(Segment(addr, size), bool(flags & _WRITE), ring.longest, table + offset + at)
