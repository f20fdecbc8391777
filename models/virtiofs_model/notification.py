"""Message store of the notification queue, and the rules by which messages flow."""

from __future__ import annotations

import struct
from collections import deque
from dataclasses import dataclass, field

from virtiofs_model.layouts.dpu import NotifyResult
from virtiofs_model.layouts.fuse_operations import OUT_HEADER_SIZE

STORE_BYTES = 16384


@dataclass(frozen=True)
class Message:
    """A stored message. ticket: it leaves once that many replies of the request lane have been used. session: the only
    one that it means anything to."""

    data: bytes
    ticket: int
    session: int | None = None


def well_formed(message: bytes, notify_buf_size: int) -> bool:
    """Whether the mailbox may take a message: fuse_out_header.len is its length, which notify_buf_size can hold."""
    if not OUT_HEADER_SIZE <= len(message) <= notify_buf_size:
        return False
    (length,) = struct.unpack_from("<I", message)
    return bool(length == len(message))


@dataclass
class MessageStore:
    """Messages in order, within a bounded number of bytes. initialised: the INIT reply has been used."""

    capacity: int = STORE_BYTES
    initialised: bool = False
    messages: deque[Message] = field(default_factory=deque)
    used_bytes: int = 0

    def offer(self, data: bytes, ticket: int, ready_buffers: int, session: int | None = None) -> NotifyResult:
        """Store a message if there is room. ready_buffers: chains that are fetched and usable."""
        if self.used_bytes + len(data) > self.capacity:
            return NotifyResult.REFUSED
        unclaimed = ready_buffers - len(self.messages)
        self.messages.append(Message(data, ticket, session))
        self.used_bytes += len(data)
        return NotifyResult.ACCEPTED if self.initialised and unclaimed > 0 else NotifyResult.HELD

    def put_back(self, message: Message) -> None:
        """Store a message that was in it, behind all others."""
        self.messages.append(message)
        self.used_bytes += len(message.data)

    def may_leave(self, replies_used: int) -> bool:
        """Whether the first message may go: after INIT, and behind every reply that was given before it."""
        return self.initialised and bool(self.messages) and replies_used >= self.messages[0].ticket

    def take(self) -> Message:
        """Remove the first message."""
        message = self.messages.popleft()
        self.used_bytes -= len(message.data)
        return message

    def empty(self) -> int:
        """Forget all messages (device reset, new INIT); how many they were."""
        count = len(self.messages)
        self.messages.clear()
        self.used_bytes = 0
        self.initialised = False
        return count
