"""What the DPU gets of a driver's answer to RETRIEVE (docs/notifications.md, "Data that the DPU asks for")."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from virtiofs_model.layouts.dpu import RETRIEVED_BYTES, RETRIEVED_BYTES_MIN
from virtiofs_model.layouts.fuse_constants import Opcode
from virtiofs_model.layouts.fuse_operations import IN_HEADER_SIZE

_NOTIFY_REPLY = Opcode.NOTIFY_REPLY.to_bytes(4, "little")


@dataclass(frozen=True)
class Answer:
    """A NOTIFY_REPLY that was used, or the bytes of one that the DPU took."""

    data: bytes
    begin: int
    end: int
    t_ps: int


def is_answer(message: bytes, length: int, session: bool) -> bool:
    """Whether a request is one that is kept if none is."""
    fits = length >= RETRIEVED_BYTES_MIN and int.from_bytes(message[:4], "little") == length
    return session and fits and message[4:8] == _NOTIFY_REPLY and len(message) >= IN_HEADER_SIZE


class RetrievedLedger:
    """Answers that came, and those that were taken. The first that came since the last one was taken is kept."""

    def __init__(self) -> None:
        self._came: list[Answer] = []
        self._taken: list[Answer] = []
        self._since = 0  # the last one that was judged was taken by then
        self.matched = 0

    def came(self, message: bytes, begin: int, end: int, t_ps: int) -> None:
        """A NOTIFY_REPLY of a driver was used; its first byte was read at `begin`."""
        self._came.append(Answer(message[:RETRIEVED_BYTES], begin, end, t_ps))

    def taken(self, data: bytes, t_ps: int, seq: int) -> None:
        """The DPU took this."""
        self._taken.append(Answer(data, 0, seq, t_ps))

    def judge(self, final: bool) -> Iterator[tuple[Answer, str, str]]:
        """What is wrong with those that were taken. final: nothing will come any more; until then one that nobody sent
        may be one that is not used yet."""
        while self._taken:
            taken = self._taken[0]
            fits = [one for one in self._came if one.data == taken.data and one.begin < taken.end]
            if not fits and not final:
                return
            self._taken.pop(0)
            kept = fits[0] if fits else None
            first = next((one for one in self._came if one.begin > self._since and one.end < taken.end), None)
            if kept is None:
                data = first.data if first is not None else b""
                yield (
                    taken,
                    f"the first {RETRIEVED_BYTES} bytes of a NOTIFY_REPLY ({len(data)} bytes)",
                    (f"{len(taken.data)} bytes that none has"),
                )
                continue
            if first is not None and first.end < kept.begin:
                yield (
                    taken,
                    f"the NOTIFY_REPLY used at seq {first.end}, which came first",
                    (f"the one that was used at seq {kept.end}"),
                )
            self.matched += 1
            self._came = [one for one in self._came if one is not kept and one.end > kept.end]
            self._since = taken.end
