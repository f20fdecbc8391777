"""Trees of files: random requests from many queues at once, and their removal. The scoreboards judge the answers."""

from __future__ import annotations

import stat

from virtiofs_model.layouts import fuse
from virtiofs_model.layouts.fuse_constants import FUSE_ROOT_ID, Opcode
from virtiofs_model.layouts.fuse_operations import directory_entries
from virtiofs_tb.driver.bringup import INIT_FLAGS, discover, mount, start
from virtiofs_tb.driver.errors import check
from virtiofs_tb.driver.fuse_client import FuseClient, Reply
from virtiofs_tb.driver.session import Replay, SessionRecord, load_session
from virtiofs_tb.host.port import HostPort
from virtiofs_tb.scenario import Bench, scenario
from virtiofs_tb.sequences.fuzz import generate, send
from virtiofs_tb.sequences.tree_ops import TreeLimits, TreeRequests

CLAUSES = ["FS-REQ-DI1", "FS-HP-D01", "FS-HP-R01", "SPLIT-USED-D02", "SPLIT-ANS-D05"]
REQUESTS = 400
WORKERS = 8
FUZZED = 400
PER_SESSION = 2000
RECENT = 20
EVERY_OPCODE = frozenset(Opcode)
"""A fuzzed session may fail anywhere: what then cannot be translated is skipped."""


async def remove_all(client: FuseClient, directory: int = FUSE_ROOT_ID) -> int:
    """Remove everything below a directory, as `rm -r` does; how many names there were."""
    reply = await client.call(Opcode.OPENDIR, directory, bytes(fuse.FuseOpenIn()))
    fh = reply.parse(fuse.FuseOpenOut).fh
    removed = cookie = 0
    while True:
        reply = await client.call(Opcode.READDIR, directory, bytes(fuse.FuseReadIn(fh, cookie, 4096)))
        if not reply.payload:
            break
        for entry in directory_entries(reply.payload, plus=False):
            cookie = entry.cookie
            if entry.name in (b".", b".."):
                continue
            opcode = Opcode.UNLINK
            if entry.type == stat.S_IFDIR >> 12:
                found = (await client.call(Opcode.LOOKUP, directory, entry.name + b"\0")).parse(fuse.FuseEntryOut)
                removed += await remove_all(client, found.nodeid)
                await client.call(Opcode.FORGET, found.nodeid, bytes(fuse.FuseForgetIn(1)))
                opcode = Opcode.RMDIR
            reply = await client.call(opcode, directory, entry.name + b"\0")
            check(f"error of {opcode.name} {entry.name!r}", reply.error, 0, "FS-REQ-DI1")
            removed += 1
    await client.call(Opcode.RELEASEDIR, directory, bytes(fuse.FuseReleaseIn(fh)))
    return removed


@scenario(clauses=CLAUSES)
async def tree_operations(host: HostPort, tb: Bench) -> None:
    """Random requests over one tree, many at once; then a new session removes all of it."""
    ready = await mount(host, tb)
    client, device = ready.client, ready.device
    left = tb.option("tree_requests", REQUESTS)
    source = TreeRequests(tb.rng("tree"), TreeLimits(data=tb.option("tree_data", 3 * 4096)))

    async def work(worker: int) -> None:
        nonlocal left
        while left > 0:
            left -= 1
            message = source.next(client.next_unique())
            opcode = int.from_bytes(message[4:8], "little")
            queue = None if opcode in (Opcode.FORGET, Opcode.BATCH_FORGET) else device.request_queue(worker)
            reply = await client.request(message, queue=queue)
            source.learn(message, reply.message)
            if host.dpu is not None and left % 50 == 0:
                await host.dpu.set_time(host.now_ps() // 1000, left)

    for task in [host.spawn(work(worker)) for worker in range(tb.option("workers", WORKERS))]:
        await task.join()
    await client.call(Opcode.DESTROY)
    await client.init(flags=int(INIT_FLAGS))
    tb.counts["names removed"] += await remove_all(client)
    free = (await client.call(Opcode.STATFS, FUSE_ROOT_ID)).parse(fuse.FuseStatfsOut).st
    check("free pages after everything was removed", free.bfree, free.blocks, "FS-REQ-DI1")
    check("free inodes after everything was removed", free.ffree, free.files - 1, "FS-REQ-DI1")


async def fuzz_session(host: HostPort, tb: Bench, name: str, count: int, first: int) -> int:
    """Replay one session with about `count` mutated requests in between, items from `first` on; how many there were."""
    ready = await start(host, tb, await discover(host, tb))
    records = load_session(tb.sessions / f"{name}.jsonl")
    sent: dict[int, bytes] = {}

    def note(record: SessionRecord, message: bytes, reply: Reply) -> None:
        if record.opcode not in (Opcode.INIT, Opcode.DESTROY):
            sent[record.number] = message

    replay = Replay(ready.client, records, EVERY_OPCODE, note)
    done = 0
    for number, record in enumerate(records, start=1):
        await replay.step(record)
        due = count * number // len(records) - done
        if not sent or record.opcode is Opcode.DESTROY or due <= 0:
            continue
        items = generate(tb.seed, due, list(sent)[-RECENT:], len(ready.device.queues) - 2, first + done)
        for item in items:
            await send(ready.client, item, sent[item.record], ready.device.request_queue(item.queue))
        done += due
    await ready.client.call(Opcode.DESTROY)
    await ready.client.init(flags=int(INIT_FLAGS))
    tb.counts["names removed"] += await remove_all(ready.client)
    return done


@scenario(clauses=[*CLAUSES, "SPLIT-FRAME-D01"])
async def fuzzed_sessions(host: HostPort, tb: Bench) -> None:
    """Recorded sessions with requests in between that no sound client sends, made from those before them."""
    left, done = tb.option("fuzz_messages", FUZZED), 0
    while left > 0:
        for name in ("browse", "file-io"):
            made = await fuzz_session(host, tb, name, min(left, PER_SESSION), done)
            left, done = left - made, done + made
    tb.counts["fuzzed messages"] += done
