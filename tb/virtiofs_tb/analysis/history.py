"""What was asked of a file system before the request that failed: its cause is there, not in that request's packets."""

from __future__ import annotations

from collections.abc import Sequence

from virtiofs_tb.analysis.show import us
from virtiofs_tb.analysis.story import DONE, REQUEST, Story

BOARDS = ("file_system", "client_cache", "announcements")
"""Scoreboards whose verdict follows from earlier requests."""

SHOWN = 6
EVERY_NODE = ("STATFS", "SETLKW")
"""A reply that depends on all inodes, and one that others bring about."""

_ANSWERS_ONLY = (
    "STATFS",
    "STATX",
    "GETATTR",
    "ACCESS",
    "READLINK",
    "FSYNC",
    "FSYNCDIR",
    "OPEN",
    "OPENDIR",
    "RELEASEDIR",
)


def before(stories: Sequence[Story], story: Story) -> list[str]:
    """The newest requests that were used before this one and concern its inode, the oldest first.

    Where the reply depends on all inodes, the newest of those that change something.
    """
    everywhere = story.op in EVERY_NODE
    earlier = [
        other
        for other in stories
        if other.kind == REQUEST and other.state == DONE and other is not story and other.end_ps <= story.end_ps
        if (everywhere and other.op not in _ANSWERS_ONLY) or (not everywhere and other.nodeid == story.nodeid)
    ]
    earlier.sort(key=lambda other: other.end_ps)
    return [
        f"{us(other.end_ps):>10} us  {other.op} unique {other.unique} of node {other.nodeid}: {other.result}"
        for other in earlier[-SHOWN:]
    ]
