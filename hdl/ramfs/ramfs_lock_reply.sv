// Answers requests that waited for a lock: fuse_out_header alone.
//
// Records are taken whole; not every field counts here.
// verilator lint_off UNUSEDSIGNAL
module ramfs_lock_reply
    import endpoint_pkg::*, ramfs_pkg::*, ramfs_core_pkg::*, ramfs_message_pkg::*;
#(
    parameter int unsigned DATA_W = 256
) (
    input  logic       clk,
    input  logic       rst,
    input  epoch_t     epoch,
    input  logic       hold,
    input  logic       wake_valid,
    output logic       wake_ready,
    input  lock_wake_t wake,
    stream_if.src      reply
);
    logic       valid_reg;
    epoch_t     epoch_reg;
    lock_wake_t wake_reg;

    out_header_t head;
    assign head.len = 32'd16;
    assign head.error = -32'(errno_of_lock(wake_reg.result));
    assign head.unique_id = wake_reg.request_id;

    engine_reply_t user;
    always_comb begin
        user = '0;
        user.ctx = 8'(wake_reg.ctx);
        user.epoch = 8'(epoch_reg);
        user.immediate = 32'd16;
    end

    assign wake_ready = !hold && (!valid_reg || reply.ready);
    assign reply.valid = valid_reg;
    assign reply.last = 1'b1;
    assign reply.data = DATA_W'(head);
    assign reply.bytes = ($clog2(DATA_W / 8) + 1)'(16);
    assign reply.user = user;

    always_ff @(posedge clk) begin
        if (wake_valid && wake_ready) begin
            wake_reg <= wake;
            epoch_reg <= epoch;
        end
        if (rst) valid_reg <= 1'b0;
        else valid_reg <= (wake_valid && wake_ready) || (valid_reg && !reply.ready);
    end
endmodule
// verilator lint_on UNUSEDSIGNAL
