"""Messages that nothing can repair: how a wait for a lock ended, that a polled file is worth asking again, and what a
driver answers to RETRIEVE (docs/notifications.md)."""

from __future__ import annotations

import errno
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from virtiofs_model.layouts import fuse
from virtiofs_model.layouts.dpu import RETRIEVED_BYTES, CacheOption, DpuRegister, NotifyFlag
from virtiofs_model.layouts.fuse_constants import (
    FUSE_POLL_SCHEDULE_NOTIFY,
    NOTIFY_CODE_FSNOTIFY,
    InitFlag,
    NotifyCode,
    Opcode,
)
from virtiofs_tb.driver.bringup import INIT_FLAGS, Mount, discover, start
from virtiofs_tb.driver.errors import DriverError, DriverTimeout, check
from virtiofs_tb.driver.locks import F_RDLCK, F_WRLCK, FileLocks, LockMessages, Range, Waiter
from virtiofs_tb.driver.notify_pool import NotifyPool, notification
from virtiofs_tb.host.dpu import RegisterDpu
from virtiofs_tb.host.port import HostPort, NotifyResult, Straps
from virtiofs_tb.scenario import Bench, scenario
from virtiofs_tb.sequences.lock_ops import LockOperations

CLAUSES = ["FS-NQ-DI1", "FS-NQ-DI2", "FS-REQ-DI1"]
NEEDS = ["dpu", "dpu_client", "announcer"]
ROOT = 1
QUIET_PS = 20_000_000
SOON_PS = 5_000_000
ANSWER_PS = 2_000_000_000
WAITS, POLLS = 8, 8
READY = 0x0145
SIZES = (4000, 24, 16)
PIECE = RETRIEVED_BYTES - 80
A, B, C = 0xA11CE, 0x1_0000_0B0B, 1 << 63 | 0xCA01


@dataclass
class Session:
    """A driver and the DPU beside it."""

    host: HostPort
    dpu: RegisterDpu
    ready: Mount
    pool: NotifyPool
    locks: LockMessages
    unique: int = 1 << 32

    async def begin(self) -> None:
        """FUSE_INIT."""
        await self.ready.client.init(flags=int(INIT_FLAGS | InitFlag.POSIX_LOCKS | InitFlag.FLOCK_LOCKS))

    async def opened(self, name: bytes) -> FileLocks:
        """A file that is open once."""
        body = bytes(fuse.FuseCreateIn(2, 0o100644)) + name + b"\0"
        reply = await self.ready.client.call(Opcode.CREATE, ROOT, body)
        check(f"error of CREATE {name!r}", reply.error, 0, "FS-REQ-DI1")
        nodeid = reply.parse(fuse.FuseEntryOut).nodeid
        return FileLocks(self.host, self.ready.client, nodeid, nodeid, self.locks)

    async def change(self, opcode: Opcode, nodeid: int, body: bytes) -> None:
        """A request of the DPU that succeeds."""
        self.unique += 2
        header = fuse.FuseInHeader(len=40 + len(body), opcode=opcode, unique=self.unique, nodeid=nodeid)
        reply = await self.dpu.fs_request(bytes(header) + body)
        check(f"{opcode.name} of the DPU, error", fuse.FuseOutHeader.from_buffer_copy(reply).error, 0)

    async def write(self, nodeid: int, offset: int, data: bytes) -> bytes:
        """WRITE of the DPU; the INVAL_INODE that it causes."""
        await self.change(Opcode.WRITE, nodeid, bytes(fuse.FuseWriteIn(offset=offset, size=len(data))) + data)
        return struct.pack("<IiQQqq", 40, 2, 0, nodeid, offset, len(data))

    async def poll(self, nodeid: int, kh: int, flags: int = FUSE_POLL_SCHEDULE_NOTIFY) -> int:
        """POLL of the driver: its errno; a file is always ready."""
        reply = await self.ready.client.call(Opcode.POLL, nodeid, bytes(fuse.FusePollIn(nodeid, kh, flags, 0xFFFF)))
        if not reply.error:
            check("revents of POLL", reply.parse(fuse.FusePollOut).revents, READY, "FS-REQ-DI1")
        return -reply.error

    async def fill_store(self) -> list[bytes]:
        """Messages of the mailbox, until it refuses the smallest: all that it took."""
        taken: list[bytes] = []
        for size in SIZES:
            while True:
                message = notification(NOTIFY_CODE_FSNOTIFY, bytes([len(taken)]) * (size - 16))
                if await self.dpu.notify(message) is NotifyResult.REFUSED:
                    break
                taken.append(message)
        return taken

    async def silence(self) -> None:
        """Nothing more may come."""
        before = len(self.pool.received) + len(self.locks.endings)
        await self.host.sleep(QUIET_PS)
        now = len(self.pool.received) + len(self.locks.endings)
        check("notifications that nothing caused", now - before, 0, "FS-NQ-DI1")


@asynccontextmanager
async def session(host: HostPort, tb: Bench, buffers: int = 16, lock_messages: bool = False) -> AsyncIterator[Session]:
    """A session under policy hold; afterwards the straps are as they were."""
    device = await discover(host, tb)
    if not isinstance(host.dpu, RegisterDpu):
        raise DriverError("DPU port", "absent", "a register port", "FS-VQ-DI1")
    options = int(CacheOption.LOCK_MESSAGES) if lock_messages else 0
    await host.dpu.strap(Straps(notify_policy=0, cache_options=options))
    ready = await start(host, tb, device, buffers=buffers, linux_layout=True)
    if ready.pool is None:
        raise DriverError("notification queue", "absent", "offered and negotiated", "FS-VQ-DI1")
    it = Session(host, host.dpu, ready, ready.pool, LockMessages(host, ready.pool))
    await it.begin()
    yield it
    await device.reset()
    await host.dpu.strap(Straps(cache_options=0))


async def told(host: HostPort, *waiters: Waiter) -> None:
    """These were answered that they wait."""
    for waiter in waiters:
        answered = await waiter.told.wait(ANSWER_PS)
        check(f"SETLKW (unique {waiter.unique}) is told to wait", answered, True, "FS-REQ-DI1")
        check("and no more than that", waiter.task.done(), False, "FS-NQ-DI1")


async def ends(host: HostPort, waiter: Waiter, expected: int, why: str) -> None:
    """A wait ends now, with this errno."""
    end = host.now_ps() + ANSWER_PS
    while not waiter.task.done():
        if host.now_ps() > end:
            raise DriverTimeout(f"SETLKW (unique {waiter.unique}) after {why}", "not told", "a LOCK message")
        await host.sleep(1_000_000)
    check(f"errno that a LOCK message tells after {why}", await waiter.task.join(), expected, "FS-NQ-DI1")


@scenario(clauses=CLAUSES, needs=[*NEEDS, "locks"])
async def lock_messages_tell_how_waits_end(host: HostPort, tb: Bench) -> None:
    """A SETLKW in conflict is answered at once; a message tells of unlock, FLUSH, INTERRUPT, the last RELEASE."""
    async with session(host, tb, lock_messages=True) as it:
        locks = await it.opened(b"told")
        check("errno of the first lock", await locks.set(A, F_WRLCK), 0)
        older = locks.wait(B, queue=it.ready.device.request_queue(1))
        await told(host, older)
        younger = locks.wait(C, queue=it.ready.device.request_queue(0))
        await told(host, older, younger)
        await locks.unlock(A)
        await ends(host, older, 0, "an unlock")
        await told(host, younger)
        await locks.flush(B)
        await ends(host, younger, 0, "FLUSH")
        again = locks.wait(A, F_RDLCK, Range(7, 7))
        await told(host, again)
        check("errno of INTERRUPT", await locks.interrupt(again), 0)
        await ends(host, again, errno.EINTR, "INTERRUPT")
        check("errno of INTERRUPT of nobody", await locks.interrupt(again), errno.EAGAIN)
        free = locks.wait(C, F_RDLCK)
        check("errno of SETLKW without a conflict", await free.task.join(), 0)
        await locks.set(C, F_WRLCK, Range(50, 59))
        short = locks.wait(A, F_WRLCK, Range(50, 50))
        await host.sleep(SOON_PS)
        await locks.unlock(C)
        await ends(host, short, 0, "an unlock that may come first")
        await locks.unlock(A)
        await locks.set(C, F_WRLCK)
        last = [locks.wait(owner) for owner in (A, B)]
        await told(host, *last)
        await locks.release()
        for waiter in last:
            await ends(host, waiter, errno.EBADF, "the last RELEASE")
        await it.silence()
        check("LOCK messages", len(it.locks.endings) in (5, 6), True, "FS-NQ-DI1")
        tb.counts["LOCK messages"] += len(it.locks.endings)


@scenario(clauses=CLAUSES, needs=[*NEEDS, "locks"])
async def the_end_of_a_session_tells_nobody(host: HostPort, tb: Bench) -> None:
    """INIT and DESTROY forget who waits: no message, and its place is free for the next."""
    async with session(host, tb, buffers=0, lock_messages=True) as it:
        for opcode in (Opcode.INIT, Opcode.DESTROY, Opcode.INIT):
            locks = await it.opened(b"forgotten")
            check("errno of the first lock", await locks.set(A, F_WRLCK), 0)
            await told(host, *[locks.wait(0x100 + number) for number in range(WAITS)])
            for kh in range(POLLS):
                check("errno of POLL", await it.poll(locks.nodeid, kh), 0)
            if opcode is Opcode.DESTROY:
                await it.ready.client.call(Opcode.DESTROY)
            await it.begin()
        await it.pool.fill(8)
        await it.silence()
        locks = await it.opened(b"forgotten")
        check("errno of the first lock", await locks.set(A, F_WRLCK), 0)
        waiter = locks.wait(B)
        await told(host, waiter)
        await locks.unlock(A)
        await ends(host, waiter, 0, "an unlock in the last session")


@scenario(clauses=CLAUSES, needs=[*NEEDS, "locks"])
async def lock_messages_keep_their_places(host: HostPort, tb: Bench) -> None:
    """Without buffers: eight wait, the store fills up around their places, nobody else waits; then all are told."""
    async with session(host, tb, buffers=0, lock_messages=True) as it:
        locks = await it.opened(b"kept")
        check("errno of the first lock", await locks.set(A, F_WRLCK), 0)
        waiters = [locks.wait(0x1000 + number) for number in range(WAITS)]
        await told(host, *waiters)
        check("errno of a ninth", await locks.wait(0x2000).task.join(), errno.ENOLCK)
        taken = await it.fill_store()
        check("errno of INTERRUPT", await locks.interrupt(waiters[3]), 0)
        check("errno without a place in the store", await locks.wait(0x3000).task.join(), errno.ENOLCK)
        check("errno of POLL without one", await it.poll(locks.nodeid, 5), errno.ENOMEM)
        await locks.unlock(A)
        for _ in range(WAITS - 1):  # one has it after the other; their pids are their owners
            holder = (await locks.test(A))[3]
            check("errno of an unlock", await locks.unlock(holder), 0)
        await it.silence()
        await it.pool.fill(8)
        for number, waiter in enumerate(waiters):
            await ends(host, waiter, errno.EINTR if number == 3 else 0, "buffers came")
        order = [unique for unique, _ in it.locks.endings]
        check("who is told first", order[0], waiters[3].unique, "FS-NQ-DI1")
        check("who is told", sorted(order), sorted(waiter.unique for waiter in waiters), "FS-NQ-DI1")
        await it.pool.expect(taken)
        await it.silence()
        late = locks.wait(B)
        check("errno of SETLKW when all is free", await late.task.join(), 0)
        tb.counts["LOCK messages"] += WAITS


@scenario(clauses=CLAUSES, needs=NEEDS)
async def polls_are_woken_by_the_dpu(host: HostPort, tb: Bench) -> None:
    """Each POLL that asks brings one message, behind the invalidation of a change by the DPU, in the order of POLLs."""
    async with session(host, tb) as it:
        first, second = await it.opened(b"polled"), await it.opened(b"other")
        one, two = first.nodeid, second.nodeid
        wake = {kh: notification(NotifyCode.POLL, kh.to_bytes(8, "little")) for kh in (*range(12), 1 << 63 | 5)}
        for kh, node in ((3, one), (1, two), (1 << 63 | 5, one), (2, one)):
            check("errno of POLL", await it.poll(node, kh), 0)
        check("errno of POLL that does not ask", await it.poll(one, 4, flags=0), 0)
        await it.change(Opcode.SETATTR, one, bytes(fuse.FuseSetattrIn(valid=1, mode=0o600)))
        await it.pool.expect([struct.pack("<IiQQqq", 40, 2, 0, one, -1, 0)])
        await it.silence()  # nothing that is worth asking for
        await it.pool.expect([await it.write(one, 10, b"news"), wake[3], wake[1 << 63 | 5], wake[2]])
        await it.pool.expect([await it.write(one, 20, b"more")])  # told once
        check("errno of POLL that moves", await it.poll(one, 1), 0)
        await it.pool.expect([await it.write(two, 0, b"x")])
        await it.change(Opcode.SETATTR, one, bytes(fuse.FuseSetattrIn(valid=8, size=5)))
        await it.pool.expect([struct.pack("<IiQQqq", 40, 2, 0, one, 5, 0), wake[1]])
        for kh in range(POLLS):
            check("errno of POLL", await it.poll(two, kh), 0)
        check("errno of a ninth", await it.poll(one, POLLS), errno.ENOMEM)
        check("errno of one that is there", await it.poll(two, 5), 0)
        await second.release()
        await it.pool.expect([await it.write(two, 0, b"closed")])
        check("errno of POLL of what is not open", await it.poll(two, 1), errno.EBADF)
        check("errno of POLL when there are places", await it.poll(one, 9), 0)
        await it.pool.expect([await it.write(one, 0, b"last"), wake[9]])
        await it.silence()


@scenario(clauses=CLAUSES, needs=NEEDS)
async def a_client_that_polls_sees_every_change(host: HostPort, tb: Bench) -> None:
    """As poll(2): ask, sleep until woken, read; the DPU writes as it likes. In the end the client has read the last."""
    async with session(host, tb) as it:
        file = await it.opened(b"feed")
        client, node = it.ready.client, file.nodeid
        changes, seen = tb.option("poll_changes", 30), [0]
        rng = tb.rng("polls")

        async def follow() -> None:
            kh = 7
            while seen[0] < changes:
                check("errno of POLL", await it.poll(node, kh), 0)
                reply = await client.call(Opcode.READ, node, bytes(fuse.FuseReadIn(node, 0, 8)))
                seen[0] = int.from_bytes(reply.payload, "little")
                if seen[0] == changes:
                    return
                while not any(message.code == NotifyCode.POLL for message in it.pool.received):
                    await it.pool.wait_for(len(it.pool.received) + 1)
                it.pool.received.clear()
                tb.counts["wake-ups"] += 1

        follower = host.spawn(follow())
        for number in range(1, changes + 1):
            await it.write(node, 0, number.to_bytes(8, "little"))
            await host.sleep(rng.choice((0, 0, 2_000_000, 20_000_000)))
        await follower.join()
        check("what the client has read", seen[0], changes, "FS-NQ-DI1")


@scenario(clauses=CLAUSES, needs=NEEDS)
async def polls_keep_their_places(host: HostPort, tb: Bench) -> None:
    """Without buffers: the store fills up around the places of polls; the DPU's change finds them kept."""
    async with session(host, tb, buffers=0) as it:
        file = await it.opened(b"kept-polls")
        for kh in range(3):
            check("errno of POLL", await it.poll(file.nodeid, kh), 0)
        taken = await it.fill_store()
        check("errno of POLL without a place", await it.poll(file.nodeid, 3), errno.ENOMEM)
        check("errno of POLL of one that has one", await it.poll(file.nodeid, 1), 0)
        changing = host.spawn(it.write(file.nodeid, 0, b"held"))
        await host.sleep(QUIET_PS)
        check("the DPU is held", changing.done(), False, "FS-NQ-DI2")
        await it.pool.fill(8)
        wake = [notification(NotifyCode.POLL, kh.to_bytes(8, "little")) for kh in range(3)]
        await it.pool.expect([*taken, await changing.join(), *wake])


@scenario(clauses=CLAUSES, needs=NEEDS)
async def the_dpu_retrieves_what_a_client_holds(host: HostPort, tb: Bench) -> None:
    """RETRIEVE in pieces, answered from a client's cache; a second answer is lost while one is kept; resets keep it."""
    async with session(host, tb) as it:
        client = it.ready.client
        file = await it.opened(b"cached")
        cache = tb.rng("retrieve").randbytes(3 * PIECE + 100)
        body = bytes(fuse.FuseWriteIn(file.fh, 0, len(cache))) + cache
        check("error of WRITE", (await client.call(Opcode.WRITE, file.nodeid, body)).error, 0)
        check("what is kept at first", await it.dpu.retrieved(), None)

        async def ask(offset: int, size: int, unique: int) -> None:
            """RETRIEVE, and the client's answer."""
            wanted = notification(
                NotifyCode.RETRIEVE, bytes(fuse.FuseNotifyRetrieveOut(unique, file.nodeid, offset, size, 0))
            )
            await it.dpu.notify(wanted)
            await it.pool.expect([wanted])
            await client.request(answer(offset, size, unique))

        def answer(offset: int, size: int, unique: int) -> bytes:
            data = cache[offset : offset + size]
            head = bytes(fuse.FuseNotifyRetrieveIn(offset=offset, size=len(data)))
            header = fuse.FuseInHeader(80 + len(data), Opcode.NOTIFY_REPLY, unique, file.nodeid)
            return bytes(header) + head + data

        found = b""
        for number, offset in enumerate(range(0, len(cache), PIECE)):
            await ask(offset, PIECE, 100 + number)
            kept = await it.dpu.retrieved()
            check("what is kept of a piece", kept, answer(offset, PIECE, 100 + number), "FS-REQ-DI1")
            found += (kept or b"")[80:]
        check("all pieces together", found, cache, "FS-REQ-DI1")
        check("what is kept when it was taken", await it.dpu.retrieved(), None)
        await ask(0, 3000, 200)
        await ask(5, 7, 201)
        check("flags when one was lost", await it.dpu.read(DpuRegister.NOTIFY_FLAGS), NotifyFlag.RETRIEVED_LOST)
        await it.ready.device.reset()
        kept = await it.dpu.retrieved()
        check("what is kept of a long one, after a reset", kept, answer(0, 3000, 200)[:RETRIEVED_BYTES], "FS-REQ-DI1")
        check("flags when it was taken", await it.dpu.read(DpuRegister.NOTIFY_FLAGS), 0)


@scenario(clauses=CLAUSES, needs=[*NEEDS, "locks"])
async def notices_at_random(host: HostPort, tb: Bench) -> None:
    """Random requests for locks told by messages, POLLs, changes by the DPU, buffers that come and go, all at once."""
    async with session(host, tb, buffers=2, lock_messages=True) as it:
        files = [await it.opened(b"random%d" % number) for number in range(2)]
        operations = LockOperations(host, it.ready.client, files, tb.counts)
        workers, requests = tb.option("workers", 6), tb.option("lock_requests", 180)
        tasks = [
            host.spawn(operations.work(tb.rng("notices", number), it.ready.device.request_queue(number), each))
            for number, each in enumerate([requests // workers] * workers)
        ]
        rng = tb.rng("notices/dpu")

        async def poll_and_change() -> None:
            while not all(task.done() for task in tasks):
                file = rng.choice(files)
                if rng.random() < 0.6:
                    error = await it.poll(file.nodeid, rng.randrange(12))
                    check("errno of POLL", error in (0, errno.ENOMEM, errno.EBADF), True, "FS-REQ-DI1")
                else:
                    await it.write(file.nodeid, rng.randrange(100), b"random")
                it.pool.reposting = rng.random() < 0.8
                if not it.pool.posted:
                    await it.pool.fill(2)
                await host.sleep(rng.choice((0, 0, 3_000_000)))

        changing = host.spawn(poll_and_change())
        for task in tasks:
            await task.join()
        await changing.join()
        it.pool.reposting = True
        await it.pool.fill(4)
        await operations.end()


@scenario(clauses=["FS-INIT-RI2", "FS-NQ-DI1", "FS-NQ-DI2"], needs=["dpu"])
async def a_refused_init_empties_nothing(host: HostPort, tb: Bench) -> None:
    """An INIT of a version that is not spoken ends no session: what was stored for it still comes."""
    device = await discover(host, tb)
    ready = await start(host, tb, device, buffers=0)
    if ready.pool is None or host.dpu is None:
        raise DriverError("notification queue", "absent", "offered and negotiated", "FS-VQ-DI1")
    await ready.client.init(flags=int(INIT_FLAGS))
    stored = [notification(NOTIFY_CODE_FSNOTIFY, bytes([number] * 16)) for number in range(5)]
    for message in stored:
        check("answer of the mailbox", await host.dpu.notify(message), NotifyResult.HELD, "FS-NQ-DI2")
    for major, minor, error in ((6, 45, errno.EPROTO), (7, 30, errno.EPROTO), (8, 0, 0)):
        refused = await ready.client.call(Opcode.INIT, 0, bytes(fuse.FuseInitIn(major, minor)))
        check(f"errno of INIT {major}.{minor}", -refused.error, error, "FS-INIT-RI2")
    await ready.pool.fill(8)
    await ready.pool.expect(stored)
