"""Waves of a window: the same run, only the window in the dump, and every signal of every group in it."""

from __future__ import annotations

import re
from pathlib import Path

from virtiofs_tb import build, runner
from virtiofs_tb.paths import ENDPOINT_FILELIST
from virtiofs_tb.waves import rerun
from virtiofs_tb.waves.groups import read_groups

TEST = "device_initialises"
WINDOW = (4_000_000, 5_000_000)


def test_waves_of_a_window(tmp_path: Path) -> None:
    plain = runner.run_one(runner.RunRequest(TEST, 1, run_dir=tmp_path / "plain"), build.build(ENDPOINT_FILELIST))
    request = runner.RunRequest(TEST, 1, "vcd", window_ps=WINDOW, run_dir=tmp_path / "waves")
    summary = runner.run_one(request, build.build(ENDPOINT_FILELIST, "vcd"))
    assert summary.passed, summary.message
    assert summary.trace_hash == plain.trace_hash
    dump = request.directory / "waves.vcd"
    times = [int(time) for time in re.findall(r"^#(\d+)$", dump.read_text(), re.MULTILINE)]
    assert (times[0], times[-1]) == WINDOW
    views = rerun.write_beside(dump, read_groups(), summary, WINDOW)
    assert views.missing == []
    assert [marker.name for marker in views.markers] == ["reset", "INIT"]
    assert views.stories is not None and views.stories.read_bytes().startswith(b"\xd9\xd9\xf7")


def test_waves_off_cost_nothing() -> None:
    """The default build has no tracing code at all; that of a build with waves shows what it would look like."""
    code = {waves: (build.build(ENDPOINT_FILELIST, waves).directory / "tb_top").read_bytes() for waves in (None, "vcd")}
    for sign in (b"trace_chg", b"VerilatedVcd"):
        assert sign in code["vcd"] and sign not in code[None]
