"""The process of a User Mode Linux guest: how it is started, listened to, and made to go away."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

DEVICE_ID = 1234
"""CONFIG_UML_PCI_OVER_VIRTIO_DEVICE_ID of the kernel."""
MEMORY_MIB = 64
KILL_S = 5.0


@dataclass
class GuestImage:
    """What a guest boots. arguments: for its script, which finds them in /proc/cmdline."""

    kernel: Path
    initrd: Path
    arguments: dict[str, str] = field(default_factory=dict)

    def command(self, socket: Path, uml_dir: Path, terminal: bool) -> list[str]:
        """The command line of the kernel. terminal: its console reads from what stdin is."""
        return [
            str(self.kernel),
            f"mem={MEMORY_MIB}M",
            f"initrd={self.initrd}",
            f"virtio_uml.device={socket}:{DEVICE_ID}",
            "con=null",
            "con0=fd:0,fd:1" if terminal else "con0=null,fd:1",
            "console=tty0",
            "panic=-1",
            "hostname=guest",
            f"uml_dir={uml_dir}",
            *(f"virtiofs.{name}={value}" for name, value in self.arguments.items()),
        ]


class GuestProcess:
    """A running guest. output: file descriptor with what it prints, None where a terminal has that.

    terminal: path of a terminal that becomes its console.
    """

    def __init__(self, command: Sequence[str], terminal: str | None = None) -> None:
        self.output: int | None = None
        # Whatever ends this process, SIGKILL too, ends the guest: util-linux is on every Debian machine.
        # Without setarch the gap that address space randomization leaves behind the kernel becomes the guest's memory.
        command = ["setpriv", "--pdeathsig", "KILL", "setarch", "--addr-no-randomize", *command]
        environment = {**os.environ, "TMPDIR": "/dev/shm" if os.access("/dev/shm", os.W_OK) else "/tmp"}
        if terminal is not None:
            console = os.open(terminal, os.O_RDWR | os.O_NOCTTY)
            try:
                self._process = subprocess.Popen(
                    command, stdin=console, stdout=console, stderr=console, start_new_session=True, env=environment
                )
            finally:
                os.close(console)
        else:
            reader, writer = os.pipe()
            try:
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=writer,
                    stderr=writer,
                    start_new_session=True,
                    env=environment,
                )
            except BaseException:
                os.close(reader)
                raise
            finally:
                os.close(writer)
            os.set_blocking(reader, False)
            self.output = reader
        self.ended = os.pidfd_open(self._process.pid)
        """Readable once the guest has ended."""

    @property
    def pid(self) -> int:
        return self._process.pid

    def exit_status(self) -> int | None:
        """None while it runs; negative for a signal. Until `close` it stays a zombie: its id is nobody else's."""
        info = os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if info is None:
            return None
        return info.si_status if info.si_code == os.CLD_EXITED else -info.si_status

    def close(self) -> None:
        """End it if it still runs, with the processes of the guest's own programs, and wait for it."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(KILL_S)
        for descriptor in (self.ended, self.output):
            if descriptor is not None:
                os.close(descriptor)
        self.ended, self.output = -1, None
