// AXI4-Lite, 32-bit data: the DPU's register port.
//
// At the top only one side of an interface is seen.
// verilator lint_off UNDRIVEN
// verilator lint_off UNUSEDSIGNAL
interface axil_if #(
    parameter int unsigned ADDR_W = 13
);
    logic              awvalid;
    logic              awready;
    logic [ADDR_W-1:0] awaddr;
    logic              wvalid;
    logic              wready;
    logic [31:0]       wdata;
    logic [3:0]        wstrb;
    logic              bvalid;
    logic              bready;
    logic [1:0]        bresp;
    logic              arvalid;
    logic              arready;
    logic [ADDR_W-1:0] araddr;
    logic              rvalid;
    logic              rready;
    logic [31:0]       rdata;
    logic [1:0]        rresp;

    modport mst(
        output awvalid, awaddr, wvalid, wdata, wstrb, bready, arvalid, araddr, rready,
        input awready, wready, bvalid, bresp, arready, rvalid, rdata, rresp
    );
    modport slv(
        input awvalid, awaddr, wvalid, wdata, wstrb, bready, arvalid, araddr, rready,
        output awready, wready, bvalid, bresp, arready, rvalid, rdata, rresp
    );
endinterface
// verilator lint_on UNDRIVEN
// verilator lint_on UNUSEDSIGNAL
