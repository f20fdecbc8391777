// Performs the register commands of the bridge on the DPU port, one at a time.
module axil_driver #(
    parameter int unsigned ADDR_W = 13
) (
    input logic clk,
    input logic rst,
    input logic go,      // a command waits
    axil_if.mst bus
);
    import bridge_pkg::*;

    logic        busy;
    logic [63:0] command;

    assign bus.wstrb = 4'hF;
    assign bus.bready = 1'b1;
    assign bus.rready = 1'b1;

    always @(posedge clk) begin
        if (rst) begin
            busy <= 1'b0;
            bus.awvalid <= 1'b0;
            bus.wvalid <= 1'b0;
            bus.arvalid <= 1'b0;
        end else if (!busy) begin
            if (go) begin
                command = 64'(dpi_dpu_command());
                busy <= 1'b1;
                bus.awvalid <= command[63];
                bus.wvalid <= command[63];
                bus.arvalid <= !command[63];
                bus.awaddr <= command[32+:ADDR_W];
                bus.araddr <= command[32+:ADDR_W];
                bus.wdata <= command[31:0];
            end
        end else begin
            if (bus.awready) bus.awvalid <= 1'b0;
            if (bus.wready) bus.wvalid <= 1'b0;
            if (bus.arready) bus.arvalid <= 1'b0;
            if (bus.bvalid || bus.rvalid) begin
                busy <= 1'b0;
                dpi_dpu_done(longint'($time), bus.rdata, 32'(bus.bvalid ? bus.bresp : bus.rresp));
            end
        end
    end
endmodule
