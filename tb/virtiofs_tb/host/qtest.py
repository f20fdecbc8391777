"""Client of QEMU's qtest protocol (docs/devel/qtest.rst of QEMU): loads and stores of the machine, a command a line.

Replies are awaited where the command is sent: QEMU carries a command out at once, and nothing else can happen in the
machine's memory meanwhile but what devices do.
"""

from __future__ import annotations

import select
import socket

ANSWER_S = 30.0  # a command takes 0.1 ms, but for others the processor may be wanted, too
_SUFFIX = {1: "b", 2: "w", 4: "l", 8: "q"}


class QtestError(Exception):
    """The peer closed the socket, did not answer in time, or refused a command."""


class QtestClient:
    """Speaks to a QEMU over a connected socket, which it owns."""

    def __init__(self, connection: socket.socket, answer_s: float = ANSWER_S) -> None:
        self._socket = connection
        self._socket.settimeout(answer_s)
        self._received = b""
        self.commands = 0

    def close(self) -> None:
        """The socket is closed; QEMU goes on."""
        self._socket.close()

    def read(self, address: int, size: int) -> int:
        """Load 1, 2, 4 or 8 bytes of the machine's memory space."""
        return int(self._command(f"read{_SUFFIX[size]} 0x{address:x}"), 16)

    def write(self, address: int, size: int, value: int) -> None:
        """Store 1, 2, 4 or 8 bytes."""
        self._command(f"write{_SUFFIX[size]} 0x{address:x} 0x{value:x}")

    def port_read(self, port: int, size: int) -> int:
        """Read an I/O port of 1, 2 or 4 bytes."""
        return int(self._command(f"in{_SUFFIX[size]} 0x{port:x}"), 16)

    def port_write(self, port: int, size: int, value: int) -> None:
        """Write an I/O port of 1, 2 or 4 bytes."""
        self._command(f"out{_SUFFIX[size]} 0x{port:x} 0x{value:x}")

    def closed_within(self, seconds: float) -> bool:
        """Rest for the time, or until the peer has closed its end; whether it has."""
        readable, _, _ = select.select([self._socket], [], [], seconds)
        try:
            return bool(readable) and not self._socket.recv(1, socket.MSG_PEEK)
        except OSError:  # it went away with something of ours unread
            return True

    def _command(self, text: str) -> str:
        """The words after OK. Lines that begin with IRQ are events, and no answers."""
        self.commands += 1
        try:
            self._socket.sendall(text.encode() + b"\n")
            while True:
                line = self._line()
                if not line.startswith("IRQ "):
                    break
        except TimeoutError:
            raise QtestError(f"no answer to '{text}' within {self._socket.gettimeout()} s") from None
        except OSError as error:
            raise QtestError(f"'{text}': {error.strerror or error}") from error
        status, _, rest = line.partition(" ")
        if status != "OK":
            raise QtestError(f"'{text}' is answered '{line}', expected OK")
        return rest

    def _line(self) -> str:
        while b"\n" not in self._received:
            data = self._socket.recv(4096)
            if not data:
                raise OSError("the socket was closed at the other end")
            self._received += data
        line, _, self._received = self._received.partition(b"\n")
        return line.decode(errors="replace").strip()
