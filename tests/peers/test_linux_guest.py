"""Linux's own drivers on the golden device, and what becomes of guests that panic, hang, die or lie.

On the RTL endpoint `make linux` runs the same. Each test looks for processes and sockets that were left behind.
"""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from virtiofs_tb.guest import initrd, kernel, model_run
from virtiofs_tb.guest.process import GuestImage
from virtiofs_tb.guest.session import FOLDER, Limits
from virtiofs_tb.guest.variants import VARIANTS
from virtiofs_tb.host.log import read_log
from virtiofs_tb.paths import ROOT
from virtiofs_tb.report import CARD_TEXT, Summary
from virtiofs_tb.scoreboards import ALL
from virtiofs_tb.scoreboards.driver_rules.checker import reports_of

SEED = 1
LIMITS = Limits(connect=30, silence=30, total=200, end=20)


@pytest.fixture(scope="module")
def image() -> GuestImage:
    """Built here where it is not yet, which takes some minutes."""
    if lacks := kernel.missing():
        pytest.skip(f"no {', '.join(lacks)}: apt-get install {kernel.PACKAGES}")
    return kernel.image({})


@pytest.fixture(autouse=True)
def nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """All that a guest needs is made below a folder of this test's own; at its end no process names that."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    yield
    assert within(10, lambda: not processes(str(tmp_path))), processes(str(tmp_path))
    assert not list(tmp_path.rglob("socket")) and not list(tmp_path.rglob("mconsole")), "a socket is left behind"


def processes(text: str) -> list[str]:
    """Command lines of all processes that name `text`, without this one."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or entry.name == str(os.getpid()):
            continue
        try:
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue  # it has ended meanwhile
        if text in line:
            found.append(line)
    return found


def within(seconds: float, condition: object) -> bool:
    """Whether `condition()` becomes true in time."""
    assert callable(condition)
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def run(
    image: GuestImage, tmp_path: Path, variant: str = "direct", limits: Limits = LIMITS, defect: str | None = None
) -> Summary:
    chosen = VARIANTS[variant]
    image = replace(image, arguments=chosen.arguments)
    name = f"linux-{variant}"
    return model_run.run(name, chosen, image, SEED, tmp_path / "run", "make linux", limits, defect=defect)


def files_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str) -> Path:
    """An initial file system whose script `name` is another."""
    files = tmp_path / "files"
    tmp_path.mkdir(exist_ok=True)
    shutil.copytree(initrd.FILES, files)
    (files / name).write_text(text)
    monkeypatch.setattr(initrd, "FILES", files)
    initrd.build(tmp_path / "other.gz")
    return tmp_path / "other.gz"


@pytest.mark.parametrize("variant", ["hardware", "literal", "directory"])
def test_linux(image: GuestImage, tmp_path: Path, variant: str) -> None:
    summary = run(image, tmp_path, variant)
    assert summary.passed, summary.failures
    if variant == "literal":
        assert summary.requests == 0, "Linux gave up before it asked for anything"
    else:
        assert summary.requests > 1000
        assert sum(summary.scoreboards["dma"].values()) > 10_000
    left = [path.name for path in (tmp_path / "run" / "tree").rglob("*")]
    assert bool(left) == (variant == "directory")
    reports = reports_of(list(read_log(tmp_path / "run")))
    assert [str(report) for report in reports] == [], "Linux breaks no clause for drivers"


@pytest.mark.parametrize("defect", ["used_length_of_buffer", "used_index_before_data"])
def test_the_scoreboards_judge_what_linux_bears(image: GuestImage, tmp_path: Path, defect: str) -> None:
    """A device that is wrong in a way that Linux does not mind."""
    summary = run(image, tmp_path, defect=defect)
    assert not summary.passed
    assert summary.failures[0].source not in ("", "step linux_guest")


ALONE = """. /common
mkdir /tmp/beside && mount_it || exit 1
START=$(space)
mkdir $M/ours
step "alone" {command}
rm -r $M/ours
step "all space is back" back
unmount_it
"""
FILES, TREE = ("exercise files $M/ours /tmp/beside 1 400", "exercise tree $M/ours /tmp/beside 1 400")
LISTING = "exercise probe removing $M/ours"


@pytest.mark.parametrize(
    ("defect", "command", "says"),
    [
        ("fs_old_data", FILES, r"byte \d+ is 0x.., on tmpfs 0x00"),
        ("fs_read_destroys", FILES, r"byte \d+ is 0x00, on tmpfs 0x"),
        ("fs_space_lost", FILES, r"all space is back: expected '1024 blocks, 1024 free, .* seen '1024 blocks, "),
        ("fs_link_twice", TREE, r"link count is 0\d+, on tmpfs 0\d+"),
        ("fs_rename_keeps_old", TREE, r"of the listing is '.*', on tmpfs '.*'|it came to .*, on tmpfs to "),
        ("fs_wrong_errno", TREE, r"it came to EINVAL, on tmpfs to |errno EINVAL"),
        ("fs_cookie_skips", LISTING, r"removing: entry \d+ was there all the time and never came"),
    ],
)
def test_the_guests_own_comparison(
    image: GuestImage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, defect: str, command: str, says: str
) -> None:
    """Without any scoreboard: what the guest's programs see by themselves of a file system with a defect."""
    script = ALONE.replace("{command}", command)
    other = files_with(tmp_path, monkeypatch, "check-deployed", script)
    variant = replace(VARIANTS["hardware"], more=False)
    arguments = {**variant.arguments, "seed": "1"}
    guest = replace(image, initrd=other, arguments=arguments)
    without = [board.name for board in ALL]
    summary = model_run.run(
        "linux", variant, guest, SEED, tmp_path / "run", "make linux", LIMITS, defect=defect, without=without
    )
    assert [failure.source for failure in summary.failures] == ["step linux_guest"]
    text = summary.failures[0].text
    assert re.search(says, text), text
    assert "\n" not in text and text in (tmp_path / "run" / CARD_TEXT).read_text()


def test_the_guests_script_fails(image: GuestImage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = 'echo "virtiofs-guest: begin tea"\necho "no <tea> here"\necho "virtiofs-guest: failed tea"\nexit 3\n'
    other = files_with(tmp_path, monkeypatch, "check-deployed", script)
    summary = run(replace(image, initrd=other), tmp_path)
    assert "ended with status 3, failed: tea" in summary.failures[0].text
    card = (tmp_path / "run" / CARD_TEXT).read_text()
    assert "-- last lines of the guest's console" in card and "no <tea> here" in card


def test_the_guests_kernel_panics(image: GuestImage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = files_with(tmp_path, monkeypatch, "init", "#!/bin/sh\nexit 1\n")
    summary = run(replace(image, initrd=other), tmp_path)
    assert "the guest's kernel panicked: Attempted to kill init!" in summary.failures[0].text
    assert "the guest's kernel panicked" in (tmp_path / "run" / CARD_TEXT).read_text()


def test_the_kernel_is_none(image: GuestImage, tmp_path: Path) -> None:
    summary = run(replace(image, kernel=Path("/bin/false")), tmp_path)
    assert "ended (status 1) before it connected" in summary.failures[0].text


def wrapped(tmp_path: Path, line: str) -> Path:
    script = tmp_path / "kernel.sh"
    script.write_text(f"#!/bin/sh\n{line}\n")
    script.chmod(0o755)
    return script


def test_a_kernel_that_never_connects(image: GuestImage, tmp_path: Path) -> None:
    hanging = replace(image, kernel=wrapped(tmp_path, "echo waiting for nothing; sleep 100"))
    began = time.monotonic()
    summary = run(hanging, tmp_path, limits=Limits(connect=1))
    assert time.monotonic() - began < 10
    assert summary.failures[0].kind == "hang"
    assert "has not connected within 1 s" in summary.failures[0].text
    assert "waiting for nothing" in (tmp_path / "run" / CARD_TEXT).read_text()


def test_a_guest_that_dies_in_the_middle(image: GuestImage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    endless = 'echo "virtiofs-guest: begin endless"\nmount -t virtiofs $TAG /mnt\nwhile true; do ls /mnt; done\n'
    other = files_with(tmp_path, monkeypatch, "check-deployed", endless)
    dying = wrapped(tmp_path, f'exec timeout --signal=KILL 4 {image.kernel} "$@"')
    summary = run(replace(image, kernel=dying, initrd=other), tmp_path)
    assert "without a result (in its step endless)" in summary.failures[0].text


def test_a_guest_that_never_ends(image: GuestImage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = files_with(tmp_path, monkeypatch, "check-deployed", "echo virtiofs-guest: begin sleep\nsleep 1000\n")
    summary = run(replace(image, initrd=other), tmp_path, limits=Limits(connect=30, silence=2))
    assert "silent for 2 s (in its step sleep)" in summary.failures[0].text
    busy = "mount -t virtiofs $TAG /mnt\nwhile true; do ls /mnt; done\n"
    other = files_with(tmp_path / "second", monkeypatch, "check-deployed", busy)
    summary = run(replace(image, initrd=other), tmp_path, limits=Limits(connect=30, silence=30, total=4))
    assert "not finished after 4 s" in summary.failures[0].text


def test_the_testbench_is_killed(image: GuestImage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the guest outlives the process that serves it, whatever ends that."""
    busy = "mount -t virtiofs $TAG /mnt\nwhile true; do ls /mnt; done\n"
    other = files_with(tmp_path, monkeypatch, "check-deployed", busy)
    code = (
        "from pathlib import Path\n"
        "from virtiofs_tb.guest import model_run\n"
        "from virtiofs_tb.guest.process import GuestImage\n"
        "from virtiofs_tb.guest.variants import VARIANTS\n"
        "variant = VARIANTS['direct']\n"
        f"image = GuestImage(Path({str(image.kernel)!r}), Path({str(other)!r}), variant.arguments)\n"
        f"model_run.run('linux', variant, image, 1, Path({str(tmp_path / 'run')!r}), 'make linux')\n"
    )
    console = tmp_path / "run" / "console.log"
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    try:
        assert within(60, lambda: console.exists() and b"Run /init" in console.read_bytes())
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert within(10, lambda: not processes(str(tmp_path))), processes(str(tmp_path))
    # A process that is killed cannot tidy up; where there is a simulator, virtiofs-tb does that.
    for left in [*tmp_path.glob("virtiofs-guest-*"), *tmp_path.glob(f"run/{FOLDER}")]:
        shutil.rmtree(left)


def test_a_shell_in_the_guest(image: GuestImage) -> None:
    """A person's session: the guest's console is the terminal."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "virtiofs_tb", "linux", "--shell", "1", "--target", "model", "--seed", "1"]
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True, cwd=ROOT)
    os.close(theirs)
    try:
        read_until(ours, b"mounted on /mnt", 60)
        os.write(ours, b"echo $((6 * 7)) >answer; cat /mnt/answer; exit\r")
        read_until(ours, b"\n42\r", 30)
        read_until(ours, b"1 guest", 30)
        assert process.wait(20) == 0
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        os.close(ours)


def read_until(terminal: int, text: bytes, seconds: float) -> None:
    """Read what is printed until `text` is among it."""
    seen = b""
    end = time.monotonic() + seconds
    while text not in seen:
        left = end - time.monotonic()
        assert left > 0 and select.select([terminal], [], [], left)[0], seen[-2000:].decode(errors="replace")
        try:
            seen += os.read(terminal, 65536)
        except OSError:
            pytest.fail(f"the terminal was closed before {text!r}: {seen[-2000:].decode(errors='replace')}")
