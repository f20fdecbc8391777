"""What a scenario saw of the endpoint, as notes in the log, so that several targets can be held side by side.

A fact is no judgement: a scenario fails by raising. It has a name that is the same on every target.
"""

from __future__ import annotations

from collections.abc import Iterable

from virtiofs_tb.host.log import Kind, Record
from virtiofs_tb.host.port import HostPort

_SAW, _STEP = "saw ", "step "


def saw(host: HostPort, what: str, value: object) -> None:
    """Note a fact. what: without a colon."""
    host.note(f"{_SAW}{what}: {value}")


def facts_of(records: Iterable[Record]) -> dict[str, dict[str, str]]:
    """The facts by step and name, in the order in which they were noted; of one noted twice, the last."""
    found: dict[str, dict[str, str]] = {}
    step = ""
    for record in records:
        if record.kind != Kind.NOTE:
            continue
        text = record.payload.decode(errors="replace")
        if text.startswith(_STEP):
            step = text.removeprefix(_STEP)
        elif text.startswith(_SAW):
            name, _, value = text.removeprefix(_SAW).partition(": ")
            found.setdefault(step, {})[name] = value
    return found
