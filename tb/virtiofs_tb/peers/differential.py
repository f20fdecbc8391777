"""Several targets side by side: what each scenario's verdict and facts are, and where they differ."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.table import Table

from virtiofs_tb.peers.decided import Difference, Sorted
from virtiofs_tb.peers.targets import PASSED, TargetRun

VERDICT = "verdict"
SHOWN_FACTS = 40


def differences(ours: TargetRun, theirs: TargetRun) -> Iterator[Difference]:
    """Every verdict and fact of two targets that is not the same. A step that one cannot run is no difference."""
    for step, verdict in ours.verdicts.items():
        other = theirs.verdicts.get(step, "")
        if not_applicable(verdict) or not_applicable(other):
            continue
        if verdict != other:
            yield Difference(step, VERDICT, verdict, other)
            if other != PASSED:
                continue  # what it saw before it failed says little
        left, right = ours.facts.get(step, {}), theirs.facts.get(step, {})
        for name in [*left, *(name for name in right if name not in left)]:
            if left.get(name) != right.get(name):
                yield Difference(step, name, left.get(name), right.get(name))


def not_applicable(verdict: str) -> bool:
    """Whether the target lacks what the scenario needs."""
    return verdict.startswith("not applicable")


def compared(ours: TargetRun, theirs: TargetRun) -> int:
    """How many verdicts and facts two targets have in common."""
    both = [(step, verdict, theirs.verdicts.get(step, "")) for step, verdict in ours.verdicts.items()]
    steps = [step for step, left, right in both if not not_applicable(left) and not not_applicable(right)]
    return len(steps) + sum(len(ours.facts.get(step, {}).keys() & theirs.facts.get(step, {}).keys()) for step in steps)


def print_verdicts(console: Console, runs: Sequence[TargetRun]) -> None:
    """Scenarios down, targets across."""
    table = Table(box=None, pad_edge=False)
    table.add_column("scenario", no_wrap=True)
    for run in runs:
        table.add_column(run.name, overflow="fold")
    for step in runs[0].verdicts:
        table.add_row(step, *(run.verdicts.get(step, "") for run in runs))
    console.print(table)


def print_differences(console: Console, title: str, found: Sorted) -> None:
    """What is decided. What is not stands at the end of the report (complaints)."""
    if found.decided:
        console.print(f"\n{title}: differences that are decided; docs/peers.md says why", highlight=False)
        table = Table(box=None, pad_edge=False)
        for column in ("where", "ours", "theirs"):
            table.add_column(column, overflow="fold")
        for difference, _ in found.decided[:SHOWN_FACTS]:
            where = f"{difference.step}, {difference.what}"
            table.add_row(where, difference.ours or "-", difference.theirs or "-")
        console.print(table, markup=False)
        if len(found.decided) > SHOWN_FACTS:
            console.print(f"... and {len(found.decided) - SHOWN_FACTS} more", highlight=False)


def complaints(title: str, found: Sorted) -> list[str]:
    """A line for each thing that fails the comparison `title`: where, what, and both values."""
    seen = [f"{title}: NOT DECIDED: {difference}" for difference in found.open]
    stale = [
        f"{title}: NOT SEEN: {item.step}, {item.what}: decided as {item.why!r}, but nothing differs there"
        for item in found.stale
    ]
    return seen + stale
