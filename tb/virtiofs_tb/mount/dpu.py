"""`make dpu CMD=`: what a person can have the DPU do to the file system of a mount, behind its client's back."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from virtiofs_tb.host.dpu_client import DpuFiles
from virtiofs_tb.mount.errors import MountError

_TYPES = {
    stat.S_IFREG: "-", stat.S_IFDIR: "d", stat.S_IFLNK: "l", stat.S_IFIFO: "p", stat.S_IFSOCK: "s", stat.S_IFCHR: "c",
    stat.S_IFBLK: "b",
}  # fmt: skip


@dataclass(frozen=True)
class Command:
    """A command's words: `usage` names them; the last one may be several, or is not needed where `least` says so."""

    usage: str
    least: int
    most: int | None
    run: Callable[[DpuFiles, list[str]], Awaitable[list[str]]]


async def _write(files: DpuFiles, words: list[str]) -> list[str]:
    await files.write(words[0], os.fsencode(" ".join(words[1:]) + "\n"))
    return []


async def _cat(files: DpuFiles, words: list[str]) -> list[str]:
    return (await files.read(words[0])).decode(errors="replace").splitlines()


async def _remove(files: DpuFiles, words: list[str]) -> list[str]:
    await files.remove(words[0])
    return []


async def _rename(files: DpuFiles, words: list[str]) -> list[str]:
    await files.rename(words[0], words[1])
    return []


async def _link(files: DpuFiles, words: list[str]) -> list[str]:
    await files.link(words[0], words[1])
    return []


async def _mkdir(files: DpuFiles, words: list[str]) -> list[str]:
    await files.mkdir(words[0])
    return []


async def _chmod(files: DpuFiles, words: list[str]) -> list[str]:
    await files.chmod(words[1], _number("MODE", words[0], 8, 0o7777))
    return []


async def _truncate(files: DpuFiles, words: list[str]) -> list[str]:
    await files.truncate(words[0], _number("SIZE", words[1], 10, (1 << 64) - 1))
    return []


async def _list(files: DpuFiles, words: list[str]) -> list[str]:
    """As `ls -l` begins: type, size of what is no directory, name."""
    directory = words[0] if words else "/"
    lines = []
    for entry in await files.listing(directory):
        if entry.name in (b".", b".."):
            continue
        name = os.fsdecode(entry.name)
        attributes = (await files.find(f"{directory}/{name}")).attr
        lines.append(f"{_TYPES.get(stat.S_IFMT(attributes.mode), '?')} {attributes.size:>9} {name}")
    return lines


def _number(what: str, text: str, base: int, most: int) -> int:
    try:
        number = int(text, base)
    except ValueError:
        number = -1
    if not 0 <= number <= most:
        raise MountError(f"{what} {text}: expected {'an octal number up to 7777' if base == 8 else 'a number'}")
    return number


COMMANDS = {
    "write": Command("write FILE TEXT", 2, None, _write),
    "cat": Command("cat FILE", 1, 1, _cat),
    "rm": Command("rm FILE", 1, 1, _remove),
    "mv": Command("mv A B", 2, 2, _rename),
    "ln": Command("ln FILE NAME", 2, 2, _link),
    "ls": Command("ls [DIRECTORY]", 0, 1, _list),
    "mkdir": Command("mkdir DIRECTORY", 1, 1, _mkdir),
    "chmod": Command("chmod MODE FILE", 2, 2, _chmod),
    "truncate": Command("truncate FILE SIZE", 2, 2, _truncate),
}


def parse(text: str) -> list[str]:
    """The words of a command; quotes hold several together. Raises MountError for what is no command."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise MountError(f"CMD={text}: {error}") from error
    expected = " | ".join(command.usage for command in COMMANDS.values())
    if not words:
        raise MountError(f'CMD= is missing: make dpu CMD="{expected}"')
    command = COMMANDS.get(words[0])
    if command is None:
        raise MountError(f"CMD={text}: {words[0]} is no command; expected {expected}")
    count = len(words) - 1
    if count < command.least or (command.most is not None and count > command.most):
        raise MountError(f"CMD={text}: expected {command.usage}")
    return words


async def perform(files: DpuFiles, words: list[str]) -> list[str]:
    """Do it; the lines to show. Raises MountError for wrong words, OSError for what the file system says, DpuError."""
    name, *rest = parse(shlex.join(words))
    return await COMMANDS[name].run(files, rest)
