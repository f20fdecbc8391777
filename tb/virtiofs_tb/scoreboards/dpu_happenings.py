"""What the DPU does to the file system, as things that happen to it: its own requests, and straps.

A request of the DPU takes effect between the register write that hands it over and the read of its reply.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from virtiofs_model.layouts.dpu import CacheOption, DpuRegister
from virtiofs_model.ramfs.announce import Announcement
from virtiofs_model.ramfs.dpu import DpuClient
from virtiofs_tb.scoreboards.happenings import TIMED, Golden, Happening, RequestHappening

MAILBOX = "the DPU's mailbox"


@dataclass(eq=False)
class DpuHappening(RequestHappening):
    """A request of the DPU. announced: what it could have made stale, in the order in which it was tried last."""

    where: str = MAILBOX
    announced: list[Announcement] = field(default_factory=list)

    def handle(self, golden: Golden) -> tuple[bool, bytes | None]:
        timed = self.opcode in TIMED
        if timed:
            golden.server.tree.set_time(golden.clock.mark)
        answer = DpuClient(golden.server).request(self.message)
        self.announced = answer.announced
        if not timed or not answer.reply or any(answer.reply[4:8]):
            return True, answer.reply
        return golden.clock.pass_by(self.begin, self.end), answer.reply


@dataclass(eq=False)
class StrapHappening(Happening):
    """A strap about what a client may cache; written while no session lives."""

    register: int = 0
    value: int = 0

    def happen(self, golden: Golden, variant: int) -> bool:
        server = golden.server
        server.tree.journal.save(server)
        if self.register == DpuRegister.VALID_SECONDS:
            server.config = replace(server.config, valid_seconds=self.value)
        else:
            server.config = replace(
                server.config,
                keep_cache=bool(self.value & CacheOption.KEEP_CACHE),
                negative_entries=bool(self.value & CacheOption.NEGATIVE_ENTRIES),
                lock_messages=bool(self.value & CacheOption.LOCK_MESSAGES),
            )
        return True
