"""Requests that no sound client sends, made from those of a recorded session, as data.

An item names a recorded request, a mutation and a seed, and gives the same bytes again wherever that request looks the
same. What a device must do with them is small: return the chain, with an errno or with used length 0, and touch nothing
else. Whether the errno is right is for the scoreboards to say.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from virtiofs_model.layouts.fuse_constants import Opcode
from virtiofs_model.layouts.fuse_operations import IN_HEADER_SIZE, OPERATIONS, OUT_HEADER_SIZE, IdKind, request_ids
from virtiofs_model.layouts.virtio import Feature
from virtiofs_tb.driver.errors import DriverError, QueueStopped
from virtiofs_tb.driver.fuse_client import FuseClient
from virtiofs_tb.driver.layout import MAX_DESCRIPTORS, place, random_plan
from virtiofs_tb.driver.virtqueue import Virtqueue
from virtiofs_tb.seeds import stream

PATH = "sequences/fuzz"
EDGES = tuple(
    sorted({edge + delta & (1 << 64) - 1 for edge in (0, 1 << 31, 1 << 32, 1 << 40, 1 << 63) for delta in (-1, 0, 1)})
)
LONGEST = 4096
"""Bytes that a mutation adds at most."""

LEN, OPCODE, UNIQUE, NODEID = 0, 4, 8, 16
"""Places in fuse_in_header."""

_SESSION = frozenset((Opcode.INIT, Opcode.DESTROY))


@dataclass(frozen=True)
class FuzzItem:
    """One request. record: the number of the recorded one that it is made from; mutation: a name of MUTATIONS."""

    index: int
    record: int
    mutation: str
    queue: int
    seed: int

    def to_json(self) -> str:
        """One line of a recorded sequence."""
        return json.dumps(asdict(self), sort_keys=True)

    @staticmethod
    def from_json(line: str) -> FuzzItem:
        """The item of a recorded line. Raises ValueError where it is none."""
        try:
            item = FuzzItem(**json.loads(line))
        except TypeError as error:
            raise ValueError(f"no fuzz item: {error}") from error
        if item.mutation not in MUTATIONS:
            raise ValueError(f"no fuzz item: there is no mutation {item.mutation!r}")
        return item


@dataclass(frozen=True)
class Mutated:
    """A request as it is sent. writable: bytes for the reply."""

    message: bytes
    writable: int


Mutation = Callable[[random.Random, bytes], bytes]


def _with_u32(message: bytes, at: int, value: int) -> bytes:
    return message[:at] + (value & 0xFFFF_FFFF).to_bytes(4, "little") + message[at + 4 :]


def _with_u64(message: bytes, at: int, value: int) -> bytes:
    return message[:at] + (value & (1 << 64) - 1).to_bytes(8, "little") + message[at + 8 :]


def _resized(message: bytes) -> bytes:
    """With the length in its header that it has."""
    return _with_u32(message, LEN, len(message)) if len(message) >= 4 else message


def _length_too_small(rng: random.Random, message: bytes) -> bytes:
    return _with_u32(message, LEN, rng.choice([0, 1, 39, 40, len(message) - 1, rng.randrange(len(message))]))


def _length_too_large(rng: random.Random, message: bytes) -> bytes:
    more = rng.choice([1, 8, 4096, (1 << 31) - len(message), (1 << 32) - 1 - len(message)])
    return _with_u32(message, LEN, len(message) + more)


def _cut(rng: random.Random, message: bytes) -> bytes:
    return _resized(message[: rng.randrange(1, len(message))])


def _cut_without_saying(rng: random.Random, message: bytes) -> bytes:
    return message[: rng.randrange(1, len(message))]


def _longer(rng: random.Random, message: bytes) -> bytes:
    return _resized(message + rng.randbytes(rng.choice([1, 7, 100, rng.randint(1, LONGEST)])))


def _names_at(message: bytes) -> tuple[int, int]:
    """Where the names of a message begin, and how many there are."""
    operation = OPERATIONS[int.from_bytes(message[OPCODE : OPCODE + 4], "little")]
    return operation.request_size, operation.names


def _renamed(name: Callable[[random.Random], bytes]) -> Mutation:
    """One of the names becomes another; a message without names gets one at its end."""

    def mutate(rng: random.Random, message: bytes) -> bytes:
        at, names = _names_at(message)
        which = rng.randrange(names) if names else 0
        for _ in range(which):
            at = message.find(b"\0", at) + 1
        end = message.find(b"\0", at) if names else -1
        if end < 0:
            at = end = len(message)
        return _resized(message[:at] + name(rng) + message[end:])

    return mutate


def _without_nul(rng: random.Random, message: bytes) -> bytes:
    at, _ = _names_at(message)
    end = message.rfind(b"\0", at)
    return _resized(message[:end] if end > at else message + b"name")


def _filler(rng: random.Random, count: int) -> bytes:
    return bytes([rng.randrange(1, 256)]) * count


def _id_at(rng: random.Random, message: bytes, kind: IdKind) -> int:
    places = [place.offset for place in request_ids(message) if place.kind is kind and place.offset + 8 <= len(message)]
    return rng.choice(places) if places else NODEID


def _strange_id(kind: IdKind) -> Mutation:
    def mutate(rng: random.Random, message: bytes) -> bytes:
        at = _id_at(rng, message, kind)
        now = int.from_bytes(message[at : at + 8], "little")
        strange = [0, 2, now + (1 << 32), now ^ 1, now + 1, 0xFFF, (1 << 32) - 1, (1 << 64) - 1, rng.getrandbits(64)]
        return _with_u64(message, at, rng.choice(strange))

    return mutate


def _edge_64(rng: random.Random, message: bytes) -> bytes:
    places = range(IN_HEADER_SIZE, len(message) - 7, 8)
    return _with_u64(message, rng.choice(places) if places else NODEID, rng.choice(EDGES))


def _edge_32(rng: random.Random, message: bytes) -> bytes:
    places = range(IN_HEADER_SIZE, len(message) - 3, 4)
    return _with_u32(message, rng.choice(places) if places else NODEID, rng.choice(EDGES))


def _bits(rng: random.Random, message: bytes) -> bytes:
    changed = bytearray(message)
    for _ in range(rng.randint(1, 4)):
        at = rng.choice([rng.randrange(NODEID, min(len(message), 128)), rng.randrange(NODEID, len(message))])
        changed[at] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _other_opcode(rng: random.Random, message: bytes) -> bytes:
    others = [opcode for opcode in OPERATIONS if opcode not in _SESSION]
    return _with_u32(message, OPCODE, rng.choice([*others, 0, 7, 19, 54, 4096, 0xFFFF_FFFF, rng.getrandbits(32) | 64]))


def _byte_swapped_init(rng: random.Random, message: bytes) -> bytes:
    return _with_u32(message, OPCODE, int.from_bytes(int(Opcode.INIT).to_bytes(4, "big"), "little"))


def _same(rng: random.Random, message: bytes) -> bytes:
    return message


MUTATIONS: dict[str, Mutation] = {
    "length too small": _length_too_small,
    "length too large": _length_too_large,
    "cut": _cut,
    "cut without saying so": _cut_without_saying,
    "longer": _longer,
    "name without NUL": _without_nul,
    "name with a slash": _renamed(lambda rng: rng.choice([b"/", b"a/b", b"/a", b"a/"])),
    "empty name": _renamed(lambda rng: b""),
    "name of a dot": _renamed(lambda rng: b"."),
    "name of two dots": _renamed(lambda rng: b".."),
    "name of 255 or 256 bytes": _renamed(lambda rng: _filler(rng, rng.choice([255, 256]))),
    "name of a kilobyte": _renamed(lambda rng: _filler(rng, rng.choice([900, 984, 1024, 4096]))),
    "strange nodeid": _strange_id(IdKind.NODEID),
    "strange fh": _strange_id(IdKind.FH),
    "strange cookie": _strange_id(IdKind.COOKIE),
    "64-bit edge": _edge_64,
    "32-bit edge": _edge_32,
    "bits": _bits,
    "other opcode": _other_opcode,
    "byte-swapped INIT": _byte_swapped_init,
    "short reply buffer": _same,
    "no reply buffer": _same,
    "twice": _same,
}
"""What is done to a request, by name."""

NAMES = tuple(MUTATIONS)
MOST_WRITABLE = 1 << 17


def generate(seed: int, count: int, records: Sequence[int], queues: int, first: int = 0) -> list[FuzzItem]:
    """`count` items over recorded requests of these numbers, from item `first` on."""
    items = []
    for index in range(first, first + count):
        rng = stream(seed, PATH, index)
        items.append(
            FuzzItem(index, rng.choice(records), rng.choice(NAMES), rng.randrange(queues), rng.getrandbits(48))
        )
    return items


def mutated(item: FuzzItem, message: bytes) -> Mutated:
    """What an item makes of a request, whose ids are the device's."""
    rng = random.Random(item.seed)
    changed = MUTATIONS[item.mutation](rng, message)
    try:
        writable = OPERATIONS[int.from_bytes(message[OPCODE : OPCODE + 4], "little")].reply_limit(changed)
    except ValueError:  # its size is cut off
        writable = OUT_HEADER_SIZE
    if item.mutation == "short reply buffer":
        writable = rng.randrange(max(writable, 2))
    elif item.mutation == "no reply buffer":
        writable = 0
    elif item.mutation in ("other opcode", "bits"):
        writable = rng.choice([OUT_HEADER_SIZE, writable, 144, 4096])
    return Mutated(changed, min(writable, MOST_WRITABLE))


async def send(client: FuseClient, item: FuzzItem, message: bytes, queue: Virtqueue) -> int:
    """Send what an item makes of a request; the used length.

    Raises DriverError where what comes back is neither used length 0 nor a reply to this request, DriverTimeout where
    nothing comes back.
    """
    client.device.host.note(item.to_json())
    request = mutated(item, message)
    rng = random.Random(item.seed + 1)
    indirect = client.device.negotiated(Feature.INDIRECT_DESC)
    plan = random_plan(rng, len(request.message), request.writable, min(MAX_DESCRIPTORS, queue.size), indirect)
    memory = client.device.host.memory
    placed = place(plan, memory, request.message)
    try:
        token = await queue.add(placed.segments, plan.shape)
        used = await queue.wait(token)
    except QueueStopped:
        memory.free(placed.base)
        raise
    reply = placed.gather(memory, used)
    memory.free(placed.base)
    _check(item, request, used, reply)
    return used


def _check(item: FuzzItem, request: Mutated, used: int, reply: bytes) -> None:
    what = f"reply to item {item.index} ({item.mutation!r} of record {item.record})"
    if not used:
        return
    if used < OUT_HEADER_SIZE or used > request.writable:
        expected = f"0, or {OUT_HEADER_SIZE} to {request.writable}"
        raise DriverError(f"used length of the {what}", used, expected, "FS-REQ-DI1")
    if reply[8:16] != request.message[UNIQUE : UNIQUE + 8]:
        seen, expected = reply[8:16].hex(), request.message[UNIQUE : UNIQUE + 8].hex()
        raise DriverError(f"fuse_out_header.unique of the {what}", seen, expected, "FS-REQ-DI1")
    swapped = request.message[OPCODE : OPCODE + 4] == bytes([0, 0, 0, Opcode.INIT])
    length = int.from_bytes(reply[:4], "big" if swapped else "little")
    if length != used:
        raise DriverError(f"fuse_out_header.len of the {what}", length, used, "FS-REQ-DI1")
