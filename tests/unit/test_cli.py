"""What a person can type wrong: one clear line, the right exit status, no traceback."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from virtiofs_tb.paths import ROOT
from virtiofs_tb.report import FailureReport, ResultClass, StepReport, Summary
from virtiofs_tb.runner import RunRequest, worst

BOOTSTRAP = ROOT / "tools" / "bootstrap.py"


def tool(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run virtiofs-tb as the user would."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("VIRTIOFS_")}
    command = [sys.executable, "-m", "virtiofs_tb", *arguments]
    env["PYTHONPATH"] = f"{ROOT / 'models'}{os.pathsep}{ROOT / 'tb'}"
    return subprocess.run(command, cwd=ROOT, env={**env, **environment}, capture_output=True, text=True, timeout=120)


def one_line(text: str) -> str:
    lines = text.strip().splitlines()
    assert len(lines) == 1, text
    assert "Traceback" not in text
    return lines[0]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("sim", "--test", "mian"), "TEST=mian: no such test; did you mean main"),
        (("sim", "--test", "session_brows"), "session_browse"),
        (("sim", "--seed", "seven"), "SEED=seven: expected a whole number"),
        (("sim", "--seed", "-1"), "SEED=-1: expected 0 to"),
        (("sim", "--jobs", "0"), "JOBS=0: expected 1 to"),
        (("sim", "--dut", "missing.f"), "DUT=missing.f: no such file"),
        (("sim", "--profile", "missing.toml"), "PROFILE=missing.toml: no such file"),
        (("sim", "--profile", "pyproject.toml"), "unknown key"),
        (("sim", "--without", "everything"), "WITHOUT=everything: no such scoreboard; there are config_space"),
        (("sim", "--colour"), "--colour"),
        (("sim", "--test", "tests/sim/nothing.py"), "TEST=tests/sim/nothing.py: no such file"),
        (("sim", "--test", "tools/bootstrap.py"), "TEST=tools/bootstrap.py: there is no scenario in it"),
        (("waves", "--seed", "1", "--without", "everything"), "WITHOUT=everything: no such scoreboard"),
        (("model", "--test", "uvm_traffic"), "UVM sequences need a simulator"),
        (("model", "--defect", "usd_id"), "no such defect; there are used_id"),
        (("simulate",), "simulate"),
    ],
)
def test_usage_errors(arguments: tuple[str, ...], expected: str) -> None:
    done = tool(*arguments)
    assert done.returncode == ResultClass.USAGE, done.stdout + done.stderr
    assert expected in one_line(done.stderr)


def test_make_hands_values_over_unharmed() -> None:
    """Nothing that is typed after TEST= reaches a shell."""
    done = tool("sim", VIRTIOFS_TEST="a'; touch harm; '")
    assert done.returncode == ResultClass.USAGE
    assert not (ROOT / "harm").exists()
    one_line(done.stderr)


def test_list_names_every_test() -> None:
    done = tool("list")
    assert done.returncode == 0
    assert "main" in done.stdout
    assert "session_browse" in done.stdout


def test_a_file_list_that_does_not_compile_is_a_build_error(tmp_path: Path) -> None:
    (tmp_path / "broken.f").write_text("broken.sv\n")
    (tmp_path / "broken.sv").write_text("module virtio_fs_dut(; endmodule\n")
    done = tool("sim", "--test", "identity", "--seed", "7", "--dut", str(tmp_path / "broken.f"))
    assert done.returncode == ResultClass.BUILD, done.stdout + done.stderr
    assert "build failed" in done.stdout
    summary = json.loads((ROOT / "sim_build" / "runs" / "identity-7" / "summary.json").read_text())
    assert summary["class"] == ResultClass.BUILD


def test_summary_is_read_back_as_written(tmp_path: Path) -> None:
    summary = Summary(
        "t", 3, steps=[StepReport("s", "passed", 1, 2)], failures=[FailureReport("dma", 5, "text", "X-D01")]
    )
    summary.write(tmp_path)
    assert Summary.read(tmp_path) == summary
    assert json.loads((tmp_path / "summary.json").read_text())["result"] == "failed"
    assert Summary.read(tmp_path / "nowhere") is None


def test_the_worst_result_is_the_exit_status() -> None:
    good, bad = Summary("a", 1, ResultClass.PASSED), Summary("b", 1, ResultClass.FAILED)
    assert worst([good, good]) == 0
    assert worst([good, bad]) == 1


def test_the_line_that_reruns_a_run_names_what_matters() -> None:
    request = RunRequest("main", 5, "vcd", ROOT / "a.f", ROOT / "b.toml")
    assert request.rerun.startswith("make sim TEST=main SEED=5")
    assert "WAVES=1" in request.rerun
    assert "DUT=" in request.rerun


# ---- before .venv exists ----


def bootstrap(path: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(BOOTSTRAP), *arguments]
    return subprocess.run(command, cwd=ROOT, env={"PATH": path}, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize(("missing", "package"), [("g++", "g++"), ("perl", "perl"), ("make", "make")])
def test_a_missing_tool_is_named_with_its_package(missing: str, package: str, tmp_path: Path) -> None:
    for name in {"g++", "perl", "make"} - {missing}:
        (tmp_path / name).symlink_to(shutil.which(name) or "/bin/true")
    done = bootstrap(str(tmp_path), "sim")
    assert done.returncode == ResultClass.USAGE
    line = one_line(done.stderr)
    assert line.startswith(f"setup: {missing} is missing")
    assert line.endswith(f"apt-get install {package}")


def test_bootstrap_takes_one_known_group() -> None:
    done = bootstrap(os.environ["PATH"], "everything")
    assert done.returncode == ResultClass.USAGE
    assert "expected one of sim, peers, lint" in one_line(done.stderr)


def test_no_network_is_said_in_one_line(tmp_path: Path) -> None:
    """A copy of the project whose package index is a closed port."""
    copy = tmp_path / "project"
    copy.mkdir()
    shutil.copytree(ROOT / "requirements", copy / "requirements")
    shutil.copytree(ROOT / "tools", copy / "tools")
    shutil.copy(ROOT / "pyproject.toml", copy)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
        "PIP_NO_CACHE_DIR": "1",
    }
    python = getattr(sys, "_base_executable", sys.executable)
    command = [python, str(copy / "tools" / "bootstrap.py"), "sim"]
    done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == ResultClass.USAGE, done.stdout + done.stderr
    assert "no package index can be reached" in one_line(done.stderr)
