"""Python's side of the fast path into the simulation: tb/hdl/bridge.cpp, reached by ctypes in the same process.

This is the only module that knows its C interface. Calls take effect at the next falling clock edge. Records come out
in the log's binary form, for `ObservationLog.append_raw`.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from enum import IntEnum
from struct import Struct
from typing import NamedTuple

from virtiofs_tb.host.log import RECORD_SIZE, Header

NEVER_PS = (1 << 64) - 1


class Port(IntEnum):
    """The ports of the device under test (bridge_pkg.sv). Packets are sent to CQ, RC and the ENGINE_* inputs."""

    CQ = 0
    CC = 1
    RQ = 2
    RC = 3
    ENGINE_REQUEST = 4
    ENGINE_DONE = 5
    ENGINE_CONTROL = 6
    ENGINE_JOB = 7
    ENGINE_REPLY = 8
    ENGINE_NOTIFY = 9
    ENGINE_CONTROL_ACK = 10
    STORAGE = 11
    DPU = 12


class BridgeError(Exception):
    """The simulation is not one that was built with the bridge, or a call had arguments out of range."""


class Drained(NamedTuple):
    """What was logged since the last drain, and the time. The records call payload[0] by the offset asked for."""

    now_ps: int
    records: bytes
    payload: bytes


_U32 = ctypes.c_uint32
_U64 = ctypes.c_uint64
_UINT = ctypes.c_uint
_PTR = ctypes.c_void_p
_WAKE = ctypes.CFUNCTYPE(ctypes.c_int)
_DRAINED = Struct("=5Q")  # records, their address, bytes of payload, their address, time

# name: (result, arguments)
_PROTOTYPES: dict[str, tuple[object, list[object]]] = {
    "bridge_drain": (_PTR, [_U64]),
    "bridge_next_seq": (_U64, []),
    "bridge_send": (ctypes.c_int, [_UINT, _U64, _U32, _U32, _U32, _U32, ctypes.c_char_p, _U64]),
    "bridge_waiting": (_U64, [_UINT]),
    "bridge_dpu": (None, [_UINT, _U32, _U32, _UINT]),
    "bridge_throttle": (None, [_UINT, _UINT, _U64]),
    "bridge_rq_np_ok": (None, [_UINT]),
    "bridge_wake_at": (None, [_U64]),
    "bridge_coalesce": (None, [_UINT]),
    "bridge_on_wake": (None, [_WAKE]),
    "bridge_reset": (None, [_UINT]),
    "bridge_now": (_U64, []),
    "bridge_cycles": (_U64, []),
    "bridge_failure": (ctypes.c_char_p, []),
    "bridge_storage_bytes": (_U64, []),
    "bridge_storage": (_PTR, []),
}


class Bridge:
    """The bridge of the simulation that this process is."""

    def __init__(self) -> None:
        library = ctypes.CDLL(None)
        for name, (result, arguments) in _PROTOTYPES.items():
            try:
                function = getattr(library, name)
            except AttributeError:
                raise BridgeError(f"{name} is not in this process: it is no simulation built with the bridge") from None
            function.restype = result
            function.argtypes = arguments
        self._library = library
        self._send = library.bridge_send
        self._drain = library.bridge_drain
        self._on_wake = _WAKE()
        # bridge_drain answers with the address of one structure, always the same.
        self._drained = (ctypes.c_uint8 * _DRAINED.size).from_address(library.bridge_drain(0))
        self.storage_size: int = library.bridge_storage_bytes()
        self._storage = (ctypes.c_uint8 * self.storage_size).from_address(library.bridge_storage())
        self._storage_view = memoryview(self._storage).cast("B")

    # ---- packets ----

    def drain(self, payload_base: int = 0) -> Drained:
        """Take the records since the last call. payload_base: what they call the first byte of their payload."""
        self._drain(payload_base)
        count, records, size, payload, now_ps = _DRAINED.unpack(self._drained)
        if not count:
            return Drained(now_ps, b"", b"")
        copy = ctypes.string_at
        return Drained(now_ps, copy(records, count * RECORD_SIZE), copy(payload, size) if size else b"")

    def next_seq(self) -> int:
        """The place in the total order for a record made here; call it only when nothing waits to be drained."""
        seq: int = self._library.bridge_next_seq()
        return seq

    def send(self, channel: int, hdr: Header, payload: bytes, due_ps: int = 0) -> None:
        """Queue a packet on the port `channel`. Packets enter in the order of the calls, none before its `due_ps`.

        On CQ posted requests pass non-posted ones while the device holds cq_np_ok low.
        """
        if self._send(channel, due_ps, *hdr, payload, len(payload)):
            raise BridgeError(f"port {channel} takes no packets")

    def waiting(self, port: int) -> int:
        """Packets queued on `port` that the device has not taken."""
        count: int = self._library.bridge_waiting(port)
        return count

    def dpu_command(self, write: bool, address: int, data: int, tag: int) -> None:
        """Queue a register access; its record has kind DPU_OPERATION and this tag (16 bits)."""
        self._library.bridge_dpu(int(write), address, data, tag & 0xFFFF)

    # ---- levels and pace ----

    def throttle(self, port: int, percent: int, seed: int) -> None:
        """Let a beat pass in `percent` of all cycles (0 to 100); the pattern follows from `seed` and the port."""
        if not 0 <= percent <= 100:
            raise BridgeError(f"throttle of {percent} percent")
        self._library.bridge_throttle(port, percent, seed & NEVER_PS)

    def set_rq_np_ok(self, level: bool) -> None:
        """Whether the device may start a non-posted request."""
        self._library.bridge_rq_np_ok(int(level))

    def wake_at(self, t_ps: int | None) -> None:
        """Wake Python at the first cycle not before `t_ps` (None: only when something was logged)."""
        self._library.bridge_wake_at(NEVER_PS if t_ps is None else t_ps)

    def coalesce(self, cycles: int) -> None:
        """Wake Python at most once in `cycles` + 1 cycles, and gather records for so long."""
        self._library.bridge_coalesce(cycles)

    def on_wake(self, function: Callable[[], bool] | None) -> None:
        """Call `function` at each wake-up, in the middle of the simulator's clock cycle: cocotb is woken only where it
        returns True, which costs much more. It must not raise. None: cocotb is woken each time.
        """
        callback = _WAKE() if function is None else _WAKE(function)
        self._library.bridge_on_wake(callback)
        self._on_wake = callback  # the library does not keep it alive

    def reset(self, cycles: int = 8) -> None:
        """Hold the device's reset for `cycles`; packets queued or on the pins, or a failure taken, are forgotten."""
        self._library.bridge_reset(cycles)

    def now_ps(self) -> int:
        """Simulated time of the last falling clock edge."""
        now: int = self._library.bridge_now()
        return now

    def cycles(self) -> int:
        """Clock cycles so far."""
        count: int = self._library.bridge_cycles()
        return count

    def failure(self) -> str | None:
        """The first assertion that failed. Asking takes it over: the caller must end the run."""
        message: bytes = self._library.bridge_failure()
        return message.decode() if message else None

    # ---- storage behind the mover ----

    def storage_read(self, address: int, size: int) -> bytes:
        self._check_storage(address, size)
        return bytes(self._storage_view[address : address + size])

    def storage_write(self, address: int, data: bytes) -> None:
        self._check_storage(address, len(data))
        self._storage_view[address : address + len(data)] = data

    def _check_storage(self, address: int, size: int) -> None:
        if not 0 <= address <= address + size <= self.storage_size:
            raise BridgeError(f"storage: [{address:#x}, +{size:#x}) is beyond the {self.storage_size} bytes")
