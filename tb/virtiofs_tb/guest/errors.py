"""What can go wrong with a guest, as the person in front of it reads it."""

from __future__ import annotations

from virtiofs_tb.host.base import OutOfTime, SimulationFailure


class GuestMissing(Exception):
    """This machine lacks what a guest needs; the message names it and the line that installs it."""


class GuestBuildError(Exception):
    """The kernel or the initial file system could not be built; the message ends with the log's last lines."""


class GuestFailure(SimulationFailure):
    """The guest's script failed, its kernel died, or it broke the protocol."""


class GuestTimeout(OutOfTime):
    """The guest did not do in time what it should have done."""
