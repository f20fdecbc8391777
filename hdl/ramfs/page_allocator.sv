// The free pages: a queue, so that what was freed last is used last.
module page_allocator
    import ramfs_pkg::*;
#(
    parameter int unsigned PAGES = 1024,
    localparam int unsigned PAGE_W = $clog2(PAGES)
) (
    input  logic              clk,
    input  logic              rst,
    output logic              ready,        // all pages are here
    output pages_t            free,
    output logic [PAGE_W-1:0] page,         // the next one, unless `free` is 0
    input  logic              take,         // not within two cycles of a `give`
    input  logic              give,
    input  logic [PAGE_W-1:0] given
);
    logic [PAGE_W-1:0] init_reg;

    // Not every output is of use: there is room for all pages.
    // verilator lint_off PINCONNECTEMPTY
    sync_fifo #(.WIDTH(PAGE_W), .DEPTH(PAGES)) free_fifo (
        .clk, .rst, .in_valid(give || !ready), .in_ready(), .in_data(ready ? given : init_reg),
        .out_valid(), .out_ready(take), .out_data(page)
    );
    // verilator lint_on PINCONNECTEMPTY

    always_ff @(posedge clk) begin
        if (rst) begin
            ready <= 1'b0;
            init_reg <= '0;
            free <= '0;
        end else begin
            if (!ready) begin
                init_reg <= init_reg + 1'b1;
                ready <= &init_reg;
            end
            free <= free + pages_t'(give || !ready) - pages_t'(take);
        end
    end
endmodule
