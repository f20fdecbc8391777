"""The PCIe agent: passive monitor of everything on the endpoint's channels.

Stimulus on PCIe (register accesses, completions) is the root port's, which drivers reach through HostPort.
"""

from __future__ import annotations

from pyuvm import ConfigDB, uvm_agent, uvm_analysis_port, uvm_monitor

from virtiofs_tb.host.log import Record
from virtiofs_tb.host.rtl_host import RtlHost


class PacketMonitor(uvm_monitor):
    """Hands on batches of log records: packets, interrupts, the DPU's side, in one total order.

    ap: analysis port of list[Record]; a subscriber must not keep the list.
    """

    def build_phase(self) -> None:
        self.ap = uvm_analysis_port("ap", self)
        host: RtlHost = ConfigDB().get(self, "", "HOST")
        host.log.subscribe(self._observed)

    def _observed(self, batch: list[Record]) -> None:
        self.ap.write(batch)


class PcieAgent(uvm_agent):
    """monitor: PacketMonitor."""

    def build_phase(self) -> None:
        super().build_phase()
        self.monitor = PacketMonitor("monitor", self)
