"""cocotbext-pcie's RootComplex enumerates the endpoint in the simulator and sees what our driver sees."""

from __future__ import annotations

import json
from typing import Any

import pytest

from virtiofs_tb import build
from virtiofs_tb.paths import ENDPOINT_FILELIST, SIM_BUILD

pytest.importorskip("cocotbext.pcie.core", reason="python3 tools/bootstrap.py peers installs it")

MODULE = "tests.peers.root_complex"


@pytest.fixture(scope="module")
def seen() -> dict[str, Any]:
    """What each of the two found."""
    simulation = build.build(ENDPOINT_FILELIST, None)
    directory = SIM_BUILD / "peers" / "root_complex"
    outcome = build.run(simulation, MODULE, None, 1, directory, {"VIRTIOFS_RUN_DIR": str(directory)})
    assert outcome.passed, outcome.failures
    content: dict[str, Any] = json.loads((directory / "root_complex.json").read_text())
    return content


def test_both_talked_to_the_endpoint(seen: dict[str, Any]) -> None:
    assert seen["theirs"]["packets"] > 100 and seen["violations"] == []


@pytest.mark.parametrize("what", ["identity", "subsystem", "bars", "bar_flags", "num_queues"])
def test_same(seen: dict[str, Any], what: str) -> None:
    assert seen["theirs"][what] == seen["ours"][what] != []


def test_same_capabilities(seen: dict[str, Any]) -> None:
    """Ids, places, order and contents."""
    assert seen["theirs"]["capabilities"] == seen["ours"]["capabilities"]
    assert len(seen["ours"]["capabilities"]) >= 7
