"""The driver checker: each rule has a driver that breaks it and is reported with exactly its clause; all others are
reported for nothing."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.unit.recorded_runs import ROOT, SCENARIOS, record_run
from tests.unit.wrong_drivers import WRONG, Driver, sound, sound_packed
from virtiofs_model.ramfs import Limits, RamfsServer
from virtiofs_tb.agents.firmware import FirmwareAgent
from virtiofs_tb.analysis.driver_command import driver
from virtiofs_tb.host.dpu import RegisterDpu
from virtiofs_tb.host.model_host import ModelHost
from virtiofs_tb.scenario import Bench
from virtiofs_tb.scoreboards.driver_rules.base import L1, L2
from virtiofs_tb.scoreboards.driver_rules.checker import LEVELS, DriverChecker
from virtiofs_tb.scoreboards.driver_rules.registry import NOT_OBSERVED, how
from virtiofs_tb.scoreboards.driver_rules.status import WELCOME
from virtiofs_tb.seeds import stream

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

LIMIT_PS = 200_000_000_000
SEED = 1
CHOICES = {*WELCOME, "FS-INIT-RI1", "FS-INIT-RI2"}
"""What a driver should do, or usually does, and a scenario does otherwise where it wants to."""
ON_PURPOSE: dict[str, list[str]] = tomllib.loads((ROOT / "tests" / "sim" / "broken_on_purpose.toml").read_text())


def driver_clauses() -> set[str]:
    with (ROOT / "spec" / "clauses.csv").open(newline="") as file:
        return {row["id"] for row in csv.DictReader(file) if row["who"] == "driver"}


def test_each_clause_of_the_side_has_a_rule_or_a_reason() -> None:
    assert set(LEVELS).isdisjoint(NOT_OBSERVED)
    assert set(LEVELS) | set(NOT_OBSERVED) == driver_clauses()
    assert {how(clause) for clause in LEVELS} == {L1, L2}
    assert all(reason and reason[0].islower() for reason in NOT_OBSERVED.values())


def test_each_rule_has_a_wrong_driver() -> None:
    assert set(WRONG) == set(LEVELS)


@pytest.mark.parametrize("clause", WRONG)
def test_a_wrong_driver_is_reported(clause: str) -> None:
    driver = Driver()
    WRONG[clause](driver)
    assert driver.clauses() == [clause]
    [report] = driver.checker.reports
    assert report.text and report.expected and report.seen and f"[{clause}]" in str(report)


def test_a_driver_without_fault_is_not_reported() -> None:
    for course in (sound, sound_packed):
        driver = Driver()
        course(driver)
        assert [str(report) for report in driver.checker.finish()] == []


@pytest.mark.parametrize("name", SCENARIOS)
def test_our_driver_breaks_nothing_but_what_a_scenario_wants(name: str) -> None:
    scenario = SCENARIOS[name]
    host = ModelHost(SEED)
    behind_firmware = scenario.not_applicable(host.caps) is None
    if not behind_firmware:
        host = ModelHost(SEED, ramfs=Limits())
    firmware = FirmwareAgent(host.engine, RamfsServer(), host.loop, stream(SEED, "firmware"))
    if isinstance(host.dpu, RegisterDpu) and behind_firmware:
        host.dpu.firmware = firmware.fs_request
    tb = Bench(SEED, ROOT / "tests" / "data" / "sessions", firmware=firmware, faults=host.faults)
    tb.options["random_operations"] = 60
    checker = DriverChecker()
    host.log.subscribe(checker.observe)
    host.run(scenario.function(host, tb), LIMIT_PS)
    host.drain(LIMIT_PS)
    host.log.flush()
    found = {report.clause: str(report) for report in checker.finish() if report.clause not in CHOICES}
    assert sorted(found) == sorted(ON_PURPOSE.get(name, ())), found


def test_scenarios_that_break_something_exist() -> None:
    assert set(ON_PURPOSE) <= set(SCENARIOS)
    assert all(set(clauses) <= set(LEVELS) for clauses in ON_PURPOSE.values())


def test_the_command(tmp_path: Path) -> None:
    record_run(tmp_path / "sound", "session_browse")
    done = CliRunner().invoke(driver, [str(tmp_path / "sound")])
    assert (done.exit_code, done.output) == (0, f"0 of {len(LEVELS)} clauses for drivers were broken\n")
    record_run(tmp_path / "wrong", "feature_words")
    done = CliRunner().invoke(driver, [str(tmp_path / "wrong")])
    assert done.exit_code == 1 and "driver_feature written before DRIVER is set" in done.output
