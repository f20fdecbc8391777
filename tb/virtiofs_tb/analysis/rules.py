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
    "PCI-ISR-DI1": "bits 0 and 1 are all that the ISR has",
    "PCI-DEVCFG-DX1": "there is a device configuration structure, and it is as long as its fields",
}
