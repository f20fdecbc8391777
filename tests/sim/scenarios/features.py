"""Every feature by itself and in random company: what was offered is taken, and everything works as before."""

from __future__ import annotations

import errno
from ctypes import sizeof

from virtiofs_model.layouts.fuse import FuseCreateIn, FuseEntryOut, FuseOpenOut, FuseOutHeader, FuseWriteIn
from virtiofs_model.layouts.fuse_constants import FUSE_ROOT_ID, Opcode
from virtiofs_model.layouts.virtio import DeviceStatus, Feature
from virtiofs_tb.driver.bringup import POOL_BUFFERS, discover, mount_offered, offer
from virtiofs_tb.driver.errors import check
from virtiofs_tb.driver.features import mask_of, offerable, random_features
from virtiofs_tb.driver.layout import ChainPlan, place
from virtiofs_tb.driver.virtio import USUAL_FEATURES, Settings, Vectors, VirtioFsDevice
from virtiofs_tb.driver.virtqueue import Publish
from virtiofs_tb.host.port import HostPort
from virtiofs_tb.scenario import Bench, scenario
from virtiofs_tb.sequences.ring_traffic import operate

ITEMS = 80
HALF = 4096


async def alone(host: HostPort, tb: Bench, features: int) -> None:
    """These features with nothing but VERSION_1, then with all that is usual."""
    device = await discover(host, tb)
    for number, others in enumerate((Feature.VERSION_1.mask, USUAL_FEATURES)):
        ready = await mount_offered(host, tb, device, Settings(features=features | others))
        await operate(host, tb, ready, tb.option("feature_items", ITEMS), 1000 * number)
    await offer(host, device, USUAL_FEATURES)


@scenario(
    clauses=["SPLIT-UNS-D04", "SPLIT-UNS-D05", "SPLIT-ANS-D03", "SPLIT-ANS-D04", "SPLIT-ANS-R06", "FEAT-D02"],
    needs=["dpu", "event_idx"],
)
async def event_indices(host: HostPort, tb: Bench) -> None:
    """Interrupts and kicks by event index in split rings: nothing waits for one that does not come."""
    await alone(host, tb, Feature.EVENT_IDX.mask)


@scenario(
    clauses=["PACK-VQ-D01", "PACK-VQ-D02", "PACK-WRAP-DI1", "PACK-NEXT-DI1", "PACK-USED-DI1", "PACK-EVT-DI1"],
    needs=["dpu", "packed"],
)
async def packed_rings(host: HostPort, tb: Bench) -> None:
    """Packed rings in place of split ones."""
    await alone(host, tb, Feature.RING_PACKED.mask)


@scenario(clauses=["RSVD-D05", "SPLIT-IND-R05", "SPLIT-DESC-R02"], needs=["dpu", "in_order"])
async def rings_in_order(host: HostPort, tb: Bench) -> None:
    """Every queue gives its chains back in the order in which they came, in both formats."""
    await alone(host, tb, Feature.IN_ORDER.mask)
    if host.caps.packed:
        await alone(host, tb, mask_of(Feature.IN_ORDER, Feature.RING_PACKED))


@scenario(
    clauses=["PCI-NOTIFY-D07", "PCI-NOTIFY-D11", "PCI-COMMON-DI1", "PCI-KICK-R02", "PCI-KICK-R05", "PCI-KICK-R06"],
    needs=["dpu", "doorbell_data"],
)
async def doorbells_carry_data(host: HostPort, tb: Bench) -> None:
    """Doorbells of 32 bits that say how far the ring is filled, and such with what the device wants to be told."""
    for features in (Feature.NOTIFICATION_DATA, Feature.NOTIF_CONFIG_DATA):
        await alone(host, tb, features.mask)
    both = mask_of(Feature.NOTIFICATION_DATA, Feature.NOTIF_CONFIG_DATA)
    await alone(host, tb, both | (Feature.RING_PACKED.mask if host.caps.packed else 0))


@scenario(clauses=["RSVD-D03", "RSVD-D08", "CLEAN-R02", "FS-REQ-DI1"], needs=["dpu", "iommu", "tlp"])
async def mapped_addresses(host: HostPort, tb: Bench) -> None:
    """The device reaches memory at mapped addresses alone, with the rights of each; what is taken away costs one
    request, and no more."""
    await alone(host, tb, mask_of(Feature.ACCESS_PLATFORM, Feature.ORDER_PLATFORM))
    device = await discover(host, tb)
    features = USUAL_FEATURES | mask_of(Feature.ACCESS_PLATFORM, Feature.ORDER_PLATFORM)
    ready = await mount_offered(host, tb, device, Settings(features=features))
    space = device.io_space
    check("addresses are translated", space is not None, True, "RSVD-R04")
    assert space is not None
    made = await ready.client.call(
        Opcode.CREATE, FUSE_ROOT_ID, bytes(FuseCreateIn(0o102, 0o100644, 0, 0)) + b"mapped\0"
    )
    nodeid = made.parse(FuseEntryOut).nodeid
    fh = FuseOpenOut.from_buffer_copy(made.payload, sizeof(FuseEntryOut)).fh
    body = bytes(FuseWriteIn(fh, 0, 2 * HALF, 0, 0, 0, 0)) + bytes(2 * HALF)
    message = ready.client.build(Opcode.WRITE, nodeid, body)
    placed = place(cut_halves(len(message)), host.memory, message)
    queue = device.request_queue(0)
    token = await queue.add(placed.segments, kick=False)
    space.revoke(token.bus[1])
    await queue.ring_doorbell()
    used = await queue.wait(token)
    reply = FuseOutHeader.from_buffer_copy(placed.gather(host.memory, used))
    check("error of a WRITE half of whose data is not mapped", reply.error, -errno.EIO, "FS-REQ-DI1")
    host.memory.free(placed.base)
    check("WRITE error with all of it", (await ready.client.request(message)).error, 0, "FS-REQ-DI1")
    await ready.client.call(Opcode.UNLINK, FUSE_ROOT_ID, b"mapped\0")
    status = await device.status()
    check("NEEDS_RESET", bool(status & DeviceStatus.DEVICE_NEEDS_RESET), False, "STATUS-D03")
    await offer(host, device, USUAL_FEATURES)


def cut_halves(size: int) -> ChainPlan:
    """The last HALF bytes of a message, and the room for a reply, in descriptors of their own."""
    return ChainPlan((size - HALF, HALF), (24,), (0, 0, 0), (0, 1, 2))


async def accepted(device: VirtioFsDevice, features: int) -> bool:
    """Whether the device keeps FEATURES_OK for these features."""
    await device.reset()
    known = DeviceStatus.ACKNOWLEDGE | DeviceStatus.DRIVER
    await device.common.write("device_status", DeviceStatus.ACKNOWLEDGE)
    await device.common.write("device_status", known)
    await device.write_accepted(features)
    await device.common.write("device_status", known | DeviceStatus.FEATURES_OK)
    return bool(await device.status() & DeviceStatus.FEATURES_OK)


@scenario(
    clauses=["FEAT-D02", "FEAT-D03", "FEAT-D05", "FEAT-D01", "RSVD-D04", "RSVD-D02"],
    needs=["dpu", "packed", "event_idx", "doorbell_data", "iommu"],
)
async def every_valid_subset_is_accepted(host: HostPort, tb: Bench) -> None:
    """Of all that can be offered any subset is kept; without ACCESS_PLATFORM or VERSION_1, or with more, none is."""
    device = await discover(host, tb)
    platform, version = Feature.ACCESS_PLATFORM.mask, Feature.VERSION_1.mask
    everything = USUAL_FEATURES | mask_of(*offerable(host.caps))
    rng = tb.rng("features/subsets")
    for offered in (everything, everything & ~platform):
        await offer(host, device, offered)
        for _ in range(tb.option("subsets", 24)):
            subset = version | platform & offered | offered & rng.getrandbits(64)
            check(f"FEATURES_OK for 0x{subset:X} of 0x{offered:X}", await accepted(device, subset), True, "FEAT-D02")
            wrong = subset & ~version if rng.random() < 0.5 else subset | 1 << rng.choice(absent(offered))
            check(f"FEATURES_OK for 0x{wrong:X} of 0x{offered:X}", await accepted(device, wrong), False, "FEAT-D03")
            if offered & platform:
                less = subset & ~platform
                check(f"FEATURES_OK for 0x{less:X} of 0x{offered:X}", await accepted(device, less), False, "RSVD-D04")
    await offer(host, device, USUAL_FEATURES)


def absent(offered: int) -> list[int]:
    """Bits that are not offered."""
    return [bit for bit in range(64) if not offered >> bit & 1]


@scenario(
    clauses=["FEAT-D02", "FEAT-D05", "FS-REQ-DI1", "FS-NQ-DI1", "PACK-VQ-DI1", "PCI-USEDINT-D01"],
    needs=["dpu", "packed", "event_idx", "doorbell_data", "iommu"],
)
async def random_features_work(host: HostPort, tb: Bench) -> None:
    """Random subsets of the features with random sizes, vectors and stores; random operations and notifications."""
    device = await discover(host, tb)
    for number in range(tb.option("feature_sets", 3)):
        rng = tb.rng("features/random", number)
        features = random_features(rng, host.caps)
        sizes = range(2, 1025) if features & Feature.RING_PACKED.mask else [1 << power for power in range(1, 11)]
        size = rng.choice(sizes)
        settings = Settings(
            features,
            queue_size=size,
            request_queues=rng.choice([None, 1, 2]),
            vectors=rng.choice(list(Vectors)),
            publish=rng.choice(list(Publish)),
        )
        host.note(f"features 0x{features:X}, queues of {size}, vectors {settings.vectors.value}")
        ready = await mount_offered(host, tb, device, settings, min(size, POOL_BUFFERS))
        await operate(host, tb, ready, tb.option("feature_items", ITEMS), 1000 * number)
        tb.counts[f"features 0x{features:X}"] += 1
    await offer(host, device, USUAL_FEATURES)
