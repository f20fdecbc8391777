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

SEED = 4
ITEMS = 30
STORE = "message_store = 16384"


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that is judged by a wrong profile: it says that the message store has room for 20 bytes."""
    folder = tmp_path_factory.mktemp("failed")
    profile = folder / "small_store.toml"
    text = runner.DEFAULT_PROFILE.read_text()
    assert STORE in text
    profile.write_text(text.replace(STORE, "message_store = 20"))
    request = runner.RunRequest(
        "random_operations", SEED, profile=profile, options={"random_operations": ITEMS}, run_dir=folder / "run"
    )
    summary = runner.run_one(request, build.build(ENDPOINT_FILELIST))
    assert summary.failures and summary.failures[0].source == "notifications", summary.message
    return folder / "run"


@pytest.mark.parametrize("target", ["rtl", "model"])
def test_a_run_on_rtl_is_shrunk(target: str, failed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(targets, "RUNS", tmp_path)
    monkeypatch.setattr(runner, "RUNS", tmp_path)
    file = tmp_path / f"shrunk_on_{target}.py"
    line = ["shrink", str(failed), "--on", target, "--output", str(file), "--replays", "25"]
    done = CliRunner().invoke(cli.cli, line, standalone_mode=False)
    assert done.exception is None, done.output
    stimulus = Stimulus.of(file.read_text())
    assert stimulus.conditions.notifications and len(stimulus.items) <= 1
    prefix = "model-" if target == "model" else ""
    again = Summary.read(tmp_path / f"{prefix}{file.stem}-{SEED}")
    assert again is not None and again.failures[0].source == "notifications"
    command = f"--test {file} --seed {SEED}" if target == "model" else f"make sim TEST={file} SEED={SEED}"
    assert command in done.output
