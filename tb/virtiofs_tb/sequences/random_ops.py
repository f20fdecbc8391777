"""Constrained-random FUSE operations as data, and the runner that performs them and checks what comes back.

An item says what one worker does next; workers run side by side, each on its own files, so the contents that a READ
must return are known whatever the order between workers. Items can be written as JSON lines, replayed and shrunk:
dropping any of them leaves a valid sequence.
"""

from __future__ import annotations

import errno
import itertools
import json
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from ctypes import sizeof
from dataclasses import asdict, dataclass
from enum import Enum

from virtiofs_model.layouts import fuse
from virtiofs_model.layouts.fuse_constants import FUSE_ROOT_ID, Fattr, Opcode
from virtiofs_model.layouts.fuse_operations import OPERATIONS, directory_entries
from virtiofs_model.layouts.virtio import Feature
from virtiofs_tb.driver.errors import check
from virtiofs_tb.driver.fuse_client import FuseClient, Reply
from virtiofs_tb.driver.layout import MAX_DESCRIPTORS, random_plan, whole_plan
from virtiofs_tb.driver.virtio import VirtioFsDevice
from virtiofs_tb.driver.virtqueue import Virtqueue
from virtiofs_tb.seeds import log_uniform, stream

MAX_TRANSFER = 131072
MAX_OFFSET = 131072
LARGE_PERCENT = 30
SMALL_LIMIT = 8192
"""Sizes are log-uniform up to MAX_TRANSFER in LARGE_PERCENT of the cases and up to SMALL_LIMIT in the others: the mean
of a log-uniform distribution over [1, b] is (b - 1) / ln b, so all together it is near 4 KiB."""

PATH = "sequences/random_ops"


class Action(str, Enum):
    """What an item does; each is one FUSE request, or a few."""

    WRITE = "write"
    READ = "read"
    GETATTR = "getattr"
    TRUNCATE = "truncate"
    LOOKUP_FORGET = "lookup, forget"
    BATCH_FORGET = "two lookups, batch forget"
    FSYNC = "fsync"
    FLUSH = "flush"
    STATFS = "statfs"
    LIST = "list the root"
    CREATE_UNLINK = "create, unlink"
    MISSING = "lookup of a missing name"
    DOORBELL = "spurious doorbell"


WEIGHTS: dict[Action, int] = {
    Action.WRITE: 30,
    Action.READ: 30,
    Action.GETATTR: 8,
    Action.TRUNCATE: 3,
    Action.LOOKUP_FORGET: 8,
    Action.BATCH_FORGET: 3,
    Action.FSYNC: 2,
    Action.FLUSH: 2,
    Action.STATFS: 3,
    Action.LIST: 3,
    Action.CREATE_UNLINK: 3,
    Action.MISSING: 3,
    Action.DOORBELL: 2,
}


_ACTIONS, _WEIGHTS = list(WEIGHTS), list(WEIGHTS.values())


@dataclass(frozen=True)
class RandomItem:
    """One step of one worker. queue: request queue number; offset, size: bytes; seed: of data and buffer layout;
    whole: one buffer for all that is read and one for all that is written, in place of a random layout."""

    index: int
    worker: int
    action: Action
    queue: int
    offset: int
    size: int
    seed: int
    whole: bool = False

    def to_json(self) -> str:
        """One line of a recorded sequence."""
        return json.dumps(asdict(self), sort_keys=True)

    @staticmethod
    def from_json(line: str) -> RandomItem:
        """The item of a recorded line. Raises ValueError where it is none."""
        try:
            content = json.loads(line)
            return RandomItem(**{**content, "action": Action(content["action"])})
        except (TypeError, KeyError) as error:
            raise ValueError(f"no random item: {error}") from error


def random_size(rng: random.Random) -> int:
    """A transfer's size in bytes, 1 to MAX_TRANSFER, mean near 4 KiB."""
    limit = MAX_TRANSFER if rng.randrange(100) < LARGE_PERCENT else SMALL_LIMIT
    return min(int(log_uniform(rng, 1, limit + 1)), limit)


def generate(seed: int, count: int, workers: int, first: int = 0) -> list[RandomItem]:
    """`count` items from index `first` on; an item depends on the seed and its index only."""
    return [item_at(seed, index, workers) for index in range(first, first + count)]


def endless(seed: int, worker: int, workers: int) -> Iterator[RandomItem]:
    """The items of one worker, made one at a time, without end: those of `generate` for any count."""
    for index in itertools.count(worker, workers):
        yield item_at(seed, index, workers)


def item_at(seed: int, index: int, workers: int) -> RandomItem:
    """The item of this index."""
    rng = stream(seed, PATH, index)
    action = rng.choices(_ACTIONS, _WEIGHTS)[0]
    size = random_size(rng)
    offset = int(log_uniform(rng, 1, MAX_OFFSET)) - 1 if rng.random() < 0.7 else 0
    return RandomItem(index, index % workers, action, rng.randrange(64), offset, size, rng.getrandbits(32))


class _File:
    """A worker's file and the bytes that it must hold."""

    def __init__(self, name: bytes, nodeid: int, fh: int) -> None:
        self.name = name
        self.nodeid = nodeid
        self.fh = fh
        self.data = bytearray()

    def write(self, offset: int, data: bytes) -> None:
        if offset > len(self.data):
            self.data.extend(bytes(offset - len(self.data)))
        self.data[offset : offset + len(data)] = data

    def truncate(self, size: int) -> None:
        del self.data[size:]
        self.data.extend(bytes(size - len(self.data)))


class _ItemRandom(random.Random):
    """The random numbers of one item, and how its buffers are laid out."""

    whole = False


def _random_of(item: RandomItem) -> _ItemRandom:
    rng = _ItemRandom(item.seed)
    rng.whole = item.whole
    return rng


class RandomRunner:
    """Performs items over one device. max_write: what FUSE_INIT granted, bytes; prefix: of the names of its files."""

    def __init__(
        self, device: VirtioFsDevice, client: FuseClient, max_write: int = MAX_TRANSFER, prefix: bytes = b"worker"
    ) -> None:
        self.device = device
        self.client = client
        self.max_write = max_write
        self.prefix = prefix
        self.performed = 0
        self.bytes_moved = 0
        self._files: dict[int, _File] = {}

    async def run(self, items: Sequence[RandomItem], stop: Callable[[], bool] = lambda: False) -> None:
        """Perform all items, each worker's in order, the workers side by side; `stop` is asked before each item."""
        workers = sorted({item.worker for item in items})
        await self.run_workers({w: [item for item in items if item.worker == w] for w in workers}, stop)

    async def run_workers(self, items: Mapping[int, Iterable[RandomItem]], stop: Callable[[], bool]) -> None:
        """The same for items by worker, of which there may be no end until `stop` says so."""
        await self.prepare(items)
        host = self.device.host
        tasks = [host.spawn(self._work(own, stop)) for own in items.values()]
        for task in tasks:
            await task.join()

    async def prepare(self, workers: Iterable[int]) -> None:
        """Create the files of workers that have none yet."""
        for worker in workers:
            if worker not in self._files:
                self._files[worker] = await self._create(b"%b-%d" % (self.prefix, worker), worker)

    async def finish(self) -> None:
        """Close and remove the workers' files, so that the file system is as it was before."""
        for number, file in self._files.items():
            rng, queue = _ItemRandom(number), self.device.request_queue(number)
            await self._call(rng, queue, Opcode.RELEASE, file.nodeid, bytes(fuse.FuseReleaseIn(file.fh, 0, 0, 0)))
            await self._call(rng, queue, Opcode.UNLINK, FUSE_ROOT_ID, file.name + b"\0")
            await self._call(rng, self.device.hiprio, Opcode.FORGET, file.nodeid, bytes(fuse.FuseForgetIn(1)))
        self._files.clear()

    async def _work(self, items: Iterable[RandomItem], stop: Callable[[], bool]) -> None:
        for item in items:
            if stop():
                return
            self.device.host.note(item.to_json())  # what a run did can be read back from its log, and shrunk
            await self._perform(item)
            self.performed += 1

    async def _perform(self, item: RandomItem) -> None:
        file = self._files[item.worker]
        rng = _random_of(item)
        queue = self.device.request_queue(item.queue)
        if item.action is Action.WRITE:
            await self._write(file, item, rng, queue)
        elif item.action is Action.READ:
            await self._read(file, item, rng, queue)
        elif item.action is Action.GETATTR:
            reply = await self._call(rng, queue, Opcode.GETATTR, file.nodeid, bytes(fuse.FuseGetattrIn(0, 0, 0)))
            check(f"size of {file.name!r}", reply.parse(fuse.FuseAttrOut).attr.size, len(file.data), "FS-REQ-DI1")
        elif item.action is Action.TRUNCATE:
            await self._truncate(file, item, rng, queue)
        elif item.action in (Action.LOOKUP_FORGET, Action.BATCH_FORGET):
            await self._forget(file, item, rng, queue)
        elif item.action is Action.FSYNC:
            await self._call(rng, queue, Opcode.FSYNC, file.nodeid, bytes(fuse.FuseFsyncIn(file.fh, 0, 0)))
        elif item.action is Action.FLUSH:
            await self._call(rng, queue, Opcode.FLUSH, file.nodeid, bytes(fuse.FuseFlushIn(file.fh, 0, 0, 1)))
        elif item.action is Action.STATFS:
            await self._call(rng, queue, Opcode.STATFS, FUSE_ROOT_ID)
        elif item.action is Action.LIST:
            await self._list(rng, queue)
        elif item.action is Action.CREATE_UNLINK:
            await self._create_unlink(item, rng, queue)
        elif item.action is Action.MISSING:
            await self._call(rng, queue, Opcode.LOOKUP, FUSE_ROOT_ID, b"missing\0", -errno.ENOENT)
        else:
            await rng.choice([queue, self.device.hiprio]).ring_doorbell()

    async def _call(
        self,
        rng: _ItemRandom,
        queue: Virtqueue,
        opcode: Opcode,
        nodeid: int,
        body: bytes = b"",
        error: int = 0,
    ) -> Reply:
        """One request in buffers that `rng` lays out; its reply must carry `error`."""
        message = self.client.build(opcode, nodeid, body)
        writable = OPERATIONS[opcode].reply_limit(message)
        limit = min(MAX_DESCRIPTORS, queue.size)
        indirect = self.device.negotiated(Feature.INDIRECT_DESC)
        if rng.whole:
            plan = whole_plan(len(message), writable)
        else:
            plan = random_plan(rng, len(message), writable, limit, indirect, self.client.limits)
        reply = await self.client.request(message, writable, queue, plan)
        self.bytes_moved += len(message) + reply.used
        check(f"error of {opcode.name} (unique {reply.unique})", reply.error, error, "FS-REQ-DI1")
        return reply

    async def _create(self, name: bytes, number: int) -> _File:
        queue = self.device.request_queue(number)
        # A session that a reset ended may have left the name behind.
        await self.client.call(Opcode.UNLINK, FUSE_ROOT_ID, name + b"\0", queue)
        body = bytes(fuse.FuseCreateIn(0o102, 0o100644, 0, 0)) + name + b"\0"
        reply = await self.client.call(Opcode.CREATE, FUSE_ROOT_ID, body, queue)
        check(f"error of CREATE {name!r}", reply.error, 0, "FS-REQ-DI1")
        opened = fuse.FuseOpenOut.from_buffer_copy(reply.payload, sizeof(fuse.FuseEntryOut))
        return _File(name, reply.parse(fuse.FuseEntryOut).nodeid, opened.fh)

    async def _write(self, file: _File, item: RandomItem, rng: _ItemRandom, queue: Virtqueue) -> None:
        data = rng.randbytes(min(item.size, self.max_write))
        body = bytes(fuse.FuseWriteIn(file.fh, item.offset, len(data), 0, 0, 0, 0)) + data
        reply = await self._call(rng, queue, Opcode.WRITE, file.nodeid, body)
        check("bytes taken by WRITE", reply.parse(fuse.FuseWriteOut).size, len(data), "FS-REQ-DI1")
        file.write(item.offset, data)

    async def _read(self, file: _File, item: RandomItem, rng: _ItemRandom, queue: Virtqueue) -> None:
        size = min(item.size, self.max_write)
        body = bytes(fuse.FuseReadIn(file.fh, item.offset, size, 0, 0, 0, 0))
        reply = await self._call(rng, queue, Opcode.READ, file.nodeid, body)
        expected = bytes(file.data[item.offset : item.offset + size])
        check(f"bytes of READ at {item.offset}", len(reply.payload), len(expected), "SPLIT-USED-D02")
        if reply.payload != expected:
            at = next(at for at, (a, b) in enumerate(zip(reply.payload, expected, strict=True)) if a != b)
            what = f"READ of {file.name!r}, byte {item.offset + at}"
            check(what, reply.payload[at : at + 16].hex(), expected[at : at + 16].hex(), "SPLIT-USED-D02")

    async def _truncate(self, file: _File, item: RandomItem, rng: _ItemRandom, queue: Virtqueue) -> None:
        attributes = fuse.FuseSetattrIn(valid=Fattr.SIZE | Fattr.FH, fh=file.fh, size=item.size)
        reply = await self._call(rng, queue, Opcode.SETATTR, file.nodeid, bytes(attributes))
        check("size after SETATTR", reply.parse(fuse.FuseAttrOut).attr.size, item.size, "FS-REQ-DI1")
        file.truncate(item.size)

    async def _forget(self, file: _File, item: RandomItem, rng: _ItemRandom, queue: Virtqueue) -> None:
        times = 2 if item.action is Action.BATCH_FORGET else 1
        for _ in range(times):
            reply = await self._call(rng, queue, Opcode.LOOKUP, FUSE_ROOT_ID, file.name + b"\0")
            check(f"nodeid of {file.name!r}", reply.parse(fuse.FuseEntryOut).nodeid, file.nodeid, "FS-REQ-DI1")
        if times == 1:
            await self._call(rng, self.device.hiprio, Opcode.FORGET, file.nodeid, bytes(fuse.FuseForgetIn(1)))
            return
        ones = bytes(fuse.FuseForgetOne(file.nodeid, 1)) * times
        body = bytes(fuse.FuseBatchForgetIn(times, 0)) + ones
        await self._call(rng, self.device.hiprio, Opcode.BATCH_FORGET, 0, body)

    async def _list(self, rng: _ItemRandom, queue: Virtqueue) -> None:
        # What another worker makes meanwhile may be listed or not.
        there = {file.name for file in self._files.values()}
        reply = await self._call(rng, queue, Opcode.OPENDIR, FUSE_ROOT_ID, bytes(fuse.FuseOpenIn(0, 0)))
        fh = reply.parse(fuse.FuseOpenOut).fh
        seen: set[bytes] = set()
        cookie = 0
        while True:
            body = bytes(fuse.FuseReadIn(fh, cookie, rng.choice([512, 1024, 4096]), 0, 0, 0, 0))
            reply = await self._call(rng, queue, Opcode.READDIR, FUSE_ROOT_ID, body)
            if not reply.payload:
                break
            for entry in directory_entries(reply.payload, plus=False):
                seen.add(entry.name)
                cookie = entry.cookie
        check("files that READDIR left out", sorted(there - seen), [], "FS-REQ-DI1")
        await self._call(rng, queue, Opcode.RELEASEDIR, FUSE_ROOT_ID, bytes(fuse.FuseReleaseIn(fh, 0, 0, 0)))

    async def _create_unlink(self, item: RandomItem, rng: _ItemRandom, queue: Virtqueue) -> None:
        name = b"%b-temporary-%d" % (self.prefix, item.index)
        body = bytes(fuse.FuseCreateIn(0o102, 0o100600, 0, 0)) + name + b"\0"
        reply = await self._call(rng, queue, Opcode.CREATE, FUSE_ROOT_ID, body)
        nodeid = reply.parse(fuse.FuseEntryOut).nodeid
        opened = fuse.FuseOpenOut.from_buffer_copy(reply.payload, sizeof(fuse.FuseEntryOut))
        await self._call(rng, queue, Opcode.UNLINK, FUSE_ROOT_ID, name + b"\0")
        await self._call(rng, queue, Opcode.RELEASE, nodeid, bytes(fuse.FuseReleaseIn(opened.fh, 0, 0, 0)))
        await self._call(rng, self.device.hiprio, Opcode.FORGET, nodeid, bytes(fuse.FuseForgetIn(1)))
