"""Where things stand in the project; the testbench is used from a checkout."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SIM_BUILD = ROOT / "sim_build"
RUNS = SIM_BUILD / "runs"
ENDPOINT_FILELIST = ROOT / "hdl" / "virtio_fs_endpoint.f"
PROFILES = ROOT / "profiles"
SESSIONS = ROOT / "tests" / "data" / "sessions"


def shown(path: Path) -> str:
    """`path` as a person in the project's folder would type it."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
