"""HostPort: all that a driver may know about its world.

A scenario is written against these protocols and runs against every target that meets its needs: the RTL in a
simulator (RtlHost), the golden device (ModelHost), QEMU (QemuHost). Nothing here imports a simulator.
Times are picoseconds of simulated time.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from enum import IntFlag
from typing import Any, NamedTuple, Protocol, TypeVar

from virtiofs_model.layouts.dpu import NotifyResult as NotifyResult

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True)
class HostCaps:
    """What this target can do; a scenario's `needs` are fields of this class that must be true.

    tlp: packets are visible; time: simulated time is exact; dpu: the DPU's side is reachable; faults: completions
    can be made to fail; dpu_client: the DPU can be a client of the file system; announcer: the endpoint itself tells
    the driver what the DPU changes; locks: the file system grants them, and lets requests wait for them; intx, flr: the
    function has them. packed, event_idx, in_order, ring_reset: these features can be offered; doorbell_data:
    NOTIFICATION_DATA and NOTIF_CONFIG_DATA can; iommu: so can ACCESS_PLATFORM, and the host translates addresses.
    """

    tlp: bool = False
    time: bool = False
    dpu: bool = False
    dpu_client: bool = False
    announcer: bool = False
    locks: bool = False
    faults: bool = False
    intx: bool = False
    flr: bool = False
    packed: bool = False
    event_idx: bool = False
    in_order: bool = False
    ring_reset: bool = False
    doorbell_data: bool = False
    iommu: bool = False


@dataclass(frozen=True)
class Interrupt:
    """An interrupt as the host saw it. vector: MSI-X message data (INTx: None). t_ps: when it arrived. asserted: false
    where INTA goes low: it is a level."""

    t_ps: int
    vector: int | None
    asserted: bool = True


class Store(NamedTuple):
    """One store of the driver to host memory, in program order."""

    address: int
    data: bytes


class Event(Protocol):
    """A level that tasks wait for; setting it wakes all of them."""

    def set(self) -> None: ...
    def clear(self) -> None: ...
    def is_set(self) -> bool: ...
    async def wait(self, timeout_ps: int | None = None) -> bool:
        """True when set, False when `timeout_ps` passed first (None: no limit)."""
        ...


class Task(Protocol[T_co]):
    """A running coroutine. Await `join()` for its result; it raises what the coroutine raised."""

    def done(self) -> bool: ...
    def cancel(self) -> None: ...
    async def join(self) -> T_co: ...


class Access(IntFlag):
    """What a device may do to memory that is mapped for it."""

    READ = 1
    WRITE = 2


class IoSpace(Protocol):
    """I/O virtual addresses of one device: the only ones at which it reaches memory while the map is in force."""

    def map(self, address: int, size: int, access: Access) -> int:
        """Make [address, address + size) of memory reachable; returns its I/O virtual address."""
        ...

    def unmap(self, io_address: int) -> None:
        """Take back what `map` gave. Raises ValueError for any other address."""
        ...

    def revoke(self, io_address: int) -> None:
        """The same, on purpose while the device may still use it: an access is refused, and is no violation."""
        ...


class HostMemory(Protocol):
    """The driver's view of host memory: loads, stores that take effect now, and an allocator."""

    def read(self, address: int, size: int) -> bytes: ...
    def write(self, address: int, data: bytes) -> None: ...
    def allocate(self, size: int, align: int = 16, high: bool = False) -> int:
        """Reserve `size` bytes (above 4 GiB if `high`); zeroed. Raises MemoryError when the arena is full."""
        ...

    def free(self, address: int) -> None: ...

    def translate(self, on: bool) -> IoSpace | None:
        """From now on the device's accesses go through a new and empty map of addresses (on), or reach memory as they
        are. None where they are not translated, or cannot be."""
        ...


@dataclass(frozen=True)
class DeviceError:
    """One entry of the endpoint's error log (codes: docs/dpu-port.md)."""

    code: int
    fatal: bool
    queue: int
    address: int


@dataclass
class Straps:
    """What the DPU may set while device_status reads 0. None leaves a strap as it is."""

    num_request_queues: int | None = None
    features: int | None = None
    literal_numbering: bool | None = None
    max_queue_size: int | None = None
    notify_buf_size: int | None = None
    notify_policy: int | None = None
    tag: bytes | None = None
    valid_seconds: int | None = None
    cache_options: int | None = None  # bits: layouts.dpu.CacheOption
    firmware: bool | None = None  # who answers FUSE: firmware, or the file system in hardware


class DpuPort(Protocol):
    """The DPU's side of the endpoint. Optional: a vendor's DPU side is its own firmware."""

    async def strap(self, straps: Straps) -> None:
        """Raises DpuError when device_status is not 0 (SLVERR)."""
        ...

    async def offer(self, features: int) -> None:
        """Offer these 64 feature bits. Raises like `strap`."""
        ...

    async def personality(self, literal: bool) -> None:
        """Number the queues as the specification's text says (literal) or as deployed. Raises like `strap`."""
        ...

    async def notify(self, message: bytes) -> NotifyResult:
        """Hand a whole message (fuse_out_header included) to the notify mailbox."""
        ...

    async def fs_request(self, request: bytes) -> bytes:
        """Be a client of the file system beside the driver: a FUSE request, its reply (docs/notifications.md), which
        has no bytes where the driver would get used length 0. Raises DpuError where the request is refused."""
        ...

    async def retrieved(self) -> bytes | None:
        """Take the NOTIFY_REPLY that is kept, its first 1024 bytes at most; None where there is none."""
        ...

    async def set_time(self, seconds: int, nanoseconds: int) -> None:
        """Set the time of day."""
        ...

    async def counters(self) -> dict[str, int]:
        """By the names of layouts.dpu.DpuCounter in lower case."""
        ...

    async def error_log(self) -> list[DeviceError]:
        """Take all entries out of the log."""
        ...


class DpuError(Exception):
    """The DPU port answered SLVERR; the message names the register."""


class HostPort(Protocol):
    """One function behind one root port. fn: function number; offset: bytes, in configuration space or in the BAR;
    size: 1, 2 or 4 bytes within one dword. Accesses raise HostError where the endpoint does not answer as it should.
    """

    @property
    def caps(self) -> HostCaps: ...
    @property
    def memory(self) -> HostMemory: ...
    @property
    def dpu(self) -> DpuPort | None: ...
    @property
    def msi_base(self) -> int:
        """Where the host takes MSI-X messages: from this address on, a page at least; data is the vector's number."""
        ...

    async def config_read(self, fn: int, offset: int, size: int) -> int: ...
    async def config_write(self, fn: int, offset: int, size: int, value: int) -> None: ...
    async def bar_read(self, fn: int, bar: int, offset: int, size: int) -> int: ...
    async def bar_write(self, fn: int, bar: int, offset: int, size: int, value: int) -> None:
        """Returns when the write is handed over; a read flushes."""
        ...

    def on_interrupt(self, callback: Callable[[Interrupt], None]) -> None:
        """`callback` gets every interrupt; callbacks add up."""
        ...

    async def wait_memory(self, addr: int, size: int, ready: Callable[[bytes], bool], timeout_ps: int) -> bool:
        """True as soon as `ready` says so of the `size` bytes at `addr`, False after `timeout_ps`."""
        ...

    async def store(self, writes: Sequence[Store]) -> None:
        """Perform the stores in order, at seeded moments of simulated time; returns when the last is done."""
        ...

    def spawn(self, coroutine: Coroutine[Any, Any, T]) -> Task[T]: ...
    def event(self) -> Event: ...
    async def sleep(self, duration_ps: int) -> None:
        """Let simulated time pass: for stimulus (a period without buffers), never to await an outcome."""
        ...

    def now_ps(self) -> int: ...
    def note(self, text: str) -> None:
        """Put a driver note into the observation log."""
        ...


@dataclass
class FaultPlan:
    """Which completions of the host fail. Each rule is used up once it has struck `count` times."""

    rules: list[Fault] = field(default_factory=list)


@dataclass
class Fault:
    """Fail the completion of a device read that touches [address, address + size).

    kind: 'ur', 'ca', 'poison', 'timeout' (no completion at all). skip: let that many matching reads pass first.
    """

    address: int
    size: int
    kind: str
    count: int = 1
    skip: int = 0
