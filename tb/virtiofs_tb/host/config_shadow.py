"""What the root port learns of the endpoint by watching configuration accesses pass: BARs, payload size, boundary.

A real root complex is told these things by the same system software that writes them to the endpoint.
"""

from __future__ import annotations

from ctypes import sizeof

from virtiofs_model.layouts.pci import DEVCTL_MPS_SHIFT, LNKCTL_RCB, PciCapId, PciExpressCap

_CAP_POINTER = 0x34
_BARS = range(0x10, 0x28)


class ConfigShadow:
    """Function 0's settings, as far as they were written.

    bars: (function, BAR) -> address, filled by the root port. max_payload: Max_Payload_Size in bytes.
    rcb_128: Link Control says that the read completion boundary is 128.
    """

    def __init__(self) -> None:
        self.bars: dict[tuple[int, int], int] = {}
        self._seen: dict[int, int] = {}  # configuration space by byte, as read or written
        self.max_payload = 128
        self.rcb_128 = False

    def observe_read(self, fn: int, offset: int, data: bytes) -> None:
        """These bytes of configuration space were read."""
        if fn == 0:
            self._seen.update(enumerate(data, offset))

    def observe_write(self, fn: int, offset: int, data: bytes) -> None:
        """These bytes of configuration space were written."""
        if offset in _BARS:
            for bar in range(6):
                self.bars.pop((fn, bar), None)
        if fn != 0:
            return
        express = self._express()
        if express is None or not express <= offset < express + sizeof(PciExpressCap):
            return
        for at, byte in enumerate(data, offset - express):
            if at == PciExpressCap.devctl.offset:
                self.max_payload = 128 << (byte >> DEVCTL_MPS_SHIFT & 7)
            elif at == PciExpressCap.lnkctl.offset:
                self.rcb_128 = bool(byte & LNKCTL_RCB)

    def _express(self) -> int | None:
        """Offset of the PCI Express capability, if the driver has walked the list up to it."""
        offset = self._seen.get(_CAP_POINTER, 0)
        for _ in range(48):
            cap_id = self._seen.get(offset) if offset else None
            if cap_id is None:
                return None
            if cap_id == PciCapId.EXPRESS:
                return offset
            offset = self._seen.get(offset + 1, 0)
        return None
