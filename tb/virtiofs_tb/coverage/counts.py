"""How often each bin was hit: of one run a file, of many runs their sum.

The sum is that of collections.Counter, bin by bin: addition of whole numbers, so that neither order nor grouping
matters. Nothing derived (percentages, goals) is ever stored or merged; it is counted from the sum.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from virtiofs_tb.coverage.model import BINS, IMPOSSIBLE

VERSION = 1


class CountsError(Exception):
    """A file is none of ours, or of another model of bins; the message is one line."""


@dataclass
class Counts:
    """Hits by bin, and the runs that they are of."""

    runs: list[str] = field(default_factory=list)
    hits: Counter[str] = field(default_factory=Counter)

    def hit(self, *values: str) -> None:
        """One more in the bin of these values, the group's name first. Raises KeyError for a bin that is not there."""
        name = "/".join(values)
        if name not in BINS and name not in IMPOSSIBLE:
            raise KeyError(name)
        self.hits[name] += 1

    def write(self, path: Path) -> None:
        """One file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        data = {"version": VERSION, "runs": sorted(self.runs), "hits": dict(sorted(self.hits.items()))}
        path.write_text(json.dumps(data, indent=1) + "\n")

    @staticmethod
    def read(path: Path) -> Counts:
        """Raises CountsError, OSError."""
        try:
            data = json.loads(path.read_text())
            version, runs, hits = data["version"], list(data["runs"]), Counter[str](data["hits"])
        except (ValueError, KeyError, TypeError) as error:
            raise CountsError(f"{path.name}: no file of coverage ({error})") from None
        unknown = sorted(hits.keys() - BINS - IMPOSSIBLE.keys())
        if version != VERSION or unknown:
            what = f"bin {unknown[0]!r} is not there" if unknown else f"version {version}, expected {VERSION}"
            raise CountsError(f"{path.name}: {what}; remove it and run again")
        return Counts(runs, hits)


def merged(parts: Iterable[Counts]) -> Counts:
    """The sum."""
    total = Counts()
    for part in parts:
        total.runs += part.runs
        total.hits.update(part.hits)
    total.runs.sort()
    return total
