// Cuts a client's read into reads that each fit one slot: at multiples of Max_Read_Request_Size (at most 512), hence
// also at 4 KiB. A read of n bytes at any address then never spans more dwords than the limit.
module read_splitter (
    input  logic                    clk,
    input  logic                    rst,
    input  logic                    enable,
    input  logic [2:0]              mrrs,
    input  logic                    req_valid,
    output logic                    req_ready,
    input  endpoint_pkg::read_req_t req,
    output logic                    sub_valid,
    input  logic                    sub_take,
    output dma_pkg::sub_read_t      sub
);
    logic [63:0] addr_reg;
    logic [9:0]  left_reg;

    logic [8:0] block_mask;
    logic [9:0] room;
    always_comb begin
        case (mrrs)
            3'd0: block_mask = 9'h07F;
            3'd1: block_mask = 9'h0FF;
            default: block_mask = 9'h1FF;
        endcase
        room = {1'b0, block_mask} + 10'd1 - {1'b0, addr_reg[8:0] & block_mask};
        sub.addr = addr_reg;
        sub.last = left_reg <= room;
        sub.bytes = sub.last ? left_reg : room;
    end
    assign sub_valid = left_reg != 0;
    assign req_ready = enable && (!sub_valid || (sub_take && sub.last));

    always_ff @(posedge clk) begin
        if (req_valid && req_ready) begin
            addr_reg <= req.addr;
            left_reg <= req.bytes;
        end else if (sub_take) begin
            addr_reg <= addr_reg + 64'(sub.bytes);
            left_reg <= left_reg - sub.bytes;
        end
        if (rst) left_reg <= '0;
    end
endmodule
