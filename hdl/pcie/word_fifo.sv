// First-in first-out buffer in distributed RAM: the oldest word is on `out_data` while `out_valid`.
// DEPTH is a power of two. It does not bypass: a word comes out one cycle after it went in.
module word_fifo #(
    parameter int unsigned WIDTH = 32,
    parameter int unsigned DEPTH = 4,
    localparam int unsigned INDEX_W = $clog2(DEPTH)
) (
    input  logic               clk,
    input  logic               rst,
    input  logic               in_valid,
    output logic               in_ready,
    input  logic [WIDTH-1:0]   in_data,
    output logic               out_valid,
    input  logic               out_ready,
    output logic [WIDTH-1:0]   out_data,
    output logic [INDEX_W:0]   count
);
    if (DEPTH < 2 || DEPTH != 2 ** INDEX_W) begin : g_check
        $fatal(1, "word_fifo: DEPTH must be a power of two");
    end

    logic [WIDTH-1:0] mem[DEPTH];
    logic [INDEX_W:0] write_reg;
    logic [INDEX_W:0] read_reg;

    assign count = write_reg - read_reg;
    assign in_ready = !count[INDEX_W];
    assign out_valid = write_reg != read_reg;
    assign out_data = mem[read_reg[INDEX_W-1:0]];

    always_ff @(posedge clk) begin
        if (in_valid && in_ready) mem[write_reg[INDEX_W-1:0]] <= in_data;
    end

    always_ff @(posedge clk) begin
        if (in_valid && in_ready) write_reg <= write_reg + 1'b1;
        if (out_valid && out_ready) read_reg <= read_reg + 1'b1;
        if (rst) begin
            write_reg <= '0;
            read_reg <= '0;
        end
    end
endmodule
