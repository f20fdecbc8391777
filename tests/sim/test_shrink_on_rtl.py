"""A random run that failed on RTL is shrunk on RTL, and its stimulus on the golden device."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from virtiofs_tb import build, cli, runner
from virtiofs_tb.paths import ENDPOINT_FILELIST
from virtiofs_tb.report import Summary
from virtiofs_tb.sequences.recorded import Stimulus
from virtiofs_tb.shrink import targets

SEED = 3  # here messages are stored before they are delivered, so that a store too small for any shows
ITEMS = 30

# Where it is shrunk, and what is wrong of the profile that the run is judged by: the endpoint has no defect that could
# be found. The first shows in the notifications alone, the second is found by whoever reads the MSI-X capability.
CASES = {
    "rtl": ("message_store = 16384", "message_store = 15", "notifications"),
    "model": ("msix_vectors = 11", "msix_vectors = 12", "config_space"),
}


@pytest.mark.parametrize("target", CASES)
def test_a_run_on_rtl_is_shrunk(target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right, wrong, scoreboard = CASES[target]
    profile = tmp_path / "wrong.toml"
    text = runner.DEFAULT_PROFILE.read_text()
    assert right in text
    profile.write_text(text.replace(right, wrong))
    monkeypatch.setattr(targets, "RUNS", tmp_path)
    monkeypatch.setattr(runner, "RUNS", tmp_path)
    options = {"random_operations": ITEMS}
    request = runner.RunRequest("random_operations", SEED, profile=profile, options=options)
    summary = runner.run_one(request, build.build(ENDPOINT_FILELIST))
    assert summary.failures and summary.failures[0].source == scoreboard, summary.message

    file = tmp_path / f"shrunk_on_{target}.py"
    line = ["shrink", str(request.directory), "--on", target, "--output", str(file), "--replays", "25"]
    done = CliRunner().invoke(cli.cli, line, standalone_mode=False)
    assert done.exception is None, done.output
    stimulus = Stimulus.of(file.read_text())
    assert not stimulus.items and stimulus.conditions.notifications == (target == "rtl")
    again = Summary.read(tmp_path / f"{'model-' if target == 'model' else ''}{file.stem}-{SEED}")
    assert again is not None and again.failures[0].source == scoreboard
    command = f"--test {file} --seed {SEED}" if target == "model" else f"make sim TEST={file} SEED={SEED}"
    assert command in done.output
