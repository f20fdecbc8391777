"""Defects of what is negotiated beyond the usual features, each caught by the scoreboard that the registry names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from virtiofs_model.defects import DEFECTS
from virtiofs_model.ramfs import RamfsServer
from virtiofs_model.registers import BUILT_FEATURES
from virtiofs_model.ring_defects import RING_DEFECTS
from virtiofs_model.showings import showing
from virtiofs_tb import catalogue
from virtiofs_tb.agents.firmware import FirmwareAgent
from virtiofs_tb.driver.features import NEEDED
from virtiofs_tb.host.model_host import ModelHost
from virtiofs_tb.profile import load
from virtiofs_tb.scenario import Bench
from virtiofs_tb.scoreboards import ScoreboardSet
from virtiofs_tb.seeds import stream

ROOT = Path(__file__).parents[2]
STRICT = load(ROOT / "profiles" / "ours-strict.toml")
LIMIT_PS = 3_000_000_000
CAPS = {NEEDED[feature]: bool(BUILT_FEATURES & feature.mask) for feature in NEEDED}


def judged(name: str, defect: str | None) -> ScoreboardSet:
    """Run a test of one scenario on the golden device, all scoreboards on."""
    host = ModelHost(1, defect=defect)
    host.caps = replace(host.caps, **CAPS)
    firmware = FirmwareAgent(host.engine, RamfsServer(), host.loop, stream(1, "firmware"))
    tb = Bench(1, ROOT / "tests" / "data" / "sessions", firmware=firmware, faults=host.faults)
    tb.options["feature_items"] = 40
    boards = ScoreboardSet(STRICT)
    host.log.subscribe(boards.observe)
    try:
        host.run(catalogue.find(name).steps[0].function(host, tb), LIMIT_PS)
        host.drain(LIMIT_PS)
    except Exception:  # a device with a defect may do anything to its driver
        host.log.flush()
        assert defect is not None
    boards.finish()
    return boards


@pytest.mark.parametrize("defect", sorted(RING_DEFECTS))
def test_defect_is_caught(defect: str) -> None:
    info = DEFECTS[defect]
    boards = judged(showing(info).test, defect)
    assert boards.failures, "nothing was found"
    first = boards.failures[0]
    assert first.board == info.scoreboard, str(first)
    assert first.clause, str(first)


def test_a_sound_device_sends_nothing_for_a_queue_that_was_reset() -> None:
    """tests/unit/test_scoreboard_defects.py judges the other scenarios."""
    assert [str(failure) for failure in judged("tests/grade/masked_queue_reset.py", None).failures] == []
