"""Used entries on their way out (hdl/pcie/used_order.sv, used_ring.sv, used_interrupt.sv, event_writer.sv and the lanes
that carry them) against what the specification says of both ring formats.
"""

from __future__ import annotations

import random
from collections import defaultdict, deque
from dataclasses import dataclass, field

import pytest

from tests.sim.units.unit_build import build_unit, play

PARAMETERS = {"DATA_W": 128}
FIRST_REQUEST = 2
QUEUES = 4
CONTEXTS = {0: range(4), 1: range(4, 12), 2: range(12, 22), 3: range(22, 32)}
"""Which contexts the queues of these tests may have: those of their lanes."""
DATA = 0x5000_0000
"""Where payload goes: 4 KiB a context."""
DISABLE, DESC = 1, 2
AVAIL, USED, WRITE = 1 << 7, 1 << 15, 1 << 1


def lane_of(queue: int) -> int:
    return min(queue, FIRST_REQUEST)


@dataclass
class Entry:
    """One used entry. first: the place of its first slot, counted from the ring's beginning of time."""

    queue: int
    ctx: int
    id: int
    slots: int
    length: int
    first: int = 0


@dataclass
class Ring:
    """What the specification says of one queue. place: slots (packed) or entries (split) that are used."""

    queue: int
    packed: bool
    event_idx: bool
    size: int
    place: int = 0
    desc: int = field(init=False)
    driver: int = field(init=False)
    device: int = field(init=False)

    def __post_init__(self) -> None:
        base = (1 + self.queue) << 32 if self.queue % 2 else (1 + self.queue) << 24
        self.desc, self.driver, self.device = base, base + 0x8_0000, base + 0xC_0000

    def writes(self, entry: Entry) -> list[tuple[int, int, int]]:
        """(address, bytes, value) of what makes `entry` used, in order."""
        if self.packed:
            slot, wrap = self.place % self.size, self.place // self.size % 2 == 0
            flags = (AVAIL | USED if wrap else 0) | (WRITE if entry.length else 0)
            return [(self.desc + 16 * slot + 8, 8, entry.length | entry.id << 32 | flags << 48)]
        slot = self.place % self.size
        index = (self.place + 1) % 2**16
        return [(self.device + 4 + 8 * slot, 8, entry.id | entry.length << 32), (self.device + 2, 2, index)]

    def wish(self) -> tuple[int, int]:
        """(address, bytes) of what the driver wishes."""
        if self.packed:
            return self.driver, 4
        return (self.driver + 4 + 2 * self.size, 2) if self.event_idx else (self.driver, 2)

    def wanted(self, value: int, entries: list[Entry]) -> bool:
        """Whether the driver that wishes `value` wants to be told of `entries`, which were used since the last read."""
        if not self.packed and not self.event_idx:
            return not value & 1
        if self.packed:
            mode = value >> 16 & 3
            if mode != DESC or not self.event_idx:
                return mode != DISABLE
            slot, wrap = value & 0x7FFF, value >> 15 & 1
            last = entries[-1].first + entries[-1].slots
            slots = range(max(entries[0].first, last - self.size), last)
            return any(place % self.size == slot and place // self.size % 2 != wrap for place in slots)
        return any(entry.first % 2**16 == value for entry in entries)


class Scene:
    """A script, and what must come of it."""

    def __init__(self, packed: bool, event_idx: bool, in_order: bool, sizes: list[int]) -> None:
        self.rings = [Ring(queue, packed, event_idx, size) for queue, size in enumerate(sizes)]
        self.in_order = in_order
        self.lines = [f"ring {int(packed)} {int(event_idx)} {int(in_order)}"]
        self.started: defaultdict[int, deque[Entry]] = defaultdict(deque)
        self.expected: defaultdict[int, deque[Entry]] = defaultdict(deque)
        for ring in self.rings:
            self.lines.append(f"queue {ring.queue} {ring.size} {ring.desc} {ring.driver} {ring.device}")

    def start(self, entry: Entry) -> None:
        self.lines.append(f"start {entry.queue} {entry.ctx}")
        if self.in_order:
            self.expected[entry.queue].append(entry)

    def use(self, entry: Entry) -> None:
        lane = lane_of(entry.queue)
        if entry.length:
            self.lines.append(f"data {lane} {DATA + 4096 * entry.ctx} {entry.id}")
        self.lines.append(f"used {lane} {entry.queue} {entry.ctx} {entry.id} {entry.slots} {entry.length}")
        if not self.in_order:
            self.expected[entry.queue].append(entry)

    def wish(self, queue: int, value: int) -> None:
        address, count = self.rings[queue].wish()
        self.lines.append(f"wish {address} {value & 0xFFFF}")
        if count == 4:
            self.lines.append(f"wish {address + 2} {value >> 16}")

    def play(self, seed: int) -> list[str]:
        self.lines.append("settle")
        return play(build_unit("used_bench", PARAMETERS), self.lines, seed)


@dataclass
class Read:
    ring: Ring
    entries: list[Entry]


class Judge:
    """Holds what was seen to the specification; `interrupts` and `silent` count decisions."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.pending: dict[int, list[tuple[int, int, int]]] = {}
        self.fresh: defaultdict[int, list[tuple[int, Entry]]] = defaultdict(list)
        self.reads: deque[Read] = deque()
        self.data: set[int] = set()
        self.owed: tuple[int, int] | None = None
        self.interrupts = self.silent = self.used = 0
        self.events: list[tuple[int, int]] = []

    def take(self, lines: list[str]) -> None:
        for line in lines:
            verb, *words = line.split()
            numbers = [int(word) for word in words]
            if verb != "held" and self.owed is not None and numbers[0] > self.owed[0]:
                pytest.fail(f"no interrupt of queue {self.owed[1]} at cycle {self.owed[0]}")
            getattr(self, verb)(*numbers)
        assert self.owed is None
        assert not self.reads, "a read without an answer"
        for queue, expected in self.scene.expected.items():
            assert not expected, f"queue {queue} has entries that were never used"
            assert not self.fresh[queue], "an entry without a look at what the driver wishes"

    def write(self, cycle: int, address: int, count: int, value: int) -> None:
        if DATA <= address < DATA + 32 * 4096:
            self.data.add((address - DATA) // 4096)
            return
        for ring in self.scene.rings:
            if (address, count) == (ring.device + 4 + 8 * ring.size, 2):
                self.events.append((ring.queue, value))
                return
            expected = self.scene.expected[ring.queue]
            if not expected:
                continue
            left = self.pending.get(ring.queue) or ring.writes(expected[0])
            if (address, count, value) == left[0]:
                if expected[0].length:
                    assert expected[0].ctx in self.data, "used before its data"
                self.pending[ring.queue] = left[1:]
                return
        pytest.fail(f"cycle {cycle}: {count} bytes {value:#x} at {address:#x} are nobody's")

    def done(self, cycle: int, queue: int, ctx: int, slots: int) -> None:
        assert self.pending.pop(queue) == [], "used before it was written"
        entry = self.scene.expected[queue].popleft()
        assert (entry.ctx, entry.slots) == (ctx, slots)
        self.data.discard(ctx)
        ring = self.scene.rings[queue]
        entry.first = ring.place
        ring.place += entry.slots if ring.packed else 1
        self.fresh[queue].append((cycle, entry))
        self.used += 1

    def read(self, cycle: int, address: int, count: int) -> None:
        (ring,) = [ring for ring in self.scene.rings if ring.wish() == (address, count)]
        # What the read answers for was settled two cycles ago.
        entries = [entry for at, entry in self.fresh[ring.queue] if at <= cycle - 2]
        assert entries, "a read without a new entry"
        del self.fresh[ring.queue][: len(entries)]
        self.reads.append(Read(ring, entries))

    def answer(self, cycle: int, value: int) -> None:
        read = self.reads.popleft()
        value &= 2 ** (8 * read.ring.wish()[1]) - 1
        if read.ring.wanted(value, read.entries):
            self.owed = (cycle + 1, read.ring.queue)
        else:
            self.silent += 1

    def irq(self, cycle: int, queue: int) -> None:
        assert self.owed == (cycle, queue), f"cycle {cycle}: an interrupt of queue {queue} that nobody wants"
        self.owed = None
        self.interrupts += 1

    def event(self, cycle: int) -> None:
        """What the script's `event` asked for is out."""

    def held(self, mask: int, quiet: int) -> None:
        assert mask == 0
        assert quiet & 2**QUEUES - 1 == 2**QUEUES - 1


def random_wish(rng: random.Random, ring: Ring, near: int) -> int:
    """Near `near`, the place where the ring stands about now."""
    place = max(0, near + rng.randint(-4, 8))
    if ring.packed:
        slot, wrap = place % ring.size, int(place // ring.size % 2 == 0)
        return slot | wrap << 15 | rng.choice((0, DISABLE, DESC, DESC, DESC, 3)) << 16
    return place % 2**16 if ring.event_idx else rng.randint(0, 1)


def traffic(scene: Scene, rng: random.Random, batches: int) -> None:
    """Chains made available on all queues, used in another order, while the driver changes its mind."""
    near = [0] * QUEUES
    for _ in range(batches):
        open_entries = []
        for queue in range(QUEUES):
            ring = scene.rings[queue]
            left = ring.size
            for ctx in rng.sample(CONTEXTS[queue], rng.randint(0, len(CONTEXTS[queue]))):
                slots = rng.randint(1, min(left, 4)) if ring.packed else 1
                length = rng.choice((0, 1, 16, rng.getrandbits(32)))
                entry = Entry(queue, ctx, rng.getrandbits(16), slots, length)
                left -= slots
                near[queue] += slots
                open_entries.append(entry)
                if left == 0:
                    break
        rng.shuffle(open_entries)
        for entry in open_entries:
            scene.start(entry)
        rng.shuffle(open_entries)
        for entry in open_entries:
            if rng.random() < 0.3:
                ring = scene.rings[entry.queue]
                scene.wish(entry.queue, random_wish(rng, ring, near[entry.queue]))
            scene.use(entry)
            if rng.random() < 0.3:
                scene.lines.append(f"pause {rng.randint(1, 60)}")
        scene.lines.append("settle")


SIZES = {True: ([3, 5, 1, 7], [1024, 8, 1000, 13]), False: ([4, 2, 8, 1], [1024, 16, 256, 8])}


@pytest.mark.parametrize("sizes", (0, 1))
@pytest.mark.parametrize("in_order", (False, True))
@pytest.mark.parametrize("event_idx", (False, True))
@pytest.mark.parametrize("packed", (False, True))
def test_entries_and_interrupts(packed: bool, event_idx: bool, in_order: bool, sizes: int) -> None:
    """What is written and in which order, which interrupts follow (SPLIT-UNS-D02..D06, PACK-EVT-DI1, RSVD-D05)."""
    seed = sizes * 8 + packed * 4 + event_idx * 2 + in_order
    scene = Scene(packed, event_idx, in_order, SIZES[packed][sizes])
    traffic(scene, random.Random(seed), 60)
    judge = Judge(scene)
    judge.take(scene.play(seed))
    assert judge.used > 300
    assert judge.interrupts > 20
    assert judge.silent > 20


def test_the_used_index_wraps() -> None:
    """Events on both sides of 65,536 (SPLIT-UNS-D05)."""
    scene = Scene(packed=False, event_idx=True, in_order=False, sizes=[8, 8, 8, 8])
    events = {200: 205, 60_000: 65_530, 65_531: 65_535, 65_536: 0, 65_541: 10}
    scene.wish(0, 5)
    for count in range(65_560):
        if count in events:
            scene.lines.append("settle")
            scene.wish(0, events[count])
        entry = Entry(0, count % 4, count & 0xFFFF, 1, 0)
        scene.start(entry)
        scene.use(entry)
    judge = Judge(scene)
    judge.take(scene.play(3))
    assert judge.interrupts == 1 + len(events)


def test_a_chain_that_ends_where_the_ring_ends() -> None:
    """The next one is in slot 0, with the other wrap counter (PACK-WRAP-DI1, PACK-NEXT-DI1)."""
    scene = Scene(packed=True, event_idx=True, in_order=False, sizes=[6, 6, 6, 6])
    scene.wish(2, 5 | 1 << 15 | DESC << 16)
    for ctx, slots in ((12, 2), (13, 1), (14, 3), (15, 6), (16, 1)):
        entry = Entry(2, ctx, 100 + ctx, slots, 16)
        scene.start(entry)
        scene.use(entry)
        scene.lines.append("settle")
    judge = Judge(scene)
    lines = scene.play(5)
    judge.take(lines)
    slots = [(int(line.split()[2]) - scene.rings[2].desc) // 16 for line in lines if line.startswith("write")]
    assert [slot for slot in slots if 0 <= slot < 6] == [0, 2, 3, 0, 0]
    assert judge.interrupts == 1


def test_the_order_is_that_of_the_ring_only_where_it_was_negotiated() -> None:
    """An entry that comes early waits for those before it, and holds up no other queue."""
    for in_order in (False, True):
        scene = Scene(packed=False, event_idx=False, in_order=in_order, sizes=[8, 8, 8, 8])
        entries = [Entry(2, 12 + number, number, 1, 4) for number in range(4)]
        other = Entry(3, 22, 77, 1, 0)
        for entry in (*entries, other):
            scene.start(entry)
        for entry in (entries[2], entries[1], other, entries[3]):
            scene.use(entry)
        scene.lines += ["pause 300", "event 3 1", "pause 50"]  # tells that all of this is over
        scene.use(entries[0])
        lines = scene.play(7)
        Judge(scene).take(lines)
        before = lines[: next(place for place, line in enumerate(lines) if line.startswith("event"))]
        done = [line.split()[3] for line in before if line.startswith("done")]
        assert done == (["22"] if in_order else ["14", "13", "22", "15"])


def test_avail_event() -> None:
    """16 bits behind the used ring, told when they are out."""
    scene = Scene(packed=False, event_idx=True, in_order=False, sizes=[4, 8, 16, 1024])
    for queue in range(QUEUES):
        scene.lines += [f"event {queue} {(65_533 + queue) % 2**16}", "settle"]
    judge = Judge(scene)
    lines = scene.play(9)
    judge.take(lines)
    assert judge.events == [(queue, (65_533 + queue) % 2**16) for queue in range(QUEUES)]
    kinds = [line.split()[:2] for line in lines if line.startswith(("write", "event"))]
    assert kinds == [[verb, cycle] for _, cycle in kinds[::2] for verb in ("write", "event")]


@pytest.mark.parametrize("packed", (False, True))
def test_a_queue_that_is_stopped(packed: bool) -> None:
    """No interrupt and no entry out of its turn any more; then its ring begins anew (VQRST-D02, D03)."""
    scene = Scene(packed=packed, event_idx=False, in_order=True, sizes=[4, 4, 4, 4])
    entries = [Entry(2, 12 + number, number, 1, 0) for number in range(3)]
    for entry in entries:
        scene.start(entry)
    scene.use(entries[0])
    scene.lines.append("settle")
    scene.use(entries[2])
    scene.lines += ["pause 100", f"stop {1 << 2}"]
    scene.use(entries[1])
    scene.lines += ["pause 100", *(f"drop {entry.ctx}" for entry in entries[1:]), "clear 2", "stop 0"]
    scene.expected[2].remove(entries[1])
    scene.expected[2].remove(entries[2])
    judge = Judge(scene)
    script, scene.lines = scene.lines, []
    again = [Entry(2, 13 + number, 50 + number, 1, 8) for number in range(2)]
    for entry in again:
        scene.start(entry)
    for entry in reversed(again):
        scene.use(entry)
    scene.lines = script + scene.lines
    lines = scene.play(11)
    # The judge hears of the new beginning where the old one ended.
    first = next(place for place, line in enumerate(lines) if line.startswith("held")) + 1
    scene.expected[2], later = deque([entries[0]]), scene.expected[2]
    later.popleft()
    judge.take(lines[:first])
    scene.expected[2] = later
    scene.rings[2].place = 0
    judge.take(lines[first:])
    assert judge.used == 3
    assert judge.interrupts in (2, 3)  # the last two may share one


@pytest.mark.parametrize("clock", range(2, 60, 3))
def test_no_interrupt_once_a_queue_is_stopped(clock: int) -> None:
    """Whatever moment of the read it is stopped in (VQRST-D02); its read comes back before it is quiet."""
    scene = Scene(packed=False, event_idx=False, in_order=False, sizes=[4, 4, 4, 4])
    entry = Entry(3, 22, 5, 1, 0)
    scene.start(entry)
    scene.use(entry)
    scene.lines += [f"pause {clock}", f"stop {1 << 3}"]
    lines = scene.play(clock)
    cycles = {line.split()[0]: int(line.split()[1]) for line in lines}
    assert "done" in cycles
    assert ("answer" in cycles) == ("read" in cycles)
    # The script begins behind four cycles of reset and one for each queue and chain.
    if "irq" in cycles:
        assert cycles["irq"] <= 4 + QUEUES + 1 + clock + 1
    assert lines[-1].split()[2] == str(2**10 - 1)


def _without(lines: list[str], verb: str) -> list[str]:
    """The trace without its last line of this kind."""
    place = max(place for place, line in enumerate(lines) if line.startswith(verb))
    return lines[:place] + lines[place + 1 :]


def _without_data(lines: list[str]) -> list[str]:
    """The trace in which the last 4 bytes of payload are not written."""
    place = max(place for place, line in enumerate(lines) if line.startswith("write") and line.split()[3] == "4")
    return lines[:place] + lines[place + 1 :]


def _other_wish(lines: list[str]) -> list[str]:
    """The trace in which the driver wished the opposite: mode 0 or 1, or flags 0 or 1."""
    place = max(place for place, line in enumerate(lines) if line.startswith("answer"))
    verb, cycle, _ = lines[place].split()
    quiet = any(line.startswith(f"irq {int(cycle) + 1} ") for line in lines)
    return [*lines[:place], f"{verb} {cycle} {0x10001 if quiet else 0}", *lines[place + 1 :]]


@pytest.mark.parametrize("packed", (False, True))
def test_the_judge_sees_what_is_wrong(packed: bool) -> None:
    """Each kind of mistake, made in a trace that is right."""
    scene = Scene(packed, event_idx=False, in_order=False, sizes=SIZES[packed][0])
    traffic(scene, random.Random(21), 4)
    lines = scene.play(21)
    expected = {queue: list(entries) for queue, entries in scene.expected.items()}

    def judge(trace: list[str]) -> None:
        scene.expected = defaultdict(deque, {queue: deque(entries) for queue, entries in expected.items()})
        for ring in scene.rings:
            ring.place = 0
        Judge(scene).take(trace)

    judge(lines)
    wrong = [_without(lines, verb) for verb in ("write", "done", "irq", "read", "answer")]
    for trace in (*wrong, _without_data(lines), _other_wish(lines)):
        with pytest.raises((AssertionError, pytest.fail.Exception, IndexError, KeyError)):
            judge(trace)
