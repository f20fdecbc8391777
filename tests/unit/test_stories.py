"""Stories against the log that they are made from: nothing left out, nothing made up, in the right order."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from tests.unit.recorded_runs import record_run
from virtiofs_model.layouts.fuse_constants import NotifyCode
from virtiofs_tb.analysis import story as names
from virtiofs_tb.analysis.source import RunLog, open_run
from virtiofs_tb.analysis.stories import tell
from virtiofs_tb.analysis.story import DONE, OPEN, REFUSED, RESET, STAGES, Story, latencies
from virtiofs_tb.driver.notes import TOOK, parse_took
from virtiofs_tb.host.log import Channel, DpuChannel, EngineReplyChannel, EngineRequestChannel, Kind, Record

RING = (names.DOORBELL, names.INDEX_READ, names.ENTRY_READ, names.DESCRIPTORS)
MSI = 0xFEE0_0000
END = (names.USED_ENTRY, names.USED_INDEX, names.SUPPRESSION_READ, names.INTERRUPT)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunLog:
    directory = tmp_path_factory.mktemp("run") / "session"
    record_run(directory, "session_browse", "every_notification_arrives", "a_full_store_refuses")
    return open_run(str(directory))


@pytest.fixture(scope="module")
def stories(run: RunLog) -> list[Story]:
    return tell(run.records)


def of_kind(run: RunLog, kind: Kind, channel: int) -> list[Record]:
    return [record for record in run.records if record.kind == kind and record.channel == channel]


def requests(stories: list[Story]) -> list[Story]:
    return [story for story in stories if story.kind == names.REQUEST]


def notifications(stories: list[Story]) -> list[Story]:
    return [story for story in stories if story.kind == names.NOTIFICATION]


def test_every_request_of_the_engine_is_one_story(run: RunLog, stories: list[Story]) -> None:
    at_engine = {record.seq: record for record in of_kind(run, Kind.ENGINE_REQUEST, EngineRequestChannel.REQUEST)}
    assert len(at_engine) > 70
    told = {}
    for story in requests(stories):
        stage = story.stage(names.ENGINE_REQUEST)
        assert stage is not None
        told[stage.seq] = story
        head = at_engine[stage.seq].payload
        assert story.unique == int.from_bytes(head[8:16], "little")
        assert story.nodeid == int.from_bytes(head[16:24], "little")
    assert told.keys() == at_engine.keys()
    replies = [story.stage(names.ENGINE_REPLY) for story in requests(stories)]
    seen = {record.seq for record in of_kind(run, Kind.ENGINE_REPLY, EngineReplyChannel.REPLY)}
    assert {stage.seq for stage in replies if stage} == seen


def test_every_mover_job_belongs_to_one_story(run: RunLog, stories: list[Story]) -> None:
    jobs = [stage for story in stories for stage in story.stages if stage.name == names.MOVER_JOB]
    started = of_kind(run, Kind.ENGINE_REPLY, EngineReplyChannel.JOB)
    ended = of_kind(run, Kind.ENGINE_REQUEST, EngineRequestChannel.DONE)
    assert sorted(stage.seq for stage in jobs) == [record.seq for record in started]
    assert sorted(stage.end_seq for stage in jobs) == [record.seq for record in ended]


def test_a_request_passes_its_stages_in_order(stories: list[Story]) -> None:
    for story in requests(stories):
        passed = [stage.name for stage in story.stages]
        assert passed == sorted(passed, key=STAGES.index)
        assert {*RING[1:], names.GATHER, names.ENGINE_REQUEST, names.ENGINE_REPLY, *END[:3]} <= set(passed)
        assert (names.SCATTER in passed) == bool(story.used_length)
        ring = [stage for stage in story.stages if stage.name in RING]
        assert all(before.end_seq < after.seq for before, after in pairwise(ring))
        end = [stage for stage in story.stages if stage.name in END]
        assert all(before.end_seq < after.seq for before, after in pairwise(end))
        assert all(stage.t_ps <= stage.end_ps and stage.seq <= stage.end_seq for stage in story.stages)


def test_used_entries_say_what_the_packets_say(run: RunLog, stories: list[Story]) -> None:
    by_seq = {record.seq: record for record in run.records}
    for story in stories:
        entry = story.stage(names.USED_ENTRY)
        if entry is not None:
            raw = story.head.to_bytes(4, "little") + (story.used_length or 0).to_bytes(4, "little")
            assert raw in by_seq[entry.seq].payload


def test_every_write_of_the_device_belongs_to_a_story(run: RunLog, stories: list[Story]) -> None:
    told = {seq for story in stories for seq in story.packets}
    packets = {record.seq for record in run.records if record.kind == Kind.TLP}
    written = {record.seq for record in of_kind(run, Kind.TLP, Channel.RQ) if record.hdr[0] >> 30 & 1}
    assert told <= packets
    assert written <= told


def test_completions_stand_with_their_reads(run: RunLog, stories: list[Story]) -> None:
    """As many bytes came back as were asked for, by the Length fields, in every gather."""
    by_seq = {record.seq: record for record in run.records}
    for story in stories:
        for stage in story.stages:
            if stage.name in (names.GATHER, names.ENTRY_READ, names.DESCRIPTORS):
                asked = [by_seq[seq] for seq in stage.packets if by_seq[seq].channel == Channel.RQ]
                given = [by_seq[seq] for seq in stage.packets if by_seq[seq].channel == Channel.RC]
                assert sum(record.hdr[0] & 0x3FF or 1024 for record in asked) * 4 == sum(r.length for r in given)


def test_every_message_is_one_story(run: RunLog, stories: list[Story]) -> None:
    handed_over = of_kind(run, Kind.DPU_OPERATION, DpuChannel.NOTIFY)
    results = Counter(record.status for record in handed_over)
    told = [story.stage(names.MESSAGE) for story in notifications(stories)]
    assert sorted(stage.end_seq for stage in told if stage) == [record.seq for record in handed_over]
    states = Counter(story.state for story in notifications(stories))
    assert states == {DONE: results[1] + results[2], REFUSED: results[3]}
    assert results[2] and results[3]


def test_a_notification_carries_its_message(run: RunLog, stories: list[Story]) -> None:
    by_seq = {record.seq: record for record in run.records}
    for story in notifications(stories):
        message = story.stage(names.MESSAGE)
        assert message is not None
        data = by_seq[message.end_seq].payload
        code = int.from_bytes(data[4:8], "little")
        assert story.op == (NotifyCode(code).name if code in list(NotifyCode) else f"notify {code}")
        if story.state == DONE:
            assert story.used_length == len(data)
            assert story.stage(names.BUFFER) and story.stage(names.USED_INDEX)


def test_buffers_are_reposted(stories: list[Story]) -> None:
    again = [story for story in notifications(stories) if story.stage(names.REPOSTED)]
    assert again
    for story in again:
        reposted, used = story.stage(names.REPOSTED), story.stage(names.USED_INDEX)
        assert reposted and used and reposted.end_seq > used.seq


def test_a_story_ends_with_the_driver(run: RunLog, stories: list[Story]) -> None:
    """Each used chain is taken once, after its used index; the last stage but for the buffer that comes back."""
    finished = [story for story in stories if story.state == names.DONE]
    taken = [story.stage(names.DRIVER) for story in finished]
    assert len(finished) > 100 and all(taken)
    for story, stage in zip(finished, taken, strict=True):
        used = story.stage(names.USED_INDEX)
        assert used is not None and stage is not None
        assert used.seq < stage.seq and used.end_ps <= stage.t_ps and not stage.packets
        after = story.stages[story.stages.index(stage) + 1 :]
        assert [later.name for later in after] in ([], [names.REPOSTED])
    notes = [(record.seq, parse_took(record.payload.decode())) for record in of_kind(run, Kind.NOTE, 0)]
    heads = sorted((seq, took.queue, head) for seq, took in notes if took is not None for head in took.heads)
    assert heads == sorted((s.seq, story.queue, story.head) for s, story in zip(taken, finished, strict=True) if s)


def test_another_driver_says_nothing_of_its_own(run: RunLog, stories: list[Story]) -> None:
    """Without its notes, or with notes of others that look like them, the same stories are told without that stage."""
    others = (b"took a break", b'took {"queue":2}', b'took {"queue":2,"heads":[999]}', b"took 5", b"took [5]")
    records = []
    for number, record in enumerate(run.records):
        if record.kind == Kind.NOTE and record.payload.startswith(TOOK.encode()):
            record = replace(record, payload=others[number % len(others)])
        records.append(record)
    told = tell(records)
    assert [(story.number, story.op, story.end_ps) for story in told] == [
        (story.number, story.op, story.end_ps) for story in stories
    ]
    for story, before in zip(told, stories, strict=True):
        assert story.stages == [stage for stage in before.stages if stage.name != names.DRIVER]


def test_what_stages_add_is_the_whole(stories: list[Story]) -> None:
    for story in stories:
        reached = max(stage.end_ps for stage in story.stages)
        assert sum(added for _, added in story.latencies()) == reached - story.begin_ps


def test_percentiles(stories: list[Story]) -> None:
    rows = {row.stage: row for row in latencies(stories)}
    whole = rows[names.WHOLE]
    done = sorted(story.took_ps for story in stories if story.state == DONE)
    assert whole.count == len(done) and whole.most == done[-1]
    assert whole.p50 <= whole.p90 <= whole.p99 <= whole.most
    assert abs(whole.p50 - done[len(done) // 2]) <= done[len(done) // 2 + 1] - done[len(done) // 2 - 1]
    assert latencies([]) == []


def test_a_reset_cuts_stories_off(tmp_path: Path) -> None:
    log = open_run(str(record_run(tmp_path / "run", "reset_in_the_middle_of_traffic")))
    stories = tell(log.records)
    states = Counter(story.state for story in stories)
    assert states[RESET] and states[DONE] and not states[OPEN]
    for story in stories:
        if story.state == RESET:
            assert story.stage(names.USED_INDEX) is None
            assert story.result == "reset"
    told = {seq for story in stories for seq in story.packets}
    writes = [record for record in of_kind(log, Kind.TLP, Channel.RQ) if record.hdr[0] >> 30 & 1]
    assert {record.seq for record in writes if record.address >> 20 != MSI >> 20} <= told
    taken = [(story.begin_ps, story.queue, story.head, story.stages[0].seq) for story in requests(stories)]
    assert len(set(taken)) == len(taken)


def test_a_message_that_is_being_written_is_one_story(run: RunLog, stories: list[Story]) -> None:
    long = [story for story in notifications(stories) if (story.used_length or 0) > 1000]
    story = next(story for story in long if "held" in story.stages[0].text)
    scatter = story.stage(names.SCATTER)
    assert scatter is not None
    cut = [record for record in run.records if record.seq <= scatter.packets[1]]
    same = [told for told in tell(cut) if told.begin_ps == story.begin_ps and told.kind == story.kind]
    assert [(told.result, told.op) for told in same] == [("open after scatter", story.op)]


def test_a_story_that_stands_still_says_where(run: RunLog, stories: list[Story]) -> None:
    """The log up to any stage of a request shows that request at that stage."""
    story = requests(stories)[40]
    for stage in story.stages[3:-2]:
        if stage.name in (names.USED_INDEX, names.SUPPRESSION_READ):
            break
        cut = [record for record in run.records if record.seq <= stage.end_seq]
        same = [told for told in tell(cut) if told.begin_ps == story.begin_ps and told.queue == story.queue]
        assert [told.result for told in same] == [f"open after {stage.name}"]


def test_a_request_whose_bytes_are_wrong_keeps_its_story(tmp_path: Path) -> None:
    """What the FUSE scoreboard cannot match is matched by unique."""
    log = open_run(str(record_run(tmp_path / "run", "session_browse", defect="reply_to_other_context")))
    assert any(story.stage(names.ENGINE_REPLY) for story in tell(log.records))
