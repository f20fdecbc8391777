"""Stories, rings and packet names of packed queues, and of queues that are reset, from logs of the golden device."""

from __future__ import annotations

import functools
import io
from pathlib import Path

from rich.console import Console

from tests.unit.mutated_logs import simulate
from virtiofs_tb.analysis import show
from virtiofs_tb.analysis.rings import rings_at
from virtiofs_tb.analysis.source import RunLog
from virtiofs_tb.analysis.stories import tell
from virtiofs_tb.analysis.story import (
    DESCRIPTORS,
    DONE,
    DRIVER,
    ENTRY_READ,
    HEAD_READ,
    INDEX_READ,
    INTERRUPT,
    OPEN,
    REQUEST,
    RESET,
    SUPPRESSION_READ,
    USED_DESCRIPTOR,
    USED_INDEX,
    Story,
)
from virtiofs_tb.host.log import Record

PACKED, RESETS = "chains_at_the_end_of_a_packed_ring", "queue_resets_in_the_middle_of_traffic"


@functools.cache
def log(scenario: str) -> list[Record]:
    return simulate(scenario, 1)


@functools.cache
def requests(scenario: str) -> list[Story]:
    return [story for story in tell(log(scenario)) if story.kind == REQUEST]


def descriptors_of(story: Story) -> str:
    """What is told of them."""
    stage = story.stage(DESCRIPTORS)
    return stage.text if stage is not None else ""


def test_a_packed_request_is_told_from_its_head_to_the_driver() -> None:
    stories = requests(PACKED)
    done = [story for story in stories if story.state == DONE]
    assert len(done) > 100 and len(done) == len(stories)
    for story in done:
        names = [stage.name for stage in story.stages]
        assert HEAD_READ in names and USED_DESCRIPTOR in names and SUPPRESSION_READ in names, names
        assert not {INDEX_READ, ENTRY_READ, USED_INDEX} & set(names), names
        assert story.given_back is not None and story.given_back.end_ps == story.end_ps
        assert story.stages[names.index(USED_DESCRIPTOR)].text.startswith(f"buffer {story.head}, used length ")
        assert sum(added for _, added in story.latencies()) == max(s.end_ps for s in story.stages) - story.begin_ps
    assert all(story.stage(INTERRUPT) is not None and story.stage(DRIVER) is not None for story in done)


def test_descriptors_behind_the_head_are_read_after_it() -> None:
    """In these lists: PACK-DESC-D03; a table of its own is told as what it is."""
    stories = requests(PACKED)
    direct = [story for story in stories if " direct" in descriptors_of(story)]
    assert direct
    for story in direct:
        head, rest = story.stage(HEAD_READ), story.stage(DESCRIPTORS)
        assert head is not None and rest is not None
        assert head.end_seq < rest.end_seq
    assert any("in an indirect table" in descriptors_of(story) for story in stories)


def test_what_a_queue_reset_cuts_off() -> None:
    stories = requests(RESETS)
    ends = {story.state for story in stories}
    assert {DONE, RESET} <= ends
    assert OPEN not in ends
    cut = [story for story in stories if story.state == RESET]
    assert cut and all(story.used_length is None for story in cut)


def test_rings_say_slots_and_wrap_counters() -> None:
    records = log(PACKED)
    stories = requests(PACKED)
    rings = rings_at(records, stories[len(stories) * 2 // 3].end_ps)
    packed = [ring for ring in rings if ring.packed]
    assert packed and any(ring.used for ring in packed)
    for ring in packed:
        assert all(0 <= slot < ring.size for slot, *_ in ring.used)
        assert all(0 <= chain.position < ring.size for chain in ring.chains)
    text = io.StringIO()
    show.print_rings(Console(file=text, width=150), rings, RunLog(Path(), records, "", 0))
    assert "descriptors, packed, at" in text.getvalue()
    assert "wrap counter" in text.getvalue() and "newest used descriptors" in text.getvalue()
    assert "available index" not in text.getvalue()
