"""What the DPU gets of a driver's answer to RETRIEVE (docs/dpu-port.md)."""

from __future__ import annotations

from virtiofs_model.defects import Defect
from virtiofs_model.endpoint.core import Core
from virtiofs_model.layouts.dpu import RETRIEVED_BYTES


class Retrieved:
    """One NOTIFY_REPLY, until the DPU has taken it. It outlives resets of the device. lost: another one came."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._kept = b""
        self._read = 0
        self.lost = False

    @property
    def length(self) -> int:
        """RETRIEVED_LENGTH."""
        return len(self._kept)

    def keep(self, message: bytes) -> None:
        """A NOTIFY_REPLY came."""
        if self._kept:
            self.lost = True
            if self._core.defect is not Defect.RETRIEVE_OVERWRITTEN:
                return
        limit = RETRIEVED_BYTES // 2 if self._core.defect is Defect.RETRIEVE_TRUNCATED else RETRIEVED_BYTES
        self._kept, self._read = message[:limit], 0

    def take(self) -> int:
        """RETRIEVED_DATA: the next dword; 0 behind the end."""
        dword = self._kept[self._read : self._read + 4]
        self._read += 4
        return int.from_bytes(dword, "little")

    def forget(self) -> None:
        """RETRIEVED_TAKEN."""
        self._kept, self._read, self.lost = b"", 0, False
