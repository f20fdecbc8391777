"""The process around one simulator: `python -m virtiofs_tb.child JSON`, started by runner.py.

cocotb's runner takes what it hands down from its own environment, so each simulation has a process of its own.
Exit status 0 when the simulator ended well and cocotb's test passed, else 1 with the reason on stdout.
"""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path

from virtiofs_tb import build


def main(text: str) -> int:
    task = json.loads(text)
    directory = Path(task["directory"])
    simulation = build.Build(directory, task["waves"], directory / "build.log", False, 0.0, build.find_verilator())
    window = task["window_ps"]
    with contextlib.redirect_stdout(sys.stderr):
        result = build.run(
            simulation,
            task["module"],
            None,
            task["seed"],
            Path(task["run_dir"]),
            waves=task["waves"] is not None,
            window_ps=(window[0], window[1]) if window else None,
        )
    if not result.passed:
        print("; ".join(failure.splitlines()[0] for failure in result.failures))
    return 0 if result.passed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
