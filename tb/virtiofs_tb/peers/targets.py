"""The same scenarios on the endpoint in a simulator, on the golden device, and on QEMU's device."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from virtiofs_tb import catalogue, profile, runner
from virtiofs_tb.build import Build
from virtiofs_tb.catalogue import Entry
from virtiofs_tb.driver.errors import DriverError, DriverTimeout, shown
from virtiofs_tb.facts import facts_of
from virtiofs_tb.host.base import SimulationFailure
from virtiofs_tb.host.log import Kind, ObservationLog, Record, read_log
from virtiofs_tb.host.peer_process import PeerDied
from virtiofs_tb.host.qemu import QemuOptions
from virtiofs_tb.host.qemu_host import QEMU_CAPS, WALL_NS_PER_PS, QemuHost
from virtiofs_tb.model_run import ModelRequest, run_model
from virtiofs_tb.paths import PROFILES, RUNS, SESSIONS
from virtiofs_tb.report import Summary
from virtiofs_tb.scenario import Bench, Scenario
from virtiofs_tb.scoreboards import ScoreboardSet
from virtiofs_tb.testbench import place_of

PEERS_TEST = "peers"
QEMU_PROFILE = PROFILES / "qemu.toml"
QEMU_BOARDS = ("config_space",)  # of QEMU's device no DMA is seen
SHARED_MEMORY = Path("/dev/shm")
PASSED = "passed"


@dataclass
class TargetRun:
    """What one target did. verdicts: by step; facts: by step and name; checked: by scoreboard."""

    name: str
    verdicts: dict[str, str] = field(default_factory=dict)
    facts: dict[str, dict[str, str]] = field(default_factory=dict)
    checked: dict[str, int] = field(default_factory=dict)


@contextmanager
def scratch() -> Iterator[Path]:
    """A directory for virtiofsd, gone at the end; on tmpfs where there is one, so that it is the same everywhere."""
    place = SHARED_MEMORY if os.access(SHARED_MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="virtiofs-tb-", dir=place) as name:
        os.chmod(name, 0o755)
        yield Path(name)


def verdict_of(error: Exception) -> str:
    """A failure in a few words that are the same in every run."""
    if isinstance(error, DriverError):
        clause = f" [{error.clause}]" if error.clause else ""
        return f"{error.what}: {shown(error.seen)}, expected {shown(error.expected)}{clause}"
    return str(error).split("\n", maxsplit=1)[0]


def of_qemu(entry: Entry, seed: int, echo: Callable[[str], None] = lambda name: None) -> TargetRun:
    """Every step on a QEMU and a virtiofsd of its own. Raises PeerMissing."""
    run = TargetRun("QEMU")
    for step in entry.steps:
        reason = step.not_applicable(QEMU_CAPS)
        if reason is not None:
            run.verdicts[step.name] = f"not applicable: {reason}"
            continue
        echo(step.name)
        run.verdicts[step.name] = _qemu_step(run, step, seed, entry.options)
    return run


def _qemu_step(run: TargetRun, step: Scenario, seed: int, options: dict[str, int]) -> str:
    """The verdict; what was seen goes into `run`."""
    notes: list[Record] = []
    log = ObservationLog()
    log.subscribe(lambda batch: notes.extend(record for record in batch if record.kind == Kind.NOTE))
    chosen = profile.load(QEMU_PROFILE)
    boards = ScoreboardSet(chosen, QEMU_BOARDS)
    boards.require(*QEMU_BOARDS)
    log.subscribe(boards.observe)
    with scratch() as directory, QemuHost(seed, directory, log, QemuOptions(virtiofsd=())) as host:
        bench = Bench(seed, SESSIONS, profile=chosen, options=options)
        host.note(f"step {step.name}")
        verdict = ""
        try:
            host.run(step.function(host, bench))
        except (DriverError, SimulationFailure, PeerDied) as error:
            verdict = verdict_of(error)
            if isinstance(error, DriverTimeout):
                verdict += f" (1 us of a time-out is {WALL_NS_PER_PS} ms of wall clock here)"
        except Exception as error:  # of the scenario: a difference like any other, which nobody has decided
            verdict = f"crash: {type(error).__name__}: {error} ({place_of(error)})"
        log.flush()
        found = [failure.text for failure in boards.finish()] + [violation.text for violation in host.violations]
    run.facts |= facts_of(notes)
    for name, count in boards.counts.items():
        run.checked[name] = run.checked.get(name, 0) + count
    return verdict or (found[0] if found else PASSED)


def of_model(entry: Entry, seed: int) -> TargetRun:
    """All steps on one golden device."""
    directory = RUNS / f"model-{entry.name}-{seed}"
    return _of_run("model", entry, run_model(ModelRequest(entry.name, seed, directory=directory), entry), directory)


def of_rtl(entry: Entry, seed: int, simulation: Build) -> TargetRun:
    """All steps on one endpoint in the simulator."""
    request = runner.RunRequest(entry.name, seed)
    return _of_run("RTL", entry, runner.run_one(request, simulation), request.directory)


def _of_run(name: str, entry: Entry, summary: Summary, directory: Path) -> TargetRun:
    run = TargetRun(name)
    for report in summary.steps:
        run.verdicts[report.name] = f"{report.result}: {report.reason}" if report.reason else report.result
    if not summary.passed:
        why = summary.failures[0].line if summary.failures else summary.message
        last = summary.steps[-1].name if summary.steps else entry.steps[0].name
        run.verdicts[last] = f"failed: {why}"
    for step in entry.steps:
        run.verdicts.setdefault(step.name, "not reached")
    try:
        run.facts = facts_of(read_log(directory))
    except OSError:  # no log: the verdicts say why
        run.facts = {}
    run.checked = {board: sum(kinds.values()) for board, kinds in summary.scoreboards.items()}
    return run


def peers_entry() -> Entry:
    """The composed test that all targets run."""
    return catalogue.find(PEERS_TEST)
