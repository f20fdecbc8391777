"""The bins, as data. A group is a cross of axes; a bin is named "group/value/value".

What cannot exist is not waived but `never`: such a bin is no goal, and it is a failure to hit it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import combinations, product

from virtiofs_model.errors import ErrorCode
from virtiofs_model.layouts.virtio import Feature

FORMATS = ("split", "packed")
FREE_FEATURES = (
    Feature.FS_NOTIFICATION,
    Feature.INDIRECT_DESC,
    Feature.EVENT_IDX,
    Feature.ACCESS_PLATFORM,
    Feature.RING_PACKED,
    Feature.IN_ORDER,
    Feature.ORDER_PLATFORM,
    Feature.NOTIFICATION_DATA,
    Feature.NOTIF_CONFIG_DATA,
    Feature.RING_RESET,
)
"""Those that the device can offer and a driver may do without; ACCESS_PLATFORM only where it is not offered."""
PAIRS = tuple(f"{one.name}+{other.name}" for one, other in combinations(FREE_FEATURES, 2))
COMPANY = ("neither", "first", "second", "both")
SIZES = ("1", "2..8", "9..64", "65..512", "513..1024")
COUNTS = ("1", "2", "3..4", "5..8", "9..")
ALIGNMENTS = ("1", "2", "4", "8", "16..")
ERRORS = tuple(code.name for code in ErrorCode if code)
CODES = ("POLL", "INVAL_INODE", "INVAL_ENTRY", "STORE", "RETRIEVE", "DELETE", "LOCK", "INC_EPOCH")


@dataclass(frozen=True)
class Group:
    """A cross of axes (name, values). never: patterns of values that cannot be, with the reason."""

    name: str
    summary: str
    axes: tuple[tuple[str, tuple[str, ...]], ...]
    never: tuple[tuple[str, str], ...] = ()

    def all(self) -> Iterator[str]:
        """Every bin of the cross."""
        for values in product(*(values for _, values in self.axes)):
            yield "/".join((self.name, *values))

    def impossible(self, bin_name: str) -> str:
        """Why a bin cannot be ('' it can)."""
        values = bin_name.partition("/")[2]
        return next((why for pattern, why in self.never if fnmatchcase(values, pattern)), "")


GROUPS = (
    Group(
        "features",
        "Each two features in force together, one without the other, and neither (at DRIVER_OK)",
        (("pair", PAIRS), ("in force", COMPANY)),
    ),
    Group(
        "ring",
        "Queues in use, by format and size",
        (("format", FORMATS), ("size", SIZES), ("kind", ("power of 2", "other"))),
        (("split/*/other", "the size of a split ring is a power of 2"), ("*/1/other", "1 is a power of 2")),
    ),
    Group(
        "chain",
        "Chains, by the ring's format, how they lie in it, descriptors, and what they hold",
        (
            ("format", FORMATS),
            ("shape", ("direct", "indirect")),
            ("descriptors", COUNTS),
            ("parts", ("readable", "writable", "both")),
        ),
        (("*/*/1/both", "one descriptor is readable or writable"),),
    ),
    Group(
        "chain_in_ring",
        "Chains, by format and size of their ring",
        (
            ("format", FORMATS),
            ("size", SIZES),
            ("shape", ("direct", "indirect")),
            ("descriptors", ("1", "2..")),
        ),
        (("*/1/*/2..", "a chain has no more descriptors than its queue has places (SPLIT-DESC-R01)"),),
    ),
    Group(
        "buffer",
        "Buffers, by alignment of their address and whether they cross 4 KiB",
        (
            ("format", FORMATS),
            ("part", ("readable", "writable")),
            ("alignment", ALIGNMENTS),
            ("page", ("inside", "crosses")),
        ),
    ),
    Group(
        "used_length",
        "Used lengths, beside what was writable",
        (("format", FORMATS), ("queue", ("request", "notification")), ("length", ("nothing", "part", "all"))),
    ),
    Group(
        "suppression",
        "What the device was told of interrupts when it had used a chain",
        (("said", ("flags on", "flags off", "used_event", "packed enable", "packed disable", "packed descriptor")),),
    ),
    Group(
        "interrupt",
        "How interrupts stood when chains were used",
        (
            ("format", FORMATS),
            ("state", ("open", "vector masked", "function masked", "no vector", "bus master off", "MSI-X off")),
        ),
        (("*/bus master off", "a used index is itself a write that the bus master bit must allow"),),
    ),
    Group(
        "vectors",
        "Vectors of queues at DRIVER_OK",
        (("role", ("configuration", "queue")), ("vector", ("own", "shared", "none"))),
    ),
    Group(
        "status",
        "Writes of device_status, by what it was before",
        (
            (
                "step",
                (
                    "reset>acknowledge",
                    "acknowledge>driver",
                    "driver>features_ok",
                    "features_ok>driver_ok",
                    "features refused",
                    "reset>reset",
                    "acknowledge>reset",
                    "driver>reset",
                    "features_ok>reset",
                    "driver_ok>reset",
                    "needs_reset>reset",
                    "failed",
                ),
            ),
        ),
    ),
    Group(
        "reset",
        "Resets of the device and of queues, by what was under way",
        (
            ("kind", ("device", "queue")),
            ("format", FORMATS),
            ("moment", ("idle", "chains open", "reads outstanding")),
        ),
    ),
    Group("other_reset", "Other resets", (("kind", ("pin", "FLR", "D3hot")),)),
    Group("error", "Entries of the error log that the DPU read", (("code", ERRORS),)),
    Group(
        "failed_read",
        "Reads of the device that failed, by what they were for",
        (
            ("format", FORMATS),
            ("memory", ("descriptors", "driver area", "indirect table", "readable part")),
        ),
    ),
    Group(
        "completion",
        "Completions of reads, by what was read and in how many pieces",
        (("memory", ("ring", "readable part")), ("pieces", ("1", "2", "3.."))),
    ),
    Group(
        "order",
        "Completions, beside the order of the requests",
        (("memory", ("ring", "readable part")), ("order", ("in order", "overtakes"))),
    ),
    Group("mailbox", "What the mailbox answered", (("outcome", ("accepted", "held", "refused")),)),
    Group(
        "notification",
        "Notifications that were delivered",
        (("format", FORMATS), ("code", CODES)),
    ),
)

BY_NAME = {group.name: group for group in GROUPS}
IMPOSSIBLE = {name: why for group in GROUPS for name in group.all() if (why := group.impossible(name))}
BINS = frozenset(name for group in GROUPS for name in group.all()) - IMPOSSIBLE.keys()
"""The goal."""
