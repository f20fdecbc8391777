"""Completions behind posted packets (hdl/pcie/completion_queue.sv): none passes one that was there before it, and none
waits for one that came behind it, as a packet may that is shown and taken in one cycle."""

from __future__ import annotations

import pytest

from tests.sim.units.unit_build import build_unit, play


@pytest.mark.parametrize("posted", (0, 5, 50, 100))
def test_a_completion_waits_for_what_was_before_it(posted: int) -> None:
    answer = play(build_unit("completion_bench", {}), [f"run 50000 {posted}"], posted + 1)
    assert int(answer[-1].split()[1]) > 1000
