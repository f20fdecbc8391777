"""A host for the bench of the registers: packets as PCI Express has them (sections 2.2.7 to 2.2.9), in and out."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.sim.units.unit_build import build_unit, play

BAR = 0x1_2340_0000
HOST, FUNCTION = 0x0008, 0x0100
"""Requester and completer: the root port, and bus 1 device 0 function 0."""

COMMAND, INTERRUPT = 0x04, 0x3C
MEMORY, MASTER, INTX_DISABLE = 1 << 1, 1 << 2, 1 << 10
PCIE, MSIX, WINDOW = 0x40, 0x88, 0xD8
ISR, COMMON, DOORBELLS, TABLE = 0x1000, 0x0000, 0x3000, 0x4000

ASSERT, DEASSERT = "assert", "deassert"
SUCCESS, UNSUPPORTED, RETRY = 0, 1, 2


@dataclass(frozen=True)
class Completion:
    """What came back for the request with `tag`. value: the first dword of its data (None: it had none)."""

    tag: int
    status: int
    value: int | None


@dataclass
class FrontHost:
    """Collects a script; `run` plays it and says what was seen, in order: a Completion, the name of an INTx message,
    ("msix", address, data), ("doorbell", mask) or a mark's text.
    """

    script: list[str] = field(default_factory=list)
    _tag: int = 0

    def _packet(self, words: tuple[int, int, int, int], data: int = 0) -> None:
        self.script.append(f"tlp {''.join(f'{word:08x}' for word in words)} {data:032x}")

    def _request(self, kind: int, dwords: int, tag: int, enables: int) -> tuple[int, int]:
        return kind << 24 | dwords, HOST << 16 | tag << 8 | enables

    def _next(self) -> int:
        self._tag = (self._tag + 1) % 256
        return self._tag

    def config_read(self, offset: int, function: int = FUNCTION) -> int:
        """Returns the tag."""
        tag = self._next()
        self._packet((*self._request(0x04, 1, tag, 0xF), function << 16 | offset, 0))
        return tag

    def config_write(self, offset: int, value: int, enables: int = 0xF) -> int:
        """Returns the tag. value: the dword, in place."""
        tag = self._next()
        self._packet((*self._request(0x44, 1, tag, enables), FUNCTION << 16 | offset, 0), value)
        return tag

    def read(self, offset: int, enables: int = 0xF, dwords: int = 1) -> int:
        """A memory read in BAR 0; returns the tag. enables: First BE, Last BE is full."""
        tag, address = self._next(), BAR + offset
        last = 0xF0 if dwords > 1 else 0
        self._packet((*self._request(0x20, dwords, tag, enables | last), address >> 32, address & 0xFFFFFFFC))
        return tag

    def write(self, offset: int, value: int, enables: int = 0xF, poisoned: bool = False) -> None:
        """A memory write of one dword in BAR 0. value: in place."""
        address = BAR + offset
        first, second = self._request(0x60, 1, 0, enables)
        self._packet((first | poisoned << 14, second, address >> 32, address & 0xFFFFFFFC), value)

    def command(self, *verbs: str) -> None:
        """Commands of the bench itself."""
        self.script.extend(verbs)

    def bring_up(self, command: int = MEMORY | MASTER) -> None:
        """BAR and Command; then the status bits of a driver that is ready, with default features."""
        self.config_write(0x10, BAR & 0xFFFFFFFF)
        self.config_write(0x14, BAR >> 32)
        self.config_write(COMMAND, command)
        self.command("wait 30")
        self.write(COMMON + 0x14, 0x03, 0x1)
        self.write(COMMON + 0x08, 1)
        self.write(COMMON + 0x0C, 1)
        self.write(COMMON + 0x14, 0x0B, 0x1)
        self.write(COMMON + 0x14, 0x0F, 0x1)
        self.command("wait 30", "mark up")

    def run(self, seed: int = 1) -> list[object]:
        """What was seen behind "up" (or all)."""
        lines = play(build_unit("front_bench", {"DATA_W": 128}), [*self.script, "wait 200"], seed)
        seen = [_understand(line) for line in lines]
        return seen[seen.index("up") + 1 :] if "up" in seen else seen


def _understand(line: str) -> object:
    verb, _, rest = line.partition(" ")
    if verb == "mark":
        return rest
    if verb == "doorbell":
        return (verb, int(rest, 16))
    header, data = rest.split()
    words = [int(header[at : at + 8], 16) for at in range(0, 32, 8)]
    low = int(data[-8:], 16)
    kind = words[0] >> 24
    if verb == "cc":
        assert words[2] >> 16 == HOST and words[1] >> 16 == FUNCTION, header
        return Completion(words[2] >> 8 & 0xFF, words[1] >> 13 & 7, low if kind & 0x40 else None)
    if kind == 0x34:
        assert words == [0x3400_0000, FUNCTION << 16 | words[1] & 0xFF, 0, 0], header
        return {0x20: ASSERT, 0x24: DEASSERT}[words[1] & 0xFF]
    assert kind in (0x40, 0x60), header
    return ("msix", words[2] if kind == 0x40 else words[2] << 32 | words[3], low)
