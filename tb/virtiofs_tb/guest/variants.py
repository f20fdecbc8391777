"""What `make linux` runs: how the endpoint is set up, who answers, and what Linux must make of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from virtiofs_model.layouts.fuse_constants import Opcode
from virtiofs_model.layouts.virtio import Feature
from virtiofs_tb.catalogue import FIRMWARE, RAMFS
from virtiofs_tb.host.port import Straps


class Server(Enum):
    """Who answers FUSE behind the endpoint."""

    GOLDEN = "golden"  # the firmware engine with the golden file system
    DIRECTORY = "directory"  # the firmware engine with a directory of the host
    HARDWARE = "hardware"  # the file system in the endpoint

    @property
    def engine(self) -> str:
        """Which engine of the endpoint that is (catalogue.ENGINES)."""
        return RAMFS if self is Server.HARDWARE else FIRMWARE


@dataclass(frozen=True)
class Variant:
    """One setting of the endpoint."""

    name: str
    summary: str
    request_queues: int
    indirect: bool
    notification: bool
    literal: bool = False
    server: Server = Server.GOLDEN
    more: bool = False
    """The guest runs the long script as well, which needs a file system that is wholly the endpoint's."""

    @property
    def straps(self) -> Straps:
        """What the DPU sets before the guest boots."""
        features = Feature.VERSION_1.mask
        if self.indirect:
            features |= Feature.INDIRECT_DESC.mask
        if self.notification:
            features |= Feature.FS_NOTIFICATION.mask
        return Straps(
            num_request_queues=self.request_queues,
            features=features,
            literal_numbering=self.literal,
            tag=self.tag.encode(),
        )

    @property
    def tag(self) -> str:
        """By which the guest mounts; the device's has 36 bytes at most (struct virtio_fs_config)."""
        return f"linux-{self.name}"

    @property
    def arguments(self) -> dict[str, str]:
        """For the guest's script."""
        numbering = "literal" if self.literal else "deployed"
        return {"tag": self.tag, "numbering": numbering, "more": str(int(self.more))}

    @property
    def limit_s(self) -> float:
        """Wall-clock seconds after which the guest is given up: many times what it takes on two idle cores."""
        return 1200.0 if self.more else 600.0

    @property
    def must_ask(self) -> tuple[Opcode, ...]:
        """Requests that Linux must have made."""
        return ASKED_BY_MORE if self.more else ()

    @property
    def must_check(self) -> tuple[str, ...]:
        """Scoreboards that must have had work. Nobody sends notifications to a driver that does not take them."""
        return ("config_space",) if self.literal else ("config_space", "descriptors", "fuse", "dma", "interrupts")


ASKED_BY_MORE = (
    Opcode.SYMLINK,
    Opcode.READLINK,
    Opcode.LINK,
    Opcode.MKNOD,
    Opcode.RENAME,
    Opcode.RENAME2,
    Opcode.STATFS,
    Opcode.FSYNC,
    Opcode.FALLOCATE,
    Opcode.TMPFILE,
    Opcode.READDIR,
    Opcode.READDIRPLUS,
    Opcode.GETLK,
    Opcode.SETLK,
    Opcode.SETLKW,
)
"""What Linux can answer by itself or leave undone, so that the script could pass without the endpoint."""

VARIANTS = {
    variant.name: variant
    for variant in (
        Variant("indirect", "indirect descriptors, one request queue", 1, indirect=True, notification=False),
        Variant("direct", "no indirect descriptors, four request queues", 4, indirect=False, notification=False),
        Variant(
            "notification",
            "the notification feature is offered, which Linux does not take; deployed numbering",
            4,
            indirect=True,
            notification=True,
        ),
        Variant(
            "literal",
            "queues numbered by the letter of the specification: Linux finds no queue 1 and must give up",
            4,
            indirect=True,
            notification=True,
            literal=True,
        ),
        Variant(
            "directory",
            "a directory of the host answers, and what the guest left in it is compared outside",
            1,
            indirect=False,
            notification=True,
            server=Server.DIRECTORY,
        ),
        Variant(
            "hardware",
            "the file system in hardware answers",
            4,
            indirect=True,
            notification=True,
            server=Server.HARDWARE,
            more=True,
        ),
    )
}
