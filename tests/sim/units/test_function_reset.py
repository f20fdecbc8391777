"""Function level reset (hdl/pcie/flr_control.sv) on the registers alone: PCI Express Base Specification 6.6.2, 2.3.1
(Configuration Request Retry Status), 7.5.3.3 and 7.5.3.4; nothing follows for what came before (RESET-D02, D03).
"""

from __future__ import annotations

import pytest

from tests.sim.units.front_host import (
    ASSERT,
    BAR,
    COMMAND,
    COMMON,
    DEASSERT,
    INTERRUPT,
    ISR,
    MASTER,
    MEMORY,
    MSIX,
    PCIE,
    RETRY,
    SUCCESS,
    TABLE,
    UNSUPPORTED,
    Completion,
    FrontHost,
)

INITIATE = 0x8000
DEVICE_CONTROL, LINK_CONTROL = PCIE + 0x08, PCIE + 0x10


def answers(seen: list[object]) -> dict[int, Completion]:
    return {item.tag: item for item in seen if isinstance(item, Completion)}


@pytest.fixture
def host() -> FrontHost:
    host = FrontHost()
    host.bring_up()
    return host


def test_it_is_offered(host: FrontHost) -> None:
    """Device Capabilities bit 28; Initiate FLR reads 0, and the other half of the register does not begin one."""
    capability = host.config_read(PCIE + 4)
    host.config_write(DEVICE_CONTROL, INITIATE | 0x5000, 0x1)
    control, command = host.config_read(DEVICE_CONTROL), host.config_read(COMMAND)
    seen = answers(host.run())
    assert seen[capability].value == 0x1000_8002
    assert seen[control].value == 0x2000
    assert seen[command].value == 0x0010_0006


def test_retry_until_everything_has_run_dry(host: FrontHost) -> None:
    """The write itself is answered; then configuration requests wait, and memory requests find no function."""
    host.command("busy 1")
    start = host.config_write(DEVICE_CONTROL, INITIATE)
    early = [host.config_read(0), host.config_write(COMMAND, MEMORY)]
    memory = host.read(COMMON + 0x14)
    host.write(COMMON + 0x14, 0x01, 0x1)
    host.command("wait 300")
    late = host.config_read(0)
    host.command("wait 30", "busy 0", "wait 40")
    ready, command, status = host.config_read(0), host.config_read(COMMAND), host.config_read(DEVICE_CONTROL)
    seen = answers(host.run())
    assert seen[start].status == SUCCESS
    assert [seen[tag] for tag in (*early, late)] == [Completion(tag, RETRY, None) for tag in (*early, late)]
    assert seen[memory] == Completion(memory, UNSUPPORTED, None)
    assert seen[ready] == Completion(ready, SUCCESS, 0x105A_1AF4)
    assert seen[command].value == 0x0010_0000
    assert seen[status].value == 0x2000, "what met the reset is no error"


def test_what_is_lost_and_what_is_kept(host: FrontHost) -> None:
    """All goes to its default but Max_Payload_Size, Link Control, and the address of the function."""
    host.config_write(DEVICE_CONTROL, 0x104F)
    host.config_write(LINK_CONTROL, 0x00C8)
    host.config_write(MSIX, 0xC000_0000)
    host.config_write(INTERRUPT, 0x0B)
    host.config_write(0x0C, 0x10)
    host.write(TABLE, 0xFEE0_0000)
    host.write(TABLE + 12, 0)
    host.write(COMMON + 0x10, 0, 0x3)
    host.config_write(0x30, 0, 0xF)
    host.write(0x1_0000, 0)
    host.command("wait 30")
    before = host.config_read(DEVICE_CONTROL)
    host.config_write(DEVICE_CONTROL, INITIATE, 0x2)
    host.command("wait 60")
    expected = {
        DEVICE_CONTROL: 0x2040,
        LINK_CONTROL: 0x0043_00C8,
        MSIX: 0x000A_8011,
        INTERRUPT: 0x0100,
        0x0C: 0,
        0x10: 0x0000_0004,
        0x14: 0,
        COMMAND: 0x0010_0000,
    }
    tags = {host.config_read(offset): value for offset, value in expected.items()}
    host.config_write(0x10, BAR & 0xFFFFFFFF)
    host.config_write(0x14, BAR >> 32)
    host.config_write(COMMAND, MEMORY)
    host.command("wait 100")
    registers = {TABLE: 0, TABLE + 12: 1, COMMON + 0x10: 0x0006_FFFF, COMMON + 0x14: 0, ISR: 0}
    tags |= {host.read(offset): value for offset, value in registers.items()}
    seen = answers(host.run())
    assert seen[before].value == 0x000A_104F, "an unsupported posted request was seen"
    assert {tag: seen[tag].value for tag in tags} == tags


def test_the_line_goes_low_first(host: FrontHost) -> None:
    """Deassert_INTA is sent before the reset, and no other message after it."""
    host.command("irq 2", "wait 20", "busy 1")
    host.config_write(DEVICE_CONTROL, INITIATE)
    host.command("wait 60", "mark low", "irq 3", "wait 20", "busy 0", "wait 60", "mark over")
    seen = host.run()
    told = [item for item in seen if not isinstance(item, Completion)]
    assert told == [ASSERT, DEASSERT, "low", "over"]


def test_pending_bits_are_forgotten(host: FrontHost) -> None:
    """A masked vector's pending bit is gone; the vector that is set up anew says nothing of what was before."""
    host.config_write(MSIX, 0xC000_0000)
    host.write(TABLE + 12, 0)
    host.write(COMMON + 0x10, 0, 0x3)
    host.command("wait 20", "fatal", "wait 20")
    pending = host.read(0x5000)
    host.config_write(DEVICE_CONTROL, INITIATE)
    host.command("wait 80", "mark anew")
    host.bring_up()
    host.config_write(MSIX, 0x8000_0000)
    host.write(TABLE + 12, 0)
    host.write(COMMON + 0x10, 0, 0x3)
    host.command("wait 40")
    empty = host.read(0x5000)
    seen = host.run()
    found = answers(seen)
    assert not [item for item in seen if isinstance(item, tuple) and item[0] == "msix"]
    assert (found[pending].value, found[empty].value) == (1, 0)


@pytest.mark.parametrize("wait", (0, 3, 40))
def test_in_the_middle_of_a_device_reset(host: FrontHost, wait: int) -> None:
    host.command("busy 1")
    host.write(COMMON + 0x14, 0, 0x1)
    host.command(f"wait {wait}")
    host.config_write(DEVICE_CONTROL, INITIATE)
    host.command("wait 60")
    during = host.config_read(0)
    host.command("wait 30", "busy 0", "wait 80")
    after = host.config_read(0)
    host.config_write(0x10, BAR & 0xFFFFFFFF)
    host.config_write(0x14, BAR >> 32)
    host.config_write(COMMAND, MEMORY | MASTER)
    host.command("wait 30")
    status = host.read(COMMON + 0x14)
    seen = answers(host.run())
    assert (seen[during].status, seen[after].status) == (RETRY, SUCCESS)
    assert seen[status].value == 0
