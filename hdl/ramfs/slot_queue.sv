// Free slots FIRST to COUNT - 1 of a table: first those never used, ascending, then in the order in which they were freed.
// After one was taken, `slot` may count again only some cycles later (`slot_valid`), even where `free` is not 0.
module slot_queue #(
    parameter int unsigned COUNT = 1024,
    parameter int unsigned SLOT_W = 13,
    parameter int unsigned FIRST = 1
) (
    input  logic              clk,
    input  logic              rst,
    output logic              slot_valid,
    output logic [SLOT_W-1:0] slot,
    input  logic              take,         // only with slot_valid
    input  logic              give,
    input  logic [SLOT_W-1:0] given,
    output logic [SLOT_W:0]   free
);
    if (COUNT < 2 || COUNT > 2 ** SLOT_W) begin : gen_check
        $fatal(1, "slot_queue: COUNT %0d is not within 2 to %0d", COUNT, 2 ** SLOT_W);
    end

    logic [SLOT_W:0]   fresh_reg;           // the next one never used
    logic              fresh;
    logic              queue_valid;
    logic              queue_ready;
    logic [SLOT_W-1:0] queued;

    assign fresh = fresh_reg != (SLOT_W + 1)'(COUNT);
    assign slot_valid = fresh || queue_valid;
    assign slot = fresh ? fresh_reg[SLOT_W-1:0] : queued;
    assign queue_ready = take && !fresh;

    logic unused_ready;                     // there is room for all of them
    sync_fifo #(.WIDTH(SLOT_W), .DEPTH(2 ** $clog2(COUNT))) freed (
        .clk, .rst,
        .in_valid(give), .in_ready(unused_ready), .in_data(given),
        .out_valid(queue_valid), .out_ready(queue_ready), .out_data(queued)
    );

    always_ff @(posedge clk) begin
        if (rst) begin
            fresh_reg <= (SLOT_W + 1)'(FIRST);
            free <= (SLOT_W + 1)'(COUNT - FIRST);
        end else begin
            if (take && fresh) fresh_reg <= fresh_reg + (SLOT_W + 1)'(1);
            free <= free + (SLOT_W + 1)'(give) - (SLOT_W + 1)'(take);
        end
    end
endmodule
