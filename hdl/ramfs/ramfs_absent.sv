// Stands where the file system in hardware would be, where none is built: takes nothing, says nothing.
//
// verilator lint_off UNUSEDSIGNAL
module ramfs_absent (
    input  ramfs_pkg::time_t clock,
    dpu_client_if.client     dpu,
    retrieved_if.engine      kept,
    output logic             dpu_busy,
    output logic [31:0]      dpu_opcode,
    stream_if.snk            engine_request,
    stream_if.src            engine_job,
    stream_if.snk            engine_done,
    stream_if.src            engine_reply,
    stream_if.src            engine_notify,
    stream_if.snk            engine_control,
    stream_if.src            engine_control_ack,
    storage_if.slv           storage,
    output notify_pkg::session_t session,
    output logic             place_valid,
    output logic [5:0]       places,
    output logic             walk_valid,
    output notify_pkg::repair_t walk,
    output logic             walked
);
    assign dpu.addr = '0;
    assign dpu.reply_write = 1'b0;
    assign dpu.reply_addr = '0;
    assign dpu.reply_word = '0;
    assign dpu.reply_bytes = '0;
    assign dpu.done = 1'b0;
    assign dpu_busy = 1'b0;
    assign dpu_opcode = '0;
    assign engine_request.ready = 1'b1;
    assign engine_done.ready = 1'b1;
    assign engine_control.ready = 1'b1;
    assign engine_job.valid = 1'b0;
    assign engine_job.last = 1'b0;
    assign engine_job.data = '0;
    assign engine_job.bytes = '0;
    assign engine_job.user = '0;
    assign engine_reply.valid = 1'b0;
    assign engine_reply.last = 1'b0;
    assign engine_reply.data = '0;
    assign engine_reply.bytes = '0;
    assign engine_reply.user = '0;
    assign engine_notify.valid = 1'b0;
    assign engine_notify.last = 1'b0;
    assign engine_notify.data = '0;
    assign engine_notify.bytes = '0;
    assign engine_notify.user = '0;
    assign engine_control_ack.valid = 1'b0;
    assign engine_control_ack.last = 1'b0;
    assign engine_control_ack.data = '0;
    assign engine_control_ack.bytes = '0;
    assign engine_control_ack.user = '0;
    assign session = '0;
    assign place_valid = 1'b0;
    assign places = '0;
    assign kept.write = 1'b0;
    assign kept.addr = '0;
    assign kept.word = '0;
    assign kept.bytes = '0;
    assign kept.done = 1'b0;
    assign kept.lost = 1'b0;
    assign walk_valid = 1'b0;
    assign walk = '0;
    assign walked = 1'b0;
    assign storage.ready = 1'b1;
    assign storage.rvalid = 1'b0;
    assign storage.rdata = '0;
endmodule
// verilator lint_on UNUSEDSIGNAL
