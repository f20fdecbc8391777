"""Every test of the catalogue on RTL with seed 1, and what must hold for simulations as such.

The simulations run side by side (VIRTIOFS_JOBS) while pytest waits for one after the other.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from virtiofs_tb import build, catalogue, runner
from virtiofs_tb.paths import ENDPOINT_FILELIST, ROOT, SIM_BUILD
from virtiofs_tb.report import Summary

HERE = Path(__file__).parent
SEED = 1
# random_window runs for a span of wall clock: a benchmark (`make bench`), and its work is that of random_operations.
# fuzz and event_wrap take minutes; fuzzed_sessions and event_indices_go_round are the same with less.
LEFT_OUT = ("random_window", "fuzz", "event_wrap")
NAMES = [entry.name for entry in catalogue.entries() if entry.name not in LEFT_OUT]
SECOND = ("identity", "virtio_capabilities", "device_initialises", "session_browse")
REPEATED = "session_browse"


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
    lines += [f"{failure.source} at {failure.t_ps} ps: {failure.line}" for failure in summary.failures[:5]]
    return "\n".join([*lines, f"again: {summary.rerun}"])


@pytest.mark.parametrize("name", NAMES)
def test_passes_on_rtl(name: str, all_runs: dict[str, Future[Summary]]) -> None:
    summary = all_runs[name].result()
    assert summary.passed, explain(summary)
    missing = {step.reason for step in summary.steps if step.result == "not applicable"}
    if missing:
        pytest.skip(f"{', '.join(sorted(missing))}, which the endpoint cannot offer yet (HostCaps in simulation.py)")
    assert summary.scoreboards
    assert all(step.result == "passed" for step in summary.steps), summary.steps


def test_the_main_job_exercises_everything(all_runs: dict[str, Future[Summary]]) -> None:
    summary = all_runs[runner.DEFAULT_TEST].result()
    assert summary.requests_by_opcode["INIT"] >= 3
    assert summary.requests_by_opcode["READDIRPLUS"] >= 11
    assert summary.notifications["held"] >= 1
    assert summary.notifications["refused"] >= 1
    assert summary.notifications["delivered"] >= 10
    idle = {name for name, checks in summary.scoreboards.items() if not sum(checks.values())}
    assert idle == {"fuse"}, "the transport to firmware, which [main_firmware] exercises"
    firmware = all_runs["main_firmware"].result()
    assert all(sum(firmware.scoreboards[name].values()) for name in summary.scoreboards.keys() - {"file_system"})


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


def test_a_stuck_simulation_says_what_is_owed(plain: build.Build, tmp_path: Path) -> None:
    """The watchdog strikes in the middle of the longest test."""
    request = runner.RunRequest(runner.DEFAULT_TEST, SEED, watchdog_s=1.0, run_dir=tmp_path / "stuck")
    summary = runner.run_one(request, plain)
    assert not summary.passed
    assert "not finished after 1 s" in summary.message
    assert "owed:" in summary.message
    assert "task" in summary.message


def test_an_interrupt_ends_the_simulation_and_breaks_nothing(plain: build.Build) -> None:
    """Ctrl-C in the middle of `make sim`: status 130, no simulator left, and the next run passes."""
    seed = 987_654
    command = [sys.executable, "-m", "virtiofs_tb", "sim", "--test", runner.DEFAULT_TEST, "--seed", str(seed)]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'models'}{os.pathsep}{ROOT / 'tb'}"}
    tool = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    step = runner.RunRequest(runner.DEFAULT_TEST, seed).directory / runner.STEP_FILE
    step.unlink(missing_ok=True)
    deadline = time.monotonic() + 400  # it may have to build
    while not step.exists():
        assert tool.poll() is None, tool.communicate()[0]
        assert time.monotonic() < deadline
        tool_wait(tool, 0.1)
    tool.send_signal(signal.SIGINT)
    output, _ = tool.communicate(timeout=60)
    assert tool.returncode == 130, output
    assert not [line for line in command_lines() if f"{runner.DEFAULT_TEST}-{seed}" in line]
    assert runner.run_one(runner.RunRequest("identity", seed), plain).passed


def command_lines() -> list[str]:
    """Of all processes of this machine."""
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # the process has just ended
            lines.append(path.read_text(errors="replace"))
    return lines


def tool_wait(tool: subprocess.Popen[str], seconds: float) -> None:
    """Wait for the process, but no longer."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        tool.wait(seconds)


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
