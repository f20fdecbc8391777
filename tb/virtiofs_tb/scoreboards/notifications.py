"""The notification queue: every message that was taken reaches the driver once, whole, in order, and not too early.

A message in the mailbox is recorded with its answer, which on a register port is read after the fact; so deliveries
and acceptances are matched from both sides, whichever is seen first.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from struct import Struct

from virtiofs_model.layouts.virtio import Feature
from virtiofs_model.registers import NOTIFY_BUF_SIZE_MIN
from virtiofs_tb.host.port import NotifyResult
from virtiofs_tb.profile import Profile
from virtiofs_tb.scoreboards.base import Scoreboard
from virtiofs_tb.scoreboards.events import (
    ChainReady,
    ChainUsed,
    DpuAccess,
    EngineNotifySeen,
    EngineReplySeen,
    MailboxNotify,
    RegisterRead,
    ResetBegin,
    ResetDone,
    Tick,
)
from virtiofs_tb.scoreboards.file_system import begins_session
from virtiofs_tb.scoreboards.fuse import Request
from virtiofs_tb.scoreboards.observer import Observer
from virtiofs_tb.scoreboards.ring_state import Chain

OUT_HEADER_SIZE = 16
RECENT = 4096
"""Deliveries that are remembered."""

NOTIFY_BUF_SIZE_AT = 40
STRAP_NOTIFY_BUF_SIZE, MAILBOX_SUBMIT = 0x24, 0x304
OPCODE_INIT = ((26).to_bytes(4, "little"), (26).to_bytes(4, "big"))
_HEADER = Struct("<IiQ")


@dataclass(slots=True)
class Message:
    """A message on its way. stored_seq: it was in the store by then; sure: it must be delivered."""

    data: bytes
    t_ps: int
    stored_seq: int
    source: str
    sure: bool = True


@dataclass(slots=True)
class Delivery:
    """A message that the driver got. open_replies: given and not used then, by seq: the chain of each."""

    data: bytes
    t_ps: int
    seq: int
    open_replies: dict[int, str]


class NotificationScoreboard(Scoreboard):
    """Judge of the notification queue, the mailbox and the engine's notify stream.

    announced: who is asked whether a message is the endpoint's own: its bytes, its time, its place in the run's order.
    kept: how many bytes of the store are kept for messages of its own, at least and at most, between two moments.
    """

    name = "notifications"

    def __init__(self, profile: Profile, observer: Observer) -> None:
        super().__init__(profile, observer)
        self._mailbox: deque[Message] = deque()
        self._engine: deque[Message] = deque()
        self._delivered: deque[Delivery] = deque()
        self._buf_size = 0
        self._buf_size_read = False
        self._init_used = False
        self._submit_seq = 0
        self._replies: dict[int, Chain] = {}  # given by the engine and not used: by seq of the reply
        self._peak_bytes = 0
        self._peak_ready = 0
        self._resetting = False
        self._fresh_result_seq = 0
        self._answer_seq = 0  # of the mailbox's last answer
        self._renews = False  # an INIT that ends a session with another one was answered, and is not used
        self._submitted = 0  # bytes of the message that is with the mailbox
        self._recent: deque[tuple[int, int]] = deque(maxlen=RECENT)  # when a message was delivered, and its bytes
        self.announced: Callable[[bytes, int, int], bool] = lambda data, t_ps, seq: False
        self.kept: Callable[[int, int], tuple[int, int]] = lambda begin, end: (0, 0)

    # ---- what is known of the device ----

    def on_register_read(self, event: RegisterRead) -> None:
        """notify_buf_size, as the driver was told."""
        if event.region != "device" or event.status:
            return
        low = NOTIFY_BUF_SIZE_AT - event.at
        if low >= 0 and low + 4 <= len(event.data):
            size = int.from_bytes(event.data[low : low + 4], "little")
            self._buf_size = size
            self._buf_size_read = True
            self.count("notify_buf_size")
            if size < OUT_HEADER_SIZE:
                self.fail(
                    event.t_ps, event.seq, "notify_buf_size", "FS-CFG-D02", f"at least {OUT_HEADER_SIZE}", f"{size}"
                )

    def on_dpu_access(self, event: DpuAccess) -> None:
        if not event.write or event.status:
            return
        if event.address == STRAP_NOTIFY_BUF_SIZE and event.value >= NOTIFY_BUF_SIZE_MIN:
            self._buf_size = event.value
        elif event.address == MAILBOX_SUBMIT:
            self._submit_seq = event.seq
            self._submitted = event.value

    def _negotiated(self) -> bool:
        virtio = self.observer.virtio
        return virtio.driver_ok and virtio.negotiated(Feature.FS_NOTIFICATION)

    def _ready_buffers(self) -> int:
        """Chains on queue 1 that may take a message."""
        queue = self.observer.rings.queues.get(1)
        if queue is None or not queue.notification:
            return 0
        return sum(1 for chain in queue.open.values() if self._usable(chain))

    def _usable(self, chain: Chain) -> bool:
        return chain.walked and not chain.readable and chain.writable >= self._buf_size

    def _stored_bytes(self) -> int:
        overhead = self.profile.dpu.message_overhead
        return sum(len(m.data) + overhead for m in self._mailbox) + sum(len(m.data) + overhead for m in self._engine)

    def stored(self, begin: int, end: int) -> tuple[int, int]:
        """Bytes that messages of the mailbox took between two moments: all the time, and at most at one of them."""
        overhead = self.profile.dpu.message_overhead
        stored = [message for message in self._mailbox if message.stored_seq < begin and message.sure]
        if max(self._peak_ready, self._ready_buffers()):
            stored = stored[1:]  # the first one may be on its way
        left = sum(size + overhead for seq, size in self._recent if seq >= begin)
        coming = self._submitted + overhead if self._submit_seq > self._answer_seq else 0
        return sum(len(message.data) for message in stored), self._stored_bytes() + left + coming

    # ---- messages in ----

    def on_mailbox_notify(self, event: MailboxNotify) -> None:
        self.count("mailbox")
        last_answer, self._answer_seq = self._answer_seq, event.seq
        message, result = event.message, event.result
        reason = self._must_refuse(message)
        if result == NotifyResult.REFUSED.value:
            taken = self._peak_bytes + self.kept(last_answer, event.seq)[1]
            if not reason and taken + len(message) + self.profile.dpu.message_overhead <= (
                self.profile.dpu.message_store
            ):
                self.fail(
                    event.t_ps, event.seq, f"message of {len(message)} bytes refused by the mailbox", "FS-NQ-DI2",
                    f"room for it: at most {taken} of {self.profile.dpu.message_store} bytes are taken",
                    "refused",
                )  # fmt: skip
            self._fresh()
            return
        if reason:
            self.fail(
                event.t_ps, event.seq, f"message of {len(message)} bytes in the mailbox", "FS-CFG-D02",
                f"refused: {reason}", NotifyResult(result).name.lower(),
            )  # fmt: skip
            return
        pending = sum(len(m.data) for m in self._mailbox) + self.kept(last_answer, event.seq)[0]
        if len(self._mailbox) and max(self._peak_ready, self._ready_buffers()):
            pending -= len(self._mailbox[0].data)  # it may be on its way, its place in the store free
        if pending + len(message) > self.profile.dpu.message_store and not self._delivered:
            self.fail(
                event.t_ps, event.seq, f"message of {len(message)} bytes kept by the mailbox", "FS-NQ-DI2",
                f"refused: {pending} of {self.profile.dpu.message_store} bytes are taken",
                NotifyResult(result).name.lower(),
            )  # fmt: skip
        if result == NotifyResult.ACCEPTED.value:
            self._accepted(event)
        stored = self._submit_seq or event.seq
        self._mailbox.append(Message(message, event.t_ps, stored, "mailbox"))
        self._submit_seq = 0
        self._fresh()
        self._settle()

    def _must_refuse(self, message: bytes) -> str:
        """Why a message must be refused ('' no reason)."""
        if not self._negotiated():
            return "VIRTIO_FS_F_NOTIFICATION is not in force"
        if len(message) < OUT_HEADER_SIZE or int.from_bytes(message[:4], "little") != len(message):
            return "its length is malformed"
        if self._buf_size and len(message) > self._buf_size:
            return f"notify_buf_size is {self._buf_size}"
        return ""

    def _accepted(self, event: MailboxNotify) -> None:
        """accepted says that a buffer is ready now."""
        if not self._init_used:
            self.fail(
                event.t_ps,
                event.seq,
                "message accepted before the INIT reply was used",
                "FS-NQ-DI1",
                "held",
                "accepted",
            )
        elif not max(self._peak_ready, self._ready_buffers()):
            self.fail(
                event.t_ps,
                event.seq,
                "message accepted, though no buffer is on queue 1",
                "FS-NQ-DI2",
                "held",
                "accepted",
            )

    def _fresh(self) -> None:
        """An answer of the mailbox was seen: the next one is made of what is true from here on."""
        self._peak_bytes = self._stored_bytes()
        self._peak_ready = self._ready_buffers()

    def on_engine_notify(self, event: EngineNotifySeen) -> None:
        self.count("engine notify")
        if self._resetting or self._must_refuse(event.message):
            return  # the store drops it; nobody is told
        self._engine.append(Message(event.message, event.t_ps, event.seq, "engine", False))
        self._peak_bytes = max(self._peak_bytes, self._stored_bytes())
        self._settle()

    # ---- the session, and replies that messages must not overtake ----

    def _end_session(self) -> None:
        """A new session: what was stored for the old one may be gone."""
        for message in self._mailbox:
            message.sure = False

    def on_engine_reply(self, event: EngineReplySeen) -> None:
        chain = self.observer.with_engine.get(event.ctx)
        if chain is None or chain.dead or chain.queue.index == 0:
            return  # hiprio has a lane of its own
        request = chain.request
        if isinstance(request, Request) and request.reply_seq == event.seq:
            self._replies[event.seq] = chain
            head = bytes(chain.read_store.data[:44])
            if head[4:8] in OPCODE_INIT and self._init_used and begins_session(head, event.immediate):
                self._renews = True
                self._end_session()

    def on_chain_ready(self, event: ChainReady) -> None:
        if event.chain.queue.notification and self._usable(event.chain):
            self.count("buffer")
            self._peak_ready = max(self._peak_ready, self._ready_buffers())

    # ---- messages out ----

    def on_chain_used(self, event: ChainUsed) -> None:
        chain = event.chain
        if not chain.queue.notification:
            self._request_used(event)
            return
        if self._resetting or chain.broken or chain.queue.broken:
            return
        length = event.length
        if not self._usable(chain):
            self.count("returned unused")
            if length:
                self.fail(
                    event.t_ps, event.seq,
                    f"{chain} with {chain.readable} readable and {chain.writable} writable bytes takes a message",
                    "FS-CFG-D02", f"used length 0: less than notify_buf_size {self._buf_size}, or a readable part",
                    f"{length}",
                )  # fmt: skip
            return
        if not length:
            self.fail(
                event.t_ps, event.seq, f"{chain} is returned without a message", "FS-NQ-DI1", "kept until there is one",
                "used length 0",
            )  # fmt: skip
            return
        self.count("message")
        data = bytes(chain.write_store.data[:length])
        self._wellformed(event, data)
        if not self._init_used:
            self.fail(
                event.t_ps,
                event.seq,
                "a notification",
                "FS-NQ-DI1",
                "none before the INIT reply is used",
                "one is used",
            )
        self._recent.append((event.seq, length))
        open_replies = {seq: str(reply) for seq, reply in self._replies.items() if not reply.dead}
        self._delivered.append(Delivery(data, event.t_ps, event.seq, open_replies))
        self._settle()

    def _wellformed(self, event: ChainUsed, data: bytes) -> None:
        length = event.length
        if length < OUT_HEADER_SIZE:
            self.fail(
                event.t_ps, event.seq, "used length of a notification", "FS-NQ-DI1", f"at least {OUT_HEADER_SIZE}",
                f"{length}",
            )  # fmt: skip
            return
        if self._buf_size and length > self._buf_size:
            self.fail(
                event.t_ps, event.seq, "used length of a notification", "FS-CFG-D02",
                f"at most notify_buf_size {self._buf_size}", f"{length}",
            )  # fmt: skip
        if len(data) < length:
            return  # not all of it was written: the DMA scoreboard's finding
        size, _, _ = _HEADER.unpack_from(data)
        if size != length:
            self.fail(
                event.t_ps, event.seq, "fuse_out_header.len of a notification", "FS-NQ-DI1",
                f"the used length {length}", f"{size}",
            )  # fmt: skip

    def _request_used(self, event: ChainUsed) -> None:
        chain = event.chain
        request = chain.request
        if isinstance(request, Request):
            self._replies.pop(request.reply_seq, None)
        head = chain.read_store.data
        reply = chain.write_store.data
        begins = event.length >= OUT_HEADER_SIZE and begins_session(bytes(head[:44]), bytes(reply[:OUT_HEADER_SIZE]))
        if head[4:8] in OPCODE_INIT and begins:
            if self._renews or (self._init_used and not isinstance(request, Request)):
                self._end_session()  # an engine that is not seen: it began the new one some time before
            self._renews = False
            self._init_used = True

    def _settle(self) -> None:
        """Match deliveries with messages, in order, as far as both are known."""
        while self._delivered:
            delivery = self._delivered[0]
            message = self._take(delivery.data)
            if message is None:
                undecided = self._submit_seq > self._answer_seq  # a message that is with the mailbox may be this one
                if not undecided and self.announced(delivery.data, delivery.t_ps, delivery.seq):
                    self._delivered.popleft()
                    continue
                if self._mailbox and self._mailbox[0].sure and not self._engine:
                    self._wrong(delivery, self._mailbox[0])
                    self._drop(delivery.data)
                    self._delivered.popleft()
                    continue
                return
            self._delivered.popleft()
            self.count("matched")
            late = [seq for seq in delivery.open_replies if seq < message.stored_seq]
            if late:
                self.fail(
                    delivery.t_ps, delivery.seq,
                    f"a notification that the {message.source} gave at seq {message.stored_seq} is used",
                    "FS-NQ-DI1", f"the reply given before it, at seq {late[0]}, used first",
                    f"that reply is still open: {delivery.open_replies[late[0]]}",
                )  # fmt: skip

    def _take(self, data: bytes) -> Message | None:
        """The message that these bytes are: the first of the mailbox or the engine; unsure ones may be left out."""
        for waiting in (self._mailbox, self._engine):
            for index, message in enumerate(waiting):
                if message.data == data:
                    for _ in range(index + 1):
                        waiting.popleft()
                    return message
                if message.sure:
                    break
        return None

    def _drop(self, data: bytes) -> None:
        """After a mismatch: go on behind the message that was delivered, or behind the first."""
        for index, message in enumerate(self._mailbox):
            if message.data == data:
                del self._mailbox[index]
                return
        self._mailbox.popleft()

    def _wrong(self, delivery: Delivery, expected: Message) -> None:
        known = next((at for at, message in enumerate(self._mailbox) if message.data == delivery.data), -1)
        if known >= 0:
            later = self._mailbox[known]
            seen = f"that of {len(later.data)} bytes taken at seq {later.stored_seq}, {known} messages later"
        elif len(delivery.data) != len(expected.data):
            seen = f"{len(delivery.data)} bytes that no message has"
        else:
            at = next(i for i in range(len(expected.data)) if expected.data[i] != delivery.data[i])
            seen = f"byte {at} is {delivery.data[at]:#04x} instead of {expected.data[at]:#04x}"
        self.fail(
            delivery.t_ps, delivery.seq, "the notification that was delivered", "FS-NQ-DI1",
            f"the message of {len(expected.data)} bytes taken at seq {expected.stored_seq}, which is next", seen,
        )  # fmt: skip

    # ---- resets and debts ----

    def on_reset_begin(self, event: ResetBegin) -> None:
        self._resetting = True
        self._forget()

    def on_reset_done(self, event: ResetDone) -> None:
        self._resetting = False
        self._forget()

    def _forget(self) -> None:
        self._mailbox.clear()
        self._engine.clear()
        self._delivered.clear()
        self._replies.clear()
        self._init_used = self._renews = False
        self._peak_bytes = self._peak_ready = 0
        self._submit_seq = 0

    def on_tick(self, event: Tick) -> None:
        limit = self.profile.timing.notification_us * 1_000_000
        if not limit or not self._mailbox or self._resetting:
            return
        first = self._mailbox[0]
        if first.sure and event.t_ps - first.t_ps > limit and self._init_used and self._ready_since(event.t_ps, limit):
            self._mailbox.popleft()
            self._owed(event.t_ps, event.seq, first)

    def _ready_since(self, t_ps: int, limit: int) -> bool:
        """Whether a usable buffer has been waiting for that long."""
        queue = self.observer.rings.queues.get(1)
        return queue is not None and any(
            self._usable(chain) and t_ps - chain.ready_t > limit for chain in queue.open.values()
        )

    def _owed(self, t_ps: int, seq: int, message: Message) -> None:
        self.fail(
            t_ps, seq, f"the message of {len(message.data)} bytes taken at seq {message.stored_seq}", "FS-NQ-DI1",
            "delivered: a buffer is there", "not delivered",
        )  # fmt: skip

    def finish(self, t_ps: int, seq: int) -> None:
        """Nothing is left that a buffer was there for, and nothing came from nowhere."""
        if self._resetting or self.observer.virtio.needs_reset:
            return
        for delivery in self._delivered:
            self.fail(
                delivery.t_ps, delivery.seq, f"a notification of {len(delivery.data)} bytes", "FS-NQ-DI1",
                "a message of the mailbox or the engine", "bytes that nobody gave",
            )  # fmt: skip
        if self._init_used and self._ready_buffers():
            for message in self._mailbox:
                if message.sure:
                    self._owed(t_ps, seq, message)
