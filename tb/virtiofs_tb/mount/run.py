"""A mount as a test: its one step."""

from __future__ import annotations

from pathlib import Path

from virtiofs_tb.catalogue import DEFAULT_ENGINE, Entry
from virtiofs_tb.host.base import HostBase
from virtiofs_tb.host.port import HostPort
from virtiofs_tb.mount.options import Options
from virtiofs_tb.mount.session import MountSession
from virtiofs_tb.scenario import Bench, Scenario
from virtiofs_tb.scoreboards.checkpoint import dump
from virtiofs_tb.testbench import Testbench

TEST = "mount"
SUMMARY = "The kernel's FUSE client on this machine uses the endpoint"


class MountRun:
    """One mount on one target. `close` takes it away, whatever became of the run."""

    def __init__(self, directory: Path, engine: str = "", options: Options | None = None) -> None:
        self.session = MountSession(directory, options)
        self._engine = engine or DEFAULT_ENGINE

    def entry(self) -> Entry:
        scenario = Scenario("mounted", self._step, (), (), SUMMARY, __name__)
        return Entry(TEST, SUMMARY, (scenario,), engine=self._engine)

    def bound_log(self, testbench: Testbench) -> None:
        """A mount has no end, its log has: the beginning and what came last."""
        observer = testbench.scoreboards.observer
        testbench.host.log.bound(self.session.options.log_mib << 20, lambda: dump(observer))

    def close(self) -> None:
        self.session.close()

    async def _step(self, host: HostPort, tb: Bench) -> None:
        assert isinstance(host, HostBase), "the step needs a target of packets"
        await self.session.run(host, tb)
        traffic = self.session.traffic
        for name, count in traffic.notifications.items():
            tb.counts[f"to the kernel {name}"] += count
