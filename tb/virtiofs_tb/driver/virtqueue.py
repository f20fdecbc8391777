"""The driver's side of a split virtqueue: chains, publication in Linux's order of stores, kicks, harvest.

Nothing here trusts the device: a used entry that names no chain in flight, or a used index that runs ahead, breaks
the queue, and everyone who waits on it gets a DriverError.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from struct import Struct
from typing import NamedTuple

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
from virtiofs_tb.host.port import Event, HostPort, Store

from .errors import DriverError, DriverTimeout, QueueStopped
from .notes import took

_DESCRIPTOR = Struct("<QIHH")
_NEXT, _WRITE = int(DescFlags.NEXT), int(DescFlags.WRITE)

DEFAULT_TIMEOUT_PS = 5_000_000_000
"""5 ms of simulated time for a reply."""


class Placement(Enum):
    """Where a chain's descriptors stand."""

    DIRECT = "direct"
    INDIRECT = "indirect"
    MIXED = "direct then indirect"  # SPLIT-IND-D02


class Publish(Enum):
    """How the driver's stores reach memory."""

    SPREAD = "spread"  # over simulated time, in program order, a descriptor a store
    FIELDS = "fields"  # the same, a field a store, as Linux's compiler leaves it
    AT_ONCE = "at once"  # without time passing


class Segment(NamedTuple):
    """One descriptor's buffer. write: the device writes it."""

    address: int
    length: int
    write: bool = False


@dataclass(frozen=True)
class ChainShape:
    """How a chain is laid out. direct: descriptors before the indirect one (MIXED); shuffled: no two in a row."""

    placement: Placement = Placement.DIRECT
    direct: int = 0
    shuffled: bool = False
    write_flag_on_indirect: bool = False  # the device ignores it (SPLIT-IND-D01)


class Token:
    """A chain in flight. used: bytes that the device says it wrote, None until the chain came back."""

    __slots__ = ("_descriptors", "_table", "error", "event", "head", "segments", "used", "writable")

    def __init__(self, head: int, descriptors: list[int], table: int | None, segments: Sequence[Segment]) -> None:
        self.head = head
        self.segments = tuple(segments)
        self.writable = sum(segment.length for segment in segments if segment.write)
        self.used: int | None = None
        self.error: DriverError | None = None
        self.event: Event | None = None
        self._descriptors = descriptors
        self._table = table


class SplitQueue:
    """One split virtqueue as the driver sees it. Rings are allocated by `__init__` and given back by `release`."""

    def __init__(
        self,
        host: HostPort,
        index: int,
        size: int,
        rng: random.Random,
        doorbell: Callable[[int], Awaitable[None]],
        indirect: bool = False,
        publish: Publish = Publish.SPREAD,
    ) -> None:
        self.host = host
        self.index = index
        self.size = size
        self.publish = publish
        self.indirect = indirect
        self.polling = False
        self.error: DriverError | None = None
        self.on_used: Callable[[list[Token]], None] | None = None
        self._rng = rng
        self._doorbell = doorbell
        high = bool(rng.getrandbits(1))
        self.desc = host.memory.allocate(VIRTQ_DESC_SIZE * size, 16, high)  # SPLIT-VQ-R01
        self.avail = host.memory.allocate(avail_size(size), 2, high)
        self.used = host.memory.allocate(used_size(size), 4, high)
        self._free = list(range(size))
        self._in_flight: dict[int, Token] = {}
        self._avail_idx = 0
        self._used_idx = 0
        self._no_interrupt = False
        self._space = host.event()
        self._publisher = host.event()  # set: nobody is publishing
        self._publisher.set()

    @property
    def name(self) -> str:
        """For messages."""
        return f"queue {self.index}"

    @property
    def in_flight(self) -> int:
        """Chains that were published and have not come back."""
        return len(self._in_flight)

    async def add(self, segments: Sequence[Segment], shape: ChainShape | None = None, kick: bool = True) -> Token:
        """Publish one chain. Waits while the ring has no room."""
        return (await self.add_batch([(segments, shape or ChainShape())], kick))[0]

    async def add_batch(self, chains: Sequence[tuple[Sequence[Segment], ChainShape]], kick: bool = True) -> list[Token]:
        """Publish several chains with one step of the available index (SPLIT-SUP-RX2)."""
        needs = sum(self._slots(segments, shape) for segments, shape in chains)
        if needs > self.size:
            raise ValueError(f"{needs} descriptors do not fit {self.name} of {self.size}")
        while True:
            self._check_alive()
            if not self._publisher.is_set():
                await self._publisher.wait()
            elif len(self._free) < needs:
                self._space.clear()
                if self.polling:
                    await self._poll(DEFAULT_TIMEOUT_PS)
                elif not await self._space.wait(DEFAULT_TIMEOUT_PS):
                    raise DriverTimeout(f"free descriptors of {self.name}", len(self._free), needs)
            else:
                break
        # From here to `set` nobody else publishes: two steps of the index in flight could go backwards
        # (SPLIT-AVAIL-R01).
        self._publisher.clear()
        try:
            stores: list[Store] = []
            tokens = []
            for segments, shape in chains:
                token = self._place(segments, shape, stores)
                slot = self._avail_idx % self.size
                ring = self.avail + VIRTQ_AVAIL_RING_OFFSET + 2 * slot
                stores.append(Store(ring, token.head.to_bytes(2, "little")))
                self._avail_idx = (self._avail_idx + 1) & 0xFFFF
                tokens.append(token)
            stores.append(Store(self.avail + 2, self._avail_idx.to_bytes(2, "little")))
            for token in tokens:
                self._in_flight[token.head] = token
            await self._store(stores)
        finally:
            self._publisher.set()
        self._check_alive()
        if kick:
            await self.kick()
        return tokens

    async def kick(self) -> None:
        """Ring the doorbell unless the device asked not to (SPLIT-ANS-R03, SPLIT-ANS-R04)."""
        flags = int.from_bytes(self.host.memory.read(self.used, 2), "little")
        if not flags & VIRTQ_USED_F_NO_NOTIFY:
            await self.ring_doorbell()

    async def ring_doorbell(self) -> None:
        """Ring it whatever the device asked: spurious doorbells are allowed (SPLIT-ANS-D05)."""
        await self._doorbell(self.index)

    async def set_interrupts(self, enabled: bool) -> None:
        """avail.flags NO_INTERRUPT; after enabling, what came meanwhile is harvested (SPLIT-SUP-RX4)."""
        self._no_interrupt = not enabled
        flags = 0 if enabled else VIRTQ_AVAIL_F_NO_INTERRUPT
        await self._store([Store(self.avail, flags.to_bytes(2, "little"))])
        if enabled:
            self.harvest()

    def harvest(self, noted: bool = True) -> list[Token]:
        """Take all new used entries; wakes who waits on them. An impossible entry breaks the queue.

        noted: say so in the log. Who has given up waiting does not: a note there would say that all went well.
        """
        if self.error is not None:
            return []
        idx = int.from_bytes(self.host.memory.read(self.used + 2, 2), "little")
        new = (idx - self._used_idx) & 0xFFFF
        if new > len(self._in_flight):
            self.stop(
                DriverError(
                    f"{self.name} used.idx after 0x{self._used_idx:X}",
                    idx,
                    f"at most {len(self._in_flight)} more: so many chains are in flight",
                    "SPLIT-USED-D01",
                )
            )
            return []
        done = []
        for _ in range(new):
            slot = self.used + VIRTQ_USED_RING_OFFSET + VIRTQ_USED_ELEM_SIZE * (self._used_idx % self.size)
            entry = self.host.memory.read(slot, VIRTQ_USED_ELEM_SIZE)
            head = int.from_bytes(entry[:4], "little")
            token = self._in_flight.pop(head, None)
            if token is None:
                what = f"{self.name} used.ring[{self._used_idx % self.size}].id"
                heads = ", ".join(str(item) for item in sorted(self._in_flight)) or "none"
                self.stop(DriverError(what, head, f"the head of a chain in flight ({heads})", "SPLIT-USED-D01"))
                break
            self._used_idx = (self._used_idx + 1) & 0xFFFF
            token.used = int.from_bytes(entry[4:], "little")
            if token.used > token.writable:
                what = f"{self.name} used length of chain {head}"
                token.error = DriverError(what, token.used, f"at most {token.writable}", "SPLIT-USED-D02")
            self._free.extend(token._descriptors)
            if token._table is not None:
                self.host.memory.free(token._table)
                token._table = None
            done.append(token)
        for token in done:
            if token.event is not None:
                token.event.set()
        if done:
            if noted:
                self.host.note(took(self.index, [token.head for token in done]))
            self._space.set()
            if self.on_used is not None:
                self.on_used(done)
        return done

    async def wait(self, token: Token, timeout_ps: int | None = DEFAULT_TIMEOUT_PS) -> int:
        """The chain's used length. Raises DriverTimeout (None: never), or what broke the queue."""
        if token.used is None and self.error is None:
            if self.polling or self._no_interrupt:
                await self._poll_for(token, timeout_ps)
            else:
                if token.event is None:
                    token.event = self.host.event()
                if not await token.event.wait(timeout_ps) and timeout_ps is not None:
                    self._timed_out(token, timeout_ps)
        if token.used is None:
            raise self.error or QueueStopped(self.name, "stopped", "running")
        if token.error is not None:
            raise token.error
        return token.used

    def stop(self, reason: DriverError) -> None:
        """Nothing comes any more: wakes everyone who waits, with this error."""
        if self.error is None:
            self.error = reason
        for token in self._in_flight.values():
            if token.event is not None:
                token.event.set()
        self._space.set()
        if self.on_used is not None:
            self.on_used([])

    async def release(self) -> None:
        """Give the rings back. Only after the device was reset: before, it may still access them (CLEAN-R02)."""
        self.stop(QueueStopped(self.name, "reset", "running"))
        await self._publisher.wait()  # stores under way would hit memory that is someone else's by then
        for token in self._in_flight.values():
            if token._table is not None:
                self.host.memory.free(token._table)
        self._in_flight.clear()
        for address in (self.desc, self.avail, self.used):
            self.host.memory.free(address)

    def _check_alive(self) -> None:
        if self.error is not None:
            raise self.error

    def _timed_out(self, token: Token, timeout_ps: int) -> None:
        """The event did not come: a chain that is back without an interrupt is another fault than one that is not."""
        self.harvest(noted=False)
        if token.used is not None:
            what = f"{self.name}: interrupt for chain {token.head}, which is used"
            raise DriverTimeout(what, "none", f"one within {timeout_ps / 1e6:,.0f} us", "SPLIT-UNS-D03")
        if self.error is None:
            raise self._unused(token, timeout_ps)

    def _unused(self, token: Token, timeout_ps: int) -> DriverTimeout:
        return DriverTimeout(f"{self.name}: chain {token.head}", "not used", f"used within {timeout_ps / 1e6:,.0f} us")

    async def _poll_for(self, token: Token, timeout_ps: int | None) -> None:
        while timeout_ps is None and token.used is None and self.error is None:
            await self._poll(DEFAULT_TIMEOUT_PS)
        if timeout_ps is None:
            return
        end = self.host.now_ps() + timeout_ps
        while token.used is None and self.error is None:
            left = end - self.host.now_ps()
            if left <= 0 or not await self._poll(left):
                raise self._unused(token, timeout_ps)

    async def _poll(self, timeout_ps: int) -> bool:
        """Wait until used.idx moves and harvest. False on time-out."""
        last = self._used_idx.to_bytes(2, "little")
        moved = await self.host.wait_memory(self.used + 2, 2, lambda seen: seen != last, timeout_ps)
        self.harvest()
        return moved

    @staticmethod
    def _slots(segments: Sequence[Segment], shape: ChainShape) -> int:
        if shape.placement is Placement.DIRECT:
            return len(segments)
        if shape.placement is Placement.INDIRECT:
            return 1
        return min(max(shape.direct, 1), len(segments) - 1) + 1

    def _take(self, count: int, shuffled: bool) -> list[int]:
        """`count` free descriptors: random ones, or neighbours in ascending order where there are enough."""
        free = self._free
        if shuffled:
            taken = []
            for _ in range(count):
                at = self._rng.randrange(len(free))
                taken.append(free[at])
                free[at] = free[-1]
                free.pop()
            return taken
        free.sort()
        start = 0
        for at in range(1, len(free)):
            if free[at] != free[at - 1] + 1:
                start = at
            if at - start + 1 >= count:
                break
        else:
            start = 0
        taken = free[start : start + count]
        del free[start : start + count]
        return taken

    def _place(self, segments: Sequence[Segment], shape: ChainShape, stores: list[Store]) -> Token:
        """Take descriptors and append the stores that fill them (not the ring entry)."""
        if not segments or len(segments) > self.size:
            raise ValueError(f"a chain of {len(segments)} segments does not fit {self.name} of {self.size}")
        if shape.placement is Placement.MIXED and len(segments) < 2:
            shape = ChainShape(Placement.INDIRECT, shuffled=shape.shuffled)
        if shape.placement is not Placement.DIRECT and not self.indirect:
            raise ValueError(f"{self.name}: INDIRECT_DESC was not negotiated (SPLIT-IND-R01)")
        taken = self._take(self._slots(segments, shape), shape.shuffled)
        if shape.placement is Placement.DIRECT:
            self._write_chain(self.desc, taken, segments, stores)
            return Token(taken[0], taken, None, segments)
        direct = len(taken) - 1
        rest = segments[direct:]
        table = self.host.memory.allocate(VIRTQ_DESC_SIZE * len(rest), 16, bool(self._rng.getrandbits(1)))
        order = list(range(len(rest)))
        if shape.shuffled:
            tail = order[1:]
            self._rng.shuffle(tail)
            order = [0, *tail]
        self._write_chain(table, order, rest, stores)
        flags = int(DescFlags.INDIRECT) | (DescFlags.WRITE if shape.write_flag_on_indirect else 0)
        self._write_chain(self.desc, taken[:-1], segments[:direct], stores, taken[-1])
        self._write_descriptor(self.desc, taken[-1], table, VIRTQ_DESC_SIZE * len(rest), flags, 0, stores)
        return Token(taken[0], taken, table, segments)

    def _write_chain(
        self, table: int, slots: list[int], segments: Sequence[Segment], stores: list[Store], after: int | None = None
    ) -> None:
        for at, segment in enumerate(segments):
            following = slots[at + 1] if at + 1 < len(segments) else after
            flags = (_WRITE if segment.write else 0) | (0 if following is None else _NEXT)
            self._write_descriptor(table, slots[at], segment.address, segment.length, flags, following or 0, stores)

    def _write_descriptor(
        self, table: int, slot: int, address: int, length: int, flags: int, following: int, stores: list[Store]
    ) -> None:
        at = table + VIRTQ_DESC_SIZE * slot
        data = _DESCRIPTOR.pack(address, length, flags, following)
        if self.publish is not Publish.FIELDS:
            stores.append(Store(at, data))
            return
        stores += [
            Store(at + 12, data[12:14]),
            Store(at, data[:8]),
            Store(at + 8, data[8:12]),
            Store(at + 14, data[14:]),
        ]

    async def _store(self, stores: Sequence[Store]) -> None:
        if self.publish is not Publish.AT_ONCE:
            await self.host.store(stores)
            return
        for item in stores:
            self.host.memory.write(item.address, item.data)
