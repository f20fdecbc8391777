"""What a driver puts on which queue of a file system device (virtio 1.2 and later, 5.11)."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from virtiofs_model.layouts.fuse_constants import Opcode
from virtiofs_model.layouts.virtio import Feature
from virtiofs_tb.scoreboards.driver_rules.base import L2, Report, Theme
from virtiofs_tb.scoreboards.events import ChainReady, ChainUsed, PinReset, RegisterRead, ResetDone
from virtiofs_tb.scoreboards.observer import Observer

URGENT = (Opcode.FORGET, Opcode.INTERRUPT, Opcode.BATCH_FORGET)
NOTIFY_BUF_SIZE = 40


class FileSystemRules(Theme):
    """Queues and what they are for."""

    rules: ClassVar[dict[str, str]] = dict.fromkeys(
        ("FS-HP-R01", "FS-HP-R02", "FS-NQ-R01", "FS-INIT-RI1", "FS-INIT-RI2"), L2
    )

    def __init__(self, observer: Observer, report: Callable[[Report], None]) -> None:
        super().__init__(observer, report)
        self._least = 0
        self._sessions = 0

    def on_register_read(self, event: RegisterRead) -> None:
        if event.region == "device" and event.at == NOTIFY_BUF_SIZE and len(event.data) == 4:
            self._least = int.from_bytes(event.data, "little")

    def on_reset_done(self, event: ResetDone) -> None:
        self._sessions = 0

    def on_pin_reset(self, event: PinReset) -> None:
        self._least = self._sessions = 0

    def on_chain_ready(self, event: ChainReady) -> None:
        chain = event.chain
        if chain.queue.notification and (chain.writable < self._least or chain.readable):
            seen = f"{chain.writable} bytes" + (f" behind {chain.readable} readable" if chain.readable else "")
            expected = f"at least {self._least} writable bytes alone"
            self.wrong(event.t_ps, event.seq, "FS-NQ-R01", f"{chain}, a notification buffer", expected, seen)

    def on_chain_used(self, event: ChainUsed) -> None:
        chain = event.chain
        if chain.queue.notification or not chain.read_store.covers(0, 40):
            return
        opcode = int.from_bytes(chain.read_store.data[4:8], "little")
        urgent = opcode in URGENT
        if urgent != (chain.queue.index == 0):
            clause = "FS-HP-R01" if urgent else "FS-HP-R02"
            expected = "on the high priority queue" if urgent else "on a request queue"
            self.wrong(event.t_ps, event.seq, clause, f"opcode {opcode}", expected, f"on queue {chain.queue.index}")
        if opcode == Opcode.INIT and event.length >= 16 and not any(chain.write_store.data[4:8]):
            self._session(event)
        elif opcode == Opcode.DESTROY:
            self._sessions = 0

    def _session(self, event: ChainUsed) -> None:
        self._sessions += 1
        if self._sessions > 1:
            expected = "one, for all queues"
            self.wrong(event.t_ps, event.seq, "FS-INIT-RI2", "FUSE_INIT", expected, f"number {self._sessions}")
        elif self.observer.virtio.negotiated(Feature.FS_NOTIFICATION):
            queue = self.observer.rings.queues.get(1)
            if queue is not None and not queue.avail_idx:
                text, expected = "notification queue when the session begins", "filled with buffers"
                self.wrong(event.t_ps, event.seq, "FS-INIT-RI1", text, expected, "none was ever available")
