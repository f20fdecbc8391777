"""The goal: every bin hit, or waived with a reason and an owner."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from virtiofs_tb.coverage.model import BINS, GROUPS, IMPOSSIBLE

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

WAIVERS = Path(__file__).parent / "waivers.toml"


class WaiverError(Exception):
    """The waiver file is wrong; the message is one line."""


@dataclass(frozen=True)
class Waiver:
    """bins: a name, or a pattern of names; reason: why they need not be hit; owner: who sees to them."""

    bins: str
    reason: str
    owner: str

    def covers(self, name: str) -> bool:
        """Whether a bin is meant."""
        return fnmatchcase(name, self.bins)


def read_waivers(path: Path = WAIVERS) -> list[Waiver]:
    """Raises WaiverError for an entry without reason or owner, and for one that means no bin."""
    found: list[Waiver] = []
    try:
        entries = tomllib.loads(path.read_text()).get("waiver", [])
    except tomllib.TOMLDecodeError as error:
        raise WaiverError(f"{path.name}: {error}") from None
    for number, entry in enumerate(entries, 1):
        missing = [key for key in ("bins", "reason", "owner") if not str(entry.get(key, "")).strip()]
        if missing:
            raise WaiverError(f"{path.name}, waiver {number}: {missing[0]} is missing")
        waiver = Waiver(entry["bins"], entry["reason"], entry["owner"])
        if not any(waiver.covers(name) for name in BINS):
            raise WaiverError(f"{path.name}, waiver {number}: there is no bin {waiver.bins!r}")
        found.append(waiver)
    return found


@dataclass(frozen=True)
class GroupResult:
    """bins: that are a goal; hit, waived (and not hit): so many of them."""

    name: str
    bins: int
    hit: int
    waived: int

    @property
    def holes(self) -> int:
        return self.bins - self.hit - self.waived


@dataclass
class Result:
    """holes: neither hit nor waived. needless: waived, but hit. wrong: hit, though the model says it cannot be."""

    groups: list[GroupResult] = field(default_factory=list)
    holes: list[str] = field(default_factory=list)
    needless: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    @property
    def met(self) -> bool:
        """Whether the goal is met."""
        return not self.holes and not self.wrong


def judge(hits: Mapping[str, int], waivers: Sequence[Waiver]) -> Result:
    """Hold hits by bin to the goal."""
    result = Result(wrong=sorted(name for name, count in hits.items() if count and name in IMPOSSIBLE))
    for group in GROUPS:
        names = [name for name in group.all() if name in BINS]
        hit = [name for name in names if hits.get(name)]
        waived = [name for name in names if any(waiver.covers(name) for waiver in waivers)]
        not_hit = set(names) - set(hit)
        result.holes += [name for name in names if name in not_hit - set(waived)]
        result.needless += [name for name in waived if name not in not_hit]
        result.groups.append(GroupResult(group.name, len(names), len(hit), len(not_hit & set(waived))))
    return result
