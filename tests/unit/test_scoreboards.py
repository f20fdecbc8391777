"""Each rule of the scoreboards on a synthetic log: right passes, wrong is found by the scoreboard that is named."""

from __future__ import annotations

import dataclasses
import struct

import pytest

from tests.unit.trace import FEATURES, INDIRECT, MSI, NEXT, STRICT, WRITE, Trace
from virtiofs_model.layouts.virtio import Feature
from virtiofs_tb.host.log import Kind
from virtiofs_tb.profile import DmaRules, Profile
from virtiofs_tb.scoreboards import ScoreboardSet

RINGS = 0x10_0000
NOTIFY_RINGS = 0x20_0000
READABLE, WRITABLE = 0x30_0000, 0x31_0000
HEAD = struct.pack("<IIQQIIIHH", 40, 17, 7, 1, 0, 0, 0, 0, 0)
REPLY = struct.pack("<IiQ", 96, 0, 7) + bytes(range(80))


def started(profile: Profile = STRICT, features: int = FEATURES) -> Trace:
    """A device with queue 2 and one request in memory: descriptors 3 (readable) and 5 (writable)."""
    trace = Trace(profile)
    trace.enumerate()
    trace.start({1: NOTIFY_RINGS, 2: RINGS}, features=features)
    trace.put(READABLE, HEAD)
    trace.desc(RINGS, 3, READABLE, 40, NEXT, 5)
    trace.desc(RINGS, 5, WRITABLE, 96, WRITE)
    trace.publish(RINGS, 1, {0: 3})
    return trace


def served(trace: Trace, length: int = 96, interrupt: bool = True) -> Trace:
    """The device takes and answers that request as it should."""
    trace.fetch(RINGS, 0, [3, 5])
    trace.read(READABLE, 40)
    trace.engine_request(4, 2, HEAD, 96)
    trace.engine_reply(4, REPLY)
    trace.write(WRITABLE, REPLY)
    trace.use(RINGS, 0, 3, length)
    if interrupt:
        trace.interrupt(3)
    return trace


def test_a_right_request_is_clean_and_counted() -> None:
    trace = served(started())
    trace.boards.require("config_space", "descriptors", "dma", "fuse", "interrupts")
    assert trace.finish() == []
    counts = trace.boards.counts
    assert all(counts[name] for name in ("config_space", "descriptors", "dma", "fuse", "interrupts")), counts


def test_a_required_scoreboard_that_checked_nothing_fails() -> None:
    trace = started()
    trace.boards.require("fuse")
    assert trace.finish() == ["fuse: checked nothing in a test that must exercise it []"]


def test_boards_are_switched_off_by_name() -> None:
    boards = ScoreboardSet(STRICT, ["dma"])
    assert list(boards.counts) == ["dma"]
    with pytest.raises(ValueError, match="no scoreboard named nothing"):
        ScoreboardSet(STRICT, ["nothing"])


# ---- descriptors ----


def test_index_and_entry_in_one_read() -> None:
    trace = started()
    trace.read(RINGS + 0x1000, 6)
    trace.read(RINGS + 48, 16)
    trace.read(RINGS + 80, 16)
    trace.read(READABLE, 40)
    assert trace.seen() == {"descriptors"}
    assert "ring entry was never covered" in trace.boards.failures[0].text


def test_descriptor_read_before_the_index() -> None:
    trace = started()
    trace.read(RINGS, 256)
    trace.read(RINGS + 0x1002, 2)
    trace.read(RINGS + 0x1004, 2)
    trace.read(READABLE, 40)
    assert trace.seen() == {"descriptors"}
    assert "descriptors was never covered" in trace.boards.failures[0].text


def test_an_entry_may_be_read_while_older_reads_are_out() -> None:
    """Reads complete in any order; only the order of issue after the index counts."""
    trace = started()
    trace.read(RINGS + 0x1002, 2)
    trace.issue(RINGS + 0x1004, 2, 1)
    trace.issue(RINGS, 256, 2)
    trace.complete(2)
    trace.complete(1)
    trace.read(READABLE, 40)
    assert trace.boards.failures == []


def test_an_older_index_that_arrives_late_is_ignored() -> None:
    trace = started()
    trace.publish(RINGS, 0, {})
    trace.issue(RINGS + 0x1002, 2, 7)
    stale = dict(trace.memory)
    trace.publish(RINGS, 1, {0: 3})
    trace.fetch(RINGS, 0, [3, 5])
    now, trace.memory = trace.memory, stale
    trace.complete(7)
    trace.memory = now
    assert trace.boards.failures == []
    assert trace.boards.observer.rings.queues[2].avail_idx == 1


def test_used_index_in_the_packet_of_its_entry() -> None:
    trace = served(started(), interrupt=False)
    trace.interrupt(3)
    trace.publish(RINGS, 2, {1: 3})
    trace.fetch(RINGS, 1, [3, 5])
    trace.write(RINGS + 0x2000, struct.pack("<HHIIII", 0, 2, 3, 0, 3, 0))
    assert "descriptors" in trace.seen()
    assert "both in one packet" in {failure.seen for failure in trace.boards.failures}


@pytest.mark.parametrize(
    ("head", "length", "text"),
    [(5, 96, "names chain 5"), (3, 97, "used length of chain 3")],
)
def test_wrong_used_entry(head: int, length: int, text: str) -> None:
    trace = started()
    trace.fetch(RINGS, 0, [3, 5])
    trace.write(WRITABLE, REPLY)
    trace.use(RINGS, 0, head, length)
    assert any(failure.board == "descriptors" and text in failure.text for failure in trace.boards.failures)


def test_used_index_without_entry_and_backwards() -> None:
    trace = started()
    trace.fetch(RINGS, 0, [3, 5])
    trace.used_index(RINGS, 1)
    trace.used_index(RINGS, 0)
    texts = [failure.text for failure in trace.boards.failures if failure.board == "descriptors"]
    assert texts == ["used index of queue 2 covers used entry 0", "used index of queue 2 moved from 1 to 0"]


def test_broken_chains_are_faults_of_the_driver() -> None:
    for flags, length, following in ((INDIRECT | NEXT, 16, 5), (INDIRECT, 24, 0), (NEXT, 40, 99), (NEXT, 40, 3)):
        trace = started()
        trace.desc(RINGS, 3, READABLE, length, flags, following)
        trace.fetch(RINGS, 0, [3])
        assert trace.boards.observer.rings.queues[2].broken, (flags, length, following)
        assert trace.boards.failures == []


def test_indirect_table_in_pieces() -> None:
    """A table at an odd address comes in completions that cut descriptors."""
    trace = started()
    table = 0x32_0008
    trace.desc(RINGS, 3, table, 48, INDIRECT)
    for index, (address, length, flags) in enumerate(
        ((READABLE, 16, NEXT), (READABLE + 16, 24, NEXT), (WRITABLE, 96, WRITE))
    ):
        trace.desc(table, index, address, length, flags, index + 1)
    trace.fetch(RINGS, 0, [3])
    trace.read(table, 24)
    trace.read(table + 24, 24)
    trace.read(READABLE, 40)
    trace.write(WRITABLE, REPLY)
    assert trace.boards.failures == []
    (chain,) = trace.boards.observer.rings.queues[2].open.values()
    assert (chain.readable, chain.writable, chain.walked) == (40, 96, True)


def test_a_chain_that_is_never_returned() -> None:
    trace = started()
    trace.fetch(RINGS, 0, [3, 5])
    assert trace.finish() == ["descriptors: chain 3 (entry 0) of queue 2 [SPLIT-USED-D01]"]


def test_a_doorbell_that_nobody_hears() -> None:
    trace = started()
    trace.bar_write(0x3008, 2, 2)
    assert trace.finish() == [f"descriptors: the doorbell of queue 2 at seq {trace.seq} [SPLIT-SUP-DX1]"]


# ---- DMA ----


@pytest.mark.parametrize("address", [READABLE - 4, READABLE + 40, WRITABLE, 0x40_0000])
def test_read_outside(address: int) -> None:
    trace = started()
    trace.fetch(RINGS, 0, [3, 5])
    trace.read(address, 4)
    assert trace.seen() == {"dma"}


def test_read_slack_of_the_profile() -> None:
    loose = dataclasses.replace(STRICT, dma=DmaRules(read_slack=64))
    for profile, found in ((STRICT, {"dma"}), (loose, set())):
        trace = started(profile)
        trace.fetch(RINGS, 0, [3, 5])
        trace.read(READABLE, 64)
        assert trace.seen() == found


@pytest.mark.parametrize("address", [WRITABLE + 96, WRITABLE - 1, READABLE, RINGS, RINGS + 0x1002])
def test_write_outside(address: int) -> None:
    trace = started()
    trace.fetch(RINGS, 0, [3, 5])
    trace.write(address, b"\0")
    assert trace.seen() == {"dma"}


def test_write_after_the_used_index() -> None:
    trace = served(started())
    trace.write(WRITABLE, b"late")
    assert trace.seen() == {"dma"}


def test_bytes_beyond_the_used_length() -> None:
    for profile, found in ((STRICT, {"dma"}), (dataclasses.replace(STRICT, dma=DmaRules()), set())):
        trace = started(profile)
        trace.fetch(RINGS, 0, [3, 5])
        trace.write(WRITABLE, REPLY)
        trace.use(RINGS, 0, 3, 95)
        assert trace.seen() - {"fuse"} == found


def test_data_after_the_used_index() -> None:
    trace = started()
    trace.fetch(RINGS, 0, [3, 5])
    trace.write(WRITABLE, REPLY[:95])
    trace.use(RINGS, 0, 3, 96)
    assert "dma" in trace.seen()


def test_no_dma_without_bus_master_or_driver_ok() -> None:
    trace = started()
    trace.config_write(4, 2, 2)
    trace.read(RINGS + 0x1002, 2)
    assert [failure.board for failure in trace.boards.failures] == ["dma"]
    trace = Trace()
    trace.enumerate()
    trace.read(RINGS, 16)
    assert trace.seen() == {"dma"}


def test_no_dma_after_reset() -> None:
    trace = served(started())
    trace.reset()
    assert trace.boards.failures == []
    trace.read(RINGS + 0x1002, 2)
    assert trace.seen() == {"dma"}


def test_tag_used_again() -> None:
    trace = started()
    trace.issue(RINGS + 0x1002, 2, 9)
    trace.issue(RINGS + 0x1002, 2, 9)
    assert trace.seen() == {"dma"}
    trace = started()
    trace.issue(RINGS + 0x1002, 2, 9)
    trace.wait(STRICT.timing.read_tag_us + 1)
    trace.issue(RINGS + 0x1002, 2, 9)
    assert trace.boards.failures == []


def test_payload_and_boundaries() -> None:
    trace = started()
    trace.desc(RINGS, 5, 0x31_0F80, 4096, WRITE)
    trace.fetch(RINGS, 0, [3, 5])
    trace.write(0x31_1000, bytes(132))
    trace.write(0x31_0FC0, bytes(128))
    assert [failure.text for failure in trace.boards.failures] == [
        "write at 0x311000: Max_Payload_Size",
        "write at 0x310fc0: 4 KiB boundary",
    ]


# ---- FUSE ----


def test_request_that_is_not_what_memory_held() -> None:
    trace = started()
    trace.fetch(RINGS, 0, [3, 5])
    trace.read(READABLE, 40)
    trace.engine_request(4, 2, HEAD[:39] + b"\1", 96)
    assert trace.seen() == {"fuse"}


def test_request_twice_and_used_without_reply() -> None:
    trace = started()
    trace.fetch(RINGS, 0, [3, 5])
    trace.read(READABLE, 40)
    trace.engine_request(4, 2, HEAD, 96)
    trace.engine_request(5, 2, HEAD, 96)
    assert [failure.text for failure in trace.boards.failures] == [
        "chain 3 (entry 0) of queue 2 is handed to the engine"
    ]
    trace.use(RINGS, 0, 3, 0)
    assert [failure.expected for failure in trace.boards.failures][1:] == ["a reply of the engine first"]


def test_reply_bytes_and_length() -> None:
    for data, length in ((REPLY[:95] + b"\xee", 96), (REPLY, 80)):
        trace = started()
        trace.fetch(RINGS, 0, [3, 5])
        trace.read(READABLE, 40)
        trace.engine_request(4, 2, HEAD, 96)
        trace.engine_reply(4, REPLY)
        trace.write(WRITABLE, data)
        trace.use(RINGS, 0, 3, length)
        assert "fuse" in trace.seen()


def test_a_reply_that_is_never_delivered() -> None:
    trace = started()
    trace.fetch(RINGS, 0, [3, 5])
    trace.read(READABLE, 40)
    trace.engine_request(4, 2, HEAD, 96)
    assert trace.boards.failures == []
    trace.engine_reply(4, REPLY)
    trace.finish()
    assert "fuse" in trace.seen()


# ---- notifications ----


def notifying() -> Trace:
    """A session, one notification buffer fetched."""
    trace = started()
    init = struct.pack("<IIQQIIIHH", 40, 26, 7, 0, 0, 0, 0, 0, 0)
    trace.put(READABLE, init)
    trace.fetch(RINGS, 0, [3, 5])
    trace.read(READABLE, 40)
    trace.engine_request(4, 2, init, 96)
    trace.engine_reply(4, REPLY)
    trace.write(WRITABLE, REPLY)
    trace.use(RINGS, 0, 3, 96)
    trace.interrupt(3)
    trace.desc(NOTIFY_RINGS, 0, 0x34_0000, 4136, WRITE)
    trace.publish(NOTIFY_RINGS, 1, {0: 0})
    trace.fetch(NOTIFY_RINGS, 0, [0])
    return trace


def note(size: int, mark: int = 0) -> bytes:
    return struct.pack("<IiQ", size, 1, 0) + bytes([mark]) * (size - 16)


def deliver(trace: Trace, data: bytes) -> None:
    trace.write(0x34_0000, data)
    trace.use(NOTIFY_RINGS, 0, 0, len(data))
    trace.interrupt(2)


def test_a_notification_whichever_side_is_seen_first() -> None:
    for early in (False, True):
        trace = notifying()
        if early:
            deliver(trace, note(24))
        trace.other(Kind.DPU_OPERATION, 2, payload=note(24), status=1)
        if not early:
            deliver(trace, note(24))
        assert trace.finish() == []
        assert trace.boards.details["notifications"]["matched"] == 1


def test_a_notification_nobody_gave() -> None:
    trace = notifying()
    deliver(trace, note(24))
    trace.finish()
    assert trace.seen() == {"notifications"}


def test_the_second_message_first() -> None:
    trace = notifying()
    trace.other(Kind.DPU_OPERATION, 2, payload=note(24, 1), status=1)
    trace.other(Kind.DPU_OPERATION, 2, payload=note(24, 2), status=2)
    deliver(trace, note(24, 2))
    assert trace.seen() == {"notifications"}


def test_a_lost_message() -> None:
    trace = notifying()
    trace.other(Kind.DPU_OPERATION, 2, payload=note(24), status=1)
    trace.finish()
    assert trace.seen() == {"notifications"}


@pytest.mark.parametrize(
    ("message", "result"),
    [(note(4137), 1), (note(24)[:-1], 2), (note(24), 3)],
)
def test_answers_of_the_mailbox(message: bytes, result: int) -> None:
    trace = notifying()
    trace.other(Kind.DPU_OPERATION, 2, payload=message, status=result)
    assert trace.seen() == {"notifications"}


def test_accepted_before_init() -> None:
    trace = started()
    trace.other(Kind.DPU_OPERATION, 2, payload=note(24), status=1)
    assert trace.seen() == {"notifications"}


def test_a_buffer_returned_for_nothing() -> None:
    trace = notifying()
    trace.use(NOTIFY_RINGS, 0, 0, 0)
    assert trace.seen() == {"notifications"}


# ---- interrupts ----


def test_no_interrupt_though_asked_for() -> None:
    trace = served(started(), interrupt=False)
    assert trace.finish() == ["interrupts: interrupt of queue 2 on vector 3 [SPLIT-UNS-D03]"]


def test_interrupt_though_not_asked_for() -> None:
    trace = started()
    trace.put(RINGS + 0x1000, b"\1\0")
    served(trace)
    assert trace.seen() == {"interrupts"}


def test_suppression_word_read_before_the_index() -> None:
    trace = started()
    trace.fetch(RINGS, 0, [3, 5])
    trace.write(WRITABLE, REPLY)
    trace.issue(RINGS + 0x1000, 2, 6)
    trace.used_entry(RINGS, 0, 3, 96)
    trace.used_index(RINGS, 1)
    trace.complete(6)
    trace.interrupt(3)
    assert trace.seen() == {"interrupts"}
    assert trace.boards.failures[0].clause == "SPLIT-UNS-D03"


def test_wrong_vector_and_data() -> None:
    trace = served(started(), interrupt=False)
    trace.interrupt(2)
    assert trace.seen() == {"interrupts"}
    trace = served(started(), interrupt=False)
    trace.write(MSI, (0x77).to_bytes(4, "little"))
    assert trace.seen() == {"interrupts"}


def test_a_masked_vector_waits() -> None:
    trace = started()
    trace.bar_write(0x4000 + 16 * 3 + 12, 1, 4)
    trace.bar_read(0x4000 + 16 * 3 + 12, 4, 1)
    served(trace, interrupt=False)
    trace.wait(STRICT.timing.interrupt_us + 1)
    assert trace.boards.failures == []
    trace.bar_write(0x4000 + 16 * 3 + 12, 0, 4)
    trace.interrupt(3)
    assert trace.finish() == []
    trace = started()
    trace.bar_write(0x4000 + 16 * 3 + 12, 1, 4)
    trace.bar_read(0x4000 + 16 * 3 + 12, 4, 1)
    served(trace)
    assert trace.seen() == {"interrupts"}


def test_two_decisions_and_two_messages() -> None:
    """The suppression read of the first used index may come after the second; each asks for its own message."""
    trace = started()
    trace.desc(RINGS, 7, WRITABLE + 0x100, 16, WRITE)
    trace.publish(RINGS, 2, {0: 3, 1: 7})
    trace.read(RINGS + 0x1002, 2)
    trace.read(RINGS + 0x1004, 4)
    for index in (3, 5, 7):
        trace.read(RINGS + 16 * index, 16)
    trace.used_entry(RINGS, 0, 3, 0)
    trace.used_index(RINGS, 1)
    trace.used_entry(RINGS, 1, 7, 0)
    trace.used_index(RINGS, 2)
    trace.read(RINGS + 0x1000, 2)
    trace.read(RINGS + 0x1000, 2)
    trace.interrupt(3)
    trace.interrupt(3)
    assert "interrupts" not in trace.seen()
    trace.interrupt(3)
    assert "interrupts" in trace.seen()


def test_no_interrupt_after_reset() -> None:
    trace = served(started(), interrupt=False)
    trace.reset()
    trace.interrupt(3)
    assert "interrupts" in trace.seen()


# ---- configuration space ----


def test_configuration_space_differs() -> None:
    trace = Trace()
    trace.config_read(0x08, 0x0180_0002)
    assert trace.seen() == {"config_space"}


def test_structure_of_a_foreign_endpoint() -> None:
    """Without golden models the capability list still has its rules."""
    foreign = Profile("foreign")
    trace = Trace(foreign)
    trace.config.data[0xA4 + 2] = 16
    trace.config.data[0x94 + 8] = 2
    trace.enumerate()
    assert {failure.clause for failure in trace.boards.failures} == {"PCI-CAP-D01", "PCI-COMMON-D01"}


def test_registers_differ() -> None:
    trace = started()
    trace.bar_read(0x12, 2, 9)
    assert trace.seen() == {"config_space"}
    assert started(features=FEATURES & ~Feature.FS_NOTIFICATION.mask).boards.failures == []


def test_isr_is_cleared_by_reading() -> None:
    trace = started()
    trace.bar_read(0x1000, 1, 2)
    trace.bar_read(0x1000, 1, 2)
    assert "config_space" in trace.seen()


# ---- all of them ----


def test_the_reset_pin_starts_all_over() -> None:
    trace = served(started())
    trace.other(Kind.RESET, 0)
    trace.config = Trace().config
    trace.registers = Trace().registers
    trace.enumerate()
    trace.start({1: NOTIFY_RINGS, 2: RINGS})
    served(trace)
    assert trace.finish() == []
    assert trace.boards.details["fuse"]["request"] == 2


def test_a_broken_ring_that_nobody_tells() -> None:
    trace = started()
    trace.desc(RINGS, 3, READABLE, 16, INDIRECT | NEXT, 5)
    trace.fetch(RINGS, 0, [3])
    trace.common(0x14, 1)
    assert trace.boards.failures == []
    trace.wait(STRICT.timing.used_us + 1)
    trace.common(0x14, 1)
    assert [failure.clause for failure in trace.boards.failures] == ["STATUS-D03"]


def test_requests_that_are_the_same_byte_for_byte() -> None:
    """They cannot be told apart until one of them is used."""
    trace = started()
    trace.desc(RINGS, 7, READABLE, 40, NEXT, 8)
    trace.desc(RINGS, 8, WRITABLE + 0x100, 96, WRITE)
    trace.publish(RINGS, 2, {0: 3, 1: 7})
    trace.fetch(RINGS, 0, [3, 5])
    trace.fetch(RINGS, 1, [7, 8])
    trace.read(READABLE, 40)
    trace.engine_request(4, 2, HEAD, 96)
    trace.engine_request(5, 2, HEAD, 96)
    trace.engine_reply(4, REPLY)
    trace.write(WRITABLE + 0x100, REPLY)
    trace.use(RINGS, 0, 7, 96)
    trace.interrupt(3)
    trace.engine_reply(5, REPLY)
    trace.write(WRITABLE, REPLY)
    trace.use(RINGS, 1, 3, 96)
    trace.interrupt(3)
    assert trace.finish() == []


def test_a_message_for_each_decision_where_the_profile_says_so() -> None:
    for merges in (True, False):
        choices = dataclasses.replace(STRICT.choices, coalesce_interrupts=merges)
        trace = served(started(dataclasses.replace(STRICT, choices=choices)), interrupt=False)
        trace.publish(RINGS, 2, {1: 3})
        trace.put(READABLE, HEAD)
        trace.fetch(RINGS, 1, [3, 5])
        trace.read(READABLE, 40)
        trace.engine_request(4, 2, HEAD, 96)
        trace.engine_reply(4, REPLY)
        trace.write(WRITABLE, REPLY)
        trace.use(RINGS, 1, 3, 96)
        trace.interrupt(3)
        assert trace.finish() == ([] if merges else ["interrupts: messages of vector 3 [SPLIT-UNS-D03]"])
