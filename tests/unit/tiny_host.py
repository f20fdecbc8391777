"""A host of a few lines for unit tests of ModelEndpoint: memory, a driver for its rings, and an engine that echoes."""

from __future__ import annotations

import random
import struct
from collections import deque
from dataclasses import dataclass, field

from virtiofs_model.config_space import BAR0
from virtiofs_model.endpoint import Channel, ModelEndpoint
from virtiofs_model.engine import ControlKind, EngineControl, EngineReply, EngineRequest, ReplyKind
from virtiofs_model.layouts.dpu import AxiResponse
from virtiofs_model.layouts.tlp import CompletionStatus, TlpKind
from virtiofs_model.layouts.virtio import DescFlags, DeviceStatus, Feature
from virtiofs_model.tlp import (
    Tlp,
    completion,
    config_read,
    config_write,
    decode,
    enabled_range,
    encode,
    memory_read,
    memory_write,
    split_completions,
    write_runs,
)  # fmt: skip

BASE = 0x10_0000
BAR = 0x2_0000_0000
DEVICE = 0x0100
MSI = 0xFEE0_0000
S = DeviceStatus


@dataclass
class TinyQueue:
    """A driver's view of one split virtqueue."""

    index: int
    size: int
    desc: int
    avail: int
    used: int
    avail_idx: int = 0
    used_idx: int = 0
    next_desc: int = 0


@dataclass
class TinyHost:
    """rng: order of everything. trace: (channel, packet) of all that the endpoint sent."""

    seed: int = 1
    defect: str | None = None
    endpoint: ModelEndpoint = field(init=False)

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.memory = bytearray(1 << 20)
        self.brk = BASE
        self.trace: list[Tlp] = []
        self.interrupts: list[int] = []
        self.reads: deque[Tlp] = deque()
        self.completions: deque[Tlp] = deque()
        self.fail: dict[int, int] = {}
        self.requests: list[tuple[EngineRequest, bytes]] = []
        self.queues: dict[int, TinyQueue] = {}
        self.endpoint = ModelEndpoint(self.output, self.defect)
        self.endpoint.engine.on_request(lambda request, head: self.requests.append((request, head)))
        self.heads: list[bytes] = []
        self.endpoint.engine.on_request(lambda request, head: self.heads.append(head))
        self.epochs = [0]
        self.endpoint.engine.on_control(self.acknowledge)

    # ---- DPU ----

    def strap(self, register: int, value: int) -> None:
        assert self.endpoint.dpu.write(register, value) == AxiResponse.OKAY

    # ---- link ----

    def output(self, channel: int, header: tuple[int, int, int, int], payload: bytes) -> None:
        tlp = decode(header, payload)
        self.trace.append(tlp)
        if channel == Channel.CC:
            self.completions.append(tlp)
        elif tlp.kind is TlpKind.MRD:
            self.reads.append(tlp)
        elif MSI <= tlp.address < MSI + 0x100000:
            self.interrupts.append(int.from_bytes(tlp.payload, "little"))
        else:
            for address, data in write_runs(tlp):
                assert address >= BASE and address + len(data) <= BASE + len(self.memory), hex(address)
                self.memory[address - BASE : address - BASE + len(data)] = data

    def send(self, tlp: Tlp, channel: Channel = Channel.CQ) -> None:
        self.endpoint.receive(channel, *encode(tlp))

    def answer_read(self) -> None:
        """Complete one of the reads on the wire, in any order."""
        self.reads.rotate(self.rng.randrange(len(self.reads)))
        request = self.reads.popleft()
        start, size = enabled_range(request)
        status = next((s for at, s in self.fail.items() if start <= at < start + size), CompletionStatus.SC)
        if status != CompletionStatus.SC:
            self.send(completion(request, 0, None, status), Channel.RC)
            return
        at = request.address - BASE
        data = bytes(self.memory[at : at + 4 * request.length_dw])
        cuts = [c for c in range(request.address & ~63, request.address + len(data), 64) if self.rng.random() < 0.5]
        for part in split_completions(request, 0, data, cuts):
            self.send(part, Channel.RC)

    def run(self, steps: int = 100_000) -> None:
        """Until nothing moves."""
        for _ in range(steps):
            if self.reads and self.rng.random() < 0.5:
                self.answer_read()
            elif not self.endpoint.step(self.rng):
                if not self.reads:
                    return
                self.answer_read()
        raise AssertionError("the endpoint does not come to rest")

    def ask(self, tlp: Tlp) -> Tlp:
        self.send(tlp)
        self.run()
        return self.completions.popleft()

    # ---- registers ----

    def config(self, offset: int, size: int = 4) -> int:
        raw = self.ask(config_read(DEVICE, offset, size, 0, 1)).payload
        return int.from_bytes(raw[offset & 3 : (offset & 3) + size], "little")

    def set_config(self, offset: int, value: int, size: int = 4) -> None:
        self.ask(config_write(DEVICE, offset, size, value, 0, 1))

    def get(self, offset: int, size: int = 4) -> int:
        answer = self.ask(memory_read(BAR + offset, size, 0, 2))
        return int.from_bytes(answer.payload[offset & 3 : (offset & 3) + size], "little")

    def set(self, offset: int, value: int, size: int = 4) -> None:
        self.send(memory_write(BAR + offset, value.to_bytes(size, "little"), 0))

    # ---- driver ----

    def enable_pci(self) -> None:
        self.set_config(BAR0, BAR & 0xFFFFFFFF)
        self.set_config(BAR0 + 4, BAR >> 32)
        self.set_config(0x04, 0x6, 2)
        for vector in range(11):
            entry = 0x4000 + 16 * vector
            for at, value in ((0, MSI), (4, 0), (8, vector), (12, 0)):
                self.set(entry + at, value)
        self.set_config(0x8A, 0x8000, 2)

    def reset(self) -> None:
        self.set(0x14, 0, 1)
        while self.get(0x14, 1):
            self.run()

    def negotiate(self, features: int) -> int:
        self.reset()
        self.set(0x14, S.ACKNOWLEDGE, 1)
        self.set(0x14, S.ACKNOWLEDGE | S.DRIVER, 1)
        for half in (0, 1):
            self.set(0x08, half)
            self.set(0x0C, features >> 32 * half & 0xFFFFFFFF)
        self.set(0x14, S.ACKNOWLEDGE | S.DRIVER | S.FEATURES_OK, 1)
        return self.get(0x14, 1)

    def allocate(self, size: int, align: int = 16) -> int:
        self.brk = (self.brk + align - 1) // align * align
        self.brk += size
        return self.brk - size

    def put(self, address: int, data: bytes) -> None:
        self.memory[address - BASE : address - BASE + len(data)] = data

    def peek(self, address: int, size: int) -> bytes:
        return bytes(self.memory[address - BASE : address - BASE + size])

    def add_queue(self, index: int, size: int = 64) -> TinyQueue:
        queue = TinyQueue(
            index, size, self.allocate(16 * size), self.allocate(6 + 2 * size), self.allocate(6 + 8 * size)
        )
        self.set(0x16, index, 2)
        self.set(0x18, size, 2)
        for at, value in ((0x20, queue.desc), (0x28, queue.avail), (0x30, queue.used)):
            self.set(at, value & 0xFFFFFFFF)
            self.set(at + 4, value >> 32)
        self.set(0x1A, index + 1, 2)
        self.set(0x1C, 1, 2)
        self.queues[index] = queue
        return queue

    def start(
        self,
        features: int = Feature.VERSION_1.mask | Feature.INDIRECT_DESC.mask | Feature.FS_NOTIFICATION.mask,
        queues: int = 6,
    ) -> None:
        self.enable_pci()
        assert self.negotiate(features) & S.FEATURES_OK
        self.set(0x10, 0, 2)
        for index in range(queues):
            self.add_queue(index)
        self.set(0x14, S.ACKNOWLEDGE | S.DRIVER | S.FEATURES_OK | S.DRIVER_OK, 1)
        self.run()

    def add(
        self, index: int, readable: list[bytes], writable: list[int], kick: bool = True, indirect_from: int = 99
    ) -> list[int]:
        """Make a chain available; buffers from `indirect_from` on go to a table. Addresses of the buffers."""
        queue = self.queues[index]
        parts = [(self.allocate(max(1, len(d)), 1), len(d), 0) for d in readable]
        for (address, _, _), data in zip(parts, readable, strict=True):
            self.put(address, data)
        parts += [(self.allocate(n, 1), n, int(DescFlags.WRITE)) for n in writable]
        direct, table = parts[:indirect_from], parts[indirect_from:]
        count = len(direct) + bool(table)
        slots = [(queue.next_desc + i) % queue.size for i in range(count)]
        queue.next_desc = (queue.next_desc + count) % queue.size
        for i, (address, length, flags) in enumerate(direct):
            more = i + 1 < count
            raw = struct.pack("<QIHH", address, length, flags | more, slots[i + 1] if more else 0)
            self.put(queue.desc + 16 * slots[i], raw)
        if table:
            at = self.allocate(16 * len(table))
            for i, (address, length, flags) in enumerate(table):
                more = i + 1 < len(table)
                self.put(at + 16 * i, struct.pack("<QIHH", address, length, flags | more, i + 1 if more else 0))
            raw = struct.pack("<QIHH", at, 16 * len(table), DescFlags.INDIRECT, 0)
            self.put(queue.desc + 16 * slots[-1], raw)
        self.put(queue.avail + 4 + 2 * (queue.avail_idx % queue.size), struct.pack("<H", slots[0]))
        queue.avail_idx += 1
        self.put(queue.avail + 2, struct.pack("<H", queue.avail_idx & 0xFFFF))
        if kick:
            self.kick(index)
        return [address for address, _, _ in parts]

    def kick(self, index: int) -> None:
        self.set(0x3000 + 4 * index, index, 2)

    def used(self, index: int) -> list[tuple[int, int]]:
        """New used entries: (head, length)."""
        queue = self.queues[index]
        (idx,) = struct.unpack("<H", self.peek(queue.used + 2, 2))
        result = []
        while queue.used_idx & 0xFFFF != idx:
            raw = self.peek(queue.used + 4 + 8 * (queue.used_idx % queue.size), 8)
            result.append(struct.unpack("<II", raw))
            queue.used_idx += 1
        return result

    # ---- engine ----

    def acknowledge(self, control: EngineControl) -> None:
        if control.kind == ControlKind.DEVICE_RESET:
            self.epochs.append(control.epoch)
            self.endpoint.engine.control_ack(control.epoch)
            return
        self.requests = [entry for entry in self.requests if entry[0].queue != control.queue]
        self.endpoint.engine.control_ack(control.epoch, control.queue)

    def fuse(self, opcode: int, body: bytes = b"", unique: int = 1) -> bytes:
        return struct.pack("<IIQQIIII", 40 + len(body), opcode, unique, 1, 0, 0, 0, 0) + body

    def reply(self, request: EngineRequest, body: bytes, error: int = 0, unique: int = 1) -> bytes:
        data = struct.pack("<IiQ", 16 + len(body), error, unique) + body
        self.endpoint.engine.reply(EngineReply(request.ctx, ReplyKind.REPLY, request.epoch, immediate=len(data)), data)
        return data

    def init_session(self, index: int = 2) -> None:
        """FUSE_INIT on a request queue, answered."""
        self.add(index, [self.fuse(26, bytes(64))], [80])
        self.run()
        request, _ = self.requests.pop()
        self.reply(request, bytes(64))
        self.run()
        assert len(self.used(index)) == 1
        self.interrupts.clear()


def message(size: int, code: int = 4) -> bytes:
    """A notification of `size` bytes."""
    return struct.pack("<IiQ", size, code, 0) + bytes(i & 0xFF for i in range(size - 16))
