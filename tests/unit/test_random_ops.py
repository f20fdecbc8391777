"""The random part as data: an item follows from seed and index alone, and a run's log gives its items back."""

from __future__ import annotations

from pathlib import Path

import pytest

from virtiofs_model.ramfs import RamfsServer
from virtiofs_tb.agents.firmware import FirmwareAgent
from virtiofs_tb.driver.bringup import mount
from virtiofs_tb.host.log import Kind, ObservationLog, Record
from virtiofs_tb.host.model_host import ModelHost
from virtiofs_tb.scenario import Bench
from virtiofs_tb.seeds import stream
from virtiofs_tb.sequences.random_ops import MAX_TRANSFER, RandomItem, RandomRunner, generate, random_size


def test_an_item_depends_on_seed_and_index_only() -> None:
    items = generate(7, 40, 4)
    assert generate(7, 10, 4, first=30) == items[30:]
    assert generate(8, 40, 4) != items


def test_sizes_are_log_uniform_with_a_mean_near_4_kib() -> None:
    sizes = [random_size(stream(1, "sizes", index)) for index in range(4000)]
    assert min(sizes) == 1 and MAX_TRANSFER // 2 < max(sizes) <= MAX_TRANSFER
    assert 3000 < sum(sizes) / len(sizes) < 5500


def test_the_log_of_a_run_gives_its_items_back() -> None:
    records: list[Record] = []
    log = ObservationLog()
    log.subscribe(records.extend)
    host = ModelHost(1, log)
    firmware = FirmwareAgent(host.engine, RamfsServer(), host.loop, stream(1, "firmware"))
    items = generate(3, 25, 2)

    async def main() -> None:
        ready = await mount(host, Bench(1, Path(), firmware=firmware))
        await RandomRunner(ready.device, ready.client).run(items)

    host.run(main())
    notes = [record.payload.decode() for record in records if record.kind == Kind.NOTE]
    performed = [RandomItem.from_json(note) for note in notes if note.startswith("{")]
    assert sorted(performed, key=lambda item: item.index) == items


@pytest.mark.parametrize("line", ["", "step main", "{}", "[1]", '{"action": "no such thing"}'])
def test_a_line_that_is_no_item(line: str) -> None:
    with pytest.raises(ValueError):
        RandomItem.from_json(line)
