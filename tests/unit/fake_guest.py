"""A guest of a few lines: speaks vhost-user like User Mode Linux, and does whatever a test wants it to do wrong."""

from __future__ import annotations

import mmap
import os
import socket
import struct
import threading
from collections.abc import Callable
from pathlib import Path

from virtiofs_tb.guest.server import Op
from virtiofs_tb.guest.session import GuestSession, Limits
from virtiofs_tb.guest.vhost_user import Request
from virtiofs_tb.host.model_host import ModelHost

BASE, SIZE = 0x10_0000, 0x8000  # of the memory; descriptors, available and used ring of each transport ring lie in it
RINGS = {0: (BASE, BASE + 0x1000, BASE + 0x2000), 1: (BASE + 0x3000, BASE + 0x4000, BASE + 0x5000)}
OUT, IN, MSI_BUFFER = BASE + 0x6000, BASE + 0x6800, BASE + 0x7000
ENTRIES = 16
QUICK = Limits(connect=5.0, silence=0.4, total=20.0, end=1.0)


class FakeGuest(threading.Thread):
    """Connects to `path` and runs `script` in a thread of its own; `error` is what went wrong there."""

    def __init__(self, path: Path, script: Callable[[FakeGuest], None]) -> None:
        super().__init__(daemon=True)
        self._path = path
        self._script = script
        self.error: BaseException | None = None
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.fd = os.memfd_create("fake-guest")
        os.ftruncate(self.fd, SIZE)
        self.map = mmap.mmap(self.fd, SIZE)
        self.calls, self._calls = socket.socketpair()
        self._published = dict.fromkeys(RINGS, 0)

    def run(self) -> None:
        try:
            self.socket.settimeout(20)
            self.socket.connect(str(self._path))
            self._script(self)
        except BaseException as error:  # the test's thread looks at it
            self.error = error
        finally:
            self.close()

    def close(self) -> None:
        self.socket.close()
        self.calls.close()
        self._calls.close()
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    # ---- messages ----

    def send(self, request: int, payload: bytes = b"", fds: tuple[int, ...] = (), flags: int = 9) -> None:
        socket.send_fds(self.socket, [struct.pack("<III", request, flags, len(payload)) + payload], fds)

    def answer(self) -> int:
        data = self.socket.recv(20, socket.MSG_WAITALL)
        if len(data) < 20:
            raise ConnectionResetError("the testbench hung up")
        return int(struct.unpack_from("<Q", data, 12)[0])

    def ask(self, request: int, payload: bytes = b"", fds: tuple[int, ...] = ()) -> None:
        """With an acknowledgement."""
        self.send(request, payload, fds)
        assert self.answer() == 0

    def share_memory(self, regions: int = 1, protocol: int = 0x4028) -> None:
        self.ask(Request.SET_OWNER)
        self.send(Request.GET_FEATURES, flags=1)
        assert self.answer() == 1 << 32 | 1 << 30
        self.send(Request.GET_PROTOCOL_FEATURES, flags=1)
        assert self.answer() == 0x4028
        self.ask(Request.SET_PROTOCOL_FEATURES, struct.pack("<Q", protocol))
        self.ask(Request.SET_BACKEND_REQ_FD, fds=(self._calls.fileno(),))
        table = struct.pack("<II", regions, 0) + struct.pack("<QQQQ", BASE, SIZE, BASE, 0) * regions
        self.ask(Request.SET_MEM_TABLE, table, (self.fd,) * regions)

    def connect_rings(self, size: int = ENTRIES) -> None:
        self.share_memory()
        for index, (desc, avail, used) in RINGS.items():
            self.ask(Request.SET_VRING_NUM, struct.pack("<II", index, size))
            self.ask(Request.SET_VRING_BASE, struct.pack("<II", index, 0))
            self.ask(Request.SET_VRING_ADDR, struct.pack("<IIQQQQ", index, 0, desc, used, avail, 0))

    # ---- rings ----

    def put(self, address: int, data: bytes) -> None:
        self.map[address - BASE : address - BASE + len(data)] = data

    def get(self, address: int, size: int) -> bytes:
        return self.map[address - BASE : address - BASE + size]

    def publish(self, index: int, descriptors: list[tuple[int, int, int, int]], head: int = 0) -> None:
        """Make a chain available; descriptors: address, length, flags, next."""
        desc, avail, _ = RINGS[index]
        for at, descriptor in enumerate(descriptors, head):
            self.put(desc + 16 * at, struct.pack("<QIHH", *descriptor))
        position = self._published[index]
        self.put(avail + 4 + 2 * (position % ENTRIES), struct.pack("<H", head))
        self._published[index] = position + 1
        self.put(avail + 2, struct.pack("<H", position + 1))

    def used(self, index: int) -> int:
        return int(struct.unpack("<H", self.get(RINGS[index][2] + 2, 2))[0])

    def command(self, op: int, address: int, size: int, data: bytes = b"", bar: int = 0) -> bytes:
        """One access, as um_pci_send_cmd makes it."""
        command = struct.pack("<BBHIQ", op, bar, 0, size, address) + data
        self.put(OUT, command)
        chain = [(OUT, len(command), 0, 0)]
        if op in (Op.CFG_READ, Op.MMIO_READ):
            chain = [(OUT, len(command), 1, 1), (IN, size, 2, 0)]
        self.publish(0, chain)
        self.ask(Request.VRING_KICK, struct.pack("<II", 0, 0))
        return self.get(IN, size)

    def config_read(self, offset: int, size: int) -> int:
        return int.from_bytes(self.command(Op.CFG_READ, offset, size), "little")

    def config_write(self, offset: int, value: int, size: int) -> None:
        self.command(Op.CFG_WRITE, offset, size, value.to_bytes(8, "little"))


def serve(script: Callable[[FakeGuest], None], limits: Limits = QUICK) -> GuestSession:
    """Run a fake guest on the golden device to its end; raises what the session raises. Returns the closed session."""
    host = ModelHost(1)
    session = GuestSession(None, limits=limits)
    guest = FakeGuest(session.socket, script)
    guest.start()
    try:
        host.run(session.run(host))
    finally:
        session.close()
        guest.join(5)
        host.memory.close()
    if guest.error is not None:
        raise guest.error
    return session
