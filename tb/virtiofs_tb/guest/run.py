"""A variant of the guest as a test: its one step, who answers FUSE, and the comparison outside."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from virtiofs_tb.agents.firmware import FuseServer
from virtiofs_tb.agents.host_directory import HostDirectoryServer
from virtiofs_tb.catalogue import Entry
from virtiofs_tb.guest.errors import GuestFailure
from virtiofs_tb.guest.process import GuestImage
from virtiofs_tb.guest.session import GuestSession, Limits
from virtiofs_tb.guest.variants import Server, Variant
from virtiofs_tb.host.base import HostBase
from virtiofs_tb.host.port import HostPort
from virtiofs_tb.scenario import Bench, Scenario

TREE = "tree"
"""Folder of a run that the guest sees, where a directory of the host answers."""


class GuestRun:
    """One guest on one target. `close` ends it, whatever became of the run.

    server: who answers, None for the golden file system. run_dir: where the console and the served directory go.
    """

    def __init__(
        self,
        variant: Variant,
        image: GuestImage,
        run_dir: Path,
        limits: Limits | None = None,
        terminal: str | None = None,
    ) -> None:
        self.variant = variant
        self.tree = run_dir / TREE
        self._directory: HostDirectoryServer | None = None
        if variant.server is Server.DIRECTORY:
            self.tree.mkdir()
            self._directory = HostDirectoryServer(self.tree)
        self._scripted = terminal is None
        self._compare = self._scripted and self._directory is not None
        self.session = GuestSession(image, run_dir, limits or Limits(total=variant.limit_s), terminal)

    @property
    def server(self) -> FuseServer | None:
        return self._directory

    def entry(self, name: str, interactive: bool = False) -> Entry:
        """The test `name`."""
        scenario = Scenario("linux_guest", self._step, (), ("dpu",), self.variant.summary, __name__)
        must_check = () if interactive else self.variant.must_check
        return Entry(name, self.variant.summary, (scenario,), must_check, engine=self.variant.server.engine)

    def close(self) -> None:
        self.session.close()
        if self._directory is not None:
            self._directory.close()
            self._directory = None

    async def _step(self, host: HostPort, tb: Bench) -> None:
        assert isinstance(host, HostBase) and host.dpu is not None, "the step needs a target of packets with a DPU port"
        await host.dpu.strap(self.variant.straps)
        await self.session.run(host)
        if self._scripted:
            host.log.deliver()
            check_asked(self.variant, tb.asked)
        if self._compare:
            compare(self.tree, self.session.console.left)


def check_asked(variant: Variant, asked: Mapping[int, int]) -> None:
    """Linux made each request that the variant is there for. Raises GuestFailure."""
    missing = [opcode.name for opcode in variant.must_ask if not asked.get(opcode)]
    if missing:
        raise GuestFailure(f"the guest's script passed, but Linux never asked for {', '.join(missing)}")


def compare(tree: Path, md5: str) -> None:
    """What the guest left in `tree` is what it said. Raises GuestFailure."""
    found = {str(path.relative_to(tree)) for path in tree.rglob("*")}
    expected = {"left", "left/link", "left/note", "left/random", "synced"}
    if found != expected:
        raise GuestFailure(f"{tree}: the guest left {sorted(expected)}, found {sorted(found)}")
    here = hashlib.md5((tree / "left" / "random").read_bytes(), usedforsecurity=False).hexdigest()
    if here != md5:
        raise GuestFailure(f"{tree}/left/random: the guest's MD5 is {md5 or 'unknown'}, here it is {here}")
    note, link = (tree / "left" / "note").read_text(), str((tree / "left" / "link").readlink())
    if (note, link) != ("for the host\n", "note"):
        raise GuestFailure(f"{tree}/left: expected a note for the host and a link to it, found {note!r} and {link!r}")
