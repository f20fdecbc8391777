"""The search: items out by delta debugging, then every dimension of what is left simpler, until nothing helps."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from virtiofs_tb.report import FailureReport
from virtiofs_tb.shrink.candidate import Candidate, Way, simpler_conditions, simpler_items
from virtiofs_tb.shrink.ddmin import ddmin

Replay = Callable[[Candidate], FailureReport | None]
"""Runs a candidate; what failed first, or None."""


class OtherFailure(Exception):
    """The whole stimulus does not fail as the run did. seen: how it failed instead (None: not at all)."""

    def __init__(self, seen: Way | None) -> None:
        self.seen = seen
        super().__init__(str(seen))


class _Spent(Exception):
    """No more replays."""


class Search:
    """Looks for the smallest candidate that fails in this way, in at most `most` replays.

    best: the smallest so far; told: called before each replay. A candidate is replayed once.
    """

    def __init__(
        self, replay: Replay, way: Way, most: int, told: Callable[[Search], None] = lambda search: None
    ) -> None:
        self.replays = 0
        self.most = most
        self.best: Candidate | None = None
        self.complete = False
        self._replay = replay
        self._way = way
        self._told = told
        self._known: dict[Candidate, Way | None] = {}

    def run(self, whole: Candidate) -> Candidate:
        """The smallest that was found. Raises OtherFailure where `whole` does not fail in this way.

        An interrupt by hand ends the search like the last replay does.
        """
        if not (whole.before and self._fails(replace(whole, before=()))) and not self._fails(whole):
            raise OtherFailure(self._known[whole])
        try:
            self._reduce()
            self.complete = True
        except (_Spent, KeyboardInterrupt):
            self.complete = False
        return self._smallest

    @property
    def _smallest(self) -> Candidate:
        assert self.best is not None
        return self.best

    def _fails(self, candidate: Candidate) -> bool:
        if candidate not in self._known:
            if self.replays >= self.most:
                raise _Spent
            self._told(self)
            self.replays += 1
            failure = self._replay(candidate)
            self._known[candidate] = None if failure is None else Way.of(failure)
        if self._known[candidate] != self._way:
            return False
        self.best = candidate
        return True

    def _reduce(self) -> None:
        self._leave_out_scenarios()
        last: Candidate | None = None
        while last != self.best:
            last = self._smallest
            self._leave_out_items()
            self._simplify_conditions()
            self._simplify_together()
            for index in range(len(self._smallest.items)):
                self._simplify_item(index)

    def _leave_out_scenarios(self) -> None:
        whole = self._smallest
        ddmin(whole.before, lambda names: self._fails(replace(whole, before=tuple(names))))

    def _leave_out_items(self) -> None:
        whole = self._smallest
        ddmin(whole.items, lambda items: self._fails(whole.with_items(items)))

    def _first(self, candidates: Iterable[Candidate]) -> bool:
        return any(self._fails(candidate) for candidate in candidates)

    def _simplify_conditions(self) -> None:
        while self._first(
            self._smallest.under(other) for other in simpler_conditions(self._smallest.stimulus.conditions)
        ):
            pass

    def _simplify_together(self) -> None:
        """One dimension of all items at once: what all can do without is soon gone."""
        for changes in ({"whole": True}, {"queue": 0}, {"offset": 0}, {"size": 1}, {"worker": 0}):
            items = [replace(item, **changes) for item in self._smallest.items]
            self._fails(self._smallest.with_items(items))

    def _simplify_item(self, index: int) -> None:
        def others() -> Iterable[Candidate]:
            items = self._smallest.items
            for item in simpler_items(items[index]):
                yield self._smallest.with_items([*items[:index], item, *items[index + 1 :]])

        while self._first(others()):
            pass
