"""The reset of one queue (hdl/virtio/queue_reset.sv) in the middle of random traffic: the bench holds each step to what
must be true by then (VQRST-D01..D03, PCI-COMMON-D12..D14).
"""

from __future__ import annotations

import pytest

from tests.sim.units.unit_build import build_unit, play

PARAMETERS = {"CONTEXTS": 32}
CYCLES = 60_000


@pytest.mark.parametrize("flushes", (0, 5))
@pytest.mark.parametrize("seed", range(1, 5))
def test_resets_of_queues(seed: int, flushes: int) -> None:
    """At any moment, several at once, and with device resets in between."""
    answer = play(
        build_unit("reset_bench", PARAMETERS), [f"run {CYCLES} 20 {flushes}", f"run {CYCLES} 2 {flushes}"], seed
    )
    resets, drops, device_resets, skips, both = (int(word) for word in answer[-1].split()[1:])
    assert resets > 20
    assert drops > 20
    assert skips > 5
    assert both > 5
    assert (device_resets > 10) == bool(flushes)


@pytest.mark.parametrize("fault", ("rest", "quiet"))
def test_the_bench_sees_what_is_wrong(fault: str) -> None:
    """Where a stage breaks its promise, the unit goes on too early, and that is seen."""
    with pytest.raises(AssertionError, match="error at cycle"):
        play(build_unit("reset_bench", PARAMETERS), [f"fault {fault}", f"run {CYCLES} 2 0"], 1)
