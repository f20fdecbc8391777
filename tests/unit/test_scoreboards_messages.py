"""Rules of FUSE and notifications on a synthetic log: right passes, wrong is found by the scoreboard named."""

from __future__ import annotations

import struct

import pytest

from tests.unit.trace import HEAD, NEXT, NOTIFY_RINGS, READABLE, REPLY, RINGS, WRITABLE, WRITE, Trace, started
from virtiofs_tb.host.log import Kind

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
