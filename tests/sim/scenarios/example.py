"""The scenario that docs/first-scenario.md explains."""

from __future__ import annotations

from errno import ENOENT

from virtiofs_model.layouts.fuse_constants import FUSE_ROOT_ID, Opcode
from virtiofs_model.layouts.fuse_operations import OUT_HEADER_SIZE
from virtiofs_tb.driver.bringup import mount
from virtiofs_tb.driver.errors import check
from virtiofs_tb.host.port import HostPort
from virtiofs_tb.scenario import Bench, scenario


@scenario(clauses=["FS-REQ-DI1", "SPLIT-USED-D02"])
async def a_name_that_is_not_there(host: HostPort, tb: Bench) -> None:
    """LOOKUP of a name that does not exist: ENOENT, and a used length of the header alone."""
    ready = await mount(host, tb)
    reply = await ready.client.call(Opcode.LOOKUP, FUSE_ROOT_ID, b"absent\0")
    check("error of LOOKUP", reply.error, -ENOENT, "FS-REQ-DI1")
    check("used length", reply.used, OUT_HEADER_SIZE, "SPLIT-USED-D02")
