"""A client with caches reads while the DPU changes files behind its back: what it holds in the end is true."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable

from virtiofs_model.layouts import fuse
from virtiofs_model.layouts.dpu import CacheOption, DpuRegister
from virtiofs_model.layouts.fuse import FuseNotifyStoreOut
from virtiofs_model.layouts.fuse_constants import Fattr, NotifyCode, Opcode
from virtiofs_tb.driver.bringup import INIT_FLAGS, discover, start
from virtiofs_tb.driver.caching_client import PAGE, ROOT, CachingClient
from virtiofs_tb.driver.errors import DriverError, check
from virtiofs_tb.driver.notify_pool import NotifyPool, notification
from virtiofs_tb.host.dpu import RegisterDpu
from virtiofs_tb.host.port import HostPort, NotifyResult, Straps
from virtiofs_tb.scenario import Bench, scenario

QUIET_PS = 20_000_000
NAMES = tuple(b"name%d" % number for number in range(6))
HOLD = 0
EPOCHS_SINCE = 44
ROUNDS = 4
STEPS = 30
PAGES = 4
FIRST_SECOND = 1_000_000_000
NOBODY = 0x7777_7777
"""An inode that does not exist, of which messages that take up room may tell."""


class Dpu:
    """Changes that the DPU makes at random in some directories; those that fail change nothing."""

    def __init__(self, port: RegisterDpu, rng: random.Random) -> None:
        self.port = port
        self.rng = rng
        self.directories = [ROOT]
        self.seconds = FIRST_SECOND
        self._only = 0
        self._unique = 1 << 40

    async def ask(self, opcode: Opcode, nodeid: int, body: bytes = b"") -> bytes | None:
        """What follows fuse_out_header; None where the request failed."""
        self._unique += 2
        header = fuse.FuseInHeader(len=40 + len(body), opcode=opcode, unique=self._unique, nodeid=nodeid)
        reply = await self.port.fs_request(bytes(header) + body)
        return None if fuse.FuseOutHeader.from_buffer_copy(reply).error else reply[16:]

    async def make(self, opcode: Opcode, directory: int, body: bytes) -> int:
        """A request that is answered with a fuse_entry_out; 0 where it failed."""
        reply = await self.ask(opcode, directory, body)
        return 0 if reply is None else int(fuse.FuseEntryOut.from_buffer_copy(reply).nodeid)

    async def populate(self) -> None:
        """Some files with something in them."""
        for directory in self.directories:
            for name in NAMES[::2]:
                body = bytes(fuse.FuseMknodIn(mode=0o644)) + name + b"\0"
                await self._put(await self.make(Opcode.MKNOD, directory, body), 0)

    async def changes(self, number: int, only: int, done: Callable[[], None]) -> None:
        """So many changes, one after the other. only: what the files of this directory hold; 0: everything."""
        contents = (self._write, self._write, self._scatter, self._cut, self._cut_and_grow, self._mode)
        names = (self._create, self._remove, self._rename, self._link)
        self._only = only
        for _ in range(number):
            await self._change(contents if only else (*contents, *names))
        done()

    async def _change(self, kinds: tuple[Callable[[], Awaitable[object]], ...]) -> None:
        """One change, a second after the one before: who holds attributes from before holds old times."""
        self.seconds += 1
        await self.port.set_time(self.seconds, 0)
        await self.rng.choice(kinds)()

    def _directory(self) -> int:
        return self._only or self.rng.choice(self.directories)

    def _name(self) -> bytes:
        return self.rng.choice(NAMES)

    async def _node(self) -> int:
        return await self.make(Opcode.LOOKUP, self._directory(), self._name() + b"\0")

    async def _write(self) -> None:
        await self._put(await self._node(), self.rng.choice((0, 5, PAGE - 3, PAGE, 3 * PAGE + 100)))

    async def _scatter(self) -> None:
        """Several pages of one file in any order: without room their invalidations become one that covers them all."""
        node = await self._node()
        for page in self.rng.sample(range(PAGES), 3):
            await self._put(node, page * PAGE)

    async def _put(self, node: int, offset: int) -> None:
        data = self.rng.randbytes(self.rng.randint(1, 20))
        await self.ask(Opcode.WRITE, node, bytes(fuse.FuseWriteIn(offset=offset, size=len(data))) + data)

    async def _cut(self) -> None:
        await self._resize(await self._node(), self.rng.choice((0, 3, PAGE, PAGE + 1, 2 * PAGE)))

    async def _cut_and_grow(self) -> None:
        """What was cut off comes back as zeros: who holds a page from before holds what is gone."""
        node = await self._node()
        await self._resize(node, self.rng.choice((0, 1, PAGE)))
        await self._resize(node, PAGES * PAGE)

    async def _resize(self, node: int, size: int) -> None:
        await self.ask(Opcode.SETATTR, node, bytes(fuse.FuseSetattrIn(valid=Fattr.SIZE, size=size)))

    async def _mode(self) -> None:
        mode = self.rng.randrange(0o1000)
        await self.ask(Opcode.SETATTR, await self._node(), bytes(fuse.FuseSetattrIn(valid=Fattr.MODE, mode=mode)))

    async def _create(self) -> None:
        await self.make(Opcode.MKNOD, self._directory(), bytes(fuse.FuseMknodIn(mode=0o644)) + self._name() + b"\0")

    async def _remove(self) -> None:
        await self.ask(Opcode.UNLINK, self._directory(), self._name() + b"\0")

    async def _rename(self) -> None:
        flags = self.rng.choice((0, 0, 1, 2))
        body = bytes(fuse.FuseRename2In(self._directory(), flags)) + self._name() + b"\0" + self._name() + b"\0"
        await self.ask(Opcode.RENAME2, self._directory(), body)

    async def _link(self) -> None:
        body = bytes(fuse.FuseLinkIn(await self._node())) + self._name() + b"\0"
        await self.ask(Opcode.LINK, self._directory(), body)


class Reader:
    """Reads at random through a client with caches."""

    def __init__(self, client: CachingClient, rng: random.Random, directories: list[int]) -> None:
        self.client = client
        self.rng = rng
        self.directories = directories

    async def look_around(self) -> None:
        """Hold every name, and much of what is behind it."""
        for directory in self.directories:
            await self.client.attributes(directory)
            for name in NAMES:
                node = await self.client.lookup(directory, name)
                if node and self.rng.random() < 0.3:
                    await self._whole(node)

    async def _whole(self, node: int) -> None:
        for page in range(PAGES):
            await self.client.read(node, page)

    async def step(self) -> None:
        """Walk to a file, and look at it."""
        rng = self.rng
        directory = rng.choice(self.directories)
        if rng.random() < 0.15:
            await self.client.attributes(directory)  # whose times tell of its names
        node = await self.client.lookup(directory, rng.choice(NAMES))
        if not node:
            return
        if rng.random() < 0.08:
            await self.client.forget(node)
        elif rng.random() < 0.4:
            await self.client.attributes(node)
        elif rng.random() < 0.5:
            await self.client.read(node, rng.randrange(PAGES))
        else:
            await self._whole(node)


async def compare(client: CachingClient, dpu: Dpu) -> int:
    """Everything that the client holds is as the DPU sees it. How much that was."""
    held = client.held
    check("inodes of messages that were never looked up", sorted(client.strangers - {NOBODY}), [])
    for (directory, name), node in held.names.items():
        check(f"cached name {name!r} in {directory:#x}", node, await dpu.make(Opcode.LOOKUP, directory, name + b"\0"))
    sizes: dict[int, int] = {}
    for node in {*held.attributes, *(key[0] for key in held.pages)}:
        seen = await dpu.ask(Opcode.GETATTR, node, bytes(fuse.FuseGetattrIn()))
        attributes = fuse.FuseAttrOut.from_buffer_copy(seen or bytes(104)).attr
        sizes[node] = attributes.size
        check(
            f"cached attributes of {node:#x}",
            held.attributes.get(node, bytes(attributes)).hex(),
            bytes(attributes).hex(),
        )
    for (node, page), data in held.pages.items():
        body = bytes(fuse.FuseReadIn(offset=page * PAGE, size=PAGE))
        seen = await dpu.ask(Opcode.READ, node, body)
        room = min(max(sizes[node] - page * PAGE, 0), PAGE)
        check(f"cached page {page} of {node:#x}", data.ljust(PAGE, b"\0")[:room].hex(), (seen or b"").hex())
    return len(held.names) + len(held.attributes) + len(held.pages)


async def fill_up(dpu: RegisterDpu, size: int) -> None:
    """Use up buffers and store by messages that mean nothing, until there is no room for one of `size` bytes."""
    data = bytes(FuseNotifyStoreOut(NOBODY, 0, size, 0)) + bytes(size)
    while await dpu.notify(notification(NotifyCode.STORE, data)) is not NotifyResult.REFUSED:
        pass


async def rest(host: HostPort, dpu: RegisterDpu, pool: NotifyPool) -> None:
    """Give buffers until nothing more is said."""
    pool.reposting = True
    await pool.fill(4)
    told = -1
    while told != (told := pool.counts.total()) or await dpu.read(DpuRegister.NOTIFY_FLAGS):
        await host.sleep(QUIET_PS)


@scenario(clauses=["FS-NQ-DI1", "FS-NQ-DI2", "FS-NQ-R02"], needs=["dpu", "dpu_client", "announcer"])
async def a_client_with_caches_holds_what_is_true(host: HostPort, tb: Bench) -> None:
    """Reads from caches, changes by the DPU, starved buffers, a store that is nearly full: in the end all is true."""
    rng = tb.rng("caching")
    device = await discover(host, tb)
    if not isinstance(host.dpu, RegisterDpu):
        raise DriverError("DPU port", "absent", "a register port", "FS-VQ-DI1")
    policy = rng.randrange(3)
    options = int(CacheOption.KEEP_CACHE | CacheOption.NEGATIVE_ENTRIES)
    await host.dpu.strap(Straps(notify_policy=policy, cache_options=options, valid_seconds=3600))
    ready = await start(host, tb, device, buffers=0)
    pool = ready.pool
    if pool is None:
        raise DriverError("notification queue", "absent", "offered and negotiated", "FS-VQ-DI1")
    minor = rng.choice((45, 45, 44, 43))
    await ready.client.init(minor, int(INIT_FLAGS))
    client = CachingClient(ready.client)
    pool.on_message = client.obey
    dpu = Dpu(host.dpu, tb.rng("caching/dpu"))
    for name in (b"caching-a", b"caching-b"):
        await dpu.make(Opcode.MKDIR, ROOT, bytes(fuse.FuseMkdirIn(mode=0o755)) + name + b"\0")
        dpu.directories.append(await client.lookup(ROOT, name))
    await dpu.populate()
    reader = Reader(client, tb.rng("caching/reader"), dpu.directories)
    compared = 0
    for number in range(ROUNDS):
        await reader.look_around()
        pool.reposting = rng.random() < 0.3
        if not pool.reposting:
            await fill_up(host.dpu, rng.choice((4000, 1000, 160, 1)))
        await pool.fill(rng.randrange(3))
        steps, done = STEPS + number, host.event()
        only = rng.choice(dpu.directories) if rng.random() < 0.3 else 0
        host.spawn(dpu.changes(steps, only, done.set))
        for _ in range(steps):
            await reader.step()
        if policy == HOLD or minor < EPOCHS_SINCE:
            await rest(host, host.dpu, pool)  # it may wait for buffers
        await done.wait(QUIET_PS * 1000)
        await rest(host, host.dpu, pool)
        compared += await compare(client, dpu)
    check("something was held", compared + client.served > 0, True)
    await device.reset()
    await host.dpu.strap(Straps(notify_policy=0, cache_options=0, valid_seconds=1))
