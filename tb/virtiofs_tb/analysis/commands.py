"""Commands of virtiofs-tb that look into the log of a run: show and rings."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console

from virtiofs_tb.analysis import show as shows
from virtiofs_tb.analysis.export import write_json_lines, write_perfetto
from virtiofs_tb.analysis.export_ftr import write_ftr
from virtiofs_tb.analysis.rings import rings_at
from virtiofs_tb.analysis.source import open_run
from virtiofs_tb.analysis.stories import tell

console = Console()
FILE = click.Path(path_type=Path)


@click.command()
@click.argument("log")
@click.option("--unique", type=click.IntRange(min=0), help="one request in full, by its unique")
@click.option("--queue", type=click.IntRange(min=0), help="only of this virtqueue")
@click.option("--op", help="only of this opcode or notify code, such as LOOKUP")
@click.option("--from", "begin", help="only what happened from this simulated time on, such as 12.5us")
@click.option("--to", "end", help="only what began up to this simulated time")
@click.option("--slowest", type=click.IntRange(min=1), help="only so many, those that took longest first")
@click.option("--tlps", is_flag=True, help="each in full, with its packets")
@click.option("--json", "json_file", type=FILE, help="write them as JSON lines instead")
@click.option("--perfetto", type=FILE, help="write them as a trace for ui.perfetto.dev instead")
@click.option("--ftr", type=FILE, help="write them as transactions for Surfer instead")
def show(
    log: str, unique: int | None, queue: int | None, op: str | None, begin: str | None, end: str | None,
    slowest: int | None, tlps: bool, json_file: Path | None, perfetto: Path | None, ftr: Path | None,
) -> None:  # fmt: skip
    """Every request and notification of a run, stage by stage.

    LOG is a run's directory, or TEST-SEED of sim_build/runs.
    """
    run = open_run(log)
    times = (run.time("--from", begin) if begin else None, run.time("--to", end) if end else None)
    chosen = shows.Selection(unique, queue, op, *times, slowest).of(tell(run.records))
    if json_file is not None:
        write_json_lines(chosen, json_file)
    if perfetto is not None:
        write_perfetto(chosen, run.records, perfetto)
    if ftr is not None:
        write_ftr(chosen, run.records, ftr, run.modified)
    if json_file is None and perfetto is None and ftr is None:
        shows.print_chosen(console, chosen, run, in_full=tlps or unique is not None, packets=tlps)
    else:
        shows.print_written(console, chosen, run)


@click.command()
@click.argument("log")
@click.option("--at", required=True, help="simulated time, such as 12.5us")
@click.option("--queue", type=click.IntRange(min=0), help="only this virtqueue")
def rings(log: str, at: str, queue: int | None) -> None:
    """The virtqueues at one moment: what the device had read, what it had written, what was in flight.

    LOG is a run's directory, or TEST-SEED of sim_build/runs.
    """
    run = open_run(log)
    shows.print_rings(console, rings_at(run.records, run.time("--at", at), queue), run)
