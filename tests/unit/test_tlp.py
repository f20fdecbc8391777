"""TLP codec against worked examples of the PCIe tables, and round trips."""

from __future__ import annotations

import random
from ctypes import sizeof

import pytest

from virtiofs_model import tlp
from virtiofs_model.layouts import pci, virtio
from virtiofs_model.layouts.tlp import CompletionStatus, TlpKind


def test_memory_read_below_4g_has_three_dwords() -> None:
    header, payload = tlp.encode(tlp.memory_read(0x1000_0004, 64, 0x0100, 5))
    assert header == (0x0000_0010, 0x0100_05FF, 0x1000_0004, 0)
    assert payload == b""


def test_memory_write_above_4g_has_four_dwords_and_byte_enables() -> None:
    packet = tlp.memory_write(0x1_2345_6789, b"abcdef", 0x0208)
    header, payload = tlp.encode(packet)
    assert header == (0x6000_0002, 0x0208_007E, 0x1, 0x2345_6788)
    assert payload == b"\0abcdef\0"
    assert list(tlp.write_runs(tlp.decode(header, payload))) == [(0x1_2345_6789, b"abcdef")]


def test_configuration_write_of_the_command_register() -> None:
    header, payload = tlp.encode(tlp.config_write(0x0100, 0x04, 2, 0x0006, 0, 7))
    assert header == (0x4400_0001, 0x0000_0703, 0x0100_0004, 0)
    assert payload == bytes([6, 0, 0, 0])


def test_completion_header() -> None:
    request = tlp.memory_read(0x1002, 5, 0x0100, 9)
    header, _ = tlp.encode(tlp.completion(request, 0x0000, bytes(8)))
    assert header == (0x4A00_0002, 0x0000_0005, 0x0100_0902, 0)


@pytest.mark.parametrize(
    ("first", "last", "dwords", "count", "lower"),
    [
        (0b1001, 0, 1, 4, 0), (0b0101, 0, 1, 3, 0), (0b1010, 0, 1, 3, 1), (0b0011, 0, 1, 2, 0),
        (0b0110, 0, 1, 2, 1), (0b1100, 0, 1, 2, 2), (0b0001, 0, 1, 1, 0), (0b0010, 0, 1, 1, 1),
        (0b0100, 0, 1, 1, 2), (0b1000, 0, 1, 1, 3), (0b0000, 0, 1, 1, 0), (0b1111, 0b1111, 4, 16, 0),
        (0b1111, 0b0100, 4, 15, 0), (0b1111, 0b0010, 4, 14, 0), (0b1111, 0b0001, 4, 13, 0),
        (0b1110, 0b1000, 4, 15, 1), (0b1100, 0b0100, 4, 13, 2), (0b1000, 0b0001, 2, 2, 3),
    ],
)  # fmt: skip
def test_byte_count_and_lower_address(first: int, last: int, dwords: int, count: int, lower: int) -> None:
    """PCIe tables 2-40 and 2-41."""
    request = tlp.Tlp(TlpKind.MRD, 0x40, 0, 0, first, last, dwords)
    assert tlp.byte_count(request) == count
    assert tlp.lower_address(request) == 0x40 + lower


def test_round_trip_of_random_packets() -> None:
    rng = random.Random(1)
    kinds = [k for k in TlpKind if k is not TlpKind.UNKNOWN]
    for _ in range(2000):
        kind = rng.choice(kinds)
        header = (
            (kind << 24) | rng.choice((0, 0x4000)) | rng.randrange(1024),
            rng.getrandbits(32), rng.getrandbits(32), rng.getrandbits(32),
        )  # fmt: skip
        packet = tlp.decode(header, b"")
        assert packet.kind is kind
        again = tlp.decode(*tlp.encode(packet))
        packet.fmt_type = again.fmt_type
        assert again == packet


def test_enables_of_every_short_access() -> None:
    for address in range(8):
        for size in range(20):
            packet = tlp.memory_write(0x100 + address, bytes(range(size)), 0)
            runs = list(tlp.write_runs(packet))
            assert runs == ([(0x100 + address, bytes(range(size)))] if size else [])


def test_write_runs_with_holes() -> None:
    packet = tlp.Tlp(TlpKind.MWR, 0x10, 0, 0, 0b0101, 0b1010, 3, bytes(range(12)))
    assert list(tlp.write_runs(packet)) == [
        (0x10, b"\0"), (0x12, b"\2"), (0x14, bytes([4, 5, 6, 7])), (0x19, b"\x09"), (0x1B, b"\x0b"),
    ]  # fmt: skip


def test_split_completions_join_again() -> None:
    request = tlp.memory_read(0x103E, 300, 1, 2)
    data = bytes(i & 0xFF for i in range(request.length_dw * 4))
    parts = tlp.split_completions(request, 0, data, list(range(0x1040, 0x1180, 64)))
    assert parts[0].byte_count == 300 and parts[0].lower_address == 0x3E
    assert parts[1].byte_count == 298 and parts[1].lower_address == 0x40
    assert b"".join(tlp.completion_bytes(p) for p in parts) == data[2:302]
    assert all(p.status == CompletionStatus.SC for p in parts)


def test_sizes_of_structures() -> None:
    sizes = {
        pci.PciHeader: 64, pci.PciExpressCap: 0x3C, pci.MsixCap: 12, pci.MsixTableEntry: 16,
        virtio.VirtioPciCap: 16, virtio.VirtioPciCap64: 24, virtio.VirtioPciNotifyCap: 20,
        virtio.VirtioPciCfgCap: 20, virtio.VirtioPciVndrData: 6, virtio.VirtioPciCommonCfg: 64,
        virtio.VirtqDesc: 16, virtio.VirtqAvail: 4, virtio.VirtqUsedElem: 8, virtio.VirtqUsed: 4,
        virtio.PvirtqDesc: 16, virtio.PvirtqEventSuppress: 4, virtio.VirtioFsConfig: 44,
    }  # fmt: skip
    for structure, size in sizes.items():
        assert sizeof(structure) == size, structure.__name__
    assert virtio.offset_of(virtio.VirtioPciCommonCfg, "queue_device") == 0x30
    assert virtio.Feature.VERSION_1.mask == 1 << 32
