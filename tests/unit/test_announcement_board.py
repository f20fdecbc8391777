"""The scoreboard of announcements on the golden device: each rule of docs/notifications.md, broken, is caught.

Scoreboard and device hold the same golden file system here, so only the runs with a defect prove something.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from virtiofs_model.defects import Defect, DefectInfo, by_scoreboard
from virtiofs_model.ramfs import Limits
from virtiofs_tb.driver.errors import DriverError
from virtiofs_tb.host.model_host import ModelHost
from virtiofs_tb.profile import load
from virtiofs_tb.scenario import Bench, load_scenarios
from virtiofs_tb.scoreboards import ScoreboardSet

ROOT = Path(__file__).parents[2]
STRICT = load(ROOT / "profiles" / "ours-strict.toml")
SCENARIOS = load_scenarios(ROOT / "tests" / "sim" / "scenarios")
LIMIT_PS = 20_000_000_000
DIRECTED = "changes_by_the_dpu_are_announced"
RANDOM = "a_client_with_caches_holds_what_is_true"
COALESCING = "a_full_store_coalesces"
SEEDS = {DIRECTED: range(1, 2), COALESCING: range(1, 2), RANDOM: range(1, 40)}
BY_CHANCE = {
    Defect.ANNOUNCE_OVERFLOW_SILENT,
    Defect.ANNOUNCE_NO_EPOCH,
    Defect.ANNOUNCE_EPOCH_ALONE,
    Defect.ANNOUNCE_OLD_SESSION,
}
"""They show where the store is full."""


def judged(name: str, seed: int, defect: Defect | None) -> ScoreboardSet:
    host = ModelHost(seed, defect=defect.value if defect else None, ramfs=Limits())
    tb = Bench(seed, ROOT / "tests" / "data" / "sessions", faults=host.faults)
    boards = ScoreboardSet(STRICT)
    boards.engage_ramfs()
    host.log.subscribe(boards.observe)
    try:
        host.run(SCENARIOS[name].function(host, tb), LIMIT_PS)
    except DriverError:
        assert defect is not None
    host.drain(LIMIT_PS)
    boards.finish()
    return boards


DEFECTS = [info for info in by_scoreboard("announcements") if info.defect.name.startswith("ANNOUNCE_")]
"""The others: test_notice_boards.py."""


@pytest.mark.parametrize("info", DEFECTS, ids=lambda info: info.defect.value)
def test_a_broken_rule_is_caught(info: DefectInfo) -> None:
    name = RANDOM if info.defect in BY_CHANCE else DIRECTED
    if info.defect is Defect.ANNOUNCE_COALESCED_LAST:
        name = COALESCING
    boards = next((found for seed in SEEDS[name] if (found := judged(name, seed, info.defect)).failures), None)
    assert boards is not None, "nothing was found"
    assert {failure.board for failure in boards.failures} == {"announcements"}, [str(one) for one in boards.failures]
    assert boards.failures[0].expected and boards.failures[0].seen


@pytest.mark.parametrize("seed", range(3))
def test_a_sound_device_is_content(seed: int) -> None:
    boards = judged(RANDOM, seed, None)
    assert [str(failure) for failure in boards.failures] == []
    assert boards.counts["announcements"] > 20
