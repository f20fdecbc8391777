"""A peer in wall-clock time, such as a guest in a process of its own, beside a target in simulated time.

The peer's messages are taken between two wake-ups of the target. While the target owes nothing and has nothing to do,
it sleeps until the peer says something, and simulated time stands still.
"""

from __future__ import annotations

from typing import Protocol


class Outside(Protocol):
    """What a target asks of a peer. Both calls may spawn tasks and set events of the loop; neither raises for anything
    that the peer does: whoever waits for the peer is woken instead.
    """

    def look(self) -> None:
        """Take what has come, without waiting."""
        ...

    def wait(self, seconds: float | None = None) -> None:
        """Return when something has come, or when the time for it has run out: `seconds` at most, None for as long as
        the peer may be silent.
        """
        ...
