"""The page unit of the ramfs engine, by itself: random commands, and reads and writes through its windows, against
sparse files in C++. It never shows old data, returns space exactly, reserves all or nothing, and holds when asked."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.sim.units.unit_build import build_unit, other

COMMANDS = 4000


def build(width: int = 256, pages: int = 64, inodes: int = 64) -> Path:
    return build_unit("page_bench", {"DATA_W": width, "PAGES": pages, "INODES": inodes})


def run(program: Path, *arguments: str | int) -> subprocess.CompletedProcess[str]:
    command = [str(program), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.parametrize(("width", "pages", "inodes"), [(256, 64, 64), other(128, 16, 64), other(512, 4096, 4096)])
def test_files_keep_what_was_written(width: int, pages: int, inodes: int) -> None:
    program = build(width, pages, inodes)
    full = 0
    for seed in range(1, 5):
        done = run(program, seed, COMMANDS)
        assert done.returncode == 0, f"seed {seed}: {done.stdout}"
        full += json.loads(done.stdout)["full"]
    assert full > 0, "no command met a lack of space"


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("data", "reads "),
        ("pages", "pages, expected "),
        ("free", "free pages, expected "),
        ("space", "no_space is "),
        ("holding", "not holding 101 cycles after hold"),
        ("still", "an answer while holding"),
        ("busy", "windows busy: "),
    ],
)
def test_the_bench_sees_a_fault(fault: str, message: str) -> None:
    done = run(build(), 1, COMMANDS, fault)
    assert done.returncode == 1
    assert message in done.stdout


def test_what_commands_cost() -> None:
    """In cycles. A window's words: one a cycle, and the way through the RAM."""
    cycles = json.loads(run(build(), "measure").stdout)
    assert cycles["MAP 4096"] <= 5
    assert cycles["RESERVE 4096"] <= 7
    assert cycles["MAP 65536"] <= 2 + 16 * 3
    assert cycles["RESERVE 4096 words"] <= 128 + 1
    assert cycles["MAP 4096 words"] <= 128 + 3
