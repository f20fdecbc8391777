"""UVM sequences: FUSE items through the driver agent's sequencer, as a UVM engineer would write them."""

from __future__ import annotations

import stat
from collections.abc import Callable
from ctypes import sizeof

from pyuvm import uvm_sequence

from virtiofs_model.layouts import fuse
from virtiofs_model.layouts.fuse_constants import FUSE_ROOT_ID, Opcode
from virtiofs_tb.agents.driver_agent import FuseItem
from virtiofs_tb.agents.loop_tasks import in_loop
from virtiofs_tb.driver.bringup import mount
from virtiofs_tb.host.rtl_host import RtlHost
from virtiofs_tb.testbench import Testbench

FILES = 8
LONGEST = 20_000


class FileTraffic(uvm_sequence):
    """Creates files, writes all of them with many requests in flight, reads back, compares, removes."""

    def __init__(self, testbench: Testbench) -> None:
        super().__init__("file_traffic")
        self.testbench = testbench

    async def body(self) -> None:
        testbench = self.testbench
        assert isinstance(testbench.host, RtlHost)
        testbench.mount = await in_loop(testbench.host, mount(testbench.host, testbench.bench))
        rng = testbench.bench.rng("uvm/file_traffic")
        files: list[tuple[bytes, int, int, bytes]] = []
        for index in range(FILES):
            name = b"uvm%d" % index
            create = fuse.FuseCreateIn(flags=2, mode=stat.S_IFREG | 0o644)
            reply = await (await self._send(Opcode.CREATE, FUSE_ROOT_ID, bytes(create) + name + b"\0")).done()
            nodeid = fuse.FuseEntryOut.from_buffer_copy(reply.payload).nodeid
            fh = fuse.FuseOpenOut.from_buffer_copy(reply.payload, sizeof(fuse.FuseEntryOut)).fh
            files.append((name, nodeid, fh, rng.randbytes(rng.randint(1, LONGEST))))
        writes = [
            await self._send(Opcode.WRITE, nodeid, bytes(fuse.FuseWriteIn(fh=fh, size=len(data))) + data)
            for _, nodeid, fh, data in files
        ]
        for item in writes:
            await item.done()
        reads = [
            await self._send(Opcode.READ, nodeid, bytes(fuse.FuseReadIn(fh=fh, size=LONGEST)))
            for _, nodeid, fh, _ in files
        ]
        for item, (name, _, _, data) in zip(reads, files, strict=True):
            seen = (await item.done()).payload
            assert seen == data, f"{name!r}: read {len(seen)} bytes that differ from the {len(data)} written"
        for name, nodeid, fh, _ in files:
            await (await self._send(Opcode.RELEASE, nodeid, bytes(fuse.FuseReleaseIn(fh=fh)))).done()
            await (await self._send(Opcode.UNLINK, FUSE_ROOT_ID, name + b"\0")).done()

    async def _send(self, opcode: Opcode, nodeid: int, body: bytes) -> FuseItem:
        item = FuseItem(opcode.name, opcode, nodeid, body)
        await self.start_item(item)
        await self.finish_item(item)
        return item


SEQUENCES: dict[str, Callable[[Testbench], uvm_sequence]] = {"file_traffic": FileTraffic}
"""What `sequences` in tests/sim/testplan.toml can name."""
