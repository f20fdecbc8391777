"""The kernel's side of a mount: /dev/fuse, mount(2) or fusermount3, and the way back (man pages mount(2), fuse(4))."""

from __future__ import annotations

import array
import contextlib
import ctypes
import errno
import os
import shutil
import socket
import subprocess
from pathlib import Path

from virtiofs_tb.mount.errors import MountError

DEVICE = Path("/dev/fuse")
SUBTYPE = "virtiofs-cosim"
KIND = f"fuse.{SUBTYPE}"
HELPER = "fusermount3"
HELPER_S = 20.0

MS_NOSUID, MS_NODEV = 2, 4
MNT_DETACH = 2
_ROOT_MODE = 0o40000

_libc = ctypes.CDLL(None, use_errno=True)


def check(directory: Path) -> str | None:
    """Whether `directory` can be mounted on; returns a notice or None. Raises MountError."""
    if not DEVICE.exists():
        raise MountError(f"{DEVICE} does not exist: this kernel has no FUSE (modprobe fuse), or a container hides it")
    if not os.access(DEVICE, os.R_OK | os.W_OK):
        raise MountError(f"{DEVICE} cannot be opened: no permission to read and write it")
    if os.geteuid() != 0 and shutil.which(HELPER) is None:
        raise MountError(f"only root can mount without {HELPER}: apt-get install fuse3, or run as root")
    if kind_of(directory) == KIND:
        raise MountError(f"MNT={directory}: is mounted already; make umount MNT={directory} takes it away")
    if not directory.exists():
        raise MountError(f"MNT={directory}: no such directory; make it first")
    if not directory.is_dir():
        raise MountError(f"MNT={directory}: is not a directory")
    if any(directory.iterdir()):
        return f"{directory} is not empty: what is in it is hidden until it is unmounted"
    return None


def attach(directory: Path) -> int:
    """Mount on `directory`; the open, non-blocking file of /dev/fuse that serves it. Raises MountError."""
    try:
        descriptor = os.open(DEVICE, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise MountError(f"{DEVICE} cannot be opened: {error.strerror}") from error
    options = f"rootmode={_ROOT_MODE:o},user_id={os.geteuid()},group_id={os.getegid()},default_permissions"
    if os.geteuid() == 0:
        data = f"fd={descriptor},{options},allow_other".encode()
        arguments = (SUBTYPE.encode(), os.fsencode(directory), KIND.encode(), MS_NOSUID | MS_NODEV, data)
        if _libc.mount(*arguments) == 0:
            return descriptor
        number = ctypes.get_errno()
        os.close(descriptor)
        if number != errno.EPERM:
            raise MountError(f"MNT={directory}: mount(2) fails: {os.strerror(number)}")
    else:
        os.close(descriptor)
    return _attach_by_helper(directory)


def _attach_by_helper(directory: Path) -> int:
    """fusermount3 mounts and hands the open file back over a socket (its environment names it)."""
    helper = shutil.which(HELPER)
    if helper is None:
        raise MountError(
            f"MNT={directory}: mounting is not permitted, and there is no {HELPER} (apt-get install fuse3)"
        )
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with ours, theirs:
        command = [helper, "-o", f"fsname={SUBTYPE},subtype={SUBTYPE},default_permissions,nosuid,nodev", "--"]
        done = subprocess.run(
            [*command, str(directory)],
            env={**os.environ, "_FUSE_COMMFD": str(theirs.fileno())},
            pass_fds=[theirs.fileno()],
            capture_output=True,
            text=True,
            timeout=HELPER_S,
        )
        if done.returncode:
            raise MountError(f"MNT={directory}: {HELPER} fails: {' '.join(done.stderr.split()) or done.returncode}")
        theirs.close()
        _, ancillary, _, _ = ours.recvmsg(1, socket.CMSG_SPACE(array.array("i").itemsize))
    descriptors = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            descriptors.frombytes(data[: descriptors.itemsize])
    if not descriptors:
        raise MountError(f"MNT={directory}: {HELPER} handed no file of {DEVICE} back")
    os.set_blocking(descriptors[0], False)
    return descriptors[0]


def detach(directory: Path, lazy: bool) -> str | None:
    """Unmount; None, or why it did not go. lazy: out of sight at once, the rest when nobody uses it any more.

    Unless lazy, it waits for what the kernel still has to write: not to be called by whoever serves the mount.
    """
    if _libc.umount2(os.fsencode(directory), MNT_DETACH if lazy else 0) == 0:
        return None
    number = ctypes.get_errno()
    helper = shutil.which(HELPER)
    if number != errno.EPERM or helper is None:
        return os.strerror(number)
    command = [helper, "-u", *(["-z"] if lazy else []), "--", str(directory)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=HELPER_S)
    return None if done.returncode == 0 else " ".join(done.stderr.split()) or f"exit status {done.returncode}"


def kind_of(directory: Path) -> str | None:
    """Type of the file system that is mounted on `directory` itself, the uppermost; None where none is."""
    wanted = os.path.abspath(directory)  # not resolved: a dead mount cannot be looked at
    found = None
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/mountinfo").read_text().splitlines():
            left, right = line.split(" - ", 1)
            if _unescaped(left.split()[4]) == wanted:
                found = right.split()[0]
    return found


def _unescaped(text: str) -> str:
    """mountinfo writes blanks and backslashes as octal numbers."""
    return text.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
