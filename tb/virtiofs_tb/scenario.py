"""Scenarios: stimulus and expectation written once, run against every target that meets their needs.

A scenario is `async def name(host: HostPort, tb: Bench) -> None`, registered by the decorator below with the clauses
of spec/clauses.csv that it covers and the capabilities of the target that it needs. It fails by raising.
"""

from __future__ import annotations

import importlib.util
import random
import sys
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from virtiofs_tb.host.port import Fault, FaultPlan, HostCaps, HostPort
from virtiofs_tb.profile import Profile
from virtiofs_tb.seeds import stream

if TYPE_CHECKING:
    from virtiofs_tb.agents.firmware import FirmwareAgent
    from virtiofs_tb.driver.virtio import VirtioFsDevice

ScenarioFunction = Callable[[HostPort, "Bench"], Coroutine[Any, Any, None]]


@dataclass
class Bench:
    """What surrounds a scenario: its seed, the firmware behind the endpoint, the host's fault plan, the session data.

    profile: of the endpoint. faults: None where the target cannot make completions fail. firmware: the DPU's FUSE
    server agent, None where the endpoint brings its own. counts: what the scenario did, by
    name ("request LOOKUP", "notification INVAL_INODE"), for the summary. attached: the driver that drove the device
    last; the next scenario on the same bench resets the device through it before it starts. asked: FUSE requests that
    were used so far, by opcode, as far as the log was delivered.
    """

    seed: int
    sessions: Path
    profile: Profile = field(default_factory=Profile)
    firmware: FirmwareAgent | None = None
    faults: FaultPlan | None = None
    counts: Counter[str] = field(default_factory=Counter)
    options: dict[str, int] = field(default_factory=dict)
    attached: VirtioFsDevice | None = None
    asked: Counter[int] = field(default_factory=Counter)

    def rng(self, path: str, index: int = 0) -> random.Random:
        """The random stream of item `index` of one generator."""
        return stream(self.seed, path, index)

    def option(self, name: str, default: int) -> int:
        """A number that the caller may set to make a scenario longer or shorter."""
        return self.options.get(name, default)

    def fail_reads(self, fault: Fault) -> None:
        """Let the host fail completions. A scenario that calls this has 'faults' in its needs."""
        if self.faults is None:
            raise RuntimeError("this target has no fault plan; the scenario must name 'faults' in its needs")
        self.faults.rules.append(fault)


@dataclass(frozen=True)
class Scenario:
    """A registered scenario. clauses: ids of spec/clauses.csv; needs: names of HostCaps fields that must be true."""

    name: str
    function: ScenarioFunction
    clauses: tuple[str, ...]
    needs: tuple[str, ...]
    summary: str
    module: str

    def not_applicable(self, caps: HostCaps) -> str | None:
        """Why this target cannot run the scenario, or None if it can."""
        missing = [need for need in self.needs if not getattr(caps, need)]
        return f"needs {', '.join(missing)}" if missing else None


_REGISTRY: dict[str, Scenario] = {}
_FOLDER, _FILES = "virtiofs_scenarios", "virtiofs_scenario_files"
"""Packages of the modules of a folder, and of files that were named one by one."""


def scenario(*, clauses: Iterable[str], needs: Iterable[str] = ()) -> Callable[[ScenarioFunction], ScenarioFunction]:
    """Register a scenario under its function's name; the first line of its docstring says what it shows."""
    known = {item.name for item in fields(HostCaps)}
    wanted = tuple(needs)
    if unknown := set(wanted) - known:
        raise ValueError(f"needs {sorted(unknown)} are no capabilities; HostCaps has {sorted(known)}")

    def register(function: ScenarioFunction) -> ScenarioFunction:
        name = getattr(function, "__name__", "")
        old = _REGISTRY.get(name)
        if old is not None and old.module != function.__module__:
            raise ValueError(f"scenario {name} exists in {old.module} and in {function.__module__}")
        summary = (function.__doc__ or "").strip().split("\n", maxsplit=1)[0]
        if not summary:
            raise ValueError(f"scenario {name} has no docstring")
        _REGISTRY[name] = Scenario(name, function, tuple(clauses), wanted, summary, function.__module__)
        return function

    return register


def load_scenarios(folder: Path) -> dict[str, Scenario]:
    """Import every module of `folder` once and return its scenarios by name, in order of name."""
    for path in sorted(folder.glob("*.py")):
        module = f"{_FOLDER}.{path.stem}"
        if path.stem != "__init__" and module not in sys.modules:
            _import(module, path)
    return {name: item for name, item in sorted(_REGISTRY.items()) if not item.module.startswith(_FILES)}


def load_file(path: Path) -> list[Scenario]:
    """Import one file, anew each time, and return the scenarios that it defines, in its order."""
    module = f"{_FILES}.{path.stem}"
    for name in [name for name, item in _REGISTRY.items() if item.module == module]:
        del _REGISTRY[name]
    _import(module, path)
    return [item for item in _REGISTRY.values() if item.module == module]


def _import(module: str, path: Path) -> None:
    spec = importlib.util.spec_from_file_location(module, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} cannot be imported")
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[module] = loaded
    spec.loader.exec_module(loaded)
