"""The form of a completion that the endpoint sends: what its header must say, given the request (PCIe 2.2.9)."""

from __future__ import annotations

from virtiofs_tb.host.log import Header, Record

CPL, CPLD = 0x0A, 0x4A
MRD, MRD64, CFGRD0 = 0x00, 0x20, 0x04
_ECHOED = 0x00743000  # TC and Attr, which repeat those of the request
_ZERO = 0x008B8C00  # T9, T8, LN, TH, TD, AT
_POISON = 0x00004000
_STATUSES = (0, 1, 2, 4)  # SC, UR, RRS, CA
_LEAD = [0, 0, 1, 0, 2, 0, 1, 0, 3, 0, 1, 0, 2, 0, 1, 0]  # first enabled byte by First DW BE
_TOP = [0, 1, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 4, 4, 4, 4]  # end of the last one

Problem = tuple[str, str, str]
"""Field, expected, seen."""


def problem(record: Record, request: Header, given: int, completer: int) -> Problem | None:
    """What is wrong with a completion of `request`, of which `given` bytes were completed before (None: nothing).

    completer: bus, device and function number of the endpoint.
    """
    dw0, dw1, dw2, _ = record.hdr
    fmt_type, status = dw0 >> 24, dw1 >> 13 & 7
    asked = request[0] >> 24
    memory = asked in (MRD, MRD64)
    data = status == 0 and (memory or asked == CFGRD0)
    if fmt_type != (CPLD if data else CPL):
        return "Fmt/Type", f"{CPLD if data else CPL:#04x}", f"{fmt_type:#04x}"
    if status not in _STATUSES:
        return "Completion Status", "0, 1, 2 or 4", f"{status}"
    if dw0 & _ZERO or (dw0 ^ request[0]) & _ECHOED:
        return "TC, Attr and reserved bits", f"{request[0] & _ECHOED:#010x}", f"{dw0 & (_ZERO | _ECHOED):#010x}"
    if dw0 & _POISON:
        return "EP", "0", "1"
    if dw1 & 0x1000:
        return "BCM", "0", "1"
    if dw2 & 0x80:
        return "reserved bit before Lower Address", "0", "1"
    if dw2 >> 16 != request[1] >> 16:
        return "Requester ID", f"{request[1] >> 16:#06x}", f"{dw2 >> 16:#06x}"
    if dw1 >> 16 != completer:
        return "Completer ID", f"{completer:#06x}", f"{dw1 >> 16:#06x}"
    return _amount(record, request, given) if memory else _fixed(record, data)


def _fixed(record: Record, data: bool) -> Problem | None:
    """Byte Count, Lower Address and Length where the request was no memory read."""
    dw0, dw1, dw2, _ = record.hdr
    if dw1 & 0xFFF != 4:
        return "Byte Count", "4", f"{dw1 & 0xFFF}"
    if dw2 & 0x7F:
        return "Lower Address", "0", f"{dw2 & 0x7F:#x}"
    if dw0 & 0x3FF != data:
        return "Length", f"{int(data)}", f"{dw0 & 0x3FF}"
    return None


def _amount(record: Record, request: Header, given: int) -> Problem | None:
    """The same for the completion of a memory read; Byte Count counts what remains."""
    dw0, dw1, dw2, _ = record.hdr
    dwords = request[0] & 0x3FF or 1024
    first, last = request[1] & 15, request[1] >> 4 & 15
    address = request[3 if request[0] >> 24 == MRD64 else 2] & ~3
    total = (4 * (dwords - 1) + _TOP[last] if dwords > 1 else _TOP[first]) - _LEAD[first] if first else 1
    remaining = total - given
    start = address + (_LEAD[first] if first else 0) + given
    count, low, length = dw1 & 0xFFF or 4096, dw2 & 0x7F, dw0 & 0x3FF
    if dw1 >> 13 & 7:
        return None  # the last completion of the request; nothing is read from these fields
    if count != remaining:
        return "Byte Count", f"{remaining}", f"{count}"
    if low != start & 0x7F:
        return "Lower Address", f"{start & 0x7F:#x}", f"{low:#x}"
    most = (start & 3) + remaining + 3 >> 2
    if not 0 < (length or 1024) <= most or len(record.payload) != 4 * (length or 1024):
        return "Length", f"at most {most}, and as many dwords", f"{length} and {len(record.payload)} bytes"
    return None
