"""The link to QEMU's device: packets of the root port become loads and stores of the machine, and completions return.

So that the root port, the log and the scoreboards find at QEMU what they find at any endpoint: requests on CQ,
completions on CC, MSI-X messages as memory writes on RQ. The device's DMA is not seen, as it happens inside QEMU.
"""

from __future__ import annotations

from collections.abc import Callable

from virtiofs_model import tlp
from virtiofs_model.layouts.tlp import CompletionStatus, TlpKind
from virtiofs_model.tlp import Header, Tlp
from virtiofs_tb.host.link import DEVICE_BUS
from virtiofs_tb.host.log import Channel
from virtiofs_tb.host.qemu import DEVICE, MESSAGE_BASE, NO_MESSAGE, QemuMachine
from virtiofs_tb.host.qtest import QtestError

DEVICE_ID = DEVICE_BUS << 8  # as the root port addresses function 0
MESSAGE_STEP = 16  # bytes between the addresses of two vectors
VECTORS = 64
_NOTHING = NO_MESSAGE.to_bytes(4, "little")
_MESSAGE_BYTES = VECTORS * MESSAGE_STEP
_NO_MESSAGES = _NOTHING * (_MESSAGE_BYTES // 4)


class QemuLink:
    """Link (host/link.py). receive: takes the packets of the device; sent: sees those of the host."""

    def __init__(
        self,
        machine: QemuMachine,
        sent: Callable[[int, Header, bytes], None],
        receive: Callable[[int, Header, bytes], None],
    ) -> None:
        self._machine = machine
        self._sent = sent
        self._receive = receive
        self._functions: dict[int, bool] = {0: True}

    def send(self, channel: int, hdr: Header, payload: bytes, due_ps: int = 0) -> None:
        """Carry a packet of the host out. `due_ps` does not matter: QEMU has no completions to wait for.

        Raises PeerError when QEMU is gone.
        """
        if channel != Channel.CQ:
            return  # a completion of the host: no request of the device comes here that would have one
        self._sent(channel, hdr, payload)
        request = tlp.decode(hdr, payload)
        try:
            completion = self._carry_out(request)
            if _tells_virtiofsd(request):
                self._machine.settle()
        except QtestError as error:
            raise self._machine.death(error, f"it carried out {request.kind.name}") from error
        self.messages()  # what the device wrote before it answered comes first
        if completion is not None:
            self._receive(Channel.CC, *tlp.encode(completion))

    def messages(self) -> None:
        """Take the MSI-X messages that have arrived; several of one vector that came close together are one."""
        memory = self._machine.messages
        if memory[:_MESSAGE_BYTES] == _NO_MESSAGES:
            return
        for at in range(0, _MESSAGE_BYTES, 4):
            data = memory[at : at + 4]
            if data != _NOTHING:
                memory[at : at + 4] = _NOTHING  # before anyone looks what it was for, so that no later one is lost
                self._receive(Channel.RQ, *tlp.encode(tlp.memory_write(MESSAGE_BASE + at, data, DEVICE_ID)))

    def _carry_out(self, request: Tlp) -> Tlp | None:
        """The completion, None for a posted request."""
        if request.kind is TlpKind.MWR:
            for address, data in tlp.write_runs(request):
                self._store(address, data)
            return None
        if request.kind is TlpKind.MRD:
            start, size = tlp.enabled_range(request)
            data = self._load(start, size)
            lead = start - request.address
            whole = (bytes(lead) + data).ljust(4 * request.length_dw, b"\0")
            return tlp.completion(request, DEVICE_ID, whole)
        return self._configuration(request)

    def _configuration(self, request: Tlp) -> Tlp:
        function = request.completer_id & 7
        if request.completer_id >> 3 != DEVICE_ID >> 3 or not self._exists(function):
            return tlp.completion(request, request.completer_id, None, CompletionStatus.UR)
        base = self._machine.config_address(DEVICE, function, request.address)
        start, size = tlp.enabled_bytes(base, 1, request.first_be, 0)
        if request.kind is TlpKind.CFGWR0:
            lead = start - base
            self._store(start, request.payload[lead : lead + size])
            return tlp.completion(request, request.completer_id, None)
        data = bytes(start - base) + self._load(start, size)
        return tlp.completion(request, request.completer_id, data.ljust(4, b"\0"))

    def _exists(self, function: int) -> bool:
        if function not in self._functions:
            vendor = self._machine.qtest.read(self._machine.config_address(DEVICE, function, 0), 2)
            self._functions[function] = vendor != 0xFFFF
        return self._functions[function]

    def _load(self, address: int, size: int) -> bytes:
        """In the widths that a processor has: 1, 2, 4 bytes, aligned."""
        data = b""
        while size:
            width = _width(address, size)
            data += self._machine.qtest.read(address, width).to_bytes(width, "little")
            address += width
            size -= width
        return data

    def _store(self, address: int, data: bytes) -> None:
        while data:
            width = _width(address, len(data))
            self._machine.qtest.write(address, width, int.from_bytes(data[:width], "little"))
            address += width
            data = data[width:]


def _tells_virtiofsd(request: Tlp) -> bool:
    """Whether QEMU may send vhost-user messages for it: writes to configuration space (MSI-X), to device_status, and to
    the MSI-X table. Stores of two bytes do not: doorbells, and registers of queues that QEMU keeps until DRIVER_OK.
    """
    if request.kind is TlpKind.MWR:
        return any(len(data) != 2 for _, data in tlp.write_runs(request))
    return request.kind is TlpKind.CFGWR0


def _width(address: int, size: int) -> int:
    return next(width for width in (4, 2, 1) if width <= size and address % width == 0)
