"""The packed format: one ring of descriptors that driver and device both write, and two event suppression areas.

A position is an offset into the ring with a wrap counter, which starts at 1 and flips behind the last slot
(PACK-WRAP-DI1); as 16 bits the counter is bit 15, as a count it goes through twice the ring's size.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Sequence
from struct import Struct

from virtiofs_model.layouts.virtio import VIRTQ_DESC_SIZE, DescFlags, RingEventFlags
from virtiofs_tb.host.port import Access, HostPort, Store

from .chains import ChainShape, Placement, Publish, RingOptions, Segment, Token
from .virtqueue import Virtqueue

_DESCRIPTOR = Struct("<QIHH")
_FLAGS_OFFSET = 14
_NEXT, _WRITE, _INDIRECT = int(DescFlags.NEXT), int(DescFlags.WRITE), int(DescFlags.INDIRECT)
_AVAIL, _USED = int(DescFlags.AVAIL), int(DescFlags.USED)
EVENT_SIZE = 4
WRAP = 1 << 15


class RingPosition:
    """A place in a ring of `size` slots. offset: of the slot; wrap: the counter."""

    __slots__ = ("offset", "size", "wrap")

    def __init__(self, size: int, offset: int = 0, wrap: bool = True) -> None:
        self.size = size
        self.offset = offset
        self.wrap = wrap

    def step(self, slots: int) -> RingPosition:
        """The place `slots` further on, at most one round."""
        offset = self.offset + slots
        if offset < self.size:
            return RingPosition(self.size, offset, self.wrap)
        return RingPosition(self.size, offset - self.size, not self.wrap)

    def since(self, other: RingPosition) -> int:
        """How many slots this is behind `other`, modulo two rounds."""
        return (self.count - other.count) % (2 * self.size)

    @property
    def count(self) -> int:
        """0 to 2 x size - 1: rounds with wrap counter 1 come first."""
        return self.offset + (0 if self.wrap else self.size)

    @property
    def word(self) -> int:
        """As event suppression areas and doorbells carry it."""
        return self.offset | (WRAP if self.wrap else 0)

    @staticmethod
    def of(size: int, word: int) -> RingPosition:
        """The place that a device's or driver's word names; offsets beyond the ring are taken as they are."""
        return RingPosition(size, word & ~WRAP, bool(word & WRAP))


class PackedQueue(Virtqueue):
    """One packed virtqueue. desc: address of its ring; driver_event, device_event: of the areas, in host memory."""

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
        both = Access.READ | Access.WRITE
        desc = self._area(VIRTQ_DESC_SIZE * size, 16, high, both)  # PACK-VQ-R01
        driver = self._area(EVENT_SIZE, 4, high, Access.READ)
        device = self._area(EVENT_SIZE, 4, high, both)
        self.desc, self.driver_event, self.device_event = desc.address, driver.address, device.address
        self._registers = desc.bus, driver.bus, device.bus
        # A buffer's id is the driver's business: neighbours from 0 on, as Linux's, or any 16 bits.
        self._ids = list(range(size)) if rng.random() < 0.5 else rng.sample(range(1 << 16), size)
        self._free = size
        self._next = RingPosition(size)  # where the next chain goes
        self._visible = self._next  # behind the chains that the device can see
        self._untold = 0  # slots of those of which it was not decided yet whether to tell
        self._used = RingPosition(size)
        self._arm()

    @property
    def registers(self) -> tuple[int, int, int]:
        """queue_desc, queue_driver and queue_device."""
        return self._registers

    @property
    def position(self) -> int:
        """The next slot that is not available yet, and its wrap counter (PACK-DESC-R03)."""
        return self._visible.word

    @property
    def used_position(self) -> RingPosition:
        """Where the next used descriptor will stand."""
        return self._used

    def unharvested(self) -> int:
        """Used descriptors from the place of the next on; what cannot be one ends the count."""
        found, place = 0, self._used
        left = dict(self._in_flight)
        while self._is_used(place):
            token = left.pop(int.from_bytes(self.host.memory.read(self._slot(place) + 12, 2), "little"), None)
            if token is None:
                return found + 1
            found += 1
            place = place.step(len(token.slots))
        return found

    # ---- making available ----

    def _room(self) -> int:
        return self._free

    def _settle(self, segments: Sequence[Segment], shape: ChainShape) -> ChainShape:
        if not segments or len(segments) > self.size:  # PACK-SG-R02, PACK-IND-R03
            raise ValueError(f"a chain of {len(segments)} segments does not fit {self.name} of {self.size}")
        if shape.placement is Placement.DIRECT:
            return shape
        if not self.options.indirect:
            raise ValueError(f"{self.name}: INDIRECT_DESC was not negotiated (PACK-IND-R01)")
        return ChainShape(Placement.INDIRECT, 0, shape.shuffled, shape.write_flag_on_indirect)  # PACK-IND-R04

    def _publish(self, chains: Sequence[tuple[Sequence[Segment], ChainShape]]) -> tuple[list[Token], list[Store]]:
        """A chain's first flags come last, and those of a batch's first chain behind all others (PACK-SG-R06)."""
        stores: list[Store] = []
        tokens = []
        first: Store | None = None
        for segments, shape in chains:
            token, head = self._place(segments, shape, stores)
            tokens.append(token)
            if first is None:
                first = head
            else:
                stores.append(head)
        assert first is not None
        stores.append(first)
        return tokens, stores

    def _published(self) -> None:
        self._untold += self._next.since(self._visible)
        self._visible = self._next

    def _kick_wanted(self) -> bool:
        """As the device's event suppression area says (PACK-EVT-RI1). Without EVENT_IDX there is no DESC."""
        raw = self.host.memory.read(self.device_event, EVENT_SIZE)
        word, flags = int.from_bytes(raw[:2], "little"), int.from_bytes(raw[2:], "little") & 3
        new, self._untold = self._untold, 0
        if flags == RingEventFlags.DESC and self.options.event_idx:
            return (self._visible.since(RingPosition.of(self.size, word)) - 1) % (2 * self.size) < new
        return flags != RingEventFlags.DISABLE

    # ---- taking back ----

    def _drain(self) -> list[Token]:
        done: list[Token] = []
        while self._is_used(self._used):
            _, length, number, flags = _DESCRIPTOR.unpack(self.host.memory.read(self._slot(self._used), 16))
            written = length if flags & _WRITE else 0  # else the length is reserved (PACK-USED-DI1)
            what = f"{self.name} id of the used descriptor in slot {self._used.offset}"
            batch = self._claim(number, written, what, "PACK-NEXT-DI1")
            if not batch:
                break
            for token in batch:
                self._free += len(token.slots)
                self._ids.append(token.id)
                self._used = self._used.step(len(token.slots))
            done += batch
        return done

    def _arm(self) -> bool:
        """The driver's event suppression area: place first, flags behind it."""
        if self._no_interrupt:
            self._tell(self.driver_event + 2, RingEventFlags.DISABLE)
            return False
        if not self.options.event_idx:
            return self._tell(self.driver_event + 2, RingEventFlags.ENABLE)
        moved = self._tell(self.driver_event, self._used.step(self._ahead - 1).word)
        return self._tell(self.driver_event + 2, RingEventFlags.DESC) or moved

    def _tell(self, address: int, word: int) -> bool:
        if self._word(address) == word:
            return False
        self.host.memory.write(address, word.to_bytes(2, "little"))
        return True

    async def _want_interrupts(self) -> None:
        self._arm()

    def _next_used(self) -> tuple[int, int, Callable[[bytes], bool]]:
        wrap = self._used.wrap
        return self._slot(self._used) + _FLAGS_OFFSET, 2, lambda raw: _says_used(int.from_bytes(raw, "little"), wrap)

    def _used_area(self) -> tuple[int, int]:
        return self.desc, VIRTQ_DESC_SIZE * self.size

    # ---- descriptors ----

    def _slot(self, place: RingPosition) -> int:
        return self.desc + VIRTQ_DESC_SIZE * place.offset

    def _is_used(self, place: RingPosition) -> bool:
        return _says_used(self._word(self._slot(place) + _FLAGS_OFFSET), place.wrap)

    def _place(self, segments: Sequence[Segment], shape: ChainShape, stores: list[Store]) -> tuple[Token, Store]:
        """Fill slots; returns the chain and the store that makes it available."""
        number = self._ids.pop(self._rng.randrange(len(self._ids)) if shape.shuffled else 0)
        bus = self._map(segments)
        if shape.placement is Placement.DIRECT:
            chain = [(bus[at], part.length, _WRITE if part.write else 0) for at, part in enumerate(segments)]
            table = None
        else:
            table = self._table(len(segments), VIRTQ_DESC_SIZE)
            for at, part in enumerate(segments):  # in order, and no flag but WRITE (PACK-IND-R02)
                data = _DESCRIPTOR.pack(bus[at], part.length, 0, _WRITE if part.write else 0)
                self._fill(table.address + VIRTQ_DESC_SIZE * at, data, stores)
            outer = _INDIRECT | (_WRITE if shape.write_flag_on_indirect else 0)
            chain = [(table.bus, table.size, outer)]
        place, slots = self._next, []
        head: Store | None = None
        for at, (address, length, flags) in enumerate(chain):
            last = at == len(chain) - 1
            flags |= (0 if last else _NEXT) | (_AVAIL if place.wrap else _USED)  # PACK-WRAP-RI1
            # The id counts in the last descriptor alone; a device that looks elsewhere finds another.
            name = number if last or not shape.shuffled else self._rng.getrandbits(16)
            data = _DESCRIPTOR.pack(address, length, name, flags)
            if head is None:
                head = Store(self._slot(place) + _FLAGS_OFFSET, data[_FLAGS_OFFSET:])
                self._fill(self._slot(place), data[:_FLAGS_OFFSET], stores)
            else:
                self._fill(self._slot(place), data, stores)
            slots.append(place.offset)
            place = place.step(1)
        assert head is not None
        self._next = place
        self._free -= len(slots)
        return Token(number, slots, segments, bus, table), head

    def _fill(self, at: int, data: bytes, stores: list[Store]) -> None:
        """A descriptor, or one without its flags. As Linux does it field by field, the flags come first: those of a
        descriptor that is not a chain's first prove nothing."""
        if self.options.publish is not Publish.FIELDS:
            stores.append(Store(at, data))
            return
        if len(data) > _FLAGS_OFFSET:
            stores.append(Store(at + _FLAGS_OFFSET, data[_FLAGS_OFFSET:]))
        stores += [Store(at, data[:8]), Store(at + 8, data[8:12]), Store(at + 12, data[12:14])]


def _says_used(flags: int, wrap: bool) -> bool:
    """Both bits are the wrap counter."""
    return bool(flags & _AVAIL) == bool(flags & _USED) == wrap
