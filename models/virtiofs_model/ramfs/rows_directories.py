"""Rows of the opcodes that list directories."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from ctypes import sizeof

from virtiofs_model.layouts import fuse
from virtiofs_model.layouts.fuse_constants import Opcode
from virtiofs_model.ramfs.inode import FsError, Inode
from virtiofs_model.ramfs.message import Request
from virtiofs_model.ramfs.state import State
from virtiofs_model.ramfs.tree import DOTS, parent_of

_NO_ENTRY = bytes(sizeof(fuse.FuseEntryOut))


def opendir(state: State, request: Request) -> bytes:
    """OPENDIR."""
    return state.open_out(state.parent(request))


def readdir(state: State, request: Request) -> bytes:
    """READDIR and READDIRPLUS."""
    want = request.body(fuse.FuseReadIn)
    directory = state.opened(request, want.fh)
    if not directory.is_directory:
        raise FsError(errno.ENOTDIR)
    plus = request.opcode is Opcode.READDIRPLUS
    head = sizeof(fuse.FuseDirent) + (len(_NO_ENTRY) if plus else 0)
    left = min(want.size, state.config.listing_bytes)
    records: list[bytes] = []
    for name, inode, cookie in listing(directory, want.offset):
        size = head + len(name) + 7 & ~7
        left -= size
        if left < 0:
            break
        record = bytes(fuse.FuseDirent(inode.nodeid, cookie, len(name), inode.mode >> 12)) + name
        if plus:
            # "." and ".." give no entry and take no lookup: nodeid 0 tells the client so.
            record = (_NO_ENTRY if name in DOTS else state.entry_out(inode)) + record
        records.append(record.ljust(size, b"\0"))
    return b"".join(records)


def listing(directory: Inode, cookie: int) -> Iterator[tuple[bytes, Inode, int]]:
    """(name, inode, cookie behind it) of everything behind `cookie`; one whose name is gone still works."""
    if directory.removed:
        return
    if cookie < 1:
        yield b".", directory, 1
    if cookie < 2:
        yield b"..", parent_of(directory), 2
    sequence = cookie >> 32
    for entry in directory.in_order:
        if entry.sequence > sequence:
            yield entry.name, entry.inode, entry.cookie
