"""What came of what claims to check a clause, from the summaries that runs on RTL have left."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from virtiofs_tb.conformance.declared import DRIVER_RULES, Clause
from virtiofs_tb.report import MODEL, Summary

PASSED, FAILED, NOT_RUN = "passed", "failed", "not run"
NOTHING = "nothing checks it"


@dataclass
class Results:
    """Of a set of runs on an endpoint (the golden device proves nothing of it). runs: how many; steps: by scenario
    whether it passed in all of them; blamed: clauses that a failed check named."""

    runs: int = 0
    steps: dict[str, bool] = field(default_factory=dict)
    blamed: set[str] = field(default_factory=set)

    def take(self, summary: Summary) -> None:
        """Count one run."""
        if summary.dut in ("", MODEL) or summary.defect:
            return
        self.runs += 1
        for step in summary.steps:
            if step.result in (PASSED, FAILED):
                before = self.steps.get(step.name, True)
                self.steps[step.name] = before and step.result == PASSED
        self.blamed |= {failure.clause for failure in summary.failures if failure.clause}

    def of(self, clause: Clause) -> str:
        """passed, failed, not run, nothing checks it; '' where a reason says why nothing need."""
        if not clause.checked:
            return "" if clause.reason else NOTHING
        ran = [self.steps[name] for name in clause.scenarios if name in self.steps]
        if clause.id in self.blamed or not all(ran):
            return FAILED
        # A scoreboard watches every run. The driver checker is held to its rules by drivers that are wrong.
        watched = bool(self.runs) and any(name != DRIVER_RULES for name in clause.scoreboards)
        return PASSED if ran or watched or DRIVER_RULES in clause.scoreboards else NOT_RUN


def results_of(directories: Iterable[Path]) -> Results:
    """The runs in these directories; one without a summary counts for nothing."""
    results = Results()
    for directory in directories:
        summary = Summary.read(directory)
        if summary is not None:
            results.take(summary)
    return results
