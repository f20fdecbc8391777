"""FUSE with the `ramfs` engine: every reply is what a file system by the rules of docs/file-system.md says.

The scoreboard has a golden file system of its own and looks for an order of the requests that are open together in
which it gives every reply that was seen (explain.py). It judges from the bytes on the link alone: a request is what
was read for it, a reply what was written before its used index. The clock comes from the DPU's register writes.

It judges where the ramfs engine answers: `engage` says so, or the DPU's write to the strap that chooses the engine.
"""

from __future__ import annotations

import errno
from collections.abc import Callable

from virtiofs_model.engine import HEAD_BYTES_MAX
from virtiofs_model.layouts.dpu import DpuRegister
from virtiofs_model.layouts.fuse_constants import FUSE_KERNEL_VERSION, Opcode
from virtiofs_model.layouts.virtio import Feature
from virtiofs_model.ramfs import NOT_YET, Limits, RamfsServer, Tree
from virtiofs_model.ramfs.inode import Time
from virtiofs_model.ramfs.message import unread
from virtiofs_model.ramfs.polls import PollTable
from virtiofs_tb.profile import Profile
from virtiofs_tb.scoreboards.base import Scoreboard
from virtiofs_tb.scoreboards.clock import Move
from virtiofs_tb.scoreboards.dpu_happenings import DpuHappening, StrapHappening
from virtiofs_tb.scoreboards.events import (
    ChainUsed,
    DmaData,
    DmaWrite,
    DpuAccess,
    DpuReply,
    DpuRequest,
    PinReset,
    QueueResetBegin,
    QueueResetDone,
    ResetBegin,
    ResetDone,
    Tick,
)
from virtiofs_tb.scoreboards.explain import Explainer
from virtiofs_tb.scoreboards.happenings import (
    ENDLESS,
    KEEPS_PLACE,
    Happening,
    RequestHappening,
    ResetHappening,
)
from virtiofs_tb.scoreboards.lock_messages import LockMessages, is_lock, lock_text, waits_by_message
from virtiofs_tb.scoreboards.memory_map import READABLE, WRITABLE
from virtiofs_tb.scoreboards.observer import Observer
from virtiofs_tb.scoreboards.queue_cuts import ForgetHappening, cut_off
from virtiofs_tb.scoreboards.reply_text import difference, opcode_name, reply_text, subject
from virtiofs_tb.scoreboards.ring_state import Chain
from virtiofs_tb.scoreboards.waits import WaitHappening, WaitWatch, may_wait

CLOCK_SLACK_PS = 1_000_000
"""The DPU's clock may move so much after its write was seen."""


class FileSystemScoreboard(Scoreboard):
    """Judge of what the file system in the endpoint does. tell_asked: told of each request of the DPU; lacks_room: says
    of one that may need a place in the message store whether it was without; tell_answered: told of each request of the
    driver that did not wait."""

    name = "file_system"

    def __init__(self, profile: Profile, observer: Observer) -> None:
        super().__init__(profile, observer)
        self._limits: Limits | None = None
        self._engaged = False
        self._given_up = False
        self._first_data: dict[Chain, int] = {}  # when the first byte of an open request was read
        self._last_data: dict[Chain, int] = {}  # the same of the last byte, as far as it was
        self._asked: dict[Chain, int] = {}  # when the last read of its head was issued: heads come in that order
        self._first_write: dict[Chain, int] = {}  # when the first byte of its reply was written
        self._watch = WaitWatch()
        self._waits: dict[Chain, WaitHappening] = {}  # open requests that must have been looked at by now
        self._clock = [0, 0, 0]
        self._dpu_seq = 0
        self._moving: list[tuple[int, Move]] = []  # moves that may still be to come, and when they were written (ps)
        self._reset_seq = 0
        self._queue_resets: dict[int, int] = {}  # when queue_reset was written, by index
        self._of_dpu: DpuHappening | None = None  # a request of the DPU that is under way
        self._locks = LockMessages()
        self.tell_asked: Callable[[DpuHappening], None] = lambda happening: None
        self.lacks_room: Callable[[RequestHappening], bool] = refused_for_room
        self.tell_answered: Callable[[RequestHappening], None] = lambda request: None
        self._explainer = self._fresh()

    def engage(self, limits: Limits | None = None) -> None:
        """The ramfs engine answers, of this capacity (None: the default one)."""
        self._limits = limits
        self._engaged = True
        self._explainer = self._fresh()

    def _fresh(self) -> Explainer:
        server = RamfsServer(Tree(self._limits), undo=True)
        server.polls = PollsElsewhere()
        return Explainer(server)

    # ---- requests ----

    def on_dma_data(self, event: DmaData) -> None:
        if not self._engaged or not event.ok:
            return
        self._settle(event.t_ps, event.seq - 1)
        for region in event.read.regions:
            chain = region.chain
            if region.kind != READABLE or chain is None or event.read.seq <= chain.pub_seq:
                continue
            if not chain.walked or not chain.read_store.covers(0, chain.readable):
                self._first_data.setdefault(chain, event.seq)
                self._last_data[chain] = event.seq
                if not chain.walked or not chain.read_store.covers(0, min(chain.readable, HEAD_BYTES_MAX)):
                    self._asked[chain] = max(self._asked.get(chain, 0), event.read.seq)
                self._watch.data(chain, event.t_ps)

    def on_dma_write(self, event: DmaWrite) -> None:
        if not self._engaged:
            return
        for region in event.regions:
            if region.kind == WRITABLE and region.chain is not None:
                self._first_write.setdefault(region.chain, event.seq)

    def on_chain_used(self, event: ChainUsed) -> None:
        chain = event.chain
        if self._engaged:
            self._settle(event.t_ps, event.seq - 1)
        self._watch.used(chain, event.t_ps)
        since, begin = self._first_data.pop(chain, 0), self._last_data.pop(chain, 0)
        written = self._first_write.pop(chain, 0)
        self._asked.pop(chain, None)
        if not self._engaged or chain.queue.notification or chain.broken:
            return
        request = self._request(chain, since, begin)
        if request is None:
            self.count("request that could not be read")
            if event.length:
                self.fail(
                    event.t_ps, event.seq, f"used length of {chain}, whose request could not be read", "FS-REQ-DI1",
                    "0", f"{event.length}",
                )  # fmt: skip
            return
        self.count(f"request {opcode_name(request.message)}")
        reply = bytes(chain.write_store.data[: event.length]) if event.length else None
        rank = written or event.entry_seq
        wait = self._waits.pop(chain, None)
        if wait is not None:
            self.count("request that waited")
            wait.reply, wait.written, wait.until, wait.t_ps = reply, rank, event.seq, event.t_ps
            self._keeps_place(wait)
            self._answered(wait)
            return
        request.reply, request.end, request.rank, request.t_ps = reply, event.seq, rank, event.t_ps
        if isinstance(request, WaitHappening):
            request.written, request.until = rank, event.seq
        self._keeps_place(request)
        self.tell_answered(request)
        if request.opcode == Opcode.INIT and begins_session(request.message, reply):
            self._locks.clear()  # who waited is not told any more
        self._happened(request)

    def _keeps_place(self, request: RequestHappening) -> None:
        """A request was answered that may need a place in the message store."""
        if request.opcode in KEEPS_PLACE:
            request.lacks_room = self.lacks_room(request)
        if isinstance(request, WaitHappening) and waits_by_message(request.reply):
            self.count("request that a LOCK message follows")
            self._locks.asked(request)

    def lock_told(self, data: bytes, t_ps: int, seq: int) -> bool:
        """A LOCK message was delivered that no mailbox gave; whether this scoreboard can judge it."""
        if not self._engaged:
            return False
        self.count("LOCK message")
        wait = self._locks.about(data)
        if wait is not None:
            ending = wait.ending
            ending.reply, ending.written, ending.until, ending.t_ps = data, seq, seq, t_ps
            self._answered(ending)
            return True
        asked = (self._request(chain, 0, 0) for chain in self._last_data)
        early = any(one is not None and may_wait(one.message) and one.message[8:16] == data[16:24] for one in asked)
        self.fail(
            t_ps, seq, lock_text(data), "FS-NQ-DI1",
            "the reply to that SETLKW first" if early else "somebody who waits for a message, and was told nothing yet",
            "it is open" if early else "nobody",
        )  # fmt: skip
        return True

    def _request(self, chain: Chain, since: int, begin: int) -> RequestHappening | None:
        """The request of a chain; None where not even its head was read."""
        store, size = chain.read_store, chain.readable
        head = min(size, HEAD_BYTES_MAX)
        if not store.covers(0, head):
            return None
        whole = size - unread(int.from_bytes(store.data[4:8], "little"))
        have = size if store.covers(0, size) else whole if store.covers(0, whole) else head
        kind = WaitHappening if may_wait(bytes(store.data[:8])) else RequestHappening
        return kind(
            begin, ENDLESS, 0, message=bytes(store.data[:have]), length=size, writable=chain.writable,
            where=str(chain), since=since, express=chain.queue.index == 0,
            notifies=self.observer.virtio.negotiated(Feature.FS_NOTIFICATION),
        )  # fmt: skip

    def _settle(self, t_ps: int, seq: int) -> None:
        """Requests that must have been looked at by now take effect before all that comes."""
        for chain in self._watch.settled(t_ps, self._last_data):
            begin = self._last_data.get(chain, 0)
            wait = self._request(chain, self._first_data.get(chain, begin), begin)
            if begin and isinstance(wait, WaitHappening):
                wait.end, wait.rank, wait.t_ps = seq, begin, t_ps
                self._waits[chain] = wait
                self._happened(wait)

    # ---- what else happens ----

    def on_dpu_access(self, event: DpuAccess) -> None:
        begin, self._dpu_seq = self._dpu_seq, event.seq
        if not event.write or event.status:
            return
        if event.address == DpuRegister.ENGINE:
            self._engaged = event.value == 0
        if event.address in (DpuRegister.VALID_SECONDS, DpuRegister.CACHE_OPTIONS) and self._engaged:
            self._happened(StrapHappening(event.seq, event.seq, event.seq, event.t_ps, event.address, event.value))
        places = (DpuRegister.TIME_SEC_LO, DpuRegister.TIME_SEC_HI, DpuRegister.TIME_NSEC)
        if event.address not in places:
            return
        self._clock[places.index(event.address)] = event.value
        if event.address == DpuRegister.TIME_NSEC:
            low, high, nanoseconds = self._clock
            move = Move(begin, ENDLESS, Time(high << 32 | low, nanoseconds))
            self._moving.append((event.t_ps, move))
            self._explainer.clock.moves(move)

    def on_dpu_request(self, event: DpuRequest) -> None:
        self._of_dpu = DpuHappening(event.seq, ENDLESS, 0, message=event.request, length=len(event.request))

    def on_dpu_reply(self, event: DpuReply) -> None:
        request, self._of_dpu = self._of_dpu, None
        if request is None or not self._engaged:
            return
        self.count(f"request {opcode_name(request.message)} of the DPU")
        request.reply, request.end, request.rank, request.t_ps = event.reply, event.seq, event.seq, event.t_ps
        self._happened(request)
        self.tell_asked(request)

    def explained(self, happening: Happening) -> bool:
        """Whether it has its place in the order."""
        return not self._given_up and not self._explainer.is_left(happening)

    def on_tick(self, event: Tick) -> None:
        if self._engaged:
            self._settle(event.t_ps, event.seq)
        while self._moving and event.t_ps > self._moving[0][0] + CLOCK_SLACK_PS:
            self._moving.pop(0)[1].end = event.seq

    def on_reset_begin(self, event: ResetBegin) -> None:
        self._reset_seq = event.seq

    def on_reset_done(self, event: ResetDone) -> None:
        if self._engaged:
            self._cut(event)
        self._nothing_is_open()

    def _cut(self, event: ResetDone) -> None:
        """The session ends; requests that are still open may have taken effect or not."""
        open_ = [
            (self._first_write.get(chain, ENDLESS), self._asked.get(chain, begin), begin, request)
            for chain, begin in self._last_data.items()
            if chain not in self._waits
            and (request := self._request(chain, self._first_data[chain], begin)) is not None
        ]
        # Heads come to the engine in the order in which they were asked for, or else as they became whole.
        cut = tuple(item[3] for item in sorted(open_, key=lambda item: item[:2]))
        as_they_came = tuple(item[3] for item in sorted(open_, key=lambda item: (item[0], item[2])))
        surely = sum(item[0] != ENDLESS for item in open_)
        self._nothing_is_open()
        for request in cut:
            request.end = event.seq
        self.count("device reset")
        or_else = as_they_came if as_they_came != cut else ()
        self._happened(ResetHappening(self._reset_seq, event.seq, event.seq, event.t_ps, cut, surely, or_else))

    def on_queue_reset_begin(self, event: QueueResetBegin) -> None:
        self._queue_resets[event.queue.index] = event.seq

    def on_queue_reset_done(self, event: QueueResetDone) -> None:
        """Requests of the queue that are open may have taken effect or not; none of them waits any more."""
        if not self._engaged:
            return
        index, waits = event.queue.index, []
        for chain in [chain for chain in self._last_data if chain.queue.index == index]:
            since, begin = self._first_data.pop(chain, 0), self._last_data.pop(chain)
            written = self._first_write.pop(chain, 0)
            self._asked.pop(chain, None)
            self._watch.used(chain, event.t_ps)
            wait = self._waits.pop(chain, None)
            request = self._request(chain, since, begin)
            if wait is not None:
                waits.append(wait)
            elif request is not None:
                self.count("request cut off by the reset of its queue")
                self._happened(cut_off(request, event.seq, event.t_ps, written))
        if waits:
            begin = self._queue_resets.get(index, event.seq)
            self._happened(ForgetHappening(begin, event.seq, event.seq, event.t_ps, tuple(waits)))

    def on_pin_reset(self, event: PinReset) -> None:
        """Everything is as at power-on, contents too."""
        self._nothing_is_open()
        self._of_dpu = None
        self._clock = [0, 0, 0]
        self._moving.clear()
        self._explainer = self._fresh()
        self._given_up = False

    def _nothing_is_open(self) -> None:
        tables = (self._first_data, self._last_data, self._asked, self._first_write, self._waits, self._watch)
        for table in (*tables, self._locks):
            table.clear()

    # ---- the verdict ----

    def _happened(self, happening: Happening) -> None:
        if self._given_up:
            self.count("not judged any more")
            return
        self._explainer.add(happening)
        self._go_on()

    def _answered(self, wait: WaitHappening) -> None:
        """A request that has waited was used."""
        if self._given_up:
            self.count("not judged any more")
            return
        self._explainer.answered(wait)
        self._go_on()

    def _go_on(self) -> None:
        open_ = [begin for chain, begin in self._last_data.items() if chain not in self._waits]
        if self._of_dpu is not None:
            open_.append(self._of_dpu.begin)
        self._judge(min(open_, default=ENDLESS), min(self._first_write.values(), default=ENDLESS))

    def _judge(self, open_begin: int = ENDLESS, open_rank: int = ENDLESS) -> None:
        if self._explainer.advance(open_begin, open_rank):
            return
        self._given_up = True  # what follows would be judged by another state than the endpoint's
        culprit = self._explainer.culprit
        if culprit is None:
            self.fail(self.observer.t_ps, self.observer.seq, "a device reset cannot be explained", "FS-REQ-DI1")
            return
        expected = culprit.expected[0] if culprit.expected else None
        after, end = "", culprit.until if isinstance(culprit, WaitHappening) else culprit.end
        if expected == culprit.reply and culprit.denied is not None:
            after = f", whose wait {subject(culprit.message)} in {culprit.where} ends"
            culprit, expected = culprit.denied
        what, wanted, seen = difference(culprit.message, expected, culprit.reply)
        if isinstance(culprit, WaitHappening) and culprit.reply is not None and is_lock(culprit.reply):
            what, seen = "the message about it", lock_text(culprit.reply)
            wanted = lock_text(expected if expected is not None else culprit.fate.reply)
        if expected == culprit.reply:
            what, wanted, seen = "place among the replies", "that in which waits end", "another one"
        self.fail(
            culprit.t_ps, end, f"{subject(culprit.message)} in {culprit.where}{after}: {what}", "FS-REQ-DI1",
            f"{wanted}, as no order of the open requests gives anything else", seen,
        )  # fmt: skip

    def waiting(self) -> list[str]:
        if self._given_up:
            return []
        waits = [*(wait for wait in self._waits.values() if wait.fate.reply == NOT_YET), *self._locks.on()]
        return [f"{self.name}: {subject(wait.message)} in {wait.where} waits for a lock" for wait in waits]

    def finish(self, t_ps: int, seq: int) -> None:
        """Nothing that was seen waits for an explanation any more, and nobody for a lock that he has."""
        if not self._engaged or self._given_up:
            return
        self._settle(ENDLESS, seq)
        self._judge()
        for wait in self._waits.values():
            if wait.fate.reply != NOT_YET and not self._given_up:
                self.fail(
                    t_ps, seq, f"{subject(wait.message)} in {wait.where}, whose wait has ended", "FS-REQ-DI1",
                    reply_text(wait.fate.reply), "still open",
                )  # fmt: skip
        for wait in self._locks.owed() if self.has_notification_buffer() else ():
            self.fail(
                t_ps, seq, f"{subject(wait.message)} in {wait.where}, whose wait has ended", "FS-NQ-DI1",
                lock_text(wait.ending.fate.reply), "not delivered",
            )  # fmt: skip


def refused_for_room(request: RequestHappening) -> bool:
    """Whether it was refused as one that finds no place: taken for true where nobody knows what the store holds."""
    return errno_of(request.reply) in (errno.ENOLCK, errno.ENOMEM)


def errno_of(reply: bytes | None) -> int:
    """The positive errno of a reply, 0 for success and for none."""
    return 0 if reply is None else -int.from_bytes(reply[4:8], "little", signed=True)


def begins_session(message: bytes, reply: bytes | None) -> bool:
    """Whether an INIT was answered with a session (docs/file-system.md: a newer major version gets an answer alone)."""
    major = int.from_bytes(message[40:44], "little")
    return reply is not None and not any(reply[4:8]) and major <= FUSE_KERNEL_VERSION


class PollsElsewhere(PollTable):
    """Who polls a file is judged with what he is told (polls.py)."""

    def put(self, kh: int, node: int) -> None:
        """Nothing is put down here."""
