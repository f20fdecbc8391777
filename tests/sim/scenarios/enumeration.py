"""Step 1: what PCI says about the function."""

from __future__ import annotations

from virtiofs_model.layouts.pci import MsixCap, MsixTableEntry, PciCapId, PciHeader
from virtiofs_model.layouts.virtio import (
    CfgType,
    DeviceStatus,
    VirtioPciCap,
    VirtioPciCfgCap,
    VirtioPciCommonCfg,
    offset_of,
)
from virtiofs_tb.driver.bringup import discover
from virtiofs_tb.driver.errors import DriverError, check
from virtiofs_tb.driver.pci import BarWindow, PciFunction
from virtiofs_tb.host.port import HostPort
from virtiofs_tb.scenario import Bench, scenario

MINIMUM_LENGTH = {CfgType.COMMON_CFG: 0x38, CfgType.NOTIFY_CFG: 2, CfgType.ISR_CFG: 1, CfgType.DEVICE_CFG: 40}
ALIGNMENT = {CfgType.COMMON_CFG: 4, CfgType.NOTIFY_CFG: 2, CfgType.ISR_CFG: 1, CfgType.DEVICE_CFG: 4}


@scenario(clauses=["PCI-DISC-D01", "PCI-DISC-D02", "PCI-DISC-D04", "PCI-DISC-D05", "PCI-DISC-D06"])
async def identity(host: HostPort, tb: Bench) -> None:
    """The function is a non-transitional virtio-fs device."""
    seen = (await discover(host, tb)).pci.identity
    check("device in the non-transitional range", 0x1040 <= seen.device_id <= 0x107F, True, "PCI-DISC-D04")
    check("Revision ID at least 1", seen.revision_id >= 1, True, "PCI-DISC-D05")
    check("Subsystem ID at least 0x40", seen.subsystem_id >= 0x40, True, "PCI-DISC-D06")


@scenario(
    clauses=[
        "PCI-CAP-D01",
        "PCI-COMMON-D01",
        "PCI-COMMON-D02",
        "PCI-NOTIFY-D01",
        "PCI-NOTIFY-D02",
        "PCI-NOTIFY-D03",
        "PCI-NOTIFY-D04",
        "PCI-ISR-D01",
        "PCI-DEVCFG-D01",
        "PCI-DEVCFG-DX1",
        "PCI-PCICFG-D01",
        "PCI-DETECT-RX1",
    ]
)
async def virtio_capabilities(host: HostPort, tb: Bench) -> None:
    """Every virtio structure is announced, aligned, large enough and inside its BAR."""
    function = (await discover(host, tb)).pci
    for kind, minimum in MINIMUM_LENGTH.items():
        place = function.block(kind, VirtioPciCap).place
        check(f"{kind.name} offset alignment", place.offset % ALIGNMENT[kind], 0, "PCI-LAYOUT-D01")
        check(f"{kind.name} length of {place.length} is enough", place.length >= minimum, True, "PCI-CAP-D01")
    multiplier = function.structure(CfgType.NOTIFY_CFG).notify_off_multiplier
    single_bit = multiplier & (multiplier - 1) == 0
    check("notify_off_multiplier is 0 or an even power of two", single_bit and multiplier != 1, True, "PCI-NOTIFY-D03")
    check("PCI_CFG capability", CfgType.PCI_CFG in function.structures, True, "PCI-PCICFG-D01")


@scenario(clauses=["PCI-BUS-D01", "PCI-LAYOUT-R01"])
async def bars_move(host: HostPort, tb: Bench) -> None:
    """The registers follow the BAR wherever it is put, above 4 GiB too."""
    for window in (BarWindow(low=0xE800_0000), BarWindow(high=0x30_0000_0000)):
        function = PciFunction(host)
        await function.enumerate(window)
        for bar in function.bars.values():
            offset = offset_of(PciHeader, "bar") + 4 * bar.index
            low = await host.config_read(0, offset, 4)
            check(f"BAR{bar.index}", low & ~0xF, bar.address & 0xFFFF_FFFF, "PCI-BUS-D01")
            if bar.is_64bit:
                high = await host.config_read(0, offset + 4, 4)
                check(f"BAR{bar.index} high half", high, bar.address >> 32, "PCI-BUS-D01")
        common = function.block(CfgType.COMMON_CFG, VirtioPciCommonCfg)
        check("num_queues is there", await common.read("num_queues") > 0, True, "PCI-BUS-D01")


@scenario(clauses=["PCI-MSIX-D01", "PCI-MSIX-D02", "PCI-MSIX-D03"])
async def msix_table(host: HostPort, tb: Bench) -> None:
    """MSI-X has 2 to 2048 vectors, and its table keeps what is written."""
    function = (await discover(host, tb)).pci
    found = function.capability(PciCapId.MSIX)
    if found is None:
        raise DriverError("MSI-X capability", "absent", "present", "PCI-MSIX-D01")
    cap = MsixCap.from_buffer_copy(found.data)
    count = (cap.message_control & 0x7FF) + 1
    check(f"{count} vectors are at least 2", count >= 2, True, "PCI-MSIX-D01")
    entry_size, masked = 16, MsixTableEntry.vector_control.offset
    bar, table = cap.table & 7, cap.table & ~7
    for vector in range(count):
        at = table + entry_size * vector
        await host.bar_write(0, bar, at + masked, 4, 1)
        await host.bar_write(0, bar, at, 4, 0xFEE0_0000 + 16 * vector)
        await host.bar_write(0, bar, at + 8, 4, 0x1000 + vector)
    for vector in range(count):
        at = table + entry_size * vector
        address = await host.bar_read(0, bar, at, 4)
        check(f"message address of vector {vector}", address, 0xFEE0_0000 + 16 * vector, "PCI-BUS-D01")
        data = await host.bar_read(0, bar, at + 8, 4)
        check(f"message data of vector {vector}", data, 0x1000 + vector, "PCI-BUS-D01")
        control = await host.bar_read(0, bar, at + masked, 4)
        check(f"mask bit of vector {vector}", control & 1, 1, "PCI-BUS-D01")


@scenario(clauses=["PCI-PCICFG-D02", "PCI-PCICFG-D03", "PCI-PCICFG-R01"])
async def config_window(host: HostPort, tb: Bench) -> None:
    """Registers are reached through the PCI_CFG capability, with the same effects as in the BAR."""
    device = await discover(host, tb)
    common = device.common
    window = device.pci.structure(CfgType.PCI_CFG).capability
    data = window + offset_of(VirtioPciCfgCap, "pci_cfg_data")

    async def aim(name: str) -> int:
        field = getattr(VirtioPciCommonCfg, name)
        await host.config_write(0, window + offset_of(VirtioPciCap, "bar"), 1, common.place.bar)
        await host.config_write(0, window + offset_of(VirtioPciCap, "offset"), 4, common.place.offset + field.offset)
        await host.config_write(0, window + offset_of(VirtioPciCap, "length"), 4, field.size)
        size: int = field.size
        return size

    size = await aim("num_queues")
    by_window = await host.config_read(0, data, size)
    check("num_queues by the window", by_window, await common.read("num_queues"), "PCI-PCICFG-D03")
    size = await aim("device_status")
    await host.config_write(0, data, size, DeviceStatus.ACKNOWLEDGE)
    check("device_status written by the window", await device.status(), DeviceStatus.ACKNOWLEDGE, "PCI-PCICFG-D02")
    by_window = await host.config_read(0, data, size)
    check("device_status by the window", by_window, DeviceStatus.ACKNOWLEDGE, "PCI-PCICFG-D03")
    size = await aim("queue_select")
    await host.config_write(0, data, size, 1)
    check("queue_select written by the window", await common.read("queue_select"), 1, "PCI-PCICFG-D02")
    await device.reset()
