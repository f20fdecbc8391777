"""What a FUSE request may change, as a client must assume that does not know the server's mind."""

from __future__ import annotations

from collections.abc import Callable
from ctypes import sizeof
from dataclasses import dataclass, field

from virtiofs_model.layouts import fuse
from virtiofs_model.layouts.fuse_constants import Opcode
from virtiofs_model.layouts.fuse_operations import IN_HEADER_SIZE, OPERATIONS

Name = tuple[int, bytes]
"""A name in a directory: its nodeid, and the name."""

O_TRUNC = 0o1000
_CONTENTS = frozenset((Opcode.WRITE, Opcode.SETATTR, Opcode.FALLOCATE))
_MADE = frozenset((Opcode.MKNOD, Opcode.MKDIR, Opcode.SYMLINK))
_REMOVED = frozenset((Opcode.UNLINK, Opcode.RMDIR))
_MOVED = frozenset((Opcode.RENAME, Opcode.RENAME2))


@dataclass
class Touched:
    """nodes: inodes whose attributes or contents may change; names: that may lead elsewhere; forgotten: inodes to which
    no name leads any more that the client holds, so that the server may call them otherwise; every_node: any inode may
    be among them; everything: the session itself changes."""

    nodes: set[int] = field(default_factory=set)
    names: set[Name] = field(default_factory=set)
    forgotten: set[int] = field(default_factory=set)
    every_node: bool = False
    everything: bool = False

    def node(self, nodeid: int) -> bool:
        """Whether this inode may change."""
        return self.everything or self.every_node or nodeid in self.nodes

    def name(self, name: Name) -> bool:
        """Whether this name may lead elsewhere."""
        return self.everything or name in self.names


def names_of(message: bytes) -> list[bytes]:
    """The names in a request, as far as they are whole."""
    operation = OPERATIONS.get(int.from_bytes(message[4:8], "little"))
    if operation is None:
        return []
    return message[operation.request_size :].split(b"\0")[: operation.names]


def touched(message: bytes, child_of: Callable[[Name], int | None]) -> Touched:
    """What a request may change. child_of: where a name leads, None where that is not known."""
    opcode = int.from_bytes(message[4:8], "little")
    parent = int.from_bytes(message[16:24], "little")
    result = Touched()
    if opcode in (Opcode.INIT, Opcode.DESTROY):
        result.everything = True
    elif opcode == Opcode.FORGET:
        result.forgotten.add(parent)
    elif opcode == Opcode.BATCH_FORGET:
        result.forgotten.update(_batch(message))
    elif opcode in _CONTENTS:
        result.nodes.add(parent)
    elif opcode == Opcode.OPEN:
        if _u32(message, IN_HEADER_SIZE) & O_TRUNC:
            result.nodes.add(parent)
    elif opcode in _MADE or opcode == Opcode.LINK:
        _add(result, (parent, _name(message, 0)))
        if opcode == Opcode.LINK:
            result.nodes.add(_u64(message, IN_HEADER_SIZE))
    elif opcode == Opcode.CREATE:
        name = (parent, _name(message, 0))
        _add(result, name)
        if _u32(message, IN_HEADER_SIZE + fuse.FuseCreateIn.flags.offset) & O_TRUNC:
            _add_child(result, child_of(name))
    elif opcode in _REMOVED or opcode in _MOVED:
        names = [(parent, _name(message, 0))]
        if opcode in _MOVED:
            names.append((_u64(message, IN_HEADER_SIZE), _name(message, 1)))
        for name in names:
            _add(result, name)
            _add_child(result, child_of(name))
    return result


def _batch(message: bytes) -> list[int]:
    """The inodes of a BATCH_FORGET."""
    at, size = IN_HEADER_SIZE + sizeof(fuse.FuseBatchForgetIn), sizeof(fuse.FuseForgetOne)
    return [_u64(message, place) for place in range(at, len(message) - size + 1, size)]


def _add(result: Touched, name: Name) -> None:
    result.names.add(name)
    result.nodes.add(name[0])


def _add_child(result: Touched, child: int | None) -> None:
    if child is None:
        result.every_node = True
    else:
        result.nodes.add(child)


def _name(message: bytes, which: int) -> bytes:
    names = names_of(message)
    return names[which] if which < len(names) else b""


def _u32(message: bytes, at: int) -> int:
    return int.from_bytes(message[at : at + 4], "little")


def _u64(message: bytes, at: int) -> int:
    return int.from_bytes(message[at : at + 8], "little")
