"""The DPU as a client of the file system beside the driver (docs/notifications.md, "The DPU as a client")."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from dataclasses import dataclass

from virtiofs_model.layouts import fuse
from virtiofs_model.layouts.dpu import REQUEST_BYTES_MAX, REQUEST_RESULT_MASK, DpuRegister, RequestResult
from virtiofs_model.layouts.fuse_constants import FUSE_ROOT_ID, Opcode
from virtiofs_model.layouts.fuse_operations import directory_entries
from virtiofs_tb.driver.bringup import Mount, mount
from virtiofs_tb.driver.errors import DriverError, check
from virtiofs_tb.host.dpu import Access, RegisterDpu
from virtiofs_tb.host.port import HostPort
from virtiofs_tb.scenario import Bench, scenario
from virtiofs_tb.sequences.random_ops import RandomRunner, generate

CLAUSES = ["FS-REQ-DI1", "FS-NQ-DI1"]
NEEDS = ["dpu", "dpu_client"]
RESERVED = 1 << 40
"""Uniques of the DPU begin here: the driver's do not come that far."""

LARGEST_WRITE = REQUEST_BYTES_MAX - 80
LARGEST_READ = REQUEST_BYTES_MAX - 16
RANDOM_ITEMS = 60
RESETS = 6
NEXT_RESET_PS = 20_000_000
WORKERS = 6
UNSERVED = (
    Opcode.FORGET, Opcode.INIT, Opcode.DESTROY, Opcode.GETLK, Opcode.SETLK, Opcode.SETLKW, Opcode.INTERRUPT,
    Opcode.BATCH_FORGET, Opcode.NOTIFY_REPLY, Opcode.TMPFILE, Opcode.GETXATTR, Opcode.LSEEK, Opcode.POLL,
)  # fmt: skip


def pattern(size: int, step: int) -> bytes:
    """Bytes that differ from place to place."""
    return bytes(index * step + (index >> 8) & 0xFF for index in range(size))


@dataclass
class Client:
    """Requests of the DPU."""

    dpu: RegisterDpu
    unique: int = RESERVED

    async def ask(self, opcode: Opcode, nodeid: int, body: bytes = b"") -> bytes:
        """The whole reply."""
        self.unique += 2
        header = fuse.FuseInHeader(len=40 + len(body), opcode=opcode, unique=self.unique, nodeid=nodeid, uid=5, gid=6)
        return await self.dpu.fs_request(bytes(header) + body)

    async def error(self, opcode: Opcode, nodeid: int, body: bytes = b"") -> int:
        """0 or an errno."""
        out = fuse.FuseOutHeader.from_buffer_copy(await self.ask(opcode, nodeid, body))
        check(f"{opcode.name} of the DPU, unique", out.unique, self.unique)
        return -int(out.error)

    async def call(self, opcode: Opcode, nodeid: int, body: bytes = b"") -> bytes:
        """What follows the header of a reply without error."""
        reply = await self.ask(opcode, nodeid, body)
        out = fuse.FuseOutHeader.from_buffer_copy(reply)
        seen = (out.error, out.unique, out.len)
        check(f"{opcode.name} of the DPU, error, unique and length", seen, (0, self.unique, len(reply)))
        return reply[16:]

    async def entry(self, opcode: Opcode, nodeid: int, body: bytes) -> int:
        """The nodeid in a fuse_entry_out."""
        return fuse.FuseEntryOut.from_buffer_copy(await self.call(opcode, nodeid, body)).nodeid

    async def write(self, nodeid: int, data: bytes, offset: int = 0) -> None:
        written = await self.call(Opcode.WRITE, nodeid, bytes(fuse.FuseWriteIn(offset=offset, size=len(data))) + data)
        check("bytes that the DPU wrote", fuse.FuseWriteOut.from_buffer_copy(written).size, len(data))

    async def read(self, nodeid: int, size: int, offset: int = 0) -> bytes:
        return await self.call(Opcode.READ, nodeid, bytes(fuse.FuseReadIn(offset=offset, size=size)))

    async def names(self, nodeid: int) -> Iterator[bytes]:
        listing = await self.call(Opcode.READDIR, nodeid, bytes(fuse.FuseReadIn(size=4096)))
        return (entry.name for entry in directory_entries(listing, plus=False))


def client_of(host: HostPort) -> Client:
    if not isinstance(host.dpu, RegisterDpu):
        raise DriverError("DPU port", "absent", "a register port", "FS-REQ-DI1")
    return Client(host.dpu)


@scenario(clauses=CLAUSES, needs=NEEDS)
async def dpu_client(host: HostPort, tb: Bench) -> None:
    """Each reads what the other wrote; the largest requests and replies; what is removed is gone for both."""
    client = client_of(host)
    ready = await mount(host, tb)
    home = await client.entry(Opcode.MKDIR, FUSE_ROOT_ID, bytes(fuse.FuseMkdirIn(mode=0o755)) + b"dpu\0")
    made = await client.entry(Opcode.MKNOD, home, bytes(fuse.FuseMknodIn(mode=0o100644)) + b"made\0")
    data = pattern(LARGEST_WRITE, 7)
    await client.write(made, data, 3)
    check("the directory's nodeid", await _look(ready, FUSE_ROOT_ID, b"dpu"), home)
    check("the file's nodeid", await _look(ready, home, b"made"), made)
    opened = await ready.client.call(Opcode.OPEN, made, bytes(fuse.FuseOpenIn(2)))
    fh = opened.parse(fuse.FuseOpenOut).fh
    reply = await ready.client.call(Opcode.READ, made, bytes(fuse.FuseReadIn(fh, 0, 65536)))
    check("what the driver reads of it", reply.payload, bytes(3) + data, "FS-REQ-DI1")

    own = pattern(LARGEST_READ + 50, 11)
    body = bytes(fuse.FuseWriteIn(fh, 0, len(own))) + own
    await ready.client.call(Opcode.WRITE, made, body)
    check("what the DPU reads of the driver's", await client.read(made, LARGEST_READ), own[:LARGEST_READ])
    check("the rest", await client.read(made, 4096, LARGEST_READ - 3), own[LARGEST_READ - 3 :])
    check("a reply that has no room", await client.ask(Opcode.READ, made, bytes(fuse.FuseReadIn(size=8177))), b"")

    await ready.client.call(Opcode.RELEASE, made, bytes(fuse.FuseReleaseIn(fh)))
    for directory, name in ((home, b"made\0"), (FUSE_ROOT_ID, b"dpu\0")):
        opcode = Opcode.UNLINK if directory == home else Opcode.RMDIR
        await ready.client.call(opcode, directory, name)
        check("a name that the driver removed", await client.error(Opcode.LOOKUP, directory, name), errno.ENOENT)
    for node in (made, home):
        check("an inode that the driver holds", await client.error(Opcode.GETATTR, node, bytes(16)), 0)
        await ready.client.call(Opcode.FORGET, node, bytes(fuse.FuseForgetIn(1)), ready.device.hiprio)
        check("one that nobody holds", await client.error(Opcode.GETATTR, node, bytes(16)), errno.ESTALE)


async def _look(ready: Mount, directory: int, name: bytes) -> int:
    reply = await ready.client.call(Opcode.LOOKUP, directory, name + b"\0")
    check(f"LOOKUP of {name.decode()}, error", reply.error, 0)
    return int(reply.parse(fuse.FuseEntryOut).nodeid)


@scenario(clauses=CLAUSES, needs=NEEDS)
async def every_opcode_of_the_dpu(host: HostPort, tb: Bench) -> None:
    """Every opcode that is served, without a session; ENOSYS for the others, those too that nobody answers else."""
    client = client_of(host)
    await client.error(Opcode.GETATTR, FUSE_ROOT_ID, bytes(16))
    root = FUSE_ROOT_ID
    home = await client.entry(Opcode.MKDIR, root, bytes(fuse.FuseMkdirIn(mode=0o755)) + b"opcodes\0")
    file = await client.entry(Opcode.CREATE, home, bytes(fuse.FuseCreateIn(2, 0o644)) + b"file\0")
    check("LOOKUP", await client.entry(Opcode.LOOKUP, home, b"file\0"), file)
    link = await client.entry(Opcode.SYMLINK, home, b"link\0" + b"target" * 500 + b"\0")
    check("READLINK", await client.call(Opcode.READLINK, link), b"target" * 500)
    node = await client.entry(Opcode.MKNOD, home, bytes(fuse.FuseMknodIn(mode=0o10644)) + b"fifo\0")
    check("LINK", await client.entry(Opcode.LINK, home, bytes(fuse.FuseLinkIn(node)) + b"again\0"), node)
    await client.call(Opcode.RENAME, home, bytes(fuse.FuseRenameIn(home)) + b"again\0moved\0")
    await client.call(Opcode.RENAME2, home, bytes(fuse.FuseRename2In(home, 2)) + b"moved\0file\0")
    check("EXCHANGE", await client.entry(Opcode.LOOKUP, home, b"moved\0"), file)
    listed = list(await client.names(home))
    check("READDIR", listed, [b".", b"..", b"file", b"link", b"fifo", b"moved"])
    await client.call(Opcode.READDIRPLUS, home, bytes(fuse.FuseReadIn(size=8176)))
    for opcode, size in ((Opcode.OPENDIR, 8), (Opcode.RELEASEDIR, 24), (Opcode.FSYNCDIR, 16), (Opcode.ACCESS, 8)):
        await client.call(opcode, home, bytes(size))
    await client.call(Opcode.OPEN, file, bytes(8))
    await client.write(file, b"0123456789" * 100)
    await client.call(Opcode.FALLOCATE, file, bytes(fuse.FuseFallocateIn(offset=10, length=5, mode=3)))
    await client.call(Opcode.SETATTR, file, bytes(fuse.FuseSetattrIn(valid=8, size=20)))
    check("READ", await client.read(file, 100), b"0123456789" + bytes(5) + b"56789")
    for opcode, size in ((Opcode.FLUSH, 24), (Opcode.FSYNC, 16), (Opcode.RELEASE, 24), (Opcode.GETATTR, 16)):
        await client.call(opcode, file, bytes(size))
    space = fuse.FuseStatfsOut.from_buffer_copy(await client.call(Opcode.STATFS, root))
    check("STATFS, bytes of a name", space.st.namelen, 255)
    for opcode in UNSERVED:
        check(f"{opcode.name} of the DPU", await client.error(opcode, file, bytes(64)), errno.ENOSYS)
    for name in (b"file\0", b"link\0", b"fifo\0", b"moved\0"):
        await client.call(Opcode.UNLINK, home, name)
    await client.call(Opcode.RMDIR, root, b"opcodes\0")
    check("what it opened does not live on", await client.error(Opcode.GETATTR, file, bytes(16)), errno.ESTALE)


@scenario(clauses=CLAUSES, needs=NEEDS)
async def requests_that_the_mailbox_refuses(host: HostPort, tb: Bench) -> None:
    """Too short, too long, dwords that do not fit the length; the next one is answered all the same."""
    client = client_of(host)
    for dwords, length in ((9, 36), (10, 39), (9, 40), (11, 40), (2049, 8193), (2049, 8192), (10, 1 << 31)):
        pushes = [Access(DpuRegister.REQUEST_DATA, length, True)] * dwords
        await client.dpu.access([*pushes, Access(DpuRegister.REQUEST_LENGTH, length, True)])
        status = await client.dpu.read(DpuRegister.REQUEST_STATUS)
        check(f"{dwords} dwords of {length} bytes", status & REQUEST_RESULT_MASK, RequestResult.REFUSED)
        check(
            "its reply",
            await client.dpu.access([Access(DpuRegister.REPLY_LENGTH), Access(DpuRegister.REPLY_DATA)]),
            [0, 0],
        )
    check("the next one", await client.error(Opcode.GETATTR, FUSE_ROOT_ID, bytes(16)), 0)


@scenario(clauses=CLAUSES, needs=NEEDS)
async def dpu_beside_random_traffic(host: HostPort, tb: Bench) -> None:
    """The DPU writes and reads a file of its own while the driver's requests are many."""
    client = client_of(host)
    ready = await mount(host, tb)
    file = await client.entry(Opcode.MKNOD, FUSE_ROOT_ID, bytes(fuse.FuseMknodIn(mode=0o600)) + b"of-the-dpu\0")
    runner = RandomRunner(ready.device, ready.client)
    driver = host.spawn(runner.run(generate(tb.seed, tb.option("random_items", RANDOM_ITEMS), WORKERS)))
    rng = tb.rng("dpu")
    expected = bytearray()
    done = 0
    while not driver.done():
        data, offset = rng.randbytes(rng.choice([1, 40, 500, 4096])), rng.randrange(6000)
        await client.write(file, data, offset)
        expected.extend(bytes(max(0, offset + len(data) - len(expected))))
        expected[offset : offset + len(data)] = data
        check("what the DPU wrote", await client.read(file, LARGEST_READ), bytes(expected[:LARGEST_READ]))
        done += 1
    await driver.join()
    await runner.finish()
    await client.call(Opcode.UNLINK, FUSE_ROOT_ID, b"of-the-dpu\0")
    tb.counts["requests of the DPU"] += 2 * done


@scenario(clauses=[*CLAUSES, "RESET-D01"], needs=NEEDS)
async def resets_beside_the_dpu(host: HostPort, tb: Bench) -> None:
    """A device reset ends no request of the DPU: it writes and reads on as if there were no driver."""
    client = client_of(host)
    ready = await mount(host, tb)
    file = await client.entry(Opcode.MKNOD, FUSE_ROOT_ID, bytes(fuse.FuseMknodIn(mode=0o600)) + b"kept\0")
    stop = False
    done = 0

    async def work() -> None:
        nonlocal done
        while not stop:
            data = pattern(3000, 2 * done + 1)
            await client.write(file, data, 4090)
            check("what the DPU wrote", await client.read(file, 8000), bytes(4090) + data)
            done += 1

    busy = host.spawn(work())
    rng = tb.rng("moment")
    for _ in range(RESETS):
        await host.sleep(rng.randrange(NEXT_RESET_PS))
        await ready.device.reset()
        ready = await mount(host, tb)
        check("the file's nodeid", await _look(ready, FUSE_ROOT_ID, b"kept"), file)
    stop = True
    await busy.join()
    check("requests of the DPU between the resets", done > 0, True)
    await ready.device.reset()
    await client.call(Opcode.UNLINK, FUSE_ROOT_ID, b"kept\0")
