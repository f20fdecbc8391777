"""What every part of the endpoint shares: the golden registers, the task scheduler, errors, counters, the way out."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from enum import IntEnum

from virtiofs_model.config_space import ConfigSpace
from virtiofs_model.defects import Defect
from virtiofs_model.endpoint.tasks import Scheduler, Signal
from virtiofs_model.errors import ErrorCode, LoggedError
from virtiofs_model.layouts.dpu import COUNTER_DWORDS, ERROR_LOG_ENTRIES, DpuCounter
from virtiofs_model.registers import DeviceStraps, VirtioRegisters
from virtiofs_model.tlp import Header, Tlp, encode
from virtiofs_model.virtqueue import ChainError

SERVICE = "service"
"""Group of the tasks that a device reset ends; those of one queue are in queue_group()."""
FRONT = "front"
"""Group of the tasks that live as long as the endpoint."""


def queue_group(queue: int) -> str:
    """Group of the tasks that a reset of this queue ends, like a device reset."""
    return f"queue {queue}"


class Channel(IntEnum):
    """Packet channels: host requests in, completions out, device requests out, completions in."""

    CQ = 0
    CC = 1
    RQ = 2
    RC = 3


Output = Callable[[int, Header, bytes], None]
"""Takes a packet: channel (CC or RQ), header dwords, payload."""


class Core:
    """Registers, scheduler, error log and counters of one endpoint. on_needs_reset: tell the driver (interrupt)."""

    def __init__(
        self, msix_vectors: int, straps: DeviceStraps, defect: Defect | None, output: Output, intx: bool = False
    ) -> None:
        self.defect = defect
        self.scheduler = Scheduler()
        self.config = ConfigSpace(msix_vectors, straps.device_config_length(), defect, intx)
        self.registers = VirtioRegisters(msix_vectors, defect, straps=straps)
        self.output = output
        self.counters = [0] * COUNTER_DWORDS
        self.errors: deque[LoggedError] = deque()
        self.bus_master_changed = Signal(self.scheduler)
        self.on_needs_reset: Callable[[], None] = lambda: None
        self._occasions: dict[Defect, int] = {}

    def signal(self) -> Signal:
        """A new signal of this endpoint's scheduler."""
        return Signal(self.scheduler)

    def send(self, channel: Channel, tlp: Tlp) -> None:
        """Put a packet on a channel."""
        header, payload = encode(tlp)
        self.output(int(channel), header, payload)

    def count(self, counter: DpuCounter) -> None:
        """Add one to a counter."""
        self.counters[counter] = (self.counters[counter] + 1) & 0xFFFFFFFF

    def log(self, code: ErrorCode, queue: int = 0, address: int = 0, fatal: bool = False) -> None:
        """Log an error (the newest is dropped when the log is full); a fatal one sets DEVICE_NEEDS_RESET."""
        self.count(DpuCounter.ERRORS)
        if len(self.errors) < ERROR_LOG_ENTRIES:
            self.errors.append(LoggedError(code, fatal, queue, address))
        if fatal and not self.registers.resetting and self.registers.needs_reset():
            self.on_needs_reset()

    def log_chain_error(self, error: ChainError, queue: int) -> None:
        """A ring that cannot be followed any more."""
        self.log(error.code, queue, error.address, fatal=True)

    def strikes(self, defect: Defect, period: int = 1) -> bool:
        """Whether an injected defect acts on this occasion: it does on every `period`-th one."""
        if self.defect is not defect:
            return False
        occasion = self._occasions.get(defect, 0) + 1
        self._occasions[defect] = occasion
        return occasion % period == 0
