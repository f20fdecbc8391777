"""Correct observation logs, their mutations, and the judgement of the mutated ones by the scoreboards.

`Log` is a correct run with the part that each packet plays in it; log_mutations.py makes the mutations.
"""

from __future__ import annotations

import functools
import gc
import os
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from struct import Struct

from virtiofs_model import tlp
from virtiofs_model.layouts.virtio import DescFlags
from virtiofs_model.ramfs import RamfsServer
from virtiofs_tb.agents.firmware import FirmwareAgent
from virtiofs_tb.host.log import Header, Kind, Record, tlp_record
from virtiofs_tb.host.model_host import ModelHost
from virtiofs_tb.profile import Profile, load
from virtiofs_tb.scenario import Bench, load_scenarios
from virtiofs_tb.scoreboards import ScoreboardSet
from virtiofs_tb.scoreboards.events import (
    ChainReady,
    ChainUsed,
    DmaData,
    DmaRead,
    DmaWrite,
    EngineReplySeen,
    EngineRequestSeen,
    QueueEnabled,
    RegisterRead,
    ResetBegin,
    SuppressionRead,
    UsedIndex,
)
from virtiofs_tb.scoreboards.memory_map import AVAIL, DESC, READABLE, TABLE, USED, WRITABLE
from virtiofs_tb.scoreboards.ring_state import Chain, Queue
from virtiofs_tb.scoreboards.suppression import asks
from virtiofs_tb.seeds import stream

ROOT = Path(__file__).parents[2]
STRICT = load(ROOT / "profiles" / "ours-strict.toml")
SCENARIOS = load_scenarios(ROOT / "tests" / "sim" / "scenarios")
LIMIT_PS = 20_000_000_000
GAP = 16
"""Between the `seq` of two records, so that others fit in."""

CQ, CC, RQ, RC = range(4)
_BATCH = 64


def simulate(scenario: str, seed: int, items: int = 12) -> list[Record]:
    """The log of a correct run of the golden device. items: requests of random_operations."""
    host = ModelHost(seed)
    firmware = FirmwareAgent(host.engine, RamfsServer(), host.loop, stream(seed, "firmware"))
    bench = Bench(seed, ROOT / "tests" / "data" / "sessions", firmware=firmware, faults=host.faults)
    bench.options["random_operations"] = items
    records: list[Record] = []
    host.log.subscribe(records.extend)
    host.run(SCENARIOS[scenario].function(host, bench), LIMIT_PS)
    host.drain(LIMIT_PS)
    host.log.flush()
    return [replace(record, seq=GAP * at) for at, record in enumerate(records)]


NEXT, WRITE, INDIRECT = int(DescFlags.NEXT), int(DescFlags.WRITE), int(DescFlags.INDIRECT)
_DESC = Struct("<QIHH")


@dataclass
class Element:
    """A descriptor of a chain. offset: where its bytes begin in the readable or writable part; in_table: an indirect
    one."""

    address: int
    length: int
    flags: int
    offset: int
    in_table: bool


@dataclass
class Life:
    """Where the packets of one chain are: positions in the log."""

    chain: Chain
    data: list[int] = field(default_factory=list)
    entry: int = -1
    index: int = -1
    length: int = 0


class Log:
    """A correct run. roles: what a packet of the endpoint (or its answer) is for, by position in the log."""

    def __init__(self, records: Sequence[Record], profile: Profile = STRICT) -> None:
        self.records = list(records)
        self.roles: dict[int, str] = {}
        self.writes: dict[int, DmaWrite] = {}
        self.reads: dict[int, DmaRead] = {}
        self.answers: dict[int, list[int]] = {}  # completions of a read
        self.answer_of: dict[int, int] = {}
        self.lives: list[Life] = []
        self.chain_of: dict[int, Life] = {}  # by write
        self.news: set[int] = set()  # answers that told of new entries
        self.descriptors: dict[int, set[int]] = {}  # descriptors (of the ring) that chains use, by read
        self.depend: dict[int, set[int]] = {}  # ids of chains that are made of what a read brought
        self.elements: dict[int, list[tuple[int, Element]]] = {}  # of a chain by its id, with their indexes
        self.used: set[int] = set()  # ids of chains that were used
        self.exposed: dict[int, int] = {}  # up to where memory behind a read is exposed
        self.exposed_from: dict[int, int] = {}  # from where on before it
        self.entries: dict[tuple[int, int], int] = {}  # read of a ring entry, by queue and position
        self._carried: list[tuple[int, int, bytes]] = []  # position, address and bytes of every answer
        self.chains: list[Chain] = []  # so that ids stay theirs
        self.register_reads: dict[int, RegisterRead] = {}
        self.requests: dict[int, Chain] = {}
        self.replies: dict[int, EngineReplySeen] = {}
        self.suppression: dict[int, SuppressionRead] = {}
        self.uses: dict[int, list[UsedIndex]] = {}  # that a read of the suppression word decides about
        self._decided: dict[int, int] = {}
        self.used_indexes: list[tuple[int, UsedIndex]] = []
        self.messages: list[int] = []
        self.resets: list[int] = []
        self.queues: dict[int, Queue] = {}
        self._data: dict[int, list[int]] = {}
        boards = ScoreboardSet(profile)
        boards.observer.bind([self])
        self.boards = boards
        boards.observe(self.records)
        if found := boards.finish():
            raise ValueError(f"the log is not correct: {found[0]}")

    # ---- what the observer tells ----

    def on_dma_write(self, event: DmaWrite) -> None:
        at = event.seq // GAP
        self.writes[at] = event
        if event.vectors is not None:
            self.roles[at] = "message"
            self.messages.append(at)
            return
        region = event.regions[0]
        if region.kind == WRITABLE and region.chain is not None:
            self.roles[at] = "data"
            self._data.setdefault(id(region.chain), []).append(at)
        elif region.queue.packed:
            self.roles[at] = "used descriptor"
        elif event.start - region.start >= 4 + 8 * region.queue.size:
            self.roles[at] = "avail event"
        elif event.start - region.start < 4:
            self.roles[at] = "used index"
        else:
            self.roles[at] = "used entry"

    def on_chain_used(self, event: ChainUsed) -> None:
        chain = event.chain
        self.used.add(id(chain))
        life = Life(chain, self._data.pop(id(chain), []), event.entry_seq // GAP, event.seq // GAP, event.length)
        self.lives.append(life)
        for at in (*life.data, life.entry, life.index):
            self.chain_of[at] = life

    def on_queue_enabled(self, event: QueueEnabled) -> None:
        self.queues[event.queue.index] = event.queue

    def on_reset_begin(self, event: ResetBegin) -> None:
        self.resets.append(event.seq // GAP)

    def on_used_index(self, event: UsedIndex) -> None:
        self.used_indexes.append((event.seq // GAP, event))

    def on_dma_read(self, event: DmaRead) -> None:
        at = event.seq // GAP
        self.reads[at] = event
        region = event.regions[0]
        kinds = {READABLE: "request", DESC: "descriptor", TABLE: "table", USED: "used ring", AVAIL: "ring entry"}
        role = kinds[region.kind]
        event_at = 0 if region.queue.packed else region.start + 4 + 2 * region.queue.size
        if region.kind == AVAIL and event.start >= event_at:
            role = "suppression word"
        elif region.kind == AVAIL and event.start < region.start + 4:
            role = "available index" if event.end > region.start + 2 else "suppression word"
        self.roles[at] = role
        end = event.end
        while end < event.end + 64 and (beyond := self.boards.observer.rings.readable.find(end, end + 1)):
            end = max(other.end for other in beyond)
        self.exposed[at] = end
        start = event.start
        while start > event.start - 4 and self.boards.observer.rings.readable.find(start - 1, start):
            start -= 1
        self.exposed_from[at] = start
        for other in event.regions:
            if other.chain is not None:
                self.depend.setdefault(at, set()).add(id(other.chain))

    def on_dma_data(self, event: DmaData) -> None:
        at, read = event.seq // GAP, event.read.seq // GAP
        self.roles[at] = self.roles[read]
        self.answers.setdefault(read, []).append(at)
        self.answer_of[at] = read
        region = event.read.regions[0]
        queue = region.queue
        offset = event.start - region.start
        if region.kind == AVAIL and event.ok and not queue.packed:
            if offset <= 2 and offset + len(event.data) >= 4:
                if int.from_bytes(event.data[2 - offset : 4 - offset], "little") != queue.avail_idx & 0xFFFF:
                    self.news.add(at)
            elif offset >= 4:
                for slot, entry in queue.slots.items():
                    if entry.pub_seq < event.read.seq and offset <= 4 + 2 * slot < offset + len(event.data):
                        self.news.add(at)
                        self.entries[id(queue), entry.position] = read

    def on_chain_ready(self, event: ChainReady) -> None:
        chain = event.chain
        self.chains.append(chain)
        self.depend.setdefault(self.answer_of[chain.pub_seq // GAP], set()).add(id(chain))
        if chain.queue.packed:
            self._packed_ready(chain)
            return
        self.depend.setdefault(self.entries[id(chain.queue), chain.position], set()).add(id(chain))
        elements = self.elements[id(chain)] = []
        at, offset, table = chain.head, {0: 0, WRITE: 0}, None
        while True:
            if table is None:
                desc = chain.queue.descs[at]
                assert desc is not None
                self.descriptors.setdefault(desc[0] // GAP, set()).add(at)
                self.depend.setdefault(desc[0] // GAP, set()).add(id(chain))
                _, address, length, flags, following = desc
            else:
                address, length, flags, following = _DESC.unpack_from(table.store.data, 16 * at)
            elements.append((at, Element(address, length, flags, offset[flags & WRITE], table is not None)))
            if flags & INDIRECT:
                table, at = chain.table, 0
                continue
            offset[flags & WRITE] += length
            if not flags & NEXT:
                break
            at = following

    def _packed_ready(self, chain: Chain) -> None:
        """The same for a packed ring: elements in the order of the ring, or of a table."""
        elements = self.elements[id(chain)] = []
        offset = {0: 0, WRITE: 0}
        for position in range(chain.position, chain.position + chain.slots):
            slot = position % chain.queue.size
            desc = chain.queue.descs[slot]
            assert desc is not None
            issue, address, length, flags, _ = desc
            if position == chain.position:  # what counts is the read that first showed it to be available
                issue = GAP * self.answer_of[chain.pub_seq // GAP]
            self.descriptors.setdefault(issue // GAP, set()).add(slot)
            self.depend.setdefault(issue // GAP, set()).add(id(chain))
            elements.append((slot, Element(address, length, flags, offset[flags & WRITE], False)))
            offset[flags & WRITE] += length
        if chain.table is not None:
            offset = {0: 0, WRITE: 0}
            for at, (address, length, _, flags) in enumerate(_DESC.iter_unpack(bytes(chain.table.store.data))):
                elements.append((at, Element(address, length, flags, offset[flags & WRITE], True)))
                offset[flags & WRITE] += length

    def on_suppression_read(self, event: SuppressionRead) -> None:
        at, before = event.seq // GAP, self._decided.get(id(event.queue), -1)
        uses = [use for _, use in self.used_indexes if use.queue is event.queue and use.seq < event.issue_seq]
        self.uses[at] = [use for use in uses if use.seq > before] or uses[-1:]
        self._decided[id(event.queue)] = event.issue_seq
        self.suppression[at] = event

    def wanted(self, at: int) -> bool:
        """Whether a read of the suppression word asks for an interrupt."""
        return any(asks(self.suppression[at], use) is True for use in self.uses[at])

    def on_register_read(self, event: RegisterRead) -> None:
        self.register_reads[event.seq // GAP] = event

    def on_engine_request(self, event: EngineRequestSeen) -> None:
        chain = self.boards.observer.with_engine.get(event.ctx)
        if chain is not None:
            self.requests[event.seq // GAP] = chain

    def on_engine_reply(self, event: EngineReplySeen) -> None:
        self.replies[event.seq // GAP] = event

    # ---- looking around ----

    def positions(self, *roles: str, channel: int = RQ) -> list[int]:
        """Packets of a channel with these roles."""
        return [at for at, role in self.roles.items() if role in roles and self.records[at].channel == channel]

    def of_kind(self, kind: Kind, channel: int) -> list[int]:
        return [at for at, record in enumerate(self.records) if record.kind == kind and record.channel == channel]

    def some(self, rng: random.Random, positions: Sequence[int], number: int) -> list[int]:
        """At most `number` of them, in order."""
        return sorted(rng.sample(positions, min(number, len(positions))))

    def needed(self, role: str) -> list[int]:
        """Reads of a role, without those that told nothing new."""
        reads = self.positions(role)
        if role in ("available index", "ring entry"):
            return [at for at in reads if any(answer in self.news for answer in self.answers.get(at, ()))]
        if role == "descriptor":
            return [at for at in reads if at in self.descriptors]
        return reads

    def image(self, until: int, low: int, high: int) -> bytes:
        """Host memory at [low, high) as completions carried it: the last before a position, else the first after."""
        if not self._carried:
            for at in sorted(self.answer_of):
                read, record = self.reads[self.answer_of[at]], self.records[at]
                remaining = record.hdr[1] & 0xFFF or 4096
                start = read.end - remaining
                self._carried.append((at, start, record.payload[start & 3 : (start & 3) + remaining]))
        memory = {address: 0 for address in range(low, high)}
        early: dict[int, int] = {}
        for at, start, data in self._carried:
            if start < high and low < start + len(data):
                for address in range(max(start, low), min(start + len(data), high)):
                    if at <= until:
                        early[address] = data[address - start]
                    elif not memory[address]:
                        memory[address] = data[address - start]
        return bytes((memory | early).values())

    def read_again(self, at: int, low: int, high: int) -> bool:
        """Whether other reads of the same region bring all of [low, high)."""
        region = self.reads[at].regions[0]
        others = [read for other, read in self.reads.items() if other != at and read.regions[0] is region]
        return all(any(read.start <= byte < read.end for read in others) for byte in range(low, high))

    def asked_for(self, at: int) -> str:
        """What a completion of the endpoint answers."""
        read = self.register_reads.get(at)
        return f"{read.region or 'BAR'} {read.at:#x}" if read is not None else "configuration"

    def config_request_of(self, at: int) -> Record | None:
        """The configuration request that a completion answers."""
        key = self.records[at].hdr[2] >> 8
        for other in range(at - 1, -1, -1):
            record = self.records[other]
            if record.kind == Kind.TLP and record.channel == CQ and record.hdr[1] >> 8 == key:
                return record if record.hdr[0] >> 24 in (0x04, 0x44) else None
        return None

    def queue_of_message(self, at: int) -> Queue | None:
        """The queue that a message is for."""
        vectors = self.writes[at].vectors or ()
        virtio = self.boards.observer.virtio
        for queue in self.queues.values():
            if virtio.queue(queue.index).vector in vectors:
                return queue
        return None


@dataclass
class Mutation:
    """One change of a log: `edits` gives the records that stand in the place of one. harmless: why it is no error."""

    name: str
    text: str
    edits: dict[int, tuple[Record, ...]]
    harmless: str = ""

    @property
    def at(self) -> int:
        return min(self.edits)


@dataclass
class Outcome:
    mutation: Mutation
    failure: str

    @property
    def hole(self) -> bool:
        return not self.failure and not self.mutation.harmless


# ---- records, changed ----


def changed(record: Record, hdr: Header | None = None, payload: bytes | None = None) -> Record:
    """A packet with another header or payload; for other kinds too."""
    hdr = record.hdr if hdr is None else hdr
    payload = record.payload if payload is None else payload
    if record.kind != Kind.TLP:
        return replace(record, hdr=hdr, payload=payload, length=len(payload))
    return tlp_record(record.t_ps, record.seq, record.channel, hdr, payload)


def flipped(record: Record, byte: int, bit: int) -> Record:
    payload = bytearray(record.payload)
    payload[byte] ^= 1 << bit
    return changed(record, payload=bytes(payload))


def written(record: Record, start: int, data: bytes) -> Record:
    """A write of the same requester elsewhere or of something else."""
    return changed(record, *tlp.encode(tlp.memory_write(start, data, record.hdr[1] >> 16)))


def asked(record: Record, start: int, end: int) -> Record:
    """A read of the same requester and tag of other bytes."""
    return changed(record, *tlp.encode(tlp.memory_read(start, end - start, record.hdr[1] >> 16, record.tag)))


def behind(record: Record, other: Record, steps: int = 1) -> Record:
    """The record as if it had come right after `other`."""
    return replace(record, t_ps=other.t_ps, seq=other.seq + steps)


def before(record: Record, other: Record) -> Record:
    return replace(record, t_ps=other.t_ps, seq=other.seq - 1)


def moved_behind(log: Log, at: int, other: int) -> dict[int, tuple[Record, ...]]:
    """Edits that delay one record until after another."""
    records = log.records
    return {at: (), other: (records[other], behind(records[at], records[other]))}


def moved_before(log: Log, at: int, other: int) -> dict[int, tuple[Record, ...]]:
    records = log.records
    return {other: (before(records[at], records[other]), records[other]), at: ()}


# ---- judging ----


def replay(log: Log, mutations: Iterable[Mutation], profile: Profile = STRICT) -> list[Outcome]:
    """Judge each mutated log. The common beginning is judged once; a child process takes each mutated rest."""
    boards = ScoreboardSet(profile)
    done = 0
    outcomes: list[Outcome] = []
    gc.collect()
    gc.freeze()
    for mutation in sorted(mutations, key=lambda m: m.at):
        boards.observe(log.records[done : mutation.at])
        done = max(done, mutation.at)
        outcomes.append(Outcome(mutation, _in_child(functools.partial(_rest, boards, log, mutation))))
    gc.unfreeze()
    return outcomes


def _rest(boards: ScoreboardSet, log: Log, mutation: Mutation) -> str:
    """The first failure of the rest of a mutated log, '' if there is none."""
    batch: list[Record] = []
    last = max(mutation.edits)
    for at in range(mutation.at, len(log.records)):
        new = mutation.edits.get(at)
        if new is None:
            batch.append(log.records[at])
        else:
            batch += new
        if len(batch) >= _BATCH and (at > last or at - mutation.at > _BATCH):
            boards.observe(batch)
            batch = []
            if boards.failures:
                return str(boards.failures[0])
    boards.observe(batch)
    boards.finish()
    return str(boards.failures[0]) if boards.failures else ""


def _in_child(work: Callable[[], str]) -> str:
    source, sink = os.pipe()
    child = os.fork()
    if not child:
        try:
            text = work()
        except BaseException as error:
            text = f"raised {error!r}"
        os.write(sink, text.encode()[:4000])
        os._exit(0)
    os.close(sink)
    with os.fdopen(source, "rb") as pipe:
        text = pipe.read().decode(errors="replace")
    os.waitpid(child, 0)
    return text
