"""Runs simulations: one directory a run, side by side, each in a process of its own and under a watchdog.

The simulator's test module is `virtiofs_tb.simulation`, which reads what to do from the environment
(RunRequest.environment) and leaves summary.json. Nothing here imports cocotb's simulation side.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from virtiofs_tb import build, catalogue
from virtiofs_tb.analysis.card import one_line, write_card
from virtiofs_tb.paths import ENDPOINT_FILELIST, PROFILES, RUNS, shown
from virtiofs_tb.report import ResultClass, Summary

SEED_BITS = 32
DEFAULT_TEST = "main"
DEFAULT_PROFILE = PROFILES / "ours-strict.toml"
WATCHDOG_S = 240.0
STEP_FILE = "step.txt"  # the run's present step, for a progress display
GRACE_S = 20.0  # the process has its own watchdog, which can say what is owed; this one only ends it
LAST_LINES = 15


class UsageError(Exception):
    """Something that was asked for cannot be done; the message is the one line that a person reads."""


@dataclass(frozen=True)
class RunRequest:
    """One simulation.

    waves: None, 'fst' or 'vcd'. without: names of scoreboards that are switched off. engine: who answers FUSE ("": what
    the test says). options: numbers for the scenarios, over those of the test plan. watchdog_s: wall-clock seconds.
    window_ps: waves only between these times. log: whether the observation log is kept; only a benchmark goes without.
    """

    test: str
    seed: int
    waves: str | None = None
    dut: Path = ENDPOINT_FILELIST
    profile: Path = DEFAULT_PROFILE
    without: tuple[str, ...] = ()
    engine: str = ""
    options: Mapping[str, int] = field(default_factory=dict)
    watchdog_s: float = WATCHDOG_S
    window_ps: tuple[int, int] | None = None
    run_dir: Path | None = None
    log: bool = True

    @property
    def directory(self) -> Path:
        return self.run_dir or RUNS / f"{catalogue.stem(self.test)}-{self.seed}"

    @property
    def module(self) -> str:
        """The cocotb test module."""
        return "virtiofs_tb.simulation"

    @property
    def rerun(self) -> str:
        """The line that runs this again."""
        parts = ["make waves" if self.window_ps else "make sim", f"TEST={self.test}", f"SEED={self.seed}"]
        if self.dut != ENDPOINT_FILELIST:
            parts.append(f"DUT={shown(self.dut)}")
        if self.profile != DEFAULT_PROFILE:
            parts.append(f"PROFILE={shown(self.profile)}")
        if self.engine:
            parts.append(f"ENGINE={self.engine}")
        if self.without:
            parts.append(f"WITHOUT={','.join(self.without)}")
        if self.window_ps:
            parts += [f"FROM={self.window_ps[0]}ps", f"TO={self.window_ps[1]}ps"]
        elif self.waves:
            parts.append("WAVES=1")
        return " ".join(parts)

    @property
    def environment(self) -> dict[str, str]:
        return {
            "VIRTIOFS_TEST": self.test,
            "VIRTIOFS_SEED": str(self.seed),
            "VIRTIOFS_RUN_DIR": str(self.directory),
            "VIRTIOFS_PROFILE": str(self.profile),
            "VIRTIOFS_DUT": shown(self.dut),
            "VIRTIOFS_RERUN": self.rerun,
            "VIRTIOFS_WITHOUT": ",".join(self.without),
            "VIRTIOFS_ENGINE": self.engine,
            "VIRTIOFS_LOG": str(int(self.log)),
            "VIRTIOFS_OPTIONS": json.dumps(dict(self.options)),
            "VIRTIOFS_WATCHDOG_S": str(self.watchdog_s),
            # Dictionaries of bytes and strings iterate the same way in every run of this seed.
            "PYTHONHASHSEED": str(self.seed % (1 << 32)),
        }


def random_seed() -> int:
    return random.SystemRandom().getrandbits(SEED_BITS)


def run_one(request: RunRequest, simulation: build.Build) -> Summary:
    """Run one simulation to its end. Never raises for what happens inside it."""
    directory = request.directory
    if directory.exists():
        shutil.rmtree(directory)
    directory.mkdir(parents=True)
    (directory / "rerun.txt").write_text(request.rerun + "\n")
    how_it_ended = _simulate(request, simulation)
    summary = Summary.read(directory)
    if summary is None:
        summary = Summary(request.test, request.seed, rerun=request.rerun, profile=request.profile.name)
        summary.message = f"the simulation ended without a summary ({how_it_ended or 'no error'}); its last lines:\n"
        summary.message += "\n".join(_last_lines(directory))
    elif summary.passed and how_it_ended:
        summary.result_class = ResultClass.FAILED
        summary.message = f"every check passed, but the simulation ended badly: {how_it_ended}"
    waves = directory / f"waves.{request.waves}"
    summary.waves = shown(waves) if waves.exists() else ""
    if not summary.passed:
        leave_card(directory, summary)
    summary.write(directory)
    return summary


def leave_card(directory: Path, summary: Summary) -> None:
    """The failure card; that there is none is said in one line and changes nothing else."""
    try:
        write_card(directory, summary)
    except Exception as error:  # whatever the log of a broken run does to the card, the verdict stands
        summary.message = f"{summary.message}\nno failure card: {one_line(error)}".strip()


def _simulate(request: RunRequest, simulation: build.Build) -> str:
    """Run the simulator in a process group of its own; returns "" or what went wrong with it."""
    task = {
        "module": request.module,
        "directory": str(simulation.directory),
        "waves": request.waves,
        "window_ps": request.window_ps,
        "seed": request.seed,
        "run_dir": str(request.directory),
    }
    child = subprocess.Popen(
        [sys.executable, "-m", "virtiofs_tb.child", json.dumps(task)],
        env={**os.environ, **request.environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        text=True,
    )
    with _running.add(child):
        try:
            output, _ = child.communicate(timeout=request.watchdog_s + GRACE_S)
        except subprocess.TimeoutExpired:
            _kill(child)
            return f"it was ended after {request.watchdog_s + GRACE_S:.0f} s of wall clock"
        except BaseException:  # an interrupt by hand
            _kill(child)
            raise
    return "" if child.returncode == 0 else output.strip() or f"exit status {child.returncode}"


def _kill(child: subprocess.Popen[str]) -> None:
    """End the simulator with everything that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


class _Running:
    """The simulators that are under way, so that an interrupt leaves none behind."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._children: set[subprocess.Popen[str]] = set()
        self.stopped = False

    @contextlib.contextmanager
    def add(self, child: subprocess.Popen[str]) -> Iterator[None]:
        with self._lock:
            self._children.add(child)
            if self.stopped:
                _kill(child)
        try:
            yield
        finally:
            with self._lock:
                self._children.discard(child)

    def stop(self) -> None:
        """End all that run and all that are still to start."""
        with self._lock:
            self.stopped = True
            for child in self._children:
                _kill(child)


_running = _Running()


def _last_lines(directory: Path) -> list[str]:
    log = directory / "sim.log"
    return log.read_text(errors="replace").splitlines()[-LAST_LINES:] if log.exists() else ["(no log)"]


def run_all(
    requests: Sequence[RunRequest],
    simulation: build.Build,
    jobs: int,
    finished: Callable[[Summary], None] | None = None,
) -> list[Summary]:
    """Run several simulations, `jobs` at a time; summaries come back in the order of the requests."""
    lock = threading.Lock()

    def one(request: RunRequest) -> Summary:
        summary = run_one(request, simulation)
        if finished is not None:
            with lock:
                finished(summary)
        return summary

    with ThreadPoolExecutor(max_workers=jobs) as pool:
        try:
            return list(pool.map(one, requests))
        except BaseException:
            _running.stop()
            pool.shutdown(cancel_futures=True)
            raise


def present_step(request: RunRequest) -> str:
    """What the run is doing; "" before its first step."""
    try:
        return (request.directory / STEP_FILE).read_text()
    except OSError:
        return ""


def worst(summaries: Iterable[Summary]) -> int:
    """The exit status for several runs: 3 over 2 over 1 over 0."""
    return max((summary.result_class for summary in summaries), default=ResultClass.PASSED)


def wave_format(notice: Callable[[str], None]) -> str:
    """'fst' where a simulation with FST waves can be built, else 'vcd', with a notice of what is missing."""
    probe = subprocess.run(
        ["g++", "-E", "-x", "c++", "-"],
        input="#include <lz4.h>\n#include <zlib.h>\n",
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    if probe.returncode == 0:
        return "fst"
    notice("waves: VCD, since FST needs the headers of lz4 and zlib (apt-get install liblz4-dev zlib1g-dev)")
    return "vcd"


def default_jobs() -> int:
    return len(os.sched_getaffinity(0))
