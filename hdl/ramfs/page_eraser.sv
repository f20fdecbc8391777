// Makes bytes of a page zeros, in three steps: the first and the last word are written in part, the words between them
// lose their valid bits. A fresh page loses all of them in one step.
module page_eraser #(
    parameter int unsigned DATA_W = 256,
    parameter int unsigned PAGES = 1024,
    localparam int unsigned PAGE_W = $clog2(PAGES),
    localparam int unsigned LANE_W = $clog2(DATA_W / 8),
    localparam int unsigned WORD_W = 12 - LANE_W
) (
    input  logic                clk,
    input  logic                rst,
    input  logic                fresh,          // not while `erase`
    input  logic [PAGE_W-1:0]   fresh_page,
    input  logic                erase,          // stays, with what it means, until `erased`
    input  logic [PAGE_W-1:0]   page,
    input  logic [11:0]         from,           // the first byte and the last one
    input  logic [11:0]         upto,
    output logic                erased,
    // To the storage, which always takes it.
    output logic                op_valid,
    output logic                op_clear,       // words first to last become invalid; else zeros are written to `first`
    output logic [PAGE_W-1:0]   op_page,
    output logic [WORD_W-1:0]   op_first,
    output logic [WORD_W-1:0]   op_last,
    output logic [DATA_W/8-1:0] op_strb
);
    localparam logic [DATA_W/8-1:0] ONES = '1;

    logic [1:0]        step_reg;
    logic [WORD_W-1:0] first;
    logic [WORD_W-1:0] last;
    logic              single;
    logic [LANE_W-1:0] low;         // lanes to write
    logic [LANE_W-1:0] high;

    assign first = from[11:LANE_W];
    assign last = upto[11:LANE_W];
    assign single = first == last;
    assign low = step_reg == 2'd0 || single ? from[LANE_W-1:0] : '0;
    assign high = step_reg == 2'd1 || single ? upto[LANE_W-1:0] : '1;
    assign erased = step_reg == 2'd2;

    always_comb begin
        op_valid = fresh || erase;
        op_clear = fresh || erased;
        op_page = fresh ? fresh_page : page;
        op_first = '0;
        op_last = '1;
        op_strb = ONES << low & ONES >> ~high;
        if (erase) begin
            case (step_reg)
                2'd0: op_first = first;
                2'd1: op_first = last;
                default: begin
                    op_first = first + 1'b1;
                    op_last = last - 1'b1;
                    op_valid = first < last && op_first != last;
                end
            endcase
        end
    end

    always_ff @(posedge clk) begin
        if (erase) step_reg <= erased ? 2'd0 : step_reg + 1'b1;
        if (rst) step_reg <= 2'd0;
    end
endmodule
