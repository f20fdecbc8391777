"""Rows of the opcodes that find, make, remove and move names."""

from __future__ import annotations

import errno
import stat
from ctypes import sizeof

from virtiofs_model.layouts import fuse
from virtiofs_model.layouts.fuse_constants import Opcode
from virtiofs_model.ramfs.inode import PAGE, PERMISSIONS, FsError, Inode
from virtiofs_model.ramfs.message import NAMES_WITHIN, Request
from virtiofs_model.ramfs.rows_files import open_file
from virtiofs_model.ramfs.state import NoRoom, State
from virtiofs_model.ramfs.tree import DOTS

SYMLINK_MAX = PAGE - 1
O_EXCL = 0o200
_NODE_TYPES = (stat.S_IFREG, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFSOCK)


def lookup(state: State, request: Request) -> bytes:
    """LOOKUP."""
    directory, name = state.parent(request), request.names[0]
    try:
        inode = state.tree.lookup(directory, name)
    except FsError as error:
        if error.errno == errno.ENOENT and name not in DOTS and state.config.negative_entries:
            return state.no_entry()
        raise
    return state.entry_out(inode)


def forget(state: State, request: Request) -> None:
    """FORGET."""
    state.tree.forget(request.header.nodeid, request.body(fuse.FuseForgetIn).nlookup)


def batch_forget(state: State, request: Request) -> None:
    """BATCH_FORGET: as much of the array as comes with the header."""
    size = sizeof(fuse.FuseForgetOne)
    data = request.message[request.operation.request_size : NAMES_WITHIN]
    for index in range(min(request.body(fuse.FuseBatchForgetIn).count, len(data) // size)):
        one = fuse.FuseForgetOne.from_buffer_copy(data, index * size)
        state.tree.forget(one.nodeid, one.nlookup)


def _make(state: State, request: Request, mode: int, rdev: int = 0) -> Inode:
    header = request.header
    return state.tree.create(state.parent(request), request.names[0], mode, header.uid, header.gid, rdev)


def mknod(state: State, request: Request) -> bytes:
    """MKNOD."""
    want = request.body(fuse.FuseMknodIn)
    kind = stat.S_IFMT(want.mode) or stat.S_IFREG
    if kind not in _NODE_TYPES:
        raise FsError(errno.EINVAL)
    return state.entry_out(_make(state, request, kind | want.mode & PERMISSIONS, want.rdev))


def mkdir(state: State, request: Request) -> bytes:
    """MKDIR."""
    mode = request.body(fuse.FuseMkdirIn).mode & PERMISSIONS
    return state.entry_out(_make(state, request, stat.S_IFDIR | mode))


def symlink(state: State, request: Request) -> bytes:
    """SYMLINK. The target ends one byte before the message, wherever NULs stand in it."""
    length = request.data_size - 1
    if length < 1:
        raise FsError(errno.ENOENT)  # symlink(2)
    if length > SYMLINK_MAX:
        raise FsError(errno.ENAMETOOLONG)
    header = request.header
    target = bytes(length) if request.data is None else request.data[:length]
    inode = state.tree.symlink(state.parent(request), request.names[0], target, header.uid, header.gid)
    if request.data is None:
        raise FsError(errno.EIO)
    return state.entry_out(inode)


def readlink(state: State, request: Request) -> bytes:
    """READLINK: the target without a NUL."""
    inode = state.node(request)
    if not inode.is_link:
        raise FsError(errno.EINVAL)
    if not request.fits(inode.size):
        raise NoRoom
    return inode.pages[0][: inode.size]


def link(state: State, request: Request) -> bytes:
    """LINK."""
    inode = state.tree.get(request.body(fuse.FuseLinkIn).oldnodeid)
    state.tree.link(inode, state.parent(request), request.names[0])
    return state.entry_out(inode)


def unlink(state: State, request: Request) -> bytes:
    """UNLINK."""
    state.tree.unlink(state.parent(request), request.names[0])
    return b""


def rmdir(state: State, request: Request) -> bytes:
    """RMDIR."""
    state.tree.rmdir(state.parent(request), request.names[0])
    return b""


def rename(state: State, request: Request) -> bytes:
    """RENAME and RENAME2."""
    if request.opcode is Opcode.RENAME2:
        want = request.body(fuse.FuseRename2In)
        newdir, flags = want.newdir, want.flags
    else:
        newdir, flags = request.body(fuse.FuseRenameIn).newdir, 0
    old_dir, new_dir = state.parent(request), state.tree.directory(newdir)
    state.tree.rename(old_dir, request.names[0], new_dir, request.names[1], flags)
    return b""


def create(state: State, request: Request) -> bytes:
    """CREATE: a new file, or one that is there and is opened as OPEN does."""
    want = request.body(fuse.FuseCreateIn)
    directory, name = state.parent(request), request.names[0]
    if name in DOTS:
        raise FsError(errno.EEXIST)
    entry = state.tree.check_target(directory, name)
    if entry is None:
        inode = _make(state, request, stat.S_IFREG | want.mode & PERMISSIONS)
    elif want.flags & O_EXCL:
        raise FsError(errno.EEXIST)
    else:
        inode = entry.inode
        open_file(state, inode, want.flags)
    return state.entry_out(inode) + state.open_out(inode)


def tmpfile(state: State, request: Request) -> bytes:
    """TMPFILE: a file without a name, answered as CREATE is."""
    header = request.header
    mode = stat.S_IFREG | request.body(fuse.FuseCreateIn).mode & PERMISSIONS
    inode = state.tree.unnamed(state.parent(request), mode, header.uid, header.gid)
    return state.entry_out(inode) + state.open_out(inode)
