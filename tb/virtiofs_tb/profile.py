"""Profile of an endpoint under test: what the testbench may not assume about it, as a TOML file.

`profiles/ours-strict.toml` is the profile of hdl/; the defaults below are those of an endpoint of which nothing is
known but that it follows the specification. An unknown key is an error: a misspelt one would silently judge nothing.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, get_type_hints

from virtiofs_model.layouts.fuse_constants import Opcode

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

READ_SLACKS = (0, 4, 64)


class ProfileError(ValueError):
    """A profile that cannot be used; the message names the file, the key and what it may be."""


@dataclass(frozen=True)
class DmaRules:
    """What DMA may look like.

    read_slack: a read may go beyond what it needs, up to the next multiple of this many bytes (0: not at all).
    exact_writes: no byte of a writable part beyond the used length is written; data comes before the used entry, and
    data, used entries and used indexes are written once.
    exact_attributes: TC, attributes, AT, TH are 0 and byte enables are contiguous.
    """

    read_slack: int = 64
    exact_writes: bool = False
    exact_attributes: bool = False


@dataclass(frozen=True)
class Timing:
    """After how much simulated time (microseconds) something owed is a failure; 0: only at the end of a run.

    completion: what the host waits for a completion; read_tag: the age from which an outstanding read has timed out.
    """

    used_us: int = 0
    interrupt_us: int = 0
    notification_us: int = 0
    completion_us: int = 0
    read_tag_us: int = 50_000


@dataclass(frozen=True)
class Choices:
    """Policies where the specification leaves a choice.

    coalesce_interrupts: one message may stand for several used entries that each asked for one.
    prefetch_notification_buffers: queue 1 is read when it is kicked, not when a message waits.
    literal_numbering: without VIRTIO_FS_F_NOTIFICATION index 1 is absent (read where no DPU strap was seen).
    config_changes: device configuration may change while the driver runs.
    ordered_fetch: chains are fetched in the order of the available ring.
    mixed_chains: direct descriptors may come before an indirect one, as SPLIT-IND-D02 wants; false spares an endpoint
    that is known not to bear it. first_writable: bytes that the first writable descriptor has at least.
    """

    coalesce_interrupts: bool = True
    prefetch_notification_buffers: bool = False
    literal_numbering: bool = False
    config_changes: bool = True
    ordered_fetch: bool = False
    mixed_chains: bool = True
    first_writable: int = 1


@dataclass(frozen=True)
class Dpu:
    """The DPU's side. port: there is a DPU port with the map of docs/dpu-port.md.

    message_store: bytes of the message store; message_overhead: at most this many bytes more for each message in it.
    """

    port: bool = False
    message_store: int = 16384
    message_overhead: int = 64


@dataclass(frozen=True)
class Fuse:
    """opcodes_enosys: answered -ENOSYS by design."""

    opcodes_enosys: tuple[str, ...] = ()


@dataclass(frozen=True)
class Profile:
    """One endpoint.

    golden_config, golden_registers: hold it against the golden models, byte for byte. msix_vectors: the size of its
    MSI-X table, for the golden models. intx: it has INTA, for the same.
    """

    name: str = "unknown"
    golden_config: bool = False
    golden_registers: bool = False
    msix_vectors: int = 11
    intx: bool = False
    dma: DmaRules = field(default_factory=DmaRules)
    timing: Timing = field(default_factory=Timing)
    choices: Choices = field(default_factory=Choices)
    dpu: Dpu = field(default_factory=Dpu)
    fuse: Fuse = field(default_factory=Fuse)


_SECTIONS: dict[str, type[Any]] = {
    "dma": DmaRules,
    "timing": Timing,
    "choices": Choices,
    "dpu": Dpu,
    "fuse": Fuse,
}


def _checked(where: str, kind: type[Any], table: dict[str, Any]) -> dict[str, Any]:
    """The keys of `table`, each of the type of the field of `kind` that it names."""
    hints = get_type_hints(kind)
    known = {item.name: hints[item.name] for item in fields(kind)}
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key not in known:
            raise ProfileError(f"{where}: unknown key '{key}'; known: {', '.join(known)}")
        wanted = known[key]
        if wanted in (bool, int, str):
            if type(value) is not wanted:
                raise ProfileError(f"{where}: '{key}' is {value!r}, expected {wanted.__name__}")
        elif not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise ProfileError(f"{where}: '{key}' is {value!r}, expected a list of names")
        else:
            value = tuple(value)
        values[key] = value
    return values


def load(path: Path) -> Profile:
    """Read a profile. Raises ProfileError with one clear line for anything that is wrong with it."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ProfileError(f"{path}: no such profile") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise ProfileError(f"{path}: {error}") from None
    top = {key: value for key, value in document.items() if key not in _SECTIONS}
    values = _checked(str(path), Profile, top)
    for name, kind in _SECTIONS.items():
        section = document.get(name, {})
        if not isinstance(section, dict):
            raise ProfileError(f"{path}: '{name}' is {section!r}, expected a table")
        values[name] = kind(**_checked(f"{path} [{name}]", kind, section))
    profile = Profile(**values)
    if profile.dma.read_slack not in READ_SLACKS:
        raise ProfileError(f"{path} [dma]: 'read_slack' is {profile.dma.read_slack}, expected one of {READ_SLACKS}")
    for name in profile.fuse.opcodes_enosys:
        if name not in Opcode.__members__:
            raise ProfileError(f"{path} [fuse]: 'opcodes_enosys' names {name!r}, which is no FUSE opcode")
    return profile
