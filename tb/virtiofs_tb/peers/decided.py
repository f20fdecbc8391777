"""Differences between targets that are decided: data with the reason and the clause or source, in TOML.

A list that lies is a defect: an entry that nothing matches any more must go.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass, fields
from fnmatch import fnmatchcase
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

HERE = Path(__file__).parent
FACTS_FILE = HERE / "differences.toml"
FILES_FILE = HERE / "fs_differences.toml"


class DecidedError(ValueError):
    """A list that cannot be read; the message names the file and the entry."""


@dataclass(frozen=True)
class Difference:
    """Two targets say different things. step: where; what: fact or field; ours, theirs: the values, None for none."""

    step: str
    what: str
    ours: str | None
    theirs: str | None

    def __str__(self) -> str:
        return f"{self.step}, {self.what}: ours {self.ours}, theirs {self.theirs}"


@dataclass(frozen=True)
class Decision:
    """Why a difference is none of our defects. step, what, ours and theirs may have the wildcards of a shell.

    source: the clause, or the file and function, that decides. sometimes: it depends on the moment whether it is seen.
    """

    step: str
    what: str
    why: str
    source: str
    ours: str = "*"
    theirs: str = "*"
    sometimes: bool = False

    def covers(self, difference: Difference) -> bool:
        """Whether this is about that difference."""
        pairs = (
            (difference.step, self.step),
            (difference.what, self.what),
            (difference.ours or "", self.ours),
            (difference.theirs or "", self.theirs),
        )
        return all(fnmatchcase(text, pattern) for text, pattern in pairs)


def load(path: Path) -> list[Decision]:
    """The [[difference]] entries of a file. Raises DecidedError."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise DecidedError(f"{path}: {error}") from error
    known = {item.name for item in fields(Decision)}
    found = []
    for number, table in enumerate(document.get("difference", []), start=1):
        missing = {"step", "what", "why", "source"} - table.keys()
        if missing or table.keys() - known:
            problem = f"no {sorted(missing)[0]}" if missing else f"unknown key {sorted(table.keys() - known)[0]}"
            raise DecidedError(f"{path}, entry {number}: {problem}; an entry has {', '.join(sorted(known))}")
        found.append(Decision(**table))
    return found


@dataclass
class Sorted:
    """Differences held against the list. stale: decisions that nothing needed, and that are not just for sometimes."""

    decided: list[tuple[Difference, Decision]]
    open: list[Difference]
    stale: list[Decision]

    @property
    def clean(self) -> bool:
        """Everything found is decided, and everything decided was found."""
        return not self.open and not self.stale


def sort(differences: Iterable[Difference], decisions: Iterable[Decision]) -> Sorted:
    """Give each difference to the first decision that covers it."""
    decisions = list(decisions)
    result = Sorted([], [], [])
    used: set[Decision] = set()
    for difference in differences:
        decision = next((item for item in decisions if item.covers(difference)), None)
        if decision is None:
            result.open.append(difference)
        else:
            used.add(decision)
            result.decided.append((difference, decision))
    result.stale = [item for item in decisions if item not in used and not item.sometimes]
    return result
