"""FUSE messages, protocol 7.45: every structure. The numbers are in fuse_constants.py.

Names are those of the kernel's <linux/fuse.h> (struct fuse_attr_out is FuseAttrOut here); sizes are bytes, everything
is little-endian (a byte-swapped session is not offered). tests/unit/test_layouts_kernel_headers.py compares them with
the installed header as far as that reaches; what is newer comes from libfuse's include/fuse_kernel.h (7.45).
What each opcode carries, and where ids stand in it, is in fuse_operations.py.
"""

from __future__ import annotations

from ctypes import LittleEndianStructure, c_int32, c_int64, c_uint16, c_uint32, c_uint64
from typing import Any

_SCALARS: dict[str, Any] = {"u16": c_uint16, "u32": c_uint32, "u64": c_uint64, "s32": c_int32, "s64": c_int64}


def _layout(*parts: str | tuple[str, Any]) -> list[tuple[str, Any]]:
    """Fields in memory order: "u64 ino size, u32 spare[6]" names scalars, a pair names a nested structure."""
    fields: list[tuple[str, Any]] = []
    for part in parts:
        if isinstance(part, tuple):
            fields.append(part)
            continue
        for group in part.split(","):
            kind, *names = group.split()
            for name in names:
                base, bracket, count = name.partition("[")
                fields.append((base, _SCALARS[kind] * int(count[:-1]) if bracket else _SCALARS[kind]))
    return fields


class FuseAttr(LittleEndianStructure):
    """Attributes of an inode. blocks counts 512 bytes; times are seconds and nanoseconds of the server's clock."""

    _fields_ = _layout(
        "u64 ino size blocks atime mtime ctime, u32 atimensec mtimensec ctimensec mode nlink uid gid rdev blksize "
        "flags",
    )


class FuseSxTime(LittleEndianStructure):
    """A time stamp of statx(2)."""

    _fields_ = _layout("s64 tv_sec, u32 tv_nsec, s32 __reserved")


class FuseStatx(LittleEndianStructure):
    """The kernel's struct statx, bit for bit."""

    _fields_ = _layout(
        "u32 mask blksize, u64 attributes, u32 nlink uid gid, u16 mode __spare0[1], u64 ino size blocks "
        "attributes_mask",
        ("atime", FuseSxTime),
        ("btime", FuseSxTime),
        ("ctime", FuseSxTime),
        ("mtime", FuseSxTime),
        "u32 rdev_major rdev_minor dev_major dev_minor, u64 __spare2[14]",
    )


class FuseKstatfs(LittleEndianStructure):
    """Numbers of statfs(2); blocks count frsize bytes."""

    _fields_ = _layout("u64 blocks bfree bavail files ffree, u32 bsize namelen frsize padding spare[6]")


class FuseFileLock(LittleEndianStructure):
    """A byte range lock; end is inclusive, type is F_RDLCK, F_WRLCK or F_UNLCK."""

    _fields_ = _layout("u64 start end, u32 type pid")


class FuseEntryOut(LittleEndianStructure):
    """What a name leads to. nodeid 0: a negative entry that may be cached for entry_valid."""

    _fields_ = _layout(
        "u64 nodeid generation entry_valid attr_valid, u32 entry_valid_nsec attr_valid_nsec",
        ("attr", FuseAttr),
    )


class FuseForgetIn(LittleEndianStructure):
    """FORGET: take nlookup lookups away from the header's nodeid."""

    _fields_ = _layout("u64 nlookup")


class FuseForgetOne(LittleEndianStructure):
    """One element of BATCH_FORGET's array."""

    _fields_ = _layout("u64 nodeid nlookup")


class FuseBatchForgetIn(LittleEndianStructure):
    """BATCH_FORGET: count elements of FuseForgetOne follow."""

    _fields_ = _layout("u32 count dummy")


class FuseGetattrIn(LittleEndianStructure):
    """fh counts where getattr_flags has FUSE_GETATTR_FH."""

    _fields_ = _layout("u32 getattr_flags dummy, u64 fh")


class FuseAttrOut(LittleEndianStructure):
    """Reply of GETATTR and SETATTR."""

    _fields_ = _layout("u64 attr_valid, u32 attr_valid_nsec dummy", ("attr", FuseAttr))


class FuseStatxIn(LittleEndianStructure):
    """fh counts where getattr_flags has FUSE_GETATTR_FH."""

    _fields_ = _layout("u32 getattr_flags reserved, u64 fh, u32 sx_flags sx_mask")


class FuseStatxOut(LittleEndianStructure):
    """Reply of STATX."""

    _fields_ = _layout("u64 attr_valid, u32 attr_valid_nsec flags, u64 spare[2]", ("stat", FuseStatx))


class FuseMknodIn(LittleEndianStructure):
    """A name follows."""

    _fields_ = _layout("u32 mode rdev umask padding")


class FuseMkdirIn(LittleEndianStructure):
    """A name follows."""

    _fields_ = _layout("u32 mode umask")


class FuseRenameIn(LittleEndianStructure):
    """Two names follow: old in the header's nodeid, new in newdir."""

    _fields_ = _layout("u64 newdir")


class FuseRename2In(LittleEndianStructure):
    """As FuseRenameIn; flags are those of renameat2(2)."""

    _fields_ = _layout("u64 newdir, u32 flags padding")


class FuseLinkIn(LittleEndianStructure):
    """oldnodeid gets the name that follows in the header's nodeid."""

    _fields_ = _layout("u64 oldnodeid")


class FuseSetattrIn(LittleEndianStructure):
    """valid (Fattr) says which fields count."""

    _fields_ = _layout(
        "u32 valid padding, u64 fh size lock_owner atime mtime ctime, u32 atimensec mtimensec ctimensec mode "
        "unused4 uid gid unused5",
    )


class FuseOpenIn(LittleEndianStructure):
    """OPEN and OPENDIR."""

    _fields_ = _layout("u32 flags open_flags")


class FuseCreateIn(LittleEndianStructure):
    """CREATE and TMPFILE; a name follows."""

    _fields_ = _layout("u32 flags mode umask open_flags")


class FuseOpenOut(LittleEndianStructure):
    """Reply of OPEN and OPENDIR; in CREATE and TMPFILE it follows the entry."""

    _fields_ = _layout("u64 fh, u32 open_flags, s32 backing_id")


class FuseReleaseIn(LittleEndianStructure):
    """RELEASE and RELEASEDIR."""

    _fields_ = _layout("u64 fh, u32 flags release_flags, u64 lock_owner")


class FuseFlushIn(LittleEndianStructure):
    """FLUSH: a descriptor of the file was closed."""

    _fields_ = _layout("u64 fh, u32 unused padding, u64 lock_owner")


class FuseReadIn(LittleEndianStructure):
    """READ, READDIR and READDIRPLUS; for directories offset is a cookie."""

    _fields_ = _layout("u64 fh offset, u32 size read_flags, u64 lock_owner, u32 flags padding")


class FuseWriteIn(LittleEndianStructure):
    """WRITE: size bytes follow."""

    _fields_ = _layout("u64 fh offset, u32 size write_flags, u64 lock_owner, u32 flags padding")


class FuseWriteOut(LittleEndianStructure):
    """Reply of WRITE and COPY_FILE_RANGE: bytes taken."""

    _fields_ = _layout("u32 size padding")


class FuseStatfsOut(LittleEndianStructure):
    """Reply of STATFS."""

    _fields_ = _layout(("st", FuseKstatfs))


class FuseFsyncIn(LittleEndianStructure):
    """FSYNC and FSYNCDIR."""

    _fields_ = _layout("u64 fh, u32 fsync_flags padding")


class FuseSetxattrIn(LittleEndianStructure):
    """The first 8 bytes only, unless SETXATTR_EXT was negotiated; a name and size bytes follow."""

    _fields_ = _layout("u32 size flags setxattr_flags padding")


class FuseGetxattrIn(LittleEndianStructure):
    """GETXATTR (a name follows) and LISTXATTR. size 0 asks for the size."""

    _fields_ = _layout("u32 size padding")


class FuseGetxattrOut(LittleEndianStructure):
    """Reply where size was 0; otherwise the value itself is the reply."""

    _fields_ = _layout("u32 size padding")


class FuseLkIn(LittleEndianStructure):
    """GETLK, SETLK, SETLKW."""

    _fields_ = _layout("u64 fh owner", ("lk", FuseFileLock), "u32 lk_flags padding")


class FuseLkOut(LittleEndianStructure):
    """Reply of GETLK: the lock that is in the way, or F_UNLCK."""

    _fields_ = _layout(("lk", FuseFileLock))


class FuseAccessIn(LittleEndianStructure):
    """mask as in access(2)."""

    _fields_ = _layout("u32 mask padding")


class FuseInitIn(LittleEndianStructure):
    """INIT of protocol 7.36 and newer; flags2 holds InitFlag bits 63:32."""

    _fields_ = _layout("u32 major minor max_readahead flags flags2 unused[11]")


class FuseInitOut(LittleEndianStructure):
    """Reply of INIT."""

    _fields_ = _layout(
        "u32 major minor max_readahead flags, u16 max_background congestion_threshold, u32 max_write time_gran, "
        "u16 max_pages map_alignment, u32 flags2 max_stack_depth, u16 request_timeout unused[11]",
    )


class FuseInterruptIn(LittleEndianStructure):
    """unique of the request to interrupt."""

    _fields_ = _layout("u64 unique")


class FuseBmapIn(LittleEndianStructure):
    """BMAP."""

    _fields_ = _layout("u64 block, u32 blocksize padding")


class FuseBmapOut(LittleEndianStructure):
    """Reply of BMAP."""

    _fields_ = _layout("u64 block")


class FuseIoctlIn(LittleEndianStructure):
    """IOCTL: in_size bytes follow."""

    _fields_ = _layout("u64 fh, u32 flags cmd, u64 arg, u32 in_size out_size")


class FuseIoctlIovec(LittleEndianStructure):
    """One range of an unrestricted ioctl."""

    _fields_ = _layout("u64 base len")


class FuseIoctlOut(LittleEndianStructure):
    """Reply of IOCTL; up to out_size bytes follow."""

    _fields_ = _layout("s32 result, u32 flags in_iovs out_iovs")


class FusePollIn(LittleEndianStructure):
    """POLL."""

    _fields_ = _layout("u64 fh kh, u32 flags events")


class FusePollOut(LittleEndianStructure):
    """Reply of POLL."""

    _fields_ = _layout("u32 revents padding")


class FuseNotifyPollWakeupOut(LittleEndianStructure):
    """Notification POLL."""

    _fields_ = _layout("u64 kh")


class FuseFallocateIn(LittleEndianStructure):
    """FALLOCATE; mode as in fallocate(2)."""

    _fields_ = _layout("u64 fh offset length, u32 mode padding")


class FuseInHeader(LittleEndianStructure):
    """First in every request. len covers the whole message; total_extlen counts 8-byte units."""

    _fields_ = _layout("u32 len opcode, u64 unique nodeid, u32 uid gid pid, u16 total_extlen padding")


class FuseOutHeader(LittleEndianStructure):
    """First in every reply (error: 0 or -errno) and notification (error: +code, unique: 0). len: whole message."""

    _fields_ = _layout("u32 len, s32 error, u64 unique")


class FuseDirent(LittleEndianStructure):
    """One record of READDIR; namelen bytes follow, padded with zeros to 8. off is the cookie of the next record."""

    _fields_ = _layout("u64 ino off, u32 namelen type")


class FuseDirentplus(LittleEndianStructure):
    """One record of READDIRPLUS; entry_out.nodeid 0 gives no entry (and takes no lookup)."""

    _fields_ = _layout(("entry_out", FuseEntryOut), ("dirent", FuseDirent))


class FuseNotifyInvalInodeOut(LittleEndianStructure):
    """Notification INVAL_INODE; off < 0: attributes only, len <= 0: to the end."""

    _fields_ = _layout("u64 ino, s64 off len")


class FuseNotifyInvalEntryOut(LittleEndianStructure):
    """Notification INVAL_ENTRY; a name and a NUL follow."""

    _fields_ = _layout("u64 parent, u32 namelen flags")


class FuseNotifyDeleteOut(LittleEndianStructure):
    """Notification DELETE; a name and a NUL follow."""

    _fields_ = _layout("u64 parent child, u32 namelen padding")


class FuseNotifyStoreOut(LittleEndianStructure):
    """Notification STORE; size bytes follow."""

    _fields_ = _layout("u64 nodeid offset, u32 size padding")


class FuseNotifyRetrieveOut(LittleEndianStructure):
    """Notification RETRIEVE; the driver answers with NOTIFY_REPLY."""

    _fields_ = _layout("u64 notify_unique nodeid offset, u32 size padding")


class FuseNotifyRetrieveIn(LittleEndianStructure):
    """NOTIFY_REPLY; size bytes follow. As large as FuseWriteIn."""

    _fields_ = _layout("u64 dummy1 offset, u32 size dummy2, u64 dummy3 dummy4")


class FuseNotifyPruneOut(LittleEndianStructure):
    """Notification PRUNE (7.45); count nodeids of 8 bytes follow."""

    _fields_ = _layout("u32 count padding, u64 spare")


class FuseLseekIn(LittleEndianStructure):
    """LSEEK; whence is SEEK_DATA or SEEK_HOLE."""

    _fields_ = _layout("u64 fh offset, u32 whence padding")


class FuseLseekOut(LittleEndianStructure):
    """Reply of LSEEK."""

    _fields_ = _layout("u64 offset")


class FuseCopyFileRangeIn(LittleEndianStructure):
    """COPY_FILE_RANGE(_64); the header's nodeid is the source."""

    _fields_ = _layout("u64 fh_in off_in nodeid_out fh_out off_out len flags")


class FuseCopyFileRangeOut(LittleEndianStructure):
    """Reply of COPY_FILE_RANGE_64 (7.45)."""

    _fields_ = _layout("u64 bytes_copied")


class FuseSetupmappingIn(LittleEndianStructure):
    """SETUPMAPPING: moffset is in the DAX window."""

    _fields_ = _layout("u64 fh foffset len flags moffset")


class FuseRemovemappingIn(LittleEndianStructure):
    """REMOVEMAPPING: count elements of FuseRemovemappingOne follow."""

    _fields_ = _layout("u32 count")


class FuseRemovemappingOne(LittleEndianStructure):
    """A range of the DAX window."""

    _fields_ = _layout("u64 moffset len")


class FuseSyncfsIn(LittleEndianStructure):
    """SYNCFS."""

    _fields_ = _layout("u64 padding")


class FuseSecctx(LittleEndianStructure):
    """A security context: this, its name, its label."""

    _fields_ = _layout("u32 size padding")


class FuseSecctxHeader(LittleEndianStructure):
    """nr_secctx contexts follow; size covers them and this header."""

    _fields_ = _layout("u32 size nr_secctx")


class FuseExtHeader(LittleEndianStructure):
    """An extension; size covers this header. Types up to 31 are FuseSecctxHeader."""

    _fields_ = _layout("u32 size type")


class FuseSuppGroups(LittleEndianStructure):
    """Extension FUSE_EXT_GROUPS; nr_groups u32 follow."""

    _fields_ = _layout("u32 nr_groups")
