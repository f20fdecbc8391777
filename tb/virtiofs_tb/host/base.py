"""What every target that carries whole packets has in common: HostPort on a loop, a root port and host memory."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from virtiofs_tb.host.log import Kind, ObservationLog
from virtiofs_tb.host.loop import Loop, LoopEvent, LoopTask
from virtiofs_tb.host.memory import HostMemory
from virtiofs_tb.host.outside import Outside
from virtiofs_tb.host.port import DpuPort, FaultPlan, HostCaps, Interrupt, Store
from virtiofs_tb.host.root_port import Link, RootPort, Violation
from virtiofs_tb.host.timing import LogUniform, Timing
from virtiofs_tb.seeds import stream

T = TypeVar("T")

PACKET_CAPS = HostCaps(tlp=True, time=True, dpu=True, faults=True, locks=True)
FEATURE_CAPS = replace(
    PACKET_CAPS, packed=True, event_idx=True, in_order=True, ring_reset=True, doorbell_data=True, iommu=True
)
"""Of an endpoint whose DPU can offer every feature that the driver knows."""


class SimulationFailure(Exception):
    """A rule of the pins was broken (tb/hdl/channel_assertions.sv), or simulated time ran out."""


class OutOfTime(SimulationFailure):
    """Simulated time ran out, or nothing can happen any more."""


class HostBase:
    """HostPort over a `Link`. The target derives, gives the endpoint's packets to `root`, and lets `loop` advance.

    loop, root, memory, log: the parts, for whoever needs more than a driver does. outside: a peer in wall-clock time to
    which the target listens, None for none. working: how many chains somebody knows the endpoint to have begun and not
    ended, though it may be silent; patience: so many of them may stay so until somebody acts (who waits for a lock).
    """

    def __init__(
        self,
        loop: Loop,
        link: Link,
        log: ObservationLog,
        seed: int,
        timing: Timing | None = None,
        caps: HostCaps = PACKET_CAPS,
        dpu: DpuPort | None = None,
        memory: HostMemory | None = None,
    ) -> None:
        self.loop = loop
        self.log = log
        self.seed = seed
        self.caps = caps
        self.dpu = dpu
        self.failure: Exception | None = None
        self.outside: Outside | None = None
        self.working: Callable[[], int] = lambda: 0
        self.patience = 0
        self.memory = memory if memory is not None else HostMemory(lambda: loop.now_ps)
        self.root = RootPort(loop, link, self.memory, log, stream(seed, "host.root_port"), timing)
        self._store_random = stream(seed, "host.store").random
        self._store_ps = 0  # when the driver's latest store takes effect
        self._store_gap = LogUniform(self.timing.store_gap_ps, self.timing.spread)

    # ---- settings and state of the target ----

    @property
    def msi_base(self) -> int:
        """Where MSI-X messages are taken."""
        return self.root.completer.msi_window.start

    def fail(self, error: Exception) -> None:
        """End the run with `error` at the next chance; of several the first counts. For scoreboards and assertions."""
        if self.failure is None:
            self.failure = error

    def check(self) -> None:
        """Raise what ends the run: `fail` was called, or a task died that nobody joins."""
        if self.loop.failures:
            raise self.loop.failures[0]
        if self.failure is not None:
            raise self.failure

    @property
    def timing(self) -> Timing:
        """How the host behaves in time."""
        return self.root.timing

    @timing.setter
    def timing(self, timing: Timing) -> None:
        self.root.timing = timing
        self._store_gap = LogUniform(timing.store_gap_ps, timing.spread)

    @property
    def faults(self) -> FaultPlan:
        """Which completions of the host fail."""
        return self.root.faults

    @property
    def violations(self) -> list[Violation]:
        """What the endpoint did that no endpoint may do on the link."""
        return self.root.violations

    def owed(self) -> list[str]:
        """What is under way, for messages."""
        return [*self.root.owed(), *(f"task {where}" for where in self.loop.pending())]

    def snapshot(self, address: int, size: int) -> None:
        """Put memory as the endpoint can see it at this moment into the log, by an address of memory."""
        now = self.loop.now_ps
        data = self.memory.at(address, size, now)
        self.log.append(now, Kind.SNAPSHOT, address=address, payload=data)

    # ---- HostPort ----

    async def config_read(self, fn: int, offset: int, size: int) -> int:
        return await self.root.config_read(fn, offset, size)

    async def config_write(self, fn: int, offset: int, size: int, value: int) -> None:
        await self.root.config_write(fn, offset, size, value)

    async def bar_read(self, fn: int, bar: int, offset: int, size: int) -> int:
        return await self.root.bar_read(fn, bar, offset, size)

    async def bar_write(self, fn: int, bar: int, offset: int, size: int, value: int) -> None:
        await self.root.bar_write(fn, bar, offset, size, value)

    def on_interrupt(self, callback: Callable[[Interrupt], None]) -> None:
        self.root.on_interrupt(callback)

    async def wait_memory(self, addr: int, size: int, ready: Callable[[bytes], bool], timeout_ps: int) -> bool:
        """True as soon as a store makes `ready` of the `size` bytes at `addr` true, False after `timeout_ps`."""
        memory, loop = self.memory, self.loop
        if ready(memory.read(addr, size)):
            return True
        waiter = loop.waiter()

        def look() -> None:
            if not waiter.woken and ready(memory.read(addr, size)):
                waiter.wake(True)

        watch = memory.watch(addr, size, look)
        timer = loop.call_at(loop.now_ps + timeout_ps, lambda: waiter.wake(False))
        try:
            return bool(await waiter)
        finally:
            timer.cancel()
            watch.cancel()

    async def store(self, writes: Sequence[Store]) -> None:
        """All stores of all tasks are those of one processor: a call's stores follow those of earlier calls.

        They are put into memory at once, each with the moment from which the endpoint sees it; so a long list costs
        one wake-up.
        """
        loop = self.loop
        moment = max(self._store_ps, loop.now_ps)
        gap, draw, write_at = self._store_gap, self._store_random, self.memory.write_at
        for store in writes:
            moment += gap.at(draw())
            write_at(store.address, store.data, moment)
        self._store_ps = moment
        if moment > loop.now_ps:
            await loop.sleep(moment - loop.now_ps)

    def spawn(self, coroutine: Coroutine[Any, Any, T]) -> LoopTask[T]:
        return self.loop.spawn(coroutine)

    def event(self) -> LoopEvent:
        return self.loop.event()

    async def sleep(self, duration_ps: int) -> None:
        await self.loop.sleep(duration_ps)

    def now_ps(self) -> int:
        return self.loop.now_ps

    def note(self, text: str) -> None:
        self.log.append(self.loop.now_ps, Kind.NOTE, payload=text.encode())
