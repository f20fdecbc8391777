"""Doorbells: width and value, and whether they come when they must and not when they must not (4.1.5.2, 2.7.10)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from virtiofs_model.layouts.virtio import Feature
from virtiofs_tb.scoreboards.driver_rules.base import L1, L2, Report, Theme
from virtiofs_tb.scoreboards.events import (
    DmaData,
    DmaWrite,
    Doorbell,
    KicksAsked,
    QueueEnabled,
    RegisterRead,
    RegisterWrite,
)
from virtiofs_tb.scoreboards.memory_map import AVAIL, DESC, USED
from virtiofs_tb.scoreboards.observer import Observer
from virtiofs_tb.scoreboards.packed_rings import available
from virtiofs_tb.scoreboards.ring_state import Queue

NOTIF_CONFIG_DATA = 0x38


class DoorbellRules(Theme):
    """What is written to a doorbell."""

    rules: ClassVar[dict[str, str]] = dict.fromkeys((f"PCI-KICK-R0{number}" for number in range(1, 7)), L1)

    def __init__(self, observer: Observer, report: Callable[[Report], None]) -> None:
        super().__init__(observer, report)
        self._config_data: dict[int, int] = {}  # by queue, as read

    def on_register_read(self, event: RegisterRead) -> None:
        if event.region == "common" and event.at == NOTIF_CONFIG_DATA and len(event.data) == 2:
            self._config_data[self.observer.virtio.queue_select] = int.from_bytes(event.data, "little")

    def on_register_write(self, event: RegisterWrite) -> None:
        if event.region == "notify":
            wide = self.observer.virtio.negotiated(Feature.NOTIFICATION_DATA)
            if len(event.data) != (4 if wide else 2):
                clause = "PCI-KICK-R02" if wide else "PCI-KICK-R01"
                text, expected = f"doorbell at offset {event.at:#x}", f"{4 if wide else 2} bytes"
                self.wrong(event.t_ps, event.seq, clause, text, expected, f"{len(event.data)}")

    def on_doorbell(self, event: Doorbell) -> None:
        if event.data is None or len(event.data) < 2:
            return
        virtio = self.observer.virtio
        wide, named = virtio.negotiated(Feature.NOTIFICATION_DATA), virtio.negotiated(Feature.NOTIF_CONFIG_DATA)
        clause = f"PCI-KICK-R0{3 + wide + 2 * named}"
        wanted = self._config_data.get(event.queue) if named else event.queue
        value = int.from_bytes(event.data[:2], "little")
        if value != wanted and len(event.data) == (4 if wide else 2):
            what = "queue_notif_config_data" if named else "its index"
            expected = f"{wanted}, {what}" if wanted is not None else f"{what}, which was not read"
            self.wrong(event.t_ps, event.seq, clause, f"doorbell of queue {event.queue}", expected, f"{value}")


@dataclass(slots=True)
class _Kicks:
    """Of one queue. seen: the newest index (or packed position) that the device read, confirmed_seq: when that was the
    newest for certain, advanced: when it moved on since the last doorbell (time, seq); rung: the last doorbell;
    told: the position that it named; unwanted: when the device said that it wants no kicks (seq)."""

    seen: int = 0
    confirmed_seq: int = 0
    advanced: tuple[int, int] | None = None
    rung: int = 0
    told: int | None = None
    unwanted: int = 0
    wanted_at: int = 0
    said: int = 0


class KickRules(Theme):
    """Whether doorbells come, and tell the truth. A device that looks unasked shows what was not kicked."""

    rules: ClassVar[dict[str, str]] = dict.fromkeys(
        ("SPLIT-ANS-R03", "SPLIT-ANS-R04", "SPLIT-ANS-R06", "KICK-RI1", "PACK-DESC-R03"), L2
    )

    def __init__(self, observer: Observer, report: Callable[[Report], None]) -> None:
        super().__init__(observer, report)
        self._queues: dict[int, _Kicks] = {}

    def on_queue_enabled(self, event: QueueEnabled) -> None:
        self._queues[event.queue.index] = _Kicks()

    def on_kicks_asked(self, event: KicksAsked) -> None:
        kicks = self._queues.get(event.queue.index)
        if kicks is not None and event.avail_event is not None:
            kicks.wanted_at, kicks.said = event.avail_event, event.seq

    def on_doorbell(self, event: Doorbell) -> None:
        kicks, queue = self._queues.get(event.queue), self.observer.rings.queues.get(event.queue)
        if kicks is None or queue is None:
            return
        # The store came behind the word that says so: the device has looked since, and had not seen it.
        if kicks.unwanted and kicks.confirmed_seq > kicks.unwanted and kicks.advanced is None:
            text = f"doorbell of queue {queue.index}"
            expected, seen = "none while the used ring's flags are 1", f"they are since seq {kicks.unwanted}"
            self.wrong(event.t_ps, event.seq, "SPLIT-ANS-R03", text, expected, seen)
        kicks.rung, kicks.advanced = event.seq, None
        told = event.data if self.observer.virtio.negotiated(Feature.NOTIFICATION_DATA) else None
        if told is not None and len(told) >= 4:
            kicks.told = int.from_bytes(told[2:4], "little")

    def on_dma_write(self, event: DmaWrite) -> None:
        """The flags of a used ring say whether kicks are wanted, without EVENT_IDX."""
        for region in event.regions:
            queue, kicks = region.queue, self._queues.get(region.queue.index)
            flags = region.kind == USED and event.start == region.start and len(event.data) >= 2
            if flags and kicks is not None and not queue.packed and not queue.event_idx:
                kicks.unwanted = event.seq if event.data[0] & 1 else 0

    def on_dma_data(self, event: DmaData) -> None:
        for region in event.read.regions:
            kicks = self._queues.get(region.queue.index)
            if kicks is None or region.chain is not None or not event.ok:
                continue
            if region.kind == AVAIL and not region.queue.packed:
                self._index(event, region.queue, kicks, event.start - region.start)
            elif region.kind == DESC and region.queue.packed:
                self._heads(event, region.queue, kicks, event.start - region.start)

    def _index(self, event: DmaData, queue: Queue, kicks: _Kicks, offset: int) -> None:
        if offset > 2 or offset + len(event.data) < 4 or event.read.seq < kicks.confirmed_seq:
            return
        value = int.from_bytes(event.data[2 - offset : 4 - offset], "little")
        if kicks.told is not None and event.read.seq > kicks.rung:
            if 0 < (kicks.told - value) & 0xFFFF <= queue.size:
                text = f"doorbell of queue {queue.index} that names available index {kicks.told}"
                self.wrong(event.t_ps, event.seq, "KICK-RI1", text, "an index that is in memory", f"{value} there")
            kicks.told = None
        moved = value != kicks.seen
        if moved and kicks.rung < kicks.confirmed_seq and not kicks.unwanted and kicks.advanced is None:
            asked = True
            if queue.event_idx:  # it was said before the device saw the old index once more: the driver has read it
                behind = (kicks.wanted_at - kicks.seen) & 0xFFFF
                asked = kicks.said < kicks.confirmed_seq and behind < (value - kicks.seen) & 0xFFFF
            if asked:
                kicks.advanced = event.t_ps, event.seq
        kicks.seen, kicks.confirmed_seq = value, event.read.seq

    def _heads(self, event: DmaData, queue: Queue, kicks: _Kicks, offset: int) -> None:
        """What a doorbell has named is available: the place before it belongs to this round."""
        if kicks.told is None or event.read.seq <= kicks.rung or offset % 16:
            return
        place, wrap = kicks.told & 0x7FFF, kicks.told >> 15
        last = (place - 1) % queue.size
        at = 16 * last - offset
        if place >= queue.size or not 0 <= at <= len(event.data) - 16:
            return
        flags = int.from_bytes(event.data[at + 14 : at + 16], "little")
        used = bool(flags & 0x80) == bool(flags & 0x8000)
        if not used and not available(flags, wrap if place else wrap ^ 1):
            text = f"doorbell of queue {queue.index} that names place {place} with wrap counter {wrap}"
            self.wrong(event.t_ps, event.seq, "PACK-DESC-R03", text, "all before it available", f"flags {flags:#x}")
        kicks.told = None

    def finish(self, t_ps: int, seq: int) -> None:
        for index, kicks in self._queues.items():
            queue = self.observer.rings.queues.get(index)
            if kicks.advanced is not None and queue is not None and not queue.reset_seq:
                clause = "SPLIT-ANS-R06" if queue.event_idx else "SPLIT-ANS-R04"
                text = f"queue {index}: available index {kicks.seen}, seen at seq {kicks.advanced[1]}"
                self.wrong(*kicks.advanced, clause, text, "a doorbell for it", "none")
