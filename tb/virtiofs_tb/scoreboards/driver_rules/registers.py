"""Registers of the PCI transport (virtio 1.2 and later, 4.1): width and alignment, fields that are not the driver's,
queues before they are enabled, vectors, capabilities and the window behind PCI_CFG."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from virtiofs_model.layouts.pci import PciCapId
from virtiofs_model.layouts.virtio import VIRTIO_MSI_NO_VECTOR, CfgType, Feature
from virtiofs_tb.scoreboards.driver_rules.base import L1, Report, Theme
from virtiofs_tb.scoreboards.events import (
    ConfigRequest,
    PinReset,
    RegisterRead,
    RegisterRequest,
    RegisterWrite,
    ResetDone,
)
from virtiofs_tb.scoreboards.observer import Observer

_WORDS = (0x10, 0x12, 0x16, 0x18, 0x1A, 0x1C, 0x1E, 0x38, 0x3A, 0x3C, 0x3E)
COMMON = {
    **dict.fromkeys((*range(0x00, 0x10, 4), *range(0x20, 0x38, 4)), 4),
    **dict.fromkeys(_WORDS, 2),
    0x14: 1,
    0x15: 1,
}
"""Width of each field of the common structure; those of 64 bits are two halves (PCI-LAYOUT-R01)."""
DEVICE = {**dict.fromkeys(range(36), 1), 36: 4, 40: 4}
NOTIFY_BUF_SIZE = 40
NOT_OURS = {0x04: "device_feature", 0x12: "num_queues", 0x15: "config_generation", 0x1E: "queue_notify_off",
            0x38: "queue_notif_config_data"}  # fmt: skip
QUEUE_SIZE, QUEUE_VECTOR, QUEUE_ENABLE, QUEUE_RESET = 0x18, 0x1A, 0x1C, 0x3A
CONFIG_VECTOR, QUEUE_SELECT, GENERATION = 0x10, 0x16, 0x15
ADDRESSES = range(0x20, 0x38)
IDS = (0x1AF4, 0x1040 + 26)


class RegisterRules(Theme):
    """Each access by itself, and fields of a queue in their order."""

    rules: ClassVar[dict[str, str]] = dict.fromkeys(
        (
            *("PCI-LAYOUT-R01", "PCI-COMMON-R01", "PCI-COMMON-R02", "PCI-COMMON-R03", "PCI-COMMON-R04"),
            *("PCI-COMMON-R06", "PCI-COMMON-R07", "VQRST-R01", "VQREEN-R01", "PCI-ISR-R01", "PCI-CAP-R08"),
            *("PCI-PCICFG-R01", "PCI-PCICFG-R03", "PCI-DETECT-RX1", "PCI-DISC-R01", "PCI-MSIX-R04", "PCI-MSIX-R05"),
            *("CFG-R03", "CFG-R04"),
        ),
        L1,
    )

    def __init__(self, observer: Observer, report: Callable[[Report], None]) -> None:
        super().__init__(observer, report)
        self._begin()

    def _begin(self) -> None:
        self._enabled: set[int] = set()
        self._addressed: dict[int, set[int]] = {}  # by queue: bytes of its addresses that were written
        self._resets: dict[int, int | None] = {}  # queue_reset was written: what it read since
        self._reset_once: set[int] = set()
        self._unread: tuple[int, int] | None = None  # a vector field (offset, value) that was not read back
        self._tag_reads = 0
        self._guarded = False

    def on_reset_done(self, event: ResetDone) -> None:
        self._begin()

    def on_pin_reset(self, event: PinReset) -> None:
        self._begin()

    # ---- form ----

    def _form(self, t_ps: int, seq: int, region: str, at: int, size: int) -> bool:
        fields = {"common": COMMON, "device": DEVICE, "isr": {0: 1}}.get(region)
        if fields is None or fields.get(at) == size:
            return True
        text = f"access to offset {at:#x} of the {region} structure"
        wanted = f"one of {fields[at]} bytes" if at in fields else "one that begins at a field"
        self.wrong(t_ps, seq, "PCI-LAYOUT-R01", text, wanted, f"{size} bytes")
        return False

    def on_register_request(self, event: RegisterRequest) -> None:
        self._reached(event.t_ps, event.seq, event.region)
        if not self._form(event.t_ps, event.seq, event.region, event.at, event.length):
            return
        if event.region == "isr" and self.observer.pci.may_msix:
            self.wrong(event.t_ps, event.seq, "PCI-ISR-R01", "ISR read", "not while MSI-X is enabled", "read")
        self._config_read(event)

    def _reached(self, t_ps: int, seq: int, region: str) -> None:
        """A driver knows what is behind a BAR from the capabilities alone."""
        pci = self.observer.pci
        if region or any(cap.cap_id == PciCapId.VENDOR for cap in pci.capabilities) or not pci.may_memory:
            return
        self.wrong(t_ps, seq, "PCI-DETECT-RX1", "access to a BAR", "a walk along the capabilities before", "none")

    def _config_read(self, event: RegisterRequest) -> None:
        """Fields of the device configuration: a tag is read inside a loop that compares generations."""
        virtio = self.observer.virtio
        if event.region == "device":
            if event.at >= NOTIFY_BUF_SIZE and not virtio.offered & Feature.FS_NOTIFICATION.mask:
                seen = "read, and the feature is not offered"
                self.wrong(event.t_ps, event.seq, "CFG-R04", "notify_buf_size", "read where it exists", seen)
            elif event.at < 36:
                self._tag_reads += 1
        elif event.region == "common":
            if self._tag_reads > 1 and not (self._guarded and event.at == GENERATION):
                seen = "no read of it after" if self._guarded else "no read of it before"
                text = f"{self._tag_reads} reads of the tag"
                self.wrong(event.t_ps, event.seq, "CFG-R03", text, "config_generation read before and after", seen)
            self._tag_reads, self._guarded = 0, event.at == GENERATION

    # ---- reads ----

    def on_register_read(self, event: RegisterRead) -> None:
        if event.region != "common" or event.status:
            return
        value = int.from_bytes(event.data, "little")
        if self._unread is not None and event.at == self._unread[0]:
            self._unread = None
        index = self.observer.virtio.queue_select
        if event.at == QUEUE_RESET and index in self._resets:
            self._resets[index] = value
            if value == 0:
                del self._resets[index]
                self._enabled.discard(index)
                self._addressed.pop(index, None)
                self._reset_once.add(index)

    # ---- writes ----

    def on_register_write(self, event: RegisterWrite) -> None:
        self._reached(event.t_ps, event.seq, event.region)
        if self._form(event.t_ps, event.seq, event.region, event.at, len(event.data)) and event.region == "common":
            self._common_written(event, int.from_bytes(event.data, "little"))

    def _common_written(self, event: RegisterWrite, value: int) -> None:
        t_ps, seq, at = event.t_ps, event.seq, event.at
        virtio = self.observer.virtio
        index = virtio.queue_select
        if at in NOT_OURS:
            self.wrong(t_ps, seq, "PCI-COMMON-R01", NOT_OURS[at], "not written", f"{value:#x} written")
        if at in (CONFIG_VECTOR, QUEUE_VECTOR, QUEUE_SELECT, QUEUE_ENABLE) and self._unread is not None:
            field, wanted = self._unread
            text = f"vector {wanted} at offset {field:#x}"
            self.wrong(t_ps, seq, "PCI-MSIX-R05", text, "read back", f"a write at offset {at:#x} instead")
            self._unread = None
        if at in (CONFIG_VECTOR, QUEUE_VECTOR) and value != VIRTIO_MSI_NO_VECTOR:
            self._mapped(event, value)
        if index in self._resets and at in (QUEUE_SIZE, QUEUE_ENABLE, *ADDRESSES):
            self._too_soon(event, index)
        if at == QUEUE_SIZE:
            self._sized(event, value)
        if at in ADDRESSES:
            self._addressed.setdefault(index, set()).update(range(at, at + len(event.data)))
        if at in (QUEUE_SIZE, *ADDRESSES) and index in self._enabled:
            text = f"offset {at:#x} of queue {index}"
            self.wrong(t_ps, seq, "PCI-COMMON-R04", text, "written before queue_enable", "written after it")
        if at == QUEUE_ENABLE:
            self._enable(event, index, value)
        if at == QUEUE_RESET and value == 1 and index in self._enabled:
            self._resets[index] = None

    def _mapped(self, event: RegisterWrite, value: int) -> None:
        vectors = len(self.observer.pci.vectors)
        if vectors and value >= vectors:
            text = f"vector {value} at offset {event.at:#x}"
            self.wrong(event.t_ps, event.seq, "PCI-MSIX-R04", text, f"below {vectors}, the table's size", f"{value}")
        self._unread = event.at, value

    def _too_soon(self, event: RegisterWrite, index: int) -> None:
        value = self._resets.pop(index)
        clause, seen = ("VQRST-R01", "no read of it") if value is None else ("PCI-COMMON-R07", f"{value} read last")
        text = f"queue {index} set up again after a write of 1 to queue_reset"
        self.wrong(event.t_ps, event.seq, clause, text, "first a read of queue_reset that gives 0", seen)
        self._enabled.discard(index)
        self._addressed.pop(index, None)

    def _sized(self, event: RegisterWrite, value: int) -> None:
        packed = self.observer.virtio.negotiated(Feature.RING_PACKED)
        if packed and not value:
            self.wrong(event.t_ps, event.seq, "PCI-COMMON-R02", "queue_size of a packed ring", "not 0", "0")
        elif not packed and value & (value - 1):
            text, expected = "queue_size of a split ring", "0 or a power of 2"
            self.wrong(event.t_ps, event.seq, "PCI-COMMON-R03", text, expected, f"{value}")

    def _enable(self, event: RegisterWrite, index: int, value: int) -> None:
        if value == 0:
            text = f"queue_enable of queue {index}"
            self.wrong(event.t_ps, event.seq, "PCI-COMMON-R06", text, "1 or nothing", "0")
            return
        written = self._addressed.get(index, set())
        if len(written) < len(ADDRESSES) and index not in self._enabled:
            again = index in self._reset_once
            text = f"queue {index} enabled" + (" again after its reset" if again else "")
            clause = "VQREEN-R01" if again else "PCI-COMMON-R04"
            seen = f"{len(written)} of {len(ADDRESSES)} bytes"
            self.wrong(event.t_ps, event.seq, clause, text, "its three addresses written before", seen)
        self._enabled.add(index)

    # ---- configuration space ----

    def on_config_request(self, event: ConfigRequest) -> None:
        pci = self.observer.pci
        if event.function or not event.be:
            return
        if pci.pci_cfg and event.offset == pci.pci_cfg + 16:
            self._window(event)
        elif event.write:
            self._capability_written(event)

    def _capability_written(self, event: ConfigRequest) -> None:
        for capability in self.observer.pci.capabilities:
            own = capability.cap_id == PciCapId.VENDOR and len(capability.data) > 3
            inside = capability.offset <= event.offset < capability.offset + max(capability.data[2:3] or b"\0")
            if own and inside and capability.data[3] != CfgType.PCI_CFG:
                text = f"capability at {capability.offset:#x} written at offset {event.offset:#x}"
                self.wrong(event.t_ps, event.seq, "PCI-CAP-R08", text, "no writes but to PCI_CFG", f"{event.value:#x}")

    def _window(self, event: ConfigRequest) -> None:
        """An access to pci_cfg_data means what bar, offset and length say."""
        pci = self.observer.pci
        at = pci.pci_cfg
        bar = pci.config[at + 4]
        offset, length = (int.from_bytes(pci.config[at + part : at + part + 4], "little") for part in (8, 12))
        if not length and not event.write:
            return  # whoever dumps configuration space reads it too, and nothing happens
        place = f"offset {offset:#x} and length {length} of BAR {bar}"
        if length and offset % length:
            self.wrong(event.t_ps, event.seq, "PCI-PCICFG-R01", "pci_cfg_data", "an aligned offset", place)
        elif length not in (1, 2, 4) or not pci.structure_at(bar, offset)[0]:
            text, expected = "pci_cfg_data", "a place in a structure of the device, 1, 2 or 4 bytes"
            self.wrong(event.t_ps, event.seq, "PCI-PCICFG-R03", text, expected, place)


class IdRules(Theme):
    """A driver takes the devices that it is for."""

    rules: ClassVar[dict[str, str]] = {"PCI-DISC-R01": L1}

    def on_register_write(self, event: RegisterWrite) -> None:
        config = self.observer.pci.config
        ids = int.from_bytes(config[0:2], "little"), int.from_bytes(config[2:4], "little")
        if event.region == "common" and event.at == 0x14 and event.data[0] & 2 and any(ids) and ids != IDS:
            expected, seen = "1af4:105a", f"{ids[0]:04x}:{ids[1]:04x}"
            self.wrong(event.t_ps, event.seq, "PCI-DISC-R01", "the device that is driven", expected, seen)
