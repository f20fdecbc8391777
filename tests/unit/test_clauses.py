"""spec/clauses.csv is what scenarios, scoreboards and defects cite: every id that they name exists."""

from __future__ import annotations

import csv
import re

from virtiofs_tb.catalogue import entries
from virtiofs_tb.paths import ROOT

CITED = re.compile(r'"([A-Z][A-Z0-9]*(?:-[A-Z0-9]+)*-(?:D|R|DX|RX|DI|RI)\d+)"')


def known() -> set[str]:
    with (ROOT / "spec" / "clauses.csv").open(newline="") as file:
        return {row["id"] for row in csv.DictReader(file)}


def test_scenarios_name_clauses_that_exist() -> None:
    clauses = known()
    for entry in entries():
        assert entry.clauses <= clauses, f"{entry.name}: {sorted(entry.clauses - clauses)}"
        assert entry.clauses or entry.sequences, f"{entry.name} names no clause"


def test_the_source_cites_clauses_that_exist() -> None:
    cited: set[str] = set()
    for folder in ("models", "tb/virtiofs_tb", "tests/sim"):
        for path in (ROOT / folder).rglob("*.py"):
            cited |= set(CITED.findall(path.read_text()))
    assert len(cited) > 60
    assert cited <= known(), sorted(cited - known())
