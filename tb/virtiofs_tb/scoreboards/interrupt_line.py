"""INTA: a level that follows the ISR while MSI-X is off, told by messages, and shown in the Status register.

What asks for it is the same as for MSI-X (suppression.py). A bit of the ISR is set some time after the words that ask
were read, and may be cleared before the host is told: both are granted SETTLE_PS.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from virtiofs_model.config_space import COMMAND
from virtiofs_model.layouts.pci import MSIX_CONTROL_ENABLE, PciCommand, PciStatus
from virtiofs_model.layouts.virtio import IsrStatus
from virtiofs_tb.scoreboards.events import (
    ConfigAccess,
    ConfigRequest,
    InterruptLine,
    PinReset,
    QueueResetBegin,
    RegisterRead,
    ResetBegin,
    ResetDone,
    SuppressionRead,
    Tick,
)
from virtiofs_tb.scoreboards.suppression import Outcome

if TYPE_CHECKING:
    from virtiofs_tb.scoreboards.interrupts import InterruptScoreboard

SETTLE_PS = 2_000_000
MAX_CAUSES = 64
Cause = tuple[int, int, int]
"""A queue whose used buffer asks for an interrupt, since when, and the read that says so."""


class InterruptLineJudge:
    """The part of the scoreboard of interrupts that is about INTA. Where the driver has not read Interrupt
    Pin, nothing is owed.
    """

    def __init__(self, board: InterruptScoreboard) -> None:
        self._board = board
        self._observer = board.observer
        self._limit = board.profile.timing.interrupt_us * 1_000_000
        self._power_on()

    def _power_on(self) -> None:
        self._high: InterruptLine | None = None  # the message that asserted it
        self._disabled = self._msix = False  # for certain
        self._causes: deque[Cause] = deque(maxlen=MAX_CAUSES)  # that may have set the queue bit since it was read
        self._due: Cause | None = None  # the first of them for which it must be set
        self._rise: Cause | None = None  # for which INTA must be asserted
        self._fall: tuple[int, str] | None = None  # since when it must go low, and why
        self._read_ps = self._read_seq = -SETTLE_PS  # of the ISR, the last one

    @property
    def _pin(self) -> bool:
        return self._observer.pci.interrupt_pin == 1

    def _fail(self, t_ps: int, seq: int, text: str, clause: str, expected: str, seen: str) -> None:
        self._board.fail(t_ps, seq, text, clause, expected, seen)

    def _may_need_reset(self) -> bool:
        """Whether a configuration interrupt can be the reason for anything."""
        observer = self._observer
        broken = any(queue.broken for queue in observer.rings.queues.values())
        return broken or bool(observer.failed_reads) or self._board.profile.choices.config_changes

    # ---- what asks for it ----

    def decided(self, index: int, event: SuppressionRead, outcome: Outcome) -> None:
        """The words of a queue were read while MSI-X is off."""
        if outcome.own < 0:
            self._due = self._rise = None
        if not (outcome.wanted or outcome.free or outcome.own > 0 or outcome.again):
            return
        cause = (index, event.t_ps, event.seq)
        self._causes.append(cause)
        self._fall = None
        if outcome.wanted:
            self._board.count("ISR bit")
            self._due = self._due or cause
            if self._high is None:
                self._rise = self._rise or cause

    # ---- messages ----

    def on_interrupt_line(self, event: InterruptLine) -> None:
        self._board.count("INTA")
        if not event.asserted:
            self._high = self._fall = None
            return
        self._high = event
        self._rise = None
        reason = self._forbidden()
        if reason is not None:
            clause, expected = reason
            self._fail(event.t_ps, event.seq, "Assert_INTA", clause, expected, "sent")

    def _forbidden(self) -> tuple[str, str] | None:
        if self._board.resetting:
            return "RESET-D02", "none between reset and DRIVER_OK"
        if self._observer.pci.interrupt_pin == 0:
            return "PCI-BUS-D01", "none: Interrupt Pin is 0"
        if self._msix:
            return "PCI-BUS-D01", "none while MSI-X is on"
        if self._disabled:
            return "PCI-BUS-D01", "none: Interrupt Disable is set"
        return None

    # ---- the ISR ----

    def on_register_read(self, event: RegisterRead) -> None:
        if event.region != "isr" or event.status or not event.data:
            return
        value = event.data[0]
        if not self._observer.pci.may_msix and not self._observer.virtio.resetting and self._pin:
            self._isr(event, value)
        if value & IsrStatus.QUEUE:
            self._due = self._rise = None
        fresh = [cause for cause in self._causes if event.t_ps - cause[1] < SETTLE_PS]
        self._causes = deque(fresh, MAX_CAUSES)  # for what is older the bit was in this read, or in one before
        if self._high is not None and self._fall is None and not fresh:
            self._fall = (event.t_ps, "the ISR was read")
        self._read_ps, self._read_seq = event.t_ps, event.seq

    def _isr(self, event: RegisterRead, value: int) -> None:
        high, due = self._high, self._due
        self._board.count("ISR")
        if value & IsrStatus.QUEUE and not self._causes:
            self._fail(
                event.t_ps, event.seq, "the ISR's queue bit", "PCI-ISR-D05",
                "0: it was read before, and no used buffer has asked since", f"{value:#04x}",
            )  # fmt: skip
        unread = high is not None and self._read_seq < high.seq and high.t_ps - self._read_ps > SETTLE_PS
        if not value and high is not None and unread and event.request_seq > high.seq:
            self._fail(
                event.t_ps, event.seq, f"the ISR after Assert_INTA at seq {high.seq}", "PCI-ISR-D03",
                "a bit set before it", f"{value:#04x}",
            )  # fmt: skip
        elif due is not None and not value & IsrStatus.QUEUE and event.request_seq > due[2] and self._settled(event):
            index, _, seq = due
            self._fail(
                event.t_ps, event.seq, f"the ISR's queue bit after a used buffer of queue {index}",
                self._board.missing(index), f"1: the suppression word read at seq {seq} asks for it", f"{value:#04x}",
            )  # fmt: skip
            self._due = self._rise = None

    def _settled(self, event: RegisterRead | ConfigAccess) -> bool:
        return self._due is not None and event.t_ps - self._due[1] > SETTLE_PS

    # ---- configuration space ----

    def on_config_request(self, event: ConfigRequest) -> None:
        """A write that permits INTA permits it from its arrival on."""
        if not event.write or event.function:
            return
        if event.offset == COMMAND and event.be & 2 and not event.value & PciCommand.INTX_DISABLE:
            self._disabled = False
        msix = self._observer.pci.msix
        if msix and event.offset == msix and event.be & 8 and not event.value >> 16 & MSIX_CONTROL_ENABLE:
            self._msix = False

    def on_config_access(self, event: ConfigAccess) -> None:
        request = event.request
        if request.function or event.status:
            return
        if not request.write:
            if request.offset == COMMAND and request.be & 4:
                self._status(event, bool(event.value >> 16 & PciStatus.INTERRUPT))
            return
        if request.offset == COMMAND and request.be & 2:
            self._disabled = bool(event.value & PciCommand.INTX_DISABLE)
        self._msix = self._observer.pci.may_msix
        if self._msix or self._disabled:
            self._rise = None
            if self._high is not None and self._fall is None:
                self._fall = (event.t_ps, "MSI-X is on" if self._msix else "Interrupt Disable is set")
        elif self._due is not None and self._high is None and self._rise is None:
            self._rise = (self._due[0], event.t_ps, self._due[2])
        if self._msix:
            self._due = None

    def _status(self, event: ConfigAccess, pending: bool) -> None:
        """The Interrupt bit is the OR of the ISR's bits, Interrupt Disable or not (PCI-ISR-D04)."""
        if not self._pin or self._observer.pci.may_msix or self._observer.virtio.resetting:
            return
        self._board.count("Interrupt Status")
        due = self._due
        if pending and not self._causes and not self._may_need_reset():
            self._fail(
                event.t_ps, event.seq, "the Status register's Interrupt bit", "PCI-ISR-D04",
                "0: nothing has set a bit of the ISR", "1",
            )  # fmt: skip
        elif not pending and due is not None and event.request.seq > due[2] and self._settled(event):
            self._fail(
                event.t_ps, event.seq, "the Status register's Interrupt bit", "PCI-ISR-D04",
                f"1: a used buffer of queue {due[0]} has set the ISR's queue bit", "0",
            )  # fmt: skip

    # ---- resets and debts ----

    def on_reset_begin(self, event: ResetBegin) -> None:
        self._due = self._rise = None

    def on_reset_done(self, event: ResetDone) -> None:
        self._causes.clear()
        self._due = self._rise = None
        if self._high is not None:
            self._fall = (event.t_ps, "the device was reset")

    def on_queue_reset_begin(self, event: QueueResetBegin) -> None:
        """The bit may have been set for the queue, and need not be."""
        self._due = self._rise = None

    def on_pin_reset(self, event: PinReset) -> None:
        self._power_on()

    def on_tick(self, event: Tick) -> None:
        if self._limit:
            self.owed(event.t_ps, event.seq, self._limit)

    def owed(self, t_ps: int, seq: int, limit: int) -> None:
        """Fail for what is owed since `limit` ps."""
        rise, fall = self._rise, self._fall
        if rise is not None and self._pin and t_ps - rise[1] >= limit:
            self._rise = None
            self._fail(
                t_ps, seq, f"INTA for queue {rise[0]}", self._board.missing(rise[0]),
                f"asserted: the suppression word read at seq {rise[2]} asks for it", "deasserted",
            )  # fmt: skip
        if fall is not None and self._high is not None and t_ps - fall[0] >= limit:
            self._fall = None
            if not self._may_need_reset() or self._msix or self._disabled:
                self._fail(
                    t_ps, seq, f"INTA, asserted at seq {self._high.seq}",
                    "PCI-BUS-D01" if self._msix or self._disabled else "PCI-ISR-D05",
                    f"deasserted: {fall[1]}", "asserted",
                )  # fmt: skip
