// Counters of events, 32 bits each, wrapping; and the registers that only tell: id, version, device_status.
module dpu_counters
    import endpoint_pkg::*, pcie_pkg::access_t, dpu_pkg::*;
(
    input  logic        clk,
    input  logic        rst,
    input  access_t     access,
    output logic [31:0] rdata,
    input  logic [7:0]  status,
    input  count_t      count
);
    logic [COUNTERS-1:0][31:0] counter_reg;

    logic unused;
    assign unused = &{1'b0, access};

    logic [12:0] offset;
    logic [31:0] value;
    assign offset = {access.addr[10:0], 2'b00};

    always_comb begin
        value = '0;
        if (offset[12:6] == REG_COUNTERS[12:6]) value = counter_reg[access.addr[3:0]];
        else if (offset == REG_ID) value = DPU_ID;
        else if (offset == REG_VERSION) value = DPU_VERSION;
        else if (offset == REG_STATUS) value = {24'b0, status};
    end

    always_ff @(posedge clk) begin
        rdata <= access.valid && !access.write ? value : '0;
        for (int i = 0; i < COUNTERS; i++) if (count[i]) counter_reg[i] <= counter_reg[i] + 32'd1;
        if (rst) counter_reg <= '0;
    end
endmodule
