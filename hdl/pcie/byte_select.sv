// Byte-wise choice between two words: lane i of `out` is lane i of `low` for i < split, else of `high`.
// Combinational, by dwords.
module byte_select #(
    parameter int unsigned DATA_W = 256,
    localparam int unsigned LANE_W = $clog2(DATA_W / 8)
) (
    input  logic [LANE_W-1:0] split,
    input  logic [DATA_W-1:0] low,
    input  logic [DATA_W-1:0] high,
    output logic [DATA_W-1:0] out
);
    localparam int unsigned DWORDS = DATA_W / 32;
    localparam int unsigned INDEX_W = $clog2(DWORDS);

    logic [31:0] mix;    // ones where `low` counts in the dword that is cut
    always_comb begin
        case (split[1:0])
            2'd0: mix = 32'h0000_0000;
            2'd1: mix = 32'h0000_00FF;
            2'd2: mix = 32'h0000_FFFF;
            default: mix = 32'h00FF_FFFF;
        endcase
        for (int unsigned i = 0; i < DWORDS; i++) begin
            if (INDEX_W'(i) < split[LANE_W-1:2]) out[32*i+:32] = low[32*i+:32];
            else if (INDEX_W'(i) > split[LANE_W-1:2]) out[32*i+:32] = high[32*i+:32];
            else out[32*i+:32] = (low[32*i+:32] & mix) | (high[32*i+:32] & ~mix);
        end
    end
endmodule
