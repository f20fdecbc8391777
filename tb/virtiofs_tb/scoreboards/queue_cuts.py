"""What the reset of a queue leaves of its requests, as happenings of the file system (VQRST-D01).

None of them is answered any more. Those that were under way may have taken effect before, each for itself; who waited
for a lock waits no more (docs/file-system.md, "Locks").
"""

from __future__ import annotations

from dataclasses import dataclass

from virtiofs_model.engine import HEAD_BYTES_MAX
from virtiofs_model.layouts.fuse_constants import Opcode
from virtiofs_model.ramfs import NOT_YET
from virtiofs_tb.scoreboards.happenings import Golden, Happening, RequestHappening
from virtiofs_tb.scoreboards.waits import WaitHappening

_WHOLE, _HALF, _NOT_AT_ALL = range(3)


@dataclass(eq=False)
class CutHappening(RequestHappening):
    """A request whose queue was reset under it. surely: it took effect, since a byte of its reply was seen. Otherwise
    it may have done so, or not at all, or (a WRITE whose data did not all come) have got as far as reserving pages."""

    surely: bool = False

    @property
    def variants(self) -> int:
        return 1 if self.surely else 3

    def happen(self, golden: Golden, variant: int) -> bool:
        if variant == _NOT_AT_ALL:
            return True
        if variant == _HALF:
            if self.opcode != Opcode.WRITE or self.length <= HEAD_BYTES_MAX:
                return False  # nothing that is done by halves
            golden.server.handle(self.message[:HEAD_BYTES_MAX], self.writable, self.length)
            return True
        in_time, reply = self.handle(golden)
        if reply == NOT_YET:
            golden.server.forget(lambda token: token is self)
        return in_time


@dataclass(eq=False)
class ForgetHappening(Happening):
    """The reset of a queue, for those of its requests that wait for a lock."""

    waits: tuple[WaitHappening, ...] = ()

    def happen(self, golden: Golden, variant: int) -> bool:
        golden.server.forget(lambda token: token in self.waits)
        return True


def cut_off(request: RequestHappening, seq: int, t_ps: int, written: int) -> CutHappening:
    """The same request, cut off at `seq`. written: when the first byte of its reply was seen, 0 for never."""
    return CutHappening(
        request.begin, seq, written or seq, t_ps, message=request.message, length=request.length,
        writable=request.writable, where=request.where, since=request.since, express=request.express,
        notifies=request.notifies, surely=bool(written),
    )  # fmt: skip
