"""Everything around one endpoint, whatever the target: firmware, scoreboards, the run of a test's steps, its summary.

No simulator is known here: the UVM environment wraps it for RTL, unit tests use it with the golden device.
"""

from __future__ import annotations

import resource
import time
import traceback
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from pathlib import Path

from virtiofs_model.engine import EnginePort
from virtiofs_model.layouts.fuse_constants import Opcode
from virtiofs_model.ramfs import RamfsServer
from virtiofs_tb.agents.firmware import FirmwareAgent, FuseServer
from virtiofs_tb.catalogue import FIRMWARE, RAMFS, Entry
from virtiofs_tb.driver.bringup import Mount
from virtiofs_tb.driver.errors import DriverError, DriverTimeout, shown
from virtiofs_tb.host.base import HostBase, OutOfTime, SimulationFailure
from virtiofs_tb.host.dpu import RegisterDpu
from virtiofs_tb.host.log import DpuChannel, Kind, Record
from virtiofs_tb.host.port import NotifyResult, Straps
from virtiofs_tb.host.requester import HostTimeout
from virtiofs_tb.paths import ROOT, SESSIONS
from virtiofs_tb.profile import Profile
from virtiofs_tb.report import FailureReport, ResultClass, StepReport, Summary
from virtiofs_tb.scenario import Bench, Scenario
from virtiofs_tb.scoreboards import ALL, ScoreboardSet
from virtiofs_tb.scoreboards.events import ChainUsed
from virtiofs_tb.seeds import stream

QUIET_PS = 20_000_000  # so long without a packet after the last step, and nothing is under way any more
DRAIN_LIMIT_PS = 2_000_000_000
AWAKE_PS = 1_000_000  # after the reset pin: straps are locked while the endpoint clears itself
_TLP, _INTERRUPT, _DPU_OPERATION = int(Kind.TLP), int(Kind.INTERRUPT), int(Kind.DPU_OPERATION)


class CheckFailed(Exception):
    """A scoreboard or the root port found a mismatch; the text is that of the first one."""


class NotQuiet(CheckFailed):
    """The endpoint went on after the last step."""


@dataclass
class StepSpeed:
    """What one step did, and in how much wall-clock time."""

    name: str
    wall_s: float
    requests: int
    tlps: int


@dataclass
class Progress:
    """Counters of a run."""

    tlps: int = 0
    interrupts: int = 0
    notify: dict[str, int] = field(default_factory=lambda: {result.name.lower(): 0 for result in NotifyResult})
    last_packet_ps: int = 0


class RequestCounter:
    """Counts FUSE requests as they are used, by opcode, whoever answers them."""

    def __init__(self) -> None:
        self.by_opcode: Counter[int] = Counter()

    def on_chain_used(self, event: ChainUsed) -> None:
        store = event.chain.read_store
        if not event.chain.queue.notification and store.covers(4, 8):
            self.by_opcode[int.from_bytes(store.data[4:8], "little")] += 1


class Testbench:
    """One test on one endpoint.

    host: RtlHost or ModelHost; engine: where its firmware attaches. server: what the firmware answers with (default:
    the golden file system, empty). attach: the scoreboards take the log's batches themselves; False where somebody
    hands them on (the UVM environment). without: names of scoreboards that are switched off.
    """

    __test__ = False  # not a pytest class

    def __init__(
        self,
        host: HostBase,
        engine: EnginePort,
        entry: Entry,
        seed: int,
        profile: Profile,
        server: FuseServer | None = None,
        attach: bool = True,
        without: Collection[str] = (),
    ) -> None:
        self.host = host
        host.working = self._chains_open
        self.entry = entry
        self.seed = seed
        profile = replace(profile, intx=profile.intx and host.caps.intx)
        self.profile = profile
        self.firmware = FirmwareAgent(engine, server or RamfsServer(), host.loop, stream(seed, "firmware"))
        if isinstance(host.dpu, RegisterDpu):
            host.dpu.firmware = self.firmware.fs_request
        if entry.engine == FIRMWARE:
            host.caps = replace(host.caps, announcer=False)
        self.scoreboards = ScoreboardSet(profile, {board.name for board in ALL} - set(without))
        answers = {"fuse": "file_system"} if entry.engine == RAMFS else {}
        self.scoreboards.require(*(answers.get(name, name) for name in entry.must_check))
        self.counter = RequestCounter()
        self.scoreboards.observer.bind([self.counter])
        self.steps: list[StepReport] = []
        self.speeds: list[StepSpeed] = []
        self.progress = Progress()
        self.crash: FailureReport | None = None
        self.mount: Mount | None = None  # of the UVM sequences, which share one
        self.on_step: Callable[[str], None] = lambda name: None
        self._failed = host.event()
        self.scoreboards.on_failure = lambda failure: self._failed.set()
        self._step_done = host.event()
        self.bench = Bench(
            seed, SESSIONS, profile=profile, firmware=self.firmware, faults=host.faults, options=entry.options,
            asked=self.counter.by_opcode,
        )  # fmt: skip
        host.log.subscribe(self._count)
        if attach:
            host.log.subscribe(self.scoreboards.observe)

    # ---- running ----

    async def run(self) -> None:
        """All steps in order, then the drain. Raises CheckFailed as soon as a check has failed."""
        await self._choose_engine()
        for scenario in self.entry.steps:
            await self._run_step(scenario)
        await self.drain()

    async def _choose_engine(self) -> None:
        """An endpoint without our DPU port answers as it was built."""
        if self.host.dpu is not None:
            await self.host.sleep(AWAKE_PS)
            await self.host.dpu.strap(Straps(firmware=self.entry.engine == FIRMWARE))

    async def _run_step(self, scenario: Scenario) -> None:
        host = self.host
        report = StepReport(scenario.name, "failed", host.now_ps(), host.now_ps())
        self.steps.append(report)
        reason = scenario.not_applicable(host.caps)
        if reason is not None:
            report.result, report.reason = "not applicable", reason
            return
        self.on_step(scenario.name)
        host.note(f"step {scenario.name}")
        started, requests, tlps = time.monotonic(), self.requests, self.progress.tlps
        self._step_done.clear()

        async def body() -> None:
            try:
                await scenario.function(host, self.bench)
            finally:
                self._step_done.set()

        task = host.spawn(body())
        watcher = host.spawn(self._watch())
        await self._step_done.wait()
        watcher.cancel()
        report.end_ps = host.now_ps()
        if not task.done():
            task.cancel()
        self.raise_on_failure()
        await task.join()
        report.result = "passed"
        wall = time.monotonic() - started
        self.speeds.append(StepSpeed(scenario.name, wall, self.requests - requests, self.progress.tlps - tlps))

    async def _watch(self) -> None:
        await self._failed.wait()
        self._step_done.set()

    async def drain(self) -> None:
        """Let everything under way come to its end; what is still owed then is a failure (JUDGING.md, Debts)."""
        end = self.host.now_ps() + DRAIN_LIMIT_PS
        while self.host.now_ps() < end:
            await self.host.sleep(QUIET_PS)
            self.raise_on_failure()
            quiet = self.host.now_ps() - self.progress.last_packet_ps >= QUIET_PS
            if quiet and not self.firmware.open_requests:
                return
        raise NotQuiet(f"the endpoint is not quiet {DRAIN_LIMIT_PS // 1_000_000} us after the last step")

    def raise_on_failure(self) -> None:
        """Raises CheckFailed if anything was found so far."""
        if self.scoreboards.failures:
            raise CheckFailed(self.scoreboards.failures[0].text)
        if self.host.violations:
            raise CheckFailed(str(self.host.violations[0].text))

    def finish(self) -> None:
        """After run(), however it ended: deliver the rest of the log, let the scoreboards close their books."""
        self.host.log.flush()
        if self.scoreboards.failures:
            return
        if self.crash is None:
            self.scoreboards.finish()
        elif self.crash.kind == "hang":  # its debts tell what did not come, and at which stage
            self.crash.owed = [*self.scoreboards.owed(self.host.now_ps()), *self.crash.owed]

    def _count(self, batch: list[Record]) -> None:
        progress = self.progress
        for record in batch:
            kind = record.kind
            if kind == _TLP:
                progress.tlps += 1
                progress.last_packet_ps = record.t_ps
            elif kind == _INTERRUPT:
                progress.interrupts += 1
            elif kind == _DPU_OPERATION and record.channel == DpuChannel.NOTIFY:
                progress.notify[NotifyResult(record.status).name.lower()] += 1

    def current_mount(self) -> Mount:
        """Raises RuntimeError before a sequence has mounted the endpoint."""
        if self.mount is None:
            raise RuntimeError("nothing is mounted: a sequence must set Testbench.mount first")
        return self.mount

    def _chains_open(self) -> int:
        """How many chains the endpoint has begun and not used, but for those that wait for a lock; what is logged so
        far is judged first."""
        self.host.log.deliver()
        queues = self.scoreboards.observer.rings.queues.values()
        open_ = sum(len(queue.open) for queue in queues if not queue.notification and not queue.broken)
        return max(0, open_ - self.firmware.waiting_requests - self.scoreboards.waiting_chains)

    # ---- reporting ----

    @property
    def requests(self) -> int:
        return self.counter.by_opcode.total()

    def owed(self) -> list[str]:
        """What is under way, for a person in front of a run that does not end."""
        with_firmware = self.firmware.open_requests
        return [*([f"{with_firmware} requests with the firmware"] if with_firmware else []), *self.host.owed()]

    def fill(self, summary: Summary) -> None:
        """Everything that this run knows of itself; the verdict too."""
        summary.sim_time_ps = self.host.now_ps()
        summary.steps = self.steps
        summary.tlps = self.progress.tlps
        summary.requests = self.requests
        opcodes = sorted(self.counter.by_opcode.items())
        summary.requests_by_opcode = {opcode_name(opcode): count for opcode, count in opcodes}
        delivered = sum(count for name, count in self.bench.counts.items() if name.startswith("notification "))
        summary.notifications = {**self.progress.notify, "delivered": delivered}
        summary.scoreboards = self.scoreboards.details
        summary.trace_hash = self.host.log.trace_hash()
        summary.peak_rss_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        for failure in self.scoreboards.failures:
            where = (failure.board, failure.t_ps, failure.text, failure.clause, failure.seq)
            summary.failures.append(FailureReport(*where, failure.expected, failure.seen))
        for violation in self.host.violations:
            summary.failures.append(FailureReport("root port", violation.t_ps, violation.text))
        if self.crash is not None and (self.crash.kind == "crash" or not summary.failures):
            summary.failures.append(self.crash)
        for speed in self.speeds:
            if speed.name == "random_operations" and speed.wall_s > 0:
                summary.window = {
                    "seconds": speed.wall_s,
                    "requests/s": speed.requests / speed.wall_s,
                    "TLPs/s": speed.tlps / speed.wall_s,
                }
        summary.result_class = ResultClass.FAILED if summary.failures else ResultClass.PASSED

    def crashed(self, error: BaseException) -> None:
        """Note what ended the run; only the first counts."""
        if self.crash is None:
            self.crash = self._report_of(error)

    def _report_of(self, error: BaseException) -> FailureReport:
        report = FailureReport(self._where(), self.host.now_ps(), str(error), owed=self.owed())
        if isinstance(error, DriverError):
            report.text, report.clause = error.what, error.clause
            report.expected, report.seen = shown(error.expected), shown(error.seen)
        if isinstance(error, (DriverTimeout, HostTimeout, OutOfTime, NotQuiet)):
            report.kind = "hang"
        elif isinstance(error, AssertionError):
            report.text, report.place = f"assertion: {error}" if str(error) else "assertion", place_of(error)
        elif not isinstance(error, (CheckFailed, DriverError, SimulationFailure)):
            report.kind, report.place = "crash", place_of(error)
            report.text = f"{type(error).__name__}: {error}"
        return report

    def _where(self) -> str:
        return f"step {self.steps[-1].name}" if self.steps else "start"


def place_of(error: BaseException) -> str:
    """File, line and function of the project where an exception came up."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if Path(frame.filename).is_relative_to(ROOT) and ".venv" not in frame.filename]
    if not ours:
        return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    return f"{Path(ours[-1].filename).relative_to(ROOT)}:{ours[-1].lineno} in {ours[-1].name}"


def opcode_name(opcode: int) -> str:
    try:
        return Opcode(opcode).name
    except ValueError:
        return f"opcode {opcode}"
