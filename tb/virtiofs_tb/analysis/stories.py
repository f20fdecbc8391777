"""Every FUSE request and every notification of a run as a story, from the observation log alone.

The rings are rebuilt by the scoreboards' Observer, and a request at the engine is matched with its chain by the FUSE
scoreboard, whose verdicts are not looked at here: what it cannot match, because the bytes are wrong, is matched by
the request's unique.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from virtiofs_model.layouts.virtio import DescFlags
from virtiofs_tb.analysis.drafts import (
    Draft,
    EnginePart,
    Fetch,
    Job,
    Message,
    Moment,
    Suppression,
    Used,
    tell_notification,
    tell_request,
    tell_waiting,
)
from virtiofs_tb.analysis.story import Story
from virtiofs_tb.driver.notes import parse_took
from virtiofs_tb.host.log import Record
from virtiofs_tb.host.port import NotifyResult
from virtiofs_tb.profile import Profile
from virtiofs_tb.scoreboards.events import (
    ChainReady,
    ChainTaken,
    ChainUsed,
    DmaData,
    DmaRead,
    DmaWrite,
    Doorbell,
    DpuAccess,
    EngineDoneSeen,
    EngineJobSeen,
    EngineNotifySeen,
    EngineReplySeen,
    EngineRequestSeen,
    IndexRead,
    Interrupt,
    MailboxNotify,
    Note,
    QueueResetBegin,
    QueueResetDone,
    ResetBegin,
    ResetDone,
    SuppressionRead,
    UsedIndex,
)
from virtiofs_tb.scoreboards.fuse import FuseScoreboard
from virtiofs_tb.scoreboards.memory_map import AVAIL, DESC, READABLE, TABLE, USED, WRITABLE
from virtiofs_tb.scoreboards.observer import Observer
from virtiofs_tb.scoreboards.ring_state import Chain, Queue
from virtiofs_tb.scoreboards.suppression import asks, said, telling

MAILBOX_SUBMIT = 0x304
NEXT, INDIRECT = int(DescFlags.NEXT), int(DescFlags.INDIRECT)


def tell(records: Sequence[Record]) -> list[Story]:
    """All stories of a log, in the order in which they begin."""
    observer = Observer(Profile())
    builder = StoryBuilder(observer)
    observer.bind((FuseScoreboard(observer.profile, observer), builder))
    observer.observe(records)
    return builder.finish(max((record.t_ps for record in records), default=0))


class StoryBuilder:
    """Listens to the observer's events (behind the FUSE scoreboard) and keeps what belongs to each chain."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._drafts: dict[Chain, Draft] = {}  # exposed now
        self._closed: list[Draft] = []
        self._fetches: dict[int, Fetch] = {}  # by seq of the request
        self._shown: dict[int, Fetch] = {}  # by seq of a completion on an available ring
        self._entries: dict[tuple[Queue, int], Fetch] = {}  # by position in the available ring
        self._rung: dict[int, Moment] = {}  # by queue: a doorbell that no read of the index has answered
        self._used_writes: dict[int, int] = {}  # time by seq
        self._undecided: dict[int, list[Draft]] = {}
        self._deciding: dict[int, list[Draft]] = {}  # by seq of the read of the suppression word
        self._uses: dict[int, list[UsedIndex]] = {}  # that no read of the suppression word covers
        self._awaiting: dict[int, list[Draft]] = {}
        self._untaken: dict[tuple[int, int], Draft] = {}  # used chains by queue and head
        self._served: dict[int, list[Draft]] = {}  # those that had the last interrupt of their queue
        self._parts: dict[int, EnginePart] = {}  # by identity of the FUSE scoreboard's request
        self._contexts: dict[int, EnginePart] = {}
        self._submitted: Moment | None = None
        self._waiting: deque[Message] = deque()
        self._unmatched: deque[Draft] = deque()
        self._ended: list[Message] = []
        self._consumed: dict[int, Draft] = {}  # notification buffers by address, until they are reposted

    # ---- reads ----

    def on_dma_read(self, event: DmaRead) -> None:
        fetch = self._fetches[event.seq] = Fetch((event.t_ps, event.seq))
        for region in event.regions:
            if region.kind == AVAIL:
                self._decision_asked_for(event, region.queue)
            if region.chain is None or region.kind not in (READABLE, TABLE):
                continue
            draft = self._draft(region.chain)
            fetches = draft.reads if region.kind == READABLE else draft.descriptors
            if not fetches or fetches[-1] is not fetch:
                fetches.append(fetch)

    def on_dma_data(self, event: DmaData) -> None:
        fetch = self._fetches.get(event.read.seq)
        if fetch is None:
            return
        fetch.completions.append((event.t_ps, event.seq))
        for region in event.read.regions:
            if region.kind == (DESC if region.queue.packed else AVAIL):
                self._shown[event.seq] = fetch
                if event.ok and not region.queue.packed:
                    self._entries_shown(region.queue, event.start - region.start, len(event.data), fetch)

    def _entries_shown(self, queue: Queue, offset: int, size: int, fetch: Fetch) -> None:
        """The slots whose published entry these bytes of the available ring are the first to show."""
        for slot in range(max((offset - 3) // 2, 0), min((offset + size - 4) // 2, queue.size)):
            entry = queue.slots.get(slot)
            if entry is not None and fetch.issued[1] > entry.pub_seq:
                self._entries.setdefault((queue, entry.position), fetch)

    def on_doorbell(self, event: Doorbell) -> None:
        self._rung[event.queue] = (event.t_ps, event.seq)

    def on_index_read(self, event: IndexRead) -> None:
        fetch, rung = self._fetches.get(event.seq), self._rung.get(event.queue.index)
        if fetch is not None and rung is not None and rung[1] < event.seq:
            fetch.doorbell = self._rung.pop(event.queue.index)

    # ---- chains ----

    def _draft(self, chain: Chain) -> Draft:
        draft = self._drafts.get(chain)
        if draft is None:
            draft = self._drafts[chain] = Draft(chain)
            draft.index = self._shown.get(chain.pub_seq)
            draft.entry = self._entries.pop((chain.queue, chain.position), None)
        return draft

    def on_chain_taken(self, event: ChainTaken) -> None:
        self._draft(event.chain).descriptors.append(self._fetches[event.seq])

    def on_chain_ready(self, event: ChainReady) -> None:
        chain = event.chain
        draft = self._draft(chain)
        draft.ready = (event.t_ps, event.seq)
        self._direct_descriptors(draft)
        if chain.queue.notification:
            before = self._consumed.pop(_buffer(chain), None)
            if before is not None:
                before.reposted = draft

    def _direct_descriptors(self, draft: Draft) -> None:
        """The reads that carried the chain's descriptors of the queue's own table."""
        chain = draft.chain
        packed, size = chain.queue.packed, chain.queue.size
        at = chain.position if packed else chain.head
        for step in range(size):
            desc = chain.queue.descs[at % size]
            if desc is None:
                return
            issue, _, _, flags, following = desc
            head = packed and not step  # read with the flags that make it available
            if draft.ready is None and issue <= chain.pub_seq and not head:
                return  # of an earlier chain
            fetch = self._fetches.get(issue)
            known = [draft.index, *draft.descriptors] if head else draft.descriptors
            if fetch is not None and all(fetch is not other for other in known):
                draft.descriptors.append(fetch)
            if flags & INDIRECT or not flags & NEXT or (not packed and following >= size):
                return
            at = at + 1 if packed else following

    def on_dma_write(self, event: DmaWrite) -> None:
        for region in event.regions:
            if region.kind == (DESC if region.queue.packed else USED):
                self._used_writes[event.seq] = event.t_ps
            elif region.kind == WRITABLE and region.chain is not None:
                writes = self._draft(region.chain).writes
                if not writes or writes[-1][1] != event.seq:
                    writes.append((event.t_ps, event.seq))

    def on_chain_used(self, event: ChainUsed) -> None:
        chain = event.chain
        draft = self._draft(chain)
        del self._drafts[chain]
        self._closed.append(draft)
        entry = (self._used_writes.get(event.entry_seq, event.t_ps), event.entry_seq)
        draft.used = Used(entry, (event.t_ps, event.seq), event.length)
        self._settle_engine(draft)
        self._untaken[chain.queue.index, chain.head] = draft
        self._undecided.setdefault(chain.queue.index, []).append(draft)
        if chain.queue.notification:
            self._consumed[_buffer(chain)] = draft
            if event.length and draft.message is None:
                self._unmatched.append(draft)
                self._match()

    def _settle_engine(self, draft: Draft) -> None:
        """Requests of the same bytes cannot be told apart: the scoreboard swaps them until their chains are used."""
        part = self._parts.pop(id(draft.chain.request), None)
        if part is not None:
            draft.engine = part

    def _uncovered_entry(self, draft: Draft) -> None:
        chain = draft.chain
        for head, length, seq in chain.queue.used_entries.values():
            if head == chain.head and seq > chain.pub_seq and seq in self._used_writes:
                draft.written = ((self._used_writes[seq], seq), length)

    # ---- interrupts, and the driver ----

    def _decision_asked_for(self, event: DmaRead, queue: Queue) -> None:
        """A read of the suppression word decides about all used indexes that were written since the last one."""
        ring = queue.regions[1]
        wanted = queue.packed or event.start < ring.start + 2
        if queue.event_idx and not queue.packed:
            wanted = event.end > ring.start + 4 + 2 * queue.size
        if wanted and self._undecided.get(queue.index):
            self._deciding[event.seq] = self._undecided.pop(queue.index)

    def on_suppression_read(self, event: SuppressionRead) -> None:
        used = [use for use in self._uses.get(event.queue.index, ()) if use.seq < event.issue_seq]
        if telling(event):
            self._uses[event.queue.index] = [use for use in self._uses.get(event.queue.index, ()) if use not in used]
        unwanted = bool(used) and all(asks(event, use) is False for use in used)
        text = said(event) + (", no interrupt wanted" if unwanted else "")
        for draft in self._deciding.pop(event.issue_seq, ()):
            draft.suppression = Suppression(self._fetches[event.issue_seq], (event.t_ps, event.seq), text)
            if not unwanted:
                self._awaiting.setdefault(event.queue.index, []).append(draft)

    def on_used_index(self, event: UsedIndex) -> None:
        self._uses.setdefault(event.queue.index, []).append(event)

    def on_interrupt(self, event: Interrupt) -> None:
        """All chains that wait for this vector have it; where one more comes, it was that of all but the first."""
        queues = self._observer.virtio.queues
        for index in {*self._awaiting, *self._served}:
            if index in queues and queues[index].vector in event.vectors:
                served = self._awaiting.pop(index, None) or self._served.get(index, [])[1:]
                for draft in served:
                    draft.interrupt = ((event.t_ps, event.seq), f"vector {queues[index].vector}")
                self._served[index] = served

    def on_note(self, event: Note) -> None:
        took = parse_took(event.text)
        if took is not None:
            text = f"{len(took.heads)} chains at once" if len(took.heads) > 1 else ""
            for head in took.heads:
                draft = self._untaken.pop((took.queue, head), None)
                if draft is not None:
                    draft.taken = ((event.t_ps, event.seq), text)

    # ---- the engine ----

    def on_engine_request(self, event: EngineRequestSeen) -> None:
        chain = self._observer.with_engine.get(event.ctx)
        request = chain.request if chain is not None and not chain.dead else None
        part = EnginePart(event, request)
        self._contexts[event.ctx] = part
        if request is not None and id(request) not in self._parts:
            self._parts[id(request)] = part
            return
        for draft in self._drafts.values():
            store = draft.chain.read_store
            same = draft.chain.queue.index == event.queue and store.data[8:16] == event.head[8:16]
            if same and draft.engine is None and draft.chain.request is None and len(event.head) >= 16:
                draft.engine = part
                return

    def on_engine_job(self, event: EngineJobSeen) -> None:
        part = self._contexts.get(event.ctx)
        if part is not None and part.request.epoch == event.epoch:
            part.jobs.append(Job(event))

    def on_engine_done(self, event: EngineDoneSeen) -> None:
        part = self._contexts.get(event.ctx)
        job = next((job for job in part.jobs if job.done is None), None) if part is not None else None
        if job is not None:
            job.done, job.result = (event.t_ps, event.seq), event.result

    def on_engine_reply(self, event: EngineReplySeen) -> None:
        part = self._contexts.get(event.ctx)
        if part is not None and part.request.epoch == event.epoch and part.reply is None:
            part.reply = event

    # ---- messages ----

    def on_dpu_access(self, event: DpuAccess) -> None:
        if event.write and not event.status and event.address == MAILBOX_SUBMIT:
            self._submitted = (event.t_ps, event.seq)

    def on_mailbox_notify(self, event: MailboxNotify) -> None:
        answered = (event.t_ps, event.seq)
        message = Message(event.message, self._submitted or answered, answered, "mailbox", event.result)
        self._submitted = None
        if event.result == NotifyResult.REFUSED.value:
            self._ended.append(message)
            return
        self._waiting.append(message)
        self._match()

    def on_engine_notify(self, event: EngineNotifySeen) -> None:
        moment = (event.t_ps, event.seq)
        self._waiting.append(Message(event.message, moment, moment, "engine", 0))
        self._match()

    def _match(self) -> None:
        """Give each buffer that came back the oldest message of its bytes; the mailbox may answer after that."""
        for draft in list(self._unmatched):
            assert draft.used is not None
            data = draft.chain.write_store.data[: draft.used.length]
            message = next((message for message in self._waiting if message.data == data), None)
            if message is not None:
                draft.message = message
                self._waiting.remove(message)
                self._unmatched.remove(draft)

    def _match_begun(self) -> None:
        """The same for buffers that are being written: the oldest message that begins with what is there."""
        for draft in self._drafts.values():
            if draft.chain.queue.notification and draft.writes and draft.message is None:
                data = draft.chain.write_store.data
                message = next((message for message in self._waiting if message.data.startswith(data)), None)
                if message is not None:
                    draft.message = message
                    self._waiting.remove(message)

    # ---- the end ----

    def on_reset_begin(self, event: ResetBegin) -> None:
        self._cut_off((event.t_ps, event.seq))

    def on_reset_done(self, event: ResetDone) -> None:
        self._cut_off((event.t_ps, event.seq))
        self._close()

    def _cut_off(self, reset: Moment) -> None:
        """What is open now is forgotten by the device; packets on their way still belong to it until it says so."""
        self._take_up_all()
        self._match_begun()
        for draft in self._drafts.values():
            draft.reset = draft.reset or reset
        for message in self._waiting:
            message.reset = reset
        self._ended += self._waiting
        self._waiting.clear()
        self._submitted = None

    def on_queue_reset_begin(self, event: QueueResetBegin) -> None:
        self._queue_cut_off(event.queue, (event.t_ps, event.seq))

    def on_queue_reset_done(self, event: QueueResetDone) -> None:
        """The chains of one queue end here; messages stay for its next buffers."""
        self._queue_cut_off(event.queue, (event.t_ps, event.seq))
        for chain, draft in list(self._drafts.items()):
            if chain.queue is event.queue:
                del self._drafts[chain]
                self._end(draft)
        for waiting in (self._undecided, self._uses, self._awaiting, self._rung, self._served):
            waiting.pop(event.queue.index, None)

    def _queue_cut_off(self, queue: Queue, reset: Moment) -> None:
        self._take_up_all()
        self._match_begun()
        for chain, draft in self._drafts.items():
            if chain.queue is queue:
                draft.reset = draft.reset or reset

    def under_way(self, end_ps: int) -> dict[Chain, Story]:
        """The stories of all exposed chains, as far as they got."""
        self._take_up_all()
        self._match_begun()
        told: dict[Chain, Story] = {}
        for chain, draft in self._drafts.items():
            if chain.dead:
                continue
            draft.engine = draft.engine or self._parts.get(id(chain.request))
            self._uncovered_entry(draft)
            told[chain] = (tell_notification if chain.queue.notification else tell_request)(draft, end_ps)
        return told

    def _take_up_all(self) -> None:
        """Chains of which the endpoint read the ring entry and nothing more have a story too."""
        for queue in self._observer.rings.queues.values():
            for chain in queue.open.values():
                self._draft(chain)

    def _close(self) -> None:
        """Everything that is under way ends here."""
        self._match_begun()
        for draft in self._drafts.values():
            self._end(draft)
        self._ended += self._waiting
        for waiting in (
            self._drafts, self._waiting, self._unmatched, self._undecided, self._awaiting, self._parts, self._consumed,
            self._entries, self._contexts, self._rung, self._deciding,
            self._served, self._untaken, self._uses,
        ):  # fmt: skip
            waiting.clear()

    def _end(self, draft: Draft) -> None:
        """A chain that is open comes to its end here."""
        self._settle_engine(draft)
        self._uncovered_entry(draft)
        if draft.ready is None:
            self._direct_descriptors(draft)
        # A chain that was rebuilt from bytes read too early, and then again from those that count, is told once.
        if not draft.chain.dead:
            self._closed.append(draft)

    def finish(self, end_ps: int) -> list[Story]:
        """All stories, numbered in the order of their begin; end_ps: of the log."""
        self._take_up_all()
        self._close()
        stories = [tell_waiting(message, end_ps) for message in self._ended]
        for draft in self._closed:
            if not draft.chain.queue.notification:
                stories.append(tell_request(draft, end_ps))
            elif draft.used is not None or draft.writes:
                stories.append(tell_notification(draft, end_ps))
        stories.sort(key=lambda story: (story.begin_ps, story.stages[0].seq if story.stages else 0))
        for number, story in enumerate(stories, 1):
            story.number = number
        return stories


def _buffer(chain: Chain) -> int:
    """Address of the first writable byte, which says that two chains are the same buffer."""
    return next((region.start for region in chain.regions if region.kind == WRITABLE), 0)
