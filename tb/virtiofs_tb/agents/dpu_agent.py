"""The DPU agent: the firmware behind the engine, and a sequencer for the notify mailbox."""

from __future__ import annotations

from pyuvm import ConfigDB, uvm_agent, uvm_driver, uvm_sequence_item, uvm_sequencer

from virtiofs_tb.agents.firmware import FirmwareAgent
from virtiofs_tb.agents.loop_tasks import in_loop
from virtiofs_tb.host.port import NotifyResult
from virtiofs_tb.host.rtl_host import RtlHost


class NotifyItem(uvm_sequence_item):
    """One message for the notify mailbox, fuse_out_header included. result: set when finish_item returns."""

    def __init__(self, name: str, message: bytes) -> None:
        super().__init__(name)
        self.message = message
        self.result: NotifyResult | None = None


class MailboxDriver(uvm_driver):
    """Hands messages to the mailbox, one at a time, as the DPU's software would."""

    def build_phase(self) -> None:
        self.host: RtlHost = ConfigDB().get(self, "", "HOST")

    async def run_phase(self) -> None:
        while True:
            item: NotifyItem = await self.seq_item_port.get_next_item()
            if self.host.dpu is None:
                raise RuntimeError("this endpoint has no DPU port (profile: dpu.port), so it takes no notifications")
            item.result = await in_loop(self.host, self.host.dpu.notify(item.message))
            self.seq_item_port.item_done()


class DpuAgent(uvm_agent):
    """sequencer: of NotifyItem; firmware: the FUSE server's agent, made with the testbench."""

    def build_phase(self) -> None:
        super().build_phase()
        self.firmware: FirmwareAgent = ConfigDB().get(self, "", "FIRMWARE")
        self.sequencer = uvm_sequencer("sequencer", self)
        self.driver = MailboxDriver("driver", self)

    def connect_phase(self) -> None:
        self.driver.seq_item_port.connect(self.sequencer.seq_item_export)
