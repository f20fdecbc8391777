"""Chains as the driver lays them out and keeps account of, in either ring format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from virtiofs_tb.host.port import Event

from .dma import DmaArea, DmaMapper
from .errors import DriverError


class Placement(Enum):
    """Where a chain's descriptors stand."""

    DIRECT = "direct"
    INDIRECT = "indirect"
    MIXED = "direct then indirect"  # SPLIT-IND-D02; a packed ring knows no such thing (PACK-IND-R04)


class Publish(Enum):
    """How the driver's stores reach memory."""

    SPREAD = "spread"  # over simulated time, in program order, a descriptor a store
    FIELDS = "fields"  # the same, a field a store, as Linux's compiler leaves it
    AT_ONCE = "at once"  # without time passing


class Segment(NamedTuple):
    """One descriptor's buffer, by its address in host memory. write: the device writes it."""

    address: int
    length: int
    write: bool = False


@dataclass(frozen=True)
class ChainShape:
    """How a chain is laid out. direct: descriptors before the indirect one (MIXED); shuffled: no two in a row (packed:
    ids that the device ignores say something else)."""

    placement: Placement = Placement.DIRECT
    direct: int = 0
    shuffled: bool = False
    write_flag_on_indirect: bool = False  # the device ignores it (SPLIT-IND-D01, PACK-IND-DI1)


@dataclass(frozen=True)
class RingOptions:
    """What was negotiated for a queue, and how its stores reach memory.

    batches: under IN_ORDER one used entry may stand for several chains (SPLIT-INORD-DI1, PACK-INORD-DI1).
    """

    indirect: bool = False
    event_idx: bool = False
    in_order: bool = False
    batches: bool = False
    publish: Publish = Publish.SPREAD
    dma: DmaMapper = field(default_factory=DmaMapper)


class Token:
    """A chain in flight. id: of its used entry; slots: entries of the descriptor ring or table that it takes.

    bus: the device's address of each segment. used: bytes that the device says it wrote, None until the chain came
    back; exact: False where it came back in a batch whose entry gave the length of another.
    """

    __slots__ = ("bus", "error", "event", "exact", "id", "segments", "slots", "table", "used", "writable")

    def __init__(
        self, number: int, slots: Sequence[int], segments: Sequence[Segment], bus: Sequence[int], table: DmaArea | None
    ) -> None:
        self.id = number
        self.slots = tuple(slots)
        self.segments = tuple(segments)
        self.bus = tuple(bus)
        self.table = table
        self.writable = sum(segment.length for segment in segments if segment.write)
        self.used: int | None = None
        self.exact = True
        self.error: DriverError | None = None
        self.event: Event | None = None


def slots_of(segments: Sequence[Segment], shape: ChainShape) -> int:
    """Descriptors of the ring or table that a chain takes, those of an indirect table not counted."""
    if shape.placement is Placement.DIRECT:
        return len(segments)
    if shape.placement is Placement.INDIRECT:
        return 1
    return min(max(shape.direct, 1), len(segments) - 1) + 1
