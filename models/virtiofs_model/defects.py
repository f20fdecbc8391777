"""Named defects of ModelEndpoint: each switches one behaviour wrong, to prove that a scoreboard can see it.

The hooks stand where the decision is taken, as `if defect is Defect.X`. A run with a defect must end with a failure
of the scoreboard named here.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from virtiofs_model.layouts.virtio import Feature
from virtiofs_model.ring_defects import RING_DEFECTS


class Defect(str, Enum):
    """Names of the defects, as they are given on a command line."""

    # configuration space
    CAPABILITY_LENGTH = "capability_length"
    ABSENT_QUEUE_SIZE = "absent_queue_size"
    VECTOR_READBACK = "vector_readback"
    FEATURES_OK_WITHOUT_VERSION_1 = "features_ok_without_version_1"
    ISR_NOT_CLEARED = "isr_not_cleared"
    BAR_SIZE = "bar_size"
    # descriptors
    INDEX_AND_ENTRY_TOGETHER = "index_and_entry_together"
    ENTRY_REORDERED = "entry_reordered"
    USED_ENTRY_TWICE = "used_entry_twice"
    USED_ID = "used_id"
    STALE_QUEUE_STATE = "stale_queue_state"
    DESCRIPTOR_PREFETCHED = "descriptor_prefetched"
    HIPRIO_BEHIND_REQUESTS = "hiprio_behind_requests"
    # DMA
    USED_INDEX_BEFORE_DATA = "used_index_before_data"
    BYTE_PAST_DESCRIPTOR = "byte_past_descriptor"
    WRITE_INTO_READABLE = "write_into_readable"
    PAYLOAD_ABOVE_MPS = "payload_above_mps"
    READ_CROSSES_4K = "read_crosses_4k"
    # FUSE
    USED_LENGTH_OF_BUFFER = "used_length_of_buffer"
    REPLY_CORRUPTED = "reply_corrupted"
    REQUEST_TWICE = "request_twice"
    REPLY_TO_OTHER_CONTEXT = "reply_to_other_context"
    REQUEST_CORRUPTED = "request_corrupted"
    # notifications
    NOTIFY_SMALL_CHAIN = "notify_small_chain"
    NOTIFY_LOST = "notify_lost"
    NOTIFY_BEFORE_INIT = "notify_before_init"
    NOTIFY_REORDERED = "notify_reordered"
    NOTIFY_OVERTAKES_REPLY = "notify_overtakes_reply"
    # interrupts
    INTERRUPT_DECIDED_EARLY = "interrupt_decided_early"
    PENDING_LOST = "pending_lost"
    INTERRUPT_NO_VECTOR = "interrupt_no_vector"
    INTERRUPT_MISSING = "interrupt_missing"
    INTERRUPT_WHILE_MASKED = "interrupt_while_masked"
    INTERRUPT_SUPPRESSED_SENT = "interrupt_suppressed_sent"
    CONFIG_INTERRUPT_WITHOUT_ISR = "config_interrupt_without_isr"
    INTX_NOT_DEASSERTED = "intx_not_deasserted"
    INTX_WHILE_DISABLED = "intx_while_disabled"
    INTX_STATUS_DISABLED = "intx_status_disabled"
    INTX_WITHOUT_ISR = "intx_without_isr"
    INTX_MISSING = "intx_missing"
    INTX_WITH_MSIX = "intx_with_msix"
    # the file system
    FS_WRITE_KEEPS_TIMES = "fs_write_keeps_times"
    FS_LOOKUP_LOST = "fs_lookup_lost"
    FS_OLD_DATA = "fs_old_data"
    FS_WRONG_ERRNO = "fs_wrong_errno"
    FS_REPLY_OF_OTHER = "fs_reply_of_other"
    FS_LINK_TWICE = "fs_link_twice"
    FS_COOKIE_SKIPS = "fs_cookie_skips"
    FS_SPACE_LOST = "fs_space_lost"
    FS_RENAME_KEEPS_OLD = "fs_rename_keeps_old"
    FS_FAILURE_LEAVES_TRACE = "fs_failure_leaves_trace"
    FS_LOOKUP_MOVES_TIMES = "fs_lookup_moves_times"
    FS_READ_DESTROYS = "fs_read_destroys"
    FS_LISTING_SWAPS_NAMES = "fs_listing_swaps_names"
    FS_LOCK_SHARED = "fs_lock_shared"
    FS_LOCK_WAITER_LOST = "fs_lock_waiter_lost"
    FS_LOCK_WAITERS_FORGOTTEN = "fs_lock_waiters_forgotten"
    FS_LOCK_YOUNGEST_FIRST = "fs_lock_youngest_first"
    FS_LOCK_NEVER_WAITS = "fs_lock_never_waits"
    FS_LOCK_WAITERS_OVERFLOW = "fs_lock_waiters_overflow"
    FS_LOCK_SURVIVES_CLOSE = "fs_lock_survives_close"
    FS_LOCK_SURVIVES_FLUSH = "fs_lock_survives_flush"
    FS_LOCK_SURVIVES_SESSION = "fs_lock_survives_session"
    FS_LOCK_INTERRUPT_LOST = "fs_lock_interrupt_lost"
    FS_LOCK_SPLIT_WRONG = "fs_lock_split_wrong"
    FS_LOCK_WRONG_ERRNO = "fs_lock_wrong_errno"
    FS_LOCK_ANSWER_EARLY = "fs_lock_answer_early"
    # what is told of locks and polls, and what the DPU gets of an answer to RETRIEVE
    LOCK_MESSAGE_LOST = "lock_message_lost"
    LOCK_MESSAGE_TWICE = "lock_message_twice"
    LOCK_MESSAGE_WRONG_ERROR = "lock_message_wrong_error"
    LOCK_MESSAGE_BEFORE_REPLY = "lock_message_before_reply"
    LOCK_GRANTED_WITHOUT_MESSAGE = "lock_granted_without_message"
    LOCK_PLACE_NOT_KEPT = "lock_place_not_kept"
    LOCK_WAITS_UNASKED = "lock_waits_unasked"
    POLL_MESSAGE_LOST = "poll_message_lost"
    POLL_KH_WRONG = "poll_kh_wrong"
    POLL_NEVER_SPENT = "poll_never_spent"
    POLL_BEFORE_INVALIDATION = "poll_before_invalidation"
    POLL_SURVIVES_CLOSE = "poll_survives_close"
    POLL_TABLE_OVERFLOW = "poll_table_overflow"
    RETRIEVE_TRUNCATED = "retrieve_truncated"
    RETRIEVE_OVERWRITTEN = "retrieve_overwritten"
    INIT_REFUSED_EMPTIES_STORE = "init_refused_empties_store"
    # announcements of changes by the DPU
    ANNOUNCE_NO_WRITE = "announce_no_write"
    ANNOUNCE_NO_TRUNCATION = "announce_no_truncation"
    ANNOUNCE_NO_ATTRIBUTES = "announce_no_attributes"
    ANNOUNCE_NO_CREATION = "announce_no_creation"
    ANNOUNCE_NO_REMOVAL = "announce_no_removal"
    ANNOUNCE_OLD_NAME_ONLY = "announce_old_name_only"
    ANNOUNCE_NO_REPLACED = "announce_no_replaced"
    ANNOUNCE_NO_PARENTS = "announce_no_parents"
    ANNOUNCE_UNCACHED = "announce_uncached"
    ANNOUNCE_NO_ROOT = "announce_no_root"
    ANNOUNCE_COALESCED_LAST = "announce_coalesced_last"
    ANNOUNCE_OVERFLOW_SILENT = "announce_overflow_silent"
    ANNOUNCE_NO_EPOCH = "announce_no_epoch"
    ANNOUNCE_EPOCH_ALONE = "announce_epoch_alone"
    ANNOUNCE_OLD_SESSION = "announce_old_session"
    # rings and features (ring_defects.py)
    PACKED_FIRST_ONLY = "packed_first_only"
    PACKED_LIST_WITH_HEAD = "packed_list_with_head"
    PACKED_ID_OF_HEAD = "packed_id_of_head"
    PACKED_TABLE_FOLLOWS_NEXT = "packed_table_follows_next"
    PACKED_TABLE_OF_POINTER = "packed_table_of_pointer"
    PACKED_DOORBELL_LOST = "packed_doorbell_lost"
    PACKED_AVAIL_WRAP_AT_END = "packed_avail_wrap_at_end"
    PACKED_USED_WRAP_AT_END = "packed_used_wrap_at_end"
    PACKED_USED_ONE_SLOT = "packed_used_one_slot"
    PACKED_FLAGS_BEFORE_LENGTH = "packed_flags_before_length"
    PACKED_WRITE_FLAG = "packed_write_flag"
    PACKED_SIZE_ROUNDED = "packed_size_rounded"
    PACKED_SIZE_REFUSED = "packed_size_refused"
    PACKED_EVENT_AS_ENABLE = "packed_event_as_enable"
    PACKED_EVENT_AS_DISABLE = "packed_event_as_disable"
    PACKED_EVENT_WITHOUT_WRAP = "packed_event_without_wrap"
    EVENT_USED_IGNORED = "event_used_ignored"
    EVENT_OFF_BY_ONE = "event_off_by_one"
    EVENT_READ_ONCE = "event_read_once"
    EVENT_NO_SECOND_LOOK = "event_no_second_look"
    EVENT_AHEAD = "event_ahead"
    ORDER_AS_ANSWERED = "order_as_answered"
    ORDER_OF_BUFFERS = "order_of_buffers"
    DOORBELL_BY_VALUE = "doorbell_by_value"
    DOORBELL_OF_16_BITS = "doorbell_of_16_bits"
    CONFIG_DATA_IS_INDEX = "config_data_is_index"
    FEATURES_UPPER_HALF = "features_upper_half"
    FEATURES_PLATFORM_OPTIONAL = "features_platform_optional"
    GENERATION_STAYS = "generation_stays"
    QUEUE_RESET_EARLY = "queue_reset_early"
    QUEUE_RESET_KEEPS_PLACE = "queue_reset_keeps_place"
    QUEUE_RESET_KEEPS_ENABLE = "queue_reset_keeps_enable"
    QUEUE_RESET_KEEPS_REGISTERS = "queue_reset_keeps_registers"
    QUEUE_RESET_NEVER_ENDS = "queue_reset_never_ends"
    QUEUE_RESET_INTERRUPTS = "queue_reset_interrupts"
    QUEUE_RESET_KEEPS_REQUESTS = "queue_reset_keeps_requests"
    QUEUE_RESET_KEEPS_BUFFERS = "queue_reset_keeps_buffers"


@dataclass(frozen=True)
class DefectInfo:
    """What a defect does, the clauses that it breaks (spec/clauses.csv) and the scoreboard that must catch it.

    features: beyond the usual ones, that must be in force for it to act.
    """

    defect: Defect
    description: str
    clauses: tuple[str, ...]
    scoreboard: str
    features: tuple[Feature, ...] = ()


_CONFIG, _DESCRIPTORS, _DMA = "config_space", "descriptors", "dma"
_FUSE, _NOTIFICATIONS, _INTERRUPTS = "fuse", "notifications", "interrupts"

_FILE_SYSTEM, _CACHE = "file_system", "client_cache"
_ANNOUNCEMENTS = "announcements"

_INFO = (
    DefectInfo(
        Defect.CAPABILITY_LENGTH, "The notify capability says cap_len 16 instead of 20", ("PCI-CAP-D01",), _CONFIG
    ),
    DefectInfo(Defect.ABSENT_QUEUE_SIZE, "queue_size of an absent queue is not 0", ("PCI-COMMON-D15",), _CONFIG),
    DefectInfo(
        Defect.VECTOR_READBACK,
        "A vector that does not exist reads back as it was written",
        ("PCI-MSIX-D06", "PCI-MSIX-D09"),
        _CONFIG,
    ),
    DefectInfo(
        Defect.FEATURES_OK_WITHOUT_VERSION_1,
        "FEATURES_OK is accepted for a set that must be refused",
        ("FEAT-D03",),
        _CONFIG,
    ),
    DefectInfo(Defect.ISR_NOT_CLEARED, "Reading the ISR does not clear it", ("PCI-ISR-D05",), _CONFIG),
    DefectInfo(Defect.BAR_SIZE, "BAR0 answers sizing with half of its size", ("PCI-BUS-D01",), _CONFIG),
    DefectInfo(
        Defect.INDEX_AND_ENTRY_TOGETHER,
        "Available index and ring entries come from one read request",
        ("SPLIT-SUP-DX1",),
        _DESCRIPTORS,
    ),
    DefectInfo(
        Defect.ENTRY_REORDERED,
        "Two chains that were made available together change places",
        ("SPLIT-SUP-DX1",),
        _DESCRIPTORS,
    ),
    DefectInfo(Defect.USED_ENTRY_TWICE, "A chain is returned in two used entries", ("SPLIT-USED-D01",), _DESCRIPTORS),
    DefectInfo(
        Defect.USED_ID, "The used entry names another descriptor than the head", ("SPLIT-USED-D01",), _DESCRIPTORS
    ),
    DefectInfo(
        Defect.STALE_QUEUE_STATE, "Ring positions survive a device reset", ("RESET-D01", "RESET-D03"), _DESCRIPTORS
    ),
    DefectInfo(
        Defect.DESCRIPTOR_PREFETCHED,
        "The head descriptor is read before its ring entry",
        ("SPLIT-SUP-DX1",),
        _DESCRIPTORS,
    ),
    DefectInfo(
        Defect.HIPRIO_BEHIND_REQUESTS,
        "The hiprio queue is not served while a request is open",
        ("FS-HP-D01", "SPLIT-SUP-DX1"),
        _DESCRIPTORS,
    ),
    DefectInfo(
        Defect.USED_INDEX_BEFORE_DATA, "The used index leaves before the reply's bytes", ("SPLIT-USED-D02",), _DMA
    ),
    DefectInfo(
        Defect.BYTE_PAST_DESCRIPTOR,
        "A reply that fills its last descriptor is one byte too long",
        ("SPLIT-DESC-D01",),
        _DMA,
    ),
    DefectInfo(Defect.WRITE_INTO_READABLE, "The reply is written into the readable part", ("SPLIT-DESC-D01",), _DMA),
    DefectInfo(Defect.PAYLOAD_ABOVE_MPS, "Writes ignore Max_Payload_Size", ("PCI-BUS-D01",), _DMA),
    DefectInfo(
        Defect.READ_CROSSES_4K, "Reads are not cut at 4 KiB and at Max_Read_Request_Size", ("PCI-BUS-D01",), _DMA
    ),
    DefectInfo(
        Defect.USED_LENGTH_OF_BUFFER,
        "Used length is that of the buffer and not of the reply",
        ("SPLIT-USED-D02",),
        _FUSE,
    ),
    DefectInfo(Defect.REPLY_CORRUPTED, "One bit of a reply's body changes on its way", ("FS-REQ-DI1",), _FUSE),
    DefectInfo(Defect.REQUEST_TWICE, "A request is handed to the engine twice", ("FS-REQ-DI1",), _FUSE),
    DefectInfo(
        Defect.REPLY_TO_OTHER_CONTEXT, "A reply goes to another open request of its lane", ("FS-REQ-DI1",), _FUSE
    ),
    DefectInfo(Defect.REQUEST_CORRUPTED, "One bit of a request's arguments changes on its way", ("FS-REQ-DI1",), _FUSE),
    DefectInfo(
        Defect.NOTIFY_SMALL_CHAIN, "A message is put on a chain below notify_buf_size", ("FS-CFG-D02",), _NOTIFICATIONS
    ),
    DefectInfo(Defect.NOTIFY_LOST, "A message is lost when buffers run out", ("FS-NQ-DI2",), _NOTIFICATIONS),
    DefectInfo(
        Defect.NOTIFY_BEFORE_INIT, "Messages flow before the INIT reply is used", ("FS-NQ-DI1",), _NOTIFICATIONS
    ),
    DefectInfo(Defect.NOTIFY_REORDERED, "The youngest stored message leaves first", ("FS-NQ-DI1",), _NOTIFICATIONS),
    DefectInfo(
        Defect.NOTIFY_OVERTAKES_REPLY,
        "A message leaves before replies that were given earlier",
        ("FS-NQ-DI1",),
        _NOTIFICATIONS,
    ),
    DefectInfo(
        Defect.INTERRUPT_DECIDED_EARLY,
        "The suppression word is read before the used index leaves",
        ("SPLIT-UNS-D03",),
        _INTERRUPTS,
    ),
    DefectInfo(
        Defect.PENDING_LOST,
        "An interrupt that meets a mask is forgotten",
        ("PCI-BUS-D01", "SPLIT-UNS-D03"),
        _INTERRUPTS,
    ),
    DefectInfo(
        Defect.INTERRUPT_NO_VECTOR, "A queue without vector interrupts on vector 0", ("PCI-USEDINT-D01",), _INTERRUPTS
    ),
    DefectInfo(
        Defect.INTERRUPT_MISSING, "Every third used buffer raises no interrupt", ("SPLIT-UNS-D03",), _INTERRUPTS
    ),
    DefectInfo(Defect.INTERRUPT_WHILE_MASKED, "Vector masks are ignored", ("PCI-BUS-D01",), _INTERRUPTS),
    DefectInfo(
        Defect.INTERRUPT_SUPPRESSED_SENT, "VIRTQ_AVAIL_F_NO_INTERRUPT is ignored", ("SPLIT-UNS-D02",), _INTERRUPTS
    ),
    DefectInfo(
        Defect.CONFIG_INTERRUPT_WITHOUT_ISR,
        "The configuration interrupt leaves without its ISR bit",
        ("PCI-ISR-D02",),
        _INTERRUPTS,
    ),
    DefectInfo(
        Defect.INTX_NOT_DEASSERTED, "INTA stays asserted when the ISR was read", ("PCI-ISR-D05",), _INTERRUPTS
    ),
    DefectInfo(Defect.INTX_WHILE_DISABLED, "Interrupt Disable is ignored", ("PCI-BUS-D01",), _INTERRUPTS),
    DefectInfo(
        Defect.INTX_STATUS_DISABLED, "Interrupt Disable hides the Status register's Interrupt bit",
        ("PCI-ISR-D04",), _INTERRUPTS,
    ),
    DefectInfo(Defect.INTX_WITHOUT_ISR, "INTA is asserted, and no ISR bit is set", ("PCI-ISR-D03",), _INTERRUPTS),
    DefectInfo(
        Defect.INTX_MISSING, "Without MSI-X every fourth used buffer sets no ISR bit",
        ("SPLIT-UNS-D03", "PCI-ISR-D03", "PCI-ISR-D04"), _INTERRUPTS,
    ),
    DefectInfo(Defect.INTX_WITH_MSIX, "INTA is asserted while MSI-X is on", ("PCI-BUS-D01",), _INTERRUPTS),
    DefectInfo(
        Defect.FS_WRITE_KEEPS_TIMES, "WRITE does not move mtime and ctime", ("FS-REQ-DI1",), _FILE_SYSTEM
    ),
    DefectInfo(
        Defect.FS_LOOKUP_LOST, "CREATE does not count as a lookup: a forgotten file is still held, or dies early",
        ("FS-REQ-DI1",), _FILE_SYSTEM,
    ),
    DefectInfo(
        Defect.FS_OLD_DATA, "What a truncation cut off comes back when the file grows", ("FS-REQ-DI1",), _FILE_SYSTEM
    ),
    DefectInfo(Defect.FS_WRONG_ERRNO, "A missing name is EINVAL", ("FS-REQ-DI1",), _FILE_SYSTEM),
    DefectInfo(
        Defect.FS_REPLY_OF_OTHER, "GETATTR answers for the inode that was asked for before", ("FS-REQ-DI1",),
        _FILE_SYSTEM,
    ),
    DefectInfo(Defect.FS_LINK_TWICE, "A new name counts twice in nlink", ("FS-REQ-DI1",), _FILE_SYSTEM),
    DefectInfo(
        Defect.FS_COOKIE_SKIPS, "A listing that goes on leaves out the first name", ("FS-REQ-DI1",), _FILE_SYSTEM
    ),
    DefectInfo(
        Defect.FS_SPACE_LOST, "Pages of files that are cut do not come back", ("FS-REQ-DI1",), _FILE_SYSTEM
    ),
    DefectInfo(Defect.FS_RENAME_KEEPS_OLD, "RENAME leaves the old name behind", ("FS-REQ-DI1",), _FILE_SYSTEM),
    DefectInfo(
        Defect.FS_FAILURE_LEAVES_TRACE, "A CREATE that fails has changed the directory's link count", ("FS-REQ-DI1",),
        _FILE_SYSTEM,
    ),
    DefectInfo(
        Defect.FS_LOOKUP_MOVES_TIMES, "LOOKUP moves the directory's mtime behind the client's back", ("FS-REQ-DI1",),
        _CACHE,
    ),
    DefectInfo(Defect.FS_READ_DESTROYS, "READ clears the first byte that it read", ("FS-REQ-DI1",), _CACHE),
    DefectInfo(
        Defect.FS_LISTING_SWAPS_NAMES, "A listing exchanges what its last two names lead to", ("FS-REQ-DI1",), _CACHE
    ),
    DefectInfo(Defect.FS_LOCK_SHARED, "A lock that conflicts with another is granted", ("FS-REQ-DI1",), _FILE_SYSTEM),
    DefectInfo(
        Defect.FS_LOCK_WAITER_LOST, "Who gets a lock that he waited for is not told", ("FS-REQ-DI1",),
        _FILE_SYSTEM,
    ),
    DefectInfo(
        Defect.FS_LOCK_WAITERS_FORGOTTEN, "A lock that is given back is given to nobody who waits", ("FS-REQ-DI1",),
        _FILE_SYSTEM,
    ),
    DefectInfo(
        Defect.FS_LOCK_YOUNGEST_FIRST, "Of those that wait the youngest gets the lock", ("FS-REQ-DI1",),
        _FILE_SYSTEM,
    ),
    DefectInfo(Defect.FS_LOCK_NEVER_WAITS, "SETLKW is EAGAIN where it must wait", ("FS-REQ-DI1",), _FILE_SYSTEM),
    DefectInfo(Defect.FS_LOCK_WAITERS_OVERFLOW, "A ninth request waits", ("FS-REQ-DI1",), _FILE_SYSTEM),
    DefectInfo(
        Defect.FS_LOCK_SURVIVES_CLOSE, "Locks survive the last RELEASE of their file", ("FS-REQ-DI1",),
        _FILE_SYSTEM,
    ),
    DefectInfo(Defect.FS_LOCK_SURVIVES_FLUSH, "FLUSH leaves the owner's locks", ("FS-REQ-DI1",), _FILE_SYSTEM),
    DefectInfo(
        Defect.FS_LOCK_SURVIVES_SESSION, "Locks survive INIT, DESTROY and a device reset", ("FS-REQ-DI1",),
        _FILE_SYSTEM,
    ),
    DefectInfo(Defect.FS_LOCK_INTERRUPT_LOST, "INTERRUPT does not end a wait", ("FS-REQ-DI1",), _FILE_SYSTEM),
    DefectInfo(
        Defect.FS_LOCK_SPLIT_WRONG, "An unlock in the middle of a range takes what lies behind it", ("FS-REQ-DI1",),
        _FILE_SYSTEM,
    ),
    DefectInfo(
        Defect.FS_LOCK_WRONG_ERRNO, "A wait that INTERRUPT or the session's end ends is told EAGAIN", ("FS-REQ-DI1",),
        _FILE_SYSTEM,
    ),
    DefectInfo(
        Defect.FS_LOCK_ANSWER_EARLY, "Who has waited is answered before the request that lets him go on",
        ("FS-REQ-DI1",), _FILE_SYSTEM,
    ),
    DefectInfo(
        Defect.LOCK_MESSAGE_LOST, "A LOCK message that finds no buffer is lost", ("FS-NQ-DI2",), _FILE_SYSTEM
    ),
    DefectInfo(Defect.LOCK_MESSAGE_TWICE, "A LOCK message is stored twice", ("FS-NQ-DI1",), _FILE_SYSTEM),
    DefectInfo(
        Defect.LOCK_MESSAGE_WRONG_ERROR, "A LOCK message tells a positive errno", ("FS-NQ-DI1",), _FILE_SYSTEM
    ),
    DefectInfo(
        Defect.LOCK_MESSAGE_BEFORE_REPLY, "Who waits is told so only when the LOCK message is gone", ("FS-NQ-DI1",),
        _FILE_SYSTEM,
    ),
    DefectInfo(
        Defect.LOCK_GRANTED_WITHOUT_MESSAGE, "Who gets a lock that he waited for is not told by a message",
        ("FS-NQ-DI1",), _FILE_SYSTEM,
    ),
    DefectInfo(
        Defect.LOCK_PLACE_NOT_KEPT, "No place in the store is kept for LOCK and POLL messages", ("FS-NQ-DI2",),
        _NOTIFICATIONS,
    ),
    DefectInfo(
        Defect.LOCK_WAITS_UNASKED, "A SETLKW is answered that it waits, though LOCK messages are off", ("FS-REQ-DI1",),
        _FILE_SYSTEM,
    ),
    DefectInfo(Defect.POLL_MESSAGE_LOST, "Who polls a file that the DPU changes is not told", ("FS-NQ-DI1",),
               _ANNOUNCEMENTS),
    DefectInfo(Defect.POLL_KH_WRONG, "A POLL message names another kh", ("FS-NQ-DI1",), _ANNOUNCEMENTS),
    DefectInfo(Defect.POLL_NEVER_SPENT, "One POLL brings a message for each change", ("FS-NQ-DI1",), _ANNOUNCEMENTS),
    DefectInfo(
        Defect.POLL_BEFORE_INVALIDATION, "A POLL message comes before the invalidation of what has changed",
        ("FS-NQ-DI1",), _ANNOUNCEMENTS,
    ),
    DefectInfo(
        Defect.POLL_SURVIVES_CLOSE, "The last RELEASE leaves those who poll the file", ("FS-NQ-DI1",), _ANNOUNCEMENTS
    ),
    DefectInfo(Defect.POLL_TABLE_OVERFLOW, "A ninth POLL is put down", ("FS-REQ-DI1",), _FILE_SYSTEM),
    DefectInfo(
        Defect.RETRIEVE_TRUNCATED, "Of a NOTIFY_REPLY only 512 bytes are kept for the DPU", ("FS-REQ-DI1",),
        _ANNOUNCEMENTS,
    ),
    DefectInfo(
        Defect.RETRIEVE_OVERWRITTEN, "A NOTIFY_REPLY takes the place of one that is kept", ("FS-REQ-DI1",),
        _ANNOUNCEMENTS,
    ),
    DefectInfo(
        Defect.INIT_REFUSED_EMPTIES_STORE, "A FUSE_INIT that is refused empties the message store", ("FS-NQ-DI2",),
        _NOTIFICATIONS,
    ),
    DefectInfo(
        Defect.ANNOUNCE_NO_WRITE, "A WRITE by the DPU is not announced",
        ("FS-NQ-DI1",), _ANNOUNCEMENTS,
    ),
    DefectInfo(
        Defect.ANNOUNCE_NO_TRUNCATION, "A cut by the DPU is announced as a change of attributes only",
        ("FS-NQ-DI1",), _ANNOUNCEMENTS,
    ),
    DefectInfo(
        Defect.ANNOUNCE_NO_ATTRIBUTES, "A change of attributes by the DPU is not announced",
        ("FS-NQ-DI1",), _ANNOUNCEMENTS,
    ),
    DefectInfo(
        Defect.ANNOUNCE_NO_CREATION, "A name that the DPU makes is not announced",
        ("FS-NQ-DI1",), _ANNOUNCEMENTS,
    ),
    DefectInfo(
        Defect.ANNOUNCE_NO_REMOVAL, "A name that the DPU removes is not announced",
        ("FS-NQ-DI1",), _ANNOUNCEMENTS,
    ),
    DefectInfo(
        Defect.ANNOUNCE_OLD_NAME_ONLY, "Of a RENAME by the DPU only the old name is announced",
        ("FS-NQ-DI1",), _ANNOUNCEMENTS,
    ),
    DefectInfo(
        Defect.ANNOUNCE_NO_REPLACED, "The inode that a RENAME by the DPU replaces is not announced",
        ("FS-NQ-DI1",), _ANNOUNCEMENTS,
    ),
    DefectInfo(
        Defect.ANNOUNCE_NO_PARENTS, "The attributes of directories in which the DPU changes names are not announced",
        ("FS-NQ-DI1",), _ANNOUNCEMENTS,
    ),
    DefectInfo(
        Defect.ANNOUNCE_UNCACHED, "What the session cannot have cached is announced too",
        ("FS-NQ-DI1",), _ANNOUNCEMENTS,
    ),
    DefectInfo(
        Defect.ANNOUNCE_NO_ROOT, "The root, of which no lookups are counted, is taken for one that is not cached",
        ("FS-NQ-DI1",), _ANNOUNCEMENTS,
    ),
    DefectInfo(
        Defect.ANNOUNCE_COALESCED_LAST, "Of invalidations that become one only the last range is left",
        ("FS-NQ-DI1",), _ANNOUNCEMENTS,
    ),
    DefectInfo(
        Defect.ANNOUNCE_OVERFLOW_SILENT, "A dropped invalidation is not repaired",
        ("FS-NQ-DI1",), _ANNOUNCEMENTS,
    ),
    DefectInfo(
        Defect.ANNOUNCE_NO_EPOCH, "Recovery leaves out INC_EPOCH",
        ("FS-NQ-DI1",), _ANNOUNCEMENTS,
    ),
    DefectInfo(
        Defect.ANNOUNCE_EPOCH_ALONE, "Recovery is INC_EPOCH alone",
        ("FS-NQ-DI1",), _ANNOUNCEMENTS,
    ),
    DefectInfo(
        Defect.ANNOUNCE_OLD_SESSION, "Names are dropped in sessions that know no INC_EPOCH",
        ("FS-NQ-DI1",), _ANNOUNCEMENTS,
    ),
    *(DefectInfo(Defect(name), *info) for name, info in RING_DEFECTS.items()),
)  # fmt: skip

DEFECTS: dict[str, DefectInfo] = {info.defect.value: info for info in _INFO}
"""Every defect by name."""


def by_scoreboard(scoreboard: str) -> list[DefectInfo]:
    """The defects that `scoreboard` must catch, in the order of the registry."""
    return [info for info in _INFO if info.scoreboard == scoreboard]
