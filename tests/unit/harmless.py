"""Why a mutation of a correct log is no error: what no driver could tell, or what is permitted.

Each function looks at the correct run and answers with a reason, or '' where the mutation has to be found.
"""

from __future__ import annotations

from dataclasses import replace

from tests.unit.mutated_logs import CQ, GAP, RC, Element, Life, Log
from virtiofs_model.config_space import write_masks
from virtiofs_model.layouts.virtio import DescFlags
from virtiofs_tb.host.log import Kind
from virtiofs_tb.scoreboards.events import RegisterRead
from virtiofs_tb.scoreboards.ring_state import Chain, Queue
from virtiofs_tb.scoreboards.suppression import asks

NEXT, WRITE, INDIRECT = int(DescFlags.NEXT), int(DescFlags.WRITE), int(DescFlags.INDIRECT)
STATUS_AT, DRAINED_PS = 0x14, 10_000_000
AVAIL, USED = int(DescFlags.AVAIL), int(DescFlags.USED)


def _decisions(log: Log, at: int) -> list[int]:
    """Where the endpoint was told to send the messages of this one's vector."""
    queue = log.queue_of_message(at)
    return [other for other, event in log.suppression.items() if event.queue is queue and log.wanted(other)]


def merged(log: Log, at: int) -> str:
    """A message that is not sent: another one of its vector may stand for it."""
    same = [other for other in log.messages if other != at and log.writes[other].vectors == log.writes[at].vectors]
    if any(other > at for other in same):
        return "one message may stand for two: another follows"
    last = max((other for other in same if other < at), default=-1)
    if all(decision < last for decision in _decisions(log, at) if decision < at):
        return "one message may stand for two: another was sent since it was asked for"
    return ""


def owed_again(log: Log, at: int) -> str:
    """A message that is sent twice: another one of its vector is owed."""
    same = [other for other in log.messages if log.writes[other].vectors == log.writes[at].vectors and other <= at]
    if sum(decision < at for decision in _decisions(log, at)) > len(same):
        return "another message of the vector is owed"
    return ""


def covered_later(log: Log, at: int) -> str:
    """A used index that is not written: the next one may cover its entry too."""
    queue = log.writes[at].regions[0].queue
    if any(event.queue is queue and other > at for other, event in log.used_indexes):
        return "the next used index covers its entry"
    return ""


def said_later(log: Log, at: int) -> str:
    """An avail_event that is not written: the next one says more, or a reset comes before anybody counts on it."""
    region = log.writes[at].regions[0]
    later = [other for other in log.positions("avail event") if other > at and log.writes[other].regions[0] is region]
    if later:
        return "the next one says it"
    return "a reset comes before the driver counts on it" if any(other > at for other in log.resets) else ""


def suppressed_again(log: Log, life: Life, read: int) -> str:
    """A used index that comes after the read of the suppression word: a later read may decide for it."""
    queue = life.chain.queue
    later = [at for at in log.positions("suppression word") if at > read and log.reads[at].regions[0].queue is queue]
    return "a later read of the word decides" if later else ""


def zero_flags(log: Log, at: int, be: int) -> str:
    """Other byte enables of a write: those of a used index may cover the flags before it, which are 0."""
    if log.roles[at] == "used index" and be in (0xE, 0xF) and not any(log.records[at].payload[:2]):
        return "the used flags before the index are 0 as they were"
    return ""


def overlaid(log: Log, at: int, start: int, end: int) -> str:
    """Data at [start, end) that later data of the same chain replaces before the used index (mover jobs do so)."""
    life = log.chain_of.get(at)
    if log.roles[at] != "data" or life is None:
        return ""
    later = [log.writes[other] for other in life.data if other > at]
    for byte in range(start, end):
        if not any(write.start <= byte < write.start + len(write.data) for write in later):
            return ""
    return "later data replaces it before the used index"


def unused_slot(log: Log, at: int) -> str:
    """A used entry that is too long: the slot behind it is owed, and nothing is written there before a reset."""
    queue = log.writes[at].regions[0].queue
    if any(life.chain.queue is queue and life.entry > at for life in log.lives):
        return ""
    return "no used index covers the slot behind it" if _owed(log, at) > 1 else ""


def _owed(log: Log, at: int) -> int:
    """Chains of a write's queue that are exposed and not used then."""
    queue = log.writes[at].regions[0].queue
    published = sum(chain.queue is queue and chain.pub_seq < at * GAP for chain in log.chains)
    return published - sum(life.chain.queue is queue and life.index < at for life in log.lives)


def _reset_first(log: Log, at: int, queue: Queue) -> str:
    """Whether a reset comes before a message of the queue and before anything is owed for too long."""
    reset = next((other for other in log.resets if other > at), None)
    if reset is None:
        return ""
    messages = [other for other in log.messages if at < other < reset and log.queue_of_message(other) is queue]
    return "" if messages else "a reset comes before anything is owed"


def not_missed(log: Log, at: int, span: tuple[int, int] | None = None) -> str:
    """A read that leaves out bytes, or all of them (span: what it reads instead): nobody needs them."""
    read = log.reads[at]
    queue = read.regions[0].queue
    role = log.roles[at]
    if role == "suppression word":
        words = log.positions("suppression word")
        if any(other > at and log.reads[other].regions[0].queue is queue for other in words):
            return "a later read of the word decides"
        return _reset_first(log, at, queue)
    if role == "ring entry" and span is not None:
        slots = {
            address - read.regions[0].start - 4 >> 1
            for address in range(read.start, read.end)
            if not span[0] <= address < span[1]
        }
        if all(_entry_bit(log, at, slot) for slot in slots):
            return "no chain is made of the entries that are left out"
    if not log.depend.get(at, set()) & log.used:
        return "nothing is made of it"
    if role == "descriptor" and span is not None:
        table = read.regions[0].start
        lost = [byte - table for byte in range(read.start, read.end) if not span[0] <= byte < span[1]]
        if queue.packed and all(_shown_again(log, at, table, offset >> 4) for offset in lost):
            return "another look shows that head too"
        if all(_ring_descriptor_bit(log, at, offset, 0) for offset in lost):
            return "no chain is made of the descriptors that are left out, or not of these fields"
    if role in ("table", "request"):
        lost = [byte for byte in range(read.start, read.end) if span is None or not span[0] <= byte < span[1]]
        if all(log.read_again(at, byte, byte + 1) for byte in lost):
            return "other reads bring the same bytes"
    return ""


def _end_of_reset(log: Log, at: int, read: RegisterRead) -> bool:
    """Whether this read told the end of a reset."""
    status = read.region == "common" and read.at <= STATUS_AT < read.at + len(read.data)
    return status and not read.data[STATUS_AT - read.at] and any(reset < at for reset in log.resets)


def not_awaited(log: Log, at: int) -> str:
    """A completion that never comes: the run ends before it is owed, and nobody uses its tag again."""
    key = log.records[at].hdr[2] >> 8
    again = [record for record in log.records[at:] if record.kind == Kind.TLP and record.channel == CQ]
    if any(record.hdr[1] >> 8 == key for record in again):
        return ""
    return "the run ends before it is owed" if log.records[-1].t_ps - log.records[at].t_ps < DRAINED_PS else ""


def _shown_again(log: Log, at: int, ring: int, slot: int) -> bool:
    """Whether a slot is the head of a packed chain that a later read, before the chain was used, shows as well."""
    for life in log.lives:
        first = log.elements[id(life.chain)][0]
        if id(life.chain) in log.depend.get(at, set()) and (first[0], first[1].in_table) == (slot, False):
            start = ring + 16 * slot
            again = [read for other, read in log.reads.items() if at < other < life.entry]
            return any(read.start <= start and start + 16 <= read.end for read in again)
    return False


def free_bit(log: Log, at: int, byte: int, bit: int) -> str:
    """A bit of a completion of the endpoint that the driver cannot use, or that the endpoint is free to set."""
    read = log.register_reads.get(at)
    if read is not None and not read.window:
        if _end_of_reset(log, at, read):
            return "the reset may be under way still: a driver would look again"
        skip = read.offset & 3
        return "" if skip <= byte < skip + read.length else "a byte that was not asked for"
    request = log.config_request_of(at)
    if request is None:
        return ""
    if not request.be >> byte & 1:
        return "a byte that was not asked for"
    if read is not None:
        return ""  # through the window of the PCI_CFG capability: a register
    _, _, free = write_masks()
    if free[request.address + byte] >> bit & 1:
        return "a bit that the endpoint may hardwire"
    return ""


def unused_bit(log: Log, at: int, byte: int, bit: int) -> str:
    """A bit of a completion to the endpoint that says nothing to it."""
    record = log.records[at]
    read = log.reads[log.answer_of[at]]
    remaining = record.hdr[1] & 0xFFF or 4096
    start = read.end - remaining
    offset = byte - (start & 3)
    if not 0 <= offset < remaining:
        return "a byte that was not asked for"
    role = log.roles[at]
    address = start + offset
    region = read.regions[0]
    if role == "suppression word":
        if _same_answer(log, at, byte, bit):
            return "the words say the same"
        return _other_decision(log, at) or _reset_first(log, at, region.queue)
    if role == "available index":
        return _index_bit(log, at, 8 * (address - region.start - 2) + bit)
    if role == "ring entry":
        return _entry_bit(log, log.answer_of[at], address - region.start - 4 >> 1)
    if role == "descriptor":
        return _ring_descriptor_bit(log, log.answer_of[at], address - region.start, bit)
    if role in ("table", "request") and log.read_again(log.answer_of[at], address, address + 1):
        return "another read brings the same byte"
    if role == "table":
        return _table_bit(log, log.answer_of[at], address, bit)
    return "" if log.depend.get(log.answer_of[at], set()) & log.used else "nothing is made of it"


def _other_decision(log: Log, at: int) -> str:
    """Another decision of the queue asks for a message, or another message comes, that may stand for this one's."""
    queue = log.suppression[at].queue
    following = [other for other in log.messages if other > at and log.queue_of_message(other) is queue]
    asks = [
        other for other, event in log.suppression.items() if other != at and event.queue is queue and log.wanted(other)
    ]
    if not log.wanted(at):
        return "one message may stand for two" if following else ""
    before = max((other for other in log.messages if other < at and log.queue_of_message(other) is queue), default=-1)
    if following and any(before < other < following[0] for other in asks):
        return "one message may stand for two"
    return ""


def _same_answer(log: Log, at: int, byte: int, bit: int) -> bool:
    """Whether the driver's words decide the same with a bit that is turned, or then nobody can say."""
    word, record = log.suppression[at], log.records[at]
    payload = bytearray(record.payload)
    payload[byte] ^= 1 << bit
    start = log.reads[log.answer_of[at]].start
    value = int.from_bytes(payload[start & 3 :], "little")
    if word.queue.packed:
        turned = replace(word, used_event=value & 0xFFFF, flags=value >> 16 & 3)
    elif word.queue.event_idx:
        turned = replace(word, used_event=value & 0xFFFF)
    else:
        turned = replace(word, flags=value & 0xFFFF)
    return all(asks(turned, use) in (asks(word, use), None) for use in log.uses[at])


def _index_bit(log: Log, at: int, bit: int) -> str:
    """A bit of an available index: buffers of the notification queue may lie unread."""
    read = log.reads[log.answer_of[at]]
    queue = read.regions[0].queue
    if log.answer_of[at] in log.depend and not log.depend[log.answer_of[at]] & log.used:
        return "nothing is made of it"
    reset = next((other for other in log.resets if other > at), len(log.records))
    later = [
        other
        for other in log.positions("available index", channel=RC)
        if at < other < reset and log.reads[log.answer_of[other]].regions[0].queue is queue
    ]
    value = int.from_bytes(log.records[at].payload[2:4], "little")
    more = not value >> bit & 1 and 1 << bit <= queue.size
    if later:
        following = int.from_bytes(log.records[later[0]].payload[2:4], "little")
        late = more and value | 1 << bit <= following
        return "the next index publishes them too: the endpoint merely took its time" if late else ""
    if more and reset < len(log.records):
        return "a reset comes before the entry has to be read"
    return "the endpoint may leave notification buffers unread" if queue.notification and more else ""


def _entry_bit(log: Log, read: int, slot: int) -> str:
    queue = log.reads[read].regions[0].queue
    for chain in log.chains:
        made = chain.queue is queue and chain.position % queue.size == slot and id(chain) in log.used
        if made and log.entries.get((id(queue), chain.position)) == read:
            return ""
    return "no chain is made of that entry"


def _ring_descriptor_bit(log: Log, read: int, offset: int, bit: int) -> str:
    index, inner = divmod(offset, 16)
    if index not in log.descriptors.get(read, set()):
        return "no chain is made of that descriptor"
    for chain in log.chains:
        if id(chain) in log.depend.get(read, set()) & log.used:
            for at, element in log.elements[id(chain)]:
                if at == index and not element.in_table:
                    return _element_bit(log, chain, element, inner, bit)
    return "nothing is made of it"


def _table_bit(log: Log, read: int, address: int, bit: int) -> str:
    region = log.reads[read].regions[0]
    chain = region.chain
    assert chain is not None and chain.table is not None
    if id(chain) not in log.used:
        return "nothing is made of it"
    index, inner = divmod(address - chain.table.address, 16)
    for at, element in log.elements[id(chain)]:
        if at == index and element.in_table:
            return _element_bit(log, chain, element, inner, bit)
    return "no element of the chain"


def _packed_bit(log: Log, chain: Chain, element: Element, inner: int, bit: int) -> str:
    """A bit of the buffer ID or the flags of a packed descriptor."""
    mask = (1 << bit) << 8 * (inner & 1)
    first, last = (log.elements[id(chain)][at][1] for at in (0, chain.slots - 1))
    if inner < 14:
        return "" if element is last else "the buffer ID counts in the last descriptor of the ring alone"
    if element.in_table:
        return "" if mask == WRITE else "of a table only WRITE counts"
    if not mask & (NEXT | WRITE | INDIRECT | AVAIL | USED):
        return "a reserved flag"
    if mask == WRITE and element.flags & INDIRECT:
        return "WRITE means nothing beside INDIRECT"
    if mask & (AVAIL | USED) and element is not first:
        return "only the head's flags say what is available"
    return ""


def _element_bit(log: Log, chain: Chain, element: Element, inner: int, bit: int) -> str:
    """A bit of a descriptor that a chain is made of."""
    if chain.queue.packed and inner >= 12:
        return _packed_bit(log, chain, element, inner, bit)
    if (inner == 12 and bit > 2) or inner == 13:
        return "a reserved flag"
    if inner >= 14:
        return "" if element.flags & NEXT else "next counts only with NEXT"
    length = next(life.length for life in log.lives if life.chain is chain)
    untouched = element.flags & WRITE and element.offset >= length
    if inner < 8 and not element.flags & INDIRECT and (untouched or not element.length):
        return "no byte behind that address is touched"
    if 8 <= inner < 12 and element.flags & INDIRECT and not element.length >> 8 * (inner - 8) & 1 << bit:
        return "a table may be longer than its chain"
    if 8 <= inner < 12 and chain.queue.notification and not element.length >> 8 * (inner - 8) & 1 << bit:
        return "a longer notification buffer is as good"
    return ""
