"""Reads that fail, masks and other trouble while rings are packed: stimulus of `make coverage`."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable

from virtiofs_model.layouts.fuse import FuseNotifyStoreOut
from virtiofs_model.layouts.fuse_constants import FUSE_ROOT_ID, NotifyCode, Opcode
from virtiofs_model.layouts.pci import MSIX_CONTROL_ENABLE, MSIX_CONTROL_MASK, MsixCap, PciCapId
from virtiofs_model.layouts.virtio import DeviceStatus, Feature, offset_of
from virtiofs_tb.driver.bringup import INIT_FLAGS, discover, mount_offered, offer, start
from virtiofs_tb.driver.errors import DriverError, check
from virtiofs_tb.driver.layout import ChainPlan, PlacedChain
from virtiofs_tb.driver.notify_pool import notification
from virtiofs_tb.driver.packed_queue import PackedQueue
from virtiofs_tb.driver.virtio import USUAL_FEATURES, Settings
from virtiofs_tb.host.port import DpuError, Fault, HostPort, Straps
from virtiofs_tb.scenario import Bench, scenario
from virtiofs_tb.sequences.ring_traffic import call_in

QUIET_PS = 20_000_000
SHORT_PS = 100_000_000
PACKED = USUAL_FEATURES | Feature.RING_PACKED.mask


@scenario(clauses=["STATUS-D03"], needs=["dpu", "packed", "faults", "tlp"])
async def packed_ring_faults_need_a_reset(host: HostPort, tb: Bench) -> None:
    """UR, CA or poison on the areas of a packed ring that the device reads: DEVICE_NEEDS_RESET."""
    device = await discover(host, tb)
    assert host.dpu is not None
    await offer(host, device, PACKED)
    for kind in ("ur", "ca", "poison"):
        for area in ("descriptors", "driver events"):
            ready = await start(host, tb, device, Settings(PACKED))
            await ready.client.init(flags=int(INIT_FLAGS))
            queue = device.request_queue(0)
            assert isinstance(queue, PackedQueue)
            where = (queue.desc, 16 * queue.size) if area == "descriptors" else (queue.driver_event, 4)
            tb.fail_reads(Fault(*where, kind))
            request = ready.client.build(Opcode.STATFS, FUSE_ROOT_ID)
            task = host.spawn(ready.client.request(request, queue=queue, timeout_ps=SHORT_PS))
            check("the configuration interrupt comes", await device.config_changed.wait(SHORT_PS), True, "STATUS-D04")
            needs = bool(await device.status() & DeviceStatus.DEVICE_NEEDS_RESET)
            check(f"NEEDS_RESET after {kind} on the {area}", needs, True, "STATUS-D03")
            with contextlib.suppress(DriverError):  # it may have been used before the device saw what is wrong
                await task.join()
            await host.dpu.error_log()
            await device.reset()
    await offer(host, device, USUAL_FEATURES)


@scenario(clauses=["FS-REQ-DI1"], needs=["dpu", "packed", "faults", "tlp"])
async def faulty_payload_in_packed_rings(host: HostPort, tb: Bench) -> None:
    """A request whose bytes cannot be read is the only one that suffers."""
    device = await discover(host, tb)
    assert host.dpu is not None
    await offer(host, device, PACKED)
    ready = await start(host, tb, device, Settings(PACKED))
    await ready.client.init(flags=int(INIT_FLAGS))
    for kind in ("ur", "ca", "poison"):
        message = ready.client.build(Opcode.STATFS, FUSE_ROOT_ID)

        def arm(placed: PlacedChain, kind: str = kind) -> None:
            tb.fail_reads(Fault(placed.segments[0].address, 16, kind))

        try:
            await ready.client.request(message, plan=ChainPlan((len(message),), (96,), (0, 0), (0, 1)), before=arm)
        except DriverError:
            await host.dpu.error_log()
            check("STATFS afterwards", (await ready.client.call(Opcode.STATFS, FUSE_ROOT_ID)).error, 0, "FS-REQ-DI1")
            continue
        raise DriverError(f"request whose header met {kind}", "a reply", "used length 0", "FS-REQ-DI1")
    await offer(host, device, USUAL_FEATURES)


@scenario(clauses=["PCI-BUS-D01", "FS-NQ-R01"], needs=["dpu", "packed", "tlp"])
async def masks_and_small_buffers_in_packed_rings(host: HostPort, tb: Bench) -> None:
    """Chains are used while a mask holds their interrupt back; a buffer that is too small comes back; straps are locked
    while a driver is there."""
    device = await discover(host, tb)
    assert host.dpu is not None
    ready = await mount_offered(host, tb, device, Settings(PACKED), buffers=0)
    queue, pool = device.request_queue(0), ready.pool
    found = device.pci.capability(PciCapId.MSIX)
    assert pool is not None and found is not None
    control = found.offset + offset_of(MsixCap, "message_control")

    async def used_while(mask: Callable[[bool], Awaitable[None]]) -> None:
        """One request is used while a mask holds its interrupt back."""
        await mask(True)
        task = host.spawn(call_in(ready, queue, 2))
        await queue.wait_unharvested(1)
        await host.sleep(QUIET_PS)
        await mask(False)
        await task.join()

    async def mask_function(masked: bool) -> None:
        await host.config_write(0, control, 2, MSIX_CONTROL_ENABLE | (MSIX_CONTROL_MASK if masked else 0))

    await used_while(lambda masked: device.pci.mask_vector(1 + queue.index, masked))
    await used_while(mask_function)
    await host.dpu.notify(notification(NotifyCode.STORE, bytes(FuseNotifyStoreOut(2, 0, 8, 0)) + bytes(8)))
    await pool.fill(1, (pool.notify_buf_size - 1,))
    await pool.wait_returned(1)
    await host.dpu.error_log()
    with contextlib.suppress(DpuError):
        await host.dpu.strap(Straps(num_request_queues=1))
    check("the strap that is locked is logged", len(await host.dpu.error_log()), 1, "")
    await pool.fill(1)
    await pool.wait_for(1)
    await offer(host, device, USUAL_FEATURES)
