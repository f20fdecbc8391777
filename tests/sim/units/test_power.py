"""D3hot and back on the registers alone: PCI Bus Power Management Interface Specification 1.2, 3.2 and 5.4; PCI Express
Base Specification 5.3.1.4 (D3hot), 2.3.1 (Retry Status behind it).
"""

from __future__ import annotations

import pytest

from tests.sim.units.front_host import (
    ASSERT,
    COMMAND,
    COMMON,
    DEASSERT,
    MASTER,
    MEMORY,
    MSIX,
    RETRY,
    SUCCESS,
    TABLE,
    UNSUPPORTED,
    WINDOW,
    Completion,
    FrontHost,
)

POWER = 0x80
CONTROL = POWER + 4
D0, D1, D2, D3HOT = range(4)


def answers(seen: list[object]) -> dict[int, Completion]:
    return {item.tag: item for item in seen if isinstance(item, Completion)}


@pytest.fixture
def host() -> FrontHost:
    host = FrontHost()
    host.bring_up()
    return host


def test_capability(host: FrontHost) -> None:
    """Behind MSI-X in the list: version 3, neither D1 nor D2 nor PME, No_Soft_Reset 0."""
    tags = {host.config_read(MSIX): 0x000A_8011, host.config_read(POWER): 0x0003_9401, host.config_read(CONTROL): 0}
    seen = answers(host.run())
    assert {tag: seen[tag].value for tag in tags} == tags


@pytest.mark.parametrize("state", (D1, D2))
@pytest.mark.parametrize("before", (D0, D3HOT))
def test_states_that_do_not_exist(host: FrontHost, before: int, state: int) -> None:
    """The write is answered, and the state stays."""
    host.config_write(CONTROL, before)
    write, read = host.config_write(CONTROL, state), host.config_read(CONTROL)
    seen = answers(host.run())
    assert (seen[write].status, seen[read].value) == (SUCCESS, before)


def test_asleep(host: FrontHost) -> None:
    """No request but for configuration is served, through the window neither, and nothing is sent; INTA is low."""
    host.command("irq 2", "wait 20")
    host.config_write(CONTROL, D3HOT)
    host.command("wait 30", "mark asleep", "irq 3")
    memory = host.read(COMMON + 0x14)
    host.write(COMMON + 0x14, 0, 0x1)
    host.config_write(WINDOW + 8, COMMON + 0x14)
    host.config_write(WINDOW + 12, 1)
    window, identity, command = host.config_read(WINDOW + 16), host.config_read(0), host.config_read(COMMAND)
    seen = host.run()
    found = answers(seen)
    assert [item for item in seen if not isinstance(item, Completion)] == [ASSERT, DEASSERT, "asleep"]
    assert found[memory] == Completion(memory, UNSUPPORTED, None)
    assert found[window].value == 0
    assert found[identity].value == 0x105A_1AF4
    value = found[command].value
    assert value is not None and value & 0xFFFF == MEMORY | MASTER


def test_back_to_d0(host: FrontHost) -> None:
    """Retry Status until all has run dry; then configuration space is as it was, and the device as after a reset."""
    host.config_write(MSIX, 0xC000_0000)
    host.write(TABLE, 0xFEE0_0000)
    host.write(TABLE + 12, 0)
    host.write(COMMON + 0x10, 0, 0x3)
    host.command("wait 60", "fatal", "busy 1")
    host.config_write(CONTROL, D3HOT)
    host.command("wait 30")
    host.config_write(CONTROL, D0)
    early, memory = host.config_read(0), host.read(COMMON)
    host.command("wait 40", "busy 0", "wait 40")
    host.config_write(MSIX, 0x8000_0000)
    configuration = {
        CONTROL: 0,
        COMMAND: 0x0010_0006,
        0x10: 0x2340_0004,
        0x14: 1,
        MSIX: 0x800A_8011,
    }
    tags: dict[int, int] = {host.config_read(offset): value for offset, value in configuration.items()}
    registers = {COMMON + 0x14: 0, COMMON + 0x10: 0x0006_FFFF, TABLE + 12: 1, 0x5000: 0}
    tags |= {host.read(offset): value for offset, value in registers.items()}
    seen = host.run()
    found = answers(seen)
    assert found[early] == Completion(early, RETRY, None)
    assert found[memory] == Completion(memory, UNSUPPORTED, None)
    assert {tag: found[tag].value for tag in tags} == tags
    assert not [item for item in seen if isinstance(item, tuple)]


def test_d0_to_d0_resets_nothing(host: FrontHost) -> None:
    host.config_write(CONTROL, D0)
    host.command("wait 30")
    tag = host.read(COMMON + 0x14)
    value = answers(host.run())[tag].value
    assert value is not None and value & 0xFF == 0x0F


def test_function_reset_wakes(host: FrontHost) -> None:
    """A function level reset in D3hot ends in D0."""
    host.config_write(CONTROL, D3HOT)
    host.command("wait 30")
    host.config_write(0x48, 0x8000, 0x2)
    host.command("wait 60")
    state, command = host.config_read(CONTROL), host.config_read(COMMAND)
    seen = answers(host.run())
    assert (seen[state].value, seen[command].value) == (0, 0x0010_0000)
