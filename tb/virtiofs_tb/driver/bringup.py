"""Setup in one line for scenarios: from a function nobody knows to a FUSE session."""

from __future__ import annotations

from dataclasses import dataclass

from virtiofs_model.layouts import fuse
from virtiofs_model.layouts.fuse_constants import InitFlag
from virtiofs_tb.host.port import HostPort
from virtiofs_tb.scenario import Bench

from .errors import check
from .fuse_client import FuseClient
from .layout import LayoutLimits
from .notify_pool import NotifyPool
from .virtio import Settings, VirtioFsDevice

POOL_BUFFERS = 16
INIT_FLAGS = (
    InitFlag.ASYNC_READ
    | InitFlag.BIG_WRITES
    | InitFlag.MAX_PAGES
    | InitFlag.DO_READDIRPLUS
    | InitFlag.READDIRPLUS_AUTO
    | InitFlag.PARALLEL_DIROPS
)


@dataclass
class Mount:
    """A device with a driver on it. pool: None where the notification feature was not negotiated."""

    device: VirtioFsDevice
    client: FuseClient
    pool: NotifyPool | None
    granted: fuse.FuseInitOut | None = None


async def discover(host: HostPort, tb: Bench) -> VirtioFsDevice:
    """Enumerate the function: identity, BARs, capabilities; payload sizes of the bench's options."""
    if tb.attached is not None:
        await tb.attached.reset()  # ends the tasks and gives back the memory of the scenario before
    device = VirtioFsDevice(host, tb.rng("driver/rings"))
    tb.attached = device
    await device.pci.enumerate()
    await device.pci.set_payload(tb.option("mps", 256), tb.option("mrrs", 512))
    return device


async def start(
    host: HostPort,
    tb: Bench,
    device: VirtioFsDevice,
    settings: Settings | None = None,
    buffers: int = POOL_BUFFERS,
    linux_layout: bool = False,
) -> Mount:
    """Reset and initialise up to DRIVER_OK, with `buffers` notification buffers posted (FS-INIT-RI1)."""
    await device.initialise(settings)
    rng = None if linux_layout else tb.rng("driver/layout")
    choices = tb.profile.choices
    client = FuseClient(device, rng, tb.counts, LayoutLimits(choices.mixed_chains, choices.first_writable))
    pool = None
    queue = device.notification
    if queue is not None:
        pool = NotifyPool(host, queue, device.config.notify_buf_size or 0, tb.counts)
        await pool.fill(buffers, kick=False)
    await device.start()
    if queue is not None:
        await queue.kick()  # the first kick comes after DRIVER_OK: INIT-R08
    return Mount(device, client, pool)


async def mount(
    host: HostPort,
    tb: Bench,
    settings: Settings | None = None,
    buffers: int = POOL_BUFFERS,
    linux_layout: bool = False,
) -> Mount:
    """Everything from enumeration to the reply of FUSE_INIT."""
    ready = await start(host, tb, await discover(host, tb), settings, buffers, linux_layout)
    ready.granted = await ready.client.init(flags=int(INIT_FLAGS))
    return ready


async def offer(host: HostPort, device: VirtioFsDevice, features: int) -> None:
    """Reset the device and let the DPU offer exactly these features (needs `dpu`). Raises DriverError where the device
    then offers others."""
    await device.reset()
    assert host.dpu is not None
    await host.dpu.offer(features)
    check("device_feature after the DPU's offer", await device.read_offered(), features, "PCI-COMMON-D03")


async def mount_offered(
    host: HostPort,
    tb: Bench,
    device: VirtioFsDevice,
    settings: Settings,
    buffers: int = POOL_BUFFERS,
    linux_layout: bool = False,
) -> Mount:
    """Let the DPU offer what `settings` asks for, take it, and go on to the reply of FUSE_INIT."""
    await offer(host, device, settings.features)
    ready = await start(host, tb, device, settings, buffers, linux_layout)
    check("negotiated features", device.features, settings.features, "FEAT-D02")
    ready.granted = await ready.client.init(flags=int(INIT_FLAGS))
    return ready
