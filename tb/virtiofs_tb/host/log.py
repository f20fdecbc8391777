"""Observation log, version 1: everything that was seen at the endpoint's pins, in one total order.

Two files. `observation.log`: a 64-byte file header (magic, version, record size, zeros), then 64-byte little-endian
records. `observation.payload`: the payload arena; a record's `payload` is an offset in it. Payload is written before
the records that name it, so a killed run leaves a log that is readable up to its last whole record.

A run without an end keeps its beginning and what came last (log_files.py): further pairs of files,
`observation.1.log` and so on, of which the oldest go. The first record of each is a snapshot of what the observer knew
then, so that what follows can be told although something before it is missing.

Fields of a record: t_ps, seq, address, payload offset (u64); length u32; kind, channel, status, byte enables (u8);
function, tag (u16); hdr (4 x u32); 4 reserved bytes. For a TLP they repeat what the header says:

==============  =====================================================================================
address         memory request: the dword address; configuration request: the dword's byte offset in
                configuration space; completion: Lower Address; message: 0
length          bytes in the arena: 4 x Length where the packet has a payload, else 0
status          completion: Completion Status in bits 2:0; any packet: EP (poisoned) in bit 7
byte enables    memory and configuration requests: First DW BE in bits 3:0, Last DW BE in bits 7:4; else 0
function        the endpoint's function number as the packet has it (requester of RQ and RC, completer of CC,
                target of a configuration request on CQ; 0 for a memory request on CQ)
tag             the packet's tag
==============  =====================================================================================
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

from virtiofs_tb.host.log_files import LOG_NAME, PAYLOAD_NAME, RECORD_SIZE, VERSION, LogError, LogFiles, Part, parts

__all__ = ["LOG_NAME", "PAYLOAD_NAME", "RECORD_SIZE", "VERSION", "LogError", "ObservationLog", "Record", "read_log"]

_RECORD = struct.Struct("<QQQQIBBBBHH4I4x")

_FLUSH_BYTES = 1 << 17
_BATCH = 256
_U64 = (1 << 64) - 1

Header = tuple[int, int, int, int]


class Kind(IntEnum):
    """What a record is; the channels of a kind are enumerations of their own."""

    TLP = 1
    INTERRUPT = 2
    DPU_OPERATION = 3
    ENGINE_REQUEST = 4
    ENGINE_REPLY = 5
    SNAPSHOT = 6
    RESET = 7
    NOTE = 8


class Channel(IntEnum):
    """Channels of kind TLP, named from the endpoint: requests in, completions out, requests out, completions in."""

    CQ = 0
    CC = 1
    RQ = 2
    RC = 3


class EngineRequestChannel(IntEnum):
    """Channels of kind ENGINE_REQUEST: endpoint to firmware."""

    REQUEST = 0
    DONE = 1
    CONTROL = 2


class EngineReplyChannel(IntEnum):
    """Channels of kind ENGINE_REPLY: firmware to endpoint, and its own accesses to storage (address, payload)."""

    JOB = 0
    REPLY = 1
    NOTIFY = 2
    CONTROL_ACK = 3
    STORAGE_WRITE = 4
    STORAGE_READ = 5


class DpuChannel(IntEnum):
    """Channels of kind DPU_OPERATION: register write, register read, message into the notify mailbox; a FUSE request of
    the DPU when it is handed over, and its reply when that was read; a NOTIFY_REPLY that was kept, when the DPU took
    it.
    """

    WRITE = 0
    READ = 1
    NOTIFY = 2
    FS_REQUEST = 3
    FS_REPLY = 4
    RETRIEVED = 5


class SnapshotChannel(IntEnum):
    """Channels of kind SNAPSHOT: host memory at `address`; what the observer knew (scoreboards/checkpoint.py)."""

    MEMORY = 0
    OBSERVER = 1


@dataclass(slots=True)
class Record:
    """One observation. `be`: first | last << 4. hdr: DW0..DW3 of a TLP, or `user` of an engine message from bit 0."""

    t_ps: int
    seq: int
    address: int
    length: int
    kind: int
    channel: int
    status: int
    be: int
    function: int
    tag: int
    hdr: Header
    payload: bytes


def user_header(user: int) -> Header:
    """The 128-bit `user` word of an engine message as `hdr` of its record."""
    mask = 0xFFFF_FFFF
    return user & mask, user >> 32 & mask, user >> 64 & mask, user >> 96 & mask


def pack(record: Record, payload_offset: int) -> bytes:
    """The 64 bytes of `record`."""
    return _RECORD.pack(
        record.t_ps,
        record.seq,
        record.address,
        payload_offset,
        record.length,
        record.kind,
        record.channel,
        record.status,
        record.be,
        record.function,
        record.tag,
        *record.hdr,
    )


def tlp_record(t_ps: int, seq: int, channel: int, hdr: Header, payload: bytes) -> Record:
    """The record of a packet (see the table above for how its fields follow from the header)."""
    dw0, dw1, dw2, dw3 = hdr
    fmt_type = dw0 >> 24
    packet = fmt_type & 0x1F
    status = 0x80 if dw0 & 0x4000 else 0
    be = function = address = 0
    tag = dw1 >> 8 & 0xFF
    if packet <= 0x01:  # memory request
        address = (dw2 << 32 | dw3 & ~3) if fmt_type & 0x20 else dw2 & ~3
        be = dw1 & 0xFF
        if channel == Channel.RQ:
            function = dw1 >> 16 & 7
    elif packet == 0x0A:  # completion
        address = dw2 & 0x7F
        status |= dw1 >> 13 & 7
        tag = dw2 >> 8 & 0xFF
        function = (dw1 if channel == Channel.CC else dw2) >> 16 & 7
    elif packet in (0x04, 0x05):  # configuration request
        address = dw2 & 0xFFC
        be = dw1 & 0xFF
        function = dw2 >> 16 & 7
    elif channel == Channel.RQ:
        function = dw1 >> 16 & 7
    return Record(t_ps, seq, address, len(payload), Kind.TLP, channel, status, be, function, tag, hdr, payload)


def _record(fields: tuple[Any, ...], payload: bytes) -> Record:
    """The record whose 64 bytes unpack to `fields`."""
    f = fields
    return Record(f[0], f[1], f[2], f[4], f[5], f[6], f[7], f[8], f[9], f[10], f[11:15], payload)


class ObservationLog:
    """Writes a log, hands its records to subscribers in batches, and keeps the trace hash.

    directory: where the two files go; None keeps nothing (records still reach subscribers and the hash).
    next_seq: source of `seq` for records that are appended without one. Where another part of the program stamps
    packets, it must be that part's counter, so that there is one total order.
    """

    def __init__(self, directory: Path | None = None, next_seq: Callable[[], int] | None = None) -> None:
        self._seq = 0
        self._next_seq = next_seq if next_seq is not None else self._own_seq
        self._subscribers: list[Callable[[list[Record]], None]] = []
        self._batch: list[Record] = []
        self._records = bytearray()
        self._arena = bytearray()
        self._arena_written = 0  # arena bytes before those in _arena
        self._record_hash = hashlib.sha256()
        self._payload_hash = hashlib.sha256()
        self.count = 0
        self._files = LogFiles(directory) if directory is not None else None
        self._checkpoint: Callable[[], bytes] | None = None
        self._last: tuple[int, int] = (0, 0)

    def bound(self, size: int, checkpoint: Callable[[], bytes]) -> None:
        """From now on keep the first `size` / 8 bytes and what came last, at least `size` bytes of it.

        checkpoint: what an observer knows that has been handed all records so far (the payload of a snapshot).
        """
        self._checkpoint = checkpoint
        if self._files is not None:
            self._files.bound = size

    def subscribe(self, callback: Callable[[list[Record]], None]) -> None:
        """Call `callback` with batches of records, in order; it must not keep the list."""
        self._subscribers.append(callback)

    def append(
        self,
        t_ps: int,
        kind: int,
        channel: int = 0,
        *,
        seq: int | None = None,
        address: int = 0,
        status: int = 0,
        be: int = 0,
        function: int = 0,
        tag: int = 0,
        hdr: Header = (0, 0, 0, 0),
        payload: bytes = b"",
    ) -> Record:
        """Add one record; `seq` None takes the next one."""
        if seq is None:
            seq = self._next_seq()
        record = Record(t_ps, seq, address, len(payload), kind, channel, status, be, function, tag, hdr, payload)
        self.append_record(record)
        return record

    def append_tlp(self, t_ps: int, channel: int, hdr: Header, payload: bytes) -> Record:
        """Add a packet with the next `seq`."""
        record = tlp_record(t_ps, self._next_seq(), channel, hdr, payload)
        self.append_record(record)
        return record

    def append_record(self, record: Record) -> None:
        """Add a record whose `seq` is set already."""
        self._records += pack(record, self._arena_written + len(self._arena))
        self._arena += record.payload
        self._batch.append(record)
        self.count += 1
        if len(self._batch) >= _BATCH:
            self.deliver()

    @property
    def payload_end(self) -> int:
        """The arena offset that the payload of the next record gets."""
        return self._arena_written + len(self._arena)

    def append_raw(self, records: bytes, payload: bytes) -> list[Record]:
        """Add finished records, as another part of the program made them, and return them decoded.

        `records` is a whole number of records, whose payload offsets count from `payload_end` = payload[0] on.
        """
        base = self._arena_written + len(self._arena)
        if len(records) % RECORD_SIZE:
            raise LogError(f"{len(records)} bytes are no whole number of {RECORD_SIZE}-byte records")
        decoded: list[Record] = []
        add = decoded.append
        unpacked = _RECORD.iter_unpack(records)
        for t, seq, address, at, length, kind, channel, status, be, function, tag, h0, h1, h2, h3 in unpacked:
            at -= base
            data = payload[at : at + length] if length else b""
            add(Record(t, seq, address, length, kind, channel, status, be, function, tag, (h0, h1, h2, h3), data))
        self._records += records
        self._arena += payload
        self._batch += decoded
        self.count += len(decoded)
        if len(self._batch) >= _BATCH:
            self.deliver()
        return decoded

    def deliver(self) -> None:
        """Hand waiting records to the subscribers; write to the files when enough has gathered."""
        batch, self._batch = self._batch, []
        if batch:
            for subscriber in self._subscribers:
                subscriber(batch)
            self._last = (batch[-1].t_ps, batch[-1].seq)
        if len(self._records) + len(self._arena) >= _FLUSH_BYTES:
            self._write()
            files = self._files
            # A subscriber may have added a record, which the observer has not seen yet.
            if files is not None and self._checkpoint is not None and files.full and not self._batch:
                self._next_part(files, self._checkpoint())

    def flush(self) -> None:
        """Everything appended so far is with the subscribers and in the files."""
        self.deliver()
        self._write()

    def close(self) -> None:
        self.flush()
        if self._files is not None:
            self._files.close()
        self._files = None

    def trace_hash(self) -> str:
        """SHA-256 over all records and all payload so far, in hex. It does not depend on batches or flushes."""
        self._write()
        return hashlib.sha256(self._record_hash.digest() + self._payload_hash.digest()).hexdigest()

    def _write(self) -> None:
        arena, self._arena = self._arena, bytearray()
        records, self._records = self._records, bytearray()
        self._arena_written += len(arena)
        self._payload_hash.update(arena)
        self._record_hash.update(records)
        if self._files is not None:
            self._files.write(bytes(records), bytes(arena))

    def _next_part(self, files: LogFiles, known: bytes) -> None:
        """Begin another pair of files. Its snapshot is no part of the trace: the hash leaves it out."""
        kind, channel = Kind.SNAPSHOT, SnapshotChannel.OBSERVER
        snapshot = Record(*self._last, 0, len(known), kind, channel, 0, 0, 0, 0, (0, 0, 0, 0), known)
        base = self._arena_written - len(known)
        files.begin_part(base, pack(snapshot, base & _U64), known)

    def _own_seq(self) -> int:
        self._seq += 1
        return self._seq


def read_log(directory: Path) -> Iterator[Record]:
    """The records of a log, up to the last one that is whole; raises LogError when the file is none.

    Where something is missing between two parts of a log that was bounded, the snapshot of the later one comes first.
    """
    before: Part | None = None
    for part in parts(directory):
        with part.open() as (log_file, payload_file):
            raw = log_file.read(RECORD_SIZE)
            if before is not None and part.follows(before) and len(raw) == RECORD_SIZE:
                raw = log_file.read(RECORD_SIZE)  # nothing is missing: no need of the snapshot
            while len(raw) == RECORD_SIZE:
                fields = _RECORD.unpack(raw)
                offset, length = fields[3], fields[4]
                payload = b""
                if length:
                    payload_file.seek(offset - part.base & _U64)
                    payload = payload_file.read(length)
                    if len(payload) < length:
                        return
                yield _record(fields, payload)
                raw = log_file.read(RECORD_SIZE)
        before = part
