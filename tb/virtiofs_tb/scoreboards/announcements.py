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
from virtiofs_model.layouts.fuse_constants import NOTIFY_CODE_LOCK, NotifyCode, Opcode
from virtiofs_model.layouts.fuse_operations import IN_HEADER_SIZE, OUT_HEADER_SIZE, directory_entries
from virtiofs_model.layouts.virtio import Feature
from virtiofs_model.ramfs.notices import LOCK_BYTES, POLL_BYTES
from virtiofs_model.ramfs.polls import PLACES
from virtiofs_model.registers import NotifyPolicy
from virtiofs_tb.profile import Profile
from virtiofs_tb.scoreboards.announced import CODES, Asked, Delivery, Session
from virtiofs_tb.scoreboards.base import Scoreboard
from virtiofs_tb.scoreboards.dpu_happenings import DpuHappening
from virtiofs_tb.scoreboards.events import (
    ChainUsed,
    DpuAccess,
    DpuReply,
    DpuRequest,
    DpuRetrieved,
    PinReset,
    ResetBegin,
    Tick,
)
from virtiofs_tb.scoreboards.file_system import begins_session, refused_for_room
from virtiofs_tb.scoreboards.happenings import ENDLESS, RequestHappening
from virtiofs_tb.scoreboards.lock_messages import waits_by_message
from virtiofs_tb.scoreboards.observer import Observer
from virtiofs_tb.scoreboards.places import UNBOUNDED, Place, bounds
from virtiofs_tb.scoreboards.retrieved import RetrievedLedger, is_answer
from virtiofs_tb.scoreboards.ring_state import Chain
from virtiofs_tb.scoreboards.waits import WaitHappening

WORST_CASE = 1024
"""Bytes that the announcements of one request of the DPU take at most."""

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

    explained: whether a request of the DPU has its place in the order (the scoreboard of the file system says);
    lock_told: takes LOCK messages; stored: bytes that the mailbox's messages take while a request is under way, at
    least and at most.
    """

    name = "announcements"

    def __init__(self, profile: Profile, observer: Observer) -> None:
        super().__init__(profile, observer)
        self.explained: Callable[[DpuHappening], bool] = lambda happening: True
        self.lock_told: Callable[[bytes, int, int], bool] = lambda data, t_ps, seq: False
        self.stored: Callable[[int, int], tuple[int, int]] = lambda begin, end: (0, UNBOUNDED)
        self._locks: list[tuple[int, Place]] = []  # unique of a SETLKW that waits, and what is kept for its message
        self._retrieved = RetrievedLedger()
        self._policy = NotifyPolicy.HOLD
        self._session: Session | None = None
        self._lives = False  # a session, whether it gets notifications or not
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
        if delivery.code == NOTIFY_CODE_LOCK:
            unique = int.from_bytes(data[OUT_HEADER_SIZE : OUT_HEADER_SIZE + 8], "little")
            place = next((place for one, place in self._locks if one == unique and place.until == ENDLESS), None)
            if place is not None:
                place.until = seq
            return self.lock_told(data, t_ps, seq)
        if delivery.code == NotifyCode.POLL and session is not None and session.polls.puts:
            self.count("POLL message")
            session.woken(delivery)
            return True
        if session is None or delivery.code not in CODES or not (session.asked or self._asking):
            return False
        session.delivered.append(delivery)
        self.count("announcement")
        return True

    # ---- what keeps a place in the store ----

    def answered(self, request: RequestHappening) -> None:
        """The file system has answered a request of the driver."""
        reply = request.reply
        if request.opcode == Opcode.NOTIFY_REPLY and is_answer(request.message, request.length, self._lives):
            self._retrieved.came(request.message, request.since or request.begin, request.end, request.t_ps)
        if reply is None or self._session is None:
            return
        if isinstance(request, WaitHappening) and waits_by_message(reply):
            unique = int.from_bytes(request.message[8:16], "little")
            self._locks.append((unique, Place(LOCK_BYTES, request.since or request.begin, request.end)))
        elif not any(reply[4:8]):
            self._session.polls.used(request)

    def lacks_room(self, request: RequestHappening) -> bool:
        """Whether a SETLKW or a POLL must be refused for want of a place; where it may be, whether it was."""
        begin, end, dpu = request.since or request.begin, request.end, self.profile.dpu
        size = POLL_BYTES if request.opcode == Opcode.POLL else LOCK_BYTES
        least, most = (sum(both) for both in zip(self.kept(begin, end), self.stored(begin, end), strict=True))
        lowest, highest = 0, 0
        if request.opcode == Opcode.POLL and self._session is not None:
            kh = int.from_bytes(request.message[48:56], "little")
            changed = [(asked.happening.nodeid, asked.happening.end) for asked in self._session.asked]
            lowest, highest = self._session.polls.count(request, changed)
            if self._session.polls.knows(kh):
                least = lowest = 0  # it needs no place
            if self._asking:
                lowest = 0
        if refused_for_room(request):
            self.count("request without a place")
            full = most + self._of_announcements() + size + dpu.message_overhead > dpu.message_store
            return full or highest >= PLACES
        return least + size > dpu.message_store or lowest >= PLACES

    def kept(self, begin: int, end: int) -> tuple[int, int]:
        """Bytes of the store that were kept between two moments, at least and at most."""
        places = [place for _, place in self._locks]
        if self._session is not None:
            places += [put.place for put in self._session.polls.puts]
        return bounds(places, begin, end, self.profile.dpu.message_overhead)

    def _of_announcements(self) -> int:
        """Bytes that announcements may take in the store."""
        session = self._session
        if session is None or not (session.asked or self._asking):
            return 0
        if self._policy is not NotifyPolicy.HOLD:
            return UNBOUNDED
        return session.undelivered(self.profile.dpu.message_overhead) + WORST_CASE

    def on_dpu_retrieved(self, event: DpuRetrieved) -> None:
        self.count("NOTIFY_REPLY for the DPU")
        self._retrieved.taken(event.data, event.t_ps, event.seq)
        self._judge_retrieved()

    def _judge_retrieved(self, final: bool = False) -> None:
        for taken, expected, seen in self._retrieved.judge(final):
            self.fail(taken.t_ps, taken.end, "what the DPU gets of an answer to RETRIEVE", "FS-REQ-DI1", expected, seen)

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
        session = self._session
        if opcode in (Opcode.FORGET, Opcode.BATCH_FORGET) and session is not None and (session.asked or self._asking):
            session.forgotten.append((event.seq, nodes or set()))  # earlier ones end no debt
        for one in self._asked:
            _overlap(one, moved)
        if opcode == Opcode.DESTROY and reply and not any(reply[4:8]):
            self._lives = False
        if opcode == Opcode.INIT and begins_session(bytes(chain.read_store.data[:44]), reply or None):
            self._end()
            self._lives = True
            if self.observer.virtio.negotiated(Feature.FS_NOTIFICATION):
                self._session = Session(self._policy)

    def on_reset_begin(self, event: ResetBegin) -> None:
        self._end()

    def on_pin_reset(self, event: PinReset) -> None:
        self._end()
        self._policy = NotifyPolicy.HOLD

    def _end(self) -> None:
        if self._session is not None and (self._session.asked or self._session.delivered or self._session.polls.woken):
            self._ended.append(self._session)
        self._session = None
        self._lives = False
        self._locks.clear()

    # ---- the verdict ----

    def on_tick(self, event: Tick) -> None:
        self._judge_retrieved()
        while self._ended and all(self.explained(one.happening) for one in self._ended[0].asked):
            self._judge(self._ended.popleft(), starved=True)

    def finish(self, t_ps: int, seq: int) -> None:
        """What was asked in the last session is announced, if there was a buffer for it."""
        self._judge_retrieved(final=True)
        sessions = [(session, True) for session in self._ended]
        if self._session is not None:
            sessions.append((self._session, not self.has_notification_buffer()))
        for session, starved in sessions:
            if all(self.explained(one.happening) for one in session.asked):
                self._judge(session, starved)

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
