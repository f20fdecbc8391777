"""From cocotb's tasks into the host's loop.

Drivers, firmware and scenarios are tasks of the host's own loop (host/loop.py); UVM components are cocotb tasks. A
component that wants something done awaits `in_loop`.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

from cocotb.triggers import Event

from virtiofs_tb.host.rtl_host import RtlHost

T = TypeVar("T")


async def in_loop(host: RtlHost, coroutine: Coroutine[Any, Any, T]) -> T:
    """Run `coroutine` in the host's loop and wait, as a cocotb task, for its end. Returns or raises what it does."""
    ended = Event()

    async def body() -> T:
        try:
            return await coroutine
        finally:
            ended.set()

    task = host.begin(body())
    await ended.wait()
    return host.loop.result_of(task)
