"""What TEST= can name: every scenario by itself, and the composed tests of tests/sim/testplan.toml.

A composed test runs several scenarios one after the other on one endpoint, in one simulation.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path

from virtiofs_tb.paths import ROOT
from virtiofs_tb.scenario import Scenario, load_scenarios

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SCENARIOS = ROOT / "tests" / "sim" / "scenarios"
TESTPLAN = ROOT / "tests" / "sim" / "testplan.toml"


@dataclass(frozen=True)
class Entry:
    """One value of TEST=. steps: the scenarios in order; sequences: UVM sequences after them (RTL only).

    must_check: scoreboards that must have had work. options: numbers that the scenarios ask for by name (Bench.option).
    """

    name: str
    summary: str
    steps: tuple[Scenario, ...]
    must_check: tuple[str, ...] = ()
    options: dict[str, int] = field(default_factory=dict)
    sequences: tuple[str, ...] = ()

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
        unknown = [step for step in table["steps"] if step not in scenarios]
        if unknown:
            raise PlanError(f"{plan.name} [{name}]: no scenario {unknown[0]!r}")
        if name in scenarios:
            raise PlanError(f"{plan.name} [{name}]: a scenario has the same name")
        steps = tuple(scenarios[step] for step in table["steps"])
        entry = Entry(
            name,
            table["summary"],
            steps,
            tuple(table.get("must_check", ())),
            table.get("options", {}),
            tuple(table.get("sequences", ())),
        )
        composed.append(entry)
    return composed + [Entry(item.name, item.summary, (item,)) for item in scenarios.values()]


def find(name: str) -> Entry:
    """The entry called `name`. Raises KeyError."""
    by_name = {entry.name: entry for entry in entries()}
    return by_name[name]
