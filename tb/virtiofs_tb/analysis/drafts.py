"""What is gathered of a chain, of its request at the engine and of a message, until it is told as a story."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from virtiofs_model.engine import MoverDirection, MoverResult, ReplyKind
from virtiofs_tb.analysis import story as names
from virtiofs_tb.analysis.story import Stage, Story, notify_name, opcode_name
from virtiofs_tb.scoreboards.events import EngineJobSeen, EngineReplySeen, EngineRequestSeen
from virtiofs_tb.scoreboards.ring_state import Chain

Moment = tuple[int, int]
"""t_ps and seq of a record."""

IN_HEADER_SIZE, OUT_HEADER_SIZE = 40, 16
RESULTS = ("?", "accepted", "held", "refused")


@dataclass(slots=True)
class Fetch:
    """A read of the endpoint with the completions that it got; doorbell: what made the endpoint look."""

    issued: Moment
    completions: list[Moment] = field(default_factory=list)
    doorbell: Moment | None = None


@dataclass(slots=True)
class Job:
    """A mover job; done: its end and result."""

    event: EngineJobSeen
    done: Moment | None = None
    result: int = 0

    def holds(self, seq: int) -> bool:
        """Whether a packet is one of this job, by when it was sent."""
        return self.event.seq < seq and (self.done is None or seq < self.done[1])


@dataclass(slots=True)
class EnginePart:
    """What the engine had to do with a request. token keeps alive what the part is found by."""

    request: EngineRequestSeen
    token: object
    jobs: list[Job] = field(default_factory=list)
    reply: EngineReplySeen | None = None


@dataclass(slots=True)
class Used:
    """A chain in the used ring."""

    entry: Moment
    index: Moment
    length: int


@dataclass(slots=True)
class Suppression:
    """The read that decided about the interrupt."""

    fetch: Fetch
    seen: Moment
    text: str


@dataclass(slots=True)
class Draft:
    """A chain while it is watched. reads: of its readable part; written: a used entry that no index covers,
    and its length; taken: by the driver."""

    chain: Chain
    index: Fetch | None = None
    entry: Fetch | None = None
    descriptors: list[Fetch] = field(default_factory=list)
    ready: Moment | None = None
    reads: list[Fetch] = field(default_factory=list)
    writes: list[Moment] = field(default_factory=list)
    engine: EnginePart | None = None
    written: tuple[Moment, int] | None = None
    used: Used | None = None
    suppression: Suppression | None = None
    interrupt: tuple[Moment, str] | None = None
    taken: tuple[Moment, str] | None = None
    reset: Moment | None = None
    message: Message | None = None
    reposted: Draft | None = None


@dataclass(slots=True)
class Message:
    """A notification that was handed over. submitted: the register write that did it; result: the mailbox's answer."""

    data: bytes
    submitted: Moment
    answered: Moment
    source: str
    result: int
    reset: Moment | None = None

    @property
    def text(self) -> str:
        answer = f", {RESULTS[self.result & 3]}" if self.result else ""
        return f"{len(self.data)} bytes from the {self.source}{answer}"


def _at(name: str, moment: Moment, packets: Iterable[Moment] = (), text: str = "") -> Stage:
    """A stage of one record."""
    return Stage(name, *moment, *moment, [seq for _, seq in packets], text)


def _spanning(name: str, moments: list[Moment], text: str = "") -> Stage:
    """A stage made of packets."""
    first, last = min(moments, key=_seq), max(moments, key=_seq)
    return Stage(name, *first, *last, sorted({seq for _, seq in moments}), text)


def _seq(moment: Moment) -> int:
    return moment[1]


def _packets(fetches: Iterable[Fetch]) -> list[Moment]:
    return [moment for fetch in fetches for moment in (fetch.issued, *fetch.completions)]


def _taken_up(draft: Draft) -> list[Stage]:
    """From the doorbell to the last descriptor."""
    chain = draft.chain
    stages = []
    if draft.index is not None:
        if draft.index.doorbell is not None:
            stages.append(_at(names.DOORBELL, draft.index.doorbell, [draft.index.doorbell]))
        shown = [draft.index.issued, *(seen for seen in draft.index.completions if seen[1] <= chain.pub_seq)]
        if chain.queue.packed:
            text = f"slot {chain.position % chain.queue.size} is available"
            stages.append(_spanning(names.HEAD_READ, shown, text))
        else:
            stages.append(_spanning(names.INDEX_READ, shown, f"entry {chain.position & 0xFFFF} is published"))
    if draft.entry is not None:
        slot = chain.position % chain.queue.size
        stages.append(_spanning(names.ENTRY_READ, _packets([draft.entry]), f"slot {slot} holds head {chain.head}"))
    if draft.descriptors:
        how = "in an indirect table" if chain.indirect else "direct"
        text = f"{chain.steps} {how}, {chain.readable} bytes readable, {chain.writable} writable"
        stages.append(_spanning(names.DESCRIPTORS, _packets(draft.descriptors), text))
    return stages


def _at_engine(draft: Draft) -> tuple[list[Stage], list[Moment]]:
    """From the gather to the engine's reply, and the writes that belong to no mover job."""
    chain, part = draft.chain, draft.engine
    if part is None:
        size = f"{len(chain.read_store.data)} of {chain.readable} bytes"
        gather = [_spanning(names.GATHER, _packets(draft.reads), size)] if draft.reads else []
        return gather, draft.writes
    request = part.request
    head = [fetch for fetch in draft.reads if fetch.issued[1] < request.seq]
    bulk = [fetch for fetch in draft.reads if fetch.issued[1] > request.seq]
    writes = list(draft.writes)
    stages = []
    if head:
        stages.append(_spanning(names.GATHER, _packets(head), f"{request.head_bytes} bytes for the engine"))
    stages.append(_at(names.ENGINE_REQUEST, (request.t_ps, request.seq), (), f"context {request.ctx}"))
    for job in part.jobs:
        stages.append(_job(job, bulk, writes))
    if part.reply is not None:
        reply = part.reply
        text = ReplyKind(reply.kind).name.lower().replace("_", " ") if reply.kind < len(ReplyKind) else f"{reply.kind}"
        if reply.kind == ReplyKind.REPLY:
            text = f"{len(reply.immediate)} bytes, {reply.storage_length} from storage"
        stages.append(_at(names.ENGINE_REPLY, (reply.t_ps, reply.seq), (), text))
    return stages, writes


def _job(job: Job, bulk: list[Fetch], writes: list[Moment]) -> Stage:
    """A mover job with its packets, which are taken out of `bulk` or `writes`."""
    event = job.event
    inward = event.direction == MoverDirection.IN
    if inward:
        mine = [fetch for fetch in bulk if job.holds(fetch.issued[1])]
        packets = _packets(mine)
        bulk[:] = [fetch for fetch in bulk if fetch not in mine]
    else:
        packets = [moment for moment in writes if job.holds(moment[1])]
        writes[:] = [moment for moment in writes if moment not in packets]
    way = "in" if inward else "out"
    text = f"{event.length} bytes {way} at offset {event.offset}"
    if job.done is not None and job.result:
        text += ", " + ("bus error" if job.result == MoverResult.BUS_ERROR else "cancelled")
    begin = (event.t_ps, event.seq)
    end = job.done or max([begin, *packets], key=_seq)
    return Stage(names.MOVER_JOB, *begin, *end, sorted(seq for _, seq in packets), text)


def _given_back(draft: Draft, writes: list[Moment]) -> list[Stage]:
    """From the scatter to the driver, where that one says when it took the entry."""
    stages = []
    if writes:
        stages.append(_spanning(names.SCATTER, writes, f"{len(draft.chain.write_store.data)} bytes"))
    if draft.used is None and draft.written is not None:
        moment, length = draft.written
        name = names.USED_DESCRIPTOR if draft.chain.queue.packed else names.USED_ENTRY
        stages.append(_at(name, moment, [moment], _returned(draft.chain, length)))
    if draft.used is not None:
        used = draft.used
        stages += _used(draft.chain, used)
    if draft.suppression is not None:
        decided = draft.suppression
        stages.append(_spanning(names.SUPPRESSION_READ, [decided.fetch.issued, decided.seen], decided.text))
    if draft.interrupt is not None:
        moment, text = draft.interrupt
        stages.append(_at(names.INTERRUPT, moment, [moment], text))
    if draft.taken is not None:
        moment, text = draft.taken
        stages.append(_at(names.DRIVER, moment, (), text))
    return stages


def _returned(chain: Chain, length: int) -> str:
    return f"{'buffer' if chain.queue.packed else 'head'} {chain.head}, used length {length}"


def _used(chain: Chain, used: Used) -> list[Stage]:
    """A used entry and the index that covers it; of a packed ring they are one."""
    text = _returned(chain, used.length)
    if chain.queue.packed:
        packets = sorted({used.entry, used.index}, key=_seq)
        return [Stage(names.USED_DESCRIPTOR, *packets[0], *packets[-1], [seq for _, seq in packets], text)]
    entry = _at(names.USED_ENTRY, used.entry, [used.entry], text)
    return [entry, _at(names.USED_INDEX, used.index, [used.index])]


def _end(draft: Draft, end_ps: int) -> tuple[str, int]:
    """State of a chain's story, and when it ended."""
    if draft.used is not None:
        return names.DONE, draft.used.index[0]
    if draft.reset is not None:
        return names.RESET, draft.reset[0]
    return names.OPEN, end_ps


def tell_request(draft: Draft, end_ps: int) -> Story:
    """The story of a chain on hiprio or a request queue."""
    chain = draft.chain
    engine_stages, writes = _at_engine(draft)
    stages = [*_taken_up(draft), *engine_stages, *_given_back(draft, writes)]
    head = bytes(chain.read_store.data[:IN_HEADER_SIZE])
    known = chain.read_store.covers(0, 24)
    if not known and draft.engine is not None and len(draft.engine.request.head) >= 24:
        head, known = draft.engine.request.head, True
    op = opcode_name(int.from_bytes(head[4:8], "little")) if known else "?"
    used_length = draft.used.length if draft.used is not None else None
    error = None
    if used_length is not None and used_length >= OUT_HEADER_SIZE and chain.write_store.covers(0, OUT_HEADER_SIZE):
        error = int.from_bytes(chain.write_store.data[4:8], "little", signed=True)
    state, end = _end(draft, end_ps)
    begin = stages[0].t_ps if stages else chain.pub_t
    return Story(
        0, names.REQUEST, chain.queue.index, op,
        int.from_bytes(head[8:16], "little") if known else 0, int.from_bytes(head[16:24], "little") if known else 0,
        chain.head, chain.readable, chain.writable, used_length, error, state, begin, end, stages,
    )  # fmt: skip


def tell_notification(draft: Draft, end_ps: int) -> Story:
    """The story of a chain that came back on the notification queue, with the message that it took, if known."""
    chain = draft.chain
    stages = []
    if draft.message is not None:
        stages.append(_handed_over(draft.message))
    fetched = _taken_up(draft)
    if fetched:
        packets = sorted({seq for stage in fetched for seq in stage.packets})
        first, last = fetched[0], fetched[-1]
        text = f"{chain.writable} bytes at head {chain.head}"
        stages.append(Stage(names.BUFFER, first.t_ps, first.seq, last.end_ps, last.end_seq, packets, text))
    stages += _given_back(draft, draft.writes)
    if draft.reposted is not None:
        again = [stage for stage in _taken_up(draft.reposted)[:2] if _after_use(stage, draft)]
        if again:
            packets = [seq for stage in again for seq in stage.packets]
            first, last = again[0], again[-1]
            stages.append(Stage(names.REPOSTED, first.t_ps, first.seq, last.end_ps, last.end_seq, packets, last.text))
    known = chain.write_store.covers(0, OUT_HEADER_SIZE)
    op = notify_name(int.from_bytes(chain.write_store.data[4:8], "little", signed=True)) if known else "?"
    if draft.used is not None and not draft.used.length:
        op = names.RETURNED
    state, end = _end(draft, end_ps)
    begin = stages[0].t_ps if stages else chain.pub_t
    return Story(
        0, names.NOTIFICATION, chain.queue.index, op, 0, 0, chain.head, chain.readable, chain.writable,
        draft.used.length if draft.used is not None else None, None, state, begin, end, stages,
    )  # fmt: skip


def _after_use(stage: Stage, draft: Draft) -> bool:
    """A doorbell that was rung before is that of another buffer."""
    return stage.name in (names.INDEX_READ, names.HEAD_READ) or (
        draft.used is not None and stage.seq > draft.used.index[1]
    )


def tell_waiting(message: Message, end_ps: int) -> Story:
    """The story of a message that found no buffer (yet)."""
    state, end = names.OPEN, end_ps
    if RESULTS[message.result & 3] == "refused":
        state, end = names.REFUSED, message.answered[0]
    elif message.reset is not None:
        state, end = names.RESET, message.reset[0]
    op = notify_name(int.from_bytes(message.data[4:8], "little", signed=True)) if len(message.data) >= 8 else "?"
    return Story(
        0, names.NOTIFICATION, 1, op, 0, 0, -1, 0, 0, None, None, state, message.submitted[0], end,
        [_handed_over(message)],
    )  # fmt: skip


def _handed_over(message: Message) -> Stage:
    return Stage(names.MESSAGE, *message.submitted, *message.answered, [], message.text)
