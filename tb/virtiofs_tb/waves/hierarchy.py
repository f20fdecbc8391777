"""The names of all signals of a dump, VCD or FST, from its header alone.

No PyPI reader is used: that of VCD is a few lines, and of an FST only the hierarchy block is read (fstapi of GTKWave
is the format's definition), which Verilator compresses with LZ4.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from pathlib import Path

_HIER_GZIP, _HIER_LZ4, _HIER_LZ4_TWICE = 4, 6, 7
_SCOPE, _UPSCOPE, _ATTRIBUTE, _ATTRIBUTE_END = 254, 255, 252, 253
_LAST_VAR_TYPE = 29


class DumpError(Exception):
    """A file is no dump that can be read."""


def signals(dump: Path) -> list[str]:
    """Full names as the dump has them, dots between scopes, ranges behind them: 'tb_top.rq.hdr[127:0]'.

    Raises DumpError.
    """
    try:
        return list(_fst(dump.read_bytes()) if dump.suffix == ".fst" else _vcd(dump))
    except (OSError, IndexError, ValueError) as error:
        raise DumpError(f"{dump.name}: its header cannot be read ({error})") from error


def plain(name: str) -> str:
    """A dump's name as the source spells it: Verilator's additions for arrays and keywords, and the range, removed."""
    name = re.sub(r"\s*\[\d+:\d+\]$", "", name)
    name = name.replace("__SYM__", "").replace(".[", "[")
    return re.sub(r"(?:^|(?<=\.))(\w+)\.(?=\1\[\d+\])", "", name)


def _joined(scopes: list[str], name: str) -> str:
    return ".".join([*scopes, re.sub(r"\s+(?=\[\d+:\d+\]$)", "", name)])


def _vcd(dump: Path) -> Iterator[str]:
    scopes: list[str] = []
    with dump.open(errors="replace") as lines:
        for line in lines:
            words = line.split()
            if words[:1] == ["$scope"]:
                scopes.append(words[2])
            elif words[:1] == ["$upscope"]:
                scopes.pop()
            elif words[:1] == ["$var"]:
                yield _joined(scopes, " ".join(words[4:-1]))
            elif words[:1] == ["$enddefinitions"]:
                return
    raise ValueError("it ends before the values begin")


def _fst(data: bytes) -> Iterator[str]:
    at = 0
    while at < len(data):
        kind, length = data[at], int.from_bytes(data[at + 1 : at + 9], "big")
        body = data[at + 9 : at + 1 + length]
        size = int.from_bytes(body[:8], "big")
        if kind == _HIER_GZIP:
            return _fst_names(gzip.decompress(body[8:]))
        if kind == _HIER_LZ4:
            return _fst_names(_lz4(body[8:], size))
        if kind == _HIER_LZ4_TWICE:
            return _fst_names(_lz4(_lz4(body[16:], int.from_bytes(body[8:16], "big")), size))
        if length == 0:
            break
        at += 1 + length
    raise ValueError("it was not closed")


def _fst_names(data: bytes) -> Iterator[str]:
    scopes: list[str] = []
    at = 0

    def text() -> str:
        nonlocal at
        end = data.index(0, at)
        found = data[at:end].decode(errors="replace")
        at = end + 1
        return found

    def skip_number() -> None:
        nonlocal at
        while data[at] & 0x80:
            at += 1
        at += 1

    while at < len(data):
        tag = data[at]
        at += 1
        if tag == _SCOPE:
            at += 1
            scopes.append(text())
            text()  # the module's name
        elif tag == _UPSCOPE:
            scopes.pop()
        elif tag == _ATTRIBUTE:
            at += 2
            text()
            skip_number()
        elif tag <= _LAST_VAR_TYPE:
            at += 1
            name = text()
            skip_number()
            skip_number()
            yield _joined(scopes, name)
        elif tag != _ATTRIBUTE_END:
            raise ValueError(f"tag {tag} in its hierarchy")


def _lz4(data: bytes, size: int) -> bytes:
    """One LZ4 block: literals, then a copy of what was `offset` bytes before, until the data ends."""
    out = bytearray()
    at = 0

    def extended(number: int) -> int:
        nonlocal at
        if number == 15:
            while True:
                more = data[at]
                at += 1
                number += more
                if more != 255:
                    break
        return number

    while at < len(data):
        token = data[at]
        at += 1
        count = extended(token >> 4)
        out += data[at : at + count]
        at += count
        if at >= len(data):
            break
        offset = int.from_bytes(data[at : at + 2], "little")
        at += 2
        count = extended(token & 15) + 4
        start = len(out) - offset
        if offset >= count:
            out += out[start : start + count]
        else:
            out += (bytes(out[start:]) * (count // offset + 1))[:count]
    if len(out) != size:
        raise ValueError(f"its hierarchy has {len(out)} bytes instead of {size}")
    return bytes(out)
