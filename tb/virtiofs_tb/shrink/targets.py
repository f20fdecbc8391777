"""Where a candidate is replayed: on the golden device in this process, or in a simulation of its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Protocol

from virtiofs_tb import catalogue, runner
from virtiofs_tb.build import Build
from virtiofs_tb.catalogue import Entry
from virtiofs_tb.host.port import HostPort
from virtiofs_tb.model_run import ModelRequest, run_model
from virtiofs_tb.paths import RUNS, shown
from virtiofs_tb.report import FailureReport, Summary
from virtiofs_tb.runner import RunRequest
from virtiofs_tb.scenario import Bench, Scenario
from virtiofs_tb.sequences.recorded import replay
from virtiofs_tb.shrink.candidate import Candidate
from virtiofs_tb.shrink.scenario_file import write_scenario

CANDIDATE = "shrink_candidate"


class Target(Protocol):
    """name: for a person."""

    name: str

    def replay(self, candidate: Candidate) -> FailureReport | None:
        """Run it; what failed first, or None."""

    def again(self, file: Path) -> str:
        """The command that runs a file of scenarios here."""

    def run_file(self, file: Path) -> tuple[FailureReport | None, Path]:
        """Run a file of scenarios as that command does; what failed first, and the run's directory."""


def first_failure(summary: Summary) -> FailureReport | None:
    """Of a run that failed; of one without a verdict that there is none."""
    if summary.passed:
        return None
    return summary.failures[0] if summary.failures else FailureReport("run", 0, "ended without a verdict", kind="lost")


class OnModel:
    """The golden device, with the defect of the request."""

    def __init__(self, request: ModelRequest) -> None:
        self.name = "the golden device" + (f" with {request.defect}" if request.defect else "")
        self._request = request

    def replay(self, candidate: Candidate) -> FailureReport | None:
        async def body(host: HostPort, tb: Bench) -> None:
            await replay(host, tb, candidate.stimulus, candidate.before)

        step = Scenario(CANDIDATE, body, (), (), "", __name__)
        return first_failure(run_model(self._request, Entry(CANDIDATE, "", (step,), engine=candidate.engine)))

    def again(self, file: Path) -> str:
        return self._of(file).rerun

    def run_file(self, file: Path) -> tuple[FailureReport | None, Path]:
        directory = RUNS / f"model-{file.stem}-{self._request.seed}"
        return first_failure(run_model(replace(self._of(file), directory=directory))), directory

    def _of(self, file: Path) -> ModelRequest:
        return replace(self._request, test=catalogue.file_name(str(file)))


class OnRtl:
    """A simulation. folder: for candidates and their runs, which are replaced one by the other."""

    def __init__(self, request: RunRequest, simulation: Build, folder: Path) -> None:
        self.name = f"RTL ({shown(request.dut)})"
        self._request = request
        self._simulation = simulation
        self._folder = folder

    def replay(self, candidate: Candidate) -> FailureReport | None:
        file = self._folder / f"{CANDIDATE}.py"
        nothing = FailureReport("candidate", 0, "it may fail")
        file.write_text(write_scenario(CANDIDATE, CANDIDATE, self._request.seed, candidate, nothing, ""))
        return self._run(replace(self._request, test=str(file), run_dir=self._folder / "run"))

    def again(self, file: Path) -> str:
        return self._of(file).rerun

    def run_file(self, file: Path) -> tuple[FailureReport | None, Path]:
        request = self._of(file)
        return self._run(request), request.directory

    def _of(self, file: Path) -> RunRequest:
        return replace(self._request, test=catalogue.file_name(str(file)), run_dir=None)

    def _run(self, request: RunRequest) -> FailureReport | None:
        return first_failure(runner.run_one(request, self._simulation))
