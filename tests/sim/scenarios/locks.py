"""Locks of files: ranges that are split and joined, requests that wait, and the many ways in which a wait ends."""

from __future__ import annotations

import errno

from virtiofs_model.layouts import fuse
from virtiofs_model.layouts.fuse_constants import FUSE_ROOT_ID, InitFlag, Opcode
from virtiofs_tb.driver.bringup import INIT_FLAGS, Mount, discover, start
from virtiofs_tb.driver.errors import DriverTimeout, QueueStopped, check
from virtiofs_tb.driver.fuse_client import FuseClient
from virtiofs_tb.driver.locks import F_RDLCK, F_UNLCK, F_WRLCK, LAST_BYTE, FileLocks, Range, Waiter
from virtiofs_tb.host.port import HostPort
from virtiofs_tb.scenario import Bench, scenario
from virtiofs_tb.sequences.lock_ops import LockOperations

CLAUSES = ["FS-REQ-DI1", "FS-HP-D01", "SPLIT-USED-D02"]
LOCK_FLAGS = InitFlag.POSIX_LOCKS | InitFlag.FLOCK_LOCKS
O_RDWR = 2
LOOKED_AT_PS = 25_000_000
"""After this time a request has been looked at: if it is not answered, it waits."""

ANSWER_PS = 2_000_000_000
WAITS, LOCKS = 8, 64
"""Capacity of the lock table (docs/file-system.md)."""

A, B, C = 0xA11CE, 0x1_0000_0B0B, 1 << 63 | 0xCA01  # owners are any numbers of 64 bits


async def begin(client: FuseClient) -> None:
    """INIT; locks are granted."""
    granted = await client.init(flags=int(INIT_FLAGS | LOCK_FLAGS))
    check("locks that INIT grants", granted.flags & LOCK_FLAGS, LOCK_FLAGS, "FS-REQ-DI1")


async def opened(host: HostPort, client: FuseClient, name: bytes) -> FileLocks:
    """A file, made where it does not exist, that is open once."""
    body = bytes(fuse.FuseCreateIn(O_RDWR, 0o100644)) + name + b"\0"
    reply = await client.call(Opcode.CREATE, FUSE_ROOT_ID, body)
    check(f"error of CREATE {name!r}", reply.error, 0, "FS-REQ-DI1")
    nodeid = reply.parse(fuse.FuseEntryOut).nodeid
    return FileLocks(host, client, nodeid, fuse.FuseOpenOut.from_buffer_copy(reply.payload, 128).fh)


async def open_again(client: FuseClient, locks: FileLocks) -> None:
    """OPEN: the file is open once more."""
    reply = await client.call(Opcode.OPEN, locks.nodeid, bytes(fuse.FuseOpenIn(O_RDWR)))
    check("error of OPEN", reply.error, 0, "FS-REQ-DI1")


async def ready(host: HostPort, tb: Bench, linux_layout: bool = True) -> Mount:
    """A session in which locks are granted. linux_layout: requests are few descriptors, so they are read soon."""
    mounted = await start(host, tb, await discover(host, tb), linux_layout=linux_layout)
    await begin(mounted.client)
    return mounted


async def parked(host: HostPort, *waiters: Waiter) -> None:
    """These have been looked at and wait."""
    await host.sleep(LOOKED_AT_PS)
    for waiter in waiters:
        check(
            f"answer to the SETLKW with unique {waiter.unique}, which must wait",
            waiter.task.done(),
            False,
            "FS-REQ-DI1",
        )


async def ends(host: HostPort, waiter: Waiter, expected: int, why: str) -> None:
    """A wait ends now, with this errno."""
    end = host.now_ps() + ANSWER_PS
    while not waiter.task.done():
        if host.now_ps() > end:
            raise DriverTimeout(f"SETLKW with unique {waiter.unique} after {why}", "no answer", f"one with {expected}")
        await host.sleep(1_000_000)
    check(f"errno of SETLKW after {why}", await waiter.task.join(), expected, "FS-REQ-DI1")


async def succeeds(what: str, seen: int, expected: int = 0) -> None:
    """An errno as it must be."""
    check(f"errno of {what}", seen, expected, "FS-REQ-DI1")


@scenario(clauses=CLAUSES, needs=["locks"])
async def locks_of_ranges(host: HostPort, tb: Bench) -> None:
    """Two owners on two queues: ranges split, join, change their type; a full table takes what fits."""
    mounted = await ready(host, tb)
    client, device = mounted.client, mounted.device
    locks = await opened(host, client, b"ranges")
    first, second = device.request_queue(0), device.request_queue(1)
    assert await locks.set(A, F_WRLCK, Range(100, 299), queue=first) == 0
    await succeeds("a lock beside", await locks.set(B, F_WRLCK, Range(300, 399), queue=second))
    await succeeds("a lock over both", await locks.set(C, F_RDLCK, Range(0, 500)), errno.EAGAIN)
    await succeeds("an unlock in the middle", await locks.unlock(A, Range(150, 199)))
    check("what is in the way", await locks.test(C, F_RDLCK, Range(140, 250)), (F_WRLCK, 100, 149, A & 0xFFFF))
    check("what is free", await locks.test(C, F_WRLCK, Range(150, 199)), (F_UNLCK, 150, 199, C & 0xFFFF))
    await succeeds("a lock that joins two", await locks.set(A, F_WRLCK, Range(150, 199), queue=second))
    check("one lock", await locks.test(C, F_RDLCK, Range(299, 400)), (F_WRLCK, 100, 299, A & 0xFFFF))
    await succeeds("another type within", await locks.set(A, F_RDLCK, Range(120, 129), queue=second))
    await succeeds("a second reader", await locks.set(B, F_RDLCK, Range(120, 129), queue=first))
    await succeeds("a writer over a reader", await locks.set(B, F_WRLCK, Range(125, 125), queue=first), errno.EAGAIN)
    await succeeds("an flock, which is of another kind", await locks.set(B, F_WRLCK, flock=True, queue=second))
    check("the whole flock", await locks.test(A, F_RDLCK, Range(5, 6), flock=True), (F_WRLCK, 0, LAST_BYTE, B & 0xFFFF))
    for owner in (A, B):
        await succeeds("an unlock of all", await locks.unlock(owner))
    await succeeds("an unlock of an flock", await locks.unlock(B, flock=True))
    for index in range(LOCKS):
        await succeeds("a lock into a table with room", await locks.set(A, F_WRLCK, Range(10 * index, 10 * index + 5)))
    await succeeds("a lock into a full table", await locks.set(B, F_WRLCK, Range(6, 6)), errno.ENOLCK)
    await succeeds("an unlock that makes two of one", await locks.unlock(A, Range(2, 3)), errno.ENOLCK)
    await succeeds("a lock that fills a gap", await locks.set(A, F_WRLCK, Range(6, 9)))
    await succeeds("a lock into the place that is free then", await locks.set(B, F_WRLCK, Range(18, 18)))
    await succeeds("a lock without sense", await locks.set(B, F_WRLCK, Range(5, 4)), errno.EINVAL)
    tb.counts["locks"] += LOCKS


@scenario(clauses=CLAUSES, needs=["locks"])
async def waits_for_locks(host: HostPort, tb: Bench) -> None:
    """A SETLKW ends by unlock, FLUSH, RELEASE, INTERRUPT, the oldest first; a ninth is refused."""
    mounted = await ready(host, tb)
    client, device = mounted.client, mounted.device
    locks = await opened(host, client, b"waits")
    await open_again(client, locks)
    await succeeds("the first lock", await locks.set(A, F_WRLCK))
    older = locks.wait(B, queue=device.request_queue(1))
    await parked(host, older)
    younger = locks.wait(C, queue=device.request_queue(0))
    await parked(host, older, younger)
    await succeeds("another request meanwhile", await locks.set(C, F_RDLCK), errno.EAGAIN)
    await succeeds("the unlock", await locks.unlock(A))
    await ends(host, older, 0, "an unlock")
    await parked(host, younger)
    await succeeds("FLUSH", await locks.flush(B))
    await ends(host, younger, 0, "FLUSH")
    again = locks.wait(A, F_RDLCK, Range(7, 7))
    await parked(host, again)
    await succeeds("INTERRUPT", await locks.interrupt(again))
    await ends(host, again, errno.EINTR, "INTERRUPT")
    await succeeds("INTERRUPT of nobody", await locks.interrupt(again), errno.EAGAIN)
    await succeeds("a shared lock", await locks.unlock(C, Range(0, 99)))
    readers = [locks.wait(owner, F_RDLCK, Range(50, 149)) for owner in (A, B)]
    await parked(host, *readers)
    await succeeds("a lock that becomes shared", await locks.set(C, F_RDLCK, Range(100, LAST_BYTE)))
    for reader in readers:
        await ends(host, reader, 0, "a lock that is shared now")
    many = [locks.wait(0x1000 + index, F_WRLCK) for index in range(WAITS)]
    await parked(host, *many)
    ninth = locks.wait(0x2000, F_WRLCK)
    await ends(host, ninth, errno.ENOLCK, "eight that wait")
    await succeeds("INTERRUPT", await locks.interrupt(many.pop(3)))
    for owner in (A, B, C):
        await succeeds("an unlock", await locks.unlock(owner))
    end = host.now_ps() + ANSWER_PS
    while not any(waiter.task.done() for waiter in many) and host.now_ps() < end:
        await host.sleep(1_000_000)
    lucky = next((waiter for waiter in many if waiter.task.done()), many[0])  # they came on several queues
    await ends(host, lucky, 0, "the last unlock")
    many.remove(lucky)
    await succeeds("RELEASE while it is open", await locks.release(A))
    await parked(host, *many)
    await succeeds("the last RELEASE", await locks.release(A))
    for waiter in many:
        await ends(host, waiter, errno.EBADF, "the last RELEASE")
    await open_again(client, locks)
    check("locks of a file that was closed", (await locks.test(A))[0], F_UNLCK)
    await succeeds("an flock", await locks.set(A, F_WRLCK, flock=True))
    granted, refused = locks.wait(B, flock=True), locks.wait(C, flock=True)
    await parked(host, granted, refused)
    await succeeds("RELEASE of the flock", await locks.release(A, flock=True))
    outcomes = sorted([await granted.task.join(), await refused.task.join()])
    check("errnos of who waited for it", outcomes, [0, errno.EBADF], "FS-REQ-DI1")
    tb.counts["waits"] += WAITS + 9


@scenario(clauses=[*CLAUSES, "RESET-D01", "RESET-D02", "RESET-D03"], needs=["locks"])
async def sessions_end_waits(host: HostPort, tb: Bench) -> None:
    """INIT and DESTROY answer who waits; a device reset does not: its chains are never used."""
    mounted = await ready(host, tb)
    client, device = mounted.client, mounted.device
    for how in ("INIT", "DESTROY", "INIT"):
        locks = await opened(host, client, b"sessions")
        await succeeds("a lock of a new session", await locks.set(A, F_WRLCK))
        waiters = [locks.wait(owner) for owner in (B, C)]
        await parked(host, *waiters)
        if how == "DESTROY":
            await client.call(Opcode.DESTROY)
        await begin(client)
        for waiter in waiters:
            await ends(host, waiter, errno.EINTR, how)
    locks = await opened(host, client, b"sessions")
    await succeeds("a lock of a new session", await locks.set(A, F_WRLCK))
    waiters = [locks.wait(owner, queue=device.request_queue(owner)) for owner in (B, C)]
    await parked(host, *waiters)
    rings = [device.request_queue(owner).used for owner in (B, C)]
    await device.reset()
    seen = [host.memory.read(ring, 4) for ring in rings]
    for waiter in waiters:
        try:
            check("answer after a reset", await waiter.task.join(), "none", "RESET-D03")
        except QueueStopped:
            continue
    await host.sleep(LOOKED_AT_PS)
    check("used rings after the reset", [host.memory.read(ring, 4) for ring in rings], seen, "RESET-D03")
    again = await start(host, tb, device, linux_layout=True)
    await begin(again.client)
    locks = await opened(host, again.client, b"sessions")
    await succeeds("a lock that was held before the reset", await locks.set(C, F_WRLCK))
    waiter = locks.wait(A)
    await parked(host, waiter)
    await succeeds("the unlock", await locks.unlock(C))
    await ends(host, waiter, 0, "an unlock")


@scenario(clauses=CLAUSES, needs=["locks"])
async def lock_operations(host: HostPort, tb: Bench) -> None:
    """Random requests for locks of a few files, many at once, among others that read and change these files."""
    mounted = await ready(host, tb, linux_layout=False)
    files = [await opened(host, mounted.client, b"file%d" % index) for index in range(2)]
    operations = LockOperations(host, mounted.client, files, tb.counts)
    workers, requests = tb.option("workers", 6), tb.option("lock_requests", 240)
    tasks = []
    for number in range(workers):
        queue = mounted.device.request_queue(number)
        tasks.append(host.spawn(operations.work(tb.rng("locks", number), queue, requests // workers)))
    for task in tasks:
        await task.join()
    await operations.end()
