"""The set of scoreboards, and the rules of rings, on a synthetic log: right passes, wrong is found by the one named."""

from __future__ import annotations

import struct

import pytest

from tests.unit.trace import (
    INDIRECT,
    NEXT,
    NOTIFY_RINGS,
    READABLE,
    REPLY,
    RINGS,
    STRICT,
    WRITABLE,
    WRITE,
    Trace,
    served,
    started,
)
from virtiofs_tb.host.log import Kind
from virtiofs_tb.scoreboards import ScoreboardSet


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


def test_index_and_entry_in_one_read() -> None:
    trace = started()
    trace.read(RINGS + 0x1000, 6)
    trace.read(RINGS + 48, 16)
    trace.read(RINGS + 80, 16)
    trace.read(READABLE, 40)
    assert trace.seen() == {"descriptors"}
    assert "no read of its ring entry was issued after" in trace.boards.failures[0].text


def test_descriptor_read_before_the_index() -> None:
    trace = started()
    trace.read(RINGS, 256)
    trace.read(RINGS + 0x1002, 2)
    trace.read(RINGS + 0x1004, 2)
    trace.read(READABLE, 40)
    assert trace.seen() == {"descriptors"}
    assert "no read of its descriptors was issued after" in trace.boards.failures[0].text


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


def test_a_broken_ring_that_nobody_tells() -> None:
    trace = started()
    trace.desc(RINGS, 3, READABLE, 16, INDIRECT | NEXT, 5)
    trace.fetch(RINGS, 0, [3])
    trace.common(0x14, 1)
    assert trace.boards.failures == []
    trace.wait(STRICT.timing.used_us + 1)
    trace.common(0x14, 1)
    assert [failure.clause for failure in trace.boards.failures] == ["STATUS-D03"]
