"""LOCK messages, POLL and NOTIFY_REPLY of the golden file system (docs/notifications.md)."""

from __future__ import annotations

import errno
import struct

import pytest

from tests.unit.ramfs_client import ROOT, Client, fails
from tests.unit.test_ramfs_locks import UNLOCK, WRITE, error, lock, message
from virtiofs_model.layouts import fuse
from virtiofs_model.layouts.fuse_constants import Opcode
from virtiofs_model.ramfs import Config, RamfsServer
from virtiofs_model.ramfs.dpu import DpuClient


def told(client: Client) -> list[tuple[int, ...]]:
    """LOCK messages as (unique, error), POLL messages as (kh,)."""
    found: list[tuple[int, ...]] = []
    for notice in client.server.take_notices():
        length, code, unique = struct.unpack_from("<IiQ", notice.message)
        assert (length, unique) == (len(notice.message), 0)
        body = notice.message[16:]
        found.append(struct.unpack("<Qi4x", body) if code == 7 else struct.unpack("<Q", body))
        assert code in (7, 1)
    return found


@pytest.fixture
def client() -> Client:
    """A session that knows LOCK messages, in which the inode 2 is open once."""
    client = Client(RamfsServer(config=Config(lock_messages=True)))
    client.server.notices.enabled = True
    client.init()
    assert client.create(b"f") == (2, 2)
    return client


def wait(client: Client, unique: int, owner: int) -> int:
    """SETLKW of the whole file: its errno, -1 where it waits."""
    return error(client.server.handle(message(Opcode.SETLKW, owner, WRITE, unique=unique), 16, token=unique))


def test_who_waits_is_told_so_and_later_how_it_ended(client: Client) -> None:
    assert wait(client, 10, 1) == 0
    assert [wait(client, unique, unique) for unique in (11, 12, 13)] == [-1, -1, -1]
    assert client.server.kept_bytes == 96
    interrupt = client.server.handle(
        bytes(fuse.FuseInHeader(48, Opcode.INTERRUPT, 99, 0)) + (12).to_bytes(8, "little"), 16
    )
    assert error(interrupt) == 0
    assert lock(client, 1, UNLOCK) == 0
    assert client.server.kept_bytes == 96, "places are kept until the messages are stored"
    assert told(client) == [(12, -errno.EINTR), (11, 0)]
    assert client.server.kept_bytes == 32
    client.release(2)
    assert told(client) == [(13, -errno.EBADF)]
    assert client.server.kept_bytes == 0 and client.server.late_replies() == []


def test_without_a_place_nobody_waits(client: Client) -> None:
    client.server.notices.room = lambda size: client.server.kept_bytes + size <= 64
    assert [wait(client, unique, unique) for unique in (10, 11, 12, 13)] == [0, -1, -1, errno.ENOLCK]
    client.server.notices.room = lambda size: True
    assert [wait(client, unique, unique) for unique in range(13, 20)] == [-1] * 6 + [errno.ENOLCK]


@pytest.mark.parametrize("how", ["INIT", "DESTROY", "reset"])
def test_the_end_of_a_session_tells_nobody(client: Client, how: str) -> None:
    assert (wait(client, 10, 1), wait(client, 11, 2)) == (0, -1)
    client.call(Opcode.POLL, 2, bytes(fuse.FusePollIn(2, 5, 1, 1)), writable=24)
    assert client.server.kept_bytes == 56
    if how == "INIT":
        client.init()
    elif how == "DESTROY":
        client.call(Opcode.DESTROY, 0, writable=16)
    else:
        client.server.reset()
    assert (told(client), client.server.late_replies(), client.server.kept_bytes) == ([], [], 0)


@pytest.mark.parametrize(("option", "negotiated"), [(False, True), (True, False)])
def test_replies_are_late_where_messages_are_off(option: bool, negotiated: bool) -> None:
    client = Client(RamfsServer(config=Config(lock_messages=option)))
    client.server.notices.enabled = negotiated
    client.init()
    client.create(b"f")
    assert wait(client, 10, 1) == 0
    assert client.server.handle(message(Opcode.SETLKW, 2, WRITE, unique=11), 16, token=11) == b""
    client.release(2)
    assert [(token, error(reply)) for token, reply in client.server.late_replies()] == [(11, errno.EBADF)]
    assert told(client) == []


# ---- polls ----


def poll(client: Client, kh: int, node: int = 2, flags: int = 1) -> int:
    """POLL: revents."""
    reply = client.call(Opcode.POLL, node, bytes(fuse.FusePollIn(node, kh, flags, 0xFFFF)), writable=24) or b""
    return int(fuse.FusePollOut.from_buffer_copy(reply).revents)


def change(client: Client, opcode: Opcode, node: int, body: bytes) -> None:
    """A request of the DPU that succeeds."""
    header = bytes(fuse.FuseInHeader(len=40 + len(body), opcode=opcode, unique=9, nodeid=node))
    assert error(DpuClient(client.server).request(header + body).reply) == 0


def write(client: Client, node: int, data: bytes = b"x") -> None:
    change(client, Opcode.WRITE, node, bytes(fuse.FuseWriteIn(offset=5, size=len(data))) + data)


def test_a_file_is_always_ready_and_a_change_wakes_once(client: Client) -> None:
    assert client.create(b"g") == (3, 3)
    assert [poll(client, kh, node) for kh, node in ((30, 2), (31, 3), (32, 2), (33, 2))] == [0x145] * 4
    poll(client, 30, 3)
    poll(client, 30, 2)  # back again, in its old place
    poll(client, 40, 2, flags=0)  # does not ask
    assert client.server.kept_bytes == 96
    write(client, 2, b"")  # nothing that is worth asking for
    change(client, Opcode.SETATTR, 2, bytes(fuse.FuseSetattrIn(valid=1, mode=0o600)))
    assert told(client) == []
    client.forget(2)  # what is not cached may be polled
    write(client, 2)
    assert told(client) == [(30,), (32,), (33,)]
    write(client, 2)
    assert told(client) == []
    poll(client, 34, 2)
    client.release(3)
    assert client.server.kept_bytes == 24


def test_polls_without_a_place(client: Client) -> None:
    client.server.notices.room = lambda size: client.server.kept_bytes + size <= 48
    assert [poll(client, kh) for kh in (1, 2)] == [0x145] * 2
    with fails(errno.ENOMEM):
        poll(client, 3)
    assert poll(client, 2) == 0x145, "it has one"
    client.server.notices.room = lambda size: True
    for kh in range(3, 9):
        poll(client, kh)
    with fails(errno.ENOMEM):
        poll(client, 9)
    client.server.notices.enabled = False
    assert poll(client, 9) == 0x145, "nobody looks at the flag"
    with fails(errno.EBADF):
        poll(client, 9, ROOT)


def test_an_answer_to_retrieve_is_kept_if_it_is_one(client: Client) -> None:
    kept: list[bytes] = []
    client.server.on_notify_reply = kept.append
    head = fuse.FuseInHeader(len=85, opcode=Opcode.NOTIFY_REPLY, unique=8, nodeid=2)
    good = bytes(head) + bytes(fuse.FuseNotifyRetrieveIn(offset=3, size=5)) + b"hello"
    short = bytes(fuse.FuseInHeader(len=79, opcode=Opcode.NOTIFY_REPLY, unique=8, nodeid=2)) + bytes(39)
    for request in (good + b"?", short, good):
        assert client.server.handle(request, 0) is None
    client.server.reset()
    client.server.handle(good, 0)
    assert kept == [good]
