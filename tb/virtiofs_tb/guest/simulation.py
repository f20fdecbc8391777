"""The cocotb test module of a guest on the RTL endpoint: like any other simulation, with a guest as its step."""

from __future__ import annotations

import pyuvm

from virtiofs_tb.agents.firmware import FuseServer
from virtiofs_tb.catalogue import Entry
from virtiofs_tb.guest.request import Assignment
from virtiofs_tb.guest.run import GuestRun
from virtiofs_tb.simulation import SimulationTest


@pyuvm.test()
class LinuxGuestTest(SimulationTest):
    """Runs what guest/request.py put into the environment."""

    def entry(self) -> Entry:
        assignment = Assignment.from_environment()
        self.guest = GuestRun(assignment.variant, assignment.image, self.run_dir, terminal=assignment.terminal)
        return self.guest.entry(self.summary.test, assignment.terminal is not None)

    def server(self) -> FuseServer | None:
        return self.guest.server

    async def run_phase(self) -> None:
        try:
            await super().run_phase()
        finally:
            self.guest.close()
