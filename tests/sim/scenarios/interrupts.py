"""Interrupts that meet a mask, the configuration interrupt's ISR bit, and the order of notifications and replies."""

from __future__ import annotations

from ctypes import sizeof

from virtiofs_model.layouts.fuse import FuseCreateIn, FuseEntryOut, FuseOpenOut, FuseReadIn, FuseWriteIn
from virtiofs_model.layouts.fuse_constants import FUSE_ROOT_ID, NotifyCode, Opcode
from virtiofs_model.layouts.pci import MSIX_CONTROL_ENABLE, MSIX_CONTROL_MASK, MsixCap, PciCapId
from virtiofs_model.layouts.virtio import CfgType, DeviceStatus, IsrStatus, offset_of
from virtiofs_tb.driver.bringup import Mount, discover, mount, start
from virtiofs_tb.driver.errors import DriverError, DriverTimeout, check
from virtiofs_tb.driver.notify_pool import notification
from virtiofs_tb.driver.split_queue import SplitQueue, as_split
from virtiofs_tb.host.port import Fault, HostPort, NotifyResult
from virtiofs_tb.scenario import Bench, scenario

QUIET_PS = 20_000_000
LONG_PS = 2_000_000_000
READ_BYTES = 65536


async def pending(host: HostPort, ready: Mount, vector: int) -> bool:
    """The pending bit of a vector."""
    found = ready.device.pci.capability(PciCapId.MSIX)
    if found is None:
        raise DriverError("MSI-X capability", "absent", "present", "PCI-MSIX-D01")
    pba = MsixCap.from_buffer_copy(found.data).pba
    word = await host.bar_read(0, pba & 7, (pba & ~7) + 4 * (vector // 32), 4)
    return bool(word >> vector % 32 & 1)


async def mask_function(host: HostPort, ready: Mount, masked: bool) -> None:
    """Set or clear the MSI-X capability's function mask."""
    found = ready.device.pci.capability(PciCapId.MSIX)
    if found is None:
        raise DriverError("MSI-X capability", "absent", "present", "PCI-MSIX-D01")
    control = found.offset + offset_of(MsixCap, "message_control")
    await host.config_write(0, control, 2, MSIX_CONTROL_ENABLE | (MSIX_CONTROL_MASK if masked else 0))


def used_index(host: HostPort, queue: SplitQueue) -> int:
    """The used index in memory."""
    return int.from_bytes(host.memory.read(queue.used + 2, 2), "little")


async def all_used(host: HostPort, queue: SplitQueue, index: int) -> None:
    """Wait for the used index without an interrupt."""

    def reached(data: bytes) -> bool:
        return int.from_bytes(data, "little") == index & 0xFFFF

    if not await host.wait_memory(queue.used + 2, 2, reached, LONG_PS):
        raise DriverTimeout(f"used index of {queue.name}", used_index(host, queue), index, "SPLIT-USED-D01")


@scenario(clauses=["PCI-BUS-D01", "SPLIT-UNS-D03"])
async def masked_interrupts_wait(host: HostPort, tb: Bench) -> None:
    """Interrupts that meet a vector mask or the function mask wait in one pending bit and leave when it is lifted."""
    ready = await mount(host, tb)
    device, client = ready.device, ready.client
    queue = as_split(device.request_queue(0))
    vector = 1 + queue.index
    for by_function in (False, True):
        for requests in (1, 5):
            if by_function:
                await mask_function(host, ready, True)
            else:
                await device.pci.mask_vector(vector, True)
            before, used = device.interrupts, used_index(host, queue)
            messages = [client.build(Opcode.STATFS, FUSE_ROOT_ID) for _ in range(requests)]
            tasks = [host.spawn(client.request(each, queue=queue, timeout_ps=LONG_PS)) for each in messages]
            await all_used(host, queue, used + requests)
            await host.sleep(QUIET_PS)
            check("interrupts while masked", device.interrupts - before, 0, "PCI-BUS-D01")
            check("pending bit while masked", await pending(host, ready, vector), True, "PCI-BUS-D01")
            if by_function:
                await mask_function(host, ready, False)
            else:
                await device.pci.mask_vector(vector, False)
            for task in tasks:
                await task.join()
            check("interrupts of one pending bit", device.interrupts - before, 1, "PCI-BUS-D01")
            check("pending bit after its message", await pending(host, ready, vector), False, "PCI-BUS-D01")


@scenario(clauses=["PCI-ISR-D02", "PCI-ISR-D05", "STATUS-D04"], needs=["faults", "tlp"])
async def configuration_interrupt_sets_the_isr(host: HostPort, tb: Bench) -> None:
    """The ISR's configuration bit is set before the configuration interrupt, MSI-X or not, and reading clears it."""
    ready = await start(host, tb, await discover(host, tb))
    device = ready.device
    isr = device.pci.structure(CfgType.ISR_CFG)
    check("ISR before anything happened", await host.bar_read(0, isr.bar, isr.offset, 1), 0, "PCI-ISR-D05")
    queue = as_split(device.request_queue(0))
    tb.fail_reads(Fault(queue.avail, 4, "ur"))
    await queue.ring_doorbell()
    if not await device.config_changed.wait(LONG_PS):
        raise DriverTimeout("configuration interrupt after UR on the available index", "none", "one", "STATUS-D04")
    seen = await host.bar_read(0, isr.bar, isr.offset, 1)
    check("ISR after the configuration interrupt", seen, int(IsrStatus.CONFIG), "PCI-ISR-D02")
    check("ISR read again", await host.bar_read(0, isr.bar, isr.offset, 1), 0, "PCI-ISR-D05")
    status = await device.status()
    check("NEEDS_RESET", bool(status & DeviceStatus.DEVICE_NEEDS_RESET), True, "STATUS-D03")
    await device.reset()


@scenario(clauses=["FS-NQ-DI1"], needs=["dpu"])
async def notifications_stay_behind_replies(host: HostPort, tb: Bench) -> None:
    """Messages that come while long replies are being written leave after those replies."""
    ready = await mount(host, tb)
    pool, dpu, client = ready.pool, host.dpu, ready.client
    if pool is None or dpu is None:
        raise DriverError("notification queue", "absent", "offered and negotiated", "FS-VQ-DI1")
    made = await client.call(Opcode.CREATE, FUSE_ROOT_ID, bytes(FuseCreateIn(0o102, 0o100644, 0, 0)) + b"long\0")
    nodeid = FuseEntryOut.from_buffer_copy(made.payload).nodeid
    fh = FuseOpenOut.from_buffer_copy(made.payload, sizeof(FuseEntryOut)).fh
    data = bytes(FuseWriteIn(fh, 0, READ_BYTES, 0, 0, 0, 0)) + bytes(READ_BYTES)
    check("WRITE error", (await client.call(Opcode.WRITE, nodeid, data)).error, 0, "FS-REQ-DI1")
    finished = host.event()

    async def read_on() -> None:
        message = client.build(Opcode.READ, nodeid, bytes(FuseReadIn(fh, 0, READ_BYTES)))
        while not finished.is_set():
            await client.request(message, writable=16 + READ_BYTES)

    readers = [host.spawn(read_on()) for _ in range(3)]
    rng = tb.rng("interrupts/ordering")
    sent = []
    for mark in range(tb.option("ordered_messages", 24)):
        await host.sleep(rng.randint(100_000, 4_000_000))
        message = notification(NotifyCode.POLL, mark.to_bytes(8, "little"))
        check("mailbox", await dpu.notify(message) is NotifyResult.REFUSED, False, "FS-NQ-DI2")
        sent.append(message)
    await pool.expect(sent)
    finished.set()
    for reader in readers:
        await reader.join()
