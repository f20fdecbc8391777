"""`virtiofs-tb show` and `rings`: what they print and write, and one clear line for what they cannot."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from tests.unit.recorded_runs import copied, record_run
from tests.unit.test_ftr import read_ftr
from virtiofs_tb import cli
from virtiofs_tb.analysis import show
from virtiofs_tb.analysis import story as names
from virtiofs_tb.analysis.export import LANES, PACKETS_PID, STORIES_PID, read_json_lines
from virtiofs_tb.analysis.rings import rings_at
from virtiofs_tb.analysis.source import AnalysisError, open_run
from virtiofs_tb.analysis.stories import tell
from virtiofs_tb.analysis.story import DONE, OPEN, REQUEST, Story
from virtiofs_tb.host.log import LOG_NAME, PAYLOAD_NAME, RECORD_SIZE, ObservationLog
from virtiofs_tb.report import SUMMARY


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return record_run(tmp_path_factory.mktemp("run") / "run", "session_browse", "every_notification_arrives")


@pytest.fixture(scope="module")
def stories(run: Path) -> list[Story]:
    return tell(open_run(str(run)).records)


def tool(*arguments: object, status: int = 0) -> str:
    """Run the command line tool; its output, or the line that it ends with."""
    done: Result = CliRunner().invoke(cli.cli, [str(argument) for argument in arguments], standalone_mode=False)
    if status:
        assert isinstance(done.exception, AnalysisError), done.exception
        line = str(done.exception)
        assert "\n" not in line
        return line
    assert done.exception is None, done.exception
    return done.output


def rows(output: str) -> list[str]:
    """Lines of the table of stories."""
    return re.findall(r"^ *\d+ +[\d,.]+ +\d+ +\S+ .*$", output.split("what each stage")[0], re.MULTILINE)


def last(story: Story) -> int:
    """When the last that belongs to a story happened."""
    return max(story.end_ps, *(stage.end_ps for stage in story.stages))


# ---- show ----


def test_show_prints_every_story_and_the_latencies(run: Path, stories: list[Story]) -> None:
    output = tool("show", run)
    assert len(rows(output)) == len(stories)
    table = output.split("what each stage added, in us")[1]
    for name in (names.DOORBELL, names.ENGINE_REPLY, names.SCATTER, names.INTERRUPT, names.MESSAGE, names.WHOLE):
        assert re.search(rf"^{name} +\d+( +[\d,.]+){{4}} *$", table, re.MULTILINE), name


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (("--op", "lookup"), lambda story: story.op == "LOOKUP"),
        (("--op", "INVAL_INODE"), lambda story: story.op == "INVAL_INODE"),
        (("--queue", "1"), lambda story: story.queue == 1),
        (
            ("--from", "50us", "--to", "0.06ms"),
            lambda story: story.begin_ps <= 60_000_000 and last(story) >= 50_000_000,
        ),
    ],
)
def test_show_selects(
    run: Path, stories: list[Story], options: tuple[str, ...], wanted: Callable[[Story], bool]
) -> None:
    output = tool("show", run, *options)
    shown = {int(row.split()[0]) for row in rows(output)}
    assert shown and shown == {story.number for story in stories if wanted(story)}


def test_the_slowest_come_first(run: Path, stories: list[Story]) -> None:
    shown = [int(row.split()[0]) for row in rows(tool("show", run, "--slowest", 10))]
    slowest = sorted(stories, key=lambda story: -story.took_ps)[:10]
    assert shown == [story.number for story in slowest]


def test_one_request_in_full(run: Path, stories: list[Story]) -> None:
    story = next(story for story in stories if story.op == "READ")
    output = tool("show", run, "--unique", story.unique)
    assert f"READ on queue {story.queue}, unique {story.unique}" in output
    for stage in story.stages:
        assert re.search(rf"^{stage.name} ", output, re.MULTILINE)
    assert " MWR " not in output
    packets = tool("show", run, "--unique", story.unique, "--tlps")
    again = [other for other in stories if other.unique == story.unique]
    lines = re.findall(r"^ +[\d,.]+ +\d+ +(cq|cc|rq|rc)  \w+  ", packets, re.MULTILINE)
    assert len(lines) == sum(len(stage.packets) for other in again for stage in other.stages)


def test_tables_are_whole_in_a_narrow_terminal(stories: list[Story]) -> None:
    file = io.StringIO()
    show.print_stories(show.wide(Console(file=file, width=60, force_terminal=True)), stories)
    assert "longest stage" in file.getvalue() and "\N{HORIZONTAL ELLIPSIS}" not in file.getvalue()


def test_nothing_matches(run: Path) -> None:
    assert "no story matches" in tool("show", run, "--op", "BMAP")
    assert "no story matches" in tool("show", run, "--op", "BMAP", "--tlps")


# ---- rings ----


def test_rings_follow_a_request(run: Path, stories: list[Story]) -> None:
    """At every stage of a request its queue shows exactly what the device had read and written by then."""
    log = open_run(str(run))
    story = next(story for story in stories if story.op == "READ" and story.state == DONE)
    for stage in story.stages:
        if stage.name not in (names.DESCRIPTORS, names.GATHER, names.ENGINE_REQUEST, names.USED_ENTRY):
            continue
        ring = rings_at(log.records, stage.end_ps, story.queue)[0]
        mine = [chain for chain in ring.chains if chain.story.begin_ps == story.begin_ps]
        assert [chain.head for chain in mine] == [story.head]
        assert mine[0].complete and mine[0].story.state == OPEN
        flags = [descriptor.flags for descriptor in mine[0].descriptors if not descriptor.flags & 4]
        lengths = [descriptor.length for descriptor in mine[0].descriptors if not descriptor.flags & 4]
        assert sum(n for n, flag in zip(lengths, flags, strict=True) if not flag & 2) == story.readable
        assert sum(n for n, flag in zip(lengths, flags, strict=True) if flag & 2) == story.writable
        assert (stage.name == names.USED_ENTRY) == any(head == story.head for _, head, _ in ring.written)
        before = ring
    used = story.stage(names.USED_INDEX)
    assert used is not None
    after = rings_at(log.records, used.t_ps, story.queue)[0]
    assert (after.used_idx - before.used_idx) & 0xFFFF == 1
    assert after.used[-1][1:3] == (story.head, story.used_length)
    assert not after.written


def test_rings_at_the_end(run: Path, stories: list[Story]) -> None:
    log = open_run(str(run))
    for ring in rings_at(log.records, log.end_ps):
        if not ring.notification:
            assert not ring.chains and not ring.reads and ring.avail_idx == ring.used_idx
        assert ring.suppression is None or ring.suppression[0].startswith("flags")
    output = tool("rings", run, "--at", f"{log.end_ps}ps")
    assert "queue 1 (notifications)" in output and "nothing in flight" in output and "newest used entries" in output
    some = tool("rings", run, "--at", f"{log.end_ps}ps", "--queue", "1")
    assert "queue 1 (notifications)" in some and "queue 0" not in some
    assert re.search(r"buffer +buffer +[\d,.]+ +\d+: 0x[0-9a-f]+ 4136 bytes write", some)


def test_rings_in_the_middle(run: Path, stories: list[Story]) -> None:
    story = next(story for story in stories if story.op == "LOOKUP" and story.kind == REQUEST)
    gather = story.stage(names.GATHER)
    assert gather is not None
    output = tool("rings", run, "--at", f"{gather.t_ps}ps", "--queue", story.queue)
    assert "in flight" in output and "read under way" in output and "readable part" in output


# ---- export ----


def test_json_lines_are_read_back(run: Path, stories: list[Story], tmp_path: Path) -> None:
    path = tmp_path / "stories.jsonl"
    assert tool("show", run, "--json", path) == f"{len(stories)} stories written\n"
    assert read_json_lines(path) == stories
    assert all(isinstance(json.loads(line), dict) for line in path.read_text().splitlines())


def trace(path: Path) -> list[dict[str, Any]]:
    document = json.loads(path.read_text())
    assert document["displayTimeUnit"] in ("ms", "ns")
    events: list[dict[str, Any]] = document["traceEvents"]
    return events


def test_the_trace_has_what_its_format_asks_for(run: Path, stories: list[Story], tmp_path: Path) -> None:
    """Trace Event Format: required fields of each phase; slices of one thread nest; flows end inside slices."""
    path = tmp_path / "trace.json"
    tool("show", run, "--perfetto", path)
    events = trace(path)
    slices: dict[tuple[int, int], list[tuple[int, int]]] = {}  # begin and end in ns, by thread
    for event in events:
        assert {"ph", "name", "pid", "tid", "ts"} <= event.keys()
        assert isinstance(event["ts"], (int, float)) and isinstance(event["name"], str)
        if event["ph"] == "X":
            assert event["dur"] >= 0
            place = slices.setdefault((event["pid"], event["tid"]), [])
            place.append((ns(event["ts"]), ns(event["ts"]) + ns(event["dur"])))
        elif event["ph"] == "M":
            assert event["name"] in ("process_name", "thread_name") and event["args"]["name"]
        elif event["ph"] == "i":
            assert event["s"] in ("g", "p", "t")
        else:
            assert event["ph"] in ("s", "f") and "id" in event and event["cat"]
    for (pid, _), spans in slices.items():
        if pid == STORIES_PID:
            assert_nested(spans)
    stages = [event for event in events if event["ph"] == "X" and event["cat"] == "stage"]
    for thread in {event["tid"] for event in stages}:
        spans = sorted((ns(event["ts"]), ns(event["dur"])) for event in stages if event["tid"] == thread)
        assert all(begin + length <= after for (begin, length), (after, _) in pairwise(spans))
        assert all(length for _, length in spans)
    for event in events:
        if event["ph"] in ("s", "f"):
            spans = slices[event["pid"], event["tid"]]
            assert any(begin <= ns(event["ts"]) <= end for begin, end in spans)


def ns(us: float) -> int:
    assert abs(us * 1000 - round(us * 1000)) < 1e-3
    return round(us * 1000)


def assert_nested(spans: list[tuple[int, int]]) -> None:
    """Two slices of a thread either do not overlap, or one holds the other."""
    open_: list[int] = []
    for begin, end in sorted(spans, key=lambda span: (span[0], -span[1])):
        while open_ and open_[-1] <= begin:
            open_.pop()
        assert not open_ or end <= open_[-1]
        open_.append(end)


def test_the_trace_tells_the_same_stories(run: Path, stories: list[Story], tmp_path: Path) -> None:
    path = tmp_path / "trace.json"
    tool("show", run, "--perfetto", path)
    events = trace(path)
    told = [event for event in events if event["ph"] == "X" and event["cat"] in (names.REQUEST, names.NOTIFICATION)]
    assert [event["args"]["number"] for event in told] == [story.number for story in stories]
    assert all(event["tid"] // LANES == event["args"]["queue"] for event in told)
    named = {(event["pid"], event["tid"]) for event in events if event["name"] == "thread_name"}
    assert {(event["pid"], event["tid"]) for event in events if event["ph"] == "X"} <= named
    flows: dict[int, list[dict[str, Any]]] = {}
    for event in events:
        if event["ph"] in ("s", "f"):
            flows.setdefault(event["id"], []).append(event)
    assert len(flows) == sum(len(stage.packets) for story in stories for stage in story.stages)
    for first, last in flows.values():
        assert (first["ph"], last["ph"]) == ("s", "f") and first["ts"] <= last["ts"]
        assert {first["pid"], last["pid"]} == {STORIES_PID, PACKETS_PID}
    assert "step session_browse" in [event["name"] for event in events if event["ph"] == "i"]


# ---- what cannot be told ----


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("show", "--op", "LOKUP"), "--op LOKUP: no such operation; did you mean LOOKUP"),
        (("show", "--op", "zzzzzzzz"), "names are those of"),
        (("show", "--queue", "77"), "--queue 77: no story has it; there are"),
        (("show", "--unique", "123456789"), "--unique 123456789: no story has it"),
        (("show", "--from", "1s"), "--from 1s: outside the run, which ends at"),
        (("show", "--to", "soon"), "--to soon: expected simulated time, such as 12.5us"),
        (("show", "--to", "5 parsec"), "expected simulated time"),
        (("show", "--from", "9us", "--to", "8us"), "--to: earlier than --from"),
        (("show", "--json", "missing/stories.jsonl"), "missing/stories.jsonl: No such file or directory"),
        (("show", "--ftr", "missing/stories.ftr"), "missing/stories.ftr: No such file or directory"),
        (("show", "--perfetto", "."), ".: Is a directory"),
        (("rings", "--at", "-5us"), "--at -5us: expected simulated time"),
        (("rings", "--at", "1s"), "--at 1s: outside the run, which ends at"),
        (("rings", "--at", "0"), "no virtqueue is enabled at 0.000 us"),
        (("rings", "--at", "100us", "--queue", "9"), "queue 9 is not enabled at 100.000 us; enabled are 0, 1"),
    ],
)
def test_usage_errors(run: Path, arguments: tuple[str, ...], expected: str) -> None:
    command, *options = arguments
    assert expected in tool(command, run, *options, status=2)


def test_a_directory_without_a_log(tmp_path: Path) -> None:
    assert "no observation.log in this directory" in tool("show", tmp_path, status=2)
    assert "neither a run's directory nor TEST-SEED" in tool("rings", "no-such-run-1", "--at", "1", status=2)


def test_a_log_of_another_version(run: Path, tmp_path: Path) -> None:
    directory = copied(run, tmp_path / "run")
    data = bytearray((directory / LOG_NAME).read_bytes())
    data[8] = 9
    (directory / LOG_NAME).write_bytes(data)
    assert "version 9 with records of 64 bytes, expected version 1" in tool("show", directory, status=2)
    data[:8] = b"NOTALOG!"
    (directory / LOG_NAME).write_bytes(data)
    assert "magic is" in tool("show", directory, status=2)


def test_a_log_without_payload_or_records(run: Path, tmp_path: Path) -> None:
    directory = copied(run, tmp_path / "run")
    (directory / PAYLOAD_NAME).unlink()
    assert "observation.payload is missing" in tool("show", directory, status=2)
    ObservationLog(tmp_path / "empty").close()
    assert "no whole record" in tool("show", tmp_path / "empty", status=2)
    (tmp_path / "empty" / LOG_NAME).write_bytes(b"")
    assert "no whole record" in tool("show", tmp_path / "empty", status=2)


def test_a_log_that_is_cut_off(run: Path, stories: list[Story], tmp_path: Path) -> None:
    """In the middle of a record, or of its payload: told up to the last whole record, with a word about it."""
    size = (run / LOG_NAME).stat().st_size
    for name, length in ((LOG_NAME, size // 2 // RECORD_SIZE * RECORD_SIZE + 17), (PAYLOAD_NAME, 20_001)):
        directory = copied(run, tmp_path / name)
        with (directory / name).open("r+b") as file:
            file.truncate(length)
        output = tool("show", directory)
        assert "the log is cut off: it is told up to its last whole record, number" in output
        assert 10 < len(rows(output)) < len(stories)


@pytest.mark.parametrize("option", ["--json", "--perfetto", "--ftr"])
def test_exports_of_a_log_that_is_cut_off(run: Path, option: str, tmp_path: Path) -> None:
    """They hold what is told up to the last whole record, and say that it is not all."""
    directory = copied(run, tmp_path / "run")
    with (directory / PAYLOAD_NAME).open("r+b") as file:
        file.truncate(20_001)
    path = tmp_path / "stories"
    lines = tool("show", directory, option, path).splitlines()
    assert lines[0].startswith("the log is cut off: it is told up to its last whole record, number")
    number = int(lines[1].removesuffix(" stories written"))
    told = {
        "--json": lambda: len(read_json_lines(path)),
        "--perfetto": lambda: sum(
            event["ph"] == "X" and event["cat"] in (names.REQUEST, names.NOTIFICATION) for event in trace(path)
        ),
        "--ftr": lambda: sum("number" in tx.attributes for tx in read_ftr(path.read_bytes()).transactions.values()),
    }
    assert told[option]() == number > 10


def test_every_command_takes_a_log_of_any_length(run: Path, tmp_path: Path) -> None:
    """Cut at any place, as a kill may: something is told, or one line says why not."""
    directory = copied(run, tmp_path / "run")
    whole = (run / LOG_NAME).read_bytes()
    for length in (1, 63, 64, 65, 64 + RECORD_SIZE, len(whole) // 3, len(whole) - 1):
        (directory / LOG_NAME).write_bytes(whole[:length])
        whole_records = max(length // RECORD_SIZE - 1, 0)
        for command in (("show",), ("show", "--ftr", tmp_path / "x"), ("rings", "--at", "0")):
            done = CliRunner().invoke(
                cli.cli, [*map(str, (command[0], directory, *command[1:]))], standalone_mode=False
            )
            if whole_records and command[0] == "show":
                assert done.exception is None, (length, command, done.exception)
            else:
                assert isinstance(done.exception, AnalysisError), (length, command, done.exception)
                assert "\n" not in str(done.exception)


def test_a_run_that_was_killed(run: Path, stories: list[Story], tmp_path: Path) -> None:
    directory = copied(run, tmp_path / "run")
    (directory / SUMMARY).unlink()
    size = (run / LOG_NAME).stat().st_size
    with (directory / LOG_NAME).open("r+b") as file:
        file.truncate(size // 3 // RECORD_SIZE * RECORD_SIZE)
    output = tool("show", directory)
    assert "the run left no summary: it is under way, or it was killed" in output
    assert rows(output)
    assert "the run left no summary" in tool("rings", directory, "--at", "40us")


def test_a_problem_is_status_2_and_no_traceback(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("sys.argv", ["virtiofs-tb", "show", str(tmp_path)])
    monkeypatch.setattr(cli, "RUNS", tmp_path / "runs")
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
