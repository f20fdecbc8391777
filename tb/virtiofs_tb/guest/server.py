"""The back end of User Mode Linux's "PCI over virtio": accesses of the guest become accesses of the root port.

Ring 0 carries commands (struct virtio_pcidev_msg of include/uapi/linux/virtio_pcidev.h), ring 1 takes interrupts. Each
kick is a message that the guest's processor waits for (INBAND_NOTIFICATIONS): it is acknowledged when its accesses are
done, so that however slow the simulation is, the guest makes one access at a time.
"""

from __future__ import annotations

import os
import struct
from collections import Counter, deque
from collections.abc import Callable
from enum import IntEnum

from virtiofs_tb.guest.ring import TransportRing
from virtiofs_tb.guest.vhost_user import (
    F_PROTOCOL_FEATURES,
    Channel,
    Message,
    ProtocolError,
    ProtocolFeature,
    Request,
    vring_call,
)
from virtiofs_tb.host.base import HostBase
from virtiofs_tb.host.memory import MemoryAccessError
from virtiofs_tb.host.port import Interrupt
from virtiofs_tb.host.requester import HostError

COMMANDS, INTERRUPTS = 0, 1  # the rings
F_VERSION_1 = 1 << 32
FEATURES = F_VERSION_1 | F_PROTOCOL_FEATURES
PROTOCOL = ProtocolFeature.REPLY_ACK | ProtocolFeature.BACKEND_REQ | ProtocolFeature.INBAND_NOTIFICATIONS

MSI_ADDRESS = 0x000A_0000
"""Where User Mode Linux lets MSI-X messages go (um_pci_compose_msi_msg); it has no memory there."""
MSI_WINDOW = range(MSI_ADDRESS, MSI_ADDRESS + 0x1000)

_COMMAND = struct.Struct("<BBHIQ")
_CONFIG_SPACE = 4096


class Op(IntEnum):
    """enum virtio_pcidev_ops."""

    CFG_READ = 1
    CFG_WRITE = 2
    MMIO_READ = 3
    MMIO_WRITE = 4
    MMIO_MEMSET = 5
    INT = 6
    MSI = 7
    PME = 8


class PciServer:
    """Serves one guest on one function.

    busy: a message is being worked on, and the guest waits. accesses: how many of each operation were made.
    on_error: called with what ended the service; nothing is served after that.
    """

    def __init__(self, host: HostBase, channel: Channel, on_error: Callable[[Exception], None]) -> None:
        self._host = host
        self._channel = channel
        self._on_error = on_error
        self._backend: int | None = None  # file descriptor of our own channel to the guest
        self._rings = {index: TransportRing(index, host.memory) for index in (COMMANDS, INTERRUPTS)}
        self._protocol = ProtocolFeature(0)
        self._backlog: deque[Message] = deque()
        self._pending: deque[int] = deque()  # vectors that wait for a buffer
        self._closed = False
        self.busy = False
        self.accesses: Counter[str] = Counter()
        host.root.completer.msi_window = MSI_WINDOW
        host.on_interrupt(self._on_interrupt)

    def receive(self) -> None:
        """Take what the guest has sent. Its work is a task of the host's loop."""
        try:
            self._backlog.extend(self._channel.receive())
        except ProtocolError as error:
            self._on_error(error)
            return
        if self._backlog and not self.busy:
            self.busy = True
            self._host.spawn(self._work())

    def close(self) -> None:
        """The guest gets no answers and no interrupts any more."""
        self._closed = True
        for message in self._backlog:
            message.close_fds()
        self._backlog.clear()
        if self._backend is not None:
            os.close(self._backend)
            self._backend = None

    # ---- messages ----

    async def _work(self) -> None:
        try:
            while self._backlog:
                message = self._backlog.popleft()
                try:
                    await self._handle(message)
                finally:
                    message.close_fds()
        except (ProtocolError, MemoryAccessError, HostError) as error:
            self._on_error(error)
        finally:
            self.busy = False

    async def _handle(self, message: Message) -> None:
        request = message.request
        if request == Request.GET_FEATURES:
            self._channel.reply_u64(message, FEATURES)
            return
        if request == Request.GET_PROTOCOL_FEATURES:
            self._channel.reply_u64(message, PROTOCOL)
            return
        if request == Request.VRING_KICK:
            await self._kick(message.vring_state()[0])
        else:
            self._set(message)
        if message.needs_reply and not self._closed:
            self._channel.reply_u64(message, 0)

    def _set(self, message: Message) -> None:
        """Everything but kicks and questions."""
        request = message.request
        if request == Request.SET_PROTOCOL_FEATURES:
            self._protocol = ProtocolFeature(message.u64() & PROTOCOL)
        elif request == Request.SET_BACKEND_REQ_FD:
            if len(message.fds) != 1:
                raise ProtocolError(f"{message.name} came with {len(message.fds)} file descriptors, expected 1")
            self._backend = message.fds.pop()
            os.set_blocking(self._backend, False)
        elif request == Request.SET_MEM_TABLE:
            self._share(message)
        elif request == Request.SET_VRING_NUM:
            index, size = message.vring_state()
            self._ring(index).size = size
        elif request == Request.SET_VRING_BASE:
            index, position = message.vring_state()
            self._ring(index).begin_at(position)
        elif request == Request.SET_VRING_ADDR:
            index, desc, used, avail = message.vring_addresses()
            self._ring(index).place(desc, avail, used)
        elif request not in (Request.SET_OWNER, Request.SET_FEATURES, Request.SET_VRING_ENABLE):
            raise ProtocolError(f"{message.name}: User Mode Linux of version 6.1 sends no such message")

    def _share(self, message: Message) -> None:
        """The guest's memory becomes the memory that the endpoint reaches."""
        if not self._protocol & ProtocolFeature.INBAND_NOTIFICATIONS:
            raise ProtocolError("the guest does not take INBAND_NOTIFICATIONS, so its accesses would time out")
        regions = message.memory_regions()
        if len(regions) != 1 or regions[0].user != regions[0].guest:
            raise ProtocolError(f"memory in {len(regions)} regions, expected one at its own physical address")
        region = regions[0]
        if region.guest <= MSI_ADDRESS < region.guest + region.size:
            raise ProtocolError(f"the guest has memory at 0x{MSI_ADDRESS:x}, where its MSI-X messages go")
        try:
            self._host.memory.share(region.guest, region.size, region.fd, region.offset)
        except (OSError, ValueError) as error:
            raise ProtocolError(f"the guest's memory cannot be mapped: {error}") from error

    def _ring(self, index: int) -> TransportRing:
        try:
            return self._rings[index]
        except KeyError:
            raise ProtocolError(f"ring {index}: there are 0 (commands) and 1 (interrupts)") from None

    # ---- commands ----

    async def _kick(self, index: int) -> None:
        ring = self._ring(index)
        if index == INTERRUPTS:
            self._deliver()
            return
        tell = False
        while not self._closed and (chain := ring.take()) is not None:
            tell |= ring.give(chain, await self._command(ring.readable(chain)))
        if tell:
            self._call(index)

    async def _command(self, command: bytes) -> bytes:
        """Perform one access; returns what the guest reads."""
        if len(command) < _COMMAND.size:
            raise ProtocolError(f"a command of {len(command)} bytes, expected {_COMMAND.size} or more")
        op, bar, _, size, address = _COMMAND.unpack_from(command)
        data = command[_COMMAND.size :]
        if op not in (Op.CFG_READ, Op.CFG_WRITE, Op.MMIO_READ, Op.MMIO_WRITE):
            raise ProtocolError(f"operation {op} of {size} bytes at 0x{address:x}: no driver of the guest makes it")
        name = Op(op).name
        self.accesses[name] += 1
        if op in (Op.CFG_WRITE, Op.MMIO_WRITE) and len(data) < size:
            raise ProtocolError(f"{name} of {size} bytes comes with {len(data)}")
        if size > _CONFIG_SPACE or (op in (Op.CFG_READ, Op.CFG_WRITE) and address + size > _CONFIG_SPACE):
            raise ProtocolError(f"{name} of {size} bytes at 0x{address:x}: out of range")
        result = b""
        host = self._host
        for at, part in _parts(address, size):
            piece = data[at - address : at - address + part]
            if op == Op.CFG_READ:
                result += (await host.config_read(0, at, part)).to_bytes(part, "little")
            elif op == Op.CFG_WRITE:
                await host.config_write(0, at, part, int.from_bytes(piece, "little"))
            elif op == Op.MMIO_READ:
                result += (await host.bar_read(0, bar, at, part)).to_bytes(part, "little")
            else:
                await host.bar_write(0, bar, at, part, int.from_bytes(piece, "little"))
        return result

    # ---- interrupts ----

    def _on_interrupt(self, interrupt: Interrupt) -> None:
        if interrupt.vector is None or self._closed:
            return  # a message that raises INTx: the scoreboards judge it, 6.1 has no use for it
        self.accesses["MSI"] += 1
        self._pending.append(interrupt.vector)
        self._deliver()

    def _deliver(self) -> None:
        """Hand over the interrupts for which there are buffers."""
        ring = self._rings[INTERRUPTS]
        try:
            tell = False
            while self._pending and (chain := ring.take()) is not None:
                vector = self._pending.popleft()
                tell |= ring.give(chain, _COMMAND.pack(Op.MSI, 0, 0, 4, 0) + struct.pack("<I", vector))
        except (ProtocolError, MemoryAccessError) as error:
            self._on_error(error)
            return
        if tell:
            self._call(INTERRUPTS)

    def _call(self, index: int) -> None:
        """Tell the guest of used buffers. A full pipe means that it has not looked yet, and it looks at all of them."""
        if self._backend is None:
            self._on_error(ProtocolError("the guest expects an interrupt before SET_BACKEND_REQ_FD"))
            return
        try:
            os.write(self._backend, vring_call(index))
        except (BlockingIOError, BrokenPipeError):
            return


def _parts(address: int, size: int) -> list[tuple[int, int]]:
    """[address, address + size) in naturally aligned pieces of 4, 2 and 1 bytes."""
    parts = []
    end = address + size
    while address < end:
        part = next(width for width in (4, 2, 1) if address % width == 0 and address + width <= end)
        parts.append((address, part))
        address += part
    return parts
