"""The host as completer: the endpoint's reads and writes of host memory, its interrupts and messages.

What an endpoint sends never raises here: what it must not send becomes a violation.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from virtiofs_model import tlp
from virtiofs_model.layouts.tlp import FMT_4DW, CompletionStatus, MessageCode, TlpKind
from virtiofs_model.tlp import Tlp
from virtiofs_tb.host.config_shadow import ConfigShadow
from virtiofs_tb.host.link import HOST_ID, Link, Violations
from virtiofs_tb.host.log import Channel, Kind, ObservationLog, Record
from virtiofs_tb.host.loop import Loop
from virtiofs_tb.host.memory import HostMemory
from virtiofs_tb.host.port import Access, Fault, FaultPlan, Interrupt
from virtiofs_tb.host.timing import LogUniform, Timing

MSI_WINDOW = range(0xFEE0_0000, 0xFEF0_0000)

_MRD, _MWR, _CPLD = int(TlpKind.MRD), int(TlpKind.MWR), int(TlpKind.CPLD)
_UR = int(CompletionStatus.UR)
_EP = 0x4000
_ONE_RUN = frozenset(last << 4 | first for first in (0x8, 0xC, 0xE, 0xF) for last in (0x1, 0x3, 0x7, 0xF))
"""Byte enables of several dwords that leave no hole."""


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


class Completer:
    """Memory controller, completion engine and interrupt sink.

    reads, writes, interrupts, messages: how many requests of each kind came. on_withheld: called for a read that a
    fault leaves without completion. msi_window: writes to these addresses are interrupts.
    """

    def __init__(
        self,
        loop: Loop,
        link: Link,
        memory: HostMemory,
        log: ObservationLog,
        rng: random.Random,
        config: ConfigShadow,
        violations: Violations,
        timing: Timing,
    ) -> None:
        self._loop = loop
        self._link = link
        self._memory = memory
        self._log = log
        self._rng = rng
        self._random = rng.random
        self._config = config
        self._violations = violations
        self.faults = FaultPlan()
        self.msi_window = MSI_WINDOW
        self.reads = self.writes = self.interrupts = self.messages = 0
        self.on_withheld: Callable[[], None] = lambda: None
        self._interrupt_callbacks: list[Callable[[Interrupt], None]] = []
        self._reads: dict[int, _Read] = {}
        self._last_due = 0
        self._last_interrupt = 0
        self.timing = timing

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
        """Reads that are being served, for messages."""
        return [
            f"data of the endpoint's read with tag {r.key & 0xFF} from 0x{r.position:x}, asked for at {r.begin_ps} ps"
            for r in self._reads.values()
        ]

    def request(self, record: Record) -> None:
        """Take a packet of the request channel."""
        kind = record.hdr[0] >> 24 & ~FMT_4DW
        if kind == _MRD:
            self._read(record)
        elif kind == _MWR:
            self._write(record)
        else:
            self._other(record)

    def _read(self, record: Record) -> None:
        dw0, dw1 = record.hdr[0], record.hdr[1]
        address = record.address
        dwords = (dw0 & 0x3FF) or 1024
        end = address + 4 * dwords
        key = dw1 >> 8 & 0xFF_FFFF
        if key in self._reads:
            self._violations.add(record, f"tag {key & 0xFF} is used again before its completion (PCIe 2.2.6.2)")
            return
        self.reads += 1
        self._violations.check_memory_request(record, dwords)
        translated = self._translate(record, 4 * dwords, Access.READ)
        if translated is None:
            loop, now = self._loop, record.t_ps
            refused = _Read(key, now, address, end, address, end, self._memory.hold(now))
            self._reads[key] = refused
            request = tlp.decode(record.hdr)
            loop.call_at(now + self._latency.at(self._random()), lambda: self._fail_read(refused, request, _UR))
            return
        address, end = translated, translated + 4 * dwords
        enables = dw1 & 0xFF
        if enables == 0xFF or enables == 0x0F:
            first, last_end = address, end
        else:
            first, size = tlp.enabled_bytes(address, dwords, enables & 0xF, enables >> 4)
            last_end = first + (size or 1)  # a zero-length read counts one byte
        fault = self._fault(first, last_end) if self.faults.rules else None
        status = 0
        if fault is not None:
            if fault.kind == "timeout":
                self.on_withheld()
                return
            status = {"ur": CompletionStatus.UR, "ca": CompletionStatus.CA}.get(fault.kind, CompletionStatus.SC)
        elif not self._memory.mapped(address, end - address):
            self._violations.add(record, f"read of 0x{address:x}..0x{end:x}, which is not memory")
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
        rcb = 128 if self._config.rcb_128 else timing.rcb
        max_payload = min(timing.max_payload, self._config.max_payload)
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

    def _write(self, record: Record) -> None:
        dw0, dw1 = record.hdr[0], record.hdr[1]
        address, payload = record.address, record.payload
        end = address + len(payload)
        if address in self.msi_window:
            self._msi(record)
            return
        self.writes += 1
        self._violations.check_memory_request(record, len(payload) >> 2)
        translated = self._translate(record, len(payload), Access.WRITE)
        if translated is None:
            return
        moved = translated - address
        address, end = translated, translated + len(payload)
        if dw0 & _EP:
            self._violations.add(record, f"write to 0x{address:x} is poisoned")
        elif not self._memory.mapped(address, len(payload)):
            self._violations.add(record, f"write to 0x{address:x}..0x{end:x}, which is not memory")
        elif dw1 & 0xFF == (0x0F if len(payload) == 4 else 0xFF):
            self._memory.write_at(address, payload, record.t_ps)
        elif len(payload) > 4 and dw1 & 0xFF in _ONE_RUN:
            first, size = tlp.enabled_bytes(address, len(payload) >> 2, dw1 & 0xF, dw1 >> 4 & 0xF)
            self._memory.write_at(first, payload[first - address : first - address + size], record.t_ps)
        else:
            for start, data in tlp.write_runs(tlp.decode(record.hdr, payload)):
                self._memory.write_at(start + moved, data, record.t_ps)

    def _translate(self, record: Record, size: int, access: Access) -> int | None:
        """The address in memory, where the device's addresses are mapped; None for what the map refuses."""
        io_map = self._memory.io_map
        if io_map is None:
            return record.address
        address = io_map.translate(record.address, size, access)
        if address is None and not io_map.expected(record.address):
            end = record.address + size
            what = f"{access.name} of 0x{record.address:x}..0x{end:x}, which is not mapped for the device (RSVD-R04)"
            self._violations.add(record, what)
        return address

    def _msi(self, record: Record) -> None:
        """An MSI-X message is an aligned dword write (PCI 3.0, 6.8.3.4)."""
        if len(record.payload) != 4 or record.be != 0x0F or record.hdr[0] & _EP:
            self._violations.add(
                record,
                f"message signalled interrupt at 0x{record.address:x} with {len(record.payload)} bytes and "
                f"byte enables 0x{record.be:02x}, expected a plain dword",
            )
            return
        data = int.from_bytes(record.payload, "little")
        self._log.append(record.t_ps, Kind.INTERRUPT, address=record.address, hdr=(data, 0, 0, 0))
        self._interrupt(record.t_ps, data)

    def _interrupt(self, t_ps: int, vector: int | None, asserted: bool = True) -> None:
        self.interrupts += asserted

        def deliver() -> None:
            interrupt = Interrupt(t_ps, vector, asserted)
            for callback in self._interrupt_callbacks:
                callback(interrupt)

        if not self._timing.interrupt_latency_ps:
            self._loop.call_soon(deliver)
            return
        due = self._loop.now_ps + self._interrupt_latency.at(self._random())
        self._last_interrupt = max(due, self._last_interrupt)
        self._loop.call_at(self._last_interrupt, deliver)

    def _other(self, record: Record) -> None:
        request = tlp.decode(record.hdr, record.payload)
        if request.kind in (TlpKind.MSG, TlpKind.MSGD):
            self.messages += 1
            if request.message_code in (MessageCode.ASSERT_INTA, MessageCode.DEASSERT_INTA):
                self._log.append(record.t_ps, Kind.INTERRUPT, hdr=(request.message_code, 0, 0, 0), channel=1)
                self._interrupt(record.t_ps, None, request.message_code == MessageCode.ASSERT_INTA)
            return
        self._violations.add(record, f"request of a kind that an endpoint must not send: {request.kind.name}")
        if request.kind not in (TlpKind.UNKNOWN, TlpKind.CPL, TlpKind.CPLD, TlpKind.CPLLK):
            answer = tlp.completion(request, HOST_ID, None, CompletionStatus.UR)
            self._link.send(Channel.RC, *tlp.encode(answer))
