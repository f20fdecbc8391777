"""Looks for an order of happenings in which a golden file system shows everything that was seen.

A depth-first search that goes on while the run does: its stack is the order found so far. In the usual case the first
guess fits and each happening is tried once. Where it does not, one happening mostly stands at a wrong place: a FORGET
overtakes requests that have done their work and whose replies still wait to be written. So the order is first kept but
for one move; where no single move helps, the search goes back as far as it must, by undo. Happenings that commute are
not tried both ways (sleep sets). What lies further back than `history` is final.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterator
from dataclasses import dataclass, field

from virtiofs_model.ramfs import NOT_YET, RamfsServer
from virtiofs_tb.scoreboards.clock import Clock, marks
from virtiofs_tb.scoreboards.happenings import (
    ENDLESS,
    OVERTAKING,
    Golden,
    Happening,
    RequestHappening,
    ResetHappening,
)
from virtiofs_tb.scoreboards.waits import WaitHappening, owed, wakes

Choice = tuple[Happening, int]
"""A happening and the variant of it that is tried."""


@dataclass(frozen=True)
class Effort:
    """window: of what is not explained, so many are candidates for the next place; history: places that may still be
    taken back; memory: bytes of requests in them; moved: places that a single move goes back at most; near: tries that
    fail before the search jumps back; again: before it jumps further; far: before it gives up; most: tries of any
    outcome before it does, since what is behind a jump is tried again."""

    window: int = 32
    history: int = 1024
    memory: int = 64 << 20
    moved: int = 24
    near: int = 150
    again: int = 10
    far: int = 6000
    most: int = 200_000


@dataclass(eq=False)
class _Place:
    """A place in the order. mark: of the journal before it; tried: choices that did not lead on; asleep: happenings
    that need not be tried here, since another order of the same was; taken: what stands here now."""

    mark: int
    tried: set[tuple[int, int]] = field(default_factory=set)
    asleep: list[Happening] = field(default_factory=list)
    taken: Choice | None = None


class Explainer:
    """The search. server: the golden file system; made with undo, and nobody else's.

    add() what has happened, then advance(); clock: told when the DPU's clock moves. tries, failed: happenings tried,
    and of those not explained; deepest: places that were reached.
    """

    def __init__(self, server: RamfsServer, effort: Effort | None = None) -> None:
        self.server = server
        self.clock = Clock(server.tree.journal)
        self.effort = effort or Effort()
        self.tries = 0
        self.failed = 0
        self.deepest = 0
        self.culprit: RequestHappening | None = None
        self._refuted: WaitHappening | None = None  # whose answer is not that which is final
        self.golden = Golden(server, self.clock)
        self._journal = server.tree.journal
        self._left: list[Happening] = []
        self._places = [_Place(self._journal.mark())]
        self._final = 0  # places that were forgotten
        self._near = self._far = 0  # failed tries since progress was made; near: or since the last jump
        self._tried = 0  # all tries until progress was made
        self._jumped: int | None = None  # places that were left by the jump that went back furthest since then
        self._memory = 0
        self._borne: tuple[int, int, set[int]] | None = None  # at a depth: the clock's number, and marks in inodes

    @property
    def left(self) -> int:
        """Happenings that have no place yet."""
        return len(self._left)

    def is_left(self, happening: Happening) -> bool:
        """Whether it has no place yet."""
        return happening in self._left

    @property
    def depth(self) -> int:
        """Happenings that have a place."""
        return self._final + len(self._places) - 1

    def add(self, happening: Happening) -> None:
        """Something that has happened."""
        insort(self._left, happening, key=_rank)

    def answered(self, wait: WaitHappening) -> None:
        """A request that was added while it was open has an answer now. What led to another one is taken back."""
        while not wait.fits and len(self._places) > 1:
            self._take_back()
        if not wait.fits:
            self._refuted = wait

    def advance(self, open_begin: int = ENDLESS, open_rank: int = ENDLESS) -> bool:
        """Find places for all that can be explained now. False: there is no order; `culprit` is what does not fit.

        open_begin: the least `begin` of requests that may have taken effect and are not answered yet; what they may
        explain waits for them. open_rank: the least `rank` of those that are being answered; they come first.
        """
        if self._refuted is not None:
            self.culprit = self._refuted
            return False
        while self._left or owed(self.golden):
            choice = self._next()
            if open_begin < self._horizon() and (choice is None or choice[0].rank > open_rank):
                return True
            if choice is not None:
                self._try(choice)
            elif not self._back():
                return False
        self._near = self._far = 0
        self._tried = self.tries
        return True

    # ---- forward ----

    def _next(self) -> Choice | None:
        """The next choice for the top place."""
        place = self._places[-1]
        left = min((happening.end for happening in self._left), default=ENDLESS)
        horizon = self._horizon()
        for happening in self._left[: self.effort.window]:
            # A reset may end waits itself: by requests that it cuts off.
            latest = left if isinstance(happening, ResetHappening) else horizon
            if happening.begin > latest or happening in place.asleep:
                continue
            for variant in range(happening.variants):
                if (id(happening), variant) not in place.tried:
                    return happening, variant
        return None

    def _horizon(self) -> int:
        """What begins later cannot come next."""
        ends = (happening.end for happening in self._left)
        return min((*ends, *(wait.until for wait in owed(self.golden))), default=ENDLESS)

    def _happens(self, happening: Happening, variant: int) -> bool:
        """Whether all that was seen of it follows, and of those that it lets go on."""
        answered = owed(self.golden)
        if not happening.happen(self.golden, variant) or not wakes(self.golden, happening):
            return False
        return not isinstance(happening, ResetHappening) or all(wait.fate.reply != NOT_YET for wait in answered)

    def _try(self, choice: Choice) -> None:
        """Give it the next place if all that was seen of it follows."""
        if self._put(choice) and (len(self._places) > self.effort.history or self._memory > self.effort.memory):
            self._forget(len(self._places) // 4 or 1)

    def _put(self, choice: Choice) -> bool:
        happening, variant = choice
        place = self._places[-1]
        self.tries += 1
        place.tried.add((id(happening), variant))
        if not self._happens(happening, variant):
            self._journal.rollback(place.mark)
            self.failed += 1
            self._near += 1
            self._far += 1
            return False
        place.taken = choice
        self._left.remove(happening)
        self._memory += _size(happening)
        asleep = [other for other in place.asleep if other.commutes(happening, self.golden)]
        self._places.append(_Place(self._journal.mark(), asleep=asleep))
        if self.depth > self.deepest:
            self.deepest = self.depth
            self._near = self._far = 0
            self._tried = self.tries
            self._jumped = self.culprit = None
        return True

    def _forget(self, count: int) -> None:
        """The oldest places are final."""
        count = min(count, len(self._places) - 1)
        for place in self._places[:count]:
            if place.taken is not None:
                self._memory -= _size(place.taken[0])
        del self._places[:count]
        self._final += count
        self._journal.forget(self._places[0].mark)
        if self._borne is None:
            self._borne = self.depth, self.clock.number, marks(self.server.tree.store.inodes.values())
        elif self._final >= self._borne[0]:  # no state before that one comes back
            self.clock.drop(*self._borne[1:])
            self._borne = None

    # ---- back ----

    def _back(self) -> bool:
        """Find one move that helps; else take back the last place; after many tries in vain, go back in a jump. False:
        give up."""
        if self.culprit is None:
            self._blame()
            if self.culprit is not None and self.is_left(self.culprit) and self._move(self.culprit):
                return True
        if owed(self.golden):  # an order in which nobody ends a wait that has ended: no try has failed, but all of them
            self.failed += 1
            self._near += 1
            self._far += 1
        if self._far > self.effort.far or self.tries - self._tried > self.effort.most:
            return False
        if self._near > (self.effort.near if self._jumped is None else self.effort.again):
            self._near = 0
            self._jump()
        if len(self._places) == 1:
            return False
        self._take_back()
        self._jumped = min(self._jumped, len(self._places)) if self._jumped is not None else None
        return True

    def _move(self, culprit: RequestHappening) -> bool:
        """Put what does not fit at the end of the order further to the front, or something that stands before it
        behind it, and leave all else as it was. False: nothing of that helps, and nothing has changed."""
        near, far = self._near, self._far
        places = [(place, place.taken, list(place.asleep)) for place in self._places]
        moved: list[Choice] = []
        for at in range(len(places) - 2, max(-1, len(places) - 2 - self.effort.moved), -1):
            choice = places[at][1]
            assert choice is not None
            if not isinstance(choice[0], RequestHappening):
                break
            moved.insert(0, choice)
            for order in _moves(moved, (culprit, 0)):
                self._rewind(at)
                if all(self._may_be_next(one) and self._put(one) for one in order):
                    return True
        self._rewind(len(places) - 1 - len(moved))
        again = all(self._put(choice) for choice in moved)
        assert again, "what was explained once is explained in the same order again"
        for place, taken, asleep in places:
            place.taken, place.asleep = taken, asleep
        self._places = [place for place, _, _ in places]
        self._near, self._far = near, far
        return False

    def _rewind(self, at: int) -> None:
        """Take back all from this place on, and put one there at which nothing else is asleep."""
        while len(self._places) - 1 > at:
            self._take_back()
        self._places[at] = _Place(self._places[at].mark, set(self._places[at].tried))

    def _may_be_next(self, choice: Choice) -> bool:
        return choice[0].begin <= self._horizon()

    def _jump(self) -> None:
        """Go back to the last reset that may have gone otherwise; where there is none, to the place before the earliest
        that was tried otherwise since: what was chosen wrongly long ago often shows late. All behind it then follows
        the first guess again."""
        beyond = self._jumped if self._jumped is not None else len(self._places)
        resets = [at for at, place in enumerate(self._places) if _may_go_otherwise(place)]
        if resets:
            beyond = resets[-1] + 2
        while len(self._places) > max(beyond, 2):
            self._take_back()
        self._jumped = len(self._places)

    def _take_back(self) -> None:
        self._places.pop()
        if self._borne is not None and self.depth < self._borne[0]:
            self._borne = None
        place = self._places[-1]
        assert place.taken is not None
        happening, _ = place.taken
        place.taken = None
        self._journal.rollback(place.mark)
        self._memory -= _size(happening)
        if happening.variants == 1:
            place.asleep.append(happening)
        insort(self._left, happening, key=_rank)

    def _blame(self) -> None:
        """What cannot be explained: of all that is left, the first of the first guess; before that what was answered,
        but must wait."""
        waits = owed(self.golden)
        requests = [
            happening
            for happening in self._left
            if isinstance(happening, RequestHappening)
            and (not isinstance(happening, WaitHappening) or happening.answered)
        ]
        if waits and min(wait.until for wait in waits) <= self._horizon():
            self.culprit = min(waits, key=lambda wait: wait.until)
        elif requests:
            self.culprit = min(requests, key=_rank)


def _may_go_otherwise(place: _Place) -> bool:
    """Whether a reset stands here that is not tried in all ways."""
    if place.taken is None or not isinstance(place.taken[0], ResetHappening):
        return False
    return place.taken[1] + 1 < place.taken[0].variants


def _moves(order: list[Choice], last: Choice) -> Iterator[list[Choice]]:
    """The last one in front of all, or the first one behind it. Where the first one overtakes, the last one may also go
    anywhere between, with the first one behind it; alone, or with all that overtake and stand between, too."""
    first = order[0]
    yield [last, *order]
    yield [*order[1:], last, first]
    if not _overtakes(first):
        return
    for at in range(len(order), 0, -1):
        front, rest = order[1:at], order[at:]
        if rest:
            yield [*front, last, first, *rest]
        overtaking = [one for one in front if _overtakes(one)]
        if overtaking:
            yield [*(one for one in front if one not in overtaking), last, first, *overtaking, *rest]


def _overtakes(choice: Choice) -> bool:
    return isinstance(choice[0], RequestHappening) and choice[0].opcode in OVERTAKING


def _rank(happening: Happening) -> int:
    return happening.rank


def _size(happening: Happening) -> int:
    return happening.length if isinstance(happening, RequestHappening) else 0
