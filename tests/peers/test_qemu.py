"""Our driver on QEMU's device, and that what judges there can fail."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from virtiofs_model.layouts import fuse
from virtiofs_model.layouts.fuse_constants import FUSE_ROOT_ID, Opcode
from virtiofs_model.layouts.pci import PciCapId, PciHeader
from virtiofs_tb import profile
from virtiofs_tb.driver.bringup import Mount, discover, mount
from virtiofs_tb.driver.errors import DriverError, QueueStopped
from virtiofs_tb.driver.layout import ChainPlan, whole_plan
from virtiofs_tb.driver.virtio import Settings, Vectors
from virtiofs_tb.driver.virtqueue import ChainShape, Placement
from virtiofs_tb.host.base import OutOfTime
from virtiofs_tb.host.log import Channel, Kind, ObservationLog, Record
from virtiofs_tb.host.peer_process import PeerDied
from virtiofs_tb.host.qemu_host import QemuHost
from virtiofs_tb.host.qemu_link import DEVICE_ID
from virtiofs_tb.paths import SESSIONS
from virtiofs_tb.peers.targets import QEMU_PROFILE, scratch
from virtiofs_tb.scenario import Bench
from virtiofs_tb.scoreboards import ScoreboardSet

SEED = 1
ENTRY_BYTES = 128  # of a fuse_entry_out


def bench() -> Bench:
    return Bench(SEED, SESSIONS, profile=profile.load(QEMU_PROFILE))


@pytest.fixture
def directory(peers: None) -> Iterator[Path]:
    """What virtiofsd exports."""
    with scratch() as path:
        yield path


@pytest.fixture
def host(directory: Path) -> Iterator[QemuHost]:
    with QemuHost(SEED, directory) as made:
        yield made


def test_enumeration(host: QemuHost) -> None:
    """Ids, BARs and capabilities are those that QEMU's sources give the device on the root bus."""
    device = host.run(discover(host, bench()))
    assert device.pci.identity.device_id == 0x105A and device.pci.identity.class_code == 0x018000
    assert sorted(device.pci.bars) == [1, 4] and device.pci.bars[4].size == 16384
    kinds = [item.id for item in device.pci.capabilities]
    assert kinds == [PciCapId.MSIX] + [PciCapId.VENDOR] * 5
    assert not host.violations


def test_what_requests_do_is_seen_outside(host: QemuHost, directory: Path) -> None:
    async def create() -> None:
        client = (await mount(host, bench())).client
        body = bytes(fuse.FuseCreateIn(0o102, 0o100640, 0, 0)) + b"made\0"
        made = await client.call(Opcode.CREATE, FUSE_ROOT_ID, body)
        assert made.error == 0 and made.used == 160
        nodeid = made.parse(fuse.FuseEntryOut).nodeid
        fh = fuse.FuseOpenOut.from_buffer_copy(made.payload, ENTRY_BYTES).fh
        data = bytes(fuse.FuseWriteIn(fh, 0, 5, 0, 0, 0, 0)) + b"hello"
        assert (await client.call(Opcode.WRITE, nodeid, data)).used == 24

    host.run(create())
    assert (directory / "made").read_bytes() == b"hello"


def test_interrupts_come_as_packets_of_the_mapped_vector(directory: Path) -> None:
    records: list[Record] = []
    log = ObservationLog()
    log.subscribe(records.extend)

    async def traffic(host: QemuHost) -> None:
        ready = await mount(host, bench())
        for _ in range(8):
            await ready.client.call(Opcode.STATFS, FUSE_ROOT_ID)

    with QemuHost(SEED, directory, log) as host:
        host.run(traffic(host))
        messages = [record for record in records if record.kind == Kind.TLP and record.channel == Channel.RQ]
        request_queue = [record for record in messages if record.payload == (2).to_bytes(4, "little")]
        assert len(request_queue) >= 8
        assert {record.address for record in request_queue} == {host.msi_base + 32}
        assert all(record.hdr[1] >> 16 == DEVICE_ID for record in messages)


def test_a_reset_with_requests_outstanding(host: QemuHost) -> None:
    """What is not answered comes back as stopped, and the device works again."""

    async def stopped(ready: Mount, message: bytes) -> bool:
        try:
            await ready.client.request(message)
        except QueueStopped:
            return True
        return False

    async def main() -> list[bool]:
        ready = await mount(host, bench())
        messages = [ready.client.build(Opcode.STATFS, FUSE_ROOT_ID) for _ in range(20)]
        before = [host.spawn(stopped(ready, message)) for message in messages[:10]]
        reset = host.spawn(ready.device.reset())  # 0 is written, but not read back yet
        behind = [host.spawn(stopped(ready, message)) for message in messages[10:]]
        await reset.join()
        for task in before:
            await task.join()
        found = [await task.join() for task in behind]
        again = await mount(host, bench())
        assert (await again.client.call(Opcode.STATFS, FUSE_ROOT_ID)).error == 0
        return found

    assert host.run(main()) == [True] * 10


def test_time_goes_on_while_there_is_always_somebody_ready(host: QemuHost) -> None:
    """Eight tasks whose interrupts come while others ring doorbells do not keep a ninth from waking up."""

    async def restless(ready: Mount) -> None:
        try:
            while True:
                await ready.client.call(Opcode.STATFS, FUSE_ROOT_ID)
        except QueueStopped:
            return

    async def main() -> int:
        ready = await mount(host, bench())
        workers = [host.spawn(restless(ready)) for _ in range(8)]
        begin = host.now_ps()
        await host.sleep(2_000_000)
        slept = host.now_ps() - begin
        await ready.device.reset()
        for worker in workers:
            await worker.join()
        return slept

    assert host.run(main()) < 250_000_000  # two seconds for 16 ms


def test_a_driver_without_interrupts_may_be_as_fast_as_it_can(host: QemuHost) -> None:
    """The first request after DRIVER_OK is not served before virtiofsd knows the call descriptors of its queues."""

    async def main() -> None:
        for _ in range(10):
            ready = await mount(host, bench(), Settings(vectors=Vectors.NONE))
            assert (await ready.client.call(Opcode.STATFS, FUSE_ROOT_ID)).error == 0
            await ready.device.reset()

    host.run(main())


def test_interrupts_of_a_store_are_handled_before_it_ends(host: QemuHost) -> None:
    """The one of each queue that comes at DRIVER_OK (docs/peers.md) is not left to be taken for a request's."""

    async def main() -> int:
        device = await discover(host, bench())
        await device.initialise()
        assert device.interrupts == 0
        await device.start()
        return device.interrupts

    assert host.run(main()) == 2


def test_an_absent_function_is_an_unsupported_request(host: QemuHost) -> None:
    assert host.run(host.config_read(1, 0, 4)) == 0xFFFF_FFFF


def test_stores_and_loads_of_every_width(host: QemuHost) -> None:
    async def main() -> None:
        device = await discover(host, bench())
        common = device.common.place
        await device.common.write("queue_desc", 0x1122_3344_5566_7780)
        for size, expected in ((1, 0x80), (2, 0x7780), (4, 0x5566_7780)):
            assert await host.bar_read(0, common.bar, common.offset + 0x20, size) == expected
        line = PciHeader.interrupt_line.offset
        for size, value in ((1, 0x5A), (2, 0x5A), (4, 0x5A)):
            await host.config_write(0, line, 1, value)
            assert await host.config_read(0, line, size) & 0xFF == value

    host.run(main())


def test_the_scoreboard_judges_what_qemu_answers(directory: Path) -> None:
    """A completion that is changed on its way is found."""
    log = ObservationLog()
    boards = ScoreboardSet(profile.load(QEMU_PROFILE), ["config_space"])

    def change(batch: list[Record]) -> None:
        for record in batch:
            if record.channel == Channel.CC and record.payload[:2] == b"\xf4\x1a":
                record.payload = b"\x00\x00" + record.payload[2:]
        boards.observe(batch)

    log.subscribe(change)
    with QemuHost(SEED, directory, log) as host:
        host.run(host.config_read(0, 0, 2))
        log.flush()
    assert [failure.clause for failure in boards.failures] == ["PCI-DISC-D01"]


# ---- what the two do not bear (docs/peers.md) ----


async def lookup(ready: Mount, plan: ChainPlan) -> int:
    message = ready.client.build(Opcode.LOOKUP, FUSE_ROOT_ID, b"absent\0")
    return (await ready.client.request(message, 144, plan=plan)).used


def test_virtiofsd_takes_an_indirect_descriptor_for_a_buffer_behind_a_direct_one(host: QemuHost) -> None:
    plan = ChainPlan((40, 7), (144,), (0, 0, 0), (0, 1, 2), ChainShape(Placement.MIXED, 1))

    async def main() -> int:
        return await lookup(await mount(host, bench()), plan)

    with pytest.raises(DriverError, match=r"used length of LOOKUP .* 0x0, expected at least 16"):
        host.run(main())


def test_virtiofsd_ends_at_an_indirect_descriptor_behind_a_writable_one(host: QemuHost) -> None:
    plan = ChainPlan((47,), (16, 128), (0, 0, 0), (0, 1, 2), ChainShape(Placement.MIXED, 2))

    async def main() -> int:
        return await lookup(await mount(host, bench()), plan)

    with pytest.raises(PeerDied, match=r"virtiofsd ended with status 1 .*Incorrect order for descriptors"):
        host.run(main())
    assert host.machine.qemu.status is None


@pytest.mark.parametrize(
    "plan",
    [
        whole_plan(47, 144),
        ChainPlan((1, 46), (8, 136), (0,) * 4, (3, 2, 1, 0)),
        ChainPlan((40, 7), (1, 143), (0,) * 4, (0, 1, 2, 3), ChainShape(Placement.INDIRECT, 0, True, True)),
    ],
    ids=["whole", "split", "indirect"],
)
def test_the_same_request_in_other_buffers(host: QemuHost, plan: ChainPlan) -> None:
    async def main() -> int:
        return await lookup(await mount(host, bench()), plan)

    assert host.run(main()) == 16


def test_virtiofsd_ends_at_a_descriptor_of_no_bytes(host: QemuHost) -> None:
    async def main() -> int:
        return await lookup(await mount(host, bench()), ChainPlan((0, 47), (144,), (0,) * 3, (0, 1, 2)))

    with pytest.raises(PeerDied, match="zero sized buffers are not allowed"):
        host.run(main())


def test_virtiofsd_mends_a_length_that_is_split_as_if_it_were_whole(host: QemuHost) -> None:
    """Five bytes are read of 4096 asked for: 21 go into `len`, of whose bytes only the first is where they are put."""
    plan = ChainPlan((40, 40), (1, 4111), (0, 0, 0, 9), (0, 1, 2, 3))

    async def main() -> None:
        client = (await mount(host, bench())).client
        body = bytes(fuse.FuseCreateIn(0o102, 0o100640, 0, 0)) + b"short\0"
        made = await client.call(Opcode.CREATE, FUSE_ROOT_ID, body)
        nodeid = made.parse(fuse.FuseEntryOut).nodeid
        fh = fuse.FuseOpenOut.from_buffer_copy(made.payload, ENTRY_BYTES).fh
        await client.call(Opcode.WRITE, nodeid, bytes(fuse.FuseWriteIn(fh, 0, 5)) + b"hello")
        message = client.build(Opcode.READ, nodeid, bytes(fuse.FuseReadIn(fh, 0, 4096)))
        await client.request(message, plan=plan)

    with pytest.raises(DriverError, match=r"fuse_out_header.len of READ .* 0x1015, expected 0x15"):
        host.run(main())


def test_virtiofsd_aborts_at_a_create_of_what_is_there(host: QemuHost) -> None:
    async def main() -> list[int]:
        client = (await mount(host, bench())).client
        body = bytes(fuse.FuseCreateIn(0o102, 0o100640, 0, 0)) + b"twice\0"
        return [(await client.call(Opcode.CREATE, FUSE_ROOT_ID, body)).error for _ in range(2)]

    try:
        errors = host.run(main())
    except PeerDied as error:
        assert "O_CREAT or O_TMPFILE without mode" in str(error)  # a build with _FORTIFY_SOURCE
    else:
        assert errors == [0, 0]


# ---- ends ----


def test_a_run_without_end_is_given_up(host: QemuHost) -> None:
    async def for_ever() -> None:
        await host.event().wait()

    with pytest.raises(OutOfTime, match=r"not finished after .*\n  task .*for_ever"):
        host.run(for_ever(), limit_ps=100_000_000)


@pytest.mark.parametrize("name", ["virtiofsd", "qemu"])
def test_a_program_that_dies_ends_the_run(host: QemuHost, name: str) -> None:
    process = getattr(host.machine, name)

    async def main() -> None:
        ready = await mount(host, bench())
        os.kill(process.pid, 9)
        while True:
            await ready.client.call(Opcode.STATFS, FUSE_ROOT_ID)

    with pytest.raises(PeerDied, match=f"{process.name} was ended by SIGKILL while"):
        host.run(main())


def test_nothing_is_left(directory: Path) -> None:
    """Processes, descriptors, sockets, files of shared memory."""

    def descriptors() -> list[str]:
        return sorted(os.listdir("/proc/self/fd"))

    before, files = descriptors(), sorted(os.listdir("/dev/shm"))
    with QemuHost(SEED, directory) as host:
        host.run(mount(host, bench()))
        pids = [host.machine.qemu.pid, host.machine.virtiofsd.pid]
        assert sorted(os.listdir("/dev/shm")) == files
    assert [pid for pid in pids if os.path.exists(f"/proc/{pid}")] == []
    assert descriptors() == before
    sockets = Path("/proc/net/unix").read_text()
    assert f"virtiofs-tb-{os.getpid()}-" not in sockets
