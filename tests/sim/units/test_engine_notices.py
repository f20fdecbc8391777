"""What the DPU changes is announced (docs/notifications.md): the ramfs engine with a message store of 2 KiB, against
messages written down here from the page, and against the golden file system."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from tests.sim.units.engine_bench import DPU_LANE, Engine, Sent
from tests.sim.units.engine_campaign import message
from tests.sim.units.engine_traffic import Traffic
from tests.sim.units.test_ramfs_engine import EXPRESS_CYCLES, SMALL, build, limits
from tests.sim.units.unit_build import WIDTHS
from virtiofs_model.engine import NotifyClass
from virtiofs_model.layouts.dpu import REQUEST_BYTES_MAX, NotifyResult
from virtiofs_model.layouts.fuse_constants import Opcode
from virtiofs_model.ramfs import RamfsServer, Tree
from virtiofs_model.ramfs.dpu import DpuClient
from virtiofs_model.registers import NotifyPolicy

STORE = 2048
FITTING = STORE // 64
"""So many INVAL_INODE fill the store: each takes two words of 32 bytes."""

HOLD, COALESCE, DROP = NotifyPolicy.HOLD, NotifyPolicy.COALESCE, NotifyPolicy.DROP
ROOT, DIR, FILE, OTHER, EMPTY, UNKNOWN, UNKNOWN_DIR = range(1, 8)
"""The inodes of `world`; the session has no lookups of the last two."""

PUNCH, ZERO, KEEP = 2, 16, 1
O_WRONLY, O_TRUNC, EXCHANGE = 1, 0o1000, 2
SIZE, MODE = 8, 1


# ---- messages, as the page and linux/fuse.h have them ----


def inode(node: int, offset: int = -1, length: int = 0) -> bytes:
    return struct.pack("<IiQQqq", 40, 2, 0, node, offset, length)


def entry(directory: int, name: bytes) -> bytes:
    return struct.pack("<IiQQII", 33 + len(name), 3, 0, directory, len(name), 0) + name + b"\0"


def delete(directory: int, child: int, name: bytes) -> bytes:
    return struct.pack("<IiQQQII", 41 + len(name), 6, 0, directory, child, len(name), 0) + name + b"\0"


EPOCH = struct.pack("<IiQ", 16, 8, 0)


# ---- requests ----


def write(node: int, offset: int, data: bytes) -> bytes:
    return message(Opcode.WRITE, node, struct.pack("<QQI20x", node, offset, len(data)) + data)


def setattr_of(node: int, valid: int, size: int = 0) -> bytes:
    return message(Opcode.SETATTR, node, struct.pack("<II8xQ", valid, 0, size) + bytes(64))


def fallocate(node: int, mode: int, offset: int, length: int) -> bytes:
    return message(Opcode.FALLOCATE, node, struct.pack("<QQQII", 0, offset, length, mode, 0))


def open_of(node: int, flags: int) -> bytes:
    return message(Opcode.OPEN, node, struct.pack("<II", flags, 0))


def create(directory: int, name: bytes, flags: int = O_WRONLY) -> bytes:
    return message(Opcode.CREATE, directory, struct.pack("<IIII", flags, 0o644, 0, 0) + name + b"\0")


def mknod(directory: int, name: bytes) -> bytes:
    return message(Opcode.MKNOD, directory, struct.pack("<IIII", 0o644, 0, 0, 0) + name + b"\0")


def mkdir(directory: int, name: bytes) -> bytes:
    return message(Opcode.MKDIR, directory, struct.pack("<II", 0o755, 0) + name + b"\0")


def named(opcode: Opcode, directory: int, name: bytes) -> bytes:
    return message(opcode, directory, name + b"\0")


def link(node: int, directory: int, name: bytes) -> bytes:
    return message(Opcode.LINK, directory, struct.pack("<Q", node) + name + b"\0")


def rename(old: int, name: bytes, new: int, other: bytes, flags: int = 0) -> bytes:
    return message(Opcode.RENAME2, old, struct.pack("<QII", new, flags, 0) + name + b"\0" + other + b"\0")


def init(minor: int = 45) -> bytes:
    return message(Opcode.INIT, 0, struct.pack("<4I48x", 7, minor, 0, 0))


@contextmanager
def world(policy: NotifyPolicy = HOLD, minor: int = 45, width: int = 256) -> Iterator[Engine]:
    """An engine with a session that knows all inodes but two."""
    with Engine(build() if width == 256 else build(DATA_W=width, PAGES=64), 1) as engine:
        engine.notify(True, policy)
        engine.one(init(minor), 80)
        for request in (mkdir(ROOT, b"d"), mknod(ROOT, b"f"), mknod(ROOT, b"g"), mkdir(ROOT, b"e")):
            engine.one(request)
        engine.dpu(mknod(ROOT, b"x"))
        engine.dpu(mkdir(ROOT, b"y"))
        engine.one(open_of(FILE, 2))
        assert engine.drain() == [entry(ROOT, b"x"), inode(ROOT), entry(ROOT, b"y"), inode(ROOT)]
        yield engine


LONG = b"n" * 255
NAMES = [bytes(97 + index % 26 for index in range(length)) for length in (1, 7, 8, 15, 16, 31, 32, 33, 64, 254, 255)]

ANNOUNCED = {
    "write": (write(FILE, 5, b"abc"), [inode(FILE, 5, 3)]),
    "write of 0 bytes": (write(FILE, 5, b""), [inode(FILE)]),
    "write far away": (write(FILE, (1 << 40) - 3, b"abc"), [inode(FILE, (1 << 40) - 3, 3)]),
    "size": (setattr_of(FILE, SIZE | MODE, 9), [inode(FILE, 9)]),
    "mode": (setattr_of(DIR, MODE), [inode(DIR)]),
    "open": (open_of(FILE, O_WRONLY), []),
    "open that cuts": (open_of(FILE, O_WRONLY | O_TRUNC), [inode(FILE, 0)]),
    "open for reading does not cut": (open_of(FILE, O_TRUNC), []),
    "create of what is there": (create(ROOT, b"f"), []),
    "create that cuts": (create(ROOT, b"f", O_WRONLY | O_TRUNC), [inode(FILE, 0)]),
    "punch": (fallocate(FILE, PUNCH | KEEP, 10, 100), [inode(FILE, 10, 100)]),
    "zero": (fallocate(FILE, ZERO, 10, 100), [inode(FILE, 10, 100)]),
    "allocate": (fallocate(FILE, 0, 10, 100), [inode(FILE)]),
    "allocate, keep size": (fallocate(FILE, KEEP, 10, 100), [inode(FILE)]),
    "mkdir": (mkdir(ROOT, b"n"), [entry(ROOT, b"n"), inode(ROOT)]),
    "symlink": (message(Opcode.SYMLINK, DIR, b"n\0to\0"), [entry(DIR, b"n"), inode(DIR)]),
    "create": (create(DIR, b"n"), [entry(DIR, b"n"), inode(DIR)]),
    "link": (link(FILE, DIR, b"n"), [entry(DIR, b"n"), inode(FILE), inode(DIR)]),
    "unlink": (named(Opcode.UNLINK, ROOT, b"f"), [delete(ROOT, FILE, b"f"), inode(FILE), inode(ROOT)]),
    "rmdir": (named(Opcode.RMDIR, ROOT, b"e"), [delete(ROOT, EMPTY, b"e"), inode(EMPTY), inode(ROOT)]),
    "rename to another directory": (
        rename(ROOT, b"f", DIR, b"n"),
        [entry(ROOT, b"f"), entry(DIR, b"n"), inode(FILE), inode(ROOT), inode(DIR)],
    ),
    "rename over another": (
        rename(ROOT, b"f", ROOT, b"g"),
        [entry(ROOT, b"f"), entry(ROOT, b"g"), inode(FILE), inode(OTHER), inode(ROOT)],
    ),
    "exchange": (
        rename(ROOT, b"f", ROOT, b"d", EXCHANGE),
        [entry(ROOT, b"f"), entry(ROOT, b"d"), inode(FILE), inode(DIR), inode(ROOT)],
    ),
    "rename to itself": (rename(ROOT, b"f", ROOT, b"f"), []),
    "write, unknown inode": (write(UNKNOWN, 0, b"a"), []),
    "unlink, unknown inode": (named(Opcode.UNLINK, ROOT, b"x"), [delete(ROOT, UNKNOWN, b"x"), inode(ROOT)]),
    "mknod, unknown directory": (mknod(UNKNOWN_DIR, b"n"), []),
    "link, unknown directory": (link(FILE, UNKNOWN_DIR, b"n"), [inode(FILE)]),
    "rename, unknown directory": (rename(ROOT, b"f", UNKNOWN_DIR, b"n"), [entry(ROOT, b"f"), inode(FILE), inode(ROOT)]),
    "rename, unknown inode": (
        rename(ROOT, b"x", DIR, b"n"),
        [entry(ROOT, b"x"), entry(DIR, b"n"), inode(ROOT), inode(DIR)],
    ),
    "look": (named(Opcode.LOOKUP, ROOT, b"f"), []),
    "failure": (named(Opcode.UNLINK, ROOT, b"missing"), []),
    "a name that is there": (mkdir(ROOT, b"f"), []),
}  # fmt: skip


@pytest.mark.parametrize("what", ANNOUNCED)
def test_what_is_announced(what: str) -> None:
    request, expected = ANNOUNCED[what]
    with world() as engine:
        engine.dpu(request)
        assert engine.drain() == expected


@pytest.mark.parametrize("width", WIDTHS)
def test_names_of_all_lengths(width: int) -> None:
    with world(width=width) as engine:
        for name in NAMES:
            engine.dpu(mknod(DIR, name))
            assert engine.drain() == [entry(DIR, name), inode(DIR)]
            engine.dpu(rename(DIR, name, ROOT, LONG))
            moved = [entry(DIR, name), entry(ROOT, LONG), inode(DIR), inode(ROOT)]
            assert engine.drain() == moved
            node = engine.one(named(Opcode.LOOKUP, ROOT, LONG)).data
            assert node is not None
            (child,) = struct.unpack_from("<Q", node, 16)
            engine.dpu(named(Opcode.UNLINK, ROOT, LONG))
            assert engine.drain() == [delete(ROOT, child, LONG), inode(child), inode(ROOT)]
            engine.one(message(Opcode.FORGET, child, struct.pack("<Q", 1)))


def test_nobody_is_told_who_does_not_listen() -> None:
    with world() as engine:
        engine.notify(False, HOLD)
        engine.dpu(write(FILE, 0, b"a"))
        engine.notify(True, HOLD)
        engine.one(message(Opcode.FORGET, OTHER, struct.pack("<Q", 1)))
        engine.dpu(write(OTHER, 0, b"a"))
        engine.one(message(Opcode.DESTROY, 0))
        engine.dpu(write(FILE, 0, b"a"))
        engine.dpu(mknod(ROOT, b"n"))
        assert engine.drain() == []
        engine.one(init(), 80)
        engine.dpu(write(FILE, 0, b"a"))
        engine.dpu(mknod(ROOT, b"o"))
        assert engine.drain() == [entry(ROOT, b"o"), inode(ROOT)]


def test_what_the_driver_does_itself_is_not_announced() -> None:
    with world() as engine:
        engine.one(write(FILE, 0, b"a"))
        engine.one(named(Opcode.UNLINK, ROOT, b"f"))
        assert engine.drain() == []


@pytest.mark.parametrize("seed", range(3))
def test_random_changes_are_announced_as_the_golden_file_system_does(seed: int) -> None:
    server = RamfsServer(Tree(limits(SMALL)))
    traffic = Traffic(seed, server)
    announced = 0
    with Engine(build(), seed) as engine:
        engine.notify(True, HOLD)
        for index in range(400):
            driver = index == 0 or traffic.random.random() < 0.5
            sent = traffic.begin() if server.minor is None else traffic.main() if driver else traffic.dpu()
            sent = replace(sent, unreadable=0)
            ctx = engine.send(sent)
            reply = engine.run()[ctx].data
            if sent.lane != DPU_LANE:
                assert server.handle(sent.message, sent.writable) == reply
                continue
            expected = DpuClient(server).request(sent.message)
            assert (expected.reply or None) == reply
            assert engine.drain(cycles=400) == expected.messages
            announced += len(expected.messages)
    assert announced > 30


def test_a_message_counts_the_replies_before_its_change() -> None:
    """A size that was read before the DPU's change is among them, one that was read after it is not."""
    getattr_of = message(Opcode.GETATTR, FILE, bytes(16))
    seen: set[bool] = set()
    with world() as engine:
        for size in range(1, 40):
            engine.stall(0, (0, 50, 90)[size % 3], 0)
            first = engine.one(getattr_of)
            before = engine.replies
            change = Sent(setattr_of(FILE, SIZE, size), REQUEST_BYTES_MAX, DPU_LANE)
            if size % 2:
                engine.send(change)
                engine.step(size)
            driver = engine.send(Sent(getattr_of, 120))
            if not size % 2:
                engine.step(size)
                engine.send(change)
            replies = engine.run()
            engine.drain()
            (notice,) = engine.drained
            assert notice.data == inode(FILE, size)
            old = replies[driver].data == first.data
            assert notice.ticket == before + old
            seen.add(old)
    assert seen == {False, True}


# ---- without room ----


def fill(engine: Engine, count: int) -> list[bytes]:
    """So many INVAL_INODE."""
    for index in range(count):
        engine.dpu(write(FILE, index, b"a"))
    return [inode(FILE, index, 1) for index in range(count)]


def test_hold_lets_a_request_begin_with_room_for_1024_bytes() -> None:
    with world() as engine:
        stored = fill(engine, FITTING // 2 + 1)
        ctx = engine.send(Sent(write(FILE, 99, b"b"), REQUEST_BYTES_MAX, DPU_LANE))
        assert not engine.step(3000)
        # The driver does not wait for it.
        driver = engine.send(Sent(message(Opcode.GETATTR, FILE, bytes(16)), 120))
        assert list(engine.step(3000)) == [driver]
        assert engine.drain(1) == stored[:1]
        assert ctx in engine.run()
        assert engine.drain() == [*stored[1:], inode(FILE, 99, 1)]
        assert engine.flags().dropped == 0


def test_the_room_of_a_request_that_began_is_kept() -> None:
    """The mailbox cannot take it."""
    raw = struct.pack("<IiQ", 64, 1, 0) + bytes(48)
    with world() as engine:
        stored = fill(engine, FITTING // 2)
        engine.stall(0, 0, 100)
        ctx = engine.send(Sent(write(FILE, 0, b"b"), REQUEST_BYTES_MAX, DPU_LANE))
        engine.step(1000)
        assert engine.mail(raw) == NotifyResult.REFUSED
        engine.stall(0, 0, 0)
        assert ctx in engine.run()
        assert engine.mail(raw) == NotifyResult.HELD
        assert engine.drain() == [*stored, inode(FILE, 0, 1), raw]


def test_drop_begins_at_once_and_recovers() -> None:
    with world(DROP) as engine:
        stored = fill(engine, FITTING)
        assert not engine.flags().overflow
        engine.dpu(mknod(ROOT, b"n"))
        assert engine.flags().overflow and engine.flags().dropped == 2
        walk = [EPOCH, *(inode(node, 0, 0) for node in (ROOT, DIR, FILE, OTHER, EMPTY))]
        assert engine.drain() == [*stored, *walk]
        assert not engine.flags().overflow
        engine.dpu(write(FILE, 0, b"a"))
        assert engine.drain() == [inode(FILE, 0, 1)]


def test_a_message_that_is_dropped_sends_the_walk_back() -> None:
    with world(DROP) as engine:
        stored = fill(engine, FITTING)
        engine.dpu(write(FILE, 0, b"a"))
        assert engine.drain(3) == stored[:3]
        engine.one(message(Opcode.FORGET, OTHER, struct.pack("<Q", 1)))
        engine.dpu(write(FILE, 0, b"a"))
        assert engine.flags().dropped == 2
        walk = [EPOCH, *(inode(node, 0, 0) for node in (ROOT, DIR, FILE, EMPTY))]
        assert engine.drain() == [*stored[3:], *walk[:3], *walk]
        assert not engine.flags().overflow


def test_express_requests_wait_neither_for_messages_nor_for_the_walk() -> None:
    latencies: list[int] = []
    forget = Sent(message(Opcode.FORGET, 2, struct.pack("<Q", 0)), 0, lane=0)
    with world(DROP) as engine:
        fill(engine, FITTING + 1)
        for wait in range(60):
            engine.drain(1, wait)
            engine.send(Sent(rename(ROOT, b"f", ROOT, b"g", EXCHANGE), REQUEST_BYTES_MAX, DPU_LANE))
            early = engine.step(wait)
            ctx = engine.send(forget)
            latencies.append((early | engine.run())[ctx].latency)
    assert max(latencies) <= EXPRESS_CYCLES


@pytest.mark.parametrize("policy", [COALESCE, DROP])
def test_names_are_held_for_clients_that_know_no_epochs(policy: NotifyPolicy) -> None:
    with world(policy, 43) as engine:
        stored = fill(engine, FITTING // 2 + 1)
        ctx = engine.send(Sent(mknod(ROOT, b"n"), REQUEST_BYTES_MAX, DPU_LANE))
        assert not engine.step(3000)
        assert engine.drain(1) == stored[:1]
        assert ctx in engine.run()
        assert engine.drain() == [*stored[1:], entry(ROOT, b"n"), inode(ROOT)]
        stored = fill(engine, FITTING)
        engine.dpu(setattr_of(DIR, MODE))
        after = [inode(DIR)]
        if policy is DROP:
            after = [inode(node, 0, 0) for node in (ROOT, DIR, FILE, OTHER, EMPTY)]
        assert engine.drain() == [*stored, *after]


def test_coalesce_keeps_a_place_for_an_inode() -> None:
    with world(COALESCE) as engine:
        stored = fill(engine, FITTING)
        engine.dpu(write(FILE, 100, b"abc"))
        engine.dpu(setattr_of(DIR, MODE))
        engine.dpu(setattr_of(OTHER, SIZE, 7))
        assert engine.flags().coalesced == 0
        engine.dpu(setattr_of(FILE, MODE))
        engine.dpu(write(FILE, 50, b"a"))
        engine.dpu(write(OTHER, 3, b"ab"))
        engine.dpu(setattr_of(DIR, MODE))
        assert engine.flags().coalesced == 4 and not engine.flags().overflow
        assert engine.drain(1) == stored[:1]
        engine.dpu(write(FILE, 60, b"a"))
        places = [inode(FILE, 50, 53), inode(DIR), inode(OTHER, 3, 0), inode(FILE, 60, 1)]
        assert engine.drain() == [*stored[1:], *places]
        assert engine.flags().dropped == 0


def test_coalesce_drops_what_has_no_place() -> None:
    with world(COALESCE) as engine:
        nodes = [DIR, FILE, OTHER, EMPTY]
        for name in (b"1", b"2", b"3", b"4", b"5"):
            reply = engine.one(mknod(ROOT, name)).data
            assert reply is not None
            nodes.append(struct.unpack_from("<Q", reply, 16)[0])
        stored = fill(engine, FITTING)
        for node in nodes:
            engine.dpu(setattr_of(node, MODE))
        assert engine.flags().dropped == len(nodes) - 8 and engine.flags().overflow
        walk = [EPOCH, *(inode(node, 0, 0) for node in sorted([ROOT, *nodes]))]
        assert engine.drain() == [*stored, *(inode(node) for node in nodes[:8]), *walk]


def test_a_new_session_owes_nothing_to_the_old_one() -> None:
    with world(COALESCE) as engine:
        fill(engine, FITTING)
        engine.dpu(setattr_of(DIR, MODE))
        engine.dpu(mknod(ROOT, b"n"))
        assert engine.flags().overflow
        engine.one(init(), 80)
        assert not engine.flags().overflow
        engine.drain()
        assert [notice.outdated for notice in engine.drained] == [True] * FITTING
        engine.dpu(mknod(ROOT, b"m"))
        assert engine.drain() == [entry(ROOT, b"m"), inode(ROOT)]
        assert not any(notice.outdated for notice in engine.drained)


INVALIDATION, RESERVED = NotifyClass.INVALIDATION, NotifyClass.RESERVED


@pytest.mark.parametrize("policy", NotifyPolicy)
def test_firmware_may_lose_invalidations_alone_and_repairs_them_itself(policy: NotifyPolicy) -> None:
    stored = [inode(FILE, index, 1) for index in range(FITTING)]
    extra, raw = inode(DIR), struct.pack("<IiQ", 40, 1, 0) + bytes(24)
    with Engine(build(), 1) as engine:
        engine.notify(True, policy)
        engine.firmware(True)
        assert all(engine.notice(INVALIDATION, message) for message in stored)
        assert engine.notice(INVALIDATION, extra) is (policy is not HOLD)
        lost = policy is not HOLD
        assert (engine.flags().overflow, engine.flags().dropped, engine.flags().coalesced) == (lost, lost, 0)
        if lost:
            assert not engine.notice(RESERVED, raw)
        assert engine.drain(1) == stored[:1]
        assert engine.drain() == [*stored[1:], raw if lost else extra]
        assert engine.flags().overflow is lost
        engine.init()
        assert not engine.flags().overflow
