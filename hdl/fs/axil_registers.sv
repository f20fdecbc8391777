// AXI4-Lite to dword accesses, one at a time; a write goes before a read. `rdata` and `fail` come in the cycle after
// the access.
module axil_registers
    import pcie_pkg::access_t;
(
    input  logic        clk,
    input  logic        rst,
    axil_if.slv         dpu,
    output access_t     access,
    input  logic [31:0] rdata,
    input  logic        fail          // SLVERR
);
    typedef enum logic [1:0] {IDLE, ACCESS, COLLECT, RESPOND} state_e;

    state_e      state_reg;
    access_t     access_reg;
    logic [31:0] rdata_reg;
    logic        fail_reg;
    logic        take_write, take_read, done;

    assign take_write = state_reg == IDLE && dpu.awvalid && dpu.wvalid;
    assign take_read = state_reg == IDLE && dpu.arvalid && !take_write;
    assign done = access_reg.write ? dpu.bready : dpu.rready;

    assign dpu.awready = take_write;
    assign dpu.wready = take_write;
    assign dpu.arready = take_read;
    assign dpu.bvalid = state_reg == RESPOND && access_reg.write;
    assign dpu.rvalid = state_reg == RESPOND && !access_reg.write;
    assign dpu.bresp = {fail_reg, 1'b0};
    assign dpu.rresp = {fail_reg, 1'b0};
    assign dpu.rdata = rdata_reg;
    assign access = access_reg;

    always_ff @(posedge clk) begin
        access_reg.valid <= take_write || take_read;
        unique case (state_reg)
            IDLE: if (take_write || take_read) begin
                access_reg.write <= take_write;
                access_reg.addr <= take_write ? 13'(dpu.awaddr[12:2]) : 13'(dpu.araddr[12:2]);
                access_reg.be <= take_write ? dpu.wstrb : '1;
                access_reg.data <= dpu.wdata;
                state_reg <= ACCESS;
            end
            ACCESS: state_reg <= COLLECT;
            COLLECT: begin
                rdata_reg <= rdata;
                fail_reg <= fail;
                state_reg <= RESPOND;
            end
            default: if (done) state_reg <= IDLE;
        endcase
        if (rst) begin
            state_reg <= IDLE;
            access_reg.valid <= 1'b0;
        end
    end
endmodule
