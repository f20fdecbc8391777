"""What a scoreboard is.

Scoreboards judge; they never see a pin, a driver or memory, only events (events.py) made from the observation log.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from virtiofs_tb.profile import Profile
from virtiofs_tb.scoreboards.events import Failure

if TYPE_CHECKING:
    from virtiofs_tb.scoreboards.observer import Observer


class Scoreboard:
    """One judge. A subclass has a method of listeners.Listeners for each class of events that it wants.

    name: how it is switched off. checked: how many things of each kind it has compared.
    """

    name = ""

    def __init__(self, profile: Profile, observer: Observer) -> None:
        self.profile = profile
        self.observer = observer
        self.checked: dict[str, int] = {}
        self.failures: list[Failure] = []
        self.report: Callable[[Failure], None] = self.failures.append

    def count(self, kind: str, number: int = 1) -> None:
        """Note that `number` things of a kind were checked."""
        self.checked[kind] = self.checked.get(kind, 0) + number

    def fail(self, t_ps: int, seq: int, text: str, clause: str = "", expected: str = "", seen: str = "") -> None:
        """Record a mismatch. expected and seen complete the sentence "expected ..., seen ..."."""
        self.report(Failure(self.name, t_ps, seq, text, clause, expected, seen))

    def total(self) -> int:
        """How many things were checked."""
        return sum(self.checked.values())

    def waiting(self) -> list[str]:
        """What is open and owed by nobody, in words, for a run that does not end."""
        return []

    def has_notification_buffer(self) -> bool:
        """Whether a buffer of the driver is on queue 1, and may still be used."""
        queue = self.observer.rings.queues.get(1)
        return queue is not None and queue.notification and not self.observer.virtio.needs_reset and bool(queue.open)

    def finish(self, t_ps: int, seq: int) -> None:
        """The run is over and drained: whatever is still owed is a failure."""
