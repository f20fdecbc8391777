"""What a theme of rules is, and what it reports.

Levels of observation: L1 needs registers, configuration space, interrupts and doorbells, which every target shows; L2
needs the device's DMA too, that is packets or a guest beside the endpoint.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from virtiofs_tb.scoreboards.observer import Observer

L1, L2 = "L1", "L2"


@dataclass(frozen=True)
class Report:
    """What a driver did wrong. clause: the id; expected, seen: complete the sentence "expected ..., seen ..."."""

    t_ps: int
    seq: int
    clause: str
    text: str
    expected: str
    seen: str

    def __str__(self) -> str:
        line = f"{self.t_ps / 1e6:.3f} us seq {self.seq}: driver: {self.text}; "
        return f"{line}expected {self.expected}, seen {self.seen} [{self.clause}]"


class Theme:
    """Some rules. A subclass has a method of listeners.Listeners for each class of events that it wants, and `rules`:
    the clauses that it can report, with their level."""

    rules: ClassVar[dict[str, str]] = {}

    def __init__(self, observer: Observer, report: Callable[[Report], None]) -> None:
        self.observer = observer
        self._report = report

    def wrong(self, t_ps: int, seq: int, clause: str, text: str, expected: str, seen: str) -> None:
        """The driver broke a clause."""
        assert clause in self.rules, clause
        self._report(Report(t_ps, seq, clause, text, expected, seen))

    def finish(self, t_ps: int, seq: int) -> None:
        """The run is over: what was owed is owed for ever."""
