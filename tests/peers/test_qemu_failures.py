"""Programs that are missing, die, or do not answer: one line that says so, in time, and nothing is left behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from virtiofs_tb.host import qemu, qtest
from virtiofs_tb.host.memory import HostMemory
from virtiofs_tb.host.peer_process import PeerDied, PeerError, PeerMissing, PeerProcess
from virtiofs_tb.host.qemu import QemuMachine, find_qemu, find_virtiofsd, why_not
from virtiofs_tb.paths import ROOT
from virtiofs_tb.peers.command import peers as peers_command

Fake = Callable[[str, str], Path]
WAITS = "exec sleep 100"


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    """Put a shell script in place of a program."""

    def make(variable: str, text: str) -> Path:
        path = tmp_path / variable.lower()
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        monkeypatch.setenv(variable, str(path))
        return path

    return make


def children() -> set[str]:
    """Process ids of our children."""
    tasks = Path("/proc/self/task").iterdir()
    return {pid for task in tasks for pid in (task / "children").read_text().split()}


def start_machine(tmp_path: Path) -> PeerError:
    """Start the pair, which must fail; what it said. Everything that was opened is closed again."""
    memory = HostMemory(lambda: 0)
    before, descriptors = children(), sorted(os.listdir("/proc/self/fd"))
    try:
        with pytest.raises(PeerError) as caught:
            QemuMachine(memory, tmp_path)
        assert children() == before
        assert sorted(os.listdir("/proc/self/fd")) == descriptors
    finally:
        memory.close()
    return caught.value


# ---- missing ----


def test_a_program_that_is_not_there_is_named_with_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in (qemu.QEMU_VARIABLE, qemu.VIRTIOFSD_VARIABLE):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PeerMissing, match=r"^qemu-system-x86_64 is missing: apt-get install qemu-system-x86$"):
        find_qemu()
    assert why_not() == "qemu-system-x86_64 is missing: apt-get install qemu-system-x86"


def test_a_program_that_is_named_wrongly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(qemu.VIRTIOFSD_VARIABLE, str(tmp_path))
    with pytest.raises(PeerMissing, match=r"VIRTIOFS_VIRTIOFSD=.*: no such executable; unset it, or name virtiofsd"):
        find_virtiofsd()


def test_only_root_starts_virtiofsd(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(qemu.QEMU_VARIABLE, WAITS)
    fake(qemu.VIRTIOFSD_VARIABLE, WAITS)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert why_not() == "virtiofsd must be started by root (its sandbox is chroot): run as root"
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert why_not() is None


def test_the_command_skips_where_something_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(qemu.QEMU_VARIABLE, "/nowhere/qemu")
    done = CliRunner().invoke(peers_command, ["--without-tests"])
    assert done.exit_code == 0
    assert "skipped: VIRTIOFS_QEMU=/nowhere/qemu: no such executable" in done.output


def test_a_file_that_is_no_program(fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qemu, "_START_S", 0.3)
    fake(qemu.VIRTIOFSD_VARIABLE, "").write_bytes(b"\x7fELF nothing")
    fake(qemu.QEMU_VARIABLE, WAITS)
    text = str(start_machine(tmp_path))
    assert text.startswith("virtiofsd ended with status 12")  # what a shell makes of it


# ---- dying, and not answering ----


def test_qemu_that_does_not_start(fake: Fake, tmp_path: Path) -> None:
    fake(qemu.VIRTIOFSD_VARIABLE, WAITS)
    fake(qemu.QEMU_VARIABLE, "echo first; echo 'no such machine' >&2; exit 3")
    error = start_machine(tmp_path)
    assert isinstance(error, PeerDied)
    said = "qemu-system-x86_64 ended with status 3 while starting; its last lines: first | no such machine"
    assert str(error) == said


def test_virtiofsd_that_does_not_start(fake: Fake, tmp_path: Path) -> None:
    fake(qemu.VIRTIOFSD_VARIABLE, "echo 'no capability'; exit 1")
    fake(qemu.QEMU_VARIABLE, "sleep 0.1; echo 'vhost initialization failed'; exit 1")
    said = "virtiofsd ended with status 1 while starting; its last lines: no capability"
    assert str(start_machine(tmp_path)) == said


def test_qemu_that_does_not_answer(fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(qemu.VIRTIOFSD_VARIABLE, WAITS)
    fake(qemu.QEMU_VARIABLE, WAITS)
    monkeypatch.setattr(qemu, "_START_S", 0.3)
    started = time.monotonic()
    text = str(start_machine(tmp_path))
    assert text.startswith("qemu-system-x86_64 does not answer while starting (no answer to 'outl 0xcf8 0x80000064")
    assert time.monotonic() - started < 8


def test_an_answer_that_is_none() -> None:
    ours, theirs = qtest.socket.socketpair()
    client = qtest.QtestClient(ours, 1.0)
    theirs.sendall(b"IRQ raise 5\nFAIL Unknown command 'x'\n")
    with pytest.raises(qtest.QtestError, match=r"'readl 0x10' is answered 'FAIL Unknown command 'x'', expected OK"):
        client.read(0x10, 4)
    theirs.sendall(b"OK 0x00000000deadbeef\n")
    assert client.read(0x10, 4) == 0xDEADBEEF
    theirs.close()
    with pytest.raises(qtest.QtestError):
        client.write(0x10, 4, 1)
    assert client.closed_within(1.0)
    client.close()


def test_a_program_that_will_not_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("virtiofs_tb.host.peer_process.TERMINATE_S", 0.2)
    process = PeerProcess("stubborn", ["/bin/sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.05; done"])
    while not process.last_lines():
        assert process.status is None
    process.stop()
    assert process.status == -signal.SIGKILL


# ---- ends from outside ----


def grown_up(pid: int, count: int) -> list[int]:
    """The children of a process, when there are `count`."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        try:
            found = [int(item) for item in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        except OSError:
            found = []
        if len(found) >= count:
            return found
        time.sleep(0.005)
    pytest.fail(f"process {pid} has no {count} children")


def gone(pids: list[int]) -> bool:
    """Whether all have ended, within five seconds. A zombie has."""
    end = time.monotonic() + 5
    while time.monotonic() < end:
        states = [Path(f"/proc/{pid}/stat") for pid in pids]
        if all(not state.exists() or ") Z " in state.read_text() for state in states):
            return True
        time.sleep(0.02)
    return False


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 130), (signal.SIGKILL, -9)])
def test_a_report_that_is_broken_off_leaves_nothing(peers: None, number: signal.Signals, status: int) -> None:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'models'}{os.pathsep}{ROOT / 'tb'}"}
    before = set(os.listdir("/dev/shm"))
    main = "from virtiofs_tb.cli import main; main()"
    command = [sys.executable, "-c", main, "peers", "--without-rtl", "--without-tests"]
    process = subprocess.Popen(command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        started = grown_up(process.pid, 2)
        process.send_signal(number)
        output = process.communicate(timeout=20)[0].decode()
    finally:
        process.kill()
        process.wait()
    assert process.returncode == status, output
    assert gone(started)
    left = {name for name in set(os.listdir("/dev/shm")) - before if name.startswith("virtiofs-tb-")}
    if number is signal.SIGKILL:  # nobody is there to remove the directory
        for name in left:
            shutil.rmtree(f"/dev/shm/{name}")
    else:
        assert left == set()
        assert "interrupted; nothing is left running" in output
