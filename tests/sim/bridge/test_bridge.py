"""The bridge between simulation and Python, on a stand-in device: whole packets, one order, the same with waves."""

from __future__ import annotations

from pathlib import Path

import pytest

from virtiofs_tb.build import Build, build, run
from virtiofs_tb.paths import SIM_BUILD

MODULE = "tests.sim.bridge.bridge_tests"
DUT = Path(__file__).parent / "bounce_dut.f"
FOLDER = SIM_BUILD / "bridge"

AT_EACH_WIDTH = (
    "packets_arrive_whole_and_in_order",
    "throttles_slow_down_and_lose_nothing",
    "streams_storage_and_registers",
)
CASES = (
    "the_record_repeats_the_header",
    "a_packet_waits_for_its_due_time",
    "non_posted_requests_wait_for_credit",
    "posted_requests_pass_non_posted_ones",
    "a_reset_forgets_what_waits",
    "every_rule_fires",
)


@pytest.mark.parametrize(("width", "case"), [(w, c) for w in (128, 256, 512) for c in AT_EACH_WIDTH])
def test_width(width: int, case: str) -> None:
    _passes(build(DUT, data_width=width), case)


@pytest.mark.parametrize("case", CASES)
def test_bridge(case: str) -> None:
    _passes(build(DUT), case)


def _passes(built: Build, case: str) -> None:
    result = run(built, MODULE, case, seed=1, run_dir=FOLDER / built.directory.name / case)
    assert result.passed, result.failures


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("a_broken_rule_fails_the_run", "rq: header says 128 dwords from this beat on, last is 1"),
        ("a_broken_rule_that_nobody_asks_for_ends_the_simulation", "a protocol assertion failed, see above"),
    ],
)
def test_a_broken_rule(case: str, message: str) -> None:
    result = run(build(DUT), MODULE, case, seed=1, run_dir=FOLDER / case)
    assert not result.passed
    assert message in result.failures[0] + result.log.read_text()


def test_a_second_build_compiles_nothing() -> None:
    build(DUT)
    assert not build(DUT).compiled


def test_waves_change_nothing() -> None:
    traces = set()
    for waves in (None, "vcd"):
        folder = FOLDER / f"trace-{waves}"
        result = run(build(DUT, waves), MODULE, "trace", seed=3, run_dir=folder, waves=waves is not None)
        assert result.passed, result.failures
        assert (result.waves is not None and result.waves.exists()) == (waves is not None)
        traces.add((folder / "trace.txt").read_text())
    assert len(traces) == 1
