"""What the log and waves cost: how it is measured, and that a build without waves has no tracing code."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import cocotb_tools.runner
import pytest
from rich.console import Console

from virtiofs_tb import bench, build
from virtiofs_tb.paths import ENDPOINT_FILELIST
from virtiofs_tb.report import ResultClass, Summary
from virtiofs_tb.runner import RunRequest, UsageError

NOTHING: Any = None  # in place of a build, which these runs do not look at


class Runs:
    """In place of simulations: the one with a log has nine tenths of the speed."""

    def __init__(self, **changes: Any) -> None:
        self.logged: list[bool] = []
        self.changes = changes

    def __call__(self, request: RunRequest, simulation: build.Build) -> Summary:
        self.logged.append(request.log)
        summary = Summary(request.test, request.seed, ResultClass.PASSED, trace_hash="same")
        summary.window = {bench.CPU_RATE: 270.0 if request.log else 300.0}
        if not request.log:
            for name, value in self.changes.items():
                setattr(summary, name, value)
        return summary


def test_pairs_take_turns() -> None:
    runs = Runs()
    pairs = bench.measure_log(NOTHING, 1, 3, run_one=runs)
    assert runs.logged == [True, False, False, True, True, False]
    assert [pair.percent for pair in pairs] == pytest.approx([10.0] * 3)
    text = io.StringIO()
    bench.show_log(Console(file=text, width=80), pairs, 1)
    assert "median 10.0 %, wanted at most 15 %" in text.getvalue()
    assert text.getvalue().count("270") == 3


def test_both_runs_do_the_same_work() -> None:
    """The same seed and number of operations, whatever time they take; only the log differs."""
    logged, silent = bench.log_requests(5)
    assert logged.options == silent.options == {"window_s": 0, "random_operations": bench.LOG_ITEMS}
    assert (logged.environment["VIRTIOFS_LOG"], silent.environment["VIRTIOFS_LOG"]) == ("1", "0")
    different = {name for name, value in logged.environment.items() if silent.environment[name] != value}
    assert different == {"VIRTIOFS_LOG"}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"result_class": ResultClass.FAILED, "message": "dma: 4 bytes"}, "no speed to be told: dma: 4 bytes"),
        ({"window": {}}, "no speed to be told: the run was too short"),
        ({"trace_hash": "other"}, "did not do the same"),
    ],
)
def test_runs_that_cannot_be_compared(changes: dict[str, Any], expected: str) -> None:
    with pytest.raises(UsageError, match=expected):
        bench.measure_log(NOTHING, 1, 1, run_one=Runs(**changes))


# ---- waves ----


@pytest.mark.parametrize(
    ("waves", "expected"), [(None, []), ("fst", ["--trace-fst"]), ("vcd", ["--trace-vcd"])], ids=str
)
def test_no_tracing_code_unless_asked(
    waves: str | None, expected: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What Verilator is told; the log that runs leave is no part of the build."""
    given: dict[str, Any] = {}

    class Runner:
        def build(self, **options: Any) -> None:
            given.update(options)
            options["log_file"].write_text("")
            raise RuntimeError("not compiled")

    monkeypatch.setattr(cocotb_tools.runner, "get_runner", lambda simulator: Runner())
    with pytest.raises(build.BuildError, match="not compiled"):
        build.build(ENDPOINT_FILELIST, waves, build_dir=tmp_path / "build")
    tracing = [argument for argument in given["build_args"] if "trace" in argument]
    assert tracing == expected + (["--trace-structs"] if waves else [])
    assert given["waves"] is (waves is not None)
