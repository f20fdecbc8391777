"""The bridge between simulation and Python, on a stand-in device: whole packets, one order, the same with waves."""

from __future__ import annotations

from pathlib import Path

import pytest

from virtiofs_tb.build import Build, build, run
from virtiofs_tb.paths import SIM_BUILD

MODULE = "tests.sim.bridge.bridge_tests"
DUT = Path(__file__).parent / "bounce_dut.f"
FOLDER = SIM_BUILD / "bridge"

CASES = (
    "packets_arrive_whole_and_in_order",
    "the_record_repeats_the_header",
    "a_packet_waits_for_its_due_time",
    "throttles_slow_down_and_lose_nothing",
    "non_posted_requests_wait_for_credit",
    "streams_storage_and_registers",
    "a_reset_forgets_what_waits",
    "a_broken_rule_wakes_python_with_its_text",
)


@pytest.fixture(scope="session", params=[128, 256, 512])
def plain(request: pytest.FixtureRequest) -> Build:
    return build(DUT, data_width=request.param)


@pytest.mark.parametrize("case", CASES)
def test_bridge(plain: Build, case: str) -> None:
    result = run(plain, MODULE, case, seed=1, run_dir=FOLDER / plain.directory.name / case)
    assert result.passed, result.failures


def test_a_second_build_compiles_nothing(plain: Build) -> None:
    assert not build(DUT, data_width=int(plain.directory.name.split("-")[-2])).compiled


def test_waves_change_nothing() -> None:
    traces = set()
    for waves in (None, "vcd"):
        folder = FOLDER / f"trace-{waves}"
        result = run(build(DUT, waves), MODULE, "trace", seed=3, run_dir=folder, waves=waves is not None)
        assert result.passed, result.failures
        assert (result.waves is not None and result.waves.exists()) == (waves is not None)
        traces.add((folder / "trace.txt").read_text())
    assert len(traces) == 1
