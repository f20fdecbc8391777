"""A client without caches, for defects that only two answers beside each other show (`make grade`)."""

from __future__ import annotations

from virtiofs_model.layouts import fuse
from virtiofs_model.layouts.fuse_constants import FUSE_ROOT_ID, Opcode
from virtiofs_tb.driver.bringup import mount
from virtiofs_tb.host.port import HostPort
from virtiofs_tb.scenario import Bench, scenario


@scenario(clauses=["FS-REQ-DI1"])
async def asks_twice(host: HostPort, tb: Bench) -> None:
    """Ask for everything twice, one request at a time, as a client does that has no cache."""
    client = (await mount(host, tb)).client
    for name in (b"a", b"b"):
        body = bytes(fuse.FuseCreateIn(2, 0o100644)) + name + b"\0"
        reply = await client.call(Opcode.CREATE, FUSE_ROOT_ID, body)
        nodeid = reply.parse(fuse.FuseEntryOut).nodeid
        await client.call(Opcode.WRITE, nodeid, bytes(fuse.FuseWriteIn(nodeid, 0, 4)) + b"data")
    await client.call(Opcode.OPENDIR, FUSE_ROOT_ID, bytes(fuse.FuseOpenIn()))
    for _ in range(2):
        await client.call(Opcode.READ, nodeid, bytes(fuse.FuseReadIn(nodeid, 0, 100)))
        await client.call(Opcode.READDIRPLUS, FUSE_ROOT_ID, bytes(fuse.FuseReadIn(FUSE_ROOT_ID, 0, 4096)))
        for name in (b"a", b"b"):
            await client.call(Opcode.GETATTR, FUSE_ROOT_ID, bytes(fuse.FuseGetattrIn()))
            await client.call(Opcode.LOOKUP, FUSE_ROOT_ID, name + b"\0")
