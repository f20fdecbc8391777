"""The driver's side of a virtqueue, as far as its format does not matter: chains, publication, kicks, harvest, waiting.

Nothing here trusts the device: a used entry that names no chain in flight breaks the queue, and everyone who waits on
it gets a DriverError. The formats: split_queue.py and packed_queue.py.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence

from virtiofs_tb.host.port import Access, HostPort, Store

from .chains import ChainShape, Placement, Publish, RingOptions, Segment, Token, slots_of
from .dma import DmaArea
from .errors import DriverError, DriverTimeout, QueueStopped
from .notes import took

__all__ = ["DEFAULT_TIMEOUT_PS", "ChainShape", "Placement", "Publish", "Segment", "Token", "Virtqueue"]

DEFAULT_TIMEOUT_PS = 5_000_000_000
"""5 ms of simulated time for a reply."""


class Virtqueue(ABC):
    """One virtqueue as the driver sees it. Rings are allocated by `__init__` and given back by `release`.

    polling: nobody tells of used entries; on_used: gets the chains that came back in place of who waits.
    """

    def __init__(
        self,
        host: HostPort,
        index: int,
        size: int,
        rng: random.Random,
        doorbell: Callable[[int], Awaitable[None]],
        options: RingOptions | None = None,
    ) -> None:
        self.host = host
        self.index = index
        self.size = size
        self.options = options or RingOptions()
        self.polling = False
        self.error: DriverError | None = None
        self.on_used: Callable[[list[Token]], None] | None = None
        self._rng = rng
        self._doorbell = doorbell
        self._areas: list[DmaArea] = []
        self._in_flight: dict[int, Token] = {}  # in the order in which they were made available
        self._no_interrupt = False
        self._ahead = 1
        self._space = host.event()
        self._publisher = host.event()  # set: nobody is publishing
        self._publisher.set()

    # ---- what depends on the format ----

    @property
    @abstractmethod
    def registers(self) -> tuple[int, int, int]:
        """queue_desc, queue_driver and queue_device."""

    @property
    @abstractmethod
    def position(self) -> int:
        """Where the next chain will be made available, 16 bits as a doorbell carries them (KICK-RI1)."""

    @abstractmethod
    def _room(self) -> int:
        """Descriptors that are free."""

    @abstractmethod
    def _settle(self, segments: Sequence[Segment], shape: ChainShape) -> ChainShape:
        """The shape that the format can give these segments. Raises ValueError where there is none."""

    @abstractmethod
    def _publish(self, chains: Sequence[tuple[Sequence[Segment], ChainShape]]) -> tuple[list[Token], list[Store]]:
        """Take descriptors, and list the stores that make the chains available, in their order."""

    @abstractmethod
    def _published(self) -> None:
        """All of these stores are done."""

    @abstractmethod
    def _kick_wanted(self) -> bool:
        """Whether the device wants to hear of what was published since this was asked last."""

    @abstractmethod
    def _drain(self) -> list[Token]:
        """Take all used entries that are there. An impossible one breaks the queue."""

    @abstractmethod
    def _arm(self) -> bool:
        """Say in memory when the next interrupt is wanted; True where used entries may have escaped meanwhile."""

    @abstractmethod
    async def _want_interrupts(self) -> None:
        """Tell the device that interrupts are wanted, or are not."""

    @abstractmethod
    def _next_used(self) -> tuple[int, int, Callable[[bytes], bool]]:
        """Address and size of what changes when the next chain is used, and whether it did."""

    @abstractmethod
    def _used_area(self) -> tuple[int, int]:
        """Address and size of what changes when any chain is used."""

    @abstractmethod
    def unharvested(self) -> int:
        """Chains that are used according to memory, and were not taken yet."""

    # ---- making available ----

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
        """Publish several chains at one moment (SPLIT-SUP-RX2, PACK-SUP-RX1)."""
        settled = [(segments, self._settle(segments, shape)) for segments, shape in chains]
        needs = sum(slots_of(segments, shape) for segments, shape in settled)
        if needs > self.size:
            raise ValueError(f"{needs} descriptors do not fit {self.name} of {self.size}")
        while True:
            self._check_alive()
            if not self._publisher.is_set():
                await self._publisher.wait()
            elif self._room() < needs:
                self._space.clear()
                if self.polling:
                    await self._poll(DEFAULT_TIMEOUT_PS)
                elif not await self._space.wait(DEFAULT_TIMEOUT_PS):
                    raise DriverTimeout(f"free descriptors of {self.name}", self._room(), needs)
            else:
                break
        # From here to `set` nobody else publishes: two steps in flight could go backwards (SPLIT-AVAIL-R01).
        self._publisher.clear()
        try:
            tokens, stores = self._publish(settled)
            for token in tokens:
                self._in_flight[token.id] = token
            await self._store(stores)
            self._published()
        finally:
            self._publisher.set()
        self._check_alive()
        if kick:
            await self.kick()
        return tokens

    async def kick(self) -> None:
        """Ring the doorbell unless the device asked not to be told."""
        if self._kick_wanted():
            await self.ring_doorbell()

    async def ring_doorbell(self) -> None:
        """Ring it whatever the device asked: spurious doorbells are allowed (SPLIT-ANS-D05, PACK-DESC-R04)."""
        await self._doorbell(self.index)

    # ---- interrupts ----

    async def set_interrupts(self, enabled: bool) -> None:
        """Want interrupts or not; after enabling, what came meanwhile is harvested (SPLIT-SUP-RX4, PACK-SUP-RX2)."""
        self._no_interrupt = not enabled
        self._ahead = 1
        await self._want_interrupts()
        if enabled:
            self.harvest()

    async def defer_interrupts(self, ahead: int) -> None:
        """The next interrupt only when so many more entries of the ring are used, then for each again: split: chains;
        packed: descriptors. Raises ValueError where EVENT_IDX was not negotiated, or beyond the ring."""
        if not self.options.event_idx or not 1 <= ahead <= self.size:
            raise ValueError(f"{self.name}: {ahead} entries ahead, with EVENT_IDX at most {self.size}")
        self._ahead = ahead
        await self._want_interrupts()
        if self.unharvested():
            self.harvest()  # the entry that was to be told of may be among them

    # ---- taking back ----

    def harvest(self, noted: bool = True) -> list[Token]:
        """Take all new used entries; wakes who waits on them. An impossible entry breaks the queue.

        noted: say so in the log. Who has given up waiting does not: a note there would say that all went well.
        """
        if self.error is not None:
            return []
        done = self._drain()
        if done:
            self._ahead = 1
        while self.error is None and self._arm():
            more = self._drain()
            if not more:
                break
            done += more
        for token in done:
            if token.event is not None:
                token.event.set()
        if done:
            if noted:
                self.host.note(took(self.index, [token.id for token in done]))
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

    async def wait_unharvested(self, count: int, timeout_ps: int = DEFAULT_TIMEOUT_PS) -> None:
        """Wait until so many chains are used according to memory, without taking them. Raises DriverTimeout."""
        address, size = self._used_area()
        if not await self.host.wait_memory(address, size, lambda _: self.unharvested() >= count, timeout_ps):
            raise DriverTimeout(f"{self.name}: chains used in memory", self.unharvested(), count)

    async def next_used(self, timeout_ps: int) -> bool:
        """For who polls: wait until a chain is used, and harvest. False on time-out."""
        return await self._poll(timeout_ps)

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
        """Give the rings back. Only after a reset: before, the device may still access them (CLEAN-R02, VQRST-R02)."""
        self.stop(QueueStopped(self.name, "reset", "running"))
        await self._publisher.wait()  # stores under way would hit memory that is someone else's by then
        for token in self._in_flight.values():
            self._give_back(token)
        self._in_flight.clear()
        for area in self._areas:
            area.free()
        self._areas.clear()

    # ---- for the formats ----

    def _area(self, size: int, align: int, high: bool, access: Access) -> DmaArea:
        area = DmaArea(self.host.memory, self.options.dma, size, align, high, access)
        self._areas.append(area)
        return area

    def _map(self, segments: Sequence[Segment]) -> list[int]:
        """The device's address of each segment."""
        access = {False: Access.READ, True: Access.WRITE}
        return [self.options.dma.map(part.address, part.length, access[part.write]) for part in segments]

    def _table(self, descriptors: int, size: int) -> DmaArea:
        """Memory for an indirect table of so many descriptors of `size` bytes each."""
        high = bool(self._rng.getrandbits(1))
        return DmaArea(self.host.memory, self.options.dma, size * descriptors, 16, high)

    def _claim(self, number: int, length: int, what: str, clause: str, most: int | None = None) -> list[Token]:
        """The chains that a used entry stands for, with their lengths; an impossible id breaks the queue.

        most: chains that the device says to have used, where the format tells.
        """
        token = self._in_flight.get(number)
        if token is None:
            ids = ", ".join(str(item) for item in sorted(self._in_flight)) or "none"
            self.stop(DriverError(what, number, f"the id of a chain in flight ({ids})", clause))
            return []
        batch = [token]
        if self.options.in_order:
            waiting = list(self._in_flight.values())
            batch = waiting[: waiting.index(token) + 1]
            if len(batch) > 1 and not self.options.batches:
                self.stop(DriverError(what, number, f"{waiting[0].id}, which was made available first", "RSVD-D05"))
                return []
        if most is not None and len(batch) > most:
            self.stop(DriverError(f"{what} of a batch of {len(batch)}", most, "all of them used", "SPLIT-INORD-DI1"))
            return []
        for item in batch:
            del self._in_flight[item.id]
            item.exact = item is token
            item.used = length if item.exact else item.writable
            if item.used > item.writable:
                name = f"{self.name} used length of chain {item.id}"
                item.error = DriverError(name, item.used, f"at most {item.writable}", "SPLIT-USED-D02")
            self._give_back(item)
        return batch

    def _give_back(self, token: Token) -> None:
        for address in token.bus:
            self.options.dma.unmap(address)
        if token.table is not None:
            token.table.free()
            token.table = None

    def _word(self, address: int) -> int:
        return int.from_bytes(self.host.memory.read(address, 2), "little")

    # ---- inside ----

    def _check_alive(self) -> None:
        if self.error is not None:
            raise self.error

    def _timed_out(self, token: Token, timeout_ps: int) -> None:
        """The event did not come: a chain that is back without an interrupt is another fault than one that is not."""
        self.harvest(noted=False)
        if token.used is not None:
            what = f"{self.name}: interrupt for chain {token.id}, which is used"
            raise DriverTimeout(what, "none", f"one within {timeout_ps / 1e6:,.0f} us", "SPLIT-UNS-D03")
        if self.error is None:
            raise self._unused(token, timeout_ps)

    def _unused(self, token: Token, timeout_ps: int) -> DriverTimeout:
        return DriverTimeout(f"{self.name}: chain {token.id}", "not used", f"used within {timeout_ps / 1e6:,.0f} us")

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
        """Wait until a chain is used and harvest. False on time-out."""
        address, size, moved = self._next_used()
        seen = await self.host.wait_memory(address, size, moved, timeout_ps)
        self.harvest()
        return seen

    async def _store(self, stores: Sequence[Store]) -> None:
        if self.options.publish is not Publish.AT_ONCE:
            await self.host.store(stores)
            return
        for item in stores:
            self.host.memory.write(item.address, item.data)
