"""epoll(7) of this kernel on a mounted file: a change by the DPU wakes who waits, by a POLL message of queue 1.

A file is always ready, so only an edge-triggered wait sleeps: it is woken by news alone.
"""

from __future__ import annotations

import os
import select
from pathlib import Path

from mounted import Mounted, mounted, needs_fuse

from virtiofs_tb.mount.options import Options

pytestmark = needs_fuse

WOKEN_S = 10.0
ASLEEP_S = 0.5


def woken(mount: Mounted, seconds: float = WOKEN_S) -> tuple[bool, bool]:
    """Whether a wait for the file "polled" ends when the DPU writes another one, and when it writes this one."""
    mount.shell("echo one > polled; echo one > other")
    descriptor = os.open(mount.path / "polled", os.O_RDONLY)
    try:
        with select.epoll() as waiting:
            waiting.register(descriptor, select.EPOLLIN | select.EPOLLET)
            assert waiting.poll(WOKEN_S), "it is ready at first"
            assert not waiting.poll(ASLEEP_S), "and then nothing is new"
            mount.dpu("write other two")
            by_other = bool(waiting.poll(ASLEEP_S))
            mount.dpu("write polled two")
            by_this = bool(waiting.poll(seconds))
            return by_other, by_this
    finally:
        os.close(descriptor)


def test_the_dpu_wakes_who_waits(tmp_path: Path) -> None:
    with mounted(tmp_path) as mount:
        assert woken(mount) == (False, True)
        counts = mount.ask(do="counts")["notifications"]
        assert counts["POLL"] == 1 and "LOCK" not in counts


def test_who_is_not_told_sleeps_on(tmp_path: Path) -> None:
    with mounted(tmp_path, options=Options(deaf=True)) as mount:
        assert woken(mount, ASLEEP_S) == (False, False)
        assert mount.ask(do="counts")["withheld"]["POLL"] == 1
