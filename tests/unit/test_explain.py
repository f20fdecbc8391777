"""The search for an order that explains replies: it finds one where there is one, and none where there is not."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from tests.unit.ramfs_client import ROOT, Client
from virtiofs_model.layouts import fuse
from virtiofs_model.layouts.fuse_constants import Opcode
from virtiofs_model.ramfs import Limits, RamfsServer, Tree
from virtiofs_model.ramfs.inode import Time
from virtiofs_tb.scoreboards.clock import Move
from virtiofs_tb.scoreboards.explain import Effort, Explainer
from virtiofs_tb.scoreboards.happenings import ENDLESS, Happening, RequestHappening, ResetHappening
from virtiofs_tb.sequences.tree_ops import TreeLimits, TreeRequests

LIMITS = Limits(inodes=64, pages=64)
STEP = 10
MOVES_EVERY = 30

History = tuple[list[RequestHappening], list[Move]]


def server(undo: bool = True) -> RamfsServer:
    made = RamfsServer(Tree(LIMITS), undo=undo)
    Client(made).init()
    made.tree.journal.forget()
    return made


def history(seed: int, count: int, spread: int, shuffled: bool) -> History:
    """Requests that took effect one after the other, each seen between begin and end that lie up to `spread` steps
    away, and moves of the clock; shuffled: their ranks do not tell the order."""
    rng = random.Random(seed)
    golden = server(undo=False)
    source = TreeRequests(rng, TreeLimits(names=6, data=200))
    requests: list[RequestHappening] = []
    moves: list[Move] = []
    for index in range(1, count + 1):
        at = index * STEP
        begin, end = at - rng.randrange(spread * STEP + 1), at + rng.randrange(spread * STEP + 1)
        if index % MOVES_EVERY == 0:
            golden.set_time(index, 0)
            moves.append(Move(begin, end, Time(index)))
            continue
        rank = rng.randint(begin, end) if shuffled else at
        message = source.next(index)
        writable = source.writable(message)
        reply = golden.handle(message, writable)
        source.learn(message, reply or b"")
        requests.append(
            RequestHappening(
                begin, end, rank, message=message, length=len(message), writable=writable, reply=reply, where=f"{index}"
            )
        )
    return requests, moves


def feed(explainer: Explainer, seen: History) -> bool:
    """As the run would: each is known when it has ended."""
    requests, moves = seen
    for move in moves:
        explainer.clock.moves(move)
    waiting = sorted(requests, key=lambda one: one.end)
    for index, happening in enumerate(waiting):
        explainer.add(happening)
        open_ = [one for one in waiting[index + 1 :] if one.begin <= happening.end]
        ranks = (one.rank for one in open_ if one.rank <= happening.end)
        if not explainer.advance(min((one.begin for one in open_), default=ENDLESS), min(ranks, default=ENDLESS)):
            return False
    return explainer.advance() and not explainer.left


@pytest.mark.parametrize("seed", range(3))
def test_the_first_guess_costs_one_try_each(seed: int) -> None:
    seen = history(seed, 800, 6, shuffled=False)
    explainer = Explainer(server())
    assert feed(explainer, seen)
    assert explainer.depth == explainer.tries == len(seen[0])


def test_an_order_is_found_where_the_first_guess_is_none() -> None:
    failed = 0
    for seed in range(8):
        explainer = Explainer(server())
        assert feed(explainer, history(seed, 150, 2, shuffled=True)), explainer.culprit
        failed += explainer.failed
    assert failed > 10, "the order of replies told all"


@pytest.mark.parametrize("seed", range(8))
def test_a_reply_that_nothing_explains_is_found(seed: int) -> None:
    happenings, moves = history(seed, 200, 5, shuffled=False)
    rng = random.Random(seed)
    fixed = (Opcode.GETATTR, Opcode.LOOKUP, Opcode.SETATTR, Opcode.STATFS, Opcode.MKDIR, Opcode.READ)
    candidates = [
        index for index, one in enumerate(happenings) if one.opcode in fixed and one.reply and len(one.reply) > 16
    ]
    at = rng.choice(candidates)
    victim = happenings[at]
    assert victim.reply is not None
    byte = rng.randrange(16, len(victim.reply))
    wrong = victim.reply[:byte] + bytes([victim.reply[byte] ^ 0x40]) + victim.reply[byte + 1 :]
    happenings[at] = replace(victim, reply=wrong)
    explainer = Explainer(server())
    assert not feed(explainer, (happenings, moves))
    assert explainer.culprit is happenings[at]
    assert explainer.culprit.expected == [victim.reply]


def call(opcode: Opcode, body: bytes, begin: int, end: int, rank: int, nodeid: int = ROOT) -> RequestHappening:
    message = bytes(fuse.FuseInHeader(40 + len(body), opcode, rank, nodeid)) + body
    return RequestHappening(begin, end, rank, message=message, length=len(message), writable=1 << 17)


def mkdir(name: bytes, begin: int, end: int, rank: int) -> RequestHappening:
    return call(Opcode.MKDIR, bytes(fuse.FuseMkdirIn(0o755)) + name + b"\0", begin, end, rank)


def answered(golden: RamfsServer, *requests: RequestHappening) -> None:
    """In this order."""
    for request in requests:
        request.reply = golden.handle(request.message, request.writable)


def test_what_an_open_request_may_explain_waits_for_it() -> None:
    made, found = mkdir(b"d", 1, 30, 3), call(Opcode.LOOKUP, b"d\0", 2, 20, 2)
    answered(server(undo=False), made, found)
    explainer = Explainer(server())
    explainer.add(found)
    assert explainer.advance(open_begin=1)
    assert explainer.left == 1
    explainer.add(made)
    assert explainer.advance()
    assert explainer.depth == 2


def test_what_began_later_explains_nothing() -> None:
    made, found = mkdir(b"d", 21, 30, 3), call(Opcode.LOOKUP, b"d\0", 2, 20, 2)
    answered(server(undo=False), made, found)
    explainer = Explainer(server())
    explainer.add(found)
    assert not explainer.advance(open_begin=21)
    assert explainer.culprit is found


def overtaken(requests: int) -> list[Happening]:
    """A FORGET is done after a STATFS, and after requests before that, and is seen before the replies of them all."""
    golden = server(undo=False)
    made = call(Opcode.SYMLINK, b"link\0target\0", 0, 1, 0)
    gone = call(Opcode.UNLINK, b"link\0", 2, 3, 2)
    answered(golden, made, gone)
    assert made.reply is not None
    nodeid = fuse.FuseEntryOut.from_buffer_copy(made.reply, 16).nodeid
    before = [mkdir(b"%d" % index, 10, 100, 60 + index) for index in range(requests)]
    space = call(Opcode.STATFS, b"", 10, 101, 98)
    forget = call(Opcode.FORGET, bytes(fuse.FuseForgetIn(1)), 50, 51, 51, nodeid)
    behind = [mkdir(b"more%d" % index, 50, 102, 99) for index in range(requests)]
    answered(golden, *before, space, forget, *behind)
    return [made, gone, *before, space, forget, *behind]


def test_what_overtakes_is_put_behind_what_was_done_before() -> None:
    happenings = overtaken(7)
    explainer = Explainer(server())
    for happening in happenings:
        explainer.add(happening)
    assert explainer.advance() and not explainer.left
    assert explainer.tries < 500
    without = Explainer(server(), Effort(moved=0))
    for happening in happenings:
        without.add(happening)
    assert not without.advance(), "moves are not needed"


def test_moves_in_vain_change_nothing() -> None:
    """The search goes on as if nothing had been moved, and is as strict."""
    for moved in (0, 24):
        happenings = overtaken(3)
        wrong = happenings[-1]
        assert isinstance(wrong, RequestHappening) and wrong.reply is not None
        wrong.reply = wrong.reply[:-1] + b"!"
        explainer = Explainer(server(), Effort(moved=moved))
        for happening in happenings:
            explainer.add(happening)
        assert not explainer.advance()
        assert explainer.culprit is wrong
        marks = [place.mark for place in explainer._places]
        assert marks == sorted(marks) and len(explainer._places) == explainer.depth + 1


def test_an_order_in_time_is_kept() -> None:
    """A listing that was over before the name was made must not show it, though each reply by itself is right."""
    made, found = mkdir(b"d", 50, 60, 1), call(Opcode.LOOKUP, b"d\0", 10, 20, 2)
    answered(server(undo=False), made, found)
    explainer = Explainer(server())
    explainer.add(made)
    explainer.add(found)
    assert not explainer.advance()


@pytest.mark.parametrize("took_effect", range(4))
def test_a_reset_cuts_anywhere(took_effect: int) -> None:
    """Of three requests that were open, so many had taken effect; what comes later tells."""
    golden = server(undo=False)
    cut = tuple(mkdir(b"%d" % index, index, 1 << 40, index) for index in range(1, 4))
    answered(golden, *cut[:took_effect])
    golden.reset()
    Client(golden).init()
    init = call(Opcode.INIT, bytes(fuse.FuseInitIn(7, 45, 131072, 0xFFFF_FFFF)), 20, 21, 20, 0)
    init.reply = RamfsServer().handle(init.message)
    later = mkdir(b"x", 22, 30, 22)
    answered(golden, later)
    explainer = Explainer(server())
    for happening in (ResetHappening(10, 12, 12, cut=cut), init, later):
        explainer.add(happening)
        assert explainer.advance(), explainer.culprit
    assert explainer.depth == 3


@pytest.mark.parametrize("asked_first", [False, True])
def test_those_that_a_reset_cuts_may_have_stood_in_either_order(asked_first: bool) -> None:
    """One was asked for first, the other whole first; a listing in the next session shows who had its turn."""
    golden = server(undo=False)
    one, other = (mkdir(name, 1, 1 << 40, 1) for name in (b"one", b"other"))
    first = one if asked_first else other
    answered(golden, first)
    golden.reset()
    Client(golden).init()
    init = call(Opcode.INIT, bytes(fuse.FuseInitIn(7, 45, 131072, 0xFFFF_FFFF)), 20, 21, 20, 0)
    init.reply = RamfsServer().handle(init.message)
    found = [
        call(Opcode.LOOKUP, name, 22 + 2 * at, 23 + 2 * at, 22 + at) for at, name in enumerate((b"one\0", b"other\0"))
    ]
    answered(golden, *found)
    reset = ResetHappening(10, 12, 12, cut=(one, other), or_else=(other, one))
    explainer = Explainer(server())
    for happening in (reset, init, *found):
        explainer.add(happening)
        assert explainer.advance(), explainer.culprit
    wrong = Explainer(server())
    if not asked_first:
        for happening in (ResetHappening(10, 12, 12, cut=(one, other)), init, *found):
            wrong.add(happening)
        assert not wrong.advance(), "one order alone does not explain it"


def test_a_write_may_be_cut_after_it_took_its_pages() -> None:
    golden = server(undo=False)
    nodeid, fh = Client(golden).create(b"f")
    body = bytes(fuse.FuseWriteIn(fh, 0, 5000)) + bytes(5000)
    write = call(Opcode.WRITE, body, 2, 1 << 40, 2, nodeid)
    golden.handle(write.message[:1024], 24, write.length)
    golden.reset()
    client = Client(golden)
    client.init()
    assert client.statfs().bfree == 62
    statfs = call(Opcode.STATFS, b"", 30, 31, 30)
    answered(golden, statfs)
    mine = server()
    Client(mine).create(b"f")
    mine.tree.journal.forget()
    explainer = Explainer(mine)
    init = call(Opcode.INIT, bytes(fuse.FuseInitIn(7, 45, 131072, 0xFFFF_FFFF)), 20, 21, 20, 0)
    init.reply = RamfsServer().handle(init.message)
    for happening in (ResetHappening(10, 12, 12, cut=(write,)), init, statfs):
        explainer.add(happening)
        assert explainer.advance(), explainer.culprit


def test_what_is_old_is_final_and_costs_no_memory() -> None:
    seen = history(1, 600, 4, shuffled=False)
    explainer = Explainer(server(), Effort(history=64))
    assert feed(explainer, seen)
    assert explainer.depth == len(seen[0])
    assert len(explainer._places) <= 64
    small = Explainer(server(), Effort(memory=20_000))
    assert feed(small, history(1, 600, 4, shuffled=False))
    assert small._memory <= 20_000


def test_a_search_that_leads_nowhere_ends() -> None:
    happenings, moves = history(2, 120, 20, shuffled=True)
    happenings[60].reply = b"nothing gives this"
    explainer = Explainer(server(), Effort(near=50, far=400))
    assert not feed(explainer, (happenings, moves))
    assert explainer.failed < 3000
    explainer = Explainer(server(), Effort(most=500))
    assert not feed(explainer, (happenings, moves))
    assert explainer.tries < 1000  # of 2290 otherwise
