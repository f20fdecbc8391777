"""Writes what viewers open beside a dump: a save file for GTKWave and a command file for Surfer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from virtiofs_tb.waves.groups import Group, Signal
from virtiofs_tb.waves.names import enumerations

GTKWAVE_FILE = "waves.gtkw"
SURFER_FILE = "waves.sucl"
NAMES_FOLDER = "waves-names"
_HEX, _BIT, _TRANSLATED = 0x22, 0x28, 0x2000  # GTKWave's flags: radix, right-justified, names from a file
_OPEN, _CLOSED, _END = 0x800200, 0xC00200, 0x1000200  # a group's head and its end
_OPEN_GROUPS = ("clock", "channels", "engine")
_MARKERS = 26
_MARGIN_PS = 1_000_000  # shown before the marker at which the viewer opens
_ZOOM = -21.0  # some 10 us in a window


@dataclass(frozen=True)
class Marker:
    """A moment with a name, such as `reset`."""

    name: str
    t_ps: int


def write_views(dump: Path, groups: Sequence[Group], markers: Sequence[Marker]) -> tuple[Path, Path]:
    """Write both files and the names that they use into the dump's folder; returns the two paths."""
    used = sorted({signal.names for group in groups for signal in group.signals if signal.names})
    widths = {signal.names: signal.width for group in groups for signal in group.signals if signal.names}
    (dump.parent / NAMES_FOLDER).mkdir(exist_ok=True)
    mappings = dump.parent / ".surfer" / "mappings"
    mappings.mkdir(parents=True, exist_ok=True)
    for name in used:
        _names_file(dump, name).write_text(_gtkwave_names(name, widths[name]))
        (mappings / f"{name}.txt").write_text(_surfer_names(name, widths[name]))
    gtkwave, surfer = dump.parent / GTKWAVE_FILE, dump.parent / SURFER_FILE
    gtkwave.write_text(_gtkwave(dump, groups, markers))
    surfer.write_text(_surfer(groups, markers))
    return gtkwave, surfer


def _names_file(dump: Path, name: str) -> Path:
    return dump.parent / NAMES_FOLDER / f"{name}.txt"


def _gtkwave_names(name: str, width: int) -> str:
    """GTKWave compares with the value as it shows it: hexadecimal digits, as many as the signal has."""
    digits = (width + 3) // 4
    return "".join(f"{value:0{digits}X} {text}\n" for value, text in sorted(enumerations()[name].items()))


def _surfer_names(name: str, width: int) -> str:
    lines = [f"Name = {name}", f"Bits = {width}"]
    return "\n".join(lines + [f"{value} {text}" for value, text in sorted(enumerations()[name].items())]) + "\n"


def _gtkwave(dump: Path, groups: Sequence[Group], markers: Sequence[Marker]) -> str:
    times = [str(marker.t_ps) for marker in markers] + ["-1"] * (_MARKERS - len(markers))
    cursor = markers[-1].t_ps if markers else 0
    lines = ["[*] written by virtiofs-tb waves", f'[dumpfile] "{dump}"', f"[timestart] {max(0, cursor - _MARGIN_PS)}"]
    lines += [
        "[size] 1600 1000",
        "[pos] -1 -1",
        "[sst_width] 160",
        "[signals_width] 420",
        f"*{_ZOOM:f} {cursor} {' '.join(times)}",
    ]
    lines += [f"[markername] {chr(ord('A') + index)}{marker.name}" for index, marker in enumerate(markers)]
    numbers: dict[str, int] = {}
    for group in groups:
        is_open = group.name in _OPEN_GROUPS or len(groups) <= len(_OPEN_GROUPS)
        lines += [f"@{_OPEN if is_open else _CLOSED:x}", f"-{group.title}"]
        for signal in group.signals:
            if signal.names:
                number = numbers.setdefault(signal.names, len(numbers) + 1)
                lines += [f"@{_HEX | _TRANSLATED:x}", f"^{number} {_names_file(dump, signal.names)}"]
            else:
                lines.append(f"@{_BIT if signal.width == 1 else _HEX:x}")
            lines.append(_line(signal, by_bits=dump.suffix == ".fst" and "." in signal.names))
        lines += [f"@{_END:x}", f"-{group.title}"]
    return "\n".join(lines) + "\n"


def _line(signal: Signal, by_bits: bool) -> str:
    """by_bits: a vector made of the signal's bits, since GTKWave takes no names for what FST says is an enumeration."""
    if not by_bits or signal.width == 1:
        return f"+{{{signal.short}}} {signal.dump_name}"
    return " ".join([f"#{{{signal.short}}}", *(f"({bit}){signal.dump_name}" for bit in range(signal.width))])


def _surfer(groups: Sequence[Group], markers: Sequence[Marker]) -> str:
    """Commands are all read before the dump is: none may name a marker, which only exists when it was set.

    A divider's name is one word. One that is not taken would shift the numbers of all items behind it.
    """
    lines: list[str] = []
    formats: list[tuple[int, Signal]] = []
    items = 0
    for group in groups:
        lines.append("divider_add " + re.sub(r"\W+", "_", group.title))
        items += 1
        for signal in group.signals:
            lines.append("variable_add " + re.sub(r"\[\d+:\d+\]$", "", signal.dump_name))
            formats.append((items, signal))
            items += 1
    for index, signal in formats:
        if signal.names:
            lines += [f"item_focus {_letters(index)}", f"item_set_format {signal.names}"]
    lines.append("item_unfocus")
    lines += [f"marker_set {marker.name} {marker.t_ps}" for marker in markers]
    lines.append(f"cursor_set {markers[-1].t_ps}" if markers else "zoom_fit")  # the view follows the cursor
    return "\n".join(lines) + "\n"


def _letters(index: int) -> str:
    """What Surfer calls its item of that number, from 0 on: the number in hexadecimal, of the digits a to p."""
    return "".join("abcdefghijklmnop"[int(digit, 16)] for digit in f"{index:x}")
