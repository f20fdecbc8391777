"""The guest's initial file system, packed by cpio: Debian's static busybox, the scripts of files/, and the programs of
programs/, which are compiled to one.
"""

from __future__ import annotations

import gzip
import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from virtiofs_tb.guest.errors import GuestBuildError

FILES = Path(__file__).parent / "files"
PROGRAMS = Path(__file__).parent / "programs"
PROGRAM = "exercise"
COMPILE = ("gcc", "-std=gnu17", "-D_GNU_SOURCE", "-Os", "-Wall", "-Wextra", "-Werror", "-static", "-s")
BUSYBOX = Path("/bin/busybox")
DIRECTORIES = ("bin", "dev", "mnt", "proc", "sys", "tmp")


def key() -> str:
    """Names what the archive is made of."""
    digest = hashlib.sha256(BUSYBOX.read_bytes() + " ".join(COMPILE).encode())
    for file in sorted([*FILES.iterdir(), *PROGRAMS.iterdir()]):
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:12]


def compile_programs(target: Path, more: Sequence[str] = ()) -> None:
    """Write the guest's own program to `target`; it needs no libraries there. more: for the compiler.

    Raises GuestBuildError.
    """
    sources = [str(path) for path in sorted(PROGRAMS.glob("*.c"))]
    done = subprocess.run([*COMPILE, "-o", str(target), *sources, *more], capture_output=True, text=True)
    if done.returncode != 0:
        raise GuestBuildError(f"gcc cannot compile the guest's programs in {PROGRAMS}:\n{done.stderr.strip()}")


def build(target: Path) -> None:
    """Write the compressed archive to `target`. Raises GuestBuildError."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name in DIRECTORIES:
            (root / name).mkdir()
        shutil.copy(BUSYBOX, root / "bin" / "busybox")
        applets = subprocess.run([BUSYBOX, "--list"], capture_output=True, text=True, check=True).stdout.split()
        for applet in applets:
            if applet != "busybox":
                (root / "bin" / applet).symlink_to("busybox")
        compile_programs(root / "bin" / PROGRAM)
        for script in sorted(FILES.iterdir()):
            shutil.copy(script, root / script.name)
            (root / script.name).chmod(0o755)
        names = sorted(str(path.relative_to(root)) for path in root.rglob("*"))
        packed = subprocess.run(
            ["cpio", "--quiet", "--create", "--format=newc", "--owner=0:0"],
            cwd=root,
            input="\n".join(names).encode(),
            capture_output=True,
        )
        if packed.returncode != 0:
            raise GuestBuildError(f"cpio cannot pack the guest's files: {packed.stderr.decode().strip()}")
        partial = target.with_suffix(".part")
        partial.write_bytes(gzip.compress(packed.stdout, compresslevel=6, mtime=0))
        partial.replace(target)
