"""Stories as an FTR file, to be opened beside the waves.

Each virtqueue is a stream, with a generator for what the story is about (request or notification), one for its
descriptor chain and one for each stage; the packets are a stream with a generator for each channel, the notes and
resets of the run another. Relations lead from a story to its chain, from the chain to its stages (from a story that
has no chain: from the story) and from a stage to its packets.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from virtiofs_tb.analysis.export import mark_of
from virtiofs_tb.analysis.ftr import Attributes, Recording
from virtiofs_tb.analysis.packets import describe
from virtiofs_tb.analysis.source import AnalysisError
from virtiofs_tb.analysis.story import REPOSTED, STAGES, Stage, Story
from virtiofs_tb.host.log import Channel, Kind, Record

MOMENT_NS = 1
"""What is one moment is drawn this long: viewers do not let a box without width be chosen."""

CHAIN = "chain"
PACKETS, RUN = "packets", "run"


def write_ftr(stories: Sequence[Story], records: Sequence[Record], path: Path, created: int) -> None:
    """created: seconds since 1970. Raises AnalysisError where the file cannot be written."""
    try:
        path.write_bytes(record_stories(stories, records).encode(created))
    except OSError as error:
        raise AnalysisError(f"{path}: {error.strerror}") from None


def record_stories(stories: Sequence[Story], records: Sequence[Record]) -> Recording:
    """All of it as transactions; of the packets, those that belong to a story."""
    recording = Recording()
    generators = _queue_generators(recording, stories)
    packets = _packets(recording, {seq for story in stories for seq in story.packets}, records)
    for story in stories:
        _story(recording, story, generators, packets)
    _marks(recording, records)
    return recording


def _queue_generators(recording: Recording, stories: Sequence[Story]) -> dict[tuple[int, str], int]:
    """Generators by queue and name, in the order in which a story passes its stages."""
    found: dict[tuple[int, str], int] = {}
    for queue in sorted({story.queue for story in stories}):
        mine = [story for story in stories if story.queue == queue]
        stages = {stage.name for story in mine for stage in story.stages}
        names = [*dict.fromkeys(story.kind for story in mine)]
        names += [CHAIN] if any(story.head >= 0 for story in mine) else []
        names += [name for name in STAGES if name in stages]
        stream = recording.stream(f"queue_{queue}", "virtqueue")
        found |= {(queue, name): recording.generator(stream, generator_name(queue, name)) for name in names}
    return found


def generator_name(queue: int, name: str) -> str:
    """With the queue, since viewers show it without its stream; in one word, since Surfer's commands take one."""
    return f"q{queue}_{name.replace(' ', '_')}"


def _packets(recording: Recording, wanted: set[int], records: Sequence[Record]) -> dict[int, int]:
    """Transactions by seq."""
    stream = recording.stream(PACKETS, "PCI Express")
    channels = {int(channel): recording.generator(stream, channel.name.lower()) for channel in Channel}
    found: dict[int, int] = {}
    for record in records:
        if record.kind == Kind.TLP and record.seq in wanted:
            attributes: Attributes = {"seq": record.seq, "what": describe(record)}
            times = _times(record.t_ps, record.t_ps)
            found[record.seq] = recording.transaction(channels[record.channel], *times, attributes)
    return found


def _story(recording: Recording, story: Story, generators: dict[tuple[int, str], int], packets: dict[int, int]) -> None:
    own = [stage for stage in story.stages if stage.name != REPOSTED]
    last = max([story.begin_ps, *(stage.end_ps for stage in own)])
    owner = recording.transaction(
        generators[story.queue, story.kind], *_times(story.begin_ps, last), *_story_attributes(story)
    )
    if story.head >= 0:
        chain = _chain(recording, story, generators[story.queue, CHAIN], last)
        recording.relation(CHAIN, owner, chain)
        owner = chain
    for stage in story.stages:
        attributes: Attributes = {"op": story.op, "unique": story.unique or None, "what": stage.text or None}
        times = _times(stage.t_ps, stage.end_ps)
        part = recording.transaction(generators[story.queue, stage.name], *times, attributes)
        recording.relation("stage", owner, part)
        for seq in stage.packets:
            if seq in packets:
                recording.relation("packet", part, packets[seq])


def _story_attributes(story: Story) -> tuple[Attributes, Attributes]:
    begin: Attributes = {
        "op": story.op, "number": story.number, "unique": story.unique or None, "node": story.nodeid or None,
    }  # fmt: skip
    return begin, {"result": story.result, "error": story.error, "state": story.state}


def _chain(recording: Recording, story: Story, generator: int, last_ps: int) -> int:
    """A descriptor chain, from when the device was first shown it to its used index."""
    shown = next((stage for stage in story.stages if stage.packets), None)
    used: Stage | None = story.given_back
    begin = shown.t_ps if shown is not None else story.begin_ps
    attributes: Attributes = {
        "op": story.op,
        "head": story.head,
        "readable": story.readable,
        "writable": story.writable,
    }
    times = _times(begin, max(begin, used.end_ps if used is not None else last_ps))
    return recording.transaction(generator, *times, attributes, {"used length": story.used_length})


def _times(begin_ps: int, end_ps: int) -> tuple[int, int]:
    """In nanoseconds, which is as fine as viewers go."""
    begin = begin_ps // 1000
    return begin, max(end_ps // 1000, begin + MOMENT_NS)


def _marks(recording: Recording, records: Sequence[Record]) -> None:
    """Notes of the run and resets of the pin."""
    generator = recording.generator(recording.stream(RUN, "notes"), "note")
    for record in records:
        text = mark_of(record)
        if text:
            recording.transaction(generator, *_times(record.t_ps, record.t_ps), {"what": text})
