"""The `ramfs` engine of the golden device: the golden file system answers by itself, without firmware."""

from __future__ import annotations

from virtiofs_model.endpoint.core import SERVICE, Core
from virtiofs_model.endpoint.dma import Dma, ReadError
from virtiofs_model.endpoint.mover import JOB_BLOCK, Context, Mover
from virtiofs_model.endpoint.tasks import Steps
from virtiofs_model.engine import EngineReply, ReplyKind
from virtiofs_model.errors import ErrorCode
from virtiofs_model.ramfs import RamfsServer
from virtiofs_model.virtqueue import slices

LONGEST = (1 << 20) + 4096
"""Bytes of a message that are fetched at most: no request that is served has more."""


class RamfsEngine:
    """Fetches what follows the head of a request, lets the file system act on it in one step, and replies.

    Requests are fetched side by side; they take effect in the order in which their last byte came, more or less.
    """

    def __init__(self, core: Core, dma: Dma, mover: Mover, server: RamfsServer) -> None:
        self._core = core
        self._dma = dma
        self._mover = mover
        self.server = server

    def request(self, context: Context, head: bytes) -> None:
        """A request whose head was gathered."""
        self._core.scheduler.spawn(self._serve(context, head), SERVICE)

    def _serve(self, context: Context, head: bytes) -> Steps[None]:
        chain = context.chain
        message = bytearray(head)
        length = chain.readable_bytes
        try:
            if length <= LONGEST:
                for piece in slices(chain.readable, len(head), length - len(head)):
                    for offset in range(0, piece.length, JOB_BLOCK):
                        size = min(JOB_BLOCK, piece.length - offset)
                        message += yield from self._dma.read(piece.address + offset, size)
        except ReadError as error:
            self._core.log(ErrorCode.PAYLOAD_READ, context.queue, error.address)
            del message[len(head) :]
        reply = self.server.handle(bytes(message), chain.writable_bytes, length)
        kind = ReplyKind.REPLY
        if reply is None:
            kind, reply = (ReplyKind.CANNOT_REPLY if chain.writable_bytes else ReplyKind.NONE), b""
        self._mover.reply(EngineReply(context.number, kind, self._mover.epoch, len(reply)), reply)
