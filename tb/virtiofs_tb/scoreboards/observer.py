"""Turns records of the observation log into events, once, and hands them to the scoreboards that want them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from virtiofs_model.layouts.virtio import DeviceStatus, Feature
from virtiofs_tb.host.log import Channel, DpuChannel, Kind, Record, SnapshotChannel
from virtiofs_tb.profile import Profile
from virtiofs_tb.scoreboards.checkpoint import restore
from virtiofs_tb.scoreboards.completions import problem
from virtiofs_tb.scoreboards.events import (
    ConfigAccess,
    ConfigRequest,
    DmaData,
    DmaRead,
    DmaWrite,
    Doorbell,
    DpuAccess,
    DpuReply,
    DpuRequest,
    DpuRetrieved,
    EngineControlSeen,
    EngineDoneSeen,
    EngineJobSeen,
    EngineNotifySeen,
    EngineReplySeen,
    EngineRequestSeen,
    Interrupt,
    MailboxNotify,
    Note,
    PinReset,
    QueueEnabled,
    QueueResetBegin,
    QueueResetDone,
    RegisterRead,
    RegisterRequest,
    RegisterWrite,
    ResetBegin,
    ResetDone,
    StorageAccess,
    StrangePacket,
    Tick,
)
from virtiofs_tb.scoreboards.listeners import Listeners
from virtiofs_tb.scoreboards.pci_view import PciView, VirtioView
from virtiofs_tb.scoreboards.ring_state import Chain, Queue
from virtiofs_tb.scoreboards.rings import RingTracker

_TLP = int(Kind.TLP)
_RQ, _RC, _CQ, _CC = int(Channel.RQ), int(Channel.RC), int(Channel.CQ), int(Channel.CC)

# Bytes that a First DW BE leaves out at the start, and a Last DW BE at the end.
_SKIP = [0 if not be else (be & -be).bit_length() - 1 for be in range(16)]
_TAIL = [0 if not be else 4 - be.bit_length() for be in range(16)]
_CONTIGUOUS = [be == 0 or (be >> _SKIP[be]) + 1 & be >> _SKIP[be] == 0 for be in range(16)]

MWR, MWR64, MRD, MRD64, CPL, CPLD = 0x40, 0x60, 0x00, 0x20, 0x0A, 0x4A
CFGRD0, CFGWR0 = 0x04, 0x44

STATUS_AT, QUEUE_RESET_AT = 0x14, 0x3A
DRIVER_OK = int(DeviceStatus.DRIVER_OK)
FEATURES_OK = int(DeviceStatus.FEATURES_OK)
NEEDS_RESET = int(DeviceStatus.DEVICE_NEEDS_RESET)

ENGINE_STORAGE_WRITE, ENGINE_STORAGE_READ = 4, 5
"""Channels of kind ENGINE_REPLY for the software's own accesses to storage (address, payload)."""


def _enabled(record: Record) -> tuple[int, int]:
    """Offset of the first byte that a memory request enables, and how many there are up to the last one."""
    first, last, length = record.be & 15, record.be >> 4, record.hdr[0] & 0x3FF or 1024
    if not first:
        return 0, 0
    skip = _SKIP[first]
    return skip, 4 * length - skip - (_TAIL[last] if length > 1 else _TAIL[first])


class Observer:
    """The decoder of one run. t_ps, seq: of the last record; pci, virtio: what the function said of itself."""

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self.t_ps = 0
        self.seq = 0
        self.packets = 0
        self.pci = PciView()
        self.virtio = VirtioView()
        self.listeners = Listeners()
        self.rings = RingTracker(self.listeners, profile.dma)
        self.reads: dict[int, DmaRead] = {}  # outstanding, by requester id and tag
        self.requests: dict[int, RegisterRequest] = {}  # outstanding reads of the host
        self._gathered: dict[int, bytes] = {}
        self._asked: dict[int, Record] = {}  # the packets of both
        self.config_requests: dict[int, ConfigRequest] = {}
        self.engine_seen = False
        self.failed_reads = 0  # since the reset pin
        self.with_engine: dict[int, Chain] = {}  # by context; the FUSE scoreboard finds out

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
            start = address + _SKIP[first]
            end = address + 4 * length - _TAIL[last]
        elif first:
            start = address + _SKIP[first]
            end = address + 4 - _TAIL[first]
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
        else:
            self._strange(record, f"packet with Fmt/Type {fmt_type:#04x} on rq", f"{fmt_type:#04x}", "MRd or MWr")

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
        if first != 15 and not (_CONTIGUOUS[first] and (length == 1 or first & 8)):
            self._split_write(record, first, last, length)
            return
        if length > 1 and last != 15 and not (last & 1 and _CONTIGUOUS[last]):
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

    def _strange(self, record: Record, text: str, seen: str, expected: str) -> None:
        event = StrangePacket(record.t_ps, record.seq, record.channel, record.hdr, text, seen, expected)
        for listener in self.listeners.on_strange_packet:
            listener(event)

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

    # ---- requests of the host ----

    def _cq(self, record: Record) -> None:
        hdr = record.hdr
        fmt_type = hdr[0] >> 24
        if fmt_type in (CFGRD0, CFGWR0):
            write = fmt_type == CFGWR0
            value = int.from_bytes(record.payload[:4], "little") if write else 0
            request = ConfigRequest(
                record.t_ps, record.seq, record.function, record.address, record.be & 15, write, value
            )
            if write:
                if record.function == 0:
                    self.pci.config_requested(request.offset, request.be, value)
                self.pci.device_id = hdr[2] >> 16
            key = hdr[1] >> 8
            self._ask(record, key)
            self.config_requests[key] = request
            for ask in self.listeners.on_config_request:
                ask(request)
            if write and record.function == 0:
                self._window_write(record, request)
        elif fmt_type in (MWR, MWR64):
            self._host_write(record)
        elif fmt_type in (MRD, MRD64):
            self._host_read(record)

    def _host_read(self, record: Record) -> None:
        bar, offset = self.pci.bar_of(record.address)
        skip, size = _enabled(record)
        read = RegisterRequest(
            record.t_ps, record.seq, bar, offset + skip, size, *self.pci.structure_at(bar, offset + skip)[:2]
        )
        key = record.hdr[1] >> 8
        self._ask(record, key)
        self.requests[key] = read
        for listener in self.listeners.on_register_request:
            listener(read)

    def _ask(self, record: Record, key: int) -> None:
        """A request of the host that must be completed."""
        if key in self.requests or key in self.config_requests:
            self.requests.pop(key, None)
            self.config_requests.pop(key, None)
            text = f"the request of tag {record.tag} at seq {self._asked[key].seq} has no completion"
            self._strange(record, text, "the tag is used again", "one")
        self._asked[key] = record
        self._gathered.pop(key, None)

    def _host_write(self, record: Record) -> None:
        bar, offset = self.pci.bar_of(record.address)
        first, last = record.be & 15, record.be >> 4
        payload = record.payload
        if bar < 0 or not self.pci.may_memory:
            return
        length = len(payload) >> 2
        enables = [first] + [15] * (length - 2) + ([last] if length > 1 else [])
        begin = _SKIP[first]
        finish = 4 * length - (_TAIL[last] if length > 1 else _TAIL[first])
        whole = all(_CONTIGUOUS[be] for be in enables) and (length == 1 or (first & 8 and last & 1))
        if whole and first:
            self._register_write(record.t_ps, record.seq, bar, offset + begin, payload[begin:finish])
            return
        for at in range(4 * length):
            if enables[at >> 2] >> (at & 3) & 1:
                self._register_write(record.t_ps, record.seq, bar, offset + at, payload[at : at + 1])

    def _register_write(self, t_ps: int, seq: int, bar: int, offset: int, data: bytes, window: bool = False) -> None:
        region, at, multiplier = self.pci.structure_at(bar, offset)
        event = RegisterWrite(t_ps, seq, bar, offset, data, region, at, window)
        enabled: list[int] = []
        if region == "common":
            if at <= STATUS_AT < at + len(data):
                self._status_written(t_ps, seq, data[STATUS_AT - at])
            enabled = self.virtio.written(at, data[: 64 - at])
        elif region == "msix_table":
            self.pci.table_written(at, data)
        for listener in self.listeners.on_register_write:
            listener(event)
        if region == "notify":
            self._doorbell(t_ps, seq, at, data, multiplier)
        for index in enabled:
            self._enable(t_ps, seq, index)
        if region == "common" and at <= QUEUE_RESET_AT < at + len(data):
            self._queue_reset_written(t_ps, seq, data[QUEUE_RESET_AT - at])

    def _doorbell(self, t_ps: int, seq: int, at: int, data: bytes, multiplier: int) -> None:
        for index, registers in self.virtio.queues.items():
            notify_off = registers.notify_off if registers.notify_off >= 0 else index
            place = notify_off * multiplier
            if registers.enabled and at < place + 2 and place < at + len(data):
                told = data[place - at :] if place >= at else None
                event = Doorbell(t_ps, seq, index, told)
                if told is not None and len(told) >= 4 and self.virtio.negotiated(Feature.NOTIFICATION_DATA):
                    self.rings.told(index, told[2] | told[3] << 8, t_ps, seq)
                for listener in self.listeners.on_doorbell:
                    listener(event)

    # ---- reset of one queue ----

    def _queue_reset_written(self, t_ps: int, seq: int, value: int) -> None:
        """A queue stops (PCI-COMMON-D12); what it has exposed stays so until the driver is told that it has."""
        queue = self.rings.queues.get(self.virtio.queue_select)
        if value != 1 or queue is None or not self.virtio.negotiated(Feature.RING_RESET) or queue.reset_seq:
            return
        queue.reset_seq = seq
        event = QueueResetBegin(t_ps, seq, queue)
        for listener in self.listeners.on_queue_reset_begin:
            listener(event)

    def _queue_reset_read(self, t_ps: int, seq: int, request_seq: int, value: int) -> None:
        queue = self.rings.queues.get(self.virtio.queue_select)
        if value or queue is None or not queue.reset_seq or request_seq < queue.reset_seq:
            return
        event = QueueResetDone(t_ps, seq, queue)
        for listener in self.listeners.on_queue_reset_done:
            listener(event)
        self.virtio.queue_was_reset(queue.index)
        self.rings.disable(queue.index)

    def _enable(self, t_ps: int, seq: int, index: int) -> None:
        virtio = self.virtio
        registers = virtio.queue(index)
        if not registers.size:
            return
        areas = (registers.address(0), registers.address(1), registers.address(2))
        queue = Queue(index, registers.size, *areas, virtio.negotiated(Feature.RING_PACKED))
        queue.enabled_seq, queue.enabled_t = seq, t_ps
        queue.notification = index == 1 and virtio.negotiated(Feature.FS_NOTIFICATION)
        queue.indirect_allowed = virtio.negotiated(Feature.INDIRECT_DESC)
        queue.event_idx = virtio.negotiated(Feature.EVENT_IDX)
        queue.in_order = virtio.negotiated(Feature.IN_ORDER)
        self.rings.enable(queue)
        event = QueueEnabled(t_ps, seq, queue)
        for listener in self.listeners.on_queue_enabled:
            listener(event)

    def _status_written(self, t_ps: int, seq: int, value: int) -> None:
        virtio = self.virtio
        if value == 0:
            virtio.resetting = True
            virtio.reset_seq = seq
            event = ResetBegin(t_ps, seq)
            for listener in self.listeners.on_reset_begin:
                listener(event)
            return
        if virtio.resetting:
            self._reset_done(t_ps, seq)  # the driver did not wait for 0 (PCI-COMMON-R05): its business
        if value & FEATURES_OK:
            virtio.features_settled = True
        if value & DRIVER_OK and not virtio.status & DRIVER_OK:
            virtio.driver_ok_seq = seq
        virtio.status = value

    def _reset_done(self, t_ps: int, seq: int) -> None:
        event = ResetDone(t_ps, seq)
        for listener in self.listeners.on_reset_done:
            listener(event)
        self.virtio.reset()
        self.rings.clear()

    def _pin_reset(self, t_ps: int, seq: int) -> None:
        """Everything is as at power-on; what was under way on the link is forgotten by both sides."""
        self._reset_done(t_ps, seq)
        self.pci = PciView()
        self.virtio = VirtioView()
        self.reads.clear()
        self.requests.clear()
        self.config_requests.clear()
        self._gathered.clear()
        self._asked.clear()
        self.failed_reads = 0
        event = PinReset(t_ps, seq)
        for listener in self.listeners.on_pin_reset:
            listener(event)

    # ---- completions of the endpoint ----

    def _cc(self, record: Record) -> None:
        key = record.hdr[2] >> 8
        if key in self._asked:
            self._completion_form(record, key)
        config = self.config_requests.pop(key, None)
        if config is not None:
            self._config_done(record, config)
            return
        request = self.requests.get(key)
        if request is None:
            self._strange(record, "completion for no request", f"tag {record.tag}", "a request of that tag")
            return
        skip = request.offset & 3
        status = record.status
        gathered = self._gathered.pop(key, b"") + record.payload
        if not status and len(gathered) < skip + request.length:
            self._gathered[key] = gathered
            return
        del self.requests[key]
        data = gathered[skip : skip + request.length] if not status else b""
        self._register_read(record, request, data, status, False)

    def _completion_form(self, record: Record, key: int) -> None:
        """The header of a completion against its request."""
        read = self.requests.get(key)
        given = len(self._gathered.get(key, b""))
        if given and read is not None:
            given -= read.offset & 3
        wrong = problem(record, self._asked[key].hdr, given, self.pci.device_id)
        if wrong is not None:
            field, expected, seen = wrong
            self._strange(record, f"completion of tag {record.tag}: {field}", seen, expected)

    def _register_read(self, record: Record, request: RegisterRequest, data: bytes, status: int, window: bool) -> None:
        region, at = request.region, request.at
        event = RegisterRead(
            record.t_ps, record.seq, request.seq, request.bar, request.offset, request.length, data, status, region, at,
            window,
        )  # fmt: skip
        if region == "common" and not status and data:
            self.virtio.was_read(at, data)
        for listener in self.listeners.on_register_read:
            listener(event)
        if region == "common" and not status and at <= STATUS_AT < at + len(data):
            self._status_read(record, request.seq, data[STATUS_AT - at])
        if region == "common" and not status and at <= QUEUE_RESET_AT < at + len(data):
            self._queue_reset_read(record.t_ps, record.seq, request.seq, data[QUEUE_RESET_AT - at])

    def _status_read(self, record: Record, request_seq: int, value: int) -> None:
        virtio = self.virtio
        if virtio.resetting:
            if value == 0 and request_seq > virtio.reset_seq:
                self._reset_done(record.t_ps, record.seq)
            return
        if value & NEEDS_RESET:
            virtio.needs_reset = True

    def _config_done(self, record: Record, request: ConfigRequest) -> None:
        status = record.status
        value = request.value
        if not request.write and not status and len(record.payload) >= 4:
            value = int.from_bytes(record.payload[:4], "little")
        event = ConfigAccess(record.t_ps, record.seq, request, value, status)
        if not status and request.function == 0:
            if request.write:
                self.pci.config_written(request.offset, request.be, value)
            else:
                self.pci.config_was_read(request.offset, request.be, value)
        for listener in self.listeners.on_config_access:
            listener(event)
        if not status and request.function == 0 and not request.write:
            self._window_read(record, request, value)

    # ---- the window of the PCI_CFG capability ----

    def _window(self, request: ConfigRequest) -> tuple[int, int, int] | None:
        """BAR, offset and length that an access to pci_cfg_data means; None where it is none."""
        pci = self.pci
        if not pci.pci_cfg or request.offset != pci.pci_cfg + 16 or not request.be:
            return None
        config = pci.config
        at = pci.pci_cfg
        bar = config[at + 4]
        length = int.from_bytes(config[at + 12 : at + 16], "little")
        if length not in (1, 2, 4) or bar > 5:
            return None
        return bar, int.from_bytes(config[at + 8 : at + 12], "little"), length

    def _window_write(self, record: Record, request: ConfigRequest) -> None:
        window = self._window(request)
        if window is not None:
            bar, offset, length = window
            self._register_write(record.t_ps, record.seq, bar, offset, record.payload[:length], True)

    def _window_read(self, record: Record, request: ConfigRequest, value: int) -> None:
        window = self._window(request)
        if window is not None:
            bar, offset, length = window
            data = value.to_bytes(4, "little")[:length]
            place = self.pci.structure_at(bar, offset)[:2]
            access = RegisterRequest(request.t_ps, request.seq, bar, offset, length, *place)
            self._register_read(record, access, data, 0, True)

    # ---- everything that is no packet ----

    def _other(self, record: Record) -> None:
        kind, channel = record.kind, record.channel
        t_ps, seq = record.t_ps, record.seq
        word0, word1, word2, word3 = record.hdr
        listeners = self.listeners
        ctx, second, third, epoch = word0 & 255, word0 >> 8 & 255, word0 >> 16 & 255, word0 >> 24
        if kind == Kind.ENGINE_REQUEST:
            self.engine_seen = True
            if channel == 0:
                request = EngineRequestSeen(
                    t_ps, seq, ctx, second, third, epoch, word1, word2, word3 >> 16, record.payload
                )
                for on_request in listeners.on_engine_request:
                    on_request(request)
            elif channel == 1:
                done = EngineDoneSeen(t_ps, seq, ctx, second, epoch)
                for on_done in listeners.on_engine_done:
                    on_done(done)
            else:
                control = EngineControlSeen(t_ps, seq, ctx, second, epoch)
                for on_control in listeners.on_engine_control:
                    on_control(control)
        elif kind == Kind.ENGINE_REPLY:
            self.engine_seen = True
            if channel == 0:
                job = EngineJobSeen(t_ps, seq, ctx, second, epoch, word1, word2, word3)
                for on_job in listeners.on_engine_job:
                    on_job(job)
            elif channel == 1:
                reply = EngineReplySeen(t_ps, seq, ctx, second, epoch, word2, word3, record.payload)
                for on_reply in listeners.on_engine_reply:
                    on_reply(reply)
            elif channel == 2:
                notify = EngineNotifySeen(t_ps, seq, epoch, record.payload)
                for on_notify in listeners.on_engine_notify:
                    on_notify(notify)
            elif channel in (ENGINE_STORAGE_WRITE, ENGINE_STORAGE_READ):
                storage = StorageAccess(t_ps, seq, channel == ENGINE_STORAGE_WRITE, record.address, record.payload)
                for on_storage in listeners.on_storage:
                    on_storage(storage)
        elif kind == Kind.NOTE:
            for on_note in listeners.on_note:
                on_note(Note(t_ps, seq, record.payload.decode(errors="replace")))
        elif kind == Kind.RESET:
            self._pin_reset(t_ps, seq)
        elif kind == Kind.SNAPSHOT:
            if channel == SnapshotChannel.OBSERVER:  # of a log that was bounded
                restore(self, record.payload)
        elif kind == Kind.DPU_OPERATION:
            if channel == DpuChannel.NOTIFY:
                message = MailboxNotify(t_ps, seq, record.payload, record.status)
                for on_message in listeners.on_mailbox_notify:
                    on_message(message)
            elif channel == DpuChannel.FS_REQUEST:
                asked = DpuRequest(t_ps, seq, record.payload)
                for on_dpu_request in listeners.on_dpu_request:
                    on_dpu_request(asked)
            elif channel == DpuChannel.FS_REPLY:
                answered = DpuReply(t_ps, seq, record.payload)
                for on_dpu_reply in listeners.on_dpu_reply:
                    on_dpu_reply(answered)
            elif channel == DpuChannel.RETRIEVED:
                taken = DpuRetrieved(t_ps, seq, record.payload)
                for on_dpu_retrieved in listeners.on_dpu_retrieved:
                    on_dpu_retrieved(taken)
            else:
                access = DpuAccess(t_ps, seq, channel == 0, record.address, word0, record.status)
                for on_access in listeners.on_dpu_access:
                    on_access(access)
