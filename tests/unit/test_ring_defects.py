"""Defects of what is negotiated beyond the usual features, each caught by the scoreboard that the registry names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from virtiofs_model.defects import DEFECTS
from virtiofs_model.layouts.virtio import Feature
from virtiofs_model.ramfs import RamfsServer
from virtiofs_model.registers import BUILT_FEATURES
from virtiofs_model.ring_defects import RING_DEFECTS
from virtiofs_tb.agents.firmware import FirmwareAgent
from virtiofs_tb.driver.bringup import discover, mount_offered
from virtiofs_tb.driver.features import NEEDED
from virtiofs_tb.driver.virtio import USUAL_FEATURES, Settings
from virtiofs_tb.host.model_host import ModelHost
from virtiofs_tb.host.port import HostPort
from virtiofs_tb.profile import load
from virtiofs_tb.scenario import Bench, load_scenarios
from virtiofs_tb.scoreboards import ScoreboardSet
from virtiofs_tb.seeds import stream
from virtiofs_tb.sequences.ring_traffic import call_in

ROOT = Path(__file__).parents[2]
STRICT = load(ROOT / "profiles" / "ours-strict.toml")
LIMIT_PS = 3_000_000_000
QUIET_PS = 20_000_000
CAPS = {NEEDED[feature]: bool(BUILT_FEATURES & feature.mask) for feature in NEEDED}


async def a_masked_interrupt_and_a_reset(host: HostPort, tb: Bench) -> None:
    """An interrupt waits in the pending bits while its queue is reset; then its vector is unmasked."""
    device = await discover(host, tb)
    ready = await mount_offered(host, tb, device, Settings(USUAL_FEATURES | Feature.RING_RESET.mask))
    queue = device.request_queue(0)
    await device.pci.mask_vector(1 + queue.index, True)
    host.spawn(call_in(ready, queue, 2))
    await queue.wait_unharvested(1)
    await host.sleep(QUIET_PS)
    await device.reset_queue(queue.index)
    await device.pci.mask_vector(1 + queue.index, False)
    await host.sleep(QUIET_PS)


SCENARIOS = {name: scenario.function for name, scenario in load_scenarios(ROOT / "tests/sim/scenarios").items()}
SCENARIOS["a_masked_interrupt_and_a_reset"] = a_masked_interrupt_and_a_reset

SHOWN_BY = {
    "packed_avail_wrap_at_end": "chains_at_the_end_of_a_packed_ring",
    "packed_used_wrap_at_end": "chains_at_the_end_of_a_packed_ring",
    "packed_size_rounded": "packed_rings_of_every_size",
    "packed_size_refused": "chains_at_the_end_of_a_packed_ring",
    "packed_event_as_enable": "suppressed_interrupts",
    "packed_event_as_disable": "suppressed_interrupts",
    "packed_event_without_wrap": "event_indices_go_round",
    "event_used_ignored": "suppressed_interrupts",
    "event_off_by_one": "suppressed_interrupts",
    "event_no_second_look": "suppressed_interrupts",
    "event_ahead": "suppressed_interrupts",
    "order_as_answered": "rings_in_order",
    "doorbell_by_value": "doorbells_carry_data",
    "doorbell_of_16_bits": "doorbells_carry_data",
    "config_data_is_index": "doorbells_carry_data",
    "features_upper_half": "every_valid_subset_is_accepted",
    "features_platform_optional": "every_valid_subset_is_accepted",
    "generation_stays": "event_indices",
    "queue_reset_early": "queue_resets_in_the_middle_of_traffic",
    "queue_reset_interrupts": "a_masked_interrupt_and_a_reset",
    "queue_reset_keeps_requests": "queue_resets_in_the_middle_of_traffic",
}
"""Where it is neither the scenario of packed rings nor that of queues that begin anew."""


def usual(defect: str) -> str:
    """The scenario that most defects of a kind show in."""
    return "queues_begin_anew" if DEFECTS[defect].features == (Feature.RING_RESET,) else "packed_rings"


def judged(name: str, defect: str | None) -> ScoreboardSet:
    """Run a scenario on the golden device, all scoreboards on."""
    host = ModelHost(1, defect=defect)
    host.caps = replace(host.caps, **CAPS)
    firmware = FirmwareAgent(host.engine, RamfsServer(), host.loop, stream(1, "firmware"))
    tb = Bench(1, ROOT / "tests" / "data" / "sessions", firmware=firmware, faults=host.faults)
    tb.options["feature_items"] = 40
    boards = ScoreboardSet(STRICT)
    host.log.subscribe(boards.observe)
    try:
        host.run(SCENARIOS[name](host, tb), LIMIT_PS)
        host.drain(LIMIT_PS)
    except Exception:  # a device with a defect may do anything to its driver
        host.log.flush()
        assert defect is not None
    boards.finish()
    return boards


@pytest.mark.parametrize("defect", sorted(RING_DEFECTS))
def test_defect_is_caught(defect: str) -> None:
    info = DEFECTS[defect]
    boards = judged(SHOWN_BY.get(defect, usual(defect)), defect)
    assert boards.failures, "nothing was found"
    first = boards.failures[0]
    assert first.board == info.scoreboard, str(first)
    assert first.clause, str(first)


def test_a_sound_device_sends_nothing_for_a_queue_that_was_reset() -> None:
    """The scenario of this file; tests/unit/test_scoreboard_defects.py judges the others."""
    assert [str(failure) for failure in judged("a_masked_interrupt_and_a_reset", None).failures] == []
