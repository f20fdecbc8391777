"""The matrix as a page and as JSON. The page follows from the JSON alone."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from virtiofs_tb.conformance.declared import Clause
from virtiofs_tb.conformance.results import NOTHING

SIDES = (("device", "What holds of devices"), ("driver", "What holds of drivers"), ("both", "Out of scope"))
SHOWN = 3
"""Names in a cell; the JSON has them all."""

HEAD = """# Conformance

Each clause of [spec/clauses.csv](../spec/clauses.csv): what checks it, and what came of that in the runs on RTL that
`make test` had left when this page was made ({runs} of them). `make conformance` makes it anew from what tests,
scoreboards and the driver checker declare and from what ran; nothing here is written by hand. A scenario's name stands
for a test, `board NAME` for a rule of a scoreboard, which watches every run, `rule L1` and `rule L2` for the driver
checker and its level of observation, which unit tests hold to a wrong driver a clause, `defect NAME` for a wrong device
that must be caught. [conformance.json](conformance.json) has all names where a cell has a few.

{counts}
"""


def dump(clauses: Sequence[Clause], runs: int) -> str:
    """As JSON."""
    return json.dumps({"runs": runs, "clauses": [asdict(clause) for clause in clauses]}, indent=1) + "\n"


def load(text: str) -> tuple[list[Clause], int]:
    """What `dump` made."""
    content: dict[str, Any] = json.loads(text)
    return [Clause(**clause) for clause in content["clauses"]], int(content["runs"])


def _few(names: Sequence[str], prefix: str = "") -> list[str]:
    shown = [f"{prefix}{name}" for name in names[:SHOWN]]
    return [*shown, f"and {len(names) - SHOWN} more"] if len(names) > SHOWN else shown


def _checks(clause: Clause) -> str:
    boards = [f"rule {clause.observed}"] if clause.observed else _few(clause.scoreboards, "board ")
    return ", ".join([*_few(clause.scenarios), *boards, *_few(clause.defects, "defect ")])


def _row(clause: Clause) -> str:
    what = clause.what_holds.replace("|", "\\\\|")
    return f"| {clause.id} | {clause.level} | {what} | {_checks(clause)} | {clause.result or clause.reason} |"


def _counts(clauses: Sequence[Clause]) -> str:
    lines = ["| side | level | clauses | passed | failed | not run | nothing checks it | with a reason |"]
    lines.append("|---|---|---|---|---|---|---|---|")
    for side, level in sorted({(clause.side, clause.level) for clause in clauses}):
        of = [clause for clause in clauses if (clause.side, clause.level) == (side, level)]
        results = Counter(clause.result for clause in of)
        cells = [results[name] for name in ("passed", "failed", "not run", NOTHING, "")]
        lines.append(f"| {side} | {level} | {len(of)} | {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def render(clauses: Sequence[Clause], runs: int) -> str:
    """The page."""
    parts = [HEAD.format(runs=runs, counts=_counts(clauses))]
    for side, title in SIDES:
        rows = [_row(clause) for clause in clauses if clause.side == side]
        parts += [f"\n## {title}\n", "| clause | level | what holds | checked by | result, or why not |"]
        parts += ["|---|---|---|---|---|", *rows]
    return "\n".join(parts) + "\n"


def write(clauses: Sequence[Clause], runs: int, folder: Path) -> None:
    """Both files, in `folder`."""
    (folder / "conformance.json").write_text(dump(clauses, runs))
    (folder / "conformance.md").write_text(render(clauses, runs))
