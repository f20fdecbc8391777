"""Codes of PCI Express transaction-layer packets (PCI Express Base Specification, sections 2.2.1 and 2.2.9)."""

from __future__ import annotations

from enum import IntEnum


class TlpKind(IntEnum):
    """What a packet is, whatever the size of its header. The value is Fmt[2:0] and Type[4:0] of its short form."""

    MRD = 0x00
    MRDLK = 0x01
    IORD = 0x02
    CFGRD0 = 0x04
    CFGRD1 = 0x05
    CPL = 0x0A
    CPLLK = 0x0B
    MSG = 0x30
    MWR = 0x40
    IOWR = 0x42
    CFGWR0 = 0x44
    CFGWR1 = 0x45
    CPLD = 0x4A
    FETCHADD = 0x4C
    SWAP = 0x4D
    CAS = 0x4E
    MSGD = 0x70
    UNKNOWN = 0xFF


FMT_4DW = 0x20
"""Bit of the Fmt/Type byte that says: four-dword header."""

FMT_DATA = 0x40
"""Bit of the Fmt/Type byte that says: with data."""

ROUTED_LOCAL = 4
"""Low bits of a message's Type that say: it ends at its receiver."""

POSTED = frozenset({TlpKind.MWR, TlpKind.MSG, TlpKind.MSGD})
"""Packets that nobody completes."""

COMPLETIONS = frozenset({TlpKind.CPL, TlpKind.CPLD, TlpKind.CPLLK})


class CompletionStatus(IntEnum):
    """Completion Status field (table 2-39)."""

    SC = 0
    UR = 1
    CRS = 2
    CA = 4


class MessageCode(IntEnum):
    """Message codes of INTx (table 2-21)."""

    ASSERT_INTA = 0x20
    DEASSERT_INTA = 0x24
