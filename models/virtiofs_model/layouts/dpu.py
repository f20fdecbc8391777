"""The DPU port: byte offsets of its 32-bit registers, and what their fields mean (SystemVerilog: hdl/fs/dpu_pkg.sv)."""

from __future__ import annotations

from enum import IntEnum, IntFlag

DPU_ID = 0x4353_4656
"""Register ID: "VFSC" in little-endian order."""

DPU_VERSION = 1

TAG_DWORDS = 9
COUNTER_DWORDS = 16
NOTIFY_BUF_SIZE_MIN = 296
NOTIFY_BUF_SIZE_MAX = 8192
NOTIFY_BUF_SIZE_DEFAULT = 4136
ERROR_LOG_ENTRIES = 16

NOTIFY_BUSY = 1 << 31
"""NOTIFY_STATUS: the message is under way; else the result stands in bits 1:0 (NotifyResult)."""

NOTIFY_RESULT_MASK = 3

REQUEST_BYTES_MIN = 40
REQUEST_BYTES_MAX = 8192
"""Of a request of the DPU, and of its reply."""

REQUEST_BUSY = 1 << 31
"""REQUEST_STATUS: the request is under way; else the result stands in bits 1:0 (RequestResult)."""

REQUEST_RESULT_MASK = 3

RETRIEVED_BYTES_MIN = 80
"""Of a NOTIFY_REPLY that is kept for the DPU: fuse_in_header and fuse_notify_retrieve_in."""

RETRIEVED_BYTES = 1024
"""So many of its bytes are kept."""


class AxiResponse(IntEnum):
    """RRESP and BRESP (AMBA AXI, A3.4.4)."""

    OKAY = 0
    EXOKAY = 1
    SLVERR = 2
    DECERR = 3


class NotifyResult(IntEnum):
    """What the notify mailbox says of a message; 0 before the first one."""

    ACCEPTED = 1  # stored, a buffer is ready
    HELD = 2  # stored, waiting for a buffer or for the INIT reply
    REFUSED = 3  # nothing is kept


class RequestResult(IntEnum):
    """What became of a request of the DPU; 0 before the first one."""

    ANSWERED = 1
    REFUSED = 3


class NotifyFlag(IntFlag):
    """Bits of NOTIFY_FLAGS."""

    OVERFLOW = 1  # an invalidation was dropped, recovery is on
    RETRIEVED_LOST = 2  # a NOTIFY_REPLY was lost, since one is kept already


class CacheOption(IntFlag):
    """Bits of CACHE_OPTIONS (docs/notifications.md)."""

    KEEP_CACHE = 1
    NEGATIVE_ENTRIES = 2
    LOCK_MESSAGES = 4


CACHE_OPTIONS = CacheOption.KEEP_CACHE | CacheOption.NEGATIVE_ENTRIES | CacheOption.LOCK_MESSAGES


class DpuRegister(IntEnum):
    """Straps answer a write with SLVERR while device_status is not 0, and for a value out of range."""

    ID = 0x000
    VERSION = 0x004
    NUM_REQUEST_QUEUES = 0x010  # strap
    FEATURES_LO = 0x014  # strap
    FEATURES_HI = 0x018  # strap
    PERSONALITY = 0x01C  # strap: 0 deployed, 1 literal queue numbering
    MAX_QUEUE_SIZE = 0x020  # strap
    NOTIFY_BUF_SIZE = 0x024  # strap
    NOTIFY_POLICY = 0x028  # strap: 0 hold, 1 coalesce, 2 drop
    ENGINE = 0x02C  # strap: 0 the file system in hardware, 1 firmware
    VALID_SECONDS = 0x030  # strap: valid time of names and attributes
    CACHE_OPTIONS = 0x034  # strap: CacheOption
    TAG = 0x040  # strap: 9 dwords
    TIME_SEC_LO = 0x080
    TIME_SEC_HI = 0x084
    TIME_NSEC = 0x088
    STATUS = 0x0A0  # device_status in bits 7:0
    COUNTERS = 0x100  # 16 dwords, by DpuCounter
    ERROR_COUNT = 0x200  # entries that wait
    ERROR_HEAD = 0x204  # the oldest: code 7:0, queue 11:8, fatal 16
    ERROR_ADDR_LO = 0x208
    ERROR_ADDR_HI = 0x20C
    ERROR_POP = 0x210  # write: drop the oldest
    NOTIFY_DATA = 0x300  # write: the message's next dword
    NOTIFY_LENGTH = 0x304  # write: bytes; hands the message over
    NOTIFY_STATUS = 0x308
    NOTIFY_FLAGS = 0x30C  # NotifyFlag
    REQUEST_DATA = 0x310  # write: the request's next dword
    REQUEST_LENGTH = 0x314  # write: bytes; hands the request over
    REQUEST_STATUS = 0x318
    REPLY_LENGTH = 0x31C
    REPLY_DATA = 0x320  # each read gives the reply's next dword
    RETRIEVED_LENGTH = 0x324  # bytes kept of a NOTIFY_REPLY
    RETRIEVED_DATA = 0x328  # each read gives its next dword
    RETRIEVED_TAKEN = 0x32C  # write: the next one may come


class DpuCounter(IntEnum):
    """Index of a counter; all count from the start of the simulation, through device resets, modulo 2^32."""

    REQUESTS = 0  # handed to the engine
    REPLIES = 1  # used with a reply
    NO_REPLIES = 2  # used with length 0
    NOTIFY_DELIVERED = 3
    NOTIFY_HELD = 4
    NOTIFY_REFUSED = 5
    NOTIFY_CHAINS_RETURNED = 6
    NOTIFY_EMPTIED = 7  # messages forgotten by a reset or a new INIT
    STALE_EPOCH = 8
    READ_TLPS = 9
    WRITE_TLPS = 10
    INTERRUPTS = 11
    INTERRUPTS_SUPPRESSED = 12
    ERRORS = 13
    NOTIFY_DROPPED = 14  # invalidations that were dropped
    NOTIFY_COALESCED = 15  # invalidations that went into their inode's place in the table
