"""A driver without fault, made of records, and for each clause that the driver checker reports one that breaks it."""

from __future__ import annotations

import struct
from collections.abc import Callable

from tests.unit.trace import (
    BAR,
    FEATURES,
    HOST,
    INDIRECT,
    MSI,
    NEXT,
    NOTIFY_RINGS,
    READABLE,
    RINGS,
    WRITABLE,
    WRITE,
    Trace,
)
from virtiofs_model import tlp
from virtiofs_model.layouts.fuse_constants import Opcode
from virtiofs_model.layouts.virtio import Feature
from virtiofs_tb.host.log import Channel, Record
from virtiofs_tb.scoreboards.driver_rules.checker import DriverChecker

PACKED = FEATURES | Feature.RING_PACKED.mask
IN_ORDER = FEATURES | Feature.IN_ORDER.mask
EVENTS = FEATURES | Feature.EVENT_IDX.mask
TOLD = FEATURES | Feature.NOTIFICATION_DATA.mask
NAMED = FEATURES | Feature.NOTIF_CONFIG_DATA.mask
RESETS = FEATURES | Feature.RING_RESET.mask
LEAST = 4136
TABLE = 0x40_0000
DOORBELLS, ISR, DEVICE = 0x3000, 0x1000, 0x2000
AVAIL_BIT, USED_BIT = 0x80, 0x8000


class Driver(Trace):
    """Each step of a driver by itself, as it should be; what the device answers is the test's."""

    def __init__(self) -> None:
        super().__init__()
        self.checker = DriverChecker()

    def _record(self, record: Record) -> int:
        self.checker.observe([record])
        return record.seq

    def clauses(self) -> list[str]:
        """What is reported, in order."""
        return [report.clause for report in self.checker.finish()]

    # ---- initialisation ----

    def bar_write(self, offset: int, value: int, size: int) -> None:
        """A register write that no golden register takes: what is read back is the test's."""
        self.packet(Channel.CQ, tlp.memory_write(BAR + offset, value.to_bytes(size, "little"), HOST))

    def status(self, value: int, then: int | None = None) -> None:
        """Write device_status; then: what it reads after that."""
        self.bar_write(0x14, value, 1)
        if then is not None:
            self.bar_read(0x14, 1, then)

    def begin(self) -> None:
        """Find the device, reset it, ACKNOWLEDGE, DRIVER; MSI-X is on."""
        self.enumerate()
        self.config_write(0x8A, 0x8000, 2)
        for at, word in enumerate((MSI, 0, 1, 0)):
            self.bar_write(0x4010 + 4 * at, word, 4)
        self.status(0, then=0)
        self.status(1)
        self.status(3)

    def negotiate(self, taken: int = FEATURES, offered: int | None = None) -> None:
        """Take features of those that are offered (None: the same)."""
        for select in (0, 1):
            self.bar_write(0x00, select, 4)
            self.bar_read(0x04, 4, (taken if offered is None else offered) >> 32 * select & 0xFFFFFFFF)
            self.bar_write(0x08, select, 4)
            self.bar_write(0x0C, taken >> 32 * select & 0xFFFFFFFF, 4)

    def settle(self) -> None:
        self.status(11, then=11)

    def vector(self, at: int, value: int) -> None:
        self.bar_write(at, value, 2)
        self.bar_read(at, 2, value)

    def queue(self, index: int, base: int, size: int = 16, enable: bool = True) -> None:
        """Set a queue up, with the areas where Trace has them."""
        self.bar_write(0x16, index, 2)
        self.bar_write(0x18, size, 2)
        self.vector(0x1A, 1)
        for at, address in ((0x20, base), (0x28, base + 0x1000), (0x30, base + 0x2000)):
            self.bar_write(at, address & 0xFFFFFFFF, 4)
            self.bar_write(at + 4, address >> 32, 4)
        if enable:
            self.bar_write(0x1C, 1, 2)

    def settled(self, taken: int = FEATURES, offered: int | None = None) -> None:
        """Up to FEATURES_OK, with a look at the configuration."""
        self.begin()
        self.negotiate(taken, offered)
        self.settle()
        self.bar_read(0x15, 1, 0)
        for at in range(36):
            self.bar_read(DEVICE + at, 1, 0x61)
        self.bar_read(0x15, 1, 0)
        self.bar_read(DEVICE + 36, 4, 4)
        if (taken if offered is None else offered) & 1:
            self.bar_read(DEVICE + 40, 4, LEAST)
        self.vector(0x10, 0)

    def up(self, taken: int = FEATURES, size: int = 16) -> None:
        """Up to DRIVER_OK, with queues 0 to 2."""
        self.settled(taken)
        for index, base in ((0, 0x50_0000), (1, NOTIFY_RINGS), (2, RINGS)):
            self.queue(index, base, size)
        self.status(15, then=15)

    # ---- work ----

    def ring(self, index: int, size: int = 2, value: int | None = None) -> None:
        """A doorbell."""
        self.bar_write(DOORBELLS + 4 * index, index if value is None else value, size)

    def split(self, *descriptors: tuple[int, int, int, int], base: int = RINGS, index: int = 2) -> None:
        """Make one chain available, from descriptor 0 on, kick, and let the device fetch it."""
        for at, (address, length, flags, following) in enumerate(descriptors):
            self.desc(base, at, address, length, flags, following)
        self.publish(base, 1, {0: 0})
        self.ring(index)
        self.read(base + 0x1002, 2)
        self.read(base + 0x1004, 2)
        self.read(base, 16 * len(descriptors))

    def packed(self, *descriptors: tuple[int, int, int], wrap: int = 1) -> None:
        """The same in a packed ring. A descriptor: length, flags beside those of this round, buffer ID."""
        mark = AVAIL_BIT if wrap else USED_BIT
        for at, (length, flags, id_) in enumerate(descriptors):
            entry = struct.pack("<QIHH", WRITABLE if flags & WRITE else READABLE, length, id_, flags ^ mark)
            self.put(RINGS + 16 * at, entry)
        self.ring(2)
        self.read(RINGS, 16)
        self.read(RINGS, 16 * len(descriptors))

    def table(self, *elements: tuple[int, int, int], address: int = TABLE) -> tuple[int, int]:
        """An indirect table in memory (length, flags, next of each); its address and bytes."""
        for at, (length, flags, following) in enumerate(elements):
            place = WRITABLE if flags & WRITE else READABLE
            self.put(address + 16 * at, struct.pack("<QIHH", place, length, flags, following))
        return address, 16 * len(elements)

    def packed_table(self, *elements: tuple[int, int]) -> tuple[int, int]:
        """The same for a packed ring (length and flags of each)."""
        for at, (length, flags) in enumerate(elements):
            place = WRITABLE if flags & WRITE else READABLE
            self.put(TABLE + 16 * at, struct.pack("<QIHH", place, length, 0, flags))
        return TABLE, 16 * len(elements)

    def request(self, opcode: int, base: int, index: int, slot: int = 0) -> None:
        """One FUSE request, served with a reply of 16 bytes."""
        self.put(READABLE, struct.pack("<IIQQIIIHH", 40, opcode, 7, 1, 0, 0, 0, 0, 0))
        self.desc(base, 0, READABLE, 40, NEXT, 1)
        self.desc(base, 1, WRITABLE, 96, WRITE)
        self.publish(base, slot + 1, {slot: 0})
        self.ring(index)
        self.fetch(base, slot, [0, 1])
        self.read(READABLE, 40)
        self.write(WRITABLE, struct.pack("<IiQ", 16, 0, 7))
        self.use(base, slot, 0, 16)

    def buffer(self, length: int = LEAST, readable: bool = False) -> None:
        """A notification buffer."""
        parts = ((READABLE, 8, NEXT, 1),) if readable else ()
        self.split(*parts, (WRITABLE, length, WRITE, 0), base=NOTIFY_RINGS, index=1)


def sound(d: Driver) -> None:
    """A driver that does nothing wrong."""
    d.up()
    d.buffer()
    d.request(Opcode.INIT, RINGS, 2)
    d.request(Opcode.FORGET, 0x50_0000, 0)
    d.status(0, then=0)


def sound_packed(d: Driver) -> None:
    d.up(PACKED, 5)
    d.packed((40, NEXT, 3), (96, WRITE, 3))


# ---- status and features ----


def _without(feature: Feature) -> Callable[[Driver], None]:
    return lambda d: d.settled(FEATURES, FEATURES | feature.mask)


def status_r01(d: Driver) -> None:
    d.begin()
    d.negotiate()
    d.status(7)


def status_r02(d: Driver) -> None:
    d.begin()
    d.status(1)


def status_r03(d: Driver) -> None:
    d.begin()
    d.status(0x83)
    d.status(3)


def reset_r01(d: Driver) -> None:
    d.up()
    d.status(0, then=15)
    d.status(1)


def pci_common_r05(d: Driver) -> None:
    d.up()
    d.status(0)
    d.status(1)


def init_r01(d: Driver) -> None:
    d.enumerate()
    d.status(1)


def init_r03(d: Driver) -> None:
    d.begin()
    d.bar_write(DEVICE + 36, 1, 4)


def init_r04(d: Driver) -> None:
    d.settled()
    d.bar_write(0x08, 0, 4)
    d.bar_write(0x0C, 1, 4)


def init_r05(d: Driver) -> None:
    d.begin()
    d.negotiate()
    d.status(11)
    d.queue(2, RINGS)


def init_r07(d: Driver) -> None:
    d.begin()
    d.negotiate()
    d.status(11, then=3)
    d.queue(2, RINGS)


def init_r08(d: Driver) -> None:
    d.settled()
    d.queue(2, RINGS)
    d.ring(2)


def fs_cfg_r01(d: Driver) -> None:
    d.up()
    d.bar_write(DEVICE + 36, 1, 4)


# ---- registers ----


def _settled_then(*steps: Callable[[Driver], None], taken: int = FEATURES) -> Callable[[Driver], None]:
    def wrong(d: Driver) -> None:
        d.settled(taken)
        for step in steps:
            step(d)

    return wrong


def pci_common_r04(d: Driver) -> None:
    d.settled()
    d.bar_write(0x16, 2, 2)
    d.bar_write(0x20, RINGS, 4)
    d.bar_write(0x1C, 1, 2)


def _reset_queue(*read: int) -> Callable[[Driver], None]:
    def wrong(d: Driver) -> None:
        d.up(RESETS)
        d.bar_write(0x16, 2, 2)
        d.bar_write(0x3A, 1, 2)
        for value in read:
            d.bar_read(0x3A, 2, value)
        d.queue(2, RINGS)

    return wrong


def vqreen_r01(d: Driver) -> None:
    d.up(RESETS)
    d.bar_write(0x16, 2, 2)
    d.bar_write(0x3A, 1, 2)
    d.bar_read(0x3A, 2, 0)
    d.bar_write(0x1C, 1, 2)


def _window(offset: int, length: int) -> Callable[[Driver], None]:
    def wrong(d: Driver) -> None:
        d.begin()
        d.config_write(0xD8 + 8, offset)
        d.config_write(0xD8 + 12, length)
        d.config_read(0xD8 + 16)

    return wrong


def pci_detect_rx1(d: Driver) -> None:
    for offset in (0x10, 0x14):
        d.config_write(offset, 0xFFFFFFFF)
        d.config_read(offset)
    d.config_write(0x10, BAR)
    d.config_write(0x14, 0)
    d.config_write(4, 6, 2)
    d.bar_read(0x14, 1, 0)


def pci_disc_r01(d: Driver) -> None:
    d.enumerate()
    d.config_read(0, 0x1041_1AF4)
    d.status(0, then=0)
    d.status(1)
    d.status(3)


def pci_msix_r05(d: Driver) -> None:
    d.settled()
    d.bar_write(0x16, 2, 2)
    d.bar_write(0x1A, 1, 2)
    d.bar_write(0x16, 1, 2)


def cfg_r03(d: Driver) -> None:
    d.begin()
    for at in range(36):
        d.bar_read(DEVICE + at, 1, 0x61)
    d.negotiate()


def cfg_r04(d: Driver) -> None:
    d.settled(FEATURES & ~1)
    d.bar_read(DEVICE + 40, 4, LEAST)


# ---- doorbells ----


def _rung(taken: int, size: int, value: int) -> Callable[[Driver], None]:
    def wrong(d: Driver) -> None:
        d.up(taken)
        if taken & Feature.NOTIF_CONFIG_DATA.mask:
            d.bar_write(0x16, 2, 2)
            d.bar_read(0x38, 2, 0x102)
        d.ring(2, size, value)

    return wrong


def kick_ri1(d: Driver) -> None:
    d.up(TOLD)
    d.publish(RINGS, 1, {0: 0})
    d.ring(2, 4, 5 << 16 | 2)
    d.read(RINGS + 0x1002, 2)


def pack_desc_r03(d: Driver) -> None:
    d.up(PACKED | TOLD)
    d.ring(2, 4, (0x8000 | 1) << 16 | 2)
    d.put(RINGS, struct.pack("<QIHH", WRITABLE, 96, 0, WRITE | USED_BIT))
    d.read(RINGS, 16)


def split_ans_r03(d: Driver) -> None:
    d.up()
    d.write(RINGS + 0x2000, b"\1\0")
    d.read(RINGS + 0x1002, 2)
    d.ring(2)


def _not_kicked(taken: int) -> Callable[[Driver], None]:
    def wrong(d: Driver) -> None:
        d.up(taken)
        if taken & Feature.EVENT_IDX.mask:
            d.write(RINGS + 0x2004 + 8 * 16, b"\0\0")
        d.read(RINGS + 0x1002, 2)
        d.publish(RINGS, 1, {0: 0})
        d.read(RINGS + 0x1002, 2)

    return wrong


# ---- rings ----


def _split(taken: int, *descriptors: tuple[int, int, int, int]) -> Callable[[Driver], None]:
    def wrong(d: Driver) -> None:
        d.up(taken)
        d.split(*descriptors)

    return wrong


def _split_table(taken: int, flags: int, *elements: tuple[int, int, int]) -> Callable[[Driver], None]:
    def wrong(d: Driver) -> None:
        d.up(taken)
        address, size = d.table(*elements)
        d.split((address, size, flags, 1))
        d.read(address, size)

    return wrong


def _packed(taken: int, *descriptors: tuple[int, int, int], size: int = 5) -> Callable[[Driver], None]:
    def wrong(d: Driver) -> None:
        d.up(taken, size)
        d.packed(*descriptors)

    return wrong


def _packed_table(*elements: tuple[int, int]) -> Callable[[Driver], None]:
    def wrong(d: Driver) -> None:
        d.up(PACKED, 4)
        address, size = d.packed_table(*elements)
        d.put(RINGS, struct.pack("<QIHH", address, size, 0, INDIRECT | AVAIL_BIT))
        d.ring(2)
        d.read(RINGS, 16)
        d.read(address, size)

    return wrong


def _misaligned(taken: int) -> Callable[[Driver], None]:
    def wrong(d: Driver) -> None:
        d.settled(taken)
        d.queue(2, RINGS + 8)

    return wrong


def split_avail_r01(d: Driver) -> None:
    d.up()
    for count in (2, 1):
        d.publish(RINGS, count, {0: 0, 1: 1})
        d.ring(2)
        d.read(RINGS + 0x1002, 2)


def _flags(taken: int, flags: int) -> Callable[[Driver], None]:
    def wrong(d: Driver) -> None:
        d.up(taken)
        d.put(RINGS + 0x1000, struct.pack("<H", flags))
        d.read(RINGS + 0x1000, 2)

    return wrong


def clean_r01(d: Driver) -> None:
    d.up()
    d.split((READABLE, 40, NEXT, 1), (WRITABLE, 96, WRITE, 0))
    d.desc(RINGS, 1, WRITABLE + 64, 96, WRITE, 0)
    d.read(RINGS + 16, 16)


def pack_desc_r01(d: Driver) -> None:
    d.up(PACKED, 1)
    d.packed((96, WRITE, 0))
    d.packed((96, WRITE, 0), wrap=0)


def pack_desc_r02(d: Driver) -> None:
    d.up(PACKED, 4)
    d.packed((40, NEXT, 0), (96, WRITE, 0))
    d.put(RINGS + 16, struct.pack("<QIHH", WRITABLE + 64, 96, 0, WRITE | AVAIL_BIT))
    d.read(RINGS + 16, 16)


def pack_sg_r05(d: Driver) -> None:
    d.up(PACKED, 3)
    d.packed((96, WRITE, 0))
    for at, flags in ((1, NEXT), (2, NEXT), (0, 0)):
        d.put(RINGS + 16 * at, struct.pack("<QIHH", READABLE, 8, 1, flags | (AVAIL_BIT if at else USED_BIT)))
    d.read(RINGS + 16, 32)
    d.read(RINGS, 48)


# ---- the file system ----


def _request(opcode: int, base: int, index: int) -> Callable[[Driver], None]:
    def wrong(d: Driver) -> None:
        d.up()
        d.request(opcode, base, index)

    return wrong


def fs_nq_r01(d: Driver) -> None:
    d.up()
    d.buffer(LEAST - 1)


def fs_init_ri2(d: Driver) -> None:
    d.up()
    d.buffer()
    for slot in range(2):
        d.request(Opcode.INIT, RINGS, 2, slot)


WRONG: dict[str, Callable[[Driver], None]] = {
    "STATUS-R01": status_r01,
    "STATUS-R02": status_r02,
    "STATUS-R03": status_r03,
    "FEAT-R01": lambda d: d.settled(FEATURES | Feature.RING_RESET.mask, FEATURES),
    "FEAT-R05": lambda d: d.settled(FEATURES | 1 << 50),
    "RESET-R01": reset_r01,
    "INIT-R01": init_r01,
    "INIT-R03": init_r03,
    "INIT-R04": init_r04,
    "INIT-R05": init_r05,
    "INIT-R07": init_r07,
    "INIT-R08": init_r08,
    "RSVD-R01": lambda d: d.settled(1, FEATURES),
    "RSVD-R03": _without(Feature.ACCESS_PLATFORM),
    "RSVD-R06": _without(Feature.RING_PACKED),
    "RSVD-R07": _without(Feature.ORDER_PLATFORM),
    "RSVD-R10": lambda d: d.settled(FEATURES | 1 << 37),
    "RSVD-R13": _without(Feature.NOTIF_CONFIG_DATA),
    "PCI-COMMON-R05": pci_common_r05,
    "FS-CFG-R01": fs_cfg_r01,
    "PCI-LAYOUT-R01": _settled_then(lambda d: d.bar_read(0x12, 1, 6)),
    "PCI-COMMON-R01": _settled_then(lambda d: d.bar_write(0x12, 1, 2)),
    "PCI-COMMON-R02": _settled_then(lambda d: d.bar_write(0x18, 0, 2), taken=PACKED),
    "PCI-COMMON-R03": _settled_then(lambda d: d.bar_write(0x18, 12, 2)),
    "PCI-COMMON-R04": pci_common_r04,
    "PCI-COMMON-R06": _settled_then(lambda d: d.bar_write(0x1C, 0, 2)),
    "PCI-COMMON-R07": _reset_queue(1),
    "VQRST-R01": _reset_queue(),
    "VQREEN-R01": vqreen_r01,
    "PCI-ISR-R01": _settled_then(lambda d: d.bar_read(ISR, 1, 0)),
    "PCI-CAP-R08": _settled_then(lambda d: d.config_write(0x94 + 8, 0)),
    "PCI-PCICFG-R01": _window(0x2025, 4),
    "PCI-PCICFG-R03": _window(0x7000, 4),
    "PCI-DETECT-RX1": pci_detect_rx1,
    "PCI-DISC-R01": pci_disc_r01,
    "PCI-MSIX-R04": _settled_then(lambda d: d.vector(0x10, 11)),
    "PCI-MSIX-R05": pci_msix_r05,
    "CFG-R03": cfg_r03,
    "CFG-R04": cfg_r04,
    "PCI-KICK-R01": _rung(FEATURES, 4, 2),
    "PCI-KICK-R02": _rung(TOLD, 2, 2),
    "PCI-KICK-R03": _rung(FEATURES, 2, 3),
    "PCI-KICK-R04": _rung(TOLD, 4, 3),
    "PCI-KICK-R05": _rung(NAMED, 2, 2),
    "PCI-KICK-R06": _rung(NAMED | TOLD, 4, 2),
    "KICK-RI1": kick_ri1,
    "PACK-DESC-R03": pack_desc_r03,
    "SPLIT-ANS-R03": split_ans_r03,
    "SPLIT-ANS-R04": _not_kicked(FEATURES),
    "SPLIT-ANS-R06": _not_kicked(EVENTS),
    "SPLIT-VQ-R01": _misaligned(FEATURES),
    "PACK-VQ-R01": _misaligned(PACKED),
    "SPLIT-FRAME-R01": _split(FEATURES, (WRITABLE, 96, WRITE | NEXT, 1), (READABLE, 40, 0, 0)),
    "SPLIT-DESC-R01": _split(FEATURES, (READABLE, 0xFFFFFFFF, NEXT, 1), (READABLE, 40, 0, 0)),
    "SPLIT-DESC-R02": _split(IN_ORDER, (READABLE, 40, NEXT, 2), (WRITABLE, 96, WRITE, 0), (WRITABLE, 96, WRITE, 0)),
    "SPLIT-IND-R01": _split(FEATURES & ~Feature.INDIRECT_DESC.mask, (TABLE, 32, INDIRECT, 0)),
    "SPLIT-IND-R02": _split_table(FEATURES, INDIRECT, (16, INDIRECT, 0)),
    "SPLIT-IND-R03": _split(FEATURES, (READABLE, 40, NEXT, 1), (READABLE, 40, NEXT, 0)),
    "SPLIT-IND-R04": _split_table(FEATURES, INDIRECT | NEXT, (96, WRITE, 0)),
    "SPLIT-IND-R05": _split_table(IN_ORDER, INDIRECT, (40, NEXT, 2), (40, 0, 0), (96, WRITE, 0)),
    "SPLIT-AVAIL-R01": split_avail_r01,
    "SPLIT-UNS-R01": _flags(FEATURES, 2),
    "SPLIT-UNS-R03": _flags(EVENTS, 1),
    "CLEAN-R01": clean_r01,
    "PACK-WRAP-RI1": _packed(PACKED, (40, NEXT, 0), (96, WRITE | USED_BIT, 0)),
    "PACK-SG-R02": _packed(PACKED, *((8, NEXT, 0),) * 3, size=3),
    "PACK-SG-R03": _packed(PACKED, (96, WRITE | NEXT, 0), (40, 0, 0)),
    "PACK-SG-R05": pack_sg_r05,
    "PACK-IND-R01": _packed(PACKED & ~Feature.INDIRECT_DESC.mask, (32, INDIRECT, 0)),
    "PACK-IND-R02": _packed_table((40, NEXT), (96, WRITE)),
    "PACK-IND-R03": _packed_table(*((8, 0),) * 5),
    "PACK-IND-R04": _packed(PACKED, (40, NEXT, 0), (32, INDIRECT, 0)),
    "PACK-DESC-R01": pack_desc_r01,
    "PACK-DESC-R02": pack_desc_r02,
    "FS-HP-R01": _request(Opcode.FORGET, RINGS, 2),
    "FS-HP-R02": _request(Opcode.GETATTR, 0x50_0000, 0),
    "FS-NQ-R01": fs_nq_r01,
    "FS-INIT-RI1": _request(Opcode.INIT, RINGS, 2),
    "FS-INIT-RI2": fs_init_ri2,
}
"""By clause: a driver that breaks it and nothing else."""
