"""LOCK messages of a session: which SETLKW each one is about (docs/notifications.md, "Locks that wait")."""

from __future__ import annotations

import struct
from collections.abc import Iterable

from virtiofs_model.layouts.fuse_constants import NOTIFY_CODE_LOCK
from virtiofs_model.ramfs import NOT_YET
from virtiofs_model.ramfs.notices import LOCK_BYTES, WAITS_BY_MESSAGE, lock_ending
from virtiofs_tb.scoreboards.reply_text import errno_name
from virtiofs_tb.scoreboards.waits import WaitHappening

_WAITS = WAITS_BY_MESSAGE.to_bytes(4, "little")


def is_lock(message: bytes) -> bool:
    """Whether it is a LOCK message, by its code."""
    return message[4:8] == NOTIFY_CODE_LOCK.to_bytes(4, "little")


def waits_by_message(reply: bytes | None) -> bool:
    """Whether a reply to SETLKW says that a message will follow."""
    return reply is not None and reply[4:8] == _WAITS


def lock_text(message: bytes | None) -> str:
    """A LOCK message in words; NOT_YET: none."""
    if message is None or message == NOT_YET:
        return "none"
    try:
        unique, error = lock_ending(message)
    except struct.error:
        return f"{len(message)} bytes"
    return f"LOCK of unique {unique} with {errno_name(error)}"


class LockMessages:
    """Those that were told to wait in this session, and what they were told since."""

    def __init__(self) -> None:
        self._waits: list[WaitHappening] = []

    def asked(self, wait: WaitHappening) -> None:
        """A SETLKW was told that it waits."""
        self._waits.append(wait)

    def about(self, message: bytes) -> WaitHappening | None:
        """The oldest that was told nothing yet, which the message is about; None: nobody."""
        if len(message) != LOCK_BYTES:
            return None
        unique, _ = lock_ending(message)
        for wait in self._waits:
            if int.from_bytes(wait.message[8:16], "little") == unique and not wait.ending.answered:
                return wait
        return None

    def owed(self) -> Iterable[WaitHappening]:
        """Those whose wait has ended in the golden file system, and who were not told."""
        return (wait for wait in self._waits if wait.ending.fate.reply != NOT_YET and not wait.ending.answered)

    def on(self) -> Iterable[WaitHappening]:
        """Those who wait."""
        return (wait for wait in self._waits if wait.ending.fate.reply == NOT_YET and not wait.ending.answered)

    def clear(self) -> None:
        """The session is over: nobody is told any more."""
        self._waits.clear()
