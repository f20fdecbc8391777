"""QEMU's vhost-user-fs-pci with virtiofsd behind it, as a machine without a guest.

Nothing runs on the machine's processor: its firmware is `cli; hlt; jmp`, and we do what firmware and driver would.
Its memory is ours: the regions of HostMemory stand at their addresses, shared by file descriptor, and so do the bytes
to which MSI-X messages go, the shared memory of an ivshmem device. All sockets are passed as file descriptors too:
there is no file in any directory that could stay behind.
"""

from __future__ import annotations

import fcntl
import itertools
import mmap
import os
import re
import socket
import struct
import subprocess
import termios
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from virtiofs_tb.host.memory import HIGH_BASE, LOW_BASE, HostMemory
from virtiofs_tb.host.peer_process import PeerDied, PeerError, PeerMissing, PeerProcess, find_program
from virtiofs_tb.host.qtest import QtestClient, QtestError

QEMU_VARIABLE, VIRTIOFSD_VARIABLE = "VIRTIOFS_QEMU", "VIRTIOFS_VIRTIOFSD"

ECAM_BASE = 0xB000_0000
DEVICE = 5  # of bus 0
MESSAGE_DEVICE = 4  # its BAR is the memory where MSI-X messages arrive
MESSAGE_BASE = 0xFD00_0000  # not where the local APIC would take them: it keeps no record
MESSAGE_BYTES = 1 << 20
NO_MESSAGE = 0xFFFF_FFFF

_FILLER = LOW_BASE  # bytes of RAM below ours, which nobody uses
_START_S = 30.0
_STOP_S = 2.0
_SETTLE_S = 30.0
_LOOK_S = 50e-6  # between two looks whether virtiofsd is done
_TOGETHER_S = 1.0  # when one of the two ends, the other does soon after
_CONFIG_PORT = 0xCF8
_PCIEXBAR = 0x60  # of the q35 host bridge (Intel 3 Series Express Chipset datasheet, 5.1.16)
_HALT = b"\xfa\xf4\xeb\xfd"  # cli; hlt; jmp to itself
_BIOS_BYTES, _RESET_VECTOR = 1 << 16, 0xFFF0
_numbers = itertools.count(1)


def find_qemu() -> Path:
    """qemu-system-x86_64. Raises PeerMissing."""
    return find_program("qemu-system-x86_64", "qemu-system-x86", QEMU_VARIABLE)


def find_virtiofsd() -> Path:
    """The virtiofsd that comes with QEMU. Raises PeerMissing."""
    places = ("/usr/lib/qemu/virtiofsd", "/usr/libexec/virtiofsd")
    return find_program("virtiofsd", "qemu-system-common", VIRTIOFSD_VARIABLE, places)


def why_not() -> str | None:
    """Why this machine cannot run the two, or None if it can: a program is missing, or the right to change root."""
    try:
        find_qemu()
        find_virtiofsd()
    except PeerMissing as error:
        return str(error)
    if os.geteuid() != 0:
        return "virtiofsd must be started by root (its sandbox is chroot): run as root"
    return None


def version_of(program: Path) -> str:
    """The version that a program tells, "unknown" where it tells none."""
    try:
        done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=_START_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PeerDied(f"{program} --version: {error}") from error
    found = re.search(r"\d+\.\d+(\.\d+)?", done.stdout + done.stderr)
    return found[0] if found else "unknown"


@dataclass(frozen=True)
class QemuOptions:
    """What the two are started with. tag: of the file system; virtiofsd: values of its option -o.

    The defaults switch on what the FUSE protocol has and virtiofsd leaves off.
    """

    tag: str = "myfs"
    virtiofsd: tuple[str, ...] = field(default=("xattr", "flock", "posix_lock"))


class QemuMachine:
    """A running pair. qtest: the way in; messages: the bytes that MSI-X messages are written to.

    memory: what stands in the machine at its own addresses; directory: what virtiofsd exports. Raises PeerMissing or
    PeerDied, and has then ended what it had started.
    """

    def __init__(self, memory: HostMemory, directory: Path, options: QemuOptions | None = None) -> None:
        self._closing = ExitStack()
        self._started = False
        try:
            self._start(memory, directory, options or QemuOptions())
        except QtestError as error:
            found = self._death("starting", error)
            self.close()
            raise found from error
        except BaseException:
            self.close()
            raise

    def _start(self, memory: HostMemory, directory: Path, options: QemuOptions) -> None:
        qemu, virtiofsd = find_qemu(), find_virtiofsd()
        message_fd = self._memfd("messages", MESSAGE_BYTES)
        self.messages = self._closing.enter_context(mmap.mmap(message_fd, MESSAGE_BYTES))
        bios = self._memfd("bios", _BIOS_BYTES)
        os.pwrite(bios, _HALT, _RESET_VECTOR)
        with ExitStack() as handed_over:
            listener = handed_over.enter_context(socket.socket(socket.AF_UNIX))
            listener.bind(f"\0virtiofs-tb-{os.getpid()}-{next(_numbers)}")  # abstract: no file
            listener.listen(1)
            vhost = handed_over.enter_context(socket.socket(socket.AF_UNIX))
            vhost.connect(listener.getsockname())
            self._to_virtiofsd = vhost.dup()
            self._closing.callback(self._to_virtiofsd.close)
            ours, theirs = socket.socketpair(socket.AF_UNIX)
            self.qtest = QtestClient(ours, _START_S)
            self._closing.callback(self.qtest.close)
            handed_over.enter_context(theirs)
            choices = ",".join((f"source={directory}", "sandbox=chroot", *options.virtiofsd))
            command = [str(virtiofsd), f"--fd={listener.fileno()}", "-o", choices]
            self.virtiofsd = PeerProcess("virtiofsd", command, [listener.fileno()])
            self._closing.callback(self.virtiofsd.stop)
            low, high = memory.regions
            files = [low.fd, high.fd, message_fd, bios, vhost.fileno(), theirs.fileno()]
            arguments = machine_arguments(*files[:4], vhost=files[4], qtest=files[5], tag=options.tag)
            self.qemu = PeerProcess("qemu-system-x86_64", [str(qemu), *arguments], files)
            self._closing.callback(self.qemu.stop)
            self._started = True
        self._prepare_bus()

    def _memfd(self, name: str, size: int) -> int:
        descriptor = os.memfd_create(name)
        self._closing.callback(os.close, descriptor)
        os.ftruncate(descriptor, size)
        return descriptor

    def _prepare_bus(self) -> None:
        """What firmware would do: open the window to configuration space, and put the message memory in its place."""
        self._bridge_write(0, _PCIEXBAR + 4, 0)
        self._bridge_write(0, _PCIEXBAR, ECAM_BASE | 1)  # 256 MiB, enabled
        place = self.config_address(MESSAGE_DEVICE, 0, 0)
        self.qtest.write(place + 0x18, 4, MESSAGE_BASE)
        self.qtest.write(place + 0x1C, 4, 0)
        self.qtest.write(place + 0x04, 2, 2)  # memory space
        self.messages[:] = NO_MESSAGE.to_bytes(4, "little") * (MESSAGE_BYTES // 4)
        self.qtest.write(MESSAGE_BASE, 4, 0x1234)
        if self.messages[:4] != (0x1234).to_bytes(4, "little"):
            raise PeerError(f"QEMU: a store to 0x{MESSAGE_BASE:x} does not reach the memory for MSI-X messages")
        self.messages[:4] = NO_MESSAGE.to_bytes(4, "little")

    def _bridge_write(self, device: int, offset: int, value: int) -> None:
        self.qtest.port_write(_CONFIG_PORT, 4, 1 << 31 | device << 11 | offset)
        self.qtest.port_write(_CONFIG_PORT + 4, 4, value)

    @staticmethod
    def config_address(device: int, function: int, offset: int) -> int:
        """Where a function of bus 0 has its configuration space in memory space."""
        return ECAM_BASE | device << 15 | function << 12 | offset

    def settle(self) -> None:
        """Return when virtiofsd has done what QEMU told it, and the interrupts that it asked for meanwhile are there.

        A store to device_status or to the MSI-X table ends as soon as QEMU has written its vhost-user messages: what
        follows could overtake them. A request that is served before the message with its queue's call descriptor ends
        virtiofsd, and the interrupt of such a message would be taken for one of a later request. Raises PeerDied.
        """
        end = time.monotonic() + _SETTLE_S
        while self._unread() or not self._asleep():
            self.check()
            if time.monotonic() > end:
                raise self.virtiofsd.death(f"it had {_SETTLE_S:.0f} s to do what QEMU had told it")
            if self.qtest.closed_within(_LOOK_S):
                return  # whoever needs QEMU next says how it ended
        for _ in range(2):  # QEMU's loop has looked at every descriptor between the first answer and the second command
            self.qtest.read(MESSAGE_BASE, 4)

    def _unread(self) -> int:
        """What of QEMU's messages virtiofsd has not read, in bytes with their overhead."""
        return int(struct.unpack("i", fcntl.ioctl(self._to_virtiofsd, termios.TIOCOUTQ, bytes(4)))[0])

    def _asleep(self) -> bool:
        """Whether virtiofsd's first thread waits: it carries a message out without waiting, then waits for the next."""
        try:
            text = Path(f"/proc/{self.virtiofsd.pid}/stat").read_text(encoding="ascii", errors="replace")
        except OSError:
            return False  # it has ended
        return text.rpartition(") ")[2].startswith("S")

    def check(self) -> None:
        """Raise PeerDied when one of the two has ended."""
        if self.virtiofsd.status is None and self.qemu.status is None:
            return
        self.qemu.wait(_TOGETHER_S)
        raise self._culprit().death("it was needed")

    def _culprit(self) -> PeerProcess:
        """Who died of itself, where one may have ended as the other was gone: virtiofsd then says 0."""
        return self.virtiofsd if self.virtiofsd.status not in (None, 0) or self.qemu.status is None else self.qemu

    def death(self, error: QtestError, doing: str) -> PeerError:
        """What to tell when QEMU has not answered: who died, and its last words."""
        return self._death(doing, error)

    def _death(self, doing: str, error: QtestError) -> PeerError:
        if not self._started:
            return PeerDied(str(error))
        self.qemu.wait(_TOGETHER_S)
        self.virtiofsd.wait(_TOGETHER_S)
        if self.qemu.status is None and self.virtiofsd.status is None:
            return self.qemu.death(f"{doing} ({error})")
        return self._culprit().death(doing)

    def close(self) -> None:
        """End both and give everything back. May be called twice."""
        if self._started:
            self._to_virtiofsd.close()  # so that QEMU's end is the last one
            self.qemu.stop()
            self.virtiofsd.wait(_STOP_S)  # it ends with the connection, having written what it holds
        self._closing.close()


def machine_arguments(low: int, high: int, messages: int, bios: int, *, vhost: int, qtest: int, tag: str) -> list[str]:
    """QEMU's arguments. low, high, messages, bios: file descriptors of memory; vhost, qtest: connected sockets."""
    low_bytes, high_bytes = os.fstat(low).st_size, os.fstat(high).st_size
    below = _FILLER + low_bytes

    def shared(name: str, size: int, descriptor: int) -> list[str]:
        path = f"/proc/self/fd/{descriptor}"
        return ["-object", f"memory-backend-file,id={name},size={size},mem-path={path},share=on"]

    return [
        *("-nodefaults", "-no-user-config", "-display", "none", "-accel", "tcg,thread=single"),
        *("-machine", f"q35,hpet=off,pit=off,max-ram-below-4g={below}"),
        *("-m", f"{below >> 20}M,slots=1,maxmem={(HIGH_BASE + high_bytes) * 2 >> 20}M"),
        *("-object", f"memory-backend-memfd,id=filler,size={_FILLER},share=on"),
        *shared("low", low_bytes, low),
        *shared("high", high_bytes, high),
        *shared("messages", MESSAGE_BYTES, messages),
        *("-numa", "node,nodeid=0,memdev=filler", "-numa", "node,nodeid=1,memdev=low"),
        *("-device", f"pc-dimm,memdev=high,addr={HIGH_BASE},node=0"),
        *("-device", f"ivshmem-plain,memdev=messages,addr={MESSAGE_DEVICE}.0"),
        *("-bios", f"/proc/self/fd/{bios}"),
        *("-chardev", f"socket,id=vhost,fd={vhost}"),
        *("-device", f"vhost-user-fs-pci,chardev=vhost,tag={tag},addr={DEVICE}.0"),
        *("-chardev", f"socket,id=qtest,fd={qtest}", "-qtest", "chardev:qtest", "-qtest-log", "none"),
    ]
