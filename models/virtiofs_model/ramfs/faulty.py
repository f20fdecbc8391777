"""The golden file system with a defect (virtiofs_model/defects.py), to prove that a judge can see it."""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import replace

from virtiofs_model.defects import Defect
from virtiofs_model.layouts import fuse
from virtiofs_model.layouts.fuse_constants import Opcode
from virtiofs_model.ramfs import files, rows_directories, rows_files, rows_locks, rows_names
from virtiofs_model.ramfs.faulty_locks import LOCK_TABLES
from virtiofs_model.ramfs.inode import FsError, Time
from virtiofs_model.ramfs.message import Request
from virtiofs_model.ramfs.polls import PollTable
from virtiofs_model.ramfs.server import RamfsServer
from virtiofs_model.ramfs.state import Row, State
from virtiofs_model.ramfs.tree import Tree


def _write_keeps_times(state: State, request: Request) -> bytes | None:
    inode = state.node(request)
    mtime, ctime = inode.mtime, inode.ctime
    reply = rows_files.write(state, request)
    inode.mtime, inode.ctime = mtime, ctime
    return reply


def _lookup_lost(state: State, request: Request) -> bytes | None:
    reply = rows_names.create(state, request)
    inode = state.tree.get(fuse.FuseEntryOut.from_buffer_copy(reply).nodeid)
    state.tree.journal.save(inode)
    inode.lookups -= 1
    return reply


def _old_data(state: State, request: Request) -> bytes | None:
    inode = state.node(request)
    pages = dict(inode.pages)
    reply = rows_files.setattr_(state, request)
    for index in inode.pages:
        state.tree.journal.put(inode.pages, index, pages[index])
    return reply


def _wrong_errno(state: State, request: Request) -> bytes | None:
    try:
        return rows_names.lookup(state, request)
    except FsError as error:
        raise FsError(errno.EINVAL if error.errno == errno.ENOENT else error.errno) from None


class _ReplyOfOther:
    def __init__(self) -> None:
        self._last: int | None = None

    def __call__(self, state: State, request: Request) -> bytes | None:
        nodeid, self._last = self._last, request.header.nodeid
        own = rows_files.getattr_(state, request)
        try:
            return own if nodeid is None else state.attr_out(state.tree.get(nodeid))
        except FsError:
            return own


def _link_twice(state: State, request: Request) -> bytes | None:
    inode = state.tree.get(request.body(fuse.FuseLinkIn).oldnodeid)
    state.tree.link(inode, state.parent(request), request.names[0])
    inode.nlink += 1
    return state.entry_out(inode)


def _cookie_skips(state: State, request: Request) -> bytes | None:
    want = request.body(fuse.FuseReadIn)
    directory = state.opened(request, want.fh)
    names = list(rows_directories.listing(directory, want.offset)) if directory.is_directory else []
    if want.offset and len(names) > 1:
        want.offset = names[0][2]
        request.message = request.message[:40] + bytes(want)
    return rows_directories.readdir(state, request)


def _space_lost(state: State, request: Request) -> bytes | None:
    counters = state.tree.store.counters
    free = counters.free_pages
    reply = rows_files.setattr_(state, request)
    if counters.free_pages > free:
        state.tree.journal.save(counters)
        counters.free_pages = free
    return reply


def _rename_keeps_old(state: State, request: Request) -> bytes | None:
    directory, name = state.parent(request), request.names[0]
    entry = directory.entries.get(name)
    reply = rows_names.rename(state, request)
    if entry is not None and name not in directory.entries:
        state.tree.store.new_entry(directory, name, entry.inode)
    return reply


def _failure_leaves_trace(state: State, request: Request) -> bytes | None:
    try:
        return rows_names.create(state, request)
    except FsError:
        state.parent(request).nlink += 1
        raise


def _lookup_moves_times(state: State, request: Request) -> bytes | None:
    reply = rows_names.lookup(state, request)
    directory = state.parent(request)
    directory.mtime = Time(directory.mtime.seconds + 1, 0)
    return reply


def _read_destroys(state: State, request: Request) -> bytes | None:
    reply = rows_files.read(state, request)
    want = request.body(fuse.FuseReadIn)
    if reply:
        files.write(state.tree.store, state.node(request), want.offset, b"\0", 1)
    return reply


def _listing_swaps_names(state: State, request: Request) -> bytes | None:
    reply = rows_directories.readdir(state, request)
    entries = state.parent(request).in_order
    if len(entries) > 1:
        first, second = entries[-2:]
        first.inode, second.inode = second.inode, first.inode
    return reply


_ROWS: dict[Defect, tuple[tuple[Opcode, ...], Callable[[], Row]]] = {
    Defect.FS_WRITE_KEEPS_TIMES: ((Opcode.WRITE,), lambda: _write_keeps_times),
    Defect.FS_LOOKUP_LOST: ((Opcode.CREATE,), lambda: _lookup_lost),
    Defect.FS_OLD_DATA: ((Opcode.SETATTR,), lambda: _old_data),
    Defect.FS_WRONG_ERRNO: ((Opcode.LOOKUP,), lambda: _wrong_errno),
    Defect.FS_REPLY_OF_OTHER: ((Opcode.GETATTR,), _ReplyOfOther),
    Defect.FS_LINK_TWICE: ((Opcode.LINK,), lambda: _link_twice),
    Defect.FS_COOKIE_SKIPS: ((Opcode.READDIR, Opcode.READDIRPLUS), lambda: _cookie_skips),
    Defect.FS_SPACE_LOST: ((Opcode.SETATTR,), lambda: _space_lost),
    Defect.FS_RENAME_KEEPS_OLD: ((Opcode.RENAME, Opcode.RENAME2), lambda: _rename_keeps_old),
    Defect.FS_FAILURE_LEAVES_TRACE: ((Opcode.CREATE,), lambda: _failure_leaves_trace),
    Defect.FS_LOOKUP_MOVES_TIMES: ((Opcode.LOOKUP,), lambda: _lookup_moves_times),
    Defect.FS_READ_DESTROYS: ((Opcode.READ,), lambda: _read_destroys),
    Defect.POLL_SURVIVES_CLOSE: ((Opcode.RELEASE,), lambda: _release_keeps_polls),
    Defect.FS_LISTING_SWAPS_NAMES: ((Opcode.READDIR, Opcode.READDIRPLUS), lambda: _listing_swaps_names),
}


class _NeverSpent(PollTable):
    """Who was told stays in the table, and is told again."""

    def take(self, node: int) -> tuple[int, ...]:
        return tuple(poll.kh for poll in self.polls if poll.node == node)


class _Overflow(PollTable):
    """There is a place for more than the table has."""

    full = False


def _release_keeps_polls(state: State, request: Request) -> bytes | None:
    polls = state.polls.polls
    reply = rows_locks.release(state, request)
    state.polls.polls = polls
    return reply


POLL_TABLES: dict[Defect, type[PollTable]] = {
    Defect.POLL_NEVER_SPENT: _NeverSpent,
    Defect.POLL_TABLE_OVERFLOW: _Overflow,
}


def faulty_server(defect: Defect | None, tree: Tree) -> RamfsServer:
    """A file system with this defect; a sound one where it is none of the file system's."""
    server = RamfsServer(tree)
    if defect in _ROWS:
        opcodes, row = _ROWS[defect]
        for opcode in opcodes:
            server.rows[opcode] = row()
    if defect in LOCK_TABLES:
        server.locks = LOCK_TABLES[defect]()
    if defect in POLL_TABLES:
        server.polls = POLL_TABLES[defect]()
    if defect is Defect.LOCK_WAITS_UNASKED:
        server.config = replace(server.config, lock_messages=True)
    return server
