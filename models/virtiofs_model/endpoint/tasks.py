"""Micro-steps: small tasks, of which a seeded scheduler lets one take one step at a time.

A task is a generator. `yield None` ends a micro-step, `yield signal` waits until the signal is fired (and then looks
again at what it waits for). Whatever order a task keeps to itself is kept; everything else is up to the scheduler.
"""

from __future__ import annotations

import random
from collections.abc import Generator
from typing import TypeVar

T = TypeVar("T")


class Signal:
    """Something to wait for. Firing wakes all who wait now."""

    __slots__ = ("_scheduler", "_waiting")

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._waiting: list[_Task] = []

    def fire(self) -> None:
        """Make every waiting task runnable."""
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            self._scheduler.wake(waiting)

    def park(self, task: _Task) -> None:
        """Let `task` wait here (called by the scheduler)."""
        self._waiting.append(task)


Steps = Generator["Signal | None", None, T]
"""A computation made of micro-steps."""


class _Task:
    __slots__ = ("dead", "generator", "group")

    def __init__(self, generator: Steps[None], group: str) -> None:
        self.generator = generator
        self.group = group
        self.dead = False


class Scheduler:
    """Picks a runnable task at random and runs it up to its next yield."""

    def __init__(self) -> None:
        self._runnable: list[_Task] = []
        self._tasks: dict[str, set[_Task]] = {}

    def spawn(self, generator: Steps[None], group: str) -> None:
        """Start a task; `group` is what kill() takes."""
        task = _Task(generator, group)
        self._tasks.setdefault(group, set()).add(task)
        self._runnable.append(task)

    def wake(self, tasks: list[_Task]) -> None:
        """Make tasks runnable again."""
        self._runnable.extend(task for task in tasks if not task.dead)

    def kill(self, group: str) -> None:
        """End every task of a group where it stands, between two micro-steps."""
        for task in self._tasks.pop(group, set()):
            task.dead = True
            task.generator.close()
        self._runnable = [task for task in self._runnable if not task.dead]

    def idle(self) -> bool:
        """Whether no task can run."""
        return not self._runnable

    def step(self, rng: random.Random) -> bool:
        """One micro-step of one task; False if none can run."""
        runnable = self._runnable
        if not runnable:
            return False
        index = int(rng.random() * len(runnable))
        task = runnable[index]
        last = runnable.pop()
        if last is not task:
            runnable[index] = last
        try:
            wait = next(task.generator)
        except StopIteration:
            self._tasks[task.group].discard(task)
            return True
        if task.dead:
            return True
        if wait is None:
            self._runnable.append(task)
        else:
            wait.park(task)
        return True
