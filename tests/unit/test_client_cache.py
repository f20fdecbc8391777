"""A client that caches as Linux does: what it holds, what it gives up, and what it finds stale."""

from __future__ import annotations

import errno
from collections.abc import Iterator

import pytest

from virtiofs_model.layouts import fuse
from virtiofs_model.layouts.fuse_constants import NotifyCode, Opcode
from virtiofs_tb.scoreboards.client_cache import ClientCache, Exchange, Stale
from virtiofs_tb.scoreboards.touched import touched

ROOT, FILE, OTHER = 1, 7, 8
SECOND_PS = 1_000_000_000_000
O_TRUNC = 0o1000


def request(opcode: Opcode, nodeid: int, body: bytes = b"") -> bytes:
    return bytes(fuse.FuseInHeader(40 + len(body), opcode, 2, nodeid)) + body


class Bench:
    """Feeds a cache with exchanges that follow each other."""

    def __init__(self) -> None:
        self.cache = ClientCache()
        self.at = 0

    def done(
        self,
        message: bytes,
        payload: bytes = b"",
        error: int = 0,
        begin: int | None = None,
        t_ps: int = 0,
        open_: tuple[bytes, ...] = (),
    ) -> list[Stale]:
        self.at += 10
        reply = bytes(fuse.FuseOutHeader(16 + len(payload), -error, 2)) + payload
        return self.cache.done(
            Exchange(message, reply, self.at if begin is None else begin, self.at + 5, t_ps), list(open_)
        )

    def getattr(
        self, size: int, nodeid: int = FILE, begin: int | None = None, t_ps: int = 0, open_: tuple[bytes, ...] = ()
    ) -> list[Stale]:
        out = fuse.FuseAttrOut(attr_valid=1, attr=fuse.FuseAttr(ino=nodeid, size=size))
        body = bytes(fuse.FuseGetattrIn())
        return self.done(request(Opcode.GETATTR, nodeid, body), bytes(out), begin=begin, t_ps=t_ps, open_=open_)

    def lookup(self, nodeid: int, name: bytes = b"f", t_ps: int = 0) -> list[Stale]:
        message = request(Opcode.LOOKUP, ROOT, name + b"\0")
        if not nodeid:
            return self.done(message, error=errno.ENOENT, t_ps=t_ps)
        out = fuse.FuseEntryOut(nodeid=nodeid, entry_valid=1, attr_valid=1, attr=fuse.FuseAttr(ino=nodeid))
        return self.done(message, bytes(out), t_ps=t_ps)

    def read(self, data: bytes, offset: int = 0, open_: tuple[bytes, ...] = ()) -> list[Stale]:
        body = bytes(fuse.FuseReadIn(FILE, offset, 4096))
        return self.done(request(Opcode.READ, FILE, body), data, open_=open_)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_attributes_that_change_by_themselves_are_stale(bench: Bench) -> None:
    assert bench.getattr(5) == bench.getattr(5) == []
    assert bench.cache.compared == 1
    assert bench.getattr(6) == [Stale("size of node 0x7", "5", "6")]


def test_attributes_are_held_as_long_as_they_are_valid(bench: Bench) -> None:
    bench.getattr(5)
    assert bench.getattr(6, t_ps=SECOND_PS + 1) == []
    assert bench.getattr(7, t_ps=SECOND_PS + 2) != []


CHANGES = {
    "write": request(Opcode.WRITE, FILE, bytes(fuse.FuseWriteIn(FILE, 0, 1)) + b"x"),
    "setattr": request(Opcode.SETATTR, FILE, bytes(fuse.FuseSetattrIn())),
    "fallocate": request(Opcode.FALLOCATE, FILE, bytes(fuse.FuseFallocateIn())),
    "truncating open": request(Opcode.OPEN, FILE, bytes(fuse.FuseOpenIn(O_TRUNC))),
    "link": request(Opcode.LINK, ROOT, bytes(fuse.FuseLinkIn(FILE)) + b"x\0"),
    "unlink of a name that is not held": request(Opcode.UNLINK, ROOT, b"x\0"),
    "rename": request(Opcode.RENAME2, ROOT, bytes(fuse.FuseRename2In(OTHER, 0)) + b"x\0y\0"),
    "truncating create": request(Opcode.CREATE, ROOT, bytes(fuse.FuseCreateIn(O_TRUNC)) + b"x\0"),
    "a new session": request(Opcode.INIT, 0, bytes(fuse.FuseInitIn())),
}
HARMLESS = {
    "read": request(Opcode.READ, FILE, bytes(fuse.FuseReadIn(FILE, 0, 1))),
    "open": request(Opcode.OPEN, FILE, bytes(fuse.FuseOpenIn(2))),
    "write elsewhere": request(Opcode.WRITE, OTHER, bytes(fuse.FuseWriteIn(OTHER, 0, 1)) + b"x"),
    "mkdir": request(Opcode.MKDIR, ROOT, bytes(fuse.FuseMkdirIn()) + b"x\0"),
    "unknown": request(Opcode.STATX, FILE)[:4] + b"\xff\0\0\0" + bytes(32),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_the_client_changes_itself_it_gives_up(bench: Bench, change: str) -> None:
    bench.getattr(5)
    bench.read(b"data")
    bench.done(CHANGES[change])
    assert bench.getattr(6) == bench.read(b"DATA") == []
    assert bench.cache.compared == 0
    assert bench.getattr(7) and bench.read(b"data")


def test_what_ends_in_an_errno_changes_nothing(bench: Bench) -> None:
    bench.getattr(5)
    bench.done(CHANGES["write"], error=errno.ENOSPC)
    assert bench.getattr(6)
    bench.done(CHANGES["write"], error=errno.EIO)
    assert bench.getattr(7) == [], "nobody knows what a lost request did"


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_under_way_may_have_happened(bench: Bench, change: str) -> None:
    bench.getattr(5)
    assert bench.getattr(6, open_=(CHANGES[change],)) == []
    bench.done(CHANGES[change], begin=1)
    assert bench.getattr(5, begin=1) == [], "it began before the change was over"
    bench.getattr(8)
    assert bench.getattr(9)


@pytest.mark.parametrize("name", HARMLESS)
def test_what_changes_nothing_else_gives_nothing_up(bench: Bench, name: str) -> None:
    bench.getattr(5)
    bench.done(HARMLESS[name])
    assert bench.getattr(6, open_=(HARMLESS[name],))


def test_the_reply_to_a_change_is_held(bench: Bench) -> None:
    out = fuse.FuseAttrOut(attr_valid=1, attr=fuse.FuseAttr(ino=FILE, size=3))
    bench.done(CHANGES["setattr"], bytes(out))
    assert bench.getattr(4) == [Stale("size of node 0x7", "3", "4")]


def test_names(bench: Bench) -> None:
    assert bench.lookup(FILE) == bench.lookup(FILE) == []
    assert bench.lookup(OTHER) == [Stale("name b'f' of node 0x1", "0x7", "0x8")]
    assert bench.lookup(0) == [Stale("name b'f' of node 0x1", "0x8", "no such name")]
    bench.done(request(Opcode.UNLINK, ROOT, b"f\0"))
    assert bench.lookup(0) == []
    assert bench.lookup(FILE, t_ps=5) == [], "nothing is held of a name that is missing"


def test_an_unlink_of_a_name_that_is_held_spares_the_others(bench: Bench) -> None:
    bench.lookup(OTHER)
    bench.getattr(5)
    bench.done(request(Opcode.UNLINK, ROOT, b"f\0"))
    assert bench.getattr(6)


def records() -> Iterator[bytes]:
    for name, nodeid in ((b".", 0), (b"f", FILE)):
        entry = fuse.FuseEntryOut(nodeid=nodeid, entry_valid=1, attr_valid=1, attr=fuse.FuseAttr(ino=nodeid, size=5))
        yield (bytes(entry) + bytes(fuse.FuseDirent(nodeid, 1, len(name), 8)) + name).ljust(160, b"\0")


def test_a_listing_with_attributes_is_held(bench: Bench) -> None:
    bench.done(request(Opcode.READDIRPLUS, ROOT, bytes(fuse.FuseReadIn())), b"".join(records()))
    assert bench.lookup(OTHER) and bench.getattr(6)


def test_contents(bench: Bench) -> None:
    bench.read(b"some data")
    assert bench.read(b"data", 5) == []
    assert bench.read(b"data and more", 5) == []
    assert bench.read(b"dat4", 5) == [Stale("byte 8 of node 0x7", "0x61", "0x34")]
    bench.done(request(Opcode.OPEN, FILE, bytes(fuse.FuseOpenIn(2))))
    assert bench.read(b"DATA", 5) == [], "Linux drops them with the open"


def test_notifications_take_away_what_they_name(bench: Bench) -> None:
    def notify(code: NotifyCode, body: bytes) -> None:
        bench.cache.notified(bytes(fuse.FuseOutHeader(16 + len(body), code, 0)) + body)

    bench.getattr(5)
    bench.read(b"data")
    notify(NotifyCode.INVAL_INODE, bytes(fuse.FuseNotifyInvalInodeOut(OTHER, 0, 0)))
    assert bench.getattr(6)
    notify(NotifyCode.INVAL_INODE, bytes(fuse.FuseNotifyInvalInodeOut(FILE, 0, 0)))
    assert bench.getattr(7) == bench.read(b"DATA") == []
    bench.lookup(FILE)
    notify(NotifyCode.INVAL_ENTRY, bytes(fuse.FuseNotifyInvalEntryOut(ROOT, 1, 0)) + b"f\0")
    assert bench.lookup(OTHER) == []
    notify(NotifyCode.DELETE, bytes(fuse.FuseNotifyDeleteOut(ROOT, OTHER, 1, 0)) + b"f\0")
    assert bench.lookup(0) == []
    bench.lookup(FILE)
    notify(NotifyCode.INC_EPOCH, b"")
    assert bench.lookup(OTHER) == []


def test_what_a_rename_touches() -> None:
    message = request(Opcode.RENAME2, 5, bytes(fuse.FuseRename2In(6, 0)) + b"a\0b\0")
    known = {(5, b"a"): 10, (6, b"b"): 11}
    result = touched(message, known.get)
    assert (result.nodes, result.names, result.every_node) == ({5, 6, 10, 11}, {(5, b"a"), (6, b"b")}, False)
    assert touched(message, {}.get).every_node


@pytest.mark.parametrize("batch", [False, True])
def test_a_forgotten_inode_may_come_back_under_another_number(bench: Bench, batch: bool) -> None:
    """A server that passes a directory through does so: its numbers are those of what the client knows."""
    forget = request(Opcode.FORGET, FILE, bytes(fuse.FuseForgetIn(1)))
    if batch:
        one = bytes(fuse.FuseForgetOne(OTHER, 1)) + bytes(fuse.FuseForgetOne(FILE, 1))
        forget = request(Opcode.BATCH_FORGET, 0, bytes(fuse.FuseBatchForgetIn(2, 0)) + one)
    bench.lookup(FILE)
    bench.done(forget)
    assert bench.lookup(OTHER) == []
    assert bench.lookup(FILE) != [], "it is held from then on"
