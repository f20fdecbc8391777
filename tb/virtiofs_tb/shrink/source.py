"""Reads back what a failing random run did, and on what it ran."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from virtiofs_tb import catalogue
from virtiofs_tb.analysis.card import summary_of
from virtiofs_tb.analysis.source import AnalysisError, open_run
from virtiofs_tb.arguments import existing_file
from virtiofs_tb.host.log import Kind
from virtiofs_tb.paths import ENDPOINT_FILELIST
from virtiofs_tb.report import MODEL, FailureReport, Summary
from virtiofs_tb.runner import DEFAULT_PROFILE
from virtiofs_tb.sequences.recorded import Stimulus, StimulusError
from virtiofs_tb.shrink.candidate import Candidate


@dataclass(frozen=True)
class Recorded:
    """A failing run: its first failure, what it did up to then, and the options of the line that runs it again."""

    summary: Summary
    failure: FailureReport
    whole: Candidate
    dut: Path
    profile: Path
    without: tuple[str, ...]

    @property
    def on_model(self) -> bool:
        return self.summary.dut == MODEL


def read_run(text: str) -> Recorded:
    """The run in a directory, or in sim_build/runs/TEXT. Raises AnalysisError where there is nothing to shrink."""
    directory, summary = summary_of(text)
    if summary.passed:
        raise AnalysisError(f"{text}: the run passed, there is nothing to shrink")
    if not summary.failures:
        raise AnalysisError(f"{text}: the run ended without a verdict, so nothing can be told to fail the same way")
    lines = [
        record.payload.decode(errors="replace")
        for record in open_run(str(directory)).records
        if record.kind == Kind.NOTE
    ]
    begins = [at for at, line in enumerate(lines) if line.startswith("step ")]
    step = lines[begins[-1]].removeprefix("step ") if begins else "none"
    try:
        stimulus = Stimulus.read(lines[begins[-1] :]) if begins else None
    except StimulusError as error:
        raise AnalysisError(f"{text}: {error}") from None
    if stimulus is None:
        raise AnalysisError(f"{text}: it failed in step {step}, which records no stimulus; random_operations does")
    before = tuple(report.name for report in summary.steps[:-1] if report.result == "passed")
    options = _options(summary.rerun)
    return Recorded(
        summary,
        summary.failures[0],
        Candidate(stimulus, before, options.get("ENGINE") or _engine_of(summary.test)),
        existing_file("DUT", options["DUT"]) if "DUT" in options else ENDPOINT_FILELIST,
        existing_file("PROFILE", options["PROFILE"]) if "PROFILE" in options else DEFAULT_PROFILE,
        tuple(name for name in options.get("WITHOUT", "").split(",") if name),
    )


def _engine_of(test: str) -> str:
    """Who answers FUSE in a test, where nobody said otherwise."""
    try:
        return catalogue.find(test).engine
    except (KeyError, catalogue.PlanError):
        return catalogue.DEFAULT_ENGINE


def _options(rerun: str) -> dict[str, str]:
    """Of `make sim NAME=value` or `virtiofs-tb model --name value`, by their names in capitals."""
    words = rerun.split()
    found = dict(word.split("=", maxsplit=1) for word in words if "=" in word)
    for name, value in pairwise(words):
        if name.startswith("--"):
            found[name.removeprefix("--").upper()] = value
    return found
