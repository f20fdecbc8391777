"""Event indices of split rings, doorbells that tell, and reset of a queue: right passes, wrong is found."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest

from tests.unit.packed_trace import DESCS, PACKED, QUEUE, PackedTrace
from tests.unit.trace import FEATURES, HEAD, NEXT, NOTIFY_RINGS, READABLE, REPLY, RINGS, STRICT, WRITABLE, WRITE, Trace
from virtiofs_model.engine import ControlKind, EngineControl
from virtiofs_model.layouts.virtio import Feature
from virtiofs_tb.host.log import EngineRequestChannel, Kind
from virtiofs_tb.profile import DmaRules, Profile

SIZE = 16
EVENTS = FEATURES | Feature.EVENT_IDX.mask
RESETS = FEATURES | Feature.RING_RESET.mask
USED_EVENT, AVAIL_EVENT = RINGS + 0x1000 + 4 + 2 * SIZE, RINGS + 0x2000 + 4 + 8 * SIZE
QUEUE_RESET = 0x3A
OTHER_RINGS = RINGS + 0x10_0000
LOOSE = replace(STRICT, dma=DmaRules(read_slack=64))


class SplitTrace(Trace):
    """Queue 2, on which the request of trace.py may be made again and again."""

    def __init__(self, features: int = EVENTS, profile: Profile = STRICT, queues: dict[int, int] | None = None) -> None:
        super().__init__(profile)
        self.offer(features)
        self.enumerate()
        self.start(queues or {1: NOTIFY_RINGS, 2: RINGS}, SIZE, features)
        self.put(READABLE, HEAD)
        self.desc(RINGS, 3, READABLE, 40, NEXT, 5)
        self.desc(RINGS, 5, WRITABLE, 96, WRITE)

    def request(self, number: int) -> None:
        """The next one is available and kicked."""
        self.publish(RINGS, number + 1, {number % SIZE: 3})
        self.bar_write(0x3008, 2, 2)

    def answer(self, number: int) -> None:
        """Taken and answered, up to the used index."""
        self.fetch(RINGS, number % SIZE, [3, 5])
        self.read(READABLE, 40)
        self.engine_request(4, 2, HEAD, 96)
        self.engine_reply(4, REPLY)
        self.write(WRITABLE, REPLY)
        self.used_entry(RINGS, number, 3, 96)
        self.used_index(RINGS, number + 1)

    def want(self, used_event: int) -> None:
        self.put(USED_EVENT, struct.pack("<H", used_event & 0xFFFF))

    def say(self, avail_event: int, look: bool = True) -> None:
        """The endpoint says up to where it has seen the ring, and looks again."""
        self.write(AVAIL_EVENT, struct.pack("<H", avail_event))
        if look:
            self.read(RINGS + 0x1002, 2)

    def decide(self, interrupt: bool = True) -> None:
        self.read(USED_EVENT, 2)
        if interrupt:
            self.interrupt(3)


def judged(trace: Trace, clause: str, text: str) -> None:
    """The first thing that is found, but for registers, is this."""
    trace.finish()
    found = [failure for failure in trace.boards.failures if failure.board != "config_space"]
    assert found, "nothing was found"
    first = found[0]
    assert first.clause == clause and text in str(first), str(first)


# ---- used_event ----


@pytest.mark.parametrize(("event", "wanted"), [(0, True), (1, False), (0xFFFF, False), (0x8000, False)])
def test_an_interrupt_where_the_event_is_passed(event: int, wanted: bool) -> None:
    for sent in (False, True):
        trace = SplitTrace()
        trace.want(event)
        trace.put(RINGS + 0x1000, struct.pack("<H", 1))  # flags mean nothing here: SPLIT-UNS-D04
        trace.request(0)
        trace.answer(0)
        trace.say(1)
        trace.decide(sent)
        found = trace.finish()
        assert bool(found) == (sent != wanted), found
        if found:
            assert trace.boards.failures[0].clause == ("SPLIT-UNS-D05" if wanted else "SPLIT-UNS-D06")


def test_the_event_word_must_be_read_after_the_used_index() -> None:
    trace = SplitTrace()
    trace.request(0)
    trace.read(USED_EVENT, 2)
    trace.answer(0)
    trace.say(1)
    judged(trace, "SPLIT-UNS-D05", "a read of the suppression word issued after it")


def test_a_decision_of_its_own_for_each_of_two() -> None:
    """Both used indexes are out before either word is read, and the driver moves the event on in between."""
    for events, sent in (((5, 1), 1), ((0, 1), 2), ((1, 7), 0), ((0, 7), 1)):
        trace = SplitTrace()
        trace.publish(RINGS, 2, {0: 3, 1: 8})
        trace.desc(RINGS, 8, READABLE + 0x100, 40, NEXT, 9)
        trace.desc(RINGS, 9, WRITABLE + 0x100, 96, WRITE)
        trace.put(READABLE + 0x100, HEAD)
        trace.answer(0)
        trace.read(RINGS + 0x1006, 2)
        for index in (8, 9):
            trace.read(RINGS + 16 * index, 16)
        trace.read(READABLE + 0x100, 40)
        trace.engine_request(5, 2, HEAD, 96)
        trace.engine_reply(5, REPLY)
        trace.write(WRITABLE + 0x100, REPLY)
        trace.used_entry(RINGS, 1, 8, 96)
        trace.used_index(RINGS, 2)
        trace.say(2)
        for event in events:
            trace.want(event)
            trace.read(USED_EVENT, 2)
        for _ in range(sent):
            trace.interrupt(3)
        assert trace.finish() == [], (events, sent)


# ---- avail_event ----


def test_avail_event_follows_the_index() -> None:
    trace = SplitTrace()
    for number in range(3):
        trace.want(number)
        trace.request(number)
        trace.answer(number)
        trace.say(number + 1)
        trace.decide()
    assert trace.finish() == []
    assert trace.boards.details["descriptors"]["kicks asked for"] == 3


def test_a_kick_is_lost_where_the_index_is_not_read_again() -> None:
    trace = SplitTrace()
    trace.request(0)
    trace.answer(0)
    trace.say(1, look=False)
    trace.decide()
    judged(trace, "SPLIT-ANS-D04", "a read of the available index issued after that")


def test_a_kick_is_lost_where_avail_event_stays_behind() -> None:
    trace = SplitTrace()
    trace.request(0)
    trace.answer(0)
    trace.decide()
    judged(trace, "SPLIT-ANS-D04", "expected 1, the available index that was read")


def test_what_is_found_by_looking_again_is_said_too() -> None:
    trace = SplitTrace()
    trace.request(0)
    trace.answer(0)
    trace.decide()
    trace.publish(RINGS, 2, {1: 3})
    trace.say(1)
    trace.want(1)
    trace.answer(1)
    trace.decide()
    judged(trace, "SPLIT-ANS-D04", "expected 2, the available index that was read")


@pytest.mark.parametrize(("value", "text"), [(2, "seen 2: the driver keeps quiet"), (0xFFFF, "not behind 0")])
def test_avail_event_beyond_what_was_seen_and_backwards(value: int, text: str) -> None:
    trace = SplitTrace()
    trace.request(0)
    trace.answer(0)
    trace.say(value)
    trace.decide()
    judged(trace, "SPLIT-ANS-D04", text)


def test_avail_event_in_halves_and_without_the_feature() -> None:
    trace = SplitTrace()
    trace.request(0)
    trace.answer(0)
    trace.write(AVAIL_EVENT, b"\1")
    judged(trace, "SPLIT-ANS-D04", "both bytes in one packet")
    trace = SplitTrace(FEATURES)
    trace.write(AVAIL_EVENT, b"\0\0")
    judged(trace, "SPLIT-USED-D01", "VIRTIO_F_EVENT_IDX was not negotiated")


def test_used_flags_are_zero_with_event_indices() -> None:
    trace = SplitTrace()
    trace.write(RINGS + 0x2000, b"\1\0")
    judged(trace, "SPLIT-ANS-D03", "used flags of queue 2; expected 0")


# ---- order, and doorbells that tell ----


def test_a_batch_in_order_is_told_by_its_last_chain() -> None:
    for profile, clean in ((LOOSE, True), (STRICT, False)):
        trace = SplitTrace(FEATURES | Feature.IN_ORDER.mask, profile)
        for head, at in ((3, 0), (8, 0x100)):
            trace.put(READABLE + at, HEAD)
            trace.desc(RINGS, head, READABLE + at, 40, NEXT, head + 1)
            trace.desc(RINGS, head + 1, WRITABLE + at, 96, WRITE)
        trace.publish(RINGS, 2, {0: 3, 1: 8})
        trace.read(RINGS + 0x1002, 2)
        trace.read(RINGS + 0x1004, 4)
        for ctx, (head, at) in enumerate(((3, 0), (8, 0x100))):
            trace.read(RINGS + 16 * head, 32)
            trace.read(READABLE + at, 40)
            trace.engine_request(ctx, 2, HEAD, 96)
            trace.engine_reply(ctx, REPLY)
            trace.write(WRITABLE + at, REPLY)
        trace.used_entry(RINGS, 0, 8, 96)
        trace.used_index(RINGS, 2)
        trace.read(RINGS + 0x1000, 2)
        trace.interrupt(3)
        assert (trace.finish() == []) is clean, trace.boards.failures
        assert clean or trace.boards.failures[0].clause == "RSVD-D05"


def test_a_doorbell_may_stand_for_the_available_index() -> None:
    trace = SplitTrace(FEATURES | Feature.NOTIFICATION_DATA.mask)
    trace.publish(RINGS, 1, {0: 3})
    trace.bar_write(0x3008, 2 | 1 << 16, 4)
    trace.read(RINGS + 0x1004, 2)
    for index in (3, 5):
        trace.read(RINGS + 16 * index, 16)
    trace.read(READABLE, 40)
    assert trace.boards.failures == []
    (chain,) = trace.boards.observer.rings.queues[2].open.values()
    assert chain.walked


# ---- reset of a queue ----


def stopped(trace: Trace, queue: int = QUEUE) -> None:
    """The driver writes 1 to queue_reset."""
    trace.bar_write(0x16, queue, 2)
    trace.bar_write(QUEUE_RESET, 1, 2)


def resettable(served: bool = True) -> SplitTrace:
    trace = SplitTrace(RESETS)
    trace.request(0)
    if served:
        trace.answer(0)
        trace.read(RINGS + 0x1000, 2)
    return trace


def reads_zero(trace: Trace) -> None:
    trace.bar_read(QUEUE_RESET, 2, 0)


def without_registers(trace: Trace) -> list[str]:
    """What was found, but for registers: those that answer here are not the golden ones."""
    return [text for text in trace.finish() if not text.startswith("config_space")]


def test_a_queue_that_is_reset_owes_nothing() -> None:
    trace = resettable()
    stopped(trace)
    trace.bar_read(QUEUE_RESET, 2, 1)
    reads_zero(trace)
    assert without_registers(trace) == []
    assert 2 not in trace.boards.observer.rings.queues
    assert trace.boards.details["dma"]["queue reset"] == 1


@pytest.mark.parametrize("told", (False, True))
def test_a_context_is_free_once_the_engine_was_told_of_the_reset(told: bool) -> None:
    trace = SplitTrace(RESETS, queues={1: NOTIFY_RINGS, 2: RINGS, 3: OTHER_RINGS})
    trace.request(0)
    trace.fetch(RINGS, 0, [3, 5])
    trace.read(READABLE, 40)
    trace.engine_request(4, 2, HEAD, 96)
    stopped(trace)
    if told:
        control = EngineControl(ControlKind.QUEUE_RESET, 2, 0)
        trace.other(Kind.ENGINE_REQUEST, EngineRequestChannel.CONTROL, control.to_user())
    trace.desc(OTHER_RINGS, 3, READABLE, 40, NEXT, 5)
    trace.desc(OTHER_RINGS, 5, WRITABLE, 96, WRITE)
    trace.publish(OTHER_RINGS, 1, {0: 3})
    trace.bar_write(0x300C, 3, 2)
    trace.fetch(OTHER_RINGS, 0, [3, 5])
    trace.read(READABLE, 40)
    trace.engine_request(4, 3, HEAD, 96)
    found = [failure.clause for failure in trace.boards.failures]
    assert found == ([] if told else ["FS-REQ-DI1"])


def test_what_was_on_its_way_when_a_queue_stopped_keeps_its_order() -> None:
    trace = SplitTrace(RESETS | Feature.IN_ORDER.mask)
    for position in range(2):
        trace.request(position)
    trace.answer(0)
    trace.read(RINGS + 0x1000, 2)
    stopped(trace)
    trace.answer(1)
    reads_zero(trace)
    assert without_registers(trace) == []


def test_a_chain_that_was_open_is_forgotten() -> None:
    trace = resettable(served=False)
    trace.fetch(RINGS, 0, [3, 5])
    stopped(trace)
    trace.read(READABLE, 40)  # still under way
    reads_zero(trace)
    assert without_registers(trace) == []


@pytest.mark.parametrize("address", [RINGS + 0x1002, RINGS, READABLE, WRITABLE])
def test_no_dma_of_a_queue_that_was_reset(address: int) -> None:
    trace = resettable(served=False)
    trace.fetch(RINGS, 0, [3, 5])
    stopped(trace)
    reads_zero(trace)
    if address == WRITABLE:
        trace.write(address, REPLY)
    else:
        trace.read(address, 2)
    judged(trace, "VQRST-D01", "expected none: queue 2 was reset")


def test_a_read_that_is_out_when_the_queue_says_it_stopped() -> None:
    trace = resettable(served=False)
    trace.fetch(RINGS, 0, [3, 5])
    trace.issue(READABLE, 40, 9)
    stopped(trace)
    reads_zero(trace)
    judged(trace, "VQRST-D01", "1 until every read for this queue is complete")


def test_no_interrupt_of_a_queue_that_was_reset() -> None:
    trace = resettable()
    stopped(trace)
    reads_zero(trace)
    trace.interrupt(3)
    judged(trace, "VQRST-D02", "none: queue 2 was reset")


def test_an_interrupt_may_still_come_while_the_queue_stops() -> None:
    trace = resettable()
    stopped(trace)
    trace.interrupt(3)
    reads_zero(trace)
    assert without_registers(trace) == []


def enabled_again(trace: Trace, base: int, size: int) -> None:
    trace.bar_write(0x18, size, 2)
    trace.bar_write(0x1A, 3, 2)
    for at, address in ((0x20, base), (0x28, base + 0x1000), (0x30, base + 0x2000)):
        trace.bar_write(at, address, 4)
        trace.bar_write(at + 4, 0, 4)
    trace.bar_write(0x1C, 1, 2)


def test_a_queue_begins_anew_with_another_size_and_elsewhere() -> None:
    trace = resettable()
    trace.interrupt(3)
    stopped(trace)
    reads_zero(trace)
    base = 0x18_0000
    enabled_again(trace, base, 4)
    trace.desc(base, 1, READABLE, 40, NEXT, 2)
    trace.desc(base, 2, WRITABLE, 96, WRITE)
    trace.publish(base, 1, {0: 1})
    trace.fetch(base, 0, [1, 2])
    trace.read(READABLE, 40)
    trace.engine_request(4, 2, HEAD, 96)
    trace.engine_reply(4, REPLY)
    trace.write(WRITABLE, REPLY)
    trace.use(base, 0, 1, 96, 4)
    trace.interrupt(3)
    assert without_registers(trace) == []
    assert trace.boards.observer.rings.queues[2].size == 4


def test_positions_that_outlive_the_reset() -> None:
    trace = resettable()
    trace.interrupt(3)
    stopped(trace)
    reads_zero(trace)
    enabled_again(trace, RINGS, SIZE)
    trace.request(0)
    trace.fetch(RINGS, 0, [3, 5])
    trace.write(WRITABLE, REPLY)
    trace.used_entry(RINGS, 1, 3, 96)
    trace.used_index(RINGS, 2)
    judged(trace, "SPLIT-USED-D01", "used entry 1 of queue 2 is written")


def test_a_wrap_counter_that_outlives_the_reset() -> None:
    trace = PackedTrace(2, PACKED | Feature.RING_RESET.mask)
    trace.request(0, unique=1)
    trace.kick()
    trace.serve(0, 0, unique=1)
    stopped(trace)
    reads_zero(trace)
    enabled_again(trace, DESCS, 2)
    trace.request(0, unique=2)
    trace.fetch_chain(0)
    trace.answer(0, unique=2)
    trace.used(0, flags=WRITE)
    found = [str(failure) for failure in trace.boards.failures if failure.board == "descriptors"]
    assert found and "[PACK-WRAP-DI1]" in found[0]
