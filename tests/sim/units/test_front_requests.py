"""Requests of the host on the registers alone: the PCI_CFG window (PCI-PCICFG-D01..D03), doorbells at every width,
byte enables, requests that no function decodes, and the error bits of Status and Device Status (PCI Express Base
Specification 2.3.1, 6.2.3.2.4, 7.5.1.1.4, 7.5.3.5).
"""

from __future__ import annotations

import pytest

from tests.sim.units.front_host import (
    COMMAND,
    COMMON,
    DEASSERT,
    DOORBELLS,
    FUNCTION,
    ISR,
    MASTER,
    MEMORY,
    PCIE,
    SUCCESS,
    TABLE,
    UNSUPPORTED,
    WINDOW,
    Completion,
    FrontHost,
)

WINDOW_BAR, WINDOW_OFFSET, WINDOW_LENGTH, WINDOW_DATA = (WINDOW + at for at in (0x4, 0x8, 0xC, 0x10))
DEVICE_STATUS = PCIE + 0x08
CORRECTABLE, NON_FATAL, UNSUPPORTED_REQUEST = 1 << 16, 1 << 17, 1 << 19
PARITY, MASTER_ABORT, TARGET_ABORT, DATA_PARITY = 1 << 31, 1 << 29, 1 << 28, 1 << 24
ERRORS = PARITY | MASTER_ABORT | TARGET_ABORT | DATA_PARITY


@pytest.fixture
def host() -> FrontHost:
    host = FrontHost()
    host.bring_up()
    return host


def answers(seen: list[object]) -> dict[int, Completion]:
    return {item.tag: item for item in seen if isinstance(item, Completion)}


def aim(host: FrontHost, offset: int, length: int, bar: int = 0) -> None:
    host.config_write(WINDOW_BAR, bar, 0x1)
    host.config_write(WINDOW_OFFSET, offset)
    host.config_write(WINDOW_LENGTH, length)


def enable_queues(host: FrontHost) -> None:
    for queue in range(3):
        host.write(COMMON + 0x14, queue << 16, 0xC)
        host.write(COMMON + 0x1C, 1, 0x3)


# ---- the window ----


@pytest.mark.parametrize("memory", (True, False))
@pytest.mark.parametrize("offset, length, expected", [(0x14, 1, 0x0F), (0x12, 2, 6), (0x0C, 4, 1), (0x13, 1, 0)])
def test_window_reads(offset: int, length: int, expected: int, memory: bool) -> None:
    """1, 2 and 4 bytes, at their place in the dword or not at its start; Memory Space Enable does not matter."""
    host = FrontHost()
    host.bring_up()
    if not memory:
        host.config_write(COMMAND, MASTER)
    aim(host, COMMON + offset, length)
    tag = host.config_read(WINDOW_DATA)
    assert answers(host.run())[tag].value == expected


def test_window_reads_clear_the_isr(host: FrontHost) -> None:
    host.command("irq 2", "wait 20")
    aim(host, ISR, 1)
    first, second = host.config_read(WINDOW_DATA), host.config_read(WINDOW_DATA)
    host.command("wait 20")
    seen = host.run()
    assert [answers(seen)[tag].value for tag in (first, second)] == [1, 0]
    assert DEASSERT in seen


@pytest.mark.parametrize("length, enables", [(2, 0x3), (4, 0xF), (1, 0x1)])
def test_window_rings_doorbells(host: FrontHost, length: int, enables: int) -> None:
    enable_queues(host)
    aim(host, DOORBELLS + 4 * 2, length)
    host.config_write(WINDOW_DATA, 2, enables)
    assert host.run().count(("doorbell", 1 << 2)) == 1


def test_window_writes_are_as_long_as_it_says(host: FrontHost) -> None:
    """The first cap.length bytes of pci_cfg_data; those behind them reach nothing."""
    host.write(TABLE, 0x1111_1110)
    aim(host, TABLE + 1, 1)
    host.config_write(WINDOW_DATA, 0xAABB_CCDD)
    host.command("wait 60")
    byte = host.read(TABLE)
    aim(host, TABLE + 2, 2)
    host.config_write(WINDOW_DATA, 0xAABB_CCDD)
    host.command("wait 60")
    half = host.read(TABLE)
    seen = answers(host.run())
    assert (seen[byte].value, seen[half].value) == (0x1111_DD10, 0xCCDD_DD10)


def test_window_resets_the_device(host: FrontHost) -> None:
    aim(host, COMMON + 0x14, 1)
    host.config_write(WINDOW_DATA, 0, 0x1)
    host.command("wait 60")
    tag = host.read(COMMON + 0x14)
    value = answers(host.run())[tag].value
    assert value is not None and value & 0xFF == 0


@pytest.mark.parametrize(
    "bar, offset, length",
    [(1, 0, 1), (0, 0, 0), (0, 0, 3), (0, 0, 8), (0, 3, 2), (0, 1, 4), (0, 2, 4), (0, 0x8000, 1), (0xFF, 0, 4)],
)
def test_window_of_no_use(host: FrontHost, bar: int, offset: int, length: int) -> None:
    """Another BAR, another length, across a dword, behind the BAR: reads 0, and a write changes nothing."""
    host.write(TABLE + 8, 0x5AA5_A55A)
    aim(host, TABLE + 8 + offset, length, bar)
    nothing = host.config_read(WINDOW_DATA)
    host.config_write(WINDOW_DATA, 0)
    host.command("wait 100")
    kept = host.read(TABLE + 8)
    seen = answers(host.run())
    assert seen[nothing] == Completion(nothing, SUCCESS, 0)
    assert seen[kept].value == 0x5AA5_A55A


# ---- doorbells and byte enables ----


@pytest.mark.parametrize("enables, rings", [(0x1, 1), (0x2, 1), (0x3, 1), (0xF, 1), (0x0, 0), (0xC, 0)])
def test_doorbell_widths(host: FrontHost, enables: int, rings: int) -> None:
    """16 bits, 32 with NOTIFICATION_DATA, and single bytes of the 16; a write of no bytes rings nothing."""
    enable_queues(host)
    host.write(DOORBELLS + 4, 0x8001_0001, enables)
    host.write(DOORBELLS + 4 * 5, 5, 0x3)
    assert [item for item in host.run() if isinstance(item, tuple)] == [("doorbell", 1 << 1)] * rings


def test_zero_length_accesses(host: FrontHost) -> None:
    """A read of no bytes is answered and has no side effect; a write of none has no effect at all."""
    host.command("irq 2", "wait 20")
    nothing = host.read(ISR, enables=0)
    host.write(COMMON + 0x14, 0, enables=0)
    host.command("wait 20")
    isr, status = host.read(ISR, enables=1), host.read(COMMON + 0x14)
    seen = answers(host.run())
    assert seen[nothing].status == SUCCESS and seen[nothing].value is not None
    assert seen[isr].value == 1
    value = seen[status].value
    assert value is not None and value & 0xFF == 0x0F


# ---- what is refused, and how that is reported ----


@pytest.mark.parametrize("kind", ("outside", "function", "disabled"))
def test_refused_reads(host: FrontHost, kind: str) -> None:
    """Unsupported Request, and since the requester is told, a correctable error (advisory)."""
    if kind == "outside":
        tag = host.read(0x8000)
    elif kind == "function":
        tag = host.config_read(0, FUNCTION | 1)
    else:
        host.config_write(COMMAND, MASTER)
        tag = host.read(COMMON)
    status = host.config_read(DEVICE_STATUS)
    seen = answers(host.run())
    assert seen[tag] == Completion(tag, UNSUPPORTED, None)
    assert seen[status].value == 0x2000 | CORRECTABLE | UNSUPPORTED_REQUEST


def test_refused_write(host: FrontHost) -> None:
    """Nobody is told: not fatal, and not correctable. Ones clear what they name."""
    host.write(0x8000, 0)
    host.command("wait 20")
    status = host.config_read(DEVICE_STATUS)
    host.config_write(DEVICE_STATUS, 0x2000 | NON_FATAL)
    left = host.config_read(DEVICE_STATUS)
    seen = answers(host.run())
    assert seen[status].value == 0x2000 | NON_FATAL | UNSUPPORTED_REQUEST
    assert seen[left].value == 0x2000 | UNSUPPORTED_REQUEST


def test_poisoned_write(host: FrontHost) -> None:
    """It changes nothing, and is a parity error that was detected."""
    host.write(COMMON + 0x14, 0, 0x1, poisoned=True)
    host.command("wait 20")
    tag, status, device = host.read(COMMON + 0x14), host.config_read(COMMAND), host.config_read(DEVICE_STATUS)
    seen = answers(host.run())
    value, errors = seen[tag].value, seen[status].value
    assert value is not None and value & 0xFF == 0x0F
    assert errors is not None and errors & ERRORS == PARITY
    assert seen[device].value == 0x2000 | NON_FATAL


@pytest.mark.parametrize(
    "mask, parity, status, device",
    [
        (0x1, False, MASTER_ABORT, 0),
        (0x2, False, TARGET_ABORT, 0),
        (0x4, False, 0, CORRECTABLE),
        (0x8, False, PARITY, CORRECTABLE),
        (0x8, True, PARITY | DATA_PARITY, CORRECTABLE),
    ],
)
def test_completions_with_errors(host: FrontHost, mask: int, parity: bool, status: int, device: int) -> None:
    """UR, CA, unexpected and poisoned completions, with Parity Error Response or without."""
    host.config_write(COMMAND, MEMORY | MASTER | parity << 6)
    host.command("wait 30", f"completion {mask}", "wait 5")
    first, second = host.config_read(COMMAND), host.config_read(DEVICE_STATUS)
    host.config_write(COMMAND, MEMORY | MASTER | ERRORS)
    cleared = host.config_read(COMMAND)
    seen = answers(host.run())
    found, left = seen[first].value, seen[cleared].value
    assert found is not None and found & ERRORS == status
    assert left is not None and left & ERRORS == 0
    assert seen[second].value == 0x2000 | device
