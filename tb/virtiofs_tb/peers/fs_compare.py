"""Runs a script of FUSE operations on two servers and holds their replies side by side.

Compared are the error, the used length, and what a reply says of inodes, data and names. Left out is what each server
may choose: nodeids, generations, fhs, times, valid times, cookies, the order of a listing, block counts, sizes of
directories, and what INIT grants. Ids are compared by what they lead to: both servers must give the same inode.
"""

from __future__ import annotations

import errno
import stat
from collections.abc import Iterator, Mapping
from ctypes import sizeof
from dataclasses import dataclass, field
from typing import Any, Protocol

from virtiofs_model.layouts import fuse
from virtiofs_model.layouts.fuse import FuseInHeader, FuseOutHeader
from virtiofs_model.layouts.fuse_constants import FUSE_ROOT_ID, Opcode
from virtiofs_model.layouts.fuse_operations import (
    IN_HEADER_SIZE,
    OPERATIONS,
    OUT_HEADER_SIZE,
    ReplyKind,
    directory_entries,
)
from virtiofs_model.ramfs import RamfsServer
from virtiofs_tb.driver.layout import place, whole_plan
from virtiofs_tb.driver.locks import F_UNLCK
from virtiofs_tb.driver.virtio import VirtioFsDevice
from virtiofs_tb.peers.decided import Difference
from virtiofs_tb.peers.fs_script import ROOT, Step

NOBODY = 0x7FFF_FFFF_0000  # an id that no server gives
SMALLEST_ROOM = 128  # for an opcode of which no reply is known

Value = int | str


class FuseTarget(Protocol):
    """A FUSE server behind something."""

    async def exchange(self, message: bytes, writable: int) -> bytes:
        """The reply's bytes: as many as the used length says."""
        ...


class ModelTarget:
    """The golden file system, called directly."""

    def __init__(self, server: RamfsServer | None = None) -> None:
        self._server = server or RamfsServer()

    async def exchange(self, message: bytes, writable: int) -> bytes:
        return self._server.handle(message, writable) or b""


class DeviceTarget:
    """Whatever is behind a virtio-fs device; requests go in one buffer and replies come in one."""

    def __init__(self, device: VirtioFsDevice) -> None:
        self._device = device

    async def exchange(self, message: bytes, writable: int) -> bytes:
        memory = self._device.host.memory
        placed = place(whole_plan(len(message), writable), memory, message)
        operation = OPERATIONS.get(int.from_bytes(message[4:8], "little"))
        hiprio = operation is not None and operation.hiprio
        queue = self._device.hiprio if hiprio else self._device.request_queue(0)
        token = await queue.add(placed.segments)
        used = await queue.wait(token)
        reply = placed.gather(memory, used)
        memory.free(placed.base)
        return reply


@dataclass
class _Side:
    """One server with the ids that it gave."""

    target: FuseTarget
    nodes: dict[str, int] = field(default_factory=lambda: {ROOT: FUSE_ROOT_ID})
    handles: dict[str, int] = field(default_factory=dict)

    async def perform(self, step: Step, unique: int) -> dict[str, Value]:
        """Send the step with this server's ids; what the reply says."""
        message = self._message(step, unique)
        if step.forgotten:
            del self.nodes[step.node]  # its number may come again for another inode
        if step.opcode == Opcode.DESTROY:
            self.nodes, self.handles = {ROOT: FUSE_ROOT_ID}, {}
        reply = await self.target.exchange(message, _room(step, message))
        if len(reply) < OUT_HEADER_SIZE:
            return {"used": len(reply)}
        header = FuseOutHeader.from_buffer_copy(reply)
        seen: dict[str, Value] = {"used": len(reply), "error": error_name(header.error)}
        if header.len != len(reply) or header.unique != unique:
            seen["header"] = f"len {header.len}, unique {header.unique - unique:+d}"
        if header.error == 0:
            seen |= self._contents(step, message, reply[OUT_HEADER_SIZE:])
        return seen

    def _message(self, step: Step, unique: int) -> bytes:
        body = bytearray(bytes(step.body)) if step.body is not None else bytearray()
        for name, word in step.refs.items():
            at = getattr(type(step.body), name).offset
            ids = self.handles if name in ("fh", "fh_in", "fh_out") else self.nodes
            body[at : at + 8] = ids.get(word, NOBODY).to_bytes(8, "little")
        nodeid = self.nodes.get(step.node, NOBODY)
        size = IN_HEADER_SIZE + len(body) + len(step.tail)
        header = FuseInHeader(size, step.opcode, unique, nodeid, step.uid, step.gid, 1, 0, 0)
        return bytes(header) + bytes(body) + step.tail

    def _contents(self, step: Step, message: bytes, payload: bytes) -> dict[str, Value]:
        operation = OPERATIONS.get(step.opcode)
        if operation is None or operation.opcode is Opcode.INIT:
            return {"major": int.from_bytes(payload[:4], "little")} if operation else {}
        if operation.opcode in (Opcode.READDIR, Opcode.READDIRPLUS):
            return self._names(payload, operation.opcode is Opcode.READDIRPLUS)
        if operation.kind in (ReplyKind.SIZED, ReplyKind.TARGET):
            return {"data": _shown(payload)}
        seen: dict[str, Value] = {}
        for struct in operation.reply:
            part = struct.from_buffer_copy(payload[: sizeof(struct)].ljust(sizeof(struct), b"\0"))
            payload = payload[sizeof(struct) :]
            seen |= self._structure(step, part)
        return seen

    def _structure(self, step: Step, part: Any) -> dict[str, Value]:
        if isinstance(part, fuse.FuseEntryOut):
            known = next((word for word, nodeid in self.nodes.items() if nodeid == part.nodeid), "a new inode")
            if step.keep:
                self.nodes[step.keep] = part.nodeid
            return {"leads to": known if part.nodeid else "nothing", **_attributes(part.attr)}
        if isinstance(part, fuse.FuseAttrOut):
            return _attributes(part.attr)
        if isinstance(part, fuse.FuseOpenOut):
            if step.keep:
                self.handles[step.keep] = part.fh
            return {"open_flags": part.open_flags}
        if isinstance(part, fuse.FuseLkOut):
            if part.lk.type == F_UNLCK:
                return {"type": F_UNLCK}  # of the rest Linux reads nothing (fs/fuse/file.c, convert_fuse_file_lock)
            return {name: getattr(part.lk, name) for name, *_ in part.lk._fields_}
        if isinstance(part, fuse.FuseStatfsOut):
            return {"namelen": part.st.namelen}
        return {name: getattr(part, name) for name, *_ in part._fields_ if isinstance(getattr(part, name), int)}

    def _names(self, payload: bytes, plus: bool) -> dict[str, Value]:
        entries = sorted(directory_entries(payload, plus), key=lambda entry: entry.name)
        listed = ", ".join(f"{entry.name.decode()}:{entry.type}" for entry in entries)
        if not plus:
            return {"names": listed}
        given = sorted(entry.name.decode() for entry in entries if entry.nodeid)
        return {"names": listed, "lookups": ", ".join(given)}


@dataclass
class FsComparison:
    """The outcome. compared: values that were held side by side."""

    steps: int = 0
    compared: int = 0
    differences: list[Difference] = field(default_factory=list)


async def compare(ours: FuseTarget, theirs: FuseTarget, steps: list[Step]) -> FsComparison:
    """Perform every step on both, one after the other."""
    left, right = _Side(ours), _Side(theirs)
    outcome = FsComparison()
    for number, step in enumerate(steps):
        unique = 2 * number + 2
        seen, wanted = await left.perform(step, unique), await right.perform(step, unique)
        outcome.steps += 1
        outcome.compared += len(seen.keys() | wanted.keys())
        outcome.differences += _differences(step.label, seen, wanted)
    return outcome


def _differences(label: str, ours: Mapping[str, Value], theirs: Mapping[str, Value]) -> Iterator[Difference]:
    if ours.get("error") != theirs.get("error"):  # all else follows from it
        yield Difference(label, "error", _verdict(ours), _verdict(theirs))
        return
    for name in [*ours, *(name for name in theirs if name not in ours)]:
        if ours.get(name) != theirs.get(name):
            yield Difference(label, name, _text(ours.get(name)), _text(theirs.get(name)))


def _verdict(seen: Mapping[str, Value]) -> str:
    return str(seen.get("error", f"used length {seen['used']}"))


def _text(value: Value | None) -> str | None:
    return None if value is None else str(value)


def error_name(error: int) -> str:
    """ENOENT for -2, ok for 0."""
    return errno.errorcode.get(-error, str(error)) if error else "ok"


def _room(step: Step, message: bytes) -> int:
    if step.room is not None:
        return step.room
    operation = OPERATIONS.get(step.opcode)
    if operation is None:
        return SMALLEST_ROOM
    if len(message) < operation.request_size:  # the structure that says how much is missing
        return SMALLEST_ROOM
    return operation.reply_limit(message)


def _attributes(attr: Any) -> dict[str, Value]:
    return {
        "mode": f"{attr.mode:o}",
        "nlink": attr.nlink,
        "size": "free" if stat.S_ISDIR(attr.mode) else attr.size,
        "uid": attr.uid,
        "gid": attr.gid,
        "rdev": attr.rdev,
    }


def _shown(data: bytes) -> str:
    """Short data whole, long data by its length and sum."""
    return data.hex() if len(data) <= 32 else f"{len(data)} bytes, {data[:4].hex()}..{data[-4:].hex()}, sum {sum(data)}"
