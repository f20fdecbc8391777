"""Rows that the file system in hardware does without: extended attributes, holes, copies.

A firmware that serves more (Config.served) has them. What they do follows Linux's man pages and fs/fuse.
"""

from __future__ import annotations

import errno

from virtiofs_model.layouts import fuse
from virtiofs_model.layouts.fuse_constants import Opcode
from virtiofs_model.ramfs import files
from virtiofs_model.ramfs.inode import NAME_MAX, PAGE, FsError, Inode
from virtiofs_model.ramfs.message import Request
from virtiofs_model.ramfs.state import State

XATTR_CREATE, XATTR_REPLACE = 1, 2
XATTR_VALUE_MAX = 65536
XATTRS_OF_INODE = 65536
"""Bytes of names and values that one inode can have; as much as listxattr(2) can tell."""

SEEK_DATA, SEEK_HOLE = 3, 4

# ---- extended attributes ----


def _name(request: Request) -> bytes:
    name = request.names[0]
    if not 0 < len(name) <= NAME_MAX:
        raise FsError(errno.ERANGE)
    return name


def setxattr(state: State, request: Request) -> bytes:
    """SETXATTR in its short form (SETXATTR_EXT is never granted). E2BIG, EEXIST, ENODATA, ENOSPC."""
    inode, name = state.node(request), _name(request)
    want = request.body(fuse.FuseSetxattrIn)
    if want.size != request.data_size or want.flags not in (0, XATTR_CREATE, XATTR_REPLACE):
        raise FsError(errno.EINVAL)
    if want.size > XATTR_VALUE_MAX:
        raise FsError(errno.E2BIG)
    if want.flags == XATTR_CREATE and name in inode.xattrs:
        raise FsError(errno.EEXIST)
    if want.flags == XATTR_REPLACE and name not in inode.xattrs:
        raise FsError(errno.ENODATA)
    others = sum(len(key) + len(value) for key, value in inode.xattrs.items() if key != name)
    if others + len(name) + want.size > XATTRS_OF_INODE:
        raise FsError(errno.ENOSPC)
    if request.data is None:
        raise FsError(errno.EIO)
    state.tree.journal.put(inode.xattrs, name, request.data)
    _changed(state, inode)
    return b""


def getxattr(state: State, request: Request) -> bytes:
    """GETXATTR: the value, or its size where nothing else is asked for. ENODATA, ERANGE."""
    inode, name = state.node(request), _name(request)
    if name not in inode.xattrs:
        raise FsError(errno.ENODATA)
    return _sized(request, inode.xattrs[name])


def listxattr(state: State, request: Request) -> bytes:
    """LISTXATTR: every name with a NUL behind it. ERANGE."""
    return _sized(request, b"".join(name + b"\0" for name in sorted(state.node(request).xattrs)))


def removexattr(state: State, request: Request) -> bytes:
    """REMOVEXATTR: ENODATA."""
    inode, name = state.node(request), _name(request)
    if name not in inode.xattrs:
        raise FsError(errno.ENODATA)
    state.tree.journal.remove(inode.xattrs, name)
    _changed(state, inode)
    return b""


def _sized(request: Request, value: bytes) -> bytes:
    size = request.body(fuse.FuseGetxattrIn).size
    if not size:
        return bytes(fuse.FuseGetxattrOut(size=len(value)))
    if size < len(value):
        raise FsError(errno.ERANGE)
    return value


def _changed(state: State, inode: Inode) -> None:
    state.tree.journal.save(inode)
    inode.ctime = state.tree.now


# ---- contents ----


def lseek(state: State, request: Request) -> bytes:
    """LSEEK to data or to a hole, page by page. ENXIO at and behind the end, and where no data follows."""
    want = request.body(fuse.FuseLseekIn)
    inode = state.opened(request, want.fh)
    files.need_file(inode)
    if want.whence not in (SEEK_DATA, SEEK_HOLE):
        raise FsError(errno.EINVAL)
    if want.offset >= inode.size:
        raise FsError(errno.ENXIO)
    first = want.offset // PAGE
    if want.whence == SEEK_DATA:
        later = [index for index in inode.pages if index >= first and index * PAGE < inode.size]
        if not later:
            raise FsError(errno.ENXIO)
        return bytes(fuse.FuseLseekOut(max(want.offset, min(later) * PAGE)))
    while first in inode.pages:
        first += 1
    return bytes(fuse.FuseLseekOut(min(max(want.offset, first * PAGE), inode.size)))


def copy_file_range(state: State, request: Request) -> bytes:
    """COPY_FILE_RANGE and its form with a 64-bit reply: as much as is there, and as one WRITE takes."""
    want = request.body(fuse.FuseCopyFileRangeIn)
    source = state.opened(request, want.fh_in)
    target = state.tree.get(want.nodeid_out)
    if want.fh_out != target.nodeid or not target.opens:
        raise FsError(errno.EBADF)
    files.need_file(source)
    files.need_file(target)
    size = max(0, min(want.len, source.size - want.off_in, state.config.max_write))
    overlap = want.off_in < want.off_out + size and want.off_out < want.off_in + size
    if want.flags or (source is target and size and overlap):
        raise FsError(errno.EINVAL)
    files.write(state.tree.store, target, want.off_out, files.read(source, want.off_in, size), size)
    if request.opcode is Opcode.COPY_FILE_RANGE_64:
        return bytes(fuse.FuseCopyFileRangeOut(size))
    return bytes(fuse.FuseWriteOut(size=size))
