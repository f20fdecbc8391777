"""PCI accesses of a guest over its socket, and what becomes of guests that break the protocol, hang up or hang."""

from __future__ import annotations

import gc
import os
import struct
import time
from collections.abc import Callable

import pytest

from tests.unit.fake_guest import BASE, IN, MSI_BUFFER, OUT, QUICK, RINGS, FakeGuest, serve
from virtiofs_tb.guest.errors import GuestFailure, GuestTimeout
from virtiofs_tb.guest.server import MSI_ADDRESS, Op
from virtiofs_tb.guest.session import GuestSession, Limits
from virtiofs_tb.guest.vhost_user import Request
from virtiofs_tb.host.model_host import STEP_PS, ModelHost

BAR = 0xF000_0000
KICK = struct.pack("<II", 0, 0)


def place_bar(guest: FakeGuest) -> None:
    guest.config_write(0x10, BAR, 4)
    guest.config_write(0x14, 0, 4)
    guest.config_write(0x04, 6, 2)


def test_accesses_of_all_sizes() -> None:
    seen: list[int] = []

    def script(guest: FakeGuest) -> None:
        guest.connect_rings()
        seen.extend([guest.config_read(0, 2), guest.config_read(2, 2), guest.config_read(0, 4)])
        seen.append(guest.config_read(0, 8) & 0xFFFF_FFFF)
        place_bar(guest)
        guest.command(Op.MMIO_WRITE, 0, 4, (1).to_bytes(4, "little"))
        seen.append(int.from_bytes(guest.command(Op.MMIO_READ, 4, 4), "little"))
        seen.append(int.from_bytes(guest.command(Op.MMIO_READ, 0, 8), "little"))

    with pytest.raises(GuestFailure, match="hung up"):
        serve(script)
    ids = 0x105A_1AF4
    assert seen == [0x1AF4, 0x105A, ids, ids, 1, 1 << 32 | 1], "VERSION_1 is bit 0 of the upper half"


def test_a_message_of_the_function_becomes_an_interrupt_of_the_guest() -> None:
    told: list[bytes] = []

    def script(guest: FakeGuest) -> None:
        guest.connect_rings()
        place_bar(guest)
        msix = next(at for at in walk(guest) if guest.config_read(at, 1) == 0x11)
        for at, word in enumerate((MSI_ADDRESS, 0, 0x25, 0)):
            guest.command(Op.MMIO_WRITE, 0x4000 + 4 * at, 4, word.to_bytes(4, "little"))
        guest.config_write(msix + 2, 0x8000, 2)
        for offset, size, value in ((0x14, 1, 1), (0x14, 1, 3), (0x08, 4, 1), (0x0C, 4, 1), (0x14, 1, 0xB)):
            guest.command(Op.MMIO_WRITE, offset, size, value.to_bytes(size, "little"))
        guest.command(Op.MMIO_WRITE, 0x10, 2, (0).to_bytes(2, "little"))
        # A queue whose rings are nowhere makes the function ask for a reset, with a configuration interrupt.
        guest.command(Op.MMIO_WRITE, 0x16, 2, (1).to_bytes(2, "little"))
        for offset, address in ((0x20, 0xDEAD_0000), (0x28, 0xDEAD_1000), (0x30, 0xDEAD_2000)):
            guest.command(Op.MMIO_WRITE, offset, 4, address.to_bytes(4, "little"))
        guest.command(Op.MMIO_WRITE, 0x1C, 2, (1).to_bytes(2, "little"))
        guest.command(Op.MMIO_WRITE, 0x14, 1, (0xF).to_bytes(1, "little"))
        guest.publish(1, [(MSI_BUFFER, 20, 2, 0)])
        guest.ask(Request.VRING_KICK, struct.pack("<II", 1, 0))
        notify = next(at for at in walk(guest) if guest.config_read(at, 1) == 9 and guest.config_read(at + 3, 1) == 2)
        offset = guest.config_read(notify + 8, 4) + 1 * guest.config_read(notify + 16, 4)
        guest.command(Op.MMIO_WRITE, offset, 2, (1).to_bytes(2, "little"))
        guest.calls.settimeout(5)
        while not guest.used(1):
            guest.calls.recv(20)
        told.append(guest.get(MSI_BUFFER, 20))

    with pytest.raises(GuestFailure, match="hung up"):
        serve(script, Limits(connect=5, silence=5, total=20))
    assert told == [struct.pack("<BBHIQI", Op.MSI, 0, 0, 4, 0, 0x25)]


def walk(guest: FakeGuest) -> list[int]:
    found = []
    at = guest.config_read(0x34, 1)
    while at:
        found.append(at)
        at = guest.config_read(at + 1, 1)
    return found


# ---- guests that do it wrong ----


def raw(data: bytes) -> Callable[[FakeGuest], None]:
    return lambda guest: (guest.socket.sendall(data), guest.socket.recv(1))[0]


def too_many_regions(guest: FakeGuest) -> None:
    guest.share_memory(regions=2)


def no_inband_notifications(guest: FakeGuest) -> None:
    guest.share_memory(protocol=0x28)


def strange_message(guest: FakeGuest) -> None:
    guest.ask(99)


def short_message(guest: FakeGuest) -> None:
    guest.ask(Request.SET_VRING_NUM, b"\0")


def third_ring(guest: FakeGuest) -> None:
    guest.ask(Request.SET_VRING_NUM, struct.pack("<II", 2, 16))


def odd_ring(guest: FakeGuest) -> None:
    guest.connect_rings(size=5)


def kick_without_ring(guest: FakeGuest) -> None:
    guest.share_memory()
    guest.ask(Request.VRING_KICK, KICK)


def chain_without_end(guest: FakeGuest) -> None:
    guest.connect_rings()
    guest.publish(0, [(OUT, 16, 1, 0)])
    guest.ask(Request.VRING_KICK, KICK)


def chain_elsewhere(guest: FakeGuest) -> None:
    guest.connect_rings()
    guest.publish(0, [(BASE - 0x1000, 16, 0, 0)])
    guest.ask(Request.VRING_KICK, KICK)


def index_that_ran_ahead(guest: FakeGuest) -> None:
    guest.connect_rings()
    guest.put(RINGS[0][1] + 2, struct.pack("<H", 1000))
    guest.ask(Request.VRING_KICK, KICK)


def strange_operation(guest: FakeGuest) -> None:
    guest.connect_rings()
    guest.command(Op.MMIO_MEMSET, 0, 4, b"\0")


def outside_of_configuration_space(guest: FakeGuest) -> None:
    guest.connect_rings()
    guest.config_read(4094, 4)


def write_without_data(guest: FakeGuest) -> None:
    guest.connect_rings()
    guest.command(Op.MMIO_WRITE, 0, 4)


def read_without_room(guest: FakeGuest) -> None:
    guest.connect_rings()
    guest.put(OUT, struct.pack("<BBHIQ", Op.CFG_READ, 0, 0, 4, 0))
    guest.publish(0, [(OUT, 16, 1, 1), (IN, 2, 2, 0)])
    guest.ask(Request.VRING_KICK, KICK)


def no_bar(guest: FakeGuest) -> None:
    guest.connect_rings()
    guest.command(Op.MMIO_READ, 0, 4)


@pytest.mark.parametrize(
    ("script", "text"),
    [
        (raw(b"GET / HTTP/1.1\r\n\r\n"), "this is no vhost-user"),
        (raw(struct.pack("<III", 1, 1, 1 << 20)), "size 1048576"),
        (too_many_regions, "2 regions"),
        (no_inband_notifications, "INBAND_NOTIFICATIONS"),
        (strange_message, "message 99"),
        (short_message, "SET_VRING_NUM has 1 bytes"),
        (third_ring, "ring 2"),
        (odd_ring, "no power of 2"),
        (kick_without_ring, "before SET_VRING_ADDR"),
        (chain_without_end, "CHAIN_LENGTH"),
        (chain_elsewhere, "not in host memory"),
        (index_that_ran_ahead, "AVAIL_INDEX"),
        (strange_operation, "operation 5"),
        (outside_of_configuration_space, "out of range"),
        (write_without_data, "comes with 0"),
        (read_without_room, "for a buffer of 2"),
        (no_bar, "no memory address is assigned"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_guest_that_breaks_the_protocol(script: Callable[[FakeGuest], None], text: str) -> None:
    def tolerant(guest: FakeGuest) -> None:
        try:
            script(guest)
        except (ConnectionError, OSError):
            return  # the testbench hung up, as it should

    with pytest.raises(GuestFailure, match=text):
        serve(tolerant)


# ---- guests that do nothing ----


def test_nobody_connects() -> None:
    host = ModelHost(1)
    began = time.monotonic()
    with GuestSession(None, limits=Limits(connect=0.3, silence=5, total=5)) as session:
        with pytest.raises(GuestTimeout, match=r"not connected within 0\.3 s"):
            host.run(session.run(host))
        assert session.socket.exists()
    assert time.monotonic() - began < 3
    assert not session.folder.exists()


def test_a_guest_falls_silent_and_simulated_time_stands_still() -> None:
    host = ModelHost(1)
    times: list[int] = []

    def script(guest: FakeGuest) -> None:
        guest.connect_rings()
        guest.config_read(0, 4)
        times.append(host.loop.now_ps)
        while guest.socket.recv(1):
            pass

    with GuestSession(None, limits=QUICK) as session:
        guest = FakeGuest(session.socket, script)
        guest.start()
        with pytest.raises(GuestTimeout, match=r"silent for 0\.4 s"):
            host.run(session.run(host))
        guest.join(5)
    assert host.loop.now_ps - times[0] < 10 * STEP_PS, "nothing was simulated while nobody asked for anything"


def test_hanging_up_in_the_middle_of_a_message() -> None:
    def script(guest: FakeGuest) -> None:
        guest.share_memory()
        guest.socket.sendall(struct.pack("<III", Request.VRING_KICK, 9, 8) + b"\0\0")

    with pytest.raises(GuestFailure, match="hung up"):
        serve(script)


def test_no_descriptor_is_left() -> None:
    def script(guest: FakeGuest) -> None:
        guest.connect_rings()
        guest.config_read(0, 4)

    counts = []
    for _ in range(3):
        with pytest.raises(GuestFailure):
            serve(script)
        gc.collect()
        counts.append(len(os.listdir("/proc/self/fd")))
    assert len(set(counts)) == 1
