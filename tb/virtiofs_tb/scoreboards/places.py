"""Places in the message store that are kept for LOCK and POLL messages, as far as a judge of the link can tell.

A place is kept at some moment between the first byte of a request and its reply, and free when its message leaves the
store, some time before it is delivered; so there are bounds.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from virtiofs_tb.scoreboards.happenings import ENDLESS

UNBOUNDED = 1 << 40


@dataclass(eq=False)
class Place:
    """Bytes that are kept, by no later than `since`, not before `begin`. until: when the message was delivered;
    maybe_gone: it may have been given back without one."""

    size: int
    begin: int
    since: int
    until: int = ENDLESS
    maybe_gone: bool = False


def bounds(places: Iterable[Place], begin: int, end: int, overhead: int) -> tuple[int, int]:
    """How many bytes were kept, or stored, all the time between two moments, and how many at most at one of them.
    overhead: bytes more for each message."""
    least = most = 0
    for place in places:
        if place.begin >= end or place.until <= begin:
            continue
        most += place.size + overhead
        if place.since <= begin and place.until > end and not place.maybe_gone:
            least += place.size
    return least, most
