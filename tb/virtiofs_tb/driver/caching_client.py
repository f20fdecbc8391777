"""A client that caches what it may, as Linux's does, and drops what it is told to: the reader of notifications.

It holds names (missing ones too), attributes and pages for ever; only messages, and what it forgets itself, make it ask
again. As in fs/fuse (attr_version), a reply is not kept if a message came while its request was under way.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass, field

from virtiofs_model.layouts import fuse
from virtiofs_model.layouts.fuse_constants import NotifyCode, Opcode
from virtiofs_model.layouts.fuse_operations import OUT_HEADER_SIZE

from .errors import DriverError
from .fuse_client import FuseClient
from .notify_pool import Notification

PAGE = 4096
ROOT = 1


@dataclass
class Caches:
    """names: by directory and name, 0 where there is none; attributes: by inode, as fuse_attr's bytes; pages: by inode
    and number, cut at the end of the file."""

    names: dict[tuple[int, bytes], int] = field(default_factory=dict)
    attributes: dict[int, bytes] = field(default_factory=dict)
    pages: dict[tuple[int, int], bytes] = field(default_factory=dict)


class CachingClient:
    """One reader. served: answers that needed no request. told_of: inodes that messages were about, but the root."""

    def __init__(self, client: FuseClient) -> None:
        self._client = client
        self._told = 0
        self._lookups: dict[int, int] = {}
        self._open: set[int] = set()
        self.held = Caches()
        self.served = 0
        self.told_of: set[int] = set()
        self._known: set[int] = set()

    @property
    def strangers(self) -> set[int]:
        """Inodes that it was told of and never looked up. One of a reply on its way may be among them."""
        return self.told_of - self._known

    # ---- reading ----

    async def lookup(self, directory: int, name: bytes) -> int:
        """The nodeid behind a name, 0 where there is none."""
        key = (directory, name)
        if key in self.held.names:
            self.served += 1
            return self.held.names[key]
        told = self._told
        reply = await self._client.call(Opcode.LOOKUP, directory, name + b"\0")
        if reply.error in (-errno.ENOENT, -errno.ESTALE):
            return 0
        entry = reply.parse(fuse.FuseEntryOut)
        if entry.nodeid:
            self._lookups[entry.nodeid] = self._lookups.get(entry.nodeid, 0) + 1
            self._known.add(entry.nodeid)
        if told == self._told:
            self.held.names[key] = entry.nodeid
            if entry.nodeid:
                self.held.attributes[entry.nodeid] = bytes(entry.attr)
        return int(entry.nodeid)

    async def attributes(self, nodeid: int) -> bytes:
        """fuse_attr of an inode; empty where it is gone."""
        if nodeid in self.held.attributes:
            self.served += 1
            return self.held.attributes[nodeid]
        told = self._told
        reply = await self._client.call(Opcode.GETATTR, nodeid, bytes(fuse.FuseGetattrIn()))
        if reply.error:
            return b""
        attributes = bytes(reply.parse(fuse.FuseAttrOut).attr)
        if told == self._told:
            self.held.attributes[nodeid] = attributes
        return attributes

    async def read(self, nodeid: int, page: int) -> bytes:
        """A page of a file, which is opened once and stays so."""
        if (nodeid, page) in self.held.pages:
            self.served += 1
            return self.held.pages[nodeid, page]
        if nodeid not in self._open:
            opened = await self._client.call(Opcode.OPEN, nodeid, bytes(fuse.FuseOpenIn()))
            if opened.error:
                return b""
            self._open.add(nodeid)
        told = self._told
        body = bytes(fuse.FuseReadIn(fh=nodeid, offset=page * PAGE, size=PAGE))
        reply = await self._client.call(Opcode.READ, nodeid, body)
        if reply.error:
            return b""
        if told == self._told:
            self.held.pages[nodeid, page] = reply.payload
        return reply.payload

    async def forget(self, nodeid: int) -> None:
        """Drop an inode with all its lookups, as under memory pressure."""
        self._drop(nodeid)
        for key in [key for key, child in self.held.names.items() if nodeid in (child, key[0])]:
            del self.held.names[key]
        if nodeid in self._open:
            self._open.remove(nodeid)
            await self._client.call(Opcode.RELEASE, nodeid, bytes(fuse.FuseReleaseIn(fh=nodeid)))
        count = self._lookups.pop(nodeid, 0)
        if count:
            await self._client.call(Opcode.FORGET, nodeid, bytes(fuse.FuseForgetIn(count)))

    def _drop(self, nodeid: int) -> None:
        self.held.attributes.pop(nodeid, None)
        for key in [key for key in self.held.pages if key[0] == nodeid]:
            del self.held.pages[key]

    # ---- obeying ----

    def obey(self, notification: Notification) -> None:
        """Drop what a message makes stale. Raises DriverError for a code that a client of this kind does not expect."""
        self._told += 1
        payload = notification.message[OUT_HEADER_SIZE:]
        if notification.code == NotifyCode.INVAL_INODE:
            self._inode(fuse.FuseNotifyInvalInodeOut.from_buffer_copy(payload))
        elif notification.code == NotifyCode.INVAL_ENTRY:
            entry = fuse.FuseNotifyInvalEntryOut.from_buffer_copy(payload)
            self.held.names.pop((entry.parent, payload[16 : 16 + entry.namelen]), None)
        elif notification.code == NotifyCode.DELETE:
            gone = fuse.FuseNotifyDeleteOut.from_buffer_copy(payload)
            self.held.names.pop((gone.parent, payload[24 : 24 + gone.namelen]), None)
        elif notification.code == NotifyCode.INC_EPOCH:
            self.held.names.clear()
        elif notification.code != NotifyCode.STORE:  # of an inode that it does not hold
            raise DriverError("code of a notification", notification.code, "an invalidation", "FS-NQ-DI1")

    def _inode(self, stale: fuse.FuseNotifyInvalInodeOut) -> None:
        if stale.ino != ROOT:
            self.told_of.add(stale.ino)
        self.held.attributes.pop(stale.ino, None)
        if stale.off < 0:
            return
        first = stale.off // PAGE
        last = (stale.off + stale.len - 1) // PAGE if stale.len > 0 else None
        for key in [key for key in self.held.pages if key[0] == stale.ino]:
            if key[1] >= first and (last is None or key[1] <= last):
                del self.held.pages[key]
