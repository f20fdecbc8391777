"""Two messages byte for byte: where they differ, with the names of the fields that are there."""

from __future__ import annotations

from collections.abc import Iterator
from ctypes import sizeof
from dataclasses import dataclass
from typing import Any

from virtiofs_model.layouts import fuse
from virtiofs_model.layouts.fuse_constants import NotifyCode
from virtiofs_model.layouts.fuse_operations import OPERATIONS
from virtiofs_tb.scoreboards.field_names import Field, fields_of

REQUEST, REPLY, NOTIFICATION = "request", "reply", "notification"
WINDOW = 16  # bytes shown of a part that has no fields
SHOWN = 6  # rows


@dataclass(frozen=True)
class Row:
    """One field, or a piece of what has none. expected, seen: its bytes in hex, and its value where it is a number."""

    offset: int
    name: str
    expected: str
    seen: str


@dataclass(frozen=True)
class Difference:
    """What differs between two messages. title: what they are; more: differing places that are not in `rows`."""

    title: str
    rows: list[Row]
    more: int


def difference(kind: str, opcode: int, expected: bytes, seen: bytes) -> Difference | None:
    """Compare two messages of a kind (opcode: of a request or its reply); None where they are the same."""
    if expected == seen:
        return None
    size = max(len(expected), len(seen))
    rows = []
    for offset, length, name in _parts(_layout(kind, opcode, expected), size):
        one, other = expected[offset : offset + length], seen[offset : offset + length]
        if one != other:
            rows.append(_row(offset, name, one, other))
    title = f"{kind}: expected {len(expected)} bytes, seen {len(seen)}"
    return Difference(title, rows[:SHOWN], max(0, len(rows) - SHOWN))


def _row(offset: int, name: str, expected: bytes, seen: bytes) -> Row:
    return Row(offset, name or "data", _value(name, expected), _value(name, seen))


def _value(name: str, data: bytes) -> str:
    if not data:
        return "nothing"
    text = data.hex(" ")
    return f"{text} = {int.from_bytes(data, 'little')}" if name and len(data) in (2, 4, 8) else text


def _parts(layout: list[Field], size: int) -> Iterator[Field]:
    """The fields, long ones in pieces, then windows of what follows them."""
    end = 0
    for offset, length, name in layout:
        if offset < size:
            end = offset + length
            if length <= WINDOW:
                yield offset, length, name
                continue
            for at in range(offset, end, WINDOW):
                yield at, min(WINDOW, end - at), f"{name}+{at - offset}"
    for offset in range(end, size, WINDOW):
        yield offset, WINDOW, ""


def _layout(kind: str, opcode: int, message: bytes) -> list[Field]:
    """Fields of a whole message, header first."""
    operation = OPERATIONS.get(opcode)
    structures: list[type[Any]] = [fuse.FuseInHeader if kind == REQUEST else fuse.FuseOutHeader]
    if kind == REQUEST and operation is not None and operation.request is not None:
        structures.append(operation.request)
    elif kind == REPLY and operation is not None and len(message) > sizeof(fuse.FuseOutHeader):
        structures += operation.reply
    elif kind == NOTIFICATION:
        structures += _notification(int.from_bytes(message[4:8], "little"))
    fields: list[Field] = []
    at = 0
    for structure in structures:
        fields += [(at + offset, size, name) for offset, size, name in fields_of(structure)]
        at += sizeof(structure)
    return fields


def _notification(code: int) -> list[type[Any]]:
    if code not in NotifyCode.__members__.values():
        return []
    words = NotifyCode(code).name.title().replace("_", "")
    found = getattr(fuse, f"FuseNotify{words}Out", None)
    return [found] if found is not None else []
