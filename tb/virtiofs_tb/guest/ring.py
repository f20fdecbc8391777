"""Device side of the two rings over which User Mode Linux sends PCI accesses and takes interrupts.

They are split rings in the guest's memory, of the transport: the endpoint's own rings are none of our business here.
What is read is walked by the golden model's functions (models/virtiofs_model/virtqueue.py).
"""

from __future__ import annotations

import struct

from virtiofs_model.layouts.virtio import DescFlags
from virtiofs_model.virtqueue import Chain, ChainError, Reads, Ring, T, available, walk_chain
from virtiofs_tb.guest.vhost_user import ProtocolError
from virtiofs_tb.host.memory import HostMemory

AVAIL_NO_INTERRUPT = 1
_U16 = struct.Struct("<H")

__all__ = ["Chain", "DescFlags", "TransportRing"]


class TransportRing:
    """Ring `index`. All methods raise ProtocolError where the guest broke a rule of the ring."""

    def __init__(self, index: int, memory: HostMemory) -> None:
        self.index = index
        self.size = 0
        self._memory = memory
        self._ring: Ring | None = None
        self._taken = 0
        self._used = 0

    def place(self, desc: int, avail: int, used: int) -> None:
        """Where it lies; its size was set before."""
        if not self.size or self.size & (self.size - 1) or self.size > 32768:
            raise ProtocolError(f"ring {self.index}: size {self.size} is no power of 2 up to 32768")
        self._ring = Ring(self.size, desc, avail, used, indirect=False)

    def begin_at(self, position: int) -> None:
        self._taken = self._used = position

    def take(self) -> Chain | None:
        """The next chain that the guest has made available, None if there is none."""
        ring = self._placed()
        idx = _U16.unpack(self._memory.read(*ring.avail_idx()))[0]
        try:
            if not available(ring, idx, self._taken):
                return None
            head = _U16.unpack(self._memory.read(*ring.avail_entries(self._taken, 1)))[0]
            chain = self._play(walk_chain(ring, head))
        except ChainError as error:
            raise ProtocolError(f"ring {self.index}: {error}") from error
        self._taken = (self._taken + 1) & 0xFFFF
        return chain

    def readable(self, chain: Chain) -> bytes:
        return b"".join(self._memory.read(part.address, part.length) for part in chain.readable)

    def give(self, chain: Chain, data: bytes = b"") -> bool:
        """Write `data` into the chain and hand it back; whether the guest wants to be told."""
        ring = self._placed()
        if len(data) > chain.writable_bytes:
            raise ProtocolError(f"ring {self.index}: {len(data)} bytes for a buffer of {chain.writable_bytes}")
        at = 0
        for part in chain.writable:
            self._memory.write(part.address, data[at : at + part.length])
            at += part.length
        self._memory.write(*ring.used_entry(self._used, chain.head, len(data)))
        self._used = (self._used + 1) & 0xFFFF
        self._memory.write(*ring.used_idx(self._used))
        return not _U16.unpack(self._memory.read(*ring.avail_flags()))[0] & AVAIL_NO_INTERRUPT

    def _play(self, walk: Reads[T]) -> T:
        try:
            wanted = next(walk)
            while True:
                wanted = walk.send(self._memory.read(*wanted))
        except StopIteration as stop:
            result: T = stop.value
            return result

    def _placed(self) -> Ring:
        if self._ring is None:
            raise ProtocolError(f"ring {self.index} is used before SET_VRING_ADDR")
        return self._ring
