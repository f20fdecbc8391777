"""FUSE transport with the firmware engine: what the software got is what the driver exposed, what the driver gets is
what the software answered; each request once.

Active only where fuse_engine_if is seen in the log. Storage behind the mover is rebuilt from the software's own
accesses and from finished jobs; bytes that were never seen are not compared, and counted.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

from virtiofs_model.engine import (
    HEAD_BYTES_MAX,
    ControlKind,
    Lane,
    MoverDirection,
    MoverResult,
    ReplyKind,
    is_older,
)
from virtiofs_tb.profile import Profile
from virtiofs_tb.scoreboards.base import Scoreboard
from virtiofs_tb.scoreboards.events import (
    ChainUsed,
    DmaRead,
    EngineControlSeen,
    EngineDoneSeen,
    EngineJobSeen,
    EngineReplySeen,
    EngineRequestSeen,
    ResetBegin,
    ResetDone,
    StorageAccess,
    Tick,
)
from virtiofs_tb.scoreboards.memory_map import READABLE, ByteStore
from virtiofs_tb.scoreboards.observer import Observer
from virtiofs_tb.scoreboards.ring_state import Chain

IN_HEADER_SIZE, OUT_HEADER_SIZE = 40, 16
_EIO = (-5).to_bytes(4, "little", signed=True)
_PAGE = 4096
BEFORE_ENGINE = 16
"""Chains used before an engine is seen that are remembered."""


class Storage:
    """Bytes of the software's memory as far as they were seen."""

    def __init__(self) -> None:
        self._pages: dict[int, ByteStore] = {}

    def put(self, address: int, data: bytes) -> None:
        while data:
            page, offset = divmod(address, _PAGE)
            piece = data[: _PAGE - offset]
            store = self._pages.get(page)
            if store is None:
                store = self._pages[page] = ByteStore()
            store.put(offset, piece)
            address += len(piece)
            data = data[len(piece) :]

    def get(self, address: int, length: int) -> bytes | None:
        """The bytes; None where one of them is not known."""
        pieces: list[bytes] = []
        while length:
            page, offset = divmod(address, _PAGE)
            size = min(length, _PAGE - offset)
            store = self._pages.get(page)
            if store is None or not store.covers(offset, offset + size):
                return None
            pieces.append(bytes(store.data[offset : offset + size]))
            address += size
            length -= size
        return b"".join(pieces)


@dataclass(slots=True)
class Request:
    """A request that the engine was given. writes: what must stand in the writable part (None: not known), by offset;
    used_length: None until the reply; forgotten: its queue is reset and the engine was told, so the context is free."""

    chain: Chain
    epoch: int
    forgotten: bool = False
    jobs: list[EngineJobSeen] = field(default_factory=list)
    writes: list[tuple[int, int, bytes | None]] = field(default_factory=list)
    bus_error: bool = False
    used_length: int | None = None
    reply_t: int = 0
    reply_seq: int = 0


class FuseScoreboard(Scoreboard):
    """Judge of requests and replies at fuse_engine_if."""

    name = "fuse"

    def __init__(self, profile: Profile, observer: Observer) -> None:
        super().__init__(profile, observer)
        self._contexts: dict[int, Request] = {}
        self._storage = Storage()
        self._next_tick = 0
        self._resetting = False
        self._epoch = 0
        self._before_engine: list[ChainUsed] = []  # judged once an engine is seen; not every endpoint shows one
        self._asked: set[Chain] = set()  # chains of whose readable part a read was issued

    # ---- requests ----

    def on_engine_request(self, event: EngineRequestSeen) -> None:
        self.count("request")
        if self._before_engine:
            for used in self._before_engine:
                self._unseen(used)
            self._before_engine.clear()
        if self._resetting:
            return
        if is_older(event.epoch, self._epoch):
            self.count("request cut off by a reset")
            return
        self._epoch = event.epoch
        expected_head = min(event.readable, HEAD_BYTES_MAX)
        if event.head_bytes != expected_head or len(event.head) != expected_head:
            self.fail(
                event.t_ps, event.seq, f"head of the request on context {event.ctx}", "FS-REQ-DI1",
                f"{expected_head} bytes", f"{event.head_bytes} announced, {len(event.head)} given",
            )  # fmt: skip
            return
        lane = Lane.HI if event.queue == 0 else Lane.REQ
        if event.lane != lane:
            self.fail(
                event.t_ps, event.seq, f"lane of a request of queue {event.queue}", "FS-HP-D01", f"{int(lane)}",
                f"{event.lane}",
            )  # fmt: skip
        chain = self._match(event)
        if chain is None:
            return
        before = self._contexts.get(event.ctx)
        if before is not None and not (before.chain.dead or before.forgotten) and before.epoch == event.epoch:
            self.fail(
                event.t_ps, event.seq, f"context {event.ctx} is given another request", "FS-REQ-DI1",
                f"the one for {before.chain} used first", f"{chain}",
            )  # fmt: skip
        request = Request(chain, event.epoch)
        chain.request = request
        self._contexts[event.ctx] = request
        self.observer.with_engine[event.ctx] = chain

    def _match(self, event: EngineRequestSeen) -> Chain | None:
        """The chain that a request was made from: the first one, in available order, whose bytes it is."""
        chain = self._found(event)
        if chain is None:  # perhaps the endpoint made it of what it read too early
            self.observer.rings.rebuild_early(event.t_ps, event.seq)
            chain = self._found(event)
            if chain is not None and chain.provisional:
                self.observer.rings.report_early(chain, event.t_ps, event.seq)
        if chain is None:
            self._unmatched(event)
        return chain

    def _candidates(self, event: EngineRequestSeen) -> list[Chain]:
        queue = self.observer.rings.queues.get(event.queue)
        return [] if queue is None else [chain for chain in queue.open.values() if chain.walked]

    def _found(self, event: EngineRequestSeen) -> Chain | None:
        size = event.head_bytes
        for chain in self._candidates(event):
            store = chain.read_store
            fits = chain.readable == event.readable and chain.writable == event.writable
            if fits and chain.request is None and store.covers(0, size) and store.data[:size] == event.head:
                return chain
        return None

    def _unmatched(self, event: EngineRequestSeen) -> None:
        """No chain is this request: what is nearest to it."""
        candidates = self._candidates(event)
        size = event.head_bytes
        given: Chain | None = None
        nearest: Chain | None = None
        for chain in candidates:
            if chain.readable != event.readable or chain.writable != event.writable:
                continue
            store = chain.read_store
            same = store.covers(0, size) and store.data[:size] == event.head
            if chain.request is not None:
                given = given or (chain if same else None)
            elif nearest is None or event.head[8:16] == store.data[8:16]:
                nearest = chain
        if given is not None:
            text, seen = f"{given} is handed to the engine", "once"
            self.fail(event.t_ps, event.seq, text, "FS-REQ-DI1", seen, f"again, on context {event.ctx}")
        elif nearest is not None:
            self._wrong_head(event, nearest)
        else:
            open_ = ", ".join(f"{chain.readable}+{chain.writable}" for chain in candidates if chain.request is None)
            self.fail(
                event.t_ps, event.seq, f"request on context {event.ctx} for queue {event.queue}", "FS-REQ-DI1",
                f"lengths of an exposed chain: {open_ or 'none is'}", f"{event.readable}+{event.writable}",
            )  # fmt: skip

    def _wrong_head(self, event: EngineRequestSeen, chain: Chain) -> None:
        store = chain.read_store
        if not store.covers(0, event.head_bytes):
            at = store.first_unknown(0, event.head_bytes)
            expected, seen = f"byte {at} read after publication", "handed over without"
        else:
            at = next(i for i in range(event.head_bytes) if store.data[i] != event.head[i])
            expected, seen = f"byte {at} is {store.data[at]:#04x} as read from memory", f"{event.head[at]:#04x}"
        text = f"bytes of the request on context {event.ctx}, which is nearest to {chain}"
        self.fail(event.t_ps, event.seq, text, "FS-REQ-DI1", expected, seen)

    # ---- the engine at work ----

    def _request_of(self, ctx: int, epoch: int) -> Request | None:
        request = self._contexts.get(ctx)
        if request is None or request.epoch != epoch or request.chain.dead:
            return None  # stale, or for a request that was reported already: the endpoint drops it
        return request

    def on_engine_job(self, event: EngineJobSeen) -> None:
        request = self._request_of(event.ctx, event.epoch)
        if request is None:
            return
        self.count("mover job")
        request.jobs.append(event)
        end = event.offset + event.length
        if event.direction == MoverDirection.OUT and end <= request.chain.writable:
            request.writes.append((event.offset, event.length, self._storage.get(event.address, event.length)))
            request.chain.job_end = max(request.chain.job_end, end)
            request.chain.job_bytes += event.length

    def on_engine_done(self, event: EngineDoneSeen) -> None:
        request = self._contexts.get(event.ctx)
        if request is None or request.epoch != event.epoch:
            return
        if not request.jobs:
            self.fail(
                event.t_ps, event.seq, f"context {event.ctx} reports the end of a mover job", "FS-REQ-DI1",
                "a job that was started", "none is open",
            )  # fmt: skip
            return
        job = request.jobs.pop(0)
        chain = request.chain
        low, high = job.offset, job.offset + job.length
        if job.direction == MoverDirection.IN and high <= chain.readable:
            self._in_done(event, request, job, low, high)
        elif job.direction == MoverDirection.OUT and high <= chain.writable:
            self.count("job out")
            if event.result == MoverResult.BUS_ERROR:
                self.fail(
                    event.t_ps, event.seq, f"mover job for {chain} ends with a bus error", "FS-REQ-DI1", "ok",
                    "it only writes to the host, and writes have no answer",
                )  # fmt: skip

    def _in_done(self, event: EngineDoneSeen, request: Request, job: EngineJobSeen, low: int, high: int) -> None:
        """A job from host memory to storage has ended."""
        chain = request.chain
        failed = any(a < high and low < b for a, b in chain.failed)
        self.count("job in")
        if event.result == MoverResult.BUS_ERROR:
            request.bus_error = True
            if not failed and not chain.read_store.covers(low, high):
                return  # timed out: no completion was seen
            if not failed:
                self.fail(
                    event.t_ps, event.seq, f"mover job for {chain} ends with a bus error", "FS-REQ-DI1", "ok",
                    "no read of its bytes failed",
                )  # fmt: skip
        elif event.result == MoverResult.OK:
            if failed:
                self.fail(
                    event.t_ps, event.seq, f"mover job for {chain} ends ok", "FS-REQ-DI1", "a bus error",
                    "a read of its bytes failed",
                )  # fmt: skip
            elif not chain.read_store.covers(low, high):
                at = chain.read_store.first_unknown(low, high)
                self.fail(
                    event.t_ps, event.seq, f"mover job for {chain} ends", "SPLIT-SUP-DX1",
                    f"bytes {low} to {high} of the readable part read after publication", f"byte {at} was not",
                )  # fmt: skip
            else:
                self._storage.put(job.address, bytes(chain.read_store.data[low:high]))

    def on_storage(self, event: StorageAccess) -> None:
        if event.write:
            self._storage.put(event.address, event.data)
            return
        expected = self._storage.get(event.address, len(event.data))
        if expected is None:
            self._storage.put(event.address, event.data)
            return
        self.count("storage read")
        if expected != event.data:
            at = next(i for i, pair in enumerate(zip(expected, event.data, strict=True)) if pair[0] != pair[1])
            self.fail(
                event.t_ps, event.seq, f"storage at {event.address + at:#x}", "FS-REQ-DI1",
                f"{expected[at]:#04x} as moved or written", f"{event.data[at]:#04x}",
            )  # fmt: skip

    def on_engine_reply(self, event: EngineReplySeen) -> None:
        request = self._request_of(event.ctx, event.epoch)
        if request is None or request.used_length is not None:
            return
        self.count("reply")
        chain = request.chain
        chain.answered = True
        request.reply_t, request.reply_seq = event.t_ps, event.seq
        request.used_length = 0
        total = len(event.immediate) + event.storage_length
        if event.kind != ReplyKind.REPLY or total > chain.writable:
            return
        request.used_length = total
        if event.immediate:
            request.writes.append((0, len(event.immediate), event.immediate))
        if event.storage_length:
            data = self._storage.get(event.address, event.storage_length)
            request.writes.append((len(event.immediate), event.storage_length, data))
        if request.bus_error and total >= OUT_HEADER_SIZE and event.immediate[4:8] != _EIO:
            self.count("software without EIO")

    # ---- used ----

    def on_dma_read(self, event: DmaRead) -> None:
        for region in event.regions:
            if region.kind == READABLE and region.chain is not None:
                self._asked.add(region.chain)

    def on_chain_used(self, event: ChainUsed) -> None:
        chain, length = event.chain, event.length
        if chain.queue.notification or self._resetting:
            return
        if not self.observer.engine_seen:
            if len(self._before_engine) < BEFORE_ENGINE:
                self._before_engine.append(event)
            else:
                self._asked.discard(chain)
            return
        self.count("used")
        request = chain.request
        if isinstance(request, Request):
            self._asked.discard(chain)
        if isinstance(request, Request) and request.used_length is None:
            request = self._twin(chain, request)
        if not isinstance(request, Request):
            self._unseen(event)
        elif request.jobs:
            job = request.jobs[0]
            self.fail(
                event.t_ps, event.seq, f"{chain} is used", "FS-REQ-DI1", "the end of its mover jobs reported before",
                f"none for the job given at seq {job.seq}",
            )  # fmt: skip
        elif request.used_length is None:
            self.fail(
                event.t_ps, event.seq, f"{chain} is used", "FS-REQ-DI1", "a reply of the engine first", "none was given"
            )
        elif length != request.used_length:
            self.fail(
                event.t_ps, event.seq, f"used length of {chain}", "SPLIT-USED-D02",
                f"{request.used_length} as the engine replied", f"{length}",
            )  # fmt: skip
        else:
            self._compare(event, request)

    def _twin(self, chain: Chain, request: Request) -> Request:
        """Requests of one queue that are the same byte for byte cannot be told apart: take one that was answered."""
        size = min(chain.readable, HEAD_BYTES_MAX)
        for other in chain.queue.open.values():
            answered = other.request
            if (
                isinstance(answered, Request)
                and answered.used_length is not None
                and (other.readable, other.writable) == (chain.readable, chain.writable)
                and other.read_store.data[:size] == chain.read_store.data[:size]
            ):
                chain.request, other.request = answered, request
                answered.chain, request.chain = chain, other
                chain.answered, other.answered = other.answered, chain.answered
                chain.job_end, other.job_end = other.job_end, chain.job_end
                chain.job_bytes, other.job_bytes = other.job_bytes, chain.job_bytes
                return answered
        return request

    def _unseen(self, event: ChainUsed) -> None:
        """Used, and the engine never saw it: right only where there was no header to give."""
        chain = event.chain
        if chain.broken or chain.queue.broken:
            return
        short = chain.readable < IN_HEADER_SIZE
        unreadable = any(low < HEAD_BYTES_MAX for low, _ in chain.failed)
        asked = chain in self._asked
        self._asked.discard(chain)
        timed_out = asked and not chain.read_store.covers(0, min(chain.readable, HEAD_BYTES_MAX))
        if not (short or unreadable or timed_out):
            self.fail(
                event.t_ps, event.seq, f"{chain} is used", "FS-REQ-DI1", "its request handed to the engine", "never was"
            )
        elif event.length:
            self.fail(
                event.t_ps, event.seq, f"used length of {chain}, whose header could not be given to the engine",
                "FS-REQ-DI1", "0", f"{event.length}",
            )  # fmt: skip

    def _compare(self, event: ChainUsed, request: Request) -> None:
        """The bytes on the wire against those that the software gave; later writes lie over earlier ones."""
        chain = event.chain
        if not chain.write_store.covers(0, event.length):
            return  # the index came before the data: the DMA scoreboard's finding
        data = chain.write_store.data
        writes = request.writes
        if len(writes) > 1 and any(at < a + b for (a, b, _), (at, _, _) in itertools.pairwise(writes)):
            writes = _overlaid(writes)
        for at, size, expected in writes:
            if expected is None:
                self.count("reply bytes from unknown storage")
                continue
            self.count("reply bytes")
            if data[at : at + size] != expected:
                seen = data[at : at + size]
                wrong = next((i for i in range(size) if i >= len(seen) or seen[i] != expected[i]), 0)
                found = f"{seen[wrong]:#04x}" if wrong < len(seen) else "not written"
                self.fail(
                    event.t_ps, event.seq, f"byte {at + wrong} of the reply in {chain}", "FS-REQ-DI1",
                    f"{expected[wrong]:#04x} as the engine replied", found,
                )  # fmt: skip
                return

    # ---- resets and debts ----

    def on_engine_control(self, event: EngineControlSeen) -> None:
        self.count("control")
        if event.kind == ControlKind.DEVICE_RESET:
            self._epoch = event.epoch
            return
        for request in self._contexts.values():
            if request.chain.queue.index == event.queue:
                request.forgotten = True

    def on_reset_begin(self, event: ResetBegin) -> None:
        self._resetting = True
        self._contexts.clear()

    def on_reset_done(self, event: ResetDone) -> None:
        self._resetting = False
        self._contexts.clear()
        self._asked.clear()

    def on_tick(self, event: Tick) -> None:
        limit = self.profile.timing.used_us * 1_000_000
        if not limit or event.t_ps < self._next_tick:
            return
        self._next_tick = event.t_ps + limit // 8
        self._owed(event.t_ps, event.seq, limit)

    def _owed(self, t_ps: int, seq: int, limit: int) -> None:
        if self._resetting or self.observer.virtio.needs_reset:
            return
        for ctx, request in list(self._contexts.items()):
            chain = request.chain
            if chain.dead or request.used_length is None or chain.queue.broken:
                continue
            if t_ps - request.reply_t >= limit:
                del self._contexts[ctx]
                self.fail(
                    t_ps, seq, f"{chain}, to which the engine replied at seq {request.reply_seq}",
                    chain.queue.rule("SPLIT-USED-D01", "PACK-NEXT-DI1"),
                    "used", f"still open after {(t_ps - request.reply_t) // 1_000_000} us",
                )  # fmt: skip

    def finish(self, t_ps: int, seq: int) -> None:
        """Every reply was delivered."""
        self._owed(t_ps, seq, 0)


def _overlaid(writes: list[tuple[int, int, bytes | None]]) -> list[tuple[int, int, bytes | None]]:
    """Writes in order, laid over each other: what remains of them byte for byte."""
    end = max(at + size for at, size, _ in writes)
    data = bytearray(end)
    known = bytearray(end)
    for at, size, piece in writes:
        if piece is None:
            known[at : at + size] = bytes(size)
        else:
            data[at : at + size] = piece
            known[at : at + size] = b"\1" * size
    runs: list[tuple[int, int, bytes | None]] = []
    at = 0
    while (begin := known.find(1, at)) >= 0:
        stop = known.find(0, begin)
        at = end if stop < 0 else stop
        runs.append((begin, at - begin, bytes(data[begin:at])))
    return runs
