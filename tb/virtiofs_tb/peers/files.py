"""The golden file system beside a real virtiofsd, operation by operation."""

from __future__ import annotations

from virtiofs_model.ramfs import RamfsServer
from virtiofs_tb.driver.virtio import VirtioFsDevice
from virtiofs_tb.host.qemu import QemuOptions
from virtiofs_tb.host.qemu_host import QemuHost
from virtiofs_tb.peers.fs_compare import DeviceTarget, FsComparison, ModelTarget, compare
from virtiofs_tb.peers.fs_script import script
from virtiofs_tb.peers.targets import scratch
from virtiofs_tb.seeds import stream


def compare_files(seed: int, server: RamfsServer | None = None) -> FsComparison:
    """Every step of the script on `server` (an empty golden file system) and on virtiofsd. Raises PeerError."""
    with scratch() as directory, QemuHost(seed, directory, options=QemuOptions(virtiofsd=())) as host:

        async def both() -> FsComparison:
            device = VirtioFsDevice(host, stream(seed, "peers/rings"))
            await device.pci.enumerate()
            await device.initialise()
            await device.start()
            return await compare(ModelTarget(server), DeviceTarget(device), script())

        return host.run(both())
