"""Defects in how rings are read and written: the sound functions of a ring with one of them wrong."""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace

from virtiofs_model.defects import Defect
from virtiofs_model.layouts.virtio import DescFlags, RingEventFlags
from virtiofs_model.packed_virtqueue import AnyRing, PackedRing
from virtiofs_model.virtqueue import Chain, Reads, Ring

_FLAGS = 14
"""Where a descriptor's flags are."""


@dataclass(frozen=True)
class FaultySplit(Ring):
    """A split ring with a defect of event indices."""

    defect: Defect | None = None

    def avail_event(self, position: int) -> tuple[int, bytes]:
        return super().avail_event(position + (self.defect is Defect.EVENT_AHEAD))

    def wants_interrupt(self, raw: bytes, old: int, new: int) -> bool:
        if self.event_idx and self.defect is Defect.EVENT_USED_IGNORED:
            return True
        if self.event_idx and self.defect is Defect.EVENT_OFF_BY_ONE:
            old, new = old - 1, new - 1
        return super().wants_interrupt(raw, old, new)


@dataclass(frozen=True)
class FaultyPacked(PackedRing):
    """A packed ring with a defect of used descriptors or of event suppression."""

    defect: Defect | None = None

    def used_writes(self, position: int, chain: Chain, length: int) -> list[tuple[int, bytes]]:
        ((address, raw),) = super().used_writes(position, chain, length)
        if self.defect is Defect.PACKED_FLAGS_BEFORE_LENGTH:
            return [(address + 6, raw[6:]), (address, raw[:6])]
        if self.defect is Defect.PACKED_WRITE_FLAG:
            raw = raw[:6] + bytes([raw[6] & ~int(DescFlags.WRITE)]) + raw[7:]
        return [(address, raw)]

    def wants_interrupt(self, raw: bytes, old: int, new: int) -> bool:
        desc, flags = struct.unpack("<HH", raw)
        if flags == RingEventFlags.DESC and self.defect is Defect.PACKED_EVENT_AS_ENABLE:
            return True
        if flags == RingEventFlags.DESC and self.defect is Defect.PACKED_EVENT_AS_DISABLE:
            return False
        if self.defect is Defect.PACKED_EVENT_WITHOUT_WRAP:
            raw = struct.pack("<HH", desc & 0x7FFF | self.wrap(new) << 15, flags)
        return super().wants_interrupt(raw, old, new)


def faulty(ring: AnyRing, defect: Defect) -> AnyRing:
    """The ring with `defect`, if that is one of rings."""
    place = (ring.size, ring.desc, ring.driver, ring.device, ring.indirect, ring.event_idx)
    if isinstance(ring, Ring):
        return FaultySplit(*place, defect)
    if defect is Defect.PACKED_SIZE_ROUNDED:
        return replace(ring, size=1 << ring.size.bit_length() - 1)
    return FaultyPacked(*place, ring.longest, defect)


def steps_on(ring: AnyRing, position: int, chain: Chain, defect: Defect | None, used: bool) -> int:
    """How far a place in the ring moves on for a chain. used: it is that of used descriptors."""
    if not isinstance(ring, PackedRing):
        return chain.slots
    at_end = ring.slot(position + chain.slots) == 0
    if at_end and defect is (Defect.PACKED_USED_WRAP_AT_END if used else Defect.PACKED_AVAIL_WRAP_AT_END):
        return chain.slots + ring.size
    if used and defect is Defect.PACKED_USED_ONE_SLOT:
        return 1
    return chain.slots


def faulty_walk(walk: Reads[Chain | None], defect: Defect) -> Reads[Chain | None]:
    """What a walk through a packed ring finds, with a defect of it."""
    first: bytes | None = None
    try:
        request = next(walk)
        while True:
            raw = yield request
            if first is None:
                first = raw
                if defect is Defect.PACKED_FIRST_ONLY:
                    raw = raw[:_FLAGS] + bytes([raw[_FLAGS] & ~int(DescFlags.NEXT)]) + raw[_FLAGS + 1 :]
            request = walk.send(raw)
    except StopIteration as end:
        chain: Chain | None = end.value
    if chain is not None and first is not None:
        id_, flags = struct.unpack_from("<HH", first, _FLAGS - 2)
        if defect is Defect.PACKED_ID_OF_HEAD:
            chain.head = id_
        if defect is Defect.PACKED_TABLE_FOLLOWS_NEXT and flags & DescFlags.INDIRECT:
            chain.readable[1:] = []
            chain.writable[:] = []
        if defect is Defect.PACKED_TABLE_OF_POINTER and flags & DescFlags.INDIRECT and flags & DescFlags.WRITE:
            chain.writable[:0] = chain.readable
            chain.readable[:] = []
    return chain
