"""DMA: does every packet of the endpoint go where it may, when it may, in the form that PCI Express asks for?"""

from __future__ import annotations

from virtiofs_model.layouts.virtio import Feature
from virtiofs_tb.profile import Profile
from virtiofs_tb.scoreboards.base import Scoreboard
from virtiofs_tb.scoreboards.events import (
    ChainUsed,
    DmaData,
    DmaRead,
    DmaWrite,
    QueueResetDone,
    ResetDone,
    StrangePacket,
)
from virtiofs_tb.scoreboards.observer import Observer

Header = tuple[int, int, int, int]

_ATTRIBUTES = 0x00FFBC00  # T9, TC, T8, attributes, LN, TH, TD, AT: all but EP
_POISON = 0x00004000
_FORMAT_4DW = 0x20000000
_RUNS = (0x0, 0x1, 0x2, 0x3, 0x4, 0x6, 0x7, 0x8, 0xC, 0xE, 0xF)
_RUNS_TO_END = (0x8, 0xC, 0xE, 0xF)
_RUNS_FROM_START = (0x1, 0x3, 0x7, 0xF)


class DmaScoreboard(Scoreboard):
    """Judge of memory reads and writes."""

    name = "dma"

    def __init__(self, profile: Profile, observer: Observer) -> None:
        super().__init__(profile, observer)
        self._exact = profile.dma.exact_attributes
        self._tag_limit = profile.timing.read_tag_us * 1_000_000
        self._exact_writes = profile.dma.exact_writes
        self._reads = self._writes = self._messages = self._completions = 0

    def total(self) -> int:
        self._gather()
        return super().total()

    def _gather(self) -> None:
        """The counters of the hot paths are plain integers."""
        for kind, number in (
            ("read", self._reads),
            ("write", self._writes),
            ("message", self._messages),
            ("completion", self._completions),
        ):
            if number:
                self.checked[kind] = number

    # ---- where and when ----

    def on_dma_read(self, event: DmaRead) -> None:
        self._reads += 1
        problem = self._form(event.hdr, event.start, event.end)
        pci = self.observer.pci
        length = 4 * (event.hdr[0] & 0x3FF or 1024)
        if not problem and length > pci.max_read:
            problem = ("Max_Read_Request_Size", f"at most {pci.max_read} bytes", f"{length}")
        if problem:
            self._malformed(event, "read", problem)
        if not (pci.may_master and self.observer.virtio.driver_ok):
            self._not_now(event, "read")
        replaced = event.replaced
        if replaced is not None and event.t_ps - replaced.t_ps < self._tag_limit:
            self.fail(
                event.t_ps, event.seq, f"read of {event.start:#x} uses tag {event.hdr[1] >> 8 & 0xFF}", "PCI-BUS-D01",
                "a tag that is not outstanding", f"that of the read at seq {replaced.seq}, not complete",
            )  # fmt: skip
        if not event.regions and event.start < event.end:
            self._outside(event, "read", event.start, event.end)

    def on_dma_data(self, event: DmaData) -> None:
        self._completions += 1

    def on_dma_write(self, event: DmaWrite) -> None:
        end = event.start + len(event.data)
        problem = None if event.split else self._form(event.hdr, event.start, end)
        pci = self.observer.pci
        length = 4 * (event.hdr[0] & 0x3FF or 1024)
        if not problem and length > pci.max_payload:
            problem = ("Max_Payload_Size", f"at most {pci.max_payload} bytes", f"{length}")
        if not problem and event.hdr[0] & _POISON:
            problem = ("EP", "0", "1")
        if event.split and self._exact:
            problem = ("byte enables", "one run of bytes", f"{event.hdr[1] & 0xFF:#04x}")
        if problem:
            self._malformed(event, "write", problem)
        if event.vectors is not None:
            self._messages += 1
            if event.hdr[1] & 0xFF != 0x0F:
                self._malformed(
                    event, "MSI-X message", ("byte enables", "a whole dword", f"{event.hdr[1] & 0xFF:#04x}")
                )
            if not pci.may_master:
                self._not_now(event, "MSI-X message")
            return
        self._writes += 1
        if not (pci.may_master and self.observer.virtio.driver_ok):
            self._not_now(event, "write")
        if not event.regions:
            self._outside(event, "write", event.start, end)

    def _not_now(self, event: DmaRead | DmaWrite, what: str) -> None:
        virtio = self.observer.virtio
        if not self.observer.pci.may_master:
            clause, seen, expected = "PCI-BUS-D01", "bus master enable is 0", "none while bus mastering is off"
        else:
            clause, expected = "RESET-D03", "none between reset and DRIVER_OK"
            seen = f"device_status {virtio.status:#04x}"
        self.fail(event.t_ps, event.seq, f"{what} at {event.start:#x}", clause, expected, seen)

    def _outside(self, event: DmaRead | DmaWrite, what: str, start: int, end: int) -> None:
        rings = self.observer.rings
        if what == "read":
            other = rings.writable.find(start, start + 1)
            near = rings.readable.nearest(start)
            clause = self._rule("SPLIT-DESC-D02", "PACK-DESC-D02") if other else "PCI-BUS-D01"
            expected = "a ring area or the readable part of an exposed chain"
        else:
            other = rings.readable.find(start, start + 1)
            near = rings.writable.nearest(start)
            descriptors = any(region.chain is None for region in other)
            # The one that says where a device may not write: all that is no writable buffer.
            clause = self._rule("SPLIT-DESC-D04" if descriptors else "SPLIT-DESC-D01", "PACK-DESC-D01")
            expected = f"a {self._rule('used', 'descriptor')} ring or the writable part of an exposed chain"
        graves = (region for regions in rings.buried.values() for region in regions)
        buried = next((region for region in graves if region.start <= start < region.end), None)
        if not other and buried is not None:
            clause, expected = "VQRST-D01", f"none: queue {buried.queue.index} was reset"
            near = None
            other = [buried]
        seen = f"{start:#x}..{end:#x}"
        if other:
            seen += f", in the {other[0]}"
        elif near is not None and start < near.end:
            seen += f", {end - near.end} beyond the end of the {near}"
        elif near is not None:
            seen += f", {start - near.end} bytes behind the {near}"
        self.fail(event.t_ps, event.seq, f"{what} of {end - start} bytes", clause, expected, seen)

    def _rule(self, split: str, packed: str) -> str:
        return packed if self.observer.virtio.negotiated(Feature.RING_PACKED) else split

    # ---- form ----

    def _form(self, hdr: Header, start: int, end: int) -> tuple[str, str, str] | None:
        """What is malformed about a memory request: field, expected, seen."""
        dw0, dw1 = hdr[0], hdr[1]
        length = dw0 & 0x3FF or 1024
        first, last = dw1 & 15, dw1 >> 4 & 15
        if length == 1:
            if last:
                return "Last DW BE of one dword", "0", f"{last:#x}"
            if self._exact and first not in _RUNS:
                return "byte enables", "one run of bytes", f"{first:#x}"
        else:
            if not first or not last:
                return "byte enables of several dwords", "not 0", f"first {first:#x}, last {last:#x}"
            if (length > 2 or start & 4 or self._exact) and (first not in _RUNS_TO_END or last not in _RUNS_FROM_START):
                return "byte enables of several dwords", "contiguous", f"first {first:#x}, last {last:#x}"
        address = start & ~3
        if (address & 0xFFF) + 4 * length > 0x1000:
            return "4 KiB boundary", "not crossed", f"{4 * length} bytes at {address:#x}"
        if dw0 & _FORMAT_4DW and not hdr[2]:
            return "header below 4 GiB", "3 dwords", "4 dwords"
        if self._exact and dw0 & _ATTRIBUTES:
            return "TC, attributes, TH, AT", "0", f"{dw0 & _ATTRIBUTES:#010x}"
        if dw1 >> 16 != self.observer.pci.device_id:
            return "Requester ID", f"{self.observer.pci.device_id:#06x}", f"{dw1 >> 16:#06x}"
        return None

    def _malformed(self, event: DmaRead | DmaWrite, what: str, problem: tuple[str, str, str]) -> None:
        field, expected, seen = problem
        self.fail(event.t_ps, event.seq, f"{what} at {event.start:#x}: {field}", "PCI-BUS-D01", expected, seen)

    def on_strange_packet(self, event: StrangePacket) -> None:
        self.fail(event.t_ps, event.seq, event.text, event.clause, event.expected, event.seen)

    # ---- what belongs to a used entry ----

    def on_chain_used(self, event: ChainUsed) -> None:
        """The bytes that the used length counts were written before, and, where promised, no others."""
        chain, length = event.chain, event.length
        self.count("used data")
        store = chain.write_store
        if not store.covers(0, min(length, chain.writable)):
            self.fail(
                event.t_ps, event.seq, f"used index covers {chain} with length {length}",
                chain.queue.rule("SPLIT-USED-D02", "PACK-USED-DI1"),
                "all these bytes written before it",
                f"byte {store.first_unknown(0, length)} of the writable part not written",
            )  # fmt: skip
        if self._exact_writes and store.known_beyond(max(length, chain.job_end)):
            self.fail(
                event.t_ps, event.seq, f"bytes of {chain} beyond its used length",
                chain.queue.rule("SPLIT-USED-D03", "PACK-USED-DI1"),
                f"none after byte {length}", f"written up to byte {len(store.data)}",
            )  # fmt: skip
        elif self._exact_writes and chain.written > length + chain.job_bytes:
            self.fail(
                event.t_ps, event.seq, f"bytes of {chain}, used with length {length}",
                chain.queue.rule("SPLIT-USED-D02", "PACK-USED-DI1"),
                f"{length + chain.job_bytes} bytes written, each once", f"{chain.written}",
            )  # fmt: skip

    def on_reset_done(self, event: ResetDone) -> None:
        self.count("reset")

    def on_queue_reset_done(self, event: QueueResetDone) -> None:
        """A read that is out when the driver may free the memory would still come there; one that timed out has."""
        self.count("queue reset")
        for read in self.observer.reads.values():
            young = event.t_ps - read.t_ps < self._tag_limit
            if young and any(region.queue is event.queue for region in read.regions):
                self.fail(
                    event.t_ps, event.seq, f"queue_reset of queue {event.queue.index} reads 0", "VQRST-D01",
                    "1 until every read for this queue is complete",
                    f"the read of {read.start:#x} at seq {read.seq} is out",
                )  # fmt: skip
