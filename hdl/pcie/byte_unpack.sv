// Cuts a contiguous message into beats of any size at any lane: each cycle with `take` gives out the next `bytes`
// bytes of the message, in lanes `offset` and up; the other lanes are void. bytes is 1 to DATA_W/8 - offset.
// `finish` with the message's last beat: what remains of its last word is dropped, the next message starts with the
// next word. `take` is allowed only with `have`. A beat a cycle whatever the alignment.
module byte_unpack #(
    parameter int unsigned DATA_W = 256,
    localparam int unsigned LANE_W = $clog2(DATA_W / 8)
) (
    input  logic              clk,
    input  logic              rst,

    input  logic              in_valid,
    output logic              in_ready,
    input  logic [DATA_W-1:0] in_data,

    input  logic              select,      // 0: `data` is not needed this cycle
    input  logic              take,
    input  logic [LANE_W-1:0] offset,
    input  logic [LANE_W:0]   bytes,
    input  logic              finish,
    output logic              have,
    output logic [DATA_W-1:0] data,

    output logic              held,        // the message's current word is here
    output logic [LANE_W-1:0] position     // its bytes below this lane have been given out
);
    localparam logic [LANE_W:0] BEAT = (LANE_W + 1)'(DATA_W / 8);

    logic [DATA_W-1:0] word_reg;

    logic [DATA_W-1:0] joined;
    byte_select #(.DATA_W(DATA_W)) join_words (
        .split(position), .low(in_data), .high(word_reg), .out(joined)
    );
    byte_rotate #(.DATA_W(DATA_W)) rotate (
        .enable(select), .amount(offset - position), .in(joined), .out(data)
    );

    logic [LANE_W:0] reach;
    logic            spans;      // needs bytes of the next word
    logic            ends;       // uses up the current word
    assign reach = {1'b0, position} + bytes;
    assign spans = reach > BEAT;
    assign ends = reach == BEAT || finish;
    assign have = held && (!spans || in_valid);
    assign in_ready = !held || (take && (spans || ends));

    always_ff @(posedge clk) begin
        if (in_valid && in_ready) word_reg <= in_data;
        if (!held) begin
            held <= in_valid;
            position <= '0;
        end else if (take) begin
            if (spans) begin
                held <= !finish;
                position <= finish ? '0 : reach[LANE_W-1:0];
            end else if (ends) begin
                held <= in_valid;
                position <= '0;
            end else begin
                position <= reach[LANE_W-1:0];
            end
        end
        if (rst) begin
            held <= 1'b0;
            position <= '0;
        end
    end
endmodule
