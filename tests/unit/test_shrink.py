"""A failing random run becomes a small test that fails the same way, and passes on a device without the defect."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from virtiofs_tb import catalogue, cli, model_run
from virtiofs_tb.analysis.source import AnalysisError
from virtiofs_tb.host.log import Kind, ObservationLog
from virtiofs_tb.model_run import ModelRequest, run_model
from virtiofs_tb.paths import ROOT
from virtiofs_tb.report import FailureReport, ResultClass, StepReport, Summary
from virtiofs_tb.runner import UsageError
from virtiofs_tb.sequences.random_ops import Action, RandomItem, generate
from virtiofs_tb.sequences.recorded import Conditions, Stimulus, StimulusError
from virtiofs_tb.shrink import targets
from virtiofs_tb.shrink.candidate import Candidate, Way, simpler_conditions, simpler_items
from virtiofs_tb.shrink.ddmin import ddmin
from virtiofs_tb.shrink.scenario_file import write_scenario
from virtiofs_tb.shrink.search import OtherFailure, Search

SEED = 5
RANDOM = "random_operations"

# defect: at most so many items and files are left.
LEFT = {
    "used_length_of_buffer": (1, 1),  # a READ of a file that is shorter
    "payload_above_mps": (2, 1),  # a READ needs a WRITE before it
    "reply_to_other_context": (2, 2),  # two at a time
    "request_twice": (0, 1),
    "interrupt_missing": (0, 1),  # a hang
    "write_into_readable": (0, 0),  # the mount is enough
}


SEEDS = {"reply_to_other_context": 9}
"""Where the failure of SEED needs many requests for its timing alone."""


def failing(directory: Path, defect: str, steps: Sequence[str] = (RANDOM,)) -> Summary:
    """The random scenario, after others, on the golden device with a defect."""
    seed = SEEDS.get(defect, SEED)
    known = {name: catalogue.find(name).steps[0] for name in steps}
    entry = catalogue.Entry(RANDOM, "", tuple(known.values()))
    return run_model(ModelRequest(RANDOM, seed, defect, directory=directory), entry)


def shrink(*arguments: object) -> Result:
    return CliRunner().invoke(cli.cli, ["shrink", *map(str, arguments)], standalone_mode=False)


def rerun(file: Path, defect: str = "", seed: int = SEED) -> Summary:
    return run_model(ModelRequest(str(file), seed, defect))


@pytest.fixture(autouse=True)
def _runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(targets, "RUNS", tmp_path / "runs")


@pytest.mark.parametrize("defect", LEFT)
def test_the_file_fails_the_same_way_and_passes_without_the_defect(defect: str, tmp_path: Path) -> None:
    seed = SEEDS.get(defect, SEED)
    before = failing(tmp_path / "run", defect)
    file = tmp_path / f"left_of_{defect}.py"
    done = shrink(tmp_path / "run", "--output", file)
    assert done.exception is None, done.output
    stimulus = Stimulus.of(file.read_text())
    files = {*range(stimulus.conditions.files), *(item.worker for item in stimulus.items)}
    items, most_files = LEFT[defect]
    assert len(stimulus.items) <= items and len(files) <= most_files
    again = rerun(file, defect, seed)
    assert Way.of(again.failures[0]) == Way.of(before.failures[0])
    assert rerun(file, seed=seed).passed
    assert f"--test {file} --seed {seed} --defect {defect}\n" in done.output
    assert again.failures[0].text in " ".join(file.read_text().split()), "the file says what it ends in"
    assert (tmp_path / "runs" / f"model-{file.stem}-{seed}" / "card.txt").exists()


def test_scenarios_before_are_left_out_where_they_can_be(tmp_path: Path) -> None:
    failing(tmp_path / "run", "used_length_of_buffer", ["identity", "device_initialises", RANDOM])
    file = tmp_path / "without_others.py"
    done = shrink(tmp_path / "run", "--output", file)
    assert done.exception is None and "scenarios before 2" in done.output and "BEFORE" not in file.read_text()


def test_scenarios_before_stay_where_they_are_needed(tmp_path: Path) -> None:
    """Ring positions that survive a reset show only on a device that was used before."""
    summary = failing(tmp_path / "run", "stale_queue_state", ["identity", "device_initialises", RANDOM])
    file = tmp_path / "with_another.py"
    done = shrink(tmp_path / "run", "--output", file)
    assert done.exception is None, done.output
    assert 'BEFORE = (\n    "device_initialises",\n)' in file.read_text()
    assert Way.of(rerun(file, "stale_queue_state").failures[0]) == Way.of(summary.failures[0])
    assert rerun(file).passed


def test_what_was_shrunk_can_be_shrunk_again(tmp_path: Path) -> None:
    failing(tmp_path / "run", "payload_above_mps")
    first = shrink(tmp_path / "run", "--output", tmp_path / "at_first.py", "--replays", 5)
    assert first.exception is None and "5 replays" in first.output and "the search ended before" in first.output
    again = shrink(tmp_path / "runs" / f"model-at_first-{SEED}", "--output", tmp_path / "in_the_end.py")
    assert again.exception is None and "the search ended" not in again.output
    sizes = [len(Stimulus.of((tmp_path / name).read_text()).items) for name in ("at_first.py", "in_the_end.py")]
    assert sizes[0] > sizes[1] == 2


# ---- what cannot be shrunk ----


def recorded(directory: Path, notes: Sequence[str], step: str = RANDOM) -> Path:
    """A failing run of nothing but notes."""
    log = ObservationLog(directory)
    for note in (f"step {step}", *notes):
        log.append(0, Kind.NOTE, payload=note.encode())
    log.close()
    summary = Summary(RANDOM, SEED, rerun=f"make sim TEST={RANDOM} SEED={SEED}", steps=[StepReport(step, "failed")])
    summary.failures.append(FailureReport("dma", 0, "write of 3 bytes", "SPLIT-DESC-D01"))
    summary.write(directory)
    return directory


def refused(kind: type[Exception], *arguments: object) -> str:
    error = shrink(*arguments).exception
    assert isinstance(error, kind) and "\n" not in str(error)
    return str(error)


def test_a_run_that_cannot_be_shrunk_is_one_line(tmp_path: Path) -> None:
    run_model(ModelRequest("identity", 1, directory=tmp_path / "passed"))
    Summary(RANDOM, SEED, message="killed").write(tmp_path / "killed")
    version = Conditions().to_json().replace('"stimulus": 1', '"stimulus": 2')
    other = Conditions().to_json().replace("mrrs", "mrss")
    cases = {
        tmp_path / "passed": "the run passed, there is nothing to shrink",
        tmp_path / "killed": "ended without a verdict",
        tmp_path / "nothing-7": "neither a run's directory nor TEST-SEED",
        tmp_path: "the run left no summary",
        recorded(tmp_path / "no stimulus", ["any note"], "identity"): "failed in step identity, which records no stim",
        recorded(tmp_path / "version", [version]): "stimulus of version 2, expected version 1",
        recorded(tmp_path / "conditions", [other]): "other conditions than expected: mrrs, mrss",
        recorded(tmp_path / "torn", [Conditions().to_json(), '{"action": 7}']): "not a valid Action",
    }
    for run, text in cases.items():
        assert text in refused(AnalysisError, run)


def test_a_stimulus_that_does_not_fail_here(tmp_path: Path) -> None:
    run = recorded(tmp_path / "run", [Conditions().to_json()])
    text = refused(AnalysisError, run, "--on", "model")
    assert "on the golden device passes; expected dma [SPLIT-DESC-D01]: write of # bytes" in text
    text = refused(AnalysisError, run, "--on", "model", "--defect", "used_index_before_data")
    assert "with used_index_before_data fails otherwise: dma [SPLIT-USED-D02]: used index covers" in text


def test_a_run_on_rtl_fails_on_the_golden_device_too(tmp_path: Path) -> None:
    """Its log is all that is needed: here of a run on RTL that wrote into a readable buffer."""
    run = recorded(tmp_path / "run", [Conditions(12).to_json(), *(item.to_json() for item in generate(SEED, 9, 12))])
    file = tmp_path / "from_rtl.py"
    done = shrink(run, "--on", "model", "--defect", "write_into_readable", "--output", file)
    assert done.exception is None, done.output
    assert "from items 9" not in done.output and not Stimulus.of(file.read_text()).items


def test_what_is_typed_wrong_is_one_line(tmp_path: Path) -> None:
    run = recorded(tmp_path / "run", [Conditions().to_json()])
    assert "only the golden device has defects" in refused(UsageError, run, "--defect", "used_id")
    assert "there are used_id" in refused(UsageError, run, "--on", "model", "--defect", "usd_id")
    for name in ("x.txt", "a-b.py"):
        assert "expected a name such as" in refused(UsageError, run, "--output", tmp_path / name)


# ---- the parts ----


def test_ddmin_finds_the_smallest() -> None:
    asked: list[Sequence[int]] = []

    def needs(*wanted: int) -> list[int]:
        def fails(parts: Sequence[int]) -> bool:
            asked.append(parts)
            return set(wanted) <= set(parts)

        return ddmin(range(200), fails)

    assert needs(3, 77, 199) == [3, 77, 199]
    assert needs(199) == [199]
    assert needs() == []
    assert ddmin(range(8), lambda parts: len(parts) % 2 == 0 and len(parts) >= 4) == [4, 5, 6, 7]
    assert len(asked) < 200


def test_a_failure_is_told_from_others() -> None:
    one = FailureReport("dma", 5, "write of 81 bytes", "A", 7, "x", "0x10..0x20")
    assert Way.of(one) == Way.of(FailureReport("dma", 9, "write of 4 bytes", "A", 1, "y"))
    others = [
        FailureReport("fuse", 5, "write of 81 bytes", "A"),
        FailureReport("dma", 5, "write of 81 bytes", "B"),
        FailureReport("dma", 5, "read of 81 bytes", "A"),
        FailureReport("dma", 5, "write of 81 bytes", "A", kind="hang"),
    ]
    assert all(Way.of(one) != Way.of(other) for other in others)
    named = FailureReport("step random_operations", 0, "size of b'worker-3'; 1,024.5 us at 0xAB\nowed: 7")
    assert Way.of(named) == Way("check", "step", "", "size of #; # us at #")


def test_a_stimulus_is_read_back() -> None:
    stimulus = Stimulus(Conditions(3, request_queues=1), tuple(generate(1, 5, 3)))
    assert Stimulus.read(["step x", *stimulus.lines, "other"]) == stimulus
    assert Stimulus.read(["step x", "{}"]) is None
    assert Stimulus.of("\n".join(stimulus.lines)) == stimulus
    with pytest.raises(StimulusError, match="no line"):
        Stimulus.of("")


def test_every_dimension_comes_to_an_end() -> None:
    item = RandomItem(9, 4, Action.WRITE, 3, 100, 900, 1)
    while others := list(simpler_items(item)):
        item = others[-1]
    assert item == RandomItem(9, 0, Action.STATFS, 0, 0, 1, 1, whole=True)
    conditions = Conditions(12)
    while simpler := list(simpler_conditions(conditions)):
        conditions = simpler[-1]
    assert conditions == Conditions(0, False, 1, 16, False)


def test_the_search_is_bounded_and_ends_when_interrupted() -> None:
    failure = FailureReport("dma", 0, "x")
    whole = Candidate(Stimulus(Conditions(12), tuple(generate(1, 64, 4))))
    search = Search(lambda candidate: failure if len(candidate.items) > 7 else None, Way.of(failure), 12)
    smallest = search.run(whole)
    assert search.replays == 12 and not search.complete and 7 < len(smallest.items) < 64

    def interrupted(candidate: Candidate) -> FailureReport:
        if len(candidate.items) < 40:
            raise KeyboardInterrupt
        return failure

    assert Search(interrupted, Way.of(failure), 99).run(whole) == whole
    with pytest.raises(OtherFailure):
        Search(lambda candidate: None, Way.of(failure), 99).run(whole)


def test_the_file_holds_any_text(tmp_path: Path) -> None:
    candidate = Candidate(Stimulus(Conditions(1), ()))
    failure = FailureReport("x", 0, 'a "quoted""" \\x00 text', expected="\\", seen='"')
    file = tmp_path / "any_text.py"
    file.write_text(write_scenario("any_text", "t", 1, candidate, failure, "make sim"))
    entry = catalogue.find(str(file))
    assert [step.name for step in entry.steps] == ["any_text"]


# ---- the golden device from the command line ----


def test_a_run_on_the_golden_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_run, "RUNS", tmp_path)
    done = CliRunner().invoke(cli.cli, ["model", "--test", "identity", "--seed", "3"])
    assert done.exit_code == ResultClass.PASSED and "PASSED identity, seed 3" in done.output
    line = ["model", "--test", "session_browse", "--seed", "3", "--defect", "used_length_of_buffer"]
    done = CliRunner().invoke(cli.cli, line)
    assert done.exit_code == ResultClass.FAILED and "seen      32784" in done.output
    assert f"  again:                  .venv/bin/virtiofs-tb {' '.join(line)}\n" in done.output
    assert Summary.read(tmp_path / "model-session_browse-3") is not None


def test_a_file_with_two_scenarios_runs_both(tmp_path: Path) -> None:
    file = tmp_path / "two.py"
    text = "from virtiofs_tb.scenario import scenario\n"
    for name in ("b_first", "a_second"):
        text += f'@scenario(clauses=[])\nasync def {name}(host, tb):\n    """Nothing."""\n'
    file.write_text(text)
    summary = run_model(ModelRequest(str(file), 1))
    assert summary.passed and [step.name for step in summary.steps] == ["b_first", "a_second"]
    assert "a_second" not in {entry.name for entry in catalogue.entries()}
    for content, why in (("import nothing_like_it", "ModuleNotFoundError"), ("", "there is no scenario in it")):
        file.write_text(content)
        with pytest.raises(catalogue.PlanError, match=why):
            catalogue.find(str(file))


def test_a_file_says_who_answers(tmp_path: Path) -> None:
    other = next(engine for engine in catalogue.ENGINES if engine != catalogue.DEFAULT_ENGINE)
    for engine in (catalogue.DEFAULT_ENGINE, other):
        file = tmp_path / f"answered_by_{engine}.py"
        candidate = Candidate(Stimulus(Conditions(), ()), engine=engine)
        file.write_text(write_scenario(file.stem, "t", 1, candidate, FailureReport("x", 0, "y"), "make sim"))
        assert catalogue.find(str(file)).engine == engine
        assert ("ENGINE = " in file.read_text()) == (engine == other)
    file.write_text(file.read_text().replace(f'"{other}"', '"nobody"'))
    with pytest.raises(catalogue.PlanError, match="ENGINE = 'nobody'"):
        catalogue.find(str(file))


def test_a_file_is_found_from_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "elsewhere.py"
    file.write_text("")
    monkeypatch.chdir(tmp_path)
    assert catalogue.file_name("elsewhere.py") == str(file)
    inside = "tests/sim/scenarios/example.py"
    assert catalogue.file_name(inside) == inside == catalogue.file_name(str(ROOT / inside))
    assert catalogue.stem(inside) == "example"
