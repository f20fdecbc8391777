"""The client with caches needs no scoreboard: each rule of announcements, broken, leaves something stale in its hands.

Device and client share no opinion of what must be announced, so this proves more than the scoreboard of announcements
does on the golden device.
"""

from __future__ import annotations

import pytest

from tests.unit.recorded_runs import LIMIT_PS, ROOT, SCENARIOS
from virtiofs_model.defects import Defect, DefectInfo, by_scoreboard
from virtiofs_model.ramfs import Limits
from virtiofs_tb.driver.errors import DriverError
from virtiofs_tb.host.model_host import ModelHost
from virtiofs_tb.scenario import Bench

NAME = "a_client_with_caches_holds_what_is_true"
SEEDS = range(1, 31)
MESSAGES = tuple(info for info in by_scoreboard("announcements") if info.defect.value.startswith("announce_"))


def found(seed: int, defect: Defect | None) -> str:
    """What the client finds in its caches that is not so; "" nothing."""
    host = ModelHost(seed, defect=defect.value if defect else None, ramfs=Limits())
    tb = Bench(seed, ROOT / "tests" / "data" / "sessions", faults=host.faults)
    try:
        host.run(SCENARIOS[NAME].function(host, tb), LIMIT_PS)
    except DriverError as error:
        return error.what
    return ""


@pytest.mark.parametrize("info", MESSAGES, ids=lambda info: info.defect.value)
def test_it_sees_each_broken_rule(info: DefectInfo) -> None:
    what = next((text for seed in SEEDS if (text := found(seed, info.defect))), "")
    assert what.startswith(("cached ", "inodes of messages")), what


def test_it_is_content_with_a_sound_device() -> None:
    assert [found(seed, None) for seed in (1, 2, 3)] == [""] * 3
