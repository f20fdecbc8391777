"""`make peers`: our driver on QEMU's device, our endpoint beside it, our file system beside virtiofsd."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import click
from rich.console import Console

from virtiofs_tb import build, catalogue
from virtiofs_tb.arguments import parse_number
from virtiofs_tb.host.peer_process import PeerError
from virtiofs_tb.host.qemu import find_qemu, find_virtiofsd, version_of, why_not
from virtiofs_tb.host.qemu_host import QEMU_CAPS
from virtiofs_tb.paths import ENDPOINT_FILELIST, ROOT
from virtiofs_tb.peers import decided, differential
from virtiofs_tb.peers.files import compare_files
from virtiofs_tb.peers.targets import TargetRun, of_model, of_qemu, of_rtl, peers_entry
from virtiofs_tb.report import ResultClass
from virtiofs_tb.scenario import load_scenarios

SEED = 1
TESTS = "tests/peers"


@click.command()
@click.option("--seed", envvar="VIRTIOFS_SEED", default="", help=f"a number [{SEED}]")
@click.option("--without-rtl", is_flag=True, help="leave out the simulation: QEMU beside the golden device only")
@click.option("--without-tests", is_flag=True, help=f"leave out {TESTS}: the report only")
def peers(seed: str, without_rtl: bool, without_tests: bool) -> None:
    """Hold the endpoint beside QEMU's vhost-user-fs-pci with virtiofsd: the same scenarios, the same requests."""
    number = parse_number("SEED", seed, 0, (1 << 64) - 1) if seed else SEED
    console = Console()
    reason = why_not()
    problems: list[str] = []
    if reason is None:
        problems += report(console, number, not without_rtl)
        _verdict(console, number, problems)
    else:
        console.print(f"skipped: {reason}", markup=False, highlight=False, soft_wrap=True)
    if not without_tests and not _tests():
        problems.append(f"{TESTS}: failed; its own last lines say what")
        _verdict(console, number, problems)  # again: the end of a log must say everything
    sys.exit(ResultClass.FAILED if problems else ResultClass.PASSED)


def _verdict(console: Console, seed: int, problems: list[str]) -> None:
    """A line for each thing that failed, then the verdict."""
    for line in problems:
        console.print(f"failed: {line}", markup=False, highlight=False, style="red", soft_wrap=True)
    console.print(f"{'FAILED' if problems else 'PASSED'} peers, seed {seed}", highlight=False)


def report(console: Console, seed: int, with_rtl: bool) -> list[str]:
    """Run everything and print what differs; a line for each thing that is not as it must be."""
    started = time.monotonic()
    try:
        versions = f"QEMU {version_of(find_qemu())}, virtiofsd {version_of(find_virtiofsd())}"
        console.print(versions, highlight=False)
        runs = _runs(console, seed, with_rtl)
        problems = _scenarios(console, runs)
        with console.status("comparing file systems"):
            files = compare_files(seed)
    except PeerError as error:
        return [str(error)]
    found = decided.sort(files.differences, decided.load(decided.FILES_FILE))
    title = "golden file system and virtiofsd"
    differential.print_differences(console, title, found)
    text = (
        f"\n{files.steps} FUSE operations, {files.compared} values compared, {len(found.decided)} differences decided"
    )
    console.print(f"{text}, {len(found.open)} not", highlight=False)
    console.print(f"compared in {time.monotonic() - started:.0f} s", highlight=False)
    return problems + differential.complaints(title, found)


def _runs(console: Console, seed: int, with_rtl: bool) -> list[TargetRun]:
    """The targets' runs, ours first in the list; QEMU's runs first, since it is soon done."""
    entry = peers_entry()
    with console.status("running QEMU") as status:
        qemu = of_qemu(entry, seed, lambda name: status.update(f"running QEMU: {name}"))
    runs: list[TargetRun] = []
    if with_rtl:
        verilator = build.find_verilator()
        if verilator.notice:
            console.print(verilator.notice, highlight=False)
        try:
            with console.status("building the simulation") as status:
                simulation = build.build(ENDPOINT_FILELIST, None, echo=status.update)
        except build.BuildError as error:
            console.print(f"build failed: {error}", markup=False, style="red", soft_wrap=True)
            sys.exit(ResultClass.BUILD)
        with console.status("simulating"):
            runs.append(of_rtl(entry, seed, simulation))
    with console.status("running the golden device"):
        runs.append(of_model(entry, seed))
    return [*runs, qemu]


def _scenarios(console: Console, runs: list[TargetRun]) -> list[str]:
    differential.print_verdicts(console, runs)
    console.print("\nnot applicable to QEMU:", highlight=False)
    for reason, names in not_applicable(runs[-1]).items():
        console.print(f"  {reason}: {', '.join(names)}", highlight=False, soft_wrap=True)
    *ours, qemu = runs
    decisions = decided.load(decided.FACTS_FILE)
    problems: list[str] = []
    for run in ours:
        found = decided.sort(differential.differences(run, qemu), decisions)
        title = f"{run.name} and QEMU"
        if run is ours[0] or not found.clean:
            differential.print_differences(console, title, found)
        text = (
            f"{differential.compared(run, qemu)} verdicts and facts compared, {len(found.decided)} differences decided"
        )
        console.print(f"\n{title}: {text}, {len(found.open)} not", highlight=False)
        problems += differential.complaints(title, found)
    if len(ours) == 2:
        among = list(differential.differences(*ours))
        number = differential.compared(*ours)
        console.print(f"RTL and model: {number} verdicts and facts compared, {len(among)} differences", highlight=False)
        problems += [f"RTL and model: {difference}" for difference in among]
    return problems


def not_applicable(qemu: TargetRun) -> dict[str, list[str]]:
    """The scenarios that QEMU did not run, by reason."""
    found: dict[str, list[str]] = {}
    for scenario in load_scenarios(catalogue.SCENARIOS).values():
        if scenario.name not in qemu.verdicts:
            reason = scenario.not_applicable(QEMU_CAPS) or "spared (tests/sim/testplan.toml)"
            found.setdefault(reason, []).append(scenario.name)
    return dict(sorted(found.items()))


def _tests() -> bool:
    """tests/peers but those of guests, which need a kernel; in a process of their own, without make's environment."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("VIRTIOFS_")}
    command = [sys.executable, "-m", "pytest", "-q", TESTS, "--ignore-glob=*/test_linux_*"]
    done = subprocess.run(command, cwd=ROOT, env=environment)
    return done.returncode == 0
