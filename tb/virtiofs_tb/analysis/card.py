"""The failure card: all that is needed to read the cause off one screen, made from a run's summary and its log.

runner.run_one writes it when a run has failed, also where the simulator was killed. Nothing here judges: the verdict is
the summary's.
"""

from __future__ import annotations

import csv
import io
import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import islice
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from rich.console import Console

from virtiofs_tb.analysis.difference import Difference
from virtiofs_tb.analysis.history import BOARDS, before
from virtiofs_tb.analysis.moment import Moment, moment_of, named_in
from virtiofs_tb.analysis.packets import describe
from virtiofs_tb.analysis.rings import RingSnapshot
from virtiofs_tb.analysis.rules import RULES
from virtiofs_tb.analysis.show import print_rings, us
from virtiofs_tb.analysis.source import AnalysisError, RunLog, open_run
from virtiofs_tb.analysis.story import DESCRIPTORS, HEAD_READ, INDEX_READ, OPEN, Story
from virtiofs_tb.host.log import DpuChannel, EngineReplyChannel, EngineRequestChannel, Kind, Record
from virtiofs_tb.paths import PROFILES, ROOT, RUNS, shown
from virtiofs_tb.profile import Profile, ProfileError, load
from virtiofs_tb.report import CARD_PAGE, CARD_TEXT, CONSOLE_FILE, MODEL, SUMMARY, FailureReport, Summary, microseconds

PACKETS_BEFORE, PACKETS_AFTER, PACKETS_NAMED = 8, 2, 4
EARLY = ("SPLIT-SUP-DX1", "PACK-DESC-D03")
"""The clauses of what was acted on before it was made available."""
RING_CHAINS, RING_USED = 4, 3
CONSOLE_SHOWN = 12
OPEN_SHOWN, OWED_SHOWN = 6, 6
WIDTH = 120
TEMPLATE = "card.html.j2"
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
LEAD_PS, WAVES_PS = 500_000, 5_000_000

WAVES = "again, with waves"

KINDS = {
    "check": "a check failed",
    "hang": "a hang: what was expected did not come",
    "crash": "a crash in the testbench, which says nothing about the endpoint",
    "lost": "the simulation ended without a verdict",
}


MESSAGES: dict[int, dict[int, str]] = {
    Kind.ENGINE_REQUEST: {
        EngineRequestChannel.REQUEST: "request to the engine",
        EngineRequestChannel.DONE: "mover job done",
        EngineRequestChannel.CONTROL: "reset to the engine",
    },
    Kind.ENGINE_REPLY: {
        EngineReplyChannel.JOB: "mover job of the engine",
        EngineReplyChannel.REPLY: "reply of the engine",
        EngineReplyChannel.NOTIFY: "notification of the engine",
    },
    Kind.DPU_OPERATION: {
        DpuChannel.NOTIFY: "message into the mailbox",
        DpuChannel.FS_REQUEST: "request of the DPU",
        DpuChannel.FS_REPLY: "reply to the DPU",
        DpuChannel.RETRIEVED: "NOTIFY_REPLY taken by the DPU",
    },
}
"""What a card tells besides packets: kind and channel of a record, and its name."""


@dataclass(frozen=True)
class Clause:
    """A row of spec/clauses.csv: what it asks, and of whom. board: the scoreboard that names it."""

    id: str
    text: str
    board: str = ""

    @property
    def rule(self) -> str:
        """What is held of it, where its text does not say that."""
        return RULES.get(f"{self.board} {self.id}", RULES.get(self.id, ""))


@dataclass
class Card:
    """What stands on a card, in the order of reading. Lines and cells are text as it is shown."""

    test: str
    seed: int
    failure: FailureReport
    kind: str
    step: str
    clause: Clause | None
    others: int
    difference: Difference | None = None
    owed: list[str] = field(default_factory=list)
    open: list[str] = field(default_factory=list)
    before: list[str] = field(default_factory=list)
    story_title: str = ""
    story: list[tuple[str, str, str, str, str]] = field(default_factory=list)
    ring: list[str] = field(default_factory=list)
    packets: list[tuple[str, str, str, str, str]] = field(default_factory=list)
    commands: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    console: list[str] = field(default_factory=list)  # of a guest

    @property
    def when(self) -> str:
        seq = f", seq {self.failure.seq}" if self.failure.seq >= 0 else ""
        step = f", in step {self.step}" if self.step else ""
        return f"{microseconds(self.failure.t_ps)}{seq}{step}"


@lru_cache(maxsize=1)
def clauses() -> dict[str, Clause]:
    """All clauses by id."""
    with (ROOT / "spec" / "clauses.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {row["id"]: Clause(row["id"], f"the {row['who']} {row['level']}: {row['what_holds']}") for row in rows}


def make_card(directory: Path, summary: Summary) -> Card:
    """The card of a failed run. A log that cannot be read leaves its parts out and is said."""
    failure = summary.failures[0] if summary.failures else _without_verdict(summary)
    # A failed check is often what the crash came from, and it comes first; but a crash is never out of sight.
    crash = next((f for f in summary.failures[1:] if f.kind == "crash"), None)
    step = summary.steps[-1].name if summary.steps else ""
    known = clauses().get(failure.clause) or Clause(failure.clause, "")
    clause = replace(known, board=failure.source) if failure.clause else None
    others = max(0, len(summary.failures) - 1)
    card = Card(summary.test, summary.seed, failure, KINDS.get(failure.kind, failure.kind), step, clause, others)
    if crash is not None:
        card.notes.append(f"the testbench crashed as well: {crash.line}")
    card.owed = _few(failure.owed, OWED_SHOWN)
    card.commands.append(_again(summary))
    card.console = last_lines(directory / CONSOLE_FILE, CONSOLE_SHOWN)
    try:
        run = open_run(str(directory))
    except AnalysisError as error:
        card.notes.append(f"nothing can be told of the log: {error}")
        return card
    if run.notice and failure.kind != "check":
        card.notes.append(run.notice)
    if failure.kind == "lost":
        failure.t_ps = run.end_ps
    _fill(card, summary, run, moment_of(run.records, failure, _profile(summary)))
    return card


def _fill(card: Card, summary: Summary, run: RunLog, moment: Moment) -> None:
    """Everything that the log tells."""
    failure = card.failure
    card.difference = moment.difference
    if moment.open != [moment.story]:
        card.open = _few([_stands(story) for story in moment.open], OPEN_SHOWN)
    card.step = card.step or _step(moment.records)
    if moment.story is not None:
        card.story_title = _title(moment.story)
        card.before = before(moment.stories, moment.story) if failure.source in BOARDS else []
        card.story = [
            (stage.name, us(stage.t_ps), us(added), str(stage.seq), stage.text)
            for stage, added in moment.story.latencies()
        ]
    head = moment.story.head if moment.story is not None else -1
    card.ring = _ring_lines([_trimmed(ring, head) for ring in moment.rings if ring.index == moment.queue], run)
    last = moment.records[-1].seq if moment.records else -1
    card.packets = _packets(run.records, last, moment, failure)
    card.notes += moment.notes
    name = shown(run.directory)
    card.commands[0] = _again(summary, _window(failure, moment.story, run.end_ps))
    if moment.story is not None and moment.story.unique:
        packets = f".venv/bin/virtiofs-tb show {name} --unique {moment.story.unique} --tlps"
        card.commands.append(("this request's packets", packets))
    at = min(failure.t_ps, run.end_ps)
    queue = f" --queue {moment.queue}" if moment.queue is not None and card.ring else ""
    if moment.rings:
        card.commands.append(("the virtqueues then", f".venv/bin/virtiofs-tb rings {name} --at {at}ps{queue}"))


def _without_verdict(summary: Summary) -> FailureReport:
    """For a run that was killed, or ended badly after all checks had passed."""
    text = summary.message.strip() or "no reason was given"
    return FailureReport("run", summary.sim_time_ps, text, kind="lost")


def _step(records: Sequence[Record]) -> str:
    """The scenario that was running, as the log has it."""
    notes = (record.payload.decode(errors="replace") for record in reversed(records) if record.kind == Kind.NOTE)
    return next((note.removeprefix("step ") for note in notes if note.startswith("step ")), "")


def _again(summary: Summary, window: tuple[int, int | None] | None = None) -> tuple[str, str]:
    """The command that runs the same again, with waves of `window` where that is known (ps; None: to the end)."""
    if summary.dut == MODEL:
        return "again", summary.rerun
    again = summary.rerun or f"make sim TEST={summary.test} SEED={summary.seed}"
    if not again.startswith(("make sim", "make waves")):
        return WAVES, again if "WAVES=1" in again else f"{again} WAVES=1"
    variables = [word for word in again.split()[2:] if not word.startswith(("WAVES=", "FROM=", "TO="))]
    if window is not None:
        begin, end = window
        variables += [f"FROM={_exact_us(begin)}", *([f"TO={_exact_us(end)}"] if end is not None else [])]
    return WAVES, " ".join(["make waves", *variables])


def _exact_us(t_ps: int) -> str:
    """Microseconds, rounded down to what a person would type."""
    return f"{t_ps // 1_000_000}.{t_ps // 1000 % 1000:03d}us"


def _window(failure: FailureReport, story: Story | None, end_ps: int) -> tuple[int, int | None]:
    """What to see of a failure: its story, or a while before it; of a hang no more than the last packet."""
    last = min(failure.t_ps, end_ps)
    begin = min(story.begin_ps if story is not None else last, last - WAVES_PS)
    return max(0, begin - LEAD_PS), min(failure.t_ps, last + WAVES_PS) if failure.kind == "hang" else None


def _profile(summary: Summary) -> Profile:
    """The run's profile where it is one of the project's, else the default: it only bounds what is read."""
    path = PROFILES / summary.profile
    try:
        return load(path) if summary.profile and path.is_file() else Profile()
    except ProfileError:
        return Profile()


def _few(lines: list[str], most: int) -> list[str]:
    return lines if len(lines) <= most else [*lines[:most], f"... and {len(lines) - most} more"]


def _title(story: Story) -> str:
    identity = f", unique {story.unique}, node {story.nodeid}" if story.unique else ""
    chain = f", head {story.head}" if story.head >= 0 else ""
    so_far = " so far" if story.state == OPEN else ""
    return f"{story.op} on queue {story.queue}{identity}{chain}: {story.result}, {us(story.took_ps)} us{so_far}"


def _stands(story: Story) -> str:
    """An open story: what it is, and since when it is at which stage."""
    last = max(story.stages, key=lambda stage: stage.end_seq, default=None)
    where = f"{last.name}, since {us(last.end_ps)} us" if last is not None else "published"
    identity = f" unique {story.unique}" if story.unique else ""
    chain = f" head {story.head}" if story.head >= 0 else ""
    return f"queue {story.queue} {story.op}{identity}{chain}: stands after {where}"


def _trimmed(ring: RingSnapshot, head: int) -> RingSnapshot:
    """The chain that matters first, few others; the newest used entries."""
    chains = sorted(ring.chains, key=lambda chain: chain.head != head)[:RING_CHAINS]
    chains = [
        replace(chain, descriptors=chain.descriptors[:3]) if chain.head == head else replace(chain, descriptors=[])
        for chain in chains
    ]
    return replace(ring, chains=chains, used=ring.used[-RING_USED:])


def _ring_lines(rings: list[RingSnapshot], run: RunLog) -> list[str]:
    buffer = io.StringIO()
    print_rings(Console(file=buffer, width=WIDTH), rings, replace(run, notice=""))
    return [line.rstrip() for line in buffer.getvalue().splitlines() if line.strip()]


def _packets(
    records: list[Record], last: int, moment: Moment, failure: FailureReport
) -> list[tuple[str, str, str, str, str]]:
    """Those that the failure names, the last before it and those right after it; a mark at its own."""
    before = ((record, text) for record in reversed(records) if record.seq <= last and (text := _told(record)))
    after = ((record, text) for record in records if record.seq > last and (text := _told(record)))
    latest = [*reversed([*islice(before, PACKETS_BEFORE)])]
    wanted = _wanted(moment, failure)
    first = latest[0][0].seq if latest else last
    earlier = [(r, text) for r in moment.records if r.seq in wanted and r.seq < first and (text := _told(r))]
    shown_ones = [*earlier[:PACKETS_NAMED], *latest, *islice(after, PACKETS_AFTER)]
    return [
        (
            ">" if record.seq == failure.seq else " ",
            us(record.t_ps),
            str(record.seq),
            text,
            moment.names.get(record.seq, ""),
        )
        for record, text in shown_ones
    ]


def _wanted(moment: Moment, failure: FailureReport) -> set[int]:
    """Records that a reader wants to see however long ago they were: those that are named, and too early reads."""
    wanted = set(named_in(failure))
    if failure.clause in EARLY and moment.story is not None:
        early = (INDEX_READ, HEAD_READ, DESCRIPTORS)
        wanted |= {stage.seq for stage in moment.story.stages if stage.name in early and stage.seq >= 0}
    return wanted


def _told(record: Record) -> str:
    """A packet or a message as the card shows it; '' for what it leaves out."""
    if record.kind == Kind.TLP:
        return describe(record)
    if record.kind in MESSAGES and record.channel in MESSAGES[record.kind]:
        return f"{MESSAGES[record.kind][record.channel]}  {len(record.payload)} bytes"
    return ""


def last_lines(console: Path, most: int) -> list[str]:
    """The end of what a guest printed, without terminal control; nothing where there is no guest."""
    if not console.is_file():
        return []
    with console.open("rb") as file:
        file.seek(max(0, console.stat().st_size - 400 * most))
        text = _CONTROL.sub("", file.read().decode(errors="replace"))
    return [line.rstrip() for line in text.splitlines() if line.strip()][-most:]


# ---- writing ----


def one_line(error: BaseException) -> str:
    """An exception's kind and text without line breaks."""
    return " ".join(f"{type(error).__name__}: {error}".split())


def summary_of(text: str) -> tuple[Path, Summary]:
    """The run in a directory, or in sim_build/runs/TEXT, with its summary.

    Raises AnalysisError where there is no such run, or where it is not finished.
    """
    directory = next((place for place in (Path(text), RUNS / text) if (place / SUMMARY).is_file()), None)
    if directory is None:
        known = Path(text).is_dir() or (RUNS / text).is_dir()
        raise AnalysisError(
            f"{text}: the run left no summary: it is under way, or it was killed" if known
            else f"{text}: neither a run's directory nor TEST-SEED below {shown(RUNS)}"
        )  # fmt: skip
    try:
        summary = Summary.read(directory)
    except (ValueError, KeyError, TypeError) as error:
        name = shown(directory / SUMMARY)
        raise AnalysisError(f"{name}: not a summary of this version ({one_line(error)})") from None
    assert summary is not None
    return directory, summary


def card_of(text: str) -> str:
    """The card of a run (summary_of), made anew from what it left. Raises AnalysisError where it passed."""
    directory, summary = summary_of(text)
    if summary.passed:
        raise AnalysisError(f"{text}: the run passed, there is no failure card")
    return as_text(make_card(directory, summary))


def write_card(directory: Path, summary: Summary) -> None:
    """card.txt and card.html in the run's directory."""
    card = make_card(directory, summary)
    (directory / CARD_TEXT).write_text(as_text(card))
    (directory / CARD_PAGE).write_text(as_page(card))


def as_page(card: Card) -> str:
    """One HTML file that needs no other."""
    loader = FileSystemLoader(Path(__file__).parent)
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    return environment.get_template(TEMPLATE).render(card=card)


def as_text(card: Card) -> str:
    """The same for a terminal."""
    failure = card.failure
    lines = [f"==== {card.test}, seed {card.seed}: {card.kind} ".ljust(WIDTH, "=")]
    lines += [f"{failure.source}: {failure.text}", f"  at        {card.when}"]
    lines += [f"  place     {failure.place}"] if failure.place else []
    lines += [f"  expected  {failure.expected}"] if failure.expected else []
    lines += [f"  seen      {failure.seen}"] if failure.seen else []
    if card.clause is not None:
        clause = f"  clause    {card.clause.id}: {card.clause.text}"
        lines += textwrap.wrap(clause, WIDTH, subsequent_indent=" " * 12, break_on_hyphens=False)
        if card.clause.rule:
            rule = f"  rule      {card.clause.rule}"
            lines += textwrap.wrap(rule, WIDTH, subsequent_indent=" " * 12, break_on_hyphens=False)
    lines += [f"  others    {card.others} more in summary.json"] if card.others else []
    lines += [f"  note      {note}" for note in card.notes]
    if card.difference is not None:
        lines.append(f"-- {card.difference.title}")
        for row in card.difference.rows:
            lines.append(f"  at {row.offset:<4} {row.name:<18} expected {row.expected}")
            lines.append(f"  {'':7} {'':<18} seen     {row.seen}")
        lines += [f"  ... and {card.difference.more} more places"] if card.difference.more else []
    lines += ["-- owed", *(f"  {line}" for line in card.owed)] if card.owed else []
    lines += ["-- not finished", *(f"  {line}" for line in card.open)] if card.open else []
    lines += ["-- used before it", *(f"  {line}" for line in card.before)] if card.before else []
    if card.story:
        lines.append(f"-- {card.story_title}")
        lines.append(f"  {'stage':<17} {'begin us':>10} {'added':>8} {'seq':>6}  what")
        for name, begin, added, seq, what in card.story:
            lines.append(f"  {name:<17} {begin:>10} {added:>8} {seq:>6}  {what}")
    lines += [f"-- {card.ring[0]}", *card.ring[1:]] if card.ring else []
    if card.packets:
        lines.append("-- last packets")
        width = max(len(row[3]) for row in card.packets) + 2
        lines += [f"{mark} {t_us:>10} {seq:>6}  {text:<{width}}{name}" for mark, t_us, seq, text, name in card.packets]
    lines += ["-- last lines of the guest's console", *(f"  {line}" for line in card.console)] if card.console else []
    lines.append("-- commands")
    lines += [f"  {what + ':':<24}{command}" for what, command in card.commands]
    return "\n".join(line.rstrip() for line in lines) + "\n"
