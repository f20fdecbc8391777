"""Who wants which class of events: bound methods by event class, so that nothing is looked up for each packet."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from virtiofs_tb.scoreboards.events import (
    ChainReady,
    ChainTaken,
    ChainUsed,
    ConfigAccess,
    ConfigRequest,
    DmaData,
    DmaRead,
    DmaWrite,
    Doorbell,
    DpuAccess,
    DpuReply,
    DpuRequest,
    DpuRetrieved,
    EngineControlSeen,
    EngineDoneSeen,
    EngineJobSeen,
    EngineNotifySeen,
    EngineReplySeen,
    EngineRequestSeen,
    IndexRead,
    Interrupt,
    InterruptLine,
    KicksAsked,
    MailboxNotify,
    Note,
    PinReset,
    QueueEnabled,
    QueueFault,
    QueueResetBegin,
    QueueResetDone,
    RegisterRead,
    RegisterRequest,
    RegisterWrite,
    ResetBegin,
    ResetDone,
    RingViolation,
    StorageAccess,
    StrangePacket,
    SuppressionRead,
    Tick,
    UsedIndex,
)


class Listeners:
    """One list of callbacks for each class of events; a scoreboard has the method of that name or does not."""

    def __init__(self) -> None:
        self.on_config_request: list[Callable[[ConfigRequest], None]] = []
        self.on_config_access: list[Callable[[ConfigAccess], None]] = []
        self.on_register_write: list[Callable[[RegisterWrite], None]] = []
        self.on_register_request: list[Callable[[RegisterRequest], None]] = []
        self.on_register_read: list[Callable[[RegisterRead], None]] = []
        self.on_doorbell: list[Callable[[Doorbell], None]] = []
        self.on_dma_read: list[Callable[[DmaRead], None]] = []
        self.on_dma_data: list[Callable[[DmaData], None]] = []
        self.on_dma_write: list[Callable[[DmaWrite], None]] = []
        self.on_strange_packet: list[Callable[[StrangePacket], None]] = []
        self.on_interrupt: list[Callable[[Interrupt], None]] = []
        self.on_interrupt_line: list[Callable[[InterruptLine], None]] = []
        self.on_reset_begin: list[Callable[[ResetBegin], None]] = []
        self.on_reset_done: list[Callable[[ResetDone], None]] = []
        self.on_pin_reset: list[Callable[[PinReset], None]] = []
        self.on_queue_enabled: list[Callable[[QueueEnabled], None]] = []
        self.on_queue_reset_begin: list[Callable[[QueueResetBegin], None]] = []
        self.on_queue_reset_done: list[Callable[[QueueResetDone], None]] = []
        self.on_index_read: list[Callable[[IndexRead], None]] = []
        self.on_chain_ready: list[Callable[[ChainReady], None]] = []
        self.on_chain_taken: list[Callable[[ChainTaken], None]] = []
        self.on_chain_used: list[Callable[[ChainUsed], None]] = []
        self.on_used_index: list[Callable[[UsedIndex], None]] = []
        self.on_kicks_asked: list[Callable[[KicksAsked], None]] = []
        self.on_suppression_read: list[Callable[[SuppressionRead], None]] = []
        self.on_ring_violation: list[Callable[[RingViolation], None]] = []
        self.on_queue_fault: list[Callable[[QueueFault], None]] = []
        self.on_engine_request: list[Callable[[EngineRequestSeen], None]] = []
        self.on_engine_job: list[Callable[[EngineJobSeen], None]] = []
        self.on_engine_done: list[Callable[[EngineDoneSeen], None]] = []
        self.on_engine_reply: list[Callable[[EngineReplySeen], None]] = []
        self.on_engine_notify: list[Callable[[EngineNotifySeen], None]] = []
        self.on_engine_control: list[Callable[[EngineControlSeen], None]] = []
        self.on_storage: list[Callable[[StorageAccess], None]] = []
        self.on_dpu_access: list[Callable[[DpuAccess], None]] = []
        self.on_dpu_request: list[Callable[[DpuRequest], None]] = []
        self.on_dpu_reply: list[Callable[[DpuReply], None]] = []
        self.on_dpu_retrieved: list[Callable[[DpuRetrieved], None]] = []
        self.on_mailbox_notify: list[Callable[[MailboxNotify], None]] = []
        self.on_note: list[Callable[[Note], None]] = []
        self.on_tick: list[Callable[[Tick], None]] = []

    def add(self, board: object) -> None:
        """Ask for every class of events that `board` has a method for."""
        for name, callbacks in self._lists():
            method = getattr(board, name, None)
            if method is not None:
                callbacks.append(method)
        unknown = [name for name in dir(board) if name.startswith("on_") and not hasattr(self, name)]
        assert not unknown, f"{type(board).__name__} listens to {unknown}, which no event has"

    def _lists(self) -> Iterable[tuple[str, list[Any]]]:
        return vars(self).items()
