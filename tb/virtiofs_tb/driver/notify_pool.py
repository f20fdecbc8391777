"""Buffers on the notification queue: posted, harvested, decoded, posted again, as a driver with the feature does."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Sequence
from ctypes import sizeof
from dataclasses import dataclass

from virtiofs_model.layouts import fuse
from virtiofs_model.layouts.fuse import FuseOutHeader
from virtiofs_model.layouts.fuse_constants import FUSE_EXPIRE_ONLY, NOTIFY_CODE_FSNOTIFY, NOTIFY_CODE_LOCK, NotifyCode
from virtiofs_model.layouts.fuse_operations import OUT_HEADER_SIZE
from virtiofs_tb.host.port import HostPort

from .chains import ChainShape, Segment, Token
from .errors import DriverError, DriverTimeout, QueueStopped
from .virtqueue import DEFAULT_TIMEOUT_PS, Virtqueue


@dataclass(frozen=True)
class Notification:
    """A message as it stood in the buffer. code: NotifyCode, or a number that is none; t_ps: when it was harvested."""

    code: int
    message: bytes
    t_ps: int

    @property
    def payload(self) -> bytes:
        """The bytes after fuse_out_header."""
        return self.message[OUT_HEADER_SIZE:]

    @property
    def name(self) -> str:
        """The code's name, for counts."""
        return NotifyCode(self.code).name if self.code in {int(code) for code in NotifyCode} else f"code {self.code}"


@dataclass
class _Buffer:
    base: int
    segments: tuple[Segment, ...]
    shape: ChainShape

    @property
    def size(self) -> int:
        return sum(segment.length for segment in self.segments)


@dataclass(frozen=True)
class Returned:
    """A buffer that came back without a message: it was too small, or had a readable part."""

    size: int
    t_ps: int


class NotifyPool:
    """Keeps buffers on queue 1 and collects what the device writes into them.

    reposting: put a buffer back after its message was taken (FS-NQ-R02); switch it off to starve the device.
    on_message: takes the messages in place of `received`.
    error: the first thing that was wrong; `expect` and `wait_for` raise it.
    """

    def __init__(
        self, host: HostPort, queue: Virtqueue, notify_buf_size: int, counts: Counter[str] | None = None
    ) -> None:
        self.host = host
        self.queue = queue
        self.notify_buf_size = notify_buf_size
        self.received: list[Notification] = []
        self.returned: list[Returned] = []
        self.reposting = True
        self.on_message: Callable[[Notification], None] | None = None
        self.error: DriverError | None = None
        self.counts: Counter[str] = Counter() if counts is None else counts
        self._posted: dict[Token, _Buffer] = {}
        self._idle: list[_Buffer] = []
        self._used: deque[Token] = deque()  # in the order of the used ring
        self._wake = host.event()
        self._news = host.event()
        queue.on_used = self._on_used
        host.spawn(self._serve())

    @property
    def posted(self) -> int:
        """Buffers that the device holds."""
        return sum(1 for token in self._posted if token.used is None)

    async def fill(
        self, count: int, parts: Sequence[int] | None = None, shape: ChainShape | None = None, kick: bool = True
    ) -> None:
        """Post `count` buffers. parts: lengths of their descriptors (None: one of notify_buf_size, FS-NQ-R01)."""
        lengths = tuple(parts) if parts is not None else (self.notify_buf_size,)
        for _ in range(count):
            base = self.host.memory.allocate(sum(lengths) + 8 * len(lengths), 16)
            at = base
            segments = []
            for length in lengths:
                segments.append(Segment(at, length, True))
                at += length + 5  # odd addresses for all but the first
            await self._post(_Buffer(base, tuple(segments), shape or ChainShape()), kick)

    async def post_segments(self, segments: Sequence[Segment]) -> None:
        """Post a chain of the caller's making, for chains that no driver should post."""
        await self._post(_Buffer(0, tuple(segments), ChainShape()))

    async def expect(self, messages: Sequence[bytes], timeout_ps: int = DEFAULT_TIMEOUT_PS) -> None:
        """The next messages received are these, in this order. Takes them off `received`."""
        await self.wait_for(len(messages), timeout_ps)
        for index, message in enumerate(messages):
            seen = self.received.pop(0).message
            if seen != message:
                raise DriverError(f"notification {index}", _describe(seen), _describe(message), "FS-NQ-DI1")

    async def wait_for(self, count: int, timeout_ps: int = DEFAULT_TIMEOUT_PS) -> None:
        """Wait until at least `count` messages stand in `received`."""
        await self._wait(lambda: len(self.received) >= count, f"{count} notifications", self.received, timeout_ps)

    async def wait_returned(self, count: int, timeout_ps: int = DEFAULT_TIMEOUT_PS) -> None:
        """Wait until at least `count` buffers came back without a message."""
        what = f"{count} buffers returned unused"
        await self._wait(lambda: len(self.returned) >= count, what, self.returned, timeout_ps)

    async def _wait(self, done: Callable[[], bool], what: str, seen: Sequence[object], timeout_ps: int) -> None:
        end = self.host.now_ps() + timeout_ps
        while True:
            if self.error is not None:
                raise self.error
            if done():
                return
            left = end - self.host.now_ps()
            self._news.clear()
            if left <= 0 or not await self._news.wait(left):
                if self.queue.harvest(noted=False):
                    raise DriverTimeout(f"interrupt of {self.queue.name}", "none", "one for each used buffer")
                raise DriverTimeout(what, f"{len(seen)} after {timeout_ps / 1e6:,.0f} us", what)

    def _on_used(self, tokens: list[Token]) -> None:
        self._used.extend(tokens)
        self._wake.set()

    async def _post(self, buffer: _Buffer, kick: bool = True) -> None:
        try:
            token = await self.queue.add(buffer.segments, buffer.shape, kick)
        except QueueStopped:
            self._idle.append(buffer)
            return
        self._posted[token] = buffer
        self._wake.set()  # it may be used already

    async def _serve(self) -> None:
        """Take messages as they come, until the queue is reset."""
        while True:
            if self.queue.polling:
                await self._poll()
            else:
                await self._wake.wait()
            self._wake.clear()
            try:
                await self._collect()
            except DriverError as error:
                if not isinstance(error, QueueStopped):
                    self.error = self.error or error
            if self.queue.error is not None:
                if not isinstance(self.queue.error, QueueStopped):
                    self.error = self.error or self.queue.error
                self._free_all()
                self._news.set()
                return

    async def _poll(self) -> None:
        """Queue 1 has no vector: wait for a used entry, and look up at times whether the queue was reset."""
        await self.queue.next_used(DEFAULT_TIMEOUT_PS // 50)

    async def _collect(self) -> None:
        while self._used and self._used[0] in self._posted:
            token = self._used.popleft()
            buffer = self._posted.pop(token)
            if token.error is not None:
                raise token.error
            used = token.used or 0
            self._idle.append(buffer)
            self._take(buffer, used)
            if self.reposting and used and self.queue.error is None:
                self._idle.pop()
                await self._post(buffer)
        self._news.set()

    def _take(self, buffer: _Buffer, used: int) -> None:
        if used == 0:
            self.returned.append(Returned(buffer.size, self.host.now_ps()))
            return
        message = b"".join(
            self.host.memory.read(segment.address, segment.length) for segment in buffer.segments if segment.write
        )[:used]
        if used > self.notify_buf_size:
            what = "used length of a notification"
            raise DriverError(what, used, f"at most notify_buf_size ({self.notify_buf_size})", "FS-CFG-D02")
        if used < OUT_HEADER_SIZE:
            raise DriverError("used length of a notification", used, f"at least {OUT_HEADER_SIZE}", "FS-NQ-DI1")
        header = FuseOutHeader.from_buffer_copy(message)
        if header.len != used:
            raise DriverError("fuse_out_header.len of a notification", header.len, used, "FS-NQ-DI1")
        if header.unique:
            raise DriverError("fuse_out_header.unique of a notification", header.unique, 0, "FS-NQ-DI1")
        if header.error <= 0:
            raise DriverError("fuse_out_header.error of a notification", header.error, "a positive code", "FS-NQ-DI1")
        notification = Notification(header.error, message, self.host.now_ps())
        self.counts[f"notification {notification.name}"] += 1
        if self.on_message is not None:
            self.on_message(notification)
        else:
            self.received.append(notification)

    def _free_all(self) -> None:
        for buffer in [*self._posted.values(), *self._idle]:
            if buffer.base:
                self.host.memory.free(buffer.base)
        self._posted.clear()
        self._idle.clear()


def notification(code: int, payload: bytes) -> bytes:
    """A whole message: fuse_out_header with unique 0 and the positive code, then the payload."""
    return bytes(FuseOutHeader(OUT_HEADER_SIZE + len(payload), code, 0)) + payload


def every_notification(notify_buf_size: int, fill: int = 0x5A) -> list[bytes]:
    """Every type of message that the protocol and the virtio specification name, smallest and largest that fit."""
    room = notify_buf_size - OUT_HEADER_SIZE
    names = (b"", b"a", b"n" * 255)
    messages = [notification(NotifyCode.POLL, bytes(fuse.FuseNotifyPollWakeupOut(0x1122334455667788)))]
    for start, length in ((-1, 0), (0, 0), (4096, 1 << 40)):
        messages.append(notification(NotifyCode.INVAL_INODE, bytes(fuse.FuseNotifyInvalInodeOut(7, start, length))))
    for name in names:
        for flags in (0, FUSE_EXPIRE_ONLY):
            head = bytes(fuse.FuseNotifyInvalEntryOut(1, len(name), flags))
            messages.append(notification(NotifyCode.INVAL_ENTRY, head + name + b"\0"))
        head = bytes(fuse.FuseNotifyDeleteOut(1, 9, len(name), 0))
        messages.append(notification(NotifyCode.DELETE, head + name + b"\0"))
    store_room = room - sizeof(fuse.FuseNotifyStoreOut)
    for size in sorted({0, 1, min(4095, store_room), store_room}):
        data = bytes((fill + at) & 0xFF for at in range(size))
        head = bytes(fuse.FuseNotifyStoreOut(7, 3, size, 0))
        messages.append(notification(NotifyCode.STORE, head + data))
    messages.append(notification(NotifyCode.RETRIEVE, bytes(fuse.FuseNotifyRetrieveOut(5, 7, 0, 4096, 0))))
    messages.append(notification(NotifyCode.RESEND, b""))
    messages.append(notification(NOTIFY_CODE_LOCK, (5).to_bytes(8, "little") + bytes(8)))
    messages.append(notification(NotifyCode.INC_EPOCH, b""))
    messages.append(notification(NOTIFY_CODE_FSNOTIFY, bytes(24) + b"name"))
    most = (room - sizeof(fuse.FuseNotifyPruneOut)) // 8
    for count in (0, 1, most):
        ids = b"".join((2 + index).to_bytes(8, "little") for index in range(count))
        messages.append(notification(NotifyCode.PRUNE, bytes(fuse.FuseNotifyPruneOut(count, 0, 0)) + ids))
    return sorted(messages, key=len)


def _describe(message: bytes) -> str:
    return f"{len(message)} bytes, code {message[4] if len(message) > 4 else '?'}, {message[:32].hex()}"
