"""`virtiofs-tb mount` as a process beside the test, on either target: its directory, and the DPU behind it."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from virtiofs_tb.mount import control, kernel
from virtiofs_tb.mount.options import Options
from virtiofs_tb.mount.run import TEST
from virtiofs_tb.paths import ROOT, RUNS
from virtiofs_tb.report import Summary

START_S = 600.0
"""The simulation may have to be built first."""
USER_S = 400.0
"""Much more than anything takes on a machine that has nothing else to do."""
SOON_S = 20.0
LOOK_S = 0.02

needs_fuse = pytest.mark.skipif(
    not kernel.DEVICE.exists() or not os.access(kernel.DEVICE, os.W_OK),
    reason="/dev/fuse is missing or closed: modprobe fuse, and let this container have it",
)


class Mounted:
    """A mount that runs. path: its directory. summary: how it ended, once it has."""

    def __init__(self, path: Path, process: subprocess.Popen[str], run_dir: Path) -> None:
        self.path = path
        self.process = process
        self.run_dir = run_dir

    def shell(self, script: str, seconds: float = USER_S) -> str:
        """Run a script in the mount; what it printed. Fails where it does."""
        done = subprocess.run(
            ["sh", "-ec", script], cwd=self.path, capture_output=True, text=True, timeout=seconds, check=False
        )
        assert done.returncode == 0, f"{script}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
        return done.stdout

    def ask(self, **question: Any) -> dict[str, Any]:
        """Send a command to the mount's process; its answer. Fails where it refuses."""
        [(_, socket)] = control.running(self.path)
        answer = control.ask(socket, question)
        assert answer["ok"], answer
        return answer

    def dpu(self, command: str) -> list[str]:
        """Have the DPU do something; the lines it tells."""
        lines: list[str] = self.ask(do="dpu", words=shlex.split(command))["lines"]
        return lines

    def heard(self) -> int:
        """Notifications that came from the device so far, told to the kernel or not."""
        counts = self.ask(do="counts")
        return sum(counts["notifications"].values()) + sum(counts["withheld"].values())

    def walked(self) -> int:
        """Messages of the walk after an overflow, or like it, that were kept from the kernel."""
        count: int = self.ask(do="counts")["withheld"].get("INVAL_INODE", 0)
        return count

    def device(self) -> dict[str, int]:
        """The device's counters."""
        counters: dict[str, int] = self.ask(do="counts")["device"]
        return counters

    def waiting(self) -> int:
        """Requests that wait for a lock."""
        count: int = self.ask(do="counts")["waiting"]
        return count

    def stop(self) -> Summary:
        """Unmount as Ctrl-C does. Fails unless every check of the run passed."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        output, _ = self.process.communicate(timeout=USER_S)
        assert self.process.returncode == 0, output[-4000:]
        assert kernel.kind_of(self.path) is None
        summary = Summary.read(self.run_dir)
        assert summary is not None and summary.passed
        return summary


@contextmanager
def mounted(
    folder: Path, target: str = "model", options: Options | None = None, engine: str = "ramfs", clean: bool = True
) -> Iterator[Mounted]:
    """A mount on a new directory below `folder`. If `clean`, it is stopped, and all its checks must have passed."""
    path = folder / "mount point"
    path.mkdir(parents=True)
    seed = zlib.crc32(str(folder).encode())
    command = [sys.executable, "-m", "virtiofs_tb", "mount", "--mnt", str(path), "--target", target]
    process = subprocess.Popen(
        [*command, "--engine", engine, "--seed", str(seed)],
        cwd=ROOT,
        env={**os.environ, "VIRTIOFS_MOUNT_OPTIONS": (options or Options()).dump()},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    mount = Mounted(path, process, RUNS / f"{TEST}-{seed}")
    try:
        wait_for(lambda: kernel.kind_of(path) == kernel.KIND or process.poll() is not None, START_S)
        yield mount
        if clean:
            mount.stop()
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.communicate(timeout=SOON_S)
            except subprocess.TimeoutExpired:
                process.kill()
        if kernel.kind_of(path) == kernel.KIND:
            kernel.detach(path, lazy=True)


def wait_for(done: Callable[[], bool], seconds: float = SOON_S) -> None:
    """Return as soon as it is so; fails where it is not."""
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, f"not so after {seconds:.0f} s"
        time.sleep(LOOK_S)
