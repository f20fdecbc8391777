"""HostBase: stores spread over time, waiting for memory, notes and snapshots, and that it is a HostPort."""

from __future__ import annotations

from virtiofs_tb.host.base import HostBase
from virtiofs_tb.host.log import Header, Kind, ObservationLog, Record
from virtiofs_tb.host.loop import Loop
from virtiofs_tb.host.port import HostPort, Store
from virtiofs_tb.host.timing import Timing


class NoLink:
    def send(self, channel: int, hdr: Header, payload: bytes, due_ps: int = 0) -> None:
        raise AssertionError("nothing is sent here")


def make(seed: int = 1, timing: Timing | None = None) -> HostBase:
    return HostBase(Loop(), NoLink(), ObservationLog(), seed, timing)


def test_it_is_a_host_port() -> None:
    host: HostPort = make()
    assert host.caps.tlp and host.dpu is None and host.now_ps() == 0


def test_stores_become_visible_one_after_the_other() -> None:
    host = make(timing=Timing(store_gap_ps=1000))
    address = host.memory.allocate(64, 64)
    seen: set[int] = set()

    def look() -> None:
        data = host.memory.at(address, 64, host.now_ps())
        count = data.count(1)
        assert data == b"\x01" * count + bytes(64 - count)
        seen.add(count)
        if count < 64:
            host.loop.call_at(host.now_ps() + 500, look)

    async def main() -> None:
        host.loop.call_soon(look)
        await host.store([Store(address + i, b"\x01") for i in range(64)])
        assert host.memory.at(address, 64, host.now_ps()) == b"\x01" * 64
        await host.sleep(1000)

    host.loop.run(main())
    assert len(seen) > 20 and {0, 64} <= seen


def test_stores_of_two_tasks_keep_their_order() -> None:
    host = make(timing=Timing(store_gap_ps=1000))
    index = host.memory.allocate(2)
    states: list[bytes] = []

    async def publish(value: int) -> None:
        await host.store([Store(index, bytes([value, 0]))] * 3)

    async def watch() -> None:
        for _ in range(200):
            state = host.memory.at(index, 2, host.now_ps())
            if not states or states[-1] != state:
                states.append(state)
            await host.sleep(100)

    async def main() -> None:
        tasks = [host.spawn(publish(1)), host.spawn(publish(2)), host.spawn(watch())]
        for task in tasks:
            await task.join()

    host.loop.run(main())
    assert states == [b"\0\0", b"\1\0", b"\2\0"]


def test_wait_memory_is_woken_by_the_store() -> None:
    host = make()
    address = host.memory.allocate(4)
    asked = 0

    def ready(data: bytes) -> bool:
        nonlocal asked
        asked += 1
        return data == b"\x02\0"

    async def main() -> None:
        host.loop.call_at(100, lambda: host.memory.write(address, b"\x01\0"))
        host.loop.call_at(200, lambda: host.memory.write(address + 2, b"\x02\0"))
        host.loop.call_at(300, lambda: host.memory.write(address, b"\x02\0"))
        assert await host.wait_memory(address, 2, ready, 10**9)
        assert host.now_ps() == 300 and asked == 3
        assert await host.wait_memory(address, 2, ready, 0)
        assert not await host.wait_memory(address, 2, lambda data: False, 50)
        assert host.now_ps() == 350

    host.loop.run(main())
    assert host.loop.next_due() is None


def test_notes_and_snapshots_are_logged() -> None:
    host = make(timing=Timing(store_gap_ps=1000))
    records: list[Record] = []
    host.log.subscribe(records.extend)
    address = host.memory.allocate(4)

    async def main() -> None:
        task = host.spawn(host.store([Store(address, b"late")]))
        host.snapshot(address, 4)
        await task.join()
        host.snapshot(address, 4)
        host.note("mounted")

    host.loop.run(main())
    host.log.flush()
    assert [(record.kind, record.payload) for record in records] == [
        (Kind.SNAPSHOT, bytes(4)),
        (Kind.SNAPSHOT, b"late"),
        (Kind.NOTE, b"mounted"),
    ]
