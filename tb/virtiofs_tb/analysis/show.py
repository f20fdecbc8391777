"""Which stories to show, and how they look on a terminal."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table
from rich.text import Text

from virtiofs_tb.analysis.packets import describe
from virtiofs_tb.analysis.rings import OpenChain, RingSnapshot
from virtiofs_tb.analysis.source import AnalysisError, RunLog
from virtiofs_tb.analysis.story import OP_NAMES, Story, latencies
from virtiofs_tb.host.log import Record

FILE_WIDTH, LEAST_WIDTH = 150, 110
"""Columns where the output is no terminal, and where it is a narrow one: lines that fold beat cells that are cut."""


@dataclass(frozen=True)
class Selection:
    """Which stories are wanted (None: all). begin_ps, end_ps: those with a part in this time; slowest: so many."""

    unique: int | None = None
    queue: int | None = None
    op: str | None = None
    begin_ps: int | None = None
    end_ps: int | None = None
    slowest: int | None = None

    def of(self, stories: Sequence[Story]) -> list[Story]:
        """Raises AnalysisError for a unique, queue or operation that there is not."""
        op = self._known_op()
        self._must_exist("--unique", self.unique, {story.unique for story in stories if story.unique})
        self._must_exist("--queue", self.queue, {story.queue for story in stories})
        begin = self.begin_ps or 0
        end = self.end_ps
        if end is not None and end < begin:
            raise AnalysisError("--to: earlier than --from")
        chosen = [
            story
            for story in stories
            if (self.unique is None or story.unique == self.unique)
            and (self.queue is None or story.queue == self.queue)
            and (op is None or story.op == op)
            and _last(story) >= begin
            and (end is None or story.begin_ps <= end)
        ]
        if self.slowest is not None:
            chosen = sorted(chosen, key=lambda story: -story.took_ps)[: self.slowest]
        return chosen

    def _known_op(self) -> str | None:
        if self.op is None:
            return None
        op = self.op.upper()
        if op not in OP_NAMES:
            near = difflib.get_close_matches(op, OP_NAMES, n=3, cutoff=0.4)
            hint = f"did you mean {' or '.join(near)}?" if near else "names are those of <linux/fuse.h>"
            raise AnalysisError(f"--op {self.op}: no such operation; {hint}")
        return op

    def _must_exist(self, option: str, wanted: int | None, known: set[int]) -> None:
        if wanted is not None and wanted not in known:
            few = sorted(known)[:8]
            hint = f"there are {', '.join(map(str, few))}{' ...' if len(known) > len(few) else ''}" if few else "none"
            raise AnalysisError(f"{option} {wanted}: no story has it; {hint}")


def _last(story: Story) -> int:
    return max([story.end_ps, *(stage.end_ps for stage in story.stages)])


def us(t_ps: int | None) -> str:
    """Microseconds without the unit."""
    return f"{t_ps / 1e6:,.3f}" if t_ps is not None else "never"


def wide(console: Console) -> Console:
    """The same console with room for the tables here."""
    terminal = console.is_terminal
    width = max(console.width, LEAST_WIDTH) if terminal else FILE_WIDTH
    return Console(file=console.file, width=width, force_terminal=terminal)


def _table(columns: Iterable[str], right: Iterable[str] = (), title: str | None = None) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", no_wrap=column != "what")
    return table


def print_chosen(console: Console, stories: Sequence[Story], run: RunLog, in_full: bool, packets: bool) -> None:
    """Stories one a line with the latencies of their stages, or each in full, with its packets where wanted."""
    console = _noticed(console, run)
    if in_full:
        by_seq = {record.seq: record for record in run.records} if packets else None
        for story in stories:
            print_story(console, story, by_seq)
        if not stories:
            console.print("no story matches")
        return
    print_stories(console, stories)
    if stories:
        console.print()
        print_latencies(console, stories)


def print_written(console: Console, stories: Sequence[Story], run: RunLog) -> None:
    """What an export holds."""
    _noticed(console, run).print(f"{len(stories)} stories written", highlight=False)


def _noticed(console: Console, run: RunLog) -> Console:
    console = wide(console)
    if run.notice:
        console.print(run.notice, highlight=False)
    return console


def print_stories(console: Console, stories: Sequence[Story]) -> None:
    """One line a story, times in microseconds."""
    columns = ("nr", "begin", "queue", "operation", "unique", "node", "result", "used", "took", "longest stage")
    table = _table(columns, ("nr", "begin", "queue", "unique", "node", "used", "took"))
    for story in stories:
        stage, added = max(story.latencies(), key=lambda pair: pair[1], default=(None, 0))
        table.add_row(
            str(story.number), us(story.begin_ps), str(story.queue), story.op,
            str(story.unique) if story.unique else "", str(story.nodeid) if story.nodeid else "", story.result,
            "" if story.used_length is None else str(story.used_length), us(story.took_ps),
            f"{stage.name} {us(added)}" if stage is not None else "",
        )  # fmt: skip
    console.print(table, markup=False) if stories else console.print("no story matches")


def print_latencies(console: Console, stories: Sequence[Story]) -> None:
    """What each stage added, in microseconds."""
    columns = ("stage", "stories", "p50", "p90", "p99", "most")
    table = _table(columns, columns[1:], "what each stage added, in us")
    for row in latencies(stories):
        table.add_row(row.stage, str(row.count), us(row.p50), us(row.p90), us(row.p99), us(row.most))
    console.print(table)


def print_story(console: Console, story: Story, packets: dict[int, Record] | None = None) -> None:
    """A story stage by stage. packets: records by seq, to print those that belong to it."""
    identity = f", unique {story.unique}, node {story.nodeid}" if story.unique else ""
    title = f"{story.number}: {story.op} on queue {story.queue}{identity}: {story.result}, {us(story.took_ps)} us"
    columns = ("stage", "begin", "end", "added", "seq", "what" if packets is not None else "packets", "what")
    table = _table(dict.fromkeys(columns), ("begin", "end", "added", "seq"), title)
    for stage, added in story.latencies():
        end = us(stage.end_ps) if stage.end_seq != stage.seq else ""
        row: list[str | Text] = [stage.name, us(stage.t_ps), end, us(added), str(stage.seq)]
        if packets is None:
            table.add_row(*row, _ranges(stage.packets), Text(stage.text))
            continue
        table.add_row(*row, Text(stage.text))
        for seq in stage.packets:
            record = packets[seq]
            table.add_row("", us(record.t_ps), "", "", str(seq), Text(describe(record), style="dim"))
    console.print(table)
    console.print()


def _ranges(numbers: Sequence[int]) -> str:
    """1 2 3 7 as 1-3 7; of many, the first and the last."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1][1:] = [number]
        else:
            runs.append([number])
    texts = ["-".join(map(str, run)) for run in runs]
    return " ".join(texts if len(texts) <= 4 else [*texts[:2], "...", texts[-1]])


def print_rings(console: Console, snapshots: Iterable[RingSnapshot], run: RunLog) -> None:
    """Each queue: what the device was shown, what it wrote, what is under way; times in microseconds."""
    console = _noticed(console, run)
    for ring in snapshots:
        lines = [
            f"queue {ring.index}{' (notifications)' if ring.notification else ''}: {_areas(ring)}",
            f"  last doorbell     {us(ring.doorbell_t)}",
            f"  {'next head        ' if ring.packed else 'available index  '} {ring.place(ring.avail_idx)}, "
            f"read {us(ring.avail_t)}",
            f"  {'next used        ' if ring.packed else 'used index       '} {ring.place(ring.used_idx)}, "
            f"{'one before ' if ring.packed else ''}written {us(ring.used_t)}",
            "  suppression word  "
            + (f"{ring.suppression[0]}, read {us(ring.suppression[1])}" if ring.suppression else "never read"),
        ]
        if ring.broken:
            lines.append(f"  broken            {ring.broken}")
        if ring.unread:
            lines.append(f"  entries not read  {_ranges(ring.unread)}")
        lines += [f"  read under way    {read}" for read in ring.reads]
        lines += [f"  written, no index slot {slot}: head {head}, length {size}" for slot, head, size in ring.written]
        console.print("\n".join(lines), markup=False, highlight=False, soft_wrap=True)
        _print_chains(console, ring)
        if ring.used:
            place, name = ("slot", "buffer") if ring.packed else ("index", "head")
            table = _table((place, name, "length", "used at"), (place, name, "length", "used at"))
            table.title = f"  newest used {'descriptors' if ring.packed else 'entries'}"
            for at, head, size, t_ps in ring.used:
                table.add_row(str(at), str(head), str(size), us(t_ps))
            console.print(table)
        console.print()


def _areas(ring: RingSnapshot) -> str:
    if ring.packed:
        return (
            f"{ring.size} descriptors, packed, at {ring.desc:#x}, driver event suppression {ring.driver:#x}, "
            f"device event suppression {ring.device:#x}"
        )
    return f"{ring.size} entries, descriptors {ring.desc:#x}, available {ring.driver:#x}, used {ring.device:#x}"


def _print_chains(console: Console, ring: RingSnapshot) -> None:
    if not ring.chains:
        console.print("  nothing in flight")
        return
    place, name = ("slot", "buffer") if ring.packed else ("entry", "head")
    table = _table((place, name, "operation", "unique", "got to", "since", "what"), (place, name, "since"))
    table.title = "  in flight"
    for chain in ring.chains:
        story = chain.story
        last = max(story.stages, key=lambda stage: stage.end_seq, default=None)
        table.add_row(
            str(chain.position), str(chain.head), "buffer" if ring.notification else story.op,
            str(story.unique) if story.unique else "", last.name if last else "published",
            us(last.end_ps) if last else "", Text(_shown(chain)),
        )  # fmt: skip
    console.print(table)


def _shown(chain: OpenChain) -> str:
    texts = [str(descriptor) for descriptor in chain.descriptors[:4]]
    if len(chain.descriptors) > 4:
        texts.append(f"... {len(chain.descriptors)} in all")
    if not chain.complete:
        texts.append("(not all read yet)")
    return "\n".join(texts)
