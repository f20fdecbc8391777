"""What the scoreboards see: records of the observation log, decoded once into typed events.

Times are picoseconds, `seq` is the position in the one total order of a run. Addresses are host memory unless a
name says otherwise. An event is made once by the observer and handed to every scoreboard that asks for its class.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from virtiofs_tb.scoreboards.memory_map import Region
    from virtiofs_tb.scoreboards.ring_state import Chain, Queue


@dataclass(slots=True)
class ConfigRequest:
    """A configuration request reached the endpoint. value: the dword that is written (0 for a read)."""

    t_ps: int
    seq: int
    function: int
    offset: int
    be: int
    write: bool
    value: int


@dataclass(slots=True)
class ConfigAccess:
    """A configuration request and its completion: value is what was written or read; status 0 is success."""

    t_ps: int
    seq: int
    request: ConfigRequest
    value: int
    status: int


@dataclass(slots=True)
class RegisterWrite:
    """Bytes written to a BAR. region: the structure hit ('' none), at: the offset in it; window: through PCI_CFG."""

    t_ps: int
    seq: int
    bar: int
    offset: int
    data: bytes
    region: str
    at: int
    window: bool = False


@dataclass(slots=True)
class RegisterRequest:
    """A read of a BAR reached the endpoint: `length` bytes. Its RegisterRead has the same request_seq."""

    t_ps: int
    seq: int
    bar: int
    offset: int
    length: int
    region: str
    at: int


@dataclass(slots=True)
class RegisterRead:
    """A read of a BAR with its completion. data: the bytes asked for; status: 0 success, else the completion's."""

    t_ps: int
    seq: int
    request_seq: int
    bar: int
    offset: int
    length: int
    data: bytes
    status: int
    region: str
    at: int
    window: bool = False


@dataclass(slots=True)
class Doorbell:
    """A write to the doorbell of a queue. data: what was written (None: not from its first byte on)."""

    t_ps: int
    seq: int
    queue: int
    data: bytes | None = None


@dataclass(slots=True)
class DmaRead:
    """A memory read request of the endpoint.

    start, end: the bytes that the enables ask for; regions: what known memory they lie in (empty: none of it, or not
    all of it). replaced: the tag was still outstanding for this earlier request.
    """

    t_ps: int
    seq: int
    hdr: tuple[int, int, int, int]
    start: int
    end: int
    regions: list[Region]
    replaced: DmaRead | None = None
    received: int = 0


@dataclass(slots=True)
class DmaData:
    """A completion that reached the endpoint: `data` at `start` for `read`. ok: successful and not poisoned."""

    t_ps: int
    seq: int
    read: DmaRead
    start: int
    data: bytes
    ok: bool


@dataclass(slots=True)
class DmaWrite:
    """A memory write of the endpoint, MSI-X messages among them (vectors not None: the vectors that it may mean)."""

    t_ps: int
    seq: int
    hdr: tuple[int, int, int, int]
    start: int
    data: bytes
    regions: list[Region]
    vectors: tuple[int, ...] | None = None
    split: bool = False


@dataclass(slots=True)
class StrangePacket:
    """A packet of the endpoint that is malformed, or that nothing asks for."""

    t_ps: int
    seq: int
    channel: int
    hdr: tuple[int, int, int, int]
    text: str
    seen: str
    expected: str
    clause: str = "PCI-BUS-D01"


@dataclass(slots=True)
class Interrupt:
    """An MSI-X message. vectors: all whose table entry it matches; empty: the address is one of the table's, the data
    is not."""

    t_ps: int
    seq: int
    vectors: tuple[int, ...]
    address: int
    data: int


@dataclass(slots=True)
class InterruptLine:
    """INTA goes high or low: Assert_INTA or Deassert_INTA."""

    t_ps: int
    seq: int
    asserted: bool


@dataclass(slots=True)
class ResetBegin:
    """device_status was written 0."""

    t_ps: int
    seq: int


@dataclass(slots=True)
class ResetDone:
    """device_status read back 0 after a write of 0: everything before it is forgotten."""

    t_ps: int
    seq: int


@dataclass(slots=True)
class PinReset:
    """The endpoint's reset pin was let go: straps and configuration space are what they were at power-on."""

    t_ps: int
    seq: int


@dataclass(slots=True)
class QueueEnabled:
    """queue_enable was written 1."""

    t_ps: int
    seq: int
    queue: Queue


@dataclass(slots=True)
class QueueResetBegin:
    """queue_reset was written 1 for a queue."""

    t_ps: int
    seq: int
    queue: Queue


@dataclass(slots=True)
class QueueResetDone:
    """queue_reset read back 0 after a write of 1: the queue is as before queue_enable, and none of its chains open."""

    t_ps: int
    seq: int
    queue: Queue


@dataclass(slots=True)
class IndexRead:
    """The available index, or the next head of a packed ring, was asked for (a read that covers it was issued)."""

    t_ps: int
    seq: int
    queue: Queue


@dataclass(slots=True)
class ChainTaken:
    """The head of a chain was asked for. passed: the chain before it in the available ring was not yet."""

    t_ps: int
    seq: int
    chain: Chain
    passed: bool


@dataclass(slots=True)
class ChainReady:
    """The last descriptor of a chain was delivered to the endpoint."""

    t_ps: int
    seq: int
    chain: Chain


@dataclass(slots=True)
class ChainUsed:
    """A used index on the wire covers the used entry of `chain`; entry_seq: when that entry was written.

    Of a packed ring: the flags of its used descriptor are on the wire, and all before it are used.
    """

    t_ps: int
    seq: int
    chain: Chain
    length: int
    entry_seq: int


@dataclass(slots=True)
class UsedIndex:
    """The used index of a queue moved from old to new (16 bits each); of a packed ring positions, which run on."""

    t_ps: int
    seq: int
    queue: Queue
    old: int
    new: int


@dataclass(slots=True)
class KicksAsked:
    """The endpoint wrote when it wants to be kicked: avail_event (None: its packed event suppression structure)."""

    t_ps: int
    seq: int
    queue: Queue
    avail_event: int | None


@dataclass(slots=True)
class SuppressionRead:
    """The suppression word reached the endpoint. flags: of the available ring; used_event: where that was read.

    Of a packed ring: flags (2 bits) and offset with wrap counter of the driver event suppression structure.
    """

    t_ps: int
    seq: int
    issue_seq: int
    queue: Queue
    flags: int | None
    used_event: int | None


@dataclass(slots=True)
class RingViolation:
    """The endpoint broke a rule of the ring; found while the rings are rebuilt."""

    t_ps: int
    seq: int
    queue: int
    text: str
    clause: str
    expected: str
    seen: str


@dataclass(slots=True)
class QueueFault:
    """The driver's ring is broken (or could not be read): the endpoint should ask for a reset."""

    t_ps: int
    seq: int
    queue: Queue
    text: str


@dataclass(slots=True)
class EngineRequestSeen:
    """A request handed to the FUSE engine with the head of its readable part."""

    t_ps: int
    seq: int
    ctx: int
    queue: int
    lane: int
    epoch: int
    readable: int
    writable: int
    head_bytes: int
    head: bytes


@dataclass(slots=True)
class EngineJobSeen:
    """A mover job of the engine (direction 0: host to storage)."""

    t_ps: int
    seq: int
    ctx: int
    direction: int
    epoch: int
    offset: int
    length: int
    address: int


@dataclass(slots=True)
class EngineDoneSeen:
    """A mover job ended (0 ok, 1 bus error, 2 cancelled)."""

    t_ps: int
    seq: int
    ctx: int
    result: int
    epoch: int


@dataclass(slots=True)
class EngineReplySeen:
    """The engine answered: kind 0 reply, 1 none, 2 cannot reply."""

    t_ps: int
    seq: int
    ctx: int
    kind: int
    epoch: int
    storage_length: int
    address: int
    immediate: bytes


@dataclass(slots=True)
class EngineNotifySeen:
    """The engine gave a notification."""

    t_ps: int
    seq: int
    epoch: int
    message: bytes


@dataclass(slots=True)
class EngineControlSeen:
    """The endpoint told the engine of a reset (kind 0 device, 1 queue) and the new epoch."""

    t_ps: int
    seq: int
    kind: int
    queue: int
    epoch: int


@dataclass(slots=True)
class StorageAccess:
    """The DPU's software wrote or read storage behind the mover."""

    t_ps: int
    seq: int
    write: bool
    address: int
    data: bytes


@dataclass(slots=True)
class DpuAccess:
    """A register access on the DPU port; status: 0 ok, else the response code (2: SLVERR)."""

    t_ps: int
    seq: int
    write: bool
    address: int
    value: int
    status: int


@dataclass(slots=True)
class MailboxNotify:
    """A message went into the notify mailbox: result 1 accepted, 2 held, 3 refused."""

    t_ps: int
    seq: int
    message: bytes
    result: int


@dataclass(slots=True)
class DpuRequest:
    """The DPU hands over a FUSE request: it takes effect behind this, and before its reply is read."""

    t_ps: int
    seq: int
    request: bytes


@dataclass(slots=True)
class DpuReply:
    """The DPU has read the reply to the request that it handed over last."""

    t_ps: int
    seq: int
    reply: bytes


@dataclass(slots=True)
class DpuRetrieved:
    """The DPU has taken what the endpoint kept of a NOTIFY_REPLY: its first bytes, headers included."""

    t_ps: int
    seq: int
    data: bytes


@dataclass(slots=True)
class Tick:
    """The end of a batch: time for a look at what is owed."""

    t_ps: int
    seq: int


@dataclass(slots=True)
class Failure:
    """A mismatch. board: the scoreboard that found it; clause: the id in spec/clauses.csv ('' where none is meant)."""

    board: str
    t_ps: int
    seq: int
    text: str
    clause: str = ""
    expected: str = ""
    seen: str = ""

    def __str__(self) -> str:
        line = f"{self.t_ps / 1e6:.3f} us seq {self.seq}: {self.board}: {self.text}"
        if self.expected or self.seen:
            line += f"; expected {self.expected}, seen {self.seen}"
        return line + (f" [{self.clause}]" if self.clause else "")


@dataclass(slots=True)
class Note:
    """What the host's side wrote into the log: no sign of the endpoint, and nothing that a check may hang on."""

    t_ps: int
    seq: int
    text: str
