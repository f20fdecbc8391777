"""The DPU as a client of the ramfs engine (docs/notifications.md), against the golden file system."""

from __future__ import annotations

import errno
import functools
import struct
from collections.abc import Mapping

import pytest

from tests.sim.units.engine_bench import DPU_CONTEXT, DPU_LANE, Engine, Sent
from tests.sim.units.engine_campaign import VALID_SECONDS, campaign, message
from tests.sim.units.test_ramfs_engine import SMALL, build, limits
from virtiofs_model.layouts.dpu import REQUEST_BYTES_MAX, CacheOption
from virtiofs_model.layouts.fuse_constants import Opcode

BATCHES = 250
OPTIONS = {
    21: CacheOption(0),
    22: CacheOption.KEEP_CACHE,
    23: CacheOption.NEGATIVE_ENTRIES,
    24: CacheOption.KEEP_CACHE | CacheOption.NEGATIVE_ENTRIES,
}
"""Straps of a campaign, by its seed."""

INIT = message(Opcode.INIT, 0, struct.pack("<4I48x", 7, 45, 0, 0))
MORE = REQUEST_BYTES_MAX - 80
"""Bytes of the largest WRITE."""


def error_of(reply: bytes | None) -> int:
    assert reply is not None
    return -int.from_bytes(reply[4:8], "little", signed=True)


def write(node: int, data: bytes, offset: int = 0) -> bytes:
    return message(Opcode.WRITE, node, struct.pack("<QQI20x", 0, offset, len(data)) + data)


def read(node: int, size: int, offset: int = 0, fh: int = 0) -> bytes:
    return message(Opcode.READ, node, struct.pack("<QQI20x", fh, offset, size))


def make(name: bytes) -> bytes:
    return message(Opcode.MKNOD, 1, struct.pack("<IIII", 0o644, 0, 0, 0) + name + b"\0")


@functools.cache
def seen(seed: int) -> Mapping[tuple[int, int | None], int]:
    """What a campaign of driver and DPU met."""
    return campaign(build(), seed, BATCHES, limits(SMALL), options=OPTIONS[seed]).seen


@pytest.mark.parametrize("seed", OPTIONS)
def test_driver_and_dpu_are_answered_as_the_golden_file_system_does(seed: int) -> None:
    assert seen(seed)


@pytest.mark.widths
@pytest.mark.parametrize(("width", "inodes"), [(128, 16), (512, 64)])
def test_at_other_widths(width: int, inodes: int) -> None:
    parameters = {"DATA_W": width, "INODES": inodes, "PAGES": 64, "CELLS": 4 * inodes}
    campaign(build(**parameters), 25, BATCHES // 2, limits(parameters), options=CacheOption(0))


def test_no_session_is_needed_and_none_begins() -> None:
    with Engine(build(), 1) as engine:
        assert error_of(engine.dpu(make(b"a")).data) == 0
        assert error_of(engine.dpu(INIT).data) == errno.ENOSYS
        assert error_of(engine.one(message(Opcode.GETATTR, 2, bytes(16))).data) == errno.EIO
        for opcode in (Opcode.FORGET, Opcode.BATCH_FORGET, Opcode.INTERRUPT, Opcode.NOTIFY_REPLY, Opcode.DESTROY):
            assert error_of(engine.dpu(message(opcode, 2, bytes(16))).data) == errno.ENOSYS
        for opcode in (Opcode.SETLK, Opcode.TMPFILE, 0x1A000000, 4096):
            assert error_of(engine.dpu(message(opcode, 1, bytes(48) + b"x\0")).data) == errno.ENOSYS


def test_what_the_dpu_looks_up_and_opens_does_not_keep_an_inode() -> None:
    with Engine(build(), 1) as engine:
        create = message(Opcode.CREATE, 1, struct.pack("<IIII", 2, 0o644, 0, 0) + b"a\0")
        reply = engine.dpu(create).data
        assert reply is not None
        node = int.from_bytes(reply[16:24], "little")
        for _ in range(3):
            assert error_of(engine.dpu(message(Opcode.LOOKUP, 1, b"a\0")).data) == 0
            assert error_of(engine.dpu(message(Opcode.OPEN, node, bytes(8))).data) == 0
        assert error_of(engine.dpu(message(Opcode.READDIRPLUS, 1, struct.pack("<QQI20x", 0, 0, 4096))).data) == 0
        assert error_of(engine.dpu(message(Opcode.UNLINK, 1, b"a\0")).data) == 0
        assert error_of(engine.dpu(message(Opcode.GETATTR, node, bytes(16))).data) == errno.ESTALE


def test_the_largest_request_and_reply() -> None:
    data = bytes(index * 7 & 0xFF for index in range(MORE))
    with Engine(build(), 1) as engine:
        engine.dpu(make(b"a"))
        assert error_of(engine.dpu(write(2, data, 33)).data) == 0
        whole = engine.dpu(read(2, REQUEST_BYTES_MAX - 16)).data
        assert whole is not None and whole[16:] == bytes(33) + data
        assert engine.dpu(read(2, REQUEST_BYTES_MAX - 15)).data is None


@pytest.mark.parametrize("wait", [0, 3, 40, 60, 100, 200, 400])
def test_a_reset_does_not_cut_off_the_dpu(wait: int) -> None:
    """Data is written and read to its end, whatever the driver loses at the same time."""
    data = bytes(index * 5 & 0xFF for index in range(MORE))
    with Engine(build(), 1) as engine:
        engine.dpu(make(b"a"))
        engine.dpu(make(b"b"))
        for request, length in ((write(2, data), 24), (read(2, MORE), 16 + MORE)):
            engine.one(INIT, 80)
            engine.one(message(Opcode.OPEN, 3, struct.pack("<II", 2, 0)))
            engine.stall(0, 0, 80)
            engine.send(Sent(message(Opcode.WRITE, 3, struct.pack("<QQI20x", 3, 0, MORE) + data), 24))
            engine.send(Sent(request, REQUEST_BYTES_MAX, DPU_LANE))
            engine.send(Sent(read(3, MORE, fh=3), 1 << 20))
            early = engine.step(wait)
            engine.reset()
            reply = (early | engine.run())[DPU_CONTEXT].data
            engine.stall(0, 0, 0)
            assert reply is not None and len(reply) == length and error_of(reply) == 0
            if length > 24:
                assert reply[16:] == data
        assert engine.dpu(read(2, MORE)).data[16:] == data  # type: ignore[index]


def test_straps_of_what_a_client_may_cache() -> None:
    look = message(Opcode.LOOKUP, 1, b"missing\0")
    with Engine(build(), 1) as engine:
        engine.one(INIT, 80)
        assert error_of(engine.one(look).data) == errno.ENOENT
        engine.options(VALID_SECONDS, CacheOption.NEGATIVE_ENTRIES)
        reply = engine.one(look).data
        assert reply == struct.pack("<IiQ", 144, 0, 7) + bytes(16) + struct.pack("<Q", VALID_SECONDS) + bytes(104)
        assert error_of(engine.dpu(look).data) == errno.ENOENT
        create = message(Opcode.CREATE, 1, struct.pack("<IIII", 2, 0o644, 0, 0) + b"a\0")
        assert struct.unpack_from("<QI", engine.one(create).data or b"", 144) == (2, 0)
        engine.options(VALID_SECONDS, CacheOption.KEEP_CACHE)
        for request, at in ((create, 144), (message(Opcode.OPEN, 2, bytes(8)), 16)):
            assert struct.unpack_from("<QI", engine.one(request).data or b"", at) == (2, 2)
        assert struct.unpack_from("<QI", engine.one(message(Opcode.OPENDIR, 1, bytes(8))).data or b"", 16) == (1, 0)
