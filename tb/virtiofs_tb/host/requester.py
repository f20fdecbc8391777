"""The host as requester: non-posted requests with their tags, time-outs and retries, and posted ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from virtiofs_model import tlp
from virtiofs_model.layouts.tlp import CompletionStatus, TlpKind
from virtiofs_model.tlp import Tlp
from virtiofs_tb.host.link import HOST_ID, Link, Violations
from virtiofs_tb.host.log import Channel, Record
from virtiofs_tb.host.loop import Loop, Timer, Waiter
from virtiofs_tb.host.timing import Timing

TAGS = 32  # a requester without Extended Tag uses 5 bits
_BOUNDARY = 128  # an endpoint's read completion boundary (PCIe 2.3.1.1)
_CONFIG = (TlpKind.CFGRD0, TlpKind.CFGRD1, TlpKind.CFGWR0, TlpKind.CFGWR1)
_READS = (TlpKind.MRD, TlpKind.CFGRD0, TlpKind.CFGRD1)


class HostError(Exception):
    """The host cannot do what it was asked; the message says why."""


class HostTimeout(HostError):
    """A request of the host got no completion in time."""


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


class Requester:
    """Sends the host's requests and matches their completions. timing(): the settings of the moment."""

    def __init__(self, loop: Loop, link: Link, violations: Violations, timing: Callable[[], Timing]) -> None:
        self._loop = loop
        self._link = link
        self._violations = violations
        self._timing = timing
        self._requests: dict[int, _Request] = {}
        self._free_tags = list(range(TAGS - 1, -1, -1))
        self._tag_waiters: list[Waiter] = []

    def owed(self) -> list[str]:
        """Requests that wait for their completion, for messages."""
        return [f"completion of {_name(r.request)} asked for at {r.begin_ps} ps" for r in self._requests.values()]

    async def request(self, request: Tlp) -> Completion:
        """Send a non-posted request and await its completion; requester_id and tag are filled in here.

        Request Retry Status on a configuration request is retried (PCIe 2.3.2). Raises HostTimeout.
        """
        begin_ps = self._loop.now_ps
        while True:
            completion = await self._request_once(request)
            if completion.status != CompletionStatus.CRS:
                return completion
            if self._loop.now_ps - begin_ps > self._timing().retry_limit_ps:
                raise HostTimeout(f"{_name(request)}: Request Retry Status since {begin_ps} ps")
            await self._loop.sleep(self._timing().retry_ps)

    async def _request_once(self, request: Tlp) -> Completion:
        loop = self._loop
        while not self._free_tags:
            waiter = loop.waiter()
            self._tag_waiters.append(waiter)
            await waiter
        tag = self._free_tags.pop()
        request.tag = tag
        request.requester_id = HOST_ID
        timeout_ps = self._timing().request_timeout_ps
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

    def completion(self, record: Record) -> None:
        """Take a packet of the completion channel."""
        completion = tlp.decode(record.hdr, record.payload)
        if completion.kind not in (TlpKind.CPL, TlpKind.CPLD):
            self._violations.add(record, f"{completion.kind.name} on the completion channel")
            return
        pending = self._requests.get(completion.tag)
        if pending is None or completion.requester_id != HOST_ID or pending.waiter.woken:
            self._violations.add(
                record,
                f"completion for requester 0x{completion.requester_id:04x} tag {completion.tag}, "
                "for which no request is under way",
            )
            return
        request = pending.request
        if completion.status != CompletionStatus.SC:
            if completion.status == CompletionStatus.CRS and request.kind not in _CONFIG:
                self._violations.add(record, f"Request Retry Status for {_name(request)} (PCIe 2.3.1)")
                completion.status = CompletionStatus.UR
            pending.waiter.wake(Completion(completion.status))
            return
        if (request.kind in _READS) != (completion.kind is TlpKind.CPLD):
            self._violations.add(record, f"{completion.kind.name} answers {_name(request)}")
            pending.waiter.wake(Completion(CompletionStatus.CA))
            return
        if completion.ep:
            self._violations.add(record, f"the completion of {_name(request)} is poisoned")
        if completion.byte_count != pending.remaining:
            self._violations.add(
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
            self._violations.add(
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
                self._violations.add(record, f"the completion of {_name(request)} is longer than what was asked for")
            pending.waiter.wake(Completion(CompletionStatus.SC, bytes(pending.data[:size])))
        elif not data or (start + len(pending.data)) % _BOUNDARY:
            self._violations.add(record, f"a completion of {_name(request)} ends off a read completion boundary")


def _name(request: Tlp) -> str:
    if request.kind in (TlpKind.MRD, TlpKind.MWR):
        start, size = tlp.enabled_range(request)
        return f"{request.kind.name} of {size} bytes at 0x{start:x}"
    return f"{request.kind.name} of function 0x{request.completer_id:04x} offset 0x{request.address:x}"
