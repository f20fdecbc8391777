"""Synthetic observation logs with packed rings: one request, right unless a test makes it wrong."""

from __future__ import annotations

import struct

from tests.unit.trace import FEATURES, HEAD, NEXT, READABLE, REPLY, STRICT, WRITABLE, WRITE, Trace
from virtiofs_model.layouts.virtio import DescFlags, Feature
from virtiofs_tb.profile import Profile

AVAIL, USED = int(DescFlags.AVAIL), int(DescFlags.USED)
DESCS, DRIVER, DEVICE = 0x10_0000, 0x10_1000, 0x10_2000
NOTIFY_DESCS = 0x20_0000
QUEUE, VECTOR = 2, 3
PACKED = FEATURES | Feature.RING_PACKED.mask
EVENTS = PACKED | Feature.EVENT_IDX.mask
ENABLE, DISABLE, DESC = 0, 1, 2
OPCODE_AT, UNIQUE_AT = 4, 8


class PackedTrace(Trace):
    """Queue 2 with a packed ring of `size` descriptors. Positions count descriptors since queue_enable."""

    def __init__(self, size: int = 8, features: int = PACKED, profile: Profile = STRICT) -> None:
        super().__init__(profile)
        self.size = size
        self.offer(features)
        self.enumerate()
        self.start({1: NOTIFY_DESCS, QUEUE: DESCS}, size, features)
        self.event(ENABLE)

    # ---- the driver ----

    def at(self, position: int) -> int:
        """Address of a descriptor."""
        return DESCS + 16 * (position % self.size)

    def wrap(self, position: int) -> int:
        return 1 - position // self.size % 2

    def marks(self, position: int) -> int:
        """The flags that make a descriptor available in its round."""
        return AVAIL if self.wrap(position) else USED

    def make(self, position: int, address: int, length: int, flags: int, id_: int) -> None:
        """An available descriptor."""
        self.put(self.at(position), struct.pack("<QIHH", address, length, id_, flags | self.marks(position)))

    def request(self, position: int, id_: int = 7, unique: int = 7) -> None:
        """A chain of two descriptors, 40 bytes readable and 96 writable, each chain in memory of its own."""
        readable, writable = self.buffers(position)
        self.put(readable, HEAD[:UNIQUE_AT] + struct.pack("<Q", unique) + HEAD[UNIQUE_AT + 8 :])
        self.make(position + 1, writable, 96, WRITE, id_)
        self.make(position, readable, 40, NEXT, 0x55)

    @staticmethod
    def buffers(position: int) -> tuple[int, int]:
        """Where the parts of the chain at a position are."""
        return READABLE + 0x100 * position, WRITABLE + 0x100 * position

    def event(self, flags: int, slot: int = 0, wrap: int = 0) -> None:
        """The driver's event suppression structure."""
        self.put(DRIVER, struct.pack("<HH", slot | wrap << 15, flags))

    def kick(self, queue: int = QUEUE) -> None:
        self.bar_write(0x3000 + 4 * queue, queue, 2)

    # ---- the device ----

    def fetch_chain(self, position: int) -> None:
        """The head, then the rest by a read of its own, then the request."""
        self.read(self.at(position), 16)
        self.read(self.at(position + 1), 16)
        self.read(self.buffers(position)[0], 40)

    def answer(self, position: int, unique: int = 7, ctx: int = 4) -> None:
        """Engine and data."""
        head = HEAD[:UNIQUE_AT] + struct.pack("<Q", unique) + HEAD[UNIQUE_AT + 8 :]
        reply = REPLY[:UNIQUE_AT] + struct.pack("<Q", unique) + REPLY[UNIQUE_AT + 8 :]
        self.engine_request(ctx, QUEUE, head, 96)
        self.engine_reply(ctx, reply)
        self.write(self.buffers(position)[1], reply)

    def used(self, position: int, id_: int = 7, length: int = 96, flags: int | None = None) -> int:
        """A used descriptor at a position, with the flags of its round unless others are given."""
        marks = AVAIL | USED if self.wrap(position) else 0
        flags = marks | WRITE if flags is None else flags
        return self.write(self.at(position) + 8, struct.pack("<IHH", length, id_, flags))

    def decide(self, interrupt: bool = True) -> None:
        """The driver's event suppression is read, and a message sent."""
        self.read(DRIVER, 4)
        if interrupt:
            self.interrupt(VECTOR)

    def serve(self, position: int, used: int, id_: int = 7, unique: int = 7, interrupt: bool = True) -> None:
        """The chain at one position, given back at another."""
        self.fetch_chain(position)
        self.answer(position, unique)
        self.used(used, id_)
        self.decide(interrupt)

    def complaints(self, clause: str) -> list[str]:
        """What was found by a clause, in words."""
        return [str(failure) for failure in self.boards.failures if failure.clause == clause]
