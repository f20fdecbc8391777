"""The observation log: round trip, broken ends, raw batches, the hash."""

from __future__ import annotations

from pathlib import Path

import pytest

from virtiofs_model import tlp
from virtiofs_tb.host.log import (
    LOG_NAME,
    PAYLOAD_NAME,
    Channel,
    Kind,
    LogError,
    ObservationLog,
    Record,
    pack,
    read_log,
)


def fill(log: ObservationLog, count: int = 5) -> list[Record]:
    records = []
    for i in range(count):
        hdr, payload = tlp.encode(tlp.memory_write(0x1_2345_6000 + 16 * i, bytes([i]) * (4 * i + 3), 0x0100, i))
        records.append(log.append_tlp(1000 * i, Channel.RQ, hdr, payload))
    records.append(log.append(9000, Kind.NOTE, payload="café".encode()))
    return records


def test_round_trip(tmp_path: Path) -> None:
    log = ObservationLog(tmp_path)
    records = fill(log)
    log.close()
    assert list(read_log(tmp_path)) == records
    assert [record.seq for record in records] == [1, 2, 3, 4, 5, 6]
    assert (tmp_path / LOG_NAME).stat().st_size == 64 * 7


def test_record_is_64_bytes_with_the_fields_in_place() -> None:
    record = Record(0x0102, 3, 4, 6, Kind.TLP, 2, 7, 0x8F, 1, 0x55, (10, 11, 12, 13), b"abcdef")
    raw = pack(record, 0x99)
    assert len(raw) == 64
    assert raw[0:8] == (0x0102).to_bytes(8, "little") and raw[24:32] == (0x99).to_bytes(8, "little")
    assert raw[32:36] == (6).to_bytes(4, "little") and raw[36:40] == bytes([1, 2, 7, 0x8F])
    assert raw[40:44] == bytes([1, 0, 0x55, 0]) and raw[44:48] == bytes([10, 0, 0, 0]) and raw[60:] == bytes(4)


def test_fields_follow_from_the_header() -> None:
    log = ObservationLog()
    hdr, payload = tlp.encode(tlp.memory_read(0x9_0000_0006, 7, 0x0102, 0x33))
    read = log.append_tlp(0, Channel.RQ, hdr, payload)
    assert (read.address, read.be, read.function, read.tag, read.length) == (0x9_0000_0004, 0x1C, 2, 0x33, 0)
    request = tlp.memory_read(0x1006, 4, 0x0102, 0x34)
    hdr, payload = tlp.encode(tlp.completion(request, 0x0001, None, 1))
    failed = log.append_tlp(0, Channel.RC, hdr, payload)
    assert (failed.status, failed.tag, failed.function) == (1, 0x34, 2)
    poisoned = tlp.completion(request, 0x0001, bytes(8))
    poisoned.ep = True
    hdr, payload = tlp.encode(poisoned)
    assert log.append_tlp(0, Channel.RC, hdr, payload).status == 0x80
    hdr, payload = tlp.encode(tlp.config_write(0x0103, 0x46, 2, 0xABCD, 0, 9))
    config = log.append_tlp(0, Channel.CQ, hdr, payload)
    assert (config.address, config.be, config.function, config.payload) == (0x44, 0xC, 3, b"\0\0\xcd\xab")


@pytest.mark.parametrize("lost", [1, 63, 64, 65, 200])
def test_killed_run_is_readable_up_to_the_last_whole_record(tmp_path: Path, lost: int) -> None:
    log = ObservationLog(tmp_path)
    records = fill(log)
    log.close()
    path = tmp_path / LOG_NAME
    path.write_bytes(path.read_bytes()[:-lost])
    assert list(read_log(tmp_path)) == records[: (6 * 64 - lost) // 64]


def test_lost_payload_ends_the_log(tmp_path: Path) -> None:
    log = ObservationLog(tmp_path)
    records = fill(log)
    log.close()
    path = tmp_path / PAYLOAD_NAME
    path.write_bytes(path.read_bytes()[:-1])
    assert list(read_log(tmp_path)) == records[:-1]


def test_foreign_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / LOG_NAME).write_bytes(b"something else entirely".ljust(64))
    (tmp_path / PAYLOAD_NAME).write_bytes(b"")
    with pytest.raises(LogError, match="magic"):
        list(read_log(tmp_path))


def test_raw_batches_among_own_records(tmp_path: Path) -> None:
    reference = ObservationLog()
    expected = [*fill(reference), *fill(reference)]
    log = ObservationLog(tmp_path)
    arena = b"".join(record.payload for record in expected[6:])
    fill(log)
    offset, raw = log.payload_end, b""
    for record in expected[6:]:
        raw += pack(record, offset)
        offset += record.length
    assert log.append_raw(raw, arena) == expected[6:]
    assert log.trace_hash() == reference.trace_hash()
    log.close()
    assert list(read_log(tmp_path)) == expected


def test_hash_depends_on_content_only(tmp_path: Path) -> None:
    silent, flushed, other = ObservationLog(), ObservationLog(tmp_path), ObservationLog()
    flushed.flush()
    for log in (silent, flushed):
        fill(log, 3)
        if log is flushed:
            log.flush()
        fill(log, 200)
    fill(other, 203)
    assert silent.trace_hash() == flushed.trace_hash() != other.trace_hash()
    flushed.close()


def test_subscribers_get_batches_in_order() -> None:
    log = ObservationLog()
    seen: list[int] = []
    sizes: list[int] = []

    def take(batch: list[Record]) -> None:
        seen.extend(record.seq for record in batch)
        sizes.append(len(batch))

    log.subscribe(take)
    for _ in range(100):
        fill(log)
    log.flush()
    assert seen == list(range(1, 601))
    assert len(sizes) <= 3


def test_sequence_of_another_part() -> None:
    counter = iter(range(500, 600))
    log = ObservationLog(next_seq=lambda: next(counter))
    assert log.append(0, Kind.NOTE).seq == 500
    assert log.append(0, Kind.NOTE, seq=77).seq == 77
