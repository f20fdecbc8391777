"""A packet as a person reads it."""

from __future__ import annotations

from virtiofs_model.layouts.tlp import CompletionStatus, MessageCode, TlpKind
from virtiofs_model.tlp import completion_bytes, decode, enabled_range
from virtiofs_tb.host.log import Channel, Record

SHOWN_BYTES = 16


def describe(record: Record) -> str:
    """Channel, kind, place, size and first bytes of a packet's record."""
    tlp = decode(record.hdr, record.payload)
    parts = [Channel(record.channel).name.lower(), tlp.kind.name]
    if tlp.kind in (TlpKind.CPL, TlpKind.CPLD):
        data = completion_bytes(tlp)
        parts.append(f"{len(data)} of {tlp.byte_count} bytes, tag {tlp.tag}")
        if tlp.status:
            known = tlp.status in CompletionStatus.__members__.values()
            parts.append(f"status {CompletionStatus(tlp.status).name if known else tlp.status}")
    elif tlp.kind in (TlpKind.MSG, TlpKind.MSGD):
        known = tlp.message_code in MessageCode.__members__.values()
        parts.append(MessageCode(tlp.message_code).name if known else f"code {tlp.message_code:#04x}")
        data = record.payload
    else:
        start, size = enabled_range(tlp)
        data = record.payload[start - tlp.address :][:size] if record.payload else b""
        parts.append(f"{start:#x} {size} bytes" + ("" if data else f", tag {tlp.tag}"))
    if tlp.ep:
        parts.append("poisoned")
    if data:
        parts.append(data[:SHOWN_BYTES].hex(" ", 4) + (" ..." if len(data) > SHOWN_BYTES else ""))
    return "  ".join(parts)
