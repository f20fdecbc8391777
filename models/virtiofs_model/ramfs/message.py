"""A request taken apart, as far as it is the same for all opcodes (docs/file-system.md, "How a request is checked")."""

from __future__ import annotations

import errno
from collections.abc import Hashable
from ctypes import LittleEndianStructure, sizeof
from typing import TypeVar

from virtiofs_model.layouts import fuse
from virtiofs_model.layouts.fuse_constants import FUSE_COMPAT_SETXATTR_IN_SIZE, Opcode
from virtiofs_model.layouts.fuse_operations import IN_HEADER_SIZE, OUT_HEADER_SIZE, Operation, ReplyKind
from virtiofs_model.ramfs.inode import FsError

NAMES_WITHIN = 1024
"""Names are looked for in this many bytes of the message; what lies behind them may be unreadable."""

INIT_SIZE = 56
"""Least bytes of an INIT: before 7.36 its structure ended at `flags`."""

_SIZES = {Opcode.INIT: INIT_SIZE, Opcode.SETXATTR: IN_HEADER_SIZE + FUSE_COMPAT_SETXATTR_IN_SIZE}
"""Least bytes of header and structure, where clients leave out some of it."""

_NAMES = {Opcode.SYMLINK: 1, Opcode.TMPFILE: 0}
"""Names that are looked for, where that is another number than the message has: a target has no form."""


def unread(opcode: int) -> int:
    """How many bytes at the end of the message nobody looks at: the one that counts as the NUL of a target."""
    return 1 if opcode == Opcode.SYMLINK else 0


S = TypeVar("S", bound=LittleEndianStructure)


class Request:
    """A request whose structure and names are all there. Raises FsError(EINVAL, ENAMETOOLONG) where they are not.

    length: bytes of the message, of which only the first ones may be at hand. writable: bytes that the client has room
    for (None: enough). names: without their NULs. data: what follows them; None where it is not at hand. token: what
    the caller knows the request by when its answer comes later.
    """

    def __init__(
        self, message: bytes, length: int, operation: Operation, writable: int | None, token: Hashable = None
    ) -> None:
        self.header = fuse.FuseInHeader.from_buffer_copy(message)
        self.message = message
        self.operation = operation
        self.opcode = operation.opcode
        self.writable = writable
        self.token = token
        at = operation.request_size
        if length < _SIZES.get(operation.opcode, at):
            raise FsError(errno.EINVAL)
        if operation.opcode is Opcode.SETXATTR:
            at = _SIZES[Opcode.SETXATTR]
        self.names: list[bytes] = []
        for _ in range(_NAMES.get(operation.opcode, operation.names)):
            end = message.find(b"\0", at, NAMES_WITHIN)
            if end < 0:
                raise FsError(errno.EINVAL if length <= NAMES_WITHIN else errno.ENAMETOOLONG)
            self.names.append(message[at:end])
            at = end + 1
        self.data_size = max(0, length - at)
        self.data = message[at:] if len(message) >= length - unread(self.opcode) else None

    def body(self, struct: type[S]) -> S:
        """The structure behind fuse_in_header; what an older client leaves out is 0."""
        raw = self.message[IN_HEADER_SIZE : IN_HEADER_SIZE + sizeof(struct)]
        return struct.from_buffer_copy(raw.ljust(sizeof(struct), b"\0"))

    def has_room(self) -> bool:
        """Whether the largest reply that this request can have fits, as far as that is known by its opcode."""
        if self.operation.kind not in (ReplyKind.STRUCT, ReplyKind.SIZED, ReplyKind.SIZED_OR_STRUCT):
            return True
        return self.fits(self.operation.reply_limit(self.message) - OUT_HEADER_SIZE)

    def fits(self, payload: int) -> bool:
        """Whether there is room for so many bytes behind fuse_out_header."""
        return self.writable is None or self.writable >= OUT_HEADER_SIZE + payload
