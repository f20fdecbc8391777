"""The golden file system beside a real virtiofsd, operation by operation."""

from __future__ import annotations

from virtiofs_model.ramfs import RamfsServer
from virtiofs_tb.driver.virtio import VirtioFsDevice
from virtiofs_tb.host.qemu import QemuOptions
from virtiofs_tb.host.qemu_host import QemuHost
from virtiofs_tb.peers.fs_compare import DeviceTarget, FsComparison, ModelTarget, compare
from virtiofs_tb.peers.fs_script import Step, script
from virtiofs_tb.peers.lock_script import lock_script
from virtiofs_tb.peers.targets import scratch
from virtiofs_tb.seeds import stream

OPTIONS = QemuOptions(virtiofsd=("posix_lock", "flock"))


def steps() -> list[Step]:
    """All that is compared."""
    return script(lock_script())


def compare_files(seed: int, server: RamfsServer | None = None) -> FsComparison:
    """Every step on `server` (an empty golden file system) and on virtiofsd. Raises PeerError."""
    with scratch() as directory, QemuHost(seed, directory, options=OPTIONS) as host:

        async def both() -> FsComparison:
            device = VirtioFsDevice(host, stream(seed, "peers/rings"))
            await device.pci.enumerate()
            await device.initialise()
            await device.start()
            return await compare(ModelTarget(server), DeviceTarget(device), steps())

        return host.run(both())
