"""Configuration space and registers: what the driver was told against the specification and the golden models.

Every endpoint is held to the structure of its capabilities. An endpoint whose profile says `golden_config` or
`golden_registers` is held to the golden models, byte for byte. The expectation of a read is made when the read
arrives, since later writes may overtake its completion in the log; what the endpoint changes on its own (reset,
NEEDS_RESET, ISR, error bits) is judged when the completion leaves.
"""

from __future__ import annotations

from virtiofs_model.config_space import (
    BAR0_SIZE,
    CONFIG_SIZE,
    DEVSTA,
    DEVSTA_RW1C,
    STATUS,
    STATUS_RW1C,
    ConfigSpace,
    write_masks,
)
from virtiofs_model.layouts.pci import PciStatus
from virtiofs_model.layouts.virtio import DeviceStatus, Feature, IsrStatus
from virtiofs_model.registers import DeviceStraps, NotifyPolicy, VirtioRegisters
from virtiofs_tb.profile import Profile
from virtiofs_tb.scoreboards.base import Scoreboard
from virtiofs_tb.scoreboards.capabilities import check_capabilities, check_identity
from virtiofs_tb.scoreboards.events import (
    ConfigAccess,
    ConfigRequest,
    DmaData,
    DpuAccess,
    PinReset,
    QueueFault,
    RegisterRead,
    RegisterRequest,
    RegisterWrite,
    ResetDone,
)
from virtiofs_tb.scoreboards.field_names import GOLDEN, REGISTERS, FieldDifference, first_difference
from virtiofs_tb.scoreboards.memory_map import AVAIL, DESC, TABLE
from virtiofs_tb.scoreboards.observer import Observer

NEEDS_RESET = int(DeviceStatus.DEVICE_NEEDS_RESET)
FEATURES_OK = int(DeviceStatus.FEATURES_OK)
STATUS_AT, GENERATION_AT = 0x14, 0x15
QUEUE_FIELDS, QUEUE_RESET_AT = 0x18, 0x3A

STRAP_REQUEST_QUEUES, STRAP_FEATURES_LO, STRAP_FEATURES_HI, STRAP_PERSONALITY = 0x10, 0x14, 0x18, 0x1C
STRAP_MAX_QUEUE_SIZE, STRAP_NOTIFY_BUF_SIZE, STRAP_NOTIFY_POLICY, STRAP_TAG = 0x20, 0x24, 0x28, 0x40
TAG_SIZE = 36

UR = 1
DRAINED_PS = 10_000_000
"""A request of this age has no completion under way when a run has ended: its drain takes longer."""


class ConfigSpaceScoreboard(Scoreboard):
    """Judge of configuration reads and register reads."""

    name = "config_space"

    def __init__(self, profile: Profile, observer: Observer) -> None:
        super().__init__(profile, observer)
        self._free = self._free_bits()
        if profile.intx:
            self._free[STATUS] |= PciStatus.INTERRUPT  # judged with the ISR: interrupt_line.py
        self._power_on()

    def _power_on(self) -> None:
        """Golden models as after the reset pin, and nothing expected."""
        profile = self.profile
        self._straps = DeviceStraps(literal=profile.choices.literal_numbering)
        self._registers = VirtioRegisters(profile.msix_vectors, straps=self._straps)
        self._config = ConfigSpace(profile.msix_vectors, self._straps.device_config_length(), intx=profile.intx)
        self._config.window_read = self._window_read
        self._pending: dict[int, int] = {}  # expected value of a configuration read, by the seq of its request
        self._expected: dict[int, bytes] = {}  # the same of a register read
        self._walked: list[tuple[int, int, bytes, bytes]] = []
        self.judged: set[tuple[int, str, str]] = set()  # what was said of capabilities
        self._error_cause = False
        self._ring_cause = False
        self._isr_config_causes = 1
        self._tag = bytearray(TAG_SIZE)
        self._generation: int | None = None
        self._resets_seen: dict[int, int] = {}  # when queue_reset was first read 1, by queue

    @staticmethod
    def _free_bits() -> bytearray:
        """Bits that are not compared: those that a device may hardwire, and error bits that it sets on its own."""
        _, _, free = write_masks()
        for offset, bits in ((STATUS, int(STATUS_RW1C)), (DEVSTA, int(DEVSTA_RW1C))):
            free[offset] |= bits & 0xFF
            free[offset + 1] |= bits >> 8
        return free

    # ---- what sets the golden models ----

    def on_dpu_access(self, event: DpuAccess) -> None:
        """Straps, where the DPU port accepted them."""
        if not event.write or event.status or not self.profile.dpu.port:
            return
        straps, address, value = self._straps, event.address, event.value
        before = straps.device_config()
        if address == STRAP_REQUEST_QUEUES:
            straps.num_request_queues = value
        elif address == STRAP_FEATURES_LO:
            straps.features = straps.features & ~0xFFFFFFFF | value
        elif address == STRAP_FEATURES_HI:
            straps.features = straps.features & 0xFFFFFFFF | value << 32
        elif address == STRAP_PERSONALITY:
            straps.literal = bool(value & 1)
        elif address == STRAP_MAX_QUEUE_SIZE:
            straps.max_queue_size = value
            for queue in self._registers.queues:
                queue.size = value
        elif address == STRAP_NOTIFY_BUF_SIZE:
            straps.notify_buf_size = value
        elif address == STRAP_NOTIFY_POLICY:
            straps.notify_policy = NotifyPolicy(value & 3) if value < 3 else straps.notify_policy
        elif STRAP_TAG <= address < STRAP_TAG + TAG_SIZE:
            if not any(self._tag):
                self._tag[:] = straps.tag.ljust(TAG_SIZE, b"\0")
            self._tag[address - STRAP_TAG : address - STRAP_TAG + 4] = value.to_bytes(4, "little")
            straps.tag = bytes(self._tag)
        if straps.device_config() != before:
            self._registers.config_changed()
            self._generation = None
        self._config.set_device_config_length(straps.device_config_length())

    def on_pin_reset(self, event: PinReset) -> None:
        self._power_on()

    def on_reset_done(self, event: ResetDone) -> None:
        self._registers.finish_reset()
        self._resets_seen.clear()
        self._isr_config_causes = 1

    def on_queue_fault(self, event: QueueFault) -> None:
        self._ring_cause = True

    def on_dma_data(self, event: DmaData) -> None:
        if not event.ok:
            self._error_cause = True

    def on_register_write(self, event: RegisterWrite) -> None:
        """A write to the common structure, dword by dword."""
        if event.region != "common":
            return
        at, data = event.at, event.data
        while data:
            low = at & 3
            piece = data[: 4 - low]
            enables = ((1 << len(piece)) - 1) << low
            value = int.from_bytes(piece, "little") << 8 * low
            if at - low < 0x40:
                self._registers.write_common(at - low, value, enables)
            at += len(piece)
            data = data[len(piece) :]

    # ---- configuration reads ----

    def on_config_request(self, event: ConfigRequest) -> None:
        if event.function:
            return
        if event.write:
            self._config.write(event.offset, event.value, event.be)
        elif self.profile.golden_config:
            self._pending[event.seq] = self._config.read(event.offset, event.be)

    def on_config_access(self, event: ConfigAccess) -> None:
        request = event.request
        offset = request.offset
        if request.function:
            self.count("absent function")
            if event.status != UR:
                self.fail(
                    event.t_ps, event.seq, f"configuration request to function {request.function}, which is none",
                    "PCI-BUS-D01", "Unsupported Request", f"completion status {event.status}",
                )  # fmt: skip
            return
        if event.status:
            self.fail(
                event.t_ps, event.seq, f"configuration request at {offset:#x}", "PCI-BUS-D01",
                "Successful Completion", f"completion status {event.status}",
            )  # fmt: skip
            return
        if request.write:
            self.count("configuration write")
            return
        self.count("configuration read")
        check_identity(self, event)
        expected = self._pending.pop(request.seq, None)
        if expected is not None:
            self._compare_config(event, expected)
        pci = self.observer.pci
        if pci.walk_end:
            walked = [(cap.cap_id, cap.offset, cap.data, cap.known) for cap in pci.capabilities]
            if walked != self._walked:
                self._walked = walked
                check_capabilities(self, event)

    def _compare_config(self, event: ConfigAccess, expected: int) -> None:
        request = event.request
        offset = request.offset
        seen = event.value
        mask = 0
        for byte in range(4):
            if request.be >> byte & 1:
                free = self._free[offset + byte] if offset + byte < CONFIG_SIZE else 0
                mask |= (0xFF & ~free) << 8 * byte
        pci_cfg = self.observer.pci.pci_cfg
        if pci_cfg and offset == pci_cfg + 16:
            return  # the window: judged as the register read that it is
        if (seen ^ expected) & mask:
            pair = ((value & mask).to_bytes(4, "little") for value in (expected, seen))
            field = first_difference(GOLDEN, offset, *pair)
            field = field or FieldDifference("no field", f"{expected & mask:#010x}", f"{seen & mask:#010x}")
            self.fail(
                event.t_ps, event.seq, f"{field.name}, in configuration space at {offset:#x}",
                "PCI-CAP-D01" if field.name.startswith("cap_len ") else "PCI-BUS-D01", field.expected, field.seen,
            )  # fmt: skip
        errors = (seen >> 16) & int(STATUS_RW1C) if offset == STATUS & ~3 else 0
        if errors and not self._error_cause:
            self.fail(
                event.t_ps, event.seq, "error bits of the Status register", "PCI-BUS-D01",
                "0: no completion with an error was seen", f"{errors:#06x}",
            )  # fmt: skip

    def _window_read(self, offset: int, enables: int) -> int:
        return 0

    # ---- register reads ----

    def on_register_request(self, event: RegisterRequest) -> None:
        if not self.profile.golden_registers:
            return
        expected = self._golden(event)
        if expected is not None:
            self._expected[event.seq] = expected

    def _golden(self, event: RegisterRequest) -> bytes | None:
        """The bytes that the golden model has now; None where another rule judges."""
        if event.bar != 0 or event.offset + event.length > BAR0_SIZE:
            return None
        region, at, length = event.region, event.at, event.length
        if region == "common":
            read = self._registers.read_common
        elif region == "device":
            read = self._registers.read_device
        elif region == "msix_table":
            raw = b"".join(bytes(vector.raw) for vector in self.observer.pci.vectors)
            return raw[at : at + length]
        elif region in ("isr", "msix_pba", "notify"):
            return None
        else:
            return bytes(length) if not self._touches_structure(event) else None
        first = at & ~3
        size = at + length - first + 3 & ~3
        whole = b"".join(read(first + step).to_bytes(4, "little") for step in range(0, size, 4))
        return whole[at - first : at - first + length]

    def _touches_structure(self, event: RegisterRequest) -> bool:
        return (
            any(
                structure.bar == event.bar
                and structure.offset < event.offset + event.length
                and event.offset < structure.offset + structure.length
                for structure in self.observer.pci.structures
            )
            or not self.observer.pci.complete
        )

    def on_register_read(self, event: RegisterRead) -> None:
        self.count(f"{event.region or 'other'} read")
        expected = self._expected.pop(event.request_seq, None)
        if event.bar < 0:
            if event.status != UR:
                self.fail(
                    event.t_ps, event.seq, "memory read outside all BARs", "PCI-BUS-D01", "Unsupported Request",
                    f"completion status {event.status}",
                )  # fmt: skip
            return
        if event.status:
            if self.observer.pci.may_memory:
                self.fail(
                    event.t_ps, event.seq, f"read of BAR {event.bar} at {event.offset:#x}", "PCI-BUS-D01",
                    "Successful Completion", f"completion status {event.status}",
                )  # fmt: skip
            return
        if event.region == "isr":
            self._isr(event)
        elif event.region == "common":
            if event.window and self.profile.golden_registers:
                expected = self._golden(
                    RegisterRequest(
                        event.t_ps, event.seq, event.bar, event.offset, event.length, event.region, event.at
                    )
                )
            self._common(event, expected)
        elif expected is not None and event.data != expected:
            self._mismatch(event, expected, "CFG-D01" if event.region == "device" else "PCI-BUS-D01")

    def _mismatch(self, event: RegisterRead, expected: bytes, clause: str) -> None:
        where = (
            f"{event.region} structure at {event.at:#x}" if event.region else f"BAR {event.bar} at {event.offset:#x}"
        )
        field = first_difference(REGISTERS.get(event.region, []), event.at, expected, event.data)
        if field is None:
            what, pair = f"read of {event.length} bytes of the {where}", (expected.hex(" "), event.data.hex(" "))
        else:
            what, pair = f"{field.name}, read in the {where}", (field.expected, field.seen)
        if clause == "FEAT-D03":
            pair = f"{pair[0]}, since {self._refused()}", pair[1]
        self.fail(event.t_ps, event.seq, what, clause, *pair)

    def _refused(self) -> str:
        """Why FEATURES_OK may not stand."""
        virtio = self.observer.virtio
        without = "" if virtio.driver_features >> Feature.VERSION_1 & 1 else ", without VERSION_1"
        return f"the driver accepts features {virtio.driver_features:#x}{without}"

    def _common(self, event: RegisterRead, expected: bytes | None) -> None:
        at, data = event.at, event.data
        self._common_rules(event)
        if expected is None:
            return
        registers = self._registers
        settled = bytearray(expected)
        if at <= STATUS_AT < at + len(data):
            seen = data[STATUS_AT - at]
            if registers.resetting and seen == 0:
                registers.finish_reset()
                return  # the rest of this read may be from before or after
            if seen & NEEDS_RESET and not settled[STATUS_AT - at] & NEEDS_RESET:
                registers.needs_reset()
                settled[STATUS_AT - at] |= NEEDS_RESET
                if not (self._error_cause or self._ring_cause or self._ring_timed_out(event.t_ps)):
                    self.fail(
                        event.t_ps, event.seq, "DEVICE_NEEDS_RESET, but no broken ring or failed read was seen",
                        "STATUS-D03", f"{seen & ~NEEDS_RESET:#04x}", f"{seen:#04x}",
                    )  # fmt: skip
        if registers.resetting and bytes(settled) != data:
            return
        if registers.selected_resetting and at + len(data) > QUEUE_FIELDS:
            if at <= QUEUE_RESET_AT < at + len(data):
                self._queue_reset(event, data[QUEUE_RESET_AT - at])
            return  # what else is read of this queue may be from before its reset or after
        if bytes(settled) != data:
            self._mismatch(event, bytes(settled), _common_clause(at, bytes(settled), data))

    def _queue_reset(self, event: RegisterRead, value: int) -> None:
        """queue_reset as it was read while the golden model holds the selected queue to be resetting."""
        queue = self.observer.virtio.queue_select
        if not value:
            self._resets_seen.pop(queue, None)
            self._registers.finish_queue_reset(queue)
            return
        since = self._resets_seen.setdefault(queue, event.t_ps)
        limit = self.profile.timing.read_tag_us * 1_000_000
        if limit and event.t_ps - since > limit:
            self.fail(
                event.t_ps, event.seq, f"queue_reset of queue {queue}, first read 1 at {since} ps", "PCI-COMMON-D14",
                "0: its last read is complete or was given up", f"{value}",
            )  # fmt: skip

    def _ring_timed_out(self, t_ps: int) -> bool:
        """Whether a read of ring memory has waited for so long that the endpoint gave it up."""
        limit = self.profile.timing.read_tag_us * 1_000_000
        queues = self.observer.rings.queues
        return any(
            region.kind in (AVAIL, DESC, TABLE) and region.queue is queues.get(region.queue.index)
            for read in self.observer.reads.values()
            for region in read.regions
            if t_ps - read.t_ps >= limit
        )

    def _common_rules(self, event: RegisterRead) -> None:
        """What holds for every endpoint."""
        at, data = event.at, event.data
        end = at + len(data)
        virtio = self.observer.virtio
        if at <= 0x18 and end >= 0x1A:
            size = int.from_bytes(data[0x18 - at : 0x1A - at], "little")
            if size & (size - 1) and not virtio.offered >> 34 & 1:
                self.fail(
                    event.t_ps, event.seq, f"queue_size of queue {virtio.queue_select}", "PCI-COMMON-D16",
                    "0 or a power of two", f"{size}",
                )  # fmt: skip
            if size and virtio.num_queues and virtio.queue_select >= virtio.num_queues:
                self.fail(
                    event.t_ps, event.seq, f"queue_size of queue {virtio.queue_select}", "PCI-COMMON-D15",
                    f"0: num_queues is {virtio.num_queues}", f"{size}",
                )  # fmt: skip
        for field, name in ((0x10, "config_msix_vector"), (0x1A, f"queue_msix_vector of queue {virtio.queue_select}")):
            if at <= field and end >= field + 2:
                vector = int.from_bytes(data[field - at : field + 2 - at], "little")
                vectors = len(self.observer.pci.vectors)
                if vectors and vectors <= vector < 0xFFFF:
                    self.fail(
                        event.t_ps, event.seq, name, "PCI-MSIX-D09", f"below {vectors}, or NO_VECTOR", f"{vector}"
                    )
        if at <= STATUS_AT < end:
            seen = data[STATUS_AT - at]
            offered = virtio.offered if virtio.offered_known == 3 else (1 << 64) - 1
            if seen & FEATURES_OK and virtio.driver_features & ~offered and not virtio.resetting:
                self.fail(
                    event.t_ps, event.seq, "FEATURES_OK is kept", "FEAT-D03", "refused: bits were not offered",
                    f"driver features {virtio.driver_features:#x} of {offered:#x}",
                )  # fmt: skip
        if at <= GENERATION_AT < end and not self.profile.choices.config_changes:
            generation = data[GENERATION_AT - at]
            if self._generation is not None and generation != self._generation:
                self.fail(
                    event.t_ps, event.seq, "config_generation, though no field changes", "PCI-COMMON-D06",
                    f"{self._generation}", f"{generation}",
                )  # fmt: skip
            self._generation = generation

    def _isr(self, event: RegisterRead) -> None:
        """ISR bits have a cause, and reading clears them."""
        value = event.data[0] if event.data else 0
        if value & ~0x3:
            self.fail(event.t_ps, event.seq, "ISR status", "PCI-ISR-DI1", "bits 0 and 1 only", f"{value:#04x}")
        if not self.profile.golden_registers:
            return
        if value & IsrStatus.CONFIG:
            if not self._isr_config_causes:
                self.fail(
                    event.t_ps, event.seq, "the ISR's configuration bit was read before, and nothing happened since",
                    "PCI-ISR-D05", "0", f"{value:#04x}",
                )  # fmt: skip
            self._isr_config_causes = 0
        if value & IsrStatus.QUEUE and self.observer.pci.may_msix:
            self.fail(
                event.t_ps, event.seq, "the ISR's queue bit while MSI-X is on", "PCI-ISR-D03", "0", f"{value:#04x}"
            )

    def finish(self, t_ps: int, seq: int) -> None:
        """No request of the host is left without a completion."""
        limit = min(self.profile.timing.completion_us * 1_000_000, DRAINED_PS)
        for request in self.observer.requests.values():
            if t_ps - request.t_ps >= limit:
                self.fail(
                    t_ps, seq, f"the read of BAR {request.bar} at {request.offset:#x} has no completion", "PCI-BUS-D01",
                    "one", f"none since {request.t_ps} ps",
                )  # fmt: skip
        for config in self.observer.config_requests.values():
            if t_ps - config.t_ps >= limit:
                self.fail(
                    t_ps, seq, f"the configuration request at {config.offset:#x} has no completion", "PCI-BUS-D01",
                    "one", f"none since {config.t_ps} ps",
                )  # fmt: skip


_COMMON_CLAUSES = (
    (0x08, "PCI-COMMON-D03"),
    (0x10, "PCI-COMMON-D04"),
    (0x12, "PCI-MSIX-D06"),
    (0x14, "PCI-BUS-D01"),
    (0x15, "FEAT-D03"),
    (0x16, "PCI-COMMON-D06"),
    (0x18, "PCI-BUS-D01"),
    (0x1A, "PCI-COMMON-D15"),
    (0x1C, "PCI-MSIX-D06"),
    (0x1E, "PCI-COMMON-D09"),
    (0x20, "PCI-NOTIFY-D06"),
    (0x38, "PCI-LAYOUT-D01"),
    (0x3A, "PCI-COMMON-DI1"),
    (0x3C, "PCI-COMMON-D14"),
)


def _common_clause(at: int, expected: bytes, seen: bytes) -> str:
    """The clause of the first field that differs."""
    first = at + next((index for index, pair in enumerate(zip(expected, seen, strict=False)) if pair[0] != pair[1]), 0)
    return next((clause for end, clause in _COMMON_CLAUSES if first < end), "PCI-BUS-D01")
