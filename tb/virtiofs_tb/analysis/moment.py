"""What a failure is about: the request or notification, its queue, and the bytes that differ, from the log up to it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from virtiofs_model.tlp import decode, enabled_range
from virtiofs_tb.analysis import difference as diff
from virtiofs_tb.analysis.difference import Difference, difference
from virtiofs_tb.analysis.packet_names import PacketNames
from virtiofs_tb.analysis.rings import RingSnapshot, rings_at
from virtiofs_tb.analysis.source import AnalysisError
from virtiofs_tb.analysis.stories import StoryBuilder
from virtiofs_tb.analysis.story import NOTIFICATION, OPEN, REQUEST, Story
from virtiofs_tb.host.log import Channel, Kind, Record
from virtiofs_tb.host.port import NotifyResult
from virtiofs_tb.profile import Profile
from virtiofs_tb.report import FailureReport, microseconds
from virtiofs_tb.scoreboards.events import (
    ChainUsed,
    EngineNotifySeen,
    EngineRequestSeen,
    MailboxNotify,
    ResetBegin,
    ResetDone,
)
from virtiofs_tb.scoreboards.fuse import FuseScoreboard, Request
from virtiofs_tb.scoreboards.observer import Observer
from virtiofs_tb.scoreboards.ring_state import Chain

NAMED = 400  # of the last records
CHAIN = re.compile(r"chain (\d+) \((?:entry|slot) (\d+)\) of queue (\d+)")
QUEUE = re.compile(r"\bqueue (\d+)")
CONTEXT = re.compile(r"\bcontext (\d+)")
VECTOR = re.compile(r"\bvector (\d+)")
SEQ = re.compile(r"\bseq (\d+)")
WAITED_FOR = re.compile(r"^queue (\d+): (?:.* )?chain (\d+)")
"""What the driver waited for."""
OVERTAKEN = " gave at seq "
"""In a failure that is about the order of a notification, not about its bytes."""


@dataclass
class Moment:
    """A run as it stood when it failed. stories: all, up to then; story: the one that the failure is about, if known;
    queue: the virtqueue concerned; records, rings: up to the failure; names: what packets touch, by seq; notes: what
    else follows from the bytes."""

    records: Sequence[Record]
    stories: list[Story]
    story: Story | None = None
    queue: int | None = None
    difference: Difference | None = None
    rings: list[RingSnapshot] = field(default_factory=list)
    names: dict[int, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def open(self) -> list[Story]:
        """Requests that were not used, and messages that had begun to be."""
        return [story for story in self.stories if story.state == OPEN and (story.kind == REQUEST or story.stages)]


class _Watch:
    """Listens for what happened at the failure's own record, for messages that are to come, and for resets.

    before_reset: available and used index of each queue when the device was reset last, and when that was (ps).
    """

    def __init__(self, seq: int, observer: Observer) -> None:
        self.seq = seq
        self.before_reset: dict[int, tuple[int, int, int]] = {}
        self._observer = observer
        self.used: Chain | None = None
        self.length = 0
        self.request: EngineRequestSeen | None = None
        self.next_message = b""
        self._messages: list[bytes] = []

    def on_chain_used(self, event: ChainUsed) -> None:
        data = bytes(event.chain.write_store.data[: event.length])
        if event.seq == self.seq and self.used is None:
            self.used, self.length = event.chain, event.length
            self.next_message = self._messages[0] if self._messages else b""
        if event.chain.queue.notification and data in self._messages:
            self._messages.remove(data)

    def on_engine_request(self, event: EngineRequestSeen) -> None:
        if event.seq == self.seq:
            self.request = event

    def on_mailbox_notify(self, event: MailboxNotify) -> None:
        if event.result != NotifyResult.REFUSED.value:
            self._messages.append(event.message)

    def on_engine_notify(self, event: EngineNotifySeen) -> None:
        self._messages.append(event.message)

    def on_reset_begin(self, event: ResetBegin) -> None:
        queues = self._observer.rings.queues.items()
        positions = {
            index: (queue.avail_idx, queue.used_idx, event.t_ps) for index, queue in queues if not queue.packed
        }
        self.before_reset = positions or self.before_reset  # a driver may reset twice

    def on_reset_done(self, event: ResetDone) -> None:
        self._messages.clear()


def moment_of(records: Sequence[Record], failure: FailureReport, profile: Profile) -> Moment:
    """The run up to a failure; up to the end of the log where the failure is not of one record."""
    until = [record for record in records if _is_before(record, failure)]
    observer = Observer(profile)
    builder, watch = StoryBuilder(observer), _Watch(failure.seq, observer)
    names = PacketNames(observer, frozenset(named_in(failure)))
    observer.bind((FuseScoreboard(profile, observer), builder, watch, names))
    observer.observe(until)
    vectors = {queue.vector: index for index, queue in observer.virtio.queues.items()}
    chain = _chain(observer, watch, failure)
    end_ps = max((record.t_ps for record in until), default=0)
    moment = Moment(until, [])
    moment.difference = _difference(watch, chain, failure.text)
    moment.stories = builder.finish(end_ps)
    try:
        moment.rings = rings_at(until, end_ps)
    except AnalysisError:
        moment.rings = []
    moment.story, moment.queue = _concerned(moment, failure, chain, vectors)
    moment.names = {record.seq: name for record in until[-NAMED:] if (name := names.of(record.seq))}
    moment.names |= {seq: name for seq in named_in(failure) if (name := names.of(seq))}
    moment.notes = _foreign(moment)
    if failure.kind == "hang" and moment.queue in watch.before_reset:
        avail, used, t_ps = watch.before_reset[moment.queue]
        moment.notes.append(
            f"queue {moment.queue} began anew after the reset at {microseconds(t_ps)}; "
            f"then the device had taken available index {avail} and written used index {used}"
        )
    return moment


def named_in(failure: FailureReport) -> list[int]:
    """The records that a failure names."""
    return [int(seq) for seq in SEQ.findall(f"{failure.text} {failure.seen} {failure.expected}")]


def _foreign(moment: Moment) -> list[str]:
    """Where a reply carries the unique of another request: whose it is."""
    rows = moment.difference.rows if moment.difference is not None else []
    unique = next((int(row.seen.rsplit("=", maxsplit=1)[-1]) for row in rows if row.name == "unique"), None)
    owner = _last(story for story in moment.stories if unique and story.unique == unique)
    if owner is None or owner is moment.story:
        return []
    return [f"the bytes carry unique {unique}: that of {owner.op} on queue {owner.queue}, head {owner.head}"]


def _is_before(record: Record, failure: FailureReport) -> bool:
    if failure.kind != "check":
        return True
    return record.seq <= failure.seq if failure.seq >= 0 else record.t_ps <= failure.t_ps


def _chain(observer: Observer, watch: _Watch, failure: FailureReport) -> Chain | None:
    """The chain that the failure's text names, or that was used at its record."""
    named = CHAIN.search(failure.text)
    if named is not None:
        head, entry, index = map(int, named.groups())
        queue = observer.rings.queues.get(index)
        if watch.used is not None and watch.used.head == head and watch.used.queue.index == index:
            return watch.used
        for position, chain in queue.open.items() if queue is not None else ():
            place = position % chain.queue.size if chain.queue.packed else position & 0xFFFF
            if chain.head == head and place == entry:
                return chain
        return None
    context = CONTEXT.search(failure.text)
    if context is not None:
        return observer.with_engine.get(int(context[1]))
    return watch.used


def _difference(watch: _Watch, chain: Chain | None, text: str) -> Difference | None:
    """Whole messages, where the failure is about their bytes."""
    if chain is None:
        return None
    request = bytes(chain.read_store.data)
    opcode = int.from_bytes(request[4:8], "little") if len(request) >= 8 else 0
    if watch.request is not None:
        head = watch.request.head
        return difference(diff.REQUEST, opcode, request[: len(head)], head)
    if watch.used is not chain:
        return None
    data = bytes(chain.write_store.data[: watch.length])
    if chain.queue.notification:
        if OVERTAKEN in text:
            return None
        return difference(diff.NOTIFICATION, 0, watch.next_message, data) if watch.next_message else None
    given = chain.request
    if not isinstance(given, Request) or not given.used_length or "byte" not in text:
        return None
    expected = bytearray(data[: given.used_length])
    for at, size, piece in given.writes:
        if piece is not None:
            expected[at : at + size] = piece
    return difference(diff.REPLY, opcode, bytes(expected), data)


def _concerned(
    moment: Moment, failure: FailureReport, chain: Chain | None, vectors: dict[int, int]
) -> tuple[Story | None, int | None]:
    """The story that a failure is about, and its queue."""
    stories = moment.stories
    named = CHAIN.search(failure.text)
    head, queue = (int(named[1]), int(named[3])) if named else (-1, None)
    if chain is not None:
        head, queue = chain.head, chain.queue.index
    if queue is not None:
        return _last(s for s in stories if s.queue == queue and s.head == head), queue
    waited_for = WAITED_FOR.search(failure.text)
    if failure.kind != "check" and waited_for is not None:
        queue, head = map(int, waited_for.groups())
        unused = failure.seen == "not used"
        same = (s for s in stories if (s.queue, s.head) == (queue, head) and (s.state == OPEN or not unused))
        return _last(same), queue
    if failure.kind != "check":
        waiting = [story for story in moment.open if story.kind == REQUEST] or moment.open
        story = waiting[0] if waiting else _last(stories)
        return story, story.queue if story is not None else None
    for seq in [failure.seq, *named_in(failure)]:
        story = _last(s for s in stories if seq in s.packets or any(stage.seq == seq for stage in s.stages))
        if story is not None:
            return story, story.queue
    story = _touched(moment, failure)
    if story is not None:
        return story, story.queue
    by_queue = QUEUE.search(failure.text)
    by_vector = VECTOR.search(failure.text)
    if by_queue is not None:
        queue = int(by_queue[1])
    elif by_vector is not None:
        queue = vectors.get(int(by_vector[1]))
    if failure.source == "notifications" and queue is None:
        story = _last(s for s in stories if s.kind == NOTIFICATION)
        return story, story.queue if story is not None else 1
    if queue is None:
        return None, None
    on_queue = [story for story in stories if story.queue == queue]
    if failure.source == "interrupts":  # it is about a buffer that was used
        on_queue = [story for story in on_queue if story.given_back is not None] or on_queue
    return _last(on_queue), queue


def _touched(moment: Moment, failure: FailureReport) -> Story | None:
    """The chain in flight in whose buffers, or right at whose buffers, the failure's packet writes or reads."""
    record = moment.records[-1] if moment.records else None
    if record is None or record.seq != failure.seq or record.kind != Kind.TLP or record.channel != Channel.RQ:
        return None
    start, size = enabled_range(decode(record.hdr, record.payload))
    for ring in moment.rings:
        for chain in ring.chains:
            for part in chain.descriptors:
                if part.address <= start + size and start <= part.address + part.length:
                    return _last(s for s in moment.stories if (s.queue, s.head) == (ring.index, chain.story.head))
    return None


def _last(stories: Iterable[Story]) -> Story | None:
    found = list(stories)
    return found[-1] if found else None
