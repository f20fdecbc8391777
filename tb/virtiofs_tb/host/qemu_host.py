"""QemuHost: HostPort on QEMU's vhost-user-fs-pci with virtiofsd, without a guest.

Time is the wall clock's: WALL_NS_PER_PS nanoseconds of it count as a picosecond here, so that the time-outs of the
driver, which are meant for simulated time, are long enough for processes that share a processor with others.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from virtiofs_model.tlp import Header
from virtiofs_tb.host.base import HostBase, OutOfTime
from virtiofs_tb.host.log import ObservationLog
from virtiofs_tb.host.loop import Loop, Waiter
from virtiofs_tb.host.memory import HostMemory
from virtiofs_tb.host.peer_process import PeerDied
from virtiofs_tb.host.port import HostCaps, Store
from virtiofs_tb.host.qemu import MESSAGE_BASE, MESSAGE_BYTES, QemuMachine, QemuOptions
from virtiofs_tb.host.qemu_link import QemuLink
from virtiofs_tb.host.timing import Timing

T = TypeVar("T")

QEMU_CAPS = HostCaps()
WALL_NS_PER_PS = 8  # so the driver's 5 ms for a reply are 40 s
REST_S = 50e-6  # between two looks at memory while nothing is due
CHECK_PS = 20_000_000 // WALL_NS_PER_PS  # between two looks whether the processes live: 20 ms
LIMIT_S = 120  # of wall clock
LIMIT_PS = LIMIT_S * 1_000_000_000 // WALL_NS_PER_PS
AT_MOST = 32
"""Callbacks between two looks at clock and memory. Interrupts come while tasks ring doorbells, so there may always be a
task that is ready: nobody whose time has come would be woken, and then all time-outs at once."""
TIMING = Timing(store_gap_ps=0, interrupt_latency_ps=0)


class _MemoryWait:
    """A task that waits for what the device writes."""

    __slots__ = ("address", "ready", "size", "waiter")

    def __init__(self, address: int, size: int, ready: Callable[[bytes], bool], waiter: Waiter) -> None:
        self.address = address
        self.size = size
        self.ready = ready
        self.waiter = waiter


class QemuHost(HostBase):
    """A context manager: at its end both processes are gone. `run` a scenario's coroutine.

    directory: what virtiofsd exports. Raises PeerMissing or PeerDied.
    """

    def __init__(
        self,
        seed: int,
        directory: Path,
        log: ObservationLog | None = None,
        options: QemuOptions | None = None,
    ) -> None:
        loop = Loop()
        log = log if log is not None else ObservationLog()
        memory = HostMemory(lambda: loop.now_ps, translates=False)
        try:
            self.machine = QemuMachine(memory, directory, options)
        except BaseException:
            memory.close()
            raise
        self._link = QemuLink(self.machine, self._to_device, self._from_device)
        super().__init__(loop, self._link, log, seed, TIMING, QEMU_CAPS, memory=memory)
        self.root.completer.msi_window = range(MESSAGE_BASE, MESSAGE_BASE + MESSAGE_BYTES)
        self._begin_ns = time.monotonic_ns()
        self._check_ps = 0
        self._waits: list[_MemoryWait] = []

    # ---- life ----

    def close(self) -> None:
        """End the processes and give the memory back."""
        self.machine.close()
        self.memory.close()

    def __enter__(self) -> QemuHost:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # ---- packets ----

    def _to_device(self, channel: int, hdr: Header, payload: bytes) -> None:
        self.log.append_tlp(self.loop.now_ps, channel, hdr, payload)

    def _from_device(self, channel: int, hdr: Header, payload: bytes) -> None:
        self.root.receive(self.log.append_tlp(self.loop.now_ps, channel, hdr, payload))

    # ---- HostPort, where the wall clock and foreign stores make it different ----

    async def config_write(self, fn: int, offset: int, size: int, value: int) -> None:
        await super().config_write(fn, offset, size, value)
        await self._handle_interrupts()

    async def bar_write(self, fn: int, bar: int, offset: int, size: int, value: int) -> None:
        await super().bar_write(fn, bar, offset, size, value)
        await self._handle_interrupts()

    async def _handle_interrupts(self) -> None:
        """Let the driver handle what interrupts the store brought: a processor does before its next instruction.

        No access here waits for anything, so the caller would go on and send requests. The interrupt that comes of
        DRIVER_OK would then be taken for the first one's, that one's for the second, and one would be left over.
        """
        await self.sleep(0)

    async def store(self, writes: Sequence[Store]) -> None:
        """The stores in their order; the device sees each at once."""
        for item in writes:
            self.memory.write(item.address, item.data)

    async def wait_memory(self, addr: int, size: int, ready: Callable[[bytes], bool], timeout_ps: int) -> bool:
        if ready(self.memory.read(addr, size)):
            return True
        waiter = self.loop.waiter()
        wait = _MemoryWait(addr, size, ready, waiter)
        self._waits.append(wait)
        timer = self.loop.call_at(self.loop.now_ps + timeout_ps, lambda: waiter.wake(False))
        try:
            return bool(await waiter)
        finally:
            timer.cancel()
            self._waits.remove(wait)

    # ---- time ----

    def run(self, coroutine: Coroutine[Any, Any, T], limit_ps: int = LIMIT_PS) -> T:
        """Run until `coroutine` has ended; returns its result or raises what it raised.

        Raises what `check` raises, PeerDied when a process ends, OutOfTime after `limit_ps`.
        """
        end = self.loop.now_ps + limit_ps
        task = self.loop.spawn(coroutine, owned=True)
        while not task.done():
            self._turn()
            self.check()
            if self.loop.now_ps > end:
                owed = "".join(f"\n  {line}" for line in self.owed())
                seconds = limit_ps * WALL_NS_PER_PS / 1_000_000_000
                raise OutOfTime(f"not finished after {seconds:.1f} s of wall clock; owed:{owed}")
        self.log.flush()
        self.check()
        return self.loop.result_of(task)

    def check(self) -> None:
        """Raise what ends the run; every 20 ms, PeerDied when a process has ended."""
        if self.loop.now_ps >= self._check_ps:
            self._check_ps = self.loop.now_ps + CHECK_PS
            self.machine.check()
        super().check()

    def _turn(self) -> None:
        """Look at memory, run what is due, rest a little if nothing was."""
        loop = self.loop
        self._link.messages()
        for wait in self._waits:
            if not wait.waiter.woken and wait.ready(self.memory.read(wait.address, wait.size)):
                wait.waiter.wake(True)
        loop.advance((time.monotonic_ns() - self._begin_ns) // WALL_NS_PER_PS, AT_MOST)
        due = loop.next_due()
        if due is not None and due <= loop.now_ps:
            return
        if self.machine.qtest.closed_within(REST_S):
            self.machine.check()
            raise PeerDied("qemu-system-x86_64 closed its qtest socket")
