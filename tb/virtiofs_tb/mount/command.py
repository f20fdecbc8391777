"""`virtiofs-tb mount` and `umount`: the endpoint as a directory, until Ctrl-C."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import click
from rich.console import Console

from virtiofs_tb import build, runner
from virtiofs_tb.arguments import parse_engine, parse_number
from virtiofs_tb.mount import control, kernel, model_run
from virtiofs_tb.mount.dpu import parse
from virtiofs_tb.mount.errors import MountError
from virtiofs_tb.mount.options import Options
from virtiofs_tb.mount.request import MountRequest, rerun
from virtiofs_tb.mount.run import TEST, MountRun
from virtiofs_tb.mount.traffic import Traffic
from virtiofs_tb.paths import ENDPOINT_FILELIST, RUNS
from virtiofs_tb.report import Summary, print_summary

TARGETS = ("rtl", "model")
WATCHDOG_S = 7 * 24 * 3600.0
UNMOUNT_S = 30.0
LOOK_S = 0.05

console = Console()


@click.command()
@click.option("--mnt", envvar="VIRTIOFS_MNT", default="", help="the directory to mount on")
@click.option("--target", envvar="VIRTIOFS_TARGET", default="", help="rtl or model (no simulator) [rtl]")
@click.option("--engine", envvar="VIRTIOFS_ENGINE", default="", help="who answers FUSE: ramfs or firmware")
@click.option("--seed", envvar="VIRTIOFS_SEED", default="", help="a number [random]")
@click.option("--waves", envvar="VIRTIOFS_WAVES", default="", help="1: dump waves (FST, or VCD without lz4)")
@click.option("--options", envvar="VIRTIOFS_MOUNT_OPTIONS", default="", hidden=True, help="for tests: options.py")
def mount(mnt: str, target: str, engine: str, seed: str, waves: str, options: str) -> None:
    """Mount the endpoint: this machine's kernel is the FUSE client of the simulated device."""
    directory = _directory(mnt)
    if (target or TARGETS[0]) not in TARGETS:
        raise runner.UsageError(f"TARGET={target}: expected {' or '.join(TARGETS)}")
    answers = parse_engine(engine)
    number = parse_number("SEED", seed, 0, (1 << 64) - 1) if seed else runner.random_seed()
    format_ = runner.wave_format(console.print) if waves not in ("", "0") else None
    if format_ and target == "model":
        raise runner.UsageError("WAVES=1: the golden device has no waves; leave TARGET=model away")
    with _usage_errors():
        others = Options.load(options)
        notice = kernel.check(directory)
    if notice:
        console.print(notice, highlight=False)
    run_dir = RUNS / f"{TEST}-{number}"
    if target == "model":
        summary = _on_model(directory, answers, number, run_dir, others)
    else:
        summary = _on_rtl(directory, answers, number, format_, others)
    print_summary(console, summary, run_dir)
    traffic = Traffic.read(run_dir)
    if traffic is not None:
        console.print(traffic.text, highlight=False)
    sys.exit(summary.result_class)


@click.command()
@click.option("--mnt", envvar="VIRTIOFS_MNT", default="", help="the directory that is mounted")
def umount(mnt: str) -> None:
    """End a mount, or clear away what a killed one left."""
    directory = _directory(mnt)
    with _usage_errors():
        for _, socket in control.running(directory):
            control.ask(socket, {"do": "stop"})
            if _wait(lambda: kernel.kind_of(directory) != kernel.KIND and not control.running(directory), UNMOUNT_S):
                console.print(f"{directory} is unmounted", highlight=False)
                return
            raise MountError(f"MNT={directory}: is still mounted after {UNMOUNT_S:.0f} s")
        if kernel.kind_of(directory) != kernel.KIND:
            raise MountError(f"MNT={directory}: nothing of ours is mounted there")
        why_not = kernel.detach(directory, lazy=True)
        if why_not:
            raise MountError(f"MNT={directory}: cannot be unmounted: {why_not}")
    console.print(f"{directory} is cleared: the mount was left by a process that is gone", highlight=False)


@click.command()
@click.option("--cmd", envvar="VIRTIOFS_CMD", default="", help="write FILE TEXT, rm FILE, mv A B, ls, ...")
@click.option("--mnt", envvar="VIRTIOFS_MNT", default="", help="of several mounts, the one on this directory")
def dpu(cmd: str, mnt: str) -> None:
    """Act as the DPU on a mount that runs: change files behind the back of this machine's kernel."""
    with _usage_errors():
        words = parse(cmd)
        mounts = control.running(_directory(mnt) if mnt else None)
        if not mounts:
            place = f"on {_directory(mnt)}" if mnt else "anywhere"
            raise MountError(f"nothing is mounted {place}: make mount MNT=directory, in another terminal")
        if len(mounts) > 1:
            raise MountError(f"MNT= is missing: there are mounts on {', '.join(str(place) for place, _ in mounts)}")
        answer = control.ask(mounts[0][1], {"do": "dpu", "words": words})
    for line in answer.get("lines", []):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    if not answer.get("ok"):
        click.echo(f"make dpu: {answer.get('why')}", err=True)
        sys.exit(1)


def _on_model(directory: Path, engine: str, seed: int, run_dir: Path, options: Options) -> Summary:
    run = MountRun(directory, engine, options)
    with _stopping(run.session.stop), _announced(directory):
        summary = model_run.run(run, seed, run_dir, rerun(directory, seed, "model", engine))
    run.session.traffic.write(run_dir)
    return summary


def _on_rtl(directory: Path, engine: str, seed: int, waves: str | None, options: Options) -> Summary:
    verilator = build.find_verilator()
    if verilator.notice:
        console.print(verilator.notice, highlight=False)
    with console.status("building the simulation") as status:
        simulation = build.build(ENDPOINT_FILELIST, waves, echo=status.update)
    request = MountRequest(
        TEST, seed, waves, engine=engine, watchdog_s=WATCHDOG_S, mountpoint=directory, mount_options=options
    )

    def stop() -> None:
        for _, socket in control.running(directory):
            with contextlib.suppress(MountError):
                control.ask(socket, {"do": "stop"})

    with _stopping(stop), _announced(directory):
        try:
            return runner.run_one(request, simulation)
        finally:  # a simulator that was killed could not do it
            control.running(directory)
            if kernel.kind_of(directory) == kernel.KIND:
                kernel.detach(directory, lazy=True)


@contextlib.contextmanager
def _stopping(stop: Callable[[], None]) -> Iterator[None]:
    """The first Ctrl-C or SIGTERM unmounts; a second one ends everything at once."""
    asked = False

    def handler(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        threading.Thread(target=stop, name="stop", daemon=True).start()

    saved = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, action in saved.items():
            signal.signal(number, action)


@contextlib.contextmanager
def _announced(directory: Path) -> Iterator[None]:
    """Say when the directory can be used."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(LOOK_S):
            if kernel.kind_of(directory) == kernel.KIND:
                console.print(f"mounted on {directory}; Ctrl-C unmounts", highlight=False)
                return

    watcher = threading.Thread(target=watch, name="mounted", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()


@contextlib.contextmanager
def _usage_errors() -> Iterator[None]:
    try:
        yield
    except MountError as error:
        raise runner.UsageError(str(error)) from error


def _directory(mnt: str) -> Path:
    if not mnt:
        raise runner.UsageError("MNT= is missing: name the directory, as in make mount MNT=/mnt")
    return Path(mnt).absolute()


def _wait(done: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not done():
        if time.monotonic() >= end:
            return False
        time.sleep(LOOK_S)
    return True
