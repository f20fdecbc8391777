"""One guest on one endpoint, from its start to its power-off: a step of a test like a scenario.

The session is what the target listens to (host/outside.py) and what gives up on a guest that is silent for too long,
dies, or hangs up. Whatever happens, `close` leaves no process and no socket behind.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import shutil
import socket
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from virtiofs_tb.guest.console import Console
from virtiofs_tb.guest.errors import GuestFailure, GuestTimeout
from virtiofs_tb.guest.process import GuestImage, GuestProcess
from virtiofs_tb.guest.server import PciServer
from virtiofs_tb.guest.vhost_user import Channel
from virtiofs_tb.host.base import HostBase
from virtiofs_tb.host.loop import LoopEvent
from virtiofs_tb.host.requester import HostTimeout
from virtiofs_tb.report import CONSOLE_FILE

FOLDER = "guest"
"""In a run's directory: the guest's socket, as long as it runs. What kills a testbench removes it."""
_CHUNK = 65536
_LONGEST_PATH = 80
"""Of a folder for sockets: struct sockaddr_un has room for 108 bytes, and User Mode Linux makes its own one deeper."""


@dataclass(frozen=True)
class Limits:
    """Wall-clock seconds. connect: from the start to the first message; silence: without a message or a printed
    character while the endpoint owes nothing; total: the whole session; end: from the result to the end of the process.
    """

    connect: float = 60.0
    silence: float = 60.0
    total: float = 600.0
    end: float = 30.0


class GuestSession:
    """Starts the guest, serves it, and judges its end. Use it as a context manager.

    image: None for a peer that somebody else starts (a test's own). terminal: path of the terminal that becomes the
    guest's console: an interactive session, without limits.
    """

    def __init__(
        self,
        image: GuestImage | None,
        run_dir: Path | None = None,
        limits: Limits | None = None,
        terminal: str | None = None,
    ) -> None:
        self.console = Console(run_dir / CONSOLE_FILE if run_dir is not None else None)
        self.server: PciServer | None = None
        self.folder = _folder(run_dir)
        self.socket = self.folder / "socket"
        self._image = image
        self._run_dir = run_dir
        self._limits = limits or Limits()
        self._terminal = terminal
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(self.socket))
        self._listener.listen(1)
        self._listener.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._watch(self._listener, self._accept)
        self._channel: Channel | None = None
        self._process: GuestProcess | None = None
        self._host: HostBase | None = None
        self._ended: LoopEvent | None = None
        self._error: Exception | None = None
        self._started = self._heard = time.monotonic()
        self._result_at: float | None = None

    def __enter__(self) -> GuestSession:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ---- the step ----

    async def run(self, host: HostBase) -> None:
        """Boot the guest on `host` and serve it to its end. Raises GuestFailure and GuestTimeout."""
        self._host, self._ended = host, host.event()
        self._started = self._heard = time.monotonic()
        if self._image is not None:
            uml_dir = self.folder / "uml"
            uml_dir.mkdir()
            command = self._image.command(self.socket, uml_dir, self._terminal is not None)
            self._process = GuestProcess(command, self._terminal)
            self._watch(self._process.ended, self._on_exit)
            if self._process.output is not None:
                self._watch(self._process.output, self._on_output)
        host.outside = self
        try:
            await self._ended.wait()
        finally:
            host.outside = None
            self._hang_up()
        if self._error is not None:
            raise self._error
        host.note(f"the guest's script ended with status {self.console.status}")
        if self._terminal is None and self.console.status != 0:
            failed = f", failed: {', '.join(self.console.failed)}" if self.console.failed else ""
            failed += f": {self.console.because}" if failed and self.console.because else ""
            raise GuestFailure(self._told(f"the guest's script ended with status {self.console.status}{failed}"))

    def close(self) -> None:
        """End the guest and remove all traces; may be called again."""
        self._hang_up()
        if self._process is not None:
            for watched in (self._process.ended, self._process.output):
                if watched is not None:
                    self._forget(watched)
            self._process.close()
            self._process = None
        self._forget(self._listener)
        self._listener.close()
        self._selector.close()
        self.console.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    # ---- Outside ----

    def look(self) -> None:
        self._select(0.0)
        self._check_limits()

    def wait(self, seconds: float | None = None) -> None:
        left = max(0.0, self._seconds_left())
        self._select(left if seconds is None else min(seconds, left))
        self._check_limits()

    def _select(self, seconds: float) -> None:
        events = self._selector.select(seconds)
        if events:
            self._heard = time.monotonic()
        # What the guest printed before it ended is read before its end is judged.
        for key, _ in sorted(events, key=lambda event: event[0].data == self._on_exit):
            key.data()

    # ---- events ----

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        self._forget(self._listener)  # one function, one guest
        if self._host is None:
            connection.close()
            return
        self._channel = Channel(connection)
        self.server = PciServer(self._host, self._channel, self._on_error)
        self._watch(self._channel, self._on_messages)

    def _on_error(self, error: Exception) -> None:
        if isinstance(error, HostTimeout):
            self._end(error)  # the endpoint's doing, not the guest's
        else:
            self._fail(f"the guest's socket: {error}")

    def _on_messages(self) -> None:
        if self.server is None or self._channel is None:
            return
        self.server.receive()
        if self._channel.closed:
            self._forget(self._channel)
            if self._process is None:
                self._fail("the guest hung up")  # a guest that is a process is judged by its end

    def _on_output(self) -> None:
        if self._process is None or self._process.output is None:
            return
        try:
            data = os.read(self._process.output, _CHUNK)
        except BlockingIOError:
            return
        if not data:
            self._forget(self._process.output)
            return
        self.console.feed(data)
        if self.console.status is not None and self._result_at is None:
            self._result_at = time.monotonic()

    def _on_exit(self) -> None:
        process = self._process
        if process is None:
            return
        self._drain_output()
        status = process.exit_status()
        self._forget(process.ended)
        if self.console.panic:
            self._fail(f"the guest's kernel panicked: {self.console.panic}")
        elif self._channel is None:
            self._fail(f"the guest ended (status {status}) before it connected")
        elif self.console.status is None and self._terminal is None:
            self._fail(f"the guest ended (status {status}) without a result{self._at_step()}")
        else:
            self._end()

    def _drain_output(self) -> None:
        while self._process is not None and self._process.output is not None:
            try:
                data = os.read(self._process.output, _CHUNK)
            except BlockingIOError:
                return
            if not data:
                return
            self.console.feed(data)

    # ---- limits ----

    def _deadlines(self) -> list[tuple[float, str]]:
        limits, now = self._limits, self._started
        if self._terminal is not None:
            return []
        deadlines = [
            (now + limits.total, f"it is not finished after {limits.total:g} s"),
            (self._heard + limits.silence, f"it has been silent for {limits.silence:g} s"),
        ]
        if self._channel is None:
            deadlines.append((now + limits.connect, f"it has not connected within {limits.connect:g} s"))
        if self._result_at is not None:
            deadlines.append((self._result_at + limits.end, f"it still runs {limits.end:g} s after its result"))
        return deadlines

    def _seconds_left(self) -> float:
        deadlines = self._deadlines()
        return min(at for at, _ in deadlines) - time.monotonic() if deadlines else 3600.0

    def _check_limits(self) -> None:
        now = time.monotonic()
        for at, text in self._deadlines():
            if now >= at:
                self._fail(f"the guest is given up: {text}{self._at_step()}", GuestTimeout)
                return

    # ---- inside ----

    def _fail(self, text: str, kind: type[GuestFailure] | type[GuestTimeout] = GuestFailure) -> None:
        self._end(kind(self._told(text)))

    def _end(self, error: Exception | None = None) -> None:
        """The session is over; of several errors the first counts."""
        if self._error is None:
            self._error = error
        if self._ended is not None:
            self._ended.set()

    def _told(self, text: str) -> str:
        """Its last lines stand on the card of a run; without a run's directory they belong to the message."""
        lines = self.console.last_lines() if self._run_dir is None else []
        return text + "; its last lines:" + "".join(f"\n  | {line}" for line in lines) if lines else text

    def _at_step(self) -> str:
        return f" (in its step {self.console.step})" if self.console.step else ""

    def _hang_up(self) -> None:
        if self.server is not None:
            self.server.close()
        if self._channel is not None:
            self._forget(self._channel)
            self._channel.close()

    def _watch(self, thing: Channel | int | socket.socket, action: Callable[[], None]) -> None:
        self._selector.register(thing, selectors.EVENT_READ, action)

    def _forget(self, thing: Channel | int | socket.socket) -> None:
        """Watch it no more; it may be forgotten already."""
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(thing)


def _folder(run_dir: Path | None) -> Path:
    """A new folder for the sockets, in the run's directory unless that is too deep."""
    if run_dir is None or len(str(run_dir.resolve() / FOLDER)) > _LONGEST_PATH:
        return Path(tempfile.mkdtemp(prefix="virtiofs-guest-"))
    folder = run_dir.resolve() / FOLDER
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder
