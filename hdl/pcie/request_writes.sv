// Walks the payload of a posted write, one dword access a cycle. Poisoned writes and those outside BAR 0 are dropped.
module request_writes
    import pcie_pkg::*;
#(
    parameter int unsigned DATA_W = 256
) (
    input  logic              clk,
    input  logic              rst,
    input  logic              valid,      // a beat of a posted request
    output logic              ready,
    input  logic              last,
    input  request_t          request,    // stable over the whole packet
    input  logic [DATA_W-1:0] data,
    input  logic              go,         // accesses may be made now
    output access_t           access
);
    localparam int unsigned BEAT_DWORDS = DATA_W / 32;
    localparam int unsigned LANE_W = $clog2(BEAT_DWORDS);

    logic unused;
    assign unused = &{1'b0, request};

    logic [10:0]       index_reg;         // dword of the packet
    logic [LANE_W-1:0] lane;
    logic              drop, packet_end;

    assign drop = request.kind != REQ_WRITE || request.unsupported || request.poisoned;
    assign packet_end = index_reg == request.dwords - 11'd1;
    assign lane = index_reg[LANE_W-1:0];
    assign ready = go && (drop || packet_end || &lane);

    always_comb begin
        access.valid = valid && go && !drop;
        access.write = 1'b1;
        access.addr = request.addr + 13'(index_reg);
        access.data = data[32 * lane +: 32];
        if (index_reg == '0) access.be = request.first_be;
        else if (packet_end) access.be = request.last_be;
        else access.be = '1;
    end

    always_ff @(posedge clk) begin
        if (rst || (valid && ready && last)) index_reg <= '0;
        else if (access.valid) index_reg <= index_reg + 11'd1;
    end
endmodule
