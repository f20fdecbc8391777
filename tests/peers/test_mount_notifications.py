"""What a kernel shows of a file system that the DPU changes behind its back.

Valid times of an hour, FOPEN_KEEP_CACHE, cached absences, and no look at the time of modification: without
notifications nothing of this is ever seen, which the same steps show on a mount whose notifications are not told to the
kernel.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from mounted import Mounted, mounted, needs_fuse, wait_for

from virtiofs_model.layouts.dpu import CacheOption
from virtiofs_model.registers import NotifyPolicy
from virtiofs_tb.host.port import Straps
from virtiofs_tb.mount.options import Options

HOUR_S = 3600
CACHING = Options(
    Straps(valid_seconds=HOUR_S, cache_options=int(CacheOption.KEEP_CACHE | CacheOption.NEGATIVE_ENTRIES))
)
DROPPING = replace(CACHING, straps=replace(CACHING.straps, notify_policy=NotifyPolicy.DROP.value), buffers=8)

pytestmark = needs_fuse


class Case:
    """One thing that a client caches. prepare: before it looks; see: what it sees; change: what the DPU does about it;
    after: what is seen then. Each case has a directory of its own, so that they share a mount.
    """

    after: object

    def __init__(self, mount: Mounted) -> None:
        self.mount = mount
        self.name = type(self).__name__.lower()
        self.path = mount.path / self.name
        self.path.mkdir()

    def prepare(self) -> None:
        (self.path / "file").write_text("as it was\n")

    def see(self) -> object:
        raise NotImplementedError

    def change(self) -> None:
        raise NotImplementedError


class Contents(Case):
    """Same size: neither size nor, since FUSE_AUTO_INVAL_DATA is not granted, time tells that pages are stale."""

    after = "now it is\n"

    def see(self) -> object:
        return (self.path / "file").read_text()

    def change(self) -> None:
        self.mount.dpu(f"write {self.name}/file 'now it is'")


class Removed(Case):
    after = False

    def see(self) -> object:
        return os.path.exists(self.path / "file")

    def change(self) -> None:
        self.mount.dpu(f"rm {self.name}/file")


class Renamed(Case):
    after = (False, True)

    def see(self) -> object:
        return os.path.exists(self.path / "file"), os.path.exists(self.path / "other")

    def change(self) -> None:
        self.mount.dpu(f"mv {self.name}/file {self.name}/other")


class Created(Case):
    """After a miss that the kernel remembers."""

    after = True

    def prepare(self) -> None:
        pass

    def see(self) -> object:
        return os.path.exists(self.path / "new")

    def change(self) -> None:
        self.mount.dpu(f"write {self.name}/new text")


class Attributes(Case):
    after = (0o600, 2)

    def see(self) -> object:
        status = os.stat(self.path / "file")
        return stat.S_IMODE(status.st_mode), status.st_nlink

    def change(self) -> None:
        self.mount.dpu(f"chmod 600 {self.name}/file")
        self.mount.dpu(f"ln {self.name}/file {self.name}/second")


class Size(Case):
    after = (2, "as")

    def see(self) -> object:
        return os.stat(self.path / "file").st_size, (self.path / "file").read_text()

    def change(self) -> None:
        self.mount.dpu(f"truncate {self.name}/file 2")


class Replaced(Case):
    """What has the name now is another file."""

    after = "the other\n"

    def prepare(self) -> None:
        super().prepare()
        (self.path / "other").write_text("the other\n")

    def see(self) -> object:
        return (self.path / "file").read_text()

    def change(self) -> None:
        self.mount.dpu(f"mv {self.name}/other {self.name}/file")


CASES = (Contents, Removed, Renamed, Created, Attributes, Size, Replaced)


@pytest.fixture(scope="module", params=["model", "rtl"])
def target(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def listening(target: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mounted]:
    """A mount whose kernel is told."""
    with mounted(tmp_path_factory.mktemp(f"{target}-listening"), target, CACHING) as mount:
        yield mount


@pytest.fixture(scope="module")
def deaf(target: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mounted]:
    """A mount whose kernel is not told."""
    with mounted(tmp_path_factory.mktemp(f"{target}-deaf"), target, replace(CACHING, deaf=True)) as mount:
        yield mount


@pytest.mark.parametrize("kind", CASES)
def test_a_change_of_the_dpu_is_seen(kind: type[Case], listening: Mounted) -> None:
    case = begin(kind, listening)
    case.change()
    wait_for(lambda: case.see() == case.after)


@pytest.mark.parametrize("kind", CASES)
def test_without_notifications_it_is_not(kind: type[Case], deaf: Mounted) -> None:
    case = begin(kind, deaf)
    before, heard = case.see(), deaf.heard()
    case.change()
    wait_for(lambda: deaf.heard() > heard)  # the device did its part
    assert case.see() == before, "the kernel did not use its caches: the other test proves nothing"


@pytest.mark.parametrize("told", [True, False], ids=["told", "not told"])
def test_all_of_it_after_an_overflow(target: str, told: bool, tmp_path: Path) -> None:
    """No buffer for longer than the store has room: what was dropped is repaired by the walk through the inodes."""
    with mounted(tmp_path / target, target, replace(DROPPING, deaf=not told)) as mount:
        cases = [begin(kind, mount) for kind in CASES]
        before = [case.see() for case in cases]
        mount.ask(do="buffers", count=0)
        fill_the_store(mount)
        for case in cases:
            case.change()
        assert mount.device()["notify_dropped"] > len(cases)
        assert [case.see() for case in cases] == before, "without a buffer nothing can be told"
        mount.ask(do="buffers", count=DROPPING.buffers)
        if told:
            wait_for(lambda: [case.see() for case in cases] == [case.after for case in cases])
        else:
            wait_for(lambda: mount.walked() >= len(cases))
            assert [case.see() for case in cases] == before


def test_firmware_announces_too(target: str, tmp_path: Path) -> None:
    """Pages of an open file stay in the cache without it, whatever the valid times are."""
    with mounted(tmp_path / target, target, engine="firmware") as mount:
        (mount.path / "file").write_text("as it was\n")
        with (mount.path / "file").open("rb") as file:
            assert os.pread(file.fileno(), 100, 0) == b"as it was\n"
            mount.dpu("write file 'now it is'")
            wait_for(lambda: os.pread(file.fileno(), 100, 0) == b"now it is\n")


def fill_the_store(mount: Mounted) -> None:
    """Changes that a client may have cached, under the longest names, until one is lost."""
    name = "n" * 250
    while mount.device()["notify_dropped"] == 0:
        for _ in range(4):
            mount.dpu(f"write {name} text")
            mount.dpu(f"rm {name}")


def begin(kind: type[Case], mount: Mounted) -> Case:
    """The case, and what the client has seen, twice: the second time from its caches."""
    case = kind(mount)
    case.prepare()
    before = case.see()
    assert case.see() == before != case.after
    return case
