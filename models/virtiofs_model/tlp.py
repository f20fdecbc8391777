"""Codec of transaction-layer packets: four header dwords and payload bytes <-> `Tlp`.

A header dword is an int with byte 0 of the wire in bits 31:24, as the PCIe tables draw it; the fourth is 0 for a
3-dword header. Payload is whole dwords in address order, disabled bytes included. This runs for every packet of a
simulation: it avoids enum construction and keeps `Tlp` flat.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from virtiofs_model.layouts.tlp import FMT_4DW, ROUTED_LOCAL, CompletionStatus, MessageCode, TlpKind

Header = tuple[int, int, int, int]

_KIND: list[TlpKind] = [TlpKind.UNKNOWN] * 256
for _kind in (TlpKind.MRD, TlpKind.MRDLK, TlpKind.MWR, TlpKind.FETCHADD, TlpKind.SWAP, TlpKind.CAS):
    _KIND[_kind] = _kind
    _KIND[_kind | FMT_4DW] = _kind
for _kind in (TlpKind.IORD, TlpKind.IOWR, TlpKind.CFGRD0, TlpKind.CFGRD1, TlpKind.CFGWR0, TlpKind.CFGWR1):
    _KIND[_kind] = _kind
for _kind in (TlpKind.CPL, TlpKind.CPLD, TlpKind.CPLLK):
    _KIND[_kind] = _kind
for _routing in range(8):
    _KIND[TlpKind.MSG + _routing] = TlpKind.MSG
    _KIND[TlpKind.MSGD + _routing] = TlpKind.MSGD

_CPL, _CPLD, _CPLLK = TlpKind.CPL, TlpKind.CPLD, TlpKind.CPLLK
_MSG, _MSGD = TlpKind.MSG, TlpKind.MSGD
_CONFIG = (TlpKind.CFGRD0, TlpKind.CFGRD1, TlpKind.CFGWR0, TlpKind.CFGWR1)


class TlpError(ValueError):
    """A packet that breaks the format: the message names the field."""


@dataclass(slots=True)
class Tlp:
    """One packet.

    address: memory and I/O: byte address of the first dword; configuration: register offset in bytes (0..4092).
    requester_id, completer_id: bus[15:8] device[7:3] function[2:0]; completer_id of a configuration request is the
    function that it addresses. length_dw: 1..1024 (0 for a packet whose Length field is reserved).
    byte_count: 1..4096, remaining bytes with this completion. ep: poisoned.
    """

    kind: TlpKind
    address: int = 0
    requester_id: int = 0
    tag: int = 0
    first_be: int = 0
    last_be: int = 0
    length_dw: int = 0
    payload: bytes = b""
    completer_id: int = 0
    status: int = 0
    byte_count: int = 0
    lower_address: int = 0
    ep: bool = False
    message_code: int = 0
    fmt_type: int = 0


def decode(header: Header, payload: bytes = b"") -> Tlp:
    """Header dwords and payload as a Tlp; a code that is not known gives TlpKind.UNKNOWN with the raw fields."""
    dw0, dw1, dw2, dw3 = header
    fmt_type = dw0 >> 24
    kind = _KIND[fmt_type]
    length = (dw0 & 0x3FF) or 1024
    ep = bool(dw0 & 0x4000)
    if kind is _CPLD or kind is _CPL or kind is _CPLLK:
        return Tlp(
            kind, 0, dw2 >> 16, (dw2 >> 8) & 0xFF, 0, 0, length if kind is _CPLD else 0, payload,
            dw1 >> 16, (dw1 >> 13) & 7, (dw1 & 0xFFF) or 4096, dw2 & 0x7F, ep, 0, fmt_type,
        )  # fmt: skip
    if kind is _MSG or kind is _MSGD:
        return Tlp(
            kind, (dw2 << 32) | dw3, dw1 >> 16, (dw1 >> 8) & 0xFF, 0, 0, length if kind is _MSGD else 0, payload,
            0, 0, 0, 0, ep, dw1 & 0xFF, fmt_type,
        )  # fmt: skip
    if kind in _CONFIG:
        return Tlp(
            kind, dw2 & 0xFFC, dw1 >> 16, (dw1 >> 8) & 0xFF, dw1 & 0xF, (dw1 >> 4) & 0xF, length, payload,
            dw2 >> 16, 0, 0, 0, ep, 0, fmt_type,
        )  # fmt: skip
    address = ((dw2 << 32) | dw3) if fmt_type & FMT_4DW else dw2
    return Tlp(
        kind, address & ~3, dw1 >> 16, (dw1 >> 8) & 0xFF, dw1 & 0xF, (dw1 >> 4) & 0xF, length, payload,
        0, 0, 0, 0, ep, 0, fmt_type,
    )  # fmt: skip


def encode(tlp: Tlp) -> tuple[Header, bytes]:
    """The header dwords and payload of a Tlp.

    The header has four dwords exactly where the address needs them (3-dword headers are mandatory below 4 GiB,
    PCIe 2.2.4.1). Raises TlpError on a length that the field cannot hold.
    """
    kind = tlp.kind
    if kind is TlpKind.UNKNOWN or not 0 <= tlp.length_dw <= 1024:
        raise TlpError(f"cannot encode {kind.name} with length_dw {tlp.length_dw}")
    dw0 = (kind << 24) | (tlp.length_dw & 0x3FF) | (0x4000 if tlp.ep else 0)
    if kind is _CPLD or kind is _CPL or kind is _CPLLK:
        dw1 = (tlp.completer_id << 16) | (tlp.status << 13) | (tlp.byte_count & 0xFFF)
        return (dw0, dw1, (tlp.requester_id << 16) | (tlp.tag << 8) | tlp.lower_address, 0), tlp.payload
    if kind is _MSG or kind is _MSGD:
        routing = (tlp.fmt_type & 7) << 24
        dw1 = (tlp.requester_id << 16) | (tlp.tag << 8) | tlp.message_code
        return (dw0 | routing, dw1, tlp.address >> 32, tlp.address & 0xFFFFFFFF), tlp.payload
    dw1 = (tlp.requester_id << 16) | (tlp.tag << 8) | (tlp.last_be << 4) | tlp.first_be
    if kind in _CONFIG:
        return (dw0, dw1, (tlp.completer_id << 16) | (tlp.address & 0xFFC), 0), tlp.payload
    address = tlp.address & ~3
    if address >> 32:
        return (dw0 | (FMT_4DW << 24), dw1, address >> 32, address & 0xFFFFFFFF), tlp.payload
    return (dw0, dw1, address, 0), tlp.payload


# ---- byte enables ----


def byte_enables(address: int, size: int) -> tuple[int, int, int]:
    """First byte enables, last byte enables and dword count of `size` bytes at `address`.

    size 0 is the zero-length access: one dword with no byte enabled.
    """
    start = address & 3
    if size == 0:
        return 0, 0, 1
    end = start + size
    dwords = (end + 3) >> 2
    first = (0xF << start) & 0xF
    last = 0xF >> ((4 - (end & 3)) & 3)
    if dwords == 1:
        return first & last, 0, 1
    return first, last, dwords


_LEADING = [0, 0, 1, 0, 2, 0, 1, 0, 3, 0, 1, 0, 2, 0, 1, 0]
"""First enabled byte of four enables (0 where none is, PCIe table 2-41)."""
_TOP = [0, 1, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 4, 4, 4, 4]
"""Last enabled byte plus one."""


def enabled_range(tlp: Tlp) -> tuple[int, int]:
    """Byte address of the first enabled byte and bytes up to the last enabled one, holes included (0 if none)."""
    return enabled_bytes(tlp.address, tlp.length_dw, tlp.first_be, tlp.last_be)


def enabled_bytes(address: int, dwords: int, first: int, last: int) -> tuple[int, int]:
    """The same for a request of `dwords` at the dword address, with the enables of its first and last dword."""
    lead = _LEADING[first]
    return address + lead, (dwords - 1) * 4 + _TOP[last if dwords > 1 else first] - lead


def byte_count(tlp: Tlp) -> int:
    """Byte Count of the first completion of a memory read (PCIe table 2-40); a zero-length read counts 1."""
    return enabled_range(tlp)[1] or 1


def lower_address(tlp: Tlp) -> int:
    """Lower Address of the first completion of a memory read (PCIe table 2-41)."""
    return (tlp.address + _LEADING[tlp.first_be]) & 0x7F


def write_runs(tlp: Tlp) -> Iterator[tuple[int, bytes]]:
    """The enabled bytes of a write as (byte address, bytes), one for each gapless run."""
    first, last, dwords = tlp.first_be, tlp.last_be, tlp.length_dw
    if dwords == 1:
        yield from _runs(tlp.address, tlp.payload, first)
        return
    start, size = enabled_range(tlp)
    contiguous = first in (0xF, 0xE, 0xC, 0x8) and last in (0xF, 0x7, 0x3, 0x1)
    if contiguous:
        offset = start - tlp.address
        yield start, tlp.payload[offset : offset + size]
        return
    tail = (dwords - 1) * 4
    yield from _runs(tlp.address, tlp.payload[:4], first)
    if dwords > 2:
        yield tlp.address + 4, tlp.payload[4:tail]
    yield from _runs(tlp.address + tail, tlp.payload[tail:], last)


def _runs(address: int, data: bytes, enables: int) -> Iterator[tuple[int, bytes]]:
    index = 0
    while index < 4:
        if enables >> index & 1:
            end = index
            while end < 4 and enables >> end & 1:
                end += 1
            yield address + index, data[index:end]
            index = end
        else:
            index += 1


# ---- whole packets ----


def memory_read(address: int, size: int, requester_id: int, tag: int) -> Tlp:
    """A memory read of `size` bytes (0: zero-length read)."""
    first, last, dwords = byte_enables(address, size)
    return Tlp(TlpKind.MRD, address & ~3, requester_id, tag, first, last, dwords)


def memory_write(address: int, data: bytes, requester_id: int, tag: int = 0) -> Tlp:
    """A memory write of `data`, padded to dwords with disabled bytes."""
    first, last, dwords = byte_enables(address, len(data))
    lead = address & 3
    payload = bytes(lead) + data
    payload += bytes(dwords * 4 - len(payload))
    return Tlp(TlpKind.MWR, address & ~3, requester_id, tag, first, last, dwords, payload)


def interrupt_message(code: MessageCode, requester_id: int) -> Tlp:
    """Assert_INTx or Deassert_INTx: a message without data that ends at its receiver (PCIe 2.2.8.1)."""
    return Tlp(TlpKind.MSG, 0, requester_id, message_code=code, fmt_type=TlpKind.MSG | ROUTED_LOCAL)


def config_read(target: int, offset: int, size: int, requester_id: int, tag: int) -> Tlp:
    """A type 0 configuration read of 1, 2 or 4 bytes within one dword."""
    return Tlp(TlpKind.CFGRD0, offset & ~3, requester_id, tag, byte_enables(offset, size)[0], 0, 1, b"", target)


def config_write(target: int, offset: int, size: int, value: int, requester_id: int, tag: int) -> Tlp:
    """A type 0 configuration write of 1, 2 or 4 bytes within one dword."""
    payload = (value << (8 * (offset & 3))).to_bytes(4, "little")
    enables = byte_enables(offset, size)[0]
    return Tlp(TlpKind.CFGWR0, offset & ~3, requester_id, tag, enables, 0, 1, payload, target)


def completion(request: Tlp, completer_id: int, payload: bytes | None, status: int = CompletionStatus.SC) -> Tlp:
    """The only completion of a request. payload: whole dwords, None for a completion without data."""
    is_read = request.kind in (TlpKind.MRD, TlpKind.MRDLK)
    count = byte_count(request) if is_read else 4
    lower = lower_address(request) if is_read and status == CompletionStatus.SC else 0
    kind = TlpKind.CPL if payload is None else TlpKind.CPLD
    return Tlp(
        kind, 0, request.requester_id, request.tag, 0, 0, len(payload or b"") // 4, payload or b"",
        completer_id, status, count, lower,
    )  # fmt: skip


def split_completions(request: Tlp, completer_id: int, data: bytes, cuts: Iterator[int] | list[int]) -> list[Tlp]:
    """Successful completions of a memory read.

    data: the bytes of the whole dwords asked for. cuts: ascending byte addresses, multiples of the read completion
    boundary inside the request, at which a new completion begins.
    """
    start, size = enabled_range(request)
    size = size or 1
    end = request.address + 4 * request.length_dw
    edges = [request.address, *(cut for cut in cuts if request.address < cut < end), end]
    result = []
    for low, high in pairwise(edges):
        first = max(low, start)
        chunk = data[low - request.address : high - request.address]
        result.append(
            Tlp(
                TlpKind.CPLD, 0, request.requester_id, request.tag, 0, 0, len(chunk) // 4, chunk,
                completer_id, CompletionStatus.SC, start + size - first, first & 0x7F,
            )
        )  # fmt: skip
    return result


def completion_bytes(tlp: Tlp) -> bytes:
    """The requested bytes that a CplD of a memory read carries, without the padding of its dwords."""
    lead = tlp.lower_address & 3
    room = len(tlp.payload) - lead
    return tlp.payload[lead : lead + min(room, tlp.byte_count)]
