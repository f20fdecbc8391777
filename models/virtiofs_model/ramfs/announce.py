"""What a change by the DPU is announced as to the session (docs/notifications.md, "What is announced")."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from virtiofs_model.layouts import fuse
from virtiofs_model.layouts.fuse_constants import Fattr, NotifyCode, Opcode
from virtiofs_model.layouts.fuse_operations import OUT_HEADER_SIZE
from virtiofs_model.ramfs import files
from virtiofs_model.ramfs.inode import ROOT_SLOT, Inode
from virtiofs_model.ramfs.message import Request
from virtiofs_model.ramfs.tree import Tree

ATTRIBUTES_ONLY = -1
"""The offset of an INVAL_INODE that leaves contents alone (fuse_reverse_inval_inode)."""

O_ACCMODE, O_TRUNC = 0o3, 0o1000


@dataclass(frozen=True)
class Announcement:
    """A message, fuse_out_header included, and the inode whose lookups decide whether it is sent: that of an
    INVAL_INODE, the directory of a name. cached: it had some."""

    message: bytes
    holder: int
    cached: bool


def message(code: NotifyCode, body: bytes = b"") -> bytes:
    """A notification: unique 0, its code as a positive error (include/uapi/linux/fuse.h)."""
    return bytes(fuse.FuseOutHeader(OUT_HEADER_SIZE + len(body), code, 0)) + body


def inval_inode(nodeid: int, offset: int = ATTRIBUTES_ONLY, length: int = 0) -> bytes:
    """Attributes and, from `offset` on, `length` bytes of the contents (0: to the end) are others."""
    return message(NotifyCode.INVAL_INODE, bytes(fuse.FuseNotifyInvalInodeOut(nodeid, offset, length)))


def inval_entry(directory: int, name: bytes) -> bytes:
    """What `name` leads to, or that it leads nowhere, is no longer known."""
    return message(NotifyCode.INVAL_ENTRY, bytes(fuse.FuseNotifyInvalEntryOut(directory, len(name), 0)) + name + b"\0")


def delete(directory: int, child: int, name: bytes) -> bytes:
    """`name`, which led to `child`, is gone."""
    body = bytes(fuse.FuseNotifyDeleteOut(directory, child, len(name), 0))
    return message(NotifyCode.DELETE, body + name + b"\0")


def inc_epoch() -> bytes:
    """All names are to be asked for anew (since minor version 44)."""
    return message(NotifyCode.INC_EPOCH)


def changes_contents(message: bytes) -> bool:
    """Whether it is an INVAL_INODE about more than attributes: of data or size."""
    (code,) = struct.unpack_from("<i", message, 4)
    (offset,) = struct.unpack_from("<q", message, OUT_HEADER_SIZE + 8) if code == NotifyCode.INVAL_INODE else (-1,)
    return bool(offset >= 0)


def may_be_cached(inode: Inode) -> bool:
    """While a session lives: the client holds it. The root is never forgotten."""
    return inode.slot == ROOT_SLOT or inode.lookups > 0


@dataclass(frozen=True)
class _Of:
    """The inode whose lookups decide, and the message."""

    holder: Inode
    message: bytes


@dataclass(frozen=True)
class Before:
    """What the request was about, before it changed that. node: the inode of its nodeid; other: the second inode or
    directory that it names; first, second: what its names led to."""

    node: Inode | None = None
    other: Inode | None = None
    first: Inode | None = None
    second: Inode | None = None


def look(tree: Tree, request: Request) -> Before:
    """See what the request is about. What it names wrongly is None: then it fails, and announces nothing."""
    node = _inode(tree, request.header.nodeid)
    names = request.names
    other = node
    if request.opcode is Opcode.LINK:
        other = _inode(tree, request.body(fuse.FuseLinkIn).oldnodeid)
    elif request.opcode is Opcode.RENAME:
        other = _inode(tree, request.body(fuse.FuseRenameIn).newdir)
    elif request.opcode is Opcode.RENAME2:
        other = _inode(tree, request.body(fuse.FuseRename2In).newdir)
    first = _child(node, names[0]) if names else None
    return Before(node, other, first, _child(other, names[1]) if len(names) > 1 else None)


def _inode(tree: Tree, nodeid: int) -> Inode | None:
    inode = tree.store.inodes.get(nodeid & 0xFFFF_FFFF)
    return inode if inode is not None and inode.nodeid == nodeid else None


def _child(directory: Inode | None, name: bytes) -> Inode | None:
    entry = directory.entries.get(name) if directory is not None else None
    return None if entry is None else entry.inode


def announcements(request: Request, before: Before) -> list[Announcement]:
    """Everything that the request, which succeeded, could have made stale, in order."""
    assert before.node is not None and before.other is not None
    return [Announcement(of.message, of.holder.nodeid, may_be_cached(of.holder)) for of in _of(request, before)]


def _of(request: Request, before: Before) -> Iterable[_Of]:
    opcode = request.opcode
    if opcode in (Opcode.WRITE, Opcode.SETATTR, Opcode.FALLOCATE, Opcode.OPEN):
        return _of_contents(request, before)
    if opcode in (Opcode.RENAME, Opcode.RENAME2):
        return _of_move(request, before)
    return _of_names(request, before)


def _attributes(inode: Inode) -> _Of:
    return _Of(inode, inval_inode(inode.nodeid))


def _contents(inode: Inode, offset: int, length: int) -> _Of:
    return _Of(inode, inval_inode(inode.nodeid, offset, length))


def _name(directory: Inode, name: bytes) -> _Of:
    return _Of(directory, inval_entry(directory.nodeid, name))


def _of_contents(request: Request, before: Before) -> Iterator[_Of]:
    inode = before.node
    assert inode is not None
    if request.opcode is Opcode.WRITE:
        write = request.body(fuse.FuseWriteIn)
        yield _contents(inode, write.offset, write.size) if write.size else _attributes(inode)
    elif request.opcode is Opcode.SETATTR:
        want = request.body(fuse.FuseSetattrIn)
        yield _contents(inode, want.size, 0) if want.valid & Fattr.SIZE else _attributes(inode)
    elif request.opcode is Opcode.FALLOCATE:
        want_range = request.body(fuse.FuseFallocateIn)
        if want_range.mode & (files.FALLOC_PUNCH_HOLE | files.FALLOC_ZERO_RANGE):
            yield _contents(inode, want_range.offset, want_range.length)
        else:
            yield _attributes(inode)
    elif cuts(inode, request.body(fuse.FuseOpenIn).flags):
        yield _contents(inode, 0, 0)


def cuts(inode: Inode, flags: int) -> bool:
    """Whether an open with these flags empties the file."""
    return bool(flags & O_TRUNC and flags & O_ACCMODE) and inode.is_regular


def _of_names(request: Request, before: Before) -> Iterator[_Of]:
    directory, child = before.node, before.first
    assert directory is not None and before.other is not None
    opcode = request.opcode
    if opcode is Opcode.CREATE and child is not None:
        if cuts(child, request.body(fuse.FuseCreateIn).flags):
            yield _contents(child, 0, 0)
    elif opcode in (Opcode.MKNOD, Opcode.MKDIR, Opcode.SYMLINK, Opcode.CREATE, Opcode.LINK):
        yield _name(directory, request.names[0])
        if opcode is Opcode.LINK:
            yield _attributes(before.other)
        yield _attributes(directory)
    elif opcode in (Opcode.UNLINK, Opcode.RMDIR):
        assert child is not None
        yield _Of(directory, delete(directory.nodeid, child.nodeid, request.names[0]))
        yield _attributes(child)
        yield _attributes(directory)


def _of_move(request: Request, before: Before) -> Iterator[_Of]:
    old, new, moved, there = before.node, before.other, before.first, before.second
    assert old is not None and new is not None and moved is not None
    if there is moved:
        return  # both are names of one inode: nothing happens, rename(2)
    yield _name(old, request.names[0])
    yield _name(new, request.names[1])
    yield _attributes(moved)
    if there is not None:
        yield _attributes(there)
    yield _attributes(old)
    if new is not old:
        yield _attributes(new)
