"""How another process reaches a mount that runs: one line of JSON over an AF_UNIX socket, one line back.

A note in sim_build/mount says where the socket is; it goes with the mount.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from virtiofs_tb.mount.errors import MountError
from virtiofs_tb.paths import SIM_BUILD

NOTES = SIM_BUILD / "mount"
ANSWER_S = 30.0
_LINE = 65536
_FOLDER = "virtiofs-mount-"


Answer = Callable[[dict[str, Any]], None]
"""Sends the answer to the one who asked; to be called once."""


class ControlServer:
    """Listens for commands. handle: takes what was asked, must not wait, and answers now or later."""

    def __init__(self, directory: Path, handle: Callable[[dict[str, Any], Answer], None]) -> None:
        self._handle = handle
        self._asking: set[socket.socket] = set()
        # A path of a socket is at most 107 bytes, which the project's directory may exceed.
        self._folder = Path(tempfile.mkdtemp(prefix=_FOLDER))
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(str(self._folder / "control"))
        self.listener.listen(4)
        self.listener.setblocking(False)
        self._note = note_of(directory)
        self._note.parent.mkdir(parents=True, exist_ok=True)
        self._note.write_text(
            json.dumps({"directory": str(directory), "socket": str(self._folder / "control"), "pid": os.getpid()})
        )

    def accept(self) -> None:
        """Take one caller's command. What it does wrong is its own loss."""
        with contextlib.suppress(OSError):
            connection, _ = self.listener.accept()
            self._asking.add(connection)
            connection.settimeout(1.0)
            try:
                self._handle(json.loads(connection.recv(_LINE)), lambda answer: self._answer(connection, answer))
            except (OSError, ValueError):
                self._hang_up(connection)

    def _answer(self, connection: socket.socket, answer: dict[str, Any]) -> None:
        with contextlib.suppress(OSError):
            connection.sendall(json.dumps(answer).encode() + b"\n")
        self._hang_up(connection)

    def _hang_up(self, connection: socket.socket) -> None:
        self._asking.discard(connection)
        connection.close()

    def close(self) -> None:
        for connection in [*self._asking]:
            self._hang_up(connection)
        self.listener.close()
        self._note.unlink(missing_ok=True)
        shutil.rmtree(self._folder, ignore_errors=True)


def note_of(directory: Path) -> Path:
    """The note of a mount on `directory`."""
    return NOTES / (hashlib.sha256(os.path.abspath(directory).encode()).hexdigest()[:16] + ".json")


def running(directory: Path | None = None) -> list[tuple[Path, Path]]:
    """(directory, socket) of the mounts that run: of all, or of the one on `directory`; what dead ones left goes."""
    found: list[tuple[Path, Path]] = []
    for note in [note_of(directory)] if directory is not None else sorted(NOTES.glob("*.json")):
        try:
            content = json.loads(note.read_text())
            place, path, pid = Path(content["directory"]), Path(content["socket"]), int(content["pid"])
        except (FileNotFoundError, ValueError, KeyError):
            note.unlink(missing_ok=True)
            continue
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            note.unlink(missing_ok=True)
            if path.parent.name.startswith(_FOLDER):
                shutil.rmtree(path.parent, ignore_errors=True)
            continue
        found.append((place, path))
    return found


def ask(path: Path, question: dict[str, Any]) -> dict[str, Any]:
    """Send a command to the mount behind this socket. Raises MountError where nobody answers."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(ANSWER_S)
            connection.connect(str(path))
            connection.sendall(json.dumps(question).encode() + b"\n")
            answer: dict[str, Any] = json.loads(_line(connection))
            return answer
    except (OSError, ValueError) as error:
        raise MountError(f"the mount does not answer: {error}") from error


def _line(connection: socket.socket) -> bytes:
    """Everything up to the end of the connection, which is where an answer ends."""
    parts = []
    while part := connection.recv(_LINE):
        parts.append(part)
    return b"".join(parts)
