"""The golden configuration space and registers."""

from __future__ import annotations

import pytest

from virtiofs_model.config_space import (
    BAR0,
    CONFIG_SIZE,
    DEVCTL,
    MSIX_CONTROL,
    STATUS,
    ConfigSpace,
    reset_values,
    write_masks,
)
from virtiofs_model.layouts.virtio import DeviceStatus, Feature
from virtiofs_model.registers import DeviceStraps, Role, VirtioRegisters, features_acceptable

V1 = Feature.VERSION_1.mask


def test_reset_values_and_masks_do_not_contradict() -> None:
    rw, rw1c, free = write_masks()
    assert len(reset_values(11, 44)) == CONFIG_SIZE == len(rw) == len(rw1c) == len(free)
    assert not any(a & b for a, b in zip(rw, rw1c, strict=True))


def test_every_byte_obeys_its_mask() -> None:
    config = ConfigSpace(11, 44)
    rw, _, _ = write_masks()
    reset = reset_values(11, 44)
    for offset in range(0, CONFIG_SIZE, 4):
        if offset != 0xE8:
            config.write(offset, 0xFFFFFFFF, 0xF)
    for offset in range(CONFIG_SIZE):
        if not 0xE8 <= offset < 0xEC:
            assert config.data[offset] == reset[offset] | rw[offset], hex(offset)


def test_narrow_port_follows() -> None:
    config = ConfigSpace(11, 44)
    assert (config.mps, config.mrrs, config.bus_master) == (128, 512, False)
    config.write(0x04, 0x0006, 0x3)
    config.write(DEVCTL, 0x1 << 5 | 0x5 << 12, 0x3)
    config.write(BAR0, 0xFFFFFFFF, 0xF)
    config.write(BAR0 + 4, 1, 0xF)
    config.write(MSIX_CONTROL & ~3, 0xC000 << 16, 0xC)
    assert (config.mps, config.mrrs) == (256, 4096)
    assert config.bus_master and config.memory_enable and config.msix_enable and config.msix_function_mask
    assert config.bar0 == 0x1_FFFF_8000


def test_status_bits_are_cleared_by_writing_one() -> None:
    config = ConfigSpace(11, 44)
    config.received(unsupported=True, aborted=True, poisoned=True)
    assert config.read(STATUS & ~3) >> 16 == 0xB010
    config.write(STATUS & ~3, 0x2000 << 16, 0xC)
    assert config.read(STATUS & ~3) >> 16 == 0x9010


@pytest.mark.parametrize("negotiated", [V1, V1 | 1])
@pytest.mark.parametrize("literal", [False, True])
@pytest.mark.parametrize("offered", [V1, V1 | 1])
def test_roles(offered: int, literal: bool, negotiated: int) -> None:
    straps = DeviceStraps(num_request_queues=3, features=offered, literal=literal)
    roles = straps.roles(negotiated)
    first = 2 if literal or negotiated & 1 else 1
    assert roles[0] is Role.HIPRIO
    assert [i for i, role in enumerate(roles) if role is Role.REQUEST] == [first, first + 1, first + 2]
    assert (roles[1] is Role.NOTIFICATION) == bool(negotiated & 1)
    assert straps.num_queues() == (5 if literal or offered & 1 else 4)


def test_features() -> None:
    access = Feature.ACCESS_PLATFORM.mask
    assert features_acceptable(V1, V1 | 1)
    assert not features_acceptable(1, V1 | 1)
    assert not features_acceptable(V1 | 2, V1 | 1)
    assert not features_acceptable(V1, V1 | access)
    assert features_acceptable(V1 | access, V1 | access)


def test_status_rules() -> None:
    registers = VirtioRegisters()
    registers.write_common(0x14, 4, 1)
    assert not registers.driver_ok, "DRIVER_OK without FEATURES_OK serves nothing"
    registers.finish_reset()
    registers.write_common(0x08, 1, 0xF)
    registers.write_common(0x0C, 1, 0xF)
    registers.write_common(0x14, 0x4B, 1)
    assert registers.status == 0x0B, "NEEDS_RESET is not the driver's bit"
    registers.write_common(0x14, 0x0F, 1)
    assert registers.needs_reset() and not registers.needs_reset()
    registers.write_common(0x14, 0x0F, 1)
    assert registers.status & DeviceStatus.DEVICE_NEEDS_RESET and not registers.driver_ok
    registers.write_common(0x14, 0, 1)
    assert registers.read_common(0x14) & 0xFF == 0x4F, "until the reset is done"
    registers.finish_reset()
    assert registers.read_common(0x14) & 0xFF == 0


def test_queue_registers() -> None:
    registers = VirtioRegisters()
    registers.write_common(0x14, 2 << 16, 0xC)
    assert registers.read_common(0x18) == 0xFFFF_0400
    registers.write_common(0x24, 0xAABBCCDD, 0x5)
    assert registers.read_common(0x24) == 0x00BB00DD
    registers.write_common(0x18, 10 << 16 | 256, 0xF)
    assert registers.read_common(0x18) == 10 << 16 | 256
    registers.write_common(0x18, 11 << 16 | 2048, 0xF)
    assert registers.read_common(0x18) == 0xFFFF << 16 | 256
    registers.write_common(0x1C, 1, 0x3)
    registers.write_common(0x18, 128, 0x3)
    registers.write_common(0x20, 1, 0xF)
    assert registers.read_common(0x18) & 0xFFFF == 256 and registers.read_common(0x20) == 0
    assert registers.read_common(0x1C) == 2 << 16 | 1
    registers.write_common(0x14, 9 << 16, 0xC)
    assert registers.read_common(0x18) & 0xFFFF == 0


def test_what_a_doorbell_is_told() -> None:
    """PCI-COMMON-DI1: the register exists where NOTIF_CONFIG_DATA was negotiated."""
    for features in (V1, V1 | Feature.NOTIF_CONFIG_DATA.mask):
        registers = VirtioRegisters(straps=DeviceStraps(features=features))
        registers.write_common(0x08, 1, 0xF)
        registers.write_common(0x0C, features >> 32, 0xF)
        registers.write_common(0x14, 3 << 16, 0xC)
        assert registers.read_common(0x38) == 0, "before FEATURES_OK"
        registers.write_common(0x14, 0x0B, 1)
        assert registers.read_common(0x38) == (0x103 if features != V1 else 0)
        registers.write_common(0x38, 0, 0xF)
        registers.write_common(0x14, 7 << 16, 0xC)
        assert registers.read_common(0x38) == 0, "a queue that is absent"


def test_feature_words_of_any_select() -> None:
    registers = VirtioRegisters()
    for select, word in ((0, 0x10000001), (1, 1), (2, 0), (0xFFFFFFFF, 0)):
        registers.write_common(0x00, select, 0xF)
        assert registers.read_common(0x04) == word
        registers.write_common(0x08, select, 0xF)
        registers.write_common(0x0C, word, 0xF)
        assert registers.read_common(0x0C) == word


def test_generation_changes_once_a_seen_value_changed() -> None:
    registers = VirtioRegisters()
    registers.config_changed()
    assert registers.generation == 0
    registers.read_device(0x24)
    registers.config_changed()
    registers.config_changed()
    assert registers.generation == 1


def test_reset_from_status_0_ends_at_once() -> None:
    registers = VirtioRegisters()
    registers.write_common(0x14, 0, 1)
    registers.write_common(0x14, 1, 1)
    assert registers.read_common(0x14) & 0xFF == 1
