"""The contents of files: pages that are there, holes that are not, and what reads as zeros."""

from __future__ import annotations

import errno

from virtiofs_model.ramfs.inode import PAGE, ZERO_PAGE, FsError, Inode
from virtiofs_model.ramfs.store import Store

FALLOC_KEEP_SIZE = 0x01
FALLOC_PUNCH_HOLE = 0x02
FALLOC_ZERO_RANGE = 0x10
FALLOC_MODES = (
    0,
    FALLOC_KEEP_SIZE,
    FALLOC_PUNCH_HOLE | FALLOC_KEEP_SIZE,
    FALLOC_ZERO_RANGE,
    FALLOC_ZERO_RANGE | FALLOC_KEEP_SIZE,
)


def need_file(inode: Inode) -> None:
    """EISDIR for a directory, EINVAL for what else is no regular file."""
    if inode.is_directory:
        raise FsError(errno.EISDIR)
    if not inode.is_regular:
        raise FsError(errno.EINVAL)


def read(inode: Inode, offset: int, size: int) -> bytes:
    """Up to `size` bytes; a hole reads as zeros, nothing comes from beyond the end."""
    size = max(0, min(size, inode.size - offset))
    pieces: list[bytes] = []
    end = offset + size
    while offset < end:
        index, start = divmod(offset, PAGE)
        count = min(PAGE - start, end - offset)
        pieces.append(inode.pages.get(index, ZERO_PAGE)[start : start + count])
        offset += count
    return b"".join(pieces)


def write(store: Store, inode: Inode, offset: int, data: bytes | None, size: int) -> None:
    """All of `data`, which has `size` bytes, or nothing: EFBIG, ENOSPC. None: data that could not be read; EIO, and
    that is the caller's matter, who may want the pages to stay reserved."""
    end = offset + size
    if end > store.limits.file_size:
        raise FsError(errno.EFBIG)
    if size:
        store.reserve(inode, offset // PAGE, (end - 1) // PAGE + 1)
    if data is None:
        return
    _overwrite(store, inode, offset, data)
    store.journal.save(inode)
    if size:
        inode.size = max(inode.size, end)
    inode.mtime = inode.ctime = store.now


def truncate(store: Store, inode: Inode, size: int) -> None:
    """Set the size; what is cut off never comes back, and no page behind the new end stays. Raises EISDIR, EINVAL
    (not a regular file), EFBIG."""
    need_file(inode)
    if size > store.limits.file_size:
        raise FsError(errno.EFBIG)
    keep, rest = divmod(size, PAGE)
    store.drop_pages(inode, [index for index in inode.pages if index >= keep + (rest > 0)])
    if rest:
        _zero(store, inode, size, (keep + 1) * PAGE)
    store.journal.save(inode)
    inode.size = size
    inode.mtime = inode.ctime = store.now


def allocate(store: Store, inode: Inode, offset: int, length: int, mode: int) -> None:
    """fallocate(2): one of FALLOC_MODES, else EOPNOTSUPP. EINVAL for no bytes, EFBIG, ENOSPC."""
    if mode not in FALLOC_MODES:
        raise FsError(errno.EOPNOTSUPP)
    if not length:
        raise FsError(errno.EINVAL)
    end = offset + length
    if end > store.limits.file_size:
        raise FsError(errno.EFBIG)
    if mode & FALLOC_PUNCH_HOLE:
        first, beyond = -(-offset // PAGE), end // PAGE
        store.drop_pages(inode, [index for index in inode.pages if first <= index < beyond])
    else:
        store.reserve(inode, offset // PAGE, (end - 1) // PAGE + 1)
    if mode & (FALLOC_PUNCH_HOLE | FALLOC_ZERO_RANGE):
        _zero(store, inode, offset, end)
    store.journal.save(inode)
    if not mode & FALLOC_KEEP_SIZE:
        inode.size = max(inode.size, end)
    inode.mtime = inode.ctime = store.now


def _zero(store: Store, inode: Inode, start: int, end: int) -> None:
    """Bytes [start, end) of the pages that are there become zeros."""
    first, beyond = start // PAGE, -(-end // PAGE)
    touched = range(first, beyond) if beyond - first <= len(inode.pages) else sorted(inode.pages)
    for index in touched:
        page = inode.pages.get(index)
        low, high = max(start - index * PAGE, 0), min(end - index * PAGE, PAGE)
        if page is not None and low < high:
            store.journal.put(inode.pages, index, page[:low] + bytes(high - low) + page[high:])


def _overwrite(store: Store, inode: Inode, offset: int, data: bytes) -> None:
    """Put bytes into pages, all of which are there."""
    done = 0
    while done < len(data):
        index, start = divmod(offset + done, PAGE)
        piece = data[done : done + PAGE - start]
        page = inode.pages[index]
        store.journal.put(inode.pages, index, page[:start] + piece + page[start + len(piece) :])
        done += len(piece)
