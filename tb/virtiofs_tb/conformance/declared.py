"""What claims to check a clause: scenarios, scoreboards, the driver checker, and defects that must be caught."""

from __future__ import annotations

import ast
import csv
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from virtiofs_model.defects import DEFECTS
from virtiofs_tb import catalogue
from virtiofs_tb.paths import ROOT
from virtiofs_tb.scenario import load_scenarios
from virtiofs_tb.scoreboards.driver_rules.checker import LEVELS
from virtiofs_tb.scoreboards.driver_rules.registry import NOT_OBSERVED

CLAUSES = ROOT / "spec" / "clauses.csv"
SCOREBOARDS = ROOT / "tb" / "virtiofs_tb" / "scoreboards"
DRIVER_RULES = "driver_rules"

NOT_OFFERED = {
    "VIRTIO_F_SUSPEND": "not offered: VIRTIO_F_SUSPEND",
    "VIRTIO_F_SR_IOV": "not offered: VIRTIO_F_SR_IOV",
    "VIRTIO_F_ADMIN_VQ": "not offered: VIRTIO_F_ADMIN_VQ",
    "DAX": "not offered: no shared memory window",
}
"""What the endpoint does not have, by words of the column `applies`."""

PERMISSION = "a permission: there is nothing to break"
OF_DEVICES: dict[str, str] = {
    **dict.fromkeys(
        ("PCI-VNDR-D01", "PCI-VNDR-D02", "PCI-VNDR-D03", "PCI-VNDR-D04", "PCI-VNDR-D05", "PCI-VNDR-DX1"),
        "not offered: no capability for a vendor's data",
    ),
    "FEAT-D01": "no feature of a file system device has a prerequisite",
    "RSVD-D08": "not offered by default: a strap chooses, and the endpoint's accesses are ordinary PCIe either way",
    "RSVD-D03": "not offered by default: a strap chooses, and the endpoint uses the addresses that it is given",
    "PCI-MSIX-D03": "the text does not say what a useful number is",
    "PCI-NONTRANS-D01": "there was no legacy driver of a file system device",
    "SPLIT-INORD-DI1": "the endpoint writes a used entry for each chain, which is allowed",
    "PACK-INORD-DI1": "the endpoint writes a used descriptor for each list, which is allowed",
    "PCI-CAP-D03": "each structure is there once",
    "PCI-NOTIFY-D05": "every configuration that a scenario makes is held to PCI-NOTIFY-D06",
    "PCI-NOTIFY-D10": "every configuration that a scenario makes is held to PCI-NOTIFY-D11",
    "PCI-MSIX-D08": "mapping never fails for a vector that exists: PCI-MSIX-D04",
    "FS-DAX-D03": "there is no DAX window: READ and WRITE are all there is",
    "CFGCHG-DI1": "the device configuration does not change while a driver is at work",
    "FS-DAX-DI2": "storage of the endpoint does not lose what was written",
    "OOS-LEGACY": "out of scope: the device is non-transitional",
    "OOS-ADMIN": "out of scope: VIRTIO_F_ADMIN_VQ is not offered",
    "OOS-EXPORT": "out of scope: a file system device exports no objects",
    "OOS-TRANSPORT": "out of scope: PCI is the only transport",
}
"""Why nothing checks a clause of side `device`, or of both."""


@dataclass
class Clause:
    """A row of the matrix. observed: L1 or L2 for a clause of drivers; reason: why nothing checks it ('' none)."""

    id: str
    level: str
    side: str
    what_holds: str
    observed: str = ""
    scenarios: list[str] = field(default_factory=list)
    scoreboards: list[str] = field(default_factory=list)
    defects: list[str] = field(default_factory=list)
    reason: str = ""
    result: str = ""

    @property
    def checked(self) -> bool:
        """Whether anything claims to check it."""
        return bool(self.scenarios or self.scoreboards)


def _cited(path: Path, ids: set[str]) -> set[str]:
    """Clauses that a module names in its code: strings, not comments or docstrings."""
    tree = ast.parse(path.read_text())
    strings = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant))
    return {text for text in strings if isinstance(text, str) and text in ids}


def _rules(ids: set[str]) -> Iterator[tuple[str, str]]:
    """Clause and the module of the scoreboards that has a rule for it."""
    for path in sorted(SCOREBOARDS.glob("*.py")):
        yield from ((clause, path.stem) for clause in _cited(path, ids))


def _why_not(row: dict[str, str]) -> str:
    if row["who"] == "driver":
        return NOT_OBSERVED.get(row["id"], "")
    known = OF_DEVICES.get(row["id"], "")
    if known:
        return known
    words = row["applies"].split(";")
    offered = next((NOT_OFFERED[word] for word in words if word in NOT_OFFERED), "")
    return offered or (PERMISSION if row["level"] in ("MAY", "CAN") else "")


def declared() -> list[Clause]:
    """All clauses in the order of the list, with what checks them; nothing is said of results yet."""
    with CLAUSES.open(newline="") as file:
        rows = list(csv.DictReader(file))
    clauses = {row["id"]: Clause(row["id"], row["level"], row["who"], row["what_holds"]) for row in rows}
    for scenario in load_scenarios(catalogue.SCENARIOS).values():
        for name in scenario.clauses:
            clauses[name].scenarios.append(scenario.name)
    for name, module in _rules(set(clauses)):
        if clauses[name].side == "device":
            clauses[name].scoreboards.append(module)
    for info in DEFECTS.values():
        for name in info.clauses:
            clauses[name].defects.append(info.defect.value)
    for row in rows:
        clause = clauses[row["id"]]
        if row["id"] in LEVELS:
            clause.observed = LEVELS[row["id"]]
            clause.scoreboards.append(DRIVER_RULES)
        if not clause.checked:
            clause.reason = _why_not(row)
        for names in (clause.scenarios, clause.scoreboards, clause.defects):
            names.sort()
    return list(clauses.values())
