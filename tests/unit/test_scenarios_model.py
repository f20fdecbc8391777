"""Every scenario on the golden device, without a simulator."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path

import pytest

from virtiofs_model.ramfs import RamfsServer
from virtiofs_tb.agents.firmware import FirmwareAgent
from virtiofs_tb.driver.bringup import discover, start
from virtiofs_tb.driver.fuse_client import Reply
from virtiofs_tb.driver.session import Replay, SessionRecord, load_session
from virtiofs_tb.host.dpu import RegisterDpu
from virtiofs_tb.host.model_host import ModelHost
from virtiofs_tb.host.port import HostCaps
from virtiofs_tb.scenario import Bench, load_scenarios
from virtiofs_tb.seeds import stream

ROOT = Path(__file__).parents[2]
SCENARIOS = load_scenarios(ROOT / "tests" / "sim" / "scenarios")
SEED = 1
LIMIT_PS = 200_000_000_000
SHORTER = {"random_operations": 60}


def bench(host: ModelHost, seed: int, server: RamfsServer | None = None) -> Bench:
    """A bench whose firmware is the golden file system."""
    firmware = FirmwareAgent(host.engine, server or RamfsServer(), host.loop, stream(seed, "firmware"))
    if isinstance(host.dpu, RegisterDpu):
        host.dpu.firmware = firmware.fs_request
    tb = Bench(seed, ROOT / "tests" / "data" / "sessions", firmware=firmware, faults=host.faults)
    tb.options.update(SHORTER)
    return tb


@pytest.mark.parametrize("name", SCENARIOS)
def test_scenario(name: str) -> None:
    """On a target that can do what the scenario says it needs, and nothing more."""
    scenario = SCENARIOS[name]
    host = ModelHost(SEED)
    reason = scenario.not_applicable(host.caps)
    if reason:
        pytest.skip(f"{reason}, which firmware has not: test_file_system_board.py runs it where the endpoint answers")
    tb = bench(host, SEED)
    host.caps = HostCaps(**dict.fromkeys(scenario.needs, True))
    if not host.caps.dpu:
        host.dpu = None
    if not host.caps.faults:
        tb.faults = None
    host.run(scenario.function(host, tb), LIMIT_PS)
    assert not host.violations, host.violations
    host.drain(LIMIT_PS)


@pytest.mark.parametrize("order", [sorted(SCENARIOS), sorted(SCENARIOS, reverse=True)], ids=["forward", "backward"])
def test_scenarios_one_after_the_other(order: list[str]) -> None:
    """On one device and one file system: none leaves anything behind that breaks the next."""
    host = ModelHost(SEED)
    tb = bench(host, SEED)
    for name in order:
        if SCENARIOS[name].not_applicable(host.caps):
            continue
        host.run(SCENARIOS[name].function(host, tb), LIMIT_PS)
    assert not host.violations, host.violations


def test_the_driver_holds_what_the_firmware_answered() -> None:
    host = ModelHost(SEED)
    answered: list[bytes | None] = []

    class Recording(RamfsServer):
        def handle(
            self, message: bytes, writable: int | None = None, length: int | None = None, token: Hashable = None
        ) -> bytes | None:
            answered.append(super().handle(message, writable, length, token))
            return answered[-1]

    tb = bench(host, SEED, Recording())
    held: list[bytes | None] = []

    async def main() -> None:
        ready = await start(host, tb, await discover(host, tb))
        records = load_session(tb.sessions / "file-io.jsonl")

        def keep(record: SessionRecord, message: bytes, reply: Reply) -> None:
            held.append(reply.message if record.reply is not None else None)

        await Replay(ready.client, records, on_reply=keep).run()

    host.run(main(), LIMIT_PS)
    assert held == answered and len(held) == 148
