// Reads of host memory for four clients: requests are cut, each part gets a slot of 512 bytes whose number is its
// tag, completions land in the slot in any order, and each client gets its bytes in the order of its requests.
module dma_read #(
    parameter int unsigned DATA_W = 256,
    parameter int unsigned SLOTS = 32,
    parameter int unsigned TIMEOUT_CYCLES = 65536
) (
    input  logic                                               clk,
    input  logic                                               rst,
    input  endpoint_pkg::pci_control_t                         pci,
    input  endpoint_pkg::reset_req_t                           reset,
    input  logic [endpoint_pkg::READ_CLIENTS-1:0]              req_valid,
    output logic [endpoint_pkg::READ_CLIENTS-1:0]              req_ready,
    input  endpoint_pkg::read_req_t [endpoint_pkg::READ_CLIENTS-1:0] req,
    stream_if.src                                              rsp[endpoint_pkg::READ_CLIENTS],
    tlp_if.src                                                 rq,
    tlp_if.snk                                                 rc,
    input  logic                                               rq_np_ok,
    output logic                                               idle,
    output logic                                               error_valid,
    input  logic                                               error_ready,
    output endpoint_pkg::error_t                               error,
    output logic [3:0]                                         completion_error,
    output endpoint_pkg::count_t                               count
);
    import endpoint_pkg::*;
    import dma_pkg::*;

    localparam int unsigned BANKS = DATA_W / 32;
    localparam int unsigned WORDS = SLOTS * SLOT_BYTES / (DATA_W / 8);
    localparam int unsigned ADDR_W = $clog2(WORDS);
    if (SLOTS != 16 && SLOTS != 32) begin : g_check
        $fatal(1, "dma_read: SLOTS must be 16 or 32");
    end

    // The rest of PCI's control is for others.
    logic unused;
    assign unused = &{1'b0, pci};

    logic forget;
    assign forget = rst || reset.clear;

    // ---- requests, cut ----
    logic [READ_CLIENTS-1:0] sub_valid;
    logic [READ_CLIENTS-1:0] sub_take;
    sub_read_t [READ_CLIENTS-1:0] sub;
    for (genvar c = 0; c < int'(READ_CLIENTS); c++) begin : g_client
        read_splitter splitter (
            .clk, .rst(forget), .enable(!reset.quiesce && !reset.clear), .mrrs(pci.mrrs),
            .req_valid(req_valid[c]), .req_ready(req_ready[c]), .req(req[c]),
            .sub_valid(sub_valid[c]), .sub_take(sub_take[c]), .sub(sub[c])
        );
    end

    // ---- out to rq ----
    logic [SLOTS-1:0] free;
    logic take;
    tag_t take_tag;
    sub_read_t take_sub;
    tag_t rq_tag;
    logic sent;
    read_issue #(.SLOTS(SLOTS)) issue (
        .clk, .rst(forget), .enable(pci.bus_master && rq_np_ok && !reset.quiesce), .requester_id(pci.requester_id),
        .sub_valid, .sub_take, .sub, .free, .take, .take_tag, .take_sub,
        .valid(rq.valid), .ready(rq.ready), .hdr(rq.hdr), .tag(rq_tag)
    );
    assign rq.last = 1'b1;
    assign rq.data = '0;
    assign sent = rq.valid && rq.ready;

    // ---- tags ----
    logic [SLOTS-1:0] done;
    logic [SLOTS-1:0] bad;
    logic release_slot;
    tag_t release_tag;
    tag_t look_tag;
    tag_state_t look;
    logic update_valid;
    tag_update_t update;
    logic timeout;
    logic [63:0] timeout_addr;
    logic unexpected;
    logic [63:0] unexpected_info;
    read_tags #(.SLOTS(SLOTS), .TIMEOUT_CYCLES(TIMEOUT_CYCLES)) tags (
        .clk, .rst, .clear(reset.clear), .free, .done, .bad, .idle,
        .take, .take_tag, .take_addr(take_sub.addr), .take_bytes(take_sub.bytes), .sent, .sent_tag(rq_tag), .release_slot, .release_tag,
        .look_tag, .look, .update_valid, .update,
        .timeout_enable(!unexpected), .timeout, .timeout_addr
    );

    // ---- completions in ----
    logic [BANKS-1:0] write;
    logic [BANKS-1:0][ADDR_W-1:0] write_addr;
    logic [DATA_W-1:0] write_data;
    completion_writer #(.DATA_W(DATA_W), .SLOTS(SLOTS)) writer (
        .clk, .rst, .requester_id(pci.requester_id), .rc, .look_tag, .look, .update_valid, .update,
        .write, .write_addr, .write_data, .unexpected, .unexpected_info, .completion_error
    );

    logic read;
    logic [ADDR_W-1:0] read_addr;
    logic [DATA_W-1:0] read_data;
    slot_ram #(.DATA_W(DATA_W), .WORDS(WORDS)) ram (
        .clk, .write, .write_addr, .write_data, .read, .read_addr, .read_data
    );

    // ---- bytes to the clients ----
    slot_order_t push_order;
    always_comb begin
        push_order.tag = take_tag;
        push_order.start = take_sub.addr[8:0];
        push_order.bytes = take_sub.bytes;
        push_order.last = take_sub.last;
    end
    slot_reader #(.DATA_W(DATA_W), .SLOTS(SLOTS)) reader (
        .clk, .rst(forget), .push(sub_take), .push_order, .done, .bad, .release_slot, .release_tag,
        .read, .read_addr, .read_data, .rsp
    );

    // ---- errors: kept over a device reset; dropped when the log does not keep up ----
    error_t found;
    always_comb begin
        found = '0;
        found.code = unexpected ? ERR_UNEXPECTED_CPL : ERR_CPL_TIMEOUT;
        found.address = unexpected ? unexpected_info : timeout_addr;
    end
    // verilator lint_off PINCONNECTEMPTY
    word_fifo #(.WIDTH($bits(error_t)), .DEPTH(8)) errors (
        .clk, .rst, .in_valid(unexpected || timeout), .in_ready(), .in_data(found),
        .out_valid(error_valid), .out_ready(error_ready), .out_data(error), .count()
    );
    // verilator lint_on PINCONNECTEMPTY

    always_comb begin
        count = '0;
        count[COUNT_READ_TLPS] = sent;
    end
endmodule
