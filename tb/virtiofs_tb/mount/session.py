"""One mount on one endpoint, from mount(2) to the end: a step of a test like a scenario.

The session is what the target listens to (host/outside.py). Whatever happens, `close` leaves nothing mounted.
"""

from __future__ import annotations

import os
import selectors
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from virtiofs_tb.driver.bringup import Mount, discover, start
from virtiofs_tb.driver.notify_pool import NotifyPool
from virtiofs_tb.host.base import HostBase
from virtiofs_tb.host.dpu_client import DpuFiles
from virtiofs_tb.host.port import DpuError
from virtiofs_tb.host.timing import Timing
from virtiofs_tb.mount import kernel
from virtiofs_tb.mount.control import Answer, ControlServer
from virtiofs_tb.mount.dpu import perform
from virtiofs_tb.mount.errors import MountError, MountFailure
from virtiofs_tb.mount.options import Options
from virtiofs_tb.mount.relay import Relay
from virtiofs_tb.mount.traffic import Traffic
from virtiofs_tb.scenario import Bench

LONGEST_WAIT_S = 60.0
UNMOUNT_S = 30.0
LOOK_S = 0.0003  # between two looks at what has come, while the endpoint works
CLOCK_S = 0.01  # the DPU's clock is set when it is later by this
TIMING = Timing(read_latency_ps=0, gap_percent=0, store_gap_ps=0, interrupt_latency_ps=0)
"""A host that answers at once: what a person waits for here is the simulation of each request. Most of that would be
latency of its six to eight reads of memory, and each moment that Python is woken for costs as much as ten cycles."""


class MountSession:
    """Serves `directory`. on_mounted: called once the kernel can use it."""

    def __init__(self, directory: Path, options: Options | None = None) -> None:
        self.directory = directory
        self.options = options or Options()
        self.relay: Relay | None = None
        self.on_mounted: Callable[[], None] = lambda: None
        self._host: HostBase | None = None
        self._pool: NotifyPool | None = None
        self._files: DpuFiles | None = None
        self._selector = selectors.DefaultSelector()
        self._wake_out, self._wake_in = os.pipe()
        self._selector.register(self._wake_out, selectors.EVENT_READ)
        self._control = ControlServer(directory, self._asked)
        self._selector.register(self._control.listener, selectors.EVENT_READ)
        self._descriptor: int | None = None
        self._detaching: threading.Thread | None = None
        self._ending = threading.Lock()  # held by who begins to unmount, and by who closes what that needs
        self._why_not: str | None = None
        self._busy_s = self._cpu_s = 0.0
        self._awake = time.monotonic()
        self._looked = 0.0
        self._clock = 0.0

    # ---- the step ----

    async def run(self, host: HostBase, tb: Bench) -> None:
        """Bring the device up, mount, serve until it is unmounted. Raises MountError, MountFailure, DriverError."""
        self._host = host
        host.timing = TIMING
        await self._set_clock()
        if host.dpu is not None:
            await host.dpu.strap(self.options.straps)
            self._files = DpuFiles(host.dpu.fs_request)
        mount = await start(host, tb, await discover(host, tb), buffers=self.options.buffers, linux_layout=True)
        self._pool = mount.pool
        self._descriptor = kernel.attach(self.directory)
        host.note(f"mounted on {self.directory}")
        self.relay = Relay(self._descriptor, host, mount, self.options.deaf)
        self._selector.register(self._descriptor, selectors.EVENT_READ)
        self._awake, begun = time.monotonic(), time.process_time()
        host.outside = self
        self.on_mounted()
        try:
            await self.relay.ended.wait()
        finally:
            host.outside = None
            self._busy_s += time.monotonic() - self._awake
            self._cpu_s = time.process_time() - begun
        self._raise(mount)

    def _raise(self, mount: Mount) -> None:
        assert self.relay is not None
        if self.relay.error is not None:
            raise self.relay.error
        if mount.pool is not None and mount.pool.error is not None:
            raise mount.pool.error
        if self.relay.refused:
            raise MountFailure(f"the kernel refused {len(self.relay.refused)} notifications: {self.relay.refused[0]}")

    async def _set_clock(self) -> None:
        """File times are those of this machine. An endpoint without our DPU port has a clock of its own."""
        now = self._clock = time.time()
        if self._host is not None and self._host.dpu is not None:
            await self._host.dpu.set_time(int(now), int(now % 1 * 1_000_000_000))

    # ---- Outside ----

    def look(self) -> None:
        now = time.monotonic()
        if now - self._looked < LOOK_S:
            return
        self._looked = now
        if self._host is not None and time.time() - self._clock > CLOCK_S:
            self._host.spawn(self._set_clock())
        self._serve(self._selector.select(0.0))

    def wait(self, seconds: float | None = None) -> None:
        asleep = time.monotonic()
        events = self._selector.select(LONGEST_WAIT_S if seconds is None else seconds)
        if not events or seconds is None:
            self._busy_s += asleep - self._awake
            self._awake = time.monotonic()
        if events and self._host is not None and time.time() - self._clock > CLOCK_S:
            self._clock = time.time()
            self._host.spawn(self._set_clock())
        self._serve(events)

    def _serve(self, events: list[tuple[selectors.SelectorKey, int]]) -> None:
        for key, _ in events:
            if key.fd == self._descriptor and self.relay is not None:
                self.relay.receive()
            elif key.fileobj is self._control.listener:
                self._control.accept()
            elif key.fd == self._wake_out:
                os.read(self._wake_out, 4096)
                if self.relay is not None and self._why_not is not None:
                    self.relay.ended.set()

    # ---- the end ----

    def _asked(self, question: dict[str, Any], answer: Answer) -> None:
        """What another process wants; a test can also let the device run out of buffers, and ask for the counts."""
        what = question.get("do")
        if what == "stop":
            self.stop()
            answer({"ok": True})
        elif self._host is None or self.relay is None:
            answer({"ok": False, "why": "it is not mounted yet"})
        elif what == "dpu":
            self._host.spawn(self._dpu([str(word) for word in question.get("words", [])], answer))
        elif what == "buffers" and self._pool is not None:
            self._host.spawn(self._give(self._pool, int(question.get("count", 0)), answer))
        elif what == "counts":
            self._host.spawn(self._count(self._host, self.relay, answer))
        else:
            answer({"ok": False, "why": f"no such command: {what}"})

    async def _dpu(self, words: list[str], answer: Answer) -> None:
        """Act as the DPU. What goes wrong is told to the one who asked."""
        try:
            if self._files is None:
                raise MountError("this endpoint has no DPU port of ours")
            answer({"ok": True, "lines": await perform(self._files, words)})
        except (MountError, DpuError) as error:
            answer({"ok": False, "why": str(error)})
        except OSError as error:
            answer({"ok": False, "why": f"{' '.join(words[:1])} {error.filename or '/'}: {error.strerror}"})

    async def _count(self, host: HostBase, relay: Relay, answer: Answer) -> None:
        device = await host.dpu.counters() if host.dpu is not None else {}
        counts = {"notifications": relay.notifications, "withheld": relay.withheld, "device": device}
        answer({"ok": True, "waiting": host.patience, **counts})

    async def _give(self, pool: NotifyPool, count: int, answer: Answer) -> None:
        """Post so many buffers on the notification queue, and from now on each again once it is used; 0: none again."""
        pool.reposting = count > 0
        await pool.fill(count)
        answer({"ok": True})

    def stop(self) -> None:
        """Begin to unmount. The kernel may still write to us meanwhile, so it happens beside the simulation."""
        with self._ending:
            if self._detaching is None and self._descriptor is not None:
                self._detaching = threading.Thread(target=self._detach, name="unmount", daemon=True)
                self._detaching.start()

    def _detach(self) -> None:
        why = kernel.detach(self.directory, lazy=False)
        if why is not None:  # in use: it goes out of sight now, and its users get ENOTCONN when this process ends
            self._why_not = why
            kernel.detach(self.directory, lazy=True)
        os.write(self._wake_in, b"x")

    @property
    def traffic(self) -> Traffic:
        """What went through so far."""
        if self.relay is None:
            return Traffic()
        relay = self.relay
        return Traffic(dict(relay.requests), dict(relay.notifications), self._busy_s, self._cpu_s, self.notice or "")

    def close(self) -> None:
        """Leave nothing mounted and no socket behind; may be called again."""
        with self._ending:
            if self._descriptor is not None:
                if kernel.kind_of(self.directory) == kernel.KIND:
                    kernel.detach(self.directory, lazy=True)
                if self.relay is not None:
                    self.relay.close()
                self._selector.unregister(self._descriptor)
                os.close(self._descriptor)
                self._descriptor = None
        if self._wake_out < 0:
            return
        if self._detaching is not None:  # nobody serves the mount any more, so nothing keeps it
            self._detaching.join(UNMOUNT_S)
        self._control.close()
        self._selector.close()
        if self._detaching is None or not self._detaching.is_alive():  # its last word goes there
            os.close(self._wake_out)
            os.close(self._wake_in)
        self._wake_out = -1

    @property
    def notice(self) -> str | None:
        """Why the mount could not be taken away at once, if so."""
        return f"{self.directory} was in use ({self._why_not}): its users have lost it" if self._why_not else None
