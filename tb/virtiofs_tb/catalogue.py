"""What TEST= can name: every scenario by itself, the composed tests of tests/sim/testplan.toml, and files of scenarios.

A composed test runs several scenarios one after the other on one endpoint, in one simulation; so does a file.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path

from virtiofs_tb.paths import ROOT, shown
from virtiofs_tb.scenario import Scenario, load_file, load_scenarios

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SCENARIOS = ROOT / "tests" / "sim" / "scenarios"
SCENARIO_FILE = ".py"
TESTPLAN = ROOT / "tests" / "sim" / "testplan.toml"
WITHOUT_NEEDS = "without needs"
"""In place of a list of steps: all scenarios that any target can run."""

RAMFS, FIRMWARE = "ramfs", "firmware"
ENGINES = (RAMFS, FIRMWARE)
"""Who answers FUSE: the file system in hardware, or firmware behind the endpoint."""

DEFAULT_ENGINE = RAMFS


@dataclass(frozen=True)
class Entry:
    """One value of TEST=. steps: the scenarios in order; sequences: UVM sequences after them (RTL only).

    must_check: scoreboards that must have had work. options: numbers that the scenarios ask for by name (Bench.option).
    engine: one of ENGINES.
    """

    name: str
    summary: str
    steps: tuple[Scenario, ...]
    must_check: tuple[str, ...] = ()
    options: dict[str, int] = field(default_factory=dict)
    sequences: tuple[str, ...] = ()
    engine: str = DEFAULT_ENGINE

    @property
    def needs(self) -> frozenset[str]:
        """Capabilities of the target that its steps need, names of HostCaps fields."""
        return frozenset(need for step in self.steps for need in step.needs)

    @property
    def clauses(self) -> frozenset[str]:
        """Ids of spec/clauses.csv that its steps cover."""
        return frozenset(clause for step in self.steps for clause in step.clauses)


class PlanError(Exception):
    """The test plan names something that does not exist."""


def entries(plan: Path = TESTPLAN, folder: Path = SCENARIOS) -> list[Entry]:
    """Composed tests first, then scenarios by name. Raises PlanError."""
    scenarios = load_scenarios(folder)
    composed: list[Entry] = []
    for name, table in tomllib.loads(plan.read_text()).items():
        names = table["steps"]
        if names == WITHOUT_NEEDS:
            spared = table.get("without", ())
            names = [step.name for step in scenarios.values() if not step.needs and step.name not in spared]
        unknown = [step for step in names if step not in scenarios]
        if unknown:
            raise PlanError(f"{plan.name} [{name}]: no scenario {unknown[0]!r}")
        if name in scenarios:
            raise PlanError(f"{plan.name} [{name}]: a scenario has the same name")
        steps = tuple(scenarios[step] for step in names)
        entry = Entry(
            name,
            table["summary"],
            steps,
            tuple(table.get("must_check", ())),
            table.get("options", {}),
            tuple(table.get("sequences", ())),
            table.get("engine", DEFAULT_ENGINE),
        )
        if entry.engine not in ENGINES:
            raise PlanError(f"{plan.name} [{name}]: engine = {entry.engine!r}, it is one of {', '.join(ENGINES)}")
        composed.append(entry)
    return composed + [Entry(item.name, item.summary, (item,), engine=_engine_of(item)) for item in scenarios.values()]


def find(name: str) -> Entry:
    """The entry called `name`, or the scenarios of a file (*.py). Raises KeyError, PlanError."""
    if name.endswith(SCENARIO_FILE):
        return _of_file(Path(name))
    by_name = {entry.name: entry for entry in entries()}
    return by_name[name]


def stem(name: str) -> str:
    """The name of an entry as a directory of its run can have it."""
    return Path(name).stem if name.endswith(SCENARIO_FILE) else name


def file_name(text: str) -> str:
    """A file of scenarios as the catalogue takes it from everywhere: seen from the project where it lies in it."""
    path = Path(text)
    path = path if path.exists() or path.is_absolute() else ROOT / path
    path = path.resolve()
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


def _of_file(path: Path) -> Entry:
    path = path if path.is_absolute() else ROOT / path
    if not path.is_file():
        raise PlanError(f"{shown(path)}: no such file")
    try:
        found = load_file(path)
    except Exception as error:  # whatever a person's file does when it is imported
        why = " ".join(f"{type(error).__name__}: {error}".split())
        raise PlanError(f"{shown(path)}: cannot be loaded ({why})") from error
    if not found:
        raise PlanError(f"{shown(path)}: there is no scenario in it")
    return Entry(str(path), found[0].summary, tuple(found), engine=_engine_of(found[0]))


def _engine_of(scenario: Scenario) -> str:
    """What the scenario's module asks for by the name ENGINE. Raises PlanError for what is no engine."""
    engine = getattr(sys.modules.get(scenario.module), "ENGINE", DEFAULT_ENGINE)
    if engine not in ENGINES:
        raise PlanError(f"{scenario.module}: ENGINE = {engine!r}, it is one of {', '.join(ENGINES)}")
    return str(engine)
