"""What each FUSE opcode carries, as one table: request, names, data, reply, and where ids stand.

The table serves everyone who must understand a message without executing it: the session replay that translates ids,
the client that posts as many writable bytes as Linux does, scoreboards and viewers. Offsets of id fields count from
the first byte of the whole message, header included. Source: <linux/fuse.h> 7.45 and Linux fs/fuse (which arguments a
request has, and how long a reply buffer is posted).
"""

from __future__ import annotations

from collections.abc import Iterator
from ctypes import sizeof
from dataclasses import dataclass
from enum import Enum
from typing import Any

from . import fuse
from .fuse_constants import FUSE_GETATTR_FH, Fattr, Opcode

IN_HEADER_SIZE = sizeof(fuse.FuseInHeader)
OUT_HEADER_SIZE = sizeof(fuse.FuseOutHeader)
READLINK_REPLY_SIZE = 4095  # Linux posts a page less one byte


class IdKind(Enum):
    """What an id field names: an inode, an open file or directory, or a place in a directory."""

    NODEID = "nodeid"
    FH = "fh"
    COOKIE = "cookie"


class ReplyKind(Enum):
    """What follows fuse_out_header in a reply without error."""

    NONE = "none"  # no reply at all: the chain has no writable part
    EMPTY = "empty"  # the header alone
    STRUCT = "struct"  # the structures of `Operation.reply`
    SIZED = "sized"  # up to `size` bytes, as the request says
    SIZED_OR_STRUCT = "sized or struct"  # SIZED, but the structure where the request's size is 0
    TARGET = "target"  # a symbolic link's target
    IOCTL = "ioctl"  # the structure and up to out_size bytes


@dataclass(frozen=True)
class IdField:
    """A 64-bit id at `offset` of the message; it counts only where the u32 at when[0] has a bit of when[1] set."""

    kind: IdKind
    offset: int
    name: str
    when: tuple[int, int] | None = None

    def read(self, message: bytes) -> int | None:
        """The id, or None where the field does not count or is cut off."""
        if len(message) < self.offset + 8:
            return None
        if self.when is not None:
            at, mask = self.when
            if not int.from_bytes(message[at : at + 4], "little") & mask:
                return None
        return int.from_bytes(message[self.offset : self.offset + 8], "little")

    def write(self, message: bytearray, value: int) -> None:
        """Put another id in its place."""
        message[self.offset : self.offset + 8] = value.to_bytes(8, "little")


@dataclass(frozen=True)
class Operation:
    """One opcode's row.

    request: the structure after fuse_in_header; names: how many NUL-terminated names follow it; data: the request
    ends in bytes that are no name; ids, reply_ids: where ids stand; hiprio: goes to the hiprio queue only (FS-HP-R01).
    """

    opcode: Opcode
    request: type[Any] | None
    names: int
    data: bool
    kind: ReplyKind
    reply: tuple[type[Any], ...]
    ids: tuple[IdField, ...]
    reply_ids: tuple[IdField, ...]
    hiprio: bool

    @property
    def request_size(self) -> int:
        """Bytes of header and request structure."""
        return IN_HEADER_SIZE + (sizeof(self.request) if self.request is not None else 0)

    def field(self, message: bytes, name: str) -> int:
        """A scalar of the request's structure. ValueError where the message is too short for it."""
        if self.request is None:
            raise ValueError(f"{self.opcode.name} has no request structure")
        at = IN_HEADER_SIZE + getattr(self.request, name).offset
        size = getattr(self.request, name).size
        if len(message) < at + size:
            raise ValueError(f"{self.opcode.name}: {len(message)} bytes, but {name} ends at {at + size}")
        return int.from_bytes(message[at : at + size], "little")

    def reply_limit(self, message: bytes) -> int:
        """Writable bytes that Linux posts with this request, fuse_out_header included; 0 where no reply is due."""
        struct = sum(sizeof(part) for part in self.reply)
        if self.kind is ReplyKind.NONE:
            return 0
        if self.kind is ReplyKind.SIZED:
            return OUT_HEADER_SIZE + self.field(message, "size")
        if self.kind is ReplyKind.SIZED_OR_STRUCT:
            return OUT_HEADER_SIZE + (self.field(message, "size") or struct)
        if self.kind is ReplyKind.TARGET:
            return OUT_HEADER_SIZE + READLINK_REPLY_SIZE
        if self.kind is ReplyKind.IOCTL:
            return OUT_HEADER_SIZE + struct + self.field(message, "out_size")
        return OUT_HEADER_SIZE + struct


_NODE = IdField(IdKind.NODEID, fuse.FuseInHeader.nodeid.offset, "nodeid")


def _in(struct: type[Any], name: str, kind: IdKind, valid: str = "", mask: int = 0) -> IdField:
    when = (IN_HEADER_SIZE + getattr(struct, valid).offset, mask) if valid else None
    return IdField(kind, IN_HEADER_SIZE + getattr(struct, name).offset, name, when)


def _fh(struct: type[Any], valid: str = "", mask: int = 0) -> IdField:
    return _in(struct, "fh", IdKind.FH, valid, mask)


_ENTRY_ID = IdField(IdKind.NODEID, OUT_HEADER_SIZE + fuse.FuseEntryOut.nodeid.offset, "nodeid")
_OPEN_ID = IdField(IdKind.FH, OUT_HEADER_SIZE + fuse.FuseOpenOut.fh.offset, "fh")
_CREATE_FH = IdField(IdKind.FH, OUT_HEADER_SIZE + sizeof(fuse.FuseEntryOut) + fuse.FuseOpenOut.fh.offset, "fh")


def _row(
    opcode: Opcode,
    request: type[Any] | None = None,
    *,
    names: int = 0,
    data: bool = False,
    reply: tuple[type[Any], ...] = (),
    kind: ReplyKind | None = None,
    ids: tuple[IdField, ...] = (_NODE,),
    reply_ids: tuple[IdField, ...] = (),
    hiprio: bool = False,
) -> Operation:
    kind = kind or (ReplyKind.STRUCT if reply else ReplyKind.EMPTY)
    return Operation(opcode, request, names, data, kind, reply, ids, reply_ids, hiprio)


def _entry(opcode: Opcode, request: type[Any] | None, names: int = 1, ids: tuple[IdField, ...] = (_NODE,)) -> Operation:
    return _row(opcode, request, names=names, reply=(fuse.FuseEntryOut,), ids=ids, reply_ids=(_ENTRY_ID,))


def _create(opcode: Opcode) -> Operation:
    reply = (fuse.FuseEntryOut, fuse.FuseOpenOut)
    return _row(opcode, fuse.FuseCreateIn, names=1, reply=reply, reply_ids=(_ENTRY_ID, _CREATE_FH))


def _open(opcode: Opcode) -> Operation:
    return _row(opcode, fuse.FuseOpenIn, reply=(fuse.FuseOpenOut,), reply_ids=(_OPEN_ID,))


def _handle(opcode: Opcode, request: type[Any], reply: tuple[type[Any], ...] = (), data: bool = False) -> Operation:
    return _row(opcode, request, data=data, reply=reply, ids=(_NODE, _fh(request)))


def _list(opcode: Opcode) -> Operation:
    ids = (_NODE, _fh(fuse.FuseReadIn), _in(fuse.FuseReadIn, "offset", IdKind.COOKIE))
    return _row(opcode, fuse.FuseReadIn, kind=ReplyKind.SIZED, ids=ids)


def _copy(opcode: Opcode, reply: type[Any]) -> Operation:
    struct = fuse.FuseCopyFileRangeIn
    ids = (
        _NODE,
        _in(struct, "fh_in", IdKind.FH),
        _in(struct, "nodeid_out", IdKind.NODEID),
        _in(struct, "fh_out", IdKind.FH),
    )
    return _row(opcode, struct, reply=(reply,), ids=ids)


def _xattr(opcode: Opcode, names: int) -> Operation:
    kind = ReplyKind.SIZED_OR_STRUCT
    return _row(opcode, fuse.FuseGetxattrIn, names=names, kind=kind, reply=(fuse.FuseGetxattrOut,))


def _rename(opcode: Opcode, request: type[Any]) -> Operation:
    return _row(opcode, request, names=2, ids=(_NODE, _in(request, "newdir", IdKind.NODEID)))


_ROWS = (
    _entry(Opcode.LOOKUP, None),
    _row(Opcode.FORGET, fuse.FuseForgetIn, kind=ReplyKind.NONE, hiprio=True),
    _row(
        Opcode.GETATTR,
        fuse.FuseGetattrIn,
        reply=(fuse.FuseAttrOut,),
        ids=(_NODE, _fh(fuse.FuseGetattrIn, "getattr_flags", FUSE_GETATTR_FH)),
    ),
    _row(
        Opcode.SETATTR,
        fuse.FuseSetattrIn,
        reply=(fuse.FuseAttrOut,),
        ids=(_NODE, _fh(fuse.FuseSetattrIn, "valid", Fattr.FH)),
    ),
    _row(Opcode.READLINK, kind=ReplyKind.TARGET),
    _entry(Opcode.SYMLINK, None, names=2),
    _entry(Opcode.MKNOD, fuse.FuseMknodIn),
    _entry(Opcode.MKDIR, fuse.FuseMkdirIn),
    _row(Opcode.UNLINK, names=1),
    _row(Opcode.RMDIR, names=1),
    _rename(Opcode.RENAME, fuse.FuseRenameIn),
    _entry(Opcode.LINK, fuse.FuseLinkIn, ids=(_NODE, _in(fuse.FuseLinkIn, "oldnodeid", IdKind.NODEID))),
    _open(Opcode.OPEN),
    _row(Opcode.READ, fuse.FuseReadIn, kind=ReplyKind.SIZED, ids=(_NODE, _fh(fuse.FuseReadIn))),
    _handle(Opcode.WRITE, fuse.FuseWriteIn, reply=(fuse.FuseWriteOut,), data=True),
    _row(Opcode.STATFS, reply=(fuse.FuseStatfsOut,)),
    _handle(Opcode.RELEASE, fuse.FuseReleaseIn),
    _handle(Opcode.FSYNC, fuse.FuseFsyncIn),
    _row(Opcode.SETXATTR, fuse.FuseSetxattrIn, names=1, data=True),
    _xattr(Opcode.GETXATTR, names=1),
    _xattr(Opcode.LISTXATTR, names=0),
    _row(Opcode.REMOVEXATTR, names=1),
    _handle(Opcode.FLUSH, fuse.FuseFlushIn),
    _row(Opcode.INIT, fuse.FuseInitIn, reply=(fuse.FuseInitOut,), ids=()),
    _open(Opcode.OPENDIR),
    _list(Opcode.READDIR),
    _handle(Opcode.RELEASEDIR, fuse.FuseReleaseIn),
    _handle(Opcode.FSYNCDIR, fuse.FuseFsyncIn),
    _handle(Opcode.GETLK, fuse.FuseLkIn, reply=(fuse.FuseLkOut,)),
    _handle(Opcode.SETLK, fuse.FuseLkIn),
    _handle(Opcode.SETLKW, fuse.FuseLkIn),
    _row(Opcode.ACCESS, fuse.FuseAccessIn),
    _create(Opcode.CREATE),
    _row(Opcode.INTERRUPT, fuse.FuseInterruptIn, ids=(), hiprio=True),
    _row(Opcode.BMAP, fuse.FuseBmapIn, reply=(fuse.FuseBmapOut,)),
    _row(Opcode.DESTROY, ids=()),
    _row(
        Opcode.IOCTL,
        fuse.FuseIoctlIn,
        data=True,
        reply=(fuse.FuseIoctlOut,),
        kind=ReplyKind.IOCTL,
        ids=(_NODE, _fh(fuse.FuseIoctlIn)),
    ),
    _handle(Opcode.POLL, fuse.FusePollIn, reply=(fuse.FusePollOut,)),
    _row(Opcode.NOTIFY_REPLY, fuse.FuseNotifyRetrieveIn, data=True, kind=ReplyKind.NONE),
    _row(Opcode.BATCH_FORGET, fuse.FuseBatchForgetIn, data=True, kind=ReplyKind.NONE, ids=(), hiprio=True),
    _handle(Opcode.FALLOCATE, fuse.FuseFallocateIn),
    _list(Opcode.READDIRPLUS),
    _rename(Opcode.RENAME2, fuse.FuseRename2In),
    _handle(Opcode.LSEEK, fuse.FuseLseekIn, reply=(fuse.FuseLseekOut,)),
    _copy(Opcode.COPY_FILE_RANGE, fuse.FuseWriteOut),
    _handle(Opcode.SETUPMAPPING, fuse.FuseSetupmappingIn),
    _row(Opcode.REMOVEMAPPING, fuse.FuseRemovemappingIn, data=True),
    _row(Opcode.SYNCFS, fuse.FuseSyncfsIn),
    _create(Opcode.TMPFILE),
    _row(
        Opcode.STATX,
        fuse.FuseStatxIn,
        reply=(fuse.FuseStatxOut,),
        ids=(_NODE, _fh(fuse.FuseStatxIn, "getattr_flags", FUSE_GETATTR_FH)),
    ),
    _copy(Opcode.COPY_FILE_RANGE_64, fuse.FuseCopyFileRangeOut),
)

OPERATIONS: dict[int, Operation] = {row.opcode: row for row in _ROWS}
"""Every opcode of 7.45 by number."""


def request_ids(message: bytes) -> list[IdField]:
    """The id fields that count in this request, BATCH_FORGET's array included. KeyError for an unknown opcode."""
    operation = OPERATIONS[int.from_bytes(message[4:8], "little")]
    fields = [field for field in operation.ids if field.read(message) is not None]
    if operation.opcode is Opcode.BATCH_FORGET:
        size = sizeof(fuse.FuseForgetOne)
        for index in range(operation.field(message, "count")):
            fields.append(IdField(IdKind.NODEID, operation.request_size + index * size, f"forget[{index}].nodeid"))
    return fields


@dataclass(frozen=True)
class DirectoryEntry:
    """One record of READDIR or READDIRPLUS. cookie: where the next record is; nodeid 0: no entry was given."""

    name: bytes
    ino: int
    cookie: int
    type: int
    nodeid: int


def directory_entries(payload: bytes, plus: bool) -> Iterator[DirectoryEntry]:
    """The records of a READDIR (or, if `plus`, READDIRPLUS) reply's payload. ValueError where one is cut off."""
    head = sizeof(fuse.FuseDirentplus if plus else fuse.FuseDirent)
    at = 0
    while at < len(payload):
        if at + head > len(payload):
            raise ValueError(f"directory record at byte {at} has {len(payload) - at} bytes of at least {head}")
        nodeid = int.from_bytes(payload[at : at + 8], "little") if plus else 0
        dirent = fuse.FuseDirent.from_buffer_copy(payload, at + head - sizeof(fuse.FuseDirent))
        end = at + head + dirent.namelen
        if end > len(payload):
            raise ValueError(f"directory record at byte {at}: namelen {dirent.namelen} passes the reply's end")
        yield DirectoryEntry(payload[at + head : end], dirent.ino, dirent.off, dirent.type, nodeid)
        at += (head + dirent.namelen + 7) & ~7
