"""The kernel's FUSE client as the file-system user: mounts of the golden device."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from virtiofs_tb.mount import control, kernel, model_run
from virtiofs_tb.mount.command import dpu, mount, umount
from virtiofs_tb.mount.errors import MountError
from virtiofs_tb.mount.run import MountRun
from virtiofs_tb.report import Summary
from virtiofs_tb.runner import UsageError

USER_S = 60.0

pytestmark = pytest.mark.skipif(
    not kernel.DEVICE.exists() or not os.access(kernel.DEVICE, os.W_OK),
    reason="/dev/fuse is missing or closed: modprobe fuse, and let this container have it",
)


def used(directory: Path, tmp_path: Path, user: Callable[[], None], defect: str | None = None) -> Summary:
    """Mount, let `user` work in a thread, unmount; what the user raised is raised."""
    run = MountRun(directory)
    errors: list[BaseException] = []

    def work() -> None:
        try:
            assert mounted.wait(USER_S)
            user()
        except BaseException as error:
            errors.append(error)
        finally:
            run.session.stop()

    mounted = threading.Event()
    run.session.on_mounted = mounted.set
    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    summary = model_run.run(run, 1, tmp_path / "run", "", defect)
    mounted.set()
    worker.join(USER_S)
    if errors and summary.passed:
        raise errors[0]
    return summary


def shell(command: str, directory: Path) -> str:
    # Not `cwd=`: this process would wait for the new one to go there, and it is this process that serves the mount.
    script = ["sh", "-ec", f'cd "$0"; {command}', str(directory)]
    done = subprocess.run(script, capture_output=True, text=True, timeout=USER_S)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    place = tmp_path / "a mount point"
    place.mkdir()
    return place


def test_coreutils(directory: Path, tmp_path: Path) -> None:
    def user() -> None:
        assert shell("echo hello > file; cat file; mkdir d; mv file d; ls d; wc -c d/file", directory) == (
            "hello\nfile\n6 d/file\n"
        )
        shell(
            "head -c 300000 /dev/urandom > d/big; cp d/big copy; cmp d/big copy; ln copy link; rm -r d copy", directory
        )
        assert shell("stat -c %h link; readlink s || ln -s link s; readlink s", directory) == "1\nlink\n"

    summary = used(directory, tmp_path, user)
    assert summary.passed, summary.failures
    assert sum(summary.scoreboards["file_system"].values()) > 30
    assert kernel.kind_of(directory) is None
    assert control.running(directory) == []


def test_a_wrong_device_is_reported_and_unmounted(directory: Path, tmp_path: Path) -> None:
    def user() -> None:
        subprocess.run(["ls", str(directory)], capture_output=True, timeout=USER_S)

    summary = used(directory, tmp_path, user, defect="used_length_of_buffer")
    assert not summary.passed
    assert kernel.kind_of(directory) is None


def test_unmounted_by_somebody_else(directory: Path, tmp_path: Path) -> None:
    assert used(directory, tmp_path, lambda: shell(f"umount '{directory}'", tmp_path) and None).passed


def test_in_use_when_it_is_to_end(directory: Path, tmp_path: Path) -> None:
    held: list[int] = []

    def user() -> None:
        (directory / "file").write_text("x")
        held.append(os.open(directory / "file", os.O_RDONLY))

    summary = used(directory, tmp_path, user)
    with pytest.raises(OSError, match="not connected"):
        os.close(held[0])
    assert summary.passed, summary.failures
    assert kernel.kind_of(directory) is None


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
def test_the_thread_that_unmounts_is_late(directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel's last word may end the run before the thread that unmounts has said that it is done."""
    unmount = kernel.detach

    def slow(directory: Path, lazy: bool) -> str | None:
        why = unmount(directory, lazy)
        if threading.current_thread().name == "unmount":
            time.sleep(0.5)
        return why

    monkeypatch.setattr(kernel, "detach", slow)
    assert used(directory, tmp_path, lambda: None).passed
    assert all(thread.name != "unmount" for thread in threading.enumerate())


@pytest.mark.parametrize(
    ("place", "words"),
    [("missing", "no such directory; make it first"), ("file", "is not a directory")],
)
def test_no_mount_point(tmp_path: Path, place: str, words: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(MountError, match=words):
        kernel.check(tmp_path / place)


def test_mounted_over_with_a_notice(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "is not empty" in (kernel.check(tmp_path) or "")


def test_usage(tmp_path: Path) -> None:
    for arguments, words in (
        ([], "MNT= is missing"),
        (["--mnt", str(tmp_path), "--target", "vhdl"], "TARGET=vhdl"),
        (["--mnt", str(tmp_path), "--engine", "steam"], "ENGINE=steam"),
        (["--mnt", str(tmp_path), "--target", "model", "--waves", "1"], "the golden device has no waves"),
        (["--mnt", str(tmp_path / "missing")], "no such directory"),
    ):
        error = CliRunner().invoke(mount, arguments, env={}).exception
        assert isinstance(error, UsageError), error
        assert words in str(error)


def test_dpu_where_nothing_is_mounted(tmp_path: Path) -> None:
    error = CliRunner().invoke(dpu, ["--cmd", "ls", "--mnt", str(tmp_path)]).exception
    assert isinstance(error, UsageError)
    assert "nothing is mounted on" in str(error)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("", "CMD= is missing"),
        ("paint FILE", "paint is no command; expected write FILE TEXT"),
        ("rm", "expected rm FILE"),
        ("mv a b c", "expected mv A B"),
        ("write 'open", "No closing quotation"),
    ],
)
def test_a_bad_command_for_the_dpu(command: str, words: str) -> None:
    error = CliRunner().invoke(dpu, ["--cmd", command]).exception
    assert isinstance(error, UsageError)
    assert words in str(error)


def test_the_dpu_as_a_person_uses_it(directory: Path, tmp_path: Path) -> None:
    said: dict[str, tuple[int, str]] = {}

    def user() -> None:
        for command in (
            *("mkdir d", "write d/file 'two  words' more", "cat d/file", "ln d/file d/name", "mv d/name other"),
            *("chmod 600 other", "truncate other 5", "ls", "ls d", "rm d", "rm nothing", "chmod 9 other", "rm d/file"),
        ):
            done = CliRunner().invoke(dpu, ["--cmd", command, "--mnt", str(directory)])
            said[command] = done.exit_code, done.output

    summary = used(directory, tmp_path, user)
    assert summary.passed, summary.failures
    assert said.pop("cat d/file") == (0, "two  words more\n")
    assert said.pop("ls") == (0, "d         0 d\n-         5 other\n")
    assert said.pop("ls d") == (0, "-         5 file\n")
    assert said.pop("rm d") == (1, "make dpu: rm d: Directory not empty\n")
    assert said.pop("rm nothing") == (1, "make dpu: rm nothing: No such file or directory\n")
    assert said.pop("chmod 9 other") == (1, "make dpu: MODE 9: expected an octal number up to 7777\n")
    assert {status for status, _ in said.values()} == {0}


def test_umount_where_nothing_is_mounted(tmp_path: Path) -> None:
    error = CliRunner().invoke(umount, ["--mnt", str(tmp_path)]).exception
    assert isinstance(error, UsageError)
    assert "nothing of ours is mounted there" in str(error)


def test_umount_clears_what_a_killed_mount_left(directory: Path) -> None:
    os.close(kernel.attach(directory))  # as when the process is killed: the connection is gone, the mount is not
    assert kernel.kind_of(directory) == kernel.KIND
    with pytest.raises(MountError, match="is mounted already"):
        kernel.check(directory)
    done = CliRunner().invoke(umount, ["--mnt", str(directory)])
    assert done.exit_code == 0, done.exception
    assert kernel.kind_of(directory) is None
