"""Builds a unit of the endpoint with its harness, by Verilator alone: seconds, no cocotb."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from virtiofs_tb.build import BuildError, find_verilator, locked
from virtiofs_tb.paths import ENDPOINT_FILELIST, SIM_BUILD
from virtiofs_tb.runner import default_jobs

HERE = Path(__file__).parent


def other(*values: Any) -> Any:
    """Parameters of a test at a data width other than the default: `make widths` runs it, `make test` does not."""
    return pytest.param(*values, marks=pytest.mark.widths)


WIDTHS = [other(128), 256, other(512)]
_TAIL = 30


def build_unit(bench: str, parameters: Mapping[str, int]) -> Path:
    """The executable of `bench`.sv (also the top module's name) and `bench`.cpp; raises BuildError.

    parameters: those of the top module, and macros for C++. Verilator and make compile again only what has changed.
    """
    verilator = find_verilator()
    folder = SIM_BUILD / "units" / "-".join([bench, *(f"{name}{value}" for name, value in parameters.items())])
    folder.mkdir(parents=True, exist_ok=True)
    command: list[str | Path] = [
        verilator.executable,
        *("--cc", "--exe", "--build", "--no-timing", "--top-module", bench, "--Mdir", folder, "-o", bench),
        *("--build-jobs", str(default_jobs()), "--output-split", "4000"),  # pieces that compile side by side
        *("-O3", "--x-assign", "unique", "--x-initial", "unique", "-Wno-fatal", "-Wno-lint", "-Wno-style"),
        *(f"-G{name}={value}" for name, value in parameters.items()),
        *("-CFLAGS", " ".join(["-O1", f"-I{HERE}", *(f"-D{name}={value}" for name, value in parameters.items())])),
        *(item for variable in verilator.make_variables for item in ("-MAKEFLAGS", variable)),
        *("-F", ENDPOINT_FILELIST, HERE / f"{bench}.sv", HERE / f"{bench}.cpp"),
    ]
    with locked(folder):
        done = subprocess.run(
            command, env={**os.environ, **verilator.environment}, capture_output=True, text=True, check=False
        )
    if done.returncode != 0:
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-_TAIL:])
        raise BuildError(f"{bench} does not compile; the end of what was said:\n{tail}")
    return folder / bench


def play(executable: Path, script: Iterable[str], seed: int) -> list[str]:
    """The harness's answers to a script, one a line. seed: of its stalls and of registers without reset."""
    done = subprocess.run(
        [executable, str(seed), f"+verilator+seed+{seed}", "+verilator+rand+reset+2"],
        input="\n".join(script) + "\n",
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    lines = done.stdout.splitlines()
    errors = [line for line in lines if line.startswith("error")]
    assert not errors, errors[:10]
    assert done.returncode == 0, done.stderr[-2000:]
    return lines
