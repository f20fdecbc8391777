"""A program of somebody else that runs beside us: found, started, watched, and ended by its process id."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

TERMINATE_S = 2.0  # from the request to end to the order to end
LAST_LINES = 8


class PeerError(Exception):
    """Software beside us failed; one line says which, and what to do or what it said last."""


class PeerMissing(PeerError):
    """A program is not installed; the message has the line that installs it."""


class PeerDied(PeerError):
    """A program ended, or answered no more, while it was needed."""


def find_program(name: str, package: str, variable: str, places: Sequence[str] = ()) -> Path:
    """The executable `name`: what the environment's `variable` says, else in `places`, else on PATH.

    Raises PeerMissing, which names the Debian `package`.
    """
    chosen = os.environ.get(variable)
    candidates = [chosen] if chosen else [*places, name]
    for candidate in candidates:
        found = shutil.which(candidate)
        if found is not None:
            return Path(found)
    if chosen:
        raise PeerMissing(f"{variable}={chosen}: no such executable; unset it, or name {name}")
    raise PeerMissing(f"{name} is missing: apt-get install {package}")


class PeerProcess:
    """One running program. Its output goes to a file without a name, so nothing of it stays behind.

    name: for messages. pass_fds: file descriptors that it inherits. Raises PeerMissing when it cannot be executed.
    """

    def __init__(self, name: str, command: Sequence[str], pass_fds: Sequence[int] = ()) -> None:
        self.name = name
        self._output = tempfile.TemporaryFile()  # noqa: SIM115  (closed by stop)
        try:
            self._process = subprocess.Popen(
                [*_dying_with_us(), *command],
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=subprocess.STDOUT,
                pass_fds=pass_fds,
                start_new_session=True,  # Ctrl-C is for us alone: we end it
            )
        except OSError as error:
            self._output.close()
            raise PeerMissing(f"{name} cannot be started: {command[0]}: {error.strerror}") from error

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def status(self) -> int | None:
        """Exit status; negative: the signal that ended it; None while it runs."""
        return self._process.poll()

    def last_lines(self) -> list[str]:
        """What it said last."""
        self._output.flush()
        size = self._output.seek(0, os.SEEK_END)
        self._output.seek(max(size - 4096, 0))
        text = self._output.read().decode(errors="replace")
        return [line.strip() for line in text.splitlines() if line.strip()][-LAST_LINES:]

    def death(self, doing: str) -> PeerDied:
        """The error of a program that has ended or does not answer, with its last lines."""
        status = self.status
        if status is None:
            how = "does not answer"
        elif status < 0:
            how = f"was ended by {signal.Signals(-status).name}"
        else:
            how = f"ended with status {status}"
        lines = self.last_lines()
        said = "; its last lines: " + " | ".join(lines) if lines else "; it said nothing"
        return PeerDied(f"{self.name} {how} while {doing}{said}")

    def wait(self, timeout_s: float) -> bool:
        """Whether it ended by itself within the time."""
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def stop(self) -> None:
        """End it: asked first, then ordered. Afterwards it is gone."""
        if self._process.poll() is None:
            self._process.terminate()
            if not self.wait(TERMINATE_S):
                self._process.kill()
                self._process.wait()
        self._output.close()

    def __enter__(self) -> PeerProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _dying_with_us() -> list[str]:
    """What to put before a command so that the kernel ends it when we are killed.

    A program of util-linux, as Popen's preexec_fn would do it in Python: the hooks that run after a fork then lose an
    interrupt that comes meanwhile.
    """
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "TERM", "--"] if setpriv is not None else []
