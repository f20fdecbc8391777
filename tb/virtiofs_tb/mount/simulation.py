"""The cocotb test module of a mount of the RTL endpoint: like any other simulation, with a mount as its step."""

from __future__ import annotations

import pyuvm

from virtiofs_tb.catalogue import Entry
from virtiofs_tb.mount.request import mountpoint_of_environment, options_of_environment
from virtiofs_tb.mount.run import MountRun
from virtiofs_tb.simulation import SimulationTest


@pyuvm.test()
class MountTest(SimulationTest):
    """Runs what mount/request.py put into the environment."""

    limit_ps = None

    def build_phase(self) -> None:
        super().build_phase()
        self.mount.bound_log(self.testbench)

    def entry(self) -> Entry:
        self.mount = MountRun(mountpoint_of_environment(), options=options_of_environment())
        return self.mount.entry()

    async def run_phase(self) -> None:
        try:
            await super().run_phase()
        finally:
            self.mount.close()
            self.mount.session.traffic.write(self.run_dir)
