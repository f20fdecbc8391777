"""The ramfs engine in its harness (engine_bench.cpp), as a process that takes requests and gives replies."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from virtiofs_model.engine import ReplyKind
from virtiofs_model.layouts.dpu import REQUEST_BYTES_MAX, NotifyFlag
from virtiofs_model.registers import NotifyPolicy

CONTEXTS = 32
QUIET_CYCLES = 3000
DPU_LANE, DPU_CONTEXT = 3, 63
"""Of requests of the DPU (endpoint_pkg)."""


@dataclass(frozen=True)
class Reply:
    """data: None where the request ended with used length 0. latency: cycles from the request's last beat."""

    data: bytes | None
    latency: int


@dataclass(frozen=True)
class Sent:
    """A request: `unreadable` as the harness has it (0: all of the message can be read)."""

    message: bytes
    writable: int
    lane: int = 2
    unreadable: int = 0


@dataclass(frozen=True)
class Notice:
    """A message that left the store. ticket: replies given before it was stored. outdated: its session is over."""

    data: bytes
    ticket: int
    outdated: bool


@dataclass(frozen=True)
class Flags:
    """overflow: of NOTIFY_FLAGS. dropped, coalesced: the counters."""

    overflow: bool
    dropped: int
    coalesced: int


@dataclass(frozen=True)
class Room:
    """words: free ones of the store. places: that are kept in it for LOCK and POLL."""

    words: int
    places: int


@dataclass(frozen=True)
class Retrieved:
    """flags: NOTIFY_FLAGS without what the message store says. length: 0 where nothing is kept."""

    flags: NotifyFlag
    length: int
    data: bytes


class EngineError(Exception):
    """The engine broke a rule of its streams, or never answered."""


class Engine:
    """Requests are sent in the order in which they were given; `run` waits for all replies."""

    def __init__(self, executable: Path, seed: int) -> None:
        command = [str(executable), str(seed), f"+verilator+seed+{seed}", "+verilator+rand+reset+2"]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="ascii"
        )
        self.epoch = 0
        self.cycles = 0  # that `run` took, in all
        self._free = list(range(CONTEXTS))
        self._replies: dict[int, Reply] = {}
        self.acknowledged: list[int] = []
        self.replies = 0  # in all
        self.notices: list[Notice] = []
        self.drained: list[Notice] = []  # by the last drain
        self.mailed: list[int] = []
        self._noticed = 0

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.kill()
        self._process.communicate()

    def clock(self, seconds: int, nanoseconds: int) -> None:
        """Set the DPU's clock."""
        self._tell(f"clock {seconds} {nanoseconds}")

    def options(self, valid_seconds: int, cache_options: int) -> None:
        """Set the straps of what a client may cache."""
        self._tell(f"options {valid_seconds} {cache_options}")

    def notify(self, listens: bool, policy: NotifyPolicy) -> None:
        """Whether the driver takes messages (feature, DRIVER_OK), and the strap NOTIFY_POLICY."""
        self._tell(f"notify {int(listens)} {policy.value}")

    def mail(self, message: bytes) -> int:
        """A message of the DPU's own for the store; returns the mailbox's answer."""
        self._tell(f"mail {message.hex()}")
        self._tell("step 200")
        self._until("stepped")  # replies are for the next run
        return self.mailed.pop()

    def firmware(self, on: bool) -> None:
        """Whether the messages of `notice` go to the store, or those of the engine."""
        self._tell(f"firmware {int(on)}")

    def notice(self, message_class: int, message: bytes) -> bool:
        """A message of firmware; whether the store took it, or dropped it, and does not let it wait."""
        self._tell(f"notice {int(message_class)} {message.hex()}")
        return self.noticed()

    def noticed(self) -> bool:
        """Whether it took one since the last answer."""
        self._noticed = 0
        self.step(200)
        return self._noticed > 0

    def init(self) -> None:
        """A FUSE_INIT has begun a session of the firmware."""
        self._tell("init")
        self.step(1)

    def drain(self, count: int = 1 << 20, cycles: int = 2000) -> list[bytes]:
        """Let so many messages leave the store, within so many cycles; those that came."""
        self._tell(f"drain {count}")
        self._tell(f"step {cycles}")
        self._until("stepped")
        self._tell("drain 0")
        self.drained, self.notices = self.notices, []
        return [notice.data for notice in self.drained]

    def flags(self) -> Flags:
        """Overflow flag and counters of the message store."""
        self._tell("flags")
        overflow, dropped, coalesced = (int(word) for word in self._until("flags"))
        return Flags(bool(overflow), dropped, coalesced)

    def room(self) -> Room:
        """Of the message store."""
        self._tell("room")
        words, places = (int(word) for word in self._until("room"))
        return Room(words, places)

    def retrieved(self, take: bool = True) -> Retrieved:
        """What is kept of a NOTIFY_REPLY."""
        self._tell(f"retrieved {int(take)}")
        flags, length, *data = self._until("retrieved")
        return Retrieved(NotifyFlag(int(flags)), int(length), bytes.fromhex("".join(data)))

    def stall(self, request: int, reply: int, mover: int) -> None:
        """Percent of the cycles in which streams and storage stand still."""
        self._tell(f"stall {request} {reply} {mover}")

    def send(self, request: Sent) -> int:
        """Put a request into the line; returns its context. IndexError where all are taken."""
        ctx = DPU_CONTEXT if request.lane == DPU_LANE else self._free.pop(0)
        self._tell(
            f"request {ctx} {request.lane} {self.epoch} {request.writable} {request.unreadable} {request.message.hex()}"
        )
        return ctx

    def run(self) -> dict[int, Reply]:
        """The replies by context, those of earlier steps among them. EngineError."""
        self._tell("run")
        self.cycles += int(self._until("idle")[0])
        return self._take()

    def settle(self) -> dict[int, Reply]:
        """The same where requests may wait for others: until nothing comes any more."""
        self._tell(f"settle {QUIET_CYCLES}")
        self.cycles += int(self._until("idle")[0])
        return self._take()

    def step(self, cycles: int) -> dict[int, Reply]:
        """Only some cycles, and what came until then."""
        self._tell(f"step {cycles}")
        self._until("stepped")
        return self._take()

    def reset(self) -> None:
        """A device reset: nothing that is under way is answered."""
        self.epoch = (self.epoch + 1) % 16
        self._free = list(range(CONTEXTS))
        self._tell(f"reset {self.epoch}")

    def dpu(self, message: bytes) -> Reply:
        """A request of the DPU by itself."""
        return self.one(message, REQUEST_BYTES_MAX, DPU_LANE)

    def one(self, message: bytes, writable: int = 1 << 21, lane: int = 2, unreadable: int = 0) -> Reply:
        """A request by itself."""
        ctx = self.send(Sent(message, writable, lane, unreadable))
        return self.run()[ctx]

    def settle_one(self, message: bytes, writable: int) -> Reply:
        """A request by itself while others wait; KeyError where it waits too."""
        ctx = self.send(Sent(message, writable))
        return self.settle()[ctx]

    def _take(self) -> dict[int, Reply]:
        replies, self._replies = self._replies, {}
        self._free += [ctx for ctx in replies if ctx != DPU_CONTEXT]
        return replies

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def _until(self, word: str) -> list[str]:
        errors: list[str] = []
        for line in self._lines():
            verb, *words = line.split()
            if verb == "error":
                errors.append(line)
            elif verb == "reply":
                data = bytes.fromhex(words[3]) if len(words) > 3 else b""
                silent = int(words[1]) != ReplyKind.REPLY
                self.replies += 1
                self._replies[int(words[0])] = Reply(None if silent else data, int(words[2]))
            elif verb == "message":
                self.notices.append(Notice(bytes.fromhex(words[2]), int(words[0]), bool(int(words[1]))))
            elif verb == "noticed":
                self._noticed += 1
            elif verb == "mail":
                self.mailed.append(int(words[0]))
            elif verb == "ack":
                self.acknowledged.append(int(words[0]))
            elif verb == word:
                if errors:
                    raise EngineError("; ".join(errors[:5]))
                return words
        raise EngineError(f"the simulation ended with status {self._process.wait()}")

    def _lines(self) -> Iterator[str]:
        assert self._process.stdout is not None
        while line := self._process.stdout.readline():
            yield line
