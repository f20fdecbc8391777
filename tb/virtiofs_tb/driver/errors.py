"""What the driver reports when the device does not do what the specification says."""

from __future__ import annotations

from enum import IntEnum


def shown(value: object) -> str:
    """Numbers in hex, with their names where they have one; everything else, and what is below 0, as it prints."""
    if isinstance(value, IntEnum):
        return f"{value.name} (0x{value:X})"
    number = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    return f"0x{value:X}" if number else str(value)


class DriverError(Exception):
    """The device misbehaved. what: register or thing; seen and expected: values; clause: id of spec/clauses.csv."""

    def __init__(self, what: str, seen: object, expected: object, clause: str = "") -> None:
        self.what = what
        self.seen = seen
        self.expected = expected
        self.clause = clause
        where = f" [{clause}]" if clause else ""
        super().__init__(f"{what}: {shown(seen)}, expected {shown(expected)}{where}")


class DriverTimeout(DriverError):
    """Nothing came within the simulated time that was allowed."""


class QueueStopped(DriverError):
    """The queue was reset, or is broken, while somebody used it."""


def check(what: str, seen: object, expected: object, clause: str = "") -> None:
    """Raise DriverError unless both are equal."""
    if seen != expected:
        raise DriverError(what, seen, expected, clause)
