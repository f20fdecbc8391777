"""What is replayed, how a failure is told from another, and what can be made simpler besides leaving items out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from virtiofs_tb.catalogue import DEFAULT_ENGINE
from virtiofs_tb.report import FailureReport
from virtiofs_tb.sequences.random_ops import Action, RandomItem
from virtiofs_tb.sequences.recorded import Conditions, Stimulus

SMALL_QUEUE = 16
# Numbers, hex dumps and quoted bytes: they change when items are left out, and the check is the same.
_VALUES = re.compile(r"b'[^']*'|b\"[^\"]*\"|0x[0-9a-fA-F]+|\b[0-9a-f]{16,}\b|\d[\d,.]*")


@dataclass(frozen=True)
class Candidate:
    """A stimulus, the scenarios that run before it on the same endpoint, and who answers FUSE there."""

    stimulus: Stimulus
    before: tuple[str, ...] = ()
    engine: str = DEFAULT_ENGINE

    @property
    def items(self) -> tuple[RandomItem, ...]:
        """The stimulus's."""
        return self.stimulus.items

    def with_items(self, items: Iterable[RandomItem]) -> Candidate:
        """The same with other items."""
        return replace(self, stimulus=replace(self.stimulus, items=tuple(items)))

    def under(self, conditions: Conditions) -> Candidate:
        """The same under other conditions."""
        return replace(self, stimulus=replace(self.stimulus, conditions=conditions))

    @property
    def size(self) -> str:
        """How much it is, for a person."""
        files = len({*range(self.stimulus.conditions.files), *(item.worker for item in self.items)})
        parts = [f"items {len(self.items)}, files {files}" if files else "the mount alone, no items"]
        parts += [f"scenarios before {len(self.before)}"] if self.before else []
        return ", ".join(parts)


@dataclass(frozen=True)
class Way:
    """In which way a run failed: who says so, which clause, and which check, without its numbers."""

    kind: str
    source: str
    clause: str
    check: str

    @staticmethod
    def of(failure: FailureReport) -> Way:
        source = "step" if failure.source.startswith("step ") else failure.source
        check = _VALUES.sub("#", failure.text.split("\n", maxsplit=1)[0])
        return Way(failure.kind, source, failure.clause, " ".join(check.split()))

    def __str__(self) -> str:
        clause = f" [{self.clause}]" if self.clause else ""
        return f"{self.source}{clause}: {self.check}"


def simpler_conditions(conditions: Conditions) -> Iterator[Conditions]:
    """One step simpler in each dimension."""
    for files in sorted({0, conditions.files // 2, max(0, conditions.files - 1)} - {conditions.files}):
        yield replace(conditions, files=files)
    if conditions.notifications:
        yield replace(conditions, notifications=False)
    if conditions.request_queues is None:
        yield replace(conditions, request_queues=1)
    if conditions.indirect:
        yield replace(conditions, indirect=False)
    if conditions.queue_size is None:
        yield replace(conditions, queue_size=SMALL_QUEUE)


def simpler_items(item: RandomItem) -> Iterator[RandomItem]:
    """One step simpler in each dimension: what is done, by which worker, on which queue, in which buffers, where."""
    simplest = replace(item, action=Action.STATFS, worker=0, queue=0, whole=True, offset=0, size=1)
    for name in ("action", "worker", "queue", "whole", "offset", "size"):
        value = getattr(simplest, name)
        if getattr(item, name) != value:
            yield replace(item, **{name: value})
    if item.size > 2:
        yield replace(item, size=item.size // 2)
