"""Every scenario on the golden device, without a simulator."""

from __future__ import annotations

from pathlib import Path

import pytest

from virtiofs_model.ramfs import RamfsServer
from virtiofs_tb.agents.firmware import FirmwareAgent
from virtiofs_tb.host.model_host import ModelHost
from virtiofs_tb.scenario import Bench, UnknownScenario, find_scenario, load_scenarios
from virtiofs_tb.seeds import stream

ROOT = Path(__file__).parents[2]
SCENARIOS = load_scenarios(ROOT / "tests" / "sim" / "scenarios")
SEED = 1
LIMIT_PS = 200_000_000_000
SHORTER = {"random_operations": 60}


def bench(host: ModelHost, seed: int) -> Bench:
    """A bench whose firmware is the golden file system."""
    firmware = FirmwareAgent(host.engine, RamfsServer(), host.loop, stream(seed, "firmware"))
    tb = Bench(seed, ROOT / "tests" / "data" / "sessions", firmware=firmware, faults=host.faults)
    tb.options.update(SHORTER)
    return tb


@pytest.mark.parametrize("name", SCENARIOS)
def test_scenario(name: str) -> None:
    scenario = SCENARIOS[name]
    host = ModelHost(SEED)
    reason = scenario.not_applicable(host.caps)
    if reason:
        pytest.skip(reason)
    tb = bench(host, SEED)
    host.run(scenario.function(host, tb), LIMIT_PS)
    assert not host.violations, host.violations
    host.drain(LIMIT_PS)


def test_a_wrong_name_gets_the_nearest() -> None:
    with pytest.raises(UnknownScenario, match="session_browse"):
        find_scenario("sesion_browse", SCENARIOS)
