"""Synthetic observation logs: a few lines make the records of a session, right or wrong, without any device.

`Trace` plays both sides of the link and writes down what a log would hold. Configuration space and registers answer
from the golden models; DMA is whatever the test writes.
"""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path

from virtiofs_model import tlp
from virtiofs_model.config_space import ConfigSpace
from virtiofs_model.engine import EngineReply, EngineRequest
from virtiofs_model.layouts.dpu import DpuRegister
from virtiofs_model.layouts.virtio import Feature
from virtiofs_model.registers import VirtioRegisters
from virtiofs_tb.host.log import Channel, DpuChannel, Kind, Record, tlp_record, user_header
from virtiofs_tb.profile import Profile, load
from virtiofs_tb.scoreboards import ScoreboardSet

ROOT = Path(__file__).parents[2]
STRICT = replace(load(ROOT / "profiles" / "ours-strict.toml"), intx=False)
HOST, DEVICE = 0x0000, 0x0100
BAR = 0xE000_0000
MSI = 0xFEE0_0000
STEP_PS = 4_000
FEATURES = Feature.VERSION_1.mask | Feature.INDIRECT_DESC.mask | Feature.FS_NOTIFICATION.mask

NEXT, WRITE, INDIRECT = 1, 2, 4

RINGS = 0x10_0000
NOTIFY_RINGS = 0x20_0000
READABLE, WRITABLE = 0x30_0000, 0x31_0000
HEAD = struct.pack("<IIQQIIIHH", 40, 17, 7, 1, 0, 0, 0, 0, 0)
REPLY = struct.pack("<IiQ", 96, 0, 7) + bytes(range(80))


class Trace:
    """Records in the making, judged as they are made. memory: host memory, for completions."""

    def __init__(self, profile: Profile = STRICT) -> None:
        self.boards = ScoreboardSet(profile)
        self.t_ps = 0
        self.seq = 0
        self.memory: dict[int, int] = {}
        self.config = ConfigSpace(profile.msix_vectors, 44)
        self.registers = VirtioRegisters(profile.msix_vectors)
        self.completer = 0  # bus and device number are captured from the first configuration write
        self._host_tag = 0
        self._reads: dict[int, tlp.Tlp] = {}

    # ---- records ----

    def _record(self, record: Record) -> int:
        self.boards.observe([record])
        return record.seq

    def _next(self) -> tuple[int, int]:
        self.seq += 1
        self.t_ps += STEP_PS
        return self.t_ps, self.seq

    def packet(self, channel: Channel, packet: tlp.Tlp) -> int:
        """A packet on a channel; returns its seq."""
        return self._record(tlp_record(*self._next(), channel, *tlp.encode(packet)))

    def other(
        self, kind: Kind, channel: int, user: int = 0, payload: bytes = b"", status: int = 0, address: int = 0
    ) -> int:
        """Anything that is no packet."""
        t_ps, seq = self._next()
        if kind == Kind.RESET:
            self.completer = 0
        hdr = user_header(user)
        return self._record(Record(t_ps, seq, address, len(payload), kind, channel, status, 0, 0, 0, hdr, payload))

    def offer(self, features: int) -> None:
        """The DPU's straps."""
        low, high = features & 0xFFFF_FFFF, features >> 32
        for register, word in ((DpuRegister.FEATURES_LO, low), (DpuRegister.FEATURES_HI, high)):
            self.other(Kind.DPU_OPERATION, DpuChannel.WRITE, word, address=register)
        self.registers.straps.features = features

    def wait(self, us: int) -> None:
        """Let time pass."""
        self.t_ps += us * 1_000_000

    # ---- the host's side ----

    def _tag(self) -> int:
        self._host_tag = (self._host_tag + 1) % 32
        return self._host_tag

    def config_read(self, offset: int, value: int | None = None, size: int = 4) -> int:
        """Read configuration space; value: what the device answers instead of the golden dword."""
        request = tlp.config_read(DEVICE, offset, size, HOST, self._tag())
        self.packet(Channel.CQ, request)
        dword = self.config.read(offset & ~3, request.first_be) if value is None else value
        self.packet(Channel.CC, tlp.completion(request, self.completer, dword.to_bytes(4, "little")))
        return dword

    def config_write(self, offset: int, value: int, size: int = 4) -> None:
        request = tlp.config_write(DEVICE, offset, size, value, HOST, self._tag())
        self.packet(Channel.CQ, request)
        self.completer = DEVICE
        self.config.write(offset & ~3, int.from_bytes(request.payload, "little"), request.first_be)
        self.packet(Channel.CC, tlp.completion(request, self.completer, None))

    def bar_write(self, offset: int, value: int, size: int) -> None:
        self.packet(Channel.CQ, tlp.memory_write(BAR + offset, value.to_bytes(size, "little"), HOST))
        if offset < 0x40:
            lane = offset & 3
            self.registers.write_common(offset & ~3, value << 8 * lane, ((1 << size) - 1) << lane)

    def bar_read(self, offset: int, size: int, value: int) -> None:
        """Read a register; the device answers `value`."""
        request = tlp.memory_read(BAR + offset, size, HOST, self._tag())
        self.packet(Channel.CQ, request)
        data = bytes(offset & 3) + value.to_bytes(size, "little")
        data += bytes(-len(data) % 4)
        self.packet(Channel.CC, tlp.completion(request, self.completer, data))

    def common(self, offset: int, size: int) -> None:
        """Read a field of the common structure, answered by the golden model."""
        value = self.registers.read_common(offset & ~3) >> 8 * (offset & 3) & ((1 << 8 * size) - 1)
        self.bar_read(offset, size, value)

    # ---- bring-up ----

    def enumerate(self) -> None:
        """Sizes BAR 0, walks the capabilities, turns memory and bus mastering on."""
        self.config_read(0)
        for offset, value in ((0x10, 0xFFFFFFFF), (0x14, 0xFFFFFFFF)):
            self.config_write(offset, value)
            self.config_read(offset)
        self.config_write(0x10, BAR)
        self.config_write(0x14, 0)
        for offset in range(0x34, 0xEC, 4):
            self.config_read(offset)
        self.config_write(4, 6, 2)

    def start(self, queues: dict[int, int], size: int = 16, features: int = FEATURES) -> None:
        """Up to DRIVER_OK. queues: ring base by index; table at base, available ring +0x1000, used ring +0x2000."""
        self.config_write(0x8A, 0x8000, 2)
        for vector in range(4):
            for at, word in enumerate((MSI, 0, vector, 0)):
                self.bar_write(0x4000 + 16 * vector + 4 * at, word, 4)
        for status in (1, 3):
            self.bar_write(0x14, status, 1)
        for select in (0, 1):
            self.bar_write(0x00, select, 4)
            self.common(0x04, 4)
            self.bar_write(0x08, select, 4)
            self.bar_write(0x0C, features >> 32 * select & 0xFFFFFFFF, 4)
        self.bar_read(0x2028, 4, 4136)
        self.bar_write(0x14, 11, 1)
        self.common(0x14, 1)
        self.bar_write(0x10, 0, 2)
        for index, base in queues.items():
            self.bar_write(0x16, index, 2)
            self.bar_write(0x18, size, 2)
            self.common(0x18, 2)
            self.bar_write(0x1A, 1 + index, 2)
            for at, address in ((0x20, base), (0x28, base + 0x1000), (0x30, base + 0x2000)):
                self.bar_write(at, address & 0xFFFFFFFF, 4)
                self.bar_write(at + 4, address >> 32, 4)
            self.bar_write(0x1C, 1, 2)
        self.bar_write(0x14, 15, 1)
        self.common(0x14, 1)

    def reset(self) -> None:
        """Device reset, read back as 0."""
        self.bar_write(0x14, 0, 1)
        self.registers.finish_reset()
        self.bar_read(0x14, 1, 0)

    def put(self, address: int, data: bytes) -> None:
        """Host memory."""
        for at, byte in enumerate(data):
            self.memory[address + at] = byte

    # ---- the device's side ----

    def issue(self, address: int, size: int, tag: int) -> int:
        """The device asks for memory."""
        request = tlp.memory_read(address, size, DEVICE, tag)
        self._reads[tag] = request
        return self.packet(Channel.RQ, request)

    def complete(self, tag: int, status: int = 0) -> int:
        """That read is answered from memory as it is now (status: or with an error)."""
        request = self._reads.pop(tag)
        if status:
            return self.packet(Channel.RC, tlp.completion(request, HOST, None, status))
        data = bytes(self.memory.get(request.address + at, 0) for at in range(4 * request.length_dw))
        return self.packet(Channel.RC, tlp.completion(request, HOST, data))

    def read(self, address: int, size: int, tag: int = 1) -> None:
        """A read and its completion."""
        self.issue(address, size, tag)
        self.complete(tag)

    def write(self, address: int, data: bytes) -> int:
        return self.packet(Channel.RQ, tlp.memory_write(address, data, DEVICE))

    def interrupt(self, vector: int) -> None:
        self.write(MSI, vector.to_bytes(4, "little"))

    # ---- one request, right ----

    def publish(self, base: int, count: int, heads: dict[int, int]) -> None:
        """The driver's available ring: entries by slot, and the index."""
        self.put(base + 0x1002, struct.pack("<H", count))
        for slot, head in heads.items():
            self.put(base + 0x1004 + 2 * slot, struct.pack("<H", head))

    def desc(self, base: int, index: int, address: int, length: int, flags: int, following: int = 0) -> None:
        self.put(base + 16 * index, struct.pack("<QIHH", address, length, flags, following))

    def fetch(self, base: int, slot: int, descriptors: list[int]) -> None:
        """The device reads index, entry and descriptors, one after the other."""
        self.read(base + 0x1002, 2)
        self.read(base + 0x1004 + 2 * slot, 2)
        for index in descriptors:
            self.read(base + 16 * index, 16)

    def use(self, base: int, used_index: int, head: int, length: int, size: int = 16) -> None:
        """Used entry, used index, suppression word."""
        self.used_entry(base, used_index, head, length, size)
        self.used_index(base, used_index + 1)
        self.read(base + 0x1000, 2)

    def used_entry(self, base: int, used_index: int, head: int, length: int, size: int = 16) -> None:
        self.write(base + 0x2004 + 8 * (used_index % size), struct.pack("<II", head, length))

    def used_index(self, base: int, value: int) -> None:
        self.write(base + 0x2002, struct.pack("<H", value & 0xFFFF))

    def engine_request(self, ctx: int, queue: int, readable: bytes, writable: int) -> None:
        lane = 0 if queue == 0 else 2
        head = readable[:1024]
        request = EngineRequest(ctx, queue, lane, 0, len(readable), writable, 0, len(head))
        self.other(Kind.ENGINE_REQUEST, 0, request.to_user(), head)

    def engine_reply(self, ctx: int, reply: bytes | None) -> None:
        message = EngineReply(ctx, 0, 0, len(reply)) if reply is not None else EngineReply(ctx, 1, 0)
        self.other(Kind.ENGINE_REPLY, 1, message.to_user(), reply or b"")

    # ---- verdict ----

    def finish(self) -> list[str]:
        """All failures as "scoreboard: text"."""
        return [f"{failure.board}: {failure.text} [{failure.clause}]" for failure in self.boards.finish()]

    def seen(self) -> set[str]:
        """The scoreboards that found something."""
        return {failure.board for failure in self.boards.failures}


def started(profile: Profile = STRICT, features: int = FEATURES) -> Trace:
    """A device with queue 2 and one request in memory: descriptors 3 (readable) and 5 (writable)."""
    trace = Trace(profile)
    trace.enumerate()
    trace.start({1: NOTIFY_RINGS, 2: RINGS}, features=features)
    trace.put(READABLE, HEAD)
    trace.desc(RINGS, 3, READABLE, 40, NEXT, 5)
    trace.desc(RINGS, 5, WRITABLE, 96, WRITE)
    trace.publish(RINGS, 1, {0: 3})
    return trace


def served(trace: Trace, length: int = 96, interrupt: bool = True) -> Trace:
    """The device takes and answers that request as it should."""
    trace.fetch(RINGS, 0, [3, 5])
    trace.read(READABLE, 40)
    trace.engine_request(4, 2, HEAD, 96)
    trace.engine_reply(4, REPLY)
    trace.write(WRITABLE, REPLY)
    trace.use(RINGS, 0, 3, length)
    if interrupt:
        trace.interrupt(3)
    return trace
