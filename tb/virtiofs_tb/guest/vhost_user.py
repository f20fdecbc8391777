"""The vhost-user protocol as far as User Mode Linux speaks it: messages on a socket, from the front end's bytes.

Sources: QEMU's docs/interop/vhost-user.rst; arch/um/drivers/vhost_user.h and virtio_uml.c of Linux 6.1.
"""

from __future__ import annotations

import array
import os
import socket
import struct
from collections import deque
from dataclasses import dataclass, field
from enum import IntEnum, IntFlag

_HEADER = struct.Struct("<III")
_U64 = struct.Struct("<Q")
_STATE = struct.Struct("<II")
_ADDR = struct.Struct("<IIQQQQ")
_REGION = struct.Struct("<QQQQ")
_MAX_PAYLOAD = 4096
_MAX_FDS = 8

VERSION = 1
VERSION_MASK = 3
FLAG_REPLY = 4
FLAG_NEED_REPLY = 8


class Request(IntEnum):
    """Messages of the front end (the guest)."""

    GET_FEATURES = 1
    SET_FEATURES = 2
    SET_OWNER = 3
    SET_MEM_TABLE = 5
    SET_VRING_NUM = 8
    SET_VRING_ADDR = 9
    SET_VRING_BASE = 10
    GET_PROTOCOL_FEATURES = 15
    SET_PROTOCOL_FEATURES = 16
    SET_VRING_ENABLE = 18
    SET_BACKEND_REQ_FD = 21
    VRING_KICK = 35


BACKEND_VRING_CALL = 4  # on the back end's own channel: used buffers have come


class ProtocolFeature(IntFlag):
    """Bits of the protocol features."""

    REPLY_ACK = 1 << 3
    BACKEND_REQ = 1 << 5
    INBAND_NOTIFICATIONS = 1 << 14


F_PROTOCOL_FEATURES = 1 << 30
"""Of the virtio features: there are protocol features to ask for."""


class ProtocolError(Exception):
    """The front end sent what the protocol does not allow, or what no User Mode Linux sends."""


@dataclass
class Message:
    """A message with the file descriptors that came with it. They belong to whoever takes the message."""

    request: int
    flags: int
    payload: bytes
    fds: list[int] = field(default_factory=list)

    @property
    def name(self) -> str:
        try:
            return Request(self.request).name
        except ValueError:
            return f"message {self.request}"

    @property
    def needs_reply(self) -> bool:
        return bool(self.flags & FLAG_NEED_REPLY)

    def _unpack(self, layout: struct.Struct) -> tuple[int, ...]:
        if len(self.payload) < layout.size:
            raise ProtocolError(f"{self.name} has {len(self.payload)} bytes of payload, expected {layout.size}")
        return layout.unpack_from(self.payload)

    def u64(self) -> int:
        """The payload as one number. These raise ProtocolError where the payload is too short."""
        return self._unpack(_U64)[0]

    def vring_state(self) -> tuple[int, int]:
        """Index of the ring, and the number."""
        index, number = self._unpack(_STATE)
        return index, number

    def vring_addresses(self) -> tuple[int, int, int, int]:
        """Index of the ring; addresses of descriptors, used ring and available ring in the front end's own space."""
        index, _, desc, used, avail, _ = self._unpack(_ADDR)
        return index, desc, used, avail

    def memory_regions(self) -> list[MemoryRegion]:
        """One for each file descriptor."""
        count, _ = self._unpack(_STATE)
        if count != len(self.fds) or len(self.payload) < _STATE.size + count * _REGION.size:
            raise ProtocolError(
                f"SET_MEM_TABLE of {count} regions has {len(self.payload)} bytes and {len(self.fds)} file descriptors"
            )
        tables = _REGION.iter_unpack(self.payload[_STATE.size : _STATE.size + count * _REGION.size])
        return [
            MemoryRegion(guest, size, user, offset, fd)
            for (guest, size, user, offset), fd in zip(tables, self.fds, strict=True)
        ]

    def close_fds(self) -> None:
        for fd in self.fds:
            os.close(fd)
        self.fds = []


@dataclass(frozen=True)
class MemoryRegion:
    """`size` bytes of the guest's memory from physical address `guest` on: file `fd` from `offset` on. user: where the
    front end itself has them."""

    guest: int
    size: int
    user: int
    offset: int
    fd: int


class Channel:
    """The socket to the front end. `receive` never waits; what is sent is short and goes out whole."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._bytes = b""
        self._fds: deque[int] = deque()
        self.closed = False  # by the front end

    def fileno(self) -> int:
        return self._socket.fileno()

    def receive(self) -> list[Message]:
        """The whole messages that have come. Raises ProtocolError; sets `closed` where the front end has gone."""
        fds = array.array("i")
        try:
            data, ancillary, _, _ = self._socket.recvmsg(
                _MAX_PAYLOAD, socket.CMSG_SPACE(_MAX_FDS * fds.itemsize), socket.MSG_DONTWAIT
            )
        except BlockingIOError:
            return []
        except ConnectionResetError:
            self.closed = True
            return []
        for level, kind, part in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                fds.frombytes(part[: len(part) - len(part) % fds.itemsize])
        self._fds.extend(fds)
        if not data:
            self.closed = True
            return []
        self._bytes += data
        messages = []
        while (message := self._next()) is not None:
            messages.append(message)
        return messages

    def _next(self) -> Message | None:
        if len(self._bytes) < _HEADER.size:
            return None
        request, flags, size = _HEADER.unpack_from(self._bytes)
        if flags & VERSION_MASK != VERSION or flags & FLAG_REPLY or size > _MAX_PAYLOAD:
            raise ProtocolError(f"header of request {request}: flags 0x{flags:x}, size {size}: this is no vhost-user")
        end = _HEADER.size + size
        if len(self._bytes) < end:
            return None
        message = Message(request, flags, self._bytes[_HEADER.size : end])
        self._bytes = self._bytes[end:]
        # User Mode Linux waits for each acknowledgement, so what has come is of this message.
        message.fds = list(self._fds)
        self._fds.clear()
        return message

    def reply_u64(self, message: Message, value: int) -> None:
        """Answer `message`. A front end that has gone meanwhile is found out by the next `receive`."""
        data = _HEADER.pack(message.request, VERSION | FLAG_REPLY, _U64.size) + _U64.pack(value)
        try:
            self._socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            self.closed = True

    def close(self) -> None:
        while self._fds:
            os.close(self._fds.popleft())
        self._socket.close()


def vring_call(index: int) -> bytes:
    """The message that says on the back end's channel: ring `index` has used buffers."""
    return _HEADER.pack(BACKEND_VRING_CALL, VERSION, _STATE.size) + _STATE.pack(index, 0)
