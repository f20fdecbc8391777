"""How fast a simulation runs and what memory it takes, sampled while it runs."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from resource import RUSAGE_SELF, getpagesize, getrusage

INTERVAL_S = 0.5
_STATM = Path("/proc/self/statm")


@dataclass(frozen=True)
class Work:
    """What a simulation has done so far; python_s, boards_s: seconds in Python, and in its scoreboards."""

    cycles: int
    tlps: int
    requests: int
    python_s: float
    boards_s: float


@dataclass(frozen=True)
class Sample:
    """One look at it. cpu_s: processor time of the process; memory_mib: resident now."""

    wall_s: float
    cpu_s: float
    memory_mib: float
    work: Work


class Meter:
    """Takes a sample every INTERVAL_S from `start` to `stop`. work: tells what was done so far."""

    def __init__(self, work: Callable[[], Work]) -> None:
        self.samples: list[Sample] = []
        self._work = work
        self._next_s = float("inf")

    def start(self) -> None:
        self._next_s = 0.0

    def stop(self) -> None:
        self._next_s = float("inf")

    def look(self) -> None:
        """To be called often: takes a sample where one is due."""
        now = time.monotonic()
        if now >= self._next_s:
            self._next_s = now + INTERVAL_S
            self.samples.append(Sample(now, time.process_time(), memory_mib(), self._work()))

    def rates(self) -> dict[str, float]:
        """Rates and shares from the first sample to the last, for Summary.window; nothing where there are not two."""
        if len(self.samples) < 2:
            return {}
        first, last = self.samples[0], self.samples[-1]
        wall, cpu = last.wall_s - first.wall_s, last.cpu_s - first.cpu_s
        before, after = first.work, last.work
        requests = after.requests - before.requests
        middle = self.samples[len(self.samples) // 2]
        return {
            "seconds": wall,
            "requests/s": requests / wall,
            "TLPs/s": (after.tlps - before.tlps) / wall,
            "cycles/s": (after.cycles - before.cycles) / wall,
            "requests a CPU second": requests / cpu,
            "% of a CPU": 100 * cpu / wall,
            "% in Python": 100 * (after.python_s - before.python_s) / wall,
            "% in scoreboards": 100 * (after.boards_s - before.boards_s) / wall,
            "MiB at its start": first.memory_mib,
            "MiB half way": middle.memory_mib,
            "MiB at its end": last.memory_mib,
        }


def memory_mib() -> float:
    """Resident memory of this process; its peak where the system does not tell."""
    if _STATM.exists():
        return int(_STATM.read_text().split()[1]) * getpagesize() / (1 << 20)
    return getrusage(RUSAGE_SELF).ru_maxrss / 1024
