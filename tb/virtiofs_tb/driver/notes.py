"""What this driver writes into the observation log of its own doing. Any other driver may leave it out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

TOOK = "took "
"""Begins the note; JSON follows. Stimulus stands in the log as lines of JSON alone."""


@dataclass(frozen=True)
class Took:
    """The driver took used entries of a queue, all at once, in the order of the used ring. heads: of the chains."""

    queue: int
    heads: tuple[int, ...]


def took(queue: int, heads: Sequence[int]) -> str:
    """The note."""
    return TOOK + json.dumps({"queue": queue, "heads": list(heads)}, separators=(",", ":"))


def parse_took(text: str) -> Took | None:
    """What a note says; None where it is another one, or one of someone who writes them otherwise."""
    if not text.startswith(TOOK):
        return None
    try:
        said = json.loads(text.removeprefix(TOOK))
        return Took(int(said["queue"]), tuple(int(head) for head in said["heads"]))
    except (ValueError, TypeError, KeyError):
        return None
