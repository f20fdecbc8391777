"""The UVM environment: agents and scoreboards around the endpoint in the simulator.

The components are thin. What they wrap (driver core, firmware, scoreboards) knows no simulator and runs against the
golden device too.
"""

from __future__ import annotations

from time import perf_counter

from pyuvm import ConfigDB, uvm_env, uvm_scoreboard, uvm_subscriber

from virtiofs_tb.agents.dpu_agent import DpuAgent
from virtiofs_tb.agents.driver_agent import DriverAgent
from virtiofs_tb.agents.pcie_agent import PcieAgent
from virtiofs_tb.host.log import Record
from virtiofs_tb.scoreboards import Scoreboard, ScoreboardSet
from virtiofs_tb.testbench import Testbench


class ScoreboardComponent(uvm_scoreboard):
    """One scoreboard as UVM sees it: says in its check phase what it has checked and repeats its failures."""

    def __init__(self, board: Scoreboard, parent: ScoreboardHub) -> None:
        self.board = board
        super().__init__(board.name.replace(" ", "_"), parent)

    def check_phase(self) -> None:
        self.logger.info(f"checked {self.board.total()}")
        for failure in self.board.failures:
            if failure.board == self.board.name:
                self.logger.error(str(failure))


class ScoreboardHub(uvm_subscriber):
    """Takes the monitor's batches, decodes them once, and lets each scoreboard judge. seconds: spent in that."""

    def build_phase(self) -> None:
        self.boards: ScoreboardSet = ConfigDB().get(self, "", "SCOREBOARDS")
        for board in self.boards.boards:
            ScoreboardComponent(board, self)  # its parent keeps it
        self.seconds = 0.0

    def write(self, tt: list[Record]) -> None:
        """Take a batch of the monitor (the argument's name is pyuvm's)."""
        started = perf_counter()
        self.boards.observe(tt)
        self.seconds += perf_counter() - started


class VirtioFsEnv(uvm_env):
    """pcie, driver, dpu: the agents; scoreboards: the hub."""

    def build_phase(self) -> None:
        testbench: Testbench = ConfigDB().get(self, "", "TESTBENCH")
        ConfigDB().set(self, "*", "HOST", testbench.host)
        ConfigDB().set(self, "*", "FIRMWARE", testbench.firmware)
        ConfigDB().set(self, "*", "SCOREBOARDS", testbench.scoreboards)
        ConfigDB().set(self, "*", "MOUNT", testbench.current_mount)
        self.pcie = PcieAgent("pcie", self)
        self.driver = DriverAgent("driver", self)
        self.dpu = DpuAgent("dpu", self)
        self.scoreboards = ScoreboardHub("scoreboards", self)

    def connect_phase(self) -> None:
        self.pcie.monitor.ap.connect(self.scoreboards.analysis_export)
