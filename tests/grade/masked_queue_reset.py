"""An interrupt that waits while its queue is reset (`make grade`)."""

from __future__ import annotations

from virtiofs_model.layouts.virtio import Feature
from virtiofs_tb.driver.bringup import discover, mount_offered
from virtiofs_tb.driver.virtio import USUAL_FEATURES, Settings
from virtiofs_tb.host.port import HostPort
from virtiofs_tb.scenario import Bench, scenario
from virtiofs_tb.sequences.ring_traffic import call_in

QUIET_PS = 20_000_000


@scenario(clauses=["VQRST-D02"], needs=["ring_reset"])
async def masked_queue_reset(host: HostPort, tb: Bench) -> None:
    """An interrupt waits in the pending bits while its queue is reset; then its vector is unmasked."""
    device = await discover(host, tb)
    ready = await mount_offered(host, tb, device, Settings(USUAL_FEATURES | Feature.RING_RESET.mask))
    queue = device.request_queue(0)
    await device.pci.mask_vector(1 + queue.index, True)
    host.spawn(call_in(ready, queue, 2))
    await queue.wait_unharvested(1)
    await host.sleep(QUIET_PS)
    await device.reset_queue(queue.index)
    await device.pci.mask_vector(1 + queue.index, False)
    await host.sleep(QUIET_PS)
