"""Stories as an FTR file: read back with a CBOR reader by the grammar that LWTR4SC's ftr_writer.h gives.

Readers of the format are stricter than CBOR is (which arrays have a length, which order chunks have, what stands in
the dictionary before it is used), so this reader checks what ftr_parser and SCViewer rely on.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cbor2 import CBORTag, loads
from click.testing import CliRunner

from tests.unit.recorded_runs import record_run
from virtiofs_tb import cli
from virtiofs_tb.analysis.export_ftr import generator_name, record_stories
from virtiofs_tb.analysis.ftr import BLOCK, Recording
from virtiofs_tb.analysis.packets import describe
from virtiofs_tb.analysis.source import AnalysisError, RunLog, open_run
from virtiofs_tb.analysis.stories import tell
from virtiofs_tb.analysis.story import NOTIFICATION, REPOSTED, REQUEST, Stage, Story
from virtiofs_tb.driver.notes import parse_took
from virtiofs_tb.host.log import Channel, Kind

CREATED = 1_700_000_000
BOOLEAN, INTEGER, UNSIGNED, STRING = 0, 2, 3, 10  # data_type of ftr_writer.h
RANGES = {BOOLEAN: range(2), INTEGER: range(-(1 << 63), 1 << 63), UNSIGNED: range(1 << 64)}


class NotFtr(AssertionError):
    pass


def need(holds: bool, what: str) -> None:
    if not holds:
        raise NotFtr(what)


@dataclass
class Tx:
    number: int
    generator: int
    begin: int
    end: int
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass
class Ftr:
    """A file, read."""

    scale: int = 0
    created: datetime.datetime | None = None
    texts: dict[int, str] = field(default_factory=dict)
    streams: dict[int, tuple[str, str]] = field(default_factory=dict)
    generators: dict[int, tuple[str, int]] = field(default_factory=dict)
    transactions: dict[int, Tx] = field(default_factory=dict)
    relations: list[tuple[str, int, int]] = field(default_factory=list)

    def of(self, generator: str) -> list[Tx]:
        number = next(number for number, (name, _) in self.generators.items() if name == generator)
        return [tx for tx in self.transactions.values() if tx.generator == number]

    def sinks(self, name: str, source: int) -> list[Tx]:
        return [self.transactions[sink] for found, start, sink in self.relations if (found, start) == (name, source)]


def unbounded(data: bytes) -> list[Any]:
    need(data[:1] == b"\x9f" and data[-1:] == b"\xff", "an array that has a length")
    items = loads(data)
    need(isinstance(items, list), "no array")
    return list(items)


def read_ftr(data: bytes) -> Ftr:
    need(data[:3] == b"\xd9\xd9\xf7", "it does not describe itself as CBOR")
    file = Ftr()
    seen = []
    for chunk in unbounded(data[3:]):
        need(isinstance(chunk, CBORTag) and chunk.tag in READERS, f"chunk {chunk}")
        READERS[chunk.tag](file, chunk.value)
        seen.append(chunk.tag)
    need(seen == sorted(seen) and seen[:3] == [6, 8, 10], f"order of chunks {seen}")
    return file


def read_info(file: Ftr, data: bytes) -> None:
    file.scale, file.created = loads(data)  # tag 1 comes back as a moment


def read_dictionary(file: Ftr, data: bytes) -> None:
    need(data[0] >> 5 == 5 and data[0] != 0xBF, "a dictionary without a length")
    for number, text in loads(data).items():
        need(number == len(file.texts) and isinstance(text, str), f"text {number}: {text}")
        file.texts[number] = text


def read_directory(file: Ftr, data: bytes) -> None:
    for entry in unbounded(data):
        number, name, third = entry.value
        need(number > 0 and number not in {*file.streams, *file.generators}, f"number {number} again")
        if entry.tag == 16:
            file.streams[number] = file.texts[name], file.texts[third]
        else:
            need(entry.tag == 17 and third in file.streams, f"{entry}")
            file.generators[number] = file.texts[name], third


def read_transactions(file: Ftr, value: list[Any]) -> None:
    stream, first, last, data = value
    before = 0
    read = []
    for parts in unbounded(data):
        need(parts[0].tag == 6 and len(parts[0].value) == 4, f"{parts[0]}")
        tx = Tx(*parts[0].value)
        need(file.generators[tx.generator][1] == stream, f"{tx}: of another stream")
        need(tx.number not in file.transactions, f"{tx}: again")
        need(before <= tx.begin < tx.end, f"{tx}: not in order of begin, or without width")
        before = tx.begin
        for part in parts[1:]:
            need(part.tag in (7, 9), f"{part}")
            name, kind, content = part.value
            tx.attributes[file.texts[name]] = read_value(file, kind, content)
        file.transactions[tx.number] = tx
        read.append(tx)
    need((first, last) == (read[0].begin, max(tx.end for tx in read)), "the time that a chunk covers")


def read_value(file: Ftr, kind: int, content: Any) -> Any:
    if kind == STRING:
        return file.texts[content]
    need(kind in RANGES and type(content) is (bool if kind == BOOLEAN else int), f"{content} of type {kind}")
    need(content in RANGES[kind], f"{content} of type {kind}")
    return content


def read_relations(file: Ftr, data: bytes) -> None:
    stream_of = {number: file.generators[tx.generator][1] for number, tx in file.transactions.items()}
    for name, source, sink, from_stream, to_stream in unbounded(data):
        need((stream_of[source], stream_of[sink]) == (from_stream, to_stream), f"streams of {source} to {sink}")
        file.relations.append((file.texts[name], source, sink))


READERS: dict[int, Callable[[Ftr, Any], None]] = {
    6: read_info, 8: read_dictionary, 10: read_directory, 12: read_transactions, 14: read_relations,
}  # fmt: skip


# ---- the writer ----


def small() -> Recording:
    recording = Recording()
    stream = recording.stream("a", "b")
    generator = recording.generator(stream, "c")
    late = recording.transaction(generator, 7, 9, {"what": "text", "left out": None}, {"yes": True, "error": -2})
    early = recording.transaction(generator, 3, 1 << 40, {"unique": (1 << 64) - 1})
    recording.relation("after", early, late)
    return recording


def test_what_is_written_is_read() -> None:
    file = read_ftr(small().encode(CREATED))
    assert file.scale == -9
    assert file.created == datetime.datetime.fromtimestamp(CREATED, datetime.timezone.utc)
    assert list(file.streams.values()) == [("a", "b")] and list(file.generators.values()) == [("c", 1)]
    assert list(file.transactions.values()) == [
        Tx(2, 2, 3, 1 << 40, {"unique": (1 << 64) - 1}),
        Tx(1, 2, 7, 9, {"what": "text", "yes": True, "error": -2}),
    ]
    assert file.relations == [("after", 2, 1)]


def test_bytes_of_the_format() -> None:
    """A file by hand, from the grammar in ftr_writer.h: 0xc0 is a tag, 0x80 an array, 0x40 bytes, 0x60 a text."""
    recording = Recording()
    recording.transaction(recording.generator(recording.stream("s", "k"), "g"), 1, 2)
    assert recording.encode(1) == b"".join(
        (
            b"\xd9\xd9\xf7\x9f",
            b"\xc6\x44\x82\x28\xc1\x01",  # info: [-9, 1(1)]
            b"\xc8\x4c\xa4\x00\x60\x01\x61s\x02\x61k\x03\x61g",  # dictionary
            b"\xca\x4c\x9f\xd0\x83\x01\x01\x02\xd1\x83\x02\x03\x01\xff",  # 16([1, "s", "k"]), 17([2, "g", 1])
            b"\xcc\x84\x01\x01\x02\x49\x9f\x81\xc6\x84\x01\x02\x01\x02\xff",  # [1, 1, 2, [6([1, 2, 1, 2])]]
            b"\xff",
        )
    )


def test_many_transactions_are_cut_into_chunks() -> None:
    recording = Recording()
    generator = recording.generator(recording.stream("s", ""), "g")
    for moment in range(2 * BLOCK + 1, 0, -1):
        recording.transaction(generator, moment, moment + 5)
    data = recording.encode(0)
    assert len([chunk for chunk in unbounded(data[3:]) if chunk.tag == 12]) == 3
    assert [tx.begin for tx in read_ftr(data).transactions.values()] == [*range(1, 2 * BLOCK + 2)]


@pytest.mark.parametrize("seed", range(3))
def test_a_damaged_file_is_not_taken_for_one(seed: int) -> None:
    """The reader above can fail: nearly every change of a byte outside the texts is noticed."""
    data = small().encode(CREATED)
    unnoticed = []
    for at in range(len(data)):
        damaged = bytearray(data)
        damaged[at] ^= 1 << (seed * 3 % 8)
        try:
            if read_ftr(bytes(damaged)) == read_ftr(data):
                unnoticed.append(at)
        except Exception:  # whatever the CBOR reader says to it
            continue
    assert not unnoticed


# ---- stories ----


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunLog:
    directory = record_run(tmp_path_factory.mktemp("run") / "run", "session_browse", "every_notification_arrives")
    return open_run(str(directory))


@pytest.fixture(scope="module")
def stories(run: RunLog) -> list[Story]:
    return tell(run.records)


@pytest.fixture(scope="module")
def file(run: RunLog, tmp_path_factory: pytest.TempPathFactory) -> Ftr:
    path = tmp_path_factory.mktemp("ftr") / "stories.ftr"
    done = CliRunner().invoke(cli.cli, ["show", str(run.directory), "--ftr", str(path)], standalone_mode=False)
    assert done.exception is None, done.exception
    assert "stories written" in done.output
    return read_ftr(path.read_bytes())


def whole(story: Story) -> tuple[int, int]:
    ends = [stage.end_ps for stage in story.stages if stage.name != REPOSTED]
    return times(story.begin_ps, max([story.begin_ps, *ends]))


def times(begin_ps: int, end_ps: int) -> tuple[int, int]:
    return begin_ps // 1000, max(end_ps // 1000, begin_ps // 1000 + 1)


def test_a_stream_for_each_queue(file: Ftr, stories: list[Story]) -> None:
    queues = sorted({story.queue for story in stories})
    assert list(file.streams.values()) == [
        *((f"queue_{queue}", "virtqueue") for queue in queues), ("packets", "PCI Express"), ("run", "notes"),
    ]  # fmt: skip
    names = [name for name, _ in file.generators.values()]
    assert len(names) == len(set(names)) and not any(" " in name for name in names)
    assert {"q1_notification", "q2_request", "q2_chain", "q2_doorbell", "q2_used_index", "rq", "note"} <= set(names)


def test_every_story_is_a_transaction(file: Ftr, stories: list[Story]) -> None:
    for queue, kind in {(story.queue, story.kind) for story in stories}:
        mine = {story.number: story for story in stories if (story.queue, story.kind) == (queue, kind)}
        told = {tx.attributes["number"]: tx for tx in file.of(f"q{queue}_{kind}")}
        assert told.keys() == mine.keys()
        for number, tx in told.items():
            story = mine[number]
            assert (tx.begin, tx.end) == whole(story)
            assert tx.attributes["op"] == story.op and tx.attributes["result"] == story.result
            assert tx.attributes.get("unique", 0) == story.unique
            assert tx.attributes.get("error") == story.error


def test_from_story_to_chain_to_stage_to_packet(file: Ftr, stories: list[Story], run: RunLog) -> None:
    by_seq = {record.seq: record for record in run.records}
    assert {story.kind for story in stories} == {REQUEST, NOTIFICATION}
    found = 0
    for story in stories:
        tx = next(tx for tx in file.of(f"q{story.queue}_{story.kind}") if tx.attributes["number"] == story.number)
        if story.head >= 0:
            (tx,) = file.sinks("chain", tx.number)
            assert file.generators[tx.generator][0] == f"q{story.queue}_chain"
            assert tx.attributes["head"] == story.head and tx.attributes["writable"] == story.writable
            assert tx.attributes.get("used length") == story.used_length
        parts = file.sinks("stage", tx.number)
        assert [(part.begin, part.end) for part in parts] == [times(s.t_ps, s.end_ps) for s in story.stages]
        for part, stage in zip(parts, story.stages, strict=True):
            assert file.generators[part.generator][0] == generator_name(story.queue, stage.name)
            assert part.attributes.get("what", "") == stage.text
            packets = file.sinks("packet", part.number)
            assert [packet.attributes["seq"] for packet in packets] == stage.packets
            for packet in packets:
                record = by_seq[packet.attributes["seq"]]
                assert packet.attributes["what"] == describe(record) and packet.begin == record.t_ps // 1000
                assert file.generators[packet.generator][0] == Channel(record.channel).name.lower()
                found += 1
    assert found > 500


def test_notes_of_the_run(file: Ftr, run: RunLog) -> None:
    notes = [record.payload.decode() for record in run.records if record.kind == Kind.NOTE]
    steps = [note for note in notes if parse_took(note) is None]
    assert [tx.attributes["what"] for tx in file.of("note")] == steps
    assert "step session_browse" in steps and len(steps) < len(notes)


def test_the_same_log_is_the_same_file(run: RunLog, tmp_path: Path) -> None:
    for name in ("a", "b"):
        arguments = ["show", str(run.directory), "--queue", "1", "--ftr", str(tmp_path / name)]
        CliRunner().invoke(cli.cli, arguments, standalone_mode=False)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert "q2_request" not in {name for name, _ in read_ftr((tmp_path / "a").read_bytes()).generators.values()}


def test_no_story_and_a_story_without_anything(tmp_path: Path) -> None:
    """A message that found no buffer, and a chain of which nothing is known."""
    assert not read_ftr(record_stories([], []).encode(0)).transactions
    message = Story(1, NOTIFICATION, 1, "?", 0, 0, -1, 0, 0, None, None, "open", 5, 9, [Stage("message", 5, 1, 5, 1)])
    bare = Story(2, REQUEST, 2, "?", 0, 0, 4, 0, 0, None, None, "open", 6, 9, [])
    file = read_ftr(record_stories([message, bare], []).encode(0))
    assert [name for name, _, _ in file.relations] == ["stage", "chain"]


def test_a_file_that_cannot_be_written(run: RunLog, tmp_path: Path) -> None:
    arguments = ["show", str(run.directory), "--ftr", str(tmp_path / "none" / "x.ftr")]
    done = CliRunner().invoke(cli.cli, arguments, standalone_mode=False)
    assert isinstance(done.exception, AnalysisError)
    assert str(done.exception) == f"{tmp_path / 'none' / 'x.ftr'}: No such file or directory"
