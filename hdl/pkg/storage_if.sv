// The memory behind the FUSE engine: a request channel of aligned words, read data in request order.
// `addr` is a byte address, a multiple of DATA_W/8. Reads are answered any number of cycles later; the requester
// always takes them (no ready on the answer).
//
// At the top only one side of an interface is seen.
// verilator lint_off UNDRIVEN
// verilator lint_off UNUSEDSIGNAL
interface storage_if #(
    parameter int unsigned DATA_W = 256
);
    logic                valid;
    logic                ready;
    logic                write;
    logic [31:0]         addr;
    logic [DATA_W-1:0]   wdata;
    logic [DATA_W/8-1:0] wstrb;
    logic                rvalid;
    logic [DATA_W-1:0]   rdata;

    modport mst(output valid, write, addr, wdata, wstrb, input ready, rvalid, rdata);
    modport slv(input valid, write, addr, wdata, wstrb, output ready, rvalid, rdata);
endinterface
// verilator lint_on UNDRIVEN
// verilator lint_on UNUSEDSIGNAL
