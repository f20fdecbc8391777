"""Rules of interrupts and registers on a synthetic log: right passes, wrong is found by the scoreboard named."""

from __future__ import annotations

import dataclasses

from tests.unit.trace import (
    FEATURES,
    HEAD,
    MSI,
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
from virtiofs_model.layouts.virtio import Feature
from virtiofs_tb.profile import Profile

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
