"""What went through a mount, as it is told at its end."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

FILE = "traffic.json"


@dataclass
class Traffic:
    """requests, notifications: how many, by name. busy_s: wall-clock seconds in which something was asked or owed.

    cpu_s: processor time of the mount's process, in which everything but the program that uses the mount happens: what
    the rate is on a machine that others use too. notice: why the mount could not be taken away at once, if so.
    """

    requests: dict[str, int] = field(default_factory=dict)
    notifications: dict[str, int] = field(default_factory=dict)
    busy_s: float = 0.0
    cpu_s: float = 0.0
    notice: str = ""

    @property
    def rate(self) -> float:
        """Requests a second of busy time."""
        return sum(self.requests.values()) / self.busy_s if self.busy_s else 0.0

    @property
    def cpu_rate(self) -> float:
        """Requests a second of processor time."""
        return sum(self.requests.values()) / self.cpu_s if self.cpu_s else 0.0

    @property
    def text(self) -> str:
        """For a person."""
        count, messages = sum(self.requests.values()), sum(self.notifications.values())
        line = f"{count:,} requests of the kernel in {self.busy_s:.1f} s of work: {self.rate:,.0f} a second"
        line += f", {self.cpu_rate:,.0f} a second of processor time"
        line += f"; {messages:,} notifications to it"
        return f"{line}\n{self.notice}" if self.notice else line

    def write(self, run_dir: Path) -> None:
        (run_dir / FILE).write_text(json.dumps(asdict(self)) + "\n")

    @classmethod
    def read(cls, run_dir: Path) -> Traffic | None:
        """None where the run did not come so far."""
        try:
            return cls(**json.loads((run_dir / FILE).read_text()))
        except FileNotFoundError:
            return None
