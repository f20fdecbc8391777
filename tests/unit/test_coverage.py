"""Functional coverage: the bins, what falls into them, sums in any order, and a goal that can fail."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.unit.recorded_runs import record_run
from virtiofs_model.layouts.virtio import Feature
from virtiofs_tb import catalogue
from virtiofs_tb import coverage_command as command
from virtiofs_tb import coverage_runs as runs
from virtiofs_tb.coverage.counts import Counts, CountsError, merged
from virtiofs_tb.coverage.goal import Waiver, WaiverError, judge, read_waivers
from virtiofs_tb.coverage.model import BINS, FREE_FEATURES, GROUPS, IMPOSSIBLE
from virtiofs_tb.coverage.sampler import alignment_class, count_class, size_class, state_of
from virtiofs_tb.coverage_runs import ModelRun, Sampled, planned, sample_log, sample_model
from virtiofs_tb.host.log_files import LOG_NAME
from virtiofs_tb.report import ResultClass

ALL = Counter(dict.fromkeys(BINS, 1))


# ---- the model ----


def test_bins_are_named_once() -> None:
    names = [name for group in GROUPS for name in group.all()]
    assert len(names) == len(set(names)) == len(BINS) + len(IMPOSSIBLE)
    assert len({group.name for group in GROUPS}) == len(GROUPS)


def test_every_reason_says_no_to_a_bin() -> None:
    for group in GROUPS:
        for _, why in group.never:
            assert why in IMPOSSIBLE.values()


def test_features_are_those_that_can_be_left() -> None:
    assert len(FREE_FEATURES) == 10 and Feature.VERSION_1 not in FREE_FEATURES
    assert sum(name.startswith("features/") for name in BINS) == 45 * 4


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        ([size_class(size) for size in (1, 2, 8, 9, 64, 65, 512, 513, 1024)],
         ["1", "2..8", "2..8", "9..64", "9..64", "65..512", "65..512", "513..1024", "513..1024"]),
        ([count_class(count) for count in (1, 2, 3, 4, 5, 8, 9, 1000)],
         ["1", "2", "3..4", "3..4", "5..8", "5..8", "9..", "9.."]),
        ([alignment_class(address) for address in (1, 6, 12, 8, 16, 4096)], ["1", "2", "4", "8", "16..", "16.."]),
        ([state_of(status) for status in (0, 1, 3, 11, 15, 0x4F)],
         ["reset", "acknowledge", "driver", "features_ok", "driver_ok", "driver_ok"]),
    ],
)  # fmt: skip
def test_classes(seen: list[str], expected: list[str]) -> None:
    assert seen == expected


def test_a_bin_that_is_not_there() -> None:
    with pytest.raises(KeyError):
        Counts().hit("ring", "round", "1", "other")


# ---- sums ----


def some_counts(rng: random.Random, number: int) -> Counts:
    names = rng.sample(sorted(BINS), 40)
    return Counts([f"run-{number}"], Counter({name: rng.randint(1, 1 << 40) for name in names}))


@pytest.mark.parametrize("seed", range(20))
def test_a_sum_in_any_order_and_grouping_is_the_same(seed: int, tmp_path: Path) -> None:
    rng = random.Random(seed)
    parts = [some_counts(rng, number) for number in range(rng.randint(2, 9))]
    straight = merged(parts)
    rest = list(parts)
    while len(rest) > 1:  # any two or three of them at a time, some through a file
        rng.shuffle(rest)
        together = rng.randint(2, 3)
        some = merged(rest[:together])
        if rng.random() < 0.5:
            some.write(tmp_path / "some.json")
            some = Counts.read(tmp_path / "some.json")
        rest = [*rest[together:], some]
    assert rest[0] == straight
    assert sum(straight.hits.values()) == sum(sum(part.hits.values()) for part in parts)


def test_nothing_and_a_sum_leave_their_parts_alone() -> None:
    part = some_counts(random.Random(1), 1)
    before = Counter(part.hits)
    assert merged([part, Counts()]) == part and merged([]) == Counts()
    merged([part, part])
    assert part.hits == before


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("{", "no file of coverage"),
        ("[]", "no file of coverage"),
        ('{"version": 1, "runs": [], "hits": {"ring/old": 1}}', "bin 'ring/old' is not there"),
        ('{"version": 2, "runs": [], "hits": {}}', "version 2, expected 1"),
    ],
)
def test_files_that_are_not_ours(text: str, error: str, tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    path.write_text(text)
    with pytest.raises(CountsError, match=error):
        Counts.read(path)


# ---- sampling ----


def test_a_log_and_its_run_say_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "BATCH", 7)
    record_run(tmp_path / "session_browse-1", "session_browse")
    first = sample_log(tmp_path / "session_browse-1").counts
    monkeypatch.setattr(runs, "BATCH", 1000)
    assert sample_log(tmp_path / "session_browse-1").counts == first
    assert first.hits["status/features_ok>driver_ok"] == 1
    assert first.hits["chain/split/direct/2/both"] and first.hits["interrupt/split/open"]
    assert not any("packed" in name for name in first.hits)


def test_a_log_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "bars_move-1").mkdir()
    (tmp_path / "bars_move-1" / LOG_NAME).write_bytes(b"nonsense" * 100)
    sampled = sample_log(tmp_path / "bars_move-1")
    assert "magic" in sampled.failure and sampled.rerun == "make sim TEST=bars_move SEED=1"
    assert not sampled.counts.hits


def test_a_run_of_packed_rings() -> None:
    hits = sample_model(ModelRun("tests/coverage/shapes.py", 1)).counts.hits
    assert hits["chain/packed/indirect/9../writable"] and hits["chain/split/direct/9../writable"]
    assert hits["ring/packed/513..1024/other"] and hits["ring/split/1/power of 2"]
    assert hits["features/INDIRECT_DESC+RING_PACKED/both"] and hits["features/INDIRECT_DESC+RING_PACKED/first"]
    assert not hits.keys() & IMPOSSIBLE.keys()


def test_errors_and_failed_reads() -> None:
    sampled = sample_model(ModelRun("tests/coverage/packed_faults.py", 1))
    hits = sampled.counts.hits
    assert not sampled.failure
    assert hits["failed_read/packed/descriptors"] and hits["failed_read/packed/driver area"]
    assert hits["error/RING_READ"] and hits["status/needs_reset>reset"]


def test_the_plan_names_what_exists() -> None:
    entries = [entry for entry in catalogue.entries() if not entry.sequences]
    found = planned(entries)
    assert len(found) == len(set(found)) > len(entries) / 2
    for run in found:
        assert catalogue.find(run.test).steps


# ---- the goal ----


def test_the_goal() -> None:
    assert judge(ALL, []).met
    less = Counter(ALL)
    del less["error/RING_READ"]
    assert judge(less, []).holes == ["error/RING_READ"]
    waived = judge(less, [Waiver("error/*", "why", "who")])
    assert waived.met and "error/RING_READ" not in waived.needless and "error/DIRECTION" in waived.needless
    wrong = next(iter(IMPOSSIBLE))
    assert judge(Counter({**ALL, wrong: 1}), []).wrong == [wrong]


def test_the_waivers_are_in_order() -> None:
    waivers = read_waivers()
    assert all(waiver.reason and waiver.owner for waiver in waivers)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("waiver = 3 3", "waivers.toml: "),
        ('[[waiver]]\nbins = "error/*"\nowner = "x"', "waiver 1: reason is missing"),
        ('[[waiver]]\nbins = "error/*"\nreason = "x"\nowner = " "', "waiver 1: owner is missing"),
        ('[[waiver]]\nbins = "eror/*"\nreason = "x"\nowner = "x"', "there is no bin 'eror/"),
    ],
)
def test_waivers_that_are_wrong(text: str, error: str, tmp_path: Path) -> None:
    path = tmp_path / "waivers.toml"
    path.write_text(text)
    with pytest.raises(WaiverError, match=error):
        read_waivers(path)


GOOD = Sampled("model-all-1", Counts(["model-all-1"], ALL))
HOLES = Sampled("rtl-some-1", Counts(["rtl-some-1"], Counter({"error/RING_READ": 1})))
BAD = Sampled("model-bad-1", Counts(["model-bad-1"]), "a mismatch", "again")


@pytest.mark.parametrize(
    ("sampled", "status", "text"),
    [
        ([GOOD, HOLES], ResultClass.PASSED, "bins hit: model"),
        ([HOLES], ResultClass.FAILED, "hole: error/DIRECTION"),
        ([GOOD, BAD], ResultClass.FAILED, "does not count, since it failed: model-bad-1: a mismatch; again: again"),
    ],
)
def test_the_command(
    sampled: list[Sampled], status: ResultClass, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "TOTAL", tmp_path / "coverage.json")
    monkeypatch.setattr(command, "sample_all", lambda workers, with_model, progress: sampled)
    done = CliRunner().invoke(command.coverage, ["--jobs", "1"])
    assert done.exit_code == status
    assert text in done.output
    assert json.loads((tmp_path / "coverage.json").read_text())["hits"]["error/RING_READ"] >= 1
