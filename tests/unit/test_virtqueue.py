"""The split ring's device side, played against a dictionary: chains that are right, and every rule broken once."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest

from virtiofs_model.errors import ErrorCode
from virtiofs_model.layouts.virtio import DescFlags
from virtiofs_model.virtqueue import Chain, ChainError, Ring, Segment, available, slices, walk_chain

N, W, I = int(DescFlags.NEXT), int(DescFlags.WRITE), int(DescFlags.INDIRECT)  # noqa: E741
RING = Ring(size=8, desc=0x1000, driver=0x2000, device=0x3000, indirect=True)
TABLE = 0x8000
Descriptor = tuple[int, int, int, int]


def walk(
    direct: dict[int, Descriptor], table: list[Descriptor] | None = None, ring: Ring = RING, head: int = 0
) -> Chain:
    """Walk a chain in a memory that holds these descriptors."""
    memory = {ring.desc + 16 * index: struct.pack("<QIHH", *d) for index, d in direct.items()}
    memory |= {TABLE + 16 * index: struct.pack("<QIHH", *d) for index, d in enumerate(table or [])}
    generator = walk_chain(ring, head)
    try:
        address, size = next(generator)
        while True:
            data = b"".join(memory[at] for at in range(address, address + size, 16))
            address, size = generator.send(data)
    except StopIteration as end:
        chain: Chain = end.value
        return chain


def test_direct_chain_with_empty_descriptor() -> None:
    chain = walk({0: (0x10, 40, N, 5), 5: (0x20, 0, N, 2), 2: (0x30, 16, W | N, 7), 7: (0x40, 9, W, 0)})
    assert chain.readable == [Segment(0x10, 40), Segment(0x20, 0)]
    assert chain.writable == [Segment(0x30, 16), Segment(0x40, 9)]
    assert (chain.readable_bytes, chain.writable_bytes) == (40, 25)


@pytest.mark.parametrize("flags", [I, I | W])
def test_direct_then_indirect(flags: int) -> None:
    """SPLIT-IND-D01 (WRITE is ignored), SPLIT-IND-D02."""
    table = [(0x20, 1, N, 2), (0, 0, 0xFFF8, 0), (0x30, 2, W, 0)]
    chain = walk({0: (0x10, 40, N, 1), 1: (TABLE, 48, flags, 0)}, table)
    assert chain.readable == [Segment(0x10, 40), Segment(0x20, 1)]
    assert chain.writable == [Segment(0x30, 2)]


def test_table_of_queue_size_descriptors() -> None:
    table = [(0x100 * i, 1, N if i < 7 else 0, i + 1) for i in range(8)]
    assert walk({0: (TABLE, 128, I, 0)}, table).readable_bytes == 8


@pytest.mark.parametrize(
    ("direct", "table", "code"),
    [
        ({0: (0, 1, N, 8)}, [], ErrorCode.NEXT_INDEX),
        ({0: (0, 1, N, 0)}, [], ErrorCode.CHAIN_LENGTH),
        ({0: (0, 1, N | W, 1), 1: (0, 1, 0, 0)}, [], ErrorCode.DIRECTION),
        ({0: (TABLE, 16, I, 0)}, [(TABLE, 16, I, 0)], ErrorCode.INDIRECT_NESTED),
        ({0: (TABLE, 16, I | N, 0)}, [], ErrorCode.INDIRECT_NEXT),
        ({0: (TABLE, 0, I, 0)}, [], ErrorCode.INDIRECT_LENGTH),
        ({0: (TABLE, 24, I, 0)}, [], ErrorCode.INDIRECT_LENGTH),
        ({0: (TABLE, 16, I, 0)}, [(0, 1, N, 1)], ErrorCode.NEXT_INDEX),
        ({0: (TABLE, 144, I, 0)}, [(0, 1, N, i + 1) for i in range(9)], ErrorCode.CHAIN_LENGTH),
        ({0: (0, 0xFFFFFFFF, N, 1), 1: (0, 1, 0, 0)}, [], ErrorCode.CHAIN_BYTES),
    ],
)
def test_broken_chains(direct: dict[int, Descriptor], table: list[Descriptor], code: ErrorCode) -> None:
    with pytest.raises(ChainError) as error:
        walk(direct, table)
    assert error.value.code == code


def test_head_and_index_are_checked() -> None:
    with pytest.raises(ChainError) as error:
        walk({}, head=8)
    assert error.value.code == ErrorCode.HEAD_INDEX
    with pytest.raises(ChainError) as error:
        walk({0: (TABLE, 16, I, 0)}, ring=Ring(8, 0x1000, 0, 0, indirect=False))
    assert error.value.code == ErrorCode.INDIRECT_OFF
    assert available(RING, 2, 0xFFFE) == 4
    with pytest.raises(ChainError):
        available(RING, 9, 0)


def test_ring_addresses() -> None:
    assert RING.avail_entries(14, 8) == (0x2000 + 4 + 12, 4)
    assert RING.used_entry(9, 3, 100) == (0x3000 + 4 + 8, struct.pack("<II", 3, 100))
    assert RING.used_idx(0x10000) == (0x3002, b"\0\0")


@pytest.mark.parametrize(
    ("event", "old", "new", "told"),
    [
        (5, 5, 6, True), (6, 5, 6, False), (4, 5, 6, False), (5, 3, 9, True), (9, 3, 9, False), (3, 3, 9, True),
        (0xFFFF, 0xFFFF, 0x10000, True), (0, 0xFFFF, 0x10000, False), (0, 0xFFFE, 0x10001, True),
        (0xFFFE, 0xFFFE, 0x10001, True), (0x8000, 0xFFFE, 0x10001, False), (7, 9, 9, False),
    ],
)  # fmt: skip
def test_used_event(event: int, old: int, new: int, told: bool) -> None:
    """SPLIT-UNS-D05, D06: whether the entry is among those from `old` to `new`, around the end of 16 bits, too."""
    ring = replace(RING, event_idx=True)
    assert ring.wants_interrupt(struct.pack("<H", event), old, new) is told
    assert ring.suppression() == (0x2000 + 4 + 16, 2)
    assert ring.avail_event(0x10003) == (0x3000 + 4 + 64, b"\3\0")


def test_slices() -> None:
    segments = [Segment(0x100, 10), Segment(0x200, 0), Segment(0x300, 5)]
    assert slices(segments, 0, 15) == [Segment(0x100, 10), Segment(0x300, 5)]
    assert slices(segments, 9, 3) == [Segment(0x109, 1), Segment(0x300, 2)]
    assert slices(segments, 12, 9) == [Segment(0x302, 3)]
    assert slices(segments, 0, 0) == []
