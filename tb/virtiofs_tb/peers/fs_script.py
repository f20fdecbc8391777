"""FUSE operations as data, for any server: each names inodes and open files by words, not by numbers.

No step may end a real virtiofsd: no INTERRUPT, no FORGET of more lookups than were taken, no unique 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ctypes import LittleEndianStructure
from dataclasses import dataclass, field

from virtiofs_model.layouts import fuse
from virtiofs_model.layouts.fuse_constants import FUSE_GETATTR_FH, Fattr, InitFlag, Opcode

ROOT = "root"
O_RDONLY, O_WRONLY, O_RDWR = 0o0, 0o1, 0o2
O_CREAT, O_EXCL, O_TRUNC, O_APPEND, O_DIRECTORY = 0o100, 0o200, 0o1000, 0o2000, 0o200000
S_IFIFO, S_IFREG, S_IFSOCK = 0o010000, 0o100000, 0o140000
SEEK_DATA, SEEK_HOLE = 3, 4
KEEP_SIZE, PUNCH_HOLE, COLLAPSE_RANGE, ZERO_RANGE = 1, 2, 8, 16
NOREPLACE, EXCHANGE = 1, 2
LONG = b"n" * 255
TOO_LONG = b"n" * 256
PATTERN = bytes(range(256)) * 20


@dataclass(frozen=True)
class Step:
    """One request. node: whose nodeid the header has; refs: fields of `body` that are ids, by the word kept for them.

    keep: the word for the inode, the open file, or both, of the reply. room: writable bytes, None for what Linux posts.
    forgotten: the server may give the header's nodeid to another inode from now on.
    """

    label: str
    opcode: int
    node: str = ROOT
    body: LittleEndianStructure | None = None
    tail: bytes = b""
    refs: dict[str, str] = field(default_factory=dict)
    keep: str = ""
    room: int | None = None
    uid: int = 0
    gid: int = 0
    forgotten: bool = False


def _names(*names: bytes) -> bytes:
    return b"".join(name + b"\0" for name in names)


def init(label: str = "INIT", major: int = 7, minor: int = 38) -> Step:
    """FUSE_INIT as a kernel of that protocol sends it, offering what matters here."""
    flags = InitFlag.ASYNC_READ | InitFlag.BIG_WRITES | InitFlag.MAX_PAGES | InitFlag.DO_READDIRPLUS
    return Step(label, Opcode.INIT, ROOT, fuse.FuseInitIn(major, minor, 131072, int(flags)))


def lookup(label: str, name: bytes, node: str = ROOT, keep: str = "", room: int | None = None) -> Step:
    return Step(label, Opcode.LOOKUP, node, None, _names(name), {}, keep, room)


def create(
    label: str, name: bytes, node: str = ROOT, flags: int = O_RDWR | O_CREAT, keep: str = "", mode: int = 0o644
) -> Step:
    return Step(label, Opcode.CREATE, node, fuse.FuseCreateIn(flags, S_IFREG | mode), _names(name), {}, keep)


def mkdir(label: str, name: bytes, node: str = ROOT, keep: str = "", mode: int = 0o755) -> Step:
    return Step(label, Opcode.MKDIR, node, fuse.FuseMkdirIn(mode, 0), _names(name), {}, keep)


def mknod(label: str, name: bytes, mode: int, node: str = ROOT, keep: str = "") -> Step:
    return Step(label, Opcode.MKNOD, node, fuse.FuseMknodIn(mode, 0), _names(name), {}, keep)


def symlink(label: str, name: bytes, target: bytes, node: str = ROOT, keep: str = "") -> Step:
    return Step(label, Opcode.SYMLINK, node, None, _names(name, target), {}, keep)


def link(label: str, old: str, name: bytes, node: str = ROOT, keep: str = "") -> Step:
    return Step(label, Opcode.LINK, node, fuse.FuseLinkIn(), _names(name), {"oldnodeid": old}, keep)


def remove(label: str, name: bytes, node: str = ROOT, directory: bool = False) -> Step:
    return Step(label, Opcode.RMDIR if directory else Opcode.UNLINK, node, None, _names(name))


def rename(label: str, old: bytes, new: bytes, node: str = ROOT, to: str = ROOT) -> Step:
    return Step(label, Opcode.RENAME, node, fuse.FuseRenameIn(), _names(old, new), {"newdir": to})


def rename2(label: str, old: bytes, new: bytes, flags: int, node: str = ROOT, to: str = ROOT) -> Step:
    return Step(label, Opcode.RENAME2, node, fuse.FuseRename2In(0, flags), _names(old, new), {"newdir": to})


def open_(label: str, node: str, flags: int, keep: str = "", directory: bool = False) -> Step:
    return Step(label, Opcode.OPENDIR if directory else Opcode.OPEN, node, fuse.FuseOpenIn(flags), keep=keep)


def release(label: str, node: str, fh: str, directory: bool = False) -> Step:
    opcode = Opcode.RELEASEDIR if directory else Opcode.RELEASE
    return Step(label, opcode, node, fuse.FuseReleaseIn(), b"", {"fh": fh})


def read(label: str, node: str, fh: str, offset: int, size: int, room: int | None = None) -> Step:
    return Step(label, Opcode.READ, node, fuse.FuseReadIn(0, offset, size), b"", {"fh": fh}, room=room)


def write(label: str, node: str, fh: str, offset: int, data: bytes) -> Step:
    return Step(label, Opcode.WRITE, node, fuse.FuseWriteIn(0, offset, len(data)), data, {"fh": fh})


def listing(label: str, node: str, fh: str, size: int = 4096, plus: bool = False, offset: int = 0) -> Step:
    opcode = Opcode.READDIRPLUS if plus else Opcode.READDIR
    return Step(label, opcode, node, fuse.FuseReadIn(0, offset, size), b"", {"fh": fh})


def getattr_(label: str, node: str, fh: str = "") -> Step:
    body = fuse.FuseGetattrIn(FUSE_GETATTR_FH if fh else 0)
    return Step(label, Opcode.GETATTR, node, body, b"", {"fh": fh} if fh else {})


def setattr_(label: str, node: str, fh: str = "", **fields: int) -> Step:
    valid = sum(int(Fattr[name.upper()]) for name in fields) | (int(Fattr.FH) if fh else 0)
    body = fuse.FuseSetattrIn(valid=valid, **fields)
    return Step(label, Opcode.SETATTR, node, body, b"", {"fh": fh} if fh else {})


def fallocate(label: str, offset: int, length: int, mode: int = 0) -> Step:
    body = fuse.FuseFallocateIn(0, offset, length, mode)
    return Step(label, Opcode.FALLOCATE, "file", body, b"", {"fh": "file"})


def lseek(label: str, offset: int, whence: int) -> Step:
    return Step(label, Opcode.LSEEK, "file", fuse.FuseLseekIn(0, offset, whence), b"", {"fh": "file"})


def forget(label: str, node: str, count: int, forgotten: bool = False) -> Step:
    return Step(label, Opcode.FORGET, node, fuse.FuseForgetIn(count), forgotten=forgotten)


# ---- the script, in chapters ----


def _session_opens() -> Iterator[Step]:
    yield Step("GETATTR before INIT", Opcode.GETATTR, ROOT, fuse.FuseGetattrIn())
    yield init("INIT of major 8", major=8)
    yield init()
    yield getattr_("GETATTR of the root", ROOT)
    yield Step("STATFS", Opcode.STATFS)
    yield Step("an opcode that nobody knows", 200)
    yield Step("ACCESS", Opcode.ACCESS, ROOT, fuse.FuseAccessIn(4))


def _names_of_all_kinds() -> Iterator[Step]:
    yield lookup("LOOKUP of a missing name", b"missing")
    yield lookup("LOOKUP of an empty name", b"")
    yield lookup("LOOKUP of a name with a slash", b"a/b")
    yield lookup("LOOKUP of '.'", b".")
    yield lookup("LOOKUP of '..' in the root", b"..")
    yield lookup("LOOKUP of 255 bytes", LONG)
    yield lookup("LOOKUP of 256 bytes", TOO_LONG)
    yield Step("LOOKUP of a name without its NUL", Opcode.LOOKUP, ROOT, None, b"abc")
    yield create("CREATE", b"file", keep="file")
    yield create("CREATE with O_EXCL of a name that exists", b"file", flags=O_RDWR | O_CREAT | O_EXCL)
    yield create("CREATE of a name with a slash", b"a/b")
    yield create("CREATE of '.'", b".")
    yield create("CREATE of 256 bytes", TOO_LONG)
    yield create("CREATE of 255 bytes", LONG, keep="long")
    yield remove("UNLINK of 255 bytes", LONG)
    yield release("RELEASE of a file without a name", "long", "long")
    yield forget("FORGET of a file without a name", "long", 1, forgotten=True)
    yield mkdir("MKDIR", b"dir", keep="dir")
    yield mkdir("MKDIR of a name that exists", b"dir")
    yield mkdir("MKDIR of '.'", b".")
    yield mkdir("MKDIR of a name with a slash", b"a/b")
    yield mkdir("MKDIR in a directory", b"sub", "dir", keep="sub")
    yield mkdir("MKDIR with the sticky bit", b"sticky", keep="sticky", mode=0o1777)
    yield getattr_("GETATTR of a directory with one in it", "dir")
    yield lookup("LOOKUP in a directory", b"sub", "dir")
    yield lookup("LOOKUP in a file", b"x", "file")
    yield mknod("MKNOD of a regular file", b"node", S_IFREG | 0o600, keep="node")
    yield mknod("MKNOD of a FIFO", b"fifo", S_IFIFO | 0o600, keep="fifo")
    yield mknod("MKNOD of a socket", b"socket", S_IFSOCK | 0o600, keep="socket")
    yield mknod("MKNOD without a type", b"typeless", 0o600, keep="typeless")
    yield mknod("MKNOD of a directory", b"dir", 0o040755)
    yield mknod("MKNOD of a name that exists", b"file", S_IFREG | 0o600)
    yield symlink("SYMLINK", b"link", b"file", keep="link")
    yield symlink("SYMLINK of a name that exists", b"file", b"x")
    yield symlink("SYMLINK with an empty target", b"empty", b"")
    yield symlink("SYMLINK with a target of 4095 bytes", b"far", b"t" * 4095, keep="far")
    yield symlink("SYMLINK with a target of 4096 bytes", b"farther", b"t" * 4096)
    yield Step("READLINK", Opcode.READLINK, "link")
    yield Step("READLINK of 4095 bytes", Opcode.READLINK, "far")
    yield Step("READLINK of a file", Opcode.READLINK, "file")
    yield Step("READLINK of a directory", Opcode.READLINK, "dir")
    yield lookup("LOOKUP in a symbolic link", b"x", "link")
    yield link("LINK", "file", b"second")
    yield getattr_("GETATTR of a file with two names", "file")
    yield link("LINK of a name that exists", "file", b"node")
    yield link("LINK of a directory", "dir", b"hard")
    yield link("LINK into a file", "file", b"x", "node")


def _contents() -> Iterator[Step]:
    yield write("WRITE", "file", "file", 0, PATTERN)
    yield read("READ", "file", "file", 0, 4096)
    yield read("READ across the end", "file", "file", 5000, 4096)
    yield read("READ at the end", "file", "file", 5120, 10)
    yield read("READ beyond the end", "file", "file", 1 << 30, 10)
    yield read("READ of 0 bytes", "file", "file", 0, 0)
    yield write("WRITE of 0 bytes", "file", "file", 100_000, b"")
    yield getattr_("GETATTR after WRITE of 0 bytes", "file")
    yield write("WRITE behind a hole", "file", "file", 20_000, b"end")
    yield getattr_("GETATTR of a file with a hole", "file", "file")
    yield read("READ of the hole", "file", "file", 5000, 300)
    yield setattr_("SETATTR shrinks", "file", size=1000)
    yield setattr_("SETATTR grows", "file", "file", size=3000)
    yield read("READ of what was cut off", "file", "file", 990, 20)
    yield setattr_("SETATTR of the mode", "file", mode=S_IFREG | 0o640)
    yield setattr_("SETATTR of the owner", "file", uid=1, gid=2)
    yield setattr_("SETATTR of the group", "file", gid=0)
    yield setattr_("SETATTR of the size of a directory", "dir", size=0)
    yield setattr_("SETATTR of the size of a FIFO", "fifo", size=0)
    yield setattr_("SETATTR of nothing", "file")
    yield open_("OPEN to read", "file", O_RDONLY, "reader")
    yield read("READ by another open file", "file", "reader", 0, 16)
    yield write("WRITE by a file opened to read", "file", "reader", 0, b"no")
    yield open_("OPEN to write", "file", O_WRONLY, "writer")
    yield read("READ by a file opened to write", "file", "writer", 0, 16)
    yield open_("OPEN with O_TRUNC", "file", O_RDWR | O_TRUNC, "cutter")
    yield getattr_("GETATTR after O_TRUNC", "file")
    yield open_("OPEN with O_APPEND", "file", O_WRONLY | O_APPEND, "appender")
    yield write("WRITE by a file opened with O_APPEND", "file", "appender", 0, b"abc")
    yield open_("OPEN of a directory to write", "dir", O_WRONLY)
    yield open_("OPEN of a symbolic link", "link", O_RDONLY)
    # With O_CREAT, as Linux sends it, Debian's virtiofsd 7.2 aborts: it opens the file with the same flags and no mode.
    yield create("CREATE opens what is there", b"node", flags=O_RDWR, keep="node")
    for name, opcode in (("FLUSH", Opcode.FLUSH), ("FSYNC", Opcode.FSYNC)):
        struct = fuse.FuseFlushIn() if opcode is Opcode.FLUSH else fuse.FuseFsyncIn()
        yield Step(name, opcode, "file", struct, b"", {"fh": "file"})
        yield Step(f"{name} of no open file", opcode, "file", type(struct)(), b"", {"fh": "nothing"})
    yield read("READ of no open file", "file", "nothing", 0, 10)
    yield write("WRITE of no open file", "file", "nothing", 0, b"x")
    yield Step("READ into too little room", Opcode.READ, "file", fuse.FuseReadIn(0, 0, 3), b"", {"fh": "file"}, room=16)
    body = fuse.FuseWriteIn(0, 0, 100)
    yield Step("WRITE of less than it says", Opcode.WRITE, "file", body, b"few", {"fh": "file"})


def _ranges() -> Iterator[Step]:
    yield setattr_("SETATTR before FALLOCATE", "file", size=0)
    yield fallocate("FALLOCATE", 0, 10_000)
    yield getattr_("GETATTR after FALLOCATE", "file")
    yield fallocate("FALLOCATE with KEEP_SIZE", 0, 50_000, KEEP_SIZE)
    yield getattr_("GETATTR after FALLOCATE with KEEP_SIZE", "file")
    yield write("WRITE before a hole is punched", "file", "file", 0, b"x" * 12_288)
    yield fallocate("FALLOCATE with PUNCH_HOLE", 4096, 4096, PUNCH_HOLE | KEEP_SIZE)
    yield read("READ of the punched hole", "file", "file", 4090, 12)
    yield fallocate("FALLOCATE with PUNCH_HOLE alone", 4096, 4096, PUNCH_HOLE)
    yield fallocate("FALLOCATE with ZERO_RANGE", 100, 100, ZERO_RANGE)
    yield fallocate("FALLOCATE with COLLAPSE_RANGE", 0, 4096, COLLAPSE_RANGE)
    yield fallocate("FALLOCATE of 0 bytes", 0, 0)
    yield lseek("LSEEK to a hole", 0, SEEK_HOLE)
    yield lseek("LSEEK to data", 4096, SEEK_DATA)
    yield lseek("LSEEK beyond the end", 1 << 30, SEEK_DATA)
    refs = {"fh_in": "file", "nodeid_out": "node", "fh_out": "node"}
    body = fuse.FuseCopyFileRangeIn()
    yield Step("COPY_FILE_RANGE", Opcode.COPY_FILE_RANGE, "file", body, b"", refs)


def _directories() -> Iterator[Step]:
    yield open_("OPENDIR", "dir", O_RDONLY | O_DIRECTORY, "dir", directory=True)
    yield open_("OPENDIR of a file", "file", O_RDONLY | O_DIRECTORY, directory=True)
    yield create("CREATE in a directory", b"inside", "dir", keep="inside")
    yield listing("READDIR", "dir", "dir")
    yield listing("READDIR again", "dir", "dir")
    yield listing("READDIR of 0 bytes", "dir", "dir", 0)
    yield listing("READDIR into 20 bytes", "dir", "dir", 20)
    yield listing("READDIR of no open directory", "dir", "nothing")
    yield open_("OPENDIR once more", "dir", O_RDONLY | O_DIRECTORY, "plus", directory=True)
    yield listing("READDIRPLUS", "dir", "plus", plus=True)
    yield forget("FORGET of what READDIRPLUS gave", "inside", 1)
    yield forget("FORGET of what READDIRPLUS gave too", "sub", 1)
    yield Step("FSYNCDIR", Opcode.FSYNCDIR, "dir", fuse.FuseFsyncIn(), b"", {"fh": "dir"})
    yield release("RELEASEDIR", "dir", "dir", directory=True)
    yield release("RELEASEDIR once more", "dir", "plus", directory=True)
    yield remove("RMDIR of a directory that is not empty", b"dir", directory=True)
    yield remove("RMDIR of a file", b"file", directory=True)
    yield remove("RMDIR of a missing name", b"missing", directory=True)
    yield remove("RMDIR of '.'", b".", directory=True)
    yield remove("RMDIR of '..'", b"..", "sub", directory=True)
    yield remove("UNLINK of a directory", b"dir")
    yield remove("UNLINK of a missing name", b"missing")
    yield remove("UNLINK in a file", b"x", "file")


def _renames() -> Iterator[Step]:
    yield rename("RENAME of a missing name", b"missing", b"x")
    yield rename("RENAME of a file over a directory", b"file", b"dir")
    yield rename("RENAME of a directory over a file", b"dir", b"file")
    yield rename("RENAME of a directory over one that is not empty", b"sticky", b"dir")
    yield rename("RENAME of a directory into itself", b"dir", b"x", to="sub")
    yield rename("RENAME of '.'", b".", b"x")
    yield rename("RENAME to a name with a slash", b"file", b"a/b")
    yield rename("RENAME to 256 bytes", b"file", TOO_LONG)
    yield rename("RENAME between two names of one file", b"file", b"second")
    yield lookup("LOOKUP after a RENAME that does nothing", b"file")
    yield forget("FORGET after it", "file", 1)
    yield rename("RENAME into a directory", b"second", b"moved", to="dir")
    yield rename("RENAME over a file", b"typeless", b"node")
    yield getattr_("GETATTR of a file that was replaced", "node", "node")
    yield rename("RENAME of a directory over an empty one", b"sticky", b"sub", to="dir")
    yield rename2("RENAME2 without flags", b"link", b"link2", 0)
    yield rename2("RENAME2 with NOREPLACE of a name that exists", b"link2", b"file", NOREPLACE)
    yield rename2("RENAME2 with EXCHANGE", b"link2", b"fifo", EXCHANGE)
    yield rename2("RENAME2 with EXCHANGE of a missing name", b"fifo", b"missing", EXCHANGE)


def _owners() -> Iterator[Step]:
    yield setattr_("SETATTR of the mode of the root", ROOT, mode=0o040777)
    body = fuse.FuseCreateIn(O_RDWR | O_CREAT, S_IFREG | 0o600)
    yield Step("CREATE by a user", Opcode.CREATE, ROOT, body, _names(b"user"), {}, "user", None, 1000, 1000)
    yield setattr_("SETATTR of the mode with S_ISGID", "dir", mode=0o042755)
    made = fuse.FuseMkdirIn(0o755, 0)
    yield Step("MKDIR in a directory with S_ISGID", Opcode.MKDIR, "dir", made, _names(b"gid"), {}, "gid", None, 0, 7)


def _what_else() -> Iterator[Step]:
    xattr = fuse.FuseGetxattrIn
    yield Step("GETXATTR", Opcode.GETXATTR, "file", xattr(64), _names(b"user.a"))
    yield Step("LISTXATTR", Opcode.LISTXATTR, "file", xattr(64))
    yield Step("REMOVEXATTR", Opcode.REMOVEXATTR, "file", None, _names(b"user.a"))
    yield Step("BMAP", Opcode.BMAP, "file", fuse.FuseBmapIn(0, 4096))
    yield Step("IOCTL", Opcode.IOCTL, "file", fuse.FuseIoctlIn(0, 0, 0x5401), b"", {"fh": "file"})
    yield Step("POLL", Opcode.POLL, "file", fuse.FusePollIn(0, 0, 0, 1), b"", {"fh": "file"})
    yield Step("SYNCFS", Opcode.SYNCFS, ROOT, fuse.FuseSyncfsIn())
    body = fuse.FuseCreateIn(O_RDWR, S_IFREG | 0o600)
    yield Step("TMPFILE", Opcode.TMPFILE, "dir", body, _names(b"/"), {}, "temporary")
    yield Step("STATX", Opcode.STATX, "file", fuse.FuseStatxIn(0, 0, 0, 0, 0xFFF))


def _strange_messages() -> Iterator[Step]:
    yield Step("GETATTR without its structure", Opcode.GETATTR, ROOT)
    yield Step("OPEN without its structure", Opcode.OPEN, "file")
    yield Step("RENAME with one name", Opcode.RENAME, ROOT, fuse.FuseRenameIn(), _names(b"file"), {"newdir": ROOT})
    yield lookup("LOOKUP with room for a header only", b"file", room=16)
    yield lookup("LOOKUP of a missing name with room for a header only", b"missing", room=16)
    yield getattr_("GETATTR of an inode that never was", "nobody")
    yield lookup("LOOKUP in an inode that never was", b"x", "nobody")
    yield Step("BATCH_FORGET of nothing", Opcode.BATCH_FORGET, ROOT, fuse.FuseBatchForgetIn(0))


def _session_ends() -> Iterator[Step]:
    yield remove("UNLINK of an open file", b"file")
    yield getattr_("GETATTR of an open file without a name in its directory", "file", "file")
    yield write("WRITE to an open file", "file", "file", 0, b"still")
    yield read("READ of an open file", "file", "file", 0, 5)
    yield release("RELEASE", "file", "file")
    yield release("RELEASE of no open file", "file", "nothing")
    yield Step("DESTROY", Opcode.DESTROY)
    yield getattr_("GETATTR after DESTROY", ROOT)
    yield init("INIT after DESTROY")
    yield lookup("LOOKUP in the new session", b"dir", keep="dir")
    yield init("INIT of minor 30", minor=30)


def script(*more: Iterable[Step]) -> list[Step]:
    """All steps in order; labels are unique. more: what stands before the end of the session."""
    chapters = (
        _session_opens,
        _names_of_all_kinds,
        _contents,
        _ranges,
        _directories,
        _renames,
        _owners,
        _what_else,
        _strange_messages,
    )
    return [step for steps in (*(chapter() for chapter in chapters), *more, _session_ends()) for step in steps]
