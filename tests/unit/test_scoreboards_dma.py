"""Rules of DMA on a synthetic log: right passes, wrong is found by the scoreboard that is named."""

from __future__ import annotations

import dataclasses

import pytest

from tests.unit.trace import READABLE, REPLY, RINGS, STRICT, WRITABLE, WRITE, Trace, served, started
from virtiofs_tb.profile import DmaRules


@pytest.mark.parametrize("address", [READABLE - 4, READABLE + 40, WRITABLE, 0x40_0000])
def test_read_outside(address: int) -> None:
    trace = started()
    trace.fetch(RINGS, 0, [3, 5])
    trace.read(address, 4)
    assert trace.seen() == {"dma"}


def test_read_slack_of_the_profile() -> None:
    loose = dataclasses.replace(STRICT, dma=DmaRules(read_slack=64))
    for profile, found in ((STRICT, {"dma"}), (loose, set())):
        trace = started(profile)
        trace.fetch(RINGS, 0, [3, 5])
        trace.read(READABLE, 64)
        assert trace.seen() == found


@pytest.mark.parametrize("address", [WRITABLE + 96, WRITABLE - 1, READABLE, RINGS, RINGS + 0x1002])
def test_write_outside(address: int) -> None:
    trace = started()
    trace.fetch(RINGS, 0, [3, 5])
    trace.write(address, b"\0")
    assert trace.seen() == {"dma"}


def test_write_after_the_used_index() -> None:
    trace = served(started())
    trace.write(WRITABLE, b"late")
    assert trace.seen() == {"dma"}


def test_bytes_beyond_the_used_length() -> None:
    for profile, found in ((STRICT, {"dma"}), (dataclasses.replace(STRICT, dma=DmaRules()), set())):
        trace = started(profile)
        trace.fetch(RINGS, 0, [3, 5])
        trace.write(WRITABLE, REPLY)
        trace.use(RINGS, 0, 3, 95)
        assert trace.seen() - {"fuse"} == found


def test_data_after_the_used_index() -> None:
    trace = started()
    trace.fetch(RINGS, 0, [3, 5])
    trace.write(WRITABLE, REPLY[:95])
    trace.use(RINGS, 0, 3, 96)
    assert "dma" in trace.seen()


def test_no_dma_without_bus_master_or_driver_ok() -> None:
    trace = started()
    trace.config_write(4, 2, 2)
    trace.read(RINGS + 0x1002, 2)
    assert [failure.board for failure in trace.boards.failures] == ["dma"]
    trace = Trace()
    trace.enumerate()
    trace.read(RINGS, 16)
    assert trace.seen() == {"dma"}


def test_no_dma_after_reset() -> None:
    trace = served(started())
    trace.reset()
    assert trace.boards.failures == []
    trace.read(RINGS + 0x1002, 2)
    assert trace.seen() == {"dma"}


def test_tag_used_again() -> None:
    trace = started()
    trace.issue(RINGS + 0x1002, 2, 9)
    trace.issue(RINGS + 0x1002, 2, 9)
    assert trace.seen() == {"dma"}
    trace = started()
    trace.issue(RINGS + 0x1002, 2, 9)
    trace.wait(STRICT.timing.read_tag_us + 1)
    trace.issue(RINGS + 0x1002, 2, 9)
    assert trace.boards.failures == []


def test_payload_and_boundaries() -> None:
    trace = started()
    trace.desc(RINGS, 5, 0x31_0F80, 4096, WRITE)
    trace.fetch(RINGS, 0, [3, 5])
    trace.write(0x31_1000, bytes(132))
    trace.write(0x31_0FC0, bytes(128))
    assert [failure.text for failure in trace.boards.failures] == [
        "write at 0x311000: Max_Payload_Size",
        "write at 0x310fc0: 4 KiB boundary",
    ]
