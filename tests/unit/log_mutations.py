"""Classes of single mutations: what a wrong endpoint would have left in the log of a correct run.

Each class is a function of a log, a random stream and a number: it makes about so many `Mutation`s. Where a mutation
is harmless (no driver could tell, or the specification or the profile permits it) it says why; every other one has to
be found by the scoreboards.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from struct import Struct

from tests.unit import harmless
from tests.unit.mutated_logs import (
    CC,
    GAP,
    RC,
    Life,
    Log,
    Mutation,
    asked,
    behind,
    changed,
    flipped,
    moved_before,
    moved_behind,
    written,
)
from virtiofs_model import tlp
from virtiofs_model.engine import MoverDirection
from virtiofs_model.layouts.virtio import DescFlags
from virtiofs_tb.host.log import Kind, Record
from virtiofs_tb.scoreboards.events import DmaWrite

NEXT = int(DescFlags.NEXT)
AVAIL_USED = int(DescFlags.AVAIL | DescFlags.USED)
_USED = Struct("<IHH")
WRITES = ("data", "used entry", "used index", "message", "used descriptor", "avail event")
READS = ("available index", "ring entry", "descriptor", "table", "request", "suppression word")

Maker = Callable[[Log, random.Random, int], Iterator[Mutation]]


def _one(at: int, *records: Record) -> dict[int, tuple[Record, ...]]:
    return {at: records}


def _enabled(log: Log, at: int, rng: random.Random) -> int:
    """A byte of a memory request's payload that is enabled."""
    write = log.writes[at]
    return write.start - log.records[at].address + rng.randrange(len(write.data))


# ---- writes of the endpoint ----


def write_flipped(log: Log, rng: random.Random, number: int) -> Iterator[Mutation]:
    """One bit of a write's payload changes."""
    for role in WRITES:
        for at in log.some(rng, log.positions(role), number):
            byte = _enabled(log, at, rng)
            new = flipped(log.records[at], byte, rng.randrange(8))
            address = log.records[at].address + byte
            why = harmless.overlaid(log, at, address, address + 1)
            if role == "avail event" and new.payload < log.records[at].payload:
                why = harmless.said_later(log, at)
            yield Mutation("write flipped", role, _one(at, new), why)


def write_dropped(log: Log, rng: random.Random, number: int) -> Iterator[Mutation]:
    """A write never leaves."""
    for role in WRITES:
        for at in log.some(rng, log.positions(role), number):
            write = log.writes[at]
            why = harmless.overlaid(log, at, write.start, write.start + len(write.data))
            if role == "message":
                why = harmless.merged(log, at)
            elif role == "used index":
                why = harmless.covered_later(log, at)
            elif role == "avail event":
                why = harmless.said_later(log, at)
            yield Mutation("write dropped", role, _one(at), why)


def write_twice(log: Log, rng: random.Random, number: int) -> Iterator[Mutation]:
    """A write leaves twice in a row."""
    for role in WRITES:
        for at in log.some(rng, log.positions(role), number):
            record = log.records[at]
            why = "another message of the vector is owed" if role == "message" and harmless.owed_again(log, at) else ""
            why = "avail_event says the same again" if role == "avail event" else why
            yield Mutation("write twice", role, _one(at, record, behind(record, record)), why)


def write_repeated_late(log: Log, rng: random.Random, number: int) -> Iterator[Mutation]:
    """A write of a chain leaves again after the used index."""
    for role in WRITES[:2]:
        for at in log.some(rng, [at for at in log.positions(role) if at in log.chain_of], number):
            index = log.chain_of[at].index
            edits = _one(index, log.records[index], behind(log.records[at], log.records[index]))
            yield Mutation("write repeated after the used index", role, edits)


def write_delayed(log: Log, rng: random.Random, number: int) -> Iterator[Mutation]:
    """A write of a chain is overtaken by the next one that must come after it."""
    lives = [life for life in log.lives if life.data]
    for life in rng.sample(lives, min(number, len(lives))):
        at = rng.choice(life.data)
        yield Mutation("write delayed", "data behind the used entry", moved_behind(log, at, life.entry))
        yield Mutation("write delayed", "data behind the used index", moved_behind(log, at, life.index))
    for life in rng.sample(log.lives, min(number, len(log.lives))):
        if life.entry != life.index:
            edits = moved_behind(log, life.entry, life.index)
            yield Mutation("write delayed", "used entry behind the used index", edits)
        reads = [at for at in log.positions("suppression word") if at > life.index]
        same = [at for at in reads if log.reads[at].regions[0].queue is life.chain.queue]
        if same:
            edits = moved_behind(log, life.index, same[0])
            why = harmless.suppressed_again(log, life, same[0])
            yield Mutation("write delayed", "used index behind the read of the suppression word", edits, why)


def data_swapped(log: Log, rng: random.Random, number: int) -> Iterator[Mutation]:
    """Two writes of one reply change places."""
    lives = [life for life in log.lives if len(life.data) > 1]
    for life in rng.sample(lives, min(number, len(lives))):
        first = rng.randrange(len(life.data) - 1)
        edits = moved_behind(log, life.data[first], life.data[first + 1])
        yield Mutation("data swapped", "two writes", edits, "the order of data before its used index is free")


def write_moved(log: Log, rng: random.Random, number: int) -> Iterator[Mutation]:
    """A write goes elsewhere."""
    for role in WRITES:
        for at in log.some(rng, log.positions(role), number):
            write = log.writes[at]
            by = rng.choice((-8, -4, -1, 1, 4, 8, 0x1000))
            new = written(log.records[at], write.start + by, write.data)
            low, high = min(write.start, write.start + by), max(write.start, write.start + by) + len(write.data)
            yield Mutation("write moved", f"{role} by {by}", _one(at, new), harmless.overlaid(log, at, low, high))


def write_resized(log: Log, rng: random.Random, number: int) -> Iterator[Mutation]:
    """A write has a byte or a dword more or less."""
    for role in WRITES:
        for at in log.some(rng, log.positions(role), number):
            write = log.writes[at]
            by = rng.choice((-4, -1, 1, 4))
            data = write.data[:by] if by < 0 else write.data + bytes(by)
            if not data:
                continue
            new = written(log.records[at], write.start, data)
            end = write.start + len(write.data)
            why = harmless.overlaid(log, at, min(end, end + by), max(end, end + by))
            if role == "used entry" and by > 0:
                why = harmless.unused_slot(log, at)
            yield Mutation("write resized", f"{role} by {by}", _one(at, new), why)


def write_enables(log: Log, rng: random.Random, number: int) -> Iterator[Mutation]:
    """A byte enable of a write changes."""
    for role in WRITES:
        for at in log.some(rng, log.positions(role), number):
            record = log.records[at]
            dw0, dw1, dw2, dw3 = record.hdr
            bits = 8 if dw0 & 0x3FF != 1 else 4
            new = changed(record, (dw0, dw1 ^ 1 << rng.randrange(bits), dw2, dw3))
            write = log.writes[at]
            why = harmless.zero_flags(log, at, new.be)
            if not why and _span(new) is not None:
                why = harmless.overlaid(log, at, write.start, write.start + len(write.data))
            yield Mutation("write enables", f"{role} {dw1 & 255:#x} to {new.be:#x}", _one(at, new), why)


def used_entry_wrong(log: Log, rng: random.Random, number: int) -> Iterator[Mutation]:
    """A used entry names another chain, or a length nearby, or stands in the next slot."""
    for life in rng.sample(log.lives, min(number, len(log.lives))):
        at = life.entry
        write, record = log.writes[at], log.records[at]
        queue = life.chain.queue
        if queue.packed:
            yield from _used_descriptor_wrong(record, write)
            continue
        for head in ((life.chain.head + 1) % queue.size, rng.randrange(queue.size)):
            if head != life.chain.head:
                new = written(record, write.start, head.to_bytes(4, "little") + write.data[4:])
                yield Mutation("used entry wrong", "id", _one(at, new))
        for by in (-1, 1, 4):
            if life.length + by >= 0:
                data = write.data[:4] + (life.length + by).to_bytes(4, "little")
                yield Mutation("used entry wrong", f"length {by:+}", _one(at, written(record, write.start, data)))


def _used_descriptor_wrong(record: Record, write: DmaWrite) -> Iterator[Mutation]:
    """Its fields, and where it stands."""
    length, id_, flags = _USED.unpack(write.data)
    for text, data in (
        ("id", (length, id_ ^ 1, flags)),
        ("length -1", (max(length - 1, 0), id_, flags)),
        ("length +4", (length + 4, id_, flags)),
        ("wrap counter", (length, id_, flags ^ AVAIL_USED)),
        ("still available", (length, id_, flags ^ int(DescFlags.USED))),
        ("WRITE", (length, id_, flags ^ int(DescFlags.WRITE))),
    ):
        if data != (length, id_, flags):
            new = written(record, write.start, _USED.pack(*data))
            yield Mutation("used entry wrong", f"descriptor: {text}", _one(record.seq // GAP, new))
    for by in (-16, 16):
        new = written(record, write.start + by, write.data)
        yield Mutation("used entry wrong", f"descriptor {by} bytes further", _one(record.seq // GAP, new))


def used_ids_exchanged(log: Log, rng: random.Random, number: int) -> Iterator[Mutation]:
    """Two used entries of a queue that follow each other name each other's chain."""
    by_queue: dict[int, list[Life]] = {}
    for life in log.lives:
        by_queue.setdefault(id(life.chain.queue), []).append(life)
    pairs = [
        (first, second)
        for lives in by_queue.values()
        for first, second in itertools.pairwise(lives)
        if second.chain.pub_seq < first.entry * GAP and second.data and first.data
    ]
    for first, second in rng.sample(pairs, min(number, len(pairs))):
        a, b = log.writes[first.entry], log.writes[second.entry]
        edits: dict[int, tuple[Record, ...]] = {
            first.entry: (written(log.records[first.entry], a.start, b.data),),
            second.entry: (written(log.records[second.entry], b.start, a.data),),
        }
        yield Mutation("used entry wrong", "exchanged", edits)


def used_index_wrong(log: Log, rng: random.Random, number: int) -> Iterator[Mutation]:
    """A used index is one more or less."""
    for at in log.some(rng, log.positions("used index"), number):
        write = log.writes[at]
        for by in (-1, 1):
            value = int.from_bytes(write.data, "little") + by & 0xFFFF
            new = written(log.records[at], write.start, value.to_bytes(2, "little"))
            why = harmless.covered_later(log, at) if by < 0 else ""
            yield Mutation("used index wrong", f"{by:+}", _one(at, new), why)


def message_retargeted(log: Log, rng: random.Random, number: int) -> Iterator[Mutation]:
    """An MSI-X message carries the address and data of another vector."""
    for at in log.some(rng, log.messages, number):
        write = log.writes[at]
        others = [other for other in log.messages if log.writes[other].data != write.data]
        if others:
            other = log.writes[rng.choice(others)]
            new = written(log.records[at], other.start, other.data)
            yield Mutation("message retargeted", "", _one(at, new))


# ---- reads of the endpoint ----


def _answered(log: Log, at: int, start: int, end: int) -> dict[int, tuple[Record, ...]] | None:
    """Edits of a read that asks for other bytes, and of its answer; None where memory there is not known."""
    record = log.records[at]
    answers = log.answers.get(at, [])
    if not answers or start >= end:
        return None
    new = asked(record, start, end)
    data = log.image(answers[-1], start & ~3, end + 3 & ~3)
    packet = tlp.decode(new.hdr)
    answer = tlp.completion(packet, log.records[answers[0]].hdr[1] >> 16, data)
    edits: dict[int, tuple[Record, ...]] = {at: (new,), **{other: () for other in answers}}
    edits[answers[-1]] = (changed(log.records[answers[-1]], *tlp.encode(answer)),)
    return edits


def _span(record: Record) -> tuple[int, int] | None:
    """Start and end of the bytes that a memory request enables; None where they are not one run."""
    dwords, first, last = record.hdr[0] & 0x3FF, record.be & 15, record.be >> 4
    enables = first | ((1 << 4 * (dwords - 2)) - 1) << 4 | last << 4 * (dwords - 1) if dwords > 1 else first
    text = f"{enables:b}"
    if not enables or "0" in text.rstrip("0"):
        return None
    return record.address + len(text) - len(text.rstrip("0")), record.address + len(text)


def read_moved(log: Log, rng: random.Random, number: int) -> Iterator[Mutation]:
    """A read asks for bytes elsewhere and gets them; the endpoint goes on as if they were the right ones."""
    for role in READS:
        for at in log.some(rng, log.needed(role), number):
            read = log.reads[at]
            by = rng.choice((-16, -4, -2, 4, 2, 16))
            edits = _answered(log, at, read.start + by, read.end + by)
            if edits is not None:
                why = harmless.not_missed(log, at, (read.start + by, read.end + by))
                yield Mutation("read moved", f"{role} by {by}", edits, why)


def read_shortened(log: Log, rng: random.Random, number: int) -> Iterator[Mutation]:
    """A read asks for less than is needed, at either end."""
    for role in READS:
        for at in log.some(rng, log.needed(role), number):
            read = log.reads[at]
            by = min(rng.choice((1, 2, 4)), read.end - read.start - 1)
            head = rng.random() < 0.5
            if by < 1:
                continue
            low, high = (by, 0) if head else (0, -by)
            edits = _answered(log, at, read.start + low, read.end + high)
            if edits is not None:
                why = harmless.not_missed(log, at, (read.start + low, read.end + high))
                yield Mutation("read shortened", f"{role} by {by}", edits, why)


def read_lengthened(log: Log, rng: random.Random, number: int) -> Iterator[Mutation]:
    """A read asks for more than is needed."""
    for role in READS:
        for at in log.some(rng, log.positions(role), number):
            read = log.reads[at]
            by = rng.choice((1, 4, 16, 64))
            edits = _answered(log, at, read.start, read.end + by)
            why = "all of it is exposed" if read.end + by <= log.exposed[at] else ""
            if edits is not None:
                yield Mutation("read lengthened", f"{role} by {by}", edits, why)


def read_enables(log: Log, rng: random.Random, number: int) -> Iterator[Mutation]:
    """A byte enable of a read changes, its answer stays."""
    for role in READS:
        for at in log.some(rng, log.needed(role), number):
            record, read = log.records[at], log.reads[at]
            dw0, dw1, dw2, dw3 = record.hdr
            bits = 8 if dw0 & 0x3FF != 1 else 4
            new = changed(record, (dw0, dw1 ^ 1 << rng.randrange(bits), dw2, dw3))
            span = _span(new)
            why = harmless.not_missed(log, at, span)
            edits: dict[int, tuple[Record, ...]] | None = _one(at, new)
            if span is not None:
                edits = _answered(log, at, *span)
                if log.exposed_from[at] <= span[0] <= read.start and read.end <= span[1] <= log.exposed[at]:
                    why = "all of it is exposed"
            if edits is not None:
                yield Mutation("read enables", f"{role} {record.be:#x} to {new.be:#x}", edits, why)


def read_tag(log: Log, rng: random.Random, number: int) -> Iterator[Mutation]:
    """A read takes the tag of one that is outstanding."""
    busy: list[tuple[int, int]] = []
    outstanding: dict[int, int] = {}
    for at in sorted([*log.reads, *log.answer_of]):
        if at in log.reads:
            if outstanding:
                busy.append((at, next(iter(outstanding))))
            outstanding[at] = at
        elif at == log.answers[log.answer_of[at]][-1]:
            outstanding.pop(log.answer_of[at], None)
    for at, other in rng.sample(busy, min(number, len(busy))):
        dw0, dw1, dw2, dw3 = log.records[at].hdr
        new = changed(log.records[at], (dw0, dw1 & ~0xFF00 | log.records[other].tag << 8, dw2, dw3))
        yield Mutation("read tag", "outstanding", _one(at, new))


def read_dropped(log: Log, rng: random.Random, number: int) -> Iterator[Mutation]:
    """A read that is needed is not made; the endpoint goes on as if it knew."""
    for role in READS:
        for at in log.some(rng, log.needed(role), number):
            edits: dict[int, tuple[Record, ...]] = {at: (), **{other: () for other in log.answers.get(at, ())}}
            yield Mutation("read dropped", role, edits, harmless.not_missed(log, at))


def read_early(log: Log, rng: random.Random, number: int) -> Iterator[Mutation]:
    """A read of ring or chain is issued before the available index that published it was delivered."""
    news = sorted(at for at in log.news if log.roles[at] == "available index")
    for role in READS[1:3]:
        reads = log.needed(role)
        pairs = []
        for at in news:
            queue = log.reads[log.answer_of[at]].regions[0].queue
            later = [read for read in reads if read > at and log.reads[read].regions[0].queue is queue]
            if later:
                pairs.append((at, later[0]))
        for at, read in rng.sample(pairs, min(number, len(pairs))):
            yield Mutation("read early", role, moved_before(log, read, at), harmless.not_missed(log, read))


# ---- the engine's side ----


def request_flipped(log: Log, rng: random.Random, number: int) -> Iterator[Mutation]:
    """A byte of a request changes on its way to the engine."""
    for at in log.some(rng, sorted(log.requests), number):
        record = log.records[at]
        new = flipped(record, rng.randrange(len(record.payload)), rng.randrange(8))
        yield Mutation("engine request flipped", "head", _one(at, new))


def request_fields(log: Log, rng: random.Random, number: int) -> Iterator[Mutation]:
    """A field of engine_request_t changes."""
    fields = (("ctx", 0, 8), ("queue", 8, 3), ("lane", 16, 2), ("epoch", 24, 8), ("readable", 32, 32),
              ("writable", 64, 32), ("head_bytes", 112, 16))  # fmt: skip
    for name, low, width in fields:
        for at in log.some(rng, sorted(log.requests), number):
            record = log.records[at]
            bit = low + rng.randrange(min(width, 12))
            words = list(record.hdr)
            words[bit >> 5] ^= 1 << (bit & 31)
            new = changed(record, (words[0], words[1], words[2], words[3]))
            yield Mutation("engine request field", name, _one(at, new))


def request_lost(log: Log, rng: random.Random, number: int) -> Iterator[Mutation]:
    """A request never reaches the engine, or twice."""
    for at in log.some(rng, sorted(log.requests), number):
        record = log.records[at]
        yield Mutation("engine request lost", "", _one(at))
        yield Mutation("engine request twice", "", _one(at, record, behind(record, record)))


def storage_flipped(log: Log, rng: random.Random, number: int) -> Iterator[Mutation]:
    """What software finds in storage differs from what memory held."""
    for at in log.some(rng, log.of_kind(Kind.ENGINE_REPLY, 5), number):
        record = log.records[at]
        new = flipped(record, rng.randrange(len(record.payload)), rng.randrange(8))
        yield Mutation("storage flipped", "", _one(at, new))


def job_done_wrong(log: Log, rng: random.Random, number: int) -> Iterator[Mutation]:
    """The end of a mover job: another result, another context, too early, never, twice."""
    for at in log.some(rng, log.of_kind(Kind.ENGINE_REQUEST, 1), number):
        record = log.records[at]
        word0, *rest = record.hdr
        for name, word in (("result", word0 ^ 0x100), ("ctx", word0 ^ 1), ("epoch", word0 ^ 1 << 24)):
            yield Mutation("job done wrong", name, _one(at, changed(record, (word, rest[0], rest[1], rest[2]))))
        yield Mutation("job done wrong", "never", _one(at))
        yield Mutation("job done wrong", "twice", _one(at, record, behind(record, record)))
        jobs = [job for job in log.of_kind(Kind.ENGINE_REPLY, 0) if job < at]
        jobs = [job for job in jobs if log.records[job].hdr[0] & 255 == word0 & 255]
        if jobs:
            edits = {jobs[-1]: (log.records[jobs[-1]], behind(record, log.records[jobs[-1]])), at: ()}
            out = log.records[jobs[-1]].hdr[0] >> 8 & 255 == MoverDirection.OUT
            why = "the order of the end of a job and of its writes to the host is free" if out else ""
            yield Mutation("job done wrong", "at once", edits, why)


# ---- completions of the endpoint ----


def answer_flipped(log: Log, rng: random.Random, number: int) -> Iterator[Mutation]:
    """A bit of a register or configuration read changes."""
    found = [at for at, record in enumerate(log.records) if record.kind == Kind.TLP and record.channel == CC]
    for at in log.some(rng, [at for at in found if log.records[at].payload], 4 * number):
        byte, bit = rng.randrange(len(log.records[at].payload)), rng.randrange(8)
        new = flipped(log.records[at], byte, bit)
        text = f"{log.asked_for(at)}, bit {bit} of byte {byte}"
        yield Mutation("answer flipped", text, _one(at, new), harmless.free_bit(log, at, byte, bit))


def answer_header(log: Log, rng: random.Random, number: int) -> Iterator[Mutation]:
    """A field of a completion's header changes; it is lost, or comes twice."""
    found = [at for at, record in enumerate(log.records) if record.kind == Kind.TLP and record.channel == CC]
    fields = (
        ("status", 1, 13, 3), ("byte count", 1, 0, 12), ("completer", 1, 16, 16), ("requester", 2, 16, 16),
        ("tag", 2, 8, 5), ("lower address", 2, 0, 7), ("attributes", 0, 10, 14), ("length", 0, 0, 10),
    )  # fmt: skip
    for name, word, low, width in fields:
        for at in log.some(rng, found, number):
            words = list(log.records[at].hdr)
            words[word] ^= 1 << low + rng.randrange(width)
            new = changed(log.records[at], (words[0], words[1], words[2], words[3]))
            yield Mutation("answer header", f"{name} of {log.asked_for(at)}", _one(at, new))
    for at in log.some(rng, found, number):
        record = log.records[at]
        yield Mutation("answer lost", log.asked_for(at), _one(at), harmless.not_awaited(log, at))
        yield Mutation("answer twice", log.asked_for(at), _one(at, record, behind(record, record)))


# ---- what the endpoint was sent, and acts on otherwise ----


def sent_flipped(log: Log, rng: random.Random, number: int) -> Iterator[Mutation]:
    """A bit of a completion to the endpoint changes: it acts on other bytes than it was sent."""
    for role in READS:
        for at in log.some(rng, log.positions(role, channel=RC), number):
            if not log.records[at].payload:
                continue
            byte, bit = rng.randrange(len(log.records[at].payload)), rng.randrange(8)
            new = flipped(log.records[at], byte, bit)
            text = f"{role}, bit {bit} of byte {byte}"
            yield Mutation("sent flipped", text, _one(at, new), harmless.unused_bit(log, at, byte, bit))


# ---- notifications ----


def notification_lost(log: Log, rng: random.Random, number: int) -> Iterator[Mutation]:
    """A message never leaves: its buffer goes to the next one."""
    lives = [life for life in log.lives if life.chain.queue.notification and life.length]
    if not lives:
        return
    life = lives[-1]
    gone = [*life.data, life.entry, life.index]
    reads = [at for at in log.positions("suppression word") if at > life.index]
    reads = [at for at in reads if log.reads[at].regions[0].queue is life.chain.queue][:1]
    gone += reads + [answer for at in reads for answer in log.answers[at]]
    messages = [at for at in log.messages if at > life.index and log.queue_of_message(at) is life.chain.queue]
    yield Mutation("notification lost", "the last one", {at: () for at in gone + messages[:1]})


def notifications_swapped(log: Log, rng: random.Random, number: int) -> Iterator[Mutation]:
    """Two messages of one size change places."""
    lives = [life for life in log.lives if life.chain.queue.notification and life.length]
    pairs = []
    for a, b in itertools.pairwise(lives):
        sizes = [[len(log.writes[at].data) for at in life.data] for life in (a, b)]
        bytes_ = [b"".join(log.writes[at].data for at in life.data) for life in (a, b)]
        if sizes[0] == sizes[1] and bytes_[0] != bytes_[1] and a.chain.queue is b.chain.queue:
            pairs.append((a, b))
    for a, b in rng.sample(pairs, min(number, len(pairs))):
        edits: dict[int, tuple[Record, ...]] = {}
        for x, y in zip(a.data, b.data, strict=True):
            for to, source in ((x, y), (y, x)):
                edits[to] = (written(log.records[to], log.writes[to].start, log.writes[source].data),)
        yield Mutation("notifications swapped", "", edits)


CLASSES: tuple[Maker, ...] = (
    write_flipped, write_dropped, write_twice, write_repeated_late, write_delayed, data_swapped, write_moved,
    write_resized, write_enables, used_entry_wrong, used_ids_exchanged, used_index_wrong, message_retargeted,
    read_moved, read_shortened, read_lengthened, read_enables, read_tag, read_dropped, read_early, request_flipped,
    request_fields, request_lost, storage_flipped, job_done_wrong, answer_flipped, answer_header, sent_flipped,
    notification_lost, notifications_swapped,
)  # fmt: skip
