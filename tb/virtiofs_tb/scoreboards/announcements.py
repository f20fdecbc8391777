"""What the endpoint's own file system tells a session of the DPU's changes (docs/notifications.md).

The scoreboard of the file system says which requests of the DPU there were, and in which order; what each one could
have made stale follows from the lookups at that place. Where lookups of an inode changed meanwhile, a message about it
may come or not. All is judged when the session is over or the run is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from ctypes import sizeof

from virtiofs_model.layouts import fuse
from virtiofs_model.layouts.dpu import DpuRegister
from virtiofs_model.layouts.fuse_constants import Opcode
from virtiofs_model.layouts.fuse_operations import IN_HEADER_SIZE, OUT_HEADER_SIZE, directory_entries
from virtiofs_model.layouts.virtio import Feature
from virtiofs_model.registers import NotifyPolicy
from virtiofs_tb.profile import Profile
from virtiofs_tb.scoreboards.announced import CODES, Asked, Delivery, Session
from virtiofs_tb.scoreboards.base import Scoreboard
from virtiofs_tb.scoreboards.dpu_happenings import DpuHappening
from virtiofs_tb.scoreboards.events import ChainUsed, DpuAccess, DpuReply, DpuRequest, PinReset, ResetBegin, Tick
from virtiofs_tb.scoreboards.observer import Observer
from virtiofs_tb.scoreboards.ring_state import Chain

RECENT = 64
"""Requests whose effects on lookups are remembered."""

_ENTRIES = frozenset(
    (Opcode.LOOKUP, Opcode.MKNOD, Opcode.MKDIR, Opcode.SYMLINK, Opcode.LINK, Opcode.CREATE, Opcode.TMPFILE)
)
_SESSIONS = frozenset((Opcode.INIT, Opcode.DESTROY))

Moved = tuple[int, int, "set[int] | None"]
"""When a request was under way, and whose lookups it may have changed (None: all)."""


class AnnouncementScoreboard(Scoreboard):
    """Judge of the messages that the endpoint sends by itself.

    explained: whether a request of the DPU has its place in the order (the scoreboard of the file system says).
    """

    name = "announcements"

    def __init__(self, profile: Profile, observer: Observer) -> None:
        super().__init__(profile, observer)
        self.explained: Callable[[DpuHappening], bool] = lambda happening: True
        self._policy = NotifyPolicy.HOLD
        self._session: Session | None = None
        self._ended: deque[Session] = deque()
        self._asking = False
        self._recent: deque[Moved] = deque(maxlen=RECENT)
        self._asked: deque[Asked] = deque(maxlen=RECENT)

    # ---- what is asked ----

    def on_dpu_access(self, event: DpuAccess) -> None:
        if event.write and not event.status and event.address == DpuRegister.NOTIFY_POLICY:
            self._policy = NotifyPolicy(event.value)

    def on_dpu_request(self, event: DpuRequest) -> None:
        self._asking = True

    def on_dpu_reply(self, event: DpuReply) -> None:
        self._asking = False

    def asked(self, happening: DpuHappening) -> None:
        """A request of the DPU was answered."""
        if self._session is None:
            return
        one = Asked(happening)
        for moved in self._recent:
            _overlap(one, moved)
        self._asked.append(one)
        self._session.asked.append(one)
        self.count("request of the DPU")

    # ---- what is told ----

    def takes(self, data: bytes, t_ps: int, seq: int) -> bool:
        """A message that no mailbox gave: whether it can be the endpoint's own."""
        delivery = Delivery(data, t_ps, seq)
        session = self._session
        if session is None or delivery.code not in CODES or not (session.asked or self._asking):
            return False
        session.delivered.append(delivery)
        self.count("announcement")
        return True

    # ---- sessions and lookups ----

    def on_chain_used(self, event: ChainUsed) -> None:
        chain = event.chain
        if chain.queue.notification or chain.broken or len(chain.read_store.data) < IN_HEADER_SIZE:
            return
        opcode = int.from_bytes(chain.read_store.data[4:8], "little")
        reply = bytes(chain.write_store.data[: event.length])
        nodes = _lookups_of(opcode, chain, reply)
        if nodes is not None and not nodes:
            return
        moved = (chain.pub_seq, event.seq, nodes)
        self._recent.append(moved)
        if opcode in (Opcode.FORGET, Opcode.BATCH_FORGET) and self._session is not None:
            self._session.forgotten.append((event.seq, nodes or set()))
        for one in self._asked:
            _overlap(one, moved)
        if opcode == Opcode.INIT and event.length >= OUT_HEADER_SIZE and not any(reply[4:8]):
            self._end()
            if self.observer.virtio.negotiated(Feature.FS_NOTIFICATION):
                self._session = Session(self._policy)

    def on_reset_begin(self, event: ResetBegin) -> None:
        self._end()

    def on_pin_reset(self, event: PinReset) -> None:
        self._end()
        self._policy = NotifyPolicy.HOLD

    def _end(self) -> None:
        if self._session is not None and (self._session.asked or self._session.delivered):
            self._ended.append(self._session)
        self._session = None

    # ---- the verdict ----

    def on_tick(self, event: Tick) -> None:
        while self._ended and all(self.explained(one.happening) for one in self._ended[0].asked):
            self._judge(self._ended.popleft(), starved=True)

    def finish(self, t_ps: int, seq: int) -> None:
        """What was asked in the last session is announced, if there was a buffer for it."""
        sessions = [(session, True) for session in self._ended]
        if self._session is not None:
            sessions.append((self._session, not self._has_buffers()))
        for session, starved in sessions:
            if all(self.explained(one.happening) for one in session.asked):
                self._judge(session, starved)

    def _has_buffers(self) -> bool:
        queue = self.observer.rings.queues.get(1)
        return queue is not None and queue.notification and not self.observer.virtio.needs_reset and bool(queue.open)

    def _judge(self, session: Session, starved: bool) -> None:
        self.count("session")
        for complaint in session.judge(starved):
            self.fail(complaint.t_ps, complaint.seq, complaint.text, "FS-NQ-DI1", complaint.expected, complaint.seen)


def _overlap(asked: Asked, moved: Moved) -> None:
    """Lookups may have changed before or after the change by the DPU."""
    begin, end, nodes = moved
    if begin > asked.happening.end or end < asked.happening.begin:
        return
    if nodes is None:
        asked.moved = None
    elif asked.moved is not None:
        asked.moved |= nodes


def _lookups_of(opcode: int, chain: Chain, reply: bytes) -> set[int] | None:
    """Inodes whose lookups a request may have changed; None: of all."""
    head = chain.read_store.data
    if opcode in _SESSIONS:
        return None
    if opcode == Opcode.FORGET:
        return {int.from_bytes(head[16:24], "little")}
    if opcode == Opcode.BATCH_FORGET:
        size, at = sizeof(fuse.FuseForgetOne), IN_HEADER_SIZE + sizeof(fuse.FuseBatchForgetIn)
        places = range(at, len(head) - size + 1, size)
        return {int.from_bytes(head[place : place + 8], "little") for place in places}
    if any(reply[4:8]) or len(reply) <= OUT_HEADER_SIZE:
        return set()
    if opcode in _ENTRIES:
        return {int.from_bytes(reply[OUT_HEADER_SIZE : OUT_HEADER_SIZE + 8], "little")}
    if opcode == Opcode.READDIRPLUS:
        return {entry.nodeid for entry in directory_entries(reply[OUT_HEADER_SIZE:], plus=True)}
    return set()
