"""Error codes that the endpoint shows in the error log of its DPU port (hdl/pkg/endpoint_pkg.sv has the same)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class ErrorCode(IntEnum):
    """Codes of the error log; the comment says where DEVICE_NEEDS_RESET is set."""

    NONE = 0
    AVAIL_INDEX = 1  # available index ran ahead by more than the queue size (fatal)
    HEAD_INDEX = 2  # ring entry not below the queue size (fatal)
    NEXT_INDEX = 3  # next not below the queue size or the table's length (fatal)
    CHAIN_LENGTH = 4  # more descriptors than the queue size, a loop among them (fatal)
    DIRECTION = 5  # readable after writable (fatal)
    INDIRECT_NESTED = 6  # INDIRECT inside an indirect table (fatal)
    INDIRECT_NEXT = 7  # INDIRECT together with NEXT (fatal)
    INDIRECT_LENGTH = 8  # table is empty or no multiple of 16 (fatal)
    INDIRECT_OFF = 9  # INDIRECT where the feature was not negotiated (fatal)
    RING_READ = 10  # a ring, descriptor or table could not be read (fatal)
    HEADER_READ = 11  # a FUSE header could not be read: used length 0
    PAYLOAD_READ = 12  # a request's payload could not be read: EIO
    HEADER_SHORT = 13  # readable part shorter than fuse_in_header: used length 0
    NOTIFY_SMALL = 14  # chain on the notification queue below notify_buf_size
    NOTIFY_READABLE = 15  # chain on the notification queue with a readable part
    UNEXPECTED_CPL = 16  # completion without a request
    CPL_TIMEOUT = 17
    STRAP_LOCKED = 18  # strap written while device_status was not 0
    ENGINE_CONTEXT = 19  # reply or job for a context that is not with the engine
    ENGINE_LENGTH = 20  # reply or job beyond the readable or writable part
    CHAIN_BYTES = 21  # a chain of 2^32 bytes or more (fatal)


@dataclass(frozen=True)
class LoggedError:
    """One entry of the error log."""

    code: ErrorCode
    fatal: bool
    queue: int
    address: int
