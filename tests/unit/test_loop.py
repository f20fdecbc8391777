"""The event loop: order, time-outs, cancellation and how failures surface."""

from __future__ import annotations

import pytest

from virtiofs_tb.host.loop import Livelock, Loop, TaskCancelled


def test_timers_run_by_time_then_by_order_of_request() -> None:
    loop = Loop()
    seen: list[str] = []
    loop.call_at(20, lambda: seen.append("c"))
    loop.call_at(10, lambda: seen.append("a"))
    loop.call_at(10, lambda: seen.append("b"))
    assert loop.next_due() == 10
    loop.advance(15)
    assert seen == ["a", "b"]
    assert loop.next_due() == 20
    loop.advance(20)
    assert seen == ["a", "b", "c"]
    assert loop.next_due() is None


def test_spawn_runs_up_to_the_first_wait() -> None:
    loop = Loop()
    seen: list[str] = []

    async def task() -> int:
        seen.append("started")
        await loop.sleep(100)
        seen.append("slept")
        return 7

    running = loop.spawn(task())
    assert seen == ["started"]
    loop.advance(99)
    assert not running.done()
    loop.advance(100)
    assert running.done()
    assert loop.result_of(running) == 7


def test_event_wakes_all_and_times_out() -> None:
    loop = Loop()
    event = loop.event()
    results: list[tuple[str, bool, int]] = []

    async def wait(name: str, timeout_ps: int | None) -> None:
        results.append((name, await event.wait(timeout_ps), loop.now_ps))

    async def main() -> None:
        short = loop.spawn(wait("short", 10))
        long = loop.spawn(wait("long", 1000))
        forever = loop.spawn(wait("forever", None))
        await loop.sleep(50)
        event.set()
        for task in (short, long, forever):
            await task.join()
        assert await event.wait(0)

    loop.run(main())
    assert results == [("short", False, 10), ("long", True, 50), ("forever", True, 50)]
    assert loop.next_due() is None, "the time-out of a wait that succeeded is void"


def test_cancelled_timeouts_do_not_pile_up() -> None:
    loop = Loop()

    async def main() -> None:
        for _ in range(5000):
            event = loop.event()
            loop.call_at(loop.now_ps + 1, event.set)
            assert await event.wait(10**12)

    loop.run(main())
    assert len(loop._timers) < 200


def test_join_raises_what_the_task_raised() -> None:
    loop = Loop()

    async def fail() -> None:
        await loop.sleep(5)
        raise ValueError("no")

    async def main() -> None:
        task = loop.spawn(fail())
        with pytest.raises(ValueError, match="no"):
            await task.join()

    loop.run(main())
    assert loop.failures == []


def test_a_failure_that_nobody_joins_ends_the_run() -> None:
    loop = Loop()

    async def fail() -> None:
        await loop.sleep(5)
        raise ValueError("lost")

    async def main() -> None:
        loop.spawn(fail())
        await loop.sleep(100)

    with pytest.raises(ValueError, match="lost"):
        loop.run(main())
    assert loop.now_ps == 5
    assert [str(error) for error in loop.failures] == ["lost"]


def test_a_task_that_failed_at_once_can_still_be_joined() -> None:
    loop = Loop()

    async def fail() -> None:
        raise ValueError("at once")

    async def main() -> None:
        with pytest.raises(ValueError, match="at once"):
            await loop.spawn(fail()).join()

    loop.run(main())
    assert loop.failures == []


def test_cancel_runs_finally_and_join_tells() -> None:
    loop = Loop()
    seen: list[str] = []

    async def victim() -> None:
        try:
            await loop.sleep(10**9)
        finally:
            seen.append("cleaned")

    async def main() -> None:
        task = loop.spawn(victim())
        await loop.sleep(1)
        task.cancel()
        assert seen == ["cleaned"]
        with pytest.raises(TaskCancelled):
            await task.join()

    loop.run(main())
    assert loop.failures == []


def test_cancel_of_a_task_that_was_just_woken() -> None:
    loop = Loop()
    event = loop.event()
    seen: list[str] = []

    async def victim() -> None:
        await event.wait()
        seen.append("ran")

    task = loop.spawn(victim())
    event.set()
    task.cancel()
    loop.advance(1)
    assert seen == [] and task.done()


def test_nothing_due_names_what_waits() -> None:
    loop = Loop()

    async def waits_for_ever() -> None:
        await loop.event().wait()

    with pytest.raises(RuntimeError, match=r"nothing is due.*waits_for_ever at loop\.py:\d+"):
        loop.run(waits_for_ever())


def test_foreign_awaitable_is_named() -> None:
    loop = Loop()

    class Foreign:
        def __await__(self):  # type: ignore[no-untyped-def]
            yield "something"

    async def main() -> None:
        await Foreign()

    with pytest.raises(TypeError, match="awaited a str"):
        loop.run(main())


def test_livelock_is_reported() -> None:
    loop = Loop()

    def again() -> None:
        loop.call_soon(again)

    again()
    with pytest.raises(Livelock):
        loop.advance(0)


def test_a_bounded_advance_lets_those_run_whose_time_has_come() -> None:
    """Tasks that wake each other without end: the rest stays ready, and a timer that is due fires all the same."""
    loop = Loop()
    woken: list[int] = []

    async def restless() -> None:
        while True:
            await loop.sleep(0)

    for _ in range(3):
        loop.spawn(restless())
    loop.call_at(5, lambda: woken.append(loop.now_ps))
    loop.advance(4, 10)
    assert woken == [] and loop.next_due() is not None
    loop.advance(6, 10)
    assert woken == [6]
