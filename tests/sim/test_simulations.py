"""Every test of the catalogue on RTL with seed 1, and what must hold for simulations as such.

The simulations run side by side (VIRTIOFS_JOBS) while pytest waits for one after the other.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from virtiofs_tb import build, catalogue, runner
from virtiofs_tb.paths import ENDPOINT_FILELIST, SIM_BUILD
from virtiofs_tb.report import Summary

HERE = Path(__file__).parent
SEED = 1
NAMES = [entry.name for entry in catalogue.entries()]
SECOND = ("identity", "virtio_capabilities", "device_initialises", "session_browse")
REPEATED = "session_browse"

Submit = Callable[[runner.RunRequest, build.Build], "Future[Summary]"]


@pytest.fixture(scope="session")
def pool() -> Iterator[ThreadPoolExecutor]:
    jobs = int(os.environ.get("VIRTIOFS_JOBS") or runner.default_jobs())
    with ThreadPoolExecutor(max_workers=jobs) as executor:
        yield executor


@pytest.fixture(scope="session")
def plain() -> build.Build:
    return build.build(ENDPOINT_FILELIST)


@pytest.fixture(scope="session")
def all_runs(pool: ThreadPoolExecutor, plain: build.Build) -> dict[str, Future[Summary]]:
    # The longest first, so that none is left alone at the end.
    order = sorted(NAMES, key=lambda name: name != runner.DEFAULT_TEST)
    return {name: pool.submit(runner.run_one, runner.RunRequest(name, SEED), plain) for name in order}


def explain(summary: Summary) -> str:
    lines = [f"{summary.test}: {summary.message}"]
    lines += [f"{failure.source} at {failure.t_ps} ps: {failure.text}" for failure in summary.failures[:5]]
    return "\n".join([*lines, f"again: {summary.rerun}"])


@pytest.mark.parametrize("name", NAMES)
def test_passes_on_rtl(name: str, all_runs: dict[str, Future[Summary]]) -> None:
    summary = all_runs[name].result()
    assert summary.passed, explain(summary)
    assert summary.scoreboards
    assert all(step.result == "passed" for step in summary.steps), summary.steps


def test_the_main_job_exercises_everything(all_runs: dict[str, Future[Summary]]) -> None:
    summary = all_runs[runner.DEFAULT_TEST].result()
    assert summary.requests_by_opcode["INIT"] >= 3
    assert summary.requests_by_opcode["READDIRPLUS"] >= 11
    assert summary.notifications["held"] >= 1
    assert summary.notifications["refused"] >= 1
    assert summary.notifications["delivered"] >= 10
    assert len(summary.scoreboards) == 6
    assert all(sum(checks.values()) for checks in summary.scoreboards.values())


def test_the_same_seed_gives_the_same_trace_with_waves_on_and_off(
    pool: ThreadPoolExecutor, plain: build.Build, tmp_path: Path, all_runs: dict[str, Future[Summary]]
) -> None:
    first = all_runs[REPEATED].result()
    again = runner.run_one(runner.RunRequest(REPEATED, SEED, run_dir=tmp_path / "again"), plain)
    other = runner.run_one(runner.RunRequest(REPEATED, SEED + 1, run_dir=tmp_path / "other"), plain)
    with_waves = build.build(ENDPOINT_FILELIST, "vcd")
    waves = runner.run_one(runner.RunRequest(REPEATED, SEED, "vcd", run_dir=tmp_path / "waves"), with_waves)
    assert first.trace_hash
    assert again.trace_hash == first.trace_hash
    assert waves.trace_hash == first.trace_hash
    assert other.trace_hash != first.trace_hash
    assert (tmp_path / "waves" / "waves.vcd").stat().st_size > 0


def test_another_endpoint(pool: ThreadPoolExecutor) -> None:
    """`make sim DUT=tests/sim/second_dut/second_dut.f PROFILE=tests/sim/second_dut/second_dut.toml`."""
    folder = HERE / "second_dut"
    second = build.build(folder / "second_dut.f")
    for name in SECOND:
        request = runner.RunRequest(
            name,
            SEED,
            dut=folder / "second_dut.f",
            profile=folder / "second_dut.toml",
            run_dir=SIM_BUILD / "second" / name,
        )
        summary = pool.submit(runner.run_one, request, second).result()
        assert summary.passed, explain(summary)
