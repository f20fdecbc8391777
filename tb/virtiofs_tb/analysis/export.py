"""Stories in formats that other programs read: JSON lines, and the trace-event format of Chrome and Perfetto."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from virtiofs_tb.analysis.packets import describe
from virtiofs_tb.analysis.source import AnalysisError
from virtiofs_tb.analysis.story import REPOSTED, Story
from virtiofs_tb.driver.notes import parse_took
from virtiofs_tb.host.log import Channel, Kind, Record

STORIES_PID, PACKETS_PID = 1, 2
LANES = 1 << 10
"""Stories of one queue that overlap are drawn on lanes of their own; thread id: queue * LANES + lane + 1."""

MOMENT_NS = 1
"""What is one moment is drawn this long: viewers put a slice without length inside the one that follows it. Of a packet
the log has the moment of its last beat only."""

Event = dict[str, Any]


def write_json_lines(stories: Iterable[Story], path: Path) -> None:
    """One story a line, with the fields of Story and Stage."""
    _write(path, "".join(json.dumps(story.to_json()) + "\n" for story in stories))


def read_json_lines(path: Path) -> list[Story]:
    """What write_json_lines wrote."""
    return [Story.from_json(json.loads(line)) for line in path.read_text().splitlines()]


def write_perfetto(stories: Sequence[Story], records: Sequence[Record], path: Path) -> None:
    """A trace that ui.perfetto.dev and chrome://tracing open."""
    trace = {"displayTimeUnit": "ns", "traceEvents": trace_events(stories, records)}
    _write(path, json.dumps(trace, separators=(",", ":")) + "\n")


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text)
    except OSError as error:
        raise AnalysisError(f"{path}: {error.strerror}") from None


def mark_of(record: Record) -> str:
    """What a note of the run or a reset of the pin says; empty for anything else, and for notes of single chains."""
    if record.kind == Kind.NOTE:
        text = record.payload.decode(errors="replace")
        return text if parse_took(text) is None else ""
    return "reset" if record.kind == Kind.RESET else ""


def trace_events(stories: Sequence[Story], records: Sequence[Record]) -> list[Event]:
    """Stories as slices by queue, with their stages inside; their packets by channel; a flow from story to packet."""
    events = [
        _name("process_name", STORIES_PID, 0, "requests and notifications"),
        _name("process_name", PACKETS_PID, 0, "packets"),
    ]
    by_seq = {record.seq: record for record in records if record.kind == Kind.TLP}
    lanes = _Lanes()
    flows = 0
    drawn: set[int] = set()
    for story in stories:
        spans, end = _spans(story)
        begin = story.begin_ps // 1000
        thread = lanes.take(story.queue, begin, end)
        events.append(_story(story, thread, end))
        for stage, span in zip(story.stages, spans, strict=True):
            if span is not None:
                events.append(_slice(stage.name, "stage", STORIES_PID, thread, *span, {"text": stage.text}))
            for seq in stage.packets:
                record = by_seq[seq]
                if seq not in drawn:
                    drawn.add(seq)
                    events.append(_packet(record))
                flows += 1
                events += _flow(flows, (STORIES_PID, thread, span[0] if span is not None else end), record)
    events += [_name("thread_name", PACKETS_PID, channel + 1, channel.name.lower()) for channel in Channel]
    events += lanes.names()
    return events + _marks(records)


def _spans(story: Story) -> tuple[list[tuple[int, int] | None], int]:
    """Begin and end of each stage as drawn, one after the other, and the end of the last; in ns.

    None for what comes when the story has ended and its lane may be another's.
    """
    spans: list[tuple[int, int] | None] = []
    reached = story.begin_ps // 1000
    for stage in story.stages:
        if stage.name == REPOSTED:
            spans.append(None)
            continue
        begin, reached = reached, max(reached + MOMENT_NS, stage.end_ps // 1000)
        spans.append((begin, reached))
    return spans, max(reached, story.begin_ps // 1000 + MOMENT_NS)


class _Lanes:
    """Hands out threads so that no two slices of one thread overlap."""

    def __init__(self) -> None:
        self._free: dict[int, list[int]] = {}  # by queue: when each lane is free again

    def take(self, queue: int, begin: int, end: int) -> int:
        ends = self._free.setdefault(queue, [])
        lane = next((lane for lane, free in enumerate(ends) if free <= begin), len(ends))
        ends[lane : lane + 1] = [end]
        return queue * LANES + lane + 1

    def names(self) -> list[Event]:
        return [
            _name(
                "thread_name", STORIES_PID, queue * LANES + lane + 1, f"queue {queue}" + (f" ({lane})" if lane else "")
            )
            for queue, ends in self._free.items()
            for lane in range(len(ends))
        ]


def _us(t_ns: int) -> float:
    """Microseconds. Nanoseconds are as fine as viewers go: finer times would not nest after their rounding."""
    return t_ns / 1000


def _name(what: str, pid: int, tid: int, name: str) -> Event:
    return {"ph": "M", "name": what, "pid": pid, "tid": tid, "ts": 0, "args": {"name": name}}


def _slice(name: str, category: str, pid: int, tid: int, begin: int, end: int, args: Event) -> Event:
    return {
        "ph": "X", "name": name, "cat": category, "pid": pid, "tid": tid, "ts": _us(begin), "dur": _us(end - begin),
        "args": args,
    }  # fmt: skip


def _story(story: Story, thread: int, end: int) -> Event:
    args = {key: value for key, value in story.to_json().items() if key != "stages"}
    name = f"{story.op} {story.unique}" if story.unique else story.op
    return _slice(name, story.kind, STORIES_PID, thread, story.begin_ps // 1000, end, {**args, "result": story.result})


def _packet(record: Record) -> Event:
    text = describe(record)
    args = {"seq": record.seq, "text": text}
    begin = record.t_ps // 1000
    return _slice(text.split("  ")[1], "packet", PACKETS_PID, record.channel + 1, begin, begin + MOMENT_NS, args)


def _flow(number: int, place: tuple[int, int, int], record: Record) -> list[Event]:
    """An arrow between a story and a packet, in the direction of time."""
    ends = sorted([place, (PACKETS_PID, record.channel + 1, record.t_ps // 1000)], key=lambda end: end[2])
    common = {"name": "packet", "cat": "packet", "id": number}
    (pid, tid, start), (to_pid, to_tid, finish) = ends
    return [
        {"ph": "s", **common, "pid": pid, "tid": tid, "ts": _us(start)},
        {"ph": "f", "bp": "e", **common, "pid": to_pid, "tid": to_tid, "ts": _us(finish)},
    ]


def _marks(records: Sequence[Record]) -> list[Event]:
    """Notes of the run and resets of the pin, across everything."""
    marks: list[Event] = []
    for record in records:
        text = mark_of(record)
        if text:
            mark = {"ph": "i", "s": "g", "name": text, "cat": "mark", "pid": STORIES_PID, "tid": 0}
            marks.append({**mark, "ts": _us(record.t_ps // 1000)})
    return marks
