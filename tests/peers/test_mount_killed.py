"""A mount whose simulator is killed: nothing stays mounted, and it is said what became of it."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

from mounted import USER_S, mounted, needs_fuse

from virtiofs_tb.mount import control, kernel

pytestmark = needs_fuse


def test_a_simulator_that_is_killed(tmp_path: Path) -> None:
    with mounted(tmp_path, "rtl", clean=False) as mount:
        (mount.path / "file").write_text("x")
        note = json.loads(control.note_of(mount.path).read_text())
        os.kill(note["pid"], signal.SIGKILL)
        output, _ = mount.process.communicate(timeout=USER_S)
        assert mount.process.returncode == 1
        assert "the simulation ended without a summary" in output
        assert kernel.kind_of(mount.path) is None
        assert control.running(mount.path) == []
        assert not Path(note["socket"]).parent.exists()
