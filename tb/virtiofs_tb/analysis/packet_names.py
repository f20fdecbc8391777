"""What a packet is about: the field, ring word, descriptor, part of a chain or vector that it touches."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from virtiofs_model.layouts.virtio import VIRTIO_MSI_NO_VECTOR
from virtiofs_tb.scoreboards.events import (
    ConfigAccess,
    ConfigRequest,
    DmaData,
    DmaRead,
    DmaWrite,
    Doorbell,
    RegisterRead,
    RegisterRequest,
    RegisterWrite,
)
from virtiofs_tb.scoreboards.field_names import config_fields, names_in, register_name
from virtiofs_tb.scoreboards.memory_map import AVAIL, DESC, KIND_NAMES, PACKED_NAMES, TABLE, USED, Region
from virtiofs_tb.scoreboards.observer import Observer

KEPT = 400  # packets; a card shows the last few
QUEUE_FIELDS = 0x18  # from here on the common structure is that of the selected queue


class PacketNames:
    """Listens to an observer. wanted: packets whose names stay, however long ago they were (seq)."""

    def __init__(self, observer: Observer, wanted: frozenset[int]) -> None:
        self._observer = observer
        self._wanted = wanted
        self._old: dict[int, str] = {}
        self._late: dict[int, Callable[[], str]] = {}

    def of(self, seq: int) -> str:
        """What the packet touches; '' where that is not known."""
        late = self._late.get(seq)
        return self._old.get(seq, "") if late is None else late()

    def _add(self, seq: int, name: Callable[[], str]) -> None:
        if seq in self._wanted:
            self._old[seq] = name()
            return
        self._late[seq] = name
        if len(self._late) > KEPT:
            del self._late[next(iter(self._late))]

    # ---- the host's requests ----

    def on_config_request(self, event: ConfigRequest) -> None:
        low = next((byte for byte in range(4) if event.be >> byte & 1), 0)
        size = max(1, bin(event.be).count("1"))
        self._add(event.seq, partial(self._config, event.offset + low, size))

    def on_config_access(self, event: ConfigAccess) -> None:
        self._late[event.seq] = lambda: self.of(event.request.seq)

    def _config(self, offset: int, size: int) -> str:
        return names_in(config_fields(self._observer.pci.capabilities), offset, size)

    def on_register_request(self, event: RegisterRequest) -> None:
        self._register(event.seq, event.region, event.at, event.length)

    def on_register_write(self, event: RegisterWrite) -> None:
        self._register(event.seq, event.region, event.at, len(event.data))

    def on_register_read(self, event: RegisterRead) -> None:
        self._register(event.seq, event.region, event.at, event.length)

    def _register(self, seq: int, region: str, at: int, size: int) -> None:
        if seq < 0:
            return
        of_queue = region == "common" and at >= QUEUE_FIELDS
        queue = f" of queue {self._observer.virtio.queue_select}" if of_queue else ""
        self._add(seq, lambda: register_name(region, at, size) + queue)

    def on_doorbell(self, event: Doorbell) -> None:
        self._add(event.seq, lambda: f"doorbell of queue {event.queue}")

    # ---- the endpoint's requests ----

    def on_dma_read(self, event: DmaRead) -> None:
        self._add(event.seq, partial(_memory, event.regions, event.start, event.end))

    def on_dma_data(self, event: DmaData) -> None:
        self._add(event.seq, partial(_memory, event.read.regions, event.start, event.start + len(event.data)))

    def on_dma_write(self, event: DmaWrite) -> None:
        if event.vectors is not None:
            self._add(event.seq, partial(self._vectors, event.vectors))
        else:
            self._add(event.seq, partial(_memory, event.regions, event.start, event.start + len(event.data)))

    def _vectors(self, vectors: tuple[int, ...]) -> str:
        virtio = self._observer.virtio
        names = []
        for vector in vectors:
            users = [f"queue {index}" for index, queue in sorted(virtio.queues.items()) if queue.vector == vector]
            users += ["configuration"] if virtio.config_vector == vector != VIRTIO_MSI_NO_VECTOR else []
            names.append(f"MSI-X vector {vector}: {', '.join(users) or 'nobody has it'}")
        return "; ".join(names) or "MSI-X message that no table entry has"


def _memory(regions: list[Region], start: int, end: int) -> str:
    if not regions:
        return "memory of no ring and no chain"
    names = [_part(region, max(start, region.start), min(end, region.end)) for region in regions]
    return ", ".join(dict.fromkeys(names))


def _part(region: Region, start: int, end: int) -> str:
    """Bytes [start, end) of a region."""
    at, last, queue = start - region.start, end - region.start - 1, f"queue {region.queue.index}"
    if region.kind in (DESC, TABLE):
        table = f"chain {region.chain.head}'s indirect table, " if region.chain is not None else ""
        return f"{_span('descriptor', at >> 4, last >> 4)} of {table}{queue}"
    if region.kind in (AVAIL, USED) and region.queue.packed:
        return f"{PACKED_NAMES[region.kind]} of {queue}"
    if region.kind in (AVAIL, USED):
        ring, size = ("available", 2) if region.kind == AVAIL else ("used", 8)
        flags = "suppression word" if region.kind == AVAIL else "used flags"
        words = [name for name, low in ((flags, 0), (f"{ring} index", 2)) if at < low + 2 and last >= low]
        slots = region.queue.size
        if last >= 4:
            first, final = max(at - 4, 0) // size, (last - 4) // size
            words += [_span(f"{ring} entry", first, min(final, slots - 1))] if first < slots else []
            words += ["event word"] if final >= slots else []
        return f"{', '.join(words)} of {queue}"
    chain = f" of chain {region.chain.head}" if region.chain is not None else ""
    return f"{KIND_NAMES[region.kind]}{chain} of {queue}"


def _span(name: str, first: int, last: int) -> str:
    return f"{name} {first}" if first == last else f"{name} {first}..{last}"
