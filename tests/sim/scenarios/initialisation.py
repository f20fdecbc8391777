"""Step 2: status machine, features, queues, vectors."""

from __future__ import annotations

from virtiofs_model.layouts.fuse import FuseInitIn
from virtiofs_model.layouts.fuse_constants import Opcode
from virtiofs_model.layouts.virtio import VIRTIO_MSI_NO_VECTOR, DeviceStatus, Feature
from virtiofs_tb.driver.bringup import discover, mount
from virtiofs_tb.driver.errors import check
from virtiofs_tb.driver.fuse_client import FuseClient
from virtiofs_tb.driver.layout import place
from virtiofs_tb.driver.split_queue import as_split
from virtiofs_tb.driver.virtio import Settings, Vectors
from virtiofs_tb.driver.virtqueue import Publish
from virtiofs_tb.host.port import HostPort
from virtiofs_tb.scenario import Bench, scenario

QUIET_PS = 20_000_000
"""Long enough for a device that is wrongly active to be seen."""


@scenario(clauses=["INIT-R01", "INIT-R05", "FEAT-D02", "RSVD-D01", "FS-CFG-D01", "FS-CFG-DI1", "FS-INIT-RI2"])
async def device_initialises(host: HostPort, tb: Bench) -> None:
    """A driver that follows the sequence gets a running device and a FUSE session."""
    ready = await mount(host, tb)
    check("tag is not empty", len(ready.device.config.tag) > 0, True, "FS-CFG-DI1")
    status = DeviceStatus.ACKNOWLEDGE | DeviceStatus.DRIVER | DeviceStatus.FEATURES_OK | DeviceStatus.DRIVER_OK
    check("device_status", await ready.device.status(), status, "INIT-R01")


@scenario(clauses=["FEAT-D03", "RSVD-D02", "FEAT-D05", "FEAT-D02"])
async def bad_feature_sets_are_refused(host: HostPort, tb: Bench) -> None:
    """FEATURES_OK stays 0 without VERSION_1 and with a bit that was not offered, and is kept for good sets."""
    device = await discover(host, tb)
    offered = await device.read_offered()
    absent = next(bit for bit in range(63, -1, -1) if not offered >> bit & 1)
    version = Feature.VERSION_1.mask
    bad = [offered & ~version, 0, version | 1 << absent, offered | 1 << absent]
    good = [version, offered & (version | Feature.INDIRECT_DESC.mask), offered]
    for features, kept in [(item, False) for item in bad] + [(item, True) for item in good]:
        await device.reset()
        await device.common.write("device_status", DeviceStatus.ACKNOWLEDGE)
        await device.common.write("device_status", DeviceStatus.ACKNOWLEDGE | DeviceStatus.DRIVER)
        await device.write_accepted(features)
        before = await device.status()
        await device.common.write("device_status", before | DeviceStatus.FEATURES_OK)
        seen = bool(await device.status() & DeviceStatus.FEATURES_OK)
        check(f"FEATURES_OK for features 0x{features:X}, offered 0x{offered:X}", seen, kept, "FEAT-D03")
    await device.reset()


@scenario(clauses=["PCI-COMMON-D03", "PCI-COMMON-D04", "FEAT-D04"])
async def feature_words(host: HostPort, tb: Bench) -> None:
    """Feature words beyond 63 read 0; accepted bits read back."""
    device = await discover(host, tb)
    await device.reset()
    for select in (2, 3, 31, 0xFFFF_FFFF):
        await device.common.write("device_feature_select", select)
        check(f"device_feature word {select}", await device.common.read("device_feature"), 0, "PCI-COMMON-D03")
    offered = await device.read_offered()
    await device.write_accepted(offered)
    check("driver_feature", await device.read_accepted() & offered, offered, "PCI-COMMON-D04")
    for reserved in (Feature.SUSPEND, Feature.ADMIN_VQ, Feature.SR_IOV):
        check(f"{reserved.name} is not offered", bool(offered & reserved.mask), False, "FEAT-D04")


@scenario(clauses=["PCI-COMMON-D09", "PCI-COMMON-D15", "PCI-COMMON-D16", "PCI-MSIX-D07"])
async def queue_registers_after_reset(host: HostPort, tb: Bench) -> None:
    """After reset every queue is disabled, unmapped and offers a power of two; an absent one offers 0."""
    device = await discover(host, tb)
    await device.reset()
    common = device.common
    count = await common.read("num_queues")
    check("config_msix_vector", await common.read("config_msix_vector"), VIRTIO_MSI_NO_VECTOR, "PCI-MSIX-D07")
    for index in range(count):
        size = await device.queue_size(index)
        check(f"queue_size {size} of queue {index} is a power of two", size & (size - 1), 0, "PCI-COMMON-D16")
        check(f"queue_enable of queue {index}", await common.read("queue_enable"), 0, "PCI-COMMON-D09")
        vector = await common.read("queue_msix_vector")
        check(f"queue_msix_vector of queue {index}", vector, VIRTIO_MSI_NO_VECTOR, "PCI-MSIX-D07")
    for index in (count, count + 1, 0xFFFF):
        check(f"queue_size of absent queue {index}", await device.queue_size(index), 0, "PCI-COMMON-D15")


@scenario(clauses=["PCI-MSIX-D04", "PCI-MSIX-D05", "PCI-MSIX-D06", "PCI-MSIX-D09"])
async def vectors_map_and_unmap(host: HostPort, tb: Bench) -> None:
    """Any event maps to any vector, reads back, can be unmapped; a vector beyond the table gives NO_VECTOR."""
    device = await discover(host, tb)
    await device.reset()
    size = await device.pci.enable_msix(0xFFFF)
    common = device.common
    vectors = sorted({0, 1, size // 2, size - 1})
    for name, queue in (("config_msix_vector", 0), ("queue_msix_vector", 0), ("queue_msix_vector", 1)):
        await common.write("queue_select", queue)
        for vector in [*vectors, VIRTIO_MSI_NO_VECTOR]:
            await common.write(name, vector)
            check(f"{name} (queue {queue})", await common.read(name), vector, "PCI-MSIX-D06")
        await common.write(name, size)
        check(f"{name} beyond the table", await common.read(name), VIRTIO_MSI_NO_VECTOR, "PCI-MSIX-D09")


@scenario(clauses=["CFG-D01", "CFG-D02", "FS-CFG-DI2", "FS-CFG-DI1"])
async def configuration_is_readable_early(host: HostPort, tb: Bench) -> None:
    """Every field of the device configuration reads the same before and after FEATURES_OK."""
    device = await discover(host, tb)
    await device.reset()
    device.offered = await device.read_offered()
    early = await device.read_config()
    await device.initialise()
    check("device configuration", device.config, early, "CFG-D01")
    if device.offered & Feature.FS_NOTIFICATION.mask:
        size = early.notify_buf_size or 0
        check(f"notify_buf_size {size} holds a DELETE of a long name", size >= 296, True, "FS-CFG-D02")


@scenario(clauses=["STATUS-D01", "STATUS-D02"])
async def nothing_happens_before_driver_ok(host: HostPort, tb: Bench) -> None:
    """A buffer published before DRIVER_OK is not used until DRIVER_OK is set."""
    device = await discover(host, tb)
    await device.initialise()
    client = FuseClient(device)
    message = client.build(Opcode.INIT, 0, bytes(FuseInitIn(7, 45, 0, 0, 0)))
    placed = place(client.plan(message, 80), host.memory, message)
    queue = as_split(device.request_queue(0))
    token = await queue.add(placed.segments, kick=False)
    interrupts = device.interrupts
    await host.sleep(QUIET_PS)
    used = host.memory.read(queue.used + 2, 2)
    check("used.idx before DRIVER_OK", int.from_bytes(used, "little"), 0, "STATUS-D01")
    check("interrupts before DRIVER_OK", device.interrupts - interrupts, 0, "STATUS-D02")
    await device.start()
    await queue.kick()
    check("used length of FUSE_INIT", await queue.wait(token), 80, "FS-REQ-DI1")


@scenario(clauses=["PCI-USEDINT-D01", "PCI-CFGINT-D01", "PCI-MSIX-R06", "PCI-CFGINT-DX1", "SPLIT-UNS-D02"])
async def every_way_to_take_interrupts(host: HostPort, tb: Bench) -> None:
    """A vector for each queue, one for all of them, none at all, and a driver that asks for silence: all work."""
    for vectors in Vectors:
        if vectors is Vectors.LINE and not host.caps.intx:
            continue
        ready = await mount(host, tb, Settings(vectors=vectors))
        for _ in range(4):
            await ready.client.call(Opcode.STATFS, 1)
        if vectors is Vectors.NONE:
            check("interrupts with every event unmapped", ready.device.interrupts, 0, "PCI-USEDINT-D01")
        queue = ready.device.request_queue(0)
        await queue.set_interrupts(False)
        seen = ready.device.interrupts
        for _ in range(3):
            await ready.client.request(ready.client.build(Opcode.STATFS, 1), queue=queue)
        check("interrupts while avail.flags is NO_INTERRUPT", ready.device.interrupts - seen, 0, "SPLIT-UNS-D02")
        await queue.set_interrupts(True)
        await ready.client.request(ready.client.build(Opcode.STATFS, 1), queue=queue)
        await ready.device.reset()


@scenario(clauses=["PCI-COMMON-D16", "SPLIT-VQ-DI1", "SPLIT-AVAIL-R01", "FS-CFG-R02", "SPLIT-SUP-DX1"])
async def small_rings_wrap(host: HostPort, tb: Bench) -> None:
    """Rings of the smallest and of odd-looking sizes wrap many times, however the driver's stores reach memory."""
    for size, publish in ((2, Publish.AT_ONCE), (4, Publish.FIELDS), (16, Publish.SPREAD)):
        settings = Settings(queue_size=size, publish=publish, request_queues=1)
        ready = await mount(host, tb, settings, buffers=min(size, 2), linux_layout=True)
        for _ in range(3 * size + 1):
            reply = await ready.client.call(Opcode.STATFS, 1)
            check("STATFS error", reply.error, 0, "FS-REQ-DI1")
        await ready.device.reset()
