// The page unit with plain ports, for page_bench.cpp.
module page_bench
    import ramfs_pkg::*;
#(
    parameter int unsigned DATA_W = 256,
    parameter int unsigned INODES = 64,
    parameter int unsigned PAGES = 64
) (
    input  logic                clk,
    input  logic                rst,
    output logic                ready,
    input  logic                cmd_valid,
    output logic                cmd_ready,
    input  logic [2:0]          cmd_op,
    input  node_slot_t          cmd_node,
    input  position_t           cmd_from,
    input  position_t           cmd_to,
    input  window_t             cmd_window,
    output logic                rsp_valid,
    output logic                rsp_no_space,
    output pages_t              rsp_pages,
    input  logic                hold,
    output logic                holding,
    output pages_t              free_pages,
    output logic [WINDOWS-1:0]  window_busy,
    input  logic [WINDOWS-1:0]  window_release,
    input  logic                storage_valid,
    output logic                storage_ready,
    input  logic                storage_write,
    input  logic [31:0]         storage_addr,
    input  logic [DATA_W-1:0]   storage_wdata,
    input  logic [DATA_W/8-1:0] storage_wstrb,
    output logic                storage_rvalid,
    output logic [DATA_W-1:0]   storage_rdata
);
    page_cmd_t cmd;
    page_rsp_t rsp;
    assign cmd.op = page_op_e'(cmd_op);
    assign cmd.node = cmd_node;
    assign cmd.from = cmd_from;
    assign cmd.to = cmd_to;
    assign cmd.window = cmd_window;
    assign rsp_no_space = rsp.no_space;
    assign rsp_pages = rsp.pages;

    storage_if #(.DATA_W(DATA_W)) storage ();
    assign storage.valid = storage_valid;
    assign storage_ready = storage.ready;
    assign storage.write = storage_write;
    assign storage.addr = storage_addr;
    assign storage.wdata = storage_wdata;
    assign storage.wstrb = storage_wstrb;
    assign storage_rvalid = storage.rvalid;
    assign storage_rdata = storage.rdata;

    page_unit #(.DATA_W(DATA_W), .INODES(INODES), .PAGES(PAGES)) page_unit (.*);
endmodule
