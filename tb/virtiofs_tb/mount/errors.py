"""What can go wrong with a mount."""

from __future__ import annotations


class MountError(Exception):
    """The endpoint cannot be mounted here, or a mount cannot be reached: one line, with what to do."""


class MountFailure(Exception):
    """A mount that was there came to a bad end."""
