"""When the pump of the RTL host sleeps on a peer outside, and when it goes on: without a simulator."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from virtiofs_tb.host.loop import Loop
from virtiofs_tb.host.rtl_host import LINGER_S, LISTEN_PS, QUIET_PS, RtlHost


@dataclass
class Bridge:
    """What the pump asks of the bridge."""

    queued: int = 0
    woken_at: int | None = None

    def waiting(self, port: int) -> int:
        return self.queued

    def wake_at(self, t_ps: int | None) -> None:
        self.woken_at = t_ps


@dataclass
class Root:
    """What the pump asks of the root port."""

    debts: list[str] = field(default_factory=list)

    def owed(self) -> list[str]:
        return self.debts


class Peer:
    """Says something, which makes work, the `speaks`th time somebody waits for it. seconds: how long they would."""

    def __init__(self, loop: Loop, speaks: int = 3) -> None:
        self._loop = loop
        self._speaks = speaks
        self.looks = self.waits = 0
        self.seconds: list[float | None] = []

    def look(self) -> None:
        self.looks += 1

    def wait(self, seconds: float | None = None) -> None:
        self.waits += 1
        self.seconds.append(seconds)
        if self.waits == self._speaks:
            self._loop.call_at(self._loop.now_ps + 1, lambda: None)


async def _for_ever(loop: Loop) -> None:
    await loop.event().wait()


def pump(
    now_ps: int,
    heard_ps: int,
    root: Root | None = None,
    bridge: Bridge | None = None,
    working: int = 0,
    speaks: int = 3,
    patience: int = 0,
) -> tuple[RtlHost, Peer]:
    """The parts of a host that decide; one round of listening is made."""
    host = object.__new__(RtlHost)
    host.loop = Loop()
    host.loop.now_ps = now_ps
    parts = {
        "root": root or Root(),
        "bridge": bridge or Bridge(),
        "_heard_ps": heard_ps,
        "_lingered_ps": -1,
        "patience": patience,
    }
    host.__dict__.update(parts)
    host.working = lambda: working
    peer = Peer(host.loop, speaks)
    host.outside = peer
    task = host.loop.spawn(_for_ever(host.loop))
    host._listen(peer, task)
    return host, peer


def test_it_sleeps_until_there_is_work() -> None:
    host, peer = pump(10 * QUIET_PS, 9 * QUIET_PS)
    assert (peer.looks, peer.seconds) == (1, [None] * 3)
    assert host.loop.now_ps == 10 * QUIET_PS, "simulated time stands still"


def test_it_lingers_when_a_packet_came_lately() -> None:
    host, peer = pump(10 * QUIET_PS, 9 * QUIET_PS + 1)
    assert peer.seconds == [LINGER_S], "the peer gets a moment, then the endpoint goes on in silence"
    assert host.outside is not None
    host._listen(host.outside, host.loop.spawn(_for_ever(host.loop)))
    assert peer.seconds == [LINGER_S], "one moment for each silence"


def test_what_comes_in_that_moment_needs_no_simulated_time() -> None:
    host, peer = pump(10 * QUIET_PS, 9 * QUIET_PS + 1, speaks=1)
    assert (peer.waits, host.loop.next_due()) == (1, 10 * QUIET_PS + 1)


@pytest.mark.parametrize(
    ("heard_ps", "root", "bridge", "working"),
    [
        (0, Root(["completion of a read"]), Bridge(), 0),
        (0, Root(), Bridge(queued=1), 0),
        (0, Root(), Bridge(), 1),
    ],
    ids=["something is owed", "a packet is on its way in", "a chain is not used"],
)
def test_it_goes_on(heard_ps: int, root: Root, bridge: Bridge, working: int) -> None:
    host, peer = pump(10 * QUIET_PS, heard_ps, root, bridge, working)
    assert (peer.looks, peer.waits) == (1, 0)
    host._sleep(None)
    assert bridge.woken_at == 10 * QUIET_PS + LISTEN_PS, "it listens again soon"


def test_it_sleeps_while_chains_wait_for_a_lock() -> None:
    _, peer = pump(10 * QUIET_PS, 0, working=2, patience=2)
    assert peer.waits == 3
    _, peer = pump(10 * QUIET_PS, 0, working=3, patience=2)
    assert peer.waits == 0


def test_it_is_not_woken_later_than_asked_for() -> None:
    bridge = Bridge()
    host, _ = pump(10 * QUIET_PS, 9 * QUIET_PS, bridge=bridge)
    host._sleep(None)
    assert bridge.woken_at == 10 * QUIET_PS + 1, "the work of the peer"
    host.loop.advance(10 * QUIET_PS + 1)
    host._sleep(10 * QUIET_PS + 7)
    assert bridge.woken_at == 10 * QUIET_PS + 7, "the limit"
    host.outside = None
    host._sleep(None)
    assert bridge.woken_at is None
