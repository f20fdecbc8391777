"""Processes of this machine that lock one file of a mount: the endpoint's lock table decides.

On the golden device and on RTL. A lock that is waited for is answered late, and a signal ends the wait: the kernel's
INTERRUPT goes to the hiprio queue.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from mounted import Mounted, mounted, needs_fuse, wait_for

pytestmark = needs_fuse

LOCKER = r"""
import errno, fcntl, os, signal, sys
signal.signal(signal.SIGALRM, lambda *_: (_ for _ in ()).throw(InterruptedError()))
kind, descriptor = sys.argv[1], os.open(sys.argv[2], os.O_RDWR)
for line in sys.stdin:
    words = line.split()
    how = {"shared": fcntl.LOCK_SH, "exclusive": fcntl.LOCK_EX, "none": fcntl.LOCK_UN}[words[0]]
    how |= 0 if words[-1] in ("wait", "none") else fcntl.LOCK_NB
    where = [int(word) for word in words if word.isdigit()]
    try:
        fcntl.flock(descriptor, how) if kind == "flock" else fcntl.lockf(descriptor, how, *where)
        print("done", flush=True)
    except OSError as error:
        print(errno.errorcode[error.errno] if error.errno else "EINTR", flush=True)
"""


class Locker:
    """A process that has the file open."""

    def __init__(self, kind: str, path: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", LOCKER, kind, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def begin(self, command: str) -> None:
        """Have it lock, and do not wait for what becomes of it."""
        assert self.process.stdin is not None
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()

    def end(self) -> str:
        """What became of it."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def lock(self, command: str) -> str:
        self.begin(command)
        return self.end()

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        self.process.communicate()


@pytest.fixture(scope="module", params=["model", "rtl"])
def mount(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mounted]:
    with mounted(tmp_path_factory.mktemp(request.param), request.param) as mount:
        yield mount


@pytest.fixture(params=["flock", "posix"])
def pair(mount: Mounted, request: pytest.FixtureRequest) -> Iterator[tuple[Locker, Locker]]:
    """Two processes with one file open; all their locks are of one kind."""
    path = mount.path / f"locked {request.node.name}"
    path.write_bytes(bytes(1000))
    lockers = Locker(request.param, path), Locker(request.param, path)
    yield lockers
    for locker in lockers:
        locker.close()


def test_one_has_it_and_the_other_has_not(pair: tuple[Locker, Locker]) -> None:
    one, two = pair
    assert one.lock("exclusive") == "done"
    assert two.lock("exclusive") == "EAGAIN"
    assert two.lock("shared") == "EAGAIN"
    assert one.lock("none") == "done"
    assert [two.lock("shared"), one.lock("shared"), one.lock("exclusive")] == ["done", "done", "EAGAIN"]


def test_who_waits_gets_it(mount: Mounted, pair: tuple[Locker, Locker]) -> None:
    one, two = pair
    assert one.lock("exclusive") == "done"
    waits(mount, two)
    (mount.path / "meanwhile").write_text("other requests go on")
    assert (mount.path / "meanwhile").read_text() == "other requests go on"
    assert two.process.poll() is None
    assert one.lock("none") == "done"
    assert two.end() == "done"
    assert one.lock("shared") == "EAGAIN"


def test_who_holds_it_ends(mount: Mounted, pair: tuple[Locker, Locker]) -> None:
    one, two = pair
    assert one.lock("exclusive") == "done"
    waits(mount, two)
    one.process.kill()
    assert two.end() == "done"


def test_a_signal_ends_the_wait(mount: Mounted, pair: tuple[Locker, Locker]) -> None:
    one, two = pair
    assert one.lock("exclusive") == "done"
    waits(mount, two)
    two.process.send_signal(14)  # SIGALRM
    assert two.end() == "EINTR"
    assert one.lock("none") == "done"
    assert two.lock("exclusive") == "done"


def waits(mount: Mounted, locker: Locker) -> None:
    """Let it ask for the lock and wait until the endpoint has the request."""
    before = mount.waiting()
    locker.begin("exclusive wait")
    wait_for(lambda: mount.waiting() == before + 1)
