"""The RTL in a simulator as a target: HostPort, EnginePort and DpuPort over the bridge, and the pump between them.

The pump is a function that the bridge calls. Each call takes everything that the simulation logged, lets the loop run
up to the present time, and sleeps until the next packet or the loop's next due time. cocotb waits for its end. All
other tasks are tasks of the loop and know no cocotb.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from time import perf_counter
from typing import Any, TypeVar

from cocotb.handle import HierarchyObject, LogicObject
from cocotb.triggers import ValueChange

from virtiofs_model.engine import (
    EngineControl,
    EngineNotify,
    EngineReply,
    EngineRequest,
    MoverDone,
    MoverJob,
)
from virtiofs_tb.host.base import PACKET_CAPS, HostBase, OutOfTime, SimulationFailure
from virtiofs_tb.host.bridge import Bridge, Port
from virtiofs_tb.host.log import (
    Channel,
    DpuChannel,
    EngineRequestChannel,
    Kind,
    ObservationLog,
    Record,
)
from virtiofs_tb.host.loop import Loop, LoopTask
from virtiofs_tb.host.outside import Outside
from virtiofs_tb.host.port import HostCaps
from virtiofs_tb.host.rtl_dpu import RtlDpu
from virtiofs_tb.host.storage import LoggedStorage
from virtiofs_tb.host.timing import Timing
from virtiofs_tb.seeds import stream

T = TypeVar("T")

# Plain numbers for what is asked of every record.
_TLP, _ENGINE_REQUEST, _DPU_OPERATION = int(Kind.TLP), int(Kind.ENGINE_REQUEST), int(Kind.DPU_OPERATION)
_FROM_DEVICE = (int(Channel.RQ), int(Channel.CC))
_ACCESSES = (int(DpuChannel.WRITE), int(DpuChannel.READ))
_INPUTS = (Port.CQ, Port.RC, Port.ENGINE_JOB, Port.ENGINE_REPLY, Port.ENGINE_NOTIFY, Port.ENGINE_CONTROL_ACK)

COALESCE_CYCLES = 8
"""Records are gathered for so long: much less than the shortest latency of the host, so nothing is held up by it."""

ACKNOWLEDGE_AGAIN_PS = 20_000
"""An acknowledgement that has to wait for messages on other ports looks for them so often."""

LISTEN_PS = 500_000
"""How often, in simulated time, a peer outside is listened to while the endpoint works."""
QUIET_PS = 4_000_000
"""So long without a packet, and nothing owed: the endpoint has nothing to do. Silent work inside it that belongs to no
chain (a reset, a notification) is far shorter."""
LINGER_S = 0.002
"""As soon as nothing is owed, a peer gets so long in wall-clock time to ask for more before the endpoint is let work on
in silence: most often it does, and simulated time in which nothing happens is spared."""


class BridgeLink:
    """The root port's way to the pins."""

    def __init__(self, bridge: Bridge) -> None:
        # CQ and RC have the numbers of the ports.
        self.send = bridge.send


class RtlEngine(LoggedStorage):
    """EnginePort over the pins of fuse_engine_if."""

    def __init__(self, bridge: Bridge, log: ObservationLog, loop: Loop) -> None:
        super().__init__(bridge, log, loop)
        self._bridge = bridge
        self._on_request: list[Callable[[EngineRequest, bytes], None]] = []
        self._on_done: list[Callable[[MoverDone], None]] = []
        self._on_control: list[Callable[[EngineControl], None]] = []

    def receive(self, record: Record) -> None:
        """Take a message of the endpoint (records of kind ENGINE_REQUEST)."""
        h0, h1, h2, h3 = record.hdr
        user = h0 | h1 << 32 | h2 << 64 | h3 << 96
        if record.channel == EngineRequestChannel.REQUEST:
            request = EngineRequest.from_user(user)
            for on_request in self._on_request:
                on_request(request, record.payload)
        elif record.channel == EngineRequestChannel.DONE:
            done = MoverDone.from_user(user)
            for on_done in self._on_done:
                on_done(done)
        else:
            control = EngineControl.from_user(user)
            for on_control in self._on_control:
                on_control(control)

    def _send(self, port: Port, user: int, payload: bytes = b"") -> None:
        mask = 0xFFFF_FFFF
        self._bridge.send(port, (user & mask, user >> 32 & mask, user >> 64 & mask, user >> 96 & mask), payload)

    # ---- EnginePort ----

    def on_request(self, callback: Callable[[EngineRequest, bytes], None]) -> None:
        self._on_request.append(callback)

    def on_done(self, callback: Callable[[MoverDone], None]) -> None:
        self._on_done.append(callback)

    def on_control(self, callback: Callable[[EngineControl], None]) -> None:
        self._on_control.append(callback)

    def job(self, job: MoverJob) -> None:
        self._send(Port.ENGINE_JOB, job.to_user())

    def reply(self, reply: EngineReply, immediate: bytes = b"") -> None:
        self._send(Port.ENGINE_REPLY, reply.to_user(), immediate)

    def notify(self, notify: EngineNotify, message: bytes) -> None:
        self._send(Port.ENGINE_NOTIFY, notify.to_user(), message)

    def control_ack(self, epoch: int, queue: int | None = None) -> None:
        # The reset of a queue is acknowledged behind whatever was said for that queue, and these are ports apart.
        if queue is not None and any(self._bridge.waiting(port) for port in (Port.ENGINE_JOB, Port.ENGINE_REPLY)):
            self._loop.call_at(self._loop.now_ps + ACKNOWLEDGE_AGAIN_PS, lambda: self.control_ack(epoch, queue))
            return
        self._send(Port.ENGINE_CONTROL_ACK, EngineControl.acknowledging(epoch, queue).to_user())


class RtlHost(HostBase):
    """HostPort of the simulation that this process is.

    dut: cocotb's handle of tb_top. log_dir: where the observation log goes (None: kept nowhere).
    bridge, engine, dpu: the other sides of the endpoint (dpu is None where caps says that there is none).
    wakes: how often the simulation had to wait for Python.
    """

    def __init__(
        self,
        dut: HierarchyObject,
        seed: int,
        log_dir: Path | None = None,
        timing: Timing | None = None,
        caps: HostCaps = PACKET_CAPS,
    ) -> None:
        self.bridge = Bridge()
        self.bridge.coalesce(COALESCE_CYCLES)
        loop = Loop()
        log = ObservationLog(log_dir, self.bridge.next_seq)
        self._dpu = RtlDpu(loop, log, self.bridge.dpu_command)
        dpu = self._dpu if caps.dpu else None
        super().__init__(loop, BridgeLink(self.bridge), log, seed, timing, caps, dpu)
        self.engine = RtlEngine(self.bridge, log, loop)
        self.wakes = 0
        self.python_s = 0.0
        self._heard_ps = 0  # of the endpoint
        self._lingered_ps = -1  # what was heard last when the peer got its time
        self._beside = False  # tasks of cocotb have a part in what runs: cocotb is woken each time
        wake = dut.wake
        if not isinstance(wake, LogicObject):
            raise TypeError(f"{dut._path}.wake is a {type(wake).__name__}, expected a logic signal")
        self._wake = ValueChange(wake)

    def throttle(self, percent: dict[Port, int]) -> None:
        """Let beats pass on these ports in so many percent of all cycles, each by its own seeded pattern."""
        for port, share in percent.items():
            seed = stream(self.seed, f"bridge.throttle.{port.name}").getrandbits(63)
            self.bridge.throttle(port, share, seed)

    async def run(self, coroutine: Coroutine[Any, Any, T], limit_ps: int | None = None) -> T:
        """Simulate until the coroutine ends; tasks that it spawned may live on. Returns or raises what it does.

        Raises the first failure of a task that nobody joined, and SimulationFailure for a broken rule of the pins or
        when simulated time reaches `limit_ps`.
        """
        self.loop.now_ps = max(self.loop.now_ps, self.bridge.now_ps())
        task: LoopTask[T] = self.spawn(coroutine)
        errors: list[BaseException] = []

        def wake() -> bool:
            started = perf_counter()
            try:
                self._wake_up(task, limit_ps)
            except BaseException as error:  # the simulator called: it is raised below
                errors.append(error)
            self.python_s += perf_counter() - started
            return self._beside or bool(errors) or task.done()

        self._beside = False
        self._advance()
        self._sleep(limit_ps)
        self.bridge.on_wake(wake)
        try:
            while not task.done() and not errors:
                await self._wake
        finally:
            self.bridge.on_wake(None)
        if errors:
            raise errors[0]
        return self.loop.result_of(task)

    def _wake_up(self, task: LoopTask[Any], limit_ps: int | None) -> None:
        """Do all that is to be done now, and say when the next thing is due."""
        bridge, loop = self.bridge, self.loop
        self.wakes += 1
        self._take()
        if (failure := bridge.failure()) is not None:
            raise SimulationFailure(failure)
        self._advance()
        if self.outside is not None:
            self._listen(self.outside, task)
        if limit_ps is not None and loop.now_ps >= limit_ps and not task.done():
            raise OutOfTime(f"the limit of {limit_ps} ps is reached; under way: {'; '.join(self.owed())}")
        self._sleep(limit_ps)

    def _sleep(self, limit_ps: int | None) -> None:
        due = self.loop.next_due()
        limits = [limit_ps, self.loop.now_ps + LISTEN_PS if self.outside is not None else None]
        self.bridge.wake_at(min((t_ps for t_ps in (due, *limits) if t_ps is not None), default=None))

    def _listen(self, outside: Outside, task: LoopTask[Any]) -> None:
        """Take what a peer has said; while there is nothing to do for anybody, wait for it in wall-clock time."""
        outside.look()
        self._advance()
        while not task.done() and self.outside is not None and self._nothing_owed():
            if self.loop.now_ps - self._heard_ps >= QUIET_PS:
                outside.wait()
            elif self._lingered_ps != self._heard_ps:
                self._lingered_ps = self._heard_ps
                outside.wait(LINGER_S)
            else:
                return
            self._advance()

    def _nothing_owed(self) -> bool:
        """Nothing is due, owed, or on its way into the endpoint, and it has begun nothing that it has not ended."""
        if self.loop.next_due() is not None or self.root.owed() or self.working() > self.patience:
            return False
        return not any(self.bridge.waiting(port) for port in _INPUTS)

    def begin(self, coroutine: Coroutine[Any, Any, T]) -> LoopTask[T]:
        """Start a task of the loop from outside of it, from a task of cocotb; `run` must be under way."""
        self._beside = True
        self.loop.now_ps = max(self.loop.now_ps, self.bridge.now_ps())
        task: LoopTask[T] = self.spawn(coroutine)
        # The task may have asked for something earlier than what the pump sleeps for.
        self.bridge.wake_at(self.loop.now_ps)
        return task

    def _take(self) -> None:
        """Log what the simulation saw, and hand it to whom it concerns, in its order."""
        log = self.log
        # Tasks and callbacks that a packet wakes find the present time.
        self.loop.now_ps, records, payload = self.bridge.drain(log.payload_end)
        if not records:
            return
        self._heard_ps = self.loop.now_ps
        root, engine, dpu = self.root.receive, self.engine.receive, self._dpu.receive
        for record in log.append_raw(records, payload):
            kind = record.kind
            if kind == _TLP:
                if record.channel in _FROM_DEVICE:
                    root(record)
            elif kind == _ENGINE_REQUEST:
                engine(record)
            elif kind == _DPU_OPERATION and record.channel in _ACCESSES:
                dpu(record)

    def _advance(self) -> None:
        loop = self.loop
        loop.advance(loop.now_ps)
        if loop.failures:
            raise loop.failures[0]
