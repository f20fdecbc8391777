"""A simulation with a guest as the runner sees it, and what travels to the simulator's process."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from virtiofs_tb.guest.process import GuestImage
from virtiofs_tb.guest.variants import VARIANTS, Variant
from virtiofs_tb.runner import RunRequest

_VARIABLE = "VIRTIOFS_GUEST"
TEST_PREFIX = "linux-"


@dataclass(frozen=True)
class Assignment:
    """What a run needs to know. terminal: the guest's console is this one, and a person sits there."""

    variant: Variant
    image: GuestImage
    terminal: str | None = None

    def to_environment(self) -> dict[str, str]:
        kernel, initrd = str(self.image.kernel), str(self.image.initrd)
        image = {**asdict(self.image), "kernel": kernel, "initrd": initrd}
        return {_VARIABLE: json.dumps({"variant": self.variant.name, "image": image, "terminal": self.terminal})}

    @classmethod
    def from_environment(cls) -> Assignment:
        task = json.loads(os.environ[_VARIABLE])
        image = task["image"]
        return cls(
            VARIANTS[task["variant"]],
            GuestImage(Path(image["kernel"]), Path(image["initrd"]), image["arguments"]),
            task["terminal"],
        )


@dataclass(frozen=True, kw_only=True)
class GuestRequest(RunRequest):
    """A simulation with a guest."""

    assignment: Assignment

    @property
    def module(self) -> str:
        return "virtiofs_tb.guest.simulation"

    @property
    def rerun(self) -> str:
        return again(self.assignment.variant, self.seed, "rtl", bool(self.waves), self.window_ps)

    @property
    def environment(self) -> dict[str, str]:
        return {**super().environment, **self.assignment.to_environment()}


def again(
    variant: Variant, seed: int, target: str, waves: bool = False, window_ps: tuple[int, int] | None = None
) -> str:
    """The line that runs this again. A guest lives in wall-clock time, so the seed is not all that decides."""
    parts = ["make linux", f"VARIANT={variant.name}", f"SEED={seed}"]
    if target != "rtl":
        parts.append(f"TARGET={target}")
    if waves:
        parts.append("WAVES=1")
    if window_ps:
        parts += [f"FROM={window_ps[0]}ps", f"TO={window_ps[1]}ps"]
    return " ".join(parts)
