// A message of fixed length for which the store has a place: LOCK and POLL. One at a time.
module ramfs_short_message
    import endpoint_pkg::*, notify_pkg::*;
#(
    parameter int unsigned DATA_W = 256
) (
    input  logic         clk,
    input  logic         rst,
    input  epoch_t       epoch,
    input  logic         valid,
    output logic         ready,
    input  notify_code_e code,
    input  logic [5:0]   bytes,         // fuse_out_header's 16 among them
    input  logic [127:0] body,          // byte 0 in bits 7:0
    output logic         busy,          // it is not stored yet
    stream_if.src        out
);
    localparam int unsigned BEAT = DATA_W / 8;
    localparam int unsigned IMAGE_W = (LOCK_BYTES * 8 > DATA_W ? LOCK_BYTES * 8 : DATA_W) + 8;   // more than one beat
    localparam int unsigned BYTES_W = $clog2(BEAT) + 1;

    logic               busy_reg;
    epoch_t             epoch_reg;
    logic [5:0]         length_reg;
    logic [5:0]         left_reg;
    logic [IMAGE_W-1:0] image_reg;

    engine_notify_t user;
    always_comb begin
        user = '0;
        user.length = 32'(length_reg);
        user.epoch = 8'(epoch_reg);
        user.msg_class = CLASS_PLACED;
    end
    assign ready = !busy_reg;
    assign busy = busy_reg;
    assign out.valid = busy_reg;
    assign out.last = 32'(left_reg) <= BEAT;
    assign out.data = image_reg[DATA_W-1:0];
    assign out.bytes = out.last ? BYTES_W'(left_reg) : BYTES_W'(BEAT);
    assign out.user = user;

    always_ff @(posedge clk) begin
        if (valid && ready) begin
            busy_reg <= 1'b1;
            epoch_reg <= epoch;
            length_reg <= bytes;
            left_reg <= bytes;
            image_reg <= IMAGE_W'({body, 64'b0, code, 26'b0, bytes});
        end else if (busy_reg && out.ready) begin
            busy_reg <= !out.last;
            left_reg <= left_reg - 6'(BEAT);
            image_reg <= image_reg >> DATA_W;
        end
        if (rst) busy_reg <= 1'b0;
    end
endmodule
