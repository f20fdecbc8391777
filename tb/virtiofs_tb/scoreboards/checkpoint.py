"""What an observer knows at one moment, as bytes: where a log that was bounded is taken up again.

It is the observer's own state, whatever that is, but for what others hung on it: who listens, and what a scoreboard
thinks of a chain. The bytes are pickled, and read back by an unpickler that knows the classes of the observer and no
others, so that a log of somebody else runs nothing.
"""

from __future__ import annotations

import io
import pickle
from enum import Enum
from typing import TYPE_CHECKING, Any

from virtiofs_tb.host.log import LogError

if TYPE_CHECKING:
    from virtiofs_tb.scoreboards.observer import Observer

_STATE = ("virtiofs_tb.scoreboards.", "virtiofs_tb.profile", "virtiofs_tb.host.log", "virtiofs_model.layouts.")
_BOARDS = ("fuse",)
"""Scoreboards that hang something on what the observer keeps (ring_state.Chain.request)."""
_PLAIN = {
    ("builtins", "bytearray"), ("builtins", "set"), ("builtins", "frozenset"),
    ("collections", "deque"), ("collections", "OrderedDict"), ("collections", "defaultdict"),
}  # fmt: skip
_OBSERVER = "observer"
_LISTENERS = "listeners"
_OTHERS = "others"


def _of_the_observer(module: str, name: str) -> bool:
    if module.startswith(_STATE[0]):
        return module.removeprefix(_STATE[0]) not in _BOARDS
    return module.startswith(_STATE) or (module, name) in _PLAIN


class _Pickler(pickle.Pickler):
    def __init__(self, file: io.BytesIO, observer: Observer) -> None:
        super().__init__(file, protocol=4)
        self._observer = observer

    def persistent_id(self, thing: Any) -> str | None:
        """What is not the observer's own is left out."""
        if thing is self._observer or thing is self._observer.listeners:
            return _OBSERVER if thing is self._observer else _LISTENERS
        kind = thing if isinstance(thing, type) else type(thing)
        if kind.__module__ == "builtins" or _of_the_observer(kind.__module__, kind.__qualname__):
            return None
        return _OTHERS

    def reducer_override(self, thing: Any) -> Any:
        """A member of an enumeration as its value: Python's own way differs from version to version."""
        return (type(thing), (thing.value,)) if isinstance(thing, Enum) else NotImplemented


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, observer: Observer) -> None:
        super().__init__(file)
        self._observer = observer

    def persistent_load(self, pid: Any) -> Any:
        return {_OBSERVER: self._observer, _LISTENERS: self._observer.listeners}.get(pid)

    def find_class(self, module: str, name: str) -> Any:
        """Raises LogError for what is no class of the observer's state."""
        found = super().find_class(module, name) if _of_the_observer(module, name) else None
        if not isinstance(found, type):
            raise LogError(f"a snapshot of the log holds {module}.{name}, which no observer has")
        return found


def dump(observer: Observer) -> bytes:
    """What it knows now."""
    file = io.BytesIO()
    _Pickler(file, observer).dump({name: value for name, value in vars(observer).items() if name != "profile"})
    return file.getvalue()


def restore(observer: Observer, state: bytes) -> None:
    """Have it know that. Its profile and its listeners stay. Raises LogError for bytes that are no such state."""
    try:
        known = _Unpickler(io.BytesIO(state), observer).load()
    except (pickle.UnpicklingError, EOFError, AttributeError, ImportError, IndexError, TypeError, ValueError) as error:
        raise LogError(f"a snapshot of the log cannot be read: {error}") from error
    if not isinstance(known, dict) or not known.keys() <= vars(observer).keys():
        raise LogError("a snapshot of the log is of another version of the observer: show it with that one")
    vars(observer).update(known)
