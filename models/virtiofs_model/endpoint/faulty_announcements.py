"""What is announced by a device with a defect (virtiofs_model/defects.py), to prove that a judge can see it."""

from __future__ import annotations

import struct
from collections.abc import Callable

from virtiofs_model.defects import Defect
from virtiofs_model.layouts.fuse_constants import FUSE_ROOT_ID, NOTIFY_CODE_LOCK, NotifyCode, Opcode
from virtiofs_model.ramfs.announce import Announcement, inval_inode
from virtiofs_model.ramfs.dpu import DpuReply
from virtiofs_model.ramfs.notices import Notice, lock_ending

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


def _without_grants(messages: list[bytes]) -> list[bytes]:
    return [one for one in messages if _code(one) != NOTIFY_CODE_LOCK or lock_ending(one)[1]]


def _positive_errors(messages: list[bytes]) -> list[bytes]:
    return [
        one[:24] + struct.pack("<i", -lock_ending(one)[1]) + one[28:] if _code(one) == NOTIFY_CODE_LOCK else one
        for one in messages
    ]


def _other_kh(messages: list[bytes]) -> list[bytes]:
    return [one[:16] + bytes([one[16] ^ 1]) + one[17:] if _code(one) == NotifyCode.POLL else one for one in messages]


_SPOILT_NOTICES: dict[Defect, Callable[[list[bytes]], list[bytes]]] = {
    Defect.LOCK_GRANTED_WITHOUT_MESSAGE: _without_grants,
    Defect.LOCK_MESSAGE_WRONG_ERROR: _positive_errors,
    Defect.POLL_MESSAGE_LOST: lambda messages: [one for one in messages if _code(one) != NotifyCode.POLL],
    Defect.POLL_KH_WRONG: _other_kh,
}


def spoilt_notices(defect: Defect | None, notices: list[Notice]) -> list[bytes]:
    """The messages about locks and polls that are stored."""
    messages = [notice.message for notice in notices]
    return _SPOILT_NOTICES[defect](messages) if defect in _SPOILT_NOTICES else messages


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
