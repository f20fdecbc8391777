"""The order of initialisation and reset, and the features that a driver takes (virtio 1.2 and later, 3.1 and 2.1)."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from virtiofs_model.layouts.virtio import DeviceStatus, Feature
from virtiofs_tb.scoreboards.driver_rules.base import L1, Report, Theme
from virtiofs_tb.scoreboards.events import Doorbell, PinReset, RegisterRead, RegisterWrite, ResetDone
from virtiofs_tb.scoreboards.observer import Observer

DRIVER_FEATURE, STATUS, QUEUE_ENABLE = 0x0C, 0x14, 0x1C
ACKNOWLEDGE, DRIVER = int(DeviceStatus.ACKNOWLEDGE), int(DeviceStatus.DRIVER)
FEATURES_OK, DRIVER_OK = int(DeviceStatus.FEATURES_OK), int(DeviceStatus.DRIVER_OK)
FAILED, NEEDS_RESET = int(DeviceStatus.FAILED), int(DeviceStatus.DEVICE_NEEDS_RESET)

SR_IOV = 37
KNOWN = sum(feature.mask for feature in Feature) | 1 << SR_IOV | 1 << 41
"""Bits with a meaning for a file system device over PCI."""
WELCOME = {
    "RSVD-R03": Feature.ACCESS_PLATFORM,
    "RSVD-R06": Feature.RING_PACKED,
    "RSVD-R07": Feature.ORDER_PLATFORM,
    "RSVD-R13": Feature.NOTIF_CONFIG_DATA,
}
"""Features that a driver should take where they are offered."""


class StatusRules(Theme):
    """Status bits in their order, features within what is offered, no step too early."""

    rules: ClassVar[dict[str, str]] = dict.fromkeys(
        (
            *("STATUS-R01", "STATUS-R02", "STATUS-R03", "FEAT-R01", "FEAT-R05", "RESET-R01", "INIT-R01", "INIT-R03"),
            *("INIT-R04", "INIT-R05", "INIT-R07", "INIT-R08", "RSVD-R01", "RSVD-R10", "PCI-COMMON-R05", "FS-CFG-R01"),
            *WELCOME,
        ),
        L1,
    )

    def __init__(self, observer: Observer, report: Callable[[Report], None]) -> None:
        super().__init__(observer, report)
        self._was_reset = False  # once, by the driver
        self._begin()

    def _begin(self) -> None:
        self._status = 0  # what the driver has set, and was not told to be refused
        self._resetting = False
        self._read_back: int | None = None  # status since the reset was asked for
        self._looked = True  # at status, since FEATURES_OK was written
        self._refused = False

    def on_pin_reset(self, event: PinReset) -> None:
        self._was_reset = False
        self._begin()

    def on_reset_done(self, event: ResetDone) -> None:
        if self.observer.virtio.resetting and self._read_back == 0:
            self._begin()

    # ---- reads ----

    def on_register_read(self, event: RegisterRead) -> None:
        if event.region != "common" or event.status or not event.at <= STATUS < event.at + len(event.data):
            return
        value = event.data[STATUS - event.at]
        if self._resetting:
            self._read_back = value
            if value == 0:
                self._begin()
                self._was_reset = True
            return
        if not self._looked:
            self._looked = True
            self._refused = not value & FEATURES_OK
            if self._refused:
                self._status &= ~FEATURES_OK

    # ---- writes ----

    def on_register_write(self, event: RegisterWrite) -> None:
        if event.region == "device":
            self._config_written(event)
        elif event.region == "common":
            at, end = event.at, event.at + len(event.data)
            if at <= STATUS < end:
                self._status_written(event, event.data[STATUS - at])
                return
            self._still_resetting(event)
            if at < DRIVER_FEATURE + 4 and end > DRIVER_FEATURE:
                self._features_written(event)
            elif at <= QUEUE_ENABLE < end:
                self._set_up(event)

    def _config_written(self, event: RegisterWrite) -> None:
        early = not self._status & FEATURES_OK
        clause, when = ("INIT-R03", "before FEATURES_OK") if early else ("FS-CFG-R01", "of the file system device")
        text = f"device configuration written at offset {event.at:#x}"
        self.wrong(event.t_ps, event.seq, clause, text, "read only", f"{len(event.data)} bytes {when}")

    def _still_resetting(self, event: RegisterWrite) -> bool:
        if not self._resetting:
            return False
        if self._read_back is None:
            clause, seen = "PCI-COMMON-R05", "no read of it"
        else:
            clause, seen = "RESET-R01", f"{self._read_back:#x} when it was read last"
        text = f"common configuration written at offset {event.at:#x} after a write of 0 to device_status"
        self.wrong(event.t_ps, event.seq, clause, text, "first a read of device_status that gives 0", seen)
        self._begin()
        self._was_reset = True
        return True

    def _status_written(self, event: RegisterWrite, value: int) -> None:
        t_ps, seq, before = event.t_ps, event.seq, self._status
        if value == 0:
            self._begin()
            self._resetting = True
            return
        if self._still_resetting(event):
            before = 0
        missing = before & ~value & ~NEEDS_RESET
        if before & FAILED:
            self.wrong(t_ps, seq, "STATUS-R03", "device_status after FAILED", "0, a reset", f"{value:#x}")
        elif missing:
            self.wrong(t_ps, seq, "STATUS-R02", f"device_status {value:#x}", f"all of {before:#x} set", "bits cleared")
        elif not value & FAILED:
            self._step(event, before, value)
        self._status = value | before

    def _step(self, event: RegisterWrite, before: int, value: int) -> None:
        t_ps, seq, new = event.t_ps, event.seq, value & ~before
        if new & DRIVER_OK and ~value & (ACKNOWLEDGE | DRIVER | FEATURES_OK):
            text = f"device_status {value:#x} sets DRIVER_OK"
            self.wrong(t_ps, seq, "STATUS-R01", text, "ACKNOWLEDGE, DRIVER and FEATURES_OK in it", "not all of them")
            return
        if not before and not self._was_reset:
            text = f"device_status {value:#x}, the first step"
            self.wrong(t_ps, seq, "INIT-R01", text, "a reset before it", "none since power-on")
            self._was_reset = True
        if new & FEATURES_OK:
            self._looked = False
            if not value & DRIVER:
                text = f"device_status {value:#x} sets FEATURES_OK"
                self.wrong(t_ps, seq, "INIT-R01", text, "DRIVER in it", "not there")
            else:
                self._features_settled(event)
        if new & DRIVER_OK and not new & FEATURES_OK:
            self._set_up(event)

    def _features_written(self, event: RegisterWrite) -> None:
        if self._status & FEATURES_OK:
            text = "driver_feature written after FEATURES_OK"
            self.wrong(event.t_ps, event.seq, "INIT-R04", text, "no change of features", f"{event.data.hex()}")
        elif not self._status & DRIVER:
            text = "driver_feature written before DRIVER is set"
            self.wrong(event.t_ps, event.seq, "INIT-R01", text, "the step DRIVER first", f"status {self._status:#x}")

    def _features_settled(self, event: RegisterWrite) -> None:
        t_ps, seq, virtio = event.t_ps, event.seq, self.observer.virtio
        taken, offered = virtio.driver_features, virtio.offered
        if taken & ~offered:
            seen = f"{taken & ~offered:#x} beside them"
            self.wrong(t_ps, seq, "FEAT-R01", "features that were taken", f"some of {offered:#x}", seen)
        if taken & offered & ~KNOWN:
            seen = f"{taken & offered & ~KNOWN:#x}"
            self.wrong(t_ps, seq, "FEAT-R05", "features that were taken", "none without a meaning", seen)
        if taken & offered & 1 << SR_IOV:
            self.wrong(t_ps, seq, "RSVD-R10", "VIRTIO_F_SR_IOV", "not taken: no SR-IOV capability", "taken")
        if offered & ~taken & Feature.VERSION_1.mask:
            self.wrong(t_ps, seq, "RSVD-R01", "VIRTIO_F_VERSION_1", "taken, since it is offered", "not taken")
        for clause, feature in WELCOME.items():
            if offered & ~taken & feature.mask:
                text = f"VIRTIO_F_{feature.name}"
                self.wrong(t_ps, seq, clause, text, "taken, since it is offered", "not taken")

    def _set_up(self, event: RegisterWrite) -> None:
        """Queues are enabled, or DRIVER_OK is set: the features must be settled."""
        t_ps, seq = event.t_ps, event.seq
        if self._refused:
            text = "initialisation goes on although FEATURES_OK was refused"
            self.wrong(t_ps, seq, "INIT-R07", text, "FAILED or a reset", f"a write at offset {event.at:#x}")
            self._refused = False
        elif not self._status & FEATURES_OK:
            self.wrong(t_ps, seq, "INIT-R01", "queue_enable", "FEATURES_OK before it", f"status {self._status:#x}")
        elif not self._looked:
            text = "FEATURES_OK was written and not read back"
            self.wrong(t_ps, seq, "INIT-R05", text, "a read of device_status", f"a write at offset {event.at:#x}")
            self._looked = True

    def on_doorbell(self, event: Doorbell) -> None:
        if not self._status & DRIVER_OK and not self._resetting:
            text = f"doorbell of queue {event.queue}"
            self.wrong(event.t_ps, event.seq, "INIT-R08", text, "none before DRIVER_OK", f"status {self._status:#x}")
