"""The files of an observation log: one pair, or where a run has no end, its beginning and the last ones.

A bounded log has parts. Part 0, `observation.log` and `observation.payload`, is the beginning of the run and stays.
The others, `observation.1.log` and so on, follow each other; the oldest of them go, as long as the rest holds at least
what is to be kept. Header of a log file, little-endian, 64 bytes: magic, version u32, record size u32, offset in the
run's whole arena at which this part's payload file begins u64, zeros.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import BinaryIO

MAGIC = b"VFSOBLOG"
VERSION = 1
RECORD_SIZE = 64
LOG_NAME = "observation.log"
PAYLOAD_NAME = "observation.payload"

_HEADER = struct.Struct("<8sIIQ40x")
_PART = re.compile(r"observation\.(\d+)\.log")
_SHARE = 8
"""A part is full with this share of what is to be kept."""
_U64 = (1 << 64) - 1


class LogError(Exception):
    """A file is no observation log, or one of another version."""


def _names(number: int) -> tuple[str, str]:
    return (f"observation.{number}.log", f"observation.{number}.payload") if number else (LOG_NAME, PAYLOAD_NAME)


class LogFiles:
    """Writes a log. bound: bytes to keep beside the beginning; 0: all."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.bound = 0
        self._directory = directory
        self._number = 0
        self._written = 0
        self._kept: list[tuple[int, int]] = []  # numbers and bytes of the parts behind the beginning
        self._log, self._payload = self._open(0, 0)

    def _open(self, number: int, base: int) -> tuple[FileIO, FileIO]:
        log_name, payload_name = _names(number)
        payload_file = (self._directory / payload_name).open("wb", buffering=0)
        log_file = (self._directory / log_name).open("wb", buffering=0)
        log_file.write(_HEADER.pack(MAGIC, VERSION, RECORD_SIZE, base & _U64))
        return log_file, payload_file

    def write(self, records: bytes, payload: bytes) -> None:
        """Append. Payload first: a killed run has no record without its payload."""
        self._payload.write(payload)
        self._log.write(records)
        self._written += len(records) + len(payload)

    @property
    def full(self) -> bool:
        """Whether it is time for another part."""
        return bool(self.bound) and self._written >= self.bound // _SHARE

    def begin_part(self, base: int, records: bytes, payload: bytes) -> None:
        """Another pair of files, which begins with these; its payload file begins at `base` of the whole arena."""
        self.close()
        if self._number:
            self._kept.append((self._number, self._written))
        while self._kept and sum(size for _, size in self._kept[1:]) >= self.bound:
            number, _ = self._kept.pop(0)
            for name in _names(number):
                (self._directory / name).unlink()
        self._number += 1
        self._written = 0
        self._log, self._payload = self._open(self._number, base)
        self.write(records, payload)

    def close(self) -> None:
        self._log.close()
        self._payload.close()


@dataclass(frozen=True)
class Part:
    """A pair of files of a log that exists. base: where its payload file begins in the whole arena."""

    directory: Path
    number: int
    base: int

    @contextmanager
    def open(self) -> Iterator[tuple[BinaryIO, BinaryIO]]:
        """Its log file behind the header, and its payload file."""
        log_name, payload_name = _names(self.number)
        with (self.directory / log_name).open("rb") as log_file, (self.directory / payload_name).open("rb") as payload:
            log_file.seek(_HEADER.size)
            yield log_file, payload

    def follows(self, other: Part) -> bool:
        """Whether nothing is missing between the two."""
        return self.number == other.number + 1


def parts(directory: Path) -> list[Part]:
    """The parts of a log in order, without those that a killed run had only begun. Raises LogError, OSError."""
    numbers = sorted(int(match[1]) for path in directory.iterdir() if (match := _PART.fullmatch(path.name)))
    found: list[Part] = []
    for number in (0, *numbers):
        path = directory / _names(number)[0]
        with path.open("rb") as log_file:
            header = log_file.read(_HEADER.size)
        if len(header) < _HEADER.size:
            continue
        magic, version, record_size, base = _HEADER.unpack(header)
        if magic != MAGIC:
            raise LogError(f"{path}: magic is {magic!r}, expected {MAGIC!r}")
        if (version, record_size) != (VERSION, RECORD_SIZE):
            raise LogError(
                f"{path}: version {version} with records of {record_size} bytes, "
                f"expected version {VERSION} with {RECORD_SIZE}"
            )
        found.append(Part(directory, number, base))
    return found


@dataclass(frozen=True)
class Size:
    """Of the files of a log. records: whole ones that can be read; rest: bytes behind the last; modified: in seconds
    since 1970."""

    records: int
    rest: int
    modified: int


def size_of(directory: Path) -> Size:
    """Raises LogError, OSError."""
    records = rest = 0
    modified = 0.0
    before: Part | None = None
    for part in parts(directory):
        status = (directory / _names(part.number)[0]).stat()
        records += status.st_size // RECORD_SIZE - 1
        records -= before is not None and part.follows(before)  # its snapshot is not needed
        rest = status.st_size % RECORD_SIZE
        modified, before = max(modified, status.st_mtime), part
    return Size(records, rest, int(modified))
