"""Replay of a recorded FUSE session, with the ids that the device gives in place of the recorded ones.

A recorded request names inodes, open files and places in directories as the recorded server numbered them. As replies
come, the replay learns which of the device's ids each recorded one stands for, and writes them into later requests;
all other bytes stay as recorded. One table (layouts/fuse_operations.py) says where ids stand in every opcode.
"""

from __future__ import annotations

import errno
import json
from collections.abc import Callable
from ctypes import sizeof
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from virtiofs_model.layouts import fuse
from virtiofs_model.layouts.fuse import FuseForgetOne, FuseOutHeader
from virtiofs_model.layouts.fuse_constants import FUSE_ROOT_ID, Opcode
from virtiofs_model.layouts.fuse_operations import (
    IN_HEADER_SIZE,
    OPERATIONS,
    OUT_HEADER_SIZE,
    DirectoryEntry,
    IdField,
    IdKind,
    directory_entries,
    request_ids,
)

from .errors import DriverError
from .fuse_client import FuseClient, Reply


class SessionError(Exception):
    """A session file that is no session; the message names the file and the line."""


@dataclass(frozen=True)
class SessionRecord:
    """One request of a session and the recorded server's reply (None: it sent none)."""

    number: int
    opcode: Opcode
    request: bytes
    reply: bytes | None

    @property
    def error(self) -> int:
        """The recorded reply's error, 0 where there is no reply."""
        return 0 if self.reply is None else FuseOutHeader.from_buffer_copy(self.reply).error

    @property
    def payload(self) -> bytes:
        """The recorded reply after its header."""
        return b"" if self.reply is None else self.reply[OUT_HEADER_SIZE:]


def load_session(path: Path) -> list[SessionRecord]:
    """Read a .jsonl session. Raises SessionError with the line's number where it is malformed."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise SessionError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SessionError(f"{path}: not UTF-8 at byte {error.start}") from error
    records = []
    for line, content in enumerate(text.splitlines(), start=1):
        if not content.strip():
            continue
        try:
            records.append(_parse_record(json.loads(content)))
        except (ValueError, TypeError, KeyError) as error:
            reason = f"no field {error}" if isinstance(error, KeyError) else str(error)
            raise SessionError(f"{path}:{line}: {reason}") from error
    if not records:
        raise SessionError(f"{path}: no records")
    if records[0].opcode is not Opcode.INIT:
        raise SessionError(f"{path}:1: the first record is {records[0].opcode.name}, not INIT")
    return records


def _parse_record(content: Any) -> SessionRecord:
    if not isinstance(content, dict):
        raise ValueError("not a JSON object")
    request = bytes.fromhex(content["in"])
    reply = None if content["out"] is None else bytes.fromhex(content["out"])
    if len(request) < IN_HEADER_SIZE:
        raise ValueError(f"'in' has {len(request)} bytes, a fuse_in_header has {IN_HEADER_SIZE}")
    header = fuse.FuseInHeader.from_buffer_copy(request)
    if header.len != len(request):
        raise ValueError(f"fuse_in_header.len is {header.len}, 'in' has {len(request)} bytes")
    if header.opcode != content["op"]:
        raise ValueError(f"'op' is {content['op']}, fuse_in_header.opcode {header.opcode}")
    opcode = Opcode(content["op"])
    if len(request) < OPERATIONS[opcode].request_size and opcode is not Opcode.SETXATTR:
        raise ValueError(f"{opcode.name} has {len(request)} bytes, at least {OPERATIONS[opcode].request_size} needed")
    if reply is not None:
        if len(reply) < OUT_HEADER_SIZE:
            raise ValueError(f"'out' has {len(reply)} bytes, a fuse_out_header has {OUT_HEADER_SIZE}")
        if int.from_bytes(reply[:4], "little") != len(reply):
            raise ValueError(f"fuse_out_header.len is {int.from_bytes(reply[:4], 'little')}, 'out' has {len(reply)}")
    return SessionRecord(int(content["n"]), opcode, request, reply)


@dataclass
class _Lookups:
    """How often an inode was looked up, as recorded and with the device; FORGET gives them back."""

    recorded: int = 0
    device: int = 0


OPEN_ONLY_FLAGS = 0o1700
"""O_CREAT, O_EXCL, O_NOCTTY, O_TRUNC: asked for at open, gone from the flags of later requests."""

WITH_FILE_FLAGS = frozenset(
    (Opcode.READ, Opcode.WRITE, Opcode.READDIR, Opcode.READDIRPLUS, Opcode.RELEASE, Opcode.RELEASEDIR)
)
"""Opcodes whose `flags` are those of the open file."""


@dataclass
class _Handle:
    """An open file: the device's fh and the flags of the open. The recorded server gave one fh to several opens."""

    device: int
    flags: int


@dataclass
class Outcome:
    """What a replay did. differences: replies whose error is another than the recorded one (no failure by itself)."""

    requests: int = 0
    differences: list[str] = field(default_factory=list)


class Replay:
    """Replays one session over a FuseClient, one request at a time, as each may depend on the one before.

    unsupported: opcodes that this endpoint may answer with ENOSYS (its profile); what then cannot be translated is
    skipped. on_reply sees each reply as it came.
    """

    def __init__(
        self,
        client: FuseClient,
        records: list[SessionRecord],
        unsupported: frozenset[Opcode] = frozenset(),
        on_reply: Callable[[SessionRecord, bytes, Reply], None] | None = None,
    ) -> None:
        self.client = client
        self.records = records
        self.unsupported = unsupported
        self.outcome = Outcome()
        self.granted: fuse.FuseInitOut | None = None
        self._on_reply = on_reply
        self._nodes: dict[int, int] = {FUSE_ROOT_ID: FUSE_ROOT_ID, 0: 0}
        self._handles: dict[int, list[_Handle]] = {}
        self._lookups: dict[int, _Lookups] = {}
        self._cookies: dict[tuple[int, int], int] = {}  # (recorded fh, recorded cookie) -> device's cookie

    async def run(self) -> Outcome:
        """Replay all records. Raises DriverError where a reply is invalid or an id that is needed never came."""
        for record in self.records:
            await self.step(record)
        return self.outcome

    async def step(self, record: SessionRecord) -> None:
        """Replay one record."""
        try:
            message = self.translate(record)
        except UnknownId as error:
            if not self.unsupported:
                raise
            self.outcome.differences.append(f"record {record.number} {record.opcode.name} skipped: {error}")
            return
        writable = OPERATIONS[record.opcode].reply_limit(message)
        reply = await self.client.request(message, writable)
        self.outcome.requests += 1
        if reply.error != record.error:
            self._note_difference(record, reply)
        elif reply.error == 0 and record.reply is not None:
            self._learn(record, message, reply)
        if self._on_reply is not None:
            self._on_reply(record, message, reply)

    def translate(self, record: SessionRecord) -> bytes:
        """The request's bytes with the device's ids. Raises UnknownId."""
        message = bytearray(record.request)
        for place in request_ids(record.request):
            recorded = place.read(record.request)
            if recorded is not None:
                place.write(message, self._device_id(record, place, recorded))
        if record.opcode is Opcode.FORGET:
            at = IN_HEADER_SIZE + fuse.FuseForgetIn.nlookup.offset
            self._give_back(record.request, message, fuse.FuseInHeader.nodeid.offset, at)
        elif record.opcode is Opcode.BATCH_FORGET:
            first = OPERATIONS[Opcode.BATCH_FORGET].request_size
            for at in range(first, len(message), sizeof(FuseForgetOne)):
                self._give_back(record.request, message, at, at + FuseForgetOne.nlookup.offset)
        return bytes(message)

    def _device_id(self, record: SessionRecord, place: IdField, recorded: int) -> int:
        if place.kind is IdKind.COOKIE:
            fh = OPERATIONS[record.opcode].field(record.request, "fh")
            return 0 if recorded == 0 else self._cookies.get((fh, recorded), recorded)
        if place.kind is IdKind.FH:
            return self._device_handle(record, place, recorded)
        if recorded not in self._nodes:
            raise UnknownId(record, place, recorded)
        return self._nodes[recorded]

    def _device_handle(self, record: SessionRecord, place: IdField, recorded: int) -> int:
        handles = self._handles.get(recorded, [])
        if not handles:
            if recorded == 0:
                return 0  # no file: a lock owner's or an attribute request's empty field
            raise UnknownId(record, place, recorded)
        chosen = handles[-1]
        if record.opcode in WITH_FILE_FLAGS and len(handles) > 1:
            flags = OPERATIONS[record.opcode].field(record.request, "flags")
            chosen = next((item for item in handles if item.flags == flags), chosen)
        if record.opcode in (Opcode.RELEASE, Opcode.RELEASEDIR):
            handles.remove(chosen)
        return chosen.device

    def _give_back(self, recorded: bytes, message: bytearray, nodeid_at: int, count_at: int) -> None:
        """Put the device's lookup count in place of the recorded one: all of them where the recording gave back all."""
        nodeid = int.from_bytes(recorded[nodeid_at : nodeid_at + 8], "little")
        count = int.from_bytes(recorded[count_at : count_at + 8], "little")
        held = self._lookups.setdefault(nodeid, _Lookups())
        given = held.device if count >= held.recorded else min(count, held.device)
        held.recorded = max(held.recorded - count, 0)
        held.device -= given
        if held.recorded == 0 and nodeid != FUSE_ROOT_ID:
            self._nodes.pop(nodeid, None)  # the number may come again for another inode
        message[count_at : count_at + 8] = given.to_bytes(8, "little")

    def _learn(self, record: SessionRecord, message: bytes, reply: Reply) -> None:
        if record.opcode is Opcode.INIT:
            self.granted = reply.parse(fuse.FuseInitOut)
            return
        if record.opcode in (Opcode.READDIR, Opcode.READDIRPLUS):
            self._learn_directory(record, reply)
            return
        assert record.reply is not None
        for place in OPERATIONS[record.opcode].reply_ids:
            recorded, seen = place.read(record.reply), place.read(reply.message)
            if recorded is None or seen is None:
                what = f"used length of record {record.number} {record.opcode.name}"
                raise DriverError(what, reply.used, f"at least {place.offset + 8}", "FS-REQ-DI1")
            if place.kind is IdKind.NODEID:
                self._learn_node(recorded, seen)
            else:
                flags = OPERATIONS[record.opcode].field(record.request, "flags") & ~OPEN_ONLY_FLAGS
                self._handles.setdefault(recorded, []).append(_Handle(seen, flags))

    def _learn_node(self, recorded: int, seen: int) -> None:
        if recorded == 0 or seen == 0:
            return  # a negative entry
        self._nodes[recorded] = seen
        held = self._lookups.setdefault(recorded, _Lookups())
        held.recorded += 1
        held.device += 1

    def _learn_directory(self, record: SessionRecord, reply: Reply) -> None:
        """Pair the entries by name; the end of the recorded listing is the end of the device's."""
        plus = record.opcode is Opcode.READDIRPLUS
        fh = OPERATIONS[record.opcode].field(record.request, "fh")
        recorded = list(directory_entries(record.payload, plus))
        try:
            seen = {entry.name: entry for entry in directory_entries(reply.payload, plus)}
        except ValueError as error:
            what = f"record {record.number} {record.opcode.name}: reply"
            raise DriverError(what, str(error), "whole directory records") from error
        for entry in recorded:
            twin = seen.pop(entry.name, None)
            if twin is not None:
                self._cookies[fh, entry.cookie] = twin.cookie
                self._learn_node(entry.nodeid, twin.nodeid)
                if entry.nodeid == 0 and twin.nodeid:
                    self._extra_lookup(twin)
        for twin in seen.values():
            self._extra_lookup(twin)
        if recorded and reply.payload:
            *_, last = directory_entries(reply.payload, plus)
            self._cookies[fh, recorded[-1].cookie] = last.cookie

    def _extra_lookup(self, entry: DirectoryEntry) -> None:
        """The device gave an entry that the recording lacks: its lookup is given back with the inode's others."""
        for recorded, device in self._nodes.items():
            if device == entry.nodeid and recorded > FUSE_ROOT_ID:
                self._lookups.setdefault(recorded, _Lookups()).device += 1

    def _note_difference(self, record: SessionRecord, reply: Reply) -> None:
        def name(number: int) -> str:
            return errno.errorcode.get(-number, str(number)) if number else "ok"

        text = f"record {record.number} {record.opcode.name}: {name(reply.error)}, recorded {name(record.error)}"
        self.outcome.differences.append(text)


class UnknownId(DriverError):
    """A request needs an id that no reply of the device has given, since an earlier request failed."""

    def __init__(self, record: SessionRecord, place: IdField, recorded: int) -> None:
        what = f"record {record.number} {record.opcode.name}: {place.name} {recorded} of the recording"
        super().__init__(what, "never given by the device", "the reply of an earlier request")
