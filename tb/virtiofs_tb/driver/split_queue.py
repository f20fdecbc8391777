"""The split format: descriptor table, available ring and used ring, in Linux's order of stores."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Sequence
from struct import Struct

from virtiofs_model.layouts.virtio import (
    VIRTQ_AVAIL_F_NO_INTERRUPT,
    VIRTQ_AVAIL_RING_OFFSET,
    VIRTQ_DESC_SIZE,
    VIRTQ_USED_ELEM_SIZE,
    VIRTQ_USED_F_NO_NOTIFY,
    VIRTQ_USED_RING_OFFSET,
    DescFlags,
    avail_size,
    used_size,
)
from virtiofs_tb.host.port import Access, HostPort, Store

from .chains import ChainShape, Placement, Publish, RingOptions, Segment, Token, slots_of
from .errors import DriverError
from .virtqueue import Virtqueue

_DESCRIPTOR = Struct("<QIHH")
_NEXT, _WRITE = int(DescFlags.NEXT), int(DescFlags.WRITE)


class SplitQueue(Virtqueue):
    """One split virtqueue. desc, avail, used: addresses of its parts in host memory."""

    def __init__(
        self,
        host: HostPort,
        index: int,
        size: int,
        rng: random.Random,
        doorbell: Callable[[int], Awaitable[None]],
        options: RingOptions | None = None,
    ) -> None:
        super().__init__(host, index, size, rng, doorbell, options)
        high = bool(rng.getrandbits(1))
        desc = self._area(VIRTQ_DESC_SIZE * size, 16, high, Access.READ)  # SPLIT-VQ-R01
        avail = self._area(avail_size(size), 2, high, Access.READ)
        used = self._area(used_size(size), 4, high, Access.READ | Access.WRITE)
        self.desc, self.avail, self.used = desc.address, avail.address, used.address
        self._registers = desc.bus, avail.bus, used.bus
        self._desc_next = 0
        self._free = list(range(size))
        self._avail_idx = 0  # behind the chains that are being published
        self._visible_idx = 0  # behind those that the device can see
        self._untold = 0  # of which it was not decided yet whether to tell
        self._used_idx = 0

    @property
    def registers(self) -> tuple[int, int, int]:
        """queue_desc, queue_driver and queue_device."""
        return self._registers

    @property
    def position(self) -> int:
        """The available index."""
        return self._visible_idx

    @property
    def used_event(self) -> int:
        """Address of used_event."""
        return self.avail + VIRTQ_AVAIL_RING_OFFSET + 2 * self.size

    @property
    def avail_event(self) -> int:
        """Address of avail_event."""
        return self.used + VIRTQ_USED_RING_OFFSET + VIRTQ_USED_ELEM_SIZE * self.size

    def unharvested(self) -> int:
        """Used entries between what was taken and the used index."""
        return (self._word(self.used + 2) - self._used_idx) & 0xFFFF

    # ---- making available ----

    def _room(self) -> int:
        return len(self._free)

    def _settle(self, segments: Sequence[Segment], shape: ChainShape) -> ChainShape:
        if not segments or len(segments) > self.size:
            raise ValueError(f"a chain of {len(segments)} segments does not fit {self.name} of {self.size}")
        if shape.placement is Placement.MIXED and len(segments) < 2:
            shape = ChainShape(Placement.INDIRECT, shuffled=shape.shuffled)
        if shape.placement is not Placement.DIRECT and not self.options.indirect:
            raise ValueError(f"{self.name}: INDIRECT_DESC was not negotiated (SPLIT-IND-R01)")
        return shape

    def _publish(self, chains: Sequence[tuple[Sequence[Segment], ChainShape]]) -> tuple[list[Token], list[Store]]:
        stores: list[Store] = []
        tokens = []
        for segments, shape in chains:
            token = self._place(segments, shape, stores)
            slot = self._avail_idx % self.size
            ring = self.avail + VIRTQ_AVAIL_RING_OFFSET + 2 * slot
            stores.append(Store(ring, token.id.to_bytes(2, "little")))
            self._avail_idx = (self._avail_idx + 1) & 0xFFFF
            tokens.append(token)
        stores.append(Store(self.avail + 2, self._avail_idx.to_bytes(2, "little")))
        return tokens, stores

    def _published(self) -> None:
        self._untold += (self._avail_idx - self._visible_idx) & 0xFFFF
        self._visible_idx = self._avail_idx

    def _kick_wanted(self) -> bool:
        """SPLIT-ANS-R03, SPLIT-ANS-R04; with EVENT_IDX whether one of the new chains stands where avail_event says
        (SPLIT-ANS-R05 to R07)."""
        new, self._untold = self._untold, 0
        if not self.options.event_idx:
            return not self._word(self.used) & VIRTQ_USED_F_NO_NOTIFY
        return (self._visible_idx - self._word(self.avail_event) - 1) & 0xFFFF < new

    # ---- taking back ----

    def _drain(self) -> list[Token]:
        new = self.unharvested()
        if new > len(self._in_flight):
            self.stop(
                DriverError(
                    f"{self.name} used.idx after 0x{self._used_idx:X}",
                    (self._used_idx + new) & 0xFFFF,
                    f"at most {len(self._in_flight)} more: so many chains are in flight",
                    "SPLIT-USED-D01",
                )
            )
            return []
        done: list[Token] = []
        while new:
            slot = self._used_idx % self.size
            entry = self.host.memory.read(
                self.used + VIRTQ_USED_RING_OFFSET + VIRTQ_USED_ELEM_SIZE * slot, VIRTQ_USED_ELEM_SIZE
            )
            number, length = int.from_bytes(entry[:4], "little"), int.from_bytes(entry[4:], "little")
            batch = self._claim(number, length, f"{self.name} used.ring[{slot}].id", "SPLIT-USED-D01", new)
            if not batch:
                break
            for token in batch:
                self._free.extend(token.slots)
            self._used_idx = (self._used_idx + len(batch)) & 0xFFFF
            new -= len(batch)
            done += batch
        return done

    def _event_word(self) -> int:
        """used_event; where no interrupt is wanted, the entry that is farthest away in both directions: the device may
        still have to decide on the one that was just taken."""
        return (self._used_idx + (0x8000 if self._no_interrupt else self._ahead - 1)) & 0xFFFF

    def _arm(self) -> bool:
        if not self.options.event_idx:
            return False
        wanted = self._event_word()
        if wanted == self._word(self.used_event):
            return False
        self.host.memory.write(self.used_event, wanted.to_bytes(2, "little"))
        return not self._no_interrupt

    async def _want_interrupts(self) -> None:
        if self.options.event_idx:  # avail.flags stays 0 (SPLIT-UNS-R03)
            self._arm()
            return
        flags = VIRTQ_AVAIL_F_NO_INTERRUPT if self._no_interrupt else 0
        await self._store([Store(self.avail, flags.to_bytes(2, "little"))])

    def _next_used(self) -> tuple[int, int, Callable[[bytes], bool]]:
        last = self._used_idx.to_bytes(2, "little")
        return self.used + 2, 2, lambda seen: seen != last

    def _used_area(self) -> tuple[int, int]:
        return self.used + 2, 2

    # ---- descriptors ----

    def _take(self, count: int, shuffled: bool) -> list[int]:
        """`count` free descriptors: random ones, or neighbours in ascending order where there are enough."""
        free = self._free
        if self.options.in_order:  # descriptor x is followed by x + 1, the last by 0 (SPLIT-DESC-R02)
            self._desc_next, taken = (self._desc_next + count) % self.size, self._desc_next
            return [self._free_one((taken + at) % self.size) for at in range(count)]
        if shuffled:
            taken_here = []
            for _ in range(count):
                at = self._rng.randrange(len(free))
                taken_here.append(free[at])
                free[at] = free[-1]
                free.pop()
            return taken_here
        free.sort()
        start = 0
        for at in range(1, len(free)):
            if free[at] != free[at - 1] + 1:
                start = at
            if at - start + 1 >= count:
                break
        else:
            start = 0
        neighbours = free[start : start + count]
        del free[start : start + count]
        return neighbours

    def _free_one(self, slot: int) -> int:
        self._free.remove(slot)
        return slot

    def _place(self, segments: Sequence[Segment], shape: ChainShape, stores: list[Store]) -> Token:
        """Take descriptors and append the stores that fill them (not the ring entry)."""
        taken = self._take(slots_of(segments, shape), shape.shuffled)
        bus = self._map(segments)
        if shape.placement is Placement.DIRECT:
            self._write_chain(self.desc, taken, segments, bus, stores)
            return Token(taken[0], taken, segments, bus, None)
        direct = len(taken) - 1
        rest = segments[direct:]
        table = self._table(len(rest), VIRTQ_DESC_SIZE)
        order = list(range(len(rest)))
        if shape.shuffled and not self.options.in_order:  # SPLIT-IND-R05
            tail = order[1:]
            self._rng.shuffle(tail)
            order = [0, *tail]
        self._write_chain(table.address, order, rest, bus[direct:], stores)
        flags = int(DescFlags.INDIRECT) | (DescFlags.WRITE if shape.write_flag_on_indirect else 0)
        self._write_chain(self.desc, taken[:-1], segments[:direct], bus[:direct], stores, taken[-1])
        self._write_descriptor(self.desc, taken[-1], table.bus, table.size, flags, 0, stores)
        return Token(taken[0], taken, segments, bus, table)

    def _write_chain(
        self,
        table: int,
        slots: Sequence[int],
        segments: Sequence[Segment],
        bus: Sequence[int],
        stores: list[Store],
        after: int | None = None,
    ) -> None:
        for at, segment in enumerate(segments):
            following = slots[at + 1] if at + 1 < len(segments) else after
            flags = (_WRITE if segment.write else 0) | (0 if following is None else _NEXT)
            self._write_descriptor(table, slots[at], bus[at], segment.length, flags, following or 0, stores)

    def _write_descriptor(
        self, table: int, slot: int, address: int, length: int, flags: int, following: int, stores: list[Store]
    ) -> None:
        at = table + VIRTQ_DESC_SIZE * slot
        data = _DESCRIPTOR.pack(address, length, flags, following)
        if self.options.publish is not Publish.FIELDS:
            stores.append(Store(at, data))
            return
        stores += [
            Store(at + 12, data[12:14]),
            Store(at, data[:8]),
            Store(at + 8, data[8:12]),
            Store(at + 14, data[14:]),
        ]


def as_split(queue: Virtqueue) -> SplitQueue:
    """The queue as one of this format. Raises DriverError where RING_PACKED was negotiated."""
    if not isinstance(queue, SplitQueue):
        raise DriverError(f"format of {queue.name}", "packed", "split")
    return queue
