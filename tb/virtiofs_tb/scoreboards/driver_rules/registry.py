"""For each clause of side `driver`: the rule that reports it and its level, or why no log can show it."""

from __future__ import annotations

from virtiofs_tb.scoreboards.driver_rules.checker import LEVELS

PERMISSION = "a permission: there is nothing to break"
INSIDE = "what the driver does with what it was told stays inside it"
STORES = "the order of the driver's stores and loads is not on the link: a device sees one value at a time"
TOLERANCE = "it shows where a device says something unusual: scenarios and tests of the driver do"
NOT_OFFERED = "not offered"

NOT_OBSERVED: dict[str, str] = {
    **dict.fromkeys(
        (
            *("VQRST-R02", "SPLIT-UNS-R02", "SPLIT-UNS-R04", "SPLIT-SUP-RX1", "SPLIT-SUP-RX2", "SPLIT-SUP-RX3"),
            *("SPLIT-SUP-RX4", "PACK-DESC-R04", "PACK-SUP-RX1", "PACK-SUP-RX2", "INIT-R02", "RSVD-R02", "PCI-DISC-R04"),
            *("PCI-LAYOUT-R02", "PCI-CAP-R07", "PCI-CAP-RX1", "PCI-COMMON-R08", "PCI-COMMON-R09", "PCI-MSIX-R02"),
            *("PCI-MSIX-R03", "PCI-MSIX-R06", "FS-CFG-R02"),
        ),
        PERMISSION,
    ),
    **dict.fromkeys(
        (
            *("FEAT-R03", "CFG-R01", "CFG-R02", "CFG-R05", "CFG-R06", "SPLIT-USED-R01", "SPLIT-USED-R02"),
            *("SPLIT-ANS-R02", "SPLIT-ANS-R05", "RSVD-R08", "PCI-CAP-R05", "FS-REQ-RI1", "FS-HP-R03"),
        ),
        INSIDE,
    ),
    **dict.fromkeys(("SPLIT-SUP-R01", "SPLIT-SUP-R02", "PACK-SUP-R01", "PACK-SUP-R02", "PACK-SG-R06"), STORES),
    **dict.fromkeys(
        (
            *("FEAT-R04", "FEAT-R06", "FEAT-R07", "FEAT-R08", "SPLIT-UNS-R05", "PCI-DISC-R03", "PCI-CAP-R01"),
            *("PCI-CAP-R02", "PCI-CAP-R03", "PCI-CAP-R04", "PCI-CAP-R06", "PCI-DETECT-RX2", "PCI-MSIX-R01"),
            *("PCI-CFGINT-R01", "FS-DAX-R01"),
        ),
        TOLERANCE,
    ),
    **dict.fromkeys((f"SUSP-R0{number}" for number in range(1, 7)), f"{NOT_OFFERED}: VIRTIO_F_SUSPEND"),
    **dict.fromkeys(("RSVD-R09", "RSVD-R11", "RSVD-R12"), f"{NOT_OFFERED}: VIRTIO_F_SR_IOV"),
    **dict.fromkeys(("PCI-COMMON-R10", "PCI-COMMON-R11"), f"{NOT_OFFERED}: VIRTIO_F_ADMIN_VQ"),
    **dict.fromkeys(("FS-DAX-R02", "FS-DAX-R03"), f"{NOT_OFFERED}: no shared memory window"),
    **dict.fromkeys(("PCI-VNDR-R01", "PCI-VNDR-R02"), f"{NOT_OFFERED}: no capability for a vendor's data"),
    "STATUS-R04": "whether the driver still counts on a completion is not to be seen; a reset may come any time later",
    "FEAT-R02": "no feature of a file system device has a prerequisite",
    "INIT-R06": "only the driver knows whether a failure is irrecoverable; what it must not do then is INIT-R07",
    "CLEAN-R02": "what a driver does with memory that the device does not read is not to be seen",
    "RSVD-R04": "the host translates: an address that no map knows is a fault of the read or write",
    "RSVD-R05": "an address does not say of what kind it is",
    "PCI-DISC-R02": "concerns device types with a transitional ID; a file system has none",
    "PCI-PCICFG-R02": "the same as PCI-PCICFG-R01, in brackets there",
    "SPLIT-ANS-R01": "a device does not read the flags of its used ring",
    "SPLIT-ANS-R07": "a doorbell does not say for which store it is; one that comes late may have been due",
    "PACK-EVT-RI1": "a doorbell does not say for which store it is; one that comes late may have been due",
    "SPLIT-FRAME-R02": "the text does not say how many are excessive",
    "PACK-SG-R01": "the device allows as many as its queue size: PACK-SG-R02",
    "PACK-SG-R04": "a list that waits for slots looks like one that is written slowly; PACK-SG-R05 shows the result",
    "FS-NQ-R02": "the text does not say how quick is quick enough; scenarios starve the queue on purpose",
}  # fmt: skip
"""Why not, by clause."""


def how(clause: str) -> str:
    """The level at which a clause is observed, or why it is not. KeyError for one of another side."""
    return LEVELS.get(clause) or NOT_OBSERVED[clause]
