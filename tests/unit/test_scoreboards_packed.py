"""Packed rings on synthetic logs: right passes, and each wrong thing is found under its clause."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest

from tests.unit.packed_trace import (
    AVAIL,
    DESCS,
    DEVICE,
    DISABLE,
    DRIVER,
    ENABLE,
    EVENTS,
    NOTIFY_DESCS,
    PACKED,
    QUEUE,
    USED,
    VECTOR,
    PackedTrace,
)
from tests.unit.packed_trace import DESC as DESC_EVENT
from tests.unit.trace import INDIRECT, NEXT, READABLE, REPLY, STRICT, WRITABLE, WRITE
from virtiofs_model.layouts.virtio import Feature
from virtiofs_tb.profile import DmaRules

LOOSE = replace(STRICT, dma=DmaRules(read_slack=64))


def asked(size: int = 8, features: int = PACKED) -> PackedTrace:
    """One request is available and kicked."""
    trace = PackedTrace(size, features)
    trace.request(0)
    trace.kick()
    return trace


def judged(trace: PackedTrace, clause: str, text: str) -> None:
    """The first thing that is found is this."""
    trace.finish()
    assert trace.boards.failures, "nothing was found"
    first = trace.boards.failures[0]
    assert first.clause == clause and text in str(first), str(first)


# ---- what is right ----


@pytest.mark.parametrize("size", [2, 3, 5, 8])
def test_requests_round_and_round(size: int) -> None:
    """Sizes that are no power of two, chains over the ring's end and right at it."""
    trace = PackedTrace(size)
    for number in range(7):
        trace.request(2 * number, id_=number % 3, unique=number + 1)
        trace.kick()
        trace.serve(2 * number, 2 * number, number % 3, number + 1)
    assert trace.finish() == []
    assert trace.boards.details["descriptors"]["used entry"] == 7
    assert trace.boards.details["interrupts"]["message"] == 7


def test_a_block_of_single_descriptors_may_be_believed_at_once() -> None:
    trace = PackedTrace()
    for position in range(3):
        trace.make(position, WRITABLE + 0x100 * position, 96, WRITE, position)
    trace.kick()
    trace.read(DESCS, 64)
    queue = trace.boards.observer.rings.queues[QUEUE]
    assert [chain.walked for chain in queue.open.values()] == [True] * 3
    assert queue.avail_idx == 3
    assert trace.boards.failures == []


def test_an_indirect_table_is_followed_by_its_order_alone() -> None:
    trace = PackedTrace()
    table = 0x32_0000
    for index, (address, length, flags) in enumerate(((READABLE, 16, INDIRECT), (READABLE + 16, 24, NEXT))):
        trace.put(table + 16 * index, struct.pack("<QIHH", address, length, 0xBAD, flags))
    trace.put(table + 32, struct.pack("<QIHH", WRITABLE, 96, 0xBAD, WRITE | AVAIL))
    trace.make(0, table, 48, INDIRECT | WRITE, 3)
    trace.kick()
    trace.read(DESCS, 16)
    trace.read(table, 48)
    (chain,) = trace.boards.observer.rings.queues[QUEUE].open.values()
    assert (chain.readable, chain.writable, chain.walked, chain.slots, chain.head) == (40, 96, True, 1, 3)
    trace.read(DESCS + 16, 16)
    assert trace.boards.observer.rings.queues[QUEUE].avail_idx == 1
    assert trace.boards.failures == []


def test_a_later_chain_may_come_back_first_in_the_first_free_slot() -> None:
    trace = PackedTrace()
    trace.request(0, id_=1, unique=1)
    trace.request(2, id_=2, unique=2)
    trace.kick()
    trace.fetch_chain(0)
    trace.fetch_chain(2)
    trace.answer(2, unique=2, ctx=5)
    trace.used(0, id_=2)
    trace.decide()
    trace.answer(0, unique=1, ctx=4)
    trace.used(2, id_=1)
    trace.decide()
    assert trace.finish() == []


def test_descriptors_written_ahead_count_when_their_turn_comes() -> None:
    """PACK-VQ-D03: an endpoint may write the first one last, so that the driver sees all at once."""
    trace = PackedTrace(profile=LOOSE)
    for position, id_ in ((0, 1), (2, 2)):
        trace.request(position, id_, unique=id_)
    trace.kick()
    for position, id_ in ((0, 1), (2, 2)):
        trace.fetch_chain(position)
        trace.answer(position, unique=id_, ctx=id_)
    trace.used(2, id_=2)
    assert len(trace.boards.observer.rings.queues[QUEUE].open) == 2
    trace.used(0, id_=1)
    trace.decide()
    assert trace.finish() == []


def test_a_batch_in_order_is_told_by_its_last_buffer() -> None:
    trace = PackedTrace(features=PACKED | Feature.IN_ORDER.mask, profile=LOOSE)
    for position, id_ in ((0, 1), (2, 2)):
        trace.request(position, id_, unique=id_)
    trace.kick()
    for position, id_ in ((0, 1), (2, 2)):
        trace.fetch_chain(position)
        trace.answer(position, unique=id_, ctx=id_)
    trace.used(0, id_=2)
    trace.decide()
    assert trace.finish() == []
    assert trace.boards.observer.rings.queues[QUEUE].used_idx == 4


def test_a_full_ring_needs_no_look() -> None:
    trace = asked(size=2)
    trace.fetch_chain(0)
    trace.kick()
    trace.answer(0)
    trace.used(0)
    trace.decide()
    trace.read(DESCS, 16)
    assert trace.finish() == []


# ---- trust ----


def test_others_of_a_list_read_together_with_the_head() -> None:
    trace = asked()
    trace.read(DESCS, 32)
    trace.read(READABLE, 40)
    assert trace.boards.failures == []  # the head's own part may be read
    trace.write(WRITABLE, REPLY)
    judged(trace, "PACK-DESC-D03", "no read of its descriptors was issued after its head was shown")


def test_a_list_by_one_read_that_the_doorbell_published() -> None:
    """With NOTIFICATION_DATA the doorbell itself says what is available."""
    trace = PackedTrace(features=PACKED | Feature.NOTIFICATION_DATA.mask)
    trace.request(0)
    trace.bar_write(0x3000 + 4 * QUEUE, QUEUE | 2 << 16 | 1 << 31, 4)
    trace.read(DESCS, 32)
    trace.read(READABLE, 40)
    trace.answer(0)
    trace.used(0)
    trace.decide()
    trace.read(DESCS + 32, 16)
    assert trace.finish() == []


def test_the_request_read_before_its_head() -> None:
    trace = asked()
    trace.read(READABLE, 40)
    judged(trace, "PCI-BUS-D01", "read of 40 bytes")


def test_an_old_round_makes_nothing_available() -> None:
    trace = PackedTrace(size=2)
    for number in range(2):
        trace.request(2 * number, unique=number + 1)
        trace.kick()
        trace.serve(2 * number, 2 * number, unique=number + 1)
    trace.put(DESCS, struct.pack("<QIHH", WRITABLE, 96, 1, WRITE | USED))  # of the second round, not the third
    trace.kick()
    trace.read(DESCS, 16)
    assert trace.finish() == []
    assert not trace.boards.observer.rings.queues[QUEUE].open


# ---- used descriptors ----


def test_the_flags_of_another_round() -> None:
    trace = PackedTrace(size=2)
    trace.request(0, unique=1)
    trace.kick()
    trace.serve(0, 0, unique=1)
    trace.request(2, unique=2)
    trace.kick()
    trace.fetch_chain(2)
    trace.answer(2, unique=2)
    trace.used(2, flags=AVAIL | USED | WRITE)
    judged(trace, "PACK-WRAP-DI1", "expected AVAIL and USED 0")


def test_available_flags_in_a_used_descriptor() -> None:
    trace = asked()
    trace.fetch_chain(0)
    trace.answer(0)
    trace.used(0, flags=AVAIL | WRITE)
    judged(trace, "PACK-WRAP-DI1", "seen AVAIL 1, USED 0")


@pytest.mark.parametrize("id_", [0x55, 3])
def test_the_id_of_another_descriptor(id_: int) -> None:
    """That of the first descriptor of the list, and one that nothing has."""
    trace = asked()
    trace.fetch_chain(0)
    trace.answer(0)
    trace.used(0, id_=id_)
    judged(trace, "PACK-NEXT-DI1", f"names buffer {id_}; expected an exposed chain: 7")


def test_a_used_descriptor_in_the_slot_of_the_last_descriptor() -> None:
    trace = asked()
    trace.fetch_chain(0)
    trace.answer(0)
    trace.used(1)
    judged(trace, "PACK-NEXT-DI1", "expected slot 0, behind all descriptors that are used, seen slot 1")


def test_a_slot_too_few_is_left_out() -> None:
    """Only the first descriptor of a chain is counted."""
    trace = asked()
    trace.request(2, id_=1, unique=8)
    trace.serve(0, 0)
    trace.fetch_chain(2)
    trace.answer(2, unique=8)
    trace.used(1, id_=1)
    judged(trace, "PACK-NEXT-DI1", "expected slot 2")


def test_a_descriptor_is_left_alone_after_its_flags() -> None:
    trace = asked()
    trace.serve(0, 0)
    trace.write(DESCS + 8, struct.pack("<I", 96))
    judged(trace, "PACK-DESC-D04", "expected none: all that is available, up to slot 1, is used")


def test_the_flags_before_length_and_id() -> None:
    trace = PackedTrace(profile=LOOSE)
    trace.request(0)
    trace.kick()
    trace.fetch_chain(0)
    trace.answer(0)
    trace.write(DESCS + 14, struct.pack("<H", AVAIL | USED | WRITE))
    judged(trace, "PACK-DESC-D04", "expected length and id written, then the flags")


def test_the_flags_last_are_right_elsewhere() -> None:
    trace = PackedTrace(profile=LOOSE)
    trace.request(0)
    trace.kick()
    trace.fetch_chain(0)
    trace.answer(0)
    trace.write(DESCS + 8, struct.pack("<IH", 96, 7))
    trace.write(DESCS + 14, struct.pack("<H", AVAIL | USED | WRITE))
    trace.decide()
    assert trace.finish() == []


def test_a_whole_descriptor_is_written_where_eight_bytes_are_promised() -> None:
    trace = asked()
    trace.fetch_chain(0)
    trace.answer(0)
    trace.write(DESCS, struct.pack("<QIHH", 0, 96, 7, AVAIL | USED | WRITE))
    judged(trace, "PACK-DESC-D04", "expected length, id and flags in one write, seen 16 bytes")


@pytest.mark.parametrize(
    ("length", "flags", "text"),
    [
        (97, WRITE, "expected at most 96"),
        (96, 0, "expected WRITE: 96 bytes of it were written"),
        (95, WRITE, "none after byte 95"),
        (96, WRITE | NEXT, "the others are reserved"),
    ],
)
def test_length_and_flags_of_a_used_descriptor(length: int, flags: int, text: str) -> None:
    trace = asked()
    trace.fetch_chain(0)
    trace.answer(0)
    trace.used(0, length=length, flags=AVAIL | USED | flags)
    trace.finish()
    assert any(text in str(failure) for failure in trace.boards.failures), trace.boards.failures


def test_data_behind_the_used_descriptor() -> None:
    trace = asked()
    trace.fetch_chain(0)
    trace.write(WRITABLE, REPLY[:64])
    trace.used(0)
    judged(trace, "PACK-USED-DI1", "byte 64 of the writable part not written")


def test_a_chain_that_was_not_read_to_its_end() -> None:
    trace = asked()
    trace.read(DESCS, 16)
    trace.read(READABLE, 40)
    trace.used(0, id_=0x55, length=0, flags=AVAIL | USED)
    judged(trace, "PACK-DESC-D03", "is used, but its descriptors were never all read")


def test_a_chain_that_is_given_back_by_what_was_read_too_early() -> None:
    trace = asked()
    trace.read(DESCS, 32)
    trace.used(0, length=0, flags=AVAIL | USED)
    judged(trace, "PACK-DESC-D03", "no read of its descriptors was issued after its head was shown")


def test_a_chain_that_never_comes_back() -> None:
    trace = asked()
    trace.fetch_chain(0)
    judged(trace, "PACK-NEXT-DI1", "chain 7 (slot 0) of queue 2; expected used by the end of the run")


def test_a_doorbell_that_nobody_hears() -> None:
    trace = asked()
    judged(trace, "PACK-SUP-DX1", "the doorbell of queue 2")


def test_order_where_it_was_promised() -> None:
    trace = PackedTrace(features=PACKED | Feature.IN_ORDER.mask)
    for position, id_ in ((0, 1), (2, 2)):
        trace.request(position, id_, unique=id_)
    trace.kick()
    for position, id_ in ((0, 1), (2, 2)):
        trace.fetch_chain(position)
        trace.answer(position, unique=id_, ctx=id_)
    trace.used(0, id_=2)
    judged(trace, "RSVD-D05", "chain 2 (slot 2) of queue 2 is used out of order; expected slot 0 first")


def test_the_device_area_is_left_as_it_is() -> None:
    trace = asked()
    trace.write(DEVICE, struct.pack("<HH", 0, DISABLE))
    judged(trace, "PACK-SUP-DX2", "expected not written")


def test_who_wants_no_kicks_looks_once_more() -> None:
    trace = PackedTrace(profile=LOOSE)
    trace.read(DESCS, 16)
    trace.write(DEVICE, struct.pack("<HH", 0, ENABLE))
    judged(trace, "PACK-SUP-DX2", "a read of the next head issued after that")
    trace = PackedTrace(profile=LOOSE)
    trace.write(DEVICE, struct.pack("<HH", 0, DESC_EVENT))
    judged(trace, "PACK-EVT-RI1", "seen 2")


def test_the_ring_is_no_buffer_and_the_device_area_not_to_be_read() -> None:
    trace = asked()
    trace.read(DEVICE, 4)
    judged(trace, "PACK-DESC-D02", "read of 4 bytes")
    trace = asked()
    trace.write(DRIVER, bytes(4))
    judged(trace, "PACK-DESC-D01", "in the driver event suppression of queue 2")


# ---- broken rings ----


@pytest.mark.parametrize(
    ("flags", "length", "text"),
    [
        (INDIRECT | NEXT, 32, "INDIRECT together with NEXT"),
        (INDIRECT, 24, "an indirect table of 24 bytes"),
        (INDIRECT, 0, "an indirect table of 0 bytes"),
    ],
)
def test_broken_heads_are_faults_of_the_driver(flags: int, length: int, text: str) -> None:
    trace = PackedTrace()
    trace.make(0, READABLE, length, flags, 1)
    trace.read(DESCS, 16)
    assert text in trace.boards.observer.rings.queues[QUEUE].broken
    assert trace.boards.failures == []


def test_lists_that_do_not_fit() -> None:
    trace = PackedTrace(size=3)
    for position in range(3):
        trace.make(position, READABLE, 40, NEXT, 1)
    trace.read(DESCS, 16)
    trace.read(DESCS + 16, 32)
    trace.read(DESCS, 16)
    assert "a list of more than the 3 descriptors" in trace.boards.observer.rings.queues[QUEUE].broken
    trace = PackedTrace(size=3)
    trace.make(1, READABLE, 40, INDIRECT, 1)
    trace.make(0, READABLE, 40, NEXT, 1)
    trace.read(DESCS, 16)
    trace.read(DESCS + 16, 16)
    assert "INDIRECT in a list" in trace.boards.observer.rings.queues[QUEUE].broken


def test_a_slot_that_is_made_available_while_it_is_in_use() -> None:
    trace = PackedTrace(size=2)
    trace.request(0)
    trace.fetch_chain(0)
    trace.make(2, READABLE, 40, 0, 2)
    trace.read(DESCS, 16)
    assert "slot 0 is available again" in trace.boards.observer.rings.queues[QUEUE].broken
    assert trace.boards.failures == []


# ---- interrupts ----


def test_no_interrupt_where_none_is_wanted() -> None:
    trace = asked()
    trace.event(DISABLE)
    trace.serve(0, 0, interrupt=False)
    assert trace.finish() == []
    trace.interrupt(VECTOR)
    judged(trace, "PACK-EVT-DI1", "MSI-X message of vector 3; expected none")


def test_an_interrupt_that_is_wanted() -> None:
    trace = asked()
    trace.serve(0, 0, interrupt=False)
    judged(trace, "PACK-EVT-DI1", "interrupt of queue 2 on vector 3; expected sent")


def test_a_decision_by_an_earlier_read() -> None:
    trace = asked()
    trace.fetch_chain(0)
    trace.answer(0)
    trace.read(DRIVER, 4)
    trace.used(0)
    trace.interrupt(VECTOR)
    judged(trace, "PACK-EVT-DI1", "a read of the suppression word, issued after")


@pytest.mark.parametrize(
    ("position", "slot", "wrap", "wanted"),
    [
        (0, 0, 1, True),  # the descriptor itself
        (0, 1, 1, True),  # passed with the list
        (0, 2, 1, False),  # the next one
        (0, 0, 0, False),  # the next round
        (2, 0, 0, True),  # the list goes over the end of a ring of three
        (2, 2, 1, True),
        (2, 1, 0, False),
        (2, 0, 1, False),  # long ago
    ],
)
def test_descriptor_events(position: int, slot: int, wrap: int, wanted: bool) -> None:
    for sent in (False, True):
        trace = PackedTrace(3, EVENTS)
        for at in range(0, position + 1, 2):
            trace.event(ENABLE) if at < position else trace.event(DESC_EVENT, slot, wrap)
            trace.request(at, unique=at + 1)
            trace.kick()
            trace.serve(at, at, unique=at + 1, interrupt=at < position or sent)
        trace.finish()
        assert bool(trace.boards.failures) == (sent != wanted), (sent, trace.boards.failures)
        assert len(trace.complaints("PACK-EVT-DI1")) == len(trace.boards.failures)


def test_a_reserved_event_flag_may_be_read_either_way() -> None:
    for flags, sent in ((3, True), (3, False), (DESC_EVENT, True), (DESC_EVENT, False)):
        trace = asked()
        trace.event(flags)
        trace.serve(0, 0, interrupt=sent)
        assert trace.finish() == []


def test_the_notification_queue_is_packed_too() -> None:
    trace = PackedTrace()
    trace.put(NOTIFY_DESCS, struct.pack("<QIHH", 0x33_0000, 4136, 9, WRITE | AVAIL))
    trace.kick(1)
    trace.read(NOTIFY_DESCS, 16)
    (chain,) = trace.boards.observer.rings.queues[1].open.values()
    assert str(chain) == "chain 9 (slot 0) of queue 1"
    trace.read(NOTIFY_DESCS + 16, 16)
    assert trace.finish() == []
