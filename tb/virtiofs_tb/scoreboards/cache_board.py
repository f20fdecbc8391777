"""Whether a client that caches as Linux does would ever see old data (client_cache.py), whoever answers FUSE."""

from __future__ import annotations

from virtiofs_model.engine import HEAD_BYTES_MAX
from virtiofs_model.layouts.fuse_operations import IN_HEADER_SIZE, OUT_HEADER_SIZE
from virtiofs_tb.profile import Profile
from virtiofs_tb.scoreboards.base import Scoreboard
from virtiofs_tb.scoreboards.client_cache import ClientCache, Exchange
from virtiofs_tb.scoreboards.events import (
    ChainUsed,
    DmaData,
    DpuReply,
    DpuRequest,
    PinReset,
    ResetBegin,
    ResetDone,
)
from virtiofs_tb.scoreboards.memory_map import READABLE
from virtiofs_tb.scoreboards.observer import Observer
from virtiofs_tb.scoreboards.ring_state import Chain


class CacheScoreboard(Scoreboard):
    """Judge of what a client may hold."""

    name = "client_cache"

    def __init__(self, profile: Profile, observer: Observer) -> None:
        super().__init__(profile, observer)
        self._cache = ClientCache()
        self._begin: dict[Chain, int] = {}  # when the last byte of an open request was read, as far as it was
        self._resetting = False
        self._of_dpu: bytes | None = None  # a request of the DPU that is under way

    def on_dpu_request(self, event: DpuRequest) -> None:
        self._of_dpu = event.request

    def on_dpu_reply(self, event: DpuReply) -> None:
        request, self._of_dpu = self._of_dpu, None
        if request is not None and len(event.reply) >= OUT_HEADER_SIZE and not any(event.reply[4:8]):
            self._cache.changed_by_other(request, event.seq)

    def on_dma_data(self, event: DmaData) -> None:
        for region in event.read.regions:
            chain = region.chain
            if region.kind != READABLE or chain is None or event.read.seq <= chain.pub_seq:
                continue
            if not chain.walked or not chain.read_store.covers(0, chain.readable):
                self._begin[chain] = event.seq

    def on_chain_used(self, event: ChainUsed) -> None:
        chain = event.chain
        begin = self._begin.pop(chain, 0)
        if self._resetting or chain.broken:
            return
        if chain.queue.notification:
            if event.length >= OUT_HEADER_SIZE:
                self.count("notification")
                self._cache.notified(bytes(chain.write_store.data[: event.length]))
            return
        message = _message(chain)
        if message is None:
            return  # it had no effect
        reply = bytes(chain.write_store.data[: event.length])
        exchange = Exchange(message, reply, begin, event.seq, event.t_ps)
        open_ = [request for other in self._begin if (request := _message(other)) is not None]
        if self._of_dpu is not None:
            open_.append(self._of_dpu)
        before = self._cache.compared
        for stale in self._cache.done(exchange, open_):
            self.fail(
                event.t_ps, event.seq, f"{stale.what}, which a client may hold, in the reply in {chain}", "FS-REQ-DI1",
                f"{stale.held}, since nothing was said of a change", stale.shown,
            )  # fmt: skip
        self.count("held", self._cache.compared - before)

    def on_reset_begin(self, event: ResetBegin) -> None:
        self._resetting = True
        self._forget()

    def on_reset_done(self, event: ResetDone) -> None:
        self._resetting = False
        self._forget()

    def on_pin_reset(self, event: PinReset) -> None:
        self._resetting = False
        self._forget()

    def _forget(self) -> None:
        self._cache.clear()
        self._begin.clear()


def _message(chain: Chain) -> bytes | None:
    """The head of a request, in which all names and ids stand; None where it is not known, so that nothing happens."""
    store, size = chain.read_store, min(chain.readable, HEAD_BYTES_MAX)
    return bytes(store.data[:size]) if size >= IN_HEADER_SIZE and store.covers(0, size) else None
