"""All rules on one log."""

from __future__ import annotations

from collections.abc import Sequence

from virtiofs_tb.host.log import Record
from virtiofs_tb.profile import Profile
from virtiofs_tb.scoreboards.driver_rules.base import Report, Theme
from virtiofs_tb.scoreboards.driver_rules.doorbells import DoorbellRules, KickRules
from virtiofs_tb.scoreboards.driver_rules.file_system import FileSystemRules
from virtiofs_tb.scoreboards.driver_rules.registers import IdRules, RegisterRules
from virtiofs_tb.scoreboards.driver_rules.rings import RingRules
from virtiofs_tb.scoreboards.driver_rules.status import StatusRules
from virtiofs_tb.scoreboards.observer import Observer

THEMES: tuple[type[Theme], ...] = (
    StatusRules,
    RegisterRules,
    IdRules,
    DoorbellRules,
    KickRules,
    RingRules,
    FileSystemRules,
)

LEVELS: dict[str, str] = {clause: level for theme in THEMES for clause, level in theme.rules.items()}
"""The level of observation of each clause that a rule reports."""


class DriverChecker:
    """Watches a driver. reports: what it did wrong, the first of each clause.

    observe() takes batches of the log in order, finish() ends it. Where scoreboards judge the device of the same run,
    `bind` their observer's events instead and observe nothing.
    """

    def __init__(self, observer: Observer | None = None) -> None:
        self.observer = observer if observer is not None else Observer(Profile())
        self.reports: list[Report] = []
        self._seen: set[str] = set()
        self.themes = [theme(self.observer, self._take) for theme in THEMES]
        self.observer.bind(self.themes)

    def _take(self, report: Report) -> None:
        if report.clause not in self._seen:
            self._seen.add(report.clause)
            self.reports.append(report)

    def observe(self, batch: Sequence[Record]) -> None:
        """Watch a batch of records."""
        self.observer.observe(batch)

    def finish(self) -> list[Report]:
        """The end of the log; all reports."""
        for theme in self.themes:
            theme.finish(self.observer.t_ps, self.observer.seq)
        return self.reports


def reports_of(records: Sequence[Record]) -> list[Report]:
    """What the driver of a log did wrong."""
    checker = DriverChecker()
    checker.observe(records)
    return checker.finish()
