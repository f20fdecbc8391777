"""Many seeds of one test: which ones, what each row says, and what stays of a run."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import pytest
from rich.console import Console

from virtiofs_tb import campaign, runner
from virtiofs_tb.build import Build
from virtiofs_tb.campaign import Row, parse_seeds, run_campaign, totals
from virtiofs_tb.host.log import LOG_NAME, PAYLOAD_NAME
from virtiofs_tb.report import FailureReport, ResultClass, Summary
from virtiofs_tb.runner import RunRequest, UsageError


def test_seeds() -> None:
    assert parse_seeds("7") == [7]
    assert parse_seeds("1-4") == [1, 2, 3, 4]
    assert parse_seeds("3, 8,20-22,8") == [3, 8, 20, 21, 22]


@pytest.mark.parametrize("text", ["", "a", "1-", "5-4", "-3", "1;2", "0-10000", "0-9999,1"])
def test_seeds_that_are_none(text: str) -> None:
    with pytest.raises(UsageError, match=f"SEEDS={text}: expected"):
        parse_seeds(text)


def summary(seed: int, passed: bool) -> Summary:
    made = Summary("trees", seed, ResultClass.PASSED if passed else ResultClass.FAILED, requests=10, tlps=50)
    made.scoreboards = {"dma": {"read": 5, "write": 6}, "fuse": {}}
    made.sim_time_ps, made.wall_s, made.trace_hash = 1_234_567_890, 3.21, "abc"
    if not passed:
        made.failures = [FailureReport("dma", 5, "a byte", expected="1", seen="2")]
    return made


def test_rows_and_their_sum() -> None:
    good, bad = Row.of(summary(3, True)), Row.of(summary(4, False))
    assert good == Row(3, "passed", 10, 50, 11, 1234.568, 3.2, "abc", "")
    assert bad.failure == "a byte: expected 1, seen 2"
    assert good.line == "seed 3: passed, 10 requests, 11 checks in 3.2 s"
    assert bad.line.endswith(": a byte: expected 1, seen 2")
    assert totals([good, bad], 1.5) == "2 seeds, 1 failed: 20 requests, 100 packets, 22 checks in 1.5 min"
    lost = Summary("trees", 5, message="the simulation ended without a summary (no error)\nmore")
    assert Row.of(lost).failure == "the simulation ended without a summary (no error)"


def test_what_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of seeds 2 and 1, which end in that order, seed 1 fails."""
    requests = [RunRequest("trees", seed, run_dir=tmp_path / f"{seed}") for seed in (1, 2)]

    def run_all(given: Sequence[RunRequest], build: Build, jobs: int, finished: Callable[[Summary], None]) -> None:
        for request in reversed(given):
            request.directory.mkdir()
            for name in (LOG_NAME, PAYLOAD_NAME):
                (request.directory / name).write_bytes(b"log")
            finished(summary(request.seed, request.seed == 2))

    monkeypatch.setattr(runner, "run_all", run_all)
    text = io.StringIO()
    table = tmp_path / "deep" / "trees.csv"
    rows = run_campaign(Console(file=text, width=200), requests, cast(Build, None), 1, table)
    assert [row.seed for row in rows] == [1, 2]
    with table.open(newline="") as file:
        read = list(csv.DictReader(file))
    assert [(row["seed"], row["result"]) for row in read] == [("1", "failed"), ("2", "passed")]
    assert not (tmp_path / "2" / LOG_NAME).exists() and not (tmp_path / "2" / PAYLOAD_NAME).exists()
    assert (tmp_path / "1" / LOG_NAME).exists()
    assert text.getvalue().index("seed 2: passed") < text.getvalue().index("seed 1: failed")
    assert campaign.FOLDER.name == "campaigns"
