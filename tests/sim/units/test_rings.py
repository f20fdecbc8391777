"""The side of the endpoint that reads rings, by itself: drivers in C++ that store one word at a time, memory that is
sampled at a moment of its own for each descriptor, contexts that come back in any order."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.sim.units.unit_build import build_unit
from virtiofs_model.errors import ErrorCode

CHAINS = 1500


def build(width: int = 256) -> Path:
    return build_unit("rings_bench", {"DATA_W": width})


def run(program: Path, *arguments: str | int) -> subprocess.CompletedProcess[str]:
    command = [str(program), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def passes(program: Path, *arguments: str | int) -> dict[str, int]:
    done = run(program, *arguments)
    assert done.returncode == 0, f"{arguments}: {done.stdout}"
    figures: dict[str, int] = json.loads(done.stdout)
    return figures


@pytest.mark.parametrize("size", [1, 2, 3, 5, 17, 64, 1000, 1024])
def test_chains_of_packed_rings(size: int) -> None:
    """PACK-VQ-D01, PACK-SG-D01, PACK-WRAP-DI1, PACK-NEXT-DI1, PACK-IND-DI1; chains that end with the ring and that go
    over its end, lists longer than a window among those that are used out of order."""
    refetched = sum(passes(build(), seed, "packed", size, CHAINS)["refetched"] for seed in range(1, 4))
    assert refetched > 0 or size < 17, "no chain was longer than a window"


@pytest.mark.parametrize("size", [1, 4, 64, 1024])
@pytest.mark.parametrize("ring", ["split", "event"])
def test_chains_of_split_rings(ring: str, size: int) -> None:
    for seed in range(1, 4):
        passes(build(), seed, ring, size, CHAINS)


@pytest.mark.widths
@pytest.mark.parametrize("width", [128, 512])
def test_other_widths(width: int) -> None:
    for ring, size in (("packed", 5), ("packed", 100), ("event", 16)):
        passes(build(width), 1, ring, size, CHAINS)


def test_a_driver_kicks_seldom_where_it_is_told_when() -> None:
    """SPLIT-ANS-D04: no chain is forgotten although most additions are not told."""
    kicks = [passes(build(), 1, ring, 256, CHAINS)["kicks"] for ring in ("split", "event")]
    assert kicks[1] * 3 < kicks[0]


def test_the_available_index_goes_round_with_events() -> None:
    """About 70,000 chains in each of two queues: avail_event passes 0."""
    passes(build(), 1, "event", 32, 180_000)


@pytest.mark.parametrize("ring", ["split", "event", "packed"])
def test_a_queue_is_stopped_and_begins_anew(ring: str) -> None:
    """VQRST-D01, VQRST-D03, VQREEN-D01: while it is stopped nothing is begun, when it is quiet nothing is read, and
    then it has another size and place. The other queues go on."""
    stops = sum(passes(build(), seed, ring, 64, 2000, "stops")["stops"] for seed in range(1, 5))
    assert stops > 10


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        ("direction", ErrorCode.DIRECTION),
        ("endless", ErrorCode.CHAIN_LENGTH),
        ("table_long", ErrorCode.CHAIN_LENGTH),
        ("table_and_next", ErrorCode.INDIRECT_NEXT),
        ("table_in_list", ErrorCode.INDIRECT_NEXT),
        ("table_odd", ErrorCode.INDIRECT_LENGTH),
        ("table_empty", ErrorCode.INDIRECT_LENGTH),
        ("table_off", ErrorCode.INDIRECT_OFF),
        ("bytes", ErrorCode.CHAIN_BYTES),
        ("bus_error", ErrorCode.RING_READ),
        ("twice", ErrorCode.AVAIL_INDEX),
        ("into_the_held", ErrorCode.CHAIN_LENGTH),
    ],
)
def test_a_driver_that_breaks_a_packed_ring(rule: str, code: ErrorCode) -> None:
    figures = passes(build(), 1, "packed", 8, 0, rule)
    assert figures["error"] == code
    assert figures["walked"] == {"twice": 8, "into_the_held": 1}.get(rule, 0)


@pytest.mark.parametrize(
    ("fault", "ring", "message"),
    [
        ("kick", "packed", "nothing moves"),
        ("kick", "event", "nothing moves"),
        ("head", "packed", "expected"),  # a head that is available before the rest of its list is there
        ("id", "packed", "id "),
        ("slots", "packed", "slots "),
        ("length", "split", "readable "),
    ],
)
def test_the_bench_sees_a_fault(fault: str, ring: str, message: str) -> None:
    done = run(build(), 3, ring, 16, 400, fault)
    assert done.returncode == 1
    assert message in done.stdout
