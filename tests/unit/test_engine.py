"""Messages of fuse_engine_if: the same places in Python and SystemVerilog."""

from __future__ import annotations

import random
import re
from dataclasses import fields

import pytest

from virtiofs_model import engine
from virtiofs_tb.paths import ROOT

STRUCTURES = {
    "engine_request_t": engine.EngineRequest,
    "mover_job_t": engine.MoverJob,
    "mover_done_t": engine.MoverDone,
    "engine_reply_t": engine.EngineReply,
    "engine_notify_t": engine.EngineNotify,
    "engine_control_t": engine.EngineControl,
}
OTHER_NAMES = {"fn": "function", "dir": "direction", "msg_class": "notify_class"}
"""Fields that SystemVerilog calls otherwise, since the plain names are its keywords or types."""


def places(structure: str) -> dict[str, tuple[int, int]]:
    """Lowest bit and width of each field of a packed struct of endpoint_pkg, the first the most significant."""
    package = (ROOT / "hdl" / "pkg" / "endpoint_pkg.sv").read_text()
    (body,) = re.findall(r"typedef struct packed {([^}]*)} " + structure, package)
    found: dict[str, tuple[int, int]] = {}
    low = 0
    for top, name in reversed(re.findall(r"logic \[(\d+):0\] +(\w+);", body)):
        found[OTHER_NAMES.get(name, name)] = (low, int(top) + 1)
        low += int(top) + 1
    assert low == 128, f"{structure} has {low} bits"
    return {name: place for name, place in found.items() if not name.startswith("reserved")}


@pytest.mark.parametrize("structure", STRUCTURES)
def test_places_are_those_of_the_package(structure: str) -> None:
    message = STRUCTURES[structure]
    assert dict(zip((item.name for item in fields(message)), message.PLACES, strict=True)) == places(structure)


@pytest.mark.parametrize("message", STRUCTURES.values())
def test_a_message_survives_its_word(message: type[engine.EngineRequest]) -> None:
    rng = random.Random(2)
    mask = sum(((1 << width) - 1) << low for low, width in message.PLACES)
    for _ in range(100):
        user = rng.getrandbits(128)
        assert message.from_user(user).to_user() == user & mask
        assert message.from_user(user) == message.from_user(user & mask)


def test_a_request_as_a_word() -> None:
    request = engine.EngineRequest(3, 2, engine.Lane.REQ, 1, 0x111, 0x222, 0, 273)
    assert request.to_user() == 273 << 112 | 0x222 << 64 | 0x111 << 32 | 0x01020203
