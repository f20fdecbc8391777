"""The host's side of a run: configuration and register accesses, and what they tell of the function's state."""

from __future__ import annotations

from virtiofs_model.layouts.virtio import DeviceStatus, Feature
from virtiofs_tb.host.log import Record
from virtiofs_tb.profile import Profile
from virtiofs_tb.scoreboards.byte_enables import CONTIGUOUS, SKIP, TAIL, enabled
from virtiofs_tb.scoreboards.completions import problem
from virtiofs_tb.scoreboards.events import (
    ConfigAccess,
    ConfigRequest,
    DmaRead,
    Doorbell,
    PinReset,
    QueueEnabled,
    QueueResetBegin,
    QueueResetDone,
    RegisterRead,
    RegisterRequest,
    RegisterWrite,
    ResetBegin,
    ResetDone,
    StrangePacket,
)
from virtiofs_tb.scoreboards.listeners import Listeners
from virtiofs_tb.scoreboards.pci_view import PciView, VirtioView
from virtiofs_tb.scoreboards.ring_state import Queue
from virtiofs_tb.scoreboards.rings import RingTracker

MWR, MWR64, MRD, MRD64 = 0x40, 0x60, 0x00, 0x20
CFGRD0, CFGWR0 = 0x04, 0x44

STATUS_AT, QUEUE_RESET_AT = 0x14, 0x3A
DRIVER_OK = int(DeviceStatus.DRIVER_OK)
FEATURES_OK = int(DeviceStatus.FEATURES_OK)
NEEDS_RESET = int(DeviceStatus.DEVICE_NEEDS_RESET)


class RegisterObserver:
    """The decoder of the channels cq and cc. pci, virtio: what the function said of itself; rings: its queues; reads:
    outstanding reads of the endpoint by requester id and tag; requests: those of the host; failed_reads: since the
    reset pin."""

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self.pci = PciView()
        self.virtio = VirtioView()
        self.listeners = Listeners()
        self.rings = RingTracker(self.listeners, profile.dma)
        self.reads: dict[int, DmaRead] = {}
        self.requests: dict[int, RegisterRequest] = {}
        self.config_requests: dict[int, ConfigRequest] = {}
        self.failed_reads = 0
        self._gathered: dict[int, bytes] = {}
        self._asked: dict[int, Record] = {}  # the packets of both

    def _strange(self, record: Record, text: str, seen: str, expected: str) -> None:
        event = StrangePacket(record.t_ps, record.seq, record.channel, record.hdr, text, seen, expected)
        for listener in self.listeners.on_strange_packet:
            listener(event)

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
        skip, size = enabled(record)
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
        begin = SKIP[first]
        finish = 4 * length - (TAIL[last] if length > 1 else TAIL[first])
        whole = all(CONTIGUOUS[be] for be in enables) and (length == 1 or (first & 8 and last & 1))
        if whole and first:
            self._register_write(record.t_ps, record.seq, bar, offset + begin, payload[begin:finish])
            return
        for at in range(4 * length):
            if enables[at >> 2] >> (at & 3) & 1:
                self._register_write(record.t_ps, record.seq, bar, offset + at, payload[at : at + 1])

    def _register_write(self, t_ps: int, seq: int, bar: int, offset: int, data: bytes, window: bool = False) -> None:
        region, at, multiplier = self.pci.structure_at(bar, offset)
        event = RegisterWrite(t_ps, seq, bar, offset, data, region, at, window)
        queues: list[int] = []
        if region == "common":
            if at <= STATUS_AT < at + len(data):
                self._status_written(t_ps, seq, data[STATUS_AT - at])
            queues = self.virtio.written(at, data[: 64 - at])
        elif region == "msix_table":
            self.pci.table_written(at, data)
        for listener in self.listeners.on_register_write:
            listener(event)
        if region == "notify":
            self._doorbell(t_ps, seq, at, data, multiplier)
        for index in queues:
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
