"""All scoreboards of one run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from virtiofs_model.ramfs import Limits
from virtiofs_tb.host.log import Record
from virtiofs_tb.profile import Profile
from virtiofs_tb.scoreboards.announcements import AnnouncementScoreboard
from virtiofs_tb.scoreboards.base import Scoreboard
from virtiofs_tb.scoreboards.cache_board import CacheScoreboard
from virtiofs_tb.scoreboards.config_space import ConfigSpaceScoreboard
from virtiofs_tb.scoreboards.descriptors import DescriptorScoreboard
from virtiofs_tb.scoreboards.dma import DmaScoreboard
from virtiofs_tb.scoreboards.events import Failure
from virtiofs_tb.scoreboards.file_system import FileSystemScoreboard
from virtiofs_tb.scoreboards.fuse import FuseScoreboard
from virtiofs_tb.scoreboards.interrupts import InterruptScoreboard
from virtiofs_tb.scoreboards.notifications import NotificationScoreboard
from virtiofs_tb.scoreboards.observer import Observer

ALL: tuple[type[Scoreboard], ...] = (
    ConfigSpaceScoreboard,
    DescriptorScoreboard,
    FuseScoreboard,
    DmaScoreboard,
    CacheScoreboard,
    FileSystemScoreboard,
    NotificationScoreboard,
    AnnouncementScoreboard,
    InterruptScoreboard,
)

MAX_FAILURES = 50
"""Failures kept of one run; later ones are consequences."""


class ScoreboardSet:
    """All scoreboards of a run. `observe` takes batches of records of the log, in order.

    enabled: names of the scoreboards that judge (None: all). A scoreboard that is off sees nothing.
    """

    def __init__(self, profile: Profile, enabled: Iterable[str] | None = None) -> None:
        names = {board.name for board in ALL}
        wanted = names if enabled is None else set(enabled)
        if unknown := wanted - names:
            raise ValueError(f"no scoreboard named {', '.join(sorted(unknown))}; there are {', '.join(sorted(names))}")
        self.profile = profile
        self.failures: list[Failure] = []
        self.on_failure: Callable[[Failure], None] | None = None
        self.observer = Observer(profile)
        self.boards: list[Scoreboard] = [board(profile, self.observer) for board in ALL if board.name in wanted]
        for board in self.boards:
            board.failures = self.failures
            board.report = self._report
        self._join()
        self.observer.bind(self.boards)
        self._required: set[str] = set()
        self._finished = False

    def _join(self) -> None:
        """Announcements are judged by what the scoreboard of the file system finds out; without it they are not."""
        boards = {type(board): board for board in self.boards}
        file_system = boards.get(FileSystemScoreboard)
        notifications = boards.get(NotificationScoreboard)
        announcements = boards.get(AnnouncementScoreboard)
        if isinstance(notifications, NotificationScoreboard) and isinstance(announcements, AnnouncementScoreboard):
            notifications.announced = announcements.takes
            notifications.kept = announcements.kept
            announcements.stored = notifications.stored
        if isinstance(file_system, FileSystemScoreboard) and isinstance(announcements, AnnouncementScoreboard):
            file_system.tell_asked = announcements.asked
            file_system.tell_answered = announcements.answered
            file_system.lacks_room = announcements.lacks_room
            announcements.lock_told = file_system.lock_told
            announcements.explained = file_system.explained

    def _report(self, failure: Failure) -> None:
        if len(self.failures) < MAX_FAILURES:
            self.failures.append(failure)
            if self.on_failure is not None:
                self.on_failure(failure)

    def engage_ramfs(self, limits: Limits | None = None) -> None:
        """The endpoint's own file system answers, of this capacity (None: the default one), and is judged.

        Without this call a write to the strap that chooses the engine says so, of the default capacity.
        """
        for board in self.boards:
            if isinstance(board, FileSystemScoreboard):
                board.engage(limits)

    @property
    def waiting_chains(self) -> int:
        """Open chains whose requests wait for a lock, as far as the scoreboard of the file system knows."""
        return sum(len(board.waiting()) for board in self.boards)

    def require(self, *names: str) -> None:
        """These scoreboards must check something in this test, or the test fails. Names that are off are ignored."""
        self._required.update(names)

    def observe(self, batch: Sequence[Record]) -> None:
        """Judge a batch of records (host.log.Record)."""
        self.observer.observe(batch)

    def finish(self) -> list[Failure]:
        """End of the run, after its drain: what is owed fails, and a required scoreboard that checked nothing."""
        if not self._finished:
            self._finished = True
            t_ps, seq = self.observer.t_ps, self.observer.seq
            for board in self.boards:
                board.finish(t_ps, seq)
            for board in self.boards:
                if board.name in self._required and not board.total():
                    board.fail(t_ps, seq, "checked nothing in a test that must exercise it", "", "at least 1", "0")
        return self.failures

    def owed(self, t_ps: int) -> list[str]:
        """What is owed at `t_ps`, and what waits lawfully, in words; for a run that was given up, whose debts are no
        failures of their own."""
        found: list[Failure] = []
        for board in self.boards:
            board.report = found.append
            board.finish(t_ps, self.observer.seq)
            board.report = self._report
        self._finished = True
        return [
            f"{debt.board}{f' [{debt.clause}]' if debt.clause else ''}: {debt.text}: expected {debt.expected}, "
            f"seen {debt.seen}"
            for debt in found
        ] + [text for board in self.boards for text in board.waiting()]

    @property
    def counts(self) -> dict[str, int]:
        """How many things each scoreboard checked."""
        return {board.name: board.total() for board in self.boards}

    @property
    def details(self) -> dict[str, dict[str, int]]:
        """The same by kind of check."""
        return {board.name: dict(sorted(board.checked.items())) for board in self.boards}
