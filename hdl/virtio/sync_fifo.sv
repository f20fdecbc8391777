// A first-in first-out queue over a block RAM: an entry can be taken two cycles after it was put in.
module sync_fifo #(
    parameter int unsigned WIDTH = 32,
    parameter int unsigned DEPTH = 16   // a power of two
) (
    input  logic             clk,
    input  logic             rst,
    input  logic             in_valid,
    output logic             in_ready,
    input  logic [WIDTH-1:0] in_data,
    output logic             out_valid,
    input  logic             out_ready,
    output logic [WIDTH-1:0] out_data
);
    localparam int unsigned AW = $clog2(DEPTH);

    if (DEPTH != 2 ** AW) begin : gen_check
        $fatal(1, "sync_fifo: DEPTH %0d is no power of two", DEPTH);
    end

    // Never read where it is written: nothing is fetched from an empty one, nothing put into a full one.
    (* no_rw_check *) logic [WIDTH-1:0] mem[DEPTH];
    logic [AW-1:0]    write_reg;
    logic [AW-1:0]    read_reg;
    logic [AW:0]      stored_reg;
    logic             put;
    logic             fetch;

    assign in_ready = stored_reg != (AW + 1)'(DEPTH);
    assign put = in_valid && in_ready;
    assign fetch = stored_reg != 0 && (!out_valid || out_ready);

    always_ff @(posedge clk) begin
        if (put) begin
            mem[write_reg] <= in_data;
        end
        if (fetch) begin
            out_data <= mem[read_reg];
        end
    end

    always_ff @(posedge clk) begin
        if (rst) begin
            write_reg <= '0;
            read_reg <= '0;
            stored_reg <= '0;
            out_valid <= 1'b0;
        end else begin
            if (put) write_reg <= write_reg + 1'b1;
            if (fetch) read_reg <= read_reg + 1'b1;
            stored_reg <= stored_reg + (AW + 1)'(put) - (AW + 1)'(fetch);
            out_valid <= fetch || (out_valid && !out_ready);
        end
    end
endmodule
