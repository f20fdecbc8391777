// The MSI-X table and the pending bit array, as the host sees them in BAR 0.
module msix_table
    import pcie_pkg::*;
#(
    parameter int unsigned VECTORS = 11
) (
    input  logic                       clk,
    input  logic                       rst,
    input  access_t                    access,
    output logic [31:0]                rdata,
    input  logic [VECTORS-1:0]         pending,
    output logic [VECTORS-1:0]         mask,
    input  logic [$clog2(VECTORS)-1:0] vector,     // which message to show
    output logic [63:0]                address,
    output logic [31:0]                data
);
    localparam int unsigned VECTOR_W = $clog2(VECTORS);

    logic [VECTORS-1:0][29:0] address_low;
    logic [VECTORS-1:0][31:0] address_high;
    logic [VECTORS-1:0][31:0] message;
    logic [VECTORS-1:0]       mask_reg;

    logic                in_table, in_pba;
    logic [VECTOR_W-1:0] entry;
    logic [31:0]         value, merged, pba;

    assign in_table = access.addr[12:10] == BAR0_MSIX_TABLE[14:12] && access.addr[9:2] < 8'(VECTORS);
    assign in_pba = access.addr[12:10] == BAR0_MSIX_PBA[14:12] && access.addr[9:1] == '0;
    assign entry = in_table ? access.addr[2 +: VECTOR_W] : '0;
    assign pba = access.addr[0] ? 32'(64'(pending) >> 32) : 32'(pending);

    always_comb begin
        unique case (access.addr[1:0])
            2'd0: value = {address_low[entry], 2'b00};
            2'd1: value = address_high[entry];
            2'd2: value = message[entry];
            2'd3: value = {31'b0, mask_reg[entry]};
        endcase
    end
    assign merged = merge(value, access.data, access.be);

    always_ff @(posedge clk) begin
        rdata <= '0;
        if (access.valid && !access.write) begin
            if (in_table) rdata <= value;
            if (in_pba) rdata <= pba;
        end
        if (access.valid && access.write && in_table) begin
            unique case (access.addr[1:0])
                2'd0: address_low[entry] <= merged[31:2];
                2'd1: address_high[entry] <= merged;
                2'd2: message[entry] <= merged;
                2'd3: mask_reg[entry] <= merged[0];
            endcase
        end
        if (rst) begin
            address_low <= '0;
            address_high <= '0;
            message <= '0;
            mask_reg <= '1;
        end
    end

    assign mask = mask_reg;
    assign address = {address_high[vector], address_low[vector], 2'b00};
    assign data = message[vector];
endmodule
