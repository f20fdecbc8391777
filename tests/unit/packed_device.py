"""A device of a few lines at the other end of the driver's packed queue, written from the specification alone."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from virtiofs_model.layouts.virtio import DescFlags, PvirtqDesc
from virtiofs_tb.driver.chains import RingOptions
from virtiofs_tb.driver.packed_queue import PackedQueue
from virtiofs_tb.driver.virtqueue import Publish, Segment
from virtiofs_tb.host.base import HostBase
from virtiofs_tb.host.log import Header, ObservationLog
from virtiofs_tb.host.loop import Loop


class NoLink:
    """Nothing is sent here."""

    def send(self, channel: int, hdr: Header, payload: bytes, due_ps: int = 0) -> None:
        raise AssertionError("nothing is sent here")


@dataclass(frozen=True)
class Found:
    """A chain as the device found it. slot: of its first descriptor."""

    id: int
    slot: int
    slots: int
    segments: list[Segment]


class PackedDevice:
    """Reads the ring in its order, asserts what the driver must not do, and uses chains when told to."""

    def __init__(
        self, size: int = 8, seed: int = 1, publish: Publish = Publish.SPREAD, **options: bool
    ) -> None:  # fmt: skip
        self.host = HostBase(Loop(), NoLink(), ObservationLog(), seed)
        self.size = size
        self.doorbells: list[int] = []
        self.automatic: Callable[[Found], int] | None = None  # chain -> used length
        chosen = RingOptions(**{"indirect": True, **options}, publish=publish)
        self.queue = PackedQueue(self.host, 3, size, random.Random(seed), self._doorbell, chosen)
        self.interrupts = 0
        self._seen, self._seen_wrap = 0, 1
        self.used, self.used_wrap = 0, 1
        self._moved = 0  # used slots since the last decision on an interrupt

    async def _doorbell(self, index: int) -> None:
        assert index == 3
        self.doorbells.append(self.queue.position)
        self.host.loop.call_at(self.host.loop.now_ps + 1000, self._serve)

    def _serve(self) -> None:
        if self.automatic is None:
            return
        for chain in self.chains():
            self.use(chain, self.automatic(chain))
        if self.interrupt_due():
            self.interrupts += 1
            self.queue.harvest()

    # ---- reading ----

    def descriptor(self, table: int, at: int) -> PvirtqDesc:
        """A descriptor as the device would find it now, not as it will be."""
        return PvirtqDesc.from_buffer_copy(self.host.memory.at(table + 16 * at, 16, self.host.loop.now_ps))

    def available(self) -> bool:
        """Whether the next slot's descriptor belongs to the device."""
        flags = self.descriptor(self.queue.desc, self._seen).flags
        return bool(flags & DescFlags.AVAIL) == bool(self._seen_wrap) != bool(flags & DescFlags.USED)

    def chains(self) -> list[Found]:
        """All new chains."""
        found = []
        while self.available():
            found.append(self._chain())
        return found

    def _chain(self) -> Found:
        head, parts = self._seen, []
        while True:
            desc = self.descriptor(self.queue.desc, self._seen)
            wrap = bool(self._seen_wrap)
            assert bool(desc.flags & DescFlags.AVAIL) == wrap, "a slot behind the head is not available (PACK-SG-R06)"
            assert bool(desc.flags & DescFlags.USED) != wrap, "PACK-WRAP-RI1"
            self._seen += 1
            if self._seen == self.size:
                self._seen, self._seen_wrap = 0, self._seen_wrap ^ 1
            if desc.flags & DescFlags.INDIRECT:
                assert not parts and not desc.flags & DescFlags.NEXT, "INDIRECT in a list (PACK-IND-R04)"
                assert desc.len % 16 == 0 and 1 <= desc.len // 16 <= self.size, "PACK-IND-R03"
                for at in range(desc.len // 16):
                    inner = self.descriptor(desc.addr, at)
                    assert not inner.flags & ~DescFlags.WRITE, "PACK-IND-R02"
                    parts.append(Segment(inner.addr, inner.len, bool(inner.flags)))
                break
            parts.append(Segment(desc.addr, desc.len, bool(desc.flags & DescFlags.WRITE)))
            if not desc.flags & DescFlags.NEXT:
                break
        assert len(parts) <= self.size, "PACK-SG-R02"
        slots = (self._seen - head) % self.size or self.size
        return Found(desc.id, head, slots, parts)

    # ---- writing ----

    def use(self, chain: Found, length: int, number: int | None = None, slots: int | None = None) -> None:
        """Write a used descriptor; `number` and `slots` are for lies."""
        flags = (DescFlags.AVAIL | DescFlags.USED) if self.used_wrap else DescFlags(0)
        flags |= DescFlags.WRITE if length else DescFlags(0)
        raw = length.to_bytes(4, "little") + (chain.id if number is None else number).to_bytes(2, "little")
        self.host.memory.write(self.queue.desc + 16 * self.used + 8, raw + int(flags).to_bytes(2, "little"))
        step = chain.slots if slots is None else slots
        self._moved += step
        self.used += step
        if self.used >= self.size:
            self.used, self.used_wrap = self.used - self.size, self.used_wrap ^ 1

    # ---- event suppression ----

    def interrupt_due(self) -> bool:
        """Whether the driver's area asks for an interrupt, the slots since the last decision all counted."""
        raw = self.host.memory.read(self.queue.driver_event, 4)
        word, flags = int.from_bytes(raw[:2], "little"), int.from_bytes(raw[2:], "little")
        moved, self._moved = self._moved, 0
        if flags != 2:
            return flags == 0
        asked = (word & 0x7FFF) + (0 if word >> 15 else self.size)
        now = self.used + (0 if self.used_wrap else self.size)
        return any((now - step) % (2 * self.size) == asked for step in range(1, moved + 1))

    def suppress(self, flags: int, offset: int = 0, wrap: int = 1) -> None:
        """What the device wants to be told."""
        raw = (offset | wrap << 15).to_bytes(2, "little") + flags.to_bytes(2, "little")
        self.host.memory.write(self.queue.device_event, raw)
