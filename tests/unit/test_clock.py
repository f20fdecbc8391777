"""Which time requests had: whatever fits with all that was seen, however late it shows, and nothing else."""

from __future__ import annotations

import stat
from collections.abc import Iterable
from dataclasses import replace

import pytest

from tests.unit.ramfs_client import ROOT
from tests.unit.test_explain import MOVES_EVERY, History, call, feed, history, mkdir, server
from virtiofs_model.layouts import fuse
from virtiofs_model.layouts.fuse_constants import Fattr, Opcode
from virtiofs_model.ramfs import RamfsServer
from virtiofs_model.ramfs.inode import Time
from virtiofs_model.ramfs.journal import Journal
from virtiofs_tb.scoreboards.clock import Clock, Move
from virtiofs_tb.scoreboards.explain import Effort, Explainer
from virtiofs_tb.scoreboards.happenings import ENDLESS, RequestHappening, ResetHappening

OLD, NEW, NEWER = Time(0, 0), Time(7, 70), Time(8, 80)


def rename(index: int, begin: int, end: int, rank: int) -> RequestHappening:
    """Sets the times of the root and of a directory, and shows none."""
    names = b"%d\0new%d\0" % (index, index)
    return call(Opcode.RENAME, bytes(fuse.FuseRenameIn(ROOT)) + names, begin, end, rank)


def getattr_(nodeid: int, at: int) -> RequestHappening:
    return call(Opcode.GETATTR, bytes(fuse.FuseGetattrIn()), at, at + 1, at, nodeid)


def nodeid_in(request: RequestHappening) -> int:
    assert request.reply is not None
    return fuse.FuseEntryOut.from_buffer_copy(request.reply, 16).nodeid


def explained(
    happenings: Iterable[RequestHappening | ResetHappening], moves: Iterable[Move], effort: Effort | None = None
) -> bool:
    explainer = Explainer(server(), effort)
    for move in moves:
        explainer.clock.moves(move)
    for happening in happenings:
        explainer.add(happening)
        if not explainer.advance():
            return False
    return not explainer.left


class Device:
    """A sound one that answers at once: what is asked of it is seen with the replies that it gives."""

    def __init__(self, directories: int) -> None:
        self.golden = server(undo=False)
        self.seen: list[RequestHappening] = []
        for index in range(directories):
            self.ask(mkdir(b"%d" % index, 1, 10, index))
        self.nodeids = [nodeid_in(request) for request in self.seen]

    def ask(self, request: RequestHappening) -> None:
        request.reply = self.golden.handle(request.message, request.writable)
        self.seen.append(request)

    def move(self, time: Time) -> None:
        self.golden.set_time(time.seconds, time.nanoseconds)


@pytest.mark.parametrize("before", range(13))
@pytest.mark.parametrize("times", [(NEW,), (NEW, NEWER), (NEW, NEW)])
def test_a_time_that_shows_late(before: int, times: tuple[Time, ...]) -> None:
    """The clock moves while twelve requests are open that do not show their times. It shows when those are final."""
    device = Device(12)
    for index in range(12):
        if index == before:
            for time in times:
                device.move(time)
        device.ask(rename(index, 20, 100, 20 + index))
    for at in range(200, 1200, 2):
        device.ask(call(Opcode.STATFS, b"", at, at + 1, at))
    for index, nodeid in enumerate(device.nodeids):
        device.ask(getattr_(nodeid, 2000 + 2 * index))
    moves = [Move(15, 90, time) for time in times]
    assert explained(device.seen, moves, Effort(history=64))


def shown(count: int, times: dict[int, tuple[Time, Time]]) -> list[RequestHappening]:
    """`count` requests that are open together while the clock moves to NEW and to NEWER, and then GETATTRs that show
    of some of them the ctime in `times`; the second of the two is the mtime of the directory that they are in."""
    device = Device(count)
    for index in range(count):
        device.ask(rename(index, 20, 100, 20 + index))
    for index, (ctime, mtime) in times.items():
        for nodeid in (device.nodeids[index], ROOT):
            device.ask(getattr_(nodeid, 2000 + 2 * index))
            last = device.seen[-1]
            assert last.reply is not None
            out = fuse.FuseAttrOut.from_buffer_copy(last.reply, 16)
            out.attr.ctime, out.attr.ctimensec = ctime.seconds, ctime.nanoseconds
            if nodeid == ROOT:
                out.attr.ctime, out.attr.ctimensec = mtime.seconds, mtime.nanoseconds
                out.attr.mtime, out.attr.mtimensec = mtime.seconds, mtime.nanoseconds
            last.reply = last.reply[:16] + bytes(out)
    return device.seen


TWO_MOVES = (Move(15, 90, NEW), Move(40, 95, NEWER))


def test_any_times_that_never_go_back_are_believed() -> None:
    for first in (OLD, NEW, NEWER):
        for second in (OLD, NEW, NEWER):
            seen = shown(2, {0: (first, second), 1: (second, second)})
            assert explained(seen, TWO_MOVES) == (first <= second), (first, second)


@pytest.mark.parametrize("wrong", [Time(6, 70), Time(7, 71), Time(9, 0), Time(0, 1)])
def test_a_time_that_the_clock_never_had(wrong: Time) -> None:
    assert not explained(shown(1, {0: (wrong, wrong)}), TWO_MOVES)


def test_one_request_has_one_time() -> None:
    assert explained(shown(1, {0: (NEW, NEW)}), TWO_MOVES)
    assert not explained(shown(1, {0: (NEW, NEWER)}), TWO_MOVES)
    both = [Move(15, 90, NEW), Move(15, 90, NEWER), Move(15, 90, NEW)]
    assert not explained(shown(1, {0: (NEW, NEWER)}), both)


@pytest.mark.parametrize("moves", [(Move(101, 110, NEW),), (Move(5, 10, NEW), Move(12, 19, NEWER))])
def test_a_time_from_when_the_request_was_not_under_way(moves: tuple[Move, ...]) -> None:
    assert not explained(shown(1, {0: (NEW, NEW)}), moves)


def test_a_write_may_have_the_time_from_before_its_data() -> None:
    """The endpoint looks at the clock when it begins with a request, and the data of a WRITE come later."""
    device = Device(0)
    device.ask(call(Opcode.CREATE, bytes(fuse.FuseCreateIn(2, 0o100644)) + b"f\0", 1, 2, 1))
    nodeid = nodeid_in(device.seen[-1])
    device.ask(call(Opcode.WRITE, bytes(fuse.FuseWriteIn(nodeid, 0, 4)) + b"data", 60, 70, 60, nodeid))
    device.ask(getattr_(nodeid, 100))
    moves = [Move(40, 50, NEW)]
    assert not explained(device.seen, moves)
    assert explained([device.seen[0], replace(device.seen[1], since=30), device.seen[2]], moves)
    assert not explained([device.seen[0], replace(device.seen[1], since=51), device.seen[2]], moves)


def test_times_that_a_client_sends_are_its_own() -> None:
    device = Device(1)
    body = fuse.FuseSetattrIn(valid=Fattr.MTIME | Fattr.ATIME_NOW, mtime=5, mtimensec=6)
    device.ask(call(Opcode.SETATTR, bytes(body), 20, 30, 20, device.nodeids[0]))
    assert explained(device.seen, TWO_MOVES[:1])
    out = fuse.FuseAttrOut.from_buffer_copy(device.seen[-1].reply or b"", 16)
    out.attr.mtime, out.attr.mtimensec = NEW.seconds, NEW.nanoseconds
    device.seen[-1].reply = (device.seen[-1].reply or b"")[:16] + bytes(out)
    assert not explained(device.seen, TWO_MOVES[:1])


def listing(move: Time) -> list[RequestHappening]:
    """READDIRPLUS, whose names are of different length, after some were renamed before and some behind a move."""
    device = Device(9)
    device.ask(call(Opcode.OPENDIR, bytes(fuse.FuseOpenIn()), 20, 100, 20))
    for index in range(9):
        if index == 5:
            device.move(move)
        device.ask(rename(index, 21, 100, 21 + index))
    device.ask(call(Opcode.READDIRPLUS, bytes(fuse.FuseReadIn(ROOT, 0, 4096)), 200, 201, 200))
    return device.seen


def test_a_listing_shows_times() -> None:
    assert explained(listing(NEW), TWO_MOVES)
    assert not explained(listing(NEW), [Move(15, 90, NEWER)])


@pytest.mark.parametrize("took_effect", range(3))
def test_what_a_reset_cuts_off_has_a_time(took_effect: int) -> None:
    device = Device(2)
    cut = tuple(rename(index, 20, 100, 20 + index) for index in range(2))
    device.move(NEW)
    for request in cut[:took_effect]:
        device.golden.handle(request.message, request.writable)
    device.golden.reset()
    made = list(device.seen)
    init = call(Opcode.INIT, bytes(fuse.FuseInitIn(7, 45, 131072, 0xFFFF_FFFF)), 120, 121, 120, 0)
    device.ask(init)
    for index, nodeid in enumerate((*device.nodeids, ROOT)):
        device.ask(getattr_(nodeid, 2000 + 2 * index))
    later = device.seen[2:]
    reset = ResetHappening(100, 101, 101, cut=cut)
    assert explained([*made, reset, *later], [Move(15, 90, NEW)])
    assert explained([*made, reset, *later], [Move(102, 103, NEW)]) == (took_effect == 0)


def stamps(requests: list[RequestHappening]) -> list[tuple[int, int]]:
    """Which requests show the ctime of one inode alone, and that time."""
    found = []
    for index, one in enumerate(requests):
        if one.opcode in (Opcode.GETATTR, Opcode.SETATTR) and one.reply and len(one.reply) > 16:
            found.append((index, fuse.FuseAttrOut.from_buffer_copy(one.reply, 16).attr.ctime))
    return found


@pytest.mark.parametrize("seed", range(3))
def test_a_wrong_time_is_caught_where_it_shows(seed: int) -> None:
    """In a run in which everything overlaps, any time that the clock had at least two moves away from the right one.
    The next one or the one before may be explained, for a request that was under way when the clock moved; and 7, which
    clients set, by a request that set or moved it meanwhile."""
    right = history(seed, 240, 4, shuffled=False)
    caught = 0
    for at, time in stamps(right[0]):
        for wrong in (0, *(move.time.seconds for move in right[1])):
            if time == 7 or abs(wrong - time) < 2 * MOVES_EVERY:
                continue
            spoilt = spoil(right, at, wrong)
            explainer = Explainer(server(), Effort(near=20, far=100))
            assert not feed(explainer, spoilt)
            assert explainer.culprit is spoilt[0][at]
            caught += 1
    assert caught > 50


def spoil(right: History, at: int, seconds: int) -> History:
    requests, moves = list(right[0]), right[1]
    out = fuse.FuseAttrOut.from_buffer_copy(requests[at].reply or b"", 16)
    out.attr.ctime = seconds
    requests[at] = replace(requests[at], reply=(requests[at].reply or b"")[:16] + bytes(out), expected=[])
    return requests, moves


def test_a_rollback_takes_back_what_was_learnt() -> None:
    journal = Journal()
    clock = Clock(journal)
    for move in TWO_MOVES:
        clock.moves(move)
    marks = []
    for _ in range(3):
        marks.append(clock.mark)
        assert clock.pass_by(20, 100)
    before = journal.mark()
    entry = fuse.FuseAttrOut(attr=fuse.FuseAttr(mode=stat.S_IFDIR))
    entry.attr.mtime, entry.attr.mtimensec = marks[1].seconds, marks[1].nanoseconds
    expected = bytes(16) + bytes(entry)
    for time in (OLD, NEWER, NEW):
        entry.attr.mtime, entry.attr.mtimensec = time.seconds, time.nanoseconds
        seen = bytes(16) + bytes(entry)
        assert clock.read(Opcode.GETATTR, expected, seen) == seen
        assert clock.pass_by(1, 10) == (time == OLD), "what comes later is not older"
        journal.rollback(before)
    assert clock.mark == Time(marks[0].seconds, 3)


def test_without_a_reply_to_compare_with_the_earliest_time_is_shown() -> None:
    clock = Clock(Journal())
    clock.moves(Move(5, 10, NEW))
    mark = clock.mark
    assert clock.pass_by(20, ENDLESS)
    entry = fuse.FuseEntryOut(nodeid=3)
    entry.attr.ctime, entry.attr.ctimensec = mark.seconds, mark.nanoseconds
    expected = clock.read(Opcode.MKDIR, bytes(16) + bytes(entry), None)
    attr = fuse.FuseEntryOut.from_buffer_copy(expected, 16).attr
    assert (attr.ctime, attr.ctimensec) == (NEW.seconds, NEW.nanoseconds)


def test_no_reply_shows_a_mark() -> None:
    """Whatever a scoreboard says of an expected reply names times that there were."""
    explainer = Explainer(server())
    requests, moves = history(3, 200, 3, shuffled=False)
    assert feed(explainer, (requests, moves))
    golden = RamfsServer(undo=True)
    mark = Clock(golden.tree.journal).mark.seconds.to_bytes(8, "little")
    assert all(mark not in (one.expected[0] or b"") for one in requests)


@pytest.mark.parametrize("spread", [0, 2])
def test_a_run_without_end_keeps_little(spread: int) -> None:
    """What no inode bears any more is dropped, and a time that is wrong is found all the same."""
    requests, moves = history(3, 3000, spread, False)
    explainer = Explainer(server(), Effort(history=64))
    assert feed(explainer, (requests, moves))
    assert explainer.clock.held < 400 < explainer.clock.number
    late = next(one for one in reversed(requests) if one.message[4:8] == bytes([Opcode.GETATTR, 0, 0, 0]) and one.reply)
    out = fuse.FuseAttrOut.from_buffer_copy(late.reply or b"", 16)
    for wrong in (out.attr.ctime + 7, max(out.attr.ctime, MOVES_EVERY) - MOVES_EVERY + 1):
        out.attr.ctime = wrong
        spoilt = replace(late, reply=(late.reply or b"")[:16] + bytes(out))
        seen = [spoilt if one is late else one for one in requests]
        assert not feed(Explainer(server(), Effort(history=64)), (seen, moves))
