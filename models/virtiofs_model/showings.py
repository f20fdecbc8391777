"""Which test shows a defect: the stimulus that makes a wrong device do visibly wrong, as data.

`make grade` and unit tests run it. A defect without a line of its own here has the usual test of its kind.
"""

from __future__ import annotations

from dataclasses import dataclass

from virtiofs_model.defects import DefectInfo
from virtiofs_model.layouts.virtio import Feature

FIRMWARE, RAMFS = "firmware", "ramfs"


@dataclass(frozen=True)
class Showing:
    """A test (a scenario's name or a file of scenarios) that shows a defect.

    engine: who answers FUSE meanwhile. without: scoreboards that are switched off, since the one that the defect is for
    would come second. seeds: 1 to so many are tried, where what shows the defect comes up at random.
    """

    test: str
    engine: str = FIRMWARE
    without: tuple[str, ...] = ()
    seeds: int = 1


_TREES = Showing("tree_operations", RAMFS, seeds=6)
_ASKS_TWICE = Showing("tests/grade/asks_twice.py", RAMFS, without=("file_system",))
_ANNOUNCED = Showing("changes_by_the_dpu_are_announced", RAMFS)
_DROPS = Showing("a_full_store_drops_and_repairs", RAMFS)
_WAITS = Showing("waits_for_locks", RAMFS)
_STARVED = Showing("lock_messages_keep_their_places", RAMFS)
_LOCK_MESSAGES = Showing("lock_messages_tell_how_waits_end", RAMFS)
_POLLS = Showing("polls_are_woken_by_the_dpu", RAMFS)
_RETRIEVES = Showing("the_dpu_retrieves_what_a_client_holds", RAMFS)
_USUAL = Showing("without_the_notification_feature")
_ISR = Showing("configuration_interrupt_sets_the_isr")
_HELD = Showing("held_messages_arrive_in_order")
_MASKED = Showing("masked_interrupts_wait")
_INTA = Showing("interrupts_by_inta")
_EVERY_WAY = Showing("every_way_to_take_interrupts")
_PACKED_END = Showing("chains_at_the_end_of_a_packed_ring")
_CUT = Showing("queue_resets_in_the_middle_of_traffic")

SHOWINGS: dict[str, Showing] = {
    "vector_readback": Showing("vectors_map_and_unmap"),
    "features_ok_without_version_1": Showing("bad_feature_sets_are_refused"),
    "isr_not_cleared": _ISR,
    "hiprio_behind_requests": Showing("waits_for_locks"),
    "payload_above_mps": Showing("session_browse"),
    "read_crosses_4k": Showing("payload_faults_give_eio"),
    "used_length_of_buffer": Showing("session_browse"),
    "reply_to_other_context": Showing("notifications_among_requests"),
    "notify_small_chain": Showing("a_buffer_that_is_too_small"),
    "notify_lost": _HELD,
    "notify_before_init": Showing("notifications_wait_for_init"),
    "notify_reordered": _HELD,
    "init_refused_empties_store": Showing("a_refused_init_empties_nothing"),
    "notify_overtakes_reply": Showing("notifications_stay_behind_replies"),
    "pending_lost": _MASKED,
    "interrupt_no_vector": _EVERY_WAY,
    "interrupt_while_masked": _MASKED,
    "interrupt_suppressed_sent": _EVERY_WAY,
    "config_interrupt_without_isr": _ISR,
    "intx_not_deasserted": _INTA,
    "intx_while_disabled": _INTA,
    "intx_status_disabled": _INTA,
    "intx_without_isr": _INTA,
    "intx_missing": _INTA,
    "intx_with_msix": _ISR,
    # the file system
    "fs_lock_survives_session": Showing("sessions_end_waits", RAMFS),
    "fs_lock_split_wrong": Showing("locks_of_ranges", RAMFS),
    "lock_message_lost": _STARVED,
    "lock_message_twice": _LOCK_MESSAGES,
    "lock_message_wrong_error": _LOCK_MESSAGES,
    "lock_message_before_reply": _LOCK_MESSAGES,
    "lock_granted_without_message": _LOCK_MESSAGES,
    "lock_place_not_kept": _STARVED,
    "lock_waits_unasked": _WAITS,
    "poll_message_lost": _POLLS,
    "poll_kh_wrong": _POLLS,
    "poll_never_spent": _POLLS,
    "poll_before_invalidation": _POLLS,
    "poll_survives_close": _POLLS,
    "poll_table_overflow": _POLLS,
    "retrieve_truncated": _RETRIEVES,
    "retrieve_overwritten": _RETRIEVES,
    # announcements
    "announce_coalesced_last": Showing("a_full_store_coalesces", RAMFS),
    "announce_overflow_silent": _DROPS,
    "announce_no_epoch": _DROPS,
    "announce_epoch_alone": _DROPS,
    "announce_old_session": Showing("an_older_session_loses_no_names", RAMFS),
    # rings and features
    "packed_avail_wrap_at_end": _PACKED_END,
    "packed_used_wrap_at_end": _PACKED_END,
    "packed_size_rounded": Showing("packed_rings_of_every_size"),
    "packed_size_refused": _PACKED_END,
    "packed_event_without_wrap": Showing("event_indices_go_round"),
    "features_upper_half": Showing("every_valid_subset_is_accepted"),
    "generation_stays": Showing("event_indices"),
    # reset of a queue
    "queue_reset_early": _CUT,
    "queue_reset_interrupts": Showing("tests/grade/masked_queue_reset.py"),
    "queue_reset_keeps_requests": _CUT,
}
"""By name of the defect."""

_USUAL_OF_BOARD = {"file_system": _TREES, "client_cache": _ASKS_TWICE, "announcements": _ANNOUNCED}
_USUAL_OF_FEATURE = {
    Feature.RING_RESET: Showing("queues_begin_anew"),
    Feature.IN_ORDER: Showing("rings_in_order"),
    Feature.NOTIFICATION_DATA: Showing("doorbells_carry_data"),
    Feature.NOTIF_CONFIG_DATA: Showing("doorbells_carry_data"),
    Feature.ACCESS_PLATFORM: Showing("every_valid_subset_is_accepted"),
    Feature.EVENT_IDX: Showing("suppressed_interrupts"),
    Feature.RING_PACKED: Showing("packed_rings"),
}
"""The first of them that a defect needs decides."""


def showing(info: DefectInfo) -> Showing:
    """The test that shows a defect."""
    name = info.defect.value
    if name in SHOWINGS:
        return SHOWINGS[name]
    if name.startswith("fs_lock_"):
        return _WAITS
    for feature, how in _USUAL_OF_FEATURE.items():
        if feature in info.features:
            return how
    return _USUAL_OF_BOARD.get(info.scoreboard, _USUAL)
