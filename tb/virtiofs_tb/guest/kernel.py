"""The guest's kernel: User Mode Linux from Debian's kernel source, built once and kept under sim_build/guest/.

The folder's name says what it was built from: the source archive, the options of kernel.config and the compiler.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from virtiofs_tb.guest import initrd
from virtiofs_tb.guest.errors import GuestBuildError, GuestMissing
from virtiofs_tb.guest.process import GuestImage
from virtiofs_tb.paths import SIM_BUILD

SOURCE = Path("/usr/src/linux-source-6.1.tar.xz")
CONFIG = Path(__file__).with_name("kernel.config")
CACHE = SIM_BUILD / "guest"
PACKAGES = "linux-source-6.1 flex bison bc make gcc libc6-dev xz-utils busybox-static cpio"
"""Debian 12's; util-linux, whose setpriv and setarch start the guest, is on every machine."""

_TOOLS = ("flex", "bison", "bc", "make", "gcc", "xz", "cpio", "setpriv", "setarch")
_TAIL_LINES = 15


def missing() -> list[str]:
    """What a guest needs and this machine lacks."""
    lacks = [tool for tool in _TOOLS if shutil.which(tool) is None]
    if platform.machine() != "x86_64":
        lacks.append("an x86_64 processor")
    lacks += [str(path) for path in (SOURCE, Path("/usr/include/stdio.h")) if not path.exists()]
    if not initrd.BUSYBOX.exists() or b"ld-linux" in initrd.BUSYBOX.read_bytes()[:4096]:
        lacks.append(f"a statically linked {initrd.BUSYBOX}")
    return lacks


def need() -> None:
    """Raises GuestMissing unless a guest can be built here."""
    if lacks := missing():
        raise GuestMissing(f"a Linux guest needs {', '.join(lacks)}: apt-get install {PACKAGES}")


def image(arguments: dict[str, str], echo: Callable[[str], None] | None = None) -> GuestImage:
    """Kernel and initial file system, built where they are not yet. echo: called with a line before something long.

    Raises GuestMissing and GuestBuildError.
    """
    need()
    folder = CACHE / _key()
    kernel = folder / "linux"
    CACHE.mkdir(parents=True, exist_ok=True)
    with _locked(CACHE / ".lock"):
        if not kernel.exists():
            if echo is not None:
                echo(f"building the guest's kernel from {SOURCE.name}, once, in some minutes")
            _build(folder)
        archive = folder / f"initrd-{initrd.key()}.gz"
        if not archive.exists():
            initrd.build(archive)
    return GuestImage(kernel, archive, arguments)


def _key() -> str:
    compiler = _output(["gcc", "--version"]).splitlines()[0]
    stat = SOURCE.stat()
    package = _output(["dpkg-query", "-W", "-f=${Version}", "linux-source-6.1"])
    text = f"{SOURCE} {package} {stat.st_size} {compiler} {CONFIG.read_text()}"
    return f"linux-6.1-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def _output(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else "unknown\n"


def _build(folder: Path) -> None:
    """Unpack, configure, compile; only the kernel, its configuration and the log stay."""
    work = folder.with_name(folder.name + ".part")
    shutil.rmtree(work, ignore_errors=True)
    source, output = work / "source", work / "build"
    for path in (source, output):
        path.mkdir(parents=True)
    log = folder.with_name(folder.name + ".log")
    make = ["make", f"--directory={source}", "ARCH=um", f"O={output}", f"--jobs={len(os.sched_getaffinity(0))}"]
    try:
        log.write_text("")
        _run(["tar", "--extract", f"--file={SOURCE}", f"--directory={source}", "--strip-components=1"], log)
        _run([*make, "allnoconfig"], log, {"KCONFIG_ALLCONFIG": str(CONFIG)})
        _check_config((output / ".config").read_text())
        _run([*make, "linux"], log, {"KBUILD_BUILD_USER": "virtiofs-tb", "KBUILD_BUILD_HOST": "localhost"})
        folder.mkdir(exist_ok=True)
        shutil.copy(output / ".config", folder / "config")
        _run(["strip", "--output-file", str(folder / "linux.part"), str(output / "linux")], log)
        (folder / "linux.part").replace(folder / "linux")
        log.replace(folder / "build.log")
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _check_config(config: str) -> None:
    """An option that depends on one that is missing is dropped without a word."""
    lines = set(config.splitlines())
    wanted = [line for line in CONFIG.read_text().splitlines() if line.startswith("CONFIG_")]
    if lost := [line for line in wanted if line not in lines]:
        raise GuestBuildError(f"{SOURCE.name} does not take the options {', '.join(lost)} of {CONFIG.name}")


def _run(command: list[str], log: Path, extra: dict[str, str] | None = None) -> None:
    # What make hands down (SHELL=1 too) is not for the kernel's makefiles.
    unwanted = ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "MAKEOVERRIDES", "SHELL", "ARCH", "O")
    environment = {name: value for name, value in os.environ.items() if name not in unwanted}
    with log.open("ab") as output:
        try:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env={**environment, **(extra or {})}
            )
        except OSError as error:
            raise GuestBuildError(f"{command[0]} cannot be run: {error}") from error
    if done.returncode != 0:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-_TAIL_LINES:])
        raise GuestBuildError(f"{' '.join(command[:1])} failed on the guest's kernel; the end of {log}:\n{tail}")


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Two runs that want the same kernel build it once."""
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
