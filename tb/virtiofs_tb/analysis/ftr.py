"""Files of transactions in the Fast Transaction Recording format (FTR), which Surfer and SCViewer read.

The format is defined by its first writer, LWTR4SC (github.com/Minres/LWTR4SC, src/ftr/ftr_writer.h): one CBOR array
without a length, of chunks that are byte strings with a tag. Every text stands once in a dictionary. The CBOR is left
to cbor2, which has its own releases and tests for all of RFC 8949; only the arrays without a length, which readers of
FTR insist on and which cbor2 writes for all containers or for none, are framed here.

Chunks are written uncompressed: readers take both, and Surfer in a browser takes only these.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, TypeAlias

from cbor2 import CBORTag, dumps

SELF_DESCRIBED = b"\xd9\xd9\xf7"
_ARRAY, _BREAK = b"\x9f", b"\xff"

NANOSECONDS = -9
"""Time scale: the unit of all times, as an exponent of ten, in seconds.

Not picoseconds: the reader in Surfer (the crate ftr_parser, 0.1 to 0.3) takes -12, which LWTR4SC writes for them, for
nanoseconds. It knows no -9, and shows plain numbers, which is true.
"""

BLOCK = 256
"""So many transactions of a stream stand in one chunk, which tells the time that it covers."""


class Chunk(IntEnum):
    """Tags of chunks that are not compressed."""

    INFO = 6
    DICTIONARY = 8
    DIRECTORY = 10
    TRANSACTIONS = 12
    RELATIONS = 14


class Entry(IntEnum):
    """Tags inside the directory."""

    STREAM = 16
    GENERATOR = 17


class Part(IntEnum):
    """Tags inside a transaction: its times, and attributes known at its begin and at its end."""

    EVENT = 6
    BEGIN = 7
    END = 9


class DataType(IntEnum):
    """Those types of attributes that are used here. The value of a string is its number in the dictionary."""

    BOOLEAN = 0
    INTEGER = 2
    UNSIGNED = 3
    STRING = 10


EPOCH_TAG = 1
"""RFC 8949, 3.4.2: seconds since 1970."""

Value: TypeAlias = "int | str | bool | None"
Attributes: TypeAlias = Mapping[str, Value]


@dataclass(slots=True)
class Transaction:
    """Of a generator, from begin_ns to end_ns. What has the value None is left out."""

    number: int
    generator: int
    stream: int
    begin_ns: int
    end_ns: int
    begin: Attributes
    end: Attributes


class Recording:
    """Streams of generators of transactions, and relations between these. Numbers count from 1."""

    def __init__(self) -> None:
        self._texts: dict[str, int] = {"": 0}
        self._directory: list[CBORTag] = []
        self._streams: dict[int, list[Transaction]] = {}
        self._stream_of: dict[int, int] = {}  # by generator
        self._transactions: dict[int, Transaction] = {}
        self._relations: list[tuple[int, int, int, int, int]] = []

    def stream(self, name: str, kind: str) -> int:
        number = len(self._directory) + 1
        self._directory.append(CBORTag(Entry.STREAM, [number, self._text(name), self._text(kind)]))
        self._streams[number] = []
        return number

    def generator(self, stream: int, name: str) -> int:
        number = len(self._directory) + 1
        self._directory.append(CBORTag(Entry.GENERATOR, [number, self._text(name), stream]))
        self._stream_of[number] = stream
        return number

    def transaction(
        self, generator: int, begin_ns: int, end_ns: int, begin: Attributes | None = None, end: Attributes | None = None
    ) -> int:
        """Its number. begin, end: attributes."""
        stream = self._stream_of[generator]
        number = len(self._transactions) + 1
        added = Transaction(number, generator, stream, begin_ns, end_ns, begin or {}, end or {})
        self._transactions[number] = added
        self._streams[stream].append(added)
        return number

    def relation(self, name: str, source: int, sink: int) -> None:
        """From one transaction to another."""
        streams = self._transactions[source].stream, self._transactions[sink].stream
        self._relations.append((self._text(name), source, sink, *streams))

    def encode(self, created: int) -> bytes:
        """The file. created: seconds since 1970."""
        blocks = [
            self._block(stream, ordered[first : first + BLOCK])
            for stream, transactions in self._streams.items()
            for ordered in [sorted(transactions, key=lambda one: (one.begin_ns, one.number))]
            for first in range(0, len(ordered), BLOCK)
        ]
        chunks = [
            CBORTag(Chunk.INFO, dumps([NANOSECONDS, CBORTag(EPOCH_TAG, created)])),
            # All texts are known by now, and readers look them up while they read what follows.
            CBORTag(Chunk.DICTIONARY, dumps({number: text for text, number in self._texts.items()})),
            CBORTag(Chunk.DIRECTORY, _unbounded(self._directory)),
            *blocks,
        ]
        if self._relations:
            chunks.append(CBORTag(Chunk.RELATIONS, _unbounded(self._relations)))
        return SELF_DESCRIBED + _unbounded(chunks)

    def _text(self, text: str) -> int:
        return self._texts.setdefault(text, len(self._texts))

    def _block(self, stream: int, transactions: list[Transaction]) -> CBORTag:
        content = _unbounded(self._parts(transaction) for transaction in transactions)
        last = max(transaction.end_ns for transaction in transactions)
        return CBORTag(Chunk.TRANSACTIONS, [stream, transactions[0].begin_ns, last, content])

    def _parts(self, transaction: Transaction) -> list[CBORTag]:
        event = [transaction.number, transaction.generator, transaction.begin_ns, transaction.end_ns]
        parts = [CBORTag(Part.EVENT, event)]
        for tag, attributes in ((Part.BEGIN, transaction.begin), (Part.END, transaction.end)):
            for name, value in attributes.items():
                if value is not None:
                    parts.append(CBORTag(tag, [self._text(name), *self._typed(value)]))
        return parts

    def _typed(self, value: int | str | bool) -> tuple[int, int | bool]:
        if isinstance(value, bool):
            return DataType.BOOLEAN, value
        if isinstance(value, str):
            return DataType.STRING, self._text(value)
        return (DataType.UNSIGNED if value >= 0 else DataType.INTEGER), value


def _unbounded(items: Iterable[Any]) -> bytes:
    """A CBOR array without a length (RFC 8949, 3.2.2)."""
    return _ARRAY + b"".join(map(dumps, items)) + _BREAK
