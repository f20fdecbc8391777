"""How a request's bytes are laid out in buffers: as Linux does it, or by a seeded policy that does everything legal.

A layout is data (ChainPlan): it can be recorded, replayed and shrunk.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from virtiofs_model.layouts.fuse_operations import IN_HEADER_SIZE, OUT_HEADER_SIZE
from virtiofs_tb.host.port import HostMemory

from .chains import ChainShape, Placement, Segment

MAX_DESCRIPTORS = 40
MAX_GAP = 67


@dataclass(frozen=True)
class LayoutLimits:
    """What random layouts spare an endpoint that is known not to bear it (profile, [choices]).

    mixed: direct descriptors may come before an indirect one; first_writable: bytes of the first writable part, at
    least, where there are so many.
    """

    mixed: bool = True
    first_writable: int = 1


NO_LIMITS = LayoutLimits()


@dataclass(frozen=True)
class ChainPlan:
    """Lengths of the readable and writable parts in chain order, the gap in bytes before each, and the chain's shape.

    order: in which order the parts stand in memory; high: above 4 GiB. Gaps make addresses unaligned.
    """

    readable: tuple[int, ...]
    writable: tuple[int, ...]
    gaps: tuple[int, ...]
    order: tuple[int, ...]
    shape: ChainShape = field(default_factory=ChainShape)
    high: bool = False

    @property
    def descriptors(self) -> int:
        """How many segments the chain has."""
        return len(self.readable) + len(self.writable)


@dataclass(frozen=True)
class PlacedChain:
    """A plan with memory behind it. base: what to free."""

    base: int
    segments: tuple[Segment, ...]

    def gather(self, memory: HostMemory, size: int) -> bytes:
        """The first `size` bytes of the writable parts."""
        found = bytearray()
        for segment in self.segments:
            if segment.write and len(found) < size:
                found += memory.read(segment.address, min(segment.length, size - len(found)))
        return bytes(found)


def place(plan: ChainPlan, memory: HostMemory, message: bytes) -> PlacedChain:
    """Allocate the plan's buffers and fill the readable ones with `message`."""
    if sum(plan.readable) != len(message):
        raise ValueError(f"plan reads {sum(plan.readable)} bytes, the message has {len(message)}")
    lengths = plan.readable + plan.writable
    base = memory.allocate(max(sum(lengths) + sum(plan.gaps), 1), 16, plan.high)
    addresses = [0] * len(lengths)
    at = base
    for part in plan.order:
        at += plan.gaps[part]
        addresses[part] = at
        at += lengths[part]
    start = 0
    segments = []
    for part, length in enumerate(lengths):
        write = part >= len(plan.readable)
        if not write and length:
            memory.write(addresses[part], message[start : start + length])
            start += length
        segments.append(Segment(addresses[part], length, write))
    return PlacedChain(base, tuple(segments))


def linux_plan(head: int, data: int, writable_head: int, writable_data: int, indirect: bool) -> ChainPlan:
    """As Linux does it: header and arguments, bulk data, reply header and arguments, bulk reply; indirect if it may.

    head: readable bytes before the bulk; data: bulk, in pages of 4 KiB; the writable ones likewise.
    """
    readable = tuple(part for part in (IN_HEADER_SIZE, head - IN_HEADER_SIZE, *_pages(data)) if part > 0)
    reply = (min(writable_head, OUT_HEADER_SIZE), writable_head - OUT_HEADER_SIZE, *_pages(writable_data))
    writable = tuple(part for part in reply if part > 0)
    count = len(readable) + len(writable)
    placement = Placement.INDIRECT if indirect and count > 1 else Placement.DIRECT
    gaps = tuple(-length % 8 for length in readable + writable)
    return ChainPlan(readable, writable, gaps, tuple(range(count)), ChainShape(placement))


def whole_plan(readable: int, writable: int, indirect: bool = False) -> ChainPlan:
    """One descriptor for all that is read, one for all that is written."""
    reads, writes = ((readable,) if readable else ()), ((writable,) if writable else ())
    count = len(reads) + len(writes)
    placement = Placement.INDIRECT if indirect else Placement.DIRECT
    return ChainPlan(reads, writes, (0,) * count, tuple(range(count)), ChainShape(placement))


def random_plan(
    rng: random.Random,
    readable: int,
    writable: int,
    limit: int = MAX_DESCRIPTORS,
    indirect: bool = True,
    limits: LayoutLimits = NO_LIMITS,
) -> ChainPlan:
    """1 to `limit` descriptors, split anywhere, unaligned, in any of the placements that are allowed."""
    sides = (1 if readable else 0) + (1 if writable else 0)
    count = max(sides, min(limit, 1 + int(rng.expovariate(1 / 6)) if rng.random() < 0.8 else rng.randint(1, limit)))
    for_reading = count if not writable else 0 if not readable else rng.randint(1, max(1, count - 1))
    reads = _cut(rng, readable, for_reading)
    writes = _led(_cut(rng, writable, count - for_reading if writable else 0), limits.first_writable)
    total = len(reads) + len(writes)
    gaps = tuple(rng.randrange(MAX_GAP) if rng.random() < 0.7 else 0 for _ in range(total))
    order = list(range(total))
    if rng.random() < 0.5:
        rng.shuffle(order)
    placement = rng.choice(list(Placement)) if indirect else Placement.DIRECT
    if placement is Placement.MIXED and not limits.mixed:
        placement = Placement.INDIRECT
    direct = rng.randint(1, max(1, total - 1))
    shape = ChainShape(placement, direct, rng.random() < 0.5, rng.random() < 0.2)
    return ChainPlan(reads, writes, gaps, tuple(order), shape, rng.random() < 0.5)


def _pages(size: int) -> Sequence[int]:
    return [min(4096, size - at) for at in range(0, size, 4096)]


def _cut(rng: random.Random, size: int, parts: int) -> tuple[int, ...]:
    """`size` bytes in at most `parts` pieces, none of them empty."""
    if size == 0:
        return ()
    cuts = sorted(rng.sample(range(1, size), min(max(parts, 1), size) - 1))
    edges = [0, *cuts, size]
    return tuple(edges[at + 1] - edges[at] for at in range(len(edges) - 1))


def _led(parts: tuple[int, ...], least: int) -> tuple[int, ...]:
    """The parts, the first of them joined with those behind it until it has `least` bytes."""
    while len(parts) > 1 and parts[0] < least:
        parts = (parts[0] + parts[1], *parts[2:])
    return parts
