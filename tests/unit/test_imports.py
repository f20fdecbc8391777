"""Imports point down only: what runs without a simulator imports neither cocotb nor pyuvm, and models nothing of tb."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PURE = [
    "models/virtiofs_model", "tb/virtiofs_tb/driver", "tb/virtiofs_tb/scoreboards", "tb/virtiofs_tb/analysis",
    "tb/virtiofs_tb/coverage",
]  # fmt: skip
PURE_MODULES = ["virtiofs_tb.scenario", "virtiofs_tb.sequences.random_ops", "virtiofs_tb.host.port"]


def modules(folder: str) -> list[str]:
    """Names of all modules below a folder of models/ or tb/."""
    base = ROOT / folder.split("/", maxsplit=1)[0]
    found = []
    for path in sorted((ROOT / folder).rglob("*.py")):
        parts = path.relative_to(base).with_suffix("").parts
        found.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return found


def loaded_by(names: list[str]) -> set[str]:
    """Top-level packages that importing `names` brings in, in a fresh interpreter."""
    code = f"import sys, importlib\nsys.path[:0] = {[str(ROOT / 'models'), str(ROOT / 'tb')]!r}\n"
    code += f"for name in {names!r}: importlib.import_module(name)\n"
    code += "print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


@pytest.mark.parametrize("folder", PURE)
def test_no_simulator_is_imported(folder: str) -> None:
    assert not loaded_by(modules(folder)) & {"cocotb", "pyuvm", "cocotb_bus"}


def test_single_modules_import_no_simulator() -> None:
    assert not loaded_by(PURE_MODULES) & {"cocotb", "pyuvm", "cocotb_bus"}


def test_models_import_nothing_of_the_testbench() -> None:
    extra = loaded_by(modules("models/virtiofs_model")) - set(sys.stdlib_module_names)
    assert "virtiofs_tb" not in extra
