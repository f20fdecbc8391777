"""The host of a few lines with packed rings: how a driver fills them is written from the specification alone."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from tests.unit.tiny_host import TinyHost, TinyQueue
from virtiofs_model.layouts.virtio import DescFlags, Feature, RingEventFlags

FEATURES = Feature.VERSION_1.mask | Feature.INDIRECT_DESC.mask | Feature.FS_NOTIFICATION.mask | Feature.RING_PACKED.mask
N, W, I = int(DescFlags.NEXT), int(DescFlags.WRITE), int(DescFlags.INDIRECT)  # noqa: E741
AVAIL, USED = int(DescFlags.AVAIL), int(DescFlags.USED)


@dataclass
class PackedQueue:
    """next, last: (slot, wrap counter) of what is made available and used next. slots: of each open id."""

    index: int
    size: int
    desc: int
    driver: int
    device: int
    next: tuple[int, int] = (0, 1)
    last: tuple[int, int] = (0, 1)
    next_id: int = 0
    slots: dict[int, int] = field(default_factory=dict)

    def after(self, place: tuple[int, int], count: int) -> tuple[int, int]:
        slot, wrap = place[0] + count, place[1]
        return (slot - self.size, wrap ^ 1) if slot >= self.size else (slot, wrap)


class PackedHost(TinyHost):
    """sizes: of the queues that are not 64."""

    packed: dict[int, PackedQueue]

    def begin(self, features: int = FEATURES, sizes: dict[int, int] | None = None) -> None:
        self.packed = {}
        self.sizes = sizes or {}
        self.strap(0x14, features & 0xFFFFFFFF)
        self.strap(0x18, features >> 32)
        self.start(features)
        self.init_session()

    def add_queue(self, index: int, size: int = 64) -> TinyQueue:
        queue = super().add_queue(index, self.sizes.get(index, size))
        self.put(queue.desc, bytes(16 * queue.size))
        self.packed[index] = PackedQueue(index, queue.size, queue.desc, queue.avail, queue.used)
        self.events(index, 0, RingEventFlags.ENABLE)
        return queue

    def events(self, index: int, desc: int, flags: int) -> None:
        """The driver's event suppression."""
        self.put(self.packed[index].driver, struct.pack("<HH", desc, flags))

    def add(
        self, index: int, readable: list[bytes], writable: list[int], kick: bool = True, indirect_from: int = 99
    ) -> list[int]:
        parts = [(self.allocate(max(1, len(d)), 1), len(d), 0) for d in readable]
        for (address, _, _), data in zip(parts, readable, strict=True):
            self.put(address, data)
        parts += [(self.allocate(n, 1), n, W) for n in writable]
        if indirect_from < len(parts):
            at = self.allocate(16 * len(parts))
            for i, (address, length, flags) in enumerate(parts):
                junk = N | (I if i % 2 else 0)
                self.put(at + 16 * i, struct.pack("<QIHH", address, length, self.rng.getrandbits(16), flags | junk))
            self.post(index, [(at, 16 * len(parts), I | W)])
        else:
            self.post(index, parts)
        if kick:
            self.kick(index)
        return [address for address, _, _ in parts]

    def post(self, index: int, parts: list[tuple[int, int, int]]) -> int:
        """Make a list of (address, length, flags) available; its id. The head's flags are the last thing written."""
        queue = self.packed[index]
        id_ = queue.next_id = (queue.next_id + 7) & 0xFFFF
        queue.slots[id_] = len(parts)
        place, head = queue.next, b""
        for i, (address, length, flags) in enumerate(parts):
            last = i + 1 == len(parts)
            flags |= 0 if last else N
            flags |= AVAIL if place[1] else USED
            raw = struct.pack("<QIHH", address, length, id_ if last else 0xDEAD, flags)
            if i == 0:
                first, head = queue.desc + 16 * place[0], raw
            else:
                self.put(queue.desc + 16 * place[0], raw)
            place = queue.after(place, 1)
        queue.next = place
        self.put(first, head)
        return id_

    def used(self, index: int) -> list[tuple[int, int]]:
        """New used descriptors: (id, length)."""
        queue, result = self.packed[index], []
        while True:
            raw = self.peek(queue.desc + 16 * queue.last[0], 16)
            _, length, id_, flags = struct.unpack("<QIHH", raw)
            wrap = queue.last[1]
            if bool(flags & AVAIL) != wrap or bool(flags & USED) != wrap:
                return result
            assert bool(flags & W) == bool(length)
            queue.last = queue.after(queue.last, queue.slots.pop(id_))
            result.append((id_, length))
