"""The DPU's FUSE mailbox (hdl/fs/fuse_mailbox.sv, hdl/ramfs/ramfs_clients.sv) before the file system in hardware, held
against the golden client."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.sim.units.engine_campaign import message
from tests.sim.units.engine_traffic import Traffic
from tests.sim.units.unit_build import build_unit, play
from virtiofs_model.layouts.dpu import REQUEST_BYTES_MAX
from virtiofs_model.layouts.fuse_constants import Opcode
from virtiofs_model.ramfs import Limits, RamfsServer, Tree
from virtiofs_model.ramfs.dpu import DpuClient

SIZES = {"INODES": 16, "PAGES": 32, "CELLS": 40}
REQUESTS = 400
MORE = REQUEST_BYTES_MAX - 80


def build(width: int) -> Path:
    return build_unit("mailbox_bench", {"DATA_W": width, **SIZES})


@dataclass
class Script:
    """Requests, and what the golden file system answers to each."""

    server: RamfsServer
    lines: list[str]
    expected: list[bytes]

    def ask(self, request: bytes) -> None:
        self.lines.append(f"request {request.hex()}")
        self.expected.append(DpuClient(self.server).request(request).reply)

    def judge(self, answers: list[str]) -> None:
        """AssertionError at the first reply that differs."""
        assert len(answers) == len(self.expected)
        for index, (answer, expected) in enumerate(zip(answers, self.expected, strict=True)):
            words = answer.split(" ")
            assert words[0] == "reply", f"request {index}: {answer}"
            assert bytes.fromhex(words[2]) == expected, f"request {index}: {self.lines[index][:200]}"


def script() -> Script:
    return Script(RamfsServer(Tree(Limits(16, 32, 32, 40))), [], [])


def write(node: int, data: bytes, offset: int) -> bytes:
    return message(Opcode.WRITE, node, struct.pack("<QQI20x", 0, offset, len(data)) + data)


def read(node: int, size: int, offset: int) -> bytes:
    return message(Opcode.READ, node, struct.pack("<QQI20x", 0, offset, size))


@pytest.mark.parametrize("width", [128, 256])
def test_bytes_at_every_place(width: int) -> None:
    """WRITE and READ from and to all lanes, SYMLINK with targets behind names of all lengths."""
    traffic = script()
    traffic.ask(message(Opcode.MKNOD, 1, struct.pack("<IIII", 0o644, 0, 0, 0) + b"a\0"))
    data = bytes(index * 7 + (index >> 8) & 0xFF for index in range(MORE))
    traffic.ask(write(2, data, 0))
    for at in range(0, 70):
        size = (1, 2, 15, 16, 17, 33, 64, 65, 130, 1000)[at % 10]
        traffic.ask(write(2, data[at : at + size], 5000 + 131 * at))
        traffic.ask(read(2, size + 3, 5000 + 131 * at - 1))
    traffic.ask(read(2, REQUEST_BYTES_MAX - 16, 33))
    traffic.ask(read(2, REQUEST_BYTES_MAX - 15, 33))
    for length in range(1, 70, 3):
        target = bytes(65 + index % 26 for index in range(4095 if length == 1 else 40 + length))
        traffic.ask(message(Opcode.SYMLINK, 1, b"n" * length + b"\0" + target + b"\0"))
        traffic.ask(message(Opcode.READLINK, 1 << 32 | 3 if length > 1 else 3))
        traffic.ask(message(Opcode.UNLINK, 1, b"n" * length + b"\0"))
    traffic.judge(play(build(width), ["driver 70", *traffic.lines], 1))


@pytest.mark.parametrize(("width", "seed"), [(128, 1), (256, 2)])
def test_random_requests_are_answered_as_the_golden_client_does(width: int, seed: int) -> None:
    traffic = script()
    source = Traffic(seed, traffic.server)
    lines: list[str] = []
    for _ in range(REQUESTS):
        if source.random.random() < 0.2:
            lines.append(f"driver {source.random.choice([0, 30, 100])}")
            lines.append(f"hold {source.random.choice([0, 50])}")
        traffic.ask(source.dpu().message)
        lines.append(traffic.lines[-1])
    traffic.judge(play(build(width), lines, seed))


def test_what_is_refused() -> None:
    hands = [(9, 36), (10, 39), (9, 40), (11, 40), (0, 40), (2049, 8193), (2049, 8192), (4000, 8192), (10, 1 << 31)]
    look = message(Opcode.STATFS, 1)
    lines = [f"request {look.hex()}"]
    for dwords, length in hands:
        lines += [f"hand {dwords} {length}", f"request {look.hex()}"]
    lines += ["firmware 1", f"request {look.hex()}", "firmware 0", f"request {look.hex()}"]
    answers = play(build(256), lines, 1)
    refused = [answer for answer in answers if answer.startswith("refused")]
    assert refused == ["refused 0 0"] * (len(hands) + 1)
    assert len({answer.split(" ")[2] for answer in answers if answer.startswith("reply")}) == 1
    assert len(answers) == 2 * len(hands) + 3


def test_a_wrong_byte_is_seen() -> None:
    traffic = script()
    traffic.ask(message(Opcode.GETATTR, 1, bytes(16)))
    answers = play(build(256), traffic.lines, 1)
    traffic.judge(answers)
    with pytest.raises(AssertionError, match="request 0"):
        traffic.judge([answers[0][:-1] + ("0" if answers[0][-1] != "0" else "1")])
