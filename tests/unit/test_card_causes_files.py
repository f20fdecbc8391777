"""As test_card_causes, for defects of the file system in the endpoint and of what it announces."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.unit.carded_runs import failing_run
from tests.unit.test_card_causes import loose
from tests.unit.test_file_system_board import look_again
from virtiofs_model.defects import by_scoreboard
from virtiofs_tb.analysis.card import as_page, as_text, make_card

TREE, WAITS = "tree_operations", "waits_for_locks"
ANNOUNCED, DROPPED = "changes_by_the_dpu_are_announced", "a_full_store_drops_and_repairs"
NO_ANSWER = "whose wait has ended: expected {} in 16 bytes, seen still open"
MUST_WAIT = "none yet, since it waits for a lock"
INVALIDATION = "28000000020000000000000000000000"


@dataclass(frozen=True)
class Cause:
    """What a card says. words: what tells the cause; test, seed: the run; alone: without the judge who knows what each
    answer must be, and with a client that asks for everything twice."""

    words: tuple[str, ...]
    test: str = TREE
    seed: int = 1
    alone: bool = False


def _announced(*words: str, test: str = ANNOUNCED) -> Cause:
    return Cause(words, test)


def _waits(*words: str) -> Cause:
    return Cause(words, WAITS)


CAUSES = {
    "fs_write_keeps_times": Cause(("attr.mtime", "expected 51216", "seen 6", "used before it", "FS-REQ-DI1")),
    "fs_lookup_lost": Cause(("st.bfree", "expected 1005", "seen 1009", "FORGET unique 478 of node 7")),
    "fs_old_data": Cause(("READ of node 7", "expected 0x00", "seen 0x31", "SETATTR unique 254 of node 7: ok"), seed=2),
    "fs_wrong_errno": Cause(("LOOKUP of node 1, name b'n0'", "error", "expected ENOENT", "seen EINVAL")),
    "fs_reply_of_other": Cause(("GETATTR of node 4", "attr.ino", "expected 4", "seen 5")),
    "fs_link_twice": Cause(("LINK of node 1", "attr.nlink", "expected 2", "seen 3")),
    "fs_cookie_skips": Cause(("READDIRPLUS of node 1", "record 0", "expected b'..'", "seen b'n4'"), seed=3),
    "fs_space_lost": Cause(("st.bfree", "expected 1013", "seen 1007", "UNLINK unique 250 of node 12: ok")),
    "fs_rename_keeps_old": Cause(("LOOKUP of node 1, name b'n9'", "expected ENOENT", "seen success")),
    "fs_failure_leaves_trace": Cause(("of node 1", "attr.nlink", "expected 4", "seen 6")),
    "fs_lookup_moves_times": Cause(
        ("mtime of node 0x1", "since nothing was said of a change", "LOOKUP unique 20 of node 1: ok -- GETATTR"),
        alone=True,
    ),
    "fs_read_destroys": Cause(
        ("byte 0 of node 0x3", "expected 0x64", "seen 0x00", "WRITE unique 10", "READ unique 14"), alone=True
    ),
    "fs_listing_swaps_names": Cause(
        ("name b'a' of node 0x1", "expected 0x2", "seen 0x3", "READDIRPLUS unique 16 of node 1"), alone=True
    ),
    "fs_lock_shared": _waits("SETLKW of node 2", MUST_WAIT, "seen success", "SETLK unique 8 of node 2: ok"),
    "fs_lock_waiter_lost": _waits("SETLKW with unique 10 after an unlock", NO_ANSWER.format("success")),
    "fs_lock_waiters_forgotten": _waits("SETLKW with unique 10 after an unlock", NO_ANSWER.format("success")),
    "fs_lock_youngest_first": _waits(
        MUST_WAIT, "seen success", "queue 3 SETLKW unique 10", "SETLKW on queue 2, unique 12"
    ),
    "fs_lock_never_waits": _waits(MUST_WAIT, "seen EAGAIN"),
    "fs_lock_waiters_overflow": _waits("after eight that wait", "one with 37", NO_ANSWER.format("ENOLCK")),
    "fs_lock_survives_close": _waits("GETLK of node 2", "lk.type", "expected 2", "seen 1", "of node 2: EBADF"),
    "fs_lock_survives_flush": _waits("SETLKW with unique 12 after FLUSH", NO_ANSWER.format("success")),
    "fs_lock_survives_session": Cause(("SETLK of node 2", "expected success", "seen EAGAIN"), "sessions_end_waits"),
    "fs_lock_interrupt_lost": _waits("INTERRUPT of node 0", "expected success", "seen EAGAIN"),
    "fs_lock_split_wrong": Cause(
        ("lk.start", "expected 100", "seen 300", "GETLK of node 2", "SETLK unique"), "locks_of_ranges"
    ),
    "fs_lock_wrong_errno": _waits(MUST_WAIT, "seen EAGAIN in 16 bytes", "queue 0 INTERRUPT"),
    "fs_lock_answer_early": _waits(MUST_WAIT, "seen success", "queue 3 SETLK unique"),
    "announce_no_write": _announced(
        "announcement of WRITE of node 3 of the DPU: expected INVAL_INODE (inode 0x3, 100, 4), seen not delivered"
    ),
    "announce_no_truncation": _announced(
        f"expected 40 bytes, code 2, {INVALIDATION}03000000000000003200000000000000",
        f"seen 40 bytes, code 2, {INVALIDATION}0300000000000000ffffffffffffffff",
    ),
    "announce_no_attributes": _announced(
        "announcement of SETATTR of node 3 of the DPU: expected INVAL_INODE (inode 0x3, -1, 0), seen not delivered"
    ),
    "announce_no_creation": _announced(
        "behind MKDIR of node 1, name b'announced' of the DPU: expected INVAL_ENTRY (directory 0x1, b'announced')"
    ),
    "announce_no_removal": _announced(
        "behind UNLINK of node 1, name b'moved' of the DPU: expected DELETE (directory 0x1, b'moved')"
    ),
    "announce_old_name_only": _announced(
        "behind RENAME of node 2, name b'second' of the DPU: expected INVAL_ENTRY (directory 0x1, b'moved')"
    ),
    "announce_no_replaced": _announced(
        "behind RENAME of node 2, name b'second' of the DPU: expected INVAL_INODE (inode 0x2, -1, 0)"
    ),
    "announce_no_parents": _announced(
        "of MKDIR of node 1, name b'announced' of the DPU: expected INVAL_INODE (inode 0x1, -1, 0), seen not delivered"
    ),
    "announce_uncached": _announced("notifications that nothing caused", "expected 0x0", "seen 0x1"),
    "announce_no_root": _announced(
        "of MKDIR of node 1, name b'announced' of the DPU: expected INVAL_ENTRY", "seen not delivered"
    ),
    "announce_coalesced_last": _announced(
        f"expected 40 bytes, code 2, {INVALIDATION}02000000000000009901",
        f"seen 40 bytes, code 2, {INVALIDATION}02000000000000009a01",
        test="a_full_store_coalesces",
    ),
    "announce_overflow_silent": _announced("overflow flag", "expected 0x1", "seen 0x0", test=DROPPED),
    "announce_no_epoch": _announced(
        "expected 16 bytes, code 8, 1000000008", "seen 40 bytes, code 2, 2800000002", test=DROPPED
    ),
    "announce_epoch_alone": _announced("overflow flag", "expected 0x1", "seen 0x0", test=DROPPED),
    "announce_old_session": _announced(
        "a name that is held, error", "expected -2", "seen 0x0", test="an_older_session_loses_no_names"
    ),
}


def test_no_defect_is_left_out() -> None:
    boards = ("file_system", "client_cache", "announcements")
    named = {info.defect.value for board in boards for info in by_scoreboard(board)}
    others = ("lock_", "poll_", "retrieve_")  # test_notice_boards.py holds what is said of those
    assert {name for name in named if not name.startswith(others)} == set(CAUSES)


@pytest.mark.parametrize("defect", CAUSES)
def test_the_cause_stands_on_the_card(defect: str, tmp_path: Path) -> None:
    cause = CAUSES[defect]
    without = ("file_system",) if cause.alone else ()
    instead = look_again if cause.alone else None
    summary = failing_run(tmp_path, cause.test, defect, cause.seed, instead, "ramfs", without)
    card = make_card(tmp_path, summary)
    text = as_text(card)
    assert [words for words in cause.words if loose(words) not in loose(text)] == []
    assert "FS-REQ-DI1" in text or "FS-NQ-D" in text
    assert len(text.splitlines()) <= 64, "it fits a screen"
    page = as_page(card).replace("&#39;", "'")
    assert all(line in page for line in card.before)
