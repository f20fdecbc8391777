"""What is known of a queue and of its exposed chains."""

from __future__ import annotations

from ctypes import sizeof

from virtiofs_model.layouts.virtio import PvirtqEventSuppress, avail_size, used_size
from virtiofs_tb.scoreboards.memory_map import AVAIL, DESC, USED, ByteStore, Region

EVENT_SIZE = sizeof(PvirtqEventSuppress)


class Published:
    """An available entry that the index covers. pub_seq: when that index was delivered."""

    __slots__ = ("position", "pub_seq", "pub_t")

    def __init__(self, position: int, pub_seq: int, pub_t: int) -> None:
        self.position = position
        self.pub_seq = pub_seq
        self.pub_t = pub_t


class Chain:
    """An exposed chain.

    position: its place in available order; head: its first descriptor, in a packed ring its buffer ID (that of its
    first descriptor until the last is known); slots: places of the ring that it takes; readable, writable: bytes of its
    parts so far; walked: to the end; provisional: what of it was only seen by a read issued too early ('' nothing);
    head_issue: when the first read that begins at the head was issued (0: not yet). For the FUSE scoreboard: request,
    what it made of the chain; answered, the engine has replied; job_end, how far mover jobs write into the writable
    part; job_bytes, how much they write. written: bytes written to the writable part, each as often as it was;
    entry_seq: when a used entry named the chain (0: not yet).
    """

    __slots__ = (
        "answered", "broken", "dead", "entry_seq", "failed", "head", "head_issue", "indirect", "job_bytes", "job_end",
        "next", "position",
        "provisional", "pub_seq", "pub_t", "queue",
        "read_store", "readable", "ready_t", "regions", "request", "slots", "steps", "table", "walked", "writable",
        "write_store", "written",
    )  # fmt: skip

    def __init__(self, queue: Queue, entry: Published, head: int) -> None:
        self.queue = queue
        self.slots = 1
        self.position = entry.position
        self.pub_seq = entry.pub_seq
        self.pub_t = entry.pub_t
        self.head = head
        self.next = head
        self.table: IndirectTable | None = None
        self.indirect = False
        self.steps = 0
        self.readable = 0
        self.writable = 0
        self.walked = False
        self.ready_t = 0
        self.broken = ""
        self.dead = False
        self.provisional = ""
        self.regions: list[Region] = []
        self.read_store = ByteStore()
        self.write_store = ByteStore()
        self.failed: list[tuple[int, int]] = []  # ranges of the readable part whose read failed
        self.head_issue = 0
        self.request: object | None = None
        self.answered = False
        self.job_end = 0
        self.job_bytes = 0
        self.written = 0
        self.entry_seq = 0

    def __str__(self) -> str:
        if self.queue.packed:
            return f"chain {self.head} (slot {self.position % self.queue.size}) of queue {self.queue.index}"
        return f"chain {self.head} (entry {self.position & 0xFFFF}) of queue {self.queue.index}"


class IndirectTable:
    """An indirect table: only bytes that were read after publication are in `store`."""

    __slots__ = ("address", "length", "store")

    def __init__(self, address: int, length: int) -> None:
        self.address = address
        self.length = length
        self.store = ByteStore()


class Queue:
    """A queue between queue_enable and reset.

    desc, driver, device: its three areas. In a split ring positions count entries of the available ring; in a packed
    one they count descriptors, so that position % size is the slot.

    avail_idx: the next position to be published (both formats let it run on); used_idx: of a split ring the used index
    with 16 bits, as on the wire, of a packed one the position of the next used descriptor. descs: the descriptors shown
    last (issue, address, length, flags, next or buffer ID). asked: of a packed ring, when each slot was asked for last;
    shown: heads that are available, by position: when that was delivered first; walking: the chain whose descriptors
    are not all known; told_idx, told_seq: up to where a doorbell with NOTIFICATION_DATA said that chains are available.
    avail_event: what the endpoint wrote there last (EVENT_IDX). reset_seq: when queue_reset was written (0: never).
    """

    __slots__ = (
        "asked", "avail_event", "avail_idx", "broken", "broken_t", "by_head", "desc", "descs", "device", "driver",
        "early", "enabled_seq", "enabled_t", "event_idx", "in_order", "index", "index_seq", "indirect_allowed",
        "notification", "open", "packed", "partial", "regions", "reset_seq", "shown", "size", "slots", "told_idx",
        "told_seq", "used", "used_bytes", "used_entries", "used_idx", "waiting", "walking",
    )  # fmt: skip

    def __init__(self, index: int, size: int, desc: int, driver: int, device: int, packed: bool = False) -> None:
        self.index = index
        self.size = size
        self.desc = desc
        self.driver = driver
        self.device = device
        self.packed = packed
        self.notification = False
        self.indirect_allowed = False
        self.event_idx = False
        self.in_order = False
        self.enabled_seq = 0
        self.enabled_t = 0
        self.reset_seq = 0
        self.broken = ""
        self.broken_t = 0
        self.avail_idx = 0
        self.index_seq = 0  # when the answer came that said so
        self.used_idx = 0
        self.used = 0  # chains used
        self.avail_event = 0
        self.slots: dict[int, Published] = {}
        self.early: dict[int, int] = {}  # ring entries seen by a read that was issued too early
        self.descs: list[tuple[int, int, int, int, int] | None] = [None] * size
        self.partial: dict[int, ByteStore] = {}
        self.waiting: dict[int, list[Chain]] = {}
        self.open: dict[int, Chain] = {}  # by position
        self.by_head: dict[int, list[Chain]] = {}
        self.used_entries: dict[int, tuple[int, int, int]] = {}
        self.used_bytes: dict[int, ByteStore] = {}
        self.asked: dict[int, tuple[int, int]] = {}
        self.shown: dict[int, tuple[int, int]] = {}
        self.walking: Chain | None = None
        self.told_idx = 0
        self.told_seq = 0
        sizes = (EVENT_SIZE, EVENT_SIZE) if packed else (avail_size(size), used_size(size))
        self.regions = [
            Region(desc, desc + 16 * size, DESC, self),
            Region(driver, driver + sizes[0], AVAIL, self),
            Region(device, device + sizes[1], USED, self),
        ]

    @property
    def readable_regions(self) -> list[Region]:
        """The areas that the endpoint may read: of a packed ring not the one that only the driver reads."""
        return self.regions[:2] if self.packed else self.regions

    @property
    def writable_regions(self) -> list[Region]:
        """The areas that the endpoint may write."""
        return [self.regions[0], self.regions[2]] if self.packed else self.regions[2:]

    @property
    def full(self) -> bool:
        """Whether no further chain can be available: each place of the ring belongs to one that was not used."""
        return self.packed and self.avail_idx - self.used_idx >= self.size

    def wrap(self, position: int) -> int:
        """The ring wrap counter at a position of a packed ring: 1 in the first round (PACK-WRAP-DI1)."""
        return 1 ^ (position // self.size & 1)

    def rule(self, split: str, packed: str) -> str:
        """The clause that says it for the format of this ring."""
        return packed if self.packed else split
