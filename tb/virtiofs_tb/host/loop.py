"""A deterministic event loop in simulated time, the same for every target.

It knows no simulator and no wall clock. Whoever owns time calls `advance`: the pump of the RTL host after each
wake-up, the model host after each micro-step. Things due at the same time run in the order in which they were asked
for, so a run depends on its inputs only.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from types import CoroutineType
from typing import Any, Generic, TypeVar, cast

T = TypeVar("T")

# So many callbacks in one `advance` without time passing is a loop that will never end.
LIVELOCK_LIMIT = 1_000_000


class TaskCancelled(Exception):
    """Raised by `join` of a task that was cancelled."""


class Livelock(Exception):
    """Callbacks and tasks keep waking each other while simulated time stands still."""


class _Cancel(BaseException):
    """Thrown into a coroutine to end it; `finally` blocks run."""


class Timer:
    """What `call_at` returns; `cancel` makes it void."""

    __slots__ = ("_loop", "fn", "t_ps")

    def __init__(self, loop: Loop, t_ps: int, fn: Callable[[], None]) -> None:
        self._loop = loop
        self.t_ps = t_ps
        self.fn: Callable[[], None] | None = fn

    def cancel(self) -> None:
        if self.fn is not None:
            self.fn = None
            self._loop._timer_cancelled()


class Waiter:
    """What a task suspends on: awaiting it returns the value given to `wake`. It serves one task, once."""

    __slots__ = ("_loop", "_task", "_value", "_woken")

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._task: LoopTask[Any] | None = None
        self._value: Any = None
        self._woken = False

    @property
    def woken(self) -> bool:
        return self._woken

    def wake(self, value: Any = None) -> None:
        """The task goes on before `advance` returns. A second wake is ignored."""
        if self._woken:
            return
        self._woken = True
        self._value = value
        if self._task is not None:
            self._loop._make_ready(self._task)

    def __await__(self) -> Generator[Waiter, None, Any]:
        if not self._woken:
            yield self
        return self._value


class LoopEvent:
    """A level that tasks wait for; setting it wakes all of them (host/port.py: Event)."""

    __slots__ = ("_is_set", "_loop", "_waiters")

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._is_set = False
        self._waiters: list[Waiter] = []

    def set(self) -> None:
        self._is_set = True
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            waiter.wake(True)

    def clear(self) -> None:
        self._is_set = False

    def is_set(self) -> bool:
        return self._is_set

    async def wait(self, timeout_ps: int | None = None) -> bool:
        if self._is_set:
            return True
        waiter = Waiter(self._loop)
        self._waiters.append(waiter)
        if timeout_ps is None:
            await waiter
            return True
        timer = self._loop.call_at(self._loop.now_ps + timeout_ps, lambda: waiter.wake(False))
        try:
            return bool(await waiter)
        finally:
            timer.cancel()
            if waiter in self._waiters:
                self._waiters.remove(waiter)


class LoopTask(Generic[T]):
    """A running coroutine (host/port.py: Task)."""

    __slots__ = ("_coroutine", "_done", "_error", "_joiners", "_loop", "_owned", "_result", "_waiting", "name")

    def __init__(self, loop: Loop, coroutine: Coroutine[Any, Any, T], owned: bool) -> None:
        self._loop = loop
        self._coroutine = coroutine
        self._owned = owned
        self._done = False
        self._result: T | None = None
        self._error: Exception | None = None
        self._joiners: list[Waiter] = []
        self._waiting: Waiter | None = None
        self.name: str = getattr(coroutine, "__qualname__", type(coroutine).__name__)

    def done(self) -> bool:
        return self._done

    @property
    def error(self) -> Exception | None:
        """What ended the task, None while it runs and after a normal end."""
        return self._error

    def cancel(self) -> None:
        """Ends the task where it waits; its `finally` blocks run now. Without effect on a task that is done."""
        if self._done:
            return
        if self._loop.current is self:
            raise RuntimeError(f"task {self.name} cancels itself; return instead")
        if self._waiting is not None:
            self._waiting._task = None
            self._waiting = None
        self._step(_Cancel())

    async def join(self) -> T:
        if not self._done:
            waiter = Waiter(self._loop)
            self._joiners.append(waiter)
            await waiter
        self._loop._observed(self)
        if self._error is not None:
            raise self._error
        return cast(T, self._result)

    def where(self) -> str:
        """Name of the task and the source line at which it waits."""
        frame_owner: Any = self._coroutine
        place = self.name
        while isinstance(frame_owner, CoroutineType) and frame_owner.cr_frame is not None:
            frame = frame_owner.cr_frame
            place = f"{self.name} at {frame.f_code.co_filename.rsplit('/', 1)[-1]}:{frame.f_lineno}"
            frame_owner = frame_owner.cr_await
        return place

    def _resume(self) -> None:
        if not self._done:  # it may have been cancelled after it was woken
            self._step()

    def _step(self, throw: BaseException | None = None) -> None:
        loop = self._loop
        outer, loop.current = loop.current, self
        self._waiting = None
        try:
            waiter = self._coroutine.send(None) if throw is None else self._coroutine.throw(throw)
        except StopIteration as stop:
            self._finish(stop.value, None)
        except _Cancel:
            self._finish(None, TaskCancelled(f"task {self.name} was cancelled"))
        except Exception as error:
            self._finish(None, error)
        else:
            if not isinstance(waiter, Waiter):
                self._coroutine.close()
                kind = type(waiter).__name__
                self._finish(None, TypeError(f"task {self.name} awaited a {kind}, which is not of this loop"))
                return
            if throw is not None:
                self._coroutine.close()
                self._finish(None, RuntimeError(f"task {self.name} awaits after it was cancelled"))
                return
            waiter._task = self
            self._waiting = waiter
        finally:
            loop.current = outer

    def _finish(self, result: T | None, error: Exception | None) -> None:
        self._done = True
        self._result = result
        self._error = error
        joiners, self._joiners = self._joiners, []
        for waiter in joiners:
            waiter.wake()
        self._loop._finished(self, joined=bool(joiners))


class Loop:
    """Tasks, timers and the time. Times are picoseconds of simulated time.

    failures: what ended tasks that nobody joined; the owner of time ends the run when it is not empty.
    """

    def __init__(self) -> None:
        self.now_ps = 0
        self.failures: list[Exception] = []
        self.current: LoopTask[Any] | None = None
        self._timers: list[tuple[int, int, Timer]] = []
        self._cancelled = 0
        self._count = 0
        self._ready: deque[Callable[[], None]] = deque()
        self._tasks: dict[LoopTask[Any], None] = {}
        self._unjoined: dict[LoopTask[Any], None] = {}

    def spawn(self, coroutine: Coroutine[Any, Any, T], owned: bool = False) -> LoopTask[T]:
        """Run `coroutine` up to its first wait now, and on from there as time passes.

        owned: the caller will ask `result_of`, so an exception is not one that nobody sees.
        """
        task: LoopTask[T] = LoopTask(self, coroutine, owned)
        self._tasks[task] = None
        task._step()
        return task

    def event(self) -> LoopEvent:
        return LoopEvent(self)

    def waiter(self) -> Waiter:
        return Waiter(self)

    def call_soon(self, fn: Callable[[], None]) -> None:
        """Call `fn` before the `advance` that runs, or the next one, returns."""
        self._ready.append(fn)

    def call_at(self, t_ps: int, fn: Callable[[], None]) -> Timer:
        """Call `fn` in the first `advance` whose time is `t_ps` or later."""
        timer = Timer(self, t_ps, fn)
        self._count += 1
        heapq.heappush(self._timers, (t_ps, self._count, timer))
        return timer

    async def sleep(self, duration_ps: int) -> None:
        waiter = Waiter(self)
        timer = self.call_at(self.now_ps + duration_ps, waiter.wake)
        try:
            await waiter
        finally:
            timer.cancel()

    def next_due(self) -> int | None:
        """Time of the earliest thing to do (now, if something is ready); None if there is nothing."""
        if self._ready:
            return self.now_ps
        timers = self._timers
        while timers and timers[0][2].fn is None:
            heapq.heappop(timers)
            self._cancelled -= 1
        return timers[0][0] if timers else None

    def advance(self, t_ps: int, at_most: int | None = None) -> None:
        """Set the time and run all that is due and ready. Time does not run backwards.

        at_most: return after so many callbacks and all timers that are due, for a time that goes on meanwhile; the rest
        stays ready. Without it a Livelock is raised when callbacks do not come to an end.
        """
        if t_ps > self.now_ps:
            self.now_ps = t_ps
        now = self.now_ps
        timers = self._timers
        ready = self._ready
        limit = LIVELOCK_LIMIT if at_most is None else at_most
        ran = 0
        while True:
            while ready and ran < limit:
                ready.popleft()()
                ran += 1
            if ran >= limit and at_most is None:
                raise Livelock(f"{ran} callbacks at {now} ps; tasks: {', '.join(self.pending())}")
            if not timers or timers[0][0] > now:
                break
            timer = heapq.heappop(timers)[2]
            fn = timer.fn
            if fn is None:
                self._cancelled -= 1
                continue
            timer.fn = None  # a later cancel is then without effect
            fn()
            ran += 1
        if self._unjoined:
            self.failures.extend(task.error for task in self._unjoined if task.error is not None)
            self._unjoined.clear()

    def run(self, coroutine: Coroutine[Any, Any, T], limit_ps: int | None = None) -> T:
        """Run `coroutine` to its end, jumping from one due time to the next: for tests without a device.

        Raises what the coroutine raised, the first of `failures`, or RuntimeError when nothing is due any more.
        """
        task = self.spawn(coroutine, owned=True)
        while not task.done():
            due = self.next_due()
            if due is None or (limit_ps is not None and due > limit_ps):
                reason = "nothing is due any more" if due is None else f"the limit of {limit_ps} ps is reached"
                raise RuntimeError(f"{reason} at {self.now_ps} ps; waiting: {', '.join(self.pending())}")
            self.advance(due)
            if self.failures:
                raise self.failures[0]
        return self.result_of(task)

    def result_of(self, task: LoopTask[T]) -> T:
        """The result of a task that is done, outside of any coroutine; raises what it raised."""
        if not task.done():
            raise RuntimeError(f"task {task.where()} is still running")
        self._observed(task)
        if task.error is not None:
            raise task.error
        return cast(T, task._result)

    def pending(self) -> list[str]:
        """Where each live task waits, for messages."""
        return [task.where() for task in self._tasks]

    def _make_ready(self, task: LoopTask[Any]) -> None:
        self._ready.append(task._resume)

    def _finished(self, task: LoopTask[Any], joined: bool) -> None:
        self._tasks.pop(task, None)
        if task.error is None or joined or task._owned:
            return
        if not isinstance(task.error, TaskCancelled):
            self._unjoined[task] = None

    def _observed(self, task: LoopTask[Any]) -> None:
        self._unjoined.pop(task, None)

    def _timer_cancelled(self) -> None:
        self._cancelled += 1
        # Most waits end before their time-out: without this the heap would hold every time-out of the run.
        if self._cancelled > 64 and self._cancelled * 2 > len(self._timers):
            self._timers[:] = [entry for entry in self._timers if entry[2].fn is not None]
            heapq.heapify(self._timers)
            self._cancelled = 0
