"""Mutations of correct logs are found, all but those that are harmless (log_mutations.py, harmless.py).

The second half repeats, on logs of a few lines, each mutation that the scoreboards once let pass.
"""

from __future__ import annotations

import dataclasses
import functools
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.log_mutations import CLASSES
from tests.unit.mutated_logs import Log, Outcome, replay, simulate
from tests.unit.trace import (
    DEVICE,
    INDIRECT,
    MSI,
    NEXT,
    NOTIFY_RINGS,
    READABLE,
    REPLY,
    RINGS,
    STRICT,
    WRITABLE,
    Trace,
    served,
    started,
)
from virtiofs_model import tlp
from virtiofs_tb.host.log import Channel, Kind
from virtiofs_tb.profile import DmaRules

SCENARIOS = (
    "session_file_io",
    "every_notification_arrives",
    "random_operations",
    "masked_interrupts_wait",
    "reset_in_the_middle_of_traffic",
    "packed_rings",
    "chains_at_the_end_of_a_packed_ring",
    "suppressed_interrupts",
)
SEED = 1
EACH = 2
"""Mutations of each class and role in each log."""
NEVER_AN_ERROR = {"data swapped"}


@functools.cache
def outcomes(scenario: str) -> tuple[list[Outcome], Counter[str]]:
    """What became of the mutations that have to be found, and how many others there are, by class."""
    log = Log(simulate(scenario, SEED))
    mutations = [m for make in CLASSES for m in make(log, random.Random(f"{make.__name__} {scenario}"), EACH)]
    harmless = Counter(m.name for m in mutations if m.harmless)
    return replay(log, [m for m in mutations if not m.harmless]), harmless


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_mutation_is_found_or_harmless(scenario: str) -> None:
    found, _ = outcomes(scenario)
    missed = [f"{o.mutation.name}: {o.mutation.text} (record {o.mutation.at})" for o in found if not o.failure]
    assert missed == []
    assert [o.failure for o in found if o.failure.startswith("raised")] == []


def test_each_class_has_mutations_that_are_found() -> None:
    tried: Counter[str] = Counter()
    names: set[str] = set()
    for scenario in SCENARIOS:
        found, harmless = outcomes(scenario)
        tried.update(o.mutation.name for o in found)
        names |= tried.keys() | harmless.keys()
    assert len(names) >= len(CLASSES)
    assert {name for name in names if not tried[name]} == NEVER_AN_ERROR


# ---- what once passed ----


def judged(trace: Trace, board: str, text: str) -> None:
    trace.finish()
    hits = [failure for failure in trace.boards.failures if failure.board == board and text in str(failure)]
    assert hits, [str(failure) for failure in trace.boards.failures]


def fetched() -> Trace:
    """The request of `started` is with the engine, and answered."""
    trace = started()
    trace.fetch(RINGS, 0, [3, 5])
    trace.read(READABLE, 40)
    trace.engine_request(4, 2, trace_head(trace), 96)
    trace.engine_reply(4, REPLY)
    return trace


def trace_head(trace: Trace) -> bytes:
    return bytes(trace.memory.get(READABLE + at, 0) for at in range(40))


def data_twice(trace: Trace) -> None:
    trace.write(WRITABLE, REPLY)
    trace.write(WRITABLE, REPLY[:16])
    trace.use(RINGS, 0, 3, 96)


def data_behind_the_entry(trace: Trace) -> None:
    trace.write(WRITABLE, REPLY[:80])
    trace.used_entry(RINGS, 0, 3, 96)
    trace.write(WRITABLE + 80, REPLY[80:])
    trace.used_index(RINGS, 1)


def entry_twice(trace: Trace) -> None:
    trace.write(WRITABLE, REPLY)
    trace.used_entry(RINGS, 0, 3, 96)
    trace.use(RINGS, 0, 3, 96)


def entry_behind_the_index(trace: Trace) -> None:
    trace.write(WRITABLE, REPLY)
    trace.use(RINGS, 0, 3, 96)
    trace.used_entry(RINGS, 0, 3, 96)


def index_twice(trace: Trace) -> None:
    trace.write(WRITABLE, REPLY)
    trace.use(RINGS, 0, 3, 96)
    trace.used_index(RINGS, 1)


def torn_index(trace: Trace) -> None:
    trace.write(WRITABLE, REPLY)
    trace.used_entry(RINGS, 0, 3, 96)
    trace.write(RINGS + 0x2002, b"\1")


def reserved_used_flags(trace: Trace) -> None:
    trace.write(RINGS + 0x2001, b"\1")


def avail_event(trace: Trace) -> None:
    trace.write(RINGS + 0x2004 + 8 * 16, b"\0\0")


@pytest.mark.parametrize(
    ("wrong", "board", "text", "by_the_profile"),
    [
        (data_twice, "dma", "each once", True),
        (data_behind_the_entry, "descriptors", "all of it before the used entry", True),
        (entry_twice, "descriptors", "once before the used index covers it", True),
        (entry_behind_the_index, "descriptors", "all chains made available", False),
        (index_twice, "descriptors", "1 again", True),
        (torn_index, "descriptors", "byte 0 alone", False),
        (reserved_used_flags, "descriptors", "used flags of queue 2", False),
        (avail_event, "descriptors", "avail_event of queue 2", True),
    ],
)
def test_order_and_number_of_writes(
    wrong: Callable[[Trace], None], board: str, text: str, by_the_profile: bool
) -> None:
    trace = fetched()
    wrong(trace)
    judged(trace, board, text)
    loose = dataclasses.replace(STRICT, dma=DmaRules(exact_attributes=True))
    again = started(loose)
    again.fetch(RINGS, 0, [3, 5])
    wrong(again)
    assert any(text in str(failure) for failure in again.boards.failures) != by_the_profile


@pytest.mark.parametrize("enables", [0xDF, 0xFB])
def test_a_used_entry_with_a_hole(enables: int) -> None:
    trace = fetched()
    trace.write(WRITABLE, REPLY)
    entry = tlp.memory_write(RINGS + 0x2004, (3).to_bytes(4, "little") + (96).to_bytes(4, "little"), DEVICE)
    entry.first_be, entry.last_be = enables & 15, enables >> 4
    trace.packet(Channel.RQ, entry)
    trace.used_index(RINGS, 1)
    judged(trace, "dma", "one run of bytes")


def test_a_message_without_all_its_bytes() -> None:
    trace = served(started(), interrupt=False)
    message = tlp.memory_write(MSI, (3).to_bytes(4, "little"), DEVICE)
    message.first_be = 0xB
    trace.packet(Channel.RQ, message)
    judged(trace, "dma", "a whole dword")


def test_a_read_with_holes() -> None:
    trace = started()
    trace.fetch(RINGS, 0, [3, 5])
    read = tlp.memory_read(READABLE, 4, DEVICE, 3)
    read.first_be = 0x9
    trace.packet(Channel.RQ, read)
    judged(trace, "dma", "one run of bytes")


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"byte_count": 8}, "Byte Count; expected 4, seen 8"),
        ({"lower_address": 4}, "Lower Address"),
        ({"completer_id": 0x0200}, "Completer ID"),
        ({"length_dw": 2}, "Length"),
        ({"ep": True}, "EP"),
        ({"status": 3}, "Fmt/Type"),
    ],
)
def test_the_header_of_a_completion(change: dict[str, Any], text: str) -> None:
    trace = started()
    request = tlp.memory_read(0xE000_2028, 4, 0, 7)
    trace.packet(Channel.CQ, request)
    answer = tlp.completion(request, DEVICE, (4136).to_bytes(4, "little"))
    trace.packet(Channel.CC, dataclasses.replace(answer, **change))
    judged(trace, "dma", text)


def test_a_completion_that_never_comes() -> None:
    trace = started()
    trace.packet(Channel.CQ, tlp.memory_read(0xE000_2028, 4, 0, 40))
    trace.wait(20)
    trace.config_read(0)
    judged(trace, "config_space", "has no completion")
    trace = started()
    trace.packet(Channel.CQ, tlp.memory_read(0xE000_2028, 4, 0, 40))
    trace.packet(Channel.CQ, tlp.memory_read(0xE000_2028, 4, 0, 40))
    judged(trace, "dma", "has no completion")


def test_the_first_request_of_all_skips_the_engine() -> None:
    trace = started()
    trace.fetch(RINGS, 0, [3, 5])
    trace.read(READABLE, 40)
    trace.write(WRITABLE, REPLY)
    trace.use(RINGS, 0, 3, 96)
    trace.interrupt(3)
    assert trace.boards.failures == []
    trace.desc(RINGS, 7, READABLE, 40, NEXT, 5)
    trace.publish(RINGS, 2, {1: 7})
    trace.fetch(RINGS, 1, [7, 5])
    trace.read(READABLE, 40)
    trace.engine_request(4, 2, trace_head(trace), 96)
    judged(trace, "fuse", "its request handed to the engine")


def test_a_mover_job_that_never_ends() -> None:
    trace = started()
    trace.fetch(RINGS, 0, [3, 5])
    trace.read(READABLE, 40)
    trace.engine_request(4, 2, trace_head(trace), 96)
    trace.other(Kind.ENGINE_REPLY, 0, user=4 | 8 << 64)
    trace.engine_reply(4, REPLY)
    trace.write(WRITABLE, REPLY)
    trace.use(RINGS, 0, 3, 96)
    judged(trace, "fuse", "the end of its mover jobs")


def test_a_pending_bit_of_no_vector() -> None:
    trace = started()
    trace.bar_read(0x5000, 4, 1 << 20)
    judged(trace, "interrupts", "pending bits behind those of the 11 vectors")


def test_an_index_that_runs_back_and_is_not_told() -> None:
    trace = served(started())
    trace.publish(RINGS, 4, {})
    trace.read(RINGS + 0x1002, 2)
    trace.publish(RINGS, 2, {})
    trace.read(RINGS + 0x1002, 2)
    trace.wait(20)
    trace.read(NOTIFY_RINGS + 0x1002, 2)
    judged(trace, "descriptors", "was found broken")


def test_a_broken_chain_that_is_answered() -> None:
    trace = started()
    trace.desc(RINGS, 3, READABLE, 16, INDIRECT | NEXT, 5)
    trace.fetch(RINGS, 0, [3])
    trace.use(RINGS, 0, 3, 96)
    judged(trace, "descriptors", "an answer")


def test_a_configuration_interrupt_without_a_cause() -> None:
    trace = served(started())
    trace.bar_write(0x10, 0, 2)
    trace.interrupt(0)
    judged(trace, "interrupts", "a cause")
