"""MSI-X: table, pending bits, and the messages; and INTA. Events are queue indices, and CONFIG_EVENT."""

from __future__ import annotations

from virtiofs_model.defects import Defect
from virtiofs_model.endpoint.core import FRONT, Channel, Core
from virtiofs_model.endpoint.tasks import Steps
from virtiofs_model.layouts.dpu import DpuCounter
from virtiofs_model.layouts.pci import MSIX_VECTOR_MASK, MsixTableEntry
from virtiofs_model.layouts.tlp import MessageCode
from virtiofs_model.layouts.virtio import IsrStatus
from virtiofs_model.registers import CONFIG_EVENT, MAX_QUEUES
from virtiofs_model.tlp import interrupt_message, memory_write

ENTRY_SIZE = 16


class Interrupts:
    """Turns events into MSI-X messages, or bits of the ISR and messages of INTA.

    An event that meets a mask, or bus master off, waits in the pending bits. Bus master says nothing of INTA.
    """

    def __init__(self, core: Core) -> None:
        self._core = core
        self._vectors = core.registers.msix_vectors
        self.table = [MsixTableEntry(vector_control=MSIX_VECTOR_MASK) for _ in range(self._vectors)]
        self._pending: set[int] = set()
        self._left: set[int] = set()  # vectors with a message that nothing can take back (a defect)
        self._changed = core.signal()
        core.registers.on_vector_unmapped = self.forget
        core.on_needs_reset = self.config_changed
        core.scheduler.spawn(self._deliver(), FRONT)
        self._told = self._telling = False  # what the host takes INTA for; it is being told
        self._without_isr = False  # a defect: INTA is wanted, and no bit says why
        if core.config.intx:
            core.config.interrupt = self._status
            core.registers.on_isr = self._line_changed

    # ---- events ----

    def used_buffer(self, queue: int) -> None:
        """A used buffer of `queue` must be told to the driver."""
        if not self._core.config.msix_enable:
            self._raise_queue_bit()
        elif not self._core.strikes(Defect.INTERRUPT_MISSING, 3):
            self._raise(queue)

    def config_changed(self) -> None:
        """A configuration change (or NEEDS_RESET): the ISR bit is set first, with MSI-X too (PCI-ISR-D02)."""
        if self._core.defect is not Defect.CONFIG_INTERRUPT_WITHOUT_ISR:
            self._core.registers.raise_isr(IsrStatus.CONFIG)
        if self._core.config.msix_enable:
            self._raise(CONFIG_EVENT)

    def _raise_queue_bit(self) -> None:
        """PCI-ISR-D03: INTA follows the bit."""
        if self._core.defect is Defect.INTX_WITHOUT_ISR:
            self._without_isr = True
            self._line_changed()
        elif not self._core.strikes(Defect.INTX_MISSING, 4):
            self._core.registers.raise_isr(IsrStatus.QUEUE)

    def forget(self, event: int) -> None:
        """The event lost its vector: what was pending for it goes without a message."""
        vector = self._vector(event)
        if self._core.defect is Defect.QUEUE_RESET_INTERRUPTS and event in self._pending and vector is not None:
            self._left.add(vector)
        self._pending.discard(event)

    def reset(self) -> None:
        """Device reset: no pending bit of a queue or of the configuration survives."""
        self._pending.clear()

    def look_again(self) -> None:
        """A mask, an enable or bus master changed."""
        self._changed.fire()
        self._line_changed()

    def _raise(self, event: int) -> None:
        vector = self._vector(event)
        if vector is None:
            return  # PCI-USEDINT-D01, PCI-CFGINT-D01
        if self._core.defect is Defect.PENDING_LOST and not self._open(vector):
            return
        self._pending.add(event)
        self._changed.fire()

    def _vector(self, event: int) -> int | None:
        registers = self._core.registers
        vector = registers.config_vector if event == CONFIG_EVENT else registers.queues[event].vector
        if vector < self._vectors:
            return vector
        return 0 if self._core.defect is Defect.INTERRUPT_NO_VECTOR else None

    def _open(self, vector: int) -> bool:
        config = self._core.config
        if not (config.msix_enable and config.bus_master):
            return False
        if self._core.defect is Defect.INTERRUPT_WHILE_MASKED:
            return True
        return not config.msix_function_mask and not self.table[vector].vector_control & MSIX_VECTOR_MASK

    def _deliver(self) -> Steps[None]:
        while True:
            vectors = {self._vector(event) for event in self._pending} | self._left
            vector = next((v for v in sorted(v for v in vectors if v is not None) if self._open(v)), None)
            if vector is None:
                yield self._changed
                continue
            self._left.discard(vector)
            self._pending = {event for event in self._pending if self._vector(event) != vector}
            entry = self.table[vector]
            data = int(entry.message_data).to_bytes(4, "little")
            self._core.send(Channel.RQ, memory_write(entry.message_address & ~3, data, self._core.config.requester_id))
            self._core.count(DpuCounter.INTERRUPTS)
            yield None

    # ---- INTA ----

    def _status(self) -> bool:
        """The Status register's Interrupt bit, whatever Interrupt Disable says (PCI-ISR-D04)."""
        config = self._core.config
        if self._core.defect is Defect.INTX_STATUS_DISABLED and config.intx_disable:
            return False
        return bool(self._core.registers.isr) and not config.msix_enable

    def _level(self) -> bool:
        config, defect = self._core.config, self._core.defect
        wanted = bool(self._core.registers.isr) or self._without_isr
        if defect is Defect.INTX_NOT_DEASSERTED and self._told:
            return True
        if config.msix_enable and defect is not Defect.INTX_WITH_MSIX:
            return False
        return wanted and (not config.intx_disable or defect is Defect.INTX_WHILE_DISABLED)

    def _line_changed(self) -> None:
        """What decides about the level changed."""
        if self._core.config.intx and not self._telling and self._level() != self._told:
            self._telling = True
            self._core.scheduler.spawn(self._line(), FRONT)

    def _line(self) -> Steps[None]:
        """A message for each change of the level that the host has not been told."""
        while (level := self._level()) != self._told:
            self._told = level
            code = MessageCode.ASSERT_INTA if level else MessageCode.DEASSERT_INTA
            self._core.send(Channel.RQ, interrupt_message(code, self._core.config.requester_id))
            yield None
        self._telling = False

    # ---- BAR access by dword ----

    def read_table(self, offset: int) -> int:
        """The dword at `offset` of the table."""
        if offset >= self._vectors * ENTRY_SIZE:
            return 0
        raw = bytes(self.table[offset // ENTRY_SIZE])
        return int.from_bytes(raw[offset % ENTRY_SIZE : offset % ENTRY_SIZE + 4], "little")

    def write_table(self, offset: int, value: int, enables: int) -> None:
        """Write the enabled bytes of a dword of the table; only bit 0 of vector control exists."""
        if offset >= self._vectors * ENTRY_SIZE:
            return
        raw = bytearray(self.table[offset // ENTRY_SIZE])
        for lane in range(4):
            if enables >> lane & 1:
                raw[offset % ENTRY_SIZE + lane] = value >> 8 * lane & 0xFF
        entry = MsixTableEntry.from_buffer_copy(raw)
        entry.vector_control &= MSIX_VECTOR_MASK
        self.table[offset // ENTRY_SIZE] = entry
        self.look_again()

    def read_pba(self, offset: int) -> int:
        """The dword at `offset` of the pending bit array."""
        pending = 0
        for event in (CONFIG_EVENT, *range(MAX_QUEUES)):
            vector = self._vector(event)
            if event in self._pending and vector is not None:
                pending |= 1 << vector
        return pending >> 8 * offset & 0xFFFFFFFF if offset < 8 else 0
