"""fuse_engine_if: messages between the endpoint and whatever answers FUSE, and the port that carries them.

Each message has a 128-bit `user` word; the layout is that of the structs in hdl/pkg/endpoint_pkg.sv (the first field
of a packed struct is its most significant one).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar, Protocol, TypeVar

M = TypeVar("M", bound="_Message")

HEAD_BYTES_MAX = 1024
"""At most this many bytes of the readable part travel with a request."""

EPOCHS = 16
"""Epochs count device resets modulo this."""


def is_older(epoch: int, than: int) -> bool:
    """Whether `epoch` came before `than`. Messages that meet are never half of EPOCHS apart."""
    return 0 < (than - epoch) % EPOCHS < EPOCHS // 2


class Lane(IntEnum):
    """Write lane of a request: posted order holds within a lane."""

    HI = 0
    NTF = 1
    REQ = 2


class MoverDirection(IntEnum):
    """Direction of a mover job."""

    IN = 0  # host memory to storage
    OUT = 1  # storage to host memory


class MoverResult(IntEnum):
    """How a mover job ended."""

    OK = 0
    BUS_ERROR = 1  # the engine answers EIO
    CANCELLED = 2


class ReplyKind(IntEnum):
    """What a reply does with its request; the two last ones give used length 0."""

    REPLY = 0
    NONE = 1
    CANNOT_REPLY = 2


class NotifyClass(IntEnum):
    """Whether a notification may be coalesced or dropped."""

    RESERVED = 0  # raw, LOCK, POLL, RETRIEVE, STORE: keeps its place
    INVALIDATION = 1


class ControlKind(IntEnum):
    """What was reset."""

    DEVICE_RESET = 0
    QUEUE_RESET = 1


class _Message:
    """A message as the 128-bit `user` word of its stream.

    PLACES: the lowest bit and the width of each field, in the order of the fields. Bits of no field are 0.
    """

    __slots__: tuple[str, ...] = ()
    PLACES: ClassVar[tuple[tuple[int, int], ...]]

    def __init__(self, *values: int) -> None:
        raise NotImplementedError

    def to_user(self) -> int:
        """The message as the word of the stream."""
        user = 0
        for name, (low, _) in zip(self.__slots__, self.PLACES, strict=True):
            user |= getattr(self, name) << low
        return user

    @classmethod
    def from_user(cls: type[M], user: int) -> M:
        """The message in a word."""
        return cls(*[user >> low & (1 << width) - 1 for low, width in cls.PLACES])


@dataclass(slots=True)
class EngineRequest(_Message):
    """A request for the engine, followed by `head_bytes` bytes. readable, writable: bytes of the chain's parts."""

    PLACES: ClassVar = ((0, 8), (8, 8), (16, 8), (24, 8), (32, 32), (64, 32), (96, 16), (112, 16))

    ctx: int
    queue: int
    lane: int
    epoch: int
    readable: int
    writable: int
    function: int
    head_bytes: int


@dataclass(slots=True)
class MoverJob(_Message):
    """Move `length` bytes between storage at `address` and the chain's readable (in) or writable (out) part at
    `offset`."""

    PLACES: ClassVar = ((0, 8), (8, 8), (24, 8), (32, 32), (64, 32), (96, 32))

    ctx: int
    direction: int
    epoch: int
    offset: int
    length: int
    address: int


@dataclass(slots=True)
class MoverDone(_Message):
    """The end of a mover job (`MoverResult`)."""

    PLACES: ClassVar = ((0, 8), (8, 8), (24, 8))

    ctx: int
    result: int
    epoch: int


@dataclass(slots=True)
class EngineReply(_Message):
    """The answer to a request: `immediate` bytes travel with it, then `storage_length` bytes from storage follow."""

    PLACES: ClassVar = ((0, 8), (8, 8), (24, 8), (32, 32), (64, 32), (96, 32))

    ctx: int
    kind: int
    epoch: int
    immediate: int = 0
    storage_length: int = 0
    address: int = 0


@dataclass(slots=True)
class EngineNotify(_Message):
    """A notification from the engine, followed by `length` bytes (fuse_out_header included)."""

    PLACES: ClassVar = ((0, 8), (24, 8), (32, 32))

    notify_class: int
    epoch: int
    length: int


@dataclass(slots=True)
class EngineControl(_Message):
    """A reset, to the engine, with the new epoch; the engine acknowledges the epoch once it has forgotten all else."""

    PLACES: ClassVar = ((0, 8), (8, 8), (24, 8))

    kind: int
    queue: int
    epoch: int

    @classmethod
    def acknowledging(cls, epoch: int, queue: int | None = None) -> EngineControl:
        """The answer to the device reset that began `epoch`, or in that epoch to the reset of `queue`."""
        if queue is None:
            return cls(ControlKind.DEVICE_RESET, 0, epoch)
        return cls(ControlKind.QUEUE_RESET, queue, epoch)


class EnginePort(Protocol):
    """The firmware's side of fuse_engine_if. Callbacks run in the order of the messages; calls do not block."""

    def on_request(self, callback: Callable[[EngineRequest, bytes], None]) -> None:
        """`callback` gets every request with the head of its readable part."""
        ...

    def on_done(self, callback: Callable[[MoverDone], None]) -> None:
        """`callback` gets the end of every mover job."""
        ...

    def on_control(self, callback: Callable[[EngineControl], None]) -> None:
        """`callback` gets every reset."""
        ...

    def job(self, job: MoverJob) -> None:
        """Start a mover job; its end is a MoverDone."""
        ...

    def reply(self, reply: EngineReply, immediate: bytes = b"") -> None:
        """Answer a request: `immediate` bytes, then those that the message names in storage."""
        ...

    def notify(self, notify: EngineNotify, message: bytes) -> None:
        """Put a notification into the message store."""
        ...

    def control_ack(self, epoch: int, queue: int | None = None) -> None:
        """Say that everything older than `epoch` is forgotten, or with `queue`: all of that queue in this epoch."""
        ...

    def storage_read(self, address: int, size: int) -> bytes:
        """The DPU's own view of the storage behind the mover."""
        ...

    def storage_write(self, address: int, data: bytes) -> None:
        """The same to write."""
        ...
