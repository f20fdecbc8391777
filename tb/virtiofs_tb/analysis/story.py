"""A story: one FUSE request or one notification, from the first sign of it to the last, stage by stage."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from statistics import quantiles
from typing import Any

from virtiofs_model.layouts.fuse_constants import NotifyCode, Opcode

DOORBELL = "doorbell"
INDEX_READ = "index read"
ENTRY_READ = "entry read"
HEAD_READ = "head read"
DESCRIPTORS = "descriptors"
GATHER = "gather"
ENGINE_REQUEST = "engine request"
MOVER_JOB = "mover job"
ENGINE_REPLY = "engine reply"
MESSAGE = "message"
BUFFER = "buffer"
SCATTER = "scatter"
USED_ENTRY = "used entry"
USED_INDEX = "used index"
USED_DESCRIPTOR = "used descriptor"
SUPPRESSION_READ = "suppression read"
INTERRUPT = "interrupt"
DRIVER = "driver completion"
REPOSTED = "reposted"

STAGES = (
    MESSAGE, DOORBELL, INDEX_READ, ENTRY_READ, HEAD_READ, DESCRIPTORS, BUFFER, GATHER, ENGINE_REQUEST, MOVER_JOB,
    ENGINE_REPLY, SCATTER, USED_ENTRY, USED_INDEX, USED_DESCRIPTOR, SUPPRESSION_READ, INTERRUPT, DRIVER, REPOSTED,
)  # fmt: skip
"""Names of all stages, in the order in which a story passes them. A packed ring has its head read and used descriptor
in the place of index, entry, used entry and used index."""

REQUEST, NOTIFICATION = "request", "notification"
DONE, OPEN, RESET, REFUSED = "done", "open", "reset", "refused"
"""How a story ended: its used index was written; not before the end of the log; a reset came first; the mailbox kept
nothing."""

RETURNED = "RETURNED"
"""In place of a notify code: a buffer that came back with used length 0."""

OP_NAMES = (*Opcode.__members__, *NotifyCode.__members__, RETURNED)


@dataclass(slots=True)
class Stage:
    """One step of a story, from the record at `seq` to the one at `end_seq` (the same where it is one record).

    packets: seq of every packet that belongs to it. begin and end are picoseconds.
    """

    name: str
    t_ps: int
    seq: int
    end_ps: int
    end_seq: int
    packets: list[int] = field(default_factory=list)
    text: str = ""


@dataclass(slots=True)
class Story:
    """One request or notification.

    number: counts stories in the order of their begin. op: name of the opcode or notify code. unique, nodeid: of the
    request's header (0 for a notification). head: first descriptor, in a packed
    ring buffer ID (-1: no chain). error: of the reply's header, a
    negative errno (None: no reply). end_ps: of the used index, of the reset that cut it off, or of the log.
    """

    number: int
    kind: str
    queue: int
    op: str
    unique: int
    nodeid: int
    head: int
    readable: int
    writable: int
    used_length: int | None
    error: int | None
    state: str
    begin_ps: int
    end_ps: int
    stages: list[Stage]

    @property
    def took_ps(self) -> int:
        return self.end_ps - self.begin_ps

    @property
    def packets(self) -> list[int]:
        """seq of all packets, each once, in order."""
        return sorted({seq for stage in self.stages for seq in stage.packets})

    @property
    def result(self) -> str:
        """How it went, in a word."""
        if self.state == OPEN:
            return f"open after {self.stages[-1].name}" if self.stages else OPEN
        if self.state != DONE:
            return self.state
        if self.error is None:
            return "no reply" if not self.used_length else "delivered"
        return errno.errorcode.get(-self.error, str(self.error)) if self.error else "ok"

    def stage(self, name: str) -> Stage | None:
        """The first stage of that name."""
        return next((stage for stage in self.stages if stage.name == name), None)

    @property
    def given_back(self) -> Stage | None:
        """Where the driver could see that it was used: the write of the used index, or of the used descriptor."""
        return self.stage(USED_INDEX) or self.stage(USED_DESCRIPTOR)

    def latencies(self) -> list[tuple[Stage, int]]:
        """Every stage with what it added, in ps: from when all stages before it had ended to its own end.

        A stage that ended while an earlier one went on adds nothing, so these numbers add up to the whole.
        """
        added = []
        reached = self.begin_ps
        for stage in self.stages:
            added.append((stage, max(0, stage.end_ps - reached)))
            reached = max(reached, stage.end_ps)
        return added

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Story:
        """The inverse of to_json."""
        return cls(**{**data, "stages": [Stage(**stage) for stage in data["stages"]]})


@dataclass(slots=True)
class Latency:
    """What one stage added to the stories that passed it, in ps."""

    stage: str
    count: int
    p50: int
    p90: int
    p99: int
    most: int


WHOLE = "first to used index"


def latencies(stories: Iterable[Story]) -> list[Latency]:
    """Percentiles for each stage, in the order of STAGES, and for whole stories that were finished."""
    by_stage: dict[str, list[int]] = {name: [] for name in (*STAGES, WHOLE)}
    for story in stories:
        for stage, added in story.latencies():
            by_stage[stage.name].append(added)
        if story.state == DONE:
            by_stage[WHOLE].append(story.took_ps)
    return [_latency(name, values) for name, values in by_stage.items() if values]


def _latency(name: str, values: Sequence[int]) -> Latency:
    if len(values) == 1:
        value = values[0]
        return Latency(name, 1, value, value, value, value)
    cuts = quantiles(values, n=100, method="inclusive")
    return Latency(name, len(values), round(cuts[49]), round(cuts[89]), round(cuts[98]), max(values))


def opcode_name(value: int) -> str:
    """Name of a FUSE opcode; its number where it has none."""
    return Opcode(value).name if value in Opcode.__members__.values() else f"opcode {value}"


def notify_name(value: int) -> str:
    """Name of a notify code; its number where it has none."""
    return NotifyCode(value).name if value in NotifyCode.__members__.values() else f"notify {value}"
