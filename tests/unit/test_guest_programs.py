"""The guest's own programs, here on two directories of this machine: content with the same, and with nothing else.

What is wrong on one side only comes from wrappers around system calls, which the linker puts in between. What needs the
endpoint's file system itself (O_DIRECT, ZERO_RANGE) is tried in a guest: tests/peers/test_linux_guest.py.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from virtiofs_tb.guest import initrd, kernel
from virtiofs_tb.guest.errors import GuestBuildError

pytestmark = pytest.mark.skipif(bool(kernel.missing()), reason=f"apt-get install {kernel.PACKAGES}")

WRAPPERS = """
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int wrong(int file, const char *what) { /* whether this is wrong on the side of `file` */
    char link[64], target[4096] = "";
    if (!getenv("WRONG") || strcmp(getenv("WRONG"), what)) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    return readlink(link, target, sizeof target - 1) > 0 && strstr(target, "/ours");
}

int __real_fcntl(int file, int command, struct flock *lock);
int __wrap_fcntl(int file, int command, struct flock *lock) {
    if (command == F_SETLKW && wrong(file, "nobody waits")) return 0;
    int result = __real_fcntl(file, command, lock);
    if (command == F_GETLK && wrong(file, "no lock conflicts")) lock->l_type = F_UNLCK;
    return command == F_SETLK && wrong(file, "a lock is given twice") ? 0 : result;
}

int __real_flock(int file, int how);
int __wrap_flock(int file, int how) { return wrong(file, "an flock excludes nobody") ? 0 : __real_flock(file, how); }

int __real_linkat(int from, const char *old, int to, const char *name, int flags);
int __wrap_linkat(int from, const char *old, int to, const char *name, int flags) {
    if (flags || !wrong(to, "a hard link is a new file")) return __real_linkat(from, old, to, name, flags);
    int result = __real_linkat(from, old, to, name, flags);
    if (result == 0) unlinkat(to, name, 0), mknodat(to, name, S_IFREG | 0600, 0);
    return result;
}

int __real_renameat(int from, const char *old, int to, const char *name);
int __wrap_renameat(int from, const char *old, int to, const char *name) {
    int result = __real_renameat(from, old, to, name);
    if (result == 0 && wrong(from, "a rename leaves the old name")) mknodat(from, old, S_IFREG | 0600, 0);
    return result;
}

int __real_fchmodat(int at, const char *name, mode_t mode, int flags);
int __wrap_fchmodat(int at, const char *name, mode_t mode, int flags) {
    return __real_fchmodat(at, name, wrong(at, "a mode loses a bit") ? mode & ~01u : mode, flags);
}

ssize_t __real_write(int file, const void *data, size_t size);
ssize_t __wrap_write(int file, const void *data, size_t size) {
    return size > 600 && wrong(file, "a write gets lost") ? (ssize_t)size : __real_write(file, data, size);
}
"""
CALLS = ("fcntl", "flock", "linkat", "renameat", "fchmodat", "write")

WRONG = {
    "a lock is given twice": ("locks", r"fcntl .*it came to 0, on tmpfs to EAGAIN"),
    "nobody waits": ("locks", r"the same, waiting\): it came to 0 at once"),
    "no lock conflicts": ("locks", r"ask .*: nothing conflicts, on tmpfs a lock"),
    "an flock excludes nobody": ("locks", r"flock .*it came to 0, on tmpfs to EAGAIN"),
    "a hard link is a new file": ("tree", r"on tmpfs 0\d+$|it came to"),
    "a rename leaves the old name": ("tree", r"of the listing is|it came to|on tmpfs 0\d+$"),
    "a mode loses a bit": ("tree", r"the mode is 0\d+, on tmpfs 0\d+$"),
    "a write gets lost": ("tree", r"the size is 0\d+, on tmpfs 0\d+$|it came to|byte \d+ is"),
}
"""The program that must find it, and what it must say."""

COUNT = {"locks": "150", "tree": "900"}


def exercised(program: Path, name: str, tmp_path: Path, seed: int, wrong: str = "") -> subprocess.CompletedProcess[str]:
    directories = [tmp_path / "ours", tmp_path / "tmpfs"]
    for directory in directories:
        directory.mkdir()
    command = [program, name, *directories, str(seed), COUNT[name]]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env={"WRONG": wrong})


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("guest") / "exercise"
    initrd.compile_programs(program)
    return program


@pytest.fixture(scope="module")
def wrapped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("guest")
    (folder / "wrappers.c").write_text(WRAPPERS)
    initrd.compile_programs(
        folder / "exercise", [str(folder / "wrappers.c"), *(f"-Wl,--wrap={call}" for call in CALLS)]
    )
    return folder / "exercise"


@pytest.mark.parametrize("name", COUNT)
def test_two_sound_sides(sound: Path, name: str, tmp_path: Path) -> None:
    done = exercised(sound, name, tmp_path, 1)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert done.stdout.startswith(f"{name}: {COUNT[name]} operations of seed 1, ")


@pytest.mark.parametrize("what", WRONG)
def test_a_side_that_is_wrong(wrapped: Path, what: str, tmp_path: Path) -> None:
    name, says = WRONG[what]
    done = exercised(wrapped, name, tmp_path, 2, what)
    assert done.returncode == 1, done.stdout + done.stderr
    last = done.stdout.splitlines()[-1]
    assert re.match(rf"virtiofs-guest: because {name}, seed 2, operation \d+ \(.*\): ", last), last
    assert re.search(says, last), last


def test_what_is_typed_wrong(sound: Path, tmp_path: Path) -> None:
    for arguments, says in (
        ([], "expected files, tree, locks or probe, found nothing"),
        (["tree", "a", "b", "many", "1"], "SEED: expected a number, found many"),
        (["files", "a"], "expected OURS TMPFS SEED COUNT"),
        (["probe", "tea", "/"], "expected a probe's name and a directory"),
    ):
        done = subprocess.run([sound, *arguments], capture_output=True, text=True)
        assert done.returncode == 2 and says in done.stderr, done.stderr


def test_a_program_that_does_not_compile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(initrd, "PROGRAMS", tmp_path)
    (tmp_path / "broken.c").write_text("int main(void) { return }\n")
    with pytest.raises(GuestBuildError, match=r"(?s)gcc cannot compile the guest's programs in .*broken\.c:1"):
        initrd.compile_programs(tmp_path / "exercise")
