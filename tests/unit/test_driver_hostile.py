"""A device that lies in registers or replies never crashes the driver: each lie gets a DriverError that names it."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from pathlib import Path

import pytest

from virtiofs_model.layouts.fuse import FuseOutHeader
from virtiofs_model.layouts.fuse_constants import Opcode
from virtiofs_model.layouts.virtio import CfgType
from virtiofs_model.ramfs import RamfsServer
from virtiofs_tb.agents.firmware import FirmwareAgent
from virtiofs_tb.driver.bringup import discover, mount
from virtiofs_tb.driver.errors import DriverError
from virtiofs_tb.driver.virtio import Settings
from virtiofs_tb.host.model_host import ModelHost
from virtiofs_tb.scenario import Bench
from virtiofs_tb.seeds import stream

LIMIT_PS = 100_000_000_000


class LyingHost(ModelHost):
    """The golden device, with some of what the driver reads replaced. Keys: config offset or BAR offset, size."""

    def __init__(self) -> None:
        super().__init__(1)
        self.config_lies: dict[tuple[int, int], int | Callable[[int], int]] = {}
        self.bar_lies: dict[int, int | Callable[[int], int]] = {}

    async def config_read(self, fn: int, offset: int, size: int) -> int:
        true = await super().config_read(fn, offset, size)
        lie = self.config_lies.get((offset, size), true)
        return lie(true) if callable(lie) else lie

    async def bar_read(self, fn: int, bar: int, offset: int, size: int) -> int:
        true = await super().bar_read(fn, bar, offset, size)
        lie = self.bar_lies.get(offset, true)
        return lie(true) if callable(lie) else lie


def bench(host: ModelHost, server: RamfsServer | None = None) -> Bench:
    firmware = FirmwareAgent(host.engine, server or RamfsServer(), host.loop, stream(1, "firmware"))
    return Bench(1, Path(), firmware=firmware)


@pytest.mark.parametrize(
    ("offset", "size", "lie", "message"),
    [
        (0x00, 2, 0x1234, "PCI Vendor ID: 0x1234, expected 0x1AF4"),
        (0x02, 2, 0x1041, "PCI Device ID"),
        (0x0E, 1, 0x01, "PCI Header Type"),
        (0x06, 2, 0, "Capabilities List"),
        (0x34, 1, 0x20, "capability list pointer"),
        (0x34, 1, 0, "virtio capability COMMON_CFG: absent"),
        (0x40, 4, 0x0002_4010, "capability list pointer: 0x40"),
        (0x10, 4, lambda true: true & 0xFF0F_FFFF, "BAR0 size mask"),
        (0xA4, 4, lambda true: true & 0x00FF_FFFF | 0x0600_0000, "virtio capability NOTIFY_CFG: absent"),
        (0x94, 4, 0xFF01_0009, "DEVICE_CFG|COMMON_CFG|cap_len|capability list pointer|absent"),
    ],
)
def test_lies_in_configuration_space(offset: int, size: int, lie: int | Callable[[int], int], message: str) -> None:
    host = LyingHost()
    host.config_lies[offset, size] = lie
    tb = bench(host)

    async def main() -> None:
        device = await discover(host, tb)
        await device.initialise()

    with pytest.raises(DriverError, match=message):
        host.run(main(), LIMIT_PS)


@pytest.mark.parametrize(
    ("offset", "lie", "message"),
    [
        (0x04, 0, "VERSION_1"),  # device_feature: both words
        (0x12, 1, "num_queues: 0x1"),
        (0x14, lambda true: true | 0x40, "device_status"),
        (0x15, iter(range(1000)).__next__, "config_generation"),
        (0x18, 3, "queue_size of queue 0: 0x3, expected a power of two"),
        (0x18, 0, "queue_size of queue 0"),
        (0x1A, 0xFFFF, "queue_msix_vector: 0xFFFF"),
        (0x1C, 1, "queue_enable of queue 0 after reset"),
        (0x1E, 0x7FFF, "doorbell"),
        (0x2024, 0, "num_request_queues: 0x0"),
        (0x2024, 0xFFFF_FFFF, "num_queues: 0x6, expected at least 4294967297"),
    ],
)
def test_lies_in_registers(offset: int, lie: int | Callable[..., int], message: str) -> None:
    host = LyingHost()
    tb = bench(host)

    async def main() -> None:
        device = await discover(host, tb)
        place = device.pci.structures[CfgType.COMMON_CFG]
        if offset == 0x14:
            await device.reset()
        wrapped = (lambda true: lie()) if callable(lie) and offset == 0x15 else lie
        host.bar_lies[place.offset + offset] = wrapped
        await device.initialise(Settings())

    with pytest.raises(DriverError, match=message):
        host.run(main(), LIMIT_PS)


class LyingServer(RamfsServer):
    """Answers, but changes the reply's bytes on the way."""

    def __init__(self, change: Callable[[bytes], bytes]) -> None:
        super().__init__()
        self.change: Callable[[bytes], bytes] = lambda reply: reply
        self.later = change

    def handle(
        self, message: bytes, writable: int | None = None, length: int | None = None, token: Hashable = None
    ) -> bytes | None:
        reply = super().handle(message, writable, length, token)
        return None if reply is None else self.change(reply)


def header(reply: bytes, **changes: int) -> bytes:
    new = FuseOutHeader.from_buffer_copy(reply)
    for name, value in changes.items():
        setattr(new, name, value)
    return bytes(new) + reply[16:]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda reply: header(reply, unique=99), r"fuse_out_header\.unique of STATFS"),
        (lambda reply: header(reply, len=95), r"fuse_out_header\.len of STATFS.*0x5F, expected 0x60"),
        (lambda reply: header(reply, error=5), r"fuse_out_header\.error of STATFS"),
        (lambda reply: header(reply, error=-600), r"fuse_out_header\.error of STATFS"),
        (lambda reply: header(reply, error=-5), r"used length of STATFS .* with error -5"),
        (lambda reply: reply[:8], r"used length of STATFS .* with 96 writable bytes"),
    ],
)
def test_lies_in_replies(change: Callable[[bytes], bytes], message: str) -> None:
    host = ModelHost(1)
    server = LyingServer(change)
    tb = bench(host, server)

    async def main() -> None:
        ready = await mount(host, tb)
        server.change = server.later
        await ready.client.call(Opcode.STATFS, 1)

    with pytest.raises(DriverError, match=message):
        host.run(main(), LIMIT_PS)
