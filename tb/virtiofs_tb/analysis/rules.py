"""What the testbench holds where a clause alone does not say it: a permission, a description, or a wide sentence.

By id of spec/clauses.csv, with the scoreboard before it where that one holds something else; JUDGING is the testbench's
own, so the words are about what the scoreboards compare.
"""

from __future__ import annotations

RULES: dict[str, str] = {
    "SPLIT-SUP-DX1": "it may from then on, and not before: a ring entry, descriptors and buffers count only where they "
    "were read after the available index that covers them was delivered; entries are taken up in the ring's order "
    "where the profile says ordered_fetch",
    "SPLIT-DESC-D01": "it writes nothing but used rings and the writable parts of chains that were made available and "
    "not yet used, each up to its end",
    "SPLIT-USED-D03": "it may, but the profile says exact_writes: not a byte beyond the used length is written",
    "SPLIT-ANS-D04": "it may, but then no kick is lost: avail_event never goes back nor beyond the available index "
    "that was read, the index is read once more after it was written, and what was read by then is what it says",
    "PACK-SUP-DX1": "it may from then on, and after a kick it does: the next head is read by a request issued after "
    "the doorbell, unless every slot is in use",
    "PACK-SUP-DX2": "it may, but then no kick is lost: the next head is read once more after it was said; where the "
    "profile says exact_writes every kick is wanted, and nothing is written there",
    "PACK-WRAP-DI1": "in a used descriptor AVAIL and USED are both the wrap counter of the round, which flips behind "
    "the last slot of the ring, whatever the size",
    "PACK-USED-DI1": "WRITE says that bytes were written; the length is how many, from the first writable one on, and "
    "each of them was written before",
    "PACK-NEXT-DI1": "each list is given back by one used descriptor with the buffer ID of its last descriptor, in the "
    "slot behind all descriptors of the lists that were used before",
    "PACK-EVT-DI1": "the driver's structure is read after the used descriptor was written; ENABLE asks for an "
    "interrupt, DISABLE for none, DESC for one where its descriptor was passed, slot and wrap counter",
    "PACK-EVT-RI1": "the flags that the device writes for the driver are ENABLE, DISABLE, or DESC with EVENT_IDX",
    "FS-REQ-DI1": "the engine is given each request once and as it lies in memory; the driver gets the reply that the "
    "engine gave to it, byte for byte, with that reply's length",
    "FS-NQ-DI1": "each message that was taken reaches the driver once, whole and in the order in which they were "
    "taken: none before the INIT reply is used, none before a reply that was given earlier",
    "FS-NQ-DI2": "a message is accepted where a buffer is ready, held where there is room, else refused; what was "
    "accepted or held is delivered",
    "file_system FS-REQ-DI1": "docs/file-system.md says what each request does and answers; the reply is what that "
    "comes to for some order of the requests that were open together",
    "client_cache FS-REQ-DI1": "what the driver was told, and nothing since has changed, is what it is told again",
    "announcements FS-NQ-DI1": "docs/notifications.md says which messages a change by the DPU brings: each of them, "
    "before the session may rely on what was, and no others",
    "PCI-COMMON-DI1": "queue_notif_config_data is the queue's own where its feature was negotiated, and 0 elsewhere",
    "PCI-ISR-DI1": "bits 0 and 1 are all that the ISR has",
    "PCI-DEVCFG-DX1": "there is a device configuration structure, and it is as long as its fields",
}
