// Rotates a word towards higher lanes: the byte in lane i goes to lane (i + amount) modulo the word.
// Dword select, then a shift of 0 to 3 bytes. Combinational. Meant for byte_pack and byte_unpack.
module byte_rotate #(
    parameter int unsigned DATA_W = 256,
    localparam int unsigned LANE_W = $clog2(DATA_W / 8)
) (
    input  logic              enable,      // 0: the output is void (0)
    input  logic [LANE_W-1:0] amount,
    input  logic [DATA_W-1:0] in,
    output logic [DATA_W-1:0] out
);
    localparam int unsigned DWORDS = DATA_W / 32;
    localparam int unsigned INDEX_W = $clog2(DWORDS);

    logic [31:0] source[DWORDS];
    logic [31:0] turned[DWORDS];

    // Idle costs nothing in simulation: the wide part runs only while enabled.
    always_comb begin
        out = '0;
        for (int unsigned i = 0; i < DWORDS; i++) begin
            source[i] = '0;
            turned[i] = '0;
        end
        if (enable) begin
            for (int unsigned i = 0; i < DWORDS; i++) source[i] = in[32*i+:32];
            for (int unsigned i = 0; i < DWORDS; i++) turned[i] = source[INDEX_W'(i) - amount[LANE_W-1:2]];
            for (int unsigned i = 0; i < DWORDS; i++) begin
                case (amount[1:0])
                    2'd0: out[32*i+:32] = turned[i];
                    2'd1: out[32*i+:32] = {turned[i][23:0], turned[INDEX_W'(i)-1'b1][31:24]};
                    2'd2: out[32*i+:32] = {turned[i][15:0], turned[INDEX_W'(i)-1'b1][31:16]};
                    default: out[32*i+:32] = {turned[i][7:0], turned[INDEX_W'(i)-1'b1][31:8]};
                endcase
            end
        end
    end
endmodule
