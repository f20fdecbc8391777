"""Builds a bench of one unit of hdl/: a C++ program around Verilator's model of a module with plain ports."""

from __future__ import annotations

import fcntl
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from virtiofs_tb.build import BuildError, find_verilator
from virtiofs_tb.paths import ROOT, SIM_BUILD

HERE = Path(__file__).parent
HDL = ROOT / "hdl"


def bench(top: str, sources: Sequence[Path], program: Path, parameters: Mapping[str, int]) -> Path:
    """The executable of `program` around module `top` of `sources`; compiled only where something changed.

    parameters: of the module; the program sees them as macros. What has no reset starts with random values.
    Raises BuildError with the compiler's last lines.
    """
    verilator = find_verilator()
    directory = SIM_BUILD / "units" / "-".join([top, *(f"{value}" for value in parameters.values())])
    directory.mkdir(parents=True, exist_ok=True)
    command = [
        *(str(verilator.executable), "--cc", "--exe", "--build", "-j", str(os.cpu_count() or 1), "-O3"),
        *("--x-initial", "unique", "--x-assign", "unique", "-Wno-fatal", "--top-module", top),
        *(f"-G{name}={value}" for name, value in parameters.items()),
        *("-CFLAGS", " ".join(f"-D{name}={value}" for name, value in parameters.items())),
        *("--Mdir", str(directory), "-o", "bench", *map(str, sources), str(program)),
    ]
    flags = " ".join([*verilator.make_variables, "OPT_FAST=-O1", "OPT_SLOW=-O0", "OPT_GLOBAL=-O0"])
    environment = {**os.environ, **verilator.environment, "MAKEFLAGS": flags}
    with open(directory / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-30:])
        raise BuildError(f"{top} does not compile:\n{tail}")
    return directory / "bench"
