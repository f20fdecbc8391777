"""A log that is bounded: its beginning and what came last, which is told although something before it is missing."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from tests.unit.recorded_runs import LIMIT_PS, ROOT, SCENARIOS
from virtiofs_model.ramfs import Limits
from virtiofs_tb.analysis.rings import rings_at
from virtiofs_tb.analysis.source import open_run
from virtiofs_tb.analysis.stories import tell
from virtiofs_tb.analysis.story import DONE, Story
from virtiofs_tb.host.log import Kind, LogError, ObservationLog, Record, SnapshotChannel, read_log
from virtiofs_tb.host.model_host import ModelHost
from virtiofs_tb.profile import Profile
from virtiofs_tb.report import Summary
from virtiofs_tb.scenario import Bench
from virtiofs_tb.scoreboards import ScoreboardSet
from virtiofs_tb.scoreboards.checkpoint import dump, restore
from virtiofs_tb.scoreboards.observer import Observer

KEPT = 1 << 18
SEED = 5


def recorded(directory: Path, bound: int) -> Path:
    """400 file operations and notifications with all scoreboards on; the log bounded, or whole (0)."""
    log = ObservationLog(directory)
    host = ModelHost(SEED, log, ramfs=Limits())
    boards = ScoreboardSet(Profile())
    boards.engage_ramfs()
    log.subscribe(boards.observe)
    if bound:
        log.bound(bound, lambda: dump(boards.observer))
    tb = Bench(SEED, ROOT / "tests" / "data" / "sessions", faults=host.faults)
    tb.options["random_operations"] = 400
    for name in ("random_operations", "changes_by_the_dpu_are_announced"):
        host.run(SCENARIOS[name].function(host, tb), LIMIT_PS)
    host.drain(LIMIT_PS)
    log.close()
    Summary("bounded", SEED).write(directory)
    assert not boards.finish()
    return directory


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return recorded(tmp_path_factory.mktemp("whole"), 0)


@pytest.fixture(scope="module")
def bounded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return recorded(tmp_path_factory.mktemp("bounded"), KEPT)


def bytes_of(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.glob("observation.*"))


def is_snapshot(record: Record) -> bool:
    return record.kind == Kind.SNAPSHOT and record.channel == SnapshotChannel.OBSERVER


def told(story: Story) -> tuple[object, ...]:
    return story.op, story.queue, story.head, story.unique, story.begin_ps, story.end_ps, story.state, story.result


def test_the_files_are_bounded(whole: Path, bounded: Path) -> None:
    assert bytes_of(whole) > 6 * KEPT
    assert KEPT < bytes_of(bounded) < 3 * KEPT  # a part is at least what is written at once


def test_what_is_kept_is_what_was_seen(whole: Path, bounded: Path) -> None:
    """The beginning, one snapshot where something is missing, and the end, byte for byte."""
    all_records, kept = list(read_log(whole)), list(read_log(bounded))
    [gap] = [place for place, record in enumerate(kept) if is_snapshot(record)]
    assert kept[:gap] == all_records[:gap]
    behind = kept[gap + 1 :]
    assert behind == all_records[-len(behind) :]
    assert len(kept) < len(all_records)


def test_stories_behind_the_gap_are_those_of_the_whole_run(whole: Path, bounded: Path) -> None:
    run = open_run(str(bounded))
    assert "the log was bounded: nothing is kept of" in run.notice and "cut off" not in run.notice
    gap_ps = next(record.t_ps for record in run.records if is_snapshot(record))
    later = [told(story) for story in tell(run.records) if story.begin_ps > gap_ps]
    expected = [told(story) for story in tell(list(read_log(whole))) if story.begin_ps > gap_ps]
    begun_before = [story for story in later if story not in expected]
    assert [story for story in later if story in expected] == expected and len(expected) > 50
    assert len(begun_before) < 8, "what was under way at the gap, of which the rest is told"
    assert all(story[-2] == DONE for story in later if story[1] != 1)


def test_rings_behind_the_gap_are_those_of_the_whole_run(whole: Path, bounded: Path) -> None:
    kept, all_records = open_run(str(bounded)), open_run(str(whole))
    at = kept.end_ps - 100_000_000  # before the last reset
    for mine, other in zip(rings_at(kept.records, at), rings_at(all_records.records, at), strict=True):
        assert (mine.index, mine.avail_idx, mine.used_idx, mine.broken) == (
            other.index, other.avail_idx, other.used_idx, "",
        )  # fmt: skip
        assert [chain.head for chain in mine.chains] == [chain.head for chain in other.chains]


def test_a_log_whose_parts_are_all_there_shows_no_snapshot(tmp_path: Path) -> None:
    log = ObservationLog(tmp_path)
    log.bound(8 * (1 << 17), lambda: b"what is known")
    records = []
    for number in range(6):
        records.append(log.append(number, Kind.NOTE, payload=bytes([number]) * (1 << 17)))
        log.flush()
        log.deliver()
    log.close()
    assert len(list(tmp_path.glob("observation.*.log"))) >= 2
    assert list(read_log(tmp_path)) == records


def test_the_hash_is_that_of_everything(tmp_path: Path) -> None:
    hashes = []
    for bound in (0, 1 << 18):
        log = ObservationLog(tmp_path / str(bound))
        if bound:
            log.bound(bound, lambda: b"")
        for number in range(3000):
            log.append(number, Kind.NOTE, payload=bytes([number & 0xFF]) * 100)
        hashes.append(log.trace_hash())
        log.close()
    assert hashes[0] == hashes[1]


def test_a_snapshot_runs_nothing() -> None:
    """It is pickled; of a log that somebody else has made only the classes of an observer are taken."""

    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return print, ("run",)

    with pytest.raises(LogError, match=r"builtins\.print, which no observer has"):
        restore(Observer(Profile()), pickle.dumps({"t_ps": Evil()}))
    with pytest.raises(LogError, match="cannot be read"):
        restore(Observer(Profile()), b"nonsense")
    with pytest.raises(LogError, match="another version"):
        restore(Observer(Profile()), pickle.dumps({"colour": 1}))
