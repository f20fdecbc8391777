"""Turns records of the observation log into events, once, and hands them to the scoreboards that want them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from virtiofs_model.layouts.tlp import ROUTED_LOCAL, MessageCode, TlpKind
from virtiofs_tb.host.log import Channel, Kind, Record, SnapshotChannel
from virtiofs_tb.profile import Profile
from virtiofs_tb.scoreboards.byte_enables import CONTIGUOUS, SKIP, TAIL
from virtiofs_tb.scoreboards.checkpoint import restore
from virtiofs_tb.scoreboards.engine_records import tell_dpu, tell_engine
from virtiofs_tb.scoreboards.events import DmaData, DmaRead, DmaWrite, Interrupt, InterruptLine, Note, Tick
from virtiofs_tb.scoreboards.register_observer import MRD, MRD64, MWR, MWR64, RegisterObserver
from virtiofs_tb.scoreboards.ring_state import Chain

_TLP = int(Kind.TLP)
_MESSAGE, _INTA = TlpKind.MSG | ROUTED_LOCAL, (int(MessageCode.ASSERT_INTA), int(MessageCode.DEASSERT_INTA))
_RQ, _RC, _CQ = int(Channel.RQ), int(Channel.RC), int(Channel.CQ)


class Observer(RegisterObserver):
    """The decoder of one run. t_ps, seq: of the last record; packets: how many there were; engine_seen: something was
    said to an engine or by it; with_engine: chains by context, as far as the FUSE scoreboard found them out."""

    def __init__(self, profile: Profile) -> None:
        super().__init__(profile)
        self.t_ps = 0
        self.seq = 0
        self.packets = 0
        self.engine_seen = False
        self.with_engine: dict[int, Chain] = {}

    def bind(self, boards: Iterable[object]) -> None:
        """Let each of `boards` have the events it wants, in this order."""
        for board in boards:
            self.listeners.add(board)

    def observe(self, batch: Sequence[Record]) -> None:
        """Decode a batch."""
        for record in batch:
            if record.kind == _TLP:
                channel = record.channel
                if channel == _RC:
                    self._rc(record)
                elif channel == _RQ:
                    self._rq(record)
                elif channel == _CQ:
                    self._cq(record)
                else:
                    self._cc(record)
                self.packets += 1
            else:
                self._other(record)
        if batch:
            last = batch[-1]
            self.t_ps, self.seq = last.t_ps, last.seq
            tick = Tick(last.t_ps, last.seq)
            for listener in self.listeners.on_tick:
                listener(tick)

    # ---- requests of the endpoint ----

    def _rq(self, record: Record) -> None:
        hdr = record.hdr
        dw0, dw1 = hdr[0], hdr[1]
        fmt_type = dw0 >> 24
        first, last = dw1 & 15, dw1 >> 4 & 15
        length = dw0 & 0x3FF or 1024
        address = record.address
        if length > 1:
            start = address + SKIP[first]
            end = address + 4 * length - TAIL[last]
        elif first:
            start = address + SKIP[first]
            end = address + 4 - TAIL[first]
        else:
            start = end = address
        if fmt_type in (MWR, MWR64):
            self._dma_write(record, start, end, first, last, length)
        elif fmt_type in (MRD, MRD64):
            rings = self.rings
            regions = rings.locate_read(start, end, record.t_ps, record.seq) if start < end else []
            key = dw1 >> 8
            read = DmaRead(record.t_ps, record.seq, hdr, start, end, regions, self.reads.get(key))
            self.reads[key] = read
            for listener in self.listeners.on_dma_read:
                listener(read)
            rings.read_issued(read)
        elif fmt_type == _MESSAGE and dw1 & 0xFF in _INTA:
            line = InterruptLine(record.t_ps, record.seq, dw1 & 0xFF == MessageCode.ASSERT_INTA)
            for tell in self.listeners.on_interrupt_line:
                tell(line)
        else:
            self._strange(record, f"packet with Fmt/Type {fmt_type:#04x} on rq", f"{fmt_type:#04x}", "MRd, MWr or INTA")

    def _dma_write(self, record: Record, start: int, end: int, first: int, last: int, length: int) -> None:
        payload = record.payload
        address = record.address
        if len(payload) != 4 * length:
            self._strange(record, f"write of {length} dwords", f"{len(payload)} bytes of payload", f"{4 * length}")
            return
        t_ps, seq, hdr = record.t_ps, record.seq, record.hdr
        data = payload if end - start == len(payload) else payload[start - address : end - address]
        pci = self.pci
        if start in pci.message_addresses and len(data) == 4:
            value = int.from_bytes(data, "little")
            vectors = pci.by_message.get((start, value), ())
            write = DmaWrite(t_ps, seq, hdr, start, data, [], vectors)
            for listen in self.listeners.on_dma_write:
                listen(write)
            message = Interrupt(t_ps, seq, vectors, start, value)
            for listener in self.listeners.on_interrupt:
                listener(message)
            return
        if first != 15 and not (CONTIGUOUS[first] and (length == 1 or first & 8)):
            self._split_write(record, first, last, length)
            return
        if length > 1 and last != 15 and not (last & 1 and CONTIGUOUS[last]):
            self._split_write(record, first, last, length)
            return
        if not data:
            return
        regions = self.rings.locate_write(start, end, t_ps, seq)
        write = DmaWrite(t_ps, seq, hdr, start, data, regions)
        for listen in self.listeners.on_dma_write:
            listen(write)
        self.rings.written(write)

    def _split_write(self, record: Record, first: int, last: int, length: int) -> None:
        """Enables with holes: each run of bytes counts as a write of its own."""
        enables = [first] + [15] * (length - 2) + ([last] if length > 1 else [])
        wanted = [bool(enables[at >> 2] >> (at & 3) & 1) for at in range(4 * length)]
        at = 0
        while at < len(wanted):
            if not wanted[at]:
                at += 1
                continue
            end = at
            while end < len(wanted) and wanted[end]:
                end += 1
            start = record.address + at
            data = record.payload[at:end]
            regions = self.rings.locate_write(start, start + len(data), record.t_ps, record.seq)
            write = DmaWrite(record.t_ps, record.seq, record.hdr, start, data, regions, None, True)
            for listener in self.listeners.on_dma_write:
                listener(write)
            self.rings.written(write)
            at = end

    # ---- completions to the endpoint ----

    def _rc(self, record: Record) -> None:
        hdr = record.hdr
        key = hdr[2] >> 8
        read = self.reads.get(key)
        if read is None:
            return  # unexpected: the host's doing, the endpoint drops it
        payload = record.payload
        ok = record.status == 0
        wanted = read.end - read.start
        if ok or (payload and not record.status & 7):
            remaining = hdr[1] & 0xFFF or 4096
            start = read.end - remaining if wanted else read.start
            skip = start & 3
            data = payload[skip : skip + remaining] if wanted else b""
            if remaining <= len(payload) - skip or not wanted:
                del self.reads[key]
            read.received += len(data)
        else:  # no data, and no further completion
            start = read.start + read.received
            data = bytes(read.end - start)
            del self.reads[key]
        if not ok:
            self.failed_reads += 1
        event = DmaData(record.t_ps, record.seq, read, start, data, ok)
        for listener in self.listeners.on_dma_data:
            listener(event)
        if data:
            self.rings.data(event)

    # ---- everything that is no packet ----

    def _other(self, record: Record) -> None:
        kind = record.kind
        if kind in (Kind.ENGINE_REQUEST, Kind.ENGINE_REPLY):
            self.engine_seen = True
            tell_engine(record, self.listeners)
        elif kind == Kind.DPU_OPERATION:
            tell_dpu(record, self.listeners)
        elif kind == Kind.NOTE:
            note = Note(record.t_ps, record.seq, record.payload.decode(errors="replace"))
            for listener in self.listeners.on_note:
                listener(note)
        elif kind == Kind.RESET:
            self._pin_reset(record.t_ps, record.seq)
        elif kind == Kind.SNAPSHOT and record.channel == SnapshotChannel.OBSERVER:  # of a log that was bounded
            restore(self, record.payload)
