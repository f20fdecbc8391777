"""What the driver writes where features are negotiated, and devices that lie about them."""

from __future__ import annotations

import pytest

from tests.unit.test_driver_hostile import LIMIT_PS, LyingHost, bench
from virtiofs_model.layouts.virtio import CfgType, Feature
from virtiofs_tb.driver.bringup import Mount, discover, mount_offered
from virtiofs_tb.driver.dma import DmaMapper
from virtiofs_tb.driver.errors import DriverError
from virtiofs_tb.driver.features import mask_of, offerable, random_features
from virtiofs_tb.driver.virtio import KNOWN_FEATURES, RING_FEATURES, USUAL_FEATURES, Settings
from virtiofs_tb.host.base import FEATURE_CAPS, PACKET_CAPS
from virtiofs_tb.seeds import stream
from virtiofs_tb.sequences.ring_traffic import call_in, cut_plan

DATA, CONFIG, PACKED = Feature.NOTIFICATION_DATA, Feature.NOTIF_CONFIG_DATA, Feature.RING_PACKED


async def mounted(host: LyingHost, *features: Feature, size: int | None = None) -> Mount:
    device = await discover(host, tb := bench(host))
    settings = Settings(USUAL_FEATURES | mask_of(*features), queue_size=size)
    return await mount_offered(host, tb, device, settings, buffers=2)


@pytest.mark.parametrize(
    ("features", "size", "value"),
    [
        ((), 2, 3),
        ((CONFIG,), 2, 0x103),
        ((DATA,), 4, 3 | 2 << 16),
        ((DATA, CONFIG), 4, 0x103 | 2 << 16),
        ((DATA, PACKED), 4, 3 | (4 | 1 << 15) << 16),
        ((DATA, PACKED, CONFIG), 4, 0x103 | (4 | 1 << 15) << 16),
    ],
)
def test_what_a_doorbell_carries(features: tuple[Feature, ...], size: int, value: int) -> None:
    """The second request of two descriptors on queue 3: PCI-KICK-R01 to R06, KICK-RI1, PACK-DESC-R03."""
    host = LyingHost()
    rung: list[tuple[int, int]] = []
    original = host.bar_write

    async def bar_write(fn: int, bar: int, offset: int, size: int, value: int) -> None:
        place = device[0].pci.structure(CfgType.NOTIFY_CFG)
        if place.offset <= offset < place.offset + place.length:
            rung.append((size, value))
        await original(fn, bar, offset, size, value)

    device = []

    async def main() -> None:
        ready = await mounted(host, *features)
        device.append(ready.device)
        host.bar_write = bar_write  # type: ignore[method-assign]
        for _ in range(2):
            await call_in(ready, ready.device.queues[3], 2)

    host.run(main(), LIMIT_PS)
    assert rung[-1] == (size, value) and len(rung) == 2


@pytest.mark.parametrize(
    ("offset", "lie", "message"),
    [
        (0x3A, 1, "queue_reset of queue 2: 0x1, expected 0x0 .PCI-COMMON-D14"),
        (0x1C, 1, "queue_enable of queue 2 after its reset: 0x1, expected 0x0"),
    ],
)
def test_lies_about_the_reset_of_a_queue(offset: int, lie: int, message: str) -> None:
    host = LyingHost()

    async def main() -> None:
        ready = await mounted(host, Feature.RING_RESET)
        host.bar_lies[ready.device.pci.structures[CfgType.COMMON_CFG].offset + offset] = lie
        await ready.device.reset_queue(2)

    with pytest.raises(DriverError, match=message):
        host.run(main(), LIMIT_PS)


def test_a_queue_that_is_not_reset_after_it_was_enabled() -> None:
    host = LyingHost()

    async def main() -> None:
        ready = await mounted(host, Feature.RING_RESET)
        await ready.device.reset_queue(2)
        host.bar_lies[ready.device.pci.structures[CfgType.COMMON_CFG].offset + 0x3A] = 1
        await ready.device.enable_queue(2)

    with pytest.raises(DriverError, match=r"queue_reset of enabled queue 2: 0x1.*PCI-COMMON-D11"):
        host.run(main(), LIMIT_PS)


@pytest.mark.parametrize(
    ("size", "message"), [(0, "queue_size of queue 0: 0x0, expected 1 to 32768"), (40000, "32768")]
)
def test_lies_about_the_size_of_a_packed_queue(size: int, message: str) -> None:
    host = LyingHost()

    async def main() -> None:
        device = await discover(host, bench(host))
        host.bar_lies[device.pci.structures[CfgType.COMMON_CFG].offset + 0x18] = size
        await mounted(host, PACKED)

    with pytest.raises(DriverError, match=message):
        host.run(main(), LIMIT_PS)


def test_a_device_that_keeps_another_queue_size() -> None:
    host = LyingHost()

    async def main() -> None:
        device = await discover(host, bench(host))
        host.bar_lies[device.pci.structures[CfgType.COMMON_CFG].offset + 0x18] = 8
        await mounted(host, PACKED, size=7)

    with pytest.raises(DriverError, match="queue_size of queue 0: 0x8, expected 0x7"):
        host.run(main(), LIMIT_PS)


def test_an_offer_that_is_not_made_is_reported() -> None:
    host = LyingHost()

    async def main() -> None:
        device = await discover(host, bench(host))
        host.bar_lies[device.pci.structures[CfgType.COMMON_CFG].offset + 4] = 1
        await mounted(host, PACKED)

    with pytest.raises(DriverError, match="device_feature after the DPU's offer"):
        host.run(main(), LIMIT_PS)


def test_random_features_are_those_that_the_target_has() -> None:
    assert offerable(FEATURE_CAPS) == list(RING_FEATURES) and offerable(PACKET_CAPS) == []
    chosen = [random_features(stream(seed, "features"), FEATURE_CAPS) for seed in range(200)]
    assert all(item & Feature.VERSION_1.mask and not item & ~KNOWN_FEATURES for item in chosen)
    seen = 0
    for item in chosen:
        seen |= item
    assert seen == KNOWN_FEATURES and len(set(chosen)) > 100


def test_without_a_map_addresses_are_those_of_memory() -> None:
    plain = DmaMapper()
    assert plain.map(0x1234, 5, 1) == 0x1234  # type: ignore[arg-type]
    plain.unmap(0x1234)


@pytest.mark.parametrize(("descriptors", "parts"), [(2, ((40,), (96,))), (4, ((38, 1, 1), (96,)))])
def test_a_plan_of_so_many_descriptors(descriptors: int, parts: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    plan = cut_plan(40, 96, descriptors)
    assert (plan.readable, plan.writable) == parts and plan.descriptors == descriptors
    with pytest.raises(ValueError, match="do not make 1 descriptors"):
        cut_plan(40, 96, 1)
    assert cut_plan(40, 0, 3).readable == (38, 1, 1) and cut_plan(0, 9, 1).writable == (9,)
