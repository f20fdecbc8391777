"""Step 3: sessions recorded from a Linux kernel."""

from __future__ import annotations

from virtiofs_model.layouts.fuse_constants import Opcode
from virtiofs_tb.driver.bringup import discover, start
from virtiofs_tb.driver.errors import DriverError
from virtiofs_tb.driver.fuse_client import Reply
from virtiofs_tb.driver.session import Outcome, Replay, SessionRecord, load_session
from virtiofs_tb.facts import saw
from virtiofs_tb.host.port import HostPort
from virtiofs_tb.scenario import Bench, scenario

CLAUSES = [
    "FS-REQ-DI1",
    "FS-REQ-RI1",
    "FS-INIT-RI2",
    "FS-HP-DI1",
    "FS-HP-R01",
    "FS-HP-R02",
    "SPLIT-FRAME-D01",
    "SPLIT-FRAME-R01",
    "SPLIT-IND-D02",
    "SPLIT-USED-D02",
    "SPLIT-ANS-R04",
]


async def replay(host: HostPort, tb: Bench, name: str, linux_layout: bool) -> Outcome:
    """Initialise and replay one session; its FUSE_INIT is record 0."""
    unsupported = frozenset(Opcode[name] for name in tb.profile.fuse.opcodes_enosys)
    ready = await start(host, tb, await discover(host, tb), linux_layout=linux_layout)

    def note(record: SessionRecord, message: bytes, reply: Reply) -> None:
        # How much a listing holds depends on what was there before the session, and on how it is cut.
        listing = record.opcode in (Opcode.READDIR, Opcode.READDIRPLUS)
        length = "" if listing else f", used length {reply.used}"
        saw(host, f"record {record.number} {record.opcode.name}", f"error {reply.error}{length}")

    run = Replay(ready.client, load_session(tb.sessions / f"{name}.jsonl"), unsupported, note)
    outcome = await run.run()
    if outcome.differences and not unsupported:
        raise DriverError(f"{name}.jsonl", "; ".join(outcome.differences), "the recorded errors")
    return outcome


@scenario(clauses=CLAUSES)
async def session_browse(host: HostPort, tb: Bench) -> None:
    """Listing, creating, renaming and removing, as Linux did it, in buffers split anywhere."""
    await replay(host, tb, "browse", linux_layout=False)


@scenario(clauses=CLAUSES)
async def session_browse_linux_buffers(host: HostPort, tb: Bench) -> None:
    """The same in buffers as Linux lays them out."""
    await replay(host, tb, "browse", linux_layout=True)


@scenario(clauses=CLAUSES)
async def session_file_io(host: HostPort, tb: Bench) -> None:
    """Reading, writing, truncating, linking and copying one file, as Linux did it, in buffers split anywhere."""
    await replay(host, tb, "file-io", linux_layout=False)
