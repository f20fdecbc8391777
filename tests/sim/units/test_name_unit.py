"""The name unit (hdl/ramfs/name_unit.sv) against dictionaries, and what a look-up costs."""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable

import pytest

from tests.sim.units.name_reference import (
    ADD,
    DIRECTORY,
    FIND,
    FIRST,
    NAME_BYTES,
    REMOVE,
    REPOINT,
    XATTR,
    Entry,
    Names,
    Node,
    pack_bits,
    parse,
)
from tests.sim.units.unit_build import build_unit, other, play

HEAD_BYTES = 1024
LISTING_BYTES = 4080
EDGES = (1, 2, 8, 15, 16, 17, 31, 32, 33, 63, 64, 65, 128, 254, 255)

# The first four bytes make a factor of name_pkg's hash zero: the next four do not count.
COLLIDING = (0x243F6A88).to_bytes(4, "little")

SMALL = {"DATA_W": 128, "INODES": 16, "ENTRIES": 24, "CELLS": 40}
WIDE = {"DATA_W": 512, "INODES": 64, "ENTRIES": 100, "CELLS": 300}
FULL = {"DATA_W": 256, "INODES": 1024, "ENTRIES": 2048, "CELLS": 4096}


class Script:
    """Commands with the answers that the reference gives. A judge compares one answer's words with it."""

    def __init__(self, parameters: dict[str, int], seed: int) -> None:
        self.random = random.Random(seed)
        self.inodes = parameters["INODES"]
        self.names = Names(parameters["ENTRIES"], parameters["CELLS"])
        self.lines: list[str] = []
        self.judges: list[Callable[[list[str]], None]] = []
        self.parsed = (b"", b"")
        self.both_fit = False
        self.cookies = [0, 1, 2, 7, 1 << 32, (1 << 64) - 1]
        self._command("reset", "ready")

    def _command(self, line: str, *expected: object) -> None:
        """expected: the words of the answer, but the number of cycles. None: not looked at."""
        self.lines.append(line)

        def judge(answer: list[str]) -> None:
            for got, wanted in zip(answer, expected, strict=False):
                assert wanted is None or got == str(wanted), f"{line}: {' '.join(answer)}, expected {expected}"

        self.judges.append(judge)

    def parse(self, first: bytes, second: bytes = b"", *, cut: int = 0) -> None:
        """Two names somewhere in a message; cut: so many bytes less of it."""
        rng = self.random
        body = first + b"\0" + second + b"\0" + rng.randbytes(rng.choice((0, 3, 40)))
        start = rng.randrange(40, 120)
        message = (rng.randbytes(start) + body)[:HEAD_BYTES]
        message = message[: max(start, len(message) - cut)]
        two = rng.random() < 0.8 if not second else True
        infos, position = parse(message, start, two)
        self.lines.append(f"head {(message + rng.randbytes(20))[:HEAD_BYTES].hex()}")
        self._command(f"parse {start} {int(two)} {len(message)}", "parsed", infos, position)
        usable = two and position is not None and len(first) <= NAME_BYTES and len(second) <= NAME_BYTES
        self.both_fit = usable and first != b"" and second != b""
        self.parsed = (first, second)

    def _cmd(self, op: int, kind: int, which: int, parent: int, child: int, entry: int, *expected: object) -> None:
        fits = sum(self.names.fits(name) << i for i, name in enumerate(self.parsed)) if self.both_fit else None
        self._command(f"cmd {op} {kind} {which} {parent} {child} {entry}", "rsp", *expected, fits)

    def find(self, kind: int, which: int, parent: int) -> int:
        slot = self.names.find(kind, parent, self.parsed[which])
        expected = (1, slot, self.names.table[slot].child) if slot else (0, None, None)
        self._cmd(FIND, kind, which, parent, 0, 0, *expected)
        return slot

    def add(self, kind: int, which: int, parent: int, child: int) -> None:
        before = (1, self.names.free[0], None)
        self._cmd(ADD, kind, which, parent, child, 0, *before)
        slot = self.names.add(kind, parent, self.parsed[which], child)
        self.cookies.append(self.names.table[slot].sequence << 32 | slot)

    def remove(self, slot: int) -> None:
        self._cmd(REMOVE, self.random.randrange(2), 0, 0, 0, slot, None, None, None)
        self.names.remove(slot)

    def repoint(self, slot: int, child: int) -> None:
        self._cmd(REPOINT, 0, 0, 0, child, slot, None, None, None)
        self.names.table[slot].child = child

    def first(self, kind: int, parent: int) -> None:
        slot = self.names.first(kind, parent)
        expected = (1, slot, self.names.table[slot].child) if slot else (0, None, None)
        self._cmd(FIRST, kind, 0, parent, 0, 0, *expected)

    def listing(self, directory: int, cookie: int, budget: int, plus: bool) -> None:
        ids = (self.random.getrandbits(64), self.random.getrandbits(64))
        command = pack_bits(
            [(1, plus), (1, plus), (32, 1), (12, directory), (64, cookie), (13, budget), (64, ids[0]), (64, ids[1])]
        )
        records = self.names.records(plus, directory, cookie, budget, ids)

        def judge(answer: list[str]) -> None:
            assert answer[:2] == ["listing", str(len(records))]
            assert bytes.fromhex(answer[2])[16:] == records, f"directory {directory} from {cookie:#x}, {budget} bytes"

        self.lines.append(f"list {command:x}")
        self.judges.append(judge)

    def load_nodes(self) -> None:
        rng = self.random
        for slot in range(1, self.inodes):
            bits = rng.getrandbits
            node = Node(
                generation=bits(32),
                mode=bits(16),
                nlink=bits(32),
                uid=bits(32),
                gid=bits(32),
                rdev=bits(32),
                size=bits(41),
                pages=bits(13),
                times=[(bits(64), bits(32)) for _ in range(3)],
                lookups=bits(31),
                opens=bits(32),
                parent=bits(12),
            )
            self.names.nodes[slot] = node
            self.lines.append(f"node {slot} {node.record()}")

    def look_at_nodes(self) -> None:
        for slot, node in self.names.nodes.items():
            self._command(f"look {slot}", "node", node.record())

    def judge(self, answers: list[str]) -> list[int]:
        """Compare; the cycles of each answer."""
        assert len(answers) == len(self.judges)
        for answer, judge in zip(answers, self.judges, strict=True):
            judge(answer.split())
        return [int(answer.split()[-1]) for answer in answers if not answer.startswith("node")]


def new_name(rng: random.Random) -> bytes:
    letters = bytes(byte for byte in range(1, 256) if byte != ord("/"))
    length = rng.choice((*EDGES, *range(3, 12)))
    name = bytes(rng.choices(letters, k=length))
    return (COLLIDING + name)[:NAME_BYTES] if rng.random() < 0.2 else name


def relative(rng: random.Random, name: bytes) -> bytes:
    """A name that differs in one byte, or at its end."""
    changed = bytearray(name)
    place = 4 if name.startswith(COLLIDING) and len(name) > 8 else rng.randrange(len(name))
    changed[place] = changed[place] % 0x2E + 1
    return rng.choice((bytes(changed), name[:-1] or b"x", (name + b"y")[:NAME_BYTES]))


def random_script(parameters: dict[str, int], seed: int, steps: int) -> Script:
    script = Script(parameters, seed)
    rng = script.random
    pool = [new_name(rng) for _ in range(parameters["ENTRIES"] // 3)]
    pool += [relative(rng, name) for name in pool]
    script.load_nodes()
    parents = min(parameters["INODES"] - 1, 5)
    for step in range(steps):
        if step % 200 == 0:
            script.lines.append("stall " + rng.choice(("0 0 0", "50 30 0", "30 50 10", "0 0 30", "80 80 2")))
        choice = rng.random()
        table = script.names.table
        parent = rng.randint(1, parents)
        kind = XATTR if rng.random() < 0.2 else DIRECTORY
        if choice < 0.55:
            script.parse(rng.choice(pool), rng.choice(pool))
            slots = [script.find(kind, which, parent) for which in (0, 1)]
            # Phases in which the table fills, and in which it empties.
            growing = step % 600 < 400
            for which in (0, 1):
                absent = script.names.find(kind, parent, script.parsed[which]) == 0
                if absent and growing and script.names.fits(script.parsed[which]):
                    script.add(kind, which, parent, rng.randrange(1, script.inodes))
                elif slots[which] in table and not growing:
                    script.remove(slots[which])
        elif choice < 0.6 and table:
            script.remove(rng.choice(list(table)))
        elif choice < 0.65 and table:
            script.repoint(rng.choice(list(table)), rng.randrange(1, script.inodes))
        elif choice < 0.7:
            script.first(kind, parent)
        elif choice < 0.8:
            odd = (b"", b".", b"..", b"a/b", b"/", b"x" * 255, b"x" * 256, b"y" * 257, b"z" * 600, b"..." + b"w" * 900)
            script.parse(rng.choice(odd), rng.choice(odd), cut=rng.choice((0, 0, 1, 2, 30, 300)))
        else:
            budget = rng.choice((0, 8, 31, 32, 160, 170, 700, LISTING_BYTES, LISTING_BYTES))
            script.listing(parent, rng.choice(script.cookies[:6] + script.cookies[-60:]), budget, rng.random() < 0.5)
    script.look_at_nodes()
    return script


@pytest.mark.parametrize(
    ("parameters", "steps"),
    [other(SMALL, 6000), other(WIDE, 6000), (FULL, 3000)],
    ids=("small-128", "wide-512", "full-256"),
)
def test_random_operations(parameters: dict[str, int], steps: int) -> None:
    executable = build_unit("name_bench", parameters)
    for seed in (1, 2):
        script = random_script(parameters, seed, steps)
        script.judge(play(executable, script.lines, seed))


def test_the_table_is_full_and_empties() -> None:
    """Every entry and every cell is used, given back, and used again in the order in which it was freed."""
    script = Script(FULL, 3)
    for number in range(FULL["ENTRIES"] - 1):
        script.parse(b"name %d" % number, b"no more")
        script.add(DIRECTORY, 0, 1, 1)
    script.parse(b"no more", b"here")
    script.find(DIRECTORY, 0, 1)
    slots = list(script.names.table)
    script.random.shuffle(slots)
    for slot in slots:
        script.remove(slot)
    for number in range((FULL["CELLS"] - 1) // 8):
        script.parse(b"%d" % number * NAME_BYTES)
        script.parse((b"%d " % number * NAME_BYTES)[:NAME_BYTES], b"1" * 225)
        script.add(DIRECTORY, 0, 1, 1)
    script.parse(b"1" * 224, b"1" * 225)  # 7 cells are left
    script.find(DIRECTORY, 0, 1)
    script.judge(play(build_unit("name_bench", FULL), script.lines, 3))


def test_rm_r_goes_on_where_names_were() -> None:
    """A reader that removes all that it was shown, and comes back with a cookie that is gone."""
    script = Script(FULL, 4)
    script.load_nodes()
    for number in range(300):
        script.parse(b"file %d" % number)
        script.add(DIRECTORY, 0, 9, number + 1)
    cookie = 0
    while shown := shown_slots(script.names, 9, cookie):
        script.listing(9, cookie, 1000, True)
        cookie = script.names.table[shown[-1]].sequence << 32 | shown[-1]
        for slot in shown:
            script.remove(slot)
    assert not script.names.table
    script.listing(9, cookie, 1000, True)
    script.judge(play(build_unit("name_bench", FULL), script.lines, 4))


def shown_slots(names: Names, directory: int, cookie: int) -> list[int]:
    """Four names at a time: what 1000 bytes of READDIRPLUS hold at least."""
    later = [s for s in names.listed(DIRECTORY, directory) if names.table[s].sequence > cookie >> 32]
    return later[:4]


def look_up_cycles(entries: int) -> list[int]:
    script = Script(FULL, 5)
    for number in range(entries):
        script.parse(b"file-%04d.txt" % number)
        script.add(DIRECTORY, 0, 1, 1)
    mark = len(script.judges)
    for number in range(entries):
        script.parse(b"file-%04d.txt" % number)
        script.find(DIRECTORY, 0, 1)
    cycles = script.judge(play(build_unit("name_bench", FULL), script.lines, 5))[mark:]
    return sorted(cycles[1::2])


def test_a_look_up_costs_the_same_in_a_large_directory(capsys: pytest.CaptureFixture[str]) -> None:
    small, large = look_up_cycles(10), look_up_cycles(1000)
    figures = {
        len(cycles): (statistics.median(cycles), cycles[len(cycles) * 99 // 100], cycles[-1])
        for cycles in (small, large)
    }
    with capsys.disabled():
        for entries, (median, p99, worst) in figures.items():
            print(f"\nFIND among {entries} names: median {median:.0f}, p99 {p99}, worst {worst} cycles", end="")
    assert figures[1000][0] == figures[10][0]
    assert figures[1000][1] <= figures[10][1] + 16


def test_what_commands_cost() -> None:
    """Cycles in an empty table, with names of 13 bytes. A change of these figures should be noticed."""
    script = Script(FULL, 7)
    script.load_nodes()
    for number in range(12):
        script.parse(b"file-%04d.txt" % number, b"a second name")
        script.add(DIRECTORY, 0, 1, number + 1)
    script.find(DIRECTORY, 0, 1)
    for budget in (9 * 40, 10 * 40, 9 * 168, 10 * 168):  # nine names, ten names
        script.listing(1, 1 << 32, budget, budget % 168 == 0)
    script.remove(1)
    cycles = script.judge(play(build_unit("name_bench", FULL), script.lines, 7))
    parsed, added, found, *listed, removed = cycles[-8:]
    assert {
        "parse, two names": parsed,
        "ADD": added,
        "FIND": found,
        "REMOVE": removed,
        "READDIR, a name": listed[1] - listed[0],
        "READDIRPLUS, a name": listed[3] - listed[2],
    } == {
        "parse, two names": 10,
        "ADD": 5,
        "FIND": 6,
        "REMOVE": 5,
        "READDIR, a name": 8,
        "READDIRPLUS, a name": 25,
    }


@pytest.mark.parametrize(
    "spoil",
    [
        lambda names: names.table.pop(names.find(DIRECTORY, 1, b"a")),
        lambda names: setattr(names.table[names.find(DIRECTORY, 1, b"a")], "child", 3),
        lambda names: setattr(names.nodes[2], "mode", names.nodes[2].mode ^ 1),
        lambda names: names.table.update({9: Entry(DIRECTORY, 1, b"c", 2, 9)}),
    ],
    ids=("missing", "child", "mode", "too many"),
)
def test_a_wrong_answer_is_noticed(spoil: Callable[[Names], object]) -> None:
    script = Script(FULL, 6)
    script.load_nodes()
    script.parse(b"a")
    script.add(DIRECTORY, 0, 1, 2)
    spoil(script.names)
    script.listing(1, 0, LISTING_BYTES, True)
    with pytest.raises(AssertionError, match=r"directory 1|listing"):
        script.judge(play(build_unit("name_bench", FULL), script.lines, 6))
