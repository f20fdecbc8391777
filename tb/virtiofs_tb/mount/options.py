"""How a mount differs from that of `make mount`: what tests of notifications need."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field

from virtiofs_tb.host.port import Straps
from virtiofs_tb.mount.errors import MountError

BUFFERS = 32
LOG_MIB = 32


@dataclass(frozen=True)
class Options:
    """straps: of the DPU, over those that the target sets. buffers: on the notification queue. deaf: notifications are
    taken from the queue, but not told to the kernel. log_mib: how much is kept of the observation log, beside its
    beginning.
    """

    straps: Straps = field(default_factory=Straps)
    buffers: int = BUFFERS
    deaf: bool = False
    log_mib: int = LOG_MIB

    def dump(self) -> str:
        """For another process; a tag cannot travel."""
        return json.dumps(asdict(self))

    @classmethod
    def load(cls, text: str) -> Options:
        """What `dump` made; "" for the usual ones. Raises MountError."""
        try:
            content = json.loads(text or "{}")
            return cls(**{**content, "straps": Straps(**content.get("straps", {}))})
        except (ValueError, TypeError) as error:
            raise MountError(f"options {text}: {error}") from error
