"""ModelHost: the golden device behind the same root port, memory and log as the RTL, in virtual time.

A micro-step of the device takes STEP_PS; while the device has nothing to do, time jumps to what is due next. Everything
follows from the seed.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from virtiofs_model.endpoint import ModelEndpoint
from virtiofs_model.engine import (
    EngineControl,
    EngineNotify,
    EnginePort,
    EngineReply,
    EngineRequest,
    MoverDone,
    MoverJob,
)
from virtiofs_model.layouts.dpu import AxiResponse
from virtiofs_model.ramfs import Limits
from virtiofs_model.tlp import Header
from virtiofs_tb.host.base import FEATURE_CAPS, HostBase, OutOfTime
from virtiofs_tb.host.dpu import Access, Answer, RegisterDpu
from virtiofs_tb.host.log import (
    DpuChannel,
    EngineReplyChannel,
    EngineRequestChannel,
    Kind,
    ObservationLog,
    user_header,
)
from virtiofs_tb.host.loop import Loop, LoopTask
from virtiofs_tb.host.port import DpuPort
from virtiofs_tb.host.storage import LoggedStorage
from virtiofs_tb.host.timing import Timing
from virtiofs_tb.seeds import stream

T = TypeVar("T")

STEP_PS = 4_000  # one clock cycle of the RTL
REGISTER_PS = 5 * STEP_PS  # an access of the DPU
COMPLETION_TIMEOUT_PS = 262_144_000  # of the device's reads: 65536 cycles
LISTEN_STEPS = 32  # between two looks at a peer outside


class Deadlock(OutOfTime):
    """Nothing is due and the device has nothing to do, but the scenario is not finished; names what is owed."""


class LoggedEngine(LoggedStorage):
    """An EnginePort whose messages are seen in the log."""

    def __init__(self, port: EnginePort, log: ObservationLog, loop: Loop) -> None:
        super().__init__(port, log, loop)
        self._port = port

    def _seen(self, kind: Kind, channel: int, user: int, payload: bytes = b"") -> None:
        self._log.append(self._loop.now_ps, kind, channel, hdr=user_header(user), payload=payload)

    def on_request(self, callback: Callable[[EngineRequest, bytes], None]) -> None:
        def seen(request: EngineRequest, head: bytes) -> None:
            self._seen(Kind.ENGINE_REQUEST, EngineRequestChannel.REQUEST, request.to_user(), head)
            callback(request, head)

        self._port.on_request(seen)

    def on_done(self, callback: Callable[[MoverDone], None]) -> None:
        def seen(done: MoverDone) -> None:
            self._seen(Kind.ENGINE_REQUEST, EngineRequestChannel.DONE, done.to_user())
            callback(done)

        self._port.on_done(seen)

    def on_control(self, callback: Callable[[EngineControl], None]) -> None:
        def seen(control: EngineControl) -> None:
            self._seen(Kind.ENGINE_REQUEST, EngineRequestChannel.CONTROL, control.to_user())
            callback(control)

        self._port.on_control(seen)

    def job(self, job: MoverJob) -> None:
        self._seen(Kind.ENGINE_REPLY, EngineReplyChannel.JOB, job.to_user())
        self._port.job(job)

    def reply(self, reply: EngineReply, immediate: bytes = b"") -> None:
        self._seen(Kind.ENGINE_REPLY, EngineReplyChannel.REPLY, reply.to_user(), immediate)
        self._port.reply(reply, immediate)

    def notify(self, notify: EngineNotify, message: bytes) -> None:
        self._seen(Kind.ENGINE_REPLY, EngineReplyChannel.NOTIFY, notify.to_user(), message)
        self._port.notify(notify, message)

    def control_ack(self, epoch: int, queue: int | None = None) -> None:
        control = EngineControl.acknowledging(epoch, queue)
        self._seen(Kind.ENGINE_REPLY, EngineReplyChannel.CONTROL_ACK, control.to_user())
        self._port.control_ack(epoch, queue)


class ModelDpu(RegisterDpu):
    """The DPU's side of the golden device."""

    def __init__(self, endpoint: ModelEndpoint, log: ObservationLog, loop: Loop) -> None:
        super().__init__(loop, log)
        self._registers = endpoint.dpu

    async def exchange(self, accesses: Sequence[Access]) -> list[Answer]:
        answers: list[Answer] = []
        for access in accesses:
            await self._loop.sleep(REGISTER_PS)
            if access.write:
                answer = Answer(access.value, self._registers.write(access.register, access.value))
            else:
                answer = Answer(self._registers.read(access.register), AxiResponse.OKAY)
            self._log.append(
                self._loop.now_ps,
                Kind.DPU_OPERATION,
                DpuChannel.WRITE if access.write else DpuChannel.READ,
                address=access.register,
                status=answer.response,
                hdr=(answer.value, 0, 0, 0),
            )
            answers.append(answer)
        return answers


class ModelHost(HostBase):
    """HostPort on the golden device. `run` a scenario's coroutine; `engine` is where firmware attaches.

    defect: name of a defect that the device shall have. request_queues, max_queue_size, msix_vectors: what the device
    was built for; intx: it has INTA; ramfs: the capacity of its own file system, which then answers unless a
    strap says otherwise.
    """

    def __init__(
        self,
        seed: int,
        log: ObservationLog | None = None,
        timing: Timing | None = None,
        defect: str | None = None,
        request_queues: int = 4,
        max_queue_size: int = 1024,
        msix_vectors: int = 11,
        ramfs: Limits | None = None,
        intx: bool = True,
    ) -> None:
        loop = Loop()
        log = log if log is not None else ObservationLog()
        self.endpoint = ModelEndpoint(
            self._from_endpoint, defect, request_queues, max_queue_size, msix_vectors, ramfs, intx
        )
        dpu: DpuPort = ModelDpu(self.endpoint, log, loop)
        caps = replace(FEATURE_CAPS, dpu_client=True, announcer=ramfs is not None, intx=intx)
        super().__init__(loop, self, log, seed, timing, caps, dpu)
        self.engine: EnginePort = LoggedEngine(self.endpoint.engine, log, loop)
        self.steps = 0
        self._rng = stream(seed, "model.scheduler")
        self._withheld = 0
        self.root.completer.on_withheld = self._completion_withheld

    # ---- the link ----

    def send(self, channel: int, hdr: Header, payload: bytes, due_ps: int = 0) -> None:
        """A packet of the root port; it reaches the device now, or at `due_ps`."""
        if due_ps > self.loop.now_ps:
            self.loop.call_at(due_ps, lambda: self.send(channel, hdr, payload))
            return
        self.log.append_tlp(self.loop.now_ps, channel, hdr, payload)
        self.endpoint.receive(channel, hdr, payload)

    def _from_endpoint(self, channel: int, hdr: Header, payload: bytes) -> None:
        self.root.receive(self.log.append_tlp(self.loop.now_ps, channel, hdr, payload))

    def _completion_withheld(self) -> None:
        self._withheld += 1
        if self._withheld == 1:
            self.loop.call_at(self.loop.now_ps + COMPLETION_TIMEOUT_PS, self._time_out)

    def _time_out(self) -> None:
        """The model times out all its reads at once, so wait until only those are out that get no completion."""
        if self.endpoint.outstanding_reads > self._withheld:
            self.loop.call_at(self.loop.now_ps + STEP_PS, self._time_out)
            return
        self._withheld = 0
        self.endpoint.time_out_reads()

    # ---- time ----

    def run(self, coroutine: Coroutine[Any, Any, T], limit_ps: int | None = None) -> T:
        """Run until `coroutine` has ended; returns its result or raises what it raised.

        Raises what `check` raises, and Deadlock when nothing can happen any more or virtual time reaches `limit_ps`.
        """
        task = self.loop.spawn(coroutine, owned=True)
        self._advance(task, limit_ps)
        self.log.flush()
        self.check()
        return self.loop.result_of(task)

    def drain(self, limit_ps: int) -> bool:
        """Go on until nothing happens any more, `limit_ps` at most; whether it became quiet. Delivers all records."""
        end = self.loop.now_ps + limit_ps
        while self._advance_once():
            self.check()
            if self.loop.now_ps > end:
                break
        self.log.flush()
        self.check()
        return self.endpoint.idle and self.loop.next_due() is None

    def _advance(self, task: LoopTask[Any], limit_ps: int | None) -> None:
        loop = self.loop
        while not task.done():
            moved = self._advance_once()
            if loop.failures or self.failure is not None:
                return
            if not moved:
                raise Deadlock(self._stuck("nothing is due and the device has nothing to do"))
            if limit_ps is not None and loop.now_ps > limit_ps:
                raise Deadlock(self._stuck(f"the limit of {limit_ps} ps is reached"))

    def _advance_once(self) -> bool:
        """One micro-step of the device, or a jump to what is due next; False if there is neither."""
        loop = self.loop
        if self.endpoint.step(self._rng):
            self.steps += 1
            if self.outside is not None and not self.steps % LISTEN_STEPS:
                self.outside.look()
            loop.advance(loop.now_ps + STEP_PS)
            return True
        due = loop.next_due()
        if due is None:
            if self.outside is None:
                return False
            self.outside.wait()  # virtual time stands still
            due = loop.now_ps
        loop.advance(due)
        return True

    def _stuck(self, reason: str) -> str:
        reads = self.endpoint.outstanding_reads
        owed = [*self.owed(), *([f"{reads} reads of the device without completion"] if reads else [])]
        lines = "".join(f"\n  {line}" for line in owed) or " nothing"
        return f"{reason} at {self.loop.now_ps} ps; owed:{lines}"
