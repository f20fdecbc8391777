"""The root port: the host's requests to the endpoint, and the service of the endpoint's requests to host memory.

It speaks whole packets over a `Link` and knows no simulator. What an endpoint does wrong never raises here: it becomes
an entry of `violations` with its time, and the run's owner decides. Rules cite PCI Express Base Specification 5.0.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from virtiofs_model import tlp
from virtiofs_model.layouts.tlp import FMT_DATA, CompletionStatus
from virtiofs_tb.host.completer import Completer
from virtiofs_tb.host.config_shadow import ConfigShadow
from virtiofs_tb.host.link import DEVICE_BUS, HOST_ID, Link, Violation, Violations
from virtiofs_tb.host.log import Channel, ObservationLog, Record
from virtiofs_tb.host.loop import Loop
from virtiofs_tb.host.memory import HostMemory
from virtiofs_tb.host.port import FaultPlan, Interrupt
from virtiofs_tb.host.requester import Completion, HostError, HostTimeout, Requester
from virtiofs_tb.host.timing import Timing

__all__ = ["Completion", "HostError", "HostTimeout", "Link", "RootPort", "Violation"]


class RootPort:
    """Root port of one endpoint.

    requester, completer: the two directions. config: what passing configuration accesses have told.
    violations: what the endpoint did wrong.
    """

    def __init__(
        self,
        loop: Loop,
        link: Link,
        memory: HostMemory,
        log: ObservationLog,
        rng: random.Random,
        timing: Timing | None = None,
    ) -> None:
        self.violations = Violations()
        self.config = ConfigShadow()
        self.completer = Completer(
            loop, link, memory, log, rng, self.config, self.violations, timing if timing is not None else Timing()
        )
        self.requester = Requester(loop, link, self.violations, lambda: self.completer.timing)

    @property
    def timing(self) -> Timing:
        """How the host behaves in time; a new value holds for what begins after it is set."""
        return self.completer.timing

    @timing.setter
    def timing(self, timing: Timing) -> None:
        self.completer.timing = timing

    @property
    def faults(self) -> FaultPlan:
        """Which completions fail; may be changed at any time."""
        return self.completer.faults

    def on_interrupt(self, callback: Callable[[Interrupt], None]) -> None:
        """Call `callback` for each interrupt, in the order of arrival."""
        self.completer.on_interrupt(callback)

    def owed(self) -> list[str]:
        """What is under way, for messages: requests of the host, and reads of the endpoint."""
        return self.requester.owed() + self.completer.owed()

    def receive(self, record: Record) -> None:
        """Take a packet from RQ or CC. Never raises for anything that an endpoint can send."""
        dw0 = record.hdr[0]
        payload = record.payload
        if bool(dw0 >> 24 & FMT_DATA) != bool(payload) or (payload and len(payload) != 4 * ((dw0 & 0x3FF) or 1024)):
            self.violations.add(record, f"{len(payload)} bytes of payload do not go with Length {dw0 & 0x3FF}")
        elif record.channel == Channel.CC:
            self.requester.completion(record)
        else:
            self.completer.request(record)

    # ---- the host's requests ----

    def target(self, fn: int) -> int:
        """Routing id of the endpoint's function `fn`."""
        return DEVICE_BUS << 8 | fn

    async def config_read(self, fn: int, offset: int, size: int) -> int:
        """1, 2 or 4 bytes within one dword of configuration space; all ones where the request is not successful."""
        _check_config(offset, size)
        completion = await self.requester.request(tlp.config_read(self.target(fn), offset, size, HOST_ID, 0))
        if completion.status != CompletionStatus.SC:
            return (1 << 8 * size) - 1
        data = completion.data[offset & 3 : (offset & 3) + size]
        self.config.observe_read(fn, offset, data)
        return int.from_bytes(data, "little")

    async def config_write(self, fn: int, offset: int, size: int, value: int) -> None:
        """1, 2 or 4 bytes within one dword; returns after the completion, whatever its status."""
        _check_config(offset, size)
        await self.requester.request(tlp.config_write(self.target(fn), offset, size, value, HOST_ID, 0))
        self.config.observe_write(fn, offset, value.to_bytes(size, "little"))

    async def memory_read(self, address: int, size: int) -> bytes:
        """Read the endpoint's memory space; all ones where the request is not successful."""
        completion = await self.requester.request(tlp.memory_read(address, size, HOST_ID, 0))
        return completion.data if completion.status == CompletionStatus.SC else b"\xff" * size

    def memory_write(self, address: int, data: bytes) -> None:
        """Write to the endpoint's memory space."""
        self.requester.post(tlp.memory_write(address, data, HOST_ID))

    async def bar_read(self, fn: int, bar: int, offset: int, size: int) -> int:
        base = await self.bar_address(fn, bar)
        return int.from_bytes(await self.memory_read(base + offset, size), "little")

    async def bar_write(self, fn: int, bar: int, offset: int, size: int, value: int) -> None:
        base = await self.bar_address(fn, bar)
        self.memory_write(base + offset, value.to_bytes(size, "little"))

    async def bar_address(self, fn: int, bar: int) -> int:
        """Where a BAR lies: read from the function once after each write to its BARs. Raises HostError for none."""
        base = self.config.bars.get((fn, bar))
        if base is None:
            low = await self.config_read(fn, 0x10 + 4 * bar, 4)
            high = await self.config_read(fn, 0x14 + 4 * bar, 4) if low & 0x7 == 0x4 else 0
            base = high << 32 | low & ~0xF
            if low & 1 or base == 0 or low == 0xFFFF_FFFF:
                raise HostError(f"BAR {bar} of function {fn} reads 0x{low:x}: no memory address is assigned")
            self.config.bars[fn, bar] = base
        return base


def _check_config(offset: int, size: int) -> None:
    if size not in (1, 2, 4) or not 0 <= offset < 4096 or (offset & 3) + size > 4:
        raise HostError(f"configuration access of {size} bytes at 0x{offset:x} is not within one dword")
