"""What the driver sees of a device, fact by fact: `make peers` holds them beside those of QEMU's device."""

from __future__ import annotations

from virtiofs_model.layouts.fuse_constants import FUSE_ROOT_ID, Opcode
from virtiofs_model.layouts.pci import MsixCap, PciCapId
from virtiofs_model.layouts.virtio import CfgType, Feature, IsrStatus, offset_of
from virtiofs_tb.driver.bringup import INIT_FLAGS, discover, start
from virtiofs_tb.driver.errors import DriverError, check
from virtiofs_tb.driver.virtio import Settings, Vectors
from virtiofs_tb.facts import saw
from virtiofs_tb.host.port import HostPort
from virtiofs_tb.scenario import Bench, scenario


@scenario(clauses=["PCI-DISC-D01", "PCI-DISC-D02", "PCI-CAP-D01", "FS-CFG-D01"])
async def what_the_driver_sees(host: HostPort, tb: Bench) -> None:
    """Identity, BARs, capabilities, features, configuration and queues, as the driver reads them."""
    device = await discover(host, tb)
    for name, number in vars(device.pci.identity).items():
        saw(host, name, f"0x{number:x}")
    for bar in device.pci.bars.values():
        width = 64 if bar.is_64bit else 32
        saw(host, f"BAR{bar.index}", f"{bar.size} bytes, {width} bits{', prefetchable' * bar.prefetchable}")
    for kind in (CfgType.COMMON_CFG, CfgType.NOTIFY_CFG, CfgType.ISR_CFG, CfgType.DEVICE_CFG):
        place = device.pci.structure(kind)
        saw(host, kind.name, f"BAR{place.bar} at 0x{place.offset:x}, {place.length} bytes")
    saw(host, "notify_off_multiplier", device.pci.structure(CfgType.NOTIFY_CFG).notify_off_multiplier)
    saw(host, "capabilities by id", ", ".join(str(item) for item in sorted({c.id for c in device.pci.capabilities})))
    found = device.pci.capability(PciCapId.MSIX)
    saw(host, "MSI-X vectors", (MsixCap.from_buffer_copy(found.data).message_control & 0x7FF) + 1 if found else 0)
    await device.reset()
    device.offered = await device.read_offered()
    for feature in Feature:
        saw(host, f"feature {feature.name}", "offered" if device.offered & feature.mask else "not offered")
    config = await device.read_config()
    saw(host, "num_request_queues", config.num_request_queues)
    saw(host, "notify_buf_size", config.notify_buf_size)
    count = await device.common.read("num_queues")
    saw(host, "num_queues", count)
    for index in range(count + 1):
        saw(host, f"queue_size of queue {index}", await device.queue_size(index))


@scenario(clauses=["PCI-ISR-D03", "PCI-ISR-D05"])
async def isr_tells_of_a_used_buffer(host: HostPort, tb: Bench) -> None:
    """With MSI-X off a used buffer sets bit 0 of the ISR, and reading clears it."""
    ready = await start(host, tb, await discover(host, tb), Settings(vectors=Vectors.NONE))
    found = ready.device.pci.capability(PciCapId.MSIX)
    if found is not None:
        await host.config_write(0, found.offset + offset_of(MsixCap, "message_control"), 2, 0)
    await ready.client.init(flags=int(INIT_FLAGS))
    isr = ready.device.pci.structure(CfgType.ISR_CFG)
    for _ in range(2):
        reply = await ready.client.call(Opcode.STATFS, FUSE_ROOT_ID)
        check("STATFS error", reply.error, 0, "FS-REQ-DI1")
        for _ in range(100):  # the interrupt follows the used index
            seen = await host.bar_read(0, isr.bar, isr.offset, 1)
            if seen:
                break
            await host.sleep(1_000_000)
        else:
            raise DriverError("ISR after a used buffer", 0, int(IsrStatus.QUEUE), "PCI-ISR-D03")
        check("ISR after a used buffer", seen, int(IsrStatus.QUEUE), "PCI-ISR-D03")
        check("ISR read again", await host.bar_read(0, isr.bar, isr.offset, 1), 0, "PCI-ISR-D05")
    await ready.device.reset()
