"""A simulation with a mount as the runner sees it, and what travels to the simulator's process."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from virtiofs_tb.mount.options import Options
from virtiofs_tb.runner import RunRequest

_VARIABLE = "VIRTIOFS_MNT"
_OPTIONS = "VIRTIOFS_MOUNT_OPTIONS"


@dataclass(frozen=True, kw_only=True)
class MountRequest(RunRequest):
    """A simulation whose endpoint is mounted on `mountpoint`."""

    mountpoint: Path
    mount_options: Options = field(default_factory=Options)

    @property
    def module(self) -> str:
        return "virtiofs_tb.mount.simulation"

    @property
    def rerun(self) -> str:
        return rerun(self.mountpoint, self.seed, "rtl", self.engine, bool(self.waves))

    @property
    def environment(self) -> dict[str, str]:
        return {**super().environment, _VARIABLE: str(self.mountpoint), _OPTIONS: self.mount_options.dump()}


def mountpoint_of_environment() -> Path:
    return Path(os.environ[_VARIABLE])


def options_of_environment() -> Options:
    return Options.load(os.environ[_OPTIONS])


def rerun(mountpoint: Path, seed: int, target: str, engine: str = "", waves: bool = False) -> str:
    """The line that mounts it again. What programs do with it then is not in the seed."""
    parts = ["make mount", f"MNT={mountpoint}", f"SEED={seed}"]
    parts += [f"TARGET={target}"] if target != "rtl" else []
    parts += [f"ENGINE={engine}"] if engine else []
    return " ".join([*parts, *(["WAVES=1"] if waves else [])])
