"""Device side of a split virtqueue, as pure functions.

What needs host memory is a generator that yields `(address, size)` and is sent the bytes: an endpoint makes DMA of
it, a test plays it against a dictionary. A broken ring raises ChainError.
"""

from __future__ import annotations

import struct
from collections.abc import Generator, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from virtiofs_model.errors import ErrorCode
from virtiofs_model.layouts.virtio import (
    VIRTQ_AVAIL_F_NO_INTERRUPT,
    VIRTQ_AVAIL_RING_OFFSET,
    VIRTQ_DESC_SIZE,
    VIRTQ_USED_ELEM_SIZE,
    VIRTQ_USED_RING_OFFSET,
    DescFlags,
)

T = TypeVar("T")
Reads = Generator[tuple[int, int], bytes, T]
"""A computation that needs memory reads."""

_DESC = struct.Struct("<QIHH")
_NEXT, _WRITE, _INDIRECT = int(DescFlags.NEXT), int(DescFlags.WRITE), int(DescFlags.INDIRECT)
TABLE_BLOCK = 512
"""Bytes of an indirect table that are read at once."""


class ChainError(Exception):
    """The driver broke a rule of the ring: code and the address of what was wrong."""

    def __init__(self, code: ErrorCode, address: int) -> None:
        super().__init__(f"{code.name} at {address:#x}")
        self.code = code
        self.address = address


def need_event(event: int, new: int, old: int) -> bool:
    """Whether entry `event` is among those from `old` up to `new`, exclusive; all are free-running 16-bit indices
    (SPLIT-UNS-D05, vring_need_event of linux/virtio_ring.h)."""
    return (new - event - 1) & 0xFFFF < (new - old) & 0xFFFF


@dataclass(frozen=True)
class Ring:
    """Where a split virtqueue lies. indirect, event_idx: VIRTIO_F_INDIRECT_DESC, VIRTIO_F_EVENT_IDX were negotiated.

    Positions count ring entries from when the queue was enabled, without end.
    """

    size: int
    desc: int
    driver: int
    device: int
    indirect: bool
    event_idx: bool = False

    def avail_flags(self) -> tuple[int, int]:
        """Address and size of virtq_avail.flags."""
        return self.driver, 2

    def avail_idx(self) -> tuple[int, int]:
        """Address and size of virtq_avail.idx."""
        return self.driver + 2, 2

    def avail_entries(self, position: int, count: int) -> tuple[int, int]:
        """Address and size of `count` ring entries from `position` on, cut at the ring's end."""
        slot = position % self.size
        count = min(count, self.size - slot)
        return self.driver + VIRTQ_AVAIL_RING_OFFSET + 2 * slot, 2 * count

    def used_entry(self, position: int, head: int, length: int) -> tuple[int, bytes]:
        """Address and bytes of a used entry."""
        slot = position % self.size
        address = self.device + VIRTQ_USED_RING_OFFSET + VIRTQ_USED_ELEM_SIZE * slot
        return address, struct.pack("<II", head, length)

    def used_idx(self, position: int) -> tuple[int, bytes]:
        """Address and bytes of virtq_used.idx."""
        return self.device + 2, struct.pack("<H", position & 0xFFFF)

    def used_writes(self, position: int, chain: Chain, length: int) -> list[tuple[int, bytes]]:
        """What returns a chain, in order: used entry, used index (SPLIT-USED-D01)."""
        return [self.used_entry(position, chain.head, length), self.used_idx(position + 1)]

    def avail_event(self, position: int) -> tuple[int, bytes]:
        """Address and bytes of avail_event, behind the used ring: a kick is wanted for the entry at `position`."""
        address = self.device + VIRTQ_USED_RING_OFFSET + VIRTQ_USED_ELEM_SIZE * self.size
        return address, struct.pack("<H", position & 0xFFFF)

    def suppression(self) -> tuple[int, int]:
        """Address and size of what the driver says of interrupts: used_event behind the available ring, or flags."""
        if self.event_idx:
            return self.driver + VIRTQ_AVAIL_RING_OFFSET + 2 * self.size, 2
        return self.avail_flags()

    def wants_interrupt(self, raw: bytes, old: int, new: int) -> bool:
        """Whether the entries from position `old` up to `new` are to be told. raw: what was read at suppression()."""
        (word,) = struct.unpack("<H", raw)
        if self.event_idx:
            return need_event(word, new, old)
        return not word & VIRTQ_AVAIL_F_NO_INTERRUPT


@dataclass(frozen=True)
class Segment:
    """One buffer of a chain."""

    address: int
    length: int


@dataclass
class Chain:
    """A walked descriptor chain: its two parts, and how it is returned.

    head: what the used entry names, the head's index or (packed) the buffer id. slots: how far the position in the
    ring moves on for it.
    """

    head: int
    readable: list[Segment] = field(default_factory=list)
    writable: list[Segment] = field(default_factory=list)
    slots: int = 1
    _total: int = field(default=0, init=False, repr=False, compare=False)

    def add(self, segment: Segment, writable: bool, most: int, address: int) -> None:
        """Append a descriptor's buffer, and check what holds in every ring.

        most: how many descriptors a chain may have; address: where this one lies, for the ChainError.
        """
        if len(self.readable) + len(self.writable) == most:
            raise ChainError(ErrorCode.CHAIN_LENGTH, address)
        self._total += segment.length
        if self._total >> 32:
            raise ChainError(ErrorCode.CHAIN_BYTES, address)
        if self.writable and not writable:
            raise ChainError(ErrorCode.DIRECTION, address)
        (self.writable if writable else self.readable).append(segment)

    @property
    def readable_bytes(self) -> int:
        """Length of the device-readable part."""
        return sum(segment.length for segment in self.readable)

    @property
    def writable_bytes(self) -> int:
        """Length of the device-writable part."""
        return sum(segment.length for segment in self.writable)


def available(ring: Ring, idx: int, position: int) -> int:
    """How many new entries an available index announces; raises where it ran ahead of the ring."""
    count = (idx - position) & 0xFFFF
    if count > ring.size:
        raise ChainError(ErrorCode.AVAIL_INDEX, ring.driver + 2)
    return count


def walk_chain(ring: Ring, head: int) -> Reads[Chain]:
    """Walk the chain that starts at descriptor `head`, in full, checking every rule.

    Direct descriptors may be followed by one indirect descriptor (SPLIT-IND-D02), whose WRITE flag is ignored
    (SPLIT-IND-D01). The descriptors of a chain, without the one that points to the table, are at most the queue size.
    A zero-length descriptor is a no-op.
    """
    if head >= ring.size:
        raise ChainError(ErrorCode.HEAD_INDEX, head)
    chain = Chain(head)
    index = head
    table, entries = ring.desc, ring.size
    block: tuple[int, bytes] | None = None
    while True:
        address = table + VIRTQ_DESC_SIZE * index
        if block is None:
            raw = yield address, VIRTQ_DESC_SIZE
        else:
            # An indirect table is published as a whole: read it in blocks.
            if not block[0] <= index < block[0] + len(block[1]) // VIRTQ_DESC_SIZE:
                raw = yield address, min(TABLE_BLOCK, (entries - index) * VIRTQ_DESC_SIZE)
                block = (index, raw)
            start = (index - block[0]) * VIRTQ_DESC_SIZE
            raw = block[1][start : start + VIRTQ_DESC_SIZE]
        addr, length, flags, next_ = _DESC.unpack(raw)
        if flags & _INDIRECT:
            if block is not None:
                raise ChainError(ErrorCode.INDIRECT_NESTED, address)
            check_indirect(ring.indirect, flags, length, address)
            table, entries, index = addr, length // VIRTQ_DESC_SIZE, 0
            block = (0, b"")
            continue
        chain.add(Segment(addr, length), bool(flags & _WRITE), ring.size, address)
        if not flags & _NEXT:
            return chain
        if next_ >= entries:
            raise ChainError(ErrorCode.NEXT_INDEX, address)
        index = next_


def check_indirect(negotiated: bool, flags: int, length: int, address: int) -> None:
    """What must hold of a descriptor at `address` that points to a table of `length` bytes."""
    if not negotiated:
        raise ChainError(ErrorCode.INDIRECT_OFF, address)
    if flags & _NEXT:
        raise ChainError(ErrorCode.INDIRECT_NEXT, address)
    if length == 0 or length % VIRTQ_DESC_SIZE:
        raise ChainError(ErrorCode.INDIRECT_LENGTH, address)


def slices(segments: Iterable[Segment], offset: int, length: int) -> list[Segment]:
    """The pieces of memory behind `length` bytes at `offset` of a chain's part, in order (short if it ends)."""
    result = []
    for segment in segments:
        if offset >= segment.length:
            offset -= segment.length
            continue
        if length <= 0:
            break
        piece = min(segment.length - offset, length)
        result.append(Segment(segment.address + offset, piece))
        length -= piece
        offset = 0
    return result
