"""`virtiofs-tb linux` and `make linux`: what is typed wrong is one line and status 2."""

from __future__ import annotations

import os
import subprocess
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from virtiofs_model.layouts.fuse_constants import Opcode
from virtiofs_tb import build, runner
from virtiofs_tb.guest import command, kernel
from virtiofs_tb.guest.errors import GuestFailure
from virtiofs_tb.guest.process import GuestImage
from virtiofs_tb.guest.request import Assignment, GuestRequest
from virtiofs_tb.guest.run import check_asked, compare
from virtiofs_tb.guest.variants import VARIANTS
from virtiofs_tb.paths import ROOT
from virtiofs_tb.report import Summary

SIMULATION = build.Build(Path("/none"), None, Path("/log"), False, 0.0, build.Verilator(Path("/none"), "5", {}))
IMAGE = GuestImage(Path("/kernel"), Path("/initrd"), {"tag": "x"})


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--variant", "indirekt"], "VARIANT=indirekt: no such variant; there are indirect, direct"),
        (["--target", "qemu"], "TARGET=qemu: expected rtl or model"),
        (["--seed", "many"], "SEED=many: expected a whole number"),
        (["--jobs", "0"], "JOBS=0: expected 1 to 256"),
        (["--waves", "1", "--target", "model"], "the golden device has no waves"),
        (["--waves", "maybe"], "WAVES=maybe: expected 1 or 0"),
        (["--from", "12us"], "FROM= and TO= are of waves: add WAVES=1"),
        (["--waves", "1", "--from", "12us", "--to", "1us"], "FROM=12us is after TO=1us"),
        (["--shell", "1"], "SHELL=1: the guest's shell needs a terminal"),
        (["--shell", "1", "--variant", "direct,literal"], "a shell is of one variant"),
        (["--shell", "bash"], "SHELL=bash: expected 1 or 0"),
    ],
)
def test_usage(arguments: list[str], text: str) -> None:
    result = CliRunner().invoke(command.linux, arguments)
    assert isinstance(result.exception, runner.UsageError), result.output
    assert text in str(result.exception)


def test_a_machine_without_the_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "missing", lambda: ["flex"])
    result = CliRunner().invoke(command.linux, ["--target", "model"])
    assert isinstance(result.exception, runner.UsageError)
    assert str(result.exception).startswith("a Linux guest needs flex: apt-get install linux-source-6.1 flex")


def make(*arguments: str) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("VIRTIOFS_", "MAKE"))}
    probe = f"include {ROOT}/Makefile\nprobe:\n\t@echo shell=$$VIRTIOFS_SHELL variant=$$VIRTIOFS_VARIANT\n"
    line = ["make", "--no-print-directory", "-f", "-", "probe", *arguments]
    done = subprocess.run(line, input=probe, capture_output=True, text=True, env=environment, cwd=ROOT, check=True)
    return done.stdout.strip()


def test_makes_own_variable_of_that_name() -> None:
    assert make("SHELL=1", "VARIANT=direct") == "shell=1 variant=direct"
    assert make() == "shell= variant="
    assert make("SHELL=/bin/sh") == "shell= variant=", "a shell for make is still a shell for make"


def test_a_variant_travels_to_the_simulators_process(monkeypatch: pytest.MonkeyPatch) -> None:
    assignment = Assignment(VARIANTS["direct"], IMAGE, "/dev/pts/7")
    request = GuestRequest("linux-direct", 3, "fst", assignment=assignment)
    for name, value in request.environment.items():
        monkeypatch.setenv(name, value)
    assert Assignment.from_environment() == assignment
    assert request.rerun == "make linux VARIANT=direct SEED=3 WAVES=1"
    assert request.module == "virtiofs_tb.guest.simulation"
    part = replace(request, window_ps=(5, 7))
    assert part.rerun == "make linux VARIANT=direct SEED=3 WAVES=1 FROM=5ps TO=7ps"


def test_the_variants_differ_in_what_they_are_for() -> None:
    served = [variant for variant in VARIANTS.values() if not variant.literal]
    assert {variant.indirect for variant in served} == {True, False}
    assert {variant.request_queues for variant in served} == {1, 4}
    assert {variant.notification for variant in served} == {True, False}
    assert any(variant.literal for variant in VARIANTS.values())
    for variant in VARIANTS.values():
        assert len(variant.tag) <= 36


def test_the_longest_guest_begins_first(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[str] = []

    def run_all(requests: list[GuestRequest], *_: object, **__: object) -> list[Summary]:
        begun.extend(request.assignment.variant.name for request in requests)
        return [Summary(request.test, request.seed) for request in requests]

    monkeypatch.setattr(runner, "run_all", run_all)
    assignments = [Assignment(variant, IMAGE) for variant in VARIANTS.values()]
    command.run_all(assignments, 1, SIMULATION, None, 2)
    assert begun[0] == "hardware" and set(begun) == set(VARIANTS)


# ---- what Linux must have asked for ----


def test_a_guest_that_does_not_ask() -> None:
    hardware = VARIANTS["hardware"]
    asked = Counter({opcode.value: 1 for opcode in hardware.must_ask})
    check_asked(hardware, asked)
    check_asked(VARIANTS["literal"], {})
    del asked[Opcode.SETLK]
    asked[Opcode.TMPFILE] = 0
    with pytest.raises(GuestFailure, match=r"Linux never asked for TMPFILE, SETLK$"):
        check_asked(hardware, asked)


# ---- the comparison outside ----


def left_by_a_guest(tree: Path) -> str:
    (tree / "left").mkdir()
    (tree / "left" / "random").write_bytes(b"random")
    (tree / "left" / "note").write_text("for the host\n")
    (tree / "left" / "link").symlink_to("note")
    (tree / "synced").write_bytes(b"")
    return "7ddf32e17a6ac5ce04a8ecbf782ca509"


def test_what_the_guest_left(tmp_path: Path) -> None:
    compare(tmp_path, left_by_a_guest(tmp_path))


def test_what_the_guest_left_is_something_else(tmp_path: Path) -> None:
    md5 = left_by_a_guest(tmp_path)
    with pytest.raises(GuestFailure, match="MD5 is unknown"):
        compare(tmp_path, "")
    (tmp_path / "left" / "note").write_text("for somebody else\n")
    with pytest.raises(GuestFailure, match="for somebody else"):
        compare(tmp_path, md5)
    (tmp_path / "left" / "random").write_bytes(b"other")
    with pytest.raises(GuestFailure, match="here it is"):
        compare(tmp_path, md5)
    (tmp_path / "more").write_bytes(b"")
    with pytest.raises(GuestFailure, match="'more'"):
        compare(tmp_path, md5)
