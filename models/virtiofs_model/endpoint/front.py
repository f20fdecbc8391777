"""The completer: configuration and memory requests of the host, in the order in which they came."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from virtiofs_model.config_space import (
    BAR0_SIZE,
    COMMON_REGION,
    DEVICE_REGION,
    ISR_REGION,
    MSIX_PBA_OFFSET,
    MSIX_TABLE_OFFSET,
    NOTIFY_REGION,
)
from virtiofs_model.defects import Defect
from virtiofs_model.endpoint.core import FRONT, Channel, Core
from virtiofs_model.endpoint.interrupts import Interrupts
from virtiofs_model.endpoint.tasks import Steps
from virtiofs_model.layouts.tlp import POSTED, CompletionStatus, TlpKind
from virtiofs_model.layouts.virtio import NOTIFY_OFF_MULTIPLIER
from virtiofs_model.registers import MAX_QUEUES
from virtiofs_model.tlp import Tlp, completion, split_completions

COMPLETION_BOUNDARY = 128


class Front:
    """Serves requests from cq: configuration space, BAR0, and Unsupported Request for all else.

    doorbell(queue) is called for a write to that queue's doorbell: the address tells which one. What is written (an
    index, queue_notif_config_data, how far the ring is filled) is not needed. A completion leaves after every posted
    write that was sent before its request was taken up, because packets leave in the order in which they are sent.
    """

    def __init__(self, core: Core, interrupts: Interrupts, doorbell: Callable[[int], None]) -> None:
        self._core = core
        self._interrupts = interrupts
        self._doorbell = doorbell
        self._requests: deque[Tlp] = deque()
        self._arrived = core.signal()
        core.config.window_read = self.read_bar
        core.config.window_write = self.write_bar
        core.config.on_change = self._config_changed
        core.scheduler.spawn(self._serve(), FRONT)

    def request(self, tlp: Tlp) -> None:
        """A packet on cq."""
        self._requests.append(tlp)
        self._arrived.fire()

    def _serve(self) -> Steps[None]:
        while True:
            while not self._requests:
                yield self._arrived
            tlp = self._requests.popleft()
            if tlp.kind in (TlpKind.CFGRD0, TlpKind.CFGWR0):
                self._config_request(tlp)
            elif tlp.kind is TlpKind.MRD and self._in_bar(tlp):
                self._memory_read(tlp)
            elif tlp.kind is TlpKind.MWR and self._in_bar(tlp):
                self._memory_write(tlp)
            elif tlp.kind in POSTED:
                if tlp.kind is TlpKind.MWR:
                    self._core.config.refused_request(posted=True)
            else:
                self._refuse(tlp)
            yield None

    def _config_changed(self) -> None:
        self._interrupts.look_again()
        if self._core.config.bus_master:
            self._core.bus_master_changed.fire()

    def _refuse(self, tlp: Tlp) -> None:
        self._core.config.refused_request(posted=False)
        answer = completion(tlp, self._core.config.requester_id, None, CompletionStatus.UR)
        if tlp.kind is TlpKind.MRDLK:
            answer.kind = TlpKind.CPLLK
        self._core.send(Channel.CC, answer)

    def _config_request(self, tlp: Tlp) -> None:
        config = self._core.config
        if tlp.kind is TlpKind.CFGWR0:
            # Bus and device number are captured from every type 0 configuration write (PCIe 2.2.6.2).
            config.requester_id = tlp.completer_id & ~7
        if tlp.completer_id & 7 or tlp.ep:
            self._refuse(tlp)
        elif tlp.kind is TlpKind.CFGRD0:
            value = config.read(tlp.address, tlp.first_be)
            self._core.send(Channel.CC, completion(tlp, config.requester_id, value.to_bytes(4, "little")))
        else:
            config.write(tlp.address, int.from_bytes(tlp.payload[:4], "little"), tlp.first_be)
            self._core.send(Channel.CC, completion(tlp, config.requester_id, None))

    def _in_bar(self, tlp: Tlp) -> bool:
        config = self._core.config
        end = tlp.address + 4 * tlp.length_dw
        return config.memory_enable and config.bar0 <= tlp.address and end <= config.bar0 + BAR0_SIZE

    @staticmethod
    def _enables(tlp: Tlp) -> list[int]:
        enables = [0xF] * tlp.length_dw
        enables[-1] = tlp.last_be
        enables[0] = tlp.first_be
        return enables

    def _memory_read(self, tlp: Tlp) -> None:
        offset = tlp.address - self._core.config.bar0
        data = b"".join(
            self.read_bar(offset + 4 * index, enables).to_bytes(4, "little")
            for index, enables in enumerate(self._enables(tlp))
        )
        first = tlp.address - tlp.address % COMPLETION_BOUNDARY
        cuts = list(range(first, tlp.address + len(data), COMPLETION_BOUNDARY))
        for part in split_completions(tlp, self._core.config.requester_id, data, cuts):
            self._core.send(Channel.CC, part)

    def _memory_write(self, tlp: Tlp) -> None:
        if tlp.ep:
            self._core.config.received(poisoned=True)
            return
        offset = tlp.address - self._core.config.bar0
        for index, enables in enumerate(self._enables(tlp)):
            value = int.from_bytes(tlp.payload[4 * index : 4 * index + 4], "little")
            self.write_bar(offset + 4 * index, value, enables)

    # ---- BAR0 by dword ----

    def read_bar(self, offset: int, enables: int) -> int:
        """The dword at `offset`; only an enabled byte has a side effect. Outside the structures it reads 0."""
        registers = self._core.registers
        if offset < COMMON_REGION.length:
            return registers.read_common(offset)
        if offset == ISR_REGION.offset:
            return registers.read_isr() if enables & 1 else 0
        if DEVICE_REGION.offset <= offset < DEVICE_REGION.offset + DEVICE_REGION.length:
            return registers.read_device(offset - DEVICE_REGION.offset) if enables else 0
        if MSIX_TABLE_OFFSET <= offset < MSIX_PBA_OFFSET:
            return self._interrupts.read_table(offset - MSIX_TABLE_OFFSET)
        if MSIX_PBA_OFFSET <= offset < MSIX_PBA_OFFSET + 8:
            return self._interrupts.read_pba(offset - MSIX_PBA_OFFSET)
        return 0

    def write_bar(self, offset: int, value: int, enables: int) -> None:
        """Write the enabled bytes of a dword; what is read-only or absent ignores it."""
        if offset < COMMON_REGION.length:
            self._core.registers.write_common(offset, value, enables)
        elif MSIX_TABLE_OFFSET <= offset < MSIX_PBA_OFFSET:
            self._interrupts.write_table(offset - MSIX_TABLE_OFFSET, value, enables)
        elif NOTIFY_REGION.offset <= offset < NOTIFY_REGION.offset + NOTIFY_REGION.length and enables & 0x3:
            queue = (offset - NOTIFY_REGION.offset) // NOTIFY_OFF_MULTIPLIER
            if self._core.defect is Defect.DOORBELL_BY_VALUE:
                queue = value & 0xFFFF
            if self._core.defect is Defect.DOORBELL_OF_16_BITS and enables == 0xF:
                return
            if queue < MAX_QUEUES:
                self._doorbell(queue)
