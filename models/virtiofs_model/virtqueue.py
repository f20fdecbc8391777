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


@dataclass(frozen=True)
class Ring:
    """Where a split virtqueue lies. indirect: VIRTIO_F_INDIRECT_DESC was negotiated."""

    size: int
    desc: int
    driver: int
    device: int
    indirect: bool

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


@dataclass(frozen=True)
class Segment:
    """One buffer of a chain."""

    address: int
    length: int


@dataclass
class Chain:
    """A walked descriptor chain: its head and the two parts."""

    head: int
    readable: list[Segment] = field(default_factory=list)
    writable: list[Segment] = field(default_factory=list)

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
    index, count, total = head, 0, 0
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
            _check_indirect(ring, flags, length, address, nested=block is not None)
            table, entries, index = addr, length // VIRTQ_DESC_SIZE, 0
            block = (0, b"")
            continue
        count += 1
        total += length
        if count > ring.size:
            raise ChainError(ErrorCode.CHAIN_LENGTH, address)
        if total >> 32:
            raise ChainError(ErrorCode.CHAIN_BYTES, address)
        if flags & _WRITE:
            chain.writable.append(Segment(addr, length))
        elif chain.writable:
            raise ChainError(ErrorCode.DIRECTION, address)
        else:
            chain.readable.append(Segment(addr, length))
        if not flags & _NEXT:
            return chain
        if next_ >= entries:
            raise ChainError(ErrorCode.NEXT_INDEX, address)
        index = next_


def _check_indirect(ring: Ring, flags: int, length: int, address: int, nested: bool) -> None:
    if nested:
        raise ChainError(ErrorCode.INDIRECT_NESTED, address)
    if not ring.indirect:
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
