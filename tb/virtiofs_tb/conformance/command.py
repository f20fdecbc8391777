"""`virtiofs-tb conformance`: docs/conformance.md and conformance.json from what is declared and what ran."""

from __future__ import annotations

import sys
from collections import Counter

import click
from rich.console import Console

from virtiofs_tb import catalogue
from virtiofs_tb.conformance.declared import declared
from virtiofs_tb.conformance.page import write
from virtiofs_tb.conformance.results import FAILED, NOTHING, results_of
from virtiofs_tb.paths import ROOT, RUNS, shown

console = Console()
SEED = 1
"""That of `make test`."""
WANTED = ("MUST", "MUST NOT", "SHOULD", "SHOULD NOT")


@click.command()
def conformance() -> None:
    """Write the conformance matrix: for each clause of the specification what checks it, and the result.

    Results are those that `make test` has left in sim_build/runs. Status 1 if a clause failed, or if nothing checks one
    that says must or should and no reason says why not.
    """
    results = results_of(RUNS / f"{entry.name}-{SEED}" for entry in catalogue.entries())
    clauses = declared()
    for clause in clauses:
        clause.result = results.of(clause)
    write(clauses, results.runs, ROOT / "docs")
    counts = Counter(clause.result or "with a reason" for clause in clauses)
    told = ", ".join(f"{name} {count}" for name, count in counts.most_common())
    console.print(f"{len(clauses)} clauses, {results.runs} runs: {told}", highlight=False)
    bad = [one for one in clauses if one.result == FAILED or (one.result == NOTHING and one.level in WANTED)]
    for clause in bad:
        line = f"{clause.id} ({clause.side}, {clause.level}): {clause.result}: {clause.what_holds}"
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    console.print(f"written: {shown(ROOT / 'docs' / 'conformance.md')}, conformance.json", highlight=False)
    sys.exit(1 if bad else 0)
