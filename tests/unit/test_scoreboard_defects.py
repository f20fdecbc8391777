"""Every named defect of the golden device is caught by the scoreboard that the registry names; without one the
scoreboards find nothing, over several seeds.

On the golden device a verdict proves something only where a defect was injected: it shares its models with the
scoreboards.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from virtiofs_model.defects import DEFECTS, by_scoreboard
from virtiofs_model.ramfs import RamfsServer
from virtiofs_tb.agents.firmware import FirmwareAgent
from virtiofs_tb.host.dpu import RegisterDpu
from virtiofs_tb.host.model_host import ModelHost
from virtiofs_tb.profile import load
from virtiofs_tb.scenario import Bench, load_scenarios
from virtiofs_tb.scoreboards import ScoreboardSet
from virtiofs_tb.seeds import stream

ROOT = Path(__file__).parents[2]
STRICT = load(ROOT / "profiles" / "ours-strict.toml")
SCENARIOS = load_scenarios(ROOT / "tests" / "sim" / "scenarios")
LIMIT_PS = 20_000_000_000
SEEDS = (2, 3)
ANSWERING = ("file_system", "client_cache", "announcements")
FILE_SYSTEM = {info.defect.value for board in ANSWERING for info in by_scoreboard(board)}
FILE_SYSTEM.add("lock_place_not_kept")
"""Those of the file system show where it answers: tests/unit/test_file_system_board.py, test_announcement_board.py."""
NEGOTIATED = {name for name, info in DEFECTS.items() if info.features}
"""Those of features that are not usual: tests/unit/test_ring_defects.py."""

# The scenario that shows a defect, where it is not the first one below.
USUAL = "without_the_notification_feature"
SHOWN_BY = {
    "vector_readback": "vectors_map_and_unmap",
    "features_ok_without_version_1": "bad_feature_sets_are_refused",
    "isr_not_cleared": "configuration_interrupt_sets_the_isr",
    "hiprio_behind_requests": "waits_for_locks",
    "payload_above_mps": "session_browse",
    "read_crosses_4k": "payload_faults_give_eio",
    "used_length_of_buffer": "session_browse",
    "reply_to_other_context": "notifications_among_requests",
    "notify_small_chain": "a_buffer_that_is_too_small",
    "notify_lost": "held_messages_arrive_in_order",
    "notify_before_init": "notifications_wait_for_init",
    "notify_reordered": "held_messages_arrive_in_order",
    "init_refused_empties_store": "a_refused_init_empties_nothing",
    "notify_overtakes_reply": "notifications_stay_behind_replies",
    "pending_lost": "masked_interrupts_wait",
    "interrupt_no_vector": "every_way_to_take_interrupts",
    "interrupt_while_masked": "masked_interrupts_wait",
    "interrupt_suppressed_sent": "every_way_to_take_interrupts",
    "config_interrupt_without_isr": "configuration_interrupt_sets_the_isr",
    "intx_not_deasserted": "interrupts_by_inta",
    "intx_while_disabled": "interrupts_by_inta",
    "intx_status_disabled": "interrupts_by_inta",
    "intx_without_isr": "interrupts_by_inta",
    "intx_missing": "interrupts_by_inta",
    "intx_with_msix": "configuration_interrupt_sets_the_isr",
}


BEHIND_FIRMWARE = [name for name, scenario in SCENARIOS.items() if not scenario.not_applicable(ModelHost(1).caps)]
"""What the endpoint itself announces is judged where it answers: tests/unit/test_file_system_board.py."""


def judged(name: str, seed: int, defect: str | None = None) -> tuple[ScoreboardSet, Exception | None]:
    """Run a scenario on the golden device with all scoreboards on; also what the scenario itself raised."""
    host = ModelHost(seed, defect=defect)
    firmware = FirmwareAgent(host.engine, RamfsServer(), host.loop, stream(seed, "firmware"))
    if isinstance(host.dpu, RegisterDpu):
        host.dpu.firmware = firmware.fs_request
    tb = Bench(seed, ROOT / "tests" / "data" / "sessions", firmware=firmware, faults=host.faults)
    tb.options["random_operations"] = 40
    boards = ScoreboardSet(STRICT)
    host.log.subscribe(boards.observe)
    error: Exception | None = None
    try:
        host.run(SCENARIOS[name].function(host, tb), LIMIT_PS)
        host.drain(LIMIT_PS)
    except Exception as raised:  # a device with a defect may do anything to its driver
        error = raised
        host.log.flush()
    boards.finish()
    return boards, error


@pytest.mark.parametrize("defect", sorted(set(DEFECTS) - FILE_SYSTEM - NEGOTIATED))
def test_defect_is_caught(defect: str) -> None:
    info = DEFECTS[defect]
    boards, _ = judged(SHOWN_BY.get(defect, USUAL), 1, defect)
    assert boards.failures, "nothing was found"
    first = boards.failures[0]
    assert first.board == info.scoreboard, str(first)
    assert first.clause, str(first)


def test_each_scoreboard_has_three_defects() -> None:
    names = [info.scoreboard for info in DEFECTS.values()]
    assert all(names.count(board) >= 3 for board in ScoreboardSet(STRICT).counts)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", BEHIND_FIRMWARE)
def test_a_correct_device_is_clean(name: str, seed: int) -> None:
    boards, error = judged(name, seed)
    assert error is None
    assert [str(failure) for failure in boards.failures] == []
    assert boards.counts["config_space"] or "dpu_client" in SCENARIOS[name].needs, "a driver comes, or the DPU alone"
