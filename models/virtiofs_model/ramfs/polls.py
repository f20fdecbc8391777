"""Who asked to be told when a file is worth asking again (docs/notifications.md, "Files that are polled").

Nothing here knows requests or stores; `kh` is a number of the driver's.
"""

from __future__ import annotations

from dataclasses import dataclass

PLACES = 8


@dataclass(frozen=True)
class Poll:
    """The driver's number for an open file that it polls, and the inode."""

    kh: int
    node: int


@dataclass
class PollTable:
    """All that is put down, in the order in which it came. Attributes are assigned, never changed in place, so that a
    journal can save them."""

    polls: tuple[Poll, ...] = ()

    def knows(self, kh: int) -> bool:
        """Whether it is put down."""
        return any(poll.kh == kh for poll in self.polls)

    @property
    def full(self) -> bool:
        """Whether nothing more can be put down."""
        return len(self.polls) >= PLACES

    def put(self, kh: int, node: int) -> None:
        """Put it down; one that is there moves to this inode, and keeps its place in the order."""
        if self.knows(kh):
            self.polls = tuple(Poll(kh, node) if poll.kh == kh else poll for poll in self.polls)
        else:
            self.polls = (*self.polls, Poll(kh, node))

    def take(self, node: int) -> tuple[int, ...]:
        """Take out those of an inode, in order."""
        taken = tuple(poll.kh for poll in self.polls if poll.node == node)
        self.polls = tuple(poll for poll in self.polls if poll.node != node)
        return taken

    def clear(self) -> None:
        """The session is over."""
        self.polls = ()
