"""The storage behind the mover, as software on the DPU reaches it."""

from __future__ import annotations

from typing import Protocol

from virtiofs_tb.host.log import EngineReplyChannel, Kind, ObservationLog
from virtiofs_tb.host.loop import Loop


class Storage(Protocol):
    """Bytes by address, from 0."""

    def storage_read(self, address: int, size: int) -> bytes: ...
    def storage_write(self, address: int, data: bytes) -> None: ...


class LoggedStorage:
    """EnginePort's part for the software's own accesses to storage, which no pin shows: they are seen in the log."""

    def __init__(self, storage: Storage, log: ObservationLog, loop: Loop) -> None:
        self._storage = storage
        self._log = log
        self._loop = loop

    def storage_read(self, address: int, size: int) -> bytes:
        data = self._storage.storage_read(address, size)
        self._accessed(EngineReplyChannel.STORAGE_READ, address, data)
        return data

    def storage_write(self, address: int, data: bytes) -> None:
        self._accessed(EngineReplyChannel.STORAGE_WRITE, address, data)
        self._storage.storage_write(address, data)

    def _accessed(self, channel: EngineReplyChannel, address: int, data: bytes) -> None:
        self._log.append(self._loop.now_ps, Kind.ENGINE_REPLY, channel, address=address, payload=data)
