"""Random operations on two directories at once, as fsx does on a file: whatever differs is an error of one of them."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import random
import zlib
from collections.abc import Callable
from pathlib import Path

LARGEST = 150_000
FILES = 3
KEEP_SIZE, PUNCH_HOLE, ZERO_RANGE = 1, 2, 16  # fallocate(2)

_libc = ctypes.CDLL(None, use_errno=True)
_libc.fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)


def fallocate(descriptor: int, mode: int, offset: int, length: int) -> None:
    """fallocate(2); raises OSError."""
    if _libc.fallocate(descriptor, mode, offset, length):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


class Pair:
    """The directory under test and the local one. log: what was done, for whoever finds a difference."""

    def __init__(self, mounted: Path, local: Path, rng: random.Random) -> None:
        self.roots = (mounted, local)
        self.rng = rng
        self.log: list[str] = []

    def both(self, text: str, operation: Callable[[Path], object]) -> None:
        """Do it in both; results and errors must be the same."""
        self.log.append(text)
        results: list[object] = []
        for root in self.roots:
            try:
                results.append(operation(root))
            except OSError as error:
                results.append(errno.errorcode[error.errno or 0])
        if results[0] != results[1]:
            raise AssertionError(f"differs: {shown(results[0])}, local {shown(results[1])}, after:\n{self.last()}")

    def last(self) -> str:
        """The latest operations."""
        return "\n".join(self.log[-12:])

    # ---- operations ----

    def name(self) -> str:
        return f"file{self.rng.randrange(FILES)}"

    def write(self) -> None:
        name, offset, size = self.name(), self.rng.randrange(LARGEST), self.rng.choice([1, 100, 4096, 9000])
        data = self.rng.randbytes(size)
        self.both(f"write {name} {offset} {size}", lambda root: on(root / name, lambda fd: os.pwrite(fd, data, offset)))

    def append(self) -> None:
        name, data = self.name(), self.rng.randbytes(self.rng.randrange(1, 700))

        def operation(root: Path) -> object:
            with open(root / name, "ab") as file:
                return file.tell() + file.write(data)

        self.both(f"append {name} {len(data)}", operation)

    def read(self) -> None:
        name, offset, size = self.name(), self.rng.randrange(LARGEST), self.rng.randrange(30_000)
        self.both(f"read {name} {offset} {size}", lambda root: on(root / name, lambda fd: os.pread(fd, size, offset)))

    def truncate(self) -> None:
        name, size = self.name(), self.rng.randrange(LARGEST)
        self.both(f"truncate {name} {size}", lambda root: on(root / name, lambda fd: os.ftruncate(fd, size)))

    def allocate(self) -> None:
        name, offset, length = self.name(), self.rng.randrange(LARGEST), self.rng.randrange(1, 20_000)
        mode = self.rng.choice([0, KEEP_SIZE, PUNCH_HOLE | KEEP_SIZE, ZERO_RANGE, ZERO_RANGE | KEEP_SIZE])
        what = f"fallocate {name} {mode} {offset} {length}"
        self.both(what, lambda root: on(root / name, lambda fd: fallocate(fd, mode, offset, length)))

    def map_write(self) -> None:
        name, at, data = self.name(), self.rng.random(), self.rng.randbytes(self.rng.randrange(1, 6000))

        def operation(descriptor: int) -> object:
            size = os.fstat(descriptor).st_size
            if size == 0:
                return None
            begin = int(at * size)
            with mmap.mmap(descriptor, size) as view:
                view[begin : begin + len(data)] = data[: size - begin]
            return size

        self.both(f"map and write {name}", lambda root: on(root / name, operation))

    def rename(self) -> None:
        old, new = self.name(), self.name()
        self.both(f"rename {old} {new}", lambda root: os.rename(root / old, root / new))

    def link(self) -> None:
        old, new = self.name(), self.name()
        self.both(f"link {old} {new}", lambda root: os.link(root / old, root / new))

    def unlink(self) -> None:
        name = self.name()
        self.both(f"unlink {name}", lambda root: os.unlink(root / name))

    def sync(self) -> None:
        name = self.name()
        self.both(f"fsync {name}", lambda root: on(root / name, os.fsync))

    def listing(self) -> None:
        def operation(root: Path) -> object:
            stats = {entry.name: entry.stat() for entry in os.scandir(root)}
            return {name: (status.st_size, status.st_nlink, status.st_mode) for name, status in sorted(stats.items())}

        self.both("list", operation)

    def contents(self) -> None:
        """Everything is the same."""
        for number in range(FILES):
            self.both(f"read all of file{number}", lambda root, n=number: (root / f"file{n}").read_bytes())  # type: ignore[misc]


def compare(mounted: Path, local: Path, seed: int, count: int) -> None:
    """`count` operations in both. Raises AssertionError with what was done last."""
    rng = random.Random(seed)
    pair = Pair(mounted, local, rng)
    usual = [pair.write, pair.read, pair.truncate, pair.allocate, pair.append, pair.map_write]
    rare = [pair.rename, pair.link, pair.unlink, pair.sync, pair.listing]
    for _ in range(count):
        rng.choice(usual * 3 + rare)()
    pair.listing()
    pair.contents()


def on(path: Path, operation: Callable[[int], object]) -> object:
    """`operation` on the open file, which is made where there is none."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        return operation(descriptor)
    finally:
        os.close(descriptor)


def shown(result: object) -> str:
    """A result, or the beginning of a long one."""
    if isinstance(result, bytes) and len(result) > 32:
        return f"{len(result)} bytes with CRC {zlib.crc32(result):08x}"
    return repr(result)
