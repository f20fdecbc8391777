"""cocotb test module: cocotbext-pcie's RootComplex enumerates the endpoint, then our driver does.

What each saw goes to root_complex.json in the run's directory; tests/peers/test_cocotbext_root_complex.py compares.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import cocotb
from cocotb.handle import HierarchyObject
from cocotbext.pcie.core import RootComplex
from cocotbext.pcie.core.caps import PciCapId
from cocotbext.pcie.core.device import Device
from cocotbext.pcie.core.tlp import Tlp

from virtiofs_model.layouts.tlp import FMT_4DW
from virtiofs_tb.driver.pci import BarWindow, PciFunction
from virtiofs_tb.host.log import Channel, Record
from virtiofs_tb.host.rtl_host import BridgeLink, RtlHost

RESULT = "root_complex.json"
LIMIT_PS = 10_000_000_000
RESET_CYCLES = 8
CAPABILITY_DWORDS = 16  # of each capability are compared


async def nothing() -> None:
    """Wakes the pump."""


class Adapter(Device):
    """The endpoint's pins as a device of cocotbext-pcie: packets are handed over whole, in its byte order."""

    def __init__(self, host: RtlHost) -> None:
        super().__init__()
        self._host = host
        self._link = BridgeLink(host.bridge)
        self.packets = 0

    async def upstream_recv(self, tlp: Tlp) -> None:
        """A packet of the root complex."""
        tlp.release_fc()
        data = bytes(tlp.pack())
        dwords = 4 if data[0] & FMT_4DW else 3
        words = [int.from_bytes(data[4 * at : 4 * at + 4], "big") for at in range(dwords)] + [0]
        channel = Channel.RC if tlp.is_completion() else Channel.CQ
        self._link.send(channel, (words[0], words[1], words[2], words[3]), data[4 * dwords :])
        self._host.begin(nothing())

    def from_endpoint(self, record: Record) -> None:
        """A packet of the endpoint, in place of the root port."""
        dwords = 4 if record.hdr[0] >> 24 & FMT_4DW else 3
        header = b"".join(word.to_bytes(4, "big") for word in record.hdr[:dwords])
        self.packets += 1
        cocotb.start_soon(self.upstream_send(Tlp.unpack(header + record.payload)))


async def by_root_complex(host: RtlHost) -> dict[str, Any]:
    """What cocotbext-pcie finds."""
    root = RootComplex()
    adapter = Adapter(host)
    root.make_port().connect(adapter)
    ours, host.root.receive = host.root.receive, adapter.from_endpoint
    try:
        await root.enumerate(timeout=10_000)
        found = next(
            device for bus in root.host_bridge.bus.children for device in bus.devices if device.vendor_id == 0x1AF4
        )
        await found.enable_device()
        capabilities = []
        for kind, offset in _capabilities(found):
            dwords = min(CAPABILITY_DWORDS, (256 - offset) // 4)
            data = await root.config_read_dwords(found.pcie_id, offset, dwords)
            capabilities.append({"id": kind, "offset": offset, "dwords": data})
        return {
            "identity": [found.vendor_id, found.device_id, found.revision_id, found.class_code],
            "subsystem": [found.subsystem_vendor_id, found.subsystem_id],
            "bars": {str(at): size for at, size in enumerate(found.bar_size) if size},
            "bar_flags": {str(at): found.bar_raw[at] & 0xF for at, size in enumerate(found.bar_size) if size},
            "bar_addresses": {str(at): found.bar_addr[at] for at, size in enumerate(found.bar_size) if size},
            "capabilities": capabilities,
            "num_queues": await _num_queues(root, found),
            "packets": adapter.packets,
        }
    finally:
        host.root.receive = ours


def _capabilities(device: Any) -> list[tuple[int, int]]:
    """Id and offset, in the order of the list."""
    return [(int(PciCapId(kind)), offset) for kind, offset in device.capabilities]


async def _num_queues(root: RootComplex, device: Any) -> int:
    """A register behind a BAR: num_queues of the common structure, at its start (docs/another-endpoint.md)."""
    return int.from_bytes(await root.mem_read(device.bar_addr[0] + 0x12, 2), "little")


async def by_driver(host: RtlHost) -> dict[str, Any]:
    """What our driver finds on the same endpoint."""
    function = PciFunction(host)
    await function.enumerate(BarWindow())
    identity = function.identity
    dwords: list[dict[str, Any]] = []
    for item in function.capabilities:
        count = min(CAPABILITY_DWORDS, (256 - item.offset) // 4)
        values = [await host.config_read(0, item.offset + 4 * at, 4) for at in range(count)]
        dwords.append({"id": item.id, "offset": item.offset, "dwords": values})
    return {
        "identity": [identity.vendor_id, identity.device_id, identity.revision_id, identity.class_code],
        "subsystem": [identity.subsystem_vendor_id, identity.subsystem_id],
        "bars": {str(bar.index): bar.size for bar in function.bars.values()},
        "bar_flags": {
            str(bar.index): (4 if bar.is_64bit else 0) | (8 if bar.prefetchable else 0)
            for bar in function.bars.values()
        },
        "capabilities": dwords,
        "num_queues": await host.bar_read(0, 0, 0x12, 2),
    }


@cocotb.test()
async def enumeration(dut: HierarchyObject) -> None:
    """Both, one after the other."""
    directory = Path(os.environ["VIRTIOFS_RUN_DIR"])
    host = RtlHost(dut, seed=1)
    host.bridge.reset(RESET_CYCLES)
    stop = host.event()

    async def until_stopped() -> None:
        await stop.wait()

    pump = cocotb.start_soon(host.run(until_stopped(), LIMIT_PS))
    theirs = await by_root_complex(host)
    stop.set()
    host.begin(nothing())
    await pump
    ours = await host.run(by_driver(host), LIMIT_PS)
    result = {"theirs": theirs, "ours": ours, "violations": [item.text for item in host.violations]}
    (directory / RESULT).write_text(json.dumps(result, indent=2))
