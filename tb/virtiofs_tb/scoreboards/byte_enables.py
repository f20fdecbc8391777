"""Byte enables of memory requests (PCIe 2.2.5): what a First or Last DW BE leaves out."""

from __future__ import annotations

from virtiofs_tb.host.log import Record

SKIP = [0 if not be else (be & -be).bit_length() - 1 for be in range(16)]
"""Bytes that a First DW BE leaves out at the start."""
TAIL = [0 if not be else 4 - be.bit_length() for be in range(16)]
"""Bytes that a Last DW BE leaves out at the end."""
CONTIGUOUS = [be == 0 or (be >> SKIP[be]) + 1 & be >> SKIP[be] == 0 for be in range(16)]
"""Whether the enabled bytes are one run."""


def enabled(record: Record) -> tuple[int, int]:
    """Offset of the first byte that a memory request enables, and how many there are up to the last one."""
    first, last, length = record.be & 15, record.be >> 4, record.hdr[0] & 0x3FF or 1024
    if not first:
        return 0, 0
    skip = SKIP[first]
    return skip, 4 * length - skip - (TAIL[last] if length > 1 else TAIL[first])
