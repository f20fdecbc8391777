"""Messages that nothing can repair, LOCK and POLL: their places in the store are kept before there is anything to say
(docs/notifications.md, "When the store is full")."""

from __future__ import annotations

import struct
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from virtiofs_model.layouts import fuse
from virtiofs_model.layouts.fuse_constants import NOTIFY_CODE_LOCK, NotifyCode
from virtiofs_model.layouts.fuse_operations import OUT_HEADER_SIZE
from virtiofs_model.ramfs.locks import Woken

LOCK_BYTES = 32
POLL_BYTES = 24

WAITS_BY_MESSAGE = 1
"""fuse_out_header.error of a SETLKW whose end a LOCK message will tell."""

_LOCK_OUT = struct.Struct("<Qi4x")  # unique, error: the proposals of 2019 and 2021


@dataclass(frozen=True)
class Notice:
    """A message whose place was kept, and what the request that it ends is known by (POLL: None)."""

    message: bytes
    token: Hashable = None


@dataclass
class Notices:
    """What is to be said. enabled: the driver negotiated the feature; room: whether the store has room for so many
    bytes beside all that is kept. `said` is what is to be stored now, in order; the caller takes it away. Attributes
    are assigned, never changed in place, so that a journal can save them."""

    enabled: bool = False
    room: Callable[[int], bool] = lambda size: True
    said: tuple[Notice, ...] = ()


def lock_message(woken: Woken) -> bytes:
    """LOCK: how a wait ended."""
    return bytes(fuse.FuseOutHeader(LOCK_BYTES, NOTIFY_CODE_LOCK, 0)) + _LOCK_OUT.pack(woken.unique, -woken.error)


def lock_ending(message: bytes) -> tuple[int, int]:
    """unique and error (0 or -errno) of a LOCK message. Raises struct.error for one that is too short."""
    unique, error = _LOCK_OUT.unpack_from(message, OUT_HEADER_SIZE)
    return int(unique), int(error)


def poll_message(kh: int) -> bytes:
    """POLL: the file is worth asking again."""
    body = bytes(fuse.FuseNotifyPollWakeupOut(kh))
    return bytes(fuse.FuseOutHeader(POLL_BYTES, NotifyCode.POLL, 0)) + body
