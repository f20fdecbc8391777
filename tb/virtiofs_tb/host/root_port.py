"""The root port: the host's requests to the endpoint, and the service of the endpoint's requests to host memory.

It speaks whole packets over a `Link` and knows no simulator. What an endpoint does wrong never raises here: it becomes
an entry of `violations` with its time, and the run's owner decides. Rules cite PCI Express Base Specification 5.0.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from virtiofs_model import tlp
from virtiofs_model.layouts.tlp import FMT_4DW, FMT_DATA, CompletionStatus, MessageCode, TlpKind
from virtiofs_model.tlp import Header, Tlp
from virtiofs_tb.host.config_shadow import ConfigShadow
from virtiofs_tb.host.log import Channel, Kind, ObservationLog, Record
from virtiofs_tb.host.loop import Loop, Timer, Waiter
from virtiofs_tb.host.memory import HostMemory
from virtiofs_tb.host.port import Fault, FaultPlan, Interrupt
from virtiofs_tb.host.timing import LogUniform, Timing

HOST_ID = 0x0000  # bus 0, device 0, function 0: requester and completer
DEVICE_BUS = 1
TAGS = 32  # a requester without Extended Tag uses 5 bits
MSI_BASE, MSI_END = 0xFEE0_0000, 0xFEF0_0000

_MRD, _MWR, _CPLD = int(TlpKind.MRD), int(TlpKind.MWR), int(TlpKind.CPLD)
_EP = 0x4000


class Link(Protocol):
    """The way to the endpoint. Packets of a channel arrive in the order of the calls, none before `due_ps`."""

    def send(self, channel: int, hdr: Header, payload: bytes, due_ps: int = 0) -> None: ...


class HostError(Exception):
    """The host cannot do what it was asked; the message says why."""


class HostTimeout(HostError):
    """A request of the host got no completion in time."""


@dataclass(frozen=True)
class Violation:
    """Something that an endpoint must not do."""

    t_ps: int
    text: str


@dataclass(frozen=True)
class Completion:
    """The outcome of a request: Completion Status and, for a successful read, the bytes that were asked for."""

    status: int
    data: bytes = b""


class _Request:
    """A request of the host that waits for its completion."""

    __slots__ = ("begin_ps", "data", "remaining", "request", "timer", "waiter")

    def __init__(self, request: Tlp, begin_ps: int, waiter: Waiter, timer: Timer) -> None:
        self.request = request
        self.begin_ps = begin_ps
        self.waiter = waiter
        self.timer = timer
        self.data = bytearray()
        self.remaining = tlp.byte_count(request) if request.kind is TlpKind.MRD else 4


class _Read:
    """A read of the endpoint that is being served. Addresses are dword-aligned but `first` and `last_end`."""

    __slots__ = ("begin_ps", "end", "first", "hold", "key", "last_end", "poison", "position")

    def __init__(self, key: int, begin_ps: int, position: int, end: int, first: int, last_end: int, hold: int) -> None:
        self.key = key  # requester_id << 8 | tag
        self.begin_ps = begin_ps
        self.position = position  # where the next completion starts
        self.end = end
        self.first = first  # byte address of the first byte that was asked for
        self.last_end = last_end  # and behind the last one
        self.hold = hold
        self.poison = 0


class RootPort:
    """Root port, host memory controller and MSI sink.

    faults: which completions fail; may be changed at any time. violations: what the endpoint did wrong.
    reads, writes, interrupts, messages: how many of the endpoint's requests were served.
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
        self._loop = loop
        self._link = link
        self._memory = memory
        self._log = log
        self._random = rng.random
        self._rng = rng
        self.faults = FaultPlan()
        self.violations: list[Violation] = []
        self.reads = self.writes = self.interrupts = self.messages = 0
        self.config = ConfigShadow()
        self._interrupt_callbacks: list[Callable[[Interrupt], None]] = []
        self._requests: dict[int, _Request] = {}
        self._free_tags = list(range(TAGS - 1, -1, -1))
        self._tag_waiters: list[Waiter] = []
        self._reads: dict[int, _Read] = {}
        self._last_due = 0
        self._last_interrupt = 0
        self.timing = timing if timing is not None else Timing()

    @property
    def timing(self) -> Timing:
        """How the host behaves in time; a new value holds for what begins after it is set."""
        return self._timing

    @timing.setter
    def timing(self, timing: Timing) -> None:
        self._timing = timing
        self._latency = LogUniform(timing.read_latency_ps, timing.spread)
        self._gap = LogUniform(timing.gap_ps, timing.spread)
        self._interrupt_latency = LogUniform(timing.interrupt_latency_ps, timing.spread)
        self._split = timing.split_percent / 100
        self._pause = timing.gap_percent / 100

    def on_interrupt(self, callback: Callable[[Interrupt], None]) -> None:
        """Call `callback` for each interrupt, in the order of arrival."""
        self._interrupt_callbacks.append(callback)

    def owed(self) -> list[str]:
        """What is under way, for messages: requests of the host, and reads of the endpoint."""
        requests = [f"completion of {_name(r.request)} asked for at {r.begin_ps} ps" for r in self._requests.values()]
        reads = [
            f"data of the endpoint's read with tag {r.key & 0xFF} from 0x{r.position:x}, asked for at {r.begin_ps} ps"
            for r in self._reads.values()
        ]
        return requests + reads

    # ---- the host's requests ----

    async def request(self, request: Tlp) -> Completion:
        """Send a non-posted request and await its completion; requester_id and tag are filled in here.

        Request Retry Status on a configuration request is retried (PCIe 2.3.2). Raises HostTimeout.
        """
        begin_ps = self._loop.now_ps
        while True:
            completion = await self._request_once(request)
            if completion.status != CompletionStatus.CRS:
                return completion
            if self._loop.now_ps - begin_ps > self._timing.retry_limit_ps:
                raise HostTimeout(f"{_name(request)}: Request Retry Status since {begin_ps} ps")
            await self._loop.sleep(self._timing.retry_ps)

    async def _request_once(self, request: Tlp) -> Completion:
        loop = self._loop
        while not self._free_tags:
            waiter = loop.waiter()
            self._tag_waiters.append(waiter)
            await waiter
        tag = self._free_tags.pop()
        request.tag = tag
        request.requester_id = HOST_ID
        timeout_ps = self._timing.request_timeout_ps
        waiter = loop.waiter()
        timer = loop.call_at(loop.now_ps + timeout_ps, waiter.wake)
        self._requests[tag] = _Request(request, loop.now_ps, waiter, timer)
        try:
            self._link.send(Channel.CQ, *tlp.encode(request))
            completion: Completion | None = await waiter
        finally:
            timer.cancel()
            del self._requests[tag]
            self._free_tags.insert(0, tag)  # the tag that has rested longest is used next
            if self._tag_waiters:
                self._tag_waiters.pop(0).wake()
        if completion is None:
            raise HostTimeout(f"{_name(request)}: no completion within {timeout_ps} ps")
        return completion

    def post(self, request: Tlp) -> None:
        """Send a posted request; requester_id is filled in here."""
        request.requester_id = HOST_ID
        self._link.send(Channel.CQ, *tlp.encode(request))

    def target(self, fn: int) -> int:
        """Routing id of the endpoint's function `fn`."""
        return DEVICE_BUS << 8 | fn

    async def config_read(self, fn: int, offset: int, size: int) -> int:
        """1, 2 or 4 bytes within one dword of configuration space; all ones where the request is not successful."""
        _check_config(offset, size)
        completion = await self.request(tlp.config_read(self.target(fn), offset, size, HOST_ID, 0))
        if completion.status != CompletionStatus.SC:
            return (1 << 8 * size) - 1
        data = completion.data[offset & 3 : (offset & 3) + size]
        self.config.observe_read(fn, offset, data)
        return int.from_bytes(data, "little")

    async def config_write(self, fn: int, offset: int, size: int, value: int) -> None:
        """1, 2 or 4 bytes within one dword; returns after the completion, whatever its status."""
        _check_config(offset, size)
        await self.request(tlp.config_write(self.target(fn), offset, size, value, HOST_ID, 0))
        self.config.observe_write(fn, offset, value.to_bytes(size, "little"))

    async def memory_read(self, address: int, size: int) -> bytes:
        """Read the endpoint's memory space; all ones where the request is not successful."""
        completion = await self.request(tlp.memory_read(address, size, HOST_ID, 0))
        return completion.data if completion.status == CompletionStatus.SC else b"\xff" * size

    def memory_write(self, address: int, data: bytes) -> None:
        """Write to the endpoint's memory space."""
        self.post(tlp.memory_write(address, data, HOST_ID))

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

    # ---- what the endpoint sends ----

    def receive(self, record: Record) -> None:
        """Take a packet from RQ or CC. Never raises for anything that an endpoint can send."""
        dw0 = record.hdr[0]
        fmt_type = dw0 >> 24
        if bool(fmt_type & FMT_DATA) != bool(record.payload) or (
            record.payload and len(record.payload) != 4 * ((dw0 & 0x3FF) or 1024)
        ):
            self._violation(record, f"{len(record.payload)} bytes of payload do not go with Length {dw0 & 0x3FF}")
            return
        if record.channel == Channel.CC:
            self._completion(record)
        elif fmt_type & ~FMT_4DW == _MRD:
            self._device_read(record)
        elif fmt_type & ~FMT_4DW == _MWR:
            self._device_write(record)
        else:
            self._other_request(record)

    def _device_read(self, record: Record) -> None:
        dw0, dw1 = record.hdr[0], record.hdr[1]
        address = record.address
        dwords = (dw0 & 0x3FF) or 1024
        end = address + 4 * dwords
        key = dw1 >> 8 & 0xFF_FFFF
        if key in self._reads:
            self._violation(record, f"tag {key & 0xFF} is used again before its completion (PCIe 2.2.6.2)")
            return
        self.reads += 1
        self._check_request(record, dwords)
        first, last_end = tlp.enabled_range(
            Tlp(TlpKind.MRD, address, first_be=dw1 & 0xF, last_be=dw1 >> 4 & 0xF, length_dw=dwords)
        ) if dw1 & 0xFF not in (0xFF, 0x0F) else (address, end - address)  # fmt: skip
        last_end = first + (last_end or 1)  # a zero-length read counts one byte
        fault = self._fault(first, last_end) if self.faults.rules else None
        status = 0
        if fault is not None:
            if fault.kind == "timeout":
                return
            status = {"ur": CompletionStatus.UR, "ca": CompletionStatus.CA}.get(fault.kind, CompletionStatus.SC)
        elif not self._memory.mapped(address, end - address):
            self._violation(record, f"read of 0x{address:x}..0x{end:x}, which is not memory")
            status = CompletionStatus.UR
        elif (address & 0xFFF) + 4 * dwords > 0x1000:
            self._violation(record, f"read of {4 * dwords} bytes at 0x{address:x} crosses 4 KiB (PCIe 2.2.7)")
            status = CompletionStatus.UR
        loop = self._loop
        due = loop.now_ps + self._latency.at(self._random())
        if not self._timing.reorder:
            due = self._last_due = max(due, self._last_due)
        read = _Read(key, record.t_ps, address, end, first, last_end, self._memory.hold(record.t_ps))
        self._reads[key] = read
        if status:
            request = tlp.decode(record.hdr)
            loop.call_at(due, lambda: self._fail_read(read, request, status))
            return
        if fault is not None:
            read.poison = _EP
        loop.call_at(due, lambda: self._send_data(read))

    def _send_data(self, read: _Read) -> None:
        """Send completions of one read until it is done or a pause is drawn. The same as tlp.split_completions,
        written out because it runs for every completion."""
        random_ = self._random
        timing = self._timing
        rcb = 128 if self.config.rcb_128 else timing.rcb
        max_payload = min(timing.max_payload, self.config.max_payload)
        position, end, key = read.position, read.end, read.key
        now = self._loop.now_ps
        sample, send, rng = self._memory.sample, self._link.send, self._rng
        dw2 = key << 8
        while True:
            stop = end
            if end - position > max_payload:
                stop = (position + max_payload) & -rcb
            boundary = (position | (rcb - 1)) + 1
            if boundary < stop and random_() < self._split:
                stop = boundary + rcb * int(random_() * ((stop - boundary + rcb - 1) // rcb))
            data = sample(position, stop - position, read.begin_ps, now, rng)
            first = position if position > read.first else read.first
            hdr = (
                _CPLD << 24 | read.poison | (stop - position) >> 2 & 0x3FF,
                HOST_ID << 16 | read.last_end - first & 0xFFF,
                dw2 | first & 0x7F,
                0,
            )
            send(Channel.RC, hdr, data)
            if stop == end:
                break
            position = stop
            if random_() < self._pause:
                read.position = position
                self._loop.call_at(now + self._gap.at(random_()), lambda: self._send_data(read))
                return
        del self._reads[key]
        self._memory.release(read.hold)

    def _fail_read(self, read: _Read, request: Tlp, status: int) -> None:
        self._link.send(Channel.RC, *tlp.encode(tlp.completion(request, HOST_ID, None, status)))
        del self._reads[read.key]
        self._memory.release(read.hold)

    def _fault(self, start: int, end: int) -> Fault | None:
        """The fault that strikes a read of [start, end), counted off its rule."""
        for rule in self.faults.rules:
            if rule.count > 0 and rule.address < end and start < rule.address + rule.size:
                if rule.skip > 0:
                    rule.skip -= 1
                    continue
                rule.count -= 1
                return rule
        return None

    def _device_write(self, record: Record) -> None:
        dw0, dw1 = record.hdr[0], record.hdr[1]
        address, payload = record.address, record.payload
        end = address + len(payload)
        if MSI_BASE <= address < MSI_END:
            self._msi(record)
            return
        self.writes += 1
        self._check_request(record, len(payload) >> 2)
        if dw0 & _EP:
            self._violation(record, f"write to 0x{address:x} is poisoned")
        elif not self._memory.mapped(address, len(payload)):
            self._violation(record, f"write to 0x{address:x}..0x{end:x}, which is not memory")
        elif (address & 0xFFF) + len(payload) > 0x1000:
            self._violation(record, f"write of {len(payload)} bytes at 0x{address:x} crosses 4 KiB (PCIe 2.2.7)")
        elif dw1 & 0xFF == (0x0F if len(payload) == 4 else 0xFF):
            self._memory.write_at(address, payload, record.t_ps)
        else:
            for start, data in tlp.write_runs(tlp.decode(record.hdr, payload)):
                self._memory.write_at(start, data, record.t_ps)

    def _msi(self, record: Record) -> None:
        """An MSI-X message is an aligned dword write (PCI 3.0, 6.8.3.4)."""
        if len(record.payload) != 4 or record.be != 0x0F or record.hdr[0] & _EP:
            self._violation(
                record,
                f"message signalled interrupt at 0x{record.address:x} with {len(record.payload)} bytes and "
                f"byte enables 0x{record.be:02x}, expected a plain dword",
            )
            return
        data = int.from_bytes(record.payload, "little")
        self._log.append(record.t_ps, Kind.INTERRUPT, address=record.address, hdr=(data, 0, 0, 0))
        self._interrupt(record.t_ps, data)

    def _interrupt(self, t_ps: int, vector: int | None) -> None:
        self.interrupts += 1

        def deliver() -> None:
            interrupt = Interrupt(self._loop.now_ps, vector)
            for callback in self._interrupt_callbacks:
                callback(interrupt)

        if not self._timing.interrupt_latency_ps:
            self._loop.call_soon(deliver)
            return
        due = self._loop.now_ps + self._interrupt_latency.at(self._random())
        self._last_interrupt = max(due, self._last_interrupt)
        self._loop.call_at(self._last_interrupt, deliver)

    def _other_request(self, record: Record) -> None:
        request = tlp.decode(record.hdr, record.payload)
        if request.kind in (TlpKind.MSG, TlpKind.MSGD):
            self.messages += 1
            if request.message_code in (MessageCode.ASSERT_INTA, MessageCode.DEASSERT_INTA):
                self._log.append(record.t_ps, Kind.INTERRUPT, hdr=(request.message_code, 0, 0, 0), channel=1)
            if request.message_code == MessageCode.ASSERT_INTA:
                self._interrupt(record.t_ps, None)
            return
        self._violation(record, f"request of a kind that an endpoint must not send: {request.kind.name}")
        if request.kind not in (TlpKind.UNKNOWN, TlpKind.CPL, TlpKind.CPLD, TlpKind.CPLLK):
            answer = tlp.completion(request, HOST_ID, None, CompletionStatus.UR)
            self._link.send(Channel.RC, *tlp.encode(answer))

    def _completion(self, record: Record) -> None:
        completion = tlp.decode(record.hdr, record.payload)
        if completion.kind not in (TlpKind.CPL, TlpKind.CPLD):
            self._violation(record, f"{completion.kind.name} on the completion channel")
            return
        pending = self._requests.get(completion.tag)
        if pending is None or completion.requester_id != HOST_ID or pending.waiter.woken:
            self._violation(
                record,
                f"completion for requester 0x{completion.requester_id:04x} tag {completion.tag}, "
                "for which no request is under way",
            )
            return
        request = pending.request
        if completion.status != CompletionStatus.SC:
            config = request.kind in (TlpKind.CFGRD0, TlpKind.CFGRD1, TlpKind.CFGWR0, TlpKind.CFGWR1)
            if completion.status == CompletionStatus.CRS and not config:
                self._violation(record, f"Request Retry Status for {_name(request)} (PCIe 2.3.1)")
                completion.status = CompletionStatus.UR
            pending.waiter.wake(Completion(completion.status))
            return
        is_read = request.kind in (TlpKind.MRD, TlpKind.CFGRD0, TlpKind.CFGRD1)
        if is_read != (completion.kind is TlpKind.CPLD):
            self._violation(record, f"{completion.kind.name} answers {_name(request)}")
            pending.waiter.wake(Completion(CompletionStatus.CA))
            return
        if completion.ep:
            self._violation(record, f"the completion of {_name(request)} is poisoned")
        if completion.byte_count != pending.remaining:
            self._violation(
                record,
                f"Byte Count of the completion of {_name(request)} is {completion.byte_count}, "
                f"expected {pending.remaining} (PCIe 2.2.9)",
            )
        if request.kind is not TlpKind.MRD:
            pending.waiter.wake(Completion(CompletionStatus.SC, completion.payload[:4]))
            return
        self._read_data(record, pending, completion)

    def _read_data(self, record: Record, pending: _Request, completion: Tlp) -> None:
        """Take one completion of a memory read."""
        request = pending.request
        start, size = tlp.enabled_range(request)
        expected = start + len(pending.data) & 0x7F
        if completion.lower_address != expected:
            self._violation(
                record,
                f"Lower Address of the completion of {_name(request)} is 0x{completion.lower_address:x}, "
                f"expected 0x{expected:x} (PCIe 2.2.9)",
            )
        lead = expected & 3
        data = completion.payload[lead : lead + pending.remaining]
        pending.data += data
        pending.remaining -= len(data)
        if pending.remaining <= 0:
            if lead + len(data) + 3 < len(completion.payload):
                self._violation(record, f"the completion of {_name(request)} is longer than what was asked for")
            pending.waiter.wake(Completion(CompletionStatus.SC, bytes(pending.data[:size])))
        elif not data or (start + len(pending.data)) & 127:
            self._violation(record, f"a completion of {_name(request)} ends off a read completion boundary")

    def _check_request(self, record: Record, dwords: int) -> None:
        """Format rules of a memory request that do not keep it from being served."""
        dw0, dw1, dw2, _ = record.hdr
        first, last = dw1 & 0xF, dw1 >> 4 & 0xF
        if dw0 >> 24 & FMT_4DW and dw2 == 0:
            self._violation(record, f"four-dword header for 0x{record.address:x}, below 4 GiB (PCIe 2.2.4.1)")
        if last if dwords == 1 else not (first and last):
            self._violation(
                record, f"byte enables first 0x{first:x}, last 0x{last:x} with Length {dwords} (PCIe 2.2.5)"
            )

    def _violation(self, record: Record, text: str) -> None:
        channel = Channel(record.channel).name
        self.violations.append(Violation(record.t_ps, f"{channel} packet {record.seq}: {text}"))


def _check_config(offset: int, size: int) -> None:
    if size not in (1, 2, 4) or not 0 <= offset < 4096 or (offset & 3) + size > 4:
        raise HostError(f"configuration access of {size} bytes at 0x{offset:x} is not within one dword")


def _name(request: Tlp) -> str:
    if request.kind in (TlpKind.MRD, TlpKind.MWR):
        start, size = tlp.enabled_range(request)
        return f"{request.kind.name} of {size} bytes at 0x{start:x}"
    return f"{request.kind.name} of function 0x{request.completer_id:04x} offset 0x{request.address:x}"
