"""What PCI asks of a function besides virtio: interrupts without MSI-X."""

from __future__ import annotations

from virtiofs_model.layouts.fuse_constants import FUSE_ROOT_ID, Opcode
from virtiofs_model.layouts.pci import PciHeader, PciStatus
from virtiofs_model.layouts.virtio import CfgType, IsrStatus, offset_of
from virtiofs_tb.driver.bringup import discover, start
from virtiofs_tb.driver.errors import DriverTimeout, check
from virtiofs_tb.driver.split_queue import SplitQueue, as_split
from virtiofs_tb.driver.virtio import Settings, Vectors
from virtiofs_tb.host.port import HostPort
from virtiofs_tb.scenario import Bench, scenario

QUIET_PS = 20_000_000
LONG_PS = 2_000_000_000


async def pending(host: HostPort) -> bool:
    """The Status register's Interrupt bit."""
    return bool(await host.config_read(0, offset_of(PciHeader, "status"), 2) & PciStatus.INTERRUPT)


async def used_up_to(host: HostPort, queue: SplitQueue, index: int) -> None:
    """Wait for the used index without an interrupt."""

    def reached(data: bytes) -> bool:
        return int.from_bytes(data, "little") == index & 0xFFFF

    if not await host.wait_memory(queue.used + 2, 2, reached, LONG_PS):
        seen = int.from_bytes(host.memory.read(queue.used + 2, 2), "little")
        raise DriverTimeout(f"used index of {queue.name}", seen, index, "SPLIT-USED-D01")


@scenario(
    clauses=["PCI-ISR-D03", "PCI-ISR-D04", "PCI-ISR-D05", "PCI-ISR-DI1", "PCI-BUS-D01", "PCI-MSIX-R02"],
    needs=["intx", "tlp"],
)
async def interrupts_by_inta(host: HostPort, tb: Bench) -> None:
    """Without MSI-X the ISR tells of used buffers, and INTA follows; Interrupt Disable holds INTA, but not the bits."""
    device = await discover(host, tb)
    ready = await start(host, tb, device, Settings(vectors=Vectors.LINE))
    client = ready.client
    await client.init()
    isr = device.pci.structure(CfgType.ISR_CFG)
    queue = as_split(device.request_queue(0))
    for requests in (1, 4, 8):
        message = client.build(Opcode.STATFS, FUSE_ROOT_ID)
        tasks = [host.spawn(client.request(message, queue=queue)) for _ in range(requests)]
        for task in tasks:
            await task.join()
    end = host.now_ps() + LONG_PS
    while device.line and host.now_ps() < end:
        await host.sleep(QUIET_PS)
    check("INTA after all used buffers were told", device.line, False, "PCI-ISR-D05")
    check("Interrupt bit after the ISR was read", await pending(host), False, "PCI-ISR-D04")
    for read_first in (False, True):
        await device.pci.enable_line(False)
        before = device.interrupts
        used = int.from_bytes(host.memory.read(queue.used + 2, 2), "little")
        waiting = host.spawn(client.request(client.build(Opcode.STATFS, FUSE_ROOT_ID), queue=queue, timeout_ps=LONG_PS))
        await used_up_to(host, queue, used + 1)
        await host.sleep(QUIET_PS)
        check("interrupts while Interrupt Disable is set", device.interrupts - before, 0, "PCI-BUS-D01")
        check("Interrupt bit while Interrupt Disable is set", await pending(host), True, "PCI-ISR-D04")
        if read_first:
            seen = await host.bar_read(0, isr.bar, isr.offset, 1)
            check("ISR after a used buffer", seen, int(IsrStatus.QUEUE), "PCI-ISR-D03")
            check("Interrupt bit after the ISR was read", await pending(host), False, "PCI-ISR-D04")
            queue.harvest()
        await device.pci.enable_line()
        await waiting.join()
        await host.sleep(QUIET_PS)
        check("interrupts of one ISR bit", device.interrupts - before, 0 if read_first else 1, "PCI-ISR-D05")
    await device.reset()
    await host.sleep(QUIET_PS)
    check("INTA after a device reset", device.line, False, "RESET-D02")
