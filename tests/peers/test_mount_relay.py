"""The relay before a kernel of our own making: what no kernel at hand would do, and what none may be sent."""

from __future__ import annotations

import errno
import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from click.testing import CliRunner

from virtiofs_model.layouts import fuse
from virtiofs_model.layouts.fuse_constants import NOTIFY_CODE_LOCK, NotifyCode, Opcode
from virtiofs_model.layouts.fuse_operations import IN_HEADER_SIZE, OUT_HEADER_SIZE
from virtiofs_tb.driver.bringup import Mount
from virtiofs_tb.driver.notify_pool import Notification, notification
from virtiofs_tb.host.base import HostBase
from virtiofs_tb.host.loop import Loop
from virtiofs_tb.mount import kernel, model_run
from virtiofs_tb.mount.command import mount
from virtiofs_tb.mount.errors import MountError
from virtiofs_tb.mount.relay import Relay
from virtiofs_tb.mount.run import MountRun
from virtiofs_tb.report import Summary

KERNEL_S = 20.0
_OUT = struct.Struct("<IiQ")


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """The kernel's end, and in place of /dev/fuse the relay's: one message at a time, as there."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.settimeout(KERNEL_S)
    theirs.setblocking(False)
    yield ours, theirs
    ours.close()
    theirs.close()


def request(opcode: int, unique: int, body: bytes = b"", nodeid: int = 1) -> bytes:
    return bytes(fuse.FuseInHeader(IN_HEADER_SIZE + len(body), opcode, unique, nodeid)) + body


def init(minor: int, major: int = 7) -> bytes:
    return request(Opcode.INIT, 2, bytes(fuse.FuseInitIn(major=major, minor=minor, max_readahead=65536)), 0)


def serve(
    ends: tuple[socket.socket, socket.socket],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    behave: Callable[[socket.socket], None],
) -> Summary:
    """Run a mount of the golden device whose kernel is `behave`; when that returns, it has hung up."""
    ours, theirs = ends
    monkeypatch.setattr(kernel, "attach", lambda directory: os.dup(theirs.fileno()))
    monkeypatch.setattr(kernel, "kind_of", lambda directory: None)
    errors: list[BaseException] = []

    def act() -> None:
        try:
            behave(ours)
        except BaseException as error:
            errors.append(error)
        finally:
            ours.close()

    thread = threading.Thread(target=act, daemon=True)
    run = MountRun(tmp_path)
    run.session.on_mounted = thread.start
    summary = model_run.run(run, 1, tmp_path / "run", "")
    thread.join(KERNEL_S)
    if errors:
        raise errors[0]
    return summary


@pytest.mark.parametrize(("minor", "major"), [(30, 7), (9, 6)])
def test_a_kernel_that_is_too_old(
    ends: tuple[socket.socket, socket.socket],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    minor: int,
    major: int,
) -> None:
    def behave(end: socket.socket) -> None:
        end.send(init(minor, major))
        assert _OUT.unpack(end.recv(4096)) == (OUT_HEADER_SIZE, -errno.EPROTO, 2)

    summary = serve(ends, tmp_path, monkeypatch, behave)
    assert not summary.passed
    assert "the endpoint refuses the kernel's FUSE protocol: Protocol error" in str(summary.failures)


def test_an_opcode_that_nobody_knows_is_not_asked_for(
    ends: tuple[socket.socket, socket.socket], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def behave(end: socket.socket) -> None:
        end.send(init(45))
        end.recv(4096)
        end.send(request(999, 4))
        assert _OUT.unpack(end.recv(4096)) == (OUT_HEADER_SIZE, -errno.ENOSYS, 4)

    run = serve(ends, tmp_path, monkeypatch, behave)
    assert run.passed, run.failures


class Told:
    """A relay that is given notifications."""

    def __init__(self, descriptor: int) -> None:
        self.pool = SimpleNamespace(on_message=None)
        loop = Loop()
        host = cast(HostBase, SimpleNamespace(event=loop.event, spawn=loop.spawn, patience=0))
        self.relay = Relay(descriptor, host, cast(Mount, SimpleNamespace(pool=self.pool)))

    def tell(self, code: int, body: bytes = b"") -> None:
        on_message: Any = self.pool.on_message
        on_message(Notification(code, notification(code, body), 0))


def test_a_lock_is_never_told_to_a_kernel(ends: tuple[socket.socket, socket.socket]) -> None:
    """Its number is that of RESEND."""
    ours, theirs = ends
    told = Told(theirs.fileno())
    told.tell(NOTIFY_CODE_LOCK, bytes(16))
    told.tell(NotifyCode.INC_EPOCH)
    assert _OUT.unpack(ours.recv(4096)) == (OUT_HEADER_SIZE, NotifyCode.INC_EPOCH, 0)
    told.relay.close()
    assert dict(told.relay.notifications) == {"INC_EPOCH": 1}


def test_a_wake_up_of_a_poll_is_told_to_the_kernel(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    told = Told(theirs.fileno())
    told.tell(NotifyCode.POLL, (1 << 63 | 7).to_bytes(8, "little"))
    message = ours.recv(4096)
    assert message == _OUT.pack(24, NotifyCode.POLL, 0) + (1 << 63 | 7).to_bytes(8, "little")
    told.relay.close()
    assert dict(told.relay.notifications) == {"POLL": 1}


@pytest.mark.parametrize(("number", "refused"), [(errno.ENOENT, 0), (errno.ENODEV, 0), (errno.EINVAL, 1)])
def test_what_a_kernel_says_of_a_notification(
    monkeypatch: pytest.MonkeyPatch, ends: tuple[socket.socket, socket.socket], number: int, refused: int
) -> None:
    """That it has no such thing is normal; that it does not understand is an error of the device."""

    def write(descriptor: int, data: bytes) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("virtiofs_tb.mount.relay.os", SimpleNamespace(write=write))
    told = Told(ends[1].fileno())
    told.tell(NotifyCode.INVAL_INODE, bytes(24))
    told.relay.close()
    assert len(told.relay.refused) == refused


def test_no_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "DEVICE", tmp_path / "fuse")
    with pytest.raises(MountError, match="does not exist: this kernel has no FUSE"):
        kernel.check(tmp_path)
    with pytest.raises(MountError, match="cannot be opened: No such file"):
        kernel.attach(tmp_path)


def test_no_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "DEVICE", tmp_path)
    monkeypatch.setattr(kernel.os, "access", lambda path, mode: False)
    with pytest.raises(MountError, match="cannot be opened: no permission"):
        kernel.check(tmp_path)
    monkeypatch.undo()
    monkeypatch.setattr(kernel, "DEVICE", Path("/dev/null"))
    monkeypatch.setattr(kernel.os, "geteuid", lambda: 1000)
    monkeypatch.setattr(kernel.shutil, "which", lambda name: None)
    with pytest.raises(MountError, match="only root can mount without fusermount3: apt-get install fuse3"):
        kernel.check(tmp_path)


def test_the_command_says_it_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:

    monkeypatch.setattr(kernel, "DEVICE", tmp_path / "fuse")
    error = CliRunner().invoke(mount, ["--mnt", str(tmp_path), "--target", "model"]).exception
    assert "has no FUSE" in str(error) and "\n" not in str(error)
