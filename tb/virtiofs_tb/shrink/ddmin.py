"""Delta debugging: the minimising algorithm of Zeller and Hildebrandt (IEEE TSE 28(2), 2002, section 3.2).

Our own few lines: libraries that offer it reduce files through a command that judges them, not values in a process.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TypeVar

T = TypeVar("T")


def ddmin(parts: Sequence[T], fails: Callable[[Sequence[T]], bool]) -> list[T]:
    """A part of `parts`, in their order, that fails and of which no single one can be left out.

    `fails` must hold for all of `parts`, which is not asked again.
    """
    kept = list(parts)
    if kept and fails([]):
        return []
    pieces = 2
    while len(kept) > 1:
        edges = [len(kept) * number // pieces for number in range(pieces + 1)]
        cuts = list(pairwise(edges))
        # The end first: what a recorded run did last is nearest to its failure.
        subset = next((kept[a:b] for a, b in reversed(cuts) if pieces < len(kept) and fails(kept[a:b])), None)
        if subset is not None:
            kept, pieces = subset, 2
            continue
        rest = next((kept[:a] + kept[b:] for a, b in cuts if fails(kept[:a] + kept[b:])), None)
        if rest is not None:
            kept, pieces = rest, max(pieces - 1, 2)
        elif pieces < len(kept):
            pieces = min(2 * pieces, len(kept))
        else:
            break
    return kept
