"""DMA of the endpoint: reads with tags and their completions, writes cut to size. Everything leaves on rq."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from virtiofs_model.defects import Defect
from virtiofs_model.endpoint.core import Channel, Core
from virtiofs_model.endpoint.tasks import Signal, Steps
from virtiofs_model.errors import ErrorCode
from virtiofs_model.layouts.dpu import DpuCounter
from virtiofs_model.layouts.tlp import CompletionStatus, TlpKind
from virtiofs_model.tlp import Tlp, completion_bytes, memory_read, memory_write

TAGS = 32
PAGE = 4096


class ReadError(Exception):
    """A read of host memory failed (UR, CA, poison or time-out): its data is void."""

    def __init__(self, address: int) -> None:
        super().__init__(f"read at {address:#x} failed")
        self.address = address


@dataclass
class _Read:
    """A read of one task: some requests on the wire. left: bytes not yet arrived."""

    signal: Signal
    data: bytearray
    left: int
    failed_at: int | None = None


@dataclass
class _Request:
    """One request on the wire. Bytes arrive ascending: `at` is where the next go."""

    read: _Read
    address: int
    at: int
    left: int


class Dma:
    """Reads and writes for all tasks of the endpoint."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._free: deque[int] = deque(range(TAGS))
        self._out: dict[int, _Request] = {}
        self._tag_free = core.signal()
        self.drained = core.signal()

    @property
    def outstanding(self) -> int:
        """Reads on the wire that are not complete."""
        return len(self._out)

    def read(self, address: int, size: int, on_sent: Callable[[], None] | None = None) -> Steps[bytes]:
        """Read `size` bytes (at least 1) at `address`; raises ReadError after the last completion of a bad read.

        on_sent: called when the last request leaves.
        """
        read = _Read(self._core.signal(), bytearray(size), size)
        offset = 0
        while offset < size:
            while not self._free or not self._core.config.bus_master:
                yield self._tag_free if self._core.config.bus_master else self._core.bus_master_changed
            chunk = min(size - offset, self._read_limit(address + offset))
            tag = self._free.popleft()
            self._out[tag] = _Request(read, address + offset, offset, chunk)
            self._core.send(Channel.RQ, memory_read(address + offset, chunk, self._core.config.requester_id, tag))
            self._core.count(DpuCounter.READ_TLPS)
            offset += chunk
            if offset == size and on_sent is not None:
                on_sent()
            yield None
        while read.left:
            yield read.signal
        if read.failed_at is not None:
            raise ReadError(read.failed_at)
        return bytes(read.data)

    def write(self, address: int, data: bytes, on_sent: Callable[[], None] | None = None) -> Steps[None]:
        """Write `data` at `address` in ascending packets, one a micro-step. on_sent: called when the last leaves."""
        offset = 0
        while offset < len(data):
            while not self._core.config.bus_master:
                yield self._core.bus_master_changed
            chunk = min(len(data) - offset, self._write_limit(address + offset))
            piece = data[offset : offset + chunk]
            self._core.send(Channel.RQ, memory_write(address + offset, piece, self._core.config.requester_id))
            self._core.count(DpuCounter.WRITE_TLPS)
            offset += chunk
            if offset == len(data) and on_sent is not None:
                on_sent()
            yield None

    def _read_limit(self, address: int) -> int:
        """A request stays within a 4 KiB page, and its dwords within Max_Read_Request_Size (PCIe 2.2.7)."""
        if self._core.defect is Defect.READ_CROSSES_4K:
            return PAGE - (address & 3)
        return min(self._core.config.mrrs - (address & 3), PAGE - address % PAGE)

    def _write_limit(self, address: int) -> int:
        """A write stays within a 4 KiB page, and its dwords within Max_Payload_Size (PCIe 2.2.2, 2.2.7)."""
        mps = PAGE if self._core.defect is Defect.PAYLOAD_ABOVE_MPS else self._core.config.mps
        return min(mps - (address & 3), PAGE - address % PAGE)

    def completion(self, tlp: Tlp) -> None:
        """A packet on rc. One that answers nothing is dropped and logged."""
        request = self._out.get(tlp.tag)
        if tlp.kind not in (TlpKind.CPL, TlpKind.CPLD) or request is None:
            self._core.log(ErrorCode.UNEXPECTED_CPL, address=tlp.tag)
            return
        if tlp.status != CompletionStatus.SC or tlp.kind is TlpKind.CPL:
            aborted = tlp.status == CompletionStatus.CA
            self._core.config.received(unsupported=not aborted, aborted=aborted, poisoned=tlp.ep)
            self._fail(tlp.tag, request)
            return
        if tlp.ep:
            self._core.config.received(poisoned=True)
            request.read.failed_at = request.address
        data = completion_bytes(tlp)[: request.left]
        request.read.data[request.at : request.at + len(data)] = data
        request.at += len(data)
        request.left -= len(data)
        request.read.left -= len(data)
        if request.left == 0:
            self._finish(tlp.tag, request)

    def drain(self) -> Steps[None]:
        """Wait until no read is on the wire of those that are now."""
        waited = list(self._out.values())
        while any(request is other for request in self._out.values() for other in waited):
            yield self._tag_free

    def time_out(self) -> None:
        """The completion time-out of every request on the wire passes."""
        for tag, request in list(self._out.items()):
            self._core.log(ErrorCode.CPL_TIMEOUT, address=request.address)
            self._fail(tag, request)

    def _fail(self, tag: int, request: _Request) -> None:
        request.read.failed_at = request.address
        request.read.left -= request.left
        self._finish(tag, request)

    def _finish(self, tag: int, request: _Request) -> None:
        del self._out[tag]
        self._free.append(tag)
        self._tag_free.fire()
        if not self._out:
            self.drained.fire()
        if request.read.left == 0:
            request.read.signal.fire()
