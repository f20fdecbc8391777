"""Between the kernel's file of /dev/fuse and the driver core: requests one way, replies and notifications back."""

from __future__ import annotations

import errno
import os
import queue
import threading
from collections import Counter

from virtiofs_model.layouts import fuse
from virtiofs_model.layouts.fuse_constants import NOTIFY_CODE_LOCK, Opcode
from virtiofs_model.layouts.fuse_operations import OPERATIONS, OUT_HEADER_SIZE, Operation, ReplyKind
from virtiofs_tb.driver.bringup import Mount
from virtiofs_tb.driver.fuse_client import Reply
from virtiofs_tb.driver.notify_pool import Notification
from virtiofs_tb.host.base import HostBase
from virtiofs_tb.mount.errors import MountFailure

READ_BYTES = (1 << 20) + (1 << 16)
"""The largest request: max_write and headers (the kernel refuses a smaller buffer)."""

GONE = (errno.ENODEV, errno.ECONNABORTED)
"""The kernel has unmounted, or was told to give the connection up."""

NOT_CACHED = (errno.ENOENT, errno.ENOTDIR, errno.ENOTEMPTY, errno.EBUSY, errno.ESTALE)
"""What a kernel says of a notification about something that it does not have, or cannot drop now."""

WRITER_S = 5.0


class Relay:
    """Serves one mount. ended: the kernel is gone. requests, notifications: how many went each way, by name.

    deaf: notifications are not told to the kernel, but counted in `withheld`: a client that does not listen, for tests.
    refused: notifications that the kernel did not understand.
    """

    def __init__(self, descriptor: int, host: HostBase, mount: Mount, deaf: bool = False) -> None:
        self.descriptor = descriptor
        self.deaf = deaf
        self.withheld: Counter[str] = Counter()
        self.ended = host.event()
        self.requests: Counter[str] = Counter()
        self.notifications: Counter[str] = Counter()
        self.refused: list[str] = []
        self.error: Exception | None = None
        self._host = host
        self._mount = mount
        # A write of INVAL_ENTRY may wait for locks that requests under way hold: it gets a thread of its own.
        self._messages: queue.SimpleQueue[Notification | None] = queue.SimpleQueue()
        self._writer = threading.Thread(target=self._write_messages, name="notifications", daemon=True)
        self._writer.start()
        if mount.pool is not None:
            mount.pool.on_message = self._messages.put

    def receive(self) -> bool:
        """Take all requests that have come. Returns whether there were any."""
        any_came = False
        while True:
            try:
                message = os.read(self.descriptor, READ_BYTES)
            except BlockingIOError:
                return any_came
            except OSError as error:
                if error.errno == errno.ENOENT:
                    continue  # it was given up while it was read
                if error.errno not in GONE:
                    self._fail(MountFailure(f"reading /dev/fuse: {error.strerror}"))
                self.ended.set()
                return any_came
            if not message:  # nobody is at the other end
                self.ended.set()
                return any_came
            any_came = True
            self._host.spawn(self._serve(message))

    async def _serve(self, message: bytes) -> None:
        opcode = int.from_bytes(message[4:8], "little")
        operation = OPERATIONS.get(opcode)
        if operation is None:
            self.requests[f"opcode {opcode}"] += 1
            self._answer(
                bytes(fuse.FuseOutHeader(OUT_HEADER_SIZE, -errno.ENOSYS, int.from_bytes(message[8:16], "little")))
            )
            return
        self.requests[operation.opcode.name] += 1
        try:
            reply = await self._request(operation, message)
        except Exception as error:  # whatever the device or the driver did: the mount ends, the run reports it
            self._fail(error)
            self.ended.set()
            return
        if operation.opcode is Opcode.INIT and reply.error:
            self._fail(MountFailure(f"the endpoint refuses the kernel's FUSE protocol: {os.strerror(-reply.error)}"))
            self.ended.set()
        if operation.kind is not ReplyKind.NONE:
            self._answer(reply.message)

    async def _request(self, operation: Operation, message: bytes) -> Reply:
        client = self._mount.client
        if operation.opcode is not Opcode.SETLKW:
            return await client.request(message)
        # Another one's unlock, or an INTERRUPT, ends it, however late that is.
        self._host.patience += 1
        try:
            return await client.request(message, timeout_ps=None)
        finally:
            self._host.patience -= 1

    def _answer(self, reply: bytes) -> None:
        try:
            os.write(self.descriptor, reply)
        except OSError as error:
            if error.errno in GONE:
                self.ended.set()
            elif error.errno != errno.ENOENT:  # an interrupted request waits no more
                self._fail(MountFailure(f"the kernel refuses a reply of {len(reply)} bytes: {error.strerror}"))
                self.ended.set()

    def _write_messages(self) -> None:
        while (notification := self._messages.get()) is not None:
            if notification.code == NOTIFY_CODE_LOCK:
                continue  # to a kernel this number means RESEND
            if self.deaf:
                self.withheld[notification.name] += 1
                continue
            try:
                os.write(self.descriptor, notification.message)
            except OSError as error:
                if error.errno not in (*NOT_CACHED, *GONE):
                    self.refused.append(f"{notification.name}: {error.strerror}")
            self.notifications[notification.name] += 1  # now: it has taken effect

    def _fail(self, error: Exception) -> None:
        self.error = self.error or error

    def close(self) -> None:
        """No more notifications; the descriptor stays open until the mount is gone."""
        if self._mount.pool is not None:
            self._mount.pool.on_message = None
        self._messages.put(None)
        self._writer.join(WRITER_S)
