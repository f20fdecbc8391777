"""How the host behaves in time: latencies, how completions are cut, how fast the driver stores."""

from __future__ import annotations

import math
from dataclasses import dataclass

_exp = math.exp


@dataclass(frozen=True)
class Timing:
    """Times are ps; a mean is that of a log-uniform distribution whose longest value is `spread` x its shortest.

    read_latency_ps: from a device's read request to its first completion. reorder: completions of different reads
    may overtake each other. split_percent: chance that a completion ends before it must, at a boundary drawn evenly.
    gap_percent, gap_ps: chance of a pause, and its mean, between two completions of a read.
    rcb: read completion boundary, 64 or 128. max_payload: the host's own limit for a completion in bytes; the
    device's Max_Payload_Size holds besides.
    store_gap_ps: mean time between two stores of the driver (0: none). interrupt_latency_ps: mean time from an
    interrupt's arrival to the driver's handler (0: none).
    request_timeout_ps: when a request of the host without completion is given up. retry_ps, retry_limit_ps: pause
    after Request Retry Status, and for how long it is borne.
    """

    read_latency_ps: int = 400_000
    spread: float = 8.0
    reorder: bool = True
    split_percent: int = 25
    gap_percent: int = 10
    gap_ps: int = 60_000
    rcb: int = 64
    max_payload: int = 512
    store_gap_ps: int = 8_000
    interrupt_latency_ps: int = 100_000
    request_timeout_ps: int = 1_000_000_000
    retry_ps: int = 1_000_000
    retry_limit_ps: int = 1_000_000_000

    def __post_init__(self) -> None:
        if self.rcb not in (64, 128):
            raise ValueError(f"rcb is {self.rcb}, expected 64 or 128 (PCIe 2.3.1.1)")
        if self.max_payload not in (128, 256, 512, 1024, 2048, 4096):
            raise ValueError(f"max_payload is {self.max_payload}, expected a power of 2 from 128 to 4096")
        if self.spread < 1:
            raise ValueError(f"spread is {self.spread}, expected 1 or more")


class LogUniform:
    """Draws whole numbers, log-uniform with a given mean; `at(u)` maps u in [0, 1) to one."""

    __slots__ = ("_log_ratio", "_low")

    def __init__(self, mean: float, spread: float) -> None:
        self._log_ratio = math.log(spread)
        # The mean of a log-uniform distribution over [a, a s] is a (s - 1) / ln s.
        self._low = mean * self._log_ratio / (spread - 1) if spread > 1 else mean

    def at(self, u: float) -> int:
        return int(self._low * _exp(u * self._log_ratio))
