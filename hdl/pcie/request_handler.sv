// Requests of the host become dword accesses, made in the order of arrival. Only a read whose completion finds no
// room is passed by younger posted writes: cq never stands still behind a read that waits for rq.
module request_handler
    import endpoint_pkg::*, pcie_pkg::*;
#(
    parameter int unsigned DATA_W = 256
) (
    input  logic           clk,
    input  logic           rst,
    tlp_if.snk             cq,
    tlp_if.src             cc,
    output logic           cq_np_ok,
    input  logic           hold,             // the registers are being cleared
    input  logic           memory_enable,
    input  logic           retry,            // a function level reset is on
    input  logic [15:0]    completer_id,
    input  logic [48:0]    bar0,
    output access_t        access,           // registered
    output logic           access_cfg,
    input  logic [31:0]    rdata,            // in the second cycle after `access`
    output logic           capture,
    output logic [12:0]    capture_id,
    output request_error_t request_error,
    input  logic [7:0]     posted_granted,
    input  logic [7:0]     posted_sent,
    input  logic           message_valid,
    input  logic           message_gone
);
    localparam int unsigned NP_DEPTH = 8;

    // ---- the packet on cq ----
    request_t decoded, request_reg, request;
    logic     first_reg, posted, accepted;
    logic     writes_ready, np_ready, np_push;

    assign decoded = decode_request(cq.hdr, memory_enable, bar0);
    assign request = first_reg ? decoded : request_reg;
    assign posted = is_posted(request);
    assign cq.ready = posted ? writes_ready : np_ready;
    assign accepted = cq.valid && cq.ready;
    assign np_push = accepted && first_reg && !posted;

    always_ff @(posedge clk) begin
        if (cq.valid && first_reg) request_reg <= decoded;
        if (rst) first_reg <= 1'b1;
        else if (accepted) first_reg <= cq.last;
    end

    // ---- posted writes ----
    access_t write_access;
    logic    reads_busy;

    request_writes #(.DATA_W(DATA_W)) writes (
        .clk, .rst,
        .valid(cq.valid && posted), .ready(writes_ready), .last(cq.last), .request, .data(cq.data),
        .go(!reads_busy && !hold), .access(write_access)
    );

    // ---- non-posted requests; half of the queue is kept for those already under way when cq_np_ok falls ----
    request_t                  np_request;
    logic [31:0]               np_wdata;
    logic                      np_valid, np_pop;
    logic [$clog2(NP_DEPTH):0] np_count;

    word_fifo #(.WIDTH($bits(request_t) + 32), .DEPTH(NP_DEPTH)) np_fifo (
        .clk, .rst, .in_valid(np_push), .in_ready(np_ready), .in_data({request, cq.data[31:0]}),
        .out_valid(np_valid), .out_ready(np_pop), .out_data({np_request, np_wdata}), .count(np_count)
    );

    access_t     read_access;
    logic        read_cfg, np_unsupported;
    logic        space, dword_valid, dword_last, push, push_waits;
    logic [31:0] dword;
    logic [5:0]  push_dwords;
    logic [127:0] push_hdr;

    request_reads reads (
        .clk, .rst, .valid(np_valid), .pop(np_pop), .request(np_request), .wdata(np_wdata),
        .memory_enable, .retry, .completer_id, .hold, .busy(reads_busy),
        .access(read_access), .access_cfg(read_cfg), .rdata, .capture, .capture_id, .unsupported(np_unsupported),
        .space, .dword_valid, .dword_last, .dword, .push, .push_waits, .push_dwords, .push_hdr
    );

    completion_queue #(.DATA_W(DATA_W)) completions (
        .clk, .rst, .space, .dword_valid, .dword_last, .dword, .push, .push_waits, .push_dwords, .push_hdr,
        .posted_granted, .posted_sent, .message_valid, .message_gone, .cc
    );

    logic request_error_posted;
    assign request_error_posted = accepted && cq.last && request.kind == REQ_WRITE && request.unsupported;

    // ---- one access a cycle; the two sides never want one at once ----
    always_ff @(posedge clk) begin
        access <= read_access.valid ? read_access : write_access;
        access_cfg <= read_access.valid && read_cfg;
        cq_np_ok <= np_count < 4'(NP_DEPTH / 2);
        request_error.unsupported <= np_unsupported || request_error_posted;
        request_error.unsupported_posted <= request_error_posted;
        request_error.poisoned <= accepted && first_reg && request.poisoned && request.kind != REQ_IGNORED;
        if (rst) begin
            access.valid <= 1'b0;
            cq_np_ok <= 1'b0;
            request_error <= '0;
        end
    end
endmodule
