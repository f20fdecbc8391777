"""What is announced by a device with a defect (virtiofs_model/defects.py), to prove that a judge can see it."""

from __future__ import annotations

import struct
from collections.abc import Callable

from virtiofs_model.defects import Defect
from virtiofs_model.layouts.fuse_constants import FUSE_ROOT_ID, NotifyCode, Opcode
from virtiofs_model.ramfs.announce import Announcement, inval_inode
from virtiofs_model.ramfs.dpu import DpuReply

_MOVES = (Opcode.RENAME, Opcode.RENAME2)
_MAKES = (Opcode.MKNOD, Opcode.MKDIR, Opcode.SYMLINK, Opcode.CREATE, Opcode.LINK)
_NAMES = (*_MOVES, *_MAKES, Opcode.UNLINK, Opcode.RMDIR)


def _code(message: bytes) -> int:
    return int(struct.unpack_from("<i", message, 4)[0])


def _attributes(messages: list[bytes]) -> list[int]:
    """Places of the messages about attributes alone."""
    return [
        place
        for place, message in enumerate(messages)
        if _code(message) == NotifyCode.INVAL_INODE and message[24:32] == b"\xff" * 8
    ]


def _without(messages: list[bytes], places: list[int]) -> list[bytes]:
    return [message for place, message in enumerate(messages) if place not in places]


def _cut_short(messages: list[bytes]) -> list[bytes]:
    return [inval_inode(int.from_bytes(message[16:24], "little")) for message in messages]


_SPOILT: dict[Defect, tuple[tuple[Opcode, ...], Callable[[list[bytes]], list[bytes]]]] = {
    Defect.ANNOUNCE_NO_WRITE: ((Opcode.WRITE,), lambda messages: []),
    Defect.ANNOUNCE_NO_TRUNCATION: ((Opcode.SETATTR,), _cut_short),
    Defect.ANNOUNCE_NO_ATTRIBUTES: ((Opcode.SETATTR,), lambda messages: _without(messages, _attributes(messages))),
    Defect.ANNOUNCE_NO_CREATION: (_MAKES, lambda messages: messages[1:]),
    Defect.ANNOUNCE_NO_REMOVAL: ((Opcode.UNLINK, Opcode.RMDIR), lambda messages: messages[1:]),
    Defect.ANNOUNCE_OLD_NAME_ONLY: (_MOVES, lambda messages: [messages[0], *messages[2:]]),
    Defect.ANNOUNCE_NO_REPLACED: (_MOVES, lambda messages: [*messages[:3], *messages[4:]]),
    Defect.ANNOUNCE_NO_PARENTS: (_NAMES, lambda messages: _without(messages, _attributes(messages)[-1:])),
}
"""By defect: the opcodes that it acts on, and what it makes of their messages."""


def spoilt(defect: Defect | None, request: bytes, answer: DpuReply) -> list[bytes]:
    """The messages that are sent."""
    announced: list[Announcement] = answer.announced
    if defect is Defect.ANNOUNCE_UNCACHED:
        return [one.message for one in announced]
    if defect is Defect.ANNOUNCE_NO_ROOT:
        return [one.message for one in announced if one.cached and one.holder != FUSE_ROOT_ID]
    if defect in _SPOILT and answer.messages:
        opcodes, spoil = _SPOILT[defect]
        if int.from_bytes(request[4:8], "little") in opcodes:
            return spoil(answer.messages)
    return answer.messages
