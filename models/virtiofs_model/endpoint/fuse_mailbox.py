"""The FUSE mailbox of the golden device: the DPU as a client of the device's own file system (docs/dpu-port.md)."""

from __future__ import annotations

import struct

from virtiofs_model.defects import Defect
from virtiofs_model.endpoint.announcer import Announcer
from virtiofs_model.endpoint.core import FRONT, Core
from virtiofs_model.endpoint.faulty_announcements import spoilt
from virtiofs_model.endpoint.tasks import Steps
from virtiofs_model.layouts.dpu import REQUEST_BUSY, REQUEST_BYTES_MAX, REQUEST_BYTES_MIN, RequestResult
from virtiofs_model.ramfs.dpu import DpuClient


class RefusingMailbox:
    """Of an endpoint without a file system of its own: every request is refused."""

    busy = False
    overflow = False
    reply_length = 0

    def __init__(self) -> None:
        self._result = 0

    def status(self) -> int:
        """REQUEST_STATUS."""
        return self._result

    def take(self) -> int:
        """REPLY_DATA."""
        return 0

    def push(self, value: int) -> None:
        """REQUEST_DATA."""

    def submit(self, length: int) -> None:
        """REQUEST_LENGTH."""
        self._result = RequestResult.REFUSED


class FuseMailbox:
    """One request at a time; it waits here until it may begin, and outlives resets of the device."""

    def __init__(self, core: Core, client: DpuClient, announcer: Announcer) -> None:
        self._core = core
        self._client = client
        self._announcer = announcer
        self._pushed = bytearray()
        self._request: bytes | None = None
        self._result = 0
        self._reply = b""
        self._taken = 0
        core.scheduler.spawn(self._serve(), FRONT)

    @property
    def busy(self) -> bool:
        """A request is under way."""
        return self._request is not None

    @property
    def overflow(self) -> bool:
        """The flag of NOTIFY_FLAGS."""
        return self._announcer.overflow

    def status(self) -> int:
        """REQUEST_STATUS."""
        return REQUEST_BUSY if self.busy else self._result

    @property
    def reply_length(self) -> int:
        """REPLY_LENGTH."""
        return len(self._reply)

    def take(self) -> int:
        """The reply's next dword; 0 behind its end."""
        dword = self._reply[self._taken : self._taken + 4]
        self._taken += 4
        return int.from_bytes(dword, "little")

    def push(self, value: int) -> None:
        """The request's next dword."""
        self._pushed += value.to_bytes(4, "little")

    def submit(self, length: int) -> None:
        """Hand the request over; what cannot be one is refused."""
        pushed, self._pushed = self._pushed, bytearray()
        self._reply, self._taken = b"", 0
        fits = REQUEST_BYTES_MIN <= length <= REQUEST_BYTES_MAX and len(pushed) == -(-length // 4) * 4
        if not fits or self._core.registers.straps.firmware:
            self._result = RequestResult.REFUSED
            return
        self._request = bytes(pushed[:length])
        self._announcer.changed.fire()

    def _serve(self) -> Steps[None]:
        while True:
            if self._request is None or not self._announcer.may_begin(struct.unpack_from("<I", self._request, 4)[0]):
                yield self._announcer.changed
                continue
            answer = self._client.request(self._request)
            if self._core.defect is Defect.POLL_BEFORE_INVALIDATION:
                self._announcer.tell(self._client.server)
            self._announcer.announce(spoilt(self._core.defect, self._request, answer))
            self._announcer.tell(self._client.server)
            self._reply, self._request = answer.reply, None
            self._result = RequestResult.ANSWERED
            yield None
