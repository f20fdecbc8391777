"""A random run's stimulus as data: under which conditions which items were performed.

A run notes it in its log, so that it can be read back, made smaller (shrink.py) and performed again, on any target.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import asdict, dataclass, fields

from virtiofs_model.layouts.virtio import Feature
from virtiofs_tb import catalogue
from virtiofs_tb.driver.bringup import mount
from virtiofs_tb.driver.notify_pool import every_notification
from virtiofs_tb.driver.virtio import USUAL_FEATURES, Settings
from virtiofs_tb.host.port import HostPort
from virtiofs_tb.scenario import Bench, load_scenarios
from virtiofs_tb.sequences.random_ops import RandomItem, RandomRunner

VERSION = 1
NOTIFICATION_GAP_PS = 40_000_000
_KEY = "stimulus"


class StimulusError(ValueError):
    """A recorded stimulus that cannot be used; the message says why."""


@dataclass(frozen=True)
class Conditions:
    """What surrounds the items. files: of so many workers, made before the first item; notifications: sent between
    the operations; request_queues, queue_size: None for all that the device has; indirect: that feature is accepted;
    mps, mrrs: payload sizes in bytes."""

    files: int = 0
    notifications: bool = True
    request_queues: int | None = None
    queue_size: int | None = None
    indirect: bool = True
    mps: int = 256
    mrrs: int = 512

    @property
    def settings(self) -> Settings:
        """The same as the driver takes it."""
        features = USUAL_FEATURES if self.indirect else USUAL_FEATURES & ~Feature.INDIRECT_DESC.mask
        return Settings(features, queue_size=self.queue_size, request_queues=self.request_queues)

    def to_json(self) -> str:
        """The line that a run notes before its items."""
        return json.dumps({_KEY: VERSION, **asdict(self)})


@dataclass(frozen=True)
class Stimulus:
    """Conditions, and the items in the order in which they began."""

    conditions: Conditions
    items: tuple[RandomItem, ...]

    @property
    def lines(self) -> list[str]:
        """As a log has it: a line of conditions, and a line an item."""
        return [self.conditions.to_json(), *(item.to_json() for item in self.items)]

    @staticmethod
    def read(lines: Iterable[str]) -> Stimulus | None:
        """The first stimulus in lines of which others may be anything else; None where there is none.

        Raises StimulusError for one of another version.
        """
        conditions: Conditions | None = None
        items: list[RandomItem] = []
        for line in lines:
            if not line.startswith("{"):
                continue
            if conditions is None:
                conditions = _conditions(line)
                continue
            try:
                items.append(RandomItem.from_json(line))
            except ValueError as error:
                raise StimulusError(f"line {line[:60]!r}: {error}") from None
        return None if conditions is None else Stimulus(conditions, tuple(items))

    @staticmethod
    def of(text: str) -> Stimulus:
        """The stimulus that a text holds. Raises StimulusError where there is none."""
        found = Stimulus.read(text.splitlines())
        if found is None:
            raise StimulusError(f"there is no line with {_KEY!r}")
        return found


def _conditions(line: str) -> Conditions | None:
    try:
        content = json.loads(line)
    except ValueError as error:
        raise StimulusError(f"line {line[:60]!r}: {error}") from None
    if _KEY not in content:
        return None
    version = content.pop(_KEY)
    if version != VERSION:
        raise StimulusError(f"stimulus of version {version}, expected version {VERSION}")
    known = {item.name for item in fields(Conditions)}
    if set(content) != known:
        names = ", ".join(sorted(set(content) ^ known))
        raise StimulusError(f"stimulus of version {VERSION} with other conditions than expected: {names}")
    return Conditions(**content)


async def perform(
    host: HostPort, tb: Bench, conditions: Conditions, work: Callable[[RandomRunner], Awaitable[None]]
) -> RandomRunner:
    """Mount the device under these conditions and let `work` perform items; returns the runner that did."""
    host.note(conditions.to_json())
    tb.options = {**tb.options, "mps": conditions.mps, "mrrs": conditions.mrrs}
    ready = await mount(host, tb, conditions.settings)
    assert ready.granted is not None
    runner = RandomRunner(ready.device, ready.client, ready.granted.max_write)
    running = conditions.notifications

    async def notify() -> None:
        if host.dpu is None or ready.pool is None:
            return
        messages = every_notification(ready.pool.notify_buf_size)
        sent = 0
        while running:
            message = messages[sent % len(messages)]
            sent += 1
            await host.dpu.notify(message)
            await ready.pool.expect([message])
            await host.sleep(NOTIFICATION_GAP_PS)

    notifier = host.spawn(notify())
    await runner.prepare(range(conditions.files))
    await work(runner)
    await runner.finish()
    running = False
    await notifier.join()
    return runner


async def replay(host: HostPort, tb: Bench, stimulus: Stimulus, before: Iterable[str] = ()) -> None:
    """Perform a recorded stimulus, after the scenarios named in `before`."""
    scenarios = load_scenarios(catalogue.SCENARIOS) if before else {}
    for name in before:
        if scenarios[name].not_applicable(host.caps) is None:
            await scenarios[name].function(host, tb)
    await perform(host, tb, stimulus.conditions, lambda runner: runner.run(stimulus.items))
