"""What `make coverage` samples: runs of the golden device by plan.toml, and the logs that `make test` has left."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from virtiofs_tb import catalogue
from virtiofs_tb.catalogue import Entry
from virtiofs_tb.coverage.counts import Counts
from virtiofs_tb.coverage.sampler import Sampler
from virtiofs_tb.host.log import Record, read_log
from virtiofs_tb.host.log_files import LOG_NAME, LogError
from virtiofs_tb.model_run import ModelRequest, run_model
from virtiofs_tb.paths import RUNS, SIM_BUILD
from virtiofs_tb.report import MODEL, Summary

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PLAN = Path(__file__).parent / "coverage" / "plan.toml"
FOLDER = SIM_BUILD / "coverage"
SEED = 1
"""That of `make test`."""
BATCH = 4096
BEHIND = "tests/coverage/error_log.py"
"""Runs behind each test: errors are seen where the DPU reads them."""


@dataclass(frozen=True)
class ModelRun:
    """A test on the golden device."""

    test: str
    seed: int
    engine: str = ""

    @property
    def name(self) -> str:
        """Of its file."""
        engine = f"-{self.engine}" if self.engine else ""
        return f"model-{catalogue.stem(self.test)}-{self.seed}{engine}"


@dataclass(frozen=True)
class Sampled:
    """What became of a run. failure: why it does not count ("" it does); rerun: the command that shows it."""

    name: str
    counts: Counts
    failure: str = ""
    rerun: str = ""


def planned(entries: Sequence[Entry], plan: Path = PLAN) -> list[ModelRun]:
    """Every scenario of the catalogue by itself with seed 1, and the seeds of the plan."""
    runs = [ModelRun(entry.name, SEED) for entry in entries if not entry.options and len(entry.steps) == 1]
    for test, more in tomllib.loads(plan.read_text()).items():
        first, last = more["seeds"]
        runs += [ModelRun(test, seed, more.get("engine", "")) for seed in range(first, last + 1)]
    return list(dict.fromkeys(runs))


def sample_model(run: ModelRun) -> Sampled:
    """Run on the golden device and sample while it goes. A run that fails does not count."""
    sampler = Sampler(run.name)
    request = ModelRequest(run.test, run.seed, engine=run.engine)
    entry = catalogue.find(run.test)
    entry = replace(entry, steps=(*entry.steps, *catalogue.find(BEHIND).steps))
    summary = run_model(request, entry, sampler.observe)
    failure = summary.failures[0].line if summary.failures else ""
    return Sampled(run.name, sampler.counts, failure, request.rerun)


def recorded(entries: Sequence[Entry], runs: Path = RUNS) -> list[Path]:
    """Directories of runs of the catalogue's tests on an endpoint, with seed 1, that passed and have a log."""
    found = []
    for entry in entries:
        directory = runs / f"{catalogue.stem(entry.name)}-{SEED}"
        summary = Summary.read(directory)
        ours = summary is not None and summary.passed and summary.dut not in ("", MODEL) and not summary.defect
        if ours and (directory / LOG_NAME).is_file():
            found.append(directory)
    return found


def sample_log(directory: Path) -> Sampled:
    """Sample a log that exists; one that cannot be read does not count."""
    name = f"rtl-{directory.name}"
    sampler = Sampler(name)
    try:
        for batch in batches(read_log(directory)):
            sampler.observe(batch)
    except (LogError, OSError) as error:
        return Sampled(
            name, Counts([name]), str(error), f"make sim TEST={directory.name.rpartition('-')[0]} SEED={SEED}"
        )
    return Sampled(name, sampler.counts)


def batches(records: Iterator[Record]) -> Iterator[list[Record]]:
    """Some records at a time."""
    while batch := list(islice(records, BATCH)):
        yield batch


def leave(sampled: Sampled, folder: Path = FOLDER) -> None:
    """The file of a run."""
    sampled.counts.write(folder / f"{sampled.name}.json")


def hits_by_target(parts: Sequence[Counts]) -> Mapping[str, int]:
    """How many bins the runs of each target hit, by the first word of their names."""
    hit: dict[str, set[str]] = {}
    for part in parts:
        for run in part.runs:
            hit.setdefault(run.partition("-")[0], set()).update(part.hits)
    return {target: len(bins) for target, bins in sorted(hit.items())}
