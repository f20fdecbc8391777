"""What is different between two replies to a FUSE request, in words."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from ctypes import Structure, sizeof
from typing import Any

from virtiofs_model.layouts import fuse
from virtiofs_model.layouts.fuse_constants import Opcode
from virtiofs_model.layouts.fuse_operations import (
    OPERATIONS,
    OUT_HEADER_SIZE,
    DirectoryEntry,
    ReplyKind,
    directory_entries,
)
from virtiofs_model.ramfs import NOT_YET

Difference = tuple[str, str, str]
"""What it is, expected, seen."""

_LISTINGS = (Opcode.READDIR, Opcode.READDIRPLUS)


def opcode_name(message: bytes) -> str:
    """The opcode of a request by name."""
    opcode = int.from_bytes(message[4:8], "little")
    return OPERATIONS[opcode].opcode.name if opcode in OPERATIONS else f"opcode {opcode}"


def subject(message: bytes) -> str:
    """What a request asks for, short: its opcode, its inode, its first name."""
    opcode = int.from_bytes(message[4:8], "little")
    nodeid = int.from_bytes(message[16:24], "little")
    text = f"{opcode_name(message)} of node {nodeid:#x}" if nodeid >> 32 else f"{opcode_name(message)} of node {nodeid}"
    operation = OPERATIONS.get(opcode)
    if operation is not None and operation.names:
        name = message[operation.request_size :].split(b"\0", 1)[0]
        text += f", name {name[:40]!r}"
    return text


def errno_name(error: int) -> str:
    """-errno by name, "success" for 0."""
    return errno.errorcode.get(-error, str(error)) if error else "success"


def reply_text(reply: bytes | None) -> str:
    """A reply, short."""
    if reply is None:
        return "used length 0"
    if reply == NOT_YET:
        return "none yet, since it waits for a lock"
    if len(reply) < OUT_HEADER_SIZE:
        return f"{len(reply)} bytes"
    error = int.from_bytes(reply[4:8], "little", signed=True)
    return f"{errno_name(error)} in {len(reply)} bytes"


def difference(message: bytes, expected: bytes | None, seen: bytes | None) -> Difference:
    """The first difference between the reply expected and another one."""
    if expected is None or seen is None or min(len(expected), len(seen)) < OUT_HEADER_SIZE:
        return "reply", reply_text(expected), reply_text(seen)
    for field in ("error", "unique"):
        mine, other = (getattr(fuse.FuseOutHeader.from_buffer_copy(reply), field) for reply in (expected, seen))
        if mine != other:
            return (field, errno_name(mine), errno_name(other)) if field == "error" else (field, f"{mine}", f"{other}")
    opcode = int.from_bytes(message[4:8], "little")
    if opcode in _LISTINGS:
        found = _listing(expected[OUT_HEADER_SIZE:], seen[OUT_HEADER_SIZE:], opcode == Opcode.READDIRPLUS)
        if found is not None:
            return found
    if len(expected) != len(seen):
        return "length of the reply", f"{len(expected)}", f"{len(seen)}"
    operation = OPERATIONS.get(opcode)
    if operation is not None and operation.kind is ReplyKind.STRUCT:
        found = _structures(operation.reply, expected, seen)
        if found is not None:
            return found
    at = next((at for at in range(len(expected)) if expected[at] != seen[at]), 0)
    return f"byte {at} of the reply", f"{expected[at]:#04x}", f"{seen[at]:#04x}"


def _structures(structures: tuple[type[Any], ...], expected: bytes, seen: bytes) -> Difference | None:
    at = OUT_HEADER_SIZE
    for structure in structures:
        mine, other = (structure.from_buffer_copy(reply, at) for reply in (expected, seen))
        for pair in zip(_fields(mine, structure.__name__), _fields(other, structure.__name__), strict=True):
            (name, value), (_, found) = pair
            if value != found:
                return name, _shown(name, value), _shown(name, found)
        at += sizeof(structure)
    return None


def _fields(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Every scalar of a structure, by its full name."""
    if not isinstance(value, Structure):
        yield name, value if isinstance(value, int) else bytes(value)
        return
    for field, *_ in type(value)._fields_:
        yield from _fields(getattr(value, field), f"{name}.{field}")


def _shown(name: str, value: Any) -> str:
    if isinstance(value, int):
        return f"{value:#o}" if name.endswith(".mode") else f"{value:#x}" if value >> 32 else f"{value}"
    return repr(value)


def _listing(expected: bytes, seen: bytes, plus: bool) -> Difference | None:
    try:
        mine, other = list(directory_entries(expected, plus)), list(directory_entries(seen, plus))
    except ValueError as error:
        return "records of the listing", "whole ones", str(error)
    for number, (first, second) in enumerate(zip(mine, other, strict=False)):
        if first != second:
            return f"record {number} of the listing", _entry(first), _entry(second)
    if len(mine) != len(other):
        longer = mine if len(mine) > len(other) else other
        return (
            f"records of the listing (from {longer[min(len(mine), len(other))].name!r} on)",
            f"{len(mine)}",
            f"{len(other)}",
        )
    return None


def _entry(entry: DirectoryEntry) -> str:
    return f"{entry.name!r} type {entry.type} ino {entry.ino:#x} cookie {entry.cookie:#x} nodeid {entry.nodeid:#x}"
