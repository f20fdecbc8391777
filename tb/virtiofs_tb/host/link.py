"""The link between root port and endpoint: how packets go out, and where what the endpoint does wrong is noted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from virtiofs_model.layouts.tlp import FMT_4DW
from virtiofs_model.tlp import Header
from virtiofs_tb.host.log import Channel, Record

HOST_ID = 0x0000  # bus 0, device 0, function 0: requester and completer
DEVICE_BUS = 1


class Link(Protocol):
    """The way to the endpoint. Packets of a channel arrive in the order of the calls, none before `due_ps`."""

    def send(self, channel: int, hdr: Header, payload: bytes, due_ps: int = 0) -> None: ...


@dataclass(frozen=True)
class Violation:
    """Something that an endpoint must not do."""

    t_ps: int
    text: str


class Violations(list[Violation]):
    """What the endpoint did wrong, in the order in which it was seen."""

    def add(self, record: Record, text: str) -> None:
        """Note what was wrong with a packet."""
        channel = Channel(record.channel).name
        self.append(Violation(record.t_ps, f"{channel} packet {record.seq}: {text}"))

    def check_memory_request(self, record: Record, dwords: int) -> None:
        """Format rules of a memory request that do not keep it from being served."""
        dw0, dw1, dw2, _ = record.hdr
        first, last = dw1 & 0xF, dw1 >> 4 & 0xF
        if (record.address & 0xFFF) + 4 * dwords > 0x1000:
            self.add(record, f"{4 * dwords} bytes at 0x{record.address:x} cross 4 KiB (PCIe 2.2.7)")
        if dw0 >> 24 & FMT_4DW and dw2 == 0:
            self.add(record, f"four-dword header for 0x{record.address:x}, below 4 GiB (PCIe 2.2.4.1)")
        if last if dwords == 1 else not (first and last):
            self.add(record, f"byte enables first 0x{first:x}, last 0x{last:x} with Length {dwords} (PCIe 2.2.5)")
