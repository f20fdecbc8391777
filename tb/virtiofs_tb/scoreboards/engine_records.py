"""What the log holds of the DPU's side: messages to and from the engine, its storage, and the DPU port."""

from __future__ import annotations

from virtiofs_tb.host.log import DpuChannel, Kind, Record
from virtiofs_tb.scoreboards.events import (
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
    MailboxNotify,
    StorageAccess,
)
from virtiofs_tb.scoreboards.listeners import Listeners

ENGINE_STORAGE_WRITE, ENGINE_STORAGE_READ = 4, 5
"""Channels of kind ENGINE_REPLY for the software's own accesses to storage (address, payload)."""


def tell_engine(record: Record, listeners: Listeners) -> None:
    """A record of kind ENGINE_REQUEST or ENGINE_REPLY."""
    kind, channel = record.kind, record.channel
    t_ps, seq = record.t_ps, record.seq
    word0, word1, word2, word3 = record.hdr
    ctx, second, third, epoch = word0 & 255, word0 >> 8 & 255, word0 >> 16 & 255, word0 >> 24
    if kind == Kind.ENGINE_REQUEST:
        if channel == 0:
            request = EngineRequestSeen(t_ps, seq, ctx, second, third, epoch, word1, word2, word3 >> 16, record.payload)
            for on_request in listeners.on_engine_request:
                on_request(request)
        elif channel == 1:
            done = EngineDoneSeen(t_ps, seq, ctx, second, epoch)
            for on_done in listeners.on_engine_done:
                on_done(done)
        else:
            control = EngineControlSeen(t_ps, seq, ctx, second, epoch)
            for on_control in listeners.on_engine_control:
                on_control(control)
    else:
        if channel == 0:
            job = EngineJobSeen(t_ps, seq, ctx, second, epoch, word1, word2, word3)
            for on_job in listeners.on_engine_job:
                on_job(job)
        elif channel == 1:
            reply = EngineReplySeen(t_ps, seq, ctx, second, epoch, word2, word3, record.payload)
            for on_reply in listeners.on_engine_reply:
                on_reply(reply)
        elif channel == 2:
            notify = EngineNotifySeen(t_ps, seq, epoch, record.payload)
            for on_notify in listeners.on_engine_notify:
                on_notify(notify)
        elif channel in (ENGINE_STORAGE_WRITE, ENGINE_STORAGE_READ):
            storage = StorageAccess(t_ps, seq, channel == ENGINE_STORAGE_WRITE, record.address, record.payload)
            for on_storage in listeners.on_storage:
                on_storage(storage)


def tell_dpu(record: Record, listeners: Listeners) -> None:
    """A record of kind DPU_OPERATION."""
    channel, t_ps, seq = record.channel, record.t_ps, record.seq
    if channel == DpuChannel.NOTIFY:
        message = MailboxNotify(t_ps, seq, record.payload, record.status)
        for on_message in listeners.on_mailbox_notify:
            on_message(message)
    elif channel == DpuChannel.FS_REQUEST:
        asked = DpuRequest(t_ps, seq, record.payload)
        for on_dpu_request in listeners.on_dpu_request:
            on_dpu_request(asked)
    elif channel == DpuChannel.FS_REPLY:
        answered = DpuReply(t_ps, seq, record.payload)
        for on_dpu_reply in listeners.on_dpu_reply:
            on_dpu_reply(answered)
    elif channel == DpuChannel.RETRIEVED:
        taken = DpuRetrieved(t_ps, seq, record.payload)
        for on_dpu_retrieved in listeners.on_dpu_retrieved:
            on_dpu_retrieved(taken)
    else:
        access = DpuAccess(t_ps, seq, channel == 0, record.address, record.hdr[0], record.status)
        for on_access in listeners.on_dpu_access:
            on_access(access)
