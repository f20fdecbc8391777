"""The conformance matrix: every clause once, nothing written by hand, and results that follow from runs."""

from __future__ import annotations

import csv
from pathlib import Path

from virtiofs_tb.conformance.declared import DRIVER_RULES, OF_DEVICES, declared
from virtiofs_tb.conformance.page import dump, load, render, write
from virtiofs_tb.conformance.results import NOTHING, Results, results_of
from virtiofs_tb.paths import ROOT
from virtiofs_tb.report import MODEL, FailureReport, StepReport, Summary
from virtiofs_tb.scoreboards.driver_rules.registry import NOT_OBSERVED

DOCS = ROOT / "docs"
DUT = "hdl/virtio_fs_endpoint.f"
WANTED = ("MUST", "MUST NOT", "SHOULD", "SHOULD NOT")


def rows() -> list[dict[str, str]]:
    with (ROOT / "spec" / "clauses.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def run(name: str, result: str = "passed", clause: str = "", dut: str = DUT) -> Summary:
    summary = Summary(name, 1, dut=dut, steps=[StepReport(name, result)])
    if clause:
        summary.failures.append(FailureReport("descriptors", 5, "wrong", clause))
    return summary


def results(*summaries: Summary) -> dict[str, str]:
    found = Results()
    for summary in summaries:
        found.take(summary)
    return {clause.id: found.of(clause) for clause in declared()}


def test_the_page_has_every_clause_of_the_list() -> None:
    clauses, _ = load((DOCS / "conformance.json").read_text())
    assert [(one.id, one.level, one.side, one.what_holds) for one in clauses] == [
        (row["id"], row["level"], row["who"], row["what_holds"]) for row in rows()
    ]


def test_the_page_is_what_the_generator_writes() -> None:
    clauses, runs = load((DOCS / "conformance.json").read_text())
    assert render(clauses, runs) == (DOCS / "conformance.md").read_text()
    assert load(dump(clauses, runs)) == (clauses, runs)


def test_what_the_page_names_exists() -> None:
    """A scenario, rule or defect that is gone: make conformance."""
    clauses, _ = load((DOCS / "conformance.json").read_text())
    now = {clause.id: clause for clause in declared()}
    for clause in clauses:
        for names, known in (
            (clause.scenarios, now[clause.id].scenarios),
            (clause.scoreboards, now[clause.id].scoreboards),
            (clause.defects, now[clause.id].defects),
        ):
            assert set(names) <= set(known), f"{clause.id}: {sorted(set(names) - set(known))}; make conformance"


def test_each_clause_that_binds_is_checked_or_has_a_reason() -> None:
    open_ = [one.id for one in declared() if one.level in WANTED and not one.checked and not one.reason]
    assert open_ == []


def test_reasons_are_for_clauses_that_exist() -> None:
    ids = {row["id"]: row["who"] for row in rows()}
    assert all(ids[clause] != "driver" for clause in OF_DEVICES)
    assert all(ids[clause] == "driver" for clause in NOT_OBSERVED)


def test_results_follow_from_runs() -> None:
    clause = next(one for one in declared() if one.side == "device" and one.scenarios and not one.scoreboards)
    name = clause.scenarios[0]
    assert results()[clause.id] == "not run"
    assert results(run(name))[clause.id] == "passed"
    assert results(run(name), run(name, "failed"))[clause.id] == "failed"
    assert results(run(name, "not applicable"))[clause.id] == "not run"
    assert results(run(name, dut=MODEL))[clause.id] == "not run", "the golden device proves nothing of the endpoint"


def test_a_clause_that_a_failure_names_has_failed() -> None:
    clause = next(one for one in declared() if one.scoreboards and DRIVER_RULES not in one.scoreboards)
    assert results(run("any", clause=clause.id))[clause.id] == "failed"
    assert results(run("any"))[clause.id] == "passed", "scoreboards watch every run"
    assert results()[clause.id] == "not run"


def test_a_clause_that_nothing_checks_is_told(tmp_path: Path) -> None:
    found = results(run("any"))
    for clause in declared():
        if not clause.checked:
            assert found[clause.id] == ("" if clause.reason else NOTHING)
    write(declared(), 0, tmp_path)
    assert (tmp_path / "conformance.md").read_text().startswith("# Conformance")
    assert results_of([tmp_path]).runs == 0
