"""INTA as messages (hdl/pcie/intx.sv), the ISR and PCI Status behind it, on the registers alone: PCI-ISR-D02..D05; PCI
Express Base Specification, INTx interrupt signaling (2.2.8.1, 6.1.2) and Interrupt Disable (7.5.1.1.3).
"""

from __future__ import annotations

import random

import pytest

from tests.sim.units.front_host import (
    ASSERT,
    COMMAND,
    COMMON,
    DEASSERT,
    INTERRUPT,
    INTX_DISABLE,
    ISR,
    MASTER,
    MEMORY,
    MSIX,
    TABLE,
    Completion,
    FrontHost,
)

PENDING = 1 << 19


def messages(seen: list[object]) -> list[object]:
    return [item for item in seen if item in (ASSERT, DEASSERT)]


def values(seen: list[object]) -> list[int | None]:
    return [item.value for item in seen if isinstance(item, Completion)]


@pytest.fixture
def host() -> FrontHost:
    host = FrontHost()
    host.bring_up()
    return host


def test_pin(host: FrontHost) -> None:
    """Interrupt Pin tells INTA."""
    host.config_read(INTERRUPT)
    assert values(host.run()) == [0x0100]


def test_used_buffer_raises_the_line_and_reading_the_isr_lowers_it(host: FrontHost) -> None:
    """The Deassert_INTA goes before the completion of the read that caused it: no spurious interrupt follows."""
    host.command("irq 2", "wait 20", "irq 3", "wait 20")
    host.config_read(COMMAND)
    host.read(ISR, enables=1)
    host.command("wait 30")
    host.config_read(COMMAND)
    host.read(ISR, enables=1)
    seen = host.run()
    assert messages(seen) == [ASSERT, DEASSERT]
    status, isr, later, again = values(seen)
    assert status is not None and status & PENDING and isr == 1
    assert later is not None and not later & PENDING and again == 0
    completions = [item for item in seen if isinstance(item, Completion)]
    assert seen.index(DEASSERT) < seen.index(completions[1])


def test_configuration_change_sets_bit_1(host: FrontHost) -> None:
    """DEVICE_NEEDS_RESET is told as a change of the configuration; a reset takes the line down before it reads 0."""
    host.command("fatal", "wait 30")
    host.write(COMMON + 0x14, 0, 0x1)
    host.command("wait 20")
    host.read(COMMON + 0x14)
    host.read(ISR, enables=1)
    seen = host.run()
    assert messages(seen) == [ASSERT, DEASSERT]
    assert [value & 0xFF for value in values(seen) if value is not None] == [0, 0]
    assert isinstance(seen[-1], Completion) and seen.index(DEASSERT) < len(seen) - 2


def test_bus_master_does_not_hold_it() -> None:
    """Bus Master Enable is about memory and I/O requests only."""
    host = FrontHost()
    host.bring_up(MEMORY)
    host.command("irq 2", "wait 20")
    assert messages(host.run()) == [ASSERT]


def test_interrupt_disable_lowers_the_line_and_keeps_the_status_bit(host: FrontHost) -> None:
    host.command("irq 2", "wait 20")
    host.config_write(COMMAND, MEMORY | MASTER | INTX_DISABLE)
    host.command("wait 20")
    host.config_read(COMMAND)
    host.command("mark enabled")
    host.config_write(COMMAND, MEMORY | MASTER)
    seen = host.run()
    assert messages(seen) == [ASSERT, DEASSERT, ASSERT]
    assert seen.index("enabled") < len(seen) - seen[::-1].index(ASSERT)
    assert any(value is not None and value & PENDING for value in values(seen))


def test_msix_takes_over(host: FrontHost) -> None:
    """With MSI-X on there is neither a line, nor a status bit, nor ISR bit 0 (PCI-USEDINT-D01, PCI-ISR-D04)."""
    host.command("irq 2", "wait 20")
    host.config_write(MSIX, 0x8000_0000)
    host.command("wait 20")
    host.config_read(COMMAND)
    host.read(ISR, enables=1)
    host.command("wait 20", "irq 2", "wait 20")
    host.read(ISR, enables=1)
    seen = host.run()
    assert messages(seen) == [ASSERT, DEASSERT]
    _, status, isr, again = values(seen)
    assert status is not None and not status & PENDING and isr == 1 and again == 0


def test_configuration_vector_and_isr(host: FrontHost) -> None:
    """The ISR bit of a configuration change is set with MSI-X too, without a message of INTx (PCI-ISR-D02)."""
    host.config_write(MSIX, 0x8000_0000)
    host.write(TABLE, 0xFEE0_0000)
    host.write(TABLE + 8, 0x41)
    host.write(TABLE + 12, 0)
    host.write(COMMON + 0x10, 0, 0x3)
    host.command("wait 20", "fatal", "wait 30")
    host.read(ISR, enables=1)
    seen = host.run()
    assert messages(seen) == [] and ("msix", 0xFEE0_0000, 0x41) in seen
    assert values(seen)[-1] == 2


@pytest.mark.parametrize("seed", range(1, 6))
def test_random_order(seed: int) -> None:
    """Whatever comes when, with rq stalled now and then: messages take turns, and the last one tells the level."""
    dice = random.Random(seed)
    host = FrontHost()
    host.bring_up()
    disabled = False
    for _ in range(150):
        what = dice.randrange(6)
        if what <= 1:
            host.command(f"irq {dice.randrange(5)}")
        elif what == 2:
            host.read(ISR, enables=1)
        elif what == 3:
            disabled = not disabled
            host.config_write(COMMAND, MEMORY | (INTX_DISABLE if disabled else 0))
        elif what == 4:
            host.command("stall 1", f"wait {dice.randrange(40)}", "stall 0")
        else:
            host.command(f"wait {dice.randrange(30)}")
    host.command("wait 60", "irq 2", "wait 60", "mark end")
    seen = messages(host.run(seed))
    assert seen == [(ASSERT, DEASSERT)[at % 2] for at in range(len(seen))]
    assert len(seen) % 2 == (0 if disabled else 1)
    assert len(seen) > 10
