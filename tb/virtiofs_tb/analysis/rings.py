"""Virtqueues as they were at one moment: what the device had been shown, what it had written, what is under way."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from virtiofs_model.layouts.virtio import DescFlags
from virtiofs_tb.analysis.source import AnalysisError
from virtiofs_tb.analysis.stories import StoryBuilder
from virtiofs_tb.analysis.story import Story
from virtiofs_tb.host.log import Kind, Record
from virtiofs_tb.profile import Profile
from virtiofs_tb.report import microseconds
from virtiofs_tb.scoreboards.events import ChainUsed, DmaData, Doorbell, QueueEnabled, SuppressionRead, UsedIndex
from virtiofs_tb.scoreboards.fuse import FuseScoreboard
from virtiofs_tb.scoreboards.memory_map import AVAIL, DESC
from virtiofs_tb.scoreboards.observer import Observer
from virtiofs_tb.scoreboards.ring_state import Chain, Queue
from virtiofs_tb.scoreboards.suppression import said

NEXT, WRITE, INDIRECT = int(DescFlags.NEXT), int(DescFlags.WRITE), int(DescFlags.INDIRECT)
KEPT_USED = 8


@dataclass(slots=True)
class Descriptor:
    """A descriptor that the device was shown. place: its index, with a * in an indirect table."""

    place: str
    address: int
    length: int
    flags: int
    following: int

    def __str__(self) -> str:
        names = [flag.name.lower() for flag in DescFlags if self.flags & flag and flag.name]
        after = f" -> {self.following}" if self.flags & NEXT else ""
        return f"{self.place}: {self.address:#x} {self.length} bytes {' '.join(names)}{after}".rstrip()


@dataclass(slots=True)
class OpenChain:
    """A chain that the device was shown and has not given back."""

    position: int
    head: int
    descriptors: list[Descriptor]
    complete: bool
    story: Story


@dataclass(slots=True)
class RingSnapshot:
    """One queue. Times are ps, None where it did not happen since queue_enable.

    packed: of this format, so that avail_idx and used_idx count descriptors since queue_enable, and slot and wrap
    counter follow (place); in used and written the id stands for the head, and a slot for the index.
    avail_idx: as the device was last shown it (avail_t: when); unread: positions that it covers whose ring entry was
    not read since; used: the newest used entries that an index covers, as (index, head, length, t_ps); written: used
    entries that none covers yet, as (slot, head, length); suppression: the word read last, and when; reads: what is
    asked for and not answered.
    """

    index: int
    size: int
    desc: int
    driver: int
    device: int
    notification: bool
    broken: str
    doorbell_t: int | None
    avail_idx: int
    avail_t: int | None
    unread: list[int]
    chains: list[OpenChain]
    used: list[tuple[int, int, int, int]]
    written: list[tuple[int, int, int]]
    used_idx: int
    used_t: int | None
    suppression: tuple[str, int] | None
    reads: list[str]
    packed: bool = False

    def place(self, position: int) -> str:
        """A position, as a driver would say it."""
        if not self.packed:
            return f"{position & 0xFFFF}"
        return f"slot {position % self.size}, wrap counter {1 ^ (position // self.size & 1)}"


@dataclass(slots=True)
class _Seen:
    """What the observer does not keep of a queue."""

    doorbell_t: int | None = None
    avail_t: int | None = None
    used_t: int | None = None
    used: deque[tuple[int, int, int, int]] = field(default_factory=lambda: deque(maxlen=KEPT_USED))
    suppression: tuple[str, int] | None = None


class _Watch:
    """Listens for times and for words that are read and forgotten."""

    def __init__(self) -> None:
        self.queues: dict[int, _Seen] = {}

    def _of(self, index: int) -> _Seen:
        return self.queues.setdefault(index, _Seen())

    def on_queue_enabled(self, event: QueueEnabled) -> None:
        self.queues[event.queue.index] = _Seen()

    def on_doorbell(self, event: Doorbell) -> None:
        self._of(event.queue).doorbell_t = event.t_ps

    def on_dma_data(self, event: DmaData) -> None:
        for region in event.read.regions:
            if region.kind == DESC and region.queue.packed:
                next_head = region.start + 16 * (region.queue.avail_idx % region.queue.size)
                if event.start <= next_head < event.start + len(event.data):
                    self._of(region.queue.index).avail_t = event.t_ps
            elif region.queue.packed:
                continue
            elif region.kind == AVAIL and event.start <= region.start + 2 < event.start + len(event.data):
                self._of(region.queue.index).avail_t = event.t_ps

    def on_suppression_read(self, event: SuppressionRead) -> None:
        words = [f"flags {event.flags}"] if event.flags is not None else []
        words += [f"used_event {event.used_event}"] if event.used_event is not None else []
        text = said(event) if event.queue.packed else ", ".join(words)
        self._of(event.queue.index).suppression = (text, event.t_ps)

    def on_chain_used(self, event: ChainUsed) -> None:
        queue = event.chain.queue
        place = (queue.used_idx - event.chain.slots) % queue.size if queue.packed else (queue.used - 1) & 0xFFFF
        self._of(queue.index).used.append((place, event.chain.head, event.length, event.t_ps))

    def on_used_index(self, event: UsedIndex) -> None:
        self._of(event.queue.index).used_t = event.t_ps


def rings_at(records: Sequence[Record], t_ps: int, only: int | None = None) -> list[RingSnapshot]:
    """The enabled queues after the last packet that is not later than `t_ps`.

    Raises AnalysisError where none is enabled, or not the one that is asked for.
    """
    until = next((n for n, record in enumerate(records) if record.kind == Kind.TLP and record.t_ps > t_ps), None)
    observer = Observer(Profile())
    builder, watch = StoryBuilder(observer), _Watch()
    observer.bind((FuseScoreboard(observer.profile, observer), builder, watch))
    observer.observe(records[:until])
    queues = observer.rings.queues
    if not queues:
        raise AnalysisError(f"no virtqueue is enabled at {microseconds(t_ps)}")
    if only is not None and only not in queues:
        enabled = ", ".join(map(str, sorted(queues)))
        raise AnalysisError(f"queue {only} is not enabled at {microseconds(t_ps)}; enabled are {enabled}")
    stories = builder.under_way(t_ps)
    return [
        _snapshot(queue, watch.queues.get(index, _Seen()), stories, observer)
        for index, queue in sorted(queues.items())
        if only is None or index == only
    ]


def _snapshot(queue: Queue, seen: _Seen, stories: dict[Chain, Story], observer: Observer) -> RingSnapshot:
    chains = [
        OpenChain(
            position % queue.size if queue.packed else position & 0xFFFF,
            chain.head,
            descriptors(chain),
            chain.walked,
            stories[chain],
        )
        for position, chain in sorted(queue.open.items())
    ]
    reads = [
        f"{read.end - read.start} bytes at {read.start:#x} since {microseconds(read.t_ps)}: {region}"
        for read in observer.reads.values()
        for region in read.regions
        if region.queue is queue
    ]
    return RingSnapshot(
        queue.index, queue.size, queue.desc, queue.driver, queue.device, queue.notification, queue.broken,
        seen.doorbell_t, queue.avail_idx if queue.packed else queue.avail_idx & 0xFFFF, seen.avail_t,
        sorted(entry.position & 0xFFFF for entry in queue.slots.values()), chains, list(seen.used),
        [(slot % queue.size, head, length) for slot, (head, length, _) in sorted(queue.used_entries.items())],
        queue.used_idx, seen.used_t, seen.suppression, reads, queue.packed,
    )  # fmt: skip


def descriptors(chain: Chain) -> list[Descriptor]:
    """The chain as far as the device was shown it since it was published."""
    found: list[Descriptor] = []
    packed, size = chain.queue.packed, chain.queue.size
    at = chain.position % size if packed else chain.head
    while len(found) < (chain.slots if packed else size):
        desc = chain.queue.descs[at]
        head = packed and not found  # shown by the read that made it available
        if desc is None or (desc[0] <= chain.pub_seq and not head):
            return found
        _, address, length, flags, following = desc
        following = (at + 1) % size if packed else following
        found.append(Descriptor(f"{at}", address, length, flags, following))
        if flags & INDIRECT:
            return found + _in_table(chain)
        if not flags & NEXT or following >= size:
            return found
        at = following
    return found


def _in_table(chain: Chain) -> list[Descriptor]:
    found: list[Descriptor] = []
    table = chain.table
    at = 0
    while table is not None and len(found) < chain.queue.size and table.store.covers(16 * at, 16 * at + 16):
        raw = bytes(table.store.data[16 * at : 16 * at + 16])
        word = int.from_bytes(raw, "little")
        flags, following = word >> 96 & 0xFFFF, word >> 112
        if chain.queue.packed:  # only WRITE means something, and the order is that of the table
            flags, following = word >> 112 & WRITE, at + 1
        found.append(Descriptor(f"*{at}", word & (1 << 64) - 1, word >> 64 & 0xFFFF_FFFF, flags, following))
        if not flags & NEXT and not chain.queue.packed:
            break
        at = following
    return found
