"""What `make coverage` runs behind every scenario."""

from __future__ import annotations

from virtiofs_tb.host.port import HostPort
from virtiofs_tb.scenario import Bench, scenario


@scenario(clauses=[], needs=["dpu"])
async def the_dpu_reads_its_error_log(host: HostPort, tb: Bench) -> None:
    """Take what the scenario before has left in the error log, so that an observer sees it."""
    assert host.dpu is not None
    await host.dpu.error_log()
