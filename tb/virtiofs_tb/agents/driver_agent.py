"""The virtio-fs driver agent: a sequencer of FUSE items and a driver that keeps many of them in flight."""

from __future__ import annotations

from collections.abc import Callable

from cocotb.triggers import Event
from pyuvm import ConfigDB, uvm_agent, uvm_driver, uvm_sequence_item, uvm_sequencer

from virtiofs_model.layouts.fuse_constants import Opcode
from virtiofs_tb.driver.bringup import Mount
from virtiofs_tb.driver.fuse_client import Reply
from virtiofs_tb.host.rtl_host import RtlHost


class FuseItem(uvm_sequence_item):
    """One FUSE request. body: what follows fuse_in_header.

    After `finish_item` the request is on its way; `await item.done()` gives its Reply.
    """

    def __init__(self, name: str, opcode: Opcode, nodeid: int = 0, body: bytes = b"") -> None:
        super().__init__(name)
        self.opcode = opcode
        self.nodeid = nodeid
        self.body = body
        self.reply: Reply | None = None
        self.error: Exception | None = None
        self._ended = Event()

    async def done(self) -> Reply:
        """The reply; raises what ended the request without one."""
        await self._ended.wait()
        if self.error is not None:
            raise self.error
        assert self.reply is not None
        return self.reply

    def end(self, reply: Reply | None, error: Exception | None = None) -> None:
        """Called by the driver."""
        self.reply, self.error = reply, error
        self._ended.set()

    def __str__(self) -> str:
        return f"{self.opcode.name} nodeid {self.nodeid:#x}, {len(self.body)} bytes"


class FuseDriver(uvm_driver):
    """Starts each item's request at once; how many are in flight is the sequence's choice.

    mount: callable that gives the Mount whose client issues the requests (it changes with each initialisation).
    """

    def build_phase(self) -> None:
        self.host: RtlHost = ConfigDB().get(self, "", "HOST")
        self.mount: Callable[[], Mount] = ConfigDB().get(self, "", "MOUNT")

    async def run_phase(self) -> None:
        while True:
            item: FuseItem = await self.seq_item_port.get_next_item()
            self.host.begin(self._request(item))
            self.seq_item_port.item_done()

    async def _request(self, item: FuseItem) -> None:
        try:
            item.end(await self.mount().client.call(item.opcode, item.nodeid, item.body))
        except Exception as error:  # a sequence waits for this item: it gets whatever went wrong
            item.end(None, error)


class DriverAgent(uvm_agent):
    """sequencer: of FuseItem; driver: FuseDriver."""

    def build_phase(self) -> None:
        super().build_phase()
        self.sequencer = uvm_sequencer("sequencer", self)
        self.driver = FuseDriver("driver", self)

    def connect_phase(self) -> None:
        self.driver.seq_item_port.connect(self.sequencer.seq_item_export)
