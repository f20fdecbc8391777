"""The pages say what is true: commands exist, links resolve, tables and code are those of the source.

A command is a line of a ```console block that begins with "$ ". Cheap ones are run; `make` is asked what it would do;
those that need a simulator name a test that the catalogue has, which tests/sim runs. Any other must be in ELSEWHERE.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import socket
import subprocess
import sys
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests.unit.carded_runs import failing_run
from tests.unit.recorded_runs import record_run
from virtiofs_model.errors import ErrorCode
from virtiofs_model.layouts.dpu import DpuCounter, DpuRegister
from virtiofs_tb import catalogue, cli, model_run
from virtiofs_tb.analysis import card, source
from virtiofs_tb.host.log import Channel, Kind, ObservationLog
from virtiofs_tb.model_run import ModelRequest, run_model
from virtiofs_tb.paths import ROOT
from virtiofs_tb.profile import Profile
from virtiofs_tb.report import ResultClass, Summary
from virtiofs_tb.shrink import command as shrink_command
from virtiofs_tb.shrink import targets

PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]

CONSOLE = re.compile(r"```console\n(.*?)```", re.DOTALL)
FENCE = re.compile(r"```(\w*)\n(.*?)```", re.DOTALL)
LINK = re.compile(r"\[[^\]]+\]\(([^)\s]+)\)")

# Commands that need a simulator, and the tests that they run: tests/sim/test_simulations.py runs each of the catalogue.
SIMULATED = {
    "make sim": ("main",),
    "make sim TEST=a_name_that_is_not_there SEED=1": ("a_name_that_is_not_there",),
    "make sim TEST=session_browse SEED=1 WAVES=1": ("session_browse",),
    "make waves TEST=session_browse SEED=1": ("session_browse",),
    "make waves TEST=session_browse SEED=1 FROM=12us TO=20us": ("session_browse",),
    "make waves TEST=session_browse SEED=1 GROUPS=channels,queues": ("session_browse",),
    "make sim DUT=tests/sim/second_dut/second_dut.f PROFILE=tests/sim/second_dut/second_dut.toml "
    "TEST=session_browse SEED=1": ("session_browse",),
}

# Commands that nothing here can run, and where they are run instead: a file, and what must be in it.
ELSEWHERE = {
    "make campaign": ("Makefile", "\ncampaign:"),
    "make campaign TEST=fuzz SEEDS=1": ("tb/virtiofs_tb/campaign.py", "VIRTIOFS_SEEDS"),
    "make test": (".ci/run", "make test"),
    "make lint": (".ci/run", "make lint"),
    "make grade": (".ci/run", "make grade"),
    "make coverage": (".ci/run", "make coverage"),
    ".venv/bin/virtiofs-tb coverage --recorded": ("tb/virtiofs_tb/coverage_command.py", '"--recorded"'),
    "make peers": (".ci/run", "make peers"),
    "make clean": ("Makefile", "\nclean:"),
    "make synth": ("Makefile", "\nsynth:"),
    ".venv/bin/virtiofs-tb synth --write": ("tb/virtiofs_tb/synth.py", '"--write"'),
    "make linux": (".ci/run", "make linux"),
    "make linux VARIANT=direct,literal": ("tests/unit/test_guest_command.py", "VARIANT="),
    "make linux TARGET=model": ("tests/peers/test_linux_guest.py", "model_run.run"),
    "make linux VARIANT=direct SEED=1 WAVES=1": ("tests/unit/test_guest_command.py", "SEED=3 WAVES=1"),
    "make linux SHELL=1": ("tests/peers/test_linux_guest.py", '"--shell", "1"'),
    "apt-get install linux-source-6.1 flex bison bc make gcc libc6-dev xz-utils busybox-static cpio": (
        "tb/virtiofs_tb/guest/kernel.py",
        'PACKAGES = "linux-source-6.1 flex bison bc make gcc libc6-dev xz-utils busybox-static cpio"',
    ),
    "apt-get install python3-venv libpython3-dev make g++ perl": (".ci/run", "apt-get install"),
    "git clone <address of this repository> virtiofs-cosim && cd virtiofs-cosim": ("README.md", "git clone"),
}


def commands() -> dict[str, str]:
    """Every command, and the page that it is on."""
    found: dict[str, str] = {}
    for page in PAGES:
        for block in CONSOLE.findall(page.read_text()):
            lines = [line for line in block.splitlines() if line]
            assert all(line.startswith("$ ") for line in lines), f"{page.name}: {lines}"
            found |= {line[2:]: page.name for line in lines}
    return found


def run(command: list[str]) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("VIRTIOFS_", "MAKE"))}
    environment["PYTHONPATH"] = f"{ROOT / 'models'}{os.pathsep}{ROOT / 'tb'}"
    environment.pop("PYTEST_CURRENT_TEST", None)
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


# ---- commands ----


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of runs with the one that the pages look at, of the golden device."""
    runs = tmp_path_factory.mktemp("runs")
    record_run(runs / "session_browse-1", "session_browse")
    failing_run(runs / "session_browse-7", "session_browse", "used_length_of_buffer", seed=7)
    directory = runs / "model-random_operations-5"
    run_model(ModelRequest("random_operations", 5, "used_length_of_buffer", directory=directory))
    return runs


@pytest.mark.parametrize("command", commands())
def test_command(command: str, recorded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = shlex.split(command.replace("<", "'<").replace(">", ">'"))
    if words[0] == "make":
        run(["make", "-n", *words[1:]])  # nothing is made: the target exists
    if command in SIMULATED:
        known = {entry.name for entry in catalogue.entries()}
        assert set(SIMULATED[command]) <= known
        variables = dict(word.split("=", 1) for word in words if "=" in word)
        assert cli.parse_tests(variables.get("TEST", "")) == list(SIMULATED[command])
        for name in ("DUT", "PROFILE"):
            assert (ROOT / variables.get(name, "Makefile")).is_file()
    elif command in ELSEWHERE:
        file, text = ELSEWHERE[command]
        assert text in (ROOT / file).read_text()
    elif command == "make help":
        assert "make sim" in run(words)
    elif command == "make list":
        assert "session_browse" in run([sys.executable, "-c", "from virtiofs_tb.cli import main; main()", "list"])
    elif command.startswith(
        tuple(f".venv/bin/virtiofs-tb {name} " for name in ("show", "rings", "card", "model", "shrink"))
    ):
        monkeypatch.setattr(source, "RUNS", recorded)
        monkeypatch.setattr(card, "RUNS", recorded)
        monkeypatch.setattr(model_run, "RUNS", recorded)
        monkeypatch.setattr(targets, "RUNS", recorded)
        monkeypatch.setattr(shrink_command, "FOLDER", recorded / "shrunk")
        monkeypatch.chdir(recorded)
        done = CliRunner().invoke(cli.cli, words[1:], standalone_mode=False)
        failed = isinstance(done.exception, SystemExit) and "--defect" in words and done.exit_code == ResultClass.FAILED
        assert (done.exception is None or failed) and done.output and "no story matches" not in done.output
    elif command.startswith(".venv/bin/python -m pytest tests/unit/"):
        assert " passed" in run([sys.executable, *words[1:], "-q", "-p", "no:cacheprovider"])
    else:
        pytest.fail(f"nothing runs this command of {commands()[command]}: {command}")


def test_tables_name_no_command_that_is_gone() -> None:
    assert {*SIMULATED, *ELSEWHERE} <= set(commands())


def test_every_target_and_variable_of_make_is_in_the_readme() -> None:
    makefile = (ROOT / "Makefile").read_text()
    readme = (ROOT / "README.md").read_text()
    for target in re.findall(r"^([a-z]+):.*##", makefile, re.MULTILINE):
        assert f"| `{target}` |" in readme
    for variable in re.findall(r"export VIRTIOFS_(\w+)", makefile):
        assert f"`{variable}`" in readme


# ---- links and names ----


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_resolve(page: Path) -> None:
    for link in LINK.findall(page.read_text()):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert target.is_relative_to(ROOT), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_place_of_one_machine(page: Path) -> None:
    text = page.read_text()
    assert not re.search(r"(?<![\w.:/~)-])/(home|root|work|usr|opt|tmp|var|etc|mnt|srv|Users)\b", text)
    assert not re.search(rf"\b{re.escape(socket.gethostname())}\b", text)
    assert str(ROOT) not in text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_lines_are_short(page: Path) -> None:
    prose = FENCE.sub("", page.read_text())
    long = [line for line in prose.splitlines() if len(line) > 120 and not line.startswith("|")]
    assert not long


def test_every_page_is_reached_from_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()
    for page in PAGES[1:]:
        assert f"({page.relative_to(ROOT)})" in readme


# ---- what the pages say about files and classes ----


def rows(page: str, columns: int) -> list[list[str]]:
    """Cells of all table rows with that many columns, without the heads' rules."""
    cells = [
        [cell.strip() for cell in line.strip().strip("|").split(" | ")]
        for line in (ROOT / page).read_text().splitlines()
        if line.startswith("| ")
    ]
    return [row for row in cells if len(row) == columns]


def test_summary_keys() -> None:
    row = next(row for row in rows("README.md", 2) if row[0] == "`summary.json`")
    named = set(re.findall(r"`(\w+)`", row[1]))
    keys = {item.name for item in fields(Summary)} - {"test", "seed", "result_class"} | {"class", "result"}
    assert named == keys


def test_exit_classes() -> None:
    classes = [int(row[0]) for row in rows("README.md", 2) if row[0].isdigit()]
    assert classes == sorted(ResultClass)


def test_the_summary_shown_is_that_of_the_main_job() -> None:
    readme = (ROOT / "README.md").read_text()
    shown = next(text for language, text in FENCE.findall(readme) if text.startswith("running main"))
    steps = re.findall(r"^(\w+) +passed +[\d.,]+ us$", shown, re.MULTILINE)
    assert steps == [step.name for step in catalogue.find("main").steps]


def test_the_first_scenario_is_the_example() -> None:
    page = (ROOT / "docs" / "first-scenario.md").read_text()
    code = next(text for language, text in FENCE.findall(page) if language == "python")
    example = (ROOT / "tests" / "sim" / "scenarios" / "example.py").read_text()
    assert example.endswith(code)


def test_the_log_reader_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (ROOT / "docs" / "debugging.md").read_text()
    code = next(text for language, text in FENCE.findall(page) if language == "python")
    log = ObservationLog(tmp_path / "sim_build" / "runs" / "session_browse-1")
    log.append(0, Kind.NOTE, payload=b"step session_browse")
    log.append_tlp(4_000, Channel.CQ, (0x0400_0001, 0x0000_000F, 0x0100_0008, 0), b"")
    log.close()
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "debugging.md", "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "step session_browse"
    assert "CQ  0x8" in lines[1]


def keys_of(kind: type[Any], prefix: str = "") -> dict[str, Any]:
    """Keys of a profile, and their defaults."""
    found: dict[str, Any] = {}
    for item in fields(kind):
        default = item.default if item.default_factory is MISSING else item.default_factory()
        if is_dataclass(default):
            found |= keys_of(type(default), f"{item.name}.")
        else:
            found[prefix + item.name] = default
    return found


def test_profile_keys() -> None:
    # TOML writes numbers, words and empty lists as JSON does.
    expected = {f"`{key}`": f"`{json.dumps(value)}`" for key, value in keys_of(Profile).items()}
    table = rows("docs/another-endpoint.md", 3)
    assert {row[0]: row[1] for row in table if "." in row[0] or row[0] in expected} == expected


def test_ports_of_the_wrapper() -> None:
    source = (ROOT / "tb" / "hdl" / "virtio_fs_dut.sv").read_text()
    ports = re.findall(r"^    (?:input  logic|output logic|\w+_if\.\w+) +(\w+),?$", source, re.MULTILINE)
    named = [name for row in rows("docs/another-endpoint.md", 3) for name in re.findall(r"`(\w+)`", row[0])]
    assert len(ports) == 17 and set(ports) <= set(named)


# ---- the DPU port: page, Python, SystemVerilog ----


def test_registers_on_the_page() -> None:
    """tests/unit/test_dpu_map.py holds Python and SystemVerilog against each other."""
    table = [row for row in rows("docs/dpu-port.md", 4) if row[0].startswith("0x")]
    assert {row[1]: int(row[0], 16) for row in table} == {register.name: register for register in DpuRegister}


def test_counters_on_the_page() -> None:
    table = [row for row in rows("docs/dpu-port.md", 3) if row[0].isdigit()]
    assert {row[1]: int(row[0]) for row in table} == {counter.name: counter for counter in DpuCounter}


def test_error_codes_on_the_page() -> None:
    table = [row for row in rows("docs/dpu-port.md", 4) if row[0].isdigit()]
    page = {row[1]: (int(row[0]), row[2] == "yes") for row in table}
    package = (ROOT / "hdl" / "pkg" / "endpoint_pkg.sv").read_text()
    constants = re.findall(r"\bERR_(\w+) = 8'd(\d+),? *(?://(.*))?", package)
    assert page == {name: (int(code), "(fatal)" in text) for name, code, text in constants if name != "NONE"}
    assert {name: code for name, (code, _) in page.items()} == {code.name: code for code in ErrorCode if code}
