"""Undo for everything that the golden file system changes.

A change is made through the journal, or announced to it with `save`; `rollback` takes back all changes since a mark.
So an operation that fails half way leaves nothing behind, and a judge can try an order of requests and give it up.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Journal:
    """What must be done to undo, oldest first."""

    def __init__(self) -> None:
        self._undo: list[Callable[[], object]] = []
        self._forgotten = 0

    def mark(self) -> int:
        """A place to go back to; valid until it is forgotten, or until a rollback beyond it."""
        return self._forgotten + len(self._undo)

    def rollback(self, mark: int) -> None:
        """Everything is as it was at `mark`. The order of a dict's keys is not restored.

        Raises ValueError for a mark that is forgotten.
        """
        undo, keep = self._undo, mark - self._forgotten
        if keep < 0:
            raise ValueError(f"mark {mark} is forgotten: what was done before {self._forgotten} is final")
        while len(undo) > keep:
            undo.pop()()

    def forget(self, mark: int | None = None) -> None:
        """What was done before `mark` (None: until now) is final."""
        count = len(self._undo) if mark is None else max(0, mark - self._forgotten)
        del self._undo[:count]
        self._forgotten += count

    def save(self, owner: object) -> None:
        """Attributes of `owner` are about to be assigned."""
        self._undo.append(_Attributes(owner))

    def put(self, table: dict[K, V], key: K, value: V) -> None:
        """table[key] = value."""
        if key in table:
            before = table[key]
            self._undo.append(lambda: table.__setitem__(key, before))
        else:
            self._undo.append(lambda: table.__delitem__(key))
        table[key] = value

    def remove(self, table: dict[K, V], key: K) -> V:
        """Take a key out; KeyError where it is not there."""
        value = table.pop(key)
        self._undo.append(lambda: table.__setitem__(key, value))
        return value

    def take(self, queue: deque[V]) -> V:
        """The first of a queue; IndexError where it is empty."""
        value = queue.popleft()
        self._undo.append(lambda: queue.appendleft(value))
        return value

    def give(self, queue: deque[V], value: V) -> None:
        """A new last one of a queue."""
        queue.append(value)
        self._undo.append(queue.pop)


class _Attributes:
    """The attributes of an object as they were."""

    __slots__ = ("_owner", "_values")

    def __init__(self, owner: object) -> None:
        self._owner = owner
        self._values = dict(vars(owner))

    def __call__(self) -> None:
        vars(self._owner).update(self._values)
