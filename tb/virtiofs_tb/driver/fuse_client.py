"""A FUSE client over a virtio-fs device: lays requests out in buffers, sends them, checks what comes back."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from ctypes import sizeof
from dataclasses import dataclass
from typing import Any

from virtiofs_model.layouts import fuse
from virtiofs_model.layouts.fuse import FuseInHeader, FuseOutHeader
from virtiofs_model.layouts.fuse_constants import FUSE_KERNEL_MINOR_VERSION, FUSE_KERNEL_VERSION, InitFlag, Opcode
from virtiofs_model.layouts.fuse_operations import IN_HEADER_SIZE, OPERATIONS, OUT_HEADER_SIZE, ReplyKind
from virtiofs_model.layouts.virtio import Feature

from .errors import DriverError, QueueStopped
from .layout import (
    MAX_DESCRIPTORS,
    NO_LIMITS,
    ChainPlan,
    LayoutLimits,
    PlacedChain,
    linux_plan,
    place,
    random_plan,
    whole_plan,
)
from .virtio import VirtioFsDevice
from .virtqueue import DEFAULT_TIMEOUT_PS, Virtqueue

MAX_ERRNO = 511
"""Linux refuses replies with error <= -512."""


WAITS = 1
"""fuse_out_header.error of a SETLKW whose end a LOCK message will tell (docs/notifications.md)."""


@dataclass(frozen=True)
class Reply:
    """What came back. used: the chain's used length; error: 0, -errno or WAITS; payload: the bytes after
    fuse_out_header."""

    used: int
    error: int
    unique: int
    payload: bytes

    @property
    def message(self) -> bytes:
        """The whole reply as it stood in the buffers."""
        header = FuseOutHeader(OUT_HEADER_SIZE + len(self.payload), self.error, self.unique)
        return bytes(header) + self.payload

    def parse(self, struct: type[Any]) -> Any:
        """The reply's structure; bytes that the device did not send count as zero (an older minor version)."""
        return struct.from_buffer_copy(self.payload[: sizeof(struct)].ljust(sizeof(struct), b"\0"))


class FuseClient:
    """Sends FUSE requests. rng None: buffers as Linux lays them out; otherwise by the seeded policy.

    limits: what the policy spares the device.
    """

    def __init__(
        self,
        device: VirtioFsDevice,
        rng: random.Random | None = None,
        counts: Counter[str] | None = None,
        limits: LayoutLimits = NO_LIMITS,
    ) -> None:
        self.device = device
        self.rng = rng
        self.limits = limits
        self.counts: Counter[str] = Counter() if counts is None else counts
        self._unique = 0
        self._next_queue = 0

    def next_unique(self) -> int:
        """A fresh fuse_in_header.unique; even, as Linux's are."""
        self._unique += 2
        return self._unique

    def build(
        self, opcode: Opcode, nodeid: int = 0, body: bytes = b"", uid: int = 0, gid: int = 0, pid: int = 1
    ) -> bytes:
        """A request: header and body."""
        header = FuseInHeader(IN_HEADER_SIZE + len(body), opcode, self.next_unique(), nodeid, uid, gid, pid, 0, 0)
        return bytes(header) + body

    async def init(self, minor: int = FUSE_KERNEL_MINOR_VERSION, flags: int = 0) -> fuse.FuseInitOut:
        """FUSE_INIT on a request queue (FS-INIT-RI2)."""
        flags |= InitFlag.INIT_EXT
        body = fuse.FuseInitIn(FUSE_KERNEL_VERSION, minor, 131072, flags & 0xFFFF_FFFF, flags >> 32)
        reply = await self.call(Opcode.INIT, 0, bytes(body))
        out: fuse.FuseInitOut = reply.parse(fuse.FuseInitOut)
        if reply.error or out.major != FUSE_KERNEL_VERSION:
            raise DriverError("FUSE_INIT reply (error, major)", (reply.error, out.major), (0, FUSE_KERNEL_VERSION))
        return out

    async def call(self, opcode: Opcode, nodeid: int = 0, body: bytes = b"", queue: Virtqueue | None = None) -> Reply:
        """Build and send a request and wait for its reply."""
        return await self.request(self.build(opcode, nodeid, body), queue=queue)

    async def request(
        self,
        message: bytes,
        writable: int | None = None,
        queue: Virtqueue | None = None,
        plan: ChainPlan | None = None,
        timeout_ps: int | None = DEFAULT_TIMEOUT_PS,
        before: Callable[[PlacedChain], None] | None = None,
    ) -> Reply:
        """Send a request's bytes and wait until its chain is used.

        writable: bytes to post for the reply (None: as many as Linux does); timeout_ps: how long (None: for ever);
        before: sees the buffers before the device can. Raises DriverError where the chain comes back with a length or
        header that is no valid reply, DriverTimeout where it does not come back.
        """
        opcode = int.from_bytes(message[4:8], "little")
        operation = OPERATIONS[opcode]
        if writable is None:
            writable = operation.reply_limit(message)
        if queue is None:
            queue = self.device.hiprio if operation.hiprio else self._pick_queue()
        plan = plan or self.plan(message, writable, queue)
        memory = self.device.host.memory
        placed = place(plan, memory, message)
        if before is not None:
            before(placed)
        try:
            token = await queue.add(placed.segments, plan.shape)
            used = await queue.wait(token, timeout_ps)
        except QueueStopped:
            memory.free(placed.base)  # the device was reset; after any other error it may still write there
            raise
        reply_bytes = placed.gather(memory, used)
        if not token.exact:  # of a batch's chains but the last the length is not told
            used = min(used, int.from_bytes(reply_bytes[:4], "little"))
            reply_bytes = reply_bytes[:used]
        memory.free(placed.base)
        self.counts[f"request {operation.opcode.name}"] += 1
        return self._check(operation.opcode, message, used, reply_bytes, writable)

    def plan(self, message: bytes, writable: int, queue: Virtqueue | None = None) -> ChainPlan:
        """The layout that this client's policy gives this request, on any queue where none is named."""
        indirect = self.device.negotiated(Feature.INDIRECT_DESC)
        sizes = [each.size for each in self.device.queues.values()] if queue is None else [queue.size]
        limit = min([MAX_DESCRIPTORS, *sizes])  # SPLIT-IND-R03
        if self.rng is not None:
            return random_plan(self.rng, len(message), writable, limit, indirect, self.limits)
        operation = OPERATIONS[int.from_bytes(message[4:8], "little")]
        head = operation.request_size if operation.data else len(message)
        sized = operation.kind in (ReplyKind.SIZED, ReplyKind.TARGET)
        writable_head = min(writable, OUT_HEADER_SIZE) if sized else writable
        plan = linux_plan(head, len(message) - head, writable_head, writable - writable_head, indirect)
        return plan if plan.descriptors <= max(sizes) else whole_plan(len(message), writable, indirect)

    def _pick_queue(self) -> Virtqueue:
        self._next_queue += 1
        return self.device.request_queue(self._next_queue - 1)

    def _check(self, opcode: Opcode, message: bytes, used: int, reply: bytes, writable: int) -> Reply:
        unique = int.from_bytes(message[8:16], "little")
        name = f"{opcode.name} (unique {unique})"
        if writable == 0:
            if used:
                raise DriverError(f"used length of {name}, which has no writable part", used, 0, "FS-HP-DI1")
            return Reply(0, 0, unique, b"")
        if used < OUT_HEADER_SIZE:
            what = f"used length of {name} with {writable} writable bytes"
            raise DriverError(what, used, f"at least {OUT_HEADER_SIZE}", "FS-REQ-DI1")
        header = FuseOutHeader.from_buffer_copy(reply)
        if header.len != used:
            raise DriverError(f"fuse_out_header.len of {name}", header.len, used, "FS-REQ-DI1")
        if header.unique != unique:
            raise DriverError(f"fuse_out_header.unique of {name}", header.unique, unique, "FS-REQ-DI1")
        waits = opcode is Opcode.SETLKW and header.error == WAITS
        if not -MAX_ERRNO <= header.error <= 0 and not waits:
            raise DriverError(f"fuse_out_header.error of {name}", header.error, "0 or -errno", "FS-REQ-DI1")
        if header.error and used != OUT_HEADER_SIZE:
            raise DriverError(f"used length of {name} with error {header.error}", used, OUT_HEADER_SIZE, "FS-REQ-DI1")
        return Reply(used, header.error, unique, reply[OUT_HEADER_SIZE:])
