"""Scenarios about ring formats and features on the golden device, as far as it can offer them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.test_scenarios_model import LIMIT_PS, SCENARIOS, bench
from virtiofs_model.layouts.virtio import Feature
from virtiofs_model.registers import BUILT_FEATURES
from virtiofs_tb.driver.features import NEEDED
from virtiofs_tb.host.model_host import ModelHost

BUILT = {NEEDED[feature]: bool(BUILT_FEATURES & feature.mask) for feature in Feature if feature in NEEDED}
NAMES = [name for name, scenario in SCENARIOS.items() if set(scenario.needs) & set(BUILT)]


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("name", NAMES)
def test_scenario(name: str, seed: int) -> None:
    scenario = SCENARIOS[name]
    host = ModelHost(seed)
    host.caps = replace(host.caps, **BUILT)
    reason = scenario.not_applicable(host.caps)
    if reason:
        pytest.skip(f"{reason}, which the golden device with firmware does not have")
    tb = bench(host, seed)
    host.run(scenario.function(host, tb), LIMIT_PS)
    assert not host.violations, host.violations
    host.drain(LIMIT_PS)
