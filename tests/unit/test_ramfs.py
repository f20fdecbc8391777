"""The golden file system against recorded Linux sessions, and against what Linux's man pages say of errors."""

from __future__ import annotations

import errno
import stat
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from tests.unit.ramfs_client import ROOT, Client, fails
from virtiofs_model.layouts import fuse
from virtiofs_model.layouts.fuse_constants import Fattr, InitFlag, Opcode
from virtiofs_model.layouts.fuse_operations import OPERATIONS, OUT_HEADER_SIZE, ReplyKind, directory_entries
from virtiofs_model.ramfs import Limits, RamfsServer, Tree
from virtiofs_model.ramfs.inode import PAGE
from virtiofs_tb.driver.fuse_client import Reply
from virtiofs_tb.driver.session import Replay, SessionRecord, load_session

SESSIONS = Path(__file__).parents[1] / "data" / "sessions"
FREE_IN_REPLY = {Opcode.STATFS, Opcode.GETATTR, Opcode.SETATTR}


@pytest.fixture
def client() -> Client:
    client = Client(RamfsServer(Tree(Limits(inodes=64, pages=32))))
    client.init()
    return client


def finish(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine that never waits."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("it waits")


@pytest.mark.parametrize("session", ["browse", "file-io"])
def test_answers_a_recorded_session_as_the_recorded_server_did(session: str) -> None:
    """Every errno and every reply length is the recorded one; the bytes too where no id or time is in them."""
    compared = 0

    def compare(record: SessionRecord, message: bytes, reply: Reply) -> None:
        nonlocal compared
        if record.reply is None:
            return
        recorded = record.reply[OUT_HEADER_SIZE:]
        assert reply.error == record.error, record
        assert len(reply.payload) == len(recorded), record
        if record.opcode in (Opcode.READ, Opcode.READLINK, Opcode.WRITE):
            assert reply.payload == recorded, record
            compared += 1
        if record.opcode in (Opcode.READDIR, Opcode.READDIRPLUS) and recorded:
            plus = record.opcode is Opcode.READDIRPLUS
            # A renamed file's place in the listing is free.
            ours, theirs = (
                {(entry.name, entry.type) for entry in directory_entries(data, plus)}
                for data in (reply.payload, recorded)
            )
            assert ours == theirs, record
            compared += 1
        if record.opcode is Opcode.GETATTR:
            mine, other = (fuse.FuseAttrOut.from_buffer_copy(data).attr for data in (reply.payload, recorded))
            assert (mine.mode, mine.nlink, mine.size) == (other.mode, other.nlink, other.size), record
            compared += 1

    server = RamfsServer()
    replay = Replay(Client(server), load_session(SESSIONS / f"{session}.jsonl"), on_reply=compare)  # type: ignore[arg-type]
    outcome = finish(replay.run())
    assert outcome.differences == []
    assert compared >= 15
    assert replay.granted is not None
    locks = InitFlag.POSIX_LOCKS | InitFlag.FLOCK_LOCKS  # which the recorded server keeps to itself
    assert replay.granted.flags == 0x446029 | locks
    lookups = [inode.lookups for inode in server.tree.store.inodes.values() if inode is not server.tree.root]
    if session == "browse":  # this client forgot everything that it had looked up
        assert lookups == []


def test_before_init_and_after_destroy_everything_is_eio() -> None:
    client = Client(RamfsServer())
    with fails(errno.EIO):
        client.call(Opcode.STATFS)
    client.init()
    client.call(Opcode.STATFS)
    client.call(Opcode.DESTROY)
    with fails(errno.EIO):
        client.call(Opcode.STATFS)


def test_init_settles_the_version() -> None:
    client = Client(RamfsServer())
    assert client.init(31).minor == 31
    assert client.init(99).minor == 45
    newer = client.call(Opcode.INIT, 0, bytes(fuse.FuseInitIn(major=8, minor=0)))
    assert fuse.FuseInitOut.from_buffer_copy(newer or b"").major == 7
    with fails(errno.EPROTO):
        client.call(Opcode.INIT, 0, bytes(fuse.FuseInitIn(major=6, minor=45)))


def test_a_new_init_ends_the_session_but_keeps_contents(client: Client) -> None:
    nodeid, fh = client.create(b"f")
    client.write(nodeid, fh, 0, b"kept")
    client.init()
    with fails(errno.EBADF):
        client.read(nodeid, fh, 0, 4)
    assert client.names() == [b".", b"..", b"f"]


def test_an_unlinked_file_lives_until_it_is_closed_and_forgotten(client: Client) -> None:
    nodeid, fh = client.create(b"f")
    client.write(nodeid, fh, 0, b"alive")
    client.call(Opcode.UNLINK, body=b"f\0")
    assert client.read(nodeid, fh, 0, 5) == b"alive"
    assert client.attr(nodeid).nlink == 0
    client.call(Opcode.RELEASE, nodeid, bytes(fuse.FuseReleaseIn(fh=fh)))
    assert client.attr(nodeid).size == 5
    assert client.call(Opcode.FORGET, nodeid, bytes(fuse.FuseForgetIn(nlookup=1))) is None
    with fails(errno.ESTALE):
        client.attr(nodeid)
    assert client.server.tree.store.counters.free_pages == 32


def test_a_reused_inode_has_another_nodeid(client: Client) -> None:
    """Free slots are a queue: the first one comes again when all others had their turn."""

    def short_life() -> int:
        nodeid, fh = client.create(b"f")
        client.call(Opcode.UNLINK, body=b"f\0")
        client.call(Opcode.RELEASE, nodeid, bytes(fuse.FuseReleaseIn(fh=fh)))
        client.call(Opcode.FORGET, nodeid, bytes(fuse.FuseForgetIn(nlookup=1)))
        return nodeid

    assert [short_life() for _ in range(62)] == list(range(2, 64))
    assert [short_life() for _ in range(2)] == [1 << 32 | 2, 1 << 32 | 3]
    with fails(errno.ESTALE):
        client.attr(2)


def test_sparse_files_cost_what_is_written_and_holes_read_as_zeros(client: Client) -> None:
    nodeid, fh = client.create(b"f")
    client.write(nodeid, fh, 5 * PAGE + 10, b"end")
    assert client.attr(nodeid).blocks == PAGE // 512
    assert client.read(nodeid, fh, 5 * PAGE, 13) == bytes(10) + b"end"
    assert client.read(nodeid, fh, 0, PAGE) == bytes(PAGE)
    assert client.read(nodeid, fh, 6 * PAGE, 100) == b""


def test_truncation_and_growth_never_show_old_data(client: Client) -> None:
    nodeid, fh = client.create(b"f")
    client.write(nodeid, fh, 0, b"x" * 100)
    for size in (10, 100):
        body = bytes(fuse.FuseSetattrIn(valid=Fattr.SIZE, size=size))
        client.call(Opcode.SETATTR, nodeid, body)
    assert client.read(nodeid, fh, 0, 100) == b"x" * 10 + bytes(90)


def test_a_write_without_space_changes_nothing(client: Client) -> None:
    nodeid, fh = client.create(b"f")
    client.write(nodeid, fh, 0, b"a" * (31 * PAGE))
    with fails(errno.ENOSPC):
        client.write(nodeid, fh, 31 * PAGE, b"b" * (PAGE + 1))
    assert client.attr(nodeid).size == 31 * PAGE
    with fails(errno.EFBIG):
        client.write(nodeid, fh, (1 << 40) - 1, b"bb")


def test_a_full_inode_table_is_enospc(client: Client) -> None:
    for index in range(62):
        client.mkdir(b"d%d" % index)
    with fails(errno.ENOSPC):
        client.mkdir(b"one too many")


@pytest.mark.parametrize(
    ("name", "number"),
    [
        (b"", errno.EINVAL),
        (b"a/b", errno.EINVAL),
        (b".", errno.EEXIST),
        (b"..", errno.EEXIST),
        (b"n" * 256, errno.ENAMETOOLONG),
    ],
)
def test_bad_names(client: Client, name: bytes, number: int) -> None:
    with fails(number):
        client.mkdir(name)
    assert client.names() == [b".", b".."]


def test_a_name_of_255_bytes_is_one(client: Client) -> None:
    client.mkdir(b"n" * 255)
    assert client.names()[2:] == [b"n" * 255]


def test_rename_errors(client: Client) -> None:
    a, b = client.mkdir(b"a"), client.mkdir(b"b")
    inner = client.mkdir(b"inner", a)
    client.create(b"file")

    def rename(old_dir: int, old: bytes, new_dir: int, new: bytes, flags: int = 0) -> None:
        body = bytes(fuse.FuseRename2In(newdir=new_dir, flags=flags)) + old + b"\0" + new + b"\0"
        client.call(Opcode.RENAME2, old_dir, body)

    with fails(errno.EINVAL):
        rename(ROOT, b"a", inner, b"x")  # a directory into itself
    with fails(errno.ENOTEMPTY):
        rename(ROOT, b"b", ROOT, b"a")
    with fails(errno.ENOTDIR):
        rename(ROOT, b"b", ROOT, b"file")
    with fails(errno.EISDIR):
        rename(ROOT, b"file", ROOT, b"b")
    with fails(errno.EEXIST):
        rename(ROOT, b"file", ROOT, b"b", 1)
    with fails(errno.ENOENT):
        rename(ROOT, b"file", ROOT, b"missing", 2)
    with fails(errno.EINVAL):
        rename(ROOT, b"file", ROOT, b"x", 3)
    rename(a, b"inner", b, b"moved")
    assert client.attr(a).nlink == 2
    assert client.attr(b).nlink == 3
    rename(ROOT, b"file", ROOT, b"b", 2)
    assert stat.S_ISREG(client.attr(ROOT).mode) is False
    assert sorted(client.names()[2:]) == [b"a", b"b", b"file"]
    assert client.names(b) == [b".", b"..", b"moved"]


def test_directories_count_links_and_refuse_removal_while_full(client: Client) -> None:
    directory = client.mkdir(b"d")
    client.create(b"f", directory)
    assert client.attr(ROOT).nlink == 3
    with fails(errno.ENOTEMPTY):
        client.call(Opcode.RMDIR, body=b"d\0")
    with fails(errno.EISDIR):
        client.call(Opcode.UNLINK, body=b"d\0")
    client.call(Opcode.UNLINK, directory, b"f\0")
    client.call(Opcode.RMDIR, body=b"d\0")
    assert client.attr(ROOT).nlink == 2
    with fails(errno.ENOENT):
        client.create(b"late", directory)


@pytest.mark.parametrize("plus", [False, True])
def test_a_listing_survives_the_removal_of_the_entry_its_cookie_names(client: Client, plus: bool) -> None:
    """`rm -r` removes what it has just listed."""
    for index in range(8):
        client.mkdir(b"d%d" % index)
    opened = client.call(Opcode.OPENDIR, ROOT, bytes(fuse.FuseOpenIn()))
    fh = fuse.FuseOpenOut.from_buffer_copy(opened or b"").fh
    cookie, found = 0, []
    opcode = Opcode.READDIRPLUS if plus else Opcode.READDIR
    while part := client.call(opcode, ROOT, bytes(fuse.FuseReadIn(fh=fh, offset=cookie, size=360))):
        for entry in directory_entries(part, plus):
            found.append(entry.name)
            cookie = entry.cookie
            if entry.name.startswith(b"d"):
                client.call(Opcode.RMDIR, body=entry.name + b"\0")
    assert found == [b".", b".."] + [b"d%d" % index for index in range(8)]
    assert client.names() == [b".", b".."]


def test_a_reply_that_does_not_fit_has_no_side_effect(client: Client) -> None:
    body = bytes(fuse.FuseMkdirIn(mode=0o755)) + b"d\0"
    assert client.call(Opcode.MKDIR, body=body, writable=16 + 127) is None
    assert client.names() == [b".", b".."]
    nodeid, fh = client.create(b"f")
    client.write(nodeid, fh, 0, b"data")
    read = bytes(fuse.FuseReadIn(fh=fh, offset=0, size=100))
    assert client.call(Opcode.READ, nodeid, read, writable=115) is None
    assert client.call(Opcode.READ, nodeid, read, writable=116) == b"data"


def test_malformed_requests_get_an_errno_or_nothing() -> None:
    """Each opcode cut at every length, with a wrong in_header.len, and with a stale nodeid: never an exception."""
    server = RamfsServer()
    client = Client(server)
    client.init()
    for opcode, operation in OPERATIONS.items():
        for length in range(operation.request_size + 3):
            for delta in (0, 1, -1):
                header = fuse.FuseInHeader(len=length + delta, opcode=opcode, unique=9, nodeid=0xDEAD)
                if opcode in (Opcode.INIT, Opcode.DESTROY):
                    continue
                reply = server.handle((bytes(header) + bytes(64))[:length], 4096)
                if operation.kind is ReplyKind.NONE or length < 40:
                    assert reply is None
                else:
                    assert reply is not None
                    assert fuse.FuseOutHeader.from_buffer_copy(reply).error < 0 or opcode in FREE_IN_REPLY
    unknown = bytes(fuse.FuseInHeader(len=40, opcode=7, unique=9, nodeid=1))
    assert fuse.FuseOutHeader.from_buffer_copy(server.handle(unknown, 100) or b"").error == -errno.ENOSYS
