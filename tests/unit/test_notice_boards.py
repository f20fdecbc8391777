"""LOCK and POLL messages, their places in the store, and what is kept of an answer to RETRIEVE: each rule of
docs/notifications.md, broken, is caught by the scoreboard that the registry names.

Scoreboard and device hold the same golden file system here, so only the runs with a defect prove something.
"""

from __future__ import annotations

import pytest

from tests.unit.test_file_system_board import judged
from virtiofs_model.defects import DEFECTS, Defect

STARVED = "lock_messages_keep_their_places"
LOCKS = "lock_messages_tell_how_waits_end"
POLLS = "polls_are_woken_by_the_dpu"
SHOWN_BY = {
    Defect.LOCK_MESSAGE_LOST: STARVED,
    Defect.LOCK_MESSAGE_TWICE: LOCKS,
    Defect.LOCK_MESSAGE_WRONG_ERROR: LOCKS,
    Defect.LOCK_MESSAGE_BEFORE_REPLY: LOCKS,
    Defect.LOCK_GRANTED_WITHOUT_MESSAGE: LOCKS,
    Defect.LOCK_PLACE_NOT_KEPT: STARVED,
    Defect.LOCK_WAITS_UNASKED: "waits_for_locks",
    Defect.POLL_MESSAGE_LOST: POLLS,
    Defect.POLL_KH_WRONG: POLLS,
    Defect.POLL_NEVER_SPENT: POLLS,
    Defect.POLL_BEFORE_INVALIDATION: POLLS,
    Defect.POLL_SURVIVES_CLOSE: POLLS,
    Defect.POLL_TABLE_OVERFLOW: POLLS,
    Defect.RETRIEVE_TRUNCATED: "the_dpu_retrieves_what_a_client_holds",
    Defect.RETRIEVE_OVERWRITTEN: "the_dpu_retrieves_what_a_client_holds",
    Defect.INIT_REFUSED_EMPTIES_STORE: "a_refused_init_empties_nothing",
}
"""The scenario that shows each defect."""

SCENARIOS = sorted(
    {*SHOWN_BY.values(), "polls_keep_their_places", "notices_at_random", "the_end_of_a_session_tells_nobody"}
)


@pytest.mark.parametrize("defect", SHOWN_BY, ids=lambda defect: defect.value)
def test_a_broken_rule_is_caught(defect: Defect) -> None:
    boards, _ = judged(SHOWN_BY[defect], 1, defect)
    assert boards.failures, "nothing was found"
    first = boards.failures[0]
    assert first.board == DEFECTS[defect.value].scoreboard, [str(one) for one in boards.failures]
    assert first.clause and first.expected and first.seen, str(first)


@pytest.mark.parametrize("seed", range(1, 4))
@pytest.mark.parametrize("name", SCENARIOS)
def test_a_sound_device_is_content(name: str, seed: int) -> None:
    boards, error = judged(name, seed)
    assert error is None
    assert [str(failure) for failure in boards.failures] == []
