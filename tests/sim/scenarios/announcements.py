"""The DPU changes the file system behind the driver's back, and the driver is told (docs/notifications.md)."""

from __future__ import annotations

import errno
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from virtiofs_model.layouts import fuse
from virtiofs_model.layouts.dpu import DpuRegister
from virtiofs_model.layouts.fuse_constants import Fattr, Opcode
from virtiofs_tb.driver.bringup import INIT_FLAGS, Mount, discover, start
from virtiofs_tb.driver.errors import DriverError, check
from virtiofs_tb.driver.notify_pool import NotifyPool
from virtiofs_tb.host.dpu import RegisterDpu
from virtiofs_tb.host.port import HostPort, Straps
from virtiofs_tb.scenario import Bench, scenario

HOLD, COALESCE, DROP = range(3)
CLAUSES = ["FS-NQ-DI1", "FS-NQ-DI2", "FS-CFG-D02"]
NEEDS = ["dpu", "dpu_client"]
BY_POLICY = [*NEEDS, "announcer"]
QUIET_PS = 20_000_000
ROOT = 1
REMEMBERED = 8
"""Inodes whose invalidations wait outside the store under `coalesce`."""


def stale_inode(nodeid: int, offset: int = -1, length: int = 0) -> bytes:
    """INVAL_INODE, as include/uapi/linux/fuse.h lays it out."""
    return struct.pack("<IiQQqq", 40, 2, 0, nodeid, offset, length)


def stale_name(directory: int, name: bytes) -> bytes:
    """INVAL_ENTRY."""
    return struct.pack("<IiQQII", 33 + len(name), 3, 0, directory, len(name), 0) + name + b"\0"


def removed(directory: int, child: int, name: bytes) -> bytes:
    """DELETE."""
    return struct.pack("<IiQQQII", 41 + len(name), 6, 0, directory, child, len(name), 0) + name + b"\0"


NEW_EPOCH = struct.pack("<IiQ", 16, 8, 0)


@dataclass
class Both:
    """The DPU and the driver, each a client of the same file system."""

    dpu: RegisterDpu
    ready: Mount
    pool: NotifyPool
    unique: int = 1 << 32

    async def change(self, opcode: Opcode, nodeid: int, body: bytes = b"") -> bytes:
        """A request of the DPU that must succeed; what follows fuse_out_header."""
        self.unique += 2
        header = fuse.FuseInHeader(len=40 + len(body), opcode=opcode, unique=self.unique, nodeid=nodeid)
        reply = await self.dpu.fs_request(bytes(header) + body)
        out = fuse.FuseOutHeader.from_buffer_copy(reply)
        check(f"{opcode.name} of the DPU, error", out.error, 0)
        check(f"{opcode.name} of the DPU, unique and length", (out.unique, out.len), (self.unique, len(reply)))
        return reply[16:]

    async def make(self, opcode: Opcode, directory: int, body: bytes) -> int:
        """A request of the DPU that is answered with a fuse_entry_out; its nodeid."""
        return fuse.FuseEntryOut.from_buffer_copy(await self.change(opcode, directory, body)).nodeid

    async def write(self, nodeid: int, offset: int, data: bytes) -> None:
        """WRITE of the DPU."""
        await self.change(Opcode.WRITE, nodeid, bytes(fuse.FuseWriteIn(offset=offset, size=len(data))) + data)

    async def look(self, directory: int, name: bytes) -> int:
        """LOOKUP of the driver; the nodeid."""
        reply = await self.ready.client.call(Opcode.LOOKUP, directory, name + b"\0")
        check(f"LOOKUP of {name.decode()}, error", reply.error, 0)
        return int(reply.parse(fuse.FuseEntryOut).nodeid)


@asynccontextmanager
async def both(
    host: HostPort, tb: Bench, policy: int = HOLD, buffers: int = 16, minor: int = 45, options: int = 0
) -> AsyncIterator[Both]:
    """A session under a policy; afterwards the straps are as they were."""
    device = await discover(host, tb)
    if not isinstance(host.dpu, RegisterDpu):
        raise DriverError("DPU port", "absent", "a register port", "FS-VQ-DI1")
    await host.dpu.strap(Straps(notify_policy=policy, cache_options=options))
    ready = await start(host, tb, device, buffers=buffers)
    if ready.pool is None:
        raise DriverError("notification queue", "absent", "offered and negotiated", "FS-VQ-DI1")
    await ready.client.init(minor, int(INIT_FLAGS))
    yield Both(host.dpu, ready, ready.pool)
    await device.reset()
    await host.dpu.strap(Straps(notify_policy=HOLD, cache_options=0))


async def silence(host: HostPort, pool: NotifyPool) -> None:
    """Nothing more may come."""
    before = len(pool.received)
    await host.sleep(QUIET_PS)
    check("notifications that nothing caused", len(pool.received) - before, 0, "FS-NQ-DI1")


@scenario(clauses=CLAUSES, needs=NEEDS)
async def changes_by_the_dpu_are_announced(host: HostPort, tb: Bench) -> None:
    """What the driver may have cached, in the order of the table; nothing of what it cannot know."""
    async with both(host, tb) as it:
        pool = it.pool
        home = await it.make(Opcode.MKDIR, ROOT, bytes(fuse.FuseMkdirIn(mode=0o755)) + b"announced\0")
        await pool.expect([stale_name(ROOT, b"announced"), stale_inode(ROOT)])
        file = await it.make(Opcode.MKNOD, home, bytes(fuse.FuseMknodIn(mode=0o644)) + b"file\0")
        await it.write(file, 0, b"unknown to the driver")
        await silence(host, pool)  # it never looked

        check("the directory's nodeid", await it.look(ROOT, b"announced"), home)
        check("the file's nodeid", await it.look(home, b"file"), file)
        await it.write(file, 100, b"seen")
        await pool.expect([stale_inode(file, 100, 4)])
        await it.change(Opcode.SETATTR, file, bytes(fuse.FuseSetattrIn(valid=Fattr.SIZE, size=50)))
        await pool.expect([stale_inode(file, 50, 0)])
        await it.change(Opcode.SETATTR, file, bytes(fuse.FuseSetattrIn(valid=Fattr.MODE, mode=0o600)))
        await pool.expect([stale_inode(file)])
        second = await it.make(Opcode.MKNOD, home, bytes(fuse.FuseMknodIn(mode=0o644)) + b"second\0")
        await pool.expect([stale_name(home, b"second"), stale_inode(home)])
        check("the second file's nodeid", await it.look(home, b"second"), second)
        await it.change(Opcode.RENAME, home, bytes(fuse.FuseRenameIn(ROOT)) + b"second\0moved\0")
        await pool.expect(
            [
                stale_name(home, b"second"), stale_name(ROOT, b"moved"), stale_inode(second),
                stale_inode(home), stale_inode(ROOT),
            ]
        )  # fmt: skip
        await it.change(Opcode.LINK, home, bytes(fuse.FuseLinkIn(second)) + b"again\0")
        await pool.expect([stale_name(home, b"again"), stale_inode(second), stale_inode(home)])
        await it.change(Opcode.RENAME, home, bytes(fuse.FuseRenameIn(ROOT)) + b"file\0moved\0")
        await pool.expect(
            [
                stale_name(home, b"file"), stale_name(ROOT, b"moved"), stale_inode(file), stale_inode(second),
                stale_inode(home), stale_inode(ROOT),
            ]
        )  # fmt: skip
        await it.change(Opcode.UNLINK, ROOT, b"moved\0")
        await pool.expect([removed(ROOT, file, b"moved"), stale_inode(file), stale_inode(ROOT)])
        read = await it.ready.client.call(Opcode.GETATTR, file, bytes(fuse.FuseGetattrIn()))
        check("links of a file that the DPU removed", read.parse(fuse.FuseAttrOut).attr.nlink, 0)
        await it.ready.client.call(Opcode.UNLINK, home, b"again\0")
        await silence(host, pool)  # the driver's own changes are no news to it
        await it.change(Opcode.RMDIR, ROOT, b"announced\0")
        await pool.expect([removed(ROOT, home, b"announced"), stale_inode(home), stale_inode(ROOT)])
        await silence(host, pool)


@scenario(clauses=CLAUSES, needs=BY_POLICY)
async def a_full_store_holds_the_dpu(host: HostPort, tb: Bench) -> None:
    """Policy hold: without buffers the DPU comes to a standstill, the driver does not, and nothing is lost."""
    async with both(host, tb, HOLD, buffers=0) as it:
        file = await it.make(Opcode.MKNOD, ROOT, bytes(fuse.FuseMknodIn(mode=0o644)) + b"held\0")
        check("the file's nodeid", await it.look(ROOT, b"held"), file)
        expected = [stale_name(ROOT, b"held"), stale_inode(ROOT)]
        done: list[int] = []

        async def write_on() -> None:
            for at in range(500):
                await it.write(file, at, b"x")
                done.append(at)

        host.spawn(write_on())
        standing = -1
        while standing != len(done):
            standing = len(done)
            await host.sleep(QUIET_PS)
        check("the DPU is held within 500 changes", standing < 500, True, "FS-NQ-DI2")
        check("requests go on meanwhile", (await it.ready.client.call(Opcode.STATFS, ROOT)).error, 0, "FS-HP-D01")
        await it.pool.fill(8)
        await it.pool.expect([*expected, *(stale_inode(file, at, 1) for at in range(500))])
        check("changes that were made", len(done), 500)
        await it.change(Opcode.UNLINK, ROOT, b"held\0")
        await it.pool.expect([removed(ROOT, file, b"held"), stale_inode(file), stale_inode(ROOT)])


async def crowd(it: Both, number: int, prefix: bytes) -> list[int]:
    """So many files that the driver knows, each made by the driver."""
    nodes = []
    for index in range(number):
        name = prefix + b"%d\0" % index
        body = bytes(fuse.FuseMknodIn(mode=0o100644)) + name
        reply = await it.ready.client.call(Opcode.MKNOD, ROOT, body)
        if reply.error == -errno.EEXIST:  # of a scenario before
            reply = await it.ready.client.call(Opcode.LOOKUP, ROOT, name)
        nodes.append(int(reply.parse(fuse.FuseEntryOut).nodeid))
    return nodes


async def fill_store(it: Both, file: int) -> int:
    """Change a file until announcements find no room: how many were stored."""
    counters = await it.dpu.counters()
    before = counters["notify_coalesced"] + counters["notify_dropped"]
    for stored in range(1000):
        await it.write(file, stored, b"x")
        counters = await it.dpu.counters()
        if counters["notify_coalesced"] + counters["notify_dropped"] != before:
            return stored
    raise DriverError("announcements in the store", "1000", "a bounded store", "FS-NQ-DI2")


async def coalesce(it: Both) -> tuple[list[int], list[bytes]]:
    """Fill store and table: the files that were changed, and the messages that must come of it."""
    nodes = await crowd(it, REMEMBERED, b"coalesced")
    stored = await fill_store(it, nodes[0])  # the last two found no room: a place, and the one it took in
    for at, node in enumerate(nodes[1:]):
        await it.write(node, 4096 * at, b"yy")
        await it.change(Opcode.SETATTR, node, bytes(fuse.FuseSetattrIn(valid=Fattr.MODE, mode=0o600)))
        await it.write(node, 4096 * at + 8000, b"zz")
    check("overflow flag", await it.dpu.read(DpuRegister.NOTIFY_FLAGS), 0, "FS-NQ-DI2")
    first = [stale_inode(nodes[0], at, 1) for at in range(stored - 1)]
    merged = [stale_inode(node, 4096 * at, 8002) for at, node in enumerate(nodes[1:])]
    return nodes, [*first, stale_inode(nodes[0], stored - 1, 2), *merged]


@scenario(clauses=CLAUSES, needs=BY_POLICY)
async def a_full_store_coalesces(host: HostPort, tb: Bench) -> None:
    """Policy coalesce: what finds no room becomes one message an inode, and covers all that was changed."""
    async with both(host, tb, COALESCE, buffers=0) as it:
        _, messages = await coalesce(it)
        await it.pool.fill(8)
        await it.pool.expect(messages)
        await silence(host, it.pool)


@scenario(clauses=CLAUSES, needs=BY_POLICY)
async def recovery_comes_behind_what_was_coalesced(host: HostPort, tb: Bench) -> None:
    """Policy coalesce: a name without room is dropped; the table's messages come first, then the walk."""
    async with both(host, tb, COALESCE, buffers=0) as it:
        nodes, messages = await coalesce(it)
        check("a name without room, overflow flag", await overflow_by_a_name(it), 1, "FS-NQ-DI2")
        await it.pool.fill(8)
        await it.pool.expect([*messages, NEW_EPOCH])
        await recovered(it, nodes)


async def overflow_by_a_name(it: Both) -> int:
    """Make a file, which nothing but recovery can announce now; the flag."""
    await it.make(Opcode.MKNOD, ROOT, bytes(fuse.FuseMknodIn(mode=0o644)) + b"lost\0")
    return await it.dpu.read(DpuRegister.NOTIFY_FLAGS)


async def recovered(it: Both, nodes: list[int]) -> None:
    """The walk tells of every inode that the driver holds, in the order of slots, and ends the overflow."""
    await it.pool.expect(
        [stale_inode(node, 0, 0) for node in sorted([ROOT, *nodes], key=lambda node: node & 0xFFFFFFFF)]
    )
    check("overflow flag behind the walk", await it.dpu.read(DpuRegister.NOTIFY_FLAGS), 0, "FS-NQ-DI2")


@scenario(clauses=CLAUSES, needs=BY_POLICY)
async def a_full_store_drops_and_repairs(host: HostPort, tb: Bench) -> None:
    """Policy drop: what finds no room is lost, and the client is told to forget everything."""
    async with both(host, tb, DROP, buffers=0) as it:
        nodes = await crowd(it, 5, b"dropped")
        stored = await fill_store(it, nodes[0])
        check("overflow flag", await it.dpu.read(DpuRegister.NOTIFY_FLAGS), 1, "FS-NQ-DI2")
        body = bytes(fuse.FuseForgetIn(1))
        await it.ready.client.call(Opcode.FORGET, nodes[4], body, it.ready.device.hiprio)
        await it.pool.fill(8)
        await it.pool.expect([*(stale_inode(nodes[0], at, 1) for at in range(stored)), NEW_EPOCH])
        await recovered(it, nodes[:4])
        await it.write(nodes[1], 7, b"later")
        await it.pool.expect([stale_inode(nodes[1], 7, 5)])


@scenario(clauses=CLAUSES, needs=BY_POLICY)
async def an_older_session_loses_no_names(host: HostPort, tb: Bench) -> None:
    """Policy drop below minor version 44: what announces names is held, what does not is repaired without INC_EPOCH."""
    async with both(host, tb, DROP, buffers=0, minor=43) as it:
        nodes = await crowd(it, 2, b"older")
        stored = await fill_store(it, nodes[0])
        body = bytes(fuse.FuseMkdirIn(mode=0o755)) + b"waited\0"
        made: list[int] = []

        async def make() -> None:
            made.append(await it.make(Opcode.MKDIR, ROOT, body))

        host.spawn(make())
        await host.sleep(QUIET_PS)
        missing = await it.ready.client.call(Opcode.LOOKUP, ROOT, b"waited\0")
        check("a name that is held, error", missing.error, -2, "FS-NQ-DI2")
        await it.pool.fill(8)
        await it.pool.wait_for(stored + 3 + 2)
        seen = [message.message for message in it.pool.received]
        it.pool.received.clear()
        names = [stale_name(ROOT, b"waited"), stale_inode(ROOT)]
        walk = [stale_inode(ROOT, 0, 0), *(stale_inode(node, 0, 0) for node in nodes)]
        check("messages in the store", seen[:stored], [stale_inode(nodes[0], at, 1) for at in range(stored)])
        check("names and the walk, in any order", sorted(seen[stored:]), sorted([*names, *walk]))
        check("the directory's nodeid", [await it.look(ROOT, b"waited")], made)
        await it.change(Opcode.RMDIR, ROOT, b"waited\0")
        await it.pool.expect([removed(ROOT, made[0], b"waited"), stale_inode(made[0]), stale_inode(ROOT)])


@scenario(clauses=["FS-INIT-RI2", "FS-NQ-DI1"], needs=BY_POLICY)
async def a_new_session_is_told_nothing_old(host: HostPort, tb: Bench) -> None:
    """A second FUSE_INIT and a device reset end what was owed: messages, table, overflow."""
    async with both(host, tb, DROP, buffers=0) as it:
        nodes = await crowd(it, 2, b"ended")
        await fill_store(it, nodes[0])
        await it.ready.client.init(45, int(INIT_FLAGS))
        check("overflow flag of a new session", await it.dpu.read(DpuRegister.NOTIFY_FLAGS), 0, "FS-NQ-DI2")
        await it.pool.fill(8)
        await silence(host, it.pool)
        await it.write(nodes[0], 0, b"not looked up yet")
        await silence(host, it.pool)
        check("the file's nodeid", await it.look(ROOT, b"ended0"), nodes[0])
        await it.write(nodes[0], 0, b"told")
        await it.pool.expect([stale_inode(nodes[0], 0, 4)])
