"""What a guest prints: kept whole in a file, the last lines at hand, and the result that its script prints.

The script ends with a line `virtiofs-guest: status N`, which no other program of the guest prints.
"""

from __future__ import annotations

import re
from collections import deque
from pathlib import Path

LAST_LINES = 12
_STATUS = re.compile(r"virtiofs-guest: status (\d+)$")
_STEP = re.compile(r"virtiofs-guest: (ok|failed|begin) (.+)$")
_LEFT = re.compile(r"virtiofs-guest: left ([0-9a-f]{32})\b")
_BECAUSE = re.compile(r"virtiofs-guest: because (.+)$")
_PANIC = re.compile(r"Kernel panic - not syncing: (.*)$")
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")


class Console:
    """Takes bytes as they come. file: gets all of them; None: nowhere.

    status: what the guest's script said, None as long as it has not. panic: why the guest's kernel gave up, "" if it
    did not. passed, failed: steps of the script by name; because: why the last one failed, as far as the guest says so.
    left: MD5 of the file that the script left.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._file = file.open("wb", buffering=0) if file is not None else None
        self._rest = b""
        self._lines: deque[str] = deque(maxlen=LAST_LINES)
        self.status: int | None = None
        self.panic = ""
        self.step = ""
        self.left = ""
        self.because = ""
        self.passed: list[str] = []
        self.failed: list[str] = []

    def feed(self, data: bytes) -> None:
        if self._file is not None:
            self._file.write(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._line(line)

    def last_lines(self) -> list[str]:
        """What it printed last, without terminal control, the unfinished line too."""
        rest = _plain(self._rest)
        return [*self._lines, *([rest] if rest else [])]

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _line(self, raw: bytes) -> None:
        line = _plain(raw)
        if not line:
            return
        self._lines.append(line)
        if (match := _STATUS.search(line)) is not None:
            self.status = int(match[1])
        elif (match := _STEP.search(line)) is not None:
            kind, self.step = match[1], match[2]
            if kind != "begin":
                (self.passed if kind == "ok" else self.failed).append(self.step)
        elif (match := _LEFT.search(line)) is not None:
            self.left = match[1]
        elif (match := _BECAUSE.search(line)) is not None:
            self.because = match[1]
        elif (match := _PANIC.search(line)) is not None:
            self.panic = match[1]


def _plain(raw: bytes) -> str:
    return _CONTROL.sub("", raw.decode(errors="replace")).rstrip()
