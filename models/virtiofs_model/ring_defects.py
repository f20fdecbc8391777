"""The defects that show where a feature beyond the usual ones is negotiated.

By name: description, clauses, scoreboard, and the features that must be in force for it to act.
"""

from __future__ import annotations

from virtiofs_model.layouts.virtio import Feature

_CONFIG, _DESCRIPTORS, _DMA = "config_space", "descriptors", "dma"
_FUSE, _INTERRUPTS = "fuse", "interrupts"

_PACKED, _EVENTS = (Feature.RING_PACKED,), (Feature.EVENT_IDX,)
_PACKED_EVENTS = (Feature.RING_PACKED, Feature.EVENT_IDX)
_ORDER, _RESET = (Feature.IN_ORDER,), (Feature.RING_RESET,)
_DATA = (Feature.NOTIFICATION_DATA,)
_CONFIG_DATA = (Feature.NOTIF_CONFIG_DATA,)
_PLATFORM = (Feature.ACCESS_PLATFORM,)

RING_DEFECTS: dict[str, tuple[str, tuple[str, ...], str, tuple[Feature, ...]]] = {
    # packed rings
    "packed_first_only": (
        "Of a list only the first descriptor is taken, and the next one for a list of its own",
        ("PACK-SG-D01", "PACK-NEXT-DI1"), _FUSE, _PACKED,
    ),
    "packed_list_with_head": (
        "All descriptors of a list come from the read that showed the first one available",
        ("PACK-DESC-D03",), _DESCRIPTORS, _PACKED,
    ),
    "packed_id_of_head": ("The id is that of a list's first descriptor", ("PACK-NEXT-DI1",), _DESCRIPTORS, _PACKED),
    "packed_table_follows_next": (
        "An indirect table ends with the first element without NEXT", ("PACK-IND-DI1",), _FUSE, _PACKED,
    ),
    "packed_table_of_pointer": (
        "WRITE of the descriptor that points to a table counts for all of the table", ("PACK-IND-DI1",), _FUSE, _PACKED,
    ),
    "packed_doorbell_lost": (
        "A doorbell that comes while the ring is read is forgotten when that ends", ("PACK-SUP-DX1",), _DESCRIPTORS,
        _PACKED,
    ),
    "packed_avail_wrap_at_end": (
        "The wrap counter of what is available stays where a list ends with the ring's last slot",
        ("PACK-WRAP-DI1",), _DESCRIPTORS, _PACKED,
    ),
    "packed_used_wrap_at_end": (
        "The wrap counter of what is used stays where a list ends with the ring's last slot",
        ("PACK-WRAP-DI1",), _DESCRIPTORS, _PACKED,
    ),
    "packed_used_one_slot": (
        "The used place moves on by one slot, however long the list was", ("PACK-NEXT-DI1",), _DESCRIPTORS, _PACKED,
    ),
    "packed_flags_before_length": (
        "The used descriptor's flags leave before its length and id", ("PACK-DESC-D04",), _DESCRIPTORS, _PACKED,
    ),
    "packed_write_flag": (
        "A used descriptor never says that its length counts", ("PACK-USED-DI1",), _DESCRIPTORS, _PACKED,
    ),
    "packed_size_rounded": (
        "The ring wraps at the power of 2 below its size", ("PACK-VQ-DI1",), _DESCRIPTORS, _PACKED,
    ),
    "packed_size_refused": (
        "queue_size takes powers of 2 only, packed or not", ("PACK-VQ-DI1",), _CONFIG, _PACKED,
    ),
    "packed_event_as_enable": ("DESC in the driver's event flags counts as ENABLE", ("PACK-EVT-DI1",), _INTERRUPTS,
        _PACKED_EVENTS,
    ),
    "packed_event_as_disable": ("DESC in the driver's event flags counts as DISABLE", ("PACK-EVT-DI1",), _INTERRUPTS,
        _PACKED_EVENTS,
    ),
    "packed_event_without_wrap": (
        "The event's wrap counter is not looked at", ("PACK-EVT-DI1",), _INTERRUPTS, _PACKED_EVENTS,
    ),
    # event indices of split rings
    "event_used_ignored": (
        "used_event is not looked at, but flags", ("SPLIT-UNS-D04", "SPLIT-UNS-D06"), _INTERRUPTS, _EVENTS,
    ),
    "event_off_by_one": (
        "The interrupt comes one entry behind the one that used_event names", ("SPLIT-UNS-D05",), _INTERRUPTS, _EVENTS,
    ),
    "event_read_once": (
        "What the driver says of interrupts is read once, and believed from then on",
        ("SPLIT-UNS-D05", "SPLIT-UNS-D06"), _INTERRUPTS, _EVENTS,
    ),
    "event_no_second_look": (
        "avail_event is written, and the available index not read again", ("SPLIT-ANS-D04",), _DESCRIPTORS, _EVENTS,
    ),
    "event_ahead": (
        "avail_event names an entry too far: no kick comes for the one before", ("SPLIT-ANS-D04",), _DESCRIPTORS,
        _EVENTS,
    ),
    # order of use
    "order_as_answered": ("Chains return as they are answered", ("RSVD-D05",), _DESCRIPTORS, _ORDER),
    "order_of_buffers": (
        "The youngest buffer of the notification queue is used first", ("RSVD-D05",), _DESCRIPTORS, _ORDER,
    ),
    # doorbells
    "doorbell_by_value": (
        "The queue of a doorbell is taken from what is written, as if it were an index", ("PCI-COMMON-DI1",),
        _DESCRIPTORS, _CONFIG_DATA,
    ),
    "doorbell_of_16_bits": ("A doorbell of 32 bits is not heard", ("PCI-NOTIFY-D09",), _DESCRIPTORS, _DATA),
    "config_data_is_index": (
        "queue_notif_config_data reads as the queue's index, which is not what doorbells are decoded by",
        ("PCI-COMMON-DI1",), _CONFIG, _CONFIG_DATA,
    ),
    # features
    "features_upper_half": (
        "The upper half of the accepted features is not compared with what is offered", ("FEAT-D03",), _CONFIG,
        _PACKED,
    ),
    "features_platform_optional": (
        "FEATURES_OK stands without ACCESS_PLATFORM, which was offered", ("FEAT-D03", "RSVD-D04"), _CONFIG, _PLATFORM,
    ),
    "generation_stays": (
        "config_generation stays when the configuration becomes another", ("PCI-COMMON-D06",), _CONFIG, _EVENTS,
    ),
    # reset of a queue
    "queue_reset_early": (
        "queue_reset reads 0 at once, and what was begun goes on", ("VQRST-D01",), _DMA, _RESET,
    ),
    "queue_reset_keeps_place": ("Places in the ring survive", ("VQRST-D03",), _DESCRIPTORS, _RESET),
    "queue_reset_keeps_enable": ("queue_enable still reads 1", ("PCI-COMMON-D14",), _CONFIG, _RESET),
    "queue_reset_keeps_registers": ("Size and vector survive", ("VQRST-D03",), _CONFIG, _RESET),
    "queue_reset_never_ends": ("queue_reset stays 1", ("PCI-COMMON-D14",), _CONFIG, _RESET),
    "queue_reset_interrupts": (
        "An interrupt that waits in the pending bits comes after the reset", ("VQRST-D02",), _INTERRUPTS, _RESET,
    ),
    "queue_reset_keeps_requests": (
        "Requests that are with the engine are answered into their buffers after the reset", ("VQRST-D01",), _DMA,
        _RESET,
    ),
    "queue_reset_keeps_buffers": (
        "Buffers of the notification queue that were fetched before the reset are used after it", ("VQRST-D01",), _DMA,
        _RESET,
    ),
}  # fmt: skip
