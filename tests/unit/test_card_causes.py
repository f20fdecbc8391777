"""Each defect's cause can be read off its card: what stands there is listed here, defect by defect.

Every card was read once by a person who knew only it; the words below are those that told the cause.
"""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest

from tests.unit.carded_runs import failing_run
from tests.unit.test_scoreboard_defects import SHOWN_BY, USUAL
from virtiofs_model.defects import DEFECTS
from virtiofs_tb.analysis.card import as_page, as_text, make_card
from virtiofs_tb.analysis.rules import RULES
from virtiofs_tb.paths import ROOT

CAUSES: dict[str, list[str]] = {
    "capability_length": [
        "cap_len of the NOTIFY_CFG capability, in configuration space at 0xa4",
        "expected  0x14 = 20",
        "seen      0x10 = 16",
        "clause    PCI-CAP-D01",
    ],
    "absent_queue_size": ["queue_size of queue 6", "expected  0: num_queues is 6", "seen      1024", "PCI-COMMON-D15"],
    "vector_readback": ["config_msix_vector", "expected  below 11, or NO_VECTOR", "seen      11", "PCI-MSIX-D09"],
    "features_ok_without_version_1": [
        "device_status, read in the common structure",
        "0x03: ACKNOWLEDGE, DRIVER, since the driver accepts features",
        "without VERSION_1",
        "0x0b: ACKNOWLEDGE, DRIVER, FEATURES_OK",
        "FEAT-D03",
    ],
    "isr_not_cleared": [
        "the ISR's configuration bit was read before, and nothing happened since",
        "02       ISR status",
        "seen      0x02",
        "PCI-ISR-D05",
    ],
    "bar_size": ["BAR0, in configuration space", "0xffff8004: 32,768 bytes", "0xffffc004: 16,384 bytes", "ffffffff"],
    "index_and_entry_together": [
        "no read of its ring entry was issued after its available index was delivered",
        "available index, available entry 0..253 of queue 2",
        "rule      it may from then on, and not before",
    ],
    "entry_reordered": [
        "chain 1 (entry 1) of queue 1 is taken up before its turn",
        "expected  entry 0 of the available ring first",
        "descriptor 1 of queue 1",
    ],
    "used_entry_twice": [
        "used entry 1 of queue 3 is written",
        "none: all chains made available, up to entry 0, are used already",
        "one that returns chain 0 again",
        "used entry 0 of queue 3",
    ],
    "used_id": [
        "used entry 0 of queue 3 names chain 1",
        "an exposed chain: 0",
        "STATFS     6       scatter",
        "01000000 60000000",
    ],
    "stale_queue_state": [
        "queue 1: chain 820",
        "queue 1 began anew after the reset at T us",
        "then the device had taken available index 16 and written used index 1",
        "entry 0 of queue 1: expected read, since its index was, seen never read after that",
        "the configuration interrupt at seq N: expected a cause",
        "available index   1, read",
    ],
    "descriptor_prefetched": [
        "no read of its descriptors was issued after its available index was delivered",
        "rq  MRD  0x124000d020 512 bytes, tag 26",
        "descriptor 0..31 of queue 3",
        "expected  a read of the descriptors issued after seq N, which delivered the index",
    ],
    "hiprio_behind_requests": [
        "the doorbell of queue 0 at seq N: expected a read of the available index issued after it, seen none",
        "queue 5 SETLKW unique 20 head 0: stands after engine request",
        "available index 0, read never",
    ],
    "used_index_before_data": [
        "used index covers chain 648 (entry 0) of queue 2 with length 80",
        "byte 0 of the writable part not written",
        "rq  MWR  0x1001d3c0 80 bytes",
    ],
    "byte_past_descriptor": [
        "write of 81 bytes",
        "1 beyond the end of the writable part of chain 648",
        "0x1001d3c0 80 bytes write",
        "SPLIT-DESC-D01",
        "each up to its end",
    ],
    "write_into_readable": ["write of 80 bytes", "in the readable part of chain 648", "SPLIT-DESC-D01"],
    "payload_above_mps": ["Max_Payload_Size", "at most 256 bytes", "MWR  0x1001d343 336 bytes"],
    "read_crosses_4k": ["Max_Read_Request_Size", "at most 512 bytes", "MRD  0x1001d320 1024 bytes"],
    "used_length_of_buffer": ["336 as the engine replied", "seen      32784", "32784 writable", "used length 32784"],
    "reply_corrupted": ["byte 95 of the reply", "st.spare+16", "00 00 00 00 00 00 00 01", "byte for byte"],
    "request_twice": [
        "chain 185 (entry 0) of queue 5 is handed to the engine",
        "expected  once",
        "seen      again",
        "the engine is given each request once",
    ],
    "reply_to_other_context": [
        "chain 973 (entry 5) of queue 5 is used",
        "expected  a reply of the engine first",
        "seen      none was given",
        "queue 3 STATFS unique 44 head 0: stands after engine reply",
        "STATFS on queue 5, unique 48",
        "context 14",
    ],
    "request_corrupted": ["byte 103 is 0x00 as read from memory", "unused+32", "00 10", "as it lies in memory"],
    "notify_small_chain": ["4135 writable bytes takes a message", "less than notify_buf_size 4136", "FS-CFG-D02"],
    "notify_lost": [
        "19 notifications",
        "the message of 16 bytes taken at seq N: expected delivered: a buffer is there, seen not delivered",
        "16 bytes from the mailbox, held",
        "    2     2  buffer             buffer  T",
    ],
    "notify_before_init": ["none before the INIT reply is used", "one is used", "100 bytes from the mailbox, held"],
    "notify_reordered": [
        "the message of 16 bytes taken at seq N, which is next",
        "that of 48 bytes taken at seq N, 18 messages later",
        "in the order in which they were taken",
    ],
    "notify_overtakes_reply": [
        "a notification that the mailbox gave at seq N is used",
        "the reply given before it, at seq N, used first",
        "that reply is still open: chain 393 (entry 1) of queue 2",
        "reply of the engine  289 bytes",
        "READ unique 10 head 393: stands after scatter",
    ],
    "interrupt_decided_early": [
        "a read of the suppression word, issued after the used index, first",
        "suppression word of queue 2",
        "used index            T",
        "suppression word  flags 0, read T",
    ],
    "pending_lost": [
        "pending bit of vector 3, which is masked",
        "1: queue 2 asked for an interrupt, and the mask stands",
        "0: it is lost",
    ],
    "interrupt_no_vector": [
        "MSI-X message of vector 0",
        "no queue has this vector",
        "sent after queue 2, whose vector is NO_VECTOR, used a buffer at seq",
        "PCI-USEDINT-D01",
    ],
    "interrupt_missing": [
        "interrupt for chain 0, which is used",
        "the suppression word read at seq N asks for it, seen none",
        "flags 0",
    ],
    "interrupt_while_masked": [
        "its pending bit set: the vector is masked",
        "MSI-X vector 3: queue 2",
        "seen      sent",
    ],
    "interrupt_suppressed_sent": [
        "none: no used buffer asks for it",
        "flags 1, no interrupt wanted",
        "MSI-X vector 3: queue 2",
        "SPLIT-UNS-D02",
    ],
    "intx_not_deasserted": ["INTA, asserted at seq N", "deasserted: the ISR was read", "ISR status"],
    "intx_while_disabled": ["Assert_INTA", "none: Interrupt Disable is set", "MSG  ASSERT_INTA"],
    "intx_status_disabled": ["Status register's Interrupt bit", "has set the ISR's queue bit", "CFGRD0  0x6 2 bytes"],
    "intx_without_isr": ["the ISR after Assert_INTA at seq N", "a bit set before it", "MSG  ASSERT_INTA"],
    "intx_missing": ["the Status register's Interrupt bit", "has set the ISR's queue bit", "0000"],
    "intx_with_msix": ["Assert_INTA", "none while MSI-X is on", "MSG  ASSERT_INTA"],
    "config_interrupt_without_isr": [
        "the ISR after a configuration interrupt",
        "bit 1 set before it",
        "MSI-X vector 0: configuration",
        "00       ISR status",
    ],
}


NOT_READ = {"lock_place_not_kept", "init_refused_empties_store"}
"""Of messages of the file system: their cards show messages that do not come, and not yet why (docs/debugging.md)."""


def loose(text: str) -> str:
    """In one line, without times and positions in the log: they move with every register that a driver reads."""
    return re.sub(r"\bseq \d+", "seq N", re.sub(r"\b\d+\.\d{3}\b", "T", " ".join(text.split())))


def test_no_defect_is_left_out() -> None:
    of_files = ("file_system", "client_cache", "announcements")  # test_card_causes_files.py
    # Features that are not usual have scenarios of their own: test_ring_defects.py.
    of_transport = {name for name, info in DEFECTS.items() if info.scoreboard not in of_files and not info.features}
    unread = of_transport - NOT_READ - set(CAUSES)
    assert not unread, "the card of a new defect is to be read, and what tells its cause listed here"
    assert set(CAUSES) <= set(DEFECTS)


@pytest.mark.parametrize("defect", CAUSES)
def test_the_cause_stands_on_the_card(defect: str, tmp_path: Path) -> None:
    summary = failing_run(tmp_path, SHOWN_BY.get(defect, USUAL), defect)
    card = make_card(tmp_path, summary)
    text = as_text(card)
    assert [words for words in CAUSES[defect] if loose(words) not in loose(text)] == []
    assert len(text.splitlines()) <= 64, "it fits a screen"
    failure = summary.failures[0]
    if failure.kind == "check":
        assert failure.source == DEFECTS[defect].scoreboard
        assert failure.clause in (*DEFECTS[defect].clauses, "PCI-BUS-D01", "SPLIT-UNS-D03")
    page = as_page(card)
    assert all(note in page.replace("&#39;", "'") for note in card.notes)


def test_a_clause_that_asks_nothing_has_a_rule() -> None:
    """Scoreboards name permissions and descriptions too; what they hold then must be said."""
    with (ROOT / "spec" / "clauses.csv").open(newline="") as file:
        levels = {row["id"]: row["level"] for row in csv.DictReader(file)}
    sources = "".join(path.read_text() for path in (ROOT / "tb" / "virtiofs_tb" / "scoreboards").glob("*.py"))
    vague = {clause for clause, level in levels.items() if f'"{clause}"' in sources and level in ("INFO", "MAY")}
    assert vague <= set(RULES)
    assert {rule.rpartition(" ")[2] for rule in RULES} <= set(levels)
