// Joins fragments into one contiguous message: each input word brings `in_bytes` bytes from lane `in_offset` on;
// the output starts at lane 0 and is full except on its last beat. A beat a cycle; a message whose last fragment
// overflows a word takes one cycle more.
//
// in_bytes + in_offset <= DATA_W/8. in_bytes may be 0. `in_user` counts on the last fragment and comes out on the
// last beat.
module byte_pack #(
    parameter int unsigned DATA_W = 256,
    parameter int unsigned USER_W = 1,
    localparam int unsigned LANE_W = $clog2(DATA_W / 8)
) (
    input  logic              clk,
    input  logic              rst,

    input  logic              in_valid,
    output logic              in_ready,
    input  logic              in_last,
    input  logic [DATA_W-1:0] in_data,
    input  logic [LANE_W-1:0] in_offset,
    input  logic [LANE_W:0]   in_bytes,
    input  logic [USER_W-1:0] in_user,

    output logic              out_valid,
    input  logic              out_ready,
    output logic              out_last,
    output logic [DATA_W-1:0] out_data,
    output logic [LANE_W:0]   out_bytes,
    output logic [USER_W-1:0] out_user
);
    localparam logic [LANE_W:0] BEAT = (LANE_W + 1)'(DATA_W / 8);

    logic [DATA_W-1:0] rest_reg;     // bytes not yet given out, lanes 0 to fill_reg - 1
    logic [LANE_W-1:0] fill_reg;
    logic              flush_reg;    // the last fragment overflowed: `rest_reg` is the last beat
    logic [USER_W-1:0] user_reg;

    logic [DATA_W-1:0] turned;
    logic [DATA_W-1:0] merged;
    byte_rotate #(.DATA_W(DATA_W)) rotate (
        .enable(in_valid), .amount(fill_reg - in_offset), .in(in_data), .out(turned)
    );
    byte_select #(.DATA_W(DATA_W)) merge (
        .split(fill_reg), .low(rest_reg), .high(turned), .out(merged)
    );

    logic            room;
    logic            accept;
    logic [LANE_W:0] total;
    logic            full;
    assign room = !out_valid || out_ready;
    assign in_ready = room && !flush_reg;
    assign accept = in_valid && in_ready;
    assign total = {1'b0, fill_reg} + in_bytes;
    assign full = total >= BEAT;

    always_ff @(posedge clk) begin
        if (room) out_valid <= flush_reg || (in_valid && (full || in_last));
        if (accept) begin
            fill_reg <= total[LANE_W-1:0];
            flush_reg <= in_last && total > BEAT;
            if (in_last && total <= BEAT) fill_reg <= '0;
        end else if (room && flush_reg) begin
            fill_reg <= '0;
            flush_reg <= 1'b0;
        end
        if (rst) begin
            out_valid <= 1'b0;
            fill_reg <= '0;
            flush_reg <= 1'b0;
        end
    end

    always_ff @(posedge clk) begin
        if (accept) begin
            rest_reg <= full ? turned : merged;
            user_reg <= in_user;
            out_data <= merged;
            out_bytes <= full ? BEAT : total;
            out_last <= in_last && total <= BEAT;
            out_user <= in_user;
        end else if (room && flush_reg) begin
            out_data <= rest_reg;
            out_bytes <= {1'b0, fill_reg};
            out_last <= 1'b1;
            out_user <= user_reg;
        end
    end
endmodule
