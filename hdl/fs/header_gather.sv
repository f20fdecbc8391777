// Fetches the first bytes of a request, at most 1 KiB, into a request buffer. Two of the 16 buffers are kept for the
// high priority lane, whose chains are taken first.
//
// A readable part shorter than fuse_in_header, or one that could not be read, never reaches the engine: the chain is
// handed to the reply router to be used with length 0.
//
// Not every output is of use. Records are taken whole; not every field counts here.
// verilator lint_off PINCONNECTEMPTY
// verilator lint_off UNUSEDSIGNAL
module header_gather
    import endpoint_pkg::*;
    import pipeline_pkg::*;
    import fuse_pkg::*;
#(
    parameter int unsigned DATA_W = 256
) (
    input  logic              clk,
    input  logic              flush,
    input  logic              walked_valid,
    input  walked_t           walked,
    output context_t          look_ctx,
    input  chain_info_t       look_info,
    output logic              range_valid,
    input  logic              range_ready,
    output range_t            range,
    input  logic              piece_valid,
    output logic              piece_ready,
    input  piece_t            piece,
    output logic              req_valid,
    input  logic              req_ready,
    output read_req_t         req,
    stream_if.snk             rsp,
    output logic              buffer_write,
    output logic [$clog2(16*1024*8/DATA_W)-1:0] buffer_addr,
    output logic [DATA_W-1:0] buffer_data,
    output logic              gathered_valid,   // one cycle, always taken
    output gathered_t         gathered,
    input  logic              freed_valid,
    input  logic [3:0]        freed,
    output logic              unread_valid,     // to be used with length 0
    input  logic              unread_ready,
    output context_t          unread,
    output logic              error_valid,
    input  logic              error_ready,
    output error_t            error
);
    localparam int unsigned HEAD_BYTES = 1024;
    localparam int unsigned READ_BYTES = 512;
    localparam int unsigned BUFFERS = 16;
    localparam logic [BUFFERS-1:0] HI_BUFFERS = 16'h0003;
    localparam int unsigned BEAT = DATA_W / 8;
    localparam int unsigned WORD_W = $clog2(HEAD_BYTES / BEAT);

    // ---- chains that wait, by lane ----

    logic     hi_valid;
    logic     hi_ready;
    context_t hi_ctx;
    logic     request_valid;
    logic     request_ready;
    context_t request_ctx;

    word_fifo #(.WIDTH($bits(context_t)), .DEPTH(64)) hi_fifo (
        .clk, .rst(flush),
        .in_valid(walked_valid && walked.lane == LANE_HI), .in_ready(), .in_data(walked.ctx),
        .out_valid(hi_valid), .out_ready(hi_ready), .out_data(hi_ctx), .count()
    );
    word_fifo #(.WIDTH($bits(context_t)), .DEPTH(64)) request_fifo (
        .clk, .rst(flush),
        .in_valid(walked_valid && walked.lane == LANE_REQ), .in_ready(), .in_data(walked.ctx),
        .out_valid(request_valid), .out_ready(request_ready), .out_data(request_ctx), .count()
    );

    // ---- pick one, give it a buffer, ask for its bytes ----

    typedef enum logic [2:0] { PICK, CHECK, RANGE, PIECE, READ, SHORT, SHORT_LOG } ask_e;
    ask_e               ask_reg;
    context_t           ctx_reg;
    logic [3:0]         buffer_reg;
    logic [BUFFERS-1:0] free_reg;
    logic [63:0]        addr_reg;
    logic [10:0]        left_reg;
    logic               last_reg;

    logic [3:0]         buffer;
    logic               buffer_found;
    logic [BUFFERS-1:0] usable;

    assign hi_ready = ask_reg == PICK && (free_reg & HI_BUFFERS) != 0;
    assign request_ready = ask_reg == PICK && !(hi_valid && hi_ready) && (free_reg & ~HI_BUFFERS) != 0;
    assign usable = free_reg & (hi_valid && hi_ready ? HI_BUFFERS : ~HI_BUFFERS);

    always_comb begin
        buffer = '0;
        buffer_found = 1'b0;
        for (int b = 0; b < int'(BUFFERS); b++) begin
            if (usable[b] && !buffer_found) begin
                buffer = 4'(b);
                buffer_found = 1'b1;
            end
        end
    end

    logic [10:0] head_bytes;
    logic        job_in_ready;
    assign head_bytes = look_info.chain.readable > HEAD_BYTES ? 11'(HEAD_BYTES) : look_info.chain.readable[10:0];
    assign look_ctx = ctx_reg;

    assign range_valid = ask_reg == RANGE && job_in_ready;
    assign range.ctx = ctx_reg;
    assign range.write = 1'b0;
    assign range.offset = '0;
    assign range.length = 32'(head_bytes);
    assign piece_ready = ask_reg == PIECE;

    logic [10:0] chunk;
    logic        order_in_ready;
    logic        asked;
    assign chunk = left_reg > 11'(READ_BYTES) ? 11'(READ_BYTES) : left_reg;
    assign req_valid = ask_reg == READ && order_in_ready;
    assign req.addr = addr_reg;
    assign req.bytes = chunk[9:0];
    assign asked = req_valid && req_ready;

    // ---- what was asked for: reads, and the requests that they make up ----

    typedef struct packed {
        logic        last;
        logic [63:0] addr;
    } order_t;
    order_t order;
    logic   order_valid;

    word_fifo #(.WIDTH($bits(order_t)), .DEPTH(32)) order_fifo (
        .clk, .rst(flush),
        .in_valid(asked), .in_ready(order_in_ready), .in_data({last_reg && left_reg == chunk, addr_reg}),
        .out_valid(order_valid), .out_ready(rsp.valid && rsp.ready && rsp.last), .out_data(order), .count()
    );

    gathered_t job;
    logic      job_done;

    word_fifo #(.WIDTH($bits(gathered_t)), .DEPTH(BUFFERS)) job_fifo (
        .clk, .rst(flush),
        .in_valid(range_valid && range_ready), .in_ready(job_in_ready), .in_data({ctx_reg, buffer_reg, head_bytes}),
        .out_valid(), .out_ready(job_done), .out_data(job), .count()
    );

    // ---- bytes that come back ----

    logic              failed_reg;      // a read before the last one of this request
    logic [63:0]       failed_addr_reg;
    logic              fails;
    logic [63:0]       fails_addr;
    logic              pack_ready;
    logic              word_valid;
    logic              word_ready;
    logic              word_last;
    logic [DATA_W-1:0] word;
    logic [64:0]       word_user;
    logic [WORD_W-1:0] index_reg;
    logic              accept;

    assign rsp.ready = pack_ready && order_valid;
    assign accept = rsp.valid && rsp.ready;
    assign fails = failed_reg || rsp.user[0];
    assign fails_addr = failed_reg ? failed_addr_reg : order.addr;

    always_ff @(posedge clk) begin
        if (flush) begin
            failed_reg <= 1'b0;
        end else if (accept && rsp.last) begin
            failed_reg <= fails && !order.last;
            failed_addr_reg <= fails_addr;
        end
    end

    byte_pack #(.DATA_W(DATA_W), .USER_W(65)) pack (
        .clk, .rst(flush),
        .in_valid(rsp.valid && order_valid), .in_ready(pack_ready), .in_last(rsp.last && order.last),
        .in_data(rsp.data), .in_offset('0), .in_bytes(rsp.bytes), .in_user({fails, fails_addr}),
        .out_valid(word_valid), .out_ready(word_ready), .out_last(word_last), .out_data(word), .out_bytes(),
        .out_user(word_user)
    );

    typedef enum logic [1:0] { FILL, FAIL, FAIL_LOG } fill_e;
    fill_e fill_reg;

    assign word_ready = fill_reg == FILL;
    assign buffer_write = word_valid && word_ready;
    assign buffer_addr = {job.buffer, index_reg};
    assign buffer_data = word;
    assign gathered_valid = buffer_write && word_last && !word_user[64];
    assign gathered = job;
    assign job_done = gathered_valid || (fill_reg == FAIL && unread_ready);

    assign unread_valid = fill_reg == FAIL || ask_reg == SHORT;
    assign unread = fill_reg == FAIL ? job.ctx : ctx_reg;

    logic [63:0] fail_addr_reg;
    queue_t      fail_queue_reg;
    assign error_valid = fill_reg == FAIL_LOG || ask_reg == SHORT_LOG;
    assign error = fill_reg == FAIL_LOG ? make_error(ERR_HEADER_READ, 1'b0, fail_queue_reg, fail_addr_reg) :
        make_error(ERR_HEADER_SHORT, 1'b0, look_info.chain.queue, '0);

    queue_t queue_mem [BUFFERS];   // of the request in each buffer, for the error log
    always_ff @(posedge clk) begin
        if (ask_reg == RANGE) queue_mem[buffer_reg] <= look_info.chain.queue;
    end

    always_ff @(posedge clk) begin
        if (flush) begin
            ask_reg <= PICK;
            fill_reg <= FILL;
            free_reg <= '1;
            index_reg <= '0;
        end else begin
            case (ask_reg)
                PICK: begin
                    buffer_reg <= buffer;
                    ctx_reg <= hi_valid && hi_ready ? hi_ctx : request_ctx;
                    if ((hi_valid && hi_ready) || (request_valid && request_ready)) ask_reg <= CHECK;
                end
                CHECK: ask_reg <= look_info.chain.readable < FUSE_IN_HEADER_BYTES ? SHORT_LOG : RANGE;
                RANGE: if (range_valid && range_ready) begin
                    free_reg[buffer_reg] <= 1'b0;
                    ask_reg <= PIECE;
                end
                PIECE: if (piece_valid) begin
                    addr_reg <= piece.addr;
                    left_reg <= piece.len[10:0];
                    last_reg <= piece.last;
                    ask_reg <= READ;
                end
                READ: if (asked) begin
                    addr_reg <= addr_reg + 64'(chunk);
                    left_reg <= left_reg - chunk;
                    if (left_reg == chunk) ask_reg <= last_reg ? PICK : PIECE;
                end
                SHORT_LOG: if (error_ready && fill_reg != FAIL_LOG) ask_reg <= SHORT;
                default: if (unread_ready && fill_reg != FAIL) ask_reg <= PICK;
            endcase

            case (fill_reg)
                FILL: if (buffer_write) begin
                    index_reg <= word_last ? '0 : index_reg + 1'b1;
                    fail_addr_reg <= word_user[63:0];
                    fail_queue_reg <= queue_mem[job.buffer];
                    if (word_last && word_user[64]) fill_reg <= FAIL_LOG;
                end
                FAIL_LOG: if (error_ready) fill_reg <= FAIL;
                default: if (unread_ready) begin
                    free_reg[job.buffer] <= 1'b1;
                    fill_reg <= FILL;
                end
            endcase
            if (freed_valid) free_reg[freed] <= 1'b1;
        end
    end
endmodule
// verilator lint_on PINCONNECTEMPTY
// verilator lint_on UNUSEDSIGNAL
