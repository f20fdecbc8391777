"""The cocotb test module of every simulation: builds the UVM environment and runs what the environment names.

runner.RunRequest.environment says what that is. Whatever happens, summary.json is written.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import threading
import time
import traceback
from collections.abc import Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import cocotb
import pyuvm
from cocotb.handle import HierarchyObject
from cocotb.triggers import First
from pyuvm import ConfigDB, uvm_test

from virtiofs_tb import catalogue, profile
from virtiofs_tb.agents.firmware import FuseServer
from virtiofs_tb.env import VirtioFsEnv
from virtiofs_tb.host.base import FEATURE_CAPS, PACKET_CAPS, SimulationFailure
from virtiofs_tb.host.bridge import Port
from virtiofs_tb.host.rtl_host import RtlHost
from virtiofs_tb.report import FailureReport, ResultClass, Summary
from virtiofs_tb.runner import STEP_FILE
from virtiofs_tb.seeds import stream
from virtiofs_tb.sequences.uvm_sequences import SEQUENCES
from virtiofs_tb.speed import Meter, Work
from virtiofs_tb.testbench import CheckFailed, Testbench

LIMIT_PS = 1_000_000_000_000  # of simulated time: one second
RESET_CYCLES = 8
MEASURED_STEP = "random_operations"
GC_OBJECTS = 50_000  # new ones between two looks of the garbage collector
SLOWEST_PORT_PERCENT = 40


class Watchdog:
    """Ends a simulation that takes too long, from a thread of its own: it says what is owed and writes the summary."""

    def __init__(self, seconds: float, testbench: Testbench, summary: Summary, run_dir: Path) -> None:
        self._timer = threading.Timer(seconds, self._strike)
        self._timer.daemon = True
        self._seconds = seconds
        self._testbench = testbench
        self._summary = summary
        self._run_dir = run_dir

    def start(self) -> None:
        self._timer.start()

    def stop(self) -> None:
        self._timer.cancel()

    def _strike(self) -> None:
        owed = "\n".join(f"  {line}" for line in self._testbench.owed())
        text = f"stuck: not finished after {self._seconds:.0f} s of wall clock; owed:\n{owed}"
        report = FailureReport("watchdog", 0, f"not finished after {self._seconds:.0f} s of wall clock", kind="hang")
        report.t_ps, report.owed = self._testbench.host.now_ps(), self._testbench.owed()
        self._testbench.crash = report
        self._testbench.fill(self._summary)
        self._summary.message = text
        self._summary.result_class = ResultClass.FAILED
        self._summary.write(self._run_dir)
        print(text, file=sys.stderr, flush=True)
        try:
            self._testbench.host.log.close()  # what led to it is in the last records
        finally:
            os._exit(1)


def back_pressure(seed: int) -> dict[Port, int]:
    """In how many percent of all cycles each port may move a beat: half of the ports always, the others less."""
    shares = {}
    for port in Port:
        rng = stream(seed, f"back_pressure/{port.name}")
        shares[port] = 100 if rng.random() < 0.5 else rng.randint(SLOWEST_PORT_PERCENT, 99)
    return shares


async def _nothing() -> None:
    """Wakes the pump."""


@pyuvm.test()
class SimulationTest(uvm_test):
    """Runs the steps of one entry of the catalogue, and its UVM sequence if it has one.

    limit_ps: of simulated time; None where a person decides how long it takes.
    """

    limit_ps: int | None = LIMIT_PS

    def build_phase(self) -> None:
        environment = os.environ
        self.run_dir = Path(environment["VIRTIOFS_RUN_DIR"])
        self.summary = Summary(
            test=environment["VIRTIOFS_TEST"],
            seed=int(environment["VIRTIOFS_SEED"]),
            rerun=environment["VIRTIOFS_RERUN"],
            dut=environment["VIRTIOFS_DUT"],
            profile=Path(environment["VIRTIOFS_PROFILE"]).name,
        )
        top = cocotb.top
        assert isinstance(top, HierarchyObject)
        endpoint = profile.load(Path(environment["VIRTIOFS_PROFILE"]))
        port = endpoint.dpu.port
        caps = replace(
            FEATURE_CAPS if port else PACKET_CAPS, dpu=port, dpu_client=port, announcer=port, intx=endpoint.intx
        )
        log_dir = self.run_dir if int(environment["VIRTIOFS_LOG"]) else None
        self.host = RtlHost(top, self.summary.seed, log_dir, caps=caps)
        entry = self.entry()
        options = {**entry.options, **json.loads(environment["VIRTIOFS_OPTIONS"])}
        self.testbench = Testbench(
            self.host,
            self.host.engine,
            replace(entry, options=options, engine=environment["VIRTIOFS_ENGINE"] or entry.engine),
            self.summary.seed,
            endpoint,
            self.server(),
            attach=False,
            without=[name for name in environment["VIRTIOFS_WITHOUT"].split(",") if name],
        )
        self.testbench.on_step = self._on_step
        seconds = float(environment["VIRTIOFS_WATCHDOG_S"])
        self.watchdog = Watchdog(seconds, self.testbench, self.summary, self.run_dir)
        ConfigDB().set(None, "*", "TESTBENCH", self.testbench)
        self.env = VirtioFsEnv("env", self)
        self.meter = Meter(self._work)
        self.host.log.subscribe(lambda batch: self.meter.look())

    def entry(self) -> catalogue.Entry:
        """What is run; a derived test may say something else."""
        return catalogue.find(self.summary.test)

    def server(self) -> FuseServer | None:
        """What the firmware answers with, None for the golden file system; called after `entry`."""
        return None

    def _work(self) -> Work:
        testbench = self.testbench
        return Work(
            self.host.bridge.cycles(),
            testbench.progress.tlps,
            testbench.requests,
            self.host.python_s,
            self.env.scoreboards.seconds,
        )

    def _on_step(self, name: str) -> None:
        if name == MEASURED_STEP:
            self.meter.start()
        else:
            self.meter.stop()
        steps = self.testbench.entry.steps
        (self.run_dir / STEP_FILE).write_text(f"{name} ({len(self.testbench.steps)} of {len(steps)})")
        self.logger.info(f"step {name}")

    async def run_phase(self) -> None:
        self.raise_objection()
        # What exists now stays: the collector need not look at it again, nor at every 700 new objects.
        gc.collect()
        gc.freeze()
        gc.set_threshold(GC_OBJECTS, 20, 100)
        started = time.monotonic()
        self.watchdog.start()
        try:
            self.host.bridge.reset(RESET_CYCLES)
            self.host.throttle(back_pressure(self.summary.seed))
            sequences = [SEQUENCES[name] for name in self.testbench.entry.sequences]
            await self.host.run(self.testbench.run(), self.limit_ps)
            for sequence in sequences:
                self.logger.info(f"sequence {sequence.__name__}")
                await self._beside_pump(sequence(self.testbench).start(self.env.driver.sequencer))
            if sequences:
                await self.host.run(self.testbench.drain(), self.limit_ps)
        except (CheckFailed, SimulationFailure) as error:
            self.testbench.crashed(error)
        except Exception as error:  # a crash in the testbench is reported like a failure, with its place
            self.testbench.crashed(error)
            self.logger.error(traceback.format_exc())
        finally:
            self.watchdog.stop()
            self.summary.wall_s = time.monotonic() - started
            self.summary.cycles = self.host.bridge.cycles()
        self.drop_objection()

    async def _beside_pump(self, body: Coroutine[Any, Any, None]) -> None:
        """Run a cocotb coroutine while the host's loop goes on; a failure of either ends both."""
        stop = self.host.event()

        async def until_stopped() -> None:
            await stop.wait()

        pump = cocotb.start_soon(self.host.run(until_stopped(), self.limit_ps))
        work = cocotb.start_soon(body)
        await First(pump, work)
        if pump.done():
            work.cancel()
            await pump
        else:
            stop.set()
            self.host.begin(_nothing())
            await pump
            await work
        self.testbench.raise_on_failure()

    def extract_phase(self) -> None:
        try:
            self.testbench.finish()
        except Exception as error:  # as above: the summary must say so
            self.testbench.crashed(error)
            self.logger.error(traceback.format_exc())

    def report_phase(self) -> None:
        self.testbench.fill(self.summary)
        self.summary.window = self.meter.rates() or self.summary.window
        self.host.log.close()
        self.summary.write(self.run_dir)
        if not self.summary.passed:
            first: FailureReport = self.summary.failures[0]
            raise AssertionError(f"{first.source}: {first.line}")
