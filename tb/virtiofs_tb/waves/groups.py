"""Reads groups.toml, and finds its signals in a dump."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

from virtiofs_tb.runner import UsageError
from virtiofs_tb.waves.hierarchy import plain
from virtiofs_tb.waves.names import enumerations

DESCRIPTION = Path(__file__).with_name("groups.toml")


@dataclass(frozen=True)
class Signal:
    """One line of a viewer. path: as in groups.toml; dump_name: as in the dump; names: '' or those of its values."""

    path: str
    names: str = ""
    dump_name: str = ""

    @property
    def short(self) -> str:
        """The path as a person says it, without the scopes that all signals share."""
        return re.sub(r"^tb_top\.(dut\.endpoint\.)?", "", self.path).replace(".", "/")

    @property
    def width(self) -> int:
        found = re.search(r"\[(\d+):(\d+)\]$", self.dump_name)
        return abs(int(found[1]) - int(found[2])) + 1 if found else 1


@dataclass(frozen=True)
class Group:
    """A titled part of the view. inside: its signals are those of our endpoint."""

    name: str
    title: str
    inside: bool
    signals: tuple[Signal, ...] = field(default=())


def read_groups() -> list[Group]:
    """All groups in the order of groups.toml, those with `each` once a number."""
    groups = []
    for entry in tomllib.loads(DESCRIPTION.read_text(encoding="utf-8"))["group"]:
        first, last = entry.get("each", (0, 0))
        groups += [_group(entry, number) for number in range(first, last + 1)]
    return groups


def _group(entry: Mapping[str, Any], number: int) -> Group:
    inside = bool(entry.get("inside", False))
    prefix = "tb_top.dut.endpoint." if inside else "tb_top."
    signals = []
    for text in entry["signals"]:
        path, _, names = text.replace("{n}", str(number)).partition(" as ")
        if names and names not in enumerations():
            raise KeyError(f"groups.toml: {names} of {path} is no set of names")
        signals.append(Signal(prefix + path, names))
    return Group(entry["name"], entry["title"].replace("{n}", str(number)), inside, tuple(signals))


def choose(text: str, ours: bool) -> list[Group]:
    """GROUPS=a,b, or all where it is empty. Without our endpoint only its pins. Raises UsageError for other names."""
    known = [group for group in read_groups() if ours or not group.inside]
    available = list(dict.fromkeys(group.name for group in known))
    wanted = [name.strip() for name in text.split(",") if name.strip()]
    for name in wanted:
        if name not in available:
            raise UsageError(f"GROUPS={name}: no such group of signals; there are {', '.join(available)}")
    return [group for group in known if not wanted or group.name in wanted]


def located(groups: Sequence[Group], dump_names: Iterable[str]) -> tuple[list[Group], list[str]]:
    """The groups with the signals that the dump has, under its names; and the paths of those that it does not have."""
    by_path = {plain(name): name for name in dump_names}
    found, missing = [], []
    for group in groups:
        missing += [signal.path for signal in group.signals if signal.path not in by_path]
        present = tuple(
            Signal(signal.path, signal.names, by_path[signal.path])
            for signal in group.signals
            if signal.path in by_path
        )
        found.append(Group(group.name, group.title, group.inside, present))
    return [group for group in found if group.signals], missing
