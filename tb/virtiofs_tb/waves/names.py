"""Names for values: the enumerations of hdl/, and those of TLPs and FUSE requests."""

from __future__ import annotations

import re
from functools import cache

from virtiofs_model.layouts.fuse_constants import Opcode
from virtiofs_model.layouts.tlp import FMT_4DW, TlpKind
from virtiofs_tb.paths import ROOT

_ENUM = re.compile(r"typedef\s+enum\s+logic\s*(?:\[\s*(\d+)\s*:\s*0\s*\])?\s*\{(.*?)\}\s*(\w+)\s*;", re.DOTALL)
_MEMORY = (TlpKind.MRD, TlpKind.MWR)


@cache
def enumerations() -> dict[str, dict[int, str]]:
    """Every set of names: 'tlp' (Fmt and Type), 'fuse' (opcodes), and 'scheduler.ask_e' and so on from hdl/."""
    tlp = {kind.value: kind.name for kind in TlpKind if kind is not TlpKind.UNKNOWN}
    tlp |= {kind.value | FMT_4DW: f"{kind.name}64" for kind in _MEMORY}
    found = {"tlp": tlp, "fuse": {opcode.value: opcode.name for opcode in Opcode}}
    for source in sorted((ROOT / "hdl").rglob("*.sv")):
        text = re.sub(r"//[^\n]*", "", source.read_text())
        for _, body, name in _ENUM.findall(text):
            found[f"{source.stem}.{name}"] = _members(body)
    return found


def _members(body: str) -> dict[int, str]:
    names: dict[int, str] = {}
    value = 0
    for member in filter(None, (part.strip() for part in body.split(","))):
        name, _, given = (part.strip() for part in member.partition("="))
        if given:
            base, digits = re.sub(r"^\d*'s?", "", given)[:1], re.sub(r"^\d*'s?[dhbo]", "", given)
            radix = {"h": 16, "b": 2, "o": 8}.get(base, 10) if "'" in given else 10
            value = int(digits.replace("_", ""), radix)
        names[value] = name
        value += 1
    return names
