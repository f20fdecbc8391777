"""What is known of a queue and of its exposed chains."""

from __future__ import annotations

from virtiofs_model.layouts.virtio import avail_size, used_size
from virtiofs_tb.scoreboards.memory_map import AVAIL, DESC, USED, ByteStore, Region


class Published:
    """An available entry that the index covers. pub_seq: when that index was delivered."""

    __slots__ = ("position", "pub_seq", "pub_t")

    def __init__(self, position: int, pub_seq: int, pub_t: int) -> None:
        self.position = position
        self.pub_seq = pub_seq
        self.pub_t = pub_t


class Chain:
    """An exposed chain.

    position: its place in available order; readable, writable: bytes of its parts so far; walked: to the end;
    provisional: what of it was only seen by a read issued too early ('' nothing); head_issue: when the first read that
    begins at the head was issued (0: not yet). For the FUSE scoreboard: request, what it made of the chain; answered,
    the engine has replied; job_end, how far mover jobs write into the writable part; job_bytes, how much they write.
    written: bytes written to the writable part, each as often as it was; entry_seq: when a used entry named the chain
    (0: not yet).
    """

    __slots__ = (
        "answered", "broken", "dead", "entry_seq", "failed", "head", "head_issue", "indirect", "job_bytes", "job_end",
        "next", "position",
        "provisional", "pub_seq", "pub_t", "queue",
        "read_store", "readable", "ready_t", "regions", "request", "steps", "table", "walked", "writable",
        "write_store", "written",
    )  # fmt: skip

    def __init__(self, queue: Queue, entry: Published, head: int) -> None:
        self.queue = queue
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
        return f"chain {self.head} (entry {self.position & 0xFFFF}) of queue {self.queue.index}"


class IndirectTable:
    """An indirect table: only bytes that were read after publication are in `store`."""

    __slots__ = ("address", "length", "store")

    def __init__(self, address: int, length: int) -> None:
        self.address = address
        self.length = length
        self.store = ByteStore()


class Queue:
    """A queue between queue_enable and reset."""

    __slots__ = (
        "avail_idx",
        "broken",
        "broken_t",
        "by_head",
        "desc",
        "descs",
        "device",
        "driver",
        "early",
        "enabled_seq",
        "enabled_t",
        "index",
        "index_seq",
        "indirect_allowed",
        "notification",
        "open",
        "partial",
        "regions",
        "size",
        "slots",
        "used",
        "used_bytes",
        "used_entries",
        "used_idx",
        "waiting",
    )  # fmt: skip

    def __init__(self, index: int, size: int, desc: int, driver: int, device: int) -> None:
        self.index = index
        self.size = size
        self.desc = desc
        self.driver = driver
        self.device = device
        self.notification = False
        self.indirect_allowed = False
        self.enabled_seq = 0
        self.enabled_t = 0
        self.broken = ""
        self.broken_t = 0
        self.avail_idx = 0  # free-running: the next position to be published
        self.index_seq = 0  # when the answer came that said so
        self.used_idx = 0  # 16 bits, as on the wire
        self.used = 0  # chains used
        self.slots: dict[int, Published] = {}
        self.early: dict[int, int] = {}  # ring entries seen by a read that was issued too early
        self.descs: list[tuple[int, int, int, int, int] | None] = [None] * size
        self.partial: dict[int, ByteStore] = {}
        self.waiting: dict[int, list[Chain]] = {}
        self.open: dict[int, Chain] = {}  # by position
        self.by_head: dict[int, list[Chain]] = {}
        self.used_entries: dict[int, tuple[int, int, int]] = {}
        self.used_bytes: dict[int, ByteStore] = {}
        self.regions = [
            Region(desc, desc + 16 * size, DESC, self),
            Region(driver, driver + avail_size(size), AVAIL, self),
            Region(device, device + used_size(size), USED, self),
        ]
